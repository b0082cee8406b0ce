"""Precomputing features as ``metavision_ml.preprocessing`` does; its loaders read the files.

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

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, ParameterError, RepresentationError, UsageError
from evreel.events import Sensor
from evreel.geometry import to_size
from evreel.layout import BOXES_SUFFIX
from evreel.recordings.open import open_recording
from evreel.representations import (
    REGISTRY,
    Accumulator,
    Diff,
    DiffQuantized,
    EventCube,
    Frame,
    Representation,
    Window,
    create,
    register,
)
from evreel.representations.base import Gathering
from evreel.representations.sources import digest, telling
from evreel.settings import setting
from evreel.steps import BoxesSettings, FeatureSettings
from evreel.steps.many import by_name, files_of, without_marks
from evreel.steps.precompute import Wanted, precompute

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


def generate_hdf5(
    paths: str | Path | Sequence[str | Path],
    output_folder: str | Path,
    preprocess: str,
    delta_t: int,
    height: int | None = None,
    width: int | None = None,
    start_ts: int = 0,
    max_duration: int | None = None,
    n_processes: int = 2,
    box_labels: Sequence[str | Path] = (),
    store_as_uint8: bool = False,
    mode: str = "delta_t",
    n_events: int = 0,
    preprocess_kwargs: Mapping[str, Any] | None = MappingProxyType({}),
) -> None:
    """Precompute features of recordings: ``<output_folder>/<name>.h5`` each.

    The name is the recording's up to its first dot, without ``_td`` or ``_cd``. Files that are
    complete and the same are kept. If recordings fail, all others are done before it raises.

    Parameters
    ----------
    paths
        Recordings of any kind that evreel reads; wildcards are allowed.
    output_folder
        Folder; other files in it stay.
    preprocess
        Name of a representation: one of Metavision's, any other of evreel's, or a registered one.
    delta_t
        Duration of a frame, µs.
    height, width
        Size of a frame; None: the sensor's. Halvings take place in event space, as Metavision's;
        what is left to do is a bilinear resize of the finished frame.
    start_ts
        Where frames begin, µs, and what times in the files count from. It counts from zero in the
        recording's file; in RAW files, from the last overflow of their short timestamps before
        the first event, as Metavision shifts these; where timestamps are dates, from the first
        event.
    max_duration
        Longest part of a recording in one file, µs; the files are ``<name>_0.h5``,
        ``<name>_1.h5``, …
    n_processes
        Recordings at a time.
    box_labels
        A file of boxes for each recording, in their order. Each ``.h5`` gets its own, in pixels of
        the sensor, as the loaders expect them: ``<name>_bbox.npy``.
    store_as_uint8
        Store round(255 · v), for values from 0 to 1.
    mode, n_events
        ``delta_t``; or ``n_events``, and how many make a frame.
    preprocess_kwargs
        Parameters of the representation.

    Raises
    ------
    UsageError
        If an argument is not valid, or two recordings have the same name.
    EvreelError
        If recordings failed.
    """
    if n_processes < 1:
        raise UsageError(f"n_processes={n_processes} is less than 1")
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    names = by_name(files_of(given, but=BOXES_SUFFIX), without_marks)
    kwargs = dict(preprocess_kwargs or {})
    store = _store(preprocess, kwargs, store_as_uint8)
    if mode not in ("delta_t", "n_events"):
        raise UsageError(f"mode={mode!r} is neither 'delta_t' nor 'n_events'")
    windows: dict[str, Any] = {"window_us": delta_t} if mode == "delta_t" else {"count": n_events}
    if (height is None) != (width is None):
        raise UsageError(f"height={height} and width={width}: give both, or none")

    def settings(**more: Any) -> FeatureSettings:
        return FeatureSettings(
            representation=preprocess,
            parameters=kwargs,
            compression="gzip",
            **windows,
            **store,
            **more,
        )

    of_size: dict[str, FeatureSettings] = {}
    if height is not None and width is not None:
        for name, path in names.items():
            # Whoever makes its features says why it cannot be opened.
            with contextlib.suppress(EvreelError, OSError), open_recording(path) as recording:
                of_size[name] = settings(geometry=to_size(recording.sensor, Sensor(height, width)))
    wanted = Wanted(
        folder=Path(output_folder),
        settings=settings(),
        settings_for=of_size,
        start_us=start_ts,
        max_duration_us=max_duration,
        clock="metavision",
        boxes=_in_order(box_labels, names),
        of_boxes=BoxesSettings(outside="keep", invalid="drop"),
        boxes_move=False,
    )
    failed = [
        outcome
        for outcome in precompute(names, wanted, workers=n_processes)
        if outcome.error is not None
    ]
    if failed:
        first = failed[0].error
        assert first is not None
        more = f"; {len(failed) - 1} more of {len(names)} recordings failed" * (len(failed) > 1)
        raise type(first)(
            f"{first.problem}{more}", path=first.path, place=first.place, hint=first.hint
        ) from first


def _store(preprocess: str, kwargs: dict[str, Any], store_as_uint8: bool) -> dict[str, Any]:
    """Return in which type values are stored."""
    computed = create(preprocess, kwargs)
    if not store_as_uint8:
        return {}
    is_other = (
        isinstance(computed, (Diff, DiffQuantized))
        or (isinstance(computed, EventCube) and not computed.split_polarity)
        or np.dtype(computed.dtype).kind != "f"
    )
    if is_other:
        raise UsageError(
            f"store_as_uint8 is for values from 0 to 1; those of {preprocess} are not",
            hint="Leave it out, or choose other preprocess_kwargs.",
        )
    return {"store": "uint8"}


def _in_order(box_labels: Sequence[str | Path], names: Mapping[str, Path]) -> dict[str, Path]:
    """Return name of a recording → its boxes, which are in the order of recordings."""
    if not box_labels:
        return {}
    boxes = files_of(box_labels)
    if len(boxes) != len(names):
        raise UsageError(
            f"there are {len(names)} recordings, but {len(boxes)} box_labels",
            hint="Give one file of boxes for each recording, in their order.",
        )
    for name, path in zip(names, boxes, strict=True):
        other = path.name.removesuffix(BOXES_SUFFIX)
        if other != name and other in names:
            raise UsageError(
                f"is given for {names[name].name}, but is named as that of {names[other].name}",
                path=path,
                hint="Give box_labels in the order of paths.",
            )
    return dict(zip(names, boxes, strict=True))


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
