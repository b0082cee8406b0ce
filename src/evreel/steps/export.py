"""Slices, a release, an annotation or recordings, written in the layout of another tool."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from evreel import __version__
from evreel.dataset.settings import AnnotateSettings, EventsSettings
from evreel.errors import AnnotationError, LayoutError, RecordingError, UsageError
from evreel.exports.rvt_labels import RvtSettings
from evreel.folders import bag_of, folder_of
from evreel.layout import BOXES_SUFFIX
from evreel.outputs import Progress, atomic, refused, scratch_path, silent
from evreel.provenance import canonical_json, content_sha256, sha256
from evreel.recordings.open import FORMATS, STRICT, Reading
from evreel.samples.splits import SPLITS
from evreel.steps.annotate import read_annotations
from evreel.steps.common import LOG, hashed, named
from evreel.steps.events import decoding_threads, events

if TYPE_CHECKING:
    from evreel.exports.exported import Exported
    from evreel.release.open import ReleasedRecording
    from evreel.timebase import FrameClock

RECORD = "export.json"
"""What an export was made from, and what it does not hold."""

_LONGEST_NAME = 200
"""Bytes of a recording's name; with what is added to it, file systems take 255."""

_HDF5 = b"\x89HDF\r\n\x1a\n"


def export(
    source: str | Path,
    output: str | Path,
    layout: str,
    *,
    clock: str | Path | None = None,
    store: str | Path | None = None,
    pictures: str | Path | None = None,
    boxes: str | Path | None = None,
    labels: Sequence[str] | None = None,
    name: str | None = None,
    task: str | None = None,
    outlines: bool = False,
    sized: bool = False,
    rvt: RvtSettings | None = None,
    sensor: str | None = None,
    stream: int | str | None = None,
    format: str | None = None,  # noqa: A002
    reading: Reading = STRICT,
    threads: int | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Write slices, a release, an annotation or recordings in the layout of another tool.

    Parameters
    ----------
    source
        Annotated slices; or a release's folder; or an annotation, in any form that
        `evreel.annotations` reads. For ``rvt`` also a recording or store, with `boxes`; or a
        folder with folders ``train``, ``val`` and ``test``, which have recordings or stores, and
        for each of them ``<recording>_bbox.npy``.
    output
        The folder to make, or the file of a layout of events; it must not exist.
    layout
        One of `evreel.exports.layouts.LAYOUTS`; or, of a recording or an events store alone, of
        `evreel.exports.layouts.EVENT_LAYOUTS`.
    clock
        The clock of the annotated frames: needed for an annotation, and for slices whose frames
        are not regular. A release has it.
    store
        Events store, to go along with ``dsec-det``, and needed for ``rvt``. A release has it.
    pictures
        Zip of PNG frames, to go along with ``coco``, ``mot``, ``yolo`` and ``dsec-det``.
    boxes
        EventBbox records of the recording, ``.npy``; for ``rvt``.
    labels
        Label names in the order of their numbers; None takes the source's.
    name
        What the recording is called; None takes the source's name.
    task
        Number or name of the task, if the source is an export of a project; None takes the one
        that is called as the recording or its clock.
    outlines
        Write outlines instead of boxes, for segmentation; ``yolo`` only.
    sized
        State the sensor's size in a comment, which is the first line; ``csv`` only.
    rvt
        What ``rvt`` writes; it must be given for it.
    sensor, stream, format, reading
        How recordings are read, as `evreel.steps.events` takes it: the size of those that do not
        state it, as ``WIDTHxHEIGHT`` px; which event stream, of several; the format, if the
        content does not show it; where the columns are, and how events and files that break a rule
        are handled. For ``rvt`` and layouts of events. For ``rvt``, None as size takes that of the
        data set whose rules are applied.
    threads
        How many write a layout of events; None: one per core. Bytes do not depend on it.
    progress
        Told of each window of ``rvt``, and of events.

    Returns
    -------
    What the layout cannot hold: sentence → how often. ``export.json`` in a folder has it too, and a
    file with the events of a recording, if it has room for it. Such a file also says how the
    recording was read, and what of it was changed or left out by that; so does the log.

    Raises
    ------
    UsageError
        If the output exists, the source lacks what the layout needs, or the layout does not take
        what is given.
    ClockError
        If the slices were made with another clock.
    """
    from evreel.exports.layouts import EVENT_LAYOUTS, LAYOUTS, usable

    source, output = Path(source), Path(output)
    how = _How(sensor, stream, format, reading)
    if sized and layout != "csv":
        raise UsageError("sized is a choice of the layout csv alone; others state the size")
    if layout in EVENT_LAYOUTS:
        beside: dict[str, object] = {"clock": clock, "store": store, "pictures": pictures}
        beside |= {"boxes": boxes, "labels": labels, "name": name, "task": task, "rvt": rvt}
        beside["outlines"] = outlines or None
        for role, value in beside.items():
            if value is not None:
                raise UsageError(f"{role} does not go with the layout {layout}, of events alone")
        more: dict[str, Any] = {"sized": True} if sized else {}
        return _export_events(source, output, layout, how, threads, progress, more)
    if layout not in LAYOUTS:
        known = ", ".join((*LAYOUTS, *EVENT_LAYOUTS))
        raise UsageError(f"layout {layout!r} is not one of {known}")
    if outlines and layout != "yolo":
        raise UsageError("outlines are a choice of the layout yolo alone")
    of_boxes = LAYOUTS[layout].of_boxes
    if threads is not None:
        raise UsageError(f"threads go with {', '.join(EVENT_LAYOUTS)} alone, not with {layout}")
    if not of_boxes and rvt is not None:
        raise UsageError(f"settings of the layout rvt do not go with {layout}")
    if not of_boxes and how.given:
        raise UsageError(
            f"{how.given} is for reading a recording; the layout {layout} is not of one"
        )
    if of_boxes and (rvt is None or rvt.filter is None):
        raise UsageError(
            "the layout rvt needs a filter", hint="Give --filter gen1 or --filter gen4."
        )
    for role, path in (("pictures", pictures), ("store", store), ("boxes", boxes)):
        if path is not None and role not in LAYOUTS[layout].takes:
            taking = ", ".join(name for name, each in LAYOUTS.items() if role in each.takes)
            raise UsageError(f"{role} cannot go along with the layout {layout}, only with {taking}")
    _check_new(output, "folder")
    if rvt is not None and (boxes is not None or _is_of_splits(source)):
        given = {"clock": clock, "store": store, "pictures": pictures, "labels": labels}
        _check_alone(source, **given, task=task)
        if boxes is not None and _is_several(source, how):
            raise UsageError("is a folder; --boxes are of one recording", path=source)
        items, inputs = _of_recordings(source, boxes, name, rvt.boxes_clock)
        n_without = _n_without_boxes(source, items) if boxes is None else 0
    else:
        if of_boxes and (_is_store(source) if _is_hdf5(source) else _is_recording(source)):
            raise UsageError(
                "is a recording; the layout rvt needs its boxes too",
                path=source,
                hint="Give them with --boxes.",
            )
        items, inputs = _items(source, clock, store, pictures, labels, name, task)
        n_without = 0
    chosen = usable(items, layout)
    if not chosen and of_boxes:
        raise UsageError(
            "has no events with boxes",
            path=source,
            hint="Give a store with --store, or boxes with --boxes; or a release with both.",
        )
    if not chosen:
        if LAYOUTS[layout].of_slices:
            raise UsageError(
                "has no events", path=source, hint="Give slices, or a release with slices."
            )
        raise UsageError(
            "does not say when its frames are", path=source, hint="Give their clock with --clock."
        )
    for item in chosen:
        if not _is_name(item.id):
            raise UsageError(
                f"{item.id!r} cannot be the name of a folder in every system",
                path=source,
                hint="Give another with --name.",
            )
    n_without += len(items) - len(chosen)
    lost: Counter[str] = Counter()
    remarks: Counter[str] = Counter()
    with atomic(output, inputs=[clock, store, pictures, boxes]) as (scratch,):
        scratch.mkdir()
        more = {"outlines": True} if outlines else {}
        if rvt is not None:
            more = {"settings": rvt, "remarks": remarks, "progress": progress}
            decoded = _decoded(chosen, output, rvt, how, remarks)
            lost.update(LAYOUTS[layout].write(decoded, scratch, **more))
        else:
            lost.update(LAYOUTS[layout].write(chosen, scratch, **more))
        if of_boxes:
            chosen = [item for item in chosen if (scratch / item.split / item.id).is_dir()]
        for item in chosen:
            lost.update({} if LAYOUTS[layout].of_slices else item.lost)
        without = "boxes" if of_boxes else "an annotation"
        lost[f"recordings without {without}, left out"] += n_without
        held = {what: int(n) for what, n in lost.items() if n}
        record = _record(
            layout,
            recordings=[item.id for item in chosen],
            inputs=inputs,
            not_held=held,
            **({"remarks": dict(remarks)} if remarks else {}),
        )
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (scratch / RECORD).write_text(text, encoding="utf-8", newline="\n")
    LOG.info(
        "%s: %d %s", output.name, len(chosen), "recordings" if len(chosen) > 1 else "recording"
    )
    for what, n in held.items():
        LOG.warning("%s: does not hold: %d %s", output.name, n, what)
    for what, n in remarks.items():
        LOG.info("%s: has %d %s", output.name, n, what)
    return held


def _record(layout: str, **more: object) -> dict[str, object]:
    """Return what an export says of itself."""
    return {"evreel_version": __version__, "layout": layout, **more}


def _check_new(output: Path, kind: str) -> None:
    if output.exists() or output.is_symlink():
        raise UsageError(
            "already exists", place=str(output), hint=f"Choose another {kind}, or remove this one."
        )


class _How(NamedTuple):
    """How recordings are read: what `export` takes by these names."""

    sensor: str | None
    stream: int | str | None
    format: str | None
    reading: Reading

    @property
    def given(self) -> str:
        """Names of what is given, as options are called; empty if nothing is."""
        return ", ".join(self.plain()).replace("_", "-")

    def plain(self) -> dict[str, Any]:
        """Return what is given as JSON values, name → value."""
        said = {name: value for name, value in self._asdict().items() if value is not None}
        strict = STRICT.plain()
        own = said.pop("reading").plain()
        return said | {name: value for name, value in own.items() if value != strict.get(name)}

    def check_store(self, path: Path) -> None:
        """Raise `UsageError` of a store if there are options for decoding."""
        given = self._replace(sensor=None, format=None).given
        if given:
            raise UsageError(
                f"is a store; {given} is for recordings that are still to be decoded",
                path=path,
                hint="Leave it out, or give the recording itself.",
            )


def _export_events(
    source: Path,
    output: Path,
    layout: str,
    how: _How,
    threads: int | None,
    progress: Progress,
    own: Mapping[str, Any],
) -> dict[str, int]:
    """Write the events of a recording or store in a layout of one file, which has own choices."""
    from evreel.events import Sensor
    from evreel.exports.layouts import EVENT_LAYOUTS
    from evreel.files.events_store import EventsStore
    from evreel.recordings.open import open_recording
    from evreel.threads import Crew, checked_threads

    _check_new(output, "file")
    if _is_several(source, how):
        raise UsageError(
            f"is a folder; the layout {layout} is of one recording",
            path=source,
            hint="Give a recording or an events store. A release has stores in events/. If its "
            "npz, npy or text files are one recording, say where its columns are: --columns.",
        )
    size = None if how.sensor is None else Sensor.parse(how.sensor)
    threads = checked_threads(threads)
    decoding = decoding_threads(threads)
    with (
        open_recording(
            source,
            stream=how.stream,
            sensor=size,
            format=how.format,
            reading=how.reading,
            threads=decoding,
        ) as recording,
        Crew(threads - decoding + 1) as crew,
        atomic(output, inputs=[source]) as (scratch,),
    ):
        if isinstance(recording, EventsStore):
            how.check_store(source)
        writer = EVENT_LAYOUTS[layout]
        digest = hashed(crew, source) if writer.noted else None

        def note(not_held: Mapping[str, int]) -> str:
            assert digest is not None
            record = _record(
                layout,
                inputs={"source": digest.result()},
                parameters=how.plain(),
                repairs=dict(recording.repairs),
                not_held=not_held,
            )
            return canonical_json(record)

        n = 0

        def counting(done: int, total: int | None) -> None:
            nonlocal n
            n = done
            progress(done, total)

        more = {**own, "note": note} if writer.noted else own
        try:
            lost = dict(writer.write(recording, scratch, crew=crew, progress=counting, **more))
        except OSError as error:
            raise refused(output, error) from error
        repairs = dict(recording.repairs)
        if not n and any(repairs.values()):
            raise RecordingError(
                f"no events are left{named(repairs)}",
                path=source,
                hint="Copy or download it again if it is damaged; else check the on_… options.",
            )
    if any(repairs.values()):
        LOG.info("%s: changed or left out%s", source.name, named(repairs))
    for what, n in lost.items():
        LOG.warning("%s: does not hold: %d %s", output.name, n, what)
    return lost


def _is_several(source: Path, how: _How) -> bool:
    """Return whether a source is a folder that is not read as one recording."""
    is_one = how.reading.columns is not None or bag_of(source) is not None
    return not is_one and folder_of(source) is not None


def _items(
    source: Path,
    clock: str | Path | None,
    store: str | Path | None,
    pictures: str | Path | None,
    labels: Sequence[str] | None,
    name: str | None,
    task: str | None,
) -> tuple[list[Exported], dict[str, str]]:
    """Return the recordings of a source, and the digests of what they are read from."""
    from evreel.release.manifest import MANIFEST

    beside = {"clock": clock, "store": store, "pictures": pictures}
    if (source / MANIFEST).is_file():
        given = [role for role, path in beside.items() if path is not None]
        own = {"labels": labels, "name": name, "task": task}
        given += [role for role, value in own.items() if value is not None]
        if given:
            wrong = given[0]
            raise UsageError(f"{wrong} does not go with a release, which has its own")
        return _of_release(source), {"manifest": content_sha256(source / MANIFEST)}
    inputs = {role: content_sha256(path) for role, path in beside.items() if path is not None}
    inputs |= {"source": content_sha256(source)} if source.exists() else {}
    if _is_hdf5(source):
        if task is not None:
            raise UsageError("task does not go with slices, which are of one")
        item = _of_slices(source, clock, labels, name)
    else:
        item = _of_annotation(source, clock, labels, name, task)
    return [_with(item, store, pictures)], inputs


def _is_of_splits(source: Path) -> bool:
    """Return whether a folder has recordings by split, and is no release."""
    from evreel.release.manifest import MANIFEST

    has_splits = any((source / split).is_dir() for split in SPLITS)
    return has_splits and not (source / MANIFEST).exists()


def _check_alone(source: Path, **given: object) -> None:
    """Raise if something is given that does not go with recordings and boxes."""
    for role, value in given.items():
        if value is not None:
            raise UsageError(f"{role} does not go with a recording and its boxes", path=source)


def _of_recordings(
    source: Path,
    boxes: str | Path | None,
    name: str | None,
    boxes_clock: Literal["source", "recording"] | None,
) -> tuple[list[Exported], dict[str, str]]:
    """Return recordings with the boxes beside them, and the digests of the boxes."""
    if boxes is not None:
        item = _of_recording_with(name or _stem(source), "train", source, Path(boxes), boxes_clock)
        return [item], {"boxes": sha256(boxes)}
    if name is not None:
        raise UsageError("name does not go with several recordings", path=source)
    items, inputs = [], {}
    for split in SPLITS:
        for path in sorted((source / split).glob(f"*{BOXES_SUFFIX}")):
            id_ = path.name.removesuffix(BOXES_SUFFIX)
            recording = _recording_of(path.parent, id_)
            items.append(_of_recording_with(id_, split, recording, path, boxes_clock))
            inputs[f"{split}/{path.name}"] = sha256(path)
    if not items:
        raise UsageError(
            f"has no boxes, <recording>{BOXES_SUFFIX}, in {', '.join(SPLITS)}", path=source
        )
    return items, inputs


def _n_without_boxes(source: Path, items: Sequence[Exported]) -> int:
    """Return how many recordings in the folders of splits have no boxes beside them."""
    known = {(item.split, item.id) for item in items}
    others = {
        (split, _stem(path))
        for split in SPLITS
        if (source / split).is_dir()
        for path in (source / split).iterdir()
        if (split, _stem(path)) not in known and _is_recording(path)
    }
    return len(others)


def _is_recording(path: Path) -> bool:
    """Return whether a file begins like a recording, and is no array or zip of anything."""
    if (
        path.suffix in (".npy", ".npz", ".zip", ".gz")
        or path.name.startswith(".")
        or not path.is_file()
    ):
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return any(form.start and head.startswith(form.start) for form in FORMATS)


def _of_recording_with(
    id_: str,
    split: str,
    recording: Path,
    boxes: Path,
    boxes_clock: Literal["source", "recording"] | None,
) -> Exported:
    from evreel.exports.exported import Exported
    from evreel.files.boxes import origin_path, read_published_boxes, read_records
    from evreel.video.picture import Picture

    found = read_published_boxes(boxes)  # checks them, and knows older names of fields
    records = read_records(boxes)
    if {"t", "class_confidence"} <= set(records.dtype.names or ()):
        found = records
    if boxes_clock is None:
        boxes_clock = "recording" if origin_path(boxes).exists() else "source"
    return Exported(
        *(id_, split, None, None, Picture((1, 1))),
        store=recording,
        boxes=found,
        boxes_clock=boxes_clock,
    )


_HEAD_BYTES = 64
_ENDS = ("_td.dat.h5", "_td.h5", "_td.dat", "_td.raw")
"""Ends of names that RVT's inputs and Prophesee's have, the first that is there before others."""


def _stem(path: Path) -> str:
    end = next((end for end in _ENDS if path.name.endswith(end)), path.suffix)
    return path.name.removesuffix(end)


def _recording_of(folder: Path, id_: str) -> Path:
    """Return the recording or store whose boxes are called ``<id>_bbox.npy``."""
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and _stem(path) == id_ and path.suffix != ".json"
    )
    preferred = [path for end in _ENDS for path in found if path.name == id_ + end]
    if preferred or len(found) == 1:
        return (preferred or found)[0]
    there = f"there are {', '.join(path.name for path in found)}" if found else "there is none"
    raise AnnotationError(
        f"its recording is expected beside it, as {id_}_td.h5, or as {id_} with any suffix; "
        f"{there}",
        path=folder / f"{id_}{BOXES_SUFFIX}",
        hint="Put one recording there under this name, or take the boxes away.",
    )


def _decoded(
    items: Sequence[Exported],
    output: Path,
    settings: RvtSettings,
    how: _How,
    remarks: Counter[str],
) -> Iterator[Exported]:
    """Yield recordings with a store each, decoded temporarily where there is none yet."""
    from evreel.files.events_store import EventsStore
    from evreel.recordings.open import open_recording

    columns = Reading(columns=how.reading.columns)
    for item in items:
        assert item.store is not None
        size = how.sensor
        try:
            with open_recording(
                item.store, stream=how.stream, format=how.format, reading=columns
            ) as opened:
                is_store = isinstance(opened, EventsStore)
        except RecordingError:
            is_store = False
            if size is None:
                size = "{1}x{0}".format(*settings.rules.sensor)
                remarks[f"recordings that do not state their size, taken as {size} px"] += 1
        if is_store:
            how.check_store(item.store)
            yield item
            continue
        with scratch_path(output.with_name(f"{item.id}.h5")) as store:
            wanted = EventsSettings(**how.reading.plain(), stream=how.stream)
            events(item.store, store, wanted, sensor=size, format=how.format)
            yield replace(item, store=store)


def _is_name(text: str) -> bool:
    """Return whether a text names a file within a folder, wherever the folder is copied to."""
    return (
        text not in (".", "..")
        and text.isprintable()
        and text == text.strip() != ""
        and not {"/", "\\"} & set(text)
        and len(text.encode()) <= _LONGEST_NAME
    )


def _is_store(path: Path) -> bool:
    from evreel.files.events_store import EventsStore

    with contextlib.suppress(LayoutError), EventsStore(path):
        return True
    return False


def _is_hdf5(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _with(item: Exported, store: str | Path | None, pictures: str | Path | None) -> Exported:
    from evreel.files.events_store import EventsStore

    if pictures is not None:
        item = replace(item, pictures=Path(pictures))
    if store is None:
        return item
    with EventsStore(store) as opened:
        return replace(item, store=Path(store), t_offset=opened.t_offset)


def _clock_of(path: str | Path | None) -> FrameClock | None:
    from evreel.files.clock import read_clock

    return None if path is None else read_clock(path)[0]


def _of_slices(
    source: Path, clock: str | Path | None, labels: Sequence[str] | None, name: str | None
) -> Exported:
    from evreel.exports.exported import of_slices
    from evreel.files.slices import SlicesFile
    from evreel.viz.moments import clock_of

    if labels is not None:
        raise UsageError("labels do not go with slices, which have their own")
    if clock is not None:
        with SlicesFile(source) as opened:
            clock_of(opened, clock)  # checks that it is theirs
    return of_slices(source, name or source.stem, "train", _clock_of(clock))


def _of_annotation(
    source: Path,
    clock: str | Path | None,
    labels: Sequence[str] | None,
    name: str | None,
    task: str | None,
) -> Exported:
    from evreel.annotations.open import form_of
    from evreel.annotations.regions import Regions
    from evreel.exports.exported import Exported
    from evreel.files.clock import read_clock
    from evreel.video.picture import Picture

    form_of(source)
    if clock is None:
        raise UsageError("needs the clock of its frames", path=source, hint="Give it with --clock.")
    frames, picture, _ = read_clock(clock)
    read = read_annotations(
        *(source, None, frames, AnnotateSettings(task=task), labels),
        clock=clock,
        picture=picture,
        names=[name] if name else [],
    )
    found = read.annotations
    if picture is None and found.picture_shape is None:
        raise UsageError(
            "does not state the size of the pictures, nor does the annotation",
            path=clock,
            hint="Add the comments sensor_height_px and sensor_width_px to the clock.",
        )
    picture = picture or Picture(found.picture_shape or (1, 1))
    Regions(found, frames, picture, clip=True)  # checks that frames and sizes fit
    return Exported(name or source.stem, "train", found, frames, picture)


def _of_release(source: Path) -> list[Exported]:
    from evreel.release.open import open_release

    with open_release(source) as release:
        return [_of_recording(each) for each in release.recordings.values()]


def _of_recording(recording: ReleasedRecording) -> Exported:
    from evreel.exports.exported import Exported, of_slices
    from evreel.files.clock import CLOCK_SUFFIX
    from evreel.video.picture import Picture

    def place(end: str) -> Path | None:
        return next((p for name, p in recording.files.items() if name.endswith(end)), None)

    split = recording.split if recording.split in SPLITS else "train"
    store = recording.events.path if "events" in recording.kinds else None
    pictures = place(f"video/{recording.id}.zip")
    boxes = recording.boxes if "boxes" in recording.kinds else None
    if "slices" not in recording.kinds:
        nothing = Picture((1, 1))
        return Exported(recording.id, split, None, None, nothing, store=store, boxes=boxes)
    slices = recording.slices.path
    item = of_slices(slices, recording.id, split, _clock_of(place(CLOCK_SUFFIX)))
    return replace(item, store=store, pictures=pictures, boxes=boxes)
