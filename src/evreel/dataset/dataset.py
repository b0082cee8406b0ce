"""A data set: which recordings it has, what each is made from, and how."""

from __future__ import annotations

import functools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evreel.acquire import in_archive, read_source
from evreel.dataset.config import FILES, files_of, read_config, split_lists
from evreel.dataset.documents import merged, read_document
from evreel.dataset.notes import Stated
from evreel.dataset.settings import Config, FeatureSection, PartsSettings, SamplesSection
from evreel.dataset.table import Row, folder_in
from evreel.errors import UsageError
from evreel.files.clock import CLOCK_SUFFIX
from evreel.folders import SUFFIX as FOLDER_SUFFIX
from evreel.folders import bag_of
from evreel.release.content import (
    ANNOTATIONS,
    BETWEEN,
    boxes_file,
    has_boxes,
    is_annotated,
    paths_in,
)
from evreel.release.manifest import REASON
from evreel.representations.own import is_own, without_folder
from evreel.settings import Settings, guess, settings_of
from evreel.windows import Instants

_DIGITS_OF_ARCHIVE = 16
_OF_ARCHIVE = re.compile(f"([0-9a-f]{{{_DIGITS_OF_ARCHIVE}}}|[0-9a-f]{{8}})-.*")
"""Begins with the first digits of an MD5 or SHA-256, or with a CRC-32."""
_COMPRESSED_TAR = re.compile(r"\.(tar\.(gz|xz|bz2)|tgz|txz|tbz2?)$", re.IGNORECASE)
_LONGEST_NAME, _LONGEST_SUFFIX = 100, 20
"""Characters that are kept of a source's name: a file's may have 255 bytes."""
_SUFFIX = {"mp4": "mp4", "png-zip": "zip"}
_KNOWN_OF_MISSING = ("split", "group")
"""Columns that a release tells of a recording that it lacks."""
SUFFIXES = tuple(_SUFFIX.values())
"""Suffixes that videos may have."""
PART_BYTES = 32 << 30
"""Bytes of a recording that one job takes: some hours, of 300 GB a ninth."""


class DataSet:
    """What config and table say, and what follows from it.

    Parameters
    ----------
    config, recordings, own, lines
        As in `evreel.dataset.config.Read`.
    is_verified
        Function of the path of an archive that is there, and of what is `Stated` → whether it is
        known to have that.
    missing
        Recordings that are left out of a data set, as `without` does: id → what a release says of
        it.

    Examples
    --------
    >>> from evreel.settings import read
    >>> release = {"name": "tiny", "version": "1.0", "licence": "CC0-1.0"}
    >>> config = read(Config, {"recordings": "r.tsv", "labels": ["car"], "features": {}}
    ...     | {"release": release})
    >>> row = {"id": "a", "source": "many.zip!a.raw", "md5": "0" * 32, "split": "train"}
    >>> DataSet(config, {"a": row}).acquired("a")["source"]
    'results/archives/0000000000000000-many.zip!a.raw'
    """

    def __init__(
        self,
        config: Config,
        recordings: Mapping[str, Row],
        own: Mapping[str, Config] | None = None,
        lines: Mapping[str, int] | None = None,
        is_verified: Callable[[str, Stated], bool] = lambda path, stated: False,
        missing: Mapping[str, Row] | None = None,
    ) -> None:
        self.config = config
        self.recordings = recordings
        self._own = own or {}
        self.lines = lines or {}
        self._is_verified = is_verified
        self.missing = missing or {}
        self._parts_by_size: dict[str, int] = {}
        self._recording_files: dict[str, str] = {}

    @classmethod
    def read(
        cls,
        values: Mapping[str, Any],
        files: Sequence[str | Path] = (),
        given: Mapping[str, Any] | None = None,
        *,
        is_verified: Callable[[str, Stated], bool] = lambda path, stated: False,
        **more: Any,
    ) -> DataSet:
        """Check a config and its table, as `evreel.dataset.config.read_config` does."""
        made = cls(*read_config(values, files, given, **more), is_verified)
        _ = made.split_lists  # of which one may be in an archive that is not there
        return made

    @classmethod
    def of_files(cls, files: Sequence[str | Path], *, awaited: Collection[str] = ()) -> DataSet:
        """Read config files as Snakemake does, where a later one wins key by key.

        Raises
        ------
        UsageError
            As `read`, and if a file cannot be read.
        """
        values: dict[str, Any] = {}
        for file in files:
            values = merged(values, read_document(file)[0])
        return cls.read(values, files, awaited=awaited)

    def without(self, reasons: Mapping[str, str]) -> DataSet:
        """Return the data set without some recordings: id → why it is left out."""
        if not reasons:
            return self
        missing = {
            id_: {name: row[name] for name in _KNOWN_OF_MISSING if name in row}
            | {REASON: reasons[id_]}
            for id_, row in self.recordings.items()
            if id_ in reasons
        }
        rest = {id_: row for id_, row in self.recordings.items() if id_ not in reasons}
        return DataSet(self.config, rest, self._own, self.lines, self._is_verified, missing)

    def is_incomplete(self) -> bool:
        """Tell whether recordings are left out of it."""
        return bool(self.missing)

    @property
    def results(self) -> str:
        """Folder of everything that is built."""
        return self.config.results

    @property
    def release_name(self) -> str:
        """Name of the release's folder."""
        return f"{self.config.release.name}-{self.config.release.version}"

    def names(self, id_: str) -> list[str]:
        """Return what a recording is called: its id, and its file's name without the suffix."""
        return [id_, Path(read_source(self.recordings[id_]["source"]).name).stem]

    def labels(self) -> list[str]:
        """Return the names of the labels."""
        return list(self.config.labels)

    @property
    def video_suffix(self) -> str:
        """Suffix of the videos."""
        return _SUFFIX[self.config.video.container]

    def row(self, id_: str) -> Row:
        """Return a recording's row of the table.

        Raises
        ------
        UsageError
            If there is no such recording.
        """
        if id_ not in self.recordings:
            more = guess(id_, self.recordings)
            raise UsageError(f"{self.config.recordings} has no recording {id_!r}{more}")
        return self.recordings[id_]

    def settings(self, id_: str | None = None) -> Config:
        """Return the config of a recording, or that of the data set."""
        return self.config if id_ is None else self._own.get(id_, self.config)

    def group(self, id_: str | None, place: Sequence[str]) -> Settings | None:
        """Return a group of a recording's settings, such as ``("features", "histogram")``."""
        value: Any = self.settings(id_)
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
        return value if isinstance(value, Settings) else None

    def cutting(self, id_: str) -> SamplesSection | None:
        """Return the settings of a recording's samples, None where it is not cut."""
        return self.settings(id_).cutting

    def is_archive(self, id_: str) -> bool:
        """Tell whether a recording is an archive whose members are samples."""
        cutting = self.cutting(id_)
        return cutting is not None and cutting.by == "members"

    def is_annotated(self, id_: str) -> bool:
        """Tell whether people annotate a recording: none of data without labels."""
        return bool(self.config.labels) and is_annotated(
            self.row(id_), self.cutting(id_) is not None
        )

    @property
    def cut(self) -> list[str]:
        """Ids of the recordings that are cut into samples."""
        return [id_ for id_ in self.recordings if self.cutting(id_)]

    @property
    def annotated(self) -> list[str]:
        """Ids of the recordings that people annotate."""
        return [id_ for id_ in self.recordings if self.is_annotated(id_)]

    @functools.cached_property
    def features_with_boxes(self) -> list[str]:
        """Names of the features that have the boxes of their own windows beside them."""
        return self._features(lambda feature: feature.has_boxes)

    @functools.cached_property
    def features_without_boxes(self) -> list[str]:
        """Names of the features beside which all boxes, in the sensor's pixels, would be wrong."""
        return self._features(lambda feature: feature.geometry.moves)

    def _features(self, are: Callable[[FeatureSection], bool]) -> list[str]:
        """Return the names of the features that are so, of the data set or of any recording."""
        configs = self.config, *self._own.values()
        found = {name for each in configs for name, one in each.features.items() if are(one)}
        return [name for name in self.config.features if name in found]

    def slices_of_regions(self, id_: str) -> str | None:
        """Return a recording's slices if a feature counts only events in regions, else None."""
        of_regions = any(one.geometry.labels for one in self.settings(id_).features.values())
        return f"{self.results}/slices/{id_}.h5" if of_regions else None

    def feature_sources(self, id_: str, feature: str) -> dict[str, str]:
        """Return the digests of what defines a feature of a recording, if that is a user's own.

        Role → ``sha256:…``; nothing for a representation of evreel's.
        """
        settings = self.settings(id_).features[feature]
        if not is_own(settings.representation):
            return {}
        return dict(settings.feature().representation.sources)

    @property
    def boxed(self) -> list[str]:
        """Ids of the recordings that have boxes, drawn or supplied with them."""
        return [id_ for id_ in self.recordings if has_boxes(self.row(id_))]

    def boxes_file(self, id_: str) -> str:
        """Return the file with all boxes of a recording.

        Raises
        ------
        UsageError
            If it has none.
        """
        if not has_boxes(self.row(id_)):
            raise UsageError(
                f"recording {id_!r} has no boxes",
                hint="Name its annotation in column rois, or its boxes in column boxes.",
            )
        return boxes_file(id_, self.row(id_), self.results)

    def preview_file(self, role: str) -> Callable[[str], str | None]:
        """Return a function of a recording that gives what its preview shows in a role.

        Parameters
        ----------
        role
            ``boxes``, ``slices``, ``clock`` or ``cut``. A recording has the file of one of them, of
            slices and their clock, or of none; the function returns None for the others.
        """

        def file(id_: str) -> str | None:
            shown: dict[str, str] = {}
            row = self.row(id_)
            if row.get("boxes"):
                shown["boxes"] = self.boxes_file(id_)
            elif any(row.get(name) for name in ANNOTATIONS):
                shown["slices"] = f"{self.results}/slices/{id_}.h5"
                shown["clock"] = f"{self.results}/video/{id_}{CLOCK_SUFFIX}"
            elif self.cutting(id_) is not None:
                shown["cut"] = f"{self.results}/cuts/{id_}.tsv"
            return shown.get(role)

        return file

    def preview_labels(self, id_: str) -> list[str]:
        """Return the labels where a recording's preview needs them to name its boxes."""
        return self.labels() if self.row(id_).get("boxes") else []

    def ends_of_windows(self, at: Instants) -> Callable[[str], str | None]:
        """Return a function of a recording that gives the file with times where windows end.

        Parameters
        ----------
        at
            Which of them; the function returns None where no window of a feature ends at such.
        """

        def file(id_: str) -> str | None:
            if all(one.ending != at for one in self.settings(id_).features.values()):
                return None
            if at == "frames":
                return f"{self.results}/video/{id_}{CLOCK_SUFFIX}"
            return self.boxes_file(id_) if at == "labels" else self.row(id_)["times"]

        return file

    # -- sources

    def archive_of(self, row: Row) -> str:
        """Return the file name of the archive that a row's recording is in; rows may share one.

        It begins with the first digits of a digest. An archive that is there stays under its name
        when another digest of it is stated, or one more.
        """
        return self._archive_name(
            read_source(row["source"]).file_name,
            *(row.get(name, "").lower() for name in ("md5", "sha256", "crc32")),
        )

    def _archive_name(self, file_name: str, md5: str, sha256: str, crc32: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", file_name)[-_LONGEST_NAME:]
        known = [digest[:_DIGITS_OF_ARCHIVE] for digest in (md5, sha256, crc32) if digest]
        names = [f"{digits}-{name}" for digits in known]
        for there in names:
            if there in self._archives_there:
                return there
        stated = Stated(md5 or None, sha256 or None, crc32=crc32 or None)
        others = [each for each in self._archives_there if _OF_ARCHIVE.fullmatch(each)]
        for other in others:
            path = f"{self.results}/archives/{other}"
            if other.partition("-")[2] == name and self._is_verified(path, stated):
                return other
        return names[0]

    @functools.cached_property
    def _archives_there(self) -> list[str]:
        """Names of the archives that were acquired by an earlier run."""
        try:
            return sorted(os.listdir(f"{self.results}/archives"))  # noqa: PTH208 (names alone)
        except OSError:
            return []

    @functools.cached_property
    def _rows_of_archives(self) -> dict[str, list[tuple[str, Row]]]:
        """Archive → ids and rows of the recordings that are in it."""
        found: dict[str, list[tuple[str, Row]]] = defaultdict(list)
        for id_, row in self.recordings.items():
            if read_source(row["source"]).members:
                found[self.archive_of(row)].append((id_, row))
        return found

    @functools.cached_property
    def archives(self) -> dict[str, Row]:
        """The archives that recordings are in: file name → what the rows state of it.

        Its source is that of the first of them.
        """
        return {
            name: {column: cell for _, row in reversed(rows) for column, cell in row.items()}
            for name, rows in self._rows_of_archives.items()
        }

    def contradictions_of_archives(self) -> Iterator[str]:
        """Yield a doubt where two rows state different things of the same archive."""
        for rows in self._rows_of_archives.values():
            first: dict[str, tuple[str, str]] = {}
            for id_, row in rows:
                for column in ("md5", "sha256", "crc32", "size_bytes"):
                    if column not in row:
                        continue
                    cell = row[column].lower()
                    other, as_first = first.setdefault(column, (id_, cell))
                    if cell != as_first:
                        yield (
                            f"line {self.lines[id_]}: {column}: is {cell}; line "
                            f"{self.lines[other]} states {as_first} of the same archive"
                        )

    @functools.cached_property
    def _wanted_members(self) -> Counter[str]:
        """How many files of each archive are wanted: recordings, and tables beside them."""
        wanted: Counter[str] = Counter()
        for row in self.recordings.values():
            if read_source(row["source"]).members:
                wanted[self.archive_of(row)] += 1 + row.get("samples", "").startswith("!")
        return wanted

    def _members_from(self, archive: str) -> str:
        """Return the file that members of an archive are read from.

        Of a tar that is compressed as a whole, that is a plain one where several are wanted: else
        each would be looked for from the beginning.
        """
        if self._wanted_members[archive] > 1 and _COMPRESSED_TAR.search(archive):
            return f"{self.results}/archives/plain/{archive}.tar"
        return f"{self.results}/archives/{archive}"

    def acquired(self, id_: str) -> dict[str, Any]:
        """Return what `evreel.steps.acquire` takes for a recording.

        An archive is acquired and verified once, by a job of its own; its recordings are read
        from that.
        """
        row = self.recordings[id_]
        members = read_source(row["source"]).members
        if not members:
            return self._whole_source(row)
        return {
            "source": in_archive(self._members_from(self.archive_of(row)), members),
            "member_md5": row.get("member_md5"),
        }

    def acquired_archive(self, archive: str) -> dict[str, Any]:
        """Return what `evreel.steps.acquire` takes for an archive."""
        return self._whole_source(self.archives[archive])

    @staticmethod
    def _whole_source(row: Row) -> dict[str, Any]:
        source = read_source(row["source"])
        return {
            "source": source.file,
            "md5": row.get("md5"),
            "sha256": row.get("sha256"),
            "crc32": row.get("crc32"),
            "size_bytes": int(row["size_bytes"]) if "size_bytes" in row else None,
            "page": row.get("page") if source.manual else None,
        }

    def folder(self, id_: str) -> Path | None:
        """Return the local folder that a recording is, of samples, columns or a bag, or None."""
        folder = folder_in(self.row(id_))
        if folder is None:
            return None
        has_columns = self.settings(id_).events.columns is not None
        is_one = self.is_archive(id_) or has_columns or bag_of(folder) is not None
        return folder if is_one else None

    def recording_file(self, id_: str) -> str:
        """Return the acquired file of a recording; it keeps its source's suffix.

        Also where a format is stated: to state it later then downloads nothing again. Of a folder,
        it is its listing.
        """
        file = self._recording_files.get(id_)
        if file is None:
            suffix = FOLDER_SUFFIX if self.folder(id_) is not None else self._suffix(id_)
            file = self._recording_files[id_] = f"{self.results}/recordings/{id_}{suffix}"
        return file

    def _suffix(self, id_: str) -> str:
        name = read_source(self.row(id_)["source"]).name
        suffix = re.sub(r"[^A-Za-z0-9]", "", Path(name).suffix)[:_LONGEST_SUFFIX]
        return f".{suffix or 'recording'}"

    def recording_files(self) -> dict[str, str]:
        """Return the acquired file of each recording."""
        return {id_: self.recording_file(id_) for id_ in self.recordings}

    def file(self, column: str) -> Callable[[str], str | None]:
        """Return a function of a recording that gives its file in a column, None for no file."""
        return lambda id_: self.row(id_).get(column)

    def files(self, column: str) -> Callable[[str], list[str]]:
        """Return a function of a recording that gives its files in a column of annotations."""
        return lambda id_: paths_in(self.row(id_).get(column))

    # -- parts

    def n_parts(self, step: str, id_: str) -> int:
        """Return how many jobs share a step of a recording.

        Parameters
        ----------
        step
            A setting of `evreel.dataset.settings.PartsSettings`.
        """
        asked: int | None = getattr(self.settings(id_).parts, step)
        if asked is not None:
            return asked
        if id_ not in self._parts_by_size:
            self._parts_by_size[id_] = max(1, -(-self.stated_size(id_) // PART_BYTES))
        return self._parts_by_size[id_]

    def is_divided(self, id_: str) -> bool:
        """Tell whether several jobs share a step of a recording."""
        return any(self.n_parts(step, id_) > 1 for step in settings_of(PartsSettings))

    def stated_size(self, id_: str) -> int:
        """Return the size of a recording, bytes, 0 if it is not known before any job has run.

        Jobs on other machines find out the same: what is acquired meanwhile does not count.
        """
        row = self.row(id_)
        return 0 if read_source(row["source"]).members else _stated_size(row)

    def stated_sizes(self) -> Iterator[tuple[str, int]]:
        """Yield each recording with that size; one in an archive has its share of the archive."""
        shares = {
            id_: _stated_size(self.archives[name]) // len(rows)
            for name, rows in self._rows_of_archives.items()
            for id_, _ in rows
        }
        for id_ in self.recordings:
            yield id_, shares.get(id_) or self.stated_size(id_)

    def parts(self, step: str) -> Callable[[str], list[str]]:
        """Return a function of a recording that gives the parts that are joined; none if it is one.

        Parameters
        ----------
        step
            As `n_parts` takes it.
        """

        def files(id_: str) -> list[str]:
            n = self.n_parts(step, id_)
            folder = f"{self.results}/parts/{step}/{id_}"
            return [f"{folder}/{k}of{n}.h5" for k in range(1, n + 1)] if n > 1 else []

        return files

    def feature_files(self, id_: str) -> dict[str, str]:
        """Return the file of each feature of a recording."""
        return {name: f"{self.results}/features/{name}/{id_}.h5" for name in self.config.features}

    # -- samples

    def intervals(self, id_: str) -> str | None:
        """Return a recording's table of intervals, None where its samples are members."""
        cutting, row = self.cutting(id_), self.recordings[id_]
        if cutting is None or cutting.by == "members":
            return None
        if cutting.table is not None:
            return cutting.table
        member = row["samples"].removeprefix("!")
        if member == row["samples"]:
            return member
        # Beside the recording: in the archive that it is in, or in the innermost of several.
        *outer, _ = read_source(row["source"]).members
        return in_archive(self._members_from(self.archive_of(row)), [*outer, member])

    def intervals_file(self, id_: str) -> str | list[str]:
        """Return the file with a recording's table of intervals, or the archive that has it."""
        source = self.intervals(id_)
        return [] if source is None else str(read_source(source).path)

    def local_intervals(self, id_: str) -> str | None:
        """Return a recording's table of intervals, None where it is in an archive, or none is."""
        source = self.intervals(id_)
        return None if source is None or read_source(source).members else source

    @functools.cached_property
    def split_lists(self) -> dict[str, str]:
        """The lists that ship with the data: split → path, or archive and member."""
        lists = split_lists(self.config)
        if any(file.startswith("!") for file in lists.values()) and len(self.archives) != 1:
            raise UsageError(
                "samples/split/files: ! means the archive that all recordings are in; there are "
                f"{len(self.archives)}"
            )
        return {
            split: (
                in_archive(self._members_from(next(iter(self.archives))), [file[1:]])
                if file.startswith("!")
                else file
            )
            for split, file in lists.items()
        }

    def is_in_shared_table(self, id_: str) -> bool:
        """Tell whether a recording's intervals are in a table of several recordings."""
        cutting = self.cutting(id_)
        return cutting is not None and cutting.table is not None

    def member_pattern(self, id_: str) -> str | None:
        """Return the pattern of an archive's members that are samples, None for one recording."""
        cutting = self.cutting(id_)
        return cutting.members if cutting else None

    def sample_labels(self, id_: str) -> list[str] | None:
        """Return the labels where a recording is cut: what is made of others needs none."""
        return self.labels() if self.cutting(id_) else None

    def cut_table(self, id_: str) -> str | None:
        """Return the table of a recording's samples, None where it is not cut."""
        return f"{self.results}/cuts/{id_}.tsv" if self.cutting(id_) else None

    def cut_tables(self) -> dict[str, str]:
        """Return the table of its samples of each recording that is cut."""
        tables = {id_: self.cut_table(id_) for id_ in self.recordings}
        return {id_: table for id_, table in tables.items() if table is not None}

    def cut_files(self) -> list[str]:
        """Return those tables."""
        return [*self.cut_tables().values()]

    def fixed_splits(self) -> dict[str, str | None]:
        """Return the split of each recording that is cut, None where its samples are of several."""
        splits = ((id_, self.row(id_)["split"]) for id_ in self.cut)
        return {id_: None if split == "mixed" else split for id_, split in splits}

    def list_files(self) -> list[str]:
        """Return the files of those lists, or the archive that has them."""
        return sorted({str(read_source(file).path) for file in self.split_lists.values()})

    @property
    def local_lists(self) -> dict[str, str]:
        """Those lists that are not in an archive."""
        return {
            split: file for split, file in self.split_lists.items() if not read_source(file).members
        }

    def source_names(self) -> dict[str, str]:
        """Return the name that each recording that is cut has at its source."""
        return {id_: read_source(self.row(id_)["source"]).name for id_ in self.cut}

    # -- release

    def description(self, sha256: Callable[[str], str]) -> dict[str, Any]:
        """Return what a release says of itself: its config, and what is known of its recordings.

        Local files go by name and SHA-256: where they were is not part of the data set. A release
        that lacks nothing is the same whether it might or not.

        Parameters
        ----------
        sha256
            Function of a local file's path → its SHA-256.
        """
        config = self.config.plain()
        # How it is built, not what.
        del config["results"], config["batches"], config["parts"], config["release"]["incomplete"]
        config["recordings"] = Path(config["recordings"]).name
        for place, file in files_of(self.config):
            *parents, last = place
            node = config
            for key in parents:
                node = node[key]
            node[last] = Path(file).name
        for feature in config["features"].values():
            feature["representation"] = without_folder(feature["representation"])
        recordings = {
            id_: {
                column: _without_folders(column, cell)
                for column, cell in row.items()
                if not column.startswith("parts/")
            }
            | {
                f"{column}_sha256": _in_one(map(sha256, _files_in(column, row[column])))
                for column in FILES[1:]
                if column in row and not row[column].startswith("!")
            }
            for id_, row in self.recordings.items()
        }
        about = self.config.dataset.plain() if self.config.dataset else None
        told = {"config": config, "recordings": recordings, "dataset": about}
        return told | ({"missing": self.missing} if self.missing else {})


def _stated_size(row: Row) -> int:
    """Return the size of a row's whole source, bytes, 0 if it is not known before any job."""
    source = read_source(row["source"])
    if "size_bytes" in row or source.path is None or source.manual:
        return int(row.get("size_bytes", 0))
    try:
        return source.path.stat().st_size
    except OSError:
        return 0


def _without_folders(column: str, cell: str) -> str:
    """Return a cell of the recordings table without the folders of this machine."""
    if column == "source":
        return read_source(cell).public
    if column.startswith("features/") and column.endswith("/representation"):
        return without_folder(cell)
    is_local = column in (*FILES, "samples/table") and not cell.startswith("!")
    if not is_local:
        return cell
    return _in_one(Path(file).name for file in _files_in(column, cell))


def _in_one(texts: Iterable[str]) -> str:
    """Return what is said of the files of a column as a text."""
    first, *more = texts
    return BETWEEN.join((first, *more)) if more else first


def _files_in(column: str, cell: str) -> list[str]:
    return paths_in(cell) if column in ANNOTATIONS else [cell]
