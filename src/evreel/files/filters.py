"""HDF5's filters: their names, what to install where one is missing, and gzip as we write it."""

from __future__ import annotations

from pathlib import Path

import deflate
import h5py
import numpy as np

from evreel.errors import LayoutError

BLOSC = 32001
ZSTD = 32015
ECF = 0x8ECF
NAMES = {
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    307: "bzip2",
    32000: "LZF",
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


def deflated(raw: bytes, size: int, level: int, *, shuffle: bool = True) -> bytes:
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
