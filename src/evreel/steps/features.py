"""From events to features."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

import numpy as np

from evreel.dataset.settings import FeatureSettings
from evreel.errors import EvreelError, LayoutError, ParameterError
from evreel.outputs import Progress, atomic, remove_leftovers, silent
from evreel.provenance import Provenance, digest_of, sha256
from evreel.shares import Share
from evreel.steps.common import LOG, Steady, named, with_progress
from evreel.steps.events import MOST_IN_MEMORY, Opened, Source, as_events
from evreel.threads import Crew, checked_threads

if TYPE_CHECKING:
    import h5py

    from evreel.files.divided import Divided
    from evreel.files.features import FeaturesWriter, SampleWindows
    from evreel.files.frame_chunks import Chunk
    from evreel.files.parts import Parts
    from evreel.files.slices import SlicesFile
    from evreel.layout import Compression
    from evreel.representations import Frame, Run
    from evreel.timebase import Int64Array
    from evreel.windows import Chosen, Instants, Windows


class Beside(TypedDict, total=False):
    """What else there is of a recording, as far as its features need it.

    Parameters
    ----------
    cut
        Table of the recording's samples, as `cut` writes it; each is divided on its own. None
        divides the recording.
    labels
        Label names in the order of their numbers; None takes those of the samples, sorted.
    slices
        Annotated slices of the recording, which say where objects are; needed where the geometry
        of a feature has labels.
    ends
        Files with the instants where windows end, if settings say ``ending``: ``labels`` → the
        recording's boxes, ``frames`` → its clock, ``times`` → a column of times. Only those that
        are asked for are read.
    times_sha256
        SHA-256 that the column of times must have, if it is known.
    """

    cut: str | Path | None
    labels: Sequence[str] | None
    slices: str | Path | None
    ends: Mapping[Instants, str | Path | None]
    times_sha256: str | None


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
    threads: int | None = None,
    progress: Progress = silent,
    **beside: Unpack[Beside],
) -> dict[str, int]:
    """Precompute one representation of one recording, as `all_features` does several.

    Returns
    -------
    What was changed: name → count. The file has it as ``repairs``.
    """
    wanted = {Path(output): settings}
    return all_features(store, wanted, threads=threads, progress=progress, **beside)[Path(output)]


def all_features(
    store: Source,
    wanted: Mapping[Path, FeatureSettings],
    *,
    parts: Sequence[str | Path] = (),
    threads: int | None = None,
    progress: Progress = silent,
    **beside: Unpack[Beside],
) -> dict[Path, dict[str, int]]:
    """Precompute representations of one recording, in one pass over its events.

    A file that is complete, and was made from the same input with the same parameters by the same
    revision, is kept.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    wanted
        Feature file, HDF5 → the representation, its parameters, and its windows.
    parts
        Their frames, if `features_part` has made them: all parts, of which the frames are copied.
        Bytes are the same. A feature that is not in them is made here.
    threads
        How many read, make frames and compress; None: one per core, up to
        `evreel.threads.MOST_THREADS`.
        The files' bytes do not depend on it.
    beside
        What else there is of the recording, as in `Beside`.

    Returns
    -------
    Of each file, what was changed: name → count. The file has it as ``repairs``.

    Raises
    ------
    ParameterError
        If there is no such representation, or a parameter is out of range.
    UsageError
        If slices, or instants where windows end, are needed and not given.
    LayoutError
        If the slices or the parts are of another recording, or a part is missing.
    """
    from evreel.files.parts import Parts

    if not wanted:
        return {}
    threads = checked_threads(threads)
    most = most_in_memory(beside.get("slices"))
    with (
        as_events(store, beside=next(iter(wanted)), most=most, threads=threads) as opened,
        Parts(parts, source_of(opened)) if parts else contextlib.nullcontext() as joined,
    ):
        return features_of(
            *(opened.events, opened.inputs(), wanted),
            joined=joined,
            threads=threads,
            progress=progress,
            **beside,
        )


def features_part(
    store: Source,
    output: str | Path,
    share: Share,
    wanted: Mapping[Path, FeatureSettings],
    *,
    threads: int | None = None,
    progress: Progress = silent,
    **beside: Unpack[Beside],
) -> None:
    """Make a share of the frames of representations of one recording, for `all_features` to join.

    A share has neighbouring windows, in each share about as many. If a representation looks back
    at what was before them, these events are read too, without making frames of them.

    Parameters
    ----------
    store, threads, beside
        As `all_features` takes them.
    output
        The part.
    share
        Which share.
    wanted
        As `all_features` takes it; a file that is there as it would be made needs no frames.

    Raises
    ------
    ParameterError, UsageError, LayoutError
        As `all_features`; then there is no part.
    """
    from evreel.files import hdf5, parts
    from evreel.layout import PARTS

    given = _Given(wanted.values(), **beside)
    most, threads = most_in_memory(beside.get("slices")), checked_threads(threads)
    with (
        as_events(store, beside=output, most=most, threads=threads) as opened,
        Crew(threads) as crew,
        contextlib.ExitStack() as files,
    ):
        inputs = opened.inputs() if any(path.exists() for path in wanted) else {}
        jobs = [_Job(path, one, inputs, given, {}) for path, one in wanted.items()]
        jobs = [job for job in jobs if not job.is_made()]
        slices = None
        if given.slices is not None:  # whoever joins compares it with the store
            from evreel.files.slices import SlicesFile

            slices = files.enter_context(SlicesFile(given.slices))
        events = opened.events
        read = [events.path, *given.files.values()]
        (scratch,) = files.enter_context(atomic(output, inputs=read))
        made = Provenance("features", {}, inputs)
        file = files.enter_context(hdf5.create(scratch, PARTS, made))
        parts.begin(file, share, source_of(opened))
        runs, writers = [], []
        for number, job in enumerate(jobs):
            plan = job.plan(events, None, share.rows)
            shape = len(plan.windows), *job.shape(events)
            of = file, number, job.identity, shape, *job.stored
            writers.append(parts.FramesWriter(*of, -(-crew.threads // len(jobs)), crew))
            runs.append(job.run(plan, slices, writers[-1].compressed))
        every = _frames(runs, events, crew)
        total = sum(len(run.windows) for run in runs)
        with contextlib.closing(every):
            for k, frame in with_progress(every, total, progress):
                writers[k].write(frame)
        for run, writer in zip(runs, writers, strict=True):
            writer.finish(run.repairs)
        given.steady.check()
    for job, run in zip(jobs, runs, strict=True):
        said = Path(output).name, share, len(run.windows), job.name, named(job.repairs)
        LOG.info("%s: part %s, %d windows of %s%s", *said)


def source_of(opened: Opened) -> str:
    """Return what distinguishes events from others; if possible without reading all of them."""
    if opened.events.decoding is not None:
        return opened.events.decoding
    inputs = opened.inputs()
    return inputs.get("decoding") or inputs["store"]


def most_in_memory(slices: str | Path | None) -> int:
    """Return the most events to be decoded into memory: none if slices tell of a store."""
    return MOST_IN_MEMORY if slices is None else 0


def features_of(
    events: Divided,
    inputs: Mapping[str, str],
    wanted: Mapping[Path, FeatureSettings],
    *,
    part: FilePart | None = None,
    joined: Parts | None = None,
    threads: int | None = None,
    progress: Progress = silent,
    **beside: Unpack[Beside],
) -> dict[Path, dict[str, int]]:
    """Precompute representations as `all_features` does, of events that are open.

    Parameters
    ----------
    events, inputs
        As `evreel.steps.events.as_events` yields them.
    wanted, threads, beside
        As `all_features` takes them.
    part
        What part of the recording goes into the files; None: all of it.
    joined
        Parts with frames that are made already.
    """
    given = _Given(wanted.values(), **beside)
    said = {} if part is None else part.said
    jobs = [_Job(path, one, inputs, given, said) for path, one in wanted.items()]
    new = [job for job in jobs if not job.is_kept()]
    threads = checked_threads(threads)
    if joined is not None:
        new = [job for job in new if not _join(job, events, given, joined, threads, progress)]
    if new:
        _make(new, events, given, part, threads, progress)
    return {job.path: job.repairs for job in jobs}


def is_made(
    wanted: Mapping[Path, FeatureSettings],
    inputs: Mapping[str, str],
    *,
    said: Mapping[str, Any] = MappingProxyType({}),
    **beside: Unpack[Beside],
) -> bool:
    """Return whether files are there as `features_of` would make them.

    Parameters
    ----------
    wanted, inputs, beside
        As `features_of` takes them.
    said
        What the files say of their part.
    """
    given = _Given(wanted.values(), **beside)
    return all(_Job(path, one, inputs, given, said).is_made() for path, one in wanted.items())


class _Given:
    """What features are made of besides the events, read once for all of them."""

    def __init__(self, wanted: Iterable[FeatureSettings], **beside: Unpack[Beside]) -> None:
        from evreel.files.instants import ROLES, file_with, read_instants
        from evreel.samples.tables import read_cut

        wanted = list(wanted)
        self.slices = beside.get("slices")
        if not any(one.geometry.labels for one in wanted):
            self.slices = None
        ends = {
            at: file_with(at, beside.get("ends")) for at in (one.ending for one in wanted) if at
        }
        self._roles: dict[str | None, str] = {at: ROLES[at] for at in ends}
        cut = beside.get("cut")
        files = {"cut": cut, "slices": self.slices}
        self.files: dict[str, str | Path | None] = {
            **files,
            **{ROLES[at]: file for at, file in ends.items()},
        }
        known = {"times": beside.get("times_sha256")} if "times" in ends else {}
        self.steady = Steady(self.files, known)
        self.samples = None if cut is None else read_cut(cut)
        self.labels: tuple[str, ...] | None = None
        if self.samples is not None:
            labels = beside.get("labels") or sorted({*self.samples.label} - {""})
            self.labels = tuple(labels)
        self._instants = {at: read_instants(at, file) for at, file in ends.items()}

    def digests(self, settings: FeatureSettings) -> dict[str, str]:
        """Return role → digest of each file that a feature is made of."""
        roles = ["cut", self._roles.get(settings.ending)]
        if settings.geometry.labels:
            roles.append("slices")
        return {role: self.steady.digests[role] for role in roles if role in self.steady.digests}

    def instants(self, settings: FeatureSettings) -> Int64Array | None:
        """Return where the windows of a feature end, None unless it says so."""
        return None if settings.ending is None else self._instants[settings.ending]


def _make(
    jobs: Sequence[_Job],
    store: Divided,
    given: _Given,
    part: FilePart | None,
    threads: int,
    progress: Progress,
) -> None:
    """Make files in one pass over the events.

    What is wrong with one feature, such as a count that does not fit its type, is told when the
    others are made.
    """
    from evreel.files import hdf5
    from evreel.layout import FEATURES

    sources = [store.path, *given.files.values()]
    errors: list[EvreelError] = []
    with Crew(threads) as crew, contextlib.ExitStack() as files:
        slices = None
        if given.slices is not None:
            digest = jobs[0].made.inputs.get("store")
            slices = files.enter_context(slices_of(given.slices, store, digest))
        making: list[_Making] = []
        for job in jobs:
            own = files.enter_context(contextlib.ExitStack())
            (path,) = own.enter_context(atomic(job.path, inputs=sources))
            file = own.enter_context(hdf5.create(path, FEATURES, job.made))
            try:
                job.shape(store)
                plan = job.plan(store, part)
                writer = job.writer(file, store, plan, crew, len(jobs), part)
                run = job.run(plan, slices, writer.compressed)
            except EvreelError as error:
                _abandon(own, error)
                errors.append(error)
            else:
                making.append(_Making(job, run, writer, own))

        unfinished = dict(enumerate(making))

        def fails(k: int, error: EvreelError) -> None:
            _abandon(unfinished.pop(k).files, error)
            errors.append(error)

        every = _frames([one.run for one in making], store, crew, fails)
        total = sum(len(one.run.windows) for one in making)
        with contextlib.closing(every):
            for k, frame in with_progress(every, total, progress):
                making[k].writer.write(frame)
        given.steady.check()
        for one in unfinished.values():
            one.writer.finish()
            one.files.close()
            one.job.tell(len(one.run.windows))
    for another in errors[1:]:
        LOG.error("%s: %s", type(another).__name__, another)
    if errors:
        raise errors[0]


def _frames(
    runs: Sequence[Run],
    store: Divided,
    crew: Crew,
    failed: Callable[[int, EvreelError], None] | None = None,
) -> Generator[tuple[int, Frame | Chunk], None, None]:
    """Return the frames of all runs, as `frames_together` yields them."""
    from evreel.representations import frames_together

    # Two at least, if there are as many: of some features, the calling thread alone makes all
    # frames, and what it makes of others in the meantime is late.
    threads = max(min(2, crew.threads), -(-crew.threads // max(1, len(runs))))
    return frames_together(
        runs,
        store.read,
        store.sensor,
        index_of=store.index_of,
        ahead=True,
        crew=crew,
        threads=threads,
        failed=failed,
    )


def _join(
    job: _Job,
    store: Divided,
    given: _Given,
    parts: Parts,
    threads: int,
    progress: Progress,
) -> bool:
    """Make a file from the frames in parts; return whether these are there."""
    from evreel.files import hdf5
    from evreel.layout import FEATURES

    frames = parts.frames(job.identity)
    if frames is None:
        LOG.warning("%s: is not in the parts; it is made in one piece", job.said)
        return False
    if given.slices is not None:
        slices_of(given.slices, store, job.made.inputs.get("store")).close()
    sources = [store.path, *given.files.values()]
    with (
        Crew(threads) as crew,
        atomic(job.path, inputs=sources) as (path,),
        hdf5.create(path, FEATURES, job.made) as file,
    ):
        plan = job.plan(store)
        writer = job.writer(file, store, plan, crew)
        for of_part in with_progress(frames, len(frames), progress):
            writer.copy(of_part.data)
            for name, count in of_part.repairs.items():
                job.repairs[name] = job.repairs.get(name, 0) + count
        writer.finish()
        given.steady.check()
    job.tell(len(plan.windows))
    return True


class _Plan(NamedTuple):
    """The windows of a file that is made, and how far back their frames may look.

    Parameters
    ----------
    windows : they, or those of a share.
    oldest_us : (n,) µs: where the recording, part or sample of each begins.
    of_samples : which of all windows belong to which sample, if the recording is cut.
    """

    windows: Windows
    oldest_us: Int64Array
    of_samples: SampleWindows | None


class _Making(NamedTuple):
    """A file that is being made."""

    job: _Job
    run: Run
    writer: FeaturesWriter
    files: contextlib.ExitStack


def _abandon(files: contextlib.ExitStack, error: EvreelError) -> None:
    """Close unfinished files, so that nothing of them is left."""
    with contextlib.suppress(type(error)):
        files.__exit__(type(error), error, error.__traceback__)


class _Job:
    """One file that is wanted, and what it is to say of itself."""

    def __init__(
        self,
        path: Path,
        settings: FeatureSettings,
        inputs: Mapping[str, str],
        given: _Given,
        of_part: Mapping[str, Any],
    ) -> None:
        self.path = path
        self.said = f"{path.parent.name}/{path.name}"
        self.repairs: dict[str, int] = {}
        self._given = given
        self._settings = settings
        self._feature = settings.feature()
        self._division = settings.division()
        self.name = self._feature.representation.name
        is_plain = settings.compression == "zstd"
        parameters = {
            **self._feature.identity,
            **asdict(self._division),
            **({} if is_plain else {"compression": settings.compression}),
            **({} if given.labels is None else {"labels": given.labels}),
            **of_part,
        }
        self.made = Provenance(
            "features", parameters, {**inputs, **given.digests(settings)}, self.repairs
        )

    def is_made(self) -> bool:
        """Return whether the file is there as it would be made; its repairs are known then."""
        from evreel.files.features import repairs_if_made

        repairs = repairs_if_made(self.path, self.made, self._feature.representation.revision)
        self.repairs.update(repairs or {})
        return repairs is not None

    def is_kept(self) -> bool:
        """Return whether the file is there as it would be made; its time becomes that of now."""
        if not self.is_made():
            return False
        self.path.touch()
        remove_leftovers(self.path)
        LOG.info("%s: kept, it is complete and the same", self.said)
        return True

    def tell(self, n: int) -> None:
        """Say what was made, and what was changed on the way."""
        LOG.info("%s: %d windows of %s%s", self.said, n, self.name, named(self.repairs))
        beyond = self.repairs.get("stored_saturated")
        if beyond:
            LOG.warning(
                "%s: %d values are beyond what %s holds, and became the end of its range; choose "
                "another scale, or store: float16",
                *(self.said, beyond, self._settings.store),
            )

    @property
    def identity(self) -> str:
        """What distinguishes its frames from those of other features of the recording."""
        made = self.made.attributes()
        beside = self._given.digests(self._settings)
        revisions = made["step_revision"], self._feature.representation.revision
        return digest_of([*revisions, made["parameters"], beside])

    @property
    def stored(self) -> tuple[np.dtype[Any], Compression]:
        """How its frames are stored: type, and compression."""
        return np.dtype(self._feature.dtype), self._settings.compression

    def shape(self, store: Divided) -> tuple[int, int, int]:
        """Return the shape of its frames.

        Raises
        ------
        ParameterError
            If the crop is not within the sensor.
        """
        try:
            return self._feature.shape(store.sensor)
        except ParameterError as error:
            raise ParameterError(error.problem, place=self.said, hint=error.hint) from error

    def plan(
        self, store: Divided, part: FilePart | None = None, chosen: Chosen | None = None
    ) -> _Plan:
        """Return its windows, or those that are `chosen`."""
        from evreel.files.features import SampleWindows

        samples, instants = self._given.samples, self._given.instants(self._settings)
        if samples is not None:
            windows, bounds = store.windows_of(samples, self._division, instants, chosen)
            begins = np.repeat(samples.start_us, np.diff(bounds))
            begins = begins if chosen is None else begins[chosen(len(begins))]
            oldest_us = np.maximum(begins, store.oldest_us(begins))
            of_samples = SampleWindows(samples, self._given.labels or (), bounds)
            return _Plan(windows, oldest_us, of_samples)
        windows = store.windows(self._division, instants, chosen) if part is None else part.windows
        return _Plan(windows, store.oldest_us(windows.start_us), None)

    def writer(
        self,
        file: h5py.File,
        store: Divided,
        plan: _Plan,
        crew: Crew,
        n_jobs: int = 1,
        part: FilePart | None = None,
    ) -> FeaturesWriter:
        """Return what writes the frames into a new file.

        The crew compresses those of so many jobs.
        """
        from evreel.files import hdf5
        from evreel.files.features import FeaturesWriter

        shape, windows = self.shape(store), plan.windows
        begins_us = 0 if part is None else part.start_us
        origin_us = getattr(self._division, "origin_us", 0)
        if origin_us > 0 and part is None:
            before = store.n_before_origin(self._division, self._given.samples)
            self.repairs["events_before_origin"] = before
        elif origin_us > 0:  # a part begins where its first window does, unless it is the first
            first_us = int(windows.start_us[0]) if len(windows) else begins_us + origin_us
            low, high = store.index_of([begins_us, first_us]).tolist()
            self.repairs["events_before_origin"] = high - low
        writer = FeaturesWriter(
            file,
            windows.since(begins_us),
            self._division,
            store.sensor,
            store.t_offset + begins_us,
            shape=shape,
            samples=plan.of_samples,
            compression=self._settings.compression,
            threads=-(-crew.threads // n_jobs),
            crew=crew,
            **self._feature.description,
        )
        decoding = self.made.inputs.get("decoding", store.decoding)
        if decoding is not None:
            hdf5.set_attributes(file, {"decoding": decoding})
        return writer

    def run(self, plan: _Plan, slices: SlicesFile | None, then: Callable[[Frame], Chunk]) -> Run:
        """Return the run that makes the frames, with what is done to each."""
        from evreel.representations import Run

        labels = self._feature.geometry.labels
        regions = None if labels is None or slices is None else slices.regions_of(labels)
        of = self._feature, plan.windows, plan.oldest_us, self.repairs, self.said, regions
        return Run(*of, then)


def slices_of(path: str | Path, store: Divided, digest: str | None = None) -> SlicesFile:
    """Open annotated slices of a store, whose digest is found out unless it is known.

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
        same = slices.inputs.get("store") in (None, digest or sha256(store.path))
    if not same:
        slices.close()
        raise LayoutError(
            f"was not made from {store.path.name}",
            path=path,
            hint="Give the annotated slices of the same recording, or make them again.",
        )
    return slices
