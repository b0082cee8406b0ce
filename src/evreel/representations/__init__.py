"""Representations: what a window of events becomes for a network.

One file each. `REGISTRY` lists them all; `register` adds your own, for this process.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from evreel.errors import ParameterError, hint_of
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
from evreel.representations.functions import from_function
from evreel.representations.hats import Hats
from evreel.representations.histo import Histo
from evreel.representations.histo_quantized import HistoQuantized
from evreel.representations.histogram import Histogram
from evreel.representations.last_timestamp import LastTimestamp
from evreel.representations.mixed_density_stack import MixedDensityStack
from evreel.representations.multi_channel_timesurface import MultiChannelTimesurface
from evreel.representations.own import check_kind, is_own, load
from evreel.representations.running import Run, frames, frames_together, tensor
from evreel.representations.stacked_histogram import StackedHistogram
from evreel.representations.stored import Stored
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
    "Stored",
    "Timesurface",
    "Tore",
    "VoxelGrid",
    "Window",
    "create",
    "frames",
    "frames_together",
    "from_function",
    "kind_of",
    "register",
    "setting",
    "tensor",
]

REGISTRY: dict[str, type[Representation]] = {
    kind.name: kind
    for kind in (
        Histogram,
        Binary,
        EventImage,
        VoxelGrid,
        StackedHistogram,
        MixedDensityStack,
        Histo,
        Diff,
        HistoQuantized,
        DiffQuantized,
        Timesurface,
        MultiChannelTimesurface,
        EventCube,
        EventCubePaper,
        ExponentialSurface,
        LastTimestamp,
        Tore,
        Hats,
        AveragedTimesurface,
        Ergo12,
    )
}
"""Name → class of every representation that `create` knows."""

Kind = TypeVar("Kind", bound=type[Representation])


def kind_of(name: str) -> type[Representation]:
    """Return the class of a representation: one of `REGISTRY`, or a user's own.

    Raises
    ------
    ParameterError
        If there is none of this name, or it is not a name.
    """
    if not isinstance(name, str):
        raise ParameterError(
            f"a representation is given by its name, not as {type(name).__name__}",
            hint="For a function at hand, register(from_function(function)) of "
            "evreel.representations; then give the function's name.",
        )
    if is_own(name):
        return load(name)
    if name not in REGISTRY:
        raise ParameterError(
            f"there is no representation {name!r}; available: {_listed(REGISTRY)}",
            hint=hint_of(name, REGISTRY),
        )
    return REGISTRY[name]


def create(name: str, parameters: Mapping[str, Any] | None = None) -> Representation:
    """Return a representation by its name; parameters that are not given take their defaults.

    Parameters
    ----------
    name
        Of one in `REGISTRY`, or ``path/to/file.py:function`` or ``package.module:function`` for one
        of a user's own.
    parameters
        Values by name.

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
    kind = kind_of(name)
    known = _parameters_of(kind)
    given = dict(parameters or {})
    for unknown in given:
        if unknown not in known:
            raise ParameterError(
                f"it has no parameter {unknown!r}; available: {_listed(known)}",
                place=name,
                hint=hint_of(unknown, known),
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
    check_kind(kind)
    if REGISTRY.get(kind.name, kind) is not kind:
        raise ParameterError(
            f"a representation called {kind.name!r} already exists", hint="Choose another name."
        )
    REGISTRY[kind.name] = kind
    return kind


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
