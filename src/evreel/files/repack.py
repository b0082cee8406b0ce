"""HDF5 files for others: the same content, compressed so that no plugin is needed to read it.

Working files use bitshuffle-LZ4 and Zstd, which are fast and come as plugins. gzip after a byte
shuffle is part of HDF5 itself.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5s, h5t, h5z

from evreel.errors import ReleaseError, foreign
from evreel.files import hdf5
from evreel.files.filters import check_filters, deflated, filters_of

GZIP_LEVEL = 6
_BLOCK_BYTES = 1 << 22
_GZIP = ({h5z.FILTER_DEFLATE}, {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE})
_BUILT_IN = frozenset(
    {
        h5z.FILTER_DEFLATE,
        h5z.FILTER_SHUFFLE,
        h5z.FILTER_FLETCHER32,
        h5z.FILTER_NBIT,
        h5z.FILTER_SCALEOFFSET,
    }
)


def needs_plugin(path: str | Path) -> bool:
    """Return whether any data set of an HDF5 file needs a filter that is not built into HDF5.

    Raises
    ------
    ReleaseError
        If part of the content is in other files, so that this one alone is incomplete.
    LayoutError
        If it cannot be opened as HDF5.
    """
    path = Path(path)
    found = False
    with hdf5.open_hdf5(path) as file, _damage(path):
        for group in _groups(file):
            for place, node in _members(group, path):
                if isinstance(node, h5py.Dataset):
                    _check_whole(node, place, path)
                    found |= bool(_filters(node) - _BUILT_IN)
    return found


def repack(source: str | Path, destination: str | Path) -> None:
    """Rewrite an HDF5 file with shuffle and gzip in place of filters that are plugins.

    Names, values, dtypes, shapes, chunk shapes, fill values and attributes stay. Data sets that
    HDF5 reads without plugins keep their compression. One chunk is in memory at a time.

    Parameters
    ----------
    source
        The file to read.
    destination
        The file to make; it must not exist.

    Raises
    ------
    ReleaseError
        If the file cannot be read to its end, has content in other files, or has parts that do
        not survive a copy: object references, named types, a user block.
    LayoutError
        If it cannot be opened as HDF5.

    Notes
    -----
    Equal sources give equal bytes, on any system.
    """
    source = Path(source)
    with hdf5.open_hdf5(source) as old, _damage(source):
        if old.userblock_size:
            raise _not_kept(f"has a user block of {old.userblock_size} bytes", source)
        root = old["/"]
        tracked = bool(root.id.get_create_plist().get_link_creation_order())
        with hdf5.new_file(
            Path(destination), libver=("earliest", "v110"), track_order=tracked
        ) as new:
            copy_attributes(root, new["/"], source)
            copies = {root: "/"}
            for group in _groups(old):
                _copy_members(group, new[copies[group]], copies, source)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what h5py raises within a file into an error that names the file."""
    with foreign(
        lambda why: ReleaseError(
            f"cannot be read to its end, or its copy cannot be written: {why}",
            path=path,
            hint="Build the file again, and check the free space on the disk.",
        )
    ):
        yield


def _not_kept(problem: str, path: Path) -> ReleaseError:
    return ReleaseError(
        f"{problem}, which would not survive a copy",
        path=path,
        hint="Set release.compression: fast.",
    )


def _groups(file: h5py.File) -> Iterator[h5py.Group]:
    """Yield the root and every group below it once, each after the group it was found in."""
    waiting = [file["/"]]
    seen = set(waiting)
    while waiting:
        group = waiting.pop()
        yield group
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                node = group[name]
                if isinstance(node, h5py.Group) and node not in seen:
                    seen.add(node)
                    waiting.append(node)


def _members(group: h5py.Group, path: Path) -> Iterator[tuple[str, h5py.HLObject | h5py.SoftLink]]:
    """Yield path and object of a group's members; soft links are not followed."""
    for name in group:
        place = f"{group.name.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.HardLink):
            yield place, group[name]
        elif isinstance(link, h5py.SoftLink):
            yield place, link
        else:
            raise ReleaseError(
                f"{place} is a link to another file",
                path=path,
                hint="Copy what it points to into the file.",
            )


def _check_whole(dataset: h5py.Dataset, place: str, path: Path) -> None:
    if dataset.is_virtual or dataset.external:
        raise ReleaseError(
            f"data set {place} has its values in other files",
            path=path,
            hint="Copy them into the file.",
        )


def _filters(dataset: h5py.Dataset) -> set[int]:
    return set(filters_of(dataset))


def _copy_members(
    old: h5py.Group, new: h5py.Group, copies: dict[h5py.HLObject, str], path: Path
) -> None:
    """Copy a group's links and data sets, and its groups without their members.

    `copies` maps each object of the old file to its path in the new one, so that an object with two
    names is written once.
    """
    for place, node in _members(old, path):
        name = place.rsplit("/", 1)[1]
        if isinstance(node, h5py.SoftLink):
            new[name] = node
            continue
        if node not in copies:
            if isinstance(node, h5py.Group):
                properties = node.id.get_create_plist()
                copy = h5py.Group(h5g.create(new.id, None, gcpl=properties))
            elif isinstance(node, h5py.Dataset):
                copy = _copy_dataset(node, new, place, path)
            else:
                raise _not_kept(f"{place} is a named type", path)
            copy_attributes(node, copy, path)
            new[name] = copy
            copies[node] = new[name].name
        else:
            new[name] = new.file[copies[node]]


def _copy_dataset(old: h5py.Dataset, new: h5py.Group, place: str, path: Path) -> h5py.Dataset:
    """Return a copy in the file of `new`, which has no name yet."""
    _check_whole(old, place, path)
    check_filters(old, path)
    filters = _filters(old)
    properties = old.id.get_create_plist()
    properties.set_obj_track_times(False)
    if filters - _BUILT_IN:
        # Fletcher-32 is removed too: each zlib stream ends with a checksum of its own, and HDF5's
        # would rule out libdeflate below.
        properties.remove_filter(h5z.FILTER_ALL)
        properties.set_shuffle()
        properties.set_deflate(GZIP_LEVEL)
    kind = _kind(old.id.get_type(), place, path)
    copy = h5d.create(new.id, None, kind, old.id.get_space(), properties)
    in_memory = h5t.py_create(old.dtype)
    # libdeflate can replace HDF5's own filters if there are only these two, and values are in the
    # chunk itself.
    stored = _filters(h5py.Dataset(copy))
    direct = stored in _GZIP and not old.dtype.hasobject
    for start, count in _blocks(old):
        block = np.zeros(count, dtype=old.dtype)
        place_in_file = old.id.get_space()
        if count:
            place_in_file.select_hyperslab(start, count)
        space = h5s.create_simple(count) if count else h5s.create(h5s.SCALAR)
        old.id.read(space, place_in_file, block, in_memory)
        if direct:
            copy.write_direct_chunk(start, _deflated(block, old, shuffle=len(stored) == 2))
        else:
            copy.write(space, place_in_file, block, in_memory)
    return h5py.Dataset(copy)


def _deflated(block: npt.NDArray[Any], dataset: h5py.Dataset, shuffle: bool) -> bytes:
    """Return a compressed chunk; at the edge, beyond the values, it has the fill value."""
    chunk = np.full(dataset.chunks, dataset.fillvalue, dtype=dataset.dtype)
    chunk[tuple(map(slice, block.shape))] = block
    return deflated(chunk.tobytes(), dataset.dtype.itemsize, GZIP_LEVEL, shuffle=shuffle)


def _blocks(dataset: h5py.Dataset) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield start and shape of the pieces that have values: chunks, else some megabytes."""
    shape = dataset.shape
    if shape is None or (dataset.chunks is None and not dataset.id.get_storage_size()):
        return
    step = dataset.chunks
    if step is None:
        items = max(1, _BLOCK_BYTES // dataset.dtype.itemsize)
        sizes = []
        for length in reversed(shape):
            sizes.append(min(length, max(1, items)))
            items //= sizes[-1]
        step = tuple(reversed(sizes))
    # All at once: to look one up, HDF5 goes through all before it.
    stored: set[tuple[int, ...]] = set()
    if dataset.chunks:
        dataset.id.chunk_iter(lambda chunk: stored.add(chunk.chunk_offset))
    for start in itertools.product(*map(range, itertools.repeat(0), shape, step)):
        # A chunk that was never written stays unwritten: its values are the fill value.
        if dataset.chunks and start not in stored:
            continue
        yield start, tuple(min(s, n - at) for s, n, at in zip(step, shape, start, strict=True))


def copy_attributes(old: h5py.HLObject, new: h5py.HLObject, path: Path) -> None:
    """Copy attributes with their types; `path` is for messages."""
    for name in old.attrs:
        attribute = old.attrs.get_id(name)
        kind = _kind(attribute.get_type(), f"attribute {name} of {old.name}", path)
        space = attribute.get_space()
        copy = h5a.create(new.id, name.encode("utf-8", "surrogateescape"), kind, space)
        if space.get_simple_extent_type() != h5s.NULL:
            value = np.zeros(attribute.shape, dtype=attribute.dtype)
            in_memory = h5t.py_create(attribute.dtype)
            attribute.read(value, in_memory)
            copy.write(value, in_memory)


def _kind(kind: h5t.TypeID, place: str, path: Path) -> h5t.TypeID:
    """Return an HDF5 type in a form that another file can have."""
    if kind.detect_class(h5t.REFERENCE):
        raise _not_kept(f"{place} holds references to objects", path)
    return kind.copy() if kind.committed() else kind
