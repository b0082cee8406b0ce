"""Preprocessing functions that are registered: `register_new_preprocessing`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError, RepresentationError
from evreel.events import Sensor
from evreel.representations import (
    REGISTRY,
    Accumulator,
    Frame,
    Representation,
    Window,
    register,
)
from evreel.representations.base import Gathering
from evreel.representations.sources import digest, telling
from evreel.settings import setting

EVENT_DTYPE = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)
"""Of the events that a preprocessing function is given; `t` counts from the start of its frame."""

Preprocessing = Callable[..., None]
Visualization = Callable[..., npt.NDArray[np.uint8]]


def register_new_preprocessing(
    name: str,
    n_input_channels: int,
    function: Preprocessing,
    viz_function: Visualization | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Make a preprocessing function known by a name, in this process.

    Parameters
    ----------
    name
        Its name for `generate_hdf5` and for all of evreel.
    n_input_channels
        Channels of its frames.
    function
        ``function(events, tensor, **kwargs)``: fills `tensor`, (1, C, H, W) zeros, with the events
        of one frame, (n,) of `EVENT_DTYPE`. If it has such arguments, it is also given
        ``total_tbins_delta_t``, the frame's duration in µs, ``downsampling_factor``, 0, and
        ``reset``, True, as Metavision's own functions are. A third argument of another name,
        without a value in `kwargs`, is the duration.
    viz_function
        ``viz_function(tensor) -> (H, W, 3)``; kept with the class as ``viz``.
    kwargs
        Arguments of the function and their defaults.

    Raises
    ------
    ParameterError
        If the name is taken, or the function needs an argument that it would not be given.
    """
    if name in REGISTRY:
        raise ParameterError(f"a preprocessing called {name!r} exists already: choose another name")
    if not callable(function):
        raise ParameterError(f"{function!r} is not a function", place=name)
    if not isinstance(n_input_channels, (int, np.integer)) or n_input_channels < 1:
        raise ParameterError(
            f"n_input_channels={n_input_channels!r} is not a number of channels", place=name
        )
    values = dict(kwargs or {})
    for argument, value in values.items():
        if not isinstance(value, (bool, int, float, str, np.bool_, np.number, type(None))):
            raise ParameterError(
                f"its argument {argument!r} is {value!r}; a number, a text, true, false or None is "
                "expected, so that a file can say it",
                place=name,
            )
    call = _Call(name, function, values)
    fields = [
        (argument, object, setting(value.item() if isinstance(value, np.generic) else value, ""))
        for argument, value in values.items()
    ]
    register(
        dataclasses.make_dataclass(
            name,
            fields,
            bases=(_Registered,),
            frozen=True,
            namespace={
                "name": name,
                "call": call,
                "sources": {"representation": call.digest},
                "n_input_channels": int(n_input_channels),
                "viz": None if viz_function is None else staticmethod(viz_function),
                "__doc__": inspect.getdoc(function) or f"A preprocessing function, {name}.",
            },
        )
    )


class _Call:
    """A function, where it is from, and which arguments it is given beside events and tensor."""

    def __init__(self, name: str, function: Preprocessing, kwargs: Collection[str]) -> None:
        self._function = function
        self._path, self._line, self.digest = _source_of(function)
        arguments = inspect.signature(function).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in arguments.values())
        by_position = [
            one
            for one in arguments.values()
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
        takes_any = any(one.kind is one.VAR_POSITIONAL for one in arguments.values())
        if len(by_position) < 2 and not takes_any:
            raise ParameterError("its function does not take events and tensor", place=name)
        offered = {"downsampling_factor": 0, "reset": True}
        needed = [
            one.name
            for one in arguments.values()
            if one.default is one.empty
            and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
            and one not in by_position[:2]
            and one.name not in (*kwargs, *offered)
        ]
        third = [one.name for one in by_position[2:3]]
        self._duration = third[0] if third and third[0] in needed else "total_tbins_delta_t"
        for argument in needed:
            if argument != self._duration:
                raise ParameterError(
                    f"its function needs {argument!r}, which kwargs does not have", place=name
                )
        for argument in kwargs:
            if argument not in arguments and not takes_all:
                raise ParameterError(
                    f"its function has no argument {argument!r}, which kwargs has", place=name
                )
        self._is_timed = takes_all or self._duration in arguments
        self._offered = {
            argument: value
            for argument, value in offered.items()
            if argument in arguments or takes_all
        }

    def __call__(
        self,
        events: npt.NDArray[np.void],
        tensor: Frame,
        window: Window,
        kwargs: Mapping[str, Any],
    ) -> None:
        timed = {self._duration: window.stop_us - window.start_us} if self._is_timed else {}
        with telling(
            f"window {window.number}",
            {str(self._path)},
            RepresentationError,
            path=self._path,
            line=self._line,
        ):
            self._function(events, tensor, **{**self._offered, **timed, **kwargs})


def _source_of(function: Preprocessing) -> tuple[Path | None, int | None, str]:
    """Return the file and line of a function, if it has any, and a digest of its source."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    text = f"{type(inner).__module__}.{type(inner).__qualname__}"
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    if code is not None:
        path = Path(code.co_filename)
        if path.is_file():
            return path, code.co_firstlineno, digest(path.read_bytes())
        text = f"{code.co_code!r} {code.co_consts!r}"
    with contextlib.suppress(OSError, TypeError):  # typed in a notebook, or not in Python
        text = inspect.getsource(inner)
    return None, None, digest(text.encode())


@dataclasses.dataclass(frozen=True)
class _Registered(Representation):
    """A preprocessing function that was registered."""

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "a registered preprocessing function"
    unit: ClassVar[str] = "1"
    call: ClassVar[_Call]
    n_input_channels: ClassVar[int]
    viz: ClassVar[Visualization | None]

    @property
    def channels(self) -> int:
        """As registered."""
        return self.n_input_channels

    @property
    def dtype(self) -> str:
        """As registered."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what calls the function, with its own frame."""
        return _Calling(self, sensor, repairs)


class _Calling(Gathering):
    """Calls a function once for each window, with all its events."""

    def __init__(
        self, registered: _Registered, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        super().__init__(registered, sensor, repairs)
        self._registered = registered

    def finish(self) -> Frame:
        pieces = self.taken()
        found = np.zeros(sum(map(len, pieces)), dtype=EVENT_DTYPE)
        done = 0
        for piece in pieces:
            part = found[done : done + len(piece)]
            part["t"] = piece.t - self.window.start_us
            for column in "xyp":
                part[column] = getattr(piece, column)
            done += len(piece)
        self._registered.call(found, self.frame[None], self.window, self._registered.parameters)
        return super().finish()
