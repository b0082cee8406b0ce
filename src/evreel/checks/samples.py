"""Checks of samples: their rows, times and splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from evreel.checks.columns import RawColumns, opened
from evreel.checks.finding import DAMAGE, Finding, Located
from evreel.checks.inventory import File, Known
from evreel.checks.registry import checks_of, findings
from evreel.checks.tally import MaskArray, Read, located
from evreel.errors import EvreelError
from evreel.files.samples import SamplesFile
from evreel.layout import COLUMN_CHUNK, SAMPLES
from evreel.samples.samples import Samples
from evreel.samples.splits import SPLITS
from evreel.timebase import Int64Array

error, warning = checks_of("samples")

MIXED = "mixed"
"""Split of a recording whose samples are in several."""

_LONGEST_NAME = 60


class Cut(NamedTuple):
    """A recording that is cut into samples: the samples file, its name and its content."""

    path: str
    id: str
    samples: Samples
    split: tuple[str, ...]
    labels: tuple[str, ...]


def short(name: str) -> str:
    """Return a name from a file as one short line."""
    text = repr(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def sample_at(samples: Samples, k: int) -> str:
    """Return the place of a sample."""
    return f"sample {short(samples.id[k])}"


@error("sample_rows", "Samples outside the recording, or whose rows do not match their time.")
def sample_rows(
    samples: Samples,
    start: Int64Array,
    stop: Int64Array,
    t_stop_us: int,
    n_events: int | None = None,
    read: Read | None = None,
) -> Iterator[Located]:
    """Find samples whose rows are not what a search in the store's column t finds.

    Parameters
    ----------
    samples, start, stop
        The samples, and their rows of the events store.
    t_stop_us
        The recording's end.
    n_events, read
        Number of events in the store, and a function that reads its column t; None if the store is
        not known.
    """
    bad = (samples.start_us < 0) | (samples.start_us >= max(t_stop_us, 1))
    has = ""
    if n_events is not None and read is not None:
        has = f" and has {n_events:,} events"
        bad |= _misplaced(start, samples.start_us, n_events, read)
        bad |= _misplaced(stop, samples.stop_us, n_events, read)
    return located(
        bad,
        lambda k: (
            sample_at(samples, k),
            f"rows {start[k]} to {stop[k]} for t={samples.start_us[k]} to {samples.stop_us[k]} µs",
        ),
        "sample",
        "whose rows do not match their time, or outside the recording, the first {got}; the "
        f"recording ends at t={t_stop_us} µs{has}; cut again",
    )


def _misplaced(rows: Int64Array, t_us: Int64Array, n_events: int, read: Read) -> MaskArray:
    """Return where a row is not the first at or after its time; unreadable rows pass.

    Examples
    --------
    >>> t = np.array([0, 5, 5, 9])
    >>> rows, t_us = np.array([0, 1, 2, 4, 3]), np.array([0, 1, 5, 99, 99])
    >>> _misplaced(rows, t_us, 4, lambda first, stop: [t[first:stop]]).tolist()
    [False, False, True, False, True]
    """
    bad: MaskArray = (rows < 0) | (rows > n_events)
    for step in (0, 1):  # the timestamp in the row itself, and the one before it
        inside = np.flatnonzero((rows >= step) & (rows < n_events + step))
        t, known = _read_rows(rows[inside] - step, read)
        early = t < t_us[inside]
        bad[inside] |= known & (early != bool(step))
    return bad


def _read_rows(rows: Int64Array, read: Read) -> tuple[Int64Array, MaskArray]:
    """Return some rows of a column, and which could be read; only their chunks are read."""
    wanted, place = np.unique(rows, return_inverse=True)
    values, known = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    chunk = wanted // COLUMN_CHUNK
    for number in np.unique(chunk).tolist():
        first = number * COLUMN_CHUNK
        here = slice(*np.searchsorted(chunk, [number, number + 1]))
        piece = read(first, first + COLUMN_CHUNK)
        if piece is not None:
            values[here], known[here] = piece[0][wanted[here] - first], True
    return values[place], known[place]


@warning("sample_empty", "Samples without an event.")
def sample_empty(samples: Samples, start: Int64Array, stop: Int64Array) -> Iterator[Located]:
    """Find samples without rows."""
    return located(
        start == stop,
        lambda k: (sample_at(samples, k), f"{samples.start_us[k]} to {samples.stop_us[k]}"),
        "sample",
        "without an event, the first t={got} µs; are its times right?",
    )


@warning("sample_overlap", "Samples of a recording that share time: both have the same events.")
def sample_overlap(samples: Samples) -> Iterator[Located]:
    """Find samples that start before an earlier one stops."""
    start_us, stop_us = samples.start_us, samples.stop_us
    bad = np.zeros(len(samples), np.bool_)
    bad[1:] = start_us[1:] < np.maximum.accumulate(stop_us)[:-1]

    def say(k: int) -> Located:
        other = int(np.argmax(stop_us[:k]))
        shared = int(min(stop_us[k], stop_us[other]) - start_us[k])
        alike = "the same" if samples.label[k] == samples.label[other] else "another"
        got = f"{shared} µs with {sample_at(samples, other)} of {alike} class"
        return sample_at(samples, k), got

    problem = "sharing time with an earlier one, the first {got}; is it labelled so at the source?"
    return located(bad, say, "sample", problem)


@error("sample_split", "Samples whose split is not their recording's, or not a split.")
def sample_split(cut: Cut, of_recording: str = "") -> Iterator[Located]:
    """Find samples whose split is not their recording's.

    Parameters
    ----------
    cut
        The samples.
    of_recording
        The recording's split; ``mixed`` or empty if its samples may be in any.
    """
    free = of_recording in ("", MIXED)
    fit, expected = (SPLITS, "train, val and test") if free else ((of_recording,), of_recording)
    return located(
        np.array([split not in fit for split in cut.split], np.bool_),
        lambda k: (sample_at(cut.samples, k), short(cut.split[k])),
        "sample",
        f"in a split other than {expected}, the first {{got}}; make the splits again",
    )


def check_samples_of(file: File, known: Known) -> Iterator[Finding]:
    """Yield how a samples file differs from the recording that it cuts."""
    with (
        opened(file.location, file.kind),
        SamplesFile(file.location) as held,
        known.rows_of_store("events/t") as read,
    ):
        end = held.t_stop_us if known.t_stop_us is None else known.t_stop_us
        looked_at = held.samples, held.start, held.stop, end, known.n_store, read
        yield from findings(sample_rows, *looked_at, path=file.path)


def check_samples(file: File) -> Iterator[Finding]:
    """Yield what is found in a samples file; `evreel.checks.dataset` checks the splits."""
    with opened(file.location, file.kind) as h5, SamplesFile(file.location) as held:
        path, of = file.path, held.samples
        yield from findings(sample_empty, of, held.start, held.stop, path=path)
        yield from findings(sample_overlap, of, path=path)
        yield from RawColumns(h5, path).problems()


def read_samples(file: File) -> SamplesFile | None:
    """Return a samples file, read and closed; None if it cannot be read, as its findings say."""
    try:
        with SamplesFile(file.location) as held:
            return held
    except (EvreelError, *DAMAGE):
        return None


def read_cuts(files: Iterable[File]) -> list[Cut]:
    """Return the samples of all readable samples files among `files`."""
    read = ((file, read_samples(file)) for file in files if file.kind == SAMPLES.name)
    return [
        Cut(file.path, file.id, held.samples, held.split, held.labels)
        for file, held in read
        if held is not None
    ]
