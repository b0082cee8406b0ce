"""A folder of npz, npy or text files as one recording: parts of it, one after the other.

The files are read in the order of their names, numbers in them by value: ``9.npz`` before
``10.npz``. All have times by one clock, and columns and sizes that are the same. Hidden files,
whose names begin with a dot, and files of other kinds do not count; neither do texts beside npz or
npy. Of texts, those called readme do not, and if one is called events, it is the only one.

In a folder of npy files, each may also hold one column: then the names of the files are those that
are declared, or the usual ones.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Sensor
from evreel.recordings.columns import ColumnsRecording, columns_by_name
from evreel.recordings.declared import SAID, Declaration, declaration
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.numpy_files import NpyFolderRecording, NpyRecording, NpzRecording
from evreel.recordings.open import STRICT, TEXT_SUFFIXES, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.text import PACKED_SUFFIXES, TextRecording, texts_among

_DIGITS = re.compile(r"([0-9]+)")
_LISTED = 3
_APART = "Put the files of the recording into a folder of their own"


class _Part(ColumnsRecording):
    """A file of a series, which is opened without a look at its events.

    Attributes
    ----------
    unit
        Of its times, where that is not declared but found; empty if there is no choice.
    """

    unit = ""

    def _first_stamp(self) -> int:
        return 0


class _NpzPart(_Part, NpzRecording):
    pass


class _NpyPart(_Part, NpyRecording):
    pass


class _TextPart(_Part, TextRecording):
    @property
    def unit(self) -> str:  # type: ignore[override]
        return self._layout.unit


class SeriesRecording(DecodedRecording):
    """A recording in several files of one kind; all else as in `DecodedRecording`.

    Parameters
    ----------
    path
        Their folder.
    files
        At least one, in their order.

    Raises
    ------
    RecordingError
        If a file is damaged, or states another sensor; it is named. When the recording is opened,
        only the first is looked at.

    Notes
    -----
    One file is open at a time. A text of no bytes has no events. What is salvaged ends before the
    first damage, and all bytes after it count as damaged, those of later files too.

    Where all names are the same but for one number, and most numbers are there, ``missing_files``
    counts the others between the first and the last.
    """

    _kind: ClassVar[type[_Part]]

    def __init__(
        self,
        path: str | Path,
        files: Sequence[Path],
        *,
        stream: int | str | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
    ) -> None:
        self._files = list(files)
        self._bases = [0]
        self._damaged_at: int | None = None
        # What is wrong with order is said of the whole.
        self._of_part = replace(reading, on_disorder="fail", on_reset="fail", on_stray="fail")
        super().__init__(path, stream=stream, sensor=sensor, reading=reading)

    def _first_file(self) -> Path:
        return self._files[0]

    def _open(self) -> Sensor | None:
        sizes = [_size_of(self.path, file) for file in self._files]
        self._bases = [0, *itertools.accumulate(sizes)]
        self._size = self._bases[-1]
        for k in range(len(self._files)):
            if not self._is_void(k):
                with self._part(k, self._given) as part:
                    return part.sensor
        return None

    def _is_void(self, k: int) -> bool:
        """Return whether a file is a text without any bytes."""
        return self._kind is _TextPart and self._bases[k] == self._bases[k + 1]

    def _pieces(self) -> Iterator[Piece | Side]:
        self._damaged_at = None
        self._count("missing_files", missing([file.name for file in self._files]))
        first: tuple[str, str] | None = None  # name and unit of the first file with events
        for k, file in enumerate(self._files):
            if self._is_void(k):
                continue
            base = self._bases[k]
            with self._part(k, self.sensor) as part:
                if part.sensor != self.sensor:
                    self._recode(
                        f"states a sensor of {part.sensor.text} px, but that of the recording is "
                        f"{self.sensor.text}",
                        base,
                        f"Is it of the same camera? {_APART}.",
                    )
                try:
                    for piece in part._pieces():
                        if not isinstance(piece, Piece) or not len(piece.t):
                            continue
                        first = first or (file.name, part.unit)
                        if part.unit != first[1]:
                            self._recode(
                                f"has times that look like {part.unit}, but those of {first[0]} "
                                f"look like {first[1]}",
                                base,
                                f"Declare the unit of t, such as t[s] ({SAID}).",
                            )
                        yield piece._replace(offset=base + piece.offset)
                finally:
                    for name, n in part.repairs.items():
                        self._count(name, n)

    @contextlib.contextmanager
    def _part(self, k: int, sensor: Sensor | None) -> Iterator[_Part]:
        """Open a file; an error of it names folder and file."""
        file, part = self._files[k], None
        try:
            part = self._kind(file, sensor=sensor, reading=self._of_part)
            with part:
                yield part
        except RecordingError as error:
            if error.path != file:
                raise
            hint = error.hint
            if isinstance(error, UnknownFormatError):
                if part is None and len(self._files) > 1:
                    more = f"If {file.name} is not of the recording, put it elsewhere."
                    hint = f"{hint} {more}" if hint else more
            elif error.offset is not None:
                # Of a file that cannot be opened, nothing is read.
                self._damaged_at = self._bases[k] + (error.offset if part is not None else 0)
                if part is None and k and self._has_head:
                    hint = f"{hint} Or set on_damage: salvage to read the files before it."
            place = file.name if error.place is None else f"{error.place} of {file.name}"
            raise type(error)(error.problem, path=self.path, place=place, hint=hint) from error

    def _bytes_from(self, damage: RecordingError) -> int | None:
        return None if self._damaged_at is None else self._size - self._damaged_at

    def _located(self, offset: int | None) -> dict[str, Any]:
        if offset is None:
            return {"offset": None}
        k = bisect_right(self._bases, offset, 1, len(self._files)) - 1
        return {"place": f"byte {offset - self._bases[k]} of {self._files[k].name}"}


class NpzSeriesRecording(SeriesRecording):
    """A folder of npz files; all else as in `SeriesRecording`."""

    format = "npz"
    _kind = _NpzPart


class NpySeriesRecording(SeriesRecording):
    """A folder of npy files; all else as in `SeriesRecording`."""

    format = "npy"
    _kind = _NpyPart


class TextSeriesRecording(SeriesRecording):
    """A folder of texts; all else as in `SeriesRecording`."""

    format = "text"
    _kind = _TextPart


def open_folder(
    path: str | Path, *, reading: Reading, **options: Any
) -> SeriesRecording | NpyFolderRecording:
    """Open a folder whose files are parts of one recording, or its columns, as they are declared.

    Raises
    ------
    UnknownFormatError
        If it has no such files, or of two kinds, or two whose order is not clear.
    RecordingError
        If it cannot be read.
    """
    folder = Path(path)
    assert reading.columns is not None
    found = _files_in(folder)
    npz, npy = ([file for file in found if file.suffix.lower() == end] for end in (".npz", ".npy"))
    names = [file.stem for file in npy]
    are_columns = _are_columns(declaration(reading.columns), names)
    if npy and (are_columns or not (npz or are_numbered(names))):
        return NpyFolderRecording(path, reading=reading, **options)
    if npz and npy:
        raise UnknownFormatError(
            f"is a folder of both npz and npy files, such as {npz[0].name} and {npy[0].name}",
            path=path,
            hint=f"{_APART}.",
        )
    named = set(texts_among(_unpacked(file.name) for file in found))
    texts = [file for file in found if _unpacked(file.name) in named]
    files = sorted(npz or npy or texts, key=lambda file: _key(file.name))
    if not files:
        raise UnknownFormatError(
            "is a folder without npz, npy and text files",
            path=path,
            hint=_hint_of_inner(folder),
        )
    for one, other in itertools.pairwise(files):
        if _key(one.name) == _key(other.name):
            raise UnknownFormatError(
                f"has {one.name} and {other.name}, which have the same name, or number",
                path=path,
                hint="If one is a copy, remove it; else name them so that their order is clear.",
            )
    kind = NpzSeriesRecording if npz else NpySeriesRecording if npy else TextSeriesRecording
    return kind(path, files, reading=reading, **options)


def missing(names: Sequence[str]) -> int:
    """Return how many numbers there are between those in names, if these are a whole but for few.

    Examples
    --------
    >>> missing(["7.npz", "8.npz", "10.npz"]), missing(["a7.npz", "b9.npz"])
    (1, 0)
    >>> missing(["10.npz", "20.npz", "30.npz"]), missing(["7_1.npz", "8_3.npz"])
    (0, 0)
    """
    keys = [_key(name) for name in names]
    varying = [k for k, each in enumerate(zip(*keys, strict=False)) if len(set(each)) > 1]
    if len({len(key) for key in keys}) > 1 or len(varying) != 1:
        return 0
    numbers = [key[varying[0]] for key in keys]
    if not all(isinstance(number, int) for number in numbers):
        return 0
    lost = max(numbers) - min(numbers) + 1 - len(set(numbers))
    return lost if lost < len(numbers) else 0


def are_numbered(names: Sequence[str]) -> bool:
    """Return whether names have numbers, and are the same but for these.

    Examples
    --------
    >>> are_numbered(["7.npz", "10.npz"]), are_numbered(["a7.npz", "b9.npz"])
    (True, False)
    """
    return len({_DIGITS.sub("0", name) for name in names}) == 1 and bool(_DIGITS.search(names[0]))


def _key(name: str) -> tuple[Any, ...]:
    """Return what a file's name is sorted by: texts and numbers in turn, a text first."""
    parts = _DIGITS.split(Path(_unpacked(name)).stem)
    return tuple(int(part) if k % 2 else part for k, part in enumerate(parts))


def _unpacked(name: str) -> str:
    """Return the name of a text before it was compressed; any other name as it is."""
    path = Path(name)
    is_packed = path.suffix.lower() in PACKED_SUFFIXES
    inner = path.stem
    return inner if is_packed and Path(inner).suffix.lower() in TEXT_SUFFIXES else name


def _are_columns(said: Declaration, names: Sequence[str]) -> bool:
    """Return whether npy files with these names, without suffix, are the columns themselves."""
    if said.order:
        return isinstance(columns_by_name(names), dict)
    return any(column.name in names for column in said.columns.values())


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are not hidden, in any order."""
    try:
        found = [file for file in folder.iterdir() if not file.name.startswith(".")]
        return [file for file in found if not file.is_dir()]
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=folder) from error


def _size_of(folder: Path, file: Path) -> int:
    """Return the size of a file; raise if it is none, before it is opened."""
    try:
        if not file.is_file() and file.exists():
            raise RecordingError("is not a regular file", path=folder, place=file.name)
        return file.stat().st_size
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise RecordingError(problem, path=folder, place=file.name) from error


def _hint_of_inner(folder: Path) -> str | None:
    """Return which folders in a folder have files that could be read."""
    with contextlib.suppress(OSError):
        inner = [
            each.name
            for each in sorted(folder.iterdir())
            if each.is_dir() and any(file.suffix in (".npz", ".npy") for file in each.iterdir())
        ]
        if inner:
            return f"Is it {' or '.join(inner[:_LISTED])} in this folder? Give that as the source."
    return None
