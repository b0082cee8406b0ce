"""Representations: what a window of events becomes for a network.

One file each. `REGISTRY` lists them all; `register` adds your own, for this process.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from evreel.errors import ParameterError, did_you_mean
from evreel.events import Events, Sensor
from evreel.representations.averaged_timesurface import AveragedTimesurface
from evreel.representations.base import Accumulator, Frame, Representation, Window
from evreel.representations.binary import Binary
from evreel.representations.diff import Diff
from evreel.representations.diff_quantized import DiffQuantized
from evreel.representations.ergo12 import Ergo12
from evreel.representations.event_cube import EventCube
from evreel.representations.event_cube_paper import EventCubePaper
from evreel.representations.event_image import EventImage
from evreel.representations.exponential_surface import ExponentialSurface
from evreel.representations.feature import Feature
from evreel.representations.hats import Hats
from evreel.representations.histo import Histo
from evreel.representations.histo_quantized import HistoQuantized
from evreel.representations.histogram import Histogram
from evreel.representations.last_timestamp import LastTimestamp
from evreel.representations.mixed_density_stack import MixedDensityStack
from evreel.representations.multi_channel_timesurface import MultiChannelTimesurface
from evreel.representations.running import Run, frames, frames_together, tensor
from evreel.representations.stacked_histogram import StackedHistogram
from evreel.representations.timesurface import Timesurface
from evreel.representations.tore import Tore
from evreel.representations.voxel_grid import VoxelGrid
from evreel.settings import setting

__all__ = [
    "REGISTRY",
    "Accumulator",
    "AveragedTimesurface",
    "Binary",
    "Diff",
    "DiffQuantized",
    "Ergo12",
    "EventCube",
    "EventCubePaper",
    "EventImage",
    "ExponentialSurface",
    "Feature",
    "Frame",
    "Hats",
    "Histo",
    "HistoQuantized",
    "Histogram",
    "LastTimestamp",
    "MixedDensityStack",
    "MultiChannelTimesurface",
    "Representation",
    "Run",
    "StackedHistogram",
    "Timesurface",
    "Tore",
    "VoxelGrid",
    "Window",
    "create",
    "frames",
    "frames_together",
    "from_function",
    "register",
    "setting",
    "tensor",
]

REGISTRY: dict[str, type[Representation]] = {
    "histogram": Histogram,
    "binary": Binary,
    "event_image": EventImage,
    "voxel_grid": VoxelGrid,
    "stacked_histogram": StackedHistogram,
    "mixed_density_stack": MixedDensityStack,
    "histo": Histo,
    "diff": Diff,
    "histo_quantized": HistoQuantized,
    "diff_quantized": DiffQuantized,
    "timesurface": Timesurface,
    "multi_channel_timesurface": MultiChannelTimesurface,
    "event_cube": EventCube,
    "event_cube_paper": EventCubePaper,
    "exponential_surface": ExponentialSurface,
    "last_timestamp": LastTimestamp,
    "tore": Tore,
    "hats": Hats,
    "averaged_timesurface": AveragedTimesurface,
    "ergo12": Ergo12,
}
"""Name → class of every representation that `create` knows."""

Kind = TypeVar("Kind", bound=type[Representation])

_FACTS = ("name", "revision", "reference", "unit")
_PROPERTIES = ("parameters", "channels", "legend", "viz", "shape", "history", "accumulator")


def create(name: str, parameters: Mapping[str, Any] | None = None) -> Representation:
    """Return a representation by its name; parameters that are not given take their defaults.

    Raises
    ------
    ParameterError
        If there is none of this name, if it has no such parameter, or if a value has the wrong
        type or is out of range.

    Examples
    --------
    >>> create("voxel_grid", {"bins": 10}).parameters
    {'bins': 10, 'span': 'events'}
    """
    if name not in REGISTRY:
        raise ParameterError(
            f"there is no representation {name!r}; available: {_listed(REGISTRY)}",
            hint=_nearest(name, REGISTRY),
        )
    kind = REGISTRY[name]
    known = _parameters_of(kind)
    given = dict(parameters or {})
    for unknown in given:
        if unknown not in known:
            raise ParameterError(
                f"it has no parameter {unknown!r}; available: {_listed(known)}",
                place=name,
                hint=_nearest(unknown, known),
            )
    for wanted, argument in known.items():
        if argument.default is argument.empty and wanted not in given:
            raise ParameterError(f"its parameter {wanted!r} has no default", place=name)
    return kind(**given)


@functools.cache
def _parameters_of(kind: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind).parameters


def register(kind: Kind) -> Kind:
    """Add a class of your own under its `name`. Also works as a decorator.

    Raises
    ------
    ParameterError
        If the name is taken, or the class is incomplete.
    """
    for wanted in _FACTS:
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
    taken = inspect.signature(kind).parameters.keys() & {*_FACTS, *_PROPERTIES}
    if taken:
        raise ParameterError(
            f"class {kind.__name__} has a parameter {min(taken)!r}, which is a reserved name",
            hint="Choose another name.",
        )
    if REGISTRY.get(kind.name, kind) is not kind:
        raise ParameterError(
            f"a representation called {kind.name!r} already exists", hint="Choose another name."
        )
    REGISTRY[kind.name] = kind
    return kind


def from_function(
    function: Callable[..., None],
    *,
    name: str,
    channels: int,
    dtype: str,
    unit: str,
    reference: str,
    revision: int = 1,
) -> type[Representation]:
    """Return a representation made from a function; `register` adds it.

    Parameters
    ----------
    function
        ``function(frame, events, window, **parameters)``: adds some of a window's `events` to
        `frame`, (C, H, W), which is all zero at the window's start. It is called for each piece
        of a long window in turn. Its keyword-only arguments are the parameters; each needs a
        default and a type.
    name, dtype, unit, reference, revision
        As in `Representation`.
    channels
        C.

    Examples
    --------
    >>> def latest(frame, events, window, *, gain: float = 1.0):
    ...     frame[0, events.y, events.x] = gain * (events.t - window.start_us)
    >>> Latest = from_function(
    ...     latest, name="latest", channels=1, dtype="float32", unit="µs", reference="README"
    ... )
    >>> Latest(gain=2).parameters
    {'gain': 2.0}
    """
    hints = typing.get_type_hints(function)
    fields = []
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if argument.default is argument.empty:
            raise ParameterError(f"its parameter {argument.name!r} has no default", place=name)
        hint = hints.get(argument.name, type(argument.default))
        fields.append((argument.name, hint, dataclasses.field(default=argument.default)))
    return dataclasses.make_dataclass(
        name,
        fields,
        bases=(Representation,),
        frozen=True,
        namespace={
            "name": name,
            "revision": revision,
            "reference": reference,
            "unit": unit,
            "channels": property(lambda self: channels),
            "dtype": property(lambda self: dtype),
            "accumulator": lambda self, sensor, repairs: _Called(self, sensor, repairs, function),
            "__doc__": function.__doc__,
        },
    )


class _Called(Accumulator):
    """Runs a function piece by piece."""

    def __init__(
        self,
        representation: Representation,
        sensor: Sensor,
        repairs: MutableMapping[str, int],
        function: Callable[..., None],
    ) -> None:
        super().__init__(representation, sensor, repairs)
        self._function, self._parameters = function, representation.parameters

    def accumulate(self, events: Events) -> None:
        self._function(self.frame, events, self.window, **self._parameters)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _nearest(name: str, names: Iterable[str]) -> str | None:
    guess = did_you_mean(name, names)
    return guess[0].upper() + guess[1:] if guess else None
