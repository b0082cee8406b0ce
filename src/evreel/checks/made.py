"""Checks of the files that evreel makes: events stores, slices, features files, boxes."""

from __future__ import annotations

import contextlib
import json
import math
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.checks import dataset, event, label
from evreel.checks.event import Columns, EventCheck
from evreel.checks.finding import Finding, findings, placed, unreadable
from evreel.errors import EvreelError, LayoutError
from evreel.events import Sensor
from evreel.io import hdf5
from evreel.layout import COLUMN_CHUNK, EVENTS, FEATURES, LAYOUTS, SLICES

BOXES = "boxes"
DAMAGED = "damaged"
"""What should be an HDF5 file of some layout, and can't be opened."""

BOXES_SUFFIX = "_bbox.npy"
LABEL_MAP = "label_map_dictionary.json"
LEFT_OUT = ("out_of_bounds_events", "outside_time", "outside_crop", "hot_pixel_events")
"""Counts of events in a store's `repairs`; the others count something else."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NPY = b"\x93NUMPY"
_COLUMNS = tuple(f"events/{name}" for name in "txyp")
_MOST_UNREADABLE = 100
"""So many pieces of a file that can't be read are enough to say so."""

DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError, OverflowError)
"""What libraries raise on damaged bytes."""


@dataclass(frozen=True)
class File:
    """A file to check.

    Parameters
    ----------
    place, path
        Where it is, and how findings name it.
    kind
        Name of its layout, `BOXES` or `DAMAGED`.
    id
        The recording it belongs to.
    """

    place: Path
    path: str
    kind: str
    id: str

    @property
    def folder(self) -> str:
        """Where it lies, as findings name it."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Head:
    """What a file says of its recording; None or empty where it says nothing."""

    file: File
    sensor: Sensor | None = None
    t_offset: int | None = None
    t_stop_us: int | None = None
    n: int | None = None
    labels: tuple[str, ...] | None = None
    store: str | None = None
    left_out: int = 0


def id_of(name: str) -> str:
    """Return the recording that a file's name names.

    Examples
    --------
    >>> id_of("street_bbox.npy"), id_of("street.h5"), id_of("17-04_td.dat")
    ('street', 'street', '17-04')
    """
    stem = name.removesuffix(BOXES_SUFFIX) if name.endswith(BOXES_SUFFIX) else Path(name).stem
    return stem.removesuffix("_td").removesuffix("_cd")


def kind_of(place: Path) -> str | None:
    """Return the kind of a file that evreel makes, by its content; None for any other."""
    try:
        if not stat.S_ISREG(place.stat().st_mode):  # to open a pipe would wait for its other end
            return None
        if place.name.endswith(BOXES_SUFFIX):
            return BOXES
        with place.open("rb") as file:
            magic = file.read(len(_HDF5))
    except OSError:
        return DAMAGED if place.suffix == ".h5" else None
    if magic != _HDF5:
        return DAMAGED if place.suffix == ".h5" else None
    try:
        with h5py.File(place, "r", locking=False) as file:
            name = file.attrs.get("layout")
    except DAMAGE:
        return DAMAGED
    return name if isinstance(name, str) and name in LAYOUTS else None


def read_head(file: File) -> Head:
    """Return what a file says of its recording, as far as it can be read."""
    if file.kind not in LAYOUTS:
        return Head(file)
    try:
        with h5py.File(file.place, "r", locking=False) as h5:
            hdf5.check_layout(h5, file.place, LAYOUTS[file.kind])
            t_offset = int(h5["t_offset"][()])
            digest = _json(h5, "inputs").get("store")
            store = digest if isinstance(digest, str) else None
            if file.kind == FEATURES.name:
                data = h5["data"].attrs
                size = int(data["event_input_height"]), int(data["event_input_width"])
                return Head(file, Sensor.checked(*size), t_offset, store=store)
            return Head(
                file,
                Sensor.checked(int(h5["events/height"][()]), int(h5["events/width"][()])),
                t_offset,
                int(h5.attrs["t_stop_us"]),
                len(h5["events/t"]),
                _names(h5) if file.kind == SLICES.name else None,
                store,
                left_out(h5),
            )
    except (EvreelError, *DAMAGE):
        return Head(file)


def left_out(h5: h5py.File) -> int:
    """Return how many events a store says were left out of its recording."""
    repairs = _json(h5, "repairs")
    return sum(n for name in LEFT_OUT if type(n := repairs.get(name)) is int)


def _json(h5: h5py.File, name: str) -> dict[str, Any]:
    try:
        value = json.loads(h5.attrs[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _names(h5: h5py.File) -> tuple[str, ...] | None:
    dataset_ = h5["labels/name"]
    return tuple(dataset_.asstr()[:]) if is_whole(dataset_) else None


def is_whole(dataset_: h5py.Dataset) -> bool:
    """Tell whether all of a data set is stored: what is not, HDF5 reads as zeros."""
    if not dataset_.size:
        return True
    if dataset_.is_virtual or dataset_.external:
        return False
    if dataset_.chunks is None:
        return bool(dataset_.id.get_storage_size())
    expected = math.prod(
        -(-size // chunk) for size, chunk in zip(dataset_.shape, dataset_.chunks, strict=True)
    )
    return bool(dataset_.id.get_num_chunks() == expected)


def cut(error: BaseException) -> tuple[str, str]:
    """Return place and problem of an exception, as a finding shows them."""
    if isinstance(error, EvreelError):
        hint = f"; {error.hint[0].lower()}{error.hint[1:].rstrip('.')}" if error.hint else ""
        return error.place or "", f"{error.problem}{hint}"
    return "", f"can't be read: {error or type(error).__name__}"


def as_findings(path: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; what is raised on the way is a finding too."""
    try:
        yield from check()
    except (EvreelError, *DAMAGE) as error:
        place, problem = cut(error)
        yield from findings("readable", path, unreadable(problem, place))


def check_files(
    files: Sequence[File],
    others: Sequence[Head] = (),
    labels: Callable[[File], Collection[int] | None] = lambda file: None,
    done: Callable[[File], None] = lambda file: None,
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
    """
    heads: dict[str, list[Head]] = {}
    for head in [*map(read_head, files), *others]:
        heads.setdefault(head.file.id, []).append(head)
    for file in files:
        known = Known(file, heads[file.id], labels(file))
        yield from as_findings(file.path, lambda f=file, k=known: _CHECKS[f.kind](f, k))  # type: ignore[misc]
        done(file)
    for group in heads.values():
        yield from _made_from(group)


class Known:
    """What is known of a file's recording from the files beside it.

    Files of the same folder are believed first; what the rest contradict each other on is not
    known.
    """

    def __init__(
        self, file: File, heads: Sequence[Head], labels: Collection[int] | None = None
    ) -> None:
        others = [head for head in heads if head.file != file]
        near = [head for head in others if head.file.folder == file.folder]
        self.sensor = _only("sensor", near, others)
        self.t_stop_us = _only("t_stop_us", near, others)
        self.n = _only("n", near, others)
        named = _only("labels", near, others)
        self.labels = range(len(named)) if labels is None and named is not None else labels
        stores = [head for head in others if head.file.kind == EVENTS.name]
        self.store = stores[0] if len(stores) == 1 else None
        clocks = {head.t_offset for head in near or others if head.file.kind == "recording"}
        self.camera_start_us = clocks.pop() if len(clocks) == 1 else None


def _only(name: str, *choices: Sequence[Head]) -> Any:
    for heads in choices:
        values = {getattr(head, name) for head in heads} - {None}
        if values:
            return values.pop() if len(values) == 1 else None
    return None


def _made_from(heads: Sequence[Head]) -> Iterator[Finding]:
    """Yield which files of a recording were made from other stores."""
    from evreel.io.repack import needs_plugin
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
    yield from placed("made_from", dataset.made_from(files, own))


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
        yield from findings(name, path, check.finish())
    if failure is not None:
        raise failure


class _Reader:
    """Reads raw columns piece by piece; a piece that can't be read is counted and left out."""

    def __init__(self, h5: h5py.File) -> None:
        self._h5 = h5
        self._bad: dict[str, tuple[int, str, str]] = {}

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

    def whole(self, name: str) -> npt.NDArray[Any] | None:
        """Return a whole data set, None where it can't be read."""
        pieces = self.piece([name], 0, len(self._h5[name]))
        return None if pieces is None else np.asarray(pieces[0])

    def columns(self) -> Iterator[Columns]:
        """Yield the events."""
        n = len(self._h5["events/t"])
        for first in range(0, n, COLUMN_CHUNK):
            pieces = self.piece(_COLUMNS, first, min(first + COLUMN_CHUNK, n))
            if pieces is not None:
                yield Columns(first, *(np.asarray(column).astype(np.int64) for column in pieces))

    def problems(self, path: str) -> Iterator[Finding]:
        """Yield what could not be read."""
        for n, place, problem in self._bad.values():
            more = f", the first of {n:,} such pieces" if n > 1 else ""
            text = f"can't be read{more}: {problem}; build or download it again"
            yield from findings("readable", path, unreadable(text, place))


@contextlib.contextmanager
def _opened(file: File) -> Iterator[h5py.File]:
    """Give a file whose form is right and whose arrays are all there."""
    if not file.place.stat().st_size:
        raise LayoutError("is empty", hint=hdf5.REBUILD)
    with hdf5.open_hdf5(file.place) as h5:
        hdf5.check_layout(h5, file.place, LAYOUTS[file.kind])
        for array in LAYOUTS[file.kind].arrays:
            if array.name in h5 and not is_whole(h5[array.name]):
                raise LayoutError(
                    f"not all of {array.name} is in the file; HDF5 would read zeros",
                    hint=hdf5.REBUILD,
                )
        yield h5


def _store(file: File, known: Known) -> Iterator[Finding]:
    with _opened(file) as h5:
        reader = _Reader(h5)

        def entries(first: int, stop: int) -> npt.NDArray[Any] | None:
            pieces = reader.piece(["ms_to_idx"], first, stop)
            return None if pieces is None else pieces[0]

        n = len(h5["events/t"])
        changed = any(_json(h5, "repairs").values())
        checks = event_checks(_sensor(h5)) | {
            "index": event.Index(entries, len(h5["ms_to_idx"]), n),
            "time_zero": event.TimeZero(int(h5.attrs["t_stop_us"]), changed, n),
        }
        yield from run(file.path, reader.columns(), checks)
        yield from reader.problems(file.path)


def _slices(file: File, known: Known) -> Iterator[Finding]:
    with _opened(file) as h5, contextlib.ExitStack() as stack:
        reader = _Reader(h5)
        checks = event_checks(_sensor(h5))
        spans = [reader.whole(f"labelled/{name}") for name in ("start_us", "stop_us")]
        if spans[0] is not None and spans[1] is not None and len(spans[0]):
            checks["label_span"] = event.LabelSpan(int(spans[0].min()), int(spans[1].max()))
        if known.store is not None and known.store.n is not None:
            theirs = _Reader(stack.enter_context(hdf5.open_hdf5(known.store.file.place)))

            def rows(first: int, stop: int) -> list[npt.NDArray[Any]] | None:
                return theirs.piece(_COLUMNS, first, stop)

            first_row = int(h5["first_row"][()])
            checks["other_events"] = event.SameEvents(rows, first_row, known.store.n)
        yield from run(file.path, reader.columns(), checks)
        yield from _tables(file, h5, reader)
        yield from reader.problems(file.path)


def _tables(file: File, h5: h5py.File, reader: _Reader) -> Iterator[Finding]:
    """Yield what is wrong with the tables of a slices file."""
    n_events, path = len(h5["events/t"]), file.path
    n_rois, n_labels = len(h5["rois/label"]), len(h5["labels/name"])
    cut_at = [reader.whole(f"slices/{name}") for name in ("start", "stop", "start_us", "stop_us")]
    start, stop, start_us, stop_us = cut_at
    if start is not None and stop is not None and start_us is not None and stop_us is not None:
        yield from findings(
            "slice_rows", path, label.slice_rows(start, stop, start_us, stop_us, n_events)
        )
        outside = int(h5.attrs["events_outside_slices"])
        yield from findings("slice_count", path, label.slice_count(start, stop, n_events, outside))
    regions = event.Regions(n_rois)
    for name, none in (("events/roi", -1), ("overlaps/roi", 0)):
        for first in range(0, len(h5[name]), COLUMN_CHUNK):
            pieces = reader.piece([name], first, first + COLUMN_CHUNK)
            if pieces is not None:
                regions.add(name, first, pieces[0], none)
    yield from findings("roi", path, regions.finish())
    overlaps = reader.whole("overlaps/event")
    if overlaps is not None:
        yield from findings("overlap_rows", path, label.overlap_rows(overlaps, n_events))
    t_stop_us = int(h5.attrs["t_stop_us"])
    frame_us = _frame_us([reader.whole(f"tags/{name}") for name in ("start_us", "stop_us")])
    for table in ("rois", "tags", "labelled"):
        numbers = None if table == "labelled" else reader.whole(f"{table}/label")
        if numbers is not None:
            yield from findings("label_number", path, label.label_number(table, numbers, n_labels))
        ends = reader.whole(f"{table}/stop_us")
        if ends is not None:
            # A region that labels no frame has no time: −1.
            times = np.where(ends == -1, 0, ends) if table == "rois" else ends
            yield from findings(
                "beyond", path, label.beyond(f"{table} row", times, t_stop_us, frame_us)
            )


def _frame_us(tag: Sequence[npt.NDArray[Any] | None]) -> int | None:
    """Return the duration of the longest frame that carries a tag, None where none does."""
    start_us, stop_us = tag
    if start_us is None or stop_us is None or not len(start_us):
        return None
    return max(0, int((stop_us - start_us).max()))


def _features(file: File, known: Known) -> Iterator[Finding]:
    from evreel.io.features import FeaturesFile

    with _opened(file), FeaturesFile(file.place) as features:
        unread: list[tuple[int, str]] = []

        def frames() -> Iterator[tuple[int, npt.NDArray[Any]]]:
            for k in range(len(features)):
                try:
                    frame = features.read(k)
                except (EvreelError, *DAMAGE) as error:
                    unread.append((k, cut(error)[1]))
                    if len(unread) > _MOST_UNREADABLE:
                        return
                    continue
                yield k, frame

        yield from findings("feature_values", file.path, label.feature_values(frames()))
        if unread:
            k, problem = unread[0]
            more = f", the first of {len(unread)} such windows" if len(unread) > 1 else ""
            yield from findings(
                "readable", file.path, unreadable(f"{problem}{more}", f"window {k}")
            )
        if known.n is not None:
            windows = features.windows
            yield from findings(
                "feature_windows",
                file.path,
                label.feature_windows(
                    windows.start, windows.stop, known.t_stop_us, windows.start_us, known.n
                ),
            )


def _damaged(file: File, known: Known) -> Iterator[Finding]:
    if not file.place.stat().st_size:
        raise LayoutError("is empty", hint=hdf5.REBUILD)
    hdf5.open_hdf5(file.place).close()
    problem = "was found damaged when it was opened, and was not the next time"
    yield from findings("readable", file.path, unreadable(problem))


def _boxes(file: File, known: Known) -> Iterator[Finding]:
    boxes = read_boxes(file.place)
    if known.camera_start_us is not None:
        boxes = since_start(boxes, known.camera_start_us)
    path = file.path
    yield from findings("box_number", path, label.box_number(boxes))
    yield from findings("box_size", path, label.box_size(boxes))
    yield from findings("box_order", path, label.box_order(boxes))
    yield from findings("frozen_box", path, label.frozen_box(boxes))
    if known.sensor is not None:
        yield from findings("box_outside", path, label.box_outside(boxes, known.sensor))
    if known.labels is not None:
        yield from findings("box_class", path, label.box_class(boxes, known.labels))
    if known.t_stop_us is not None:
        yield from findings("beyond", path, label.beyond("record", boxes.t, known.t_stop_us))


def read_boxes(place: Path) -> label.Boxes:
    """Return the boxes of a ``.npy`` in any of Metavision's layouts, in whatever order.

    Raises
    ------
    LayoutError
        Where the file is none, is cut short, or holds other records.
    """
    size = place.stat().st_size
    try:
        with place.open("rb") as file:
            if not size or not file.read(len(_NPY)) == _NPY:
                raise ValueError("is empty" if not size else "is no .npy file")
            file.seek(0)
            version = np.lib.format.read_magic(file)
            head = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            if version not in head:
                raise ValueError(f"is a .npy file of version {version}; 1.0 or 2.0 is expected")
            shape, _, dtype = head[version](file)
            if len(shape) != 1 or dtype.names is None or dtype.hasobject:
                raise ValueError(f"holds {dtype} in {len(shape)} dimensions; records are expected")
            # Looked at first: memory is taken for as many as are announced.
            there = (size - file.tell()) // max(dtype.itemsize, 1)
            if not 0 <= shape[0] <= there:
                raise ValueError(f"holds {there:,} of {shape[0]:,} records")
            return label.boxes_of(np.fromfile(file, dtype=dtype, count=shape[0]))
    except DAMAGE as error:
        problem = str(error).split("\n")[0] or type(error).__name__
        raise LayoutError(problem, path=place, hint="Export or download it again.") from error


def since_start(boxes: label.Boxes, camera_start_us: int) -> label.Boxes:
    """Return boxes with times since the first event, where theirs are on the camera's clock.

    A data set says nowhere which clock its boxes have: where none is before the recording's
    start on the camera's clock, it is that.
    """
    on_camera_clock = len(boxes.t) and int(boxes.t.min()) >= camera_start_us
    return boxes._replace(t=boxes.t - camera_start_us) if on_camera_clock else boxes


def _sensor(h5: h5py.File) -> Sensor:
    return Sensor.checked(int(h5["events/height"][()]), int(h5["events/width"][()]))


_CHECKS: Mapping[str, Callable[[File, Known], Iterator[Finding]]] = {
    EVENTS.name: _store,
    SLICES.name: _slices,
    FEATURES.name: _features,
    BOXES: _boxes,
    DAMAGED: _damaged,
}
