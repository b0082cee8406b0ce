"""The bytes of a release's files, and their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from evreel.release.manifest import (
    MANIFEST,
    SUMS,
    Algorithm,
    Manifest,
    manifest_bytes,
    sums_bytes,
)
from evreel.system import CLOSED_IN_OTHERS, NO_LINK

_PIECE_BYTES = 1 << 20


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in pieces; a link in its place is not followed."""
    with os.fdopen(os.open(path, os.O_RDONLY | CLOSED_IN_OTHERS | NO_LINK), "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def digests_of(
    pieces: Iterable[bytes], progress: Callable[[int], None] = lambda size: None
) -> tuple[int, dict[Algorithm, str]]:
    """Return size and digests of bytes that come in pieces.

    Parameters
    ----------
    pieces
        The bytes, in order.
    progress
        Called with the size of each piece.

    Examples
    --------
    >>> size, digests = digests_of([b"event", b" camera"])
    >>> size, digests["md5"]
    (12, 'e2f51b4da853606d576c0fd9be3c97fd')
    """
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in SUMS}
    size = 0
    for piece in pieces:
        for digest in hashes.values():
            digest.update(piece)
        size += len(piece)
        progress(len(piece))
    return size, {name: digest.hexdigest() for name, digest in hashes.items()}


def sums_of(manifest: Manifest, data: bytes) -> dict[Algorithm, dict[str, str]]:
    """Return what the files of checksums say, path → digest, for a manifest and its bytes."""
    _, own = digests_of([data])
    return {
        algorithm: {
            MANIFEST: own[algorithm],
            **{file.path: getattr(file, algorithm) for file in manifest.files},
        }
        for algorithm in SUMS
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a release's manifest, and the files of checksums that agree with it."""
    data = manifest_bytes(manifest)
    (folder / MANIFEST).write_bytes(data)
    for algorithm, digests in sums_of(manifest, data).items():
        (folder / SUMS[algorithm]).write_bytes(sums_bytes(digests))
