"""Checks of recordings that evreel did not make, with any reader that accepts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from evreel.checks.boxes import read_boxes
from evreel.checks.events import ClockJump, check_events, event_checks
from evreel.checks.finding import DAMAGE, Finding, problem_of
from evreel.checks.inventory import BOXES, RECORDING, File, Head, of_one_recording
from evreel.checks.labels import LabelSpan
from evreel.checks.registry import as_findings, check_of, unreadable
from evreel.checks.splits import LISTS, PAPERS
from evreel.errors import (
    CodingError,
    EvreelError,
    JumpError,
    LayoutError,
    UnknownFormatError,
)
from evreel.events import Sensor
from evreel.recordings import event_chunks, open_recording


def check_recording(
    file: File, named: Sequence[Head], sensor: Sensor | None, found: list[Finding]
) -> Head | None:
    """Add what is found in a recording; return what it says of itself, None for other files.

    Parameters
    ----------
    file
        The file.
    named
        All files with its name.
    sensor
        Sensor size, if the file does not state it.
    found
        The findings, to which this adds.
    """
    location, path = file.location, file.path
    meant = location.suffix not in (*PAPERS, *LISTS)
    if not file.is_file:
        if meant and location.is_symlink() and not location.exists():
            found.append(unreadable(path, "is a link to a missing file"))
            return Head(file)
        return None
    if not file.size:
        if not meant:
            return None
        found.append(unreadable(path, "is empty; copy or download it again"))
        return Head(file)
    try:
        recording = open_recording(location, sensor=sensor)
    except (EvreelError, *DAMAGE) as error:
        strange = isinstance(error, UnknownFormatError) and not isinstance(error, CodingError)
        if strange or isinstance(error, LayoutError):
            return None  # LayoutError: HDF5, but not made by evreel
        found.append(unreadable(path, *problem_of(error)))
        return Head(file)
    rows = t_stop_us = 0
    jumped: list[Finding] = []

    def pieces() -> Iterator[tuple[int, list[npt.NDArray[Any]]]]:
        nonlocal rows, t_stop_us
        try:
            for events in event_chunks(recording):
                if len(events):
                    yield rows, [getattr(events, name) for name in "txyp"]
                    rows += len(events)
                    t_stop_us = events.t_stop_us
        except JumpError as error:
            problem, place = problem_of(error)
            jumped.extend(check_of(ClockJump).findings([(place, problem)], path))

    with recording:
        checks = event_checks(recording.sensor)
        span = _label_span(file, named, recording.t_offset)
        if span is not None:
            checks.append(span)
        of_events = list(as_findings(path, lambda: check_events(path, pieces(), checks)))
        damaged = bool(jumped) or any(finding.check == "readable" for finding in of_events)
        of_events += jumped
        if not rows and not damaged:
            of_events.append(unreadable(path, "contains no events"))
        found += of_events
        # If the reader stopped at damage, the recording's end is not known.
        end = (None, None) if damaged else (t_stop_us, rows)
        return Head(file, recording.sensor, recording.t_offset, *end)


def _label_span(file: File, named: Sequence[Head], t_offset: int) -> LabelSpan | None:
    """Return the check of how much of a recording its boxes cover, if it has any.

    Whether other files of its name are recordings is not known yet: those with its suffix are
    assumed to be.
    """
    suffix = file.location.suffix
    heads = [
        head
        for head in named
        if head.file.kind == BOXES
        or (head.file.kind == RECORDING and head.file.location.suffix == suffix)
    ]
    [group] = [group for group in of_one_recording(heads) if Head(file) in group]
    boxes = [head.file for head in group if head.file.kind == BOXES]
    near = [other for other in boxes if other.folder == file.folder] or boxes
    if len(near) != 1:
        return None
    try:
        t = read_boxes(near[0], t_offset).t
    except (EvreelError, *DAMAGE):
        return None  # the boxes' own findings say why
    return LabelSpan(int(t.min()), int(t.max())) if len(t) else None
