"""From events to features."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from evreel.dataset.settings import FeatureSettings
from evreel.errors import LayoutError, ParameterError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG, Steady, counted
from evreel.steps.events import Source, as_store
from evreel.timebase import Int64Array
from evreel.windows import Division, Ending, Instants, Windows

if TYPE_CHECKING:
    import h5py

    from evreel.files.events_store import EventsStore
    from evreel.files.features import FeaturesWriter
    from evreel.files.slices import SlicesFile
    from evreel.representations import Run
    from evreel.samples.samples import Samples


class FilePart(NamedTuple):
    """What part of a recording goes into a file, as if the recording had begun there.

    Parameters
    ----------
    start_us : what the times in the file count from, µs since the recording's first event.
    windows : its windows, µs since the recording's first event.
    said : what the file says of its part: parameters by name.
    """

    start_us: int
    windows: Windows
    said: Mapping[str, Any]


def features(
    store: Source,
    output: str | Path,
    settings: FeatureSettings,
    *,
    cut: str | Path | None = None,
    slices: str | Path | None = None,
    labels: Sequence[str] | None = None,
    ends: Mapping[Instants, str | Path | None] | None = None,
    times_sha256: str | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Precompute one representation of one recording, as `all_features` does several.

    Returns
    -------
    What was changed: name → count. The file has it as ``repairs``.
    """
    wanted = {Path(output): settings}
    made = all_features(
        store,
        wanted,
        cut=cut,
        slices=slices,
        labels=labels,
        ends=ends,
        times_sha256=times_sha256,
        progress=progress,
    )
    return made[Path(output)]


def all_features(
    store: Source | None,
    wanted: Mapping[Path, FeatureSettings],
    *,
    cut: str | Path | None = None,
    slices: str | Path | None = None,
    labels: Sequence[str] | None = None,
    ends: Mapping[Instants, str | Path | None] | None = None,
    times_sha256: str | None = None,
    part: FilePart | None = None,
    store_digest: str | None = None,
    progress: Progress = silent,
) -> dict[Path, dict[str, int]]:
    """Precompute representations of one recording, in one pass over its events.

    A file that is complete, and was made from the same input with the same parameters by the same
    revision, is kept.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily); None only asks whether all is there.
    wanted
        Feature file, HDF5 → the representation, its parameters, and its windows.
    cut
        Table of the recording's samples, as `cut` writes it; each is divided on its own. None
        divides the recording.
    slices
        Annotated slices of the recording, which say where objects are; needed where the geometry
        of a feature has labels.
    labels
        Label names in the order of their numbers; None takes those of the samples, sorted.
    ends
        Files with the instants where windows end, if settings say ``ending``: ``labels`` → the
        recording's boxes, ``frames`` → its clock, ``times`` → a column of times. Only those that
        are asked for are read.
    times_sha256
        SHA-256 that the column of times must have, if it is known.
    part
        What part of the recording goes into the files; None: all of it.
    store_digest
        ``sha256:…`` of the store, if it is known.

    Returns
    -------
    Of each file, what was changed: name → count. The file has it as ``repairs``.

    Raises
    ------
    ParameterError
        If there is no such representation, or a parameter is out of range.
    NotMadeError
        If there is no store, and a file is not there as wanted.
    UsageError
        If slices are needed and not given, or lack a label; or if windows are to end at instants
        of which there is no file.
    LayoutError
        If the slices are of another recording.
    """
    from evreel.files import hdf5
    from evreel.layout import FEATURES
    from evreel.representations import frames_together
    from evreel.samples.tables import read_cut

    if not wanted:
        return {}
    steady, instants = _read_ends(wanted.values(), ends or {}, times_sha256)
    with contextlib.ExitStack() as opening:
        if store is not None:
            opened = opening.enter_context(as_store(store, beside=next(iter(wanted))))
            store_digest = store_digest or sha256(opened.path)
        assert store_digest is not None
        inputs = {"store": store_digest}
        samples, names = None, None
        if cut is not None:
            inputs["cut"] = sha256(cut)
            samples = read_cut(cut)
            names = tuple(labels) if labels else tuple(sorted({*samples.label} - {""}))
        of_regions = dict(inputs)
        if slices is not None and any(one.geometry.labels for one in wanted.values()):
            of_regions["slices"] = sha256(slices)
        jobs = [
            _Job(
                path,
                one,
                of_regions if one.geometry.labels else inputs,
                names,
                instants.get(one.ending),
                part,
            )
            for path, one in wanted.items()
        ]
        new = [job for job in jobs if not job.is_kept(touch=store is not None)]
        if store is None and new:
            raise NotMadeError
        if not new:
            return {job.path: job.repairs for job in jobs}
        with (
            atomic(*(job.path for job in new), inputs=[opened.path, cut, slices]) as scratch,
            contextlib.ExitStack() as files,
        ):
            annotated = None
            if slices is not None and "slices" in of_regions:
                annotated = files.enter_context(_slices_of(slices, opened, inputs["store"]))
            runs, writers = [], []
            for job, path in zip(new, scratch, strict=True):
                file = files.enter_context(hdf5.create(path, FEATURES, job.made))
                threads = 2 if len(new) == 1 else 1
                run, writer = job.begin(file, opened, samples, annotated, threads)
                runs.append(run)
                writers.append(writer)
            total = sum(len(run.windows) for run in runs)
            every = frames_together(
                runs, opened.read, opened.sensor, index_of=opened.index_of, ahead=True
            )
            for k, frame in counted(every, total, progress):
                writers[k].write(frame)
            for job, run, writer in zip(new, runs, writers, strict=True):
                writer.finish()
                LOG.info("%s: %d windows of %s", job.said, len(run.windows), job.name)
            steady.check()
    return {job.path: job.repairs for job in jobs}


class _Ends(NamedTuple):
    """Instants where windows end, what their file is called as an input, and its digest."""

    instants: Int64Array
    role: str
    digest: str


def _read_ends(
    wanted: Iterable[FeatureSettings],
    files: Mapping[Instants, str | Path | None],
    times_sha256: str | None,
) -> tuple[Steady, dict[Instants | None, _Ends]]:
    """Return where windows end, of each kind that settings ask for, and the files that say so."""
    from evreel.files.instants import ROLES, file_with, read_instants

    asked = {at: file_with(at, files) for one in wanted if (at := one.ending) is not None}
    of_role = {ROLES[at]: file for at, file in asked.items()}
    steady = Steady(of_role, {"times": times_sha256} if "times" in asked else {})
    return steady, {
        at: _Ends(read_instants(at, file), ROLES[at], steady.digests[ROLES[at]])
        for at, file in asked.items()
    }


def is_made(
    wanted: Mapping[Path, FeatureSettings],
    store_digest: str,
    *,
    said: Mapping[str, Any] = MappingProxyType({}),
    **beside: Any,
) -> bool:
    """Return whether files are there as `all_features` would make them, from a store's digest.

    Parameters
    ----------
    wanted, store_digest, beside
        As `all_features` takes them.
    said
        What the files say of their part.
    """
    import numpy as np

    part = FilePart(0, Windows(*np.zeros((4, 0), dtype=np.int64)), said)
    try:
        all_features(None, wanted, store_digest=store_digest, part=part, **beside)
    except NotMadeError:
        return False
    return True


class NotMadeError(Exception):
    """Features are not there as they are wanted."""


def _origin(division: Division) -> int:
    return 0 if isinstance(division, Ending) else division.origin_us


class _Job:
    """One file that is wanted, and what it is to say of itself."""

    def __init__(
        self,
        path: Path,
        settings: FeatureSettings,
        inputs: Mapping[str, str],
        labels: tuple[str, ...] | None,
        ends: _Ends | None,
        part: FilePart | None,
    ) -> None:
        self.path = path
        self._part = part
        self.said = f"{path.parent.name}/{path.name}"
        self.repairs: dict[str, int] = {}
        self._feature = settings.feature()
        self._division = settings.division()
        self._compression = settings.compression
        self._labels = labels
        self._instants = None if ends is None else ends.instants
        self.name = self._feature.representation.name
        parameters = {
            **self._feature.identity,
            **asdict(self._division),
            **({} if self._compression == "zstd" else {"compression": self._compression}),
            **({} if labels is None else {"labels": labels}),
        }
        parameters |= {} if part is None else part.said
        of_ends = {} if ends is None else {ends.role: ends.digest}
        self.made = Provenance("features", parameters, {**inputs, **of_ends}, self.repairs)

    def is_kept(self, *, touch: bool) -> bool:
        """Return whether the file is there as it would be made.

        Parameters
        ----------
        touch
            Whether its time becomes that of now.
        """
        from evreel.files.features import repairs_if_made

        repairs = repairs_if_made(self.path, self.made, self._feature.representation.revision)
        if repairs is None:
            return False
        self.repairs.update(repairs)
        if touch:
            self.path.touch()
            LOG.info("%s: kept, it is complete and the same", self.said)
        return True

    def begin(
        self,
        file: h5py.File,
        store: EventsStore,
        samples: Samples | None,
        annotated: SlicesFile | None,
        threads: int,
    ) -> tuple[Run, FeaturesWriter]:
        """Return the run that makes the frames, and what writes them into a new file."""
        import numpy as np

        from evreel.files.features import FeaturesWriter, SampleWindows
        from evreel.representations import Run

        try:
            shape = self._feature.shape(store.sensor)
        except ParameterError as error:  # of a crop
            raise ParameterError(error.problem, place=self.said, hint=error.hint) from error
        of_samples = None
        if samples is None:
            windows = (
                store.windows(self._division, self._instants)
                if self._part is None
                else self._part.windows
            )
            oldest_us = store.oldest_us(windows.start_us)
        else:
            windows, bounds = store.windows_of(samples, self._division, self._instants)
            of_samples = SampleWindows(samples, self._labels or (), bounds)
            begins = np.repeat(samples.start_us, np.diff(bounds))
            oldest_us = np.maximum(begins, store.oldest_us(begins))
        if _origin(self._division) > 0:
            self.repairs["events_before_origin"] = self._before_origin(store, samples, windows)
        of_file, t_offset = windows, store.t_offset
        if self._part is not None:
            of_file, t_offset = windows.since(self._part.start_us), t_offset + self._part.start_us
        writer = FeaturesWriter(
            file,
            of_file,
            self._division,
            store.sensor,
            t_offset,
            shape=shape,
            samples=of_samples,
            compression=self._compression,
            threads=threads,
            **self._feature.description,
        )
        labels = self._feature.geometry.labels
        regions = None if labels is None or annotated is None else annotated.regions_of(labels)
        run = Run(self._feature, windows, oldest_us, self.repairs, self.said, regions)
        return run, writer

    def _before_origin(self, store: EventsStore, samples: Samples | None, windows: Windows) -> int:
        """Return how many events are in no window because they are before the division's origin."""
        if self._part is None:
            return store.n_before_origin(self._division, samples)
        start = self._part.start_us
        first = int(windows.start_us[0]) if len(windows) else start + _origin(self._division)
        low, high = store.index_of([start, first]).tolist()
        return max(0, int(high - low))


def _slices_of(path: str | Path, store: EventsStore, digest: str) -> SlicesFile:
    """Open annotated slices of a store.

    Raises
    ------
    LayoutError
        If they are of another one.
    """
    from evreel.files.repack import needs_plugin
    from evreel.files.slices import SlicesFile

    slices = SlicesFile(path)
    same = all(
        getattr(slices, name) == getattr(store, name)
        for name in ("sensor", "t_offset", "t_stop_us")
    )
    # A repacked store of a release has other bytes than the one that slices are made from.
    if same and needs_plugin(store.path):
        same = slices.inputs.get("store", digest) == digest
    if not same:
        slices.close()
        raise LayoutError(
            f"was not made from {store.path.name}",
            path=path,
            hint="Give the annotated slices of the same recording, or make them again.",
        )
    return slices
