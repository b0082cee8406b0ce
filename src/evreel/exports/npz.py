"""Events as NumPy's npz: arrays that ``np.load`` reads without pickle.

======  ============================================
t       (n,) int64, µs on the recording's own clock
x, y    (n,) uint16, column, row
p       (n,) uint8, 1 ON, 0 OFF
height  int64, the sensor's size, px
width   int64
======  ============================================

Members of the zip are stored, as by ``np.savez``: each array lies in the file as it is in memory,
and all are written side by side, in one pass. Deflate would take most of the time, and its bytes
would depend on the system's zlib. There are no dates, and the zip's comment says what the file was
made from.

Sources: numpy.lib.format; APPNOTE.TXT of PKWARE, 4.3 and 4.5.3.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError
from evreel.events import Events
from evreel.exports.one_file import Note, counted, events_of, made_of_parts
from evreel.files.events_store import EventsStore
from evreel.outputs import Progress, silent
from evreel.recordings.open import Recording
from evreel.threads import Crew

_TASK_ROWS = 1 << 17
_COLUMNS = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"}
_SIZES = {"height": "<i8", "width": "<i8"}

_LOCAL = struct.Struct("<4s5H3I2H")
_LISTED = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_PLACE64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_VERSION = 45  # the first with sizes of 64 bits
_UNIX = 3 << 8
_DATE = 1 << 5 | 1  # 1 January 1980, the earliest one
_READABLE = 0o100644 << 16
_BEYOND = (1 << 32) - 1


def write_npz(
    recording: Recording,
    path: Path,
    *,
    crew: Crew | None = None,
    progress: Progress = silent,
    note: Note | None = None,
) -> dict[str, int]:
    """Write the events of a recording, as `one_file` says.

    A recording that is not a store is first read to count its events.

    Raises
    ------
    RecordingError
        If it then has another number of events.
    """
    lost: Counter[str] = Counter()
    n = recording.n if isinstance(recording, EventsStore) else sum(map(len, recording))
    with path.open("wb") as file:
        columns: dict[str, _Member] = {}
        at = 0
        for name, kind in (_COLUMNS | _SIZES).items():
            shape = (n,) if name in _COLUMNS else ()
            columns[name] = _Member(f"{name}.npy", at, np.dtype(kind), shape)
            at = columns[name].stop

        def make(part: Events) -> dict[str, npt.NDArray[Any]]:
            return {"t": part.t + recording.t_offset, "x": part.x, "y": part.y, "p": part.p}

        written = 0
        events = events_of(recording, lost)
        with closing(made_of_parts(events, _TASK_ROWS, make, crew, progress)) as parts:
            for part, values in parts:
                written += len(part)
                if written > n:
                    break
                for name, column in values.items():
                    columns[name].append(file, column)
        if written != n:
            raise RecordingError(
                f"had {n} events when they were counted, and {written} or more when they were read",
                path=recording.path,
                hint="Does something still write it? Export it again when it is finished.",
            )
        for name in _SIZES:
            columns[name].append(file, np.array([getattr(recording.sensor, name)]))
        for member in columns.values():
            member.finish(file)
        file.seek(at)
        file.write(
            _listing([*columns.values()], at, b"" if note is None else note(counted(lost)).encode())
        )
    return counted(lost)


@dataclass
class _Member:
    """An array in the zip, of which the number of values is known; they are written part by part.

    Parameters
    ----------
    name
        Of the member.
    at
        Byte of the file where it begins.
    kind, shape
        Of the array.
    """

    name: str
    at: int
    kind: np.dtype[Any]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        head = io.BytesIO()
        described = {"descr": self.kind.str, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(head, described)
        self._head = head.getvalue()
        self.size = len(self._head) + int(np.prod(self.shape)) * self.kind.itemsize
        self._begin = self.at + _LOCAL.size + len(self.name) + _extra_size(2)
        self.stop = self._begin + self.size
        self._next = self._begin + len(self._head)
        self.crc = zlib.crc32(self._head)

    def append(self, file: IO[bytes], rows: npt.NDArray[Any]) -> None:
        """Write the next values."""
        data = np.ascontiguousarray(rows, self.kind).data
        self.crc = zlib.crc32(data, self.crc)
        file.seek(self._next)
        file.write(data)
        self._next += data.nbytes

    def finish(self, file: IO[bytes]) -> None:
        """Write what is before the values."""
        sizes = _BEYOND, _BEYOND, len(self.name), _extra_size(2)
        head = _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, self.crc, *sizes)
        file.seek(self.at)
        file.write(head + self.name.encode() + _extra([self.size, self.size]) + self._head)

    def listed(self) -> bytes:
        """Return its entry in the zip's list."""
        numbers = self.size, self.size, self.at
        beyond = [number for number in numbers if number >= _BEYOND]
        size, packed, at = (min(number, _BEYOND) for number in numbers)
        head = _LISTED.pack(
            *(b"PK\1\2", _UNIX | _VERSION, _VERSION, 0, 0, 0, _DATE, self.crc, packed, size),
            *(len(self.name), _extra_size(len(beyond)), 0, 0, 0, _READABLE, at),
        )
        return head + self.name.encode() + _extra(beyond)


def _extra(numbers: Sequence[int]) -> bytes:
    """Return the field for numbers that need 64 bits; none if there are none."""
    if not numbers:
        return b""
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def _extra_size(numbers: int) -> int:
    return len(_extra([0] * numbers))


def _listing(members: Sequence[_Member], at: int, comment: bytes) -> bytes:
    """Return the end of a zip, from byte `at` on: its list, where that is, a comment."""
    listed = b"".join(member.listed() for member in members)
    n = len(members)
    end = b""
    if at >= _BEYOND:
        end = _END64.pack(
            *(b"PK\6\6", _END64.size - 12, _UNIX | _VERSION, _VERSION, 0, 0),
            *(n, n, len(listed), at),
        )
        end += _PLACE64.pack(b"PK\6\7", 0, at + len(listed), 1)
    end += _END.pack(b"PK\5\6", 0, 0, n, n, len(listed), min(at, _BEYOND), len(comment))
    return listed + end + comment
