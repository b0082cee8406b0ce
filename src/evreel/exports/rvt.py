"""The folders that RVT's preprocessing makes, and that its loaders read.

``<split>/<recording>/labels_v2`` has the boxes, frame by frame;
``<split>/<recording>/event_representations_v2/<frames>`` has a frame per window, the windows' ends,
and the window of each labelled frame. A window of duration w that ends at T holds the events with
T − w <= t <= T, both included: an event on a border that two windows share is in both.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evreel.annotations.forms.listing import not_in_boxes
from evreel.annotations.regions import Regions
from evreel.errors import AnnotationError, UsageError
from evreel.events import Events, Sensor
from evreel.exports.exported import Exported
from evreel.exports.rvt_labels import (
    Boxes,
    NoFramesError,
    Plan,
    RvtSettings,
    in_rvt_type,
    numbers,
    plan,
)
from evreel.files import hdf5
from evreel.files.events_store import EventsStore
from evreel.files.frame_chunks import FrameChunks, blosc_options
from evreel.layout import BOX_DTYPE
from evreel.outputs import Progress, silent
from evreel.provenance import canonical_json
from evreel.representations import Representation, create
from evreel.representations.base import Accumulator, Frame, Window
from evreel.representations.feature import Feature
from evreel.representations.running import Run, frames_together
from evreel.samples.splits import SPLITS
from evreel.settings import setting
from evreel.threads import Crew, checked_threads
from evreel.timebase import Int64Array
from evreel.windows import Windows, ending_at

RVT_RECORD = "rvt.json"
"""The settings, also those that were not given, and what was made of each recording."""


def write_rvt(
    items: Iterable[Exported],
    folder: Path,
    *,
    settings: RvtSettings,
    remarks: Counter[str] | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Write recordings in this layout, one after the other; return what it cannot hold.

    Parameters
    ----------
    items
        Recordings with stores.
    folder
        Where to write; it exists.
    settings
        What is written.
    remarks
        What else there is to say, sentence → number; added here.
    progress
        Told of each window.

    Raises
    ------
    AnnotationError
        If nothing is left of any recording.
    """
    representation_of(settings)  # checks the parameters
    for split in SPLITS:
        (folder / split).mkdir()
    lost: Counter[str] = Counter()
    said: Counter[str] = Counter()
    told: dict[str, dict[str, Any]] = {}
    problems = []
    for item in items:
        assert item.store is not None
        with EventsStore(item.store) as store:
            sequence = folder / item.split / item.id
            try:
                made = _write(store, item, sequence, settings, progress)
            except NoFramesError as error:
                problems.append(f"recording {item.id}, {error.problem}")
                lost[f"recordings {error.problem}, left out"] += 1
                made = {"left_out": error.problem}
        lost.update(made.get("not_held", {}))
        said.update(made.get("remarks", {}))
        if item.boxes is None and item.annotations is not None:
            lost.update(not_in_boxes(item.annotations))
        told[f"{item.split}/{item.id}"] = made
    if len(problems) == len(told):
        more = f"; nor of {len(problems) - 1} more" if len(problems) > 1 else ""
        raise AnnotationError(f"nothing is left to export of {problems[0]}{more}")
    if remarks is not None:
        remarks.update(said)
    record = {"settings": numbers(settings), "recordings": told}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (folder / RVT_RECORD).write_text(text, encoding="utf-8", newline="\n")
    return dict(lost)


def _write(
    store: EventsStore, item: Exported, folder: Path, settings: RvtSettings, progress: Progress
) -> dict[str, Any]:
    """Write one recording; return what the record says of it."""
    boxes, zero_us = _on_one_clock(store, item, settings)
    planned = plan(boxes, store.sensor, item.split, settings, name=item.id)
    windows = windows_of(store, planned.ends_us - zero_us, settings)
    lost, remarks = _coverage(store, planned, windows, zero_us, settings)
    labels = folder / "labels_v2"
    labels.mkdir(parents=True)
    first, frames_us = planned.first, planned.frames_us
    with (labels / "labels.npz").open("xb") as file:
        np.savez(file, labels=planned.labels, objframe_idx_2_label_idx=first)
    _save(labels / "timestamps_us.npy", frames_us)
    frames = folder / "event_representations_v2" / settings.folder
    frames.mkdir(parents=True)
    _save(frames / "timestamps_us.npy", planned.ends_us)
    _save(frames / "objframe_idx_2_repr_idx.npy", planned.window_of)
    repairs = _write_frames(store, frames / settings.file, windows, settings, progress)
    return {
        "boxes": len(planned.labels),
        "labelled_frames": len(planned.frames_us),
        "windows": len(windows),
        "events": store.n,
        "sensor": [store.sensor.height, store.sensor.width],
        "zero_us": zero_us,
        "inputs": store.decoded_from,
        "repairs": {**store.decoded_repairs, **repairs},
        "remarks": remarks,
        "not_held": {**planned.lost, **lost},
    }


def _on_one_clock(store: EventsStore, item: Exported, settings: RvtSettings) -> tuple[Boxes, int]:
    """Return the boxes on the clock that is asked for, and that clock at the first event, µs."""
    if store.members:
        raise NoFramesError("of several parts, each with a clock of its own")
    if item.boxes is None:
        annotations, clock = item.labelled()
        boxes = Regions(annotations, clock, item.picture, clip=True).boxes()
    else:
        boxes = item.boxes.copy()
    zero_us = store.t_offset if settings.times == "camera" else 0
    t = boxes["t"].astype(np.int64) + zero_us
    if item.boxes_clock == "source":
        t -= store.t_offset
    # The field may have no sign; what is before time 0 is in no frame, and neither is it at 0.
    boxes["t"] = np.maximum(t, 0)
    is_ours = item.boxes_clock == "recording" and boxes.dtype == BOX_DTYPE
    return (in_rvt_type(boxes, item.id) if is_ours else boxes), zero_us


def windows_of(store: EventsStore, ends_us: Int64Array, settings: RvtSettings) -> Windows:
    """Return the windows of events that end at given times, µs since the store's first event."""
    if settings.count is None:
        return ending_at(ends_us.tolist(), settings.window_us, store.index_of, "rvt")
    stop = store.index_of(ends_us + 1)
    start = np.maximum(stop - settings.count, 0)
    start_us = ends_us.copy()
    start_us[stop > 0] = store.stamp_at(start[stop > 0])
    return Windows(start_us, ends_us + 1, start, stop)


def _coverage(
    store: EventsStore, planned: Plan, windows: Windows, zero_us: int, settings: RvtSettings
) -> tuple[dict[str, int], dict[str, int]]:
    """Return which events are in no window, and what else there is to say, sentence → number."""
    start, stop = windows.start, windows.stop
    reached = np.maximum.accumulate(np.concatenate([start[:1], stop]))
    covered = int(np.maximum(stop - np.maximum(start, reached[:-1]), 0).sum())
    before, after = int(start[0]), store.n - int(stop[-1])
    lost = {
        "events before the first window": before,
        f"events between windows{_hint(settings)}": store.n - before - after - covered,
        "events after the last labelled frame": after,
    }
    remarks = {
        "events in two windows or more": int((stop - start).sum()) - covered,
        "windows without events": int(np.count_nonzero(stop == start)),
        "labelled frames before the first event": int(
            np.count_nonzero(planned.frames_us < zero_us)
        ),
        "labelled frames after the last event": int(
            np.count_nonzero(planned.frames_us >= zero_us + store.t_stop_us)
        ),
    }
    return (
        {what: n for what, n in lost.items() if n},
        {what: n for what, n in remarks.items() if n},
    )


def _hint(settings: RvtSettings) -> str:
    """Return why there are events between windows, if that is known of all recordings."""
    step_us = settings.label_step_us or settings.rules.label_step_us
    if settings.count is not None or step_us is None:
        return ""
    needed = math.ceil(step_us / settings.window_us)
    if needed <= settings.windows_per_step:
        return ""
    apart_us = step_us / settings.windows_per_step
    return (
        f": one of {settings.window_us:,} µs ends every {apart_us:,.0f} µs after the first label; "
        f"--windows-per-step {needed} leaves no gap"
    )


def representation_of(settings: RvtSettings) -> Representation:
    """Return what makes the frames."""
    parameters: dict[str, Any] = {"bins": settings.bins, "count_cutoff": settings.limit}
    if settings.representation == "stacked_histogram":
        own = {"compat": "rvt", "fastmode": settings.fastmode}
        made_of = create("stacked_histogram", parameters | own)
    else:
        made_of = create("mixed_density_stack", parameters | {"kind": "rvt"})
    return Halved(made_of) if settings.halves else made_of


@dataclass(frozen=True)
class Halved(Representation):
    """The odd rows and columns of another representation whose pixels do not depend on each other.

    They equal those of the full frame: the window still begins and ends with events of any pixel.
    Only the events of these pixels are counted, which takes a third of the time.
    """

    name: ClassVar[str] = "halved"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "torch.nn.functional.interpolate, nearest-exact, scale factor 0.5"
    unit: ClassVar[str] = "as of the full frame"

    of: Representation = setting(None, "What is halved.")

    @property
    def channels(self) -> int:
        """Those of the full frame."""
        return self.of.channels

    @property
    def dtype(self) -> str:
        """That of the full frame."""
        return self.of.dtype

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H // 2, W // 2)."""
        return self.channels, sensor.height // 2, sensor.width // 2

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what computes it."""
        return _Halving(self, sensor, repairs)


class _Halving(Accumulator):
    """What hands the events of odd rows and columns on to the accumulator of half the size."""

    def __init__(self, halved: Halved, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.halving import keep_odd

        super().__init__(halved, sensor, repairs)
        self._small = Sensor.checked(sensor.height // 2, sensor.width // 2)
        self._inner = halved.of.accumulator(self._small, repairs)
        self.frame = self._inner.frame
        self._keep_odd = keep_odd
        self._columns = _columns(0)

    def begin(self, window: Window) -> None:
        """Start a window."""
        self.window = window
        self._inner.begin(window)

    def accumulate(self, events: Events) -> None:
        """Add the events of odd rows and columns."""
        if len(self._columns[0]) < len(events):
            self._columns = _columns(len(events))
        kept = self._keep_odd(events.t, events.x, events.y, events.p, *self._columns)
        if kept:
            t, x, y, p = (column[:kept] for column in self._columns)
            self._inner.accumulate(Events.trusted(t, x, y, p, self._small))

    def finish(self) -> Frame:
        """Return the finished frame."""
        return self._inner.finish()


def _columns(n: int) -> tuple[Any, ...]:
    """Return room for t, x, y and p of n events."""
    return tuple(np.empty(n, dtype) for dtype in (np.int64, np.uint16, np.uint16, np.uint8))


def _write_frames(
    store: EventsStore, path: Path, windows: Windows, settings: RvtSettings, progress: Progress
) -> dict[str, int]:
    """Write the frame of each window; return what was changed in them, name → count."""
    made_of = Feature.of(representation_of(settings))
    run = Run(made_of, windows)
    _, *size = shape = made_of.shape(store.sensor)
    if 0 in size:
        raise UsageError(f"a sensor of {store.sensor} px has no half", path=store.path)
    with hdf5.new_file(path, libver=("v110", "v110"), track_order=False) as file:
        data = file.create_dataset(
            "data",
            shape=(len(windows), *shape),
            dtype=made_of.dtype,
            chunks=(1, *shape),
            maxshape=(None, *shape),
            track_times=False,
            **blosc_options(),
        )
        with (
            Crew(checked_threads(None)) as crew,
            FrameChunks(data, "blosc", crew.threads, crew) as chunks,
        ):
            made = frames_together(
                [run], store.read, store.sensor, index_of=store.index_of, ahead=True, crew=crew
            )
            for n, (_, frame) in enumerate(made):
                chunks.write(frame)
                progress(n + 1, len(windows))
        hdf5.set_attributes(
            file,
            {
                "parameters": canonical_json(numbers(settings)),
                "inputs": canonical_json(store.decoded_from),
                "repairs": canonical_json(run.repairs),
            },
        )
    return dict(run.repairs)


def _save(path: Path, values: Int64Array) -> None:
    with path.open("xb") as file:
        np.save(file, values, allow_pickle=False)
