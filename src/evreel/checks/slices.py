"""Checks of slices: accumulators that take its tables piece by piece."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.checks.columns import EVENTS_COLUMNS, RawColumns, opened, provenance, sensor_of
from evreel.checks.events import Columns, at, check_events, event_checks
from evreel.checks.finding import DAMAGE, Finding, Located
from evreel.checks.inventory import File, Known
from evreel.checks.labels import ALONE_US, Beyond, LabelSpan
from evreel.checks.registry import checks_of, findings, finished
from evreel.checks.tally import Faults, PieceTally, Read, Tally, distance
from evreel.checks.tracks import check_tracks
from evreel.errors import EvreelError
from evreel.files.slices import SlicesFile
from evreel.timebase import Int64Array

error, warning = checks_of("slices")


@error(
    "slice_rows", "Slices that are not a range of the file's events or of time, or not in order."
)
class SliceRows:
    """Compare each slice with the previous one, and with the `n_events` events in the file."""

    def __init__(self, n_events: int) -> None:
        self._n_events = n_events
        self._no_range = Tally(
            "slice",
            f"without a valid range, the first of rows {{got}}; the file has {n_events:,} events; "
            "annotate again",
        )
        self._back = Tally("slice", "starting before the previous slice; annotate again")
        self._last: tuple[int, int] | None = None

    def add(
        self,
        first: int,
        start: Int64Array,
        stop: Int64Array,
        start_us: Int64Array,
        stop_us: Int64Array,
    ) -> None:
        """Take the slices from row `first` on."""
        self._no_range.count(
            (start < 0) | (stop < start) | (stop > self._n_events) | (stop_us <= start_us),
            lambda k: (
                f"slice {first + k}",
                f"{start[k]} to {stop[k]}, t={start_us[k]} to {stop_us[k]} µs",
            ),
        )
        row, time = self._last or (start[0], start_us[0])
        back = np.append(row, start[:-1]) > start
        back |= np.append(time, start_us[:-1]) > start_us
        self._back.count(back, lambda k: (f"slice {first + k}", ""))
        self._last = start[-1], start_us[-1]

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        yield from self._no_range.finish()
        yield from self._back.finish()


@error("slice_count", "A count of events outside all slices that does not match the slices.")
class SliceCount:
    """Count the events that are in a slice.

    Parameters
    ----------
    n_slices, n_events
        Slices and events in the file. If a slice cannot be read, or slices are not in order,
        nothing is found.
    outside
        The count that the file states.
    """

    def __init__(self, n_slices: int, n_events: int, outside: int) -> None:
        self._n_slices = n_slices
        self._n_events = n_events
        self._outside = outside
        self._inside = 0
        self._rows = 0
        self._last = 0
        self._reached = 0

    def add(self, first: int, start: Int64Array, stop: Int64Array) -> None:
        """Take the slices from row `first` on."""
        begin, end = (np.clip(column, 0, self._n_events) for column in (start, stop))
        before = np.append(self._last, begin[:-1])
        if first != self._rows or (begin < before).any():
            return
        reached = np.maximum.accumulate(np.append(self._reached, end))
        self._inside += int(np.maximum(end - np.maximum(begin, reached[:-1]), 0).sum())
        self._rows += len(start)
        self._last, self._reached = int(begin[-1]), int(reached[-1])

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        left = self._n_events - self._inside
        if self._rows == self._n_slices and left != self._outside:
            yield (
                "attribute events_outside_slices",
                f"is {self._outside:,}; the slices leave {left:,}; annotate again",
            )


@error("label_number", "Regions or tags whose label is not a row of the names.")
class LabelNumber(PieceTally):
    """Compare labels of a table with the number of names."""

    what = "row"
    problem = "without a valid label, the first {got}; {n_labels:,} have names; annotate again"

    def __init__(self, table: str, n_labels: int) -> None:
        super().__init__()
        self._table = table
        self.n_labels = n_labels

    def _faults(self, first: int, label: npt.NDArray[Any]) -> Faults:
        bad = (label < 0) | (label >= self.n_labels)
        return bad, lambda k: (f"{self._table}, row {first + k}", f"{label[k]}")


@error("overlap_rows", "Overlaps of events that are not in the file, or that are not in order.")
class OverlapRows(PieceTally):
    """Compare the event of each overlap with the previous one's, and with the file's `n_events`."""

    what = "row"
    problem = (
        "out of order or without an event, the first of {got}; the file has {n_events:,}; annotate "
        "again"
    )

    def __init__(self, n_events: int) -> None:
        super().__init__()
        self.n_events = n_events
        self._last: int | None = None

    def _faults(self, first: int, event: Int64Array) -> Faults:
        last = event[0] if self._last is None else self._last
        bad = (event < 0) | (event >= self.n_events) | (event < np.append(last, event[:-1]))
        self._last = event[-1]
        return bad, lambda k: (f"overlaps/event, row {first + k}", f"{event[k]}")


@error("roi", "Regions of events or overlaps that are not a row of the table of regions.")
class Regions(PieceTally):
    """Compare the regions in a data set with the number of rows of their table.

    A piece is the data set's name, its first row, its regions, and the lowest allowed number: −1,
    no region, or 0.
    """

    what = "row"
    problem = "without a valid region, the first is {got}; there are {n_rois:,}; annotate again"

    def __init__(self, n_rois: int) -> None:
        super().__init__()
        self.n_rois = n_rois

    def _faults(self, name: str, first: int, roi: npt.NDArray[Any], least: int) -> Faults:
        bad = (roi < least) | (roi >= self.n_rois)
        return bad, lambda k: (f"{name}, row {first + k}", f"{roi[k]}")


@error("shape_rows", "Shapes that are not in order of frames, or whose outline is not in the file.")
class ShapesInOrder(PieceTally):
    """Compare each shape's frame with the previous one's, and its outline with the vertices."""

    what = "row"
    problem = (
        "out of order or without an outline, the first of frame {got}; the file has {n_vertices:,} "
        "vertices; annotate again"
    )

    def __init__(self, n_vertices: int) -> None:
        super().__init__()
        self.n_vertices = n_vertices
        self._last = 0
        self._reached = 0

    def _faults(
        self, first: int, frame: Int64Array, vertex: Int64Array, n: npt.NDArray[Any]
    ) -> Faults:
        follows = np.append(self._reached, vertex[:-1] + n[:-1])
        bad = (frame < np.append(self._last, frame[:-1])) | (vertex != follows) | (n < 0)
        bad |= vertex + n > self.n_vertices
        self._last, self._reached = int(frame[-1]), int(vertex[-1] + n[-1])
        return bad, lambda k: (f"shapes, row {first + k}", f"{frame[k]}")


@error("attribute_value", "Attributes of shapes or tags whose value is not one of its texts.")
class AttributeValue(PieceTally):
    """Compare the values of an attribute that has `n_values` texts."""

    what = "row"
    problem = "without a valid value, the first is {got}; it has {n_values:,}; annotate again"

    def __init__(self, name: str, n_values: int) -> None:
        super().__init__()
        self._name = name
        self.n_values = n_values

    def _faults(self, first: int, value: npt.NDArray[Any]) -> Faults:
        bad = (value < -1) | (value >= self.n_values)
        return bad, lambda k: (f"{self._name}, row {first + k}", f"{value[k]}")


@warning("doubt", "Labels that the annotation files leave in doubt.")
def doubt(doubts: Iterable[str]) -> Iterator[Located]:
    """Find what step annotate has noted."""
    for text in doubts:
        yield "", text


@warning("no_shape", "Slices whose annotation files have no shape, or no tag.")
def no_shape(inputs: Collection[str], n_rois: int, n_tags: int) -> Iterator[Located]:
    """Find files that say nothing of what they were given for.

    Parameters
    ----------
    inputs
        Roles of the files that the slices were made from: ``rois``, ``tags``, and others.
    n_rois, n_tags
        Regions and tags in the slices.
    """
    if "rois" in inputs and not n_rois and ("tags" in inputs or not n_tags):
        yield "rois", "are none, though an annotation was given; was the right one exported?"
    if "tags" in inputs and not n_tags:
        yield "tags", "are none, though an XML was given for them; was the right one exported?"


@error("other_events", "Slices whose events differ from the store beside them.")
class SameEvents(PieceTally):
    """Compare the events with the store's.

    Parameters
    ----------
    read
        Function that reads columns t, x, y, p of the store.
    first_row
        Row in the store of the first event here.
    n_store
        Events in the store.
    """

    what = "event"
    problem = "that differ from the events store, the first is row {got} there; annotate again"

    def __init__(self, read: Read, first_row: int, n_store: int) -> None:
        super().__init__()
        self._read = read
        self._first_row = first_row
        self._n_store = n_store

    def _faults(self, events: Columns) -> Faults:
        first = self._first_row + events.first
        n = len(events.t)
        known = max(0, min(n, self._n_store - first)) if first >= 0 else 0
        theirs = self._read(first, first + known) if known else []
        other = np.full(n, theirs is not None, np.bool_)
        if known and theirs is not None:
            other[:known] = False
            for ours, column in zip(events[1:5], theirs, strict=True):
                other[:known] |= ours[:known] != column
        return other, lambda k: (at(events, k), str(first + k))


def drawn_labels(file: File) -> frozenset[str] | None:
    """Return the labels of a file's regions and tags; None if it cannot be read."""
    try:
        with opened(file.location, file.kind) as h5:
            names = h5["labels/name"].asstr()[:].tolist()
            used = {
                int(label)
                for table in ("rois", "tags")
                for label in np.unique(h5[f"{table}/label"][:])
            }
    except (EvreelError, *DAMAGE):
        return None  # its own findings say why
    return frozenset(names[k] for k in used if 0 <= k < len(names))


def check_slices(file: File, of_events: Iterable[Finding] | None = None) -> Iterator[Finding]:
    """Yield what is found in a slices file; its tracks are looked at if the file is sound.

    Parameters
    ----------
    file
        The file.
    of_events
        What checks of events have found in the same events, elsewhere; None if that is not known.
    """
    sound = True
    for finding in _check_file(file, of_events):
        sound &= finding.severity != "error"
        yield finding
    if sound:
        with SlicesFile(file.location) as slices:
            yield from check_tracks(file.path, slices)


def _check_file(file: File, of_events: Iterable[Finding] | None) -> Iterator[Finding]:
    """Yield what is wrong with the columns and tables of a slices file."""
    with opened(file.location, file.kind) as h5:
        reader = RawColumns(h5, file.path)
        spans = [
            (int(start.min()), int(stop.max()))
            for _, (start, stop) in reader.pieces("labelled/start_us", "labelled/stop_us")
        ]
        ends = [(min(first for first, _ in spans), max(last for _, last in spans))] if spans else []
        span = [LabelSpan(*labels) for labels in ends]
        if of_events is None:
            checks = [*event_checks(sensor_of(h5)), *span]
            yield from check_events(file.path, reader.pieces(*EVENTS_COLUMNS), checks)
        else:
            yield from (replace(finding, path=file.path) for finding in of_events)
            # Of most files, the first and the last event show that the labels cover them.
            n, rows = len(h5["events/t"]), reader.rows(*EVENTS_COLUMNS)
            edges = reader.pieces(*EVENTS_COLUMNS, only=(0, max(n - 1, 0) // rows * rows))
            if any(True for _ in check_events(file.path, edges, span)):
                pieces = reader.pieces(*EVENTS_COLUMNS)
                yield from check_events(file.path, pieces, [LabelSpan(*labels) for labels in ends])
        yield from _check_tables(file.path, h5, reader)
        yield from reader.problems()


def check_slices_of(file: File, known: Known) -> Iterator[Finding]:
    """Yield how the events of a slices file differ from those of its store."""
    if known.n_store is None:
        return
    with opened(file.location, file.kind) as h5, known.rows_of_store(*EVENTS_COLUMNS) as read:
        if read is not None:
            reader = RawColumns(h5, file.path)
            same = SameEvents(read, int(h5["first_row"][()]), known.n_store)
            yield from check_events(file.path, reader.pieces(*EVENTS_COLUMNS), [same])


def _check_tables(path: str, h5: h5py.File, reader: RawColumns) -> Iterator[Finding]:
    """Yield what is wrong with the tables of a slices file."""
    if "doubts" in h5:
        yield from findings(doubt, h5["doubts"].asstr()[:].tolist(), path=path)
    n_events, n_slices = len(h5["events/t"]), len(h5["slices/start"])
    n_labels, t_stop_us = len(h5["labels/name"]), int(h5.attrs["t_stop_us"])
    rows, us = ("slices/start", "slices/stop"), ("slices/start_us", "slices/stop_us")
    outside = int(h5.attrs["events_outside_slices"])
    yield from reader.through(SliceRows(n_events), *rows, *us)
    yield from reader.through(SliceCount(n_slices, n_events, outside), *rows)
    n_rois = len(h5["rois/label"])
    inputs = provenance(h5, "inputs")
    yield from findings(no_shape, inputs, n_rois, len(h5["tags/label"]), path=path)
    regions = Regions(n_rois)
    for name, least in (("events/roi", -1), ("overlaps/roi", 0), ("shapes/roi", 0)):
        for first, (roi,) in reader.pieces(name):
            regions.add(name, first, roi, least)
    yield from finished(regions, path)
    yield from reader.through(OverlapRows(n_events), "overlaps/event")
    outlines = ("shapes/frame", "shapes/first_vertex", "shapes/n_vertices")
    yield from reader.through(ShapesInOrder(len(h5["vertices/x"])), *outlines)
    yield from _check_attributes(h5, reader)
    tagged, shown = (
        [
            int(np.where(stop > start, distance(stop, start), 0).max())
            for _, (start, stop) in reader.pieces(f"{table}/start_us", f"{table}/stop_us")
        ]
        for table in ("tags", "shapes")
    )
    # A table with one row does not say how long a frame is: there, long ones are known by shapes.
    frames = [*tagged, *(longest for longest in shown if longest > ALONE_US.value)]
    for table in ("rois", "tags", "labelled"):
        if table != "labelled":
            yield from reader.through(LabelNumber(table, n_labels), f"{table}/label")
        beyond = Beyond(f"{table} row", t_stop_us, max(frames, default=None))
        for first, (stop,) in reader.pieces(f"{table}/stop_us"):
            # A region that labels no frame has no time: −1.
            beyond.add(first, np.where(stop == -1, 0, stop) if table == "rois" else stop)
        yield from finished(beyond, path)


def _check_attributes(h5: h5py.File, reader: RawColumns) -> Iterator[Finding]:
    """Yield values of attributes that are none."""
    counts = h5["attributes/value_stop"][:] - h5["attributes/value_start"][:]
    kinds = h5["attributes/kind"].asstr()[:].tolist()
    for number, (kind, n) in enumerate(zip(kinds, counts.tolist(), strict=True)):
        for name in (f"shapes/attributes/{number}", f"tags/attributes/{number}"):
            if name in h5 and kind != "number":
                yield from reader.through(
                    AttributeValue(name, 2 if kind == "checkbox" else n), name
                )
