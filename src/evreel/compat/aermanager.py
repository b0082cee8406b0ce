"""aermanager's functions, by its names and with its arguments.

Made anew, not copied. Scripts that make data sets with ``aermanager`` can import them from here.
What `gen_annotated_dataset_from_list` writes, aermanager's own ``load_…`` read; the ones here read
that folder and evreel's slices alike: slice 12 of ``park.h5`` is ``park.h5/12``.

What differs, on purpose:

- An event is in the frame whose time holds it; aermanager stretches the frames over the recording.
- An event is one row, with one region; aermanager repeats it for each region and tag, and leaves
  out events that are really equal.
- Closed tracks label nothing. Rotation, ellipses, masks and all other shapes count.
- Names are str, not bytes. Labels of the two files of a recording are one table.
- A folder of slices appears as a whole, and replaces the one of an earlier run.
- The clock of the video must be known: it is beside the recording, where `aedat_convert_to_video`
  has written it, or follows from `video_time_window`.
- Formats are told by content. A `parser` may still be a function of the file's name, which returns
  the sensor's (height, width) and records with the fields x, y, t and p.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel import steps
from evreel.annotations.open import form_of, read_annotations
from evreel.annotations.tables import roi_numbers
from evreel.errors import LayoutError, UsageError
from evreel.events import Sensor
from evreel.exports.aermanager import (
    NOTHING,
    labels_in,
    read_slice,
    slice_files,
    write_slices,
)
from evreel.files import hdf5
from evreel.files.clock import CLOCK_SUFFIX, read_clock, write_clock
from evreel.files.events_store import EventsStore
from evreel.files.slices import SlicesFile
from evreel.layout import SLICES
from evreel.outputs import atomic, scratch_path
from evreel.recordings.open import open_recording
from evreel.text import listed
from evreel.timebase import FrameClock

__all__ = [
    "aedat_convert_to_video",
    "gen_annotated_dataset_from_list",
    "list_dataset_files",
    "load_annotated_slice",
    "load_frame_shape",
    "load_labels_lut",
    "load_rois_lut",
]

Margins = tuple[tuple[int, int], tuple[int, int]]
Parser = Callable[[str], tuple[tuple[int, int], npt.NDArray[np.void]]]

EVENT_DTYPE = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<u8"), ("p", "?"), ("id", "<f8")])
"""Of the events of a slice; `id` is NaN outside every region."""

_HEAD_BYTES = 4096
_NUMBER = re.compile(r"[0-9]{1,9}")
_MOST_NAMED = 3
"""So many files are named in a message; the others are counted."""
_EMPTY: npt.NDArray[np.object_] = np.empty(0, dtype=object)


def aedat_convert_to_video(
    file_path: str | Path,
    *,
    crop_size: Margins | None = None,
    hot_pixel_frequency: float | None = None,
    time_window: int | None = None,
    spike_count: int | None = None,
    parser: Parser | str | None = None,
) -> None:
    """Write ``<name>.mp4`` beside a recording, and ``<name>.clock.tsv``, the clock of its frames.

    Parameters
    ----------
    file_path
        The recording.
    crop_size
        ((left, right), (top, bottom)): columns and rows to leave out.
    hot_pixel_frequency
        Remove pixels with more events per second than this.
    time_window
        Duration of a frame, µs.
    spike_count
        Refused: frames of equal counts have no regular time.
    parser
        As the module says.

    Raises
    ------
    UsageError
        If `time_window` is not given, or `spike_count` is.
    EvreelError
        If the recording cannot be read.
    """
    if time_window is None or spike_count is not None:
        raise UsageError("a video needs time_window, and takes no spike_count")
    path = Path(file_path)
    movie, clock = path.with_suffix(".mp4"), path.with_suffix(CLOCK_SUFFIX)
    with (
        _decoded(path, movie, crop_size, hot_pixel_frequency, parser) as store,
        atomic(movie, clock, inputs=[path]) as (movie_scratch, clock_scratch),
    ):
        steps.clock(store, clock_scratch, steps.ClockSettings(window_us=time_window))
        steps.video(store, clock_scratch, movie_scratch, steps.VideoSettings(style="grey"))


def gen_annotated_dataset_from_list(
    event_files: Sequence[str | Path],
    labels: Sequence[Mapping[str, str | Path | None]],
    destination_path: str | Path,
    compression: str | None = None,
    crop_size: Margins | None = None,
    hot_pixel_frequency: float | None = None,
    time_window: int | None = None,
    spike_count: int | None = None,
    parser: Parser | str | None = None,
    *,
    video_time_window: int | None = None,
) -> None:
    """Write the annotated slices of recordings: ``<destination>/<name>_<digits>/<number>.h5``.

    The digits are the first five of the MD5 of the recording's first 4096 bytes.

    Parameters
    ----------
    event_files
        The recordings.
    labels
        For each recording, ``rois_file`` and ``tags_file``; either may be missing or None.
    destination_path
        Folder; other folders in it stay.
    compression
        As h5py's, such as ``gzip``.
    crop_size, hot_pixel_frequency, parser
        As `aedat_convert_to_video` takes them; they must be those of the annotated video.
    time_window, spike_count
        Duration of a slice in µs, or its number of events: one of them. An incomplete last slice is
        left out.
    video_time_window
        Duration of a frame of the annotated video, µs; None takes ``<name>.clock.tsv`` beside the
        recording.

    Raises
    ------
    UsageError
        If lists differ in length, or the time of the video's frames is not known.
    EvreelError
        If a recording or an annotation is not valid, or they do not belong together.
    """
    if len(event_files) != len(labels):
        raise UsageError(f"there are {len(event_files)} recordings, but {len(labels)} labels")
    windows = steps.RegularWindows(window_us=time_window, count=spike_count, tail="drop")
    windows.division()
    destination = Path(destination_path)
    for file, named in zip(map(Path, event_files), labels, strict=True):
        said = {role: path for role, path in named.items() if path is not None}
        unknown = set(named) - {"rois_file", "tags_file"}
        if unknown:
            raise UsageError(
                f"{sorted(unknown)[0]!r} is neither rois_file nor tags_file", path=file
            )
        folder = destination / f"{file.stem}_{_digits(file)}"
        with _decoded(file, folder, crop_size, hot_pixel_frequency, parser) as store:
            clock = _clock_of(file, store, video_time_window, said)
            slices = store.with_name("slices.h5")
            steps.annotate(
                *(store, clock, slices, store.with_suffix(".npy"), windows),
                rois=said.get("rois_file"),
                tags=said.get("tags_file"),
            )
            with SlicesFile(slices) as opened, atomic(folder) as (scratch,):
                write_slices(opened, scratch, compression=compression)


def list_dataset_files(path: str | Path) -> list[str]:
    """Return the slices of a data set, in order, as the other functions take them.

    Parameters
    ----------
    path
        A folder of aermanager's layout; or evreel's slices, one file or a folder of them.

    Raises
    ------
    LayoutError
        If there is no such folder or file.
    """
    path = Path(path)
    if not path.exists():
        raise _absent(path)
    if path.is_file():
        with SlicesFile(path) as file:
            return [str(path / str(k)) for k in range(file.n)]
    files = slice_files(path)
    if files and hdf5.layout_of(files[0]) != SLICES.name:
        return [str(file) for file in files]
    return [each for file in sorted(path.glob("*.h5")) for each in list_dataset_files(file)]


def load_annotated_slice(
    file_path: str | Path,
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.object_]]:
    """Return the events of a slice, (n,) of `EVENT_DTYPE`, and the names of what is in it.

    Raises
    ------
    LayoutError
        If there is no such file or slice, with what is there.
    UsageError
        If it is a file of many slices.
    """
    path = Path(file_path)
    with _own(path) as (file, k):
        if file is None:
            names = ("x", "y", "t", "p", "id")
            *columns, label = read_slice(path, *(f"spikes/{name}" for name in names), "label")
            events = np.empty(len(columns[0]), dtype=EVENT_DTYPE)
            for name, column in zip(names, columns, strict=True):
                events[name] = column
            return events, label.astype(object) if len(label) else _EMPTY
        if k is None:
            raise UsageError("holds many slices", path=path, hint="list_dataset_files names each.")
        found, roi = file.slice(k)
        events = np.empty(len(found), dtype=EVENT_DTYPE)
        for name in "xyp":
            events[name] = getattr(found, name)
        events["t"] = found.t + file.t_offset
        numbers = np.append(roi_numbers(file.rois.track).astype(np.float64), np.nan)
        events["id"] = numbers[roi]
        return events, np.array(labels_in(file, k, roi), dtype=object)


def load_labels_lut(file_path: str | Path) -> dict[str, int]:
    """Return name → number of all labels; 0 is none."""
    path = Path(file_path)
    with _own(path) as (file, _):
        if file is not None:
            return {name: number for number, name in enumerate([NOTHING, *file.labels])}
    names, numbers = read_slice(path, "labels_lut/id", "labels_lut/label")
    return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def load_rois_lut(file_path: str | Path) -> dict[int, str]:
    """Return number → label of all regions; empty if there are none."""
    path = Path(file_path)
    with _own(path) as (file, _):
        if file is not None:
            names = [file.labels[number] for number in file.rois.label]
            return dict(zip(roi_numbers(file.rois.track).tolist(), names, strict=True))
    numbers, names_ = read_slice(path, "rois/id", "rois/label", absent=True)
    return dict(zip(numbers.tolist(), names_.tolist(), strict=True))


def load_frame_shape(file_path: str | Path) -> tuple[int, int, int]:
    """Return (2, height, width), the shape of a slice's picture."""
    path = Path(file_path)
    with _own(path) as (file, _):
        if file is not None:
            return 2, file.sensor.height, file.sensor.width
    (shape,) = read_slice(path, "frame_size")
    if len(shape) != 3:
        raise LayoutError(f"its frame_size has {len(shape)} numbers; 3 are expected", path=path)
    polarities, height, width = shape.tolist()
    return polarities, height, width


@contextlib.contextmanager
def _own(path: Path) -> Iterator[tuple[SlicesFile | None, int | None]]:
    """Give evreel's slices if a path names these, and the number of one if it names one of them.

    Neither is given of a file that is to be read as aermanager's.

    Raises
    ------
    LayoutError
        If there is no such file or slice.
    """
    is_one = path.parent.is_file()
    whole = path.parent if is_one else path
    if not whole.exists():
        raise _absent(path)
    if whole.is_dir():
        raise LayoutError("is a folder", path=path, hint="list_dataset_files names its slices.")
    if not is_one and hdf5.layout_of(path) != SLICES.name:
        yield None, None
        return
    with SlicesFile(whole) as file:
        is_there = _NUMBER.fullmatch(path.name) is not None and int(path.name) < file.n
        if is_one and not is_there:
            have = f"slices 0 to {file.n - 1}" if file.n else "no slices"
            raise LayoutError(f"has no slice {path.name!r}; it has {have}", path=whole)
        yield file, int(path.name) if is_one else None


def _absent(path: Path) -> LayoutError:
    """Return the error for a file that does not exist, with what there is instead."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    names = sorted((entry.name for entry in folder.iterdir()), key=lambda name: (len(name), name))
    have = listed(names, _MOST_NAMED)
    return LayoutError(
        f"{path} does not exist; folder {folder.name} has {have or 'no files'}",
        hint="list_dataset_files names the slices of a data set.",
    )


def _digits(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.md5(file.read(_HEAD_BYTES), usedforsecurity=False).hexdigest()[:5]


def _clock_of(
    file: Path, store: Path, window_us: int | None, said: Mapping[str, str | Path]
) -> Path:
    beside = file.with_suffix(CLOCK_SUFFIX)
    if window_us is None:
        if not beside.is_file():
            raise UsageError(
                f"the time of its video's frames is not known: there is no {beside.name}",
                path=file,
                hint="Make the video with aedat_convert_to_video, or give video_time_window.",
            )
        return beside
    clock = store.with_suffix(CLOCK_SUFFIX)
    steps.clock(store, clock, steps.ClockSettings(window_us=window_us))
    frames, picture, extra = read_clock(clock)
    tasks = [_task(path, role) for role, path in said.items()]
    # aermanager's own video lacks the last frame, which is not complete.
    if picture is not None and any(len(task) == len(frames) - 1 for task in tasks if task):
        whole = FrameClock(frames.start_us[:-1], frames.stop_us[:-1], frames.source)
        write_clock(clock, whole, picture, extra)
    return clock


def _task(path: str | Path, role: str) -> range | None:
    """Return the frames of the task that a file says it is of."""
    tags_only = role == "tags_file"
    form = form_of(path)
    if form != "cvat":
        return None
    return read_annotations(path, tags_only=tags_only, unsupported="skip", invalid="drop").task


@contextlib.contextmanager
def _decoded(
    file: Path,
    beside: Path,
    crop_size: Margins | None,
    hot_pixel_frequency: float | None,
    parser: Parser | str | None,
) -> Iterator[Path]:
    """Yield an events store of a recording, cropped and without hot pixels.

    It lies in a scratch folder, where more files of its own may be put beside it.
    """
    with scratch_path(beside) as scratch:
        scratch.mkdir()
        source, sensor = file, None
        if callable(parser):
            source = scratch / "parsed.npz"
            size, records = parser(str(file))
            sensor = Sensor.checked(*map(int, size))
            np.savez(source, t=records["t"], x=records["x"], y=records["y"], p=records["p"])
        with open_recording(source, sensor=sensor) as recording:
            is_store = isinstance(recording, EventsStore)
            height, width = recording.sensor
        store = scratch / f"{file.stem}.h5"
        if is_store and crop_size is None and hot_pixel_frequency is None:
            store.symlink_to(file.absolute())
            yield store
            return
        crop = None
        if crop_size is not None:
            (left, right), (top, bottom) = crop_size
            crop = (left, top, width - right, height - bottom)
        settings = steps.EventsSettings(crop=crop, max_pixel_hz=hot_pixel_frequency)
        stated = None if sensor is None else f"{sensor.width}x{sensor.height}"
        steps.events(source, store, settings, sensor=stated)
        yield store
