"""Checks of samples: their rows and times, their windows, their splits over a whole data set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.checks.finding import Located, Placed, counted, register
from evreel.checks.tally import MaskArray, Tally, located
from evreel.files.features import SampleWindows
from evreel.files.samples import SamplesFile
from evreel.layout import COLUMN_CHUNK
from evreel.samples.samples import Samples
from evreel.samples.splits import SPLITS
from evreel.samples.tables import Assigned
from evreel.timebase import Int64Array
from evreel.windows import Windows

MIXED = "mixed"
"""Split of a recording whose samples are of several."""

_LONGEST_NAME = 60

Read = Callable[[int, int], npt.NDArray[Any] | None]
"""Returns rows ``[first, stop)`` of a column, None where they can't be read."""


class Cut(NamedTuple):
    """A recording that is cut: its samples file, its name, and what the file holds."""

    path: str
    id: str
    samples: Samples
    split: tuple[str, ...]
    labels: tuple[str, ...]


def _shown(name: str) -> str:
    """Return a name from a file as one short line."""
    text = repr(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _sample(samples: Samples, k: int) -> str:
    return f"sample {_shown(samples.id[k])}"


@register("members", "error", "events store")
class Members:
    """Members of an archive that do not lie apart in its store, each from a whole ms on.

    Parameters
    ----------
    t_stop_us
        The recording's end; None where events of it were left out, so that it may be earlier.
    """

    def __init__(self, t_stop_us: int | None) -> None:
        end = "" if t_stop_us is None else f", and ends until t={t_stop_us} µs"
        self._tally = Tally(
            "member",
            "out of place, the first t={got} µs; each starts at a whole millisecond, behind the "
            f"one above{end}; build the store again",
        )
        self._t_stop_us = t_stop_us
        self._stop_us = 0

    def add(self, first: int, start_us: Int64Array, stop_us: Int64Array) -> None:
        """Take the members from row `first` on."""
        bad = start_us < np.append(self._stop_us, stop_us[:-1])
        bad |= (stop_us <= start_us) | (start_us % 1000 != 0)
        if self._t_stop_us is not None:
            bad |= stop_us > self._t_stop_us
        self._tally.count(bad, lambda k: (f"member {first + k}", f"{start_us[k]} to {stop_us[k]}"))
        self._stop_us = int(stop_us[-1])

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        yield from self._tally.finish()


@register("sample_rows", "error", "samples")
def sample_rows(
    samples: Samples,
    start: Int64Array,
    stop: Int64Array,
    t_stop_us: int,
    n_events: int | None = None,
    read: Read | None = None,
) -> Iterator[Located]:
    """Find samples outside the recording, or of rows that are not those of their time.

    Parameters
    ----------
    samples, start, stop
        The samples, and their rows of the events store.
    t_stop_us
        The recording's end.
    n_events, read
        The store's events, and what reads its column t; None where the store is not known.
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
            _sample(samples, k),
            f"rows {start[k]} to {stop[k]} for t={samples.start_us[k]} to {samples.stop_us[k]} µs",
        ),
        "sample",
        "of other rows than their time's, or outside the recording, the first {got}; the recording "
        f"ends at t={t_stop_us} µs{has}; cut again",
    )


def _misplaced(rows: Int64Array, t_us: Int64Array, n_events: int, read: Read) -> MaskArray:
    """Return where a row is not the first at or after its time; what can't be read, may be.

    Examples
    --------
    >>> t = np.array([0, 5, 5, 9])
    >>> rows, t_us = np.array([0, 1, 2, 4, 3]), np.array([0, 1, 5, 99, 99])
    >>> _misplaced(rows, t_us, 4, lambda first, stop: t[first:stop]).tolist()
    [False, False, True, False, True]
    """
    bad: MaskArray = (rows < 0) | (rows > n_events)
    for step in (0, 1):  # the stamp in the row itself, and the one before it
        inside = np.flatnonzero((rows >= step) & (rows < n_events + step))
        stamps, known = _stamps(rows[inside] - step, read)
        early = stamps < t_us[inside]
        bad[inside] |= known & (early != bool(step))
    return bad


def _stamps(rows: Int64Array, read: Read) -> tuple[Int64Array, MaskArray]:
    """Return the stamps of some rows, and which could be read; only their chunks are."""
    wanted, place = np.unique(rows, return_inverse=True)
    stamps, known = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    chunk = wanted // COLUMN_CHUNK
    for number in np.unique(chunk).tolist():
        first = number * COLUMN_CHUNK
        here = slice(*np.searchsorted(chunk, [number, number + 1]))
        piece = read(first, first + COLUMN_CHUNK)
        if piece is not None:
            stamps[here], known[here] = piece[wanted[here] - first], True
    return stamps[place], known[place]


@register("sample_empty", "warning", "samples")
def sample_empty(samples: Samples, start: Int64Array, stop: Int64Array) -> Iterator[Located]:
    """Find samples without an event."""
    return located(
        start == stop,
        lambda k: (_sample(samples, k), f"{samples.start_us[k]} to {samples.stop_us[k]}"),
        "sample",
        "without an event, the first t={got} µs; are its times right?",
    )


@register("sample_overlap", "warning", "samples")
def sample_overlap(samples: Samples) -> Iterator[Located]:
    """Find samples of a recording that share time: the same events are taken for both."""
    start_us, stop_us = samples.start_us, samples.stop_us
    bad = np.zeros(len(samples), np.bool_)
    bad[1:] = start_us[1:] < np.maximum.accumulate(stop_us)[:-1]

    def say(k: int) -> Located:
        other = int(np.argmax(stop_us[:k]))
        shared = int(min(stop_us[k], stop_us[other]) - start_us[k])
        alike = "the same" if samples.label[k] == samples.label[other] else "another"
        return _sample(samples, k), f"{shared} µs with {_sample(samples, other)} of {alike} class"

    problem = "that shares time with one above, the first {got}; is it labelled so at the source?"
    return located(bad, say, "sample", problem)


@register("sample_split", "error", "samples")
def sample_split(cut: Cut, of_recording: str = "") -> Iterator[Located]:
    """Find samples of a split that is not their recording's, or that is none.

    Parameters
    ----------
    cut
        The samples.
    of_recording
        The recording's split; ``mixed`` or empty where its samples may be of any.
    """
    free = of_recording in ("", MIXED)
    fit, expected = (SPLITS, "train, val and test") if free else ((of_recording,), of_recording)
    return located(
        np.array([split not in fit for split in cut.split], np.bool_),
        lambda k: (_sample(cut.samples, k), _shown(cut.split[k])),
        "sample",
        f"of a split other than {expected}, the first {{got}}; make the splits again",
    )


@register("feature_sample", "error", "features")
def feature_sample(
    windows: Windows, of: SampleWindows, cut: SamplesFile | None = None, path: str = ""
) -> Iterator[Located]:
    """Find windows that are not within their sample, or samples that the recording has not.

    Parameters
    ----------
    windows, of
        The windows, and which are of which sample.
    cut, path
        The recording's samples file, where it is known, and how findings name it.
    """
    samples = of.samples
    k = np.repeat(np.arange(len(samples)), np.diff(of.bounds))
    bad = (windows.start_us < samples.start_us[k]) | (windows.start_us >= samples.stop_us[k])
    if cut is not None:
        other = _other_samples(of, cut)
        if other is not None:
            yield other[0], f"{other[1]} than in {path}; compute again"
        else:
            bad |= (windows.start < cut.start[k]) | (windows.stop > cut.stop[k])

    def say(window: int) -> Located:
        us, rows, of_sample = windows.start_us[window], windows.start[window], int(k[window])
        return (
            f"window {window}",
            f"from t={us} µs, row {rows} on; {_sample(samples, of_sample)} is of "
            f"t={samples.start_us[of_sample]} to {samples.stop_us[of_sample]} µs",
        )

    yield from located(bad, say, "window", "outside its sample, the first {got}; compute again")


def _other_samples(of: SampleWindows, cut: SamplesFile) -> Located | None:
    """Return the first way in which the samples of features are others than the recording's."""
    if of.labels != cut.labels:
        return "labels/name", "numbers the classes otherwise"
    ours, theirs = of.samples, cut.samples
    if ours.id != theirs.id:
        return "samples/id", f"has {counted(len(ours), 'sample')}, of others or in another order,"
    for name in ("label", "start_us", "stop_us", "t_offset"):
        same = np.array_equal(getattr(ours, name), getattr(theirs, name))
        if not same:
            return f"samples/{name}", "says something else of a sample"
    return None


@register("sample_labels", "error", "data set")
def sample_labels(cuts: Sequence[Cut]) -> Iterator[Placed]:
    """Find samples files that number the classes otherwise than the others of their data set."""
    for cut in cuts:
        if cut.labels != cuts[0].labels:
            problem = f"numbers the classes otherwise than {cuts[0].path}; cut again"
            yield cut.path, "labels/name", problem


@register("sample_group", "error", "data set")
def sample_group(
    cuts: Iterable[Cut], others: Mapping[str, tuple[str, str]] | None = None
) -> Iterator[Placed]:
    """Find groups, such as those of one person, whose samples are in two splits.

    Parameters
    ----------
    cuts
        The samples.
    others
        Group → split and place of a recording that is not cut.
    """
    known = dict(others or {})
    for cut in cuts:
        apart: set[str] = set()
        first: Located | None = None
        for k, (group, split) in enumerate(zip(cut.samples.group, cut.split, strict=True)):
            if not group:
                continue
            other = known.get(group)
            if other is None:
                known[group] = split, f"{_sample(cut.samples, k)} of {cut.path}"
            elif other[0] != split:
                apart.add(group)
                first = first or (
                    _sample(cut.samples, k),
                    f"{_shown(group)} is in {split} here, in {other[0]} by {other[1]}",
                )
        if first is not None:
            n = counted(len(apart), "group")
            yield cut.path, first[0], f"{n} in two splits, the first {first[1]}; keep it together"


@register("sample_class", "warning", "data set")
def sample_class(cuts: Sequence[Cut]) -> Iterator[Placed]:
    """Find classes that are tested and not trained on, and labels without a sample."""
    first: dict[str, dict[str, tuple[Cut, int]]] = {split: {} for split in SPLITS}
    labels: dict[str, None] = {}
    for cut in cuts:
        labels |= dict.fromkeys(cut.labels)
        for k, (label, split) in enumerate(zip(cut.samples.label, cut.split, strict=True)):
            if label and split in first:
                first[split].setdefault(label, (cut, k))
    for split in SPLITS[1:] if first["train"] else ():
        new = [label for label in first[split] if label not in first["train"]]
        if new:
            cut, k = first[split][new[0]]
            yield (
                cut.path,
                _sample(cut.samples, k),
                f"{counted(len(new), 'class')} of {split} not in train, the first "
                f"{_shown(new[0])}; is the split meant so?",
            )
    without = [label for label in labels if not any(label in seen for seen in first.values())]
    if without:
        yield (
            cuts[0].path,
            "labels/name",
            f"{counted(len(without), 'label')} without a sample in the data set, the first "
            f"{_shown(without[0])}; is a recording missing?",
        )


@register("samples_table", "error", "release")
def samples_table(
    cuts: Iterable[Cut], rows: Sequence[Assigned], path: str, unread: Collection[str] = ()
) -> Iterator[Placed]:
    """Find samples that are not as the release's table of samples says, or not in it, or twice.

    Parameters
    ----------
    cuts
        The samples.
    rows, path
        The table, from line 2 on.
    unread
        Recordings whose samples can't be read: of these nothing is said.
    """
    lines: dict[tuple[str, str], int] = {}
    twice = [
        k for k, row in enumerate(rows) if lines.setdefault((row.recording, row.sample), k) != k
    ]
    seen: set[int] = set()
    for cut in cuts:
        held = zip(
            *(cut.samples.id, cut.samples.label, cut.samples.group, cut.split),
            *(cut.samples.start_us.tolist(), cut.samples.stop_us.tolist()),
            strict=True,
        )
        wrong: list[tuple[int, int | None]] = []
        for k, sample in enumerate(held):
            line = lines.get((cut.id, sample[0]))
            if line is not None:
                seen.add(line)
            if line is None or rows[line][1:] != sample:
                wrong.append((k, line))
        if wrong:
            k, line = wrong[0]
            there = "is not there" if line is None else f"is another in line {line + 2}"
            n = counted(len(wrong), "sample")
            problem = f"{n} not as in {path}, where the first {there}; make the splits again"
            yield cut.path, _sample(cut.samples, k), problem
    gone = [k for k in sorted(set(lines.values()) - seen) if rows[k].recording not in unread]
    for at_fault, problem in (
        (twice, "there twice, the first {}; make the splits again"),
        (gone, "in no samples file, the first {}; cut again"),
    ):
        if at_fault:
            row = rows[at_fault[0]]
            first = f"{_shown(row.sample)} of {_shown(row.recording)}"
            n = counted(len(at_fault), "sample")
            yield path, f"line {at_fault[0] + 2}", f"{n} {problem.format(first)}"
