"""Representations made of functions.

A function has one of two forms:

- ``f(events, H, W, **parameters) -> array`` is called once for each window. `events` maps ``t``,
  ``x``, ``y`` and ``p`` to (n,) int64, so that no sum or product in it wraps: `t` in µs since the
  start of the window, `p` 0 OFF or 1 ON. It returns (C, H, W) or (H, W). Shape and type are those
  of a call without events and of one with four, unless they are declared; every frame has them.
- ``f(frame, events, window, **parameters)`` adds events to a `frame` of zeros, (C, H, W), and is
  called for each piece of a long window in turn; its C and its type are declared.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import typing
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError, RepresentationError
from evreel.events import Events, Sensor
from evreel.representations.base import RESERVED, Accumulator, Frame, Gathering, Representation
from evreel.representations.sources import telling
from evreel.settings import type_of
from evreel.timebase import Int64Array

_NOMINAL = Sensor(260, 346)
_FORMS = "(events, H, W) or (frame, events, window), and then its parameters"
_DECLARE = (
    "Decorate it with @from_function(channels=…, dtype=…) of evreel.representations, or set its "
    "attributes channels and dtype."
)

_LEARNED = (
    "This call shows what its frames are like; it is left out if they are declared: "
    "@from_function(channels=…, dtype=…)."
)

Function = Callable[..., Any]


class Columns(NamedTuple):
    """The events that a compiled function takes: numba knows tuples, and no `Events`."""

    t: npt.NDArray[np.int64]
    x: npt.NDArray[np.uint16]
    y: npt.NDArray[np.uint16]
    p: npt.NDArray[np.uint8]


def from_function(
    function: Function | None = None,
    *,
    name: str | None = None,
    channels: int | Callable[..., int] | None = None,
    dtype: str | None = None,
    unit: str = "",
    reference: str | None = None,
    revision: int = 1,
) -> Any:
    """Return a representation made from a function; `register` adds it. Also works as a decorator.

    Parameters
    ----------
    function
        ``function(frame, events, window, **parameters)``: adds some of a window's `events` to
        `frame`, (C, H, W), which is all zero at the window's start. It is called for each piece
        of a long window in turn. Or ``function(events, H, W, **parameters)``: returns the frame of
        a window, (C, H, W) or (H, W), from a dict of the columns t (µs since the window's start),
        x, y and p, int64. Its further arguments are the parameters; each needs a default or a
        type. None returns a decorator.
    name, unit, reference, revision
        As in `Representation`; the name is the function's own if left out.
    channels
        C, or a function of the parameters that returns it. Only the first form needs it.
    dtype
        Type of a value. Only the first form needs it.

    Raises
    ------
    ParameterError
        If the function has another form.

    Examples
    --------
    >>> @from_function(channels=1, dtype="float32", unit="µs")
    ... def latest(frame, events, window, *, gain: float = 1.0):
    ...     frame[0, events.y, events.x] = gain * (events.t - window.start_us)
    >>> latest(gain=2).parameters
    {'gain': 2.0}
    >>> def counts(events, H, W):
    ...     return np.bincount(events["y"] * W + events["x"], minlength=H * W).reshape(H, W)
    >>> from_function(counts)().shape(Sensor(3, 5)), from_function(counts)().dtype
    ((1, 3, 5), 'int64')
    """
    facts = {
        "name": name,
        "channels": channels,
        "dtype": dtype,
        "unit": unit,
        "reference": reference,
        "revision": revision,
    }
    if function is None:
        return functools.partial(class_of, facts=facts)
    return class_of(function, facts=facts)


class _Call(NamedTuple):
    """A function of a user, and what is known of it."""

    function: Function
    streams: bool
    channels: int | Callable[..., int] | None
    dtype: str | None
    path: Path | None
    line: int | None
    files: frozenset[str]

    @property
    def is_compiled(self) -> bool:
        """Whether it is numba's."""
        return hasattr(self.function, "py_func")

    def telling(
        self, what: str, hint: str | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Turn what it raises in a block into one message."""
        where = {"path": self.path, "line": self.line}
        return telling(what, self.files, RepresentationError, hint=hint, **where)  # type: ignore[arg-type]

    def error(self, what: str, problem: str, hint: str | None = None) -> RepresentationError:
        """Return the error for what it returned."""
        place = what if self.line is None else f"line {self.line}: {what}"
        return RepresentationError(problem, path=self.path, place=place, hint=hint)


class _Learned(NamedTuple):
    """What a function's frames are alike in."""

    shape: tuple[int, int, int]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Own(Representation):
    """A representation that calls a function; its fields are the function's parameters."""

    call: ClassVar[_Call]

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as the function takes them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def channels(self) -> int:
        """C, as it is declared or learned."""
        declared = self.call.channels
        if declared is None:
            return self._any_learned().shape[0]
        if callable(declared):
            with self.call.telling("channels"):
                declared = declared(**self.values)
        if isinstance(declared, bool) or not isinstance(declared, (int, np.integer)):
            raise self.call.error("channels", f"{declared!r} is not a whole number")
        if declared < 1:
            raise self.call.error("channels", f"{declared} is not at least 1")
        return int(declared)

    @property
    def dtype(self) -> str:
        """Type of a value, as it is declared or learned."""
        return self.call.dtype or self._any_learned().dtype

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of a frame for a sensor."""
        if self.call.channels is not None:
            return super().shape(sensor)
        return self._learned_for(Sensor(*sensor)).shape

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what calls the function."""
        return (_Adding if self.call.streams else _Making)(self, sensor, repairs)

    def frame_of(self, columns: Mapping[str, Int64Array], sensor: Sensor, what: str) -> Frame:
        """Return what the function makes of a window's columns, as (C, H, W)."""
        height, width = sensor
        hint = None if len(columns["t"]) else "It has no events: return a frame for that, too."
        given: Any = columns
        if self.call.is_compiled:
            from evreel.kernels.own import by_name

            given = by_name(**columns)
        with self.call.telling(what, hint):
            frame = np.asarray(self.call.function(given, height, width, **self.values))
        if frame.dtype == np.bool_:
            frame = frame.view(np.uint8)
        if frame.dtype.kind not in "iuf" or frame.dtype.itemsize > 8:
            raise self.call.error(
                what, f"it returns {frame.dtype} {frame.shape}; an array of numbers is expected"
            )
        frame = frame.astype(frame.dtype.newbyteorder("="), copy=False)
        frame = frame if frame.ndim != 2 else frame[np.newaxis]
        if frame.ndim != 3 or frame.shape[1:] != (height, width) or not len(frame):
            is_last = frame.ndim == 3 and frame.shape[:2] == (height, width)
            raise self.call.error(
                what,
                f"it returns an array of {frame.shape}; (C, {height}, {width}) or "
                f"({height}, {width}) is expected",
                "Move the channels to the front: np.moveaxis(array, -1, 0)." if is_last else None,
            )
        return frame

    def _any_learned(self) -> _Learned:
        known = self._known()
        return next(iter(known.values())) if known else self._learned_for(_NOMINAL)

    def _known(self) -> dict[Sensor, _Learned]:
        known: dict[Sensor, _Learned] = self.__dict__.setdefault("_learned", {})
        return known

    def _learned_for(self, sensor: Sensor) -> _Learned:
        """Return what the frames for a sensor are like, from a call without events and one with."""
        if sensor not in self._known():
            height, width = sensor
            right, bottom = width - 1, height - 1
            few = Events(
                np.arange(4),
                np.array([0, right, 0, right], dtype=np.uint16),
                np.array([0, 0, bottom, bottom], dtype=np.uint16),
                np.array([0, 1, 0, 1], dtype=np.uint8),
                sensor,
            )
            found: dict[str, _Learned] = {}
            errors: list[RepresentationError] = []
            for what, events in (("without events", few[:0]), ("with four events", few)):
                try:
                    frame = self.frame_of(_columns([events], 0), sensor, f"a call {what}")
                except RepresentationError as error:
                    errors.append(error)
                    continue
                found[what] = _Learned(frame.shape, frame.dtype.name)
            if not found:
                last = errors[-1]
                raise RepresentationError(
                    last.problem, path=last.path, place=last.place, hint=last.hint or _LEARNED
                )
            if len({*found.values()}) > 1:
                said = (f"{alike.dtype} {alike.shape} {what}" for what, alike in found.items())
                raise self.call.error(
                    self.name,
                    f"its frames are not alike: {' and '.join(said)}",
                    "Return one shape and one type, whatever the events are.",
                )
            self._known()[sensor] = next(iter(found.values()))
        return self._known()[sensor]


class _Making(Gathering):
    """Calls a function with a whole window."""

    alone = True

    def __init__(self, own: Own, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        super().__init__(own, sensor, repairs)
        self._own = own

    def finish(self) -> Frame:
        what = f"window {self.window.number}"
        columns = _columns(self.taken(), self.window.start_us)
        frame = self._own.frame_of(columns, self.sensor, what)
        fits = frame.dtype == self.frame.dtype or (
            self._own.call.dtype is not None and _keeps(frame.dtype, self.frame.dtype)
        )
        if frame.shape != self.frame.shape or not fits:
            raise self._own.call.error(
                what,
                f"its frame is {frame.dtype} {frame.shape}; {self.frame.dtype} "
                f"{self.frame.shape} is expected, as of every window",
                "Return one shape and one type, whatever the events are.",
            )
        try:
            with np.errstate(over="raise"):
                np.copyto(self.frame, frame, casting="unsafe")
        except FloatingPointError as error:
            raise self._own.call.error(
                what,
                f"a value of its frame is beyond the range of its {self.frame.dtype}",
                "Declare a wider type; store: float16 of the feature limits values to its range.",
            ) from error
        return super().finish()


class _Adding(Accumulator):
    """Calls a function piece by piece, with the frame that it adds to."""

    alone = True

    def __init__(self, own: Own, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        super().__init__(own, sensor, repairs)
        self._own = own

    def accumulate(self, events: Events) -> None:
        call, what = self._own.call, f"window {self.window.number}"
        given: Any = events
        if call.is_compiled:
            given = Columns(events.t, events.x, events.y, events.p)
        with call.telling(what):
            returned = call.function(self.frame, given, self.window, **self._own.values)
        if returned is not None and returned is not self.frame:
            raise call.error(
                what,
                f"it returns a {type(returned).__name__}; nothing is expected",
                "Add to the frame that it is given, in place: frame[…] += ….",
            )


def _columns(pieces: Sequence[Events], start_us: int) -> dict[str, Int64Array]:
    """Return the columns of a window's events, as arrays of their own."""
    columns = {
        name: np.concatenate([np.empty(0, np.int64), *(getattr(piece, name) for piece in pieces)])
        for name in "txyp"
    }
    columns["t"] -= start_us
    return columns


def _keeps(computed: np.dtype[Any], declared: np.dtype[Any]) -> bool:
    """Tell whether a declared type keeps values but for the digits of a float."""
    return np.can_cast(computed, declared, "safe") or declared.kind == "f"


def class_of(function: Function, *, facts: Mapping[str, Any]) -> type[Own]:
    """Return the class of a function; `facts` are the other arguments of `from_function`."""
    if not callable(function) or isinstance(function, type):
        raise ParameterError(f"{function!r} is not a function")
    name = facts["name"] or getattr(function, "__name__", type(function).__name__)
    code = getattr(inspect.unwrap(getattr(function, "py_func", function)), "__code__", None)
    path = None if code is None else Path(code.co_filename)
    line = None if code is None else code.co_firstlineno
    streams, fields = _form_of(function, name)
    channels, dtype = facts["channels"], facts["dtype"]
    if streams and (channels is None or dtype is None):
        raise ParameterError(
            "its channels and dtype are not declared", path=path, place=name, hint=_DECLARE
        )
    if dtype is not None:
        dtype = _type_named(dtype, path, name)
    call = _Call(
        function,
        streams,
        channels,
        dtype,
        path,
        line,
        frozenset([str(path)]) if path else frozenset(),
    )
    return dataclasses.make_dataclass(
        name,
        fields,
        bases=(Own,),
        frozen=True,
        kw_only=True,
        namespace={
            "name": name,
            "revision": facts["revision"],
            "reference": facts["reference"] or name,
            "unit": facts["unit"],
            "call": call,
            "__doc__": function.__doc__,
            "__module__": getattr(function, "__module__", __name__),
        },
    )


def _type_named(dtype: Any, path: Path | None, place: str) -> str:
    with contextlib.suppress(TypeError):
        named = np.dtype(dtype)
        if named.kind in "iuf" and named.itemsize <= 8:
            return str(named.name)
    raise ParameterError(f"dtype={dtype!r} is not a type of numbers", path=path, place=place)


def _form_of(function: Function, name: str) -> tuple[bool, list[Any]]:
    """Return whether a function takes a frame, and the fields of its parameters."""
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ParameterError(f"its arguments cannot be read: {error}", place=name) from error
    of_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    first = [argument.name for argument in arguments[:3] if argument.kind in of_place]
    if len(first) < 3:
        said = ", ".join(map(str, arguments))
        raise ParameterError(f"it takes ({said}); expected: {_FORMS}", place=name)
    hints: Mapping[str, Any] = {}
    with contextlib.suppress(Exception):  # names that exist only for a checker of types
        hints = typing.get_type_hints(inspect.unwrap(getattr(function, "py_func", function)))
    fields = []
    for argument in arguments[3:]:
        if argument.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        if argument.name in (*RESERVED, "call", "values", "frame_of"):
            raise ParameterError(
                f"its parameter {argument.name!r} has a reserved name",
                place=name,
                hint="Choose another name.",
            )
        if argument.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise ParameterError(
                f"its parameter {argument.name!r} cannot be given by its name", place=name
            )
        fields.append(_field_of(argument, hints, name))
    return first[0] == "frame" or first[2] == "window", fields


def _field_of(argument: inspect.Parameter, hints: Mapping[str, Any], name: str) -> Any:
    """Return the field of a parameter: its name, type and default."""
    default = argument.default
    if isinstance(default, np.generic):
        default = default.item()
    is_needed = default is argument.empty
    if is_needed and argument.name not in hints:
        raise ParameterError(
            f"its parameter {argument.name!r} has no default, and no type", place=name
        )
    hint = hints.get(argument.name, Any if default is None else type(default))
    try:
        kind = type_of(hint)
    except (TypeError, ValueError):  # of several types
        hint, kind = Any, type_of(Any)
    if kind.choices and not all(isinstance(choice, str) for choice in kind.choices):
        hint = Any
    elif default is None and not kind.nullable:
        hint = typing.Optional[hint]  # noqa: UP045 (of a type that is a value)
    if is_needed:
        return argument.name, hint
    try:
        json.dumps(default)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"its parameter {argument.name!r} has a default that JSON cannot hold: {error}",
            place=name,
            hint="Use numbers, texts, true, false, null, and lists of them.",
        ) from error
    return argument.name, hint, dataclasses.field(default_factory=lambda: default)
