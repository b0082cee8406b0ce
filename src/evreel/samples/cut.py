"""Where the samples of a recording lie: by a table of intervals, or by an archive's members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from evreel.errors import AnnotationError, UsageError, did_you_mean
from evreel.samples.intervals import Interval
from evreel.samples.pattern import Pattern
from evreel.samples.samples import FARTHEST_STOP, Member, Samples
from evreel.timebase import FARTHEST

Clock = Literal["recording", "source"]
Repeats = Literal["keep", "first"]


def by_intervals(
    intervals: Sequence[Interval],
    *,
    t_offset: int,
    t_stop_us: int = FARTHEST,
    clock: Clock = "recording",
    repeats: Repeats = "keep",
    classes: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    group: str = "",
) -> Samples:
    """Return the samples of a recording that a table of intervals cuts.

    Parameters
    ----------
    intervals
        Rows of the table, in its order.
    t_offset
        The recording's first stamp on its own clock, µs.
    t_stop_us
        Its last stamp + 1, µs since `t_offset`.
    clock
        What the table's times count from: ``recording``, its first event; ``source``, whatever
        the stamps in its file do.
    repeats
        Rows of a label that the recording has already: ``keep``, or ``first`` takes only the
        first of each label in the table's order.
    classes
        What the table calls a class → its label; one that is not there is its own label.
    labels
        All labels; None takes any.
    group
        The group of rows that name none.

    Returns
    -------
    The samples in order of their start; they may overlap.

    Raises
    ------
    AnnotationError
        Where a sample does not begin within the recording, ends far beyond it, or is of a label
        that is not listed, with the line; where two have one id.
    UsageError
        Where `clock` or `repeats` is none of its words.

    Examples
    --------
    >>> rows = [Interval(2, "0", "2", "", 530, 560), Interval(3, "1", "1", "", 500, 530)]
    >>> samples = by_intervals(rows, t_offset=500, clock="source", classes={"1": "clap"})
    >>> samples.id, samples.label, samples.start_us.tolist(), samples.t_offset.tolist()
    (('1', '0'), ('clap', '2'), [0, 30], [500, 530])
    """
    for name, value, words in (
        ("clock", clock, ("recording", "source")),
        ("repeats", repeats, ("keep", "first")),
    ):
        if value not in words:
            raise UsageError(f"{name}={value!r} is neither {words[0]!r} nor {words[1]!r}")
    shift = t_offset if clock == "source" else 0
    names = classes or {}
    rows = [replace(row, label=names.get(row.label, row.label)) for row in intervals]
    if repeats == "first":
        first: dict[str, Interval] = {}
        for row in rows:
            first.setdefault(row.label, row)
        rows = list(first.values())
    for row in rows:
        _check(row, row.start_us - shift, row.stop_us - shift, t_stop_us, labels)
    rows.sort(key=lambda row: (row.start_us, row.line))
    start_us, stop_us = (
        np.array([getattr(row, name) - shift for row in rows], dtype=np.int64)
        for name in ("start_us", "stop_us")
    )
    return Samples(
        tuple(row.id for row in rows),
        tuple(row.label for row in rows),
        tuple(row.group or group for row in rows),
        start_us,
        stop_us,
        start_us + t_offset,
    )


def _check(
    row: Interval, start_us: int, stop_us: int, t_stop_us: int, labels: Sequence[str] | None
) -> None:
    """Raise where a row's sample lies outside of the recording, or is of no known class."""
    if not 0 <= start_us < t_stop_us:
        raise AnnotationError(
            f"starts at {start_us} µs of a recording of 0 to {t_stop_us} µs",
            place=f"line {row.line}",
            hint="Are its times in another unit (samples.unit), or do they count from something "
            "else (samples.clock)? Is it of this recording?",
        )
    if stop_us > FARTHEST_STOP * t_stop_us:
        raise AnnotationError(
            f"is of {start_us} to {stop_us} µs, far beyond the recording's last event at "
            f"{t_stop_us} µs",
            place=f"line {row.line}",
            hint="Are its times in another unit (samples.unit)? Is the recording whole?",
        )
    if labels is not None and row.label not in labels:
        guess = did_you_mean(row.label, labels)
        raise AnnotationError(
            f"label {row.label!r} is not listed" + (f"; {guess}" if guess else ""),
            place=f"line {row.line}",
            hint="Add it to labels, or say in samples.classes what it is called there.",
        )


def by_members(
    members: Sequence[Member],
    pattern: str,
    *,
    classes: Mapping[str, str] | None = None,
    group: str = "",
) -> Samples:
    """Return the samples of an archive that was read as one recording, one a member.

    A sample's id is its member's name without the suffix; class and group are what the pattern
    reads from the name.

    Parameters
    ----------
    members
        Where each lies.
    pattern
        As `evreel.samples.pattern.Pattern` takes it.
    classes
        As in `by_intervals`.
    group
        The group of members whose names say none.

    Raises
    ------
    AnnotationError
        Where a member does not fit the pattern, or two differ in their suffix alone.
    """
    fits, names = Pattern(pattern), classes or {}
    labels, groups = [], []
    for member in members:
        said = fits.of(member.name)
        if said is None:
            raise AnnotationError(
                f"does not fit {pattern!r}",
                place=f"member {member.name!r}",
                hint="Decode the archive with the same pattern.",
            )
        labels.append(names.get(said.label, said.label))
        groups.append(said.group or group)
    return Samples(
        tuple(str(PurePosixPath(member.name).with_suffix("")) for member in members),
        tuple(labels),
        tuple(groups),
        np.array([member.start_us for member in members], dtype=np.int64),
        np.array([member.stop_us for member in members], dtype=np.int64),
        np.array([member.t_offset for member in members], dtype=np.int64),
    )
