"""HDF5's filters: names, what to install where one is missing, chunks as we write and read them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import deflate
import h5py
import numpy as np
import numpy.typing as npt
import zstandard

from evreel.errors import LayoutError

LZF = 32000
BLOSC = 32001
ZSTD = 32015
ECF = 0x8ECF
NAMES = {
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    307: "bzip2",
    LZF: "LZF",
    BLOSC: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    ZSTD: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
    32033: "HTJ2K",
    ECF: "ECF (Prophesee)",
}
"""Number → name of the filters that are met in files of events."""
_OF_HDF5PLUGIN = {307, BLOSC, 32004, 32008, 32013, ZSTD, 32017, 32018, 32024, 32026, 32028, 32033}
_REGISTRY = "github.com/HDFGroup/hdf5_plugins"


def what_to_install(number: int) -> str:
    """Return what to do where a filter is missing, as a sentence."""
    if number in _OF_HDF5PLUGIN:
        return "Run: pip install --upgrade hdf5plugin."
    if number == ECF:
        return (
            "Install Prophesee's hdf5_ecf plugin (it comes with OpenEB), and set HDF5_PLUGIN_PATH "
            "to its folder."
        )
    if number == 4:
        return "Install an h5py that is built with szip, such as conda-forge's."
    return (
        f"Install the plugin that {_REGISTRY} lists for this number, and set HDF5_PLUGIN_PATH to "
        "its folder; or let whoever made the file write it with gzip: h5repack -f GZIP=4 IN OUT."
    )


def filters_of(dataset: h5py.Dataset) -> dict[int, str]:
    """Return the filters of a data set, in the order in which they were applied: number → name."""
    properties = dataset.id.get_create_plist()
    found = (properties.get_filter(k) for k in range(properties.get_nfilters()))
    return {number: NAMES.get(number) or _text(name) for number, _, _, name in found}


def check_filters(dataset: h5py.Dataset, path: Path) -> None:
    """Raise if a filter of a data set is not installed.

    Raises
    ------
    LayoutError
        That says which, and what to install.
    """
    for number, name in filters_of(dataset).items():
        if not h5py.h5z.filter_avail(number):
            raise LayoutError(
                f"data set {dataset.name[1:]} is compressed by HDF5's filter {number}"
                f"{f', {name},' if name else ','} which is not installed",
                path=path,
                hint=what_to_install(number),
            )


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode(errors="replace").split(";")[0].strip()


def deflated(raw: bytes | memoryview, size: int, level: int, *, shuffle: bool = True) -> bytes:
    """Return a chunk as HDF5's shuffle (bytes of equal significance together) and gzip would.

    The compressor is libdeflate, not HDF5's: the zlib that h5py finds differs between systems and
    gives different bytes; libdeflate has a locked version, and any zlib reads its output.

    Parameters
    ----------
    raw
        The chunk's bytes.
    size
        Bytes of an element.
    level
        1 (fast) to 9.
    shuffle
        Whether to shuffle first.
    """
    if shuffle and size > 1:
        raw = np.frombuffer(raw, dtype=np.uint8).reshape(-1, size).T.tobytes()
    return bytes(deflate.zlib_compress(raw, level))


BLOSC_HEAD = struct.Struct("<BBBBIII")
"""Versions of format and codec, flags, bytes of an element; of a chunk, of a block, in the file."""
_BLOSC_PLACE = struct.Struct("<II")  # where the only block begins, and how long its stream is
_BLOSC_ZSTD = 5  # as a data set says it; in a chunk it is 4
_BLOSC_LEVEL = 1
_SHUFFLED, _STORED, _ONE_STREAM, _OF_ZSTD = 1, 2, 16, 4 << 5


def blosc_parameters(size: int, chunk_bytes: int) -> tuple[int, ...]:
    """Return what a data set says of the filter Blosc; `size` of an element, bytes."""
    return 2, 2, size, chunk_bytes, _BLOSC_LEVEL, _SHUFFLED, _BLOSC_ZSTD


def blosc_zstd(values: npt.NDArray[Any]) -> bytes:
    """Return a chunk of values, (n,), in the format of Blosc 1: bytes shuffled, then Zstandard.

    It is one block of one stream, which has a checksum. Blosc's own library is not asked: its bytes
    depend on how many threads it has.

    Source: Blosc's README_CHUNK_FORMAT for version 1.
    """
    size, plain = values.itemsize, values.nbytes
    planes = values.view(np.uint8).reshape(-1, size).T.tobytes() if size > 1 else values.tobytes()
    packed = zstandard.ZstdCompressor(level=_BLOSC_LEVEL, write_checksum=True).compress(planes)
    flags = _ONE_STREAM | _OF_ZSTD | (_SHUFFLED if size > 1 else 0)
    begin = BLOSC_HEAD.size + _BLOSC_PLACE.size
    if begin + len(packed) >= BLOSC_HEAD.size + plain:
        whole = BLOSC_HEAD.size + plain
        head = BLOSC_HEAD.pack(2, 1, flags | _STORED, size, plain, plain, whole)
        return head + values.tobytes()
    head = BLOSC_HEAD.pack(2, 1, flags, size, plain, plain, begin + len(packed))
    return head + _BLOSC_PLACE.pack(BLOSC_HEAD.size + 4, len(packed)) + packed


def decompress_into(chunk: bytes, to: npt.NDArray[np.uint8]) -> None:
    """Decompress a chunk of Zstandard into memory of exactly its size.

    A third faster than making `bytes` of it and a copy of these.

    Raises
    ------
    ValueError
        If it has another size, or is not whole.
    zstandard.ZstdError
        If it is damaged; a checksum, if it has one, is verified.
    """
    size = zstandard.frame_content_size(chunk)
    if size != len(to):
        raise ValueError(f"{size} bytes are announced, expected {len(to)}")
    end = _end_of_frame(chunk)
    if end != len(chunk):
        raise ValueError(f"it ends at byte {end}, but has {len(chunk)} bytes")
    with zstandard.ZstdDecompressor().stream_reader(chunk) as plain:
        done = plain.readinto(to)
        if done != size or plain.read(1):  # which verifies the checksum
            raise ValueError(f"{done} bytes are in it, expected {size}")


def _end_of_frame(chunk: bytes) -> int:
    """Return where a frame of Zstandard ends, by the headers of its blocks (RFC 8878, 3.1.1)."""
    at, is_last = zstandard.frame_header_size(chunk), False
    while not is_last:
        if at + 3 > len(chunk):
            raise ValueError("it is cut short")
        header = int.from_bytes(chunk[at : at + 3], "little")
        is_last, is_run = bool(header & 1), header >> 1 & 3 == 1
        at += 3 + (1 if is_run else header >> 3)
    has_checksum = chunk[4] & 4
    return at + (4 if has_checksum else 0)
