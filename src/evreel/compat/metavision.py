"""Metavision ML's functions, by their names and with their arguments.

Made anew from its public documentation, not copied. Scripts that precompute features with
``metavision_ml.preprocessing`` can import them from here; its loaders read the files.

What differs, on purpose:

- Any recording that evreel reads is taken, not only ``.raw`` and ``.dat``.
- The tail of a recording is never lost: the last file and the last frame reach its last event.
- Files of an earlier run are kept only if they are complete, and of the same recording with the
  same parameters; a file appears under its name only when it is whole.
- Recordings that would get files of the same name are an error, not one file.
- Every file of a recording has its ``_bbox.npy`` if box labels are given, also without any label.
- With `n_events`, the newest event of a frame counts too, and equal timestamps divide by no zero.
- Every parameter is in the file, also defaults, with digests of the recording and versions.
- Whether frames are computed one by one or several in a call makes no difference to them.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations import REGISTRY, Accumulator, Frame, Representation, Window, register
from evreel.settings import setting

__all__ = ["EVENT_DTYPE", "register_new_preprocessing"]

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

_DTYPE = "preprocess_dtype"
_OFFERED: Mapping[str, Any] = {"downsampling_factor": 0, "reset": True}
_KWARGS: Mapping[str, Any] = {_DTYPE: np.dtype("float32"), "max_incr_per_pixel": 5}


def register_new_preprocessing(
    name: str,
    n_input_channels: int,
    function: Preprocessing,
    viz_function: Visualization | None = None,
    kwargs: Mapping[str, Any] = _KWARGS,
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
        Arguments of the function and their defaults. ``preprocess_dtype`` is the type of a value.

    Raises
    ------
    ParameterError
        If the name is taken, or the function needs an argument that it would not be given.
    """
    if name in REGISTRY:
        raise ParameterError(f"a preprocessing called {name!r} exists already: choose another name")
    if not isinstance(n_input_channels, (int, np.integer)) or n_input_channels < 1:
        raise ParameterError(
            f"n_input_channels={n_input_channels!r} is not a number of channels", place=name
        )
    values = dict(kwargs)
    dtype = np.dtype(values.pop(_DTYPE, np.float32))
    for argument, value in values.items():
        if not isinstance(value, (bool, int, float, str, np.bool_, np.number, type(None))):
            raise ParameterError(
                f"its argument {argument!r} is {value!r}; a number, a text, true, false or None is "
                "expected, so that a file can say it",
                place=name,
            )
    call = _Call(name, function, values.keys(), dtype)
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
                "n_input_channels": int(n_input_channels),
                "value_dtype": dtype.name,
                "viz": None if viz_function is None else staticmethod(viz_function),
                "__doc__": inspect.getdoc(function) or f"A preprocessing function, {name}.",
            },
        )
    )


class _Call:
    """A function, and which arguments it is given beside events and tensor."""

    def __init__(
        self, name: str, function: Preprocessing, kwargs: Any, dtype: np.dtype[Any]
    ) -> None:
        self._function = function
        arguments = inspect.signature(function).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in arguments.values())
        named = [one for one in arguments.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
        needed = [
            one.name
            for one in (*named[2:], *arguments.values())
            if one.default is one.empty
            and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
            if one not in named[:2] and one.name not in (*kwargs, *_OFFERED, _DTYPE)
        ]
        third = named[2].name if len(named) > 2 else ""
        self._duration = third if third in needed else "total_tbins_delta_t"
        offered = {**_OFFERED, _DTYPE: dtype}
        self._offered = {
            argument: value
            for argument, value in offered.items()
            if argument in arguments or (takes_all and argument in _OFFERED)
        }
        problem = None
        if len(named) < 2:
            problem = "does not take events and tensor"
        for argument in needed:
            if argument != self._duration:
                problem = f"needs {argument!r}, which kwargs does not have"
        for argument in kwargs:
            if argument not in arguments and not takes_all:
                problem = f"has no argument {argument!r}, which kwargs has"
        if problem is not None:
            raise ParameterError(f"its function {problem}", place=name)
        self._is_timed = takes_all or self._duration in arguments

    def __call__(
        self, events: npt.NDArray[np.void], tensor: Frame, duration: int, kwargs: Mapping[str, Any]
    ) -> None:
        timed = {self._duration: duration} if self._is_timed else {}
        self._function(events, tensor, **{**self._offered, **timed, **kwargs})


@dataclasses.dataclass(frozen=True)
class _Registered(Representation):
    """A preprocessing function that was registered."""

    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "a registered preprocessing function"
    unit: ClassVar[str] = "1"
    call: ClassVar[_Call]
    n_input_channels: ClassVar[int]
    value_dtype: ClassVar[str]
    viz: ClassVar[Visualization | None]

    @property
    def channels(self) -> int:
        """As registered."""
        return self.n_input_channels

    @property
    def dtype(self) -> str:
        """As registered."""
        return self.value_dtype

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what calls the function, with its own frame."""
        return _Calling(self, sensor, repairs)


class _Calling(Accumulator):
    """Calls a function once for each window, with all its events."""

    def __init__(
        self, registered: _Registered, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        super().__init__(registered, sensor, repairs)
        self._registered = registered
        self._pieces: list[Events] = []

    def begin(self, window: Window) -> None:
        super().begin(window)
        self._pieces.clear()

    def accumulate(self, events: Events) -> None:
        self._pieces.append(events)

    def finish(self) -> Frame:
        start, stop = self.window.start_us, self.window.stop_us
        found = np.zeros(sum(map(len, self._pieces)), dtype=EVENT_DTYPE)
        done = 0
        for piece in self._pieces:
            part = found[done : done + len(piece)]
            part["t"] = piece.t - start
            for column in "xyp":
                part[column] = getattr(piece, column)
            done += len(piece)
        self._pieces.clear()
        self._registered.call(found, self.frame[None], stop - start, self._registered.parameters)
        return super().finish()
