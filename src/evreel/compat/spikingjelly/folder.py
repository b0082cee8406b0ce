"""What SpikingJelly's data sets have in common: from the publisher's files to items."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, get_args

import numpy as np

from evreel.acquire import Archive, read_source
from evreel.compat.spikingjelly.prepared import MADE, Download, Files, Recipe, alone, prepare
from evreel.dataset.catalogue import published
from evreel.dataset.memory import Memory
from evreel.dataset.settings import Config, EventsSettings, SplitCounts
from evreel.dataset.table import Row
from evreel.errors import SourceError, UsageError
from evreel.events import Events
from evreel.files.samples import SamplesFile
from evreel.loaders.arguments import checked_index, one_of
from evreel.loaders.frames import DataType, EventArrays, FramesDataset, Integrate, SplitBy
from evreel.outputs import check_folder
from evreel.samples.tables import Assigned
from evreel.settings import mistakes, read, unset

Resource = tuple[str, str, str | None]
"""Name in the folder ``download``, address, MD5 (None if unknown)."""

_published = functools.cache(published)


class NeuromorphicDatasetFolder:
    """A data set of labelled samples, made from its publisher's files and kept by content.

    The publisher's files are in ``root/download``. Missing ones are downloaded if the data set is
    `downloadable`; all are verified. Events stores, samples and frames are made once, below
    ``root/evreel``. What is there is never taken for something else: another file, setting or
    function makes another.

    A subclass for another copy of the data overrides `resource_url_md5`. With other checksums than
    the published ones, the archives' own contents say which samples there are, and their number is
    not checked.

    Parameters
    ----------
    root
        The data set's folder.
    train
        True takes the training samples, False those for testing, None all: for data sets whose
        publisher has no split.
    data_type
        ``event``: items have events, a dict of t, x, y, p; ``frame``: frames (T, 2, H, W), float32.
    frames_number
        With ``frame``: how many frames a sample is divided into, by `split_by`. With ``event``,
        this and all else about frames is not used.
    split_by
        ``number``: frames of equal event count; ``time``: of equal duration. The last frame has
        the remainder.
    duration
        With ``frame``: the duration of each frame instead, µs. The last may be incomplete.
    custom_integrate_function
        With ``frame``: a function of ``(events, H, W)`` → frames instead, first dimension time.
        `events` is what items of events are.
    custom_integrated_frames_dir_name
        Not needed: frames are kept by the function's code. Calls that give it work.
    transform, target_transform
        Functions of an item's events or frames, and of its class number.

    Attributes
    ----------
    classes : names of all classes, in the order of their numbers.
    class_to_idx : name of a class → its number.
    samples : (place, class number) of each sample; the place is ``recording/sample``.
    targets : class number of each sample.

    Raises
    ------
    SourceError
        If a file is missing that has to be got by hand, or its bytes are not the expected ones.
    UsageError
        If arguments contradict each other.
    """

    events_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of the config's section ``events`` that a subclass wants to be others."""

    _config: ClassVar[str]
    """The data set's folder in ``configs``."""
    _archives: ClassVar[Mapping[str, str]] = {}
    """Recording → name of its archive in ``download``, where the table does not have it."""
    _beside: ClassVar[Mapping[str, str]] = {}
    """Name of a further file of the publisher's → its MD5. It is verified if it is there."""

    def __init__(
        self,
        root: str | Path,
        train: bool | None = None,
        data_type: DataType = "event",
        frames_number: int | None = None,
        split_by: SplitBy | None = None,
        duration: int | None = None,
        custom_integrate_function: Integrate | None = None,
        custom_integrated_frames_dir_name: str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        if train is not None and not isinstance(train, (bool, np.bool_)):
            raise UsageError(f"train={train!r} is not True, False or None")
        if data_type == "event":  # what is about frames is not used, as in SpikingJelly
            frames_number = duration = custom_integrate_function = None
        ways = (frames_number, duration, custom_integrate_function)
        _check_ways(data_type, sum(way is not None for way in ways))
        self.root = Path(root).absolute()
        check_folder(self.root)
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        made = self.root / MADE
        memory = Memory(made / "known.json")
        try:
            recipe = self._recipe(self.root, memory)
            files = prepare(self.root, recipe, memory)
        finally:
            memory.save()
        split = None if train is None else "train" if train else "test"
        # Files of the other split need not even be opened.
        of_split = {id_: files[id_] for id_, row in recipe.rows.items() if row["split"] == split}
        self._items = _Items(
            of_split or files,
            split,
            data_type=data_type,
            frames_number=frames_number,
            split_by=None if frames_number is None else split_by,
            duration=duration,
            custom_integrate_function=custom_integrate_function,
            cache=made / "frames" if data_type == "frame" else None,
        )
        self.classes = list(self._items.classes)
        self.class_to_idx = dict(self._items.class_to_idx)
        rows, labels = self._items.samples, self._items.targets.tolist()
        names = self._names(rows, labels)
        # SpikingJelly lists class by class the names of its files.
        self._order = sorted(range(len(rows)), key=lambda k: (labels[k], f"{names[k]}.npz"))
        self.targets: list[int] = [labels[k] for k in self._order]
        self.samples = [(f"{rows[k].recording}/{rows[k].sample}", labels[k]) for k in self._order]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._order)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return a sample's events or frames, and its class number; negative ones from the end."""
        k = checked_index(index, len(self), "sample", from_end=True)
        item, label = self._items[self._order[k]]
        if self.transform is not None:
            item = self.transform(item)
        return item, label if self.target_transform is None else self.target_transform(label)

    def _names(self, rows: Sequence[Assigned], labels: Sequence[int]) -> list[str]:
        """Return what SpikingJelly calls the file of each sample, without its ending."""
        return [PurePosixPath(row.sample).name for row in rows]

    # -- what the publisher offers

    @classmethod
    def resource_url_md5(cls) -> list[Resource]:
        """Return (name, address, MD5) of each of the publisher's files.

        The address of a file that a person has to get is that of the page that has it.
        """
        known = _published(cls._config)
        about = known.config.dataset
        found: dict[str, Resource] = {}
        page = (about.page if about else None) or ""
        for id_, row in known.recordings.items():
            source, name = read_source(row["source"]), cls._archive_of(id_, row)
            page = row.get("page", page)
            found[name] = name, source.file if source.urls else page, row.get("md5")
        return [*found.values(), *((name, page, md5) for name, md5 in cls._beside.items())]

    @classmethod
    def downloadable(cls) -> bool:
        """Tell whether the archives are downloaded where they are missing."""
        rows = _published(cls._config).recordings.values()
        return all(read_source(row["source"]).urls for row in rows)

    @classmethod
    def get_H_W(cls) -> tuple[int, int]:  # noqa: N802 (SpikingJelly's name)
        """Return the sensor's height and width, px."""
        row = next(iter(_published(cls._config).recordings.values()))
        width, height = map(int, row["sensor"].split("x"))
        return height, width

    @classmethod
    def _archive_of(cls, id_: str, row: Row) -> str:
        """Return what the archive that a recording is in is called in ``download``."""
        return cls._archives.get(id_) or read_source(row["source"]).file_name

    @classmethod
    def _recipe(cls, root: Path, memory: Memory) -> Recipe:
        """Return what the data set is made from; of archives of one's own, what is in them."""
        known, by_hand = _published(cls._config), not cls.downloadable()
        listed = {name: (address, md5) for name, address, md5 in cls.resource_url_md5()}
        tables: dict[str, dict[str, Row]] = {}
        for id_, row in known.recordings.items():
            tables.setdefault(cls._archive_of(id_, row), {})[id_] = row
        rows: dict[str, Row] = {}
        downloads: dict[str, Download] = {}
        as_published = tables.keys() <= listed.keys()
        for name, table in tables.items():
            if name not in listed:
                continue
            (address, md5), first = listed[name], next(iter(table.values()))
            download = Download(name, address, by_hand, md5)
            if md5 is not None and md5.lower() == first["md5"].lower():
                size = first.get("size_bytes")
                download = replace(download, size_bytes=None if size is None else int(size))
            else:
                as_published = False
                if md5 is None:
                    path = download.at(root, memory)
                    download = replace(download, md5=memory.digests(path).md5)
                table = dict(cls._rows_of(download, table, root, memory))
            rows |= table
            downloads |= dict.fromkeys(table, download)
        if not rows:
            raise UsageError(
                f"{cls.__name__}.resource_url_md5() names none of {', '.join(tables)}",
                hint="Name the archives that the data are in.",
            )
        for name in listed.keys() - tables.keys():
            if (root / "download" / name).exists():
                address, md5 = listed[name]
                Download(name, address, by_hand, md5).verify(root, memory)
        return Recipe(cls._settings(known.config, as_published), rows, downloads)

    @classmethod
    def _rows_of(
        cls, download: Download, table: Mapping[str, Row], root: Path, memory: Memory
    ) -> Mapping[str, Row]:
        """Return the rows of what an archive of one's own has, without what is known of another."""
        key = f"rows of {cls._config} in {download.name}, md5 {download.md5}"
        known: Mapping[str, Row] | None = memory.fact(key)
        if known is not None:
            return known
        archive = download.at(root, memory)
        with alone(root / MADE / "names") as folder, Archive(archive, folder) as opened:
            found = cls._rows_in(opened, table, folder / "member")
        if not found:
            raise SourceError(
                "has none of the data set's recordings",
                place=str(archive),
                hint=f"Is it {cls.__name__}'s? Its members need the published names.",
            )
        unknown = ("member_md5", "md5", "size_bytes")
        rows = {
            id_: {name: cell for name, cell in row.items() if name not in unknown}
            for id_, row in found.items()
        }
        memory.learn(key, rows)
        return rows

    @classmethod
    def _rows_in(
        cls, archive: Archive, table: Mapping[str, Row], scratch: Path
    ) -> Mapping[str, Row]:
        """Return the rows of the recordings that an archive of one's own has.

        `table` has the published rows; a member may be unpacked to `scratch`.
        """
        names = set(archive.names)
        members = {id_: read_source(row["source"]).members for id_, row in table.items()}
        return {
            id_: row for id_, row in table.items() if not members[id_] or members[id_][0] in names
        }

    @classmethod
    def _settings(cls, config: Config, as_published: bool) -> Config:
        """Return the config with the settings of this class; counts are of the published data."""
        values = {**config.events.plain(), **cls.events_settings}
        told = [f"{'/'.join(place)}: {what}" for place, what in mistakes(EventsSettings, values)]
        if told:
            raise UsageError(f"{cls.__name__}.events_settings: {'; '.join(told)}")
        samples = config.samples
        assert samples is not None, "data sets of labelled samples only"
        if not as_published:
            samples = replace(samples, counts=unset(SplitCounts))
        return replace(config, events=read(EventsSettings, values), samples=samples)


def _check_ways(data_type: str, ways: int) -> None:
    """Raise if what is asked for is not clear, before hours go into a download."""
    one_of("data_type", data_type, get_args(DataType))
    if ways != (data_type == "frame"):
        raise UsageError(
            f"data_type='frame' goes with one of frames_number, duration and "
            f"custom_integrate_function; {ways} are given"
        )


class _Items(FramesDataset):
    """Events with the types and the clock that SpikingJelly's have."""

    def __init__(self, files: Mapping[str, Files], *split: str | None, **how: Any) -> None:
        super().__init__(files.values(), *split, **how)
        self._files = files
        self._t_offset: dict[str, dict[str, int]] = {}

    def arrays_of(self, k: int, events: Events) -> EventArrays:
        """Return int64 columns; t is as in the publisher's file."""
        row = self.samples[k]
        if row.recording not in self._t_offset:
            with SamplesFile(self._files[row.recording].samples) as file:
                of = file.samples
                own_us = dict(zip(of.id, of.t_offset.tolist(), strict=True))
            self._t_offset[row.recording] = own_us
        columns = {name: getattr(events, name).astype(np.int64) for name in "txyp"}
        columns["t"] += self._t_offset[row.recording][row.sample]
        return columns


class Divided(NeuromorphicDatasetFolder):
    """A data set whose publisher says what is for training and what for testing."""

    def __init__(
        self,
        root: str | Path,
        train: bool | None = True,
        data_type: DataType = "event",
        frames_number: int | None = None,
        split_by: SplitBy | None = None,
        duration: int | None = None,
        custom_integrate_function: Integrate | None = None,
        custom_integrated_frames_dir_name: str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__(
            root,
            train,
            data_type,
            frames_number,
            split_by,
            duration,
            custom_integrate_function,
            custom_integrated_frames_dir_name,
            transform,
            target_transform,
        )


class Undivided(NeuromorphicDatasetFolder):
    """A data set whose publisher has no split: all samples; `split_to_train_test_set` makes one."""

    def __init__(
        self,
        root: str | Path,
        data_type: DataType = "event",
        frames_number: int | None = None,
        split_by: SplitBy | None = None,
        duration: int | None = None,
        custom_integrate_function: Integrate | None = None,
        custom_integrated_frames_dir_name: str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__(
            root,
            None,
            data_type,
            frames_number,
            split_by,
            duration,
            custom_integrate_function,
            custom_integrated_frames_dir_name,
            transform,
            target_transform,
        )
