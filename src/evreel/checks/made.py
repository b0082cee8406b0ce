"""Checks of the files that evreel makes: events stores, slices, samples, features, boxes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt

from evreel.checks import (
    boxes,
    dataset,
    features,
    samples,
    slices,
)
from evreel.checks import (
    events as event,
)
from evreel.checks import (
    labels as label,
)
from evreel.checks.events import Columns, EventCheck
from evreel.checks.finding import Finding, Located, findings, unreadable
from evreel.checks.neighbours import (
    BOXES,
    DAMAGE,
    DAMAGED,
    File,
    Head,
    Known,
    is_whole,
    of_one_recording,
    provenance,
    read_head,
    sensor_of,
)
from evreel.checks.tally import distance
from evreel.errors import EvreelError, LayoutError
from evreel.files import hdf5
from evreel.files.boxes import read_records
from evreel.files.samples import SamplesFile
from evreel.layout import COLUMN_CHUNK, EVENTS, FEATURES, LAYOUTS, LEFT_OUT, SAMPLES, SLICES
from evreel.samples.samples import Member

_COLUMNS = tuple(f"events/{name}" for name in "txyp")
_MOST_UNREADABLE = 100
"""So many pieces of a file that can't be read are enough to say so."""

_MOST_CHUNKS = 16
"""A chunk is in memory as a whole: of so many of the layout's it may be made."""


def cut(error: BaseException) -> tuple[str, str]:
    """Return problem and place of an exception, as a finding shows them."""
    if isinstance(error, EvreelError):
        hint = f"; {error.hint[0].lower()}{error.hint[1:].rstrip('.')}" if error.hint else ""
        return f"{error.problem}{hint}", error.place or ""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"can't be read: {said}", ""


def as_findings(path: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; what is raised on the way is a finding too."""
    try:
        yield from check()
    except (EvreelError, *DAMAGE) as error:
        yield unreadable(path, *cut(error))


def check_files(
    files: Sequence[File],
    others: Sequence[Head] = (),
    labels: Callable[[File], Collection[int] | None] = lambda file: None,
    done: Callable[[File], None] = lambda file: None,
    *,
    parted: Callable[[Sequence[Head]], list[list[Head]]] = of_one_recording,
) -> Iterator[Finding]:
    """Yield what is found in files that evreel made, each by itself and against its neighbours.

    Parameters
    ----------
    files
        The files; those of one recording have the same `id`.
    others
        What is known of recordings otherwise, such as from files that evreel did not make.
    labels
        Returns the class numbers that are named where a file lies; None where none are.
    done
        Called after each file.
    parted
        Parts the heads of one `id` into those of one recording each.
    """
    named: dict[str, list[Head]] = {}
    for head in [*map(read_head, files), *others]:
        named.setdefault(head.file.id, []).append(head)
    groups = [group for heads in named.values() for group in parted(heads)]
    group_of = {head.file: group for group in groups for head in group}
    for file in files:
        known = Known(file, group_of[file], labels(file))
        yield from as_findings(file.path, lambda f=file, k=known: _CHECKS[f.kind](f, k))  # type: ignore[misc]
        done(file)
    for group in groups:
        yield from _made_from(group)


def _made_from(heads: Sequence[Head]) -> Iterator[Finding]:
    """Yield which files of a recording were made from other stores."""
    from evreel.files.repack import needs_plugin
    from evreel.provenance import sha256

    files = [(head.file.path, head.store) for head in heads if head.store is not None]
    stores = [head.file for head in heads if head.file.kind == EVENTS.name]
    own = None
    if files and len(stores) == 1:
        try:
            # A store that was packed anew for others has other bytes than those it is made from.
            if needs_plugin(stores[0].place):
                own = stores[0].path, sha256(stores[0].place)
        except (EvreelError, *DAMAGE):
            own = None  # its own findings say why
    yield from findings("made_from", dataset.made_from(files, own))


def event_checks(sensor: tuple[int, int]) -> dict[str, EventCheck]:
    """Return the checks that fit any events, by name."""
    return {
        "order": event.Order(),
        "bounds": event.Bounds(sensor),
        "polarity": event.Polarity(),
        "one_polarity": event.OnePolarity(),
        "quantum": event.Quantum(),
        "gap": event.Gap(),
        "burst": event.Burst(),
    }


def run(
    path: str, events: Iterable[Columns], checks: Mapping[str, EventCheck]
) -> Iterator[Finding]:
    """Yield what checks find in events, in one pass; what is raised meanwhile is raised after."""
    failure: Exception | None = None
    try:
        for columns in events:
            for check in checks.values():
                check.add(columns)
    except (EvreelError, *DAMAGE) as error:
        failure = error
    for name, check in checks.items():
        yield from findings(name, check.finish(), path)
    if failure is not None:
        raise failure


class _TableCheck(Protocol):
    """A check that sees all rows of some columns in their order."""

    @property
    def add(self) -> Callable[..., None]: ...

    def finish(self) -> Iterator[Located]: ...


class _Reader:
    """Reads raw columns piece by piece; a piece that can't be read is counted and left out."""

    def __init__(self, h5: h5py.File) -> None:
        self._h5 = h5
        self._bad: dict[str, tuple[int, str, str]] = {}
        self._seen: set[str] = set()

    def piece(self, names: Sequence[str], first: int, stop: int) -> list[Any] | None:
        """Return rows ``[first, stop)`` of some data sets, None where one can't be read."""
        pieces = []
        for name in names:
            n, place, problem = self._bad.get(name, (0, "", ""))
            try:
                if n > _MOST_UNREADABLE:
                    return None
                pieces.append(self._h5[name][first:stop])
            except DAMAGE as error:
                if not n:
                    place, problem = f"{name}, rows {first} to {stop}", str(error)
                self._bad[name] = n + 1, place, problem
                return None
        return pieces

    def pieces(self, *names: str) -> Iterator[tuple[int, list[npt.NDArray[Any]]]]:
        """Yield first row and columns of the pieces of data sets that are equally long."""
        self._seen.update(names)
        n = len(self._h5[names[0]])
        rows = max(COLUMN_CHUNK, *((self._h5[name].chunks or (1,))[0] for name in names))
        for first in range(0, n, rows):
            columns = self.piece(names, first, min(first + rows, n))
            if columns is not None:
                yield first, columns

    def columns(self) -> Iterator[Columns]:
        """Yield the events."""
        for first, columns in self.pieces(*_COLUMNS):
            yield Columns(first, *(column.astype(np.int64) for column in columns))

    def through(self, path: str, check: str, made: _TableCheck, *names: str) -> Iterator[Finding]:
        """Yield what a check finds in some columns."""
        for first, columns in self.pieces(*names):
            made.add(first, *columns)
        yield from findings(check, made.finish(), path)

    def problems(self, path: str) -> Iterator[Finding]:
        """Yield what could not be read; what no check has asked for is read first."""
        for array in LAYOUTS[self._h5.attrs["layout"]].arrays:
            is_column = array.dims and array.dtype not in ("str", "any")
            if is_column and array.name in self._h5 and array.name not in self._seen:
                for _ in self.pieces(array.name):
                    pass
        for n, place, problem in self._bad.values():
            more = f", the first of {n:,} such pieces" if n > 1 else ""
            yield unreadable(
                path, f"can't be read{more}: {problem}; build or download it again", place
            )


@contextlib.contextmanager
def _opened(file: File) -> Iterator[h5py.File]:
    """Give a file whose form is right and whose arrays are all there."""
    if not file.place.stat().st_size:
        raise LayoutError("is empty", hint=hdf5.REBUILD)
    layout = LAYOUTS[file.kind]
    with hdf5.open_hdf5(file.place) as h5:
        hdf5.check_layout(h5, file.place, layout)
        for array in layout.arrays:
            if array.name not in h5:
                continue
            if not is_whole(h5[array.name]):
                raise LayoutError(
                    f"not all of {array.name} is in the file; HDF5 would read zeros",
                    hint=hdf5.REBUILD,
                )
            rows = (h5[array.name].chunks or (0,))[0]
            if array.chunk is not None and rows > _MOST_CHUNKS * array.chunk[0]:
                raise LayoutError(
                    f"{array.name} is in chunks of {rows:,} rows; {array.chunk[0]:,} are usual, "
                    f"and {_MOST_CHUNKS * array.chunk[0]:,} the most",
                    hint="Write it in smaller chunks.",
                )
        for name in ("inputs", "repairs"):
            provenance(h5, name)
        yield h5


def _store(file: File, known: Known) -> Iterator[Finding]:
    with _opened(file) as h5:
        reader = _Reader(h5)

        def entries(first: int, stop: int) -> npt.NDArray[Any] | None:
            pieces = reader.piece(["ms_to_idx"], first, stop)
            return None if pieces is None else pieces[0]

        n = len(h5["events/t"])
        changed = any(provenance(h5, "repairs").values())
        checks = event_checks(sensor_of(h5)) | {
            "index": event.Index(entries, len(h5["ms_to_idx"]), n),
            "time_zero": event.TimeZero(int(h5.attrs["t_stop_us"]), changed, n),
        }
        yield from run(file.path, reader.columns(), checks)
        yield from as_findings(file.path, lambda: _members(file.path, h5, reader))
        yield from reader.problems(file.path)


def _members(path: str, h5: h5py.File, reader: _Reader) -> Iterator[Finding]:
    """Yield what is wrong with the table of an archive's members, where a store has one."""
    names = [f"members/{name}" for name in Member._fields]
    gone = [name for name in names if name not in h5]
    if len(gone) == len(names):
        return
    if gone:
        raise LayoutError(f"data set {gone[0]} is missing", hint=hdf5.REBUILD)
    h5[names[0]].asstr()[:]  # the only column of text: reading it tells whether it can be read
    repairs = provenance(h5, "repairs")
    whole = not any(repairs.get(name) for name in LEFT_OUT)
    made = samples.Members(int(h5.attrs["t_stop_us"]) if whole else None)
    yield from reader.through(path, "members", made, *names[1:3])


def _slices(file: File, known: Known) -> Iterator[Finding]:
    with _opened(file) as h5, contextlib.ExitStack() as stack:
        reader = _Reader(h5)
        checks = event_checks(sensor_of(h5))
        spans = [
            (int(start.min()), int(stop.max()))
            for _, (start, stop) in reader.pieces("labelled/start_us", "labelled/stop_us")
        ]
        if spans:
            first_us, last_us = min(first for first, _ in spans), max(last for _, last in spans)
            checks["label_span"] = label.LabelSpan(first_us, last_us)
        if known.store is not None and known.store.n is not None:
            theirs = _Reader(stack.enter_context(hdf5.open_hdf5(known.store.file.place)))

            def rows(first: int, stop: int) -> list[npt.NDArray[Any]] | None:
                return theirs.piece(_COLUMNS, first, stop)

            first_row = int(h5["first_row"][()])
            checks["other_events"] = slices.SameEvents(rows, first_row, known.store.n)
        yield from run(file.path, reader.columns(), checks)
        yield from _tables(file.path, h5, reader)
        yield from reader.problems(file.path)


def _tables(path: str, h5: h5py.File, reader: _Reader) -> Iterator[Finding]:
    """Yield what is wrong with the tables of a slices file."""
    n_events, n_slices = len(h5["events/t"]), len(h5["slices/start"])
    n_labels, t_stop_us = len(h5["labels/name"]), int(h5.attrs["t_stop_us"])
    rows, us = ("slices/start", "slices/stop"), ("slices/start_us", "slices/stop_us")
    outside = int(h5.attrs["events_outside_slices"])
    count = slices.SliceCount(n_slices, n_events, outside)
    yield from reader.through(path, "slice_rows", slices.SliceRows(n_events), *rows, *us)
    yield from reader.through(path, "slice_count", count, *rows)
    regions = slices.Regions(len(h5["rois/label"]))
    for name, none in (("events/roi", -1), ("overlaps/roi", 0)):
        for first, (roi,) in reader.pieces(name):
            regions.add(name, first, roi, none)
    yield from findings("roi", regions.finish(), path)
    yield from reader.through(path, "overlap_rows", slices.OverlapRows(n_events), "overlaps/event")
    frames = [
        int(np.where(stop > start, distance(stop, start), 0).max())
        for _, (start, stop) in reader.pieces("tags/start_us", "tags/stop_us")
    ]
    for table in ("rois", "tags", "labelled"):
        if table != "labelled":
            numbers = slices.LabelNumber(table, n_labels)
            yield from reader.through(path, "label_number", numbers, f"{table}/label")
        beyond = label.Beyond(f"{table} row", t_stop_us, max(frames, default=None))
        for first, (stop,) in reader.pieces(f"{table}/stop_us"):
            # A region that labels no frame has no time: −1.
            beyond.add(first, np.where(stop == -1, 0, stop) if table == "rois" else stop)
        yield from findings("beyond", beyond.finish(), path)


def _samples(file: File, known: Known) -> Iterator[Finding]:
    with _opened(file) as h5, SamplesFile(file.place) as held, contextlib.ExitStack() as stack:
        path, of, start, stop = file.path, held.samples, held.start, held.stop
        end = held.t_stop_us if known.t_stop_us is None else known.t_stop_us
        n = None if known.store is None else known.store.n
        read: samples.Read | None = None
        if known.store is not None and n is not None:
            theirs = _Reader(stack.enter_context(hdf5.open_hdf5(known.store.file.place)))

            def read(first: int, stop: int) -> npt.NDArray[Any] | None:
                pieces = theirs.piece(["events/t"], first, stop)
                return None if pieces is None else pieces[0]

        rows = samples.sample_rows(of, start, stop, end, n, read)
        yield from findings("sample_rows", rows, path)
        yield from findings("sample_empty", samples.sample_empty(of, start, stop), path)
        yield from findings("sample_overlap", samples.sample_overlap(of), path)
        yield from _Reader(h5).problems(path)


def _features(file: File, known: Known) -> Iterator[Finding]:
    from evreel.files.features import FeaturesFile

    with _opened(file) as h5, FeaturesFile(file.place) as frames:
        unread: list[Finding] = []

        def readable() -> Iterator[tuple[int, npt.NDArray[Any]]]:
            for k in range(len(frames)):
                try:
                    frame = frames.read(k)
                except (EvreelError, *DAMAGE) as error:
                    unread.append(unreadable(file.path, cut(error)[0], f"window {k}"))
                    if len(unread) > _MOST_UNREADABLE:
                        return
                    continue
                yield k, frame

        yield from findings("feature_values", features.feature_values(readable()), file.path)
        if unread:
            more = f", the first of {len(unread)} such windows" if len(unread) > 1 else ""
            yield unreadable(file.path, unread[0].problem + more, unread[0].place)
        if known.n is not None:
            # A sample may reach beyond the recording's end, and its windows with it.
            end = known.t_stop_us if frames.samples is None else None
            found = features.feature_windows(frames.windows, end, known.n)
            yield from findings("feature_windows", found, file.path)
        if frames.samples is not None:
            held = None if known.samples is None else _read_samples(known.samples)
            path = "" if known.samples is None else known.samples.path
            found = samples.feature_sample(frames.windows, frames.samples, held, path)
            yield from findings("feature_sample", found, file.path)
        yield from _Reader(h5).problems(file.path)


def _read_samples(file: File) -> SamplesFile | None:
    """Return a samples file, read and closed; None where it can't be read, as its findings say."""
    try:
        with SamplesFile(file.place) as held:
            return held
    except (EvreelError, *DAMAGE):
        return None


def read_cuts(files: Iterable[File]) -> list[samples.Cut]:
    """Return the samples of those files that hold some, and can be read."""
    read = ((file, _read_samples(file)) for file in files if file.kind == SAMPLES.name)
    return [
        samples.Cut(file.path, file.id, held.samples, held.split, held.labels)
        for file, held in read
        if held is not None
    ]


def check_cuts(
    cuts: Sequence[samples.Cut],
    split_of: Mapping[str, str] | None = None,
    others: Mapping[str, tuple[str, str]] | None = None,
    *,
    whole: bool = True,
) -> Iterator[Finding]:
    """Yield what is found in samples of one data set together.

    Parameters
    ----------
    cuts
        The samples.
    split_of
        Path of a samples file → split of its recording, where that is known.
    others
        Group → split and place of a recording that is not cut.
    whole
        Whether they are all of the data set; of a part, nothing is said of what it lacks.
    """
    for of in cuts:
        split = (split_of or {}).get(of.path, "")
        yield from findings("sample_split", samples.sample_split(of, split), of.path)
    yield from findings("sample_group", samples.sample_group(cuts, others))
    yield from findings("sample_labels", samples.sample_labels(cuts))
    if whole:
        yield from findings("sample_class", samples.sample_class(cuts))


def _damaged(file: File, known: Known) -> Iterator[Finding]:
    if not file.place.stat().st_size:
        raise LayoutError("is empty", hint=hdf5.REBUILD)
    hdf5.open_hdf5(file.place).close()
    yield unreadable(file.path, "was found damaged when it was opened, and was not the next time")


def read_boxes(file: File, camera_start_us: int | None) -> boxes.Boxes:
    """Return the boxes of a file, in µs since the start of their recording where that is known.

    Raises
    ------
    EvreelError
        Where it can't be read, or holds other records.
    """
    records = read_records(file.place)
    try:
        found = boxes.boxes_of(records)
    except ValueError as error:
        raise LayoutError(str(error), hint="Export or download it again.") from error
    return found if camera_start_us is None else boxes.since_start(found, camera_start_us)


def _boxes(file: File, known: Known) -> Iterator[Finding]:
    read = read_boxes(file, known.camera_start_us)
    path = file.path
    yield from findings("box_number", boxes.box_number(read), path)
    yield from findings("box_size", boxes.box_size(read), path)
    yield from findings("box_order", boxes.box_order(read), path)
    yield from findings("frozen_box", boxes.frozen_box(read), path)
    if known.sensor is not None:
        yield from findings("box_outside", boxes.box_outside(read, known.sensor), path)
    if known.labels is not None:
        yield from findings("box_class", boxes.box_class(read, known.labels), path)
    if known.t_stop_us is not None:
        beyond = label.Beyond("record", known.t_stop_us)
        beyond.add(0, read.t)
        yield from findings("beyond", beyond.finish(), path)


_CHECKS: Mapping[str, Callable[[File, Known], Iterator[Finding]]] = {
    EVENTS.name: _store,
    SLICES.name: _slices,
    SAMPLES.name: _samples,
    FEATURES.name: _features,
    BOXES: _boxes,
    DAMAGED: _damaged,
}
