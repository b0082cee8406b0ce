"""Facts of a file as lines for people; JSON has the same facts under the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST = 10
"""Names, counts or digests that are shown of many."""
_WIDTH = 14
_TIME = "_us"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    r"""Yield the lines that show facts to a person: a name, and its value in words.

    Examples
    --------
    >>> print(*lines({"kind": "boxes", "boxes": 1200, "by_label": {"car": 1200}, "problems": []}),
    ...     sep="\n")
    kind           boxes
    boxes          1,200
    by label       car 1,200
    """
    for name, value in found.items():
        if name == "problems":
            continue
        label = name.removesuffix(_TIME).replace("_", " ")
        for text in _texts(name, value):
            yield f"{label:<{_WIDTH}} {text}"
            label = ""
    for problem in found["problems"]:
        yield f"{'problem':<{_WIDTH}} {problem}"


def _texts(name: str, value: Any) -> Iterator[str]:
    """Yield the lines of one fact; none where there is nothing to say."""
    if value is None or value in ("", [], {}):
        return
    if name.endswith(_TIME):
        yield _time(value)
    elif name in ("sensor", "pictures") and isinstance(value, Mapping):
        yield f"{value['width']} × {value['height']} px (width × height)"
    elif name == "shape":
        yield " × ".join(map(str, value))
    elif name == "inputs":
        # Roles of files are few; samples of an archive are not among them.
        yield from (f"{role} {digest}" for role, digest in list(value.items())[:MOST])
    elif isinstance(value, Mapping):
        pairs = (f"{key} {_plain(one)}" for key, one in value.items())
        yield _some(list(pairs), len(value))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield _some([_plain(one) for one in value[:MOST]], len(value))
    else:
        yield _plain(value)


def _some(texts: Sequence[str], n: int) -> str:
    more = f", and {n - MOST:,} more" if n > MOST else ""
    return ", ".join(texts[:MOST]) + more


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _time(value: Any) -> str:
    if isinstance(value, int):
        return f"{value} µs"
    start_us, stop_us = value
    return f"{start_us} to {stop_us} µs, {(stop_us - start_us) / 1e6:.6f} s"
