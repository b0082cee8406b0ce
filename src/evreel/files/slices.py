"""Annotated slices of one recording: all its events, each with its region, and the slices' rows."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from evreel.annotations.alignment import Alignment
from evreel.annotations.tables import (
    AttributeTable,
    LabelTables,
    RoiTable,
    ShapeRows,
    Spans,
    TagTable,
)
from evreel.errors import (
    EventsError,
    LayoutError,
    ParameterError,
    UsageError,
    did_you_mean,
    hint_of,
)
from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.events_store import EventsStore
from evreel.files.gzip_chunks import Column
from evreel.layout import COLUMN_CHUNK, SHAPE_KINDS, SLICES, Array
from evreel.provenance import counts_in, digests_in
from evreel.text import nfc
from evreel.timebase import Int64Array
from evreel.windows import Windows

WRITE_ROWS = 16 * COLUMN_CHUNK

Int32Array = npt.NDArray[np.int32]


class Overlaps(NamedTuple):
    """Additional regions of events: (m,) int64 rows of events, (m,) int32 rows of rois."""

    event: Int64Array
    roi: Int32Array


class SlicesWriter:
    """Write annotated slices chunk by chunk, in memory bounded by a few chunks.

    Parameters
    ----------
    file
        A new file, made by `evreel.files.hdf5.create` with the layout `SLICES`.
    sensor
        (height, width) of the events that will come.
    t_offset
        First timestamp of the recording on the camera's own clock, µs.
    windows
        The slices, in rows of the recording.
    tables
        Labels, regions, tags and labelled intervals.
    first_row
        Row in the recording of the first event that will come.
    doubts
        What the annotation files leave open, a sentence each.
    shapes
        The shapes that frames show, in pieces; each is written before the next is taken.
    store
        Where all events come from, if they are all that it has: its columns are copied as they
        are compressed. None compresses what is written.
    """

    def __init__(
        self,
        file: hdf5.NewFile,
        sensor: Sensor,
        t_offset: int,
        windows: Windows,
        tables: LabelTables,
        first_row: int = 0,
        doubts: Sequence[str] = (),
        shapes: Iterable[ShapeRows] = (),
        store: EventsStore | None = None,
    ) -> None:
        self._file = file
        self._sensor = sensor
        self._first_row = first_row
        self._start = windows.start - first_row
        self._stop = windows.stop - first_row
        self._columns = {
            name: hdf5.add(file, SLICES[name])
            for name in (*(f"events/{c}" for c in ("t", "x", "y", "p", "roi")), *_OVERLAPS)
        }
        self._n_expected = None if store is None else len(store)
        there = () if store is None else store.columns
        copied = {d.name for d in there if hdf5.copy_rows(d, self._columns[d.name.lstrip("/")])}
        self._pending: dict[str, list[npt.NDArray[Any]]] = {
            name: [] for name in self._columns if f"/{name}" not in copied
        }
        self._pending_rows = 0
        self._t_stop_us = 0
        self.n = 0
        self.n_labelled = 0
        hdf5.add(file, SLICES["events/height"], sensor.height)
        hdf5.add(file, SLICES["events/width"], sensor.width)
        hdf5.add(file, SLICES["t_offset"], t_offset)
        hdf5.add(file, SLICES["first_row"], first_row)
        for name, rows in (
            ("slices/start", self._start),
            ("slices/stop", self._stop),
            ("slices/start_us", windows.start_us),
            ("slices/stop_us", windows.stop_us),
        ):
            hdf5.add(file, SLICES[name], rows)
        hdf5.add(file, SLICES["labels/name"], tables.labels)
        for group, table in (
            ("rois", tables.rois),
            ("tags", tables.tags),
            ("labelled", tables.labelled),
        ):
            for name in table._fields:
                hdf5.add(file, SLICES[f"{group}/{name}"], getattr(table, name))
        _write_attributes(file, tables)
        _write_shapes(file, shapes, tables.attributes.kind)
        if doubts:
            hdf5.add(file, SLICES["doubts"], doubts)

    def write(
        self,
        events: Events,
        roi: Int32Array,
        overlap_event: Int64Array,
        overlap_roi: Int32Array,
    ) -> None:
        """Add the next events with their regions.

        Parameters
        ----------
        events
            n events, not before those already written.
        roi
            (n,) primary regions, −1 none.
        overlap_event, overlap_roi
            (m,) row in the recording, and region, of each additional region, by row.
        """
        if events.sensor != self._sensor:
            raise EventsError(f"sensor {events.sensor} of a chunk is not {self._sensor}")
        if not len(events):
            return
        if events.t[0] < self._t_stop_us - 1:
            raise EventsError(f"t={events.t[0]} goes back behind t={self._t_stop_us - 1}")
        columns: tuple[npt.NDArray[Any], ...] = (events.t, events.x, events.y, events.p)
        for name, column in zip(self._columns, columns, strict=False):
            if name in self._pending:
                self._pending[name].append(column)
        self._t_stop_us = events.t_stop_us
        self._add(roi, overlap_event, overlap_roi)

    def write_from(
        self,
        store: EventsStore,
        roi: Int32Array,
        overlap_event: Int64Array,
        overlap_roi: Int32Array,
    ) -> None:
        """Add the next events of a store, which are read only if they are not copied already.

        Parameters
        ----------
        store
            That whose events all come.
        roi, overlap_event, overlap_roi
            As `write` takes them.
        """
        if any(f"events/{name}" in self._pending for name in "txyp"):
            events = store.read(self.n, self.n + len(roi))
            self.write(events, roi, overlap_event, overlap_roi)
        elif len(roi):
            self._t_stop_us = store.t_stop_us
            self._add(roi, overlap_event, overlap_roi)

    def _add(self, roi: Int32Array, overlap_event: Int64Array, overlap_roi: Int32Array) -> None:
        self._pending["events/roi"].append(roi)
        self._pending["overlaps/event"].append(overlap_event - self._first_row)
        self._pending["overlaps/roi"].append(overlap_roi)
        self.n += len(roi)
        self.n_labelled += int(np.count_nonzero(roi >= 0))
        self._pending_rows += len(roi)
        while self._pending_rows >= WRITE_ROWS:
            self._flush(WRITE_ROWS)

    def finish(self) -> None:
        """Write what is pending and the counts. Call once, at the end.

        Raises
        ------
        EventsError
            If a slice reaches beyond the events that were written, or these are not all of the
            store's.
        """
        self._flush(self._pending_rows)
        if self._n_expected not in (None, self.n):
            raise EventsError(f"{self.n} events were written; the store has {self._n_expected}")
        beyond = np.flatnonzero((self._start < 0) | (self._stop > self.n))
        if beyond.size:
            k = int(beyond[0])
            raise EventsError(
                f"slice {k} has rows {self._start[k]} to {self._stop[k]}; there are {self.n}"
            )
        self._file.attrs["events_outside_slices"] = self.n - _union(self._start, self._stop)
        self._file.attrs["t_stop_us"] = self._t_stop_us

    def _flush(self, rows: int) -> None:
        """Write `rows` pending events, and their overlaps.

        Always the same number, so that the file's bytes do not depend on the size of the chunks.
        """
        joined: dict[str, npt.NDArray[Any]] = {
            name: np.concatenate([np.empty(0, dtype=self._columns[name].dtype), *parts])
            for name, parts in self._pending.items()
        }
        written = self.n - self._pending_rows + rows
        overlaps = int(np.searchsorted(joined["overlaps/event"], written))
        for name, column in joined.items():
            count = overlaps if name in _OVERLAPS else rows
            self._file.columns.append(self._columns[name], [column[:count]])
            self._pending[name] = [column[count:]]
        self._pending_rows -= rows


_OVERLAPS = ("overlaps/event", "overlaps/roi")

_SHAPE_COLUMNS = tuple(
    array.name.removeprefix("shapes/")
    for array in SLICES.arrays
    if array.name.startswith("shapes/") and not array.name.endswith("*")
)
_ATTRIBUTE_DTYPES = {"number": "<f8", "checkbox": "i1"}


def _column_of(group: str, number: int, kind: str) -> Array:
    """Return the array of an attribute's values."""
    array = SLICES[f"{group}/attributes/*"]
    name = array.name.replace("*", str(number))
    return replace(array, name=name, dtype=_ATTRIBUTE_DTYPES.get(kind, "<i4"))


def _write_attributes(file: h5py.File, tables: LabelTables) -> None:
    names, kinds, values = tables.attributes
    stops = np.cumsum([len(texts) for texts in values], dtype=np.int64)
    texts = [text for listed in values for text in listed]
    hdf5.add(file, SLICES["attributes/name"], names)
    hdf5.add(file, SLICES["attributes/kind"], kinds)
    hdf5.add(file, SLICES["attributes/value_start"], stops - [len(texts) for texts in values])
    hdf5.add(file, SLICES["attributes/value_stop"], stops)
    hdf5.add(file, SLICES["attributes/value"], texts)
    for number, (kind, column) in enumerate(zip(kinds, tables.tag_attributes, strict=True)):
        hdf5.add(file, _column_of("tags", number, kind), column)


def _write_shapes(file: h5py.File, pieces: Iterable[ShapeRows], kinds: Sequence[str]) -> None:
    columns = {name: hdf5.add(file, SLICES[f"shapes/{name}"]) for name in _SHAPE_COLUMNS}
    attributes = [
        hdf5.add(file, _column_of("shapes", number, kind)) for number, kind in enumerate(kinds)
    ]
    vertices = [hdf5.add(file, SLICES[f"vertices/{axis}"]) for axis in "xy"]
    n_vertices = 0
    for piece in pieces:
        placed = replace(piece, first_vertex=piece.first_vertex + n_vertices)
        n_vertices += len(piece.vertex_x)
        for name, column in columns.items():
            hdf5.append(column, getattr(placed, name))
        more = (*piece.attributes, piece.vertex_x, piece.vertex_y)
        for column, values in zip((*attributes, *vertices), more, strict=True):
            hdf5.append(column, values)


def _union(start: Int64Array, stop: Int64Array) -> int:
    """Return how many rows are in at least one of the intervals ``[start, stop)``.

    Examples
    --------
    >>> _union(np.array([0, 2, 8]), np.array([4, 5, 9]))
    6
    """
    order = np.argsort(start, kind="stable")
    start, stop = start[order], stop[order]
    reached = np.concatenate([start[:1], np.maximum.accumulate(stop)[:-1]])
    return int(np.maximum(stop - np.maximum(start, reached), 0).sum())


class SlicesFile(hdf5.Opened):
    """Annotated slices, opened for reading.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    n : number of slices.
    n_events : number of events, including those outside every slice.
    sensor : (height, width) in pixels.
    t_offset : first timestamp of the recording on the camera's own clock, µs.
    t_stop_us : last timestamp + 1, µs since `t_offset`.
    first_row : row in the events store of row 0 here.
    windows : the slices, in rows of this file.
    labels : label names; a name's position is its number.
    rois, tags, labelled : tables of regions, of frame tags, and of labelled intervals.
    attributes : names and kinds of attributes, and the texts that they have.
    n_shapes : number of shapes, one per region and frame that shows it.
    repairs : what was changed, left out, or joined when they were made: name → count.
    doubts : what the annotations leave open, a sentence each.

    Raises
    ------
    LayoutError
        If the file is not a slices file, contradicts itself, or is damaged; reading may also
        raise it later.
    """

    def __init__(self, path: str | Path) -> None:
        with self._opening(path, "its tables"):
            self._read_tables()

    def _read_tables(self) -> None:
        hdf5.check_layout(self._file, self.path, SLICES)
        self.sensor = Sensor.checked(
            int(self._file["events/height"][()]), int(self._file["events/width"][()])
        )
        self.t_offset = int(self._file["t_offset"][()])
        self.t_stop_us = int(self._attribute("t_stop_us"))
        self.events_outside_slices = int(self._attribute("events_outside_slices"))
        self.first_row = int(self._file["first_row"][()])
        self._columns = [Column(self._file[f"events/{name}"]) for name in "txyp"]
        self._roi = Column(self._file["events/roi"])
        self._overlap_columns = [Column(self._file[name]) for name in _OVERLAPS]
        self._shape_times = [Column(self._file[f"shapes/{edge}_us"]) for edge in ("start", "stop")]
        self.n_events = len(self._roi)
        self.windows = Windows(
            *(self._file[f"slices/{c}"][:] for c in ("start_us", "stop_us", "start", "stop"))
        )
        self.windows.check_order()
        self.n = len(self.windows)
        self.labels: tuple[str, ...] = tuple(self._file["labels/name"].asstr()[:])
        self.rois = RoiTable(*self._table("rois", RoiTable._fields))
        self.tags = TagTable(*self._table("tags", TagTable._fields))
        self.labelled = Spans(*self._table("labelled", Spans._fields))
        self.n_shapes = len(self._file["shapes/frame"])
        self.attributes = self._attribute_table()
        self.repairs = counts_in(self._file.attrs.get("repairs"))
        self.doubts: tuple[str, ...] = (
            tuple(self._file["doubts"].asstr()[:]) if "doubts" in self._file else ()
        )
        self._check()

    def _attribute_table(self) -> AttributeTable:
        names, kinds, values = (
            tuple(self._file[f"attributes/{name}"].asstr()[:]) for name in ("name", "kind", "value")
        )
        spans = zip(*self._table("attributes", ("value_start", "value_stop")), strict=True)
        return AttributeTable(names, kinds, tuple(values[start:stop] for start, stop in spans))

    def __len__(self) -> int:
        return self.n

    @property
    def overlaps(self) -> Overlaps:
        """All additional regions, read from the file."""
        with hdf5.reading(self.path, "overlaps"):
            found = Overlaps(*self._table("overlaps", Overlaps._fields))
        self._check_range("overlaps/event", found.event, 0, 0, self.n_events)
        self._check_range("overlaps/roi", found.roi, 0, 0, len(self.rois.label))
        return found

    def overlaps_of(self, start: int, stop: int, rows: int = WRITE_ROWS) -> Iterator[Overlaps]:
        """Yield the additional regions of events ``[start, stop)``, in pieces of at most `rows`."""
        self.check_open()
        with hdf5.reading(self.path, "overlaps"):
            event, roi = self._overlap_columns
            first, last = (bisect_left(event, row) for row in (start, stop))
            for row in range(first, last, rows):
                part = slice(row, min(row + rows, last))
                found = Overlaps(event[part], roi[part])
                self._check_range("overlaps/event", found.event, row, start, stop)
                self._check_range("overlaps/roi", found.roi, row, 0, len(self.rois.label))
                yield found

    def shapes(self, start: int = 0, stop: int | None = None) -> ShapeRows:
        """Return rows ``[start, stop)`` of the shapes that frames show, read from the file.

        They are in order of frames, then of regions.
        """
        self.check_open()
        start, stop, _ = slice(start, stop).indices(self.n_shapes)
        stop = max(start, stop)
        with hdf5.reading(self.path, f"shapes, rows {start} to {stop},"):
            columns = {name: self._file[f"shapes/{name}"][start:stop] for name in _SHAPE_COLUMNS}
            first = columns["first_vertex"]
            base = int(first[0]) if len(first) else 0
            end = int(first[-1] + columns["n_vertices"][-1]) if len(first) else 0
            columns["first_vertex"] = first - base
            found = ShapeRows(
                **columns,
                vertex_x=self._file["vertices/x"][base:end],
                vertex_y=self._file["vertices/y"][base:end],
                attributes=tuple(
                    self._file[f"shapes/attributes/{number}"][start:stop]
                    for number in range(len(self.attributes.name))
                ),
            )
        self._check_range("shapes/roi", found.roi, start, 0, len(self.rois.label))
        self._check_range("shapes/kind", found.kind, start, 0, len(SHAPE_KINDS))
        n = len(found.vertex_x)
        self._check_range("shapes/first_vertex", found.first_vertex, start, 0, n + 1)
        self._check_range("shapes/n_vertices", found.n_vertices, start, 0, n + 1)
        stops = found.first_vertex + found.n_vertices
        self._check_range("shapes/n_vertices", stops, start, 0, n + 1)
        for name, values in (("x", found.vertex_x), ("y", found.vertex_y)):
            if not np.isfinite(values).all():
                raise LayoutError(f"vertices/{name} has a value that is not finite", path=self.path)
        return found

    def shapes_in(self, start_us: int, stop_us: int) -> ShapeRows:
        """Return the shapes of the frames that have a part of ``[start_us, stop_us)``."""
        return self.shapes(*self._rows_in(start_us, stop_us))

    def frames_of_shapes(self) -> Int64Array:
        """Return the frame of each shape, in order."""
        self.check_open()
        with hdf5.reading(self.path, "shapes/frame"):
            frames: Int64Array = self._file["shapes/frame"][:]
        return frames

    def _rows_in(self, start_us: int, stop_us: int | None) -> tuple[int, int]:
        """Return the first row, and one past the last, of the shapes that `shapes_in` returns."""
        self.check_open()
        with hdf5.reading(self.path, "the times of shapes"):
            starts, stops = self._shape_times
            first = bisect_right(stops, start_us)
            return first, self.n_shapes if stop_us is None else bisect_left(starts, stop_us)

    def table(self, start_us: int = 0, stop_us: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return the shapes of the frames that have a part of ``[start_us, stop_us)``, in words.

        Returns
        -------
        Column → (n,) values, which ``pandas.DataFrame`` takes as they are: `frame`, `start_us`,
        `stop_us`, `track`, `label`, `kind`, `x`, `y`, `w`, `h`, `keyframe`, `occluded`, `z_order`,
        `group`, and each attribute as ``attributes.<name>``, in the form of `attribute`.
        """
        rows = self.shapes(*self._rows_in(start_us, stop_us))
        named = {name: getattr(rows, name) for name in ("frame", "start_us", "stop_us")}
        named["track"] = self.rois.track[rows.roi]
        named["label"] = np.array([*self.labels, ""], dtype=object)[self.labels_of(rows.roi)]
        named["kind"] = np.array(SHAPE_KINDS, dtype=object)[rows.kind]
        named |= {name: getattr(rows, name) for name in ("x", "y", "w", "h")}
        named |= {name: getattr(rows, name).astype(bool) for name in ("keyframe", "occluded")}
        named |= {name: getattr(rows, name) for name in ("z_order", "group")}
        for number, name in enumerate(self.attributes.name):
            named[f"attributes.{name}"] = self._in_words(number, rows.attributes[number])
        return named

    def labels_of(self, roi: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return the label of each region, a row of `labels`; −1 where there is none.

        Parameters
        ----------
        roi
            (n,) rows of `rois`, −1 none, as `slice` and `read` give them.
        """
        labels: npt.NDArray[np.int32] = np.append(self.rois.label, np.int32(-1))[roi]
        return labels

    def regions_in(self, k: int, roi: Int32Array) -> Int32Array:
        """Return the regions of the events of slice k, rows of `rois` in order, further ones too.

        Parameters
        ----------
        k
            Number of the slice.
        roi
            The primary regions of its events, as `slice` gives them.
        """
        seen = np.zeros(len(self.rois.label) + 1, dtype=bool)
        seen[roi] = True  # of −1, the last
        for _, more in self.overlaps_of(int(self.windows.start[k]), int(self.windows.stop[k])):
            seen[more] = True
        return np.flatnonzero(seen[:-1]).astype(np.int32)

    def tags_in(self, k: int) -> Int32Array:
        """Return the labels of the tags of frames that have a part of slice k's time, in order."""
        tags, windows = self.tags, self.windows
        inside = (tags.start_us < windows.stop_us[k]) & (tags.stop_us > windows.start_us[k])
        return np.unique(tags.label[inside])

    def regions_of(self, labels: Iterable[str]) -> Callable[[int, int], npt.NDArray[np.bool_]]:
        """Return what tells which rows of the events store are in a region of one of some labels.

        Parameters
        ----------
        labels
            Names of labels.

        Returns
        -------
        Function of (start, stop) rows of the store → (n,) bool. An event counts if any of its
        regions has one of the labels; an event that is not in this file has no region.

        Raises
        ------
        UsageError
            If there is no such label.
        """
        wanted = np.zeros(len(self.labels), dtype=bool)
        for label in map(nfc, labels):
            if label not in self.labels:
                there = f"there are {', '.join(self.labels) or 'none'}"
                raise UsageError(
                    f"has no label {label!r}; {did_you_mean(label, self.labels) or there}",
                    path=self.path,
                )
            wanted[self.labels.index(label)] = True
        of_roi = np.append(wanted[self.rois.label], False)

        def within(start: int, stop: int) -> npt.NDArray[np.bool_]:
            first, last = (
                min(max(row - self.first_row, 0), self.n_events) for row in (start, stop)
            )
            found = np.zeros(stop - start, dtype=bool)
            low = first + self.first_row - start
            found[low : low + last - first] = of_roi[self.roi(first, last)]
            for event, roi in self.overlaps_of(first, last):
                found[low - first + event[of_roi[roi]]] = True
            return found

        return within

    def attribute(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return an attribute of rows ``[start, stop)`` of the shapes.

        Returns
        -------
        (n,) float64 of a number, NaN none; (n,) int8 of a checkbox, −1 none; else (n,) object,
        texts, None where there is none.

        Raises
        ------
        LayoutError
            If no object has an attribute of this name.
        """
        return self._attribute_of("shapes", name, start, stop)

    def tag_attribute(self, name: str) -> npt.NDArray[Any]:
        """Return an attribute of all tags, as `attribute` does of shapes."""
        return self._attribute_of("tags", name)

    def _attribute_of(
        self, group: str, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[Any]:
        self.check_open()
        if name not in self.attributes.name:
            known = ", ".join(self.attributes.name) or "none"
            raise LayoutError(
                f"has no attribute {name!r}; its attributes are: {known}",
                path=self.path,
                hint=hint_of(name, self.attributes.name),
            )
        number = self.attributes.name.index(name)
        with hdf5.reading(self.path, f"{group}/attributes/{number}"):
            return self._in_words(number, self._file[f"{group}/attributes/{number}"][start:stop])

    def _in_words(self, number: int, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values of an attribute, of which a text is stored as its place in a list."""
        if self.attributes.kind[number] in _ATTRIBUTE_DTYPES:
            return column
        texts: npt.NDArray[Any] = np.array([*self.attributes.values[number], None], dtype=object)
        return np.asarray(texts[column])

    @property
    def inputs(self) -> dict[str, str]:
        """Role → ``sha256:…`` of each file that the slices say they were made from."""
        with hdf5.reading(self.path, "its provenance"):
            return digests_in(self._file.attrs.get("inputs"))

    @property
    def alignment(self) -> Alignment:
        """How times and coordinates of the annotation became those of the recording.

        The clock that the slices were made with has the times before that.
        """
        with hdf5.reading(self.path, "its provenance"):
            text = self._file.attrs.get("parameters")
        try:
            said = json.loads(text) if isinstance(text, str) else {}
            return Alignment.recorded(said if isinstance(said, dict) else {})
        except (ValueError, ParameterError) as error:
            raise LayoutError(f"its parameters cannot be read: {error}", path=self.path) from error

    def slice(self, k: int) -> tuple[Events, Int32Array]:
        """Return the events of slice k and their primary regions, −1 none.

        Raises
        ------
        IndexError
            If k is not in ``[0, n)``.
        """
        if not 0 <= k < self.n:
            raise IndexError(f"{self.path.name}: slice {k} is not in 0 to {self.n - 1}")
        return self.read(int(self.windows.start[k]), int(self.windows.stop[k]))

    def read(self, start: int = 0, stop: int | None = None) -> tuple[Events, Int32Array]:
        """Return rows ``[start, stop)`` of the events and their primary regions, −1 none."""
        self.check_open()
        start, stop, _ = slice(start, stop).indices(self.n_events)
        stop = max(start, stop)
        events = hdf5.read_events(self._columns, start, stop, self.sensor, self.path)
        return events, self.roi(start, stop)

    def times(self, start: int, stop: int) -> Int64Array:
        """Return the timestamps of rows ``[start, stop)``, µs, as they are in the file."""
        self.check_open()
        with hdf5.reading(self.path, f"events/t, rows {start} to {stop},"):
            t: Int64Array = self._columns[0][start:stop]
        return t

    def roi(self, start: int, stop: int) -> Int32Array:
        """Return the primary regions of the events of rows ``[start, stop)``, −1 none."""
        self.check_open()
        with hdf5.reading(self.path, f"events/roi, rows {start} to {stop},"):
            roi: Int32Array = self._roi[start:stop]
        self._check_range("events/roi", roi, start, -1, len(self.rois.label))
        return roi

    def rows(self, start_us: int, stop_us: int) -> tuple[int, int]:
        """Return the first row of the events in ``[start_us, stop_us)``, and one past the last."""
        self.check_open()
        with hdf5.reading(self.path, "events/t"):
            first, last = (
                bisect_left(self._columns[0], time_us) for time_us in (start_us, stop_us)
            )
        return first, max(first, last)

    def _table(self, group: str, names: tuple[str, ...]) -> list[npt.NDArray[Any]]:
        return [self._file[f"{group}/{name}"][:] for name in names]

    def _attribute(self, name: str) -> Any:
        if name not in self._file.attrs:
            raise LayoutError(f"attribute {name} is missing", path=self.path)
        return self._file.attrs[name]

    def _check_range(
        self, name: str, values: npt.NDArray[np.integer], first: int, low: int, high: int
    ) -> None:
        """Raise unless values, from row `first` of an array on, are in ``[low, high)``."""
        if not len(values) or (values.min() >= low and values.max() < high):
            return
        row = int(np.argmax((values < low) | (values >= high)))
        raise LayoutError(
            f"{name} is {values[row]}; {low} to {high - 1} is expected",
            path=self.path,
            place=f"row {first + row}",
            hint=hdf5.REBUILD,
        )

    def _check(self) -> None:
        start, stop = self.windows.start, self.windows.stop
        if ((start < 0) | (stop < start) | (stop > self.n_events)).any():
            raise LayoutError(
                f"a slice is not within the file's {self.n_events} events", path=self.path
            )
        for number in range(len(self.attributes.name)):
            for group in ("shapes", "tags"):
                if f"{group}/attributes/{number}" not in self._file:
                    raise LayoutError(
                        f"data set {group}/attributes/{number} is missing", path=self.path
                    )
        for group, table in (("rois", self.rois), ("tags", self.tags)):
            if ((table.label < 0) | (table.label >= len(self.labels))).any():
                raise LayoutError(
                    f"{group}/label is outside the {len(self.labels)} labels", path=self.path
                )
