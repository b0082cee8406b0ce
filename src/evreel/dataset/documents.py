"""YAML documents that people write: what they say, and the line of each key.

What a few lines can do to a reader is refused: aliases that repeat millions of values, values that
are within themselves, keys that are there twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from evreel.errors import EvreelError, MistakesError, UsageError, foreign
from evreel.settings import Place

DEEPEST = 20
"""Levels of a config; its own settings have six."""
MOST_VALUES = 100_000
"""Values of a config, those that aliases repeat counted each time."""
MOST_SHOWN = 20
"""Mistakes that are told in full; the others are counted."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: str | Path) -> tuple[dict[str, Any], Lines]:
    """Return what a YAML file says, which is a mapping, and where it says each thing.

    Raises
    ------
    UsageError
        If it cannot be read, is not a mapping, or has a key twice.
    """
    lines = Lines([path])

    def unreadable(why: str) -> UsageError:
        return UsageError(f"cannot be read: {why}", path=path)

    with foreign(unreadable):  # PyYAML raises a dozen kinds
        value = yaml.load(Path(path).read_bytes(), LOADER)
    if value is None:
        stop_at([f"{lines.at(())}: is empty"])
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        stop_at([f"{lines.at(())}: is not a mapping of keys to values"])
    return value, lines


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return two documents as one, in which the second wins, key by key at every level.

    Examples
    --------
    >>> merged({"video": {"scale": 2, "crf": 20}}, {"video": {"crf": 30}})
    {'video': {'scale': 2, 'crf': 30}}
    """
    both = dict(values)
    for key, value in over.items():
        below = both.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = merged(below, value)
        both[key] = value
    return both


def config_problem(path: str | Path) -> str | None:
    """Return what is wrong with a config file as a document, None if nothing is."""
    path = Path(path)
    if not path.exists():
        return (
            f"{path}: does not exist in {Path.cwd()}. Run in the folder of your data set, or name "
            "its file: --configfile my/config.yaml"
        )
    try:
        read_document(path)
    except EvreelError as error:
        return str(error)
    return None


def document(values: Mapping[str, Any]) -> str:
    """Return a mapping of plain values as the text of a YAML file, in its own order."""
    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
    return text


def stop_at(problems: Iterable[str]) -> None:
    """Raise one error that has a line for each mistake, where there is any."""
    told = list(problems)
    if told:
        more = [f"… and {len(told) - MOST_SHOWN} more"] if len(told) > MOST_SHOWN else []
        raise MistakesError(told[:MOST_SHOWN] + more)


class Lines:
    """Where each key of YAML files is: file and line.

    Parameters
    ----------
    files
        The files, of which a later one wins.
    given
        What comes from the command line, and wins over them.
    within
        Where in them the values are that are asked for, such as ``("evreel",)``.
    name
        What the values are called where no file has them.

    Raises
    ------
    UsageError
        If a file cannot be read, or has a key twice.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        given: Mapping[str, Any] | None = None,
        *,
        within: Place = (),
        name: str = "config",
    ) -> None:
        self._at: dict[Place, str] = {(): name}
        self._order: dict[str, tuple[int, int]] = {}
        duplicated = []
        for number, file in enumerate(files):
            path = os.path.relpath(file)
            first: dict[Place, int] = {}
            document = _composed(path)
            if document is not None:
                check_extent(path, *extent(document, _nodes_in))
            for place, line in _keys_with_lines(document):
                if place in first and place[-1] != "<<":
                    duplicated.append(
                        f"{path}: line {line}: {'/'.join(place)} is duplicated; it is also at "
                        f"line {first[place]}"
                    )
                first.setdefault(place, line)
            depth = len(within)
            inner = {place[depth:]: n for place, n in first.items() if place[:depth] == within}
            self._at |= {place: f"{path}: line {line}" for place, line in inner.items()}
            self._order |= {f"{path}: line {line}": (number, line) for line in inner.values()}
            if not within:
                self._at[()] = path
        stop_at(duplicated)
        given = {} if given is None else given
        for key in within:
            below = given.get(key)
            given = below if isinstance(below, Mapping) else {}
        check_extent("--config", *extent(given, values_in))
        waiting: list[tuple[Place, Any]] = [((str(key),), value) for key, value in given.items()]
        while waiting:
            place, value = waiting.pop()
            self._at[place] = "--config"
            if isinstance(value, Mapping):
                waiting += [((*place, str(key)), below) for key, below in value.items()]

    def told(self, problems: Iterable[tuple[Place, str]]) -> list[str]:
        """Return problems behind their lines, in the order of the lines; those without come last.

        Parameters
        ----------
        problems
            Place and problem of each.
        """
        found = [(self.at(place), named(place, problem)) for place, problem in problems]
        last = len(self._order), 0
        found.sort(key=lambda each: self._order.get(each[0], last))
        return [f"{at}: {problem}" for at, problem in found]

    def at(self, place: Place) -> str:
        """Return file and line of a place, or of the nearest key above it."""
        while place not in self._at:
            place = place[:-1]
        return self._at[place]


def _composed(path: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(Path(path).read_bytes(), LOADER)
    except Exception as error:  # PyYAML raises a dozen kinds
        raise UsageError(f"cannot be read: {' '.join(str(error).split())}", path=path) from error
    return node


def _nodes_in(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def values_in(value: Any) -> list[Any]:
    """Return what a value has right below it."""
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def extent(
    value: Any,
    inner: Callable[[Any], list[Any]],
    depth: int = 0,
    known: dict[int, tuple[float, float]] | None = None,
) -> tuple[float, float]:
    """Return levels and number of the values in a value, infinite if it is in itself or too deep.

    What aliases repeat counts as often as it is repeated, but is looked at once: a few lines of
    aliases of aliases stand for more values than there is memory.
    """
    known = {} if known is None else known
    if depth > DEEPEST:
        return math.inf, math.inf
    if id(value) not in known:
        known[id(value)] = math.inf, math.inf  # within itself
        below = [extent(part, inner, depth + 1, known) for part in inner(value)]
        levels, numbers = zip(*below, strict=True) if below else ((0,), (0,))
        known[id(value)] = 1 + max(levels), 1 + sum(numbers)
    return known[id(value)]


def check_extent(place: str, levels: float, number: float) -> None:
    """Raise if values are nested too deeply, or aliases repeat too many."""
    if levels > DEEPEST + 1:
        stop_at(
            [
                f"{place}: an alias is within the value that it repeats, or values are nested "
                f"more than {DEEPEST} deep"
            ]
        )
    if number > MOST_VALUES:
        stop_at(
            [
                f"{place}: has {number:,} values, with those that aliases repeat; "
                f"{MOST_VALUES:,} are allowed"
            ]
        )


def _keys_with_lines(node: yaml.Node | None, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Yield (place, line) of every key and item of a YAML document, top down."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(str(k), value, value) for k, value in enumerate(node.value)]
    else:
        return
    for key, marked, value in pairs:
        yield (*place, key), marked.start_mark.line + 1
        if key != "<<":  # what is merged in has places of its own
            yield from _keys_with_lines(value, (*place, key))


def named(place: Place, problem: str) -> str:
    """Return a problem behind the keys that lead to it; an unknown key is named by itself."""
    if problem.startswith("unknown key"):
        place = place[:-1]
    return f"{PurePosixPath(*place) if place else 'top level'}: {problem}"
