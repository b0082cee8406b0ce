"""What every reader of recordings offers, and the functions that open and read any of them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

from evreel.closing import Closing
from evreel.errors import RecordingError, UnknownFormatError, UsageError
from evreel.events import Batch, Events, Sensor
from evreel.folders import bag_of, folder_of, hint_of_bag
from evreel.outputs import Progress, silent
from evreel.recordings.prefetch import default_threads, prefetched
from evreel.settings import Place, Settings, guess, optional, setting
from evreel.timebase import FARTHEST


@dataclass(frozen=True)
class Reading(Settings):
    """How events and files that break a rule are handled; `counts` names what is counted.

    Examples
    --------
    >>> Reading(on_damage="salvage").counts()
    {'damaged_bytes': 0}
    """

    on_disorder: Literal["fail", "sort", "drop", "clamp"] = setting(
        "fail",
        "Events up to 20 ms earlier than one before them: fail; or sort, drop or clamp and count "
        "them. clamp: each gets the latest time so far, as in RVT's preprocessing. Anything "
        "farther is a jump of the clock.",
    )
    on_out_of_bounds: Literal["fail", "drop"] = setting(
        "fail", "Events outside the sensor: fail, or drop and count them."
    )
    on_damage: Literal["fail", "salvage"] = setting(
        "fail",
        "A truncated or damaged recording: fail, or salvage every whole packet before the damage "
        "and count the bytes after that.",
    )
    on_reset: Literal["fail", "first", "last", "split"] = setting(
        "fail",
        "A clock that is set to another time: fail; keep what is before the first such reset, or "
        "after the last; or split there and lay the parts end to end, each from a whole "
        "millisecond on. Other than fail reads the recording twice.",
    )
    on_stray: Literal["fail", "drop"] = setting(
        "fail",
        "Up to 8 events in a row whose time is far off that of the events around them: fail, or "
        "drop and count them.",
    )
    columns: str | None = optional(
        "Where t, x, y and p are in a text, npz, npy or HDF5 file, and the unit of t: in their "
        "order, such as t[s], x, y, p; or by place, such as t[us] = events/t, x = events/x, "
        "y = events/y, p = events/p; or the name of a layout, such as m3ed.",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        from evreel.recordings.declared import declaration

        yield from super().contradictions()
        if self.columns is not None:
            try:
                declaration(self.columns)
            except UsageError as error:
                yield ("columns",), str(error).removeprefix("columns ")

    def counts(self) -> dict[str, int]:
        """Return the counts that these choices ask for, each zero."""
        asked = (
            ("disordered_events", self.on_disorder == "sort"),
            ("dropped_late_events", self.on_disorder == "drop"),
            ("clamped_events", self.on_disorder == "clamp"),
            ("out_of_bounds_events", self.on_out_of_bounds == "drop"),
            ("damaged_bytes", self.on_damage == "salvage"),
            ("clock_resets", self.on_reset != "fail"),
            ("other_clock_events", self.on_reset in ("first", "last")),
            ("stray_events", self.on_stray == "drop"),
        )
        return {name: 0 for name, is_asked in asked if is_asked}


STRICT = Reading()
"""Anything that breaks a rule is an error."""


class Recording(Protocol):
    """An open recording, read in one pass and in bounded memory.

    Attributes
    ----------
    path
        The file.
    format
        Name of its format, such as ``aedat4``.
    sensor
        (height, width) in pixels.
    t_offset
        First event's timestamp on the file's own clock, µs; 0 without events. Every time that the
        recording yields is relative to it.
    header
        The file's header as text, verbatim.
    repairs
        What the last pass changed or left out, name → count; complete when the pass is.
    n_expected
        Estimate of the events that the pass yields in all; 0 while there is none.
    """

    path: Path
    format: str
    sensor: Sensor
    t_offset: int
    header: str
    repairs: Mapping[str, int]
    n_expected: int

    def batches(
        self, start_us: int | None = None, stop_us: int | None = None, *, side: bool = True
    ) -> Iterator[Batch]:
        """Yield events and side streams in the order of the file.

        Only events with a timestamp in ``[start_us, stop_us)`` are yielded. Side streams are
        yielded whole; with ``side=False`` they are not yielded, and not read if that is possible.
        Each batch is small: a packet of the file, or some 10⁵ rows. Events are checked: they are
        inside the sensor and in time order, also across batches.

        Raises
        ------
        RecordingError
            If the bytes break the format; with their offset.
        """
        ...

    def __iter__(self) -> Iterator[Events]:
        """Yield only the events of `batches`, chunk by chunk."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Format(NamedTuple):
    """A format that can be read: how its files are recognized, and what reads them.

    Parameters
    ----------
    start : its first bytes; empty if any may come first.
    suffix : the lower-case suffix that identifies it then.
    module, opener : the reader's module, imported when a file is opened; and its class, or the
        function that chooses one. Called as ``opener(path, stream=…, sensor=…, reading=…)``.
    name : what messages call it, in a list.
    formats : what `Recording.format` says of its files.
    family : one name for all of these, where they are several; empty if there is none.
    threaded : whether the opener also takes ``threads``.
    declared : whether the columns of its files can be declared.
    """

    start: bytes
    suffix: str
    module: str
    opener: str
    name: str
    formats: tuple[str, ...]
    family: str = ""
    threaded: bool = False
    declared: bool = False


_HDF5 = "HDF5 of DSEC, RVT, Metavision, and evreel's events store"
_PROPHESEE = "Prophesee's RAW (EVT 2.0, 2.1, 3.0) and DAT"
_40_BIT = "40-bit events in a file named .bin"
_TEXT = "text (.txt, .csv or .tsv; gzip, zip and Zstandard, too)"
TEXT_SUFFIXES = (".txt", ".csv", ".tsv")
_ROS = "ROS bags (.bag, .mcap, .db3, or a folder of ROS 2)"
_ROS_2 = ("rosbag2-mcap", "rosbag2-sqlite3")
_RAW_AND_DAT = ("evt2", "evt2.1", "evt3", "dat")
_COLUMNS = ("hdf5-columns", "hdf5-records")
FORMATS = (
    Format(
        *(b"#!AER-DAT4", "", "aedat4", "Aedat4Recording", "AEDAT 4", ("aedat4",)), threaded=True
    ),
    Format(b"#!AER-DAT3.1", "", "aedat3", "Aedat3Recording", "AEDAT 3.1", ("aedat3",)),
    Format(b"#!AER-DAT2.0", "", "aedat2", "Aedat2Recording", "AEDAT 2.0", ("aedat2",)),
    Format(b"% ", "", "prophesee", "open_prophesee", _PROPHESEE, _RAW_AND_DAT),
    Format(
        *(b"Event Stream", "", "event_stream", "EventStreamRecording"),
        *("Event Stream", ("event_stream",)),
    ),
    Format(b"", ".bin", "aer40", "Aer40Recording", _40_BIT, ("aer40",)),
    Format(
        *(b"\x89HDF\r\n\x1a\n", "", "hdf5.open", "open_foreign", _HDF5, _COLUMNS, "hdf5"),
        threaded=True,
        declared=True,
    ),
    Format(*(b"PK\x03\x04", "", "text", "open_zip", "NumPy's npz", ("npz", "text")), declared=True),
    Format(
        *(b"\x93NUMPY", "", "numpy_files", "NpyRecording", "NumPy's npy", ("npy",)), declared=True
    ),
    Format(b"MATLAB 5.0 MAT-file", "", "mat", "MatRecording", "MATLAB's mat", ("mat",)),
    Format(b"MATLAB 7.3 MAT-file", "", "mat", "MatRecording", "MATLAB's mat", ("mat",)),
    Format(b"#ROSBAG V", "", "ros.read", "open_bag", _ROS, ("rosbag1",), "rosbag", threaded=True),
    Format(b"\x89MCAP0\r\n", "", "ros.read", "open_bag", _ROS, _ROS_2[:1], "rosbag", threaded=True),
    Format(b"SQLite format 3\0", "", "ros.read", "open_bag", _ROS, _ROS_2[1:], "rosbag"),
    Format(
        *(b"\x28\xb5\x2f\xfd", "", "text", "open_zstd", "a ROS bag or a text in Zstandard"),
        *((*_ROS_2, "text"), "rosbag"),
        declared=True,
    ),
    *(
        Format(start, suffix, "text", "TextRecording", _TEXT, ("text",), declared=True)
        for start, suffix in ((b"\x1f\x8b\x08", ""), *((b"", suffix) for suffix in TEXT_SUFFIXES))
    ),
)
"""All formats that can be read; modules are relative to `evreel.recordings`."""
_BAG = Format(b"", "", "ros.read", "open_bag", _ROS, _ROS_2, "rosbag", threaded=True)
"""What reads a folder that is a bag of ROS 2."""
COLUMNS_FOLDER = Format(
    *(b"", "", "series", "open_folder", "a folder of npz, npy or text files"),
    ("npz", "npy", "text"),
    declared=True,
)
"""What reads any other folder of which columns are declared."""
FORMAT_NAMES = tuple(
    dict.fromkeys(name for form in FORMATS for name in (*form.formats, form.family) if name)
)
"""What may be stated of a recording's format."""

_TAKES = "an open recording, or the path of one"
_PROBE_BYTES = 64
_HEADER = re.compile(
    rb"% (evt|format|date|data file|version|height|width|camera|generation|geometry|integrator|"
    rb"plugin|serial|system|subsystem|sensor|firmware|end)",
    re.IGNORECASE,
)
"""How a header of Prophesee's begins; other texts may begin with a comment."""
_CHUNKS_HELD = 4
"""Chunks to read before memory is reserved for the events still expected."""
_GROWTH = 64
"""Reserve at most this many times the events read so far, whatever a file says of itself."""
_Number = TypeVar("_Number", bound=np.generic)


def _format(path: Path, head: bytes, stated: str | None) -> Format:
    """Return a file's format by its first bytes, or else by what is stated, or by its suffix.

    Raises
    ------
    UnknownFormatError
        If none of these says it.
    RecordingError
        If the first bytes are not those of the stated format.
    """
    suffix = path.suffix.lower()
    nameless = [form for form in FORMATS if not form.start]
    if stated is None:
        nameless = [form for form in nameless if form.suffix == suffix]
    else:
        nameless = [form for form in nameless if stated in form.formats]
    for form in FORMATS:
        if not form.start or not head.startswith(form.start):
            continue
        # Two bytes may also begin an event, or the comment of a text.
        if len(form.start) > 2 or not nameless or _HEADER.match(head):
            if stated not in (None, *form.formats, form.family):
                raise _contradiction(path, stated, f"begins like {form.name}")
            return form
    if nameless and not (stated == "text" and b"\0" in head):
        return nameless[0]
    if stated is not None:
        raise _contradiction(path, stated, f"begins with {head[:16]!r}")
    names = "; ".join(dict.fromkeys(form.name for form in FORMATS))
    raise UnknownFormatError(
        f"starts with {head[:16]!r}, which is not the start of a known format",
        path=path,
        offset=0,
        hint=f"evreel reads {names}. If it has 40-bit events under another name, state format "
        "aer40 (column format of the table, option --format); if it is a text, format text.",
    )


def _contradiction(path: Path, stated: str | None, found: str) -> RecordingError:
    return RecordingError(
        f"{found}, but its format is stated to be {stated}",
        path=path,
        offset=0,
        hint="Correct that (column format of the table, option --format), or the source.",
    )


def _is_open(given: object) -> TypeGuard[Recording]:
    return hasattr(given, "batches")


def _as_path(given: object, function: str, takes: str = "the path of a recording") -> Path:
    """Return a path, or raise `UsageError` that says what a function takes."""
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    hint = "Give a path, as str or Path, such as 'park.aedat4'."
    if _is_open(given):
        hint = "It is open already: use it as it is."
    elif hasattr(given, "read"):
        hint = "Give the path of the file, not the open file."
    said = repr(given)
    if len(said) > 40:
        said = f"an object of type {type(given).__name__}"
    raise UsageError(f"{function} takes {takes}, not {said}", hint=hint)


def open_recording(
    path: str | os.PathLike[str],
    *,
    stream: int | str | None = None,
    sensor: Sensor | None = None,
    format: str | None = None,  # noqa: A002
    reading: Reading = STRICT,
    threads: int | None = None,
) -> Recording:
    """Open a recording or an events store; its content, not its name, decides the format.

    What is stated, or else the suffix, decides only if no format begins with the file's first
    bytes.

    Parameters
    ----------
    path
        The file, as str or Path; or a folder that is a bag of ROS 2; or, if columns are declared,
        one of npz, npy or text files, as `evreel.recordings.series` has it.
    stream
        Event stream, if a file holds several: its number; in a ROS bag, the name of its topic.
    sensor
        The sensor's size, if known; a file that states another size is an error.
    format
        Its format, if known, as `Recording.format` has it, or ``hdf5``; a file of another one is
        an error.
    reading
        How events and files that break a rule are handled.
    threads
        How many decode, if the format allows several; None: one per core, at most
        `evreel.recordings.prefetch.THREADS`. Events do not depend on it.

    Raises
    ------
    UsageError
        If what is given is not a path, or the stated format is not one of `FORMAT_NAMES`.
    RecordingError
        If the file is empty, a pipe or device, of no known format, or has a damaged header.
    """
    path = _as_path(path, "open_recording")
    if format is not None and format not in FORMAT_NAMES:
        more = guess(format, FORMAT_NAMES)
        raise UsageError(f"format={format!r} is not one of {', '.join(FORMAT_NAMES)}{more}")
    bag = bag_of(path)
    if bag is not None:
        return _opened(bag, _BAG, stream, sensor, format, reading, threads)
    try:
        folder = folder_of(path)
        if folder is not None and reading.columns is not None:
            return _opened(folder, COLUMNS_FOLDER, stream, sensor, format, reading, threads)
        # Checked first: opening a pipe would wait for its other end.
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(
                "is not a regular file", path=path, hint="Save the recording to a file first."
            )
        with path.open("rb") as file:
            head = file.read(_PROBE_BYTES)
    except OSError as error:
        hint = hint_of_bag(path).rstrip() or None
        raise RecordingError(f"cannot be read: {error.strerror}", path=path, hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is not a valid file name") from error
    if not head:
        raise RecordingError(
            "is empty", path=path, offset=0, hint="Copy or download the recording again."
        )
    found = _format(path, head, format)
    return _opened(path, found, stream, sensor, format, reading, threads)


def _opened(
    path: Path,
    found: Format,
    stream: int | str | None,
    sensor: Sensor | None,
    stated: str | None,
    reading: Reading,
    threads: int | None,
) -> Recording:
    """Return an open recording of a format; raise if it is not the stated one, or of that size."""
    opener = getattr(importlib.import_module(f"evreel.recordings.{found.module}"), found.opener)
    if reading.columns is not None and not found.declared:
        raise undeclared(path, found.name)
    own = {"threads": threads} if found.threaded else {}
    reader: Recording = opener(path, stream=stream, sensor=sensor, reading=reading, **own)
    others = [form for form in FORMATS if form.family != found.family]
    family = "" if any(reader.format in form.formats for form in others) else found.family
    if stated not in (None, family, reader.format):
        reader.close()
        raise _contradiction(path, stated or "", f"is {reader.format}")
    if sensor is not None and reader.sensor != sensor:
        has = reader.sensor
        reader.close()
        raise RecordingError(
            f"states a sensor of {has.width}x{has.height} px, but "
            f"{sensor.width}x{sensor.height} was given",
            path=path,
            hint="Is this the right recording? To use the file's size, leave sensor out.",
        )
    return reader


def undeclared(path: Path, what: str) -> UsageError:
    """Return the error for columns that are declared of a format that has its own."""
    others = {name for form in FORMATS if not form.declared for name in form.formats}
    named = [name for form in FORMATS if form.declared for name in form.formats]
    names = ", ".join(dict.fromkeys(name for name in named if name not in others))
    return UsageError(
        f"columns cannot be declared of {what}",
        path=path,
        hint=f"Leave columns out for this recording; they can be of {names}.",
    )


def event_chunks(
    recording: Recording | str | os.PathLike[str],
    start_us: int | None = None,
    stop_us: int | None = None,
) -> Iterator[Events]:
    """Yield only the events of a recording, chunk by chunk.

    Parameters
    ----------
    recording
        An open recording; or a path, which is opened as by `open_recording` and closed at the end.
    start_us, stop_us
        Only events with a timestamp in ``[start_us, stop_us)``, µs since its first event.

    Raises
    ------
    UsageError
        At once, if what is given is neither.
    RecordingError
        As `Recording.batches` raises it.
    """
    source = recording if _is_open(recording) else _as_path(recording, "event_chunks", _TAKES)
    return _chunks(source, start_us, stop_us)


def _chunks(
    recording: Recording | Path, start_us: int | None, stop_us: int | None
) -> Iterator[Events]:
    if isinstance(recording, Path):
        with open_recording(recording) as opened:
            yield from _chunks(opened, start_us, stop_us)
        return
    if isinstance(recording, Closing):
        recording.check_open()
    for batch in recording.batches(start_us, stop_us, side=False):
        if isinstance(batch, Events):
            yield batch


def read_events(
    recording: Recording | str | os.PathLike[str],
    start_us: int | None = None,
    stop_us: int | None = None,
    *,
    threads: int | None = None,
) -> Events:
    """Read the events of a recording, or of a range of time, into memory: 13 bytes per event.

    Parameters
    ----------
    recording
        An open recording; or a path, which is opened as by `open_recording`, and closed.
    start_us, stop_us
        Only events with a timestamp in ``[start_us, stop_us)``, µs since its first event.
    threads
        With 2 or more, one decodes while another gathers; None means one per core.

    Raises
    ------
    UsageError
        If what is given is neither an open recording nor a path.
    RecordingError
        As `open_recording` and `Recording.batches` raise it.

    Examples
    --------
    >>> import tempfile
    >>> from evreel.recordings.aedat4 import Aedat4Writer
    >>> events = Events([0, 5], [1, 2], [0, 0], [1, 0], Sensor(1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "two.aedat4"
    ...     with Aedat4Writer(path, events.sensor) as writer:
    ...         writer.write(events)
    ...     read_events(path).t.tolist()
    [0, 5]
    """
    if not _is_open(recording):
        with open_recording(_as_path(recording, "read_events", _TAKES)) as opened:
            return read_events(opened, start_us, stop_us, threads=threads)
    chunks = _chunks(recording, start_us, stop_us)
    events = _ahead(chunks, recording, threads, FARTHEST, silent)
    assert events is not None
    return events


def read_at_most(
    recording: Recording, most: int, *, threads: int | None = None, progress: Progress = silent
) -> Events | None:
    """Read the events of an open recording into memory; None if there are more than `most`.

    Parameters
    ----------
    threads
        As `read_events` takes it.
    progress
        Called with the number of events so far.
    """
    return _ahead(_chunks(recording, None, None), recording, threads, most, progress)


def _ahead(
    chunks: Iterator[Events],
    recording: Recording,
    threads: int | None,
    most: int,
    progress: Progress,
) -> Events | None:
    if (default_threads() if threads is None else threads) == 1:
        return _gathered(chunks, recording, most, progress)
    with contextlib.closing(prefetched(chunks)) as source:
        return _gathered(source, recording, most, progress)


def _gathered(
    chunks: Iterator[Events], recording: Recording, most: int, progress: Progress
) -> Events | None:
    """Return chunks joined into one, None if they have more than `most` events.

    Columns are allocated at the length that the recording is expected to have, if what came so far
    makes that likely. Keeping chunks and joining them at the end would take twice the memory, and
    getting memory from the system takes most of the time.
    """
    held = list(itertools.islice(chunks, _CHUNKS_HELD))
    first = sum(map(len, held))
    n = room = 0
    t, x = np.empty(0, np.int64), np.empty(0, np.uint16)
    y, p = np.empty(0, np.uint16), np.empty(0, np.uint8)
    for chunk in itertools.chain(held, chunks):
        stop = n + len(chunk)
        if stop > most:
            return None
        progress(stop, None)
        if stop > room:
            needed = max(stop, first)
            likely = min(int(1.05 * recording.n_expected), _GROWTH * needed)
            room = needed if len(held) < _CHUNKS_HELD else max(needed, likely, room + room // 2)
            room = min(room, most)
            t, x = _lengthened(t, n, room), _lengthened(x, n, room)
            y, p = _lengthened(y, n, room), _lengthened(p, n, room)
        t[n:stop], x[n:stop], y[n:stop], p[n:stop] = chunk.t, chunk.x, chunk.y, chunk.p
        n = stop
    return Events.trusted(t[:n], x[:n], y[:n], p[:n], recording.sensor)


def _lengthened(column: npt.NDArray[_Number], n: int, room: int) -> npt.NDArray[_Number]:
    """Return an array of `room` rows with the first n of a column."""
    longer = np.empty(room, column.dtype)
    longer[:n] = column[:n]
    return longer
