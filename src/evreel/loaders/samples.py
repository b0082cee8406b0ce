"""Labelled samples of a release or of plain files, each found and read on its own."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from evreel.dataset.memory import Memory
from evreel.errors import EvreelError, LayoutError, ReleaseError, UsageError, did_you_mean
from evreel.events import Events, Sensor
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile, Frame
from evreel.files.hdf5 import REBUILD, layout_of
from evreel.files.opened import OpenFiles
from evreel.files.samples import SamplesFile
from evreel.layout import EVENTS, FEATURES
from evreel.loaders.damage import OnDamage
from evreel.provenance import state
from evreel.release.open import Release, ReleasedRecording, open_release
from evreel.samples.tables import Assigned
from evreel.text import nfc
from evreel.timebase import frozen

SampleFiles: TypeAlias = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""An events store, or a features file, and the samples file of the same recording."""
SampleSource: TypeAlias = Release | str | os.PathLike[str] | SampleFiles | Iterable[SampleFiles]
"""A release or its folder; or plain files."""


class _Where(NamedTuple):
    """A sample's time, µs, and its rows of the events store."""

    start_us: int
    stop_us: int
    start: int
    stop: int


class _Recorded(ABC):
    """A recording that is cut into samples.

    Attributes
    ----------
    name : its id.
    """

    name: str

    @property
    @abstractmethod
    def events(self) -> EventsStore:
        """Its events."""

    @property
    @abstractmethod
    def frames(self) -> FeaturesFile:
        """The frames of it that are asked for."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """``sha256:…`` of what makes its events, or its frames, what they are."""

    @property
    def written(self) -> list[int]:
        """What tells that its file was written since, where `digest` is not of the file's bytes."""
        return []

    @property
    @abstractmethod
    def places(self) -> Mapping[str, _Where]:
        """Id of each sample → where it is; none if only the table of all recordings says it."""

    def rows_of(self, sample: Assigned) -> tuple[int, int]:
        """Return the rows ``[start, stop)`` of a sample, found by its id.

        Raises
        ------
        EvreelError
            If files are damaged or contradict each other.
        """
        if not self.places:
            start, stop = self.events.index_of([sample.start_us, sample.stop_us]).tolist()
            return start, stop
        at = self.places.get(nfc(sample.sample))
        if at is None or at[:2] != (sample.start_us, sample.stop_us):
            said = "does not list it" if at is None else f"has {at.start_us} to {at.stop_us} µs"
            raise ReleaseError(
                f"is from {sample.start_us} to {sample.stop_us} µs by the table of all samples; "
                f"the samples file of recording {self.name!r} {said}",
                place=f"sample {sample.sample!r}",
                hint="Build the release again.",
            )
        return at.start, at.stop


class _Released(_Recorded):
    """A recording of a release."""

    def __init__(self, recording: ReleasedRecording, feature: str | None) -> None:
        self.name = recording.id
        self._recording = recording
        self._feature = feature

    @property
    def events(self) -> EventsStore:
        return self._recording.events

    @property
    def frames(self) -> FeaturesFile:
        assert self._feature is not None
        return self._recording.features[self._feature]

    @property
    def digest(self) -> str:
        kind = "events" if self._feature is None else "features"
        return self._recording.digest_of(kind, self._feature)

    @cached_property
    def places(self) -> Mapping[str, _Where]:
        return _places(self._recording.samples) if "samples" in self._recording.kinds else {}


class _Plain(_Recorded):
    """A recording as plain files, which may be exchanged while they are in use."""

    places: Mapping[str, _Where] = {}
    has_frames = False

    def __init__(self, files: SampleFiles, opened: OpenFiles) -> None:
        self._made, self._cut = (Path(path).absolute() for path in files)
        self._opened = opened
        self._memory = Memory()
        with SamplesFile(self._cut) as file:
            self.name = file.recording
            self.labels = file.labels
            self.samples = _assigned(file)
            self.places = _places(file)
            self._t_stop_us = file.t_stop_us

    @property
    def events(self) -> EventsStore:
        store = self._opened.get(self._key, lambda: EventsStore(self._made))
        if store.t_stop_us != self._t_stop_us:
            raise LayoutError(
                f"ends at {store.t_stop_us} µs; the recording that {self._cut.name} is of ends at "
                f"{self._t_stop_us} µs",
                path=self._made,
                hint="Give the events store and the samples file of the same recording.",
            )
        return store

    @property
    def frames(self) -> FeaturesFile:
        return self._opened.get(self._key, lambda: FeaturesFile(self._made))

    @property
    def digest(self) -> str:
        return self._decoding or f"sha256:{self._memory.digests(self._made).sha256}"

    @property
    def written(self) -> list[int]:
        # What a store was decoded from stays if somebody changes its events.
        return [] if self._decoding is None else state(self._made)[:2]

    @property
    def _decoding(self) -> str | None:
        return None if self.has_frames else self.events.decoding

    @property
    def _key(self) -> tuple[object, ...]:
        """What is another one if the file is."""
        return (self._made, *(state(self._made) if self._made.is_file() else ()))


class LabelledSamples:
    """The samples of a source, which are read one by one.

    Parameters
    ----------
    source
        A release or its folder; or plain files: pairs of an events store (or a features file) and
        the samples file of the same recording.
    split
        ``train``, ``val`` or ``test``; None takes the samples of all splits.
    feature
        Name of a feature of the release, whose frames are read; None for events.
    on_damage
        ``fail``: what cannot be read is an error when it is asked for; ``skip``: every sample is
        read once now, and left out if that fails.

    Attributes
    ----------
    rows : the samples, recording by recording.
    labels : number of a class → its name.
    numbers : (n,) int64, read-only: class number of each sample, −1 none.
    of_frames : whether frames are read, and not events.
    skipped_recordings, skipped_samples : how many were left out.

    Raises
    ------
    UsageError
        If the source has no such split or feature, or is not one.
    EvreelError
        If what says which samples there are cannot be read.
    """

    def __init__(
        self,
        source: SampleSource,
        split: str | None = None,
        feature: str | None = None,
        on_damage: OnDamage = "fail",
    ) -> None:
        self.skipped_recordings = self.skipped_samples = 0
        self._skip = on_damage == "skip"
        pairs = _pairs(source)
        if pairs is None:
            recorded, rows = self._of_release(source, split, feature)  # type: ignore[arg-type]
        else:
            recorded, rows = self._of_files(pairs, feature)
        known = sorted({row.split for row in rows})
        if split is not None and split not in known and (rows or not self._skip):
            guess = did_you_mean(split, known) or f"there are {', '.join(known) or 'none'}"
            raise UsageError(f"there is no sample of split {split!r}; {guess}")
        chosen = [k for k, row in enumerate(rows) if split in (None, row.split)]
        if self._skip:
            chosen = self._readable(chosen, recorded, rows)
        self._recorded = [recorded[k] for k in chosen]
        self.rows = tuple(rows[k] for k in chosen)
        number = {nfc(name): k for k, name in self.labels.items()} | {"": -1}
        self.numbers = frozen(np.array([_number(row, number) for row in self.rows]), np.int64)

    def _of_release(
        self, source: Release | str | os.PathLike[str], split: str | None, feature: str | None
    ) -> tuple[list[_Recorded], list[Assigned]]:
        release = source if isinstance(source, Release) else open_release(source)
        if feature is not None and feature not in release.features:
            guess = did_you_mean(feature, release.features)
            there = f"there are {', '.join(release.features) or 'none'}"
            raise UsageError(f"has no feature {feature!r}; {guess or there}", path=release.path)
        self.of_frames = feature is not None
        rows = list(self._rows(release))
        if not rows and not self.skipped_recordings:
            raise UsageError(
                "has no samples",
                path=release.path,
                hint="Its recordings are not cut: read them with evreel.open_release.",
            )
        names = dict.fromkeys(row.recording for row in rows)
        of = {name: _Released(release.recordings[name], feature) for name in names}
        for name in dict.fromkeys(row.recording for row in rows if split in (None, row.split)):
            recording = release.recordings[name]
            if feature is None and "events" not in recording.kinds:
                raise UsageError(
                    f"has no events of recording {name!r}",
                    path=release.path,
                    hint=f"Give feature=, one of {', '.join(release.features) or 'none'}; or build "
                    "the release with events in release.include.",
                )
            if feature is not None and feature not in recording.features:
                raise UsageError(
                    f"has no feature {feature!r} of recording {name!r}", path=release.path
                )
        found = release.labels or dict(enumerate(sorted({nfc(row.label) for row in rows} - {""})))
        self.labels: Mapping[int, str] = dict(found)
        return [of[row.recording] for row in rows], rows

    def _rows(self, release: Release) -> Iterator[Assigned]:
        """Yield the samples of a release, by its table of all or by each recording's file."""
        if not self._skip or any(f.kind == "samples" and not f.id for f in release.manifest.files):
            yield from release.samples
            return
        for recording in release.recordings.values():
            if "samples" in recording.kinds:
                try:
                    yield from _assigned(recording.samples, recording.id)
                except EvreelError:
                    self.skipped_recordings += 1

    def _of_files(
        self, pairs: Sequence[SampleFiles], feature: str | None
    ) -> tuple[list[_Recorded], list[Assigned]]:
        if feature is not None:
            raise UsageError(
                f"feature={feature!r} is of a release, but plain files are given",
                hint="Give the features file in place of the events store.",
            )
        opened = OpenFiles()
        recorded: list[_Plain] = []
        for pair in pairs:
            try:
                recorded.append(_Plain(pair, opened))
            except EvreelError:
                if not self._skip:
                    raise
                self.skipped_recordings += 1
        for one in recorded[1:]:
            if one.labels != recorded[0].labels:
                raise UsageError(
                    f"the classes of {one.name!r} are {', '.join(one.labels)}; those of "
                    f"{recorded[0].name!r} are {', '.join(recorded[0].labels)}",
                    hint="Cut all recordings with the same list of labels.",
                )
        self.of_frames = self._are_features([Path(made) for made, _ in pairs])
        for one in recorded:
            one.has_frames = self.of_frames
        self.labels = dict(enumerate(recorded[0].labels)) if recorded else {}
        pairs_of = [(one, row) for one in recorded for row in one.samples]
        return [one for one, _ in pairs_of], [row for _, row in pairs_of]

    def _are_features(self, paths: Iterable[Path]) -> bool:
        """Tell whether files are features files; the first that can be read tells it of all."""
        for path in paths:
            try:
                layout = layout_of(path)
            except EvreelError:
                if not self._skip:
                    raise
                continue
            if layout not in (EVENTS.name, FEATURES.name):
                raise LayoutError(
                    f"its layout is {layout!r}; an events store or a features file is expected",
                    path=path,
                )
            return layout == FEATURES.name
        return False

    def _readable(
        self, chosen: Iterable[int], recorded: Sequence[_Recorded], rows: Sequence[Assigned]
    ) -> list[int]:
        """Return those of the chosen samples that can be read, and count the others."""
        found, broken = [], set()
        for k in chosen:
            one = recorded[k]
            try:
                if one not in broken:
                    _ = one.frames if self.of_frames else (one.events, one.places)
            except EvreelError:
                broken.add(one)
            try:
                if one in broken:
                    self.skipped_samples += 1
                elif self.of_frames:
                    _read_frames(one, rows[k])
                    found.append(k)
                else:
                    _read_events(one, rows[k])
                    found.append(k)
            except EvreelError:
                self.skipped_samples += 1
        self.skipped_recordings += len(broken)
        return found

    def __len__(self) -> int:
        return len(self.rows)

    def events(self, k: int) -> Events:
        """Return the events of sample k; times are µs since its start.

        Raises
        ------
        EvreelError
            If they cannot be read, or files contradict each other.
        """
        return _read_events(self._recorded[k], self.rows[k])

    def frames(self, k: int) -> Frame:
        """Return the frames of sample k's windows, (T, C, H, W), as values that they stand for."""
        return _read_frames(self._recorded[k], self.rows[k])

    def sensor(self, k: int) -> Sensor:
        """Return the size of the sensor that sample k is from."""
        recorded = self._recorded[k]
        return recorded.frames.sensor if self.of_frames else recorded.events.sensor

    def content(self, k: int) -> list[str | int]:
        """Return what makes the events or frames of sample k what they are, plain JSON."""
        recorded, row = self._recorded[k], self.rows[k]
        if self.of_frames:
            return [recorded.digest, row.sample]
        return [recorded.digest, *recorded.rows_of(row), row.start_us, row.stop_us]

    def written(self, k: int) -> list[int]:
        """Return what tells that the file of sample k was written since, beyond its content."""
        return self._recorded[k].written


def _pairs(source: object) -> list[SampleFiles] | None:
    """Return the pairs of plain files that a source is, None if it is a release."""
    if isinstance(source, (Release, str, os.PathLike)):
        return None
    try:
        given = list(source)  # type: ignore[call-overload]
    except TypeError:
        given = []
    if len(given) == 2 and all(isinstance(path, (str, os.PathLike)) for path in given):
        given = [given]
    pairs = [tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in given]
    wrong = [
        pair
        for pair in pairs
        if len(pair) != 2 or not all(isinstance(path, (str, os.PathLike)) for path in pair)
    ]
    if not pairs or wrong:
        raise UsageError(
            f"{type(source).__name__} {source!r:.60} is neither a release nor plain files",
            hint="Give a release or its folder, or a list of (events store, samples file).",
        )
    return pairs


def _assigned(file: SamplesFile, recording: str | None = None) -> list[Assigned]:
    """Return the samples of a recording as rows of the table of all."""
    of = file.samples
    columns = (of.id, of.label, of.group, file.split, of.start_us.tolist(), of.stop_us.tolist())
    name = file.recording if recording is None else recording
    return [Assigned(name, *row) for row in zip(*columns, strict=True)]


def _places(file: SamplesFile) -> dict[str, _Where]:
    """Return where each sample is, by its id."""
    of = file.samples
    columns = (of.start_us, of.stop_us, file.start, file.stop)
    places = map(_Where, *(column.tolist() for column in columns))
    return dict(zip(map(nfc, of.id), places, strict=True))


def _number(row: Assigned, number: Mapping[str, int]) -> int:
    """Return the class number of a sample."""
    label = nfc(row.label)
    if label not in number:
        guess = did_you_mean(label, number)
        raise ReleaseError(
            f"its label {row.label!r} is not one of the classes" + (f"; {guess}" if guess else ""),
            place=f"recording {row.recording!r}, sample {row.sample!r}",
            hint="Build the release again.",
        )
    return number[label]


def _read_events(recorded: _Recorded, row: Assigned) -> Events:
    start, stop = recorded.rows_of(row)
    store = recorded.events
    events = store.read(start, stop)
    first, last = (events.t[0], events.t[-1]) if len(events) else (row.start_us, row.start_us)
    if len(events) != stop - start or first < row.start_us or last >= row.stop_us:
        raise LayoutError(
            f"rows {start} to {stop} are {len(events)} events from {first} to {last} µs; the "
            f"sample is from {row.start_us} to {row.stop_us} µs",
            path=store.path,
            place=f"sample {row.sample!r}",
            hint=REBUILD,
        )
    return Events.trusted(events.t - row.start_us, events.x, events.y, events.p, events.sensor)


def _read_frames(recorded: _Recorded, row: Assigned) -> Frame:
    file = recorded.frames
    rows = file.rows_of(row.sample)
    if file.scale is None:
        return file[rows]
    values = [file.values(k) for k in range(rows.start, rows.stop)]
    return np.array(values, dtype=np.float32).reshape(-1, *file.shape[1:])
