"""The jobs of recordings that share a process: each as the rule of its step says it.

A rule is taken as Snakemake knows it, with its patterns and functions of wildcards; nothing else
of Snakemake is needed.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from evreel.provenance import digest_of


class Names(dict[str, str]):
    """The wildcards of a job, as functions of a rule and its script take them: also by attribute.

    Examples
    --------
    >>> Names(id="park").id
    'park'
    """

    def __getattr__(self, name: str) -> str:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


_CONSTRAINT = re.compile(r"\{(\w+),(?:[^{}]|\{[^{}]*\})*\}")
"""A wildcard with what it may be."""


class Rule(Protocol):
    """What is used of a rule of Snakemake."""

    input: Any
    output: Any
    log: Any
    params: Any


class Named(list[Any]):
    """What a job's script finds as its inputs, outputs, parameters or log: by number and by name.

    Examples
    --------
    >>> files = Named([("store", "a.h5"), (None, "b"), ("more", ["c", "d"])])
    >>> files[1], files.store, files.more, files.get("other"), len(files)
    ('b', 'a.h5', ['c', 'd'], None, 4)
    """

    def __init__(self, parts: Iterable[tuple[str | None, Any]] = (), flat: bool = True) -> None:
        super().__init__()
        self.names: dict[str, Any] = {}
        for name, part in parts:
            self.extend(part if flat and isinstance(part, list) else [part])
            if name is not None:
                self.names[name] = part

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["names"][name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return what has a name, `default` if nothing has."""
        return self.names.get(name, default)

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return self.names.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return the names, each with what has it."""
        return self.names.items()

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (list(self), self.names)


def _named(items: list[Any], names: dict[str, Any]) -> Named:
    made = Named()
    made.extend(items)
    made.names.update(names)
    return made


@dataclass
class Member:
    """One recording's job of a step: what its script finds as `snakemake`.

    Parameters
    ----------
    id
        The recording.
    key
        Distinguishes it from others of its step: a recording may have one for each feature.
    input, output, params, log, wildcards
        As a script of a rule finds them.
    compared
        The parameters of which a change makes the outputs again, as text, sorted.
    kept
        Outputs that a job finds as they are, and changes itself.
    touched
        Outputs that are empty, and there when the job has succeeded.
    threads
        Threads that it may use.
    """

    id: str
    key: str
    input: Named
    output: Named
    params: Named
    log: Named
    compared: list[str]
    kept: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    threads: int = 1
    wildcards: Names = field(default_factory=Names)


class Deferred:
    """A parameter that is computed when a job is given it, not whenever jobs are planned.

    Pickled, it is its value.
    """

    def __init__(self, value: Callable[[], Any]) -> None:
        self._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._value(),)


def _itself(value: Any) -> Any:
    return value


class _Part(NamedTuple):
    """A pattern of a rule, or several, under a name."""

    name: str | None
    what: Any
    is_pattern: bool
    flags: frozenset[str]


class Step:
    """A rule whose jobs are done for many recordings in one process.

    Parameters
    ----------
    name
        Of the step; another workflow may have renamed the rule.
    rule
        Snakemake's.
    wildcards
        Function of a recording → the wildcards of each of its jobs, for functions of the rule.
    """

    def __init__(self, name: str, rule: Rule, wildcards: Callable[[str], Sequence[Names]]) -> None:
        self.name = name
        self._wildcards = wildcards
        self._input = [*_parts(rule.input)]
        self._output = [*_parts(rule.output)]
        self._log = [*_parts(rule.log)]
        self._params = [*_parts(rule.params)]
        compared = [
            part.what
            for part in self._params
            if not callable(part.what) or not _is_derived(part.what)
        ]
        self._computed = [what for what in compared if callable(what)]
        self._constant = [what for what in compared if not callable(what)]

    def outputs(self, id_: str) -> Iterator[str]:
        """Yield the files that the jobs of a recording make."""
        for wildcards in self._wildcards(id_):
            yield from _paths(self._output, wildcards)

    def inputs(self, ids: Iterable[str]) -> Iterator[str]:
        """Yield the files that the jobs of some recordings read."""
        for id_ in ids:
            for wildcards in self._wildcards(id_):
                yield from _paths(self._input, wildcards)

    def digest(self, ids: Iterable[str]) -> str:
        """Return the SHA-256 of the compared parameters of all jobs of some recordings."""
        return digest_of([self._compared(w) for id_ in ids for w in self._wildcards(id_)])

    def members(self, ids: Iterable[str]) -> Iterator[Member]:
        """Yield the jobs of some recordings."""
        for id_ in ids:
            for wildcards in self._wildcards(id_):
                yield Member(
                    id_,
                    "/".join([id_, *filter(None, [wildcards.get("feature")])]),
                    input=_filled(self._input, wildcards),
                    output=_filled(self._output, wildcards),
                    params=Named(
                        ((part.name, _value(part.what, wildcards)) for part in self._params),
                        flat=False,
                    ),
                    log=_filled(self._log, wildcards),
                    compared=self._compared(wildcards),
                    kept=self._flagged("update", wildcards),
                    touched=self._flagged("touch", wildcards),
                    wildcards=wildcards,
                )

    def _compared(self, wildcards: Names) -> list[str]:
        """Return the parameters that Snakemake would compare, as it would keep them."""
        texts = [repr(what(wildcards)) for what in self._computed]
        texts += [repr(_value(what, wildcards)) for what in self._constant]
        return sorted(texts)

    def _flagged(self, flag: str, wildcards: Names) -> frozenset[str]:
        return frozenset(_paths([p for p in self._output if flag in p.flags], wildcards))


def _parts(items: Any) -> Iterator[_Part]:
    """Yield the parts of a rule's inputs, outputs, log or parameters."""
    for name, item in items._allitems():
        each = item if isinstance(item, list) else [item]
        flags = frozenset(flag for one in each for flag in getattr(one, "flags", None) or ())
        is_pattern = all(isinstance(one, str) for one in each) and not callable(item)
        if not is_pattern:
            yield _Part(name, item, is_pattern, flags)
            continue
        patterns = [_CONSTRAINT.sub(r"{\1}", str(one)) for one in each]
        yield _Part(name, patterns if isinstance(item, list) else patterns[0], is_pattern, flags)


def _filled(parts: Iterable[_Part], wildcards: Names) -> Named:
    return Named((part.name, _files(part, wildcards)) for part in parts)


def _paths(parts: Iterable[_Part], wildcards: Names) -> Iterator[str]:
    for part in parts:
        files = _files(part, wildcards)
        yield from files if isinstance(files, list) else [files]


def _files(part: _Part, wildcards: Names) -> Any:
    """Return the path or paths that a part is for a job."""
    if not part.is_pattern:
        found = _value(part.what, wildcards)
        return str(found) if isinstance(found, str) else [str(path) for path in found]
    if isinstance(part.what, list):
        return [_with(wildcards, pattern) for pattern in part.what]
    return _with(wildcards, part.what)


def _with(names: Mapping[str, str], pattern: str) -> str:
    for name, value in names.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern


def _value(what: Any, wildcards: Names) -> Any:
    if isinstance(what, str):
        return _with(wildcards, what)
    if isinstance(what, list):
        return [_with(wildcards, one) if isinstance(one, str) else one for one in what]
    if not callable(what):
        return what
    return what(wildcards, threads=1) if _is_derived(what) else what(wildcards)


@functools.cache
def _is_derived(function: Callable[..., Any]) -> bool:
    """Tell whether Snakemake compares no value of a function: it depends on a job's threads."""
    return "threads" in inspect.signature(function).parameters
