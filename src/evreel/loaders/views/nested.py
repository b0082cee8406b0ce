"""Dictionaries and lists within each other: their leaves, and what they look like as a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from evreel.errors import one_line
from evreel.settings import items_text

Place = tuple[str | int, ...]
"""The keys and positions that lead to a leaf, such as ``("clip", 0)``."""

_MOST_OUTLINED = 20
"""Items of a list that are outlined; the others are counted."""
_LONGEST_SHOWN = 60


def leaves(nested: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield place and value of everything that is neither a dictionary nor a list.

    Examples
    --------
    >>> list(leaves({"a": [1, 2], "b": 3}))
    [(('a', 0), 1), (('a', 1), 2), (('b',), 3)]
    """
    if isinstance(nested, Mapping):
        for key, value in nested.items():
            yield from leaves(value, (*place, key))
    elif isinstance(nested, list):
        for k, value in enumerate(nested):
            yield from leaves(value, (*place, k))
    else:
        yield place, nested


def with_leaves(nested: Any, function: Callable[[Place, Any], Any], place: Place = ()) -> Any:
    """Return dictionaries and lists of the same form, with what a function makes of each leaf.

    Examples
    --------
    >>> with_leaves({"a": [1, 2], "b": 3}, lambda place, value: 10 * value)
    {'a': [10, 20], 'b': 30}
    """
    if isinstance(nested, Mapping):
        return {key: with_leaves(below, function, (*place, key)) for key, below in nested.items()}
    if isinstance(nested, list):
        return [with_leaves(below, function, (*place, k)) for k, below in enumerate(nested)]
    return function(place, nested)


def name_of(place: Place, otherwise: str) -> str:
    """Return a place as messages show it.

    Examples
    --------
    >>> name_of(("clip", 0), "indices"), name_of((), "indices")
    ('clip/0', 'indices')
    """
    return "/".join(map(str, place)) or otherwise


def outline(value: Any) -> list[str]:
    r"""Return lines that say what a value holds: names, shapes, types and ranges.

    Examples
    --------
    >>> print(*outline({"frames": [np.arange(3), np.ones(3, int)], "label": "car"}), sep="\n")
    frames: 2 alike, of which the first is
      (3,) int64, 0 … 2
    label: 'car'
    """
    head, below = _outlined(value)
    return [head, *_indented(below)] if head else below


def _outlined(value: Any) -> tuple[str, list[str]]:
    """Return what is said of a value on its own line, and the lines below that."""
    if isinstance(value, Mapping):
        lines = [line for key, below in value.items() for line in _named(str(key), below)]
        return "" if lines else "nothing", lines
    if isinstance(value, (list, tuple)):
        forms = {str(_form(item)) for item in value}
        if len(forms) == 1 and len(value) > 1:
            return f"{len(value)} alike, of which the first is", outline(value[0])
        shown = value[:_MOST_OUTLINED]
        lines = [line for k, below in enumerate(shown) for line in _named(k, below)]
        more = [f"… and {len(value) - len(shown)} more"] if len(value) > len(shown) else []
        return items_text(len(value)), lines + more
    return _leaf_text(value), []


def _form(value: Any) -> Any:
    """Return what values that are alike have in common: names, shapes and types."""
    if isinstance(value, (list, tuple)):
        return [_form(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _form(below) for key, below in value.items()}
    return [getattr(value, "shape", None), str(getattr(value, "dtype", type(value)))]


def _named(name: str | int, value: Any) -> list[str]:
    head, below = _outlined(value)
    return [f"{name}: {head}" if head else f"{name}:", *_indented(below)]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _leaf_text(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return one_line(repr(value), _LONGEST_SHOWN)
    text = f"{tuple(value.shape)} {value.dtype}"
    is_in_memory = isinstance(value, np.ndarray) and not isinstance(value, np.memmap)
    if is_in_memory and value.size and value.dtype.kind in "iuf":
        text += f", {value.min():.6g} … {value.max():.6g}"
    return text
