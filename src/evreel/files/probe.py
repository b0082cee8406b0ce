"""Inspect the structure of an HDF5 file that has no seal; run as a separate program.

Lost sectors and flipped bits in the structure can make HDF5's library hang, take all memory or end
the process. So this runs on its own, with limits; `inspection` starts it. It opens nothing in
another file that a link or a data set points to.

Run as ``probe.py SECONDS describe FILE NAME…``, it reports where the values of some data sets are,
and reads none of them. It prints a line of JSON, then the tables of chunks, (m, 4) int64 each:
first row, byte of the file, size in bytes, mask of the filters that were left out. In a data set of
two dimensions, ``across`` chunks lie beside each other: the first row is times that, plus the
number of the chunk among these. The name `ALL` stands for a list of all data sets.

Run as ``probe.py SECONDS walk FILE``, it goes through all objects, attributes, texts and tables of
chunks, and prints nothing: where it ends, so does a reader.

SECONDS limits the time of the processor.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

MEMORY_BYTES = 2 << 30
"""Limit of address space."""
MOST_CHUNKS = 1 << 20
"""Limit of chunks of a data set: to list them takes 2 s."""
ALL = "*"
"""Asks for a list of data sets, name → shape and type."""
MOST_FOUND = 200
"""Limit of data sets in that list."""
MOST_GROUPS = 10_000
"""Limit of groups, and of names in one, that are looked through for it."""


def described(dtype: np.dtype[Any]) -> Any:
    """Return a type for JSON: a string, for a record its fields and size, None for any other.

    A bool or an enumeration counts as the integers that store it.
    """
    if dtype.kind == "b":
        return "|u1"
    if dtype.kind in "iuf":
        return dtype.str
    if dtype.kind == "V" and dtype.names and dtype.fields:
        fields = []
        for name in dtype.names:
            field, offset = dtype.fields[name][:2]
            if described(field) is not None and field.names is None:
                fields.append([name, described(field), offset])
        return {"fields": fields, "size": dtype.itemsize}
    return None


def odd_number(kind: Any) -> bool:
    """Return whether a type's numbers do not fill their bytes, which a numpy type cannot say."""
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        return any(odd_number(kind.get_member_type(k)) for k in range(kind.get_nmembers()))
    if isinstance(kind, h5py.h5t.TypeEnumID):
        return odd_number(kind.get_super())
    if isinstance(kind, h5py.h5t.TypeIntegerID):
        return bool(kind.get_precision() != 8 * kind.get_size() or kind.get_offset() != 0)
    return False


def data_set(found: h5py.Dataset) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Return the description of a data set, and the table of its chunks."""
    plist = found.id.get_create_plist()
    none = np.empty((0, 4), np.int64)
    layout = plist.get_layout()
    if layout == h5py.h5d.VIRTUAL or plist.get_external_count():
        return {"elsewhere": True}, none
    if found.shape is None or odd_number(found.id.get_type()):
        return {"shape": [], "type": None}, none
    told: dict[str, Any] = {"shape": list(found.shape), "type": described(found.dtype)}
    if found.dtype.itemsize != found.id.get_type().get_size():
        told["type"] = None
    if found.shape == () and found.dtype.kind in "iu" and layout != h5py.h5d.CHUNKED:
        told["value"] = int(found[()])
    if found.shape == () and found.dtype.kind == "f" and layout != h5py.h5d.CHUNKED:
        told["number"] = float(found[()])
    if len(found.shape) not in (1, 2):
        return told, none
    if layout == h5py.h5d.COMPACT:
        told["values"] = found[...].tobytes().hex()
    elif layout == h5py.h5d.CONTIGUOUS:
        told["offset"] = found.id.get_offset()
    else:
        told["chunk"] = int(found.chunks[0])
        wide = int(found.chunks[1]) if len(found.shape) == 2 else 1
        told["wide"] = wide
        told["across"] = across = -(-found.shape[1] // wide) if len(found.shape) == 2 else 1
        told["filters"] = [
            [filter_id, list(values)]
            for filter_id, _, values, _ in map(plist.get_filter, range(plist.get_nfilters()))
        ]
        rows: list[tuple[int, int, int, int]] = []

        def add(chunk: Any) -> Any:
            first = chunk.chunk_offset[0] * across
            if across > 1:
                first += chunk.chunk_offset[1] // wide
            rows.append((first, chunk.byte_offset, chunk.size, chunk.filter_mask))
            return len(rows) > MOST_CHUNKS or None  # True ends the iteration

        found.id.chunk_iter(add)
        if len(rows) > MOST_CHUNKS:
            told["many"] = True
            return told, none
        return told, np.array(rows, np.int64).reshape(-1, 4)
    return told, none


def find(file: h5py.File, name: str) -> h5py.Dataset | str | None:
    """Return a data set, None if there is none, or "link" if a link leads to it."""
    node: Any = file
    for part in name.split("/"):
        if not isinstance(node, h5py.Group):
            return None
        link = node.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            return "link"
        node = node[part]
    return node if isinstance(node, h5py.Dataset) else None


def contents(group: h5py.Group) -> dict[str, tuple[list[int] | None, Any]]:
    """Return shapes and types of the data sets below a group; None for those of links.

    Those in the group itself are the first, then those in its groups, and so on.
    """
    found: dict[str, tuple[list[int] | None, Any]] = {}
    groups, seen = [("", group)], {h5py.h5o.get_info(group.id).addr}
    for at, inside in groups:  # which grows meanwhile
        for name in itertools.islice(inside, MOST_GROUPS):
            if len(found) == MOST_FOUND:
                found["…"] = [], None
                return found
            if not isinstance(inside.get(name, getlink=True), h5py.HardLink):
                found[f"{at}{name}"] = None, None
                continue
            node = inside[name]
            if isinstance(node, h5py.Group):
                place = h5py.h5o.get_info(node.id).addr
                if place not in seen and len(groups) < MOST_GROUPS:
                    groups.append((f"{at}{name}/", node))
                seen.add(place)
            elif isinstance(node, h5py.Dataset):
                found[f"{at}{name}"] = [], None
                with contextlib.suppress(TypeError, ValueError):  # of a type that numpy has not
                    found[f"{at}{name}"] = list(node.shape or ()), described(node.dtype)
    return found


def text_attribute(file: h5py.File, name: str) -> str | None:
    """Return a text attribute of the root, None if there is none."""
    value = None
    if name in file.attrs:  # `get` takes one that cannot be read for one that is not there
        value = file.attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def description(file: h5py.File, names: Iterable[str]) -> bytes:
    """Return the description of a file, and of the data sets with these names."""
    tables = []
    told: dict[str, Any] = {
        "attributes": {name: text_attribute(file, name) for name in ("geometry", "layout")},
        "sets": {},
    }
    for name in names:
        if name == ALL:
            told["found"] = contents(file)
            continue
        found = find(file, name)
        if isinstance(found, h5py.Dataset):
            told["sets"][name], table = data_set(found)
            told["sets"][name]["chunks"] = len(table)
            tables.append(table)
        elif found is not None:
            told["sets"][name] = {"elsewhere": True, "chunks": 0}
    rows = (table.astype("<i8").tobytes() for table in tables)
    return b"".join((json.dumps(told).encode(), b"\n", *rows))


def walk(file: h5py.File) -> None:
    """Go through all that is structure."""

    def visit(_: str, node: h5py.HLObject) -> None:
        for name in node.attrs:
            with contextlib.suppress(TypeError):  # of a type that numpy has not
                node.attrs[name]
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return
        layout = node.id.get_create_plist().get_layout()
        if layout == h5py.h5d.CHUNKED:
            node.id.chunk_iter(lambda chunk: None)
        if layout != h5py.h5d.VIRTUAL and not node.external and has_pointers(node):
            node[()]

    visit("/", file)
    file.visititems(visit)


def has_pointers(node: h5py.Dataset) -> bool:
    """Return whether a data set's values can be read here and point into the structure, as text."""
    plist = node.id.get_create_plist()
    filters = (plist.get_filter(k)[0] for k in range(plist.get_nfilters()))
    with contextlib.suppress(TypeError):  # of a type that numpy has not
        return bool(node.dtype.hasobject) and all(map(h5py.h5z.filter_avail, filters))
    return False


def limit(**most: int) -> None:
    """Limit what this process may use, unless it may use even less; Windows has no such limits."""
    try:
        import resource
    except ImportError:
        return
    for name, wanted in most.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        least = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (least, least))


def main(seconds: str, task: str, path: str, *names: str) -> None:
    """Inspect a file within limits."""
    limit(CORE=0, AS=MEMORY_BYTES, CPU=int(seconds))
    with h5py.File(path, "r", locking=False) as file:
        if task == "walk":
            walk(file)
        else:
            sys.stdout.buffer.write(description(file, names))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
