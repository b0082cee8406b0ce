"""Features of many recordings: found by wildcards, made by several workers, kept if the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evreel.dataset.settings import BoxesSettings, EventsSettings, FeatureSettings
from evreel.errors import EvreelError, RecordingError, UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import STEP_REVISIONS, Provenance, digests_in, sha256
from evreel.steps.boxes import boxes_of_store
from evreel.steps.common import LOG, Steady, named
from evreel.steps.events import as_events, decoding_of, is_store
from evreel.steps.features import FilePart, features_of, is_made, most_in_memory
from evreel.steps.many import Outcome, each_on_its_own
from evreel.threads import checked_threads

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from evreel.files.divided import Divided


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is made of each recording.

    Parameters
    ----------
    folder
        Where files go: ``<name>.h5``, and ``<name>_bbox.npy`` with ``<name>_bbox.json`` if boxes
        are given.
    settings
        The representation, its parameters, its windows.
    settings_for
        Name of a recording → its settings, if it has other ones.
    start_us
        Windows begin at this time, and the times in the files count from it.
    max_duration_us
        Longest part of a recording in one file: ``<name>_0.h5``, ``<name>_1.h5``, … Times count
        from the start of each.
    clock
        What `start_us` counts from: the ``recording``'s first event, or what Metavision's tools
        count from (``metavision``), and so do boxes whose clock is the ``source``: zero in the
        recording's file. In RAW files that is shifted to the last overflow of their short
        timestamps before the first event. Where timestamps are dates, it is the first event.
    boxes
        Name of a recording → its boxes, as `evreel.steps.boxes` takes them. If there are any, each
        file has its boxes beside it, also if it has none.
    of_boxes
        The clock of boxes, and what becomes of those that are not valid.
    boxes_move
        Whether boxes are in pixels of the frames, if these are not those of the sensor.
    beside
        Function of a recording's name → what else `evreel.steps.all_features` takes of it, such as
        ``{"cut": …}``.
    stream
        Event stream, if a recording has several, as `evreel.recordings.open_recording` takes it.
    sensor
        Size of the sensor, ``WIDTHxHEIGHT``, where a recording does not state it.
    """

    folder: Path
    settings: FeatureSettings
    settings_for: Mapping[str, FeatureSettings] = field(default_factory=dict)
    start_us: int = 0
    max_duration_us: int | None = None
    clock: Literal["recording", "metavision"] = "recording"
    boxes: Mapping[str, Path] = field(default_factory=dict)
    of_boxes: BoxesSettings = BoxesSettings()
    boxes_move: bool = True
    beside: Callable[[str], Mapping[str, Any]] = lambda name: {}
    stream: int | str | None = None
    sensor: str | None = None

    def __post_init__(self) -> None:
        window_us, longest_us = self.settings.window_us, self.max_duration_us
        if self.start_us < 0:
            raise UsageError(f"a start of {self.start_us} µs is before all events")
        if longest_us is not None and longest_us < 1:
            raise UsageError(f"a file of at most {longest_us} µs has no room for a window")
        if longest_us is not None and window_us is not None and window_us > longest_us:
            raise UsageError(
                f"a window of {window_us} µs is longer than a file may be, {longest_us} µs",
                hint="Choose longer files, or shorter windows.",
            )

    @property
    def is_shifted(self) -> bool:
        """Whether the times in the files do not count from the recording's first event."""
        return self.start_us != 0 or self.clock != "recording"


def precompute(
    names: Mapping[str, Path],
    wanted: Wanted,
    *,
    workers: int = 1,
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[Outcome]:
    """Precompute a representation of many recordings; yield what becomes of each.

    Files that are complete, and were made of the same recording with the same parameters by the
    same revision, are kept. All others are made anew, each whole or not at all. Files do not depend
    on the number of workers, nor on whether the recording or its events store is given.

    Parameters
    ----------
    names
        Name → recording or events store.
    wanted
        What is made of each.
    workers
        Recordings at a time.
    threads
        How many they share, as `evreel.steps.all_features` takes them; each has one or more.
    progress
        Called with bytes of recordings.
    """
    inputs = {place for path in (*names.values(), *wanted.boxes.values()) for place in _place(path)}

    each = max(1, checked_threads(threads) // max(1, min(workers, len(names))))

    def make(name: str, path: Path, of_this: Progress) -> bool:
        return _Making(name, path, wanted, inputs, each).run(of_this)

    return each_on_its_own(names, make, workers=workers, progress=progress)


DATES_US = 10**13
"""Timestamps from here on, 116 days, are dates, and do not count from the camera's start."""

OVERFLOW_US: Mapping[str, int] = {"evt2": 1 << 6, "evt2.1": 1 << 6, "evt3": 1 << 12}
"""Format of RAW files → when the low bits of their timestamps overflow."""


class _Making:
    """Makes what is wanted of one recording."""

    def __init__(
        self,
        name: str,
        path: Path,
        wanted: Wanted,
        inputs: Set[tuple[int, int]],
        threads: int,
    ) -> None:
        self._threads = threads
        self._name, self._path, self._wanted = name, path, wanted
        self._inputs = inputs
        self._settings = wanted.settings_for.get(name, wanted.settings)
        self._beside = dict(wanted.beside(name))
        self._boxes = wanted.boxes.get(name)
        self._steady = Steady({"published": self._boxes})

    def run(self, progress: Progress) -> bool:
        """Make what is not there as wanted; return whether there was anything to make."""
        known = self._known_inputs()
        if known is not None and self._is_made(known):
            LOG.info("%s: kept, complete and the same", self._name)
            return False
        with as_events(
            self._path,
            beside=self._wanted.folder / "x",
            stream=self._wanted.stream,
            sensor=self._wanted.sensor,
            most=most_in_memory(self._beside.get("slices")),
            threads=self._threads,
            progress=progress,
        ) as opened:
            return self._make(opened.events, opened.inputs(), progress)

    def _known_inputs(self) -> dict[str, str] | None:
        """Return what features of this recording say of their origin, None if there are none."""
        stream, sensor = self._wanted.stream, self._wanted.sensor
        if is_store(self._path, stream, sensor):
            return {"store": sha256(self._path)}
        # Earlier features may have been made from the store of this recording.
        has = self._provenance(self._file(0))
        if "decoding" not in has:
            return None
        if has["decoding"] != decoding_of(self._path, EventsSettings(stream=stream), sensor=sensor):
            return None
        roles = ("store", "recording", "decoding")
        return {role: of for role, of in digests_in(has["inputs"]).items() if role in roles}

    def _make(self, store: Divided, inputs: Mapping[str, str], progress: Progress) -> bool:
        parts = self._parts(store)
        boxes = self._divided_boxes(store, parts)
        n_windows = sum(len(part.windows) for part in parts) if parts[0] is not None else 0
        is_new, before = False, 0
        for k, part in enumerate(parts):
            path = self._file(k)
            said = {} if part is None else part.said

            def of_part(done: int, total: int | None, before: int = before) -> None:
                progress(before + done, n_windows or total)

            if not self._has_features(path, inputs, said):
                is_new = True
                self._check_apart(path)
                features_of(
                    store,
                    inputs,
                    {path: self._settings},
                    **self._beside,
                    part=part,
                    threads=self._threads,
                    progress=of_part,
                )
            if boxes is not None and not self._has_boxes(path, inputs, said):
                is_new = True
                self._write_boxes(path, boxes[k], inputs, said)
            before += 0 if part is None else len(part.windows)
        self._steady.check()
        if self._wanted.max_duration_us is not None:
            self._remove_parts_from(len(parts))
        self._warn_of_others(inputs, len(parts))
        return is_new

    # -- what is there

    def _file(self, k: int) -> Path:
        part = "" if self._wanted.max_duration_us is None else f"_{k}"
        return self._wanted.folder / f"{self._name}{part}.h5"

    def _is_made(self, inputs: Mapping[str, str]) -> bool:
        """Return whether all files are there as wanted, which needs no decoding."""
        k, n = 0, 1
        while k < n:
            path, said = self._file(k), self._said_by(self._file(k))
            n = said.get("parts", 1)
            if said != self._said(k, n) or not self._has_features(path, inputs, said):
                return False
            if self._wanted.boxes and not self._has_boxes(path, inputs, said):
                return False
            k += 1
        is_whole = self._wanted.max_duration_us is None
        return is_whole or not self._said_by(self._file(n))

    def _said(self, k: int, n: int) -> dict[str, Any]:
        """Return what file k of n says of its part."""
        said: dict[str, Any] = {}
        if self._wanted.is_shifted:
            said |= {"from_us": self._wanted.start_us, "clock": self._wanted.clock}
        if self._wanted.max_duration_us is not None:
            said |= {"max_duration_us": self._wanted.max_duration_us, "part": k, "parts": n}
        return said

    def _said_by(self, path: Path) -> dict[str, Any]:
        """Return what a file says of its part, nothing if it is of none."""
        with contextlib.suppress(ValueError, LookupError, TypeError):
            parameters = json.loads(self._provenance(path)["parameters"])
            names = ("from_us", "clock", "max_duration_us", "part", "parts")
            return {name: parameters[name] for name in names if name in parameters}
        return {}

    def _provenance(self, path: Path) -> Mapping[str, Any]:
        """Return what a features file says of its origin, nothing if it cannot be read."""
        from evreel.files.features import FeaturesFile

        with contextlib.suppress(EvreelError, OSError), FeaturesFile(path) as file:
            return file.provenance
        return {}

    def _has_features(self, path: Path, inputs: Mapping[str, str], said: Mapping[str, Any]) -> bool:
        return is_made({path: self._settings}, inputs, said=said, **self._beside)

    def _check_apart(self, output: Path) -> None:
        """Raise if an output is in the place of a file that this run reads."""
        if self._inputs & {*_place(output)}:
            raise UsageError(
                "is an input of this run, and would be overwritten",
                path=output,
                hint="Choose another folder for the output.",
            )

    def _remove_parts_from(self, k: int) -> None:
        """Remove the parts that an earlier run has made beyond those of this one."""
        from evreel.files.boxes import boxes_path, origin_path

        while "part" in self._said_by(path := self._file(k)):
            boxes = boxes_path(path)
            for old in (path, boxes, origin_path(boxes)):
                old.unlink(missing_ok=True)
            LOG.info("%s: removed, a part of an earlier run", path.name)
            k += 1

    def _warn_of_others(self, inputs: Mapping[str, str], n: int) -> None:
        """Warn of files of an earlier run that readers of the folder would take along."""
        from evreel.files.boxes import boxes_path, read_origin

        is_whole = self._wanted.max_duration_us is None
        other = self._wanted.folder / f"{self._name}{'_0' if is_whole else ''}.h5"
        if self._provenance(other) and is_whole == ("part" in self._said_by(other)):
            LOG.warning(
                "%s: is there too, of a run %s parts; a reader of all files gets its events twice",
                *(other.name, "with" if is_whole else "without"),
            )
        for k in range(0 if self._wanted.boxes else n):
            boxes = boxes_path(self._file(k))
            has = read_origin(boxes)["inputs"]
            if any(has.get(role, of) != of for role, of in inputs.items()):
                LOG.warning("%s: is there too, and was made of other events", boxes.name)

    # -- parts

    def _parts(self, store: Divided) -> list[FilePart] | list[None]:
        """Return what goes into each file; one None if everything goes into one, as it is."""
        from evreel.files.instants import file_with, read_instants
        from evreel.windows import cut, parts

        wanted = self._wanted
        if not wanted.is_shifted and wanted.max_duration_us is None:
            return [None]
        if self._beside.get("cut") is not None:
            raise UsageError(
                "samples are each divided from their own start: another start, or a longest "
                "duration of files, does not go with cut",
                path=self._path,
            )
        start_us = wanted.start_us
        shift_us = self._shift_us(store)
        if shift_us is not None:
            start_us += shift_us - store.t_offset
        division, ending = self._settings.division(), self._settings.ending
        stop_us, instants = store.t_stop_us, None
        if ending is not None:
            instants = read_instants(ending, file_with(ending, self._beside.get("ends")))
            instants = instants[instants >= start_us]
            stop_us = int(instants.max(initial=stop_us))  # that some are later is no loss of them
        if start_us == 0:
            windows = store.windows(division, instants)
        elif store.clocks:
            raise UsageError(
                f"its clock was reset: it has {len(store.clocks)} parts, and no one start",
                path=self._path,
                hint="Decode one part, with on_reset: first or last.",
            )
        elif start_us >= store.t_stop_us:
            raise RecordingError(
                f"has no events from {start_us} µs on: it ends at {store.t_stop_us} µs",
                path=self._path,
            )
        else:
            windows, _ = cut(
                division, [start_us], [stop_us], store.index_of, store.stamp_at, instants
            )
        if wanted.max_duration_us is None:
            return [FilePart(start_us, windows, self._said(0, 1))]
        every = parts(windows, wanted.max_duration_us)
        return [
            FilePart(
                part.start_us if k else start_us, windows[part.rows], self._said(k, len(every))
            )
            for k, part in enumerate(every)
        ]

    def _shift_us(self, store: Divided) -> int | None:
        """Return the timestamp that times count from, None for that of the first event."""
        if self._wanted.clock == "recording" or abs(store.t_offset) >= DATES_US:
            return None
        overflow_us = OVERFLOW_US.get(store.source_format)
        return 0 if overflow_us is None else store.t_offset // overflow_us * overflow_us

    # -- boxes

    def _divided_boxes(
        self, store: Divided, parts: Sequence[FilePart | None]
    ) -> list[tuple[npt.NDArray[np.void], dict[str, int]]] | None:
        """Return the boxes of each file, times since its start, and what was left out of them."""
        import numpy as np

        from evreel.files.boxes import taken
        from evreel.layout import BOX_DTYPE

        if not self._wanted.boxes:
            return None
        every, repairs = np.zeros(0, dtype=BOX_DTYPE), dict[str, int]()
        if self._boxes is not None:
            zero_us = self._shift_us(store) or 0
            every, repairs = boxes_of_store(
                self._boxes, store, self._wanted.of_boxes, zero_us=zero_us
            )
        geometry = self._settings.geometry
        if self._wanted.boxes_move and geometry.moves:
            every, changed = geometry.of_boxes(every, store.sensor)
            repairs |= changed
        divided = []
        files = _files_of_labels(every["t"], parts)
        for k, part in enumerate(parts):
            own = taken(every, np.flatnonzero(files == k))
            own["t"] -= 0 if part is None else part.start_us
            before = {"boxes_before_start": int(np.count_nonzero(files < 0))} if k == 0 else {}
            divided.append((own, {**(repairs if k == 0 else {}), **before}))
        return divided

    def _has_boxes(self, path: Path, inputs: Mapping[str, str], said: Mapping[str, Any]) -> bool:
        from evreel.files.boxes import boxes_path, origin_path

        boxes = boxes_path(path)
        try:
            has = json.loads(origin_path(boxes).read_bytes())
            return bool(
                {name: has[name] for name in ("step", "step_revision", "parameters", "inputs")}
                == self._of_boxes(inputs, said)
                and has["beside"] == {"boxes": sha256(boxes)}
            )
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return False

    def _of_boxes(self, inputs: Mapping[str, str], said: Mapping[str, Any]) -> dict[str, Any]:
        """Return what makes boxes what they are."""
        from evreel.files.boxes import GEOMETRY

        geometry = self._settings.geometry
        is_moved = self._wanted.boxes_move and geometry.moves
        moved = {GEOMETRY: geometry.plain()} if is_moved else {}
        return {
            "step": "boxes",
            "step_revision": STEP_REVISIONS["boxes"],
            "parameters": {"labels": None, **self._wanted.of_boxes.plain(), **moved, **said},
            "inputs": {**inputs, **self._steady.digests},
        }

    def _write_boxes(
        self,
        path: Path,
        boxes: tuple[npt.NDArray[np.void], dict[str, int]],
        inputs: Mapping[str, str],
        said: Mapping[str, Any],
    ) -> None:
        from evreel.files.boxes import boxes_path, origin_path, write_boxes, write_origin

        output, (found, repairs) = boxes_path(path), boxes
        self._check_apart(output)
        how = self._of_boxes(inputs, said)
        with atomic(output, origin_path(output)) as (scratch, origin):
            write_boxes(scratch, found)
            made = Provenance("boxes", how["parameters"], how["inputs"], repairs)
            write_origin(origin, scratch, made)
        LOG.info("%s: %d boxes%s", output.name, len(found), named(repairs))


def _place(path: Path) -> list[tuple[int, int]]:
    """Return what tells a file from all others, nothing if there is none."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return [(status.st_dev, status.st_ino)]
    return []


def _files_of_labels(
    t_us: npt.NDArray[np.int64], parts: Sequence[FilePart | None]
) -> npt.NDArray[np.int64]:
    """Return which file each label goes into, −1 for those before the first one's start.

    That of the part that has its window (``start < t <= stop``). A label in no window, between two
    parts or after the last, stays with the part before it, so that none is lost.
    """
    import numpy as np

    if parts[0] is None:
        return np.zeros(len(t_us), dtype=np.int64)
    start = np.array([part.start_us for part in parts if part is not None])
    stop = np.array(
        [part.windows.stop_us.max(initial=part.start_us) for part in parts if part is not None]
    )
    file = np.searchsorted(start, t_us, side="left") - 1
    file[t_us == start[0]] = 0
    # Of parts that overlap, the first that still holds it.
    holds = np.searchsorted(np.maximum.accumulate(stop), t_us, side="left")
    found: npt.NDArray[np.int64] = np.minimum(file, holds)
    return found
