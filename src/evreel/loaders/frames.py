"""Labelled samples as events or as frames: a map-style data set, as PyTorch's loaders take it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.release.open import Release
from evreel.representations import Representation

EventArrays = Mapping[str, npt.NDArray[Any]]
"""Events of one sample: t int64 µs since the sample's start, x and y uint16, p uint8 {0, 1}."""

Integrate = Callable[[EventArrays, int, int], Any]
"""Function of (events, height, width) → frames of one sample, first dimension time."""

SampleFiles = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""An events store, or a features file, and the samples file of the same recording."""


class FramesDataset:
    """The samples of a release, or of plain files, as ``(events, label)`` or ``(frames, label)``.

    Parameters
    ----------
    source
        A release or its folder; or plain files: pairs of an events store (or a features file) and
        the samples file of the same recording.
    split
        ``train``, ``val`` or ``test``; None takes the samples of all splits.
    data_type
        ``event``: items have events; ``frame``: frames.
    frames_number
        How many frames a sample is divided into, by `split_by`. Frames begin at the sample's first
        event; each has the whole-number share of the events or of the time, the last all the rest.
    split_by
        ``number``: of events in each frame; ``time``: duration of each frame. None is ``number``.
    duration
        Duration of each frame, µs, instead of `frames_number`. Frames begin at the sample's first
        event; the last may be incomplete, and an event exactly at its end belongs to it.
    custom_integrate_function
        Function of ``(events, H, W)`` → frames, first dimension time, instead of both.
    representation
        What frames are made of, with `frames_number` or `duration`: its name, or an instance.
        None counts events by polarity (channel 0 OFF, 1 ON) as float32.
    feature
        Name of a feature of the release: items are the frames of each sample's windows, as the
        features file has them.
    transform
        Function of an item's events or frames; it is applied after the cache.
    target_transform
        Function of a label; `targets` are the labels without it.
    cache
        Folder in which computed frames are kept, by content of the sample, parameters, and code of
        the function. It may be shared by processes and by data sets. None keeps nothing.
    structured
        Whether events are one structured array ``x, y, t, p``, as Tonic's transforms take them,
        instead of a dict of arrays.
    on_damage
        ``fail``: a damaged or missing file is an error; ``skip``: what cannot be read is left out
        at the start, which reads every file once, and is counted in `counts`.

    Attributes
    ----------
    classes : names of the classes, in the order of their numbers.
    class_to_idx : name of a class → its number.
    targets : (n,) int64 class number of each sample, −1 none; no sample is read for it.
    samples : (n,) `evreel.samples.tables.Assigned`: recording, sample, label, group, split, times.
    sensor_size : (W, H, 2), as Tonic's transforms take it.
    counts : ``skipped_recordings`` and ``skipped_samples``.

    Raises
    ------
    UsageError
        If arguments contradict each other, or the source has no such split or feature.
    """

    def __init__(
        self,
        source: Release | str | os.PathLike[str] | Iterable[SampleFiles],
        split: str | None = None,
        *,
        data_type: Literal["event", "frame"] = "event",
        frames_number: int | None = None,
        split_by: Literal["number", "time"] | None = None,
        duration: int | None = None,
        custom_integrate_function: Integrate | None = None,
        representation: str | Representation | None = None,
        feature: str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
        structured: bool = False,
        on_damage: Literal["fail", "skip"] = "fail",
    ) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        """Return the number of samples."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return a sample's events or frames, and its class number."""
        raise NotImplementedError
