"""Batches of sequences straight from recordings, computed while they are decoded: `StreamLoader`.

The first batch is there as soon as its events are, and memory does not grow with a recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from evreel.boxes import LoadLabels
from evreel.dataset.settings import FeatureSettings
from evreel.errors import EvreelError, UsageError
from evreel.events import Sensor
from evreel.files.boxes import Keep
from evreel.geometry import Geometry
from evreel.loaders.arguments import at_least, check_on_damage, one_of
from evreel.loaders.augment import Augment
from evreel.loaders.damage import OnDamage, is_left_out, told_by_the_system
from evreel.loaders.lane import (
    Lane,
    Lanes,
    Room,
    Transform,
    as_padding,
    info_of,
)
from evreel.loaders.live import feature_settings
from evreel.loaders.pieces import Piece
from evreel.loaders.sequential import LanesLoader, arguments_of, check_boxes, first_look
from evreel.loaders.sources import (
    Files,
    Frames,
    LiveSource,
    SensorSize,
    check_shapes,
    sources_of,
)
from evreel.loaders.streams import StreamSource
from evreel.recordings.open import STRICT, Reading
from evreel.steps.common import LOG
from evreel.windows import Count, Duration, Mixed

Mode = Literal["delta_t", "n_events", "mixed"]
PaddingMode = Literal["zeros", "data"]

_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"delta_t": ("delta_t",), "n_events": ("n_events",), "mixed": ("delta_t", "n_events")}
)
"""Mode → the arguments that say what a window is."""


@dataclass(frozen=True)
class StreamLanes(Lanes):
    """What lanes deliver of streams.

    Parameters
    ----------
    padding_mode
        What a lane has after its recordings: ``zeros``, or the ``data`` of recordings once more.
    """

    padding_mode: PaddingMode = "zeros"

    def lane(self, number: int, epoch: int, first_batch: int = 0) -> StreamLane:
        """Return a lane of an epoch that fills its part of `first_batch` and of those after it."""
        return StreamLane(self, number, epoch, first_batch)


class StreamLane(Lane):
    """One lane of streams."""

    def __init__(self, lanes: StreamLanes, number: int, epoch: int, first_batch: int = 0) -> None:
        super().__init__(lanes, number, epoch, first_batch)
        self._order = lanes.order_of_lane(number, epoch)
        order = lanes.order(epoch)
        after = number + lanes.batch_size * len(self._order) - (lanes.batch_size - 1)
        start = (after if self._order else number) % len(order)
        self._repeated = self._again([*order[start:], *order[:start]])
        self._repeats = lanes.padding_mode == "data"

    def fill(self, room: Room, column: int) -> None:
        """Fill the lane's column of the next batch: of its own recordings, or with padding."""
        super().fill(room, column)
        if room.is_alive[column] or not self._repeats:
            return
        turn = next(self._repeated, None)
        if turn is None:
            return
        frames, piece = turn
        n = piece.stop - piece.start
        inputs = room.inputs[:, column]
        try:
            with told_by_the_system():
                frames.read(piece.start, piece.stop, inputs[:n])
        except EvreelError as error:
            if not is_left_out(error, self._lanes.on_damage):
                raise
            inputs[:] = 0
            return
        room.count("repeated_frames", n)
        room.infos[column] = as_padding(info_of(frames, piece))
        room.keeps[column] = not piece.is_first
        change = self._change(frames, piece)
        if change is not None:
            change.of_frames(inputs[:n])
        if self._lanes.transforms is not None:
            inputs[...] = self._transformed(inputs)
            inputs[n:] = 0

    def close(self) -> None:
        """Close what is open."""
        super().close()
        self._repeated.close()  # type: ignore[attr-defined]

    def _go(self) -> Iterator[tuple[Frames, Piece]]:
        for place in self._order:
            yield from self._recording(place, is_new=True)

    def _again(self, order: list[int]) -> Iterator[tuple[Frames, Piece]]:
        """Yield pieces of recordings again and again, as long as there are any."""
        is_any = True
        while is_any:
            is_any = False
            for place in order:
                for turn in self._recording(place, is_new=False):
                    is_any = True
                    yield turn

    def _recording(self, place: int, *, is_new: bool) -> Iterator[tuple[Frames, Piece]]:
        """Yield the pieces of a recording; count what is missing of one that is new."""
        lanes = self._lanes
        source = lanes.sources[place]
        assert isinstance(source, StreamSource)
        try:
            with told_by_the_system():
                stream = source.streamed()
        except EvreelError as error:
            self._damaged(error, "skipped_recordings", is_new=is_new)
            return
        with stream:
            is_counted = is_new and not self._skip
            if is_counted and lanes.load_labels is None and not stream.has_boxes:
                self._counted().without_boxes(source)
            pieces = stream.pieces(lanes.num_tbins)
            n = 0
            while not stream.is_broken:
                try:
                    turn = next(pieces, None)
                except EvreelError as error:
                    self._damaged(error, "damaged_recordings", is_new=is_new)
                    return
                if turn is None:
                    self._count({"empty_recordings": int(not n), **stream.counts()}, is_new=is_new)
                    return
                n += 1
                check_shapes(turn[0], lanes.shape)
                if is_new:
                    self._last = turn[0].metadata
                if not self._skip:
                    yield turn
                    continue
                self._skip -= 1
                if stream.looks_back:
                    frames, (start, stop, _) = turn
                    frames.read(start, stop, np.empty((stop - start, *lanes.shape)))
        self._count({"damaged_recordings": 1}, is_new=is_new)

    def _damaged(self, error: EvreelError, name: str, *, is_new: bool) -> None:
        """Raise the error of a recording, or tell and count it."""
        if not is_left_out(error, self._lanes.on_damage):
            raise error
        if is_new:
            LOG.warning("left out from here on: %s", error)
        self._count({name: 1}, is_new=is_new)

    def _count(self, counts: Mapping[str, int], *, is_new: bool) -> None:
        """Count what is of a recording as a whole, unless it was counted before."""
        if is_new and not self._skip:
            for name, n in counts.items():
                self._counted().count(name, n)


class StreamLoader(LanesLoader):
    """Yield batches of sequences straight from recordings, while these are decoded.

    Frames are those of features files made with the same windows, bit by bit, and lanes go on from
    batch to batch, as in `evreel.loaders.sequential.SequentialLoader`.

    Parameters
    ----------
    files
        Recordings of any format or events stores, one by one; or a release or its folder, or
        recordings of one. Boxes are those of the release, or ``<name>_bbox.npy`` beside a file.
    mode
        A frame's window: ``delta_t``: of that duration; ``n_events``: of so many events; ``mixed``:
        of both, whichever ends first. An argument that the mode does not need is ignored.
    delta_t
        Duration of a window, µs.
    n_events
        Events of a window.
    max_duration
        How much of each recording is taken, µs from its first event; None: all of it.
    representation
        What is computed.
    num_tbins
        T, frames of a lane in a batch.
    batch_size
        N, number of lanes. Lane i has recordings i, i + N, i + 2N, …: when one ends, the next
        begins.
    num_workers
        Threads that fill batches ahead, each with lanes of its own; 0: batches are filled when they
        are asked for.
    height, width
        Size of frames; None: that of the sensor. Events are halved as often as that is possible,
        the rest is a bilinear resize of the frame. Boxes follow.
    preprocess_kwargs
        Parameters of the representation.
    load_labels
        Function of (metadata, start_us, duration_us, tensor) → T labels, and (T,) which of them are
        labelled; None: the boxes of each frame.
    padding_mode
        What a lane has when its recordings are over, until those of the last lane are: ``zeros``,
        or the ``data`` of recordings once more, from the one after its own last on, each from its
        start, without labels. Either way `frame_is_padded` is set, and no frame counts twice.
    transforms
        Function of a lane's (T, C, H, W) → the same shape.
    preprocess_function_name
        `representation`, as Metavision calls it.
    stream, sensor, format, reading
        How recordings are opened, as `evreel.open` takes it.
    split
        Of a release: the recordings and samples of which split.
    shuffle, seed
        Whether the order of recordings is drawn anew each epoch, and from what.
    on_damage
        ``fail``: a damaged or missing file is an error, after the frames before the damage.
        ``skip``: what is damaged is left out from there on, counted, and named in the log.
    augment
        Flips, zooms and shifts of frames, drawn anew for each recording; boxes follow.
    keep
        ``all`` boxes of a frame, or of each track its ``last`` one.
    settings
        Geometry, ``store``, ``tail``, ``stride_us``, … as `evreel.features` takes them.

    Attributes
    ----------
    counts : name → how often, in the epochs so far: ``padded_frames``, of which ``repeated_frames``
        have data; ``empty_recordings``, without a window; ``recordings_without_boxes``, which have
        no file of boxes; ``skipped_recordings``, which could not
        be opened, and ``damaged_recordings``, which were left out from some place on;
        ``labels_outside_windows``; ``boxes_not_last``, which `keep` leaves out; and what `reading`
        left out or changed.

    Yields
    ------
    What `evreel.loaders.sequential.SequentialLoader` yields. ``duration_us`` of a recording's
    metadata is where its last window so far ends: its end is not known before.

    Raises
    ------
    UsageError
        If arguments are not valid, or contradict each other.
    RecordingError, LayoutError
        If a file is damaged or missing, when it is opened or read.
    """

    def __init__(
        self,
        files: Files,
        mode: Mode = "delta_t",
        delta_t: int | None = None,
        n_events: int | None = None,
        max_duration: int | None = None,
        representation: str | None = None,
        num_tbins: int = 1,
        batch_size: int = 8,
        num_workers: int = 2,
        height: int | None = None,
        width: int | None = None,
        preprocess_kwargs: Mapping[str, Any] | None = None,
        load_labels: LoadLabels | None = None,
        padding_mode: PaddingMode = "zeros",
        transforms: Transform | None = None,
        *,
        preprocess_function_name: str | None = None,
        stream: int | str | None = None,
        sensor: SensorSize | None = None,
        format: str | None = None,  # noqa: A002
        reading: Reading | None = None,
        split: str | None = None,
        shuffle: bool = False,
        seed: int = 0,
        on_damage: OnDamage = "fail",
        augment: Augment | None = None,
        keep: Keep = "all",
        **settings: Any,
    ) -> None:
        check_on_damage(on_damage)
        one_of("padding_mode", padding_mode, get_args(PaddingMode))
        if augment is not None and augment.of == "events":
            raise UsageError(
                "a stream's events cannot be augmented, but its frames can (of='frames')",
                hint="Augment frames, or take SequentialLoader or MixedLoader.",
            )
        named = {name for name in (representation, preprocess_function_name) if name is not None}
        if not named:
            raise UsageError("there is no representation to compute", hint="Give representation=.")
        if len(named) > 1:
            raise UsageError(
                f"representation={representation!r} and "
                f"preprocess_function_name={preprocess_function_name!r} are two names of one thing",
                hint="Give one of them.",
            )
        if not isinstance(reading, Reading | None):
            raise UsageError(
                f"reading={reading!r} is no Reading",
                hint="Give evreel.recordings.open.Reading, such as Reading(on_damage='salvage').",
            )
        for name in ("window_us", "count"):
            if name in settings:
                raise UsageError(
                    f"{name}={settings[name]!r} is a window, and so is that of mode={mode!r}",
                    hint="Give mode, delta_t and n_events.",
                )
        windows = _windows(mode, delta_t, n_events)
        check_boxes(settings)
        asked = {**windows, **settings, **(preprocess_kwargs or {})}
        made = feature_settings(named.pop(), asked, also_known=arguments_of(type(self)))
        if not isinstance(made.division(), Duration | Count | Mixed):
            raise UsageError(
                "windows of a stream are of a duration or of a number of events: its end, or other "
                "instants, are not known",
                hint="Leave out number and ending, or use SequentialLoader.",
            )
        if max_duration is not None:
            max_duration = at_least("max_duration", max_duration, 1)
        found = sources_of(
            *(files, made),
            split=split,
            size=_size(height, width, made),
            stream=stream,
            sensor=sensor,
        )
        sources = [
            StreamSource(
                **{each.name: getattr(one, each.name) for each in fields(one)},
                max_duration_us=max_duration,
                format=format,
                reading=STRICT if reading is None else reading,
            )
            for one in found
            if isinstance(one, LiveSource)
        ]
        lanes = StreamLanes(
            sources,
            at_least("batch_size", batch_size, 1),
            at_least("num_tbins", num_tbins, 1),
            first_look(sources, on_damage).shape,
            shuffle=bool(shuffle),
            seed=seed,
            load_labels=load_labels,
            transforms=transforms,
            on_damage=on_damage,
            augment=augment,
            keep=keep,
            padding_mode=padding_mode,
        )
        super().__init__(lanes, num_workers)


def _windows(mode: Mode, delta_t: int | None, n_events: int | None) -> dict[str, Any]:
    """Return the settings of windows that a mode asks for."""
    one_of("mode", mode, get_args(Mode))
    given = {"delta_t": delta_t, "n_events": n_events}
    for name in _NEEDED[mode]:
        if given[name] is None:
            raise UsageError(f"mode={mode!r} needs {name}")
    names = {"delta_t": "window_us", "n_events": "count"}
    return {names[name]: given[name] for name in _NEEDED[mode]}


def _size(height: int | None, width: int | None, settings: FeatureSettings) -> Sensor | None:
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise UsageError(f"height={height} and width={width}: give both, or none")
    if settings.geometry != Geometry():
        raise UsageError(
            "height and width are a geometry, and another one is given",
            hint="Leave them out, and give geometry a resize.",
        )
    return Sensor(at_least("height", height, 1), at_least("width", width, 1))
