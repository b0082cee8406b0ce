"""Events stores and samples files of a data set, made without a workflow.

What is made is in a folder named by all that it follows from: the archives' checksums, config,
table, and revisions of the steps. So nothing that is found there is of other files or settings.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from evreel import steps
from evreel.acquire import (
    check_md5,
    checked_sums,
    in_archive,
    read_source,
    still_to_get,
)
from evreel.dataset.dataset import DataSet
from evreel.dataset.memory import Memory
from evreel.dataset.settings import Config, CutSettings, MemberSettings, SplitsSettings
from evreel.dataset.table import Row
from evreel.outputs import SCRATCH, atomic, refused, scratch_path
from evreel.provenance import STEP_REVISIONS, canonical_json
from evreel.settings import settings_of, trusted
from evreel.system import lock

MADE = "evreel"
"""The folder below a data set's root with everything that is made."""
_MANIFEST = "prepared.json"
_STEPS = ("events", "cut", "splits", "samples")
_KEY_DIGITS = 16


@dataclass(frozen=True)
class Download:
    """One of the publisher's files.

    Parameters
    ----------
    name
        What it is called in the folder ``download``.
    url
        Its address, or several of the same bytes separated by ``|``; if a person gets it, that of
        the page that has it.
    by_hand
        Whether a person gets it.
    md5
        32 hexadecimal digits, None if unknown.
    size_bytes
        Its size, None if unknown.
    """

    name: str
    url: str
    by_hand: bool
    md5: str | None
    size_bytes: int | None = None

    def at(self, root: Path, memory: Memory) -> Path:
        """Return its path, verified; a missing file is downloaded if that is possible.

        Raises
        ------
        SourceError
            If it is missing and has to be got by hand, or cannot be downloaded, or its bytes are
            not the expected ones.
        """
        path = root / "download" / self.name
        if not path.exists():
            if self.by_hand:
                raise still_to_get(path, checked_sums(self.md5), self.url)
            steps.acquire(self.url, path, md5=self.md5, size_bytes=self.size_bytes)
        self.verify(root, memory)
        return path

    def verify(self, root: Path, memory: Memory) -> str:
        """Return its MD5; it is read again only if it may have changed.

        Raises
        ------
        SourceError
            If it cannot be read, or its bytes are not the expected ones.
        """
        path = root / "download" / self.name
        found = memory.digests(path).md5
        if self.md5 is not None and found != self.md5.lower():
            check_md5(path, self.md5)
        return found


@dataclass(frozen=True)
class Recipe:
    """What a data set is made from, and how.

    Parameters
    ----------
    config
        Its config.
    rows
        Recording → row of the table, in which sources are as published.
    downloads
        Recording → the file that it is in.
    """

    config: Config
    rows: Mapping[str, Row]
    downloads: Mapping[str, Download]

    @functools.cached_property
    def key(self) -> str:
        """Digits that differ where anything that is made of it would."""
        rows = {
            id_: {
                **{name: cell for name, cell in row.items() if name not in ("source", "page")},
                "archive": self.downloads[id_].name,
                "md5": self.downloads[id_].md5,
                "members": read_source(row["source"]).members,
            }
            for id_, row in self.rows.items()
        }
        config = self.config.plain()
        told = {name: config[name] for name in ("labels", "events", "samples")}
        told |= {"rows": rows, "revisions": {step: STEP_REVISIONS[step] for step in _STEPS}}
        return hashlib.sha256(canonical_json(told).encode()).hexdigest()[:_KEY_DIGITS]

    def data_set(self, root: Path) -> DataSet:
        """Return the data set whose sources are in the folder ``download``."""
        rows = {}
        for id_, row in self.rows.items():
            path = root / "download" / self.downloads[id_].name
            source = in_archive(path, read_source(row["source"]).members)
            rows[id_] = {**row, "source": source, "md5": self.downloads[id_].md5 or ""}
        values = {name: getattr(self.config, name) for name in settings_of(Config)}
        # Unchecked: only Snakemake cannot have some characters in a path.
        config = trusted(Config, values | {"results": str(root / MADE / self.key)})
        return DataSet(config, rows)


class Files(NamedTuple):
    """What is made of a recording."""

    store: Path
    samples: Path


def prepare(root: Path, recipe: Recipe, memory: Memory) -> dict[str, Files]:
    """Make the events store and the samples file of each recording, where they are not there.

    A file is there if its bytes are those that were made. Of several processes that prepare the
    same, one works and the others wait for it.

    Parameters
    ----------
    root
        The data set's folder, with the folder ``download``.

    Returns
    -------
    Recording → its files, in the order of the table.

    Raises
    ------
    SourceError
        If a file is missing that has to be got by hand, or it is not the expected one.
    EvreelError
        If a step fails: its message names the file. What was made before is kept.
    """
    data_set = recipe.data_set(root)
    folder = Path(data_set.results)
    files = {id_: (f"events/{id_}.h5", f"samples/{id_}.h5") for id_ in recipe.rows}
    names = [name for both in files.values() for name in both]
    for download in dict.fromkeys(recipe.downloads.values()):
        if (root / "download" / download.name).exists():
            download.verify(root, memory)
    if not all(map(_Made(folder, memory).has, names)):
        for download in dict.fromkeys(recipe.downloads.values()):
            download.at(root, memory)
        with alone(folder):
            made = _Made(folder, memory)
            if not all(map(made.has, names)):  # another process may have made them meanwhile
                _build(data_set, made)
    return {id_: Files(*(folder / name for name in both)) for id_, both in files.items()}


class _Made:
    """The files of a folder that are whole: name → SHA-256, kept in a file beside them."""

    def __init__(self, folder: Path, memory: Memory) -> None:
        self.folder = folder
        self._memory = memory
        self._sums: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            sums = json.loads((folder / _MANIFEST).read_bytes())
            self._sums = dict(sums) if isinstance(sums, dict) else {}

    def has(self, name: str) -> bool:
        """Tell whether a file is there as it was made."""
        path = self.folder / name
        return (
            name in self._sums
            and path.is_file()
            and self._memory.digests(path).sha256 == self._sums[name]
        )

    def note(self, *names: str) -> None:
        """Enter files that have just been made."""
        for name in names:
            self._sums[name] = self._memory.digests(self.folder / name).sha256
        with atomic(self.folder / _MANIFEST) as (scratch,):
            scratch.write_text(json.dumps(self._sums, indent=1), encoding="ascii", newline="\n")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """Hold a folder for this thread of this process, and give a place for what is half made.

    What a killed process left there is removed. Where the file system has no locks, several may
    work at once: they write the same bytes.

    Raises
    ------
    EvreelError
        If nothing can be written there.
    """
    scratch = folder / SCRATCH
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / ".lock").open("ab"))
            if _locked(file, folder):
                shutil.rmtree(scratch, ignore_errors=True)
                stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            scratch.mkdir(exist_ok=True)
            (scratch / "kept").touch()  # so that no output that ends removes the folder
        except OSError as error:
            raise refused(folder, error) from error
        yield scratch


def _locked(file: BinaryIO, folder: Path) -> bool:
    """Wait until no other process holds a folder; return whether the file system has locks."""
    try:
        return lock(file)
    except BlockingIOError:
        steps.LOG.info("%s: another process is preparing it; waiting", folder)
        return lock(file, wait=True)


def _build(data_set: DataSet, made: _Made) -> None:
    """Make what is missing of a data set: the steps of the workflow, one recording at a time."""
    config = data_set.config
    assert config.samples is not None, "data sets of labelled samples only"
    stores = {id_: f"events/{id_}.h5" for id_ in data_set.recordings}
    cuts = {id_: f"cuts/{id_}.tsv" for id_ in data_set.recordings}
    files = {id_: f"samples/{id_}.h5" for id_ in data_set.recordings}
    table = "samples.tsv"
    for id_, store in stores.items():
        if not made.has(store):
            _decode(data_set, id_, made.folder / store)
            made.note(store)
        if not made.has(cuts[id_]):
            _fetch_archive(data_set, id_)
            steps.cut(
                made.folder / store,
                made.folder / cuts[id_],
                config.samples.part(CutSettings),
                intervals=data_set.intervals(id_),
                recording=id_,
                members=data_set.member_pattern(id_),
                labels=data_set.labels(),
                group=data_set.row(id_).get("group"),
            )
            made.note(cuts[id_])
    steps.splits(
        {id_: made.folder / cut for id_, cut in cuts.items()},
        made.folder / table,
        config.samples.part(SplitsSettings),
        fixed=data_set.fixed_splits(),
        file_names=data_set.source_names(),
        lists=data_set.split_lists,
    )
    for id_, samples in files.items():
        if not made.has(samples):
            steps.samples(
                made.folder / stores[id_],
                made.folder / cuts[id_],
                made.folder / table,
                made.folder / samples,
                recording=id_,
                labels=data_set.labels(),
            )
    made.note(table, *files.values())
    shutil.rmtree(made.folder / "archives", ignore_errors=True)


def _decode(data_set: DataSet, id_: str, store: Path) -> None:
    """Make the events store of a recording; a member of an archive is unpacked for that time."""
    row, cutting = data_set.row(id_), data_set.cutting(id_)
    source = read_source(row["source"])
    is_archive = cutting is not None and data_set.is_archive(id_)
    with contextlib.ExitStack() as stack:
        recording = source.path
        if source.members:
            _fetch_archive(data_set, id_)
            name = Path(data_set.recording_file(id_)).name
            recording = stack.enter_context(scratch_path(store.with_name(name)))
            steps.acquire(output=recording, **data_set.acquired(id_))
        assert recording is not None, "sources are local here"
        steps.events(
            recording,
            store,
            data_set.config.events,
            sensor=row.get("sensor"),
            format=row.get("format"),
            archive=cutting.part(MemberSettings) if cutting and is_archive else MemberSettings(),
        )


def _fetch_archive(data_set: DataSet, id_: str) -> None:
    """Put the archive that a recording is in where the data set reads its members from."""
    row = data_set.row(id_)
    if read_source(row["source"]).members:
        archive = read_source(data_set.acquired(id_)["source"]).path
        assert archive is not None, "the data set reads members from a file"
        if not archive.exists():
            steps.acquire(read_source(row["source"]).file, archive, plain=True)
