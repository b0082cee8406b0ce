"""Labelled samples of a recording, and the members of an archive, end to end in one store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError, meant_label
from evreel.text import nfc
from evreel.timebase import Int64Array, frozen

FARTHEST_STOP = 10
"""Latest stop that a sample may claim, in durations of its recording up to the last event.

A scene may be quiet at its end, also because of a crop; but a time in another unit is 1000 times
as long.
"""


class Member(NamedTuple):
    """An archive member's place in the store of all: first timestamp, last timestamp + 1, µs.

    A recording whose clock was reset may be divided likewise; a member is then one of its parts.

    `t_offset` is its first timestamp on its own clock.
    """

    name: str
    start_us: int
    stop_us: int
    t_offset: int


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled intervals into which a recording is cut, in order of their start.

    Parameters
    ----------
    id
        (n,) names, each unique.
    label
        (n,) names of classes; empty if a sample has none.
    group
        (n,) scene, session or person of each, so that what belongs together stays together;
        empty if it is not known.
    start_us, stop_us
        (n,) int64, µs since the recording's `t_offset`: sample k is ``[start_us[k], stop_us[k])``.
    t_offset
        (n,) int64, µs: each start on the sample's own clock, where an event at t has the
        timestamp ``t - start_us[k] + t_offset[k]``.

    Raises
    ------
    AnnotationError
        If columns differ in length, an id is duplicated, or a sample is empty or begins before
        the previous one.
    """

    id: tuple[str, ...]
    label: tuple[str, ...]
    group: tuple[str, ...]
    start_us: Int64Array
    stop_us: Int64Array
    t_offset: Int64Array

    def __post_init__(self) -> None:
        for name in ("start_us", "stop_us", "t_offset"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))
        for name in ("label", "group", "start_us", "stop_us", "t_offset"):
            n = len(getattr(self, name))
            if n != len(self.id):
                raise AnnotationError(f"{n} samples have a {name}, but {len(self.id)} have an id")
        for id_, times in Counter(self.id).items():
            if times > 1:
                raise AnnotationError("is duplicated", place=f"sample {id_!r}")
        for wrong, problem in (
            (self.stop_us <= self.start_us, "start_us={0} is not before stop_us={1}"),
            (
                np.append(False, self.start_us[1:] < self.start_us[:-1]),
                "starts at {0} µs, before the previous one",
            ),
        ):
            if wrong.any():
                k = int(np.argmax(wrong))
                raise AnnotationError(
                    problem.format(self.start_us[k], self.stop_us[k]),
                    place=f"sample {self.id[k]!r}",
                )

    def __len__(self) -> int:
        return len(self.id)

    def numbers(self, labels: Iterable[str]) -> npt.NDArray[np.int32]:
        """Return the position of each sample's label in `labels`; −1 if it has none.

        Raises
        ------
        AnnotationError
            If a label is not listed.
        """
        number = {nfc(label): k for k, label in enumerate(labels)} | {"": -1}
        called = [nfc(label) for label in self.label]
        for id_, label in zip(self.id, called, strict=True):
            if label not in number:
                raise AnnotationError(
                    f"label {label!r} is not listed{meant_label(label, number)}",
                    place=f"sample {id_!r}",
                    hint="Add it to labels, or map it to a label in samples.classes.",
                )
        return np.array([number[label] for label in called], dtype=np.int32)
