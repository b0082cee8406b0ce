"""What every reader of recordings offers, and the one door to all of them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Batch, Events, Sensor
from evreel.recordings.prefetch import ahead_of, default_threads
from evreel.settings import Settings, setting


@dataclass(frozen=True)
class Reading(Settings):
    """What becomes of events and files that break a rule; each is counted, as `counts` names it.

    Examples
    --------
    >>> Reading(on_damage="salvage").counts()
    {'damaged_bytes': 0}
    """

    on_disorder: Literal["fail", "sort"] = setting(
        "fail",
        "Events whose timestamp is before that of one above: fail, or sort them in and count them.",
    )
    on_out_of_bounds: Literal["fail", "drop"] = setting(
        "fail", "Events outside the sensor: fail, or drop them and count them."
    )
    on_damage: Literal["fail", "salvage"] = setting(
        "fail",
        "A recording that is truncated or damaged: fail, or salvage every whole packet before the "
        "damage and count the bytes from there on.",
    )

    def counts(self) -> dict[str, int]:
        """Return the counts that these choices ask for, at zero."""
        asked = (
            ("disordered_events", self.on_disorder == "sort"),
            ("out_of_bounds_events", self.on_out_of_bounds == "drop"),
            ("damaged_bytes", self.on_damage == "salvage"),
        )
        return {name: 0 for name, is_asked in asked if is_asked}


STRICT = Reading()
"""Whatever breaks a rule is an error."""


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
        First event's stamp on the file's own clock, µs; 0 where there is no event. Every time
        that the recording yields is relative to it.
    header
        The file's header as text, verbatim.
    repairs
        What the last pass changed or left out, name → count: complete when the pass is.
    n_expected
        About how many events the pass yields in all, as far as can be told by now; 0 where it
        can't.
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
        """Yield events and side streams as they come in the file.

        Only events with a stamp in ``[start_us, stop_us)`` are yielded; side streams are
        yielded whole, or with ``side=False`` not at all and left unread where they can be. Each
        batch is small (a packet of the file, or some 10⁵ rows); events are checked: inside the
        sensor, in time order, also across batches.

        Raises
        ------
        RecordingError
            Where the bytes are not what the format says, with their offset.
        """
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


_PROBE_BYTES = 64
_CHUNKS_HELD = 4
"""Chunks that come before it is asked how many events there will be."""
_GROWTH = 64
"""How many times more than what came so far memory is asked for, whatever a file says of itself."""
_Number = TypeVar("_Number", bound=np.generic)
_READERS = (
    # first bytes, module, class
    (b"#!AER-DAT4", "evreel.recordings.aedat4", "Aedat4Recording"),
    (b"#!AER-DAT3.1", "evreel.recordings.aedat3", "Aedat3Recording"),
    (b"#!AER-DAT2.0", "evreel.recordings.aedat2", "Aedat2Recording"),
    (b"% ", "evreel.recordings.prophesee", "open_prophesee"),
    (b"Event Stream", "evreel.recordings.event_stream", "EventStreamRecording"),
    (b"\x89HDF\r\n\x1a\n", "evreel.recordings.hdf5.read", "open_foreign"),
    (b"PK\x03\x04", "evreel.recordings.numpy_files", "NpzRecording"),
    (b"\x93NUMPY", "evreel.recordings.numpy_files", "NpyRecording"),
    (b"MATLAB 5.0 MAT-file", "evreel.recordings.mat", "MatRecording"),
    (b"MATLAB 7.3 MAT-file", "evreel.recordings.mat", "MatRecording"),
)


_SUFFIXES = {
    # of formats without first bytes of their own: suffix → module, class
    ".bin": ("evreel.recordings.aer40", "Aer40Recording"),
}


def _reader(path: Path, head: bytes) -> tuple[str, str] | None:
    """Return module and name of what reads a file, by its first bytes, else by its suffix."""
    by_suffix = _SUFFIXES.get(path.suffix.lower())
    for magic, module, name in _READERS:
        if not head.startswith(magic):
            continue
        # Two bytes may be those of an event, too. In a text, a third one that can be seen follows.
        if by_suffix is None or len(magic) > 2 or b" " <= head[2:3] < b"\x7f":
            return module, name
    return by_suffix


def open_recording(
    path: str | Path,
    *,
    stream: int | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
) -> Recording:
    """Open a recording or an events store; its content, not its name, tells the format.

    Only where no format has the first bytes, the suffix tells one that has none of its own.

    Parameters
    ----------
    path
        The file.
    stream
        Which event stream, where a file holds several.
    sensor
        Its size, where that is known otherwise; a file that states another is an error.
    reading
        What becomes of events and files that break a rule.

    Raises
    ------
    RecordingError
        Where the file is empty, a pipe or device, of no known format, or damaged at its head.
    """
    path = Path(path)
    try:
        # Looked at first: to open a pipe would wait for its other end.
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(
                "is no regular file", path=path, hint="Save the recording to a file first."
            )
        with path.open("rb") as file:
            head = file.read(_PROBE_BYTES)
    except OSError as error:
        raise RecordingError(f"can't be read: {error.strerror}", path=path) from error
    if not head:
        raise RecordingError(
            "is empty", path=path, offset=0, hint="Copy or download the recording again."
        )
    found = _reader(path, head)
    if found is not None:
        module, name = found
        reader: Recording = getattr(importlib.import_module(module), name)(
            path, stream=stream, sensor=sensor, reading=reading
        )
        if sensor is not None and reader.sensor != sensor:
            stated = reader.sensor
            reader.close()
            raise RecordingError(
                f"states a sensor of {stated.width}x{stated.height} px; "
                f"{sensor.width}x{sensor.height} was given",
                path=path,
                hint="Is this the right recording? Leave the sensor out to take the file's.",
            )
        return reader
    raise UnknownFormatError(
        f"starts with {head[:16]!r}, which is no format that can be read here",
        path=path,
        offset=0,
        hint="Readable are AEDAT 2.0, 3.1 and 4, Prophesee's RAW (EVT 2.0, 2.1, 3.0) and DAT, "
        "Event Stream, 40-bit events in a file named .bin, HDF5 of DSEC, RVT and Metavision, "
        "NumPy's npz and npy, MATLAB's mat, and evreel's events store.",
    )


def event_chunks(
    recording: Recording, start_us: int | None = None, stop_us: int | None = None
) -> Iterator[Events]:
    """Yield only the events of a recording, chunk by chunk."""
    for batch in recording.batches(start_us, stop_us, side=False):
        if isinstance(batch, Events):
            yield batch


def read_events(
    recording: Recording,
    start_us: int | None = None,
    stop_us: int | None = None,
    *,
    threads: int | None = None,
) -> Events:
    """Read all events of a recording, or those of a range of time, into memory: 13 bytes each.

    Parameters
    ----------
    recording
        An open one.
    start_us, stop_us
        Only events with a stamp in ``[start_us, stop_us)``, µs since its first event.
    threads
        With 2 or more, one decodes while another gathers; None takes as many as there are cores.

    Raises
    ------
    RecordingError
        As `Recording.batches` raises it.

    Examples
    --------
    >>> from evreel.events import Events, Sensor
    >>> from types import SimpleNamespace
    >>> part = Events([0, 5], [1, 2], [0, 0], [1, 0], Sensor(1, 3))
    >>> made_up = SimpleNamespace(
    ...     sensor=part.sensor, n_expected=2, batches=lambda *_, side: iter([part])
    ... )
    >>> read_events(made_up).t.tolist()
    [0, 5]
    """
    chunks = event_chunks(recording, start_us, stop_us)
    if (default_threads() if threads is None else threads) == 1:
        return _gathered(chunks, recording)
    with contextlib.closing(ahead_of(chunks)) as source:
        return _gathered(source, recording)


def _gathered(chunks: Iterator[Events], recording: Recording) -> Events:
    """Return chunks as one.

    Columns are made as long as the recording is expected to be, as far as what came so far makes
    that likely: kept chunks that are joined in the end take twice the memory, and most of the time
    goes into the system's giving of it.
    """
    held = list(itertools.islice(chunks, _CHUNKS_HELD))
    first = sum(map(len, held))
    n = room = 0
    t, x = np.empty(0, np.int64), np.empty(0, np.uint16)
    y, p = np.empty(0, np.uint16), np.empty(0, np.uint8)
    for chunk in itertools.chain(held, chunks):
        stop = n + len(chunk)
        if stop > room:
            needed = max(stop, first)
            likely = min(int(1.05 * recording.n_expected), _GROWTH * needed)
            room = needed if len(held) < _CHUNKS_HELD else max(needed, likely, room + room // 2)
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
