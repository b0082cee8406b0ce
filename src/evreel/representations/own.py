"""Representations of a user's own, named by where they are.

``path/to/file.py:name`` or ``package.module:name`` stands for a function, in one of the forms of
`evreel.representations.functions`, or for a class, a `Representation`. Their `sources` have the
digests of the file and of the modules beside it that it imports.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import threading
import types
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np

from evreel.errors import ParameterError, RepresentationError, hint_of
from evreel.events import Sensor
from evreel.representations.base import FACTS, RESERVED, Accumulator, Representation
from evreel.representations.functions import Own, class_of
from evreel.representations.sources import Source, digest, read_file, read_module, telling

ROLE = "representation"
"""What a file's `inputs` call the source of its representation."""

Function = Callable[..., Any]

_KINDS: dict[tuple[int, str, str], tuple[Source, type[Representation]]] = {}
_LOCK = threading.RLock()


def is_own(name: str) -> bool:
    """Tell whether a representation is named by where it is, and not registered."""
    return ":" in name or "/" in name or name.endswith(".py")


def without_folder(name: str) -> str:
    """Return the name of a representation without the folder that its file is in.

    Examples
    --------
    >>> without_folder("my/folder/file.py:function"), without_folder("histogram")
    ('file.py:function', 'histogram')
    """
    return os.path.basename(name) if is_own(name) else name  # noqa: PTH119 (a name, no path)


def check_kind(kind: type[Representation]) -> None:
    """Raise `ParameterError` if a class of representations is incomplete."""
    for wanted in FACTS:
        if not hasattr(kind, wanted):
            raise ParameterError(f"class {kind.__name__} has no {wanted}")
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        raise ParameterError(f"class {kind.__name__} does not define {missing}")
    if not hasattr(kind, "__dataclass_fields__"):
        raise ParameterError(
            f"class {kind.__name__} is not a data class",
            hint="Decorate it with @dataclass(frozen=True); its fields are the parameters.",
        )
    taken = inspect.signature(kind).parameters.keys() & {*RESERVED} - {"dtype"}
    if taken:
        raise ParameterError(
            f"class {kind.__name__} has a parameter {min(taken)!r}, which is a reserved name",
            hint="Choose another name.",
        )


def load(name: str) -> type[Representation]:
    """Return the class for a representation of a user's own.

    Parameters
    ----------
    name
        ``path/to/file.py:name``, relative to the working directory, or ``package.module:name``.

    Raises
    ------
    ParameterError
        If there is no such file or module, reading it fails, or it has no such function or class.
    """
    place, _, wanted = name.rpartition(":")
    if not place or not wanted.isidentifier():
        raise ParameterError(
            f"representation {name!r} is not of the form FILE.py:FUNCTION or MODULE:FUNCTION"
        )
    with _LOCK:
        if place.endswith(".py") or "/" in place or os.sep in place:
            path = Path(place)
            label, again = f"{path.name}:{wanted}", f"{path.absolute()}:{wanted}"
            source = read_file(path, "", has_neighbours=True)
        else:
            label = again = name
            source = read_module(place)
        key = id(source), wanted, label
        if key not in _KINDS:
            _KINDS[key] = source, _kind_of(source, wanted, label, again)
        return _KINDS[key][1]


def _kind_of(source: Source, wanted: str, label: str, again: str) -> type[Representation]:
    found = getattr(source.module, wanted, None)
    if found is None:
        public = [
            name
            for name, value in vars(source.module).items()
            if callable(value) and getattr(value, "__module__", "") == source.module.__name__
        ]
        raise ParameterError(
            f"has no function or class {wanted!r}; available: {', '.join(public) or 'none'}",
            path=source.path,
            hint=hint_of(wanted, public),
        )
    files = dict(source.files)
    if isinstance(found, type) and issubclass(found, Representation):
        check_kind(found)
        kind: type[Representation] = found
    elif isinstance(found, type) or not callable(found):
        what = "a class, but no Representation" if isinstance(found, type) else "not a function"
        raise ParameterError(f"{wanted} is {what}", path=source.path)
    else:
        declared = {
            fact: getattr(found, fact, None)
            for fact in ("channels", "dtype", "unit", "reference", "revision")
        }
        facts = {"name": wanted, **declared}
        facts |= {"unit": declared["unit"] or "", "revision": declared["revision"] or 1}
        kind = class_of(found, facts=facts)
        path = kind.call.path
        if path is not None and path.is_file():
            files.setdefault(path, digest(path.read_bytes()))
    names = {str(path) for path in files}
    roles = {path: f"{ROLE}/{path.name}" for path in files} | {source.path: ROLE}
    namespace: dict[str, Any] = {
        "name": label,
        "sources": types.MappingProxyType({roles[path]: files[path] for path in sorted(files)}),
        "__doc__": kind.__doc__,
        "__reduce__": lambda self: (_again, (again, self.parameters)),
    }
    if issubclass(kind, Own):
        namespace["call"] = kind.call._replace(files=kind.call.files | names)
        if kind.reference == kind.name:
            namespace["reference"] = label
    else:
        namespace |= _watched(kind, label, source.path, names)
    return types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(namespace))


def _again(name: str, parameters: Mapping[str, Any]) -> Representation:
    return load(name)(**parameters)


def _watched(kind: type[Representation], label: str, path: Path, files: set[str]) -> dict[str, Any]:
    """Return what a class defines of itself, so that its errors name file and line."""

    def is_whole(value: Any, least: int) -> bool:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        return whole and value >= least

    def is_type(value: Any) -> bool:
        with contextlib.suppress(TypeError):
            return np.dtype(value).kind in "iuf" and np.dtype(value).itemsize <= 8
        return False

    def is_shape(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == 3 and all(is_whole(n, 1) for n in value)

    def asked(what: str, get: Callable[[], Any], fits: Callable[[Any], bool], expected: str) -> Any:
        with telling(what, files, RepresentationError, path=path):
            value = get()
        if not fits(value):
            raise RepresentationError(
                f"{what} is {value!r}; {expected} is expected", path=path, place=label
            )
        return value

    def own(self: Representation, name: str) -> Callable[[], Any]:
        return lambda: getattr(super(type(self), self), name)

    def post_init(self: Representation) -> None:
        with telling(label, files, RepresentationError, path=path):
            kind.__post_init__(self)

    def channels(self: Representation) -> int:
        whole = "a whole number of 1 or more"
        return int(asked("channels", own(self, "channels"), lambda n: is_whole(n, 1), whole))

    def dtype(self: Representation) -> str:
        named = asked("dtype", own(self, "dtype"), is_type, "the name of a type of numbers")
        return str(np.dtype(named).name)

    def history(self: Representation) -> int | None:
        def fits(value: Any) -> bool:
            return value is None or is_whole(value, 0)

        expected = "a whole number of µs, or None,"
        found: int | None = asked("history", own(self, "history"), fits, expected)
        return found

    def shape(self: Representation, sensor: Sensor) -> tuple[int, int, int]:
        expected = "(channels, height, width)"
        found: tuple[int, int, int] = asked(
            "shape", lambda: kind.shape(self, sensor), is_shape, expected
        )
        return found

    def accumulator(
        self: Representation, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> Accumulator:
        made: Accumulator = asked(
            "accumulator",
            lambda: kind.accumulator(self, sensor, repairs),
            lambda found: isinstance(found, Accumulator),
            "an Accumulator",
        )

        def watched(method: Function) -> Function:
            def called(*arguments: Any) -> Any:
                window = getattr(made, "window", None)
                what = label if window is None else f"window {window.number}"
                with telling(what, files, RepresentationError, path=path):
                    return method(*arguments)

            return called

        for name in ("begin", "accumulate", "reset", "finish"):
            setattr(made, name, watched(getattr(made, name)))
        return made

    told = {
        "__post_init__": post_init,
        "channels": property(channels),
        "history": property(history),
        "shape": shape,
        "accumulator": accumulator,
    }
    if "dtype" not in inspect.signature(kind).parameters:
        told["dtype"] = property(dtype)
    return told
