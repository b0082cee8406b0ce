"""Where the samples of a recording are: by a table of intervals, or by an archive's members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from evreel.errors import AnnotationError, UsageError, meant_label
from evreel.samples.intervals import Interval
from evreel.samples.pattern import Pattern
from evreel.samples.samples import FARTHEST_STOP, Member, Samples
from evreel.text import nfc
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
    """Return the samples into which a table of intervals cuts a recording.

    Parameters
    ----------
    intervals
        Rows of the table, in its order.
    t_offset
        The recording's first timestamp on its own clock, µs.
    t_stop_us
        Its last timestamp + 1, µs since `t_offset`.
    clock
        What the table's times count from: ``recording``, its first event; ``source``, the zero
        of the timestamps in its file.
    repeats
        How rows whose label came before are handled: ``keep``, or ``first`` takes only the
        first of each label in the table's order.
    classes
        Name of a class in the table → its label; a name that is not listed is itself the label.
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
        If a sample does not begin within the recording, ends far beyond it, or has a label that
        is not listed (with the line); or if two samples have the same id.
    UsageError
        If `clock` or `repeats` is not an allowed value.

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
    labels = None if labels is None else [nfc(label) for label in labels]
    shift = t_offset if clock == "source" else 0
    named = _label_of(classes)
    rows = [replace(row, label=named(row.label)) for row in intervals]
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
    """Raise if a row's sample is outside the recording, or its class is not known."""
    if not 0 <= start_us < t_stop_us:
        raise AnnotationError(
            f"starts at {start_us} µs, outside the recording's 0 to {t_stop_us} µs",
            place=f"line {row.line}",
            hint="Are its times in another unit (samples.unit), or do they count from something "
            "else (samples.clock)? Is the table for this recording?",
        )
    if stop_us > FARTHEST_STOP * t_stop_us:
        raise AnnotationError(
            f"runs from {start_us} to {stop_us} µs, far beyond the recording's end at "
            f"{t_stop_us} µs",
            place=f"line {row.line}",
            hint="Are its times in another unit (samples.unit)? Is the recording complete?",
        )
    if labels is not None:
        _check_label(row, labels)


def _check_label(row: Interval, labels: Sequence[str]) -> None:
    if row.label not in labels:
        raise AnnotationError(
            f"label {row.label!r} is not listed{meant_label(row.label, labels)}",
            place=f"line {row.line}",
            hint="Add it to labels, or map it to a label in samples.classes.",
        )


def check_labels(
    intervals: Iterable[Interval],
    classes: Mapping[str, str],
    labels: Sequence[str],
    path: str | Path,
) -> None:
    """Raise `AnnotationError` for the first row whose label is not listed.

    Parameters
    ----------
    intervals, path
        Rows of a table, and the table.
    classes, labels
        What the table calls a class → its name in labels; all labels.
    """
    label_of, labels = _label_of(classes), [nfc(label) for label in labels]
    for row in intervals:
        try:
            _check_label(replace(row, label=label_of(row.label)), labels)
        except AnnotationError as error:
            raise AnnotationError(
                error.problem, path=path, place=error.place, hint=error.hint
            ) from error


def _label_of(classes: Mapping[str, str] | None) -> Callable[[str], str]:
    """Return a function of a class, as the files call it, that gives its label."""
    labels = {nfc(name): nfc(label) for name, label in (classes or {}).items()}
    return lambda name: labels.get(nfc(name), nfc(name))


def by_members(
    members: Sequence[Member],
    pattern: str,
    *,
    classes: Mapping[str, str] | None = None,
    group: str = "",
    label: str = "",
) -> Samples:
    """Return the samples of an archive that was read as one recording, one per member.

    A sample's id is its member's name without the suffix. The pattern reads class and group
    from the name.

    Parameters
    ----------
    members
        The members of the archive, with their times.
    pattern
        As `evreel.samples.pattern.Pattern` takes it.
    classes
        As in `by_intervals`.
    group
        The group of members whose names have none.
    label
        The class of members whose names have none, as the files call it.

    Raises
    ------
    AnnotationError
        If a member does not fit the pattern, or two differ only in their suffix.
    """
    fits, named = Pattern(pattern), _label_of(classes)
    labels, groups = [], []
    for member in members:
        said = fits.of(member.name)
        if said is None:
            raise AnnotationError(
                f"does not fit {pattern!r}",
                place=f"member {member.name!r}",
                hint="Decode the archive with the same pattern.",
            )
        labels.append(named(said.label or label))
        groups.append(said.group or group)
    return Samples(
        tuple(str(PurePosixPath(nfc(member.name)).with_suffix("")) for member in members),
        tuple(labels),
        tuple(groups),
        np.array([member.start_us for member in members], dtype=np.int64),
        np.array([member.stop_us for member in members], dtype=np.int64),
        np.array([member.t_offset for member in members], dtype=np.int64),
    )
