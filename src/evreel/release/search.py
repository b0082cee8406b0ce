"""Looking for texts in every byte of a release, also in what its files compress.

A file is searched as it is; then each attribute and value of HDF5, each member of a zip or tar,
what gzip, bzip2, xz, zstd and LZ4 hold, columns of Parquet, and compressed texts of PNG pictures,
however nested.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import json
import lzma
import re
import struct
import tarfile
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from evreel.errors import one_line
from evreel.release.identity import Word, statements

_PIECE_BYTES = 1 << 22
_OVERLAP_BYTES = 1 << 12
"""No word that is looked for is longer."""
_IN_MEMORY_BYTES = 1 << 26
_DEEPEST = 6
_SURE_BYTES = 6
"""So many bytes are hardly ever equal by chance, among numbers and compressed bytes either."""
_RUN_BYTES = 12
"""A shorter word counts among these only within so many printable characters."""
_TEXT_BYTES = 16
"""In so many printable characters, statements are looked for."""

_PRINTABLE = np.zeros(256, bool)
_PRINTABLE[[*b"\t\n\r", *range(0x20, 0x7F), *range(0x80, 0x100)]] = True
_ASCII = _PRINTABLE & (np.arange(256) < 0x80)


class Found(NamedTuple):
    """Something that identifies, and where it is.

    Parameters
    ----------
    path : of the file in the release.
    place : where in the file; empty for its name.
    text, what : the text, and what it is.
    """

    path: str
    place: str
    text: str
    what: str


class Unsearched(NamedTuple):
    """A file of which a part cannot be searched, and why."""

    path: str
    place: str
    problem: str


def search(
    files: Iterable[tuple[str, Path]],
    words: Collection[Word],
    keep: Collection[str] = (),
    *,
    stated: bool = True,
) -> Iterator[Found | Unsearched]:
    """Yield what is found in files, each text once a file.

    Parameters
    ----------
    files
        Path in the release, and place on the disk.
    words
        What is looked for, whatever the case of its letters, in any encoding. A part of a longer
        word is not found.
    keep
        Texts that may be there.
    stated
        Whether it is also looked for what states itself: e-mail addresses, paths in a home, serial
        numbers.
    """
    wanted = _Wanted(words, keep, stated)
    for path, location in files:
        seen: set[str] = set()
        for text, what in wanted.among(path.encode(), is_text=True):
            yield Found(path, "", text, what)
            seen.add(text)
        try:
            for place, piece, is_text in _pieces_of(location):
                for text, what in wanted.among(piece, is_text=is_text):
                    if text not in seen:
                        seen.add(text)
                        yield Found(path, place, text, what)
        except _CannotSearchError as error:
            yield Unsearched(path, error.place, error.problem)
        except Exception as error:  # whatever a library says of damaged bytes
            yield Unsearched(path, "", one_line(f"cannot be read: {error}"))


def places_of(word: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a word is in a text, whatever the case of letters; not within longer words."""
    if word:
        before = r"(?<![^\W_])" if word[0].isalnum() else ""
        after = r"(?![^\W_])" if word[-1].isalnum() else ""
        pattern = f"{before}{re.escape(word)}{after}"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield match.span()


class _Wanted:
    """Words in all the forms that they may have in a file."""

    def __init__(self, words: Collection[Word], keep: Collection[str], stated: bool) -> None:
        self._keep = {text.lower() for text in keep}
        self._stated = stated
        self._forms: dict[bytes, Word] = {}
        for word in sorted(words):
            if word.text.lower() not in self._keep:
                for form in _forms(word.text):
                    self._forms.setdefault(form, word)
        # A person's name has many forms: where its longest part is not, none is looked for.
        parts = sorted({_longest_part(form) for form in self._forms}, key=lambda part: len(part))
        self._part_of = {form: next(p for p in parts if p in form) for form in self._forms}

    def among(self, data: bytes, *, is_text: bool) -> Iterator[tuple[str, str]]:
        """Yield text and meaning of what is found in some bytes."""
        if is_text:
            yield from self._in(data, self._forms, is_text=True)
            # A text may be broken into lines between words.
            spaced = {form: word for form, word in self._forms.items() if b" " in form}
            on_a_line = b" ".join(data.replace(b"\xc2\xa0", b" ").split()) if spaced else b""
            yield from self._in(on_a_line, spaced, is_text=True)
        else:
            # Only these can be in what is printable and not ASCII.
            others = {form: word for form, word in self._forms.items() if not form.isascii()}
            yield from self._in(data, others, is_text=False)
            for text in _texts_in(data):
                yield from self._in(text, self._forms, is_text=False)
                yield from self._stated_in(_long_texts(text))
        if is_text:
            yield from self._stated_in(data)

    def _in(
        self, data: bytes, forms: Mapping[bytes, Word], *, is_text: bool
    ) -> Iterator[tuple[str, str]]:
        lower = data.lower()
        there = {part: part in lower for part in {self._part_of[form] for form in forms}}
        for form, word in forms.items():
            at = lower.find(form) if there[self._part_of[form]] else -1
            while at >= 0:
                stop = at + len(form)
                is_whole = not (_goes_on(lower, at - 1, at) or _goes_on(lower, stop, stop - 1))
                if is_whole and (is_text or len(form) >= _SURE_BYTES or _in_run(data, at, stop)):
                    yield word
                    break
                at = lower.find(form, at + 1)

    def _stated_in(self, data: bytes) -> Iterator[tuple[str, str]]:
        text = data.replace(b"\0", b"\n").decode("utf-8", "replace") if self._stated else ""
        for what, start, stop in statements(text):
            if text[start:stop].lower() not in self._keep:
                yield text[start:stop], f"an {what}" if what[0] in "aeiou" else f"a {what}"


def _longest_part(form: bytes) -> bytes:
    """Return the longest part of letters and digits; the form itself if it has none."""
    return max(re.findall(rb"[a-z0-9]+", form), key=len, default=form)


def _forms(text: str) -> set[bytes]:
    """Return a text in the spellings of files, in lower case."""
    spelled = {text, json.dumps(text)[1:-1], urllib.parse.quote(text)}
    spelled |= {text.replace("\\", "/"), text.replace("&", "&amp;")}
    forms = {each.encode("utf-8", "surrogateescape") for each in spelled}
    with contextlib.suppress(UnicodeEncodeError):
        forms.add(text.encode("latin-1"))
    return {form.lower() for form in forms}


def _goes_on(data: bytes, outside: int, edge: int) -> bool:
    """Return whether a word goes on beyond its edge."""
    return (
        outside >= 0 and data[edge : edge + 1].isalnum() and data[outside : outside + 1].isalnum()
    )


def _in_run(data: bytes, start: int, stop: int) -> bool:
    """Return whether a word stands among printable characters, as in a text."""
    before = np.frombuffer(data[max(start - _RUN_BYTES, 0) : start], np.uint8)[::-1]
    after = np.frombuffer(data[stop : stop + _RUN_BYTES], np.uint8)
    n = stop - start
    for side in (before, after):
        holes = np.flatnonzero(~_ASCII[side])
        n += int(holes[0]) if holes.size else side.size
    return n >= _RUN_BYTES


def _texts_in(data: bytes) -> Iterator[bytes]:
    """Yield what may be text among other bytes: in ASCII, UTF-16 and UTF-32; 0 is between two."""
    values = np.frombuffer(data, np.uint8)
    printable = _ASCII[values]
    for step in (1, 2, 4):
        for first in range(step):
            low, is_char = values[first::step], printable[first::step]
            for other in range(step):
                if other != first:
                    beside = values[other::step] == 0
                    n = min(len(is_char), len(beside))
                    low, is_char = low[:n], is_char[:n] & beside[:n]
            yield _runs(low, is_char, _SURE_BYTES)


def _long_texts(texts: bytes) -> bytes:
    """Return those of `_texts_in` that are long enough to state anything."""
    values = np.frombuffer(texts, np.uint8)
    return _runs(values, _ASCII[values], _TEXT_BYTES)


def _runs(values: npt.NDArray[np.uint8], is_char: npt.NDArray[np.bool_], least: int) -> bytes:
    """Return the runs of characters that are long enough, each ended by 0."""
    marks = np.zeros(len(values) + 2, np.int8)
    marks[1:-1] = is_char
    steps = np.diff(marks)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    long = stops - starts >= least
    if not long.any():
        return b""
    kept = np.zeros(len(values) + 1, np.int8)
    kept[starts[long]] = 1
    kept[stops[long]] -= 1
    ended = np.append(values, np.uint8(0))
    ended[stops[long]] = 0
    inside = np.cumsum(kept, dtype=np.int8).astype(bool)
    inside[stops[long]] = True
    return bytes(ended[inside].tobytes())


class _CannotSearchError(Exception):
    def __init__(self, place: str, problem: str) -> None:
        super().__init__(problem)
        self.place, self.problem = place, problem


_Piece = tuple[str, bytes, bool]
"""Where it is, its bytes, and whether they are text."""


def _pieces_of(path: Path) -> Iterator[_Piece]:
    with path.open("rb") as file:
        yield from _pieces(file, "", 0)
    import h5py

    if h5py.is_hdf5(path):
        yield from _pieces_of_hdf5(path)


def _pieces(file: IO[bytes], place: str, depth: int) -> Iterator[_Piece]:
    """Yield a stream's bytes, and then what they are when they are decompressed."""
    start = file.read(512)
    file.seek(0)
    rest, at = b"", 0
    while piece := file.read(_PIECE_BYTES):
        data = rest + piece
        where = f"{place}, byte {at}" if place else f"byte {at}"
        yield where if at else place or "byte 0", data, _is_text(data)
        at += len(piece)
        rest = data[-_OVERLAP_BYTES:]
    inner = _inner(start)
    if inner is None:
        return
    if depth == _DEEPEST:
        raise _CannotSearchError(place, f"is compressed more than {_DEEPEST} times in one another")
    file.seek(0)
    try:
        for name, stream in inner(file):
            with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
                while part := stream.read(_PIECE_BYTES):
                    copy.write(part)
                copy.seek(0)
                within = f"{place}!{name}" if place else name
                yield from _pieces(cast("IO[bytes]", copy), within, depth + 1)
    except _CannotSearchError:
        raise
    except Exception as error:  # whatever a library says of damaged bytes
        problem = one_line(f"cannot be decompressed: {error}")
        raise _CannotSearchError(place, problem) from error


def _is_text(data: bytes) -> bool:
    return bool(_PRINTABLE[np.frombuffer(data, np.uint8)].all())


_Inner = Callable[[IO[bytes]], Iterator[tuple[str, Any]]]


def _inner(start: bytes) -> _Inner | None:
    """Return what decompresses bytes that begin so, None if nothing does."""
    if start[257:262] == b"ustar":
        return _tar
    return next((inner for magic, inner in _MAGIC if start.startswith(magic)), None)


def _zip(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(file) as packed:
        for member in packed.infolist():
            # An encrypted one raises, and so cannot be searched.
            with packed.open(member) as stream:
                yield member.filename, stream


def _tar(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    with tarfile.open(fileobj=file, mode="r:") as packed:
        for member in packed:
            stream = packed.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield member.name, stream


def _one(opener: Callable[[IO[bytes]], Any]) -> _Inner:
    def inner(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
        with opener(file) as stream:
            yield "decompressed", stream

    return inner


def _lz4(file: IO[bytes]) -> Any:
    import lz4.frame

    return lz4.frame.open(file)


def _zstd(file: IO[bytes]) -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)


def _png(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the compressed texts of a picture."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind not in (b"zTXt", b"iTXt", b"iCCP"):
            file.seek(size + 4, 1)
            continue
        data = file.read(size)
        file.seek(4, 1)
        # After the keyword, wherever a zlib stream begins.
        for at in (match.start() for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data)):
            with contextlib.suppress(zlib.error):
                yield kind.decode(), io.BytesIO(zlib.decompress(data[at:]))


def _parquet(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a table, whose pages are compressed, and what its schema says."""
    table = importlib.import_module("pyarrow.parquet").read_table(file)
    yield "schema", io.BytesIO(repr(table.schema.metadata).encode())
    for name in table.column_names:
        values = "\n".join(map(str, table[name].to_pylist()))
        yield name, io.BytesIO(values.encode("utf-8", "surrogateescape"))


_MAGIC: tuple[tuple[bytes, _Inner], ...] = (
    (b"PK\x03\x04", _zip),
    (b"PAR1", _parquet),
    (b"\x1f\x8b", _one(gzip.open)),
    (b"BZh", _one(bz2.open)),
    (b"\xfd7zXZ\x00", _one(lzma.open)),
    (b"\x28\xb5\x2f\xfd", _one(_zstd)),
    (b"\x04\x22\x4d\x18", _one(_lz4)),
    (b"\x89PNG\r\n\x1a\n", _png),
)


def _pieces_of_hdf5(path: Path) -> Iterator[_Piece]:
    """Yield names, attributes and values of an HDF5 file."""
    import h5py

    from evreel.files import hdf5

    nodes: list[str] = []
    with hdf5.open_hdf5(path) as file:
        file.visit(nodes.append)
        for node in (file["/"], *(file[name] for name in nodes)):
            for name, value in node.attrs.items():
                yield f"{node.name}@{name}", _as_bytes(np.asarray(value)), True
            if isinstance(node, h5py.Dataset) and node.shape is not None:
                yield from _values(node)


def _values(node: Any) -> Iterator[_Piece]:
    """Yield the values of a data set, in pieces of some megabytes."""
    is_text = node.dtype.kind in "OSU"
    if not node.shape:
        yield node.name, _as_bytes(np.asarray(node[()])), is_text
        return
    row = max(1, node.dtype.itemsize * int(np.prod(node.shape[1:], dtype=np.int64)))
    step = max(1, _PIECE_BYTES // row)
    if node.chunks:
        step = max(node.chunks[0], step // node.chunks[0] * node.chunks[0])
    for at in range(0, node.shape[0], step):
        yield f"{node.name}[{at}]", _as_bytes(node[at : at + step]), is_text


def _as_bytes(values: Any) -> bytes:
    """Return values as the bytes that a search goes through, each text in a line of its own."""
    if values.dtype.kind != "O":
        return bytes(np.ascontiguousarray(values).tobytes())
    texts = (text if isinstance(text, bytes) else str(text).encode() for text in values.flat)
    return b"\n".join(texts)
