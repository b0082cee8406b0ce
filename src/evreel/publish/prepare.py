"""Making a file ready for a release: compressed as others need it, summed, checked, counted."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from evreel.checks.events import event_check_names
from evreel.checks.finding import Finding
from evreel.checks.run import look
from evreel.errors import EvreelError
from evreel.files import hdf5
from evreel.files.repack import Twin, needs_plugin, repack
from evreel.layout import EVENTS, FEATURES, SAMPLES, SLICES
from evreel.publish.record import Record
from evreel.release.facts import EventFacts, frame_facts, labelled_us, sample_facts

Compression = Literal["portable", "fast"]

COMPRESSOR = "deflate"
"""The library that compresses, by the name of its distribution."""

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Store:
    """The events store of a recording, and what was made of it for the release."""

    source: Path
    published: Path
    record: Record


def prepare(
    source: Path,
    target: Path,
    *,
    compression: Compression,
    gzip_level: int,
    keeps_bytes: bool = False,
    threads: int = 1,
    store: Store | None = None,
) -> Record:
    """Make an HDF5 file ready for a release, and return what is known of it.

    Parameters
    ----------
    source
        The file as it was made.
    target
        The file to write, or to link where its bytes stay.
    compression, gzip_level
        ``portable``: compressed with gzip where it needs a plugin; ``fast``: as it is.
    keeps_bytes
        Whether its bytes stay in any case: others know their checksums.
    threads
        How many compress and sum.
    store
        The events of its recording: what is equal is not compressed again, nor checked.

    Raises
    ------
    ReleaseError
        If it cannot be read, or needs other files.

    Notes
    -----
    Equal sources give equal files and records.
    """
    # Even if it stays as it is: a file with content elsewhere must not be published.
    plugin = needs_plugin(source)
    version = importlib.metadata.version(COMPRESSOR)
    if store is not None and store.source == source:
        store = None
    with ThreadPoolExecutor(threads) as pool:
        # Sums are found while the files are compared and compressed.
        own = pool.submit(_digest, source, "sha256")
        of_store = None if store is None else pool.submit(_digest, store.source, "sha256")
        same = store is not None and _has_events_of(source, store.source)
        if (
            store is None
            or of_store is None
            or f"sha256:{of_store.result()}" != store.record.source
        ):
            store, same = None, False  # it is not the one that was published
        stays = not plugin or compression != "portable" or keeps_bytes
        if stays:
            place(source, target)
        else:
            fits = store is not None and store.record.compressor == version
            twin = Twin(store.source, store.published) if store is not None and fits else None
            repack(source, target, level=gzip_level, threads=threads, twin=twin)
        md5 = pool.submit(_digest, target, "md5")
        sha256 = own if stays else pool.submit(_digest, target, "sha256")
        looked = look(
            source,
            f"sha256:{own.result()}",
            [] if store is None else [(store.source, store.record.source)],
            _of_events(store) if store is not None and same else None,
        )
        return Record(
            target.stat().st_size,
            md5.result(),
            sha256.result(),
            looked.source,
            compression,
            gzip_level,
            version,
            looked,
            _facts(source, looked.kind),
            _is_unverified(source),
        )


def place(source: Path, target: Path) -> bool:
    """Link a file, or copy it where there are no hard links; return whether it is linked.

    Raises
    ------
    OSError
        If it cannot be copied.
    """
    with contextlib.suppress(OSError):  # another file system, or one without hard links
        os.link(source, target)
        return True
    shutil.copyfile(source, target)
    return False


def _digest(path: Path, name: str) -> str:
    found = hashlib.new(name, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


def _has_events_of(source: Path, store: Path) -> bool:
    """Return whether a slices file has all events of a store, as the bytes of both show."""
    names = [f"events/{name}" for name in "txyp"]
    scalars = ("events/height", "events/width")
    try:
        with hdf5.open_hdf5(source) as ours, hdf5.open_hdf5(store) as theirs:
            if ours.attrs.get("layout") != SLICES.name or ours["first_row"][()] != 0:
                return False
            return all(ours[name][()] == theirs[name][()] for name in scalars) and all(
                hdf5.has_same_rows(ours[name], theirs[name]) for name in names
            )
    except Exception:  # the checks say what is wrong with it
        return False


def _of_events(store: Store) -> Sequence[Finding]:
    """Return what the checks of events have found in a store."""
    names = event_check_names()
    return [finding for finding in store.record.looked.alone if finding.check in names]


def _facts(path: Path, kind: str | None) -> Mapping[str, Any]:
    """Return what a file adds to the facts of its recording."""
    from evreel.files.events_store import EventsStore
    from evreel.files.features import FeaturesFile
    from evreel.files.samples import SamplesFile
    from evreel.files.slices import SlicesFile

    try:
        if kind == EVENTS.name:
            with EventsStore(path) as events:
                return {"events": asdict(EventFacts.of(events))}
        if kind == SLICES.name:
            with SlicesFile(path) as slices:
                return {"labelled_us": labelled_us(slices)}
        if kind == SAMPLES.name:
            with SamplesFile(path) as samples:
                return {"samples": sample_facts(samples)}
        if kind == FEATURES.name:
            with FeaturesFile(path) as features:
                return {"features": asdict(frame_facts(features))}
    except EvreelError:
        pass  # the checks say what is wrong with it
    return {}


def _is_unverified(path: Path) -> bool:
    """Return whether an events store says that its recording came without a checksum."""
    try:
        with hdf5.open_hdf5(path) as file, hdf5.reading(path, "its parameters"):
            parameters = json.loads(file.attrs.get("parameters", "{}"))
            return isinstance(parameters, dict) and "source_checksum" in parameters
    except EvreelError:
        return False  # no store of ours; the checks say what is wrong with it
