"""HDF5 files for others: the same content, compressed so that no plugin is needed to read it.

Working files use bitshuffle-LZ4 and Zstd, which are fast and come as plugins. gzip after a byte
shuffle is part of HDF5 itself.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5s, h5t, h5z

from evreel.errors import ReleaseError, foreign
from evreel.files import hdf5
from evreel.files.filters import check_filters, deflated, filters_of
from evreel.layout import GZIP_LEVEL

_WAITING = 4
"""Chunks for each thread that are in memory at a time."""
_BLOCK_BYTES = 1 << 22
_CHUNKS_AT_A_TIME = 1 << 16
Chunks = npt.NDArray[np.bool_]
"""Which chunks of a data set: one value each, in their grid."""
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


class Twin(NamedTuple):
    """A file, and what `repack` made of it: where another one has the same chunks, they are copied.

    Parameters
    ----------
    source, packed
        The file, and its copy, which must be made with the same compressor.
    """

    source: Path
    packed: Path


def repack(
    source: str | Path,
    destination: str | Path,
    *,
    level: int = GZIP_LEVEL,
    threads: int = 1,
    twin: Twin | None = None,
) -> None:
    """Rewrite an HDF5 file with shuffle and gzip in place of filters that are plugins.

    Names, values, dtypes, shapes, chunk shapes, fill values and attributes stay. Data sets that
    HDF5 reads without plugins keep their filters. A few chunks are in memory at a time.

    Parameters
    ----------
    source
        The file to read.
    destination
        The file to make; it must not exist.
    level
        Of gzip, 1 to 9.
    threads
        How many compress.
    twin
        A file that may have the same chunks, which then need not be compressed.

    Raises
    ------
    ReleaseError
        If the file cannot be read to its end, has content in other files, or has parts that do
        not survive a copy: object references, named types, a user block.
    LayoutError
        If it cannot be opened as HDF5.

    Notes
    -----
    Equal sources give equal bytes, on any system, for any number of threads and any twin.
    """
    source = Path(source)
    with hdf5.open_hdf5(source) as old, _damage(source), _packing(level, threads, twin) as packing:
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
                _copy_members(group, new[copies[group]], copies, source, packing)


class _Packing(NamedTuple):
    """How chunks are compressed: level of gzip, the threads that do it, files of the twin."""

    level: int
    pool: ThreadPoolExecutor | None
    waiting: int
    twin: tuple[h5py.File, h5py.File] | None

    def through(
        self,
        blocks: Iterator[tuple[tuple[int, ...], npt.NDArray[Any]]],
        old: h5py.Dataset,
        shuffle: bool,
    ) -> Iterator[tuple[tuple[int, ...], bytes]]:
        """Yield where each chunk begins and its compressed bytes, in order."""
        compress = partial(
            _deflated, old=old, fill=old.fillvalue, level=self.level, shuffle=shuffle
        )
        if self.pool is None:
            yield from ((start, compress(block)) for start, block in blocks)
            return
        waiting: deque[tuple[tuple[int, ...], Future[bytes]]] = deque()
        for start, block in blocks:
            waiting.append((start, self.pool.submit(compress, block)))
            if len(waiting) >= self.waiting:
                first, done = waiting.popleft()
                yield first, done.result()
        yield from ((start, done.result()) for start, done in waiting)

    def copied(self, old: h5py.Dataset, copy: h5py.Dataset) -> Chunks | None:
        """Copy the chunks that the twin has too; return which ones these are."""
        if self.twin is None or len(old.shape) != 1:
            return None
        theirs, packed = (file.get(old.name) for file in self.twin)
        if not (_is_alike(old, theirs) and _is_alike(copy, packed) and hdf5.has_all_chunks(old)):
            return None
        done = _no_chunks(old)
        (step,) = old.chunks
        for first in range(0, min(len(old), len(theirs)), step):
            ends = (min(first + step, len(dataset)) for dataset in (old, theirs, packed))
            if len(set(ends)) == 1 and hdf5.raw(old, first) == hdf5.raw(theirs, first):
                mask, data = hdf5.raw(packed, first)
                copy.id.write_direct_chunk((first,), data, mask)
                done[first // step] = True
        return done


@contextlib.contextmanager
def _packing(level: int, threads: int, twin: Twin | None) -> Iterator[_Packing]:
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        files = None
        if twin is not None:
            files = (
                stack.enter_context(hdf5.open_hdf5(twin.source)),
                stack.enter_context(hdf5.open_hdf5(twin.packed)),
            )
        yield _Packing(level, pool, _WAITING * threads, files)


def _is_alike(one: h5py.Dataset, other: h5py.HLObject | None) -> bool:
    """Return whether chunks of two columns that have equal bytes have equal values."""
    return (
        isinstance(other, h5py.Dataset)
        and (one.dtype, one.chunks, one.fillvalue) == (other.dtype, other.chunks, other.fillvalue)
        and hdf5.pipeline(one) == hdf5.pipeline(other)
        and hdf5.has_all_chunks(other)
    )


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
    old: h5py.Group,
    new: h5py.Group,
    copies: dict[h5py.HLObject, str],
    path: Path,
    packing: _Packing,
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
                copy = _copy_dataset(node, new, place, path, packing)
            else:
                raise _not_kept(f"{place} is a named type", path)
            copy_attributes(node, copy, path)
            new[name] = copy
            copies[node] = new[name].name
        else:
            new[name] = new.file[copies[node]]


def _copy_dataset(
    old: h5py.Dataset, new: h5py.Group, place: str, path: Path, packing: _Packing
) -> h5py.Dataset:
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
        properties.set_deflate(packing.level)
    kind = _kind(old.id.get_type(), place, path)
    copy = h5d.create(new.id, None, kind, old.id.get_space(), properties)
    # libdeflate can replace HDF5's own filters if there are only these two, and values are in the
    # chunk itself.
    stored = _filters(h5py.Dataset(copy))
    direct = stored in _GZIP and not old.dtype.hasobject
    if direct and old.chunks:
        shuffle = len(stored) == 2
        done = packing.copied(old, h5py.Dataset(copy))
        blocks = ((start, _read(old, start, count)) for start, count in _blocks(old, done))
        for start, data in packing.through(blocks, old, shuffle):
            copy.write_direct_chunk(start, data)
        return h5py.Dataset(copy)
    for start, count in _blocks(old):
        block = _read(old, start, count)
        space, place_in_file = _spaces(old, start, count)
        copy.write(space, place_in_file, block, h5t.py_create(old.dtype))
    return h5py.Dataset(copy)


def _spaces(
    old: h5py.Dataset, start: tuple[int, ...], count: tuple[int, ...]
) -> tuple[h5s.SpaceID, h5s.SpaceID]:
    """Return the spaces of a block, in memory and in the file."""
    place_in_file = old.id.get_space()
    if count:
        place_in_file.select_hyperslab(start, count)
    return h5s.create_simple(count) if count else h5s.create(h5s.SCALAR), place_in_file


def _read(old: h5py.Dataset, start: tuple[int, ...], count: tuple[int, ...]) -> npt.NDArray[Any]:
    block = np.zeros(count, dtype=old.dtype)
    old.id.read(*_spaces(old, start, count), block, h5t.py_create(old.dtype))
    return block


def _deflated(
    block: npt.NDArray[Any], old: h5py.Dataset, fill: Any, level: int, shuffle: bool
) -> bytes:
    """Return a compressed chunk; at the edge, beyond the values, it has the fill value."""
    chunk = block
    if block.shape != old.chunks:
        chunk = np.full(old.chunks, fill, dtype=block.dtype)
        chunk[tuple(map(slice, block.shape))] = block
    return deflated(chunk.tobytes(), block.dtype.itemsize, level, shuffle=shuffle)


def _blocks(
    dataset: h5py.Dataset, done: Chunks | None = None
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield start and shape of the pieces that have values: chunks, else some megabytes.

    Those in `done` are left out.
    """
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
    starts: Iterator[tuple[int, ...]]
    if not dataset.chunks:
        starts = itertools.product(*map(range, itertools.repeat(0), shape, step))
    else:
        # A chunk that was never written stays unwritten: its values are the fill value.
        wanted = _stored(dataset)
        if done is not None:
            wanted &= ~done
        starts = _begins(wanted, step)
    for start in starts:
        yield start, tuple(min(s, n - at) for s, n, at in zip(step, shape, start, strict=True))


def _no_chunks(dataset: h5py.Dataset) -> Chunks:
    grid = (-(-n // size) for n, size in zip(dataset.shape, dataset.chunks, strict=True))
    return np.zeros(tuple(grid), dtype=np.bool_)


def _stored(dataset: h5py.Dataset) -> Chunks:
    """Return which chunks were written, found all at once: for one, HDF5 goes through all."""
    found, step = _no_chunks(dataset), dataset.chunks

    def add(chunk: h5d.StoreInfo) -> None:
        place = tuple(at // size for at, size in zip(chunk.chunk_offset, step, strict=True))
        found[place] = True

    dataset.id.chunk_iter(add)
    return found


def _begins(chunks: Chunks, step: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield where each of some chunks begins, in order."""
    flat = chunks.reshape(-1)
    for first in range(0, flat.size, _CHUNKS_AT_A_TIME):
        found = first + np.flatnonzero(flat[first : first + _CHUNKS_AT_A_TIME])
        for place in np.stack(np.unravel_index(found, chunks.shape), axis=1).tolist():
            yield tuple(at * size for at, size in zip(place, step, strict=True))


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
