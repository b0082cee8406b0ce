"""Batches of sequences in the order of time, for networks that remember: `SequentialLoader`.

Lane i of each batch goes on where lane i of the batch before ended, until its recording does; then
the next recording begins and `mask_keep_memory` is 0. Workers have lanes of their own, so a
recording is opened by one worker, and read or computed from its start to its end.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.boxes import NOT_LAST, Boxes, LoadLabels, check_keep
from evreel.dataset.settings import FeatureSettings
from evreel.errors import EvreelError, ParameterError, UsageError, did_you_mean, one_line
from evreel.events import Sensor
from evreel.files.boxes import Keep, last_in_each
from evreel.geometry import Geometry
from evreel.layout import BOX_DTYPE
from evreel.loaders.arguments import at_least, check_on_damage, whole
from evreel.loaders.augment import Augment, Change
from evreel.loaders.damage import OnDamage, is_left_out, told_by_the_system
from evreel.loaders.filling import filled
from evreel.loaders.lanes import Piece, n_pieces, order_of, pieces
from evreel.loaders.live import feature_settings
from evreel.loaders.shown import Shown, VizLabels
from evreel.loaders.sources import (
    Files,
    Frames,
    Look,
    Metadata,
    SensorSize,
    Source,
    check_shapes,
    sources_of,
)
from evreel.representations import Representation
from evreel.settings import settings_of
from evreel.steps.common import LOG
from evreel.timebase import Int64Array
from evreel.video.labelled import Image

Batch = dict[str, Any]
Padding = Literal["pad", "drop"]
Transform = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

_KEYS = (
    "inputs",
    "labels",
    "mask_keep_memory",
    "frame_is_labeled",
    "frame_is_padded",
    "video_infos",
)


class Info(NamedTuple):
    """What is in a lane of a batch: the recording, and which part of it, in µs."""

    metadata: Metadata
    start_us: int
    duration_us: int


@dataclass(frozen=True)
class Lanes:
    """What lanes deliver, and of what: the same in every worker.

    Parameters
    ----------
    sources
        The recordings.
    batch_size
        N, number of lanes.
    num_tbins
        T, frames of a lane in a batch.
    shape
        (C, H, W) of every frame.
    extra
        Name → (dtype, shape) of values per window that every recording has.
    padding
        ``pad``: what is missing at the end of a recording or a lane is zeros. ``drop``: incomplete
        pieces are left out, and an epoch ends with its shortest lane.
    shuffle, seed
        Whether the order of recordings is drawn anew each epoch, and from what.
    load_labels
        What makes the labels; None: the boxes of each frame.
    transforms
        What changes the (T, C, H, W) of a lane, keeping its shape.
    on_damage
        Whether a damaged or missing file is an error, or is left out and counted.
    augment
        What is drawn for each stream, from its start to its reset.
    dtype
        Type of the frames of a batch.
    keep
        Which boxes of a frame are delivered: all, or of each track its last one.
    """

    sources: Sequence[Source]
    batch_size: int
    num_tbins: int
    shape: tuple[int, int, int]
    extra: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)
    padding: Padding = "pad"
    shuffle: bool = False
    seed: int = 0
    load_labels: LoadLabels | None = None
    transforms: Transform | None = None
    on_damage: OnDamage = "fail"
    augment: Augment | None = None
    dtype: str = "float32"
    keep: Keep = "all"

    @property
    def drops(self) -> bool:
        """Whether incomplete pieces are left out."""
        return self.padding == "drop"

    @property
    def n_streams(self) -> int:
        """How many go on from batch to batch."""
        return self.batch_size

    @property
    def kinds(self) -> str:
        """How many are of which kind, if there are several."""
        return ""

    def order(self, epoch: int) -> list[int]:
        """Return in which order recordings are read in an epoch."""
        names = [source.name for source in self.sources]
        return order_of(names, shuffle=self.shuffle, seed=self.seed, epoch=epoch)

    def order_of_lane(self, number: int, epoch: int, again: int = 0) -> list[int]:
        """Return which recordings a lane reads in an epoch, in order; `again`, when it repeats."""
        return self.order(epoch)[number :: self.batch_size]

    def segments(self, frames: Frames) -> Int64Array:
        """Return the ranges of frames of a recording that follow each other in time."""
        return frames.segments

    def boxes(self, frames: Frames, piece: Piece) -> list[Boxes]:
        """Return the boxes that are delivered of each frame of a piece."""
        found = frames.boxes(piece.start, piece.stop)
        return last_in_each(found) if self.keep == "last" else found

    def augment_of(self, is_random: bool) -> Augment | None:
        """Return what is drawn for a stream, or for a random sequence."""
        return self.augment

    def room(self, n: int) -> Room:
        """Return room for what n lanes have in a batch."""
        return Room(self, n)

    def lane(self, number: int, epoch: int, first_batch: int = 0) -> Lane:
        """Return a lane of an epoch that fills its part of `first_batch` and of those after it."""
        return Lane(self, number, epoch, first_batch)

    def are_over(self, room: Room) -> bool:
        """Tell whether a batch of all lanes comes after the last one of the epoch."""
        return not (room.is_alive.all() if self.drops else room.is_alive.any())


class Counted:
    """What was padded or left out: name → how often. Lanes may count at the same time.

    Attributes
    ----------
    missing : files of boxes that would be beside a recording, and are not there.
    """

    def __init__(self) -> None:
        self._each: list[tuple[str, int]] = []
        self.missing: list[Path] = []

    def count(self, name: str, n: int) -> None:
        """Count it n times."""
        if n:
            self._each.append((name, n))

    def add(self, other: Counted) -> None:
        """Count what was counted elsewhere, too."""
        self._each += other._each
        self.missing += other.missing

    def without_boxes(self, source: Source) -> None:
        """Count a recording that has no file of boxes."""
        self.count("recordings_without_boxes", 1)
        beside = source.boxes_beside()
        if beside is not None:
            self.missing.append(beside)

    def put_into(self, counts: MutableMapping[str, int]) -> None:
        """Add it to what was counted before."""
        for name, n in self._each:
            counts[name] = counts.get(name, 0) + n


class Room:
    """Room for what n lanes have in one batch: zeros, no labels, until it is filled.

    Attributes
    ----------
    n_labels : (n,) boxes of the lanes' frames, also where frames could not be read.
    counted : what counts if the batch is delivered.
    passed : what counts anyway: of recordings that were passed on the way to the batch.
    """

    def __init__(self, lanes: Lanes, n: int) -> None:
        t = lanes.num_tbins
        self.inputs = np.zeros((t, n, *lanes.shape), dtype=lanes.dtype)
        self.labels: list[list[Any]] = [[_none() for _ in range(n)] for _ in range(t)]
        self.keeps = np.zeros((n, 1, 1, 1), dtype=np.float32)
        self.is_labelled = np.zeros((t, n), dtype=bool)
        self.is_padded = np.ones((t, n), dtype=bool)
        self.infos: list[Info | None] = [None] * n
        self.extra = {
            name: np.zeros((t, n, *shape), dtype=dtype)
            for name, (dtype, shape) in lanes.extra.items()
        }
        self.is_alive = np.zeros(n, dtype=bool)
        self.n_labels = np.zeros(n, dtype=np.int64)
        self.counted, self.passed = Counted(), Counted()

    def count(self, name: str, n: int) -> None:
        """Count what is padded or left out in this batch."""
        self.counted.count(name, n)

    def put(self, columns: slice, part: Room) -> None:
        """Put what some lanes have, which was filled elsewhere, where it belongs."""
        self.inputs[:, columns] = part.inputs
        self.keeps[columns] = part.keeps
        self.is_labelled[:, columns] = part.is_labelled
        self.is_padded[:, columns] = part.is_padded
        self.is_alive[columns] = part.is_alive
        self.n_labels[columns] = part.n_labels
        self.infos[columns] = part.infos
        for own, labels in zip(self.labels, part.labels, strict=True):
            own[columns] = labels
        for name, values in self.extra.items():
            values[:, columns] = part.extra[name]
        self.counted.add(part.counted)
        self.passed.add(part.passed)

    def batch(self) -> Batch:
        """Return what was filled, by name."""
        values = (
            *(self.inputs, self.labels, self.keeps),
            *(self.is_labelled, self.is_padded, self.infos),
        )
        return {**dict(zip(_KEYS, values, strict=True)), **self.extra}


def _none() -> Boxes:
    return np.zeros(0, dtype=BOX_DTYPE)


class Lane:
    """One lane of an epoch: fills its part of one batch after the other.

    Parameters
    ----------
    lanes
        What is delivered.
    number
        Which lane.
    epoch, first_batch
        Where it begins.
    """

    is_random = False  # whether a piece does not follow the one before

    def __init__(self, lanes: Lanes, number: int, epoch: int, first_batch: int = 0) -> None:
        self._lanes = lanes
        self._number, self._epoch = number, epoch
        self._skip = first_batch
        self._room: Room | None = None
        self._turns = self._go()
        self._is_cut = False
        self._pass = 0
        self._last: Metadata | None = None

    def fill(self, room: Room, column: int) -> None:
        """Fill the lane's column of the next batch; nothing if its recordings are over."""
        self._room = room
        turn = next(self._turns, None)  # after it, `_pass` is that of the turn
        t = self._lanes.num_tbins
        if turn is None:
            room.count("padded_frames", t)
            if self._last is not None:
                room.infos[column] = as_padding(Info(self._last, self._last.duration_us, 0))
            return
        frames, piece = turn
        n = piece.stop - piece.start
        room.is_alive[column] = not self._pass
        room.count("repeated_sequences", self._pass > 0)
        room.n_labels[column] = frames.n_labels(piece.start, piece.stop)
        room.infos[column] = info = info_of(frames, piece)
        self._last = frames.metadata
        inputs = room.inputs[:, column]
        change = self._change(frames, piece)
        try:
            self._read(frames, piece, change, room, column)
        except EvreelError as error:
            if not is_left_out(error, self._lanes.on_damage):
                raise
            inputs[:] = 0
            for values in room.extra.values():
                values[:, column] = 0
            room.count("skipped_frames", n)
            room.count("skipped_labels", int(room.n_labels[column]))
            room.count("padded_frames", t - n)
            self._is_cut = True
            return
        room.count("padded_frames", t - n)
        room.keeps[column] = not (piece.is_first or self._is_cut)
        self._is_cut = False
        room.is_padded[:n, column] = False
        self._label(room, column, frames, piece, info)
        if change is not None:
            if change.of == "frames":
                change.of_frames(inputs[:n])
            for k in range(n):
                room.labels[k][column] = self._moved(room, change, room.labels[k][column])
        if self._lanes.transforms is not None:
            inputs[...] = self._transformed(inputs)
            inputs[n:] = 0

    def _change(self, frames: Frames, piece: Piece) -> Change | None:
        """Return what is done to a piece: the same for all of a stream."""
        augment = self._lanes.augment_of(self.is_random)
        if augment is None:
            return None
        starts = self._lanes.segments(frames)[:, 0]
        start = int(starts[np.searchsorted(starts, piece.start, side="right") - 1])
        what = f"{self._lanes.seed} {self._epoch} {self._pass} {frames.metadata.name} {start}"
        return augment.draw(what, Sensor(*self._lanes.shape[1:]))

    def _moved(self, room: Room, change: Change, labels: Any) -> Any:
        """Return labels where the frame's pixels are, and count what was done to them."""
        if not {*"xywh"} <= {*(getattr(getattr(labels, "dtype", None), "names", None) or ())}:
            raise UsageError(
                f"labels are of {type(labels).__name__}; augment moves records with x, y, w and h",
                hint="Let load_labels return such records, or augment in your own transforms.",
            )
        moved, n_cut, n_outside = change.of_boxes(labels)
        room.count("boxes_cut_by_augment", n_cut)
        room.count("boxes_outside_augment", n_outside)
        return moved

    def _read(
        self, frames: Frames, piece: Piece, change: Change | None, room: Room, column: int
    ) -> None:
        n = piece.stop - piece.start
        changed = change if change is not None and change.of == "events" else None
        inputs, alone = room.inputs[:n, column], self.is_random
        with told_by_the_system():
            frames.read_part(piece.start, piece.stop, inputs, changed=changed, alone=alone)
            for name, values in room.extra.items():
                values[:n, column] = frames.extra[name][piece.start : piece.stop]

    def _is_damaged(self, frames: Frames, piece: Piece) -> bool:
        """Tell whether a piece that was delivered before could not be read."""
        if self._lanes.on_damage == "fail":
            return False
        try:
            self._read(frames, piece, self._change(frames, piece), self._lanes.room(1), 0)
        except EvreelError as error:
            return is_left_out(error, self._lanes.on_damage)
        return False

    def _transformed(self, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        assert self._lanes.transforms is not None
        found = np.asarray(self._lanes.transforms(inputs))
        if found.shape != inputs.shape:
            raise ParameterError(
                f"transforms made {found.shape} of {inputs.shape}; it must keep the shape",
                hint="Change shapes after a batch is delivered.",
            )
        return found

    def _label(self, room: Room, column: int, frames: Frames, piece: Piece, info: Info) -> None:
        n = piece.stop - piece.start
        if self._lanes.load_labels is None:
            labels: Sequence[Any] = self._lanes.boxes(frames, piece)
            if self._lanes.keep == "last":
                every = frames.boxes(piece.start, piece.stop)
                room.count(NOT_LAST, sum(map(len, every)) - sum(map(len, labels)))
            is_labelled = frames.labelled(piece.start, piece.stop)
        else:
            tensor = room.inputs[:, column]
            tensor.flags.writeable = False
            metadata, start_us, duration_us = info
            spans, step_us = frames.spans(piece.start, piece.stop), metadata.delta_t_us
            if spans == _even(start_us, step_us, n):
                duration_us = self._lanes.num_tbins * step_us
            else:
                metadata = metadata._replace(spans_us=spans)
            found = self._lanes.load_labels(metadata, start_us, duration_us, tensor)
            labels, is_labelled = _as_labels(found, self._lanes.num_tbins, info.metadata.name)
        for k in range(n):
            room.labels[k][column] = labels[k]
        room.is_labelled[:n, column] = is_labelled[:n]

    def _go(self) -> Iterator[tuple[Frames, Piece] | None]:
        """Yield each piece with the open recording that it is of."""
        lanes = self._lanes
        for place in lanes.order_of_lane(self._number, self._epoch, self._pass):
            try:
                frames = opened(lanes, place)
            except EvreelError as error:
                if not is_left_out(error, lanes.on_damage):
                    raise
                if not self._skip:
                    self._counted().count("skipped_recordings", 1)
                continue
            with frames:
                segments = lanes.segments(frames)
                n = n_pieces(segments, lanes.num_tbins, drop=lanes.drops)
                if not (self._skip or self._pass):
                    self._counted().count("labels_outside_windows", frames.n_labels_outside)
                    if len(frames.segments) > len(segments) == 0:
                        self._counted().count("recordings_without_labels", 1)
                    if lanes.load_labels is None and not frames.has_boxes:
                        self._counted().without_boxes(lanes.sources[place])
                if n <= self._skip:
                    self._skip -= n
                    self._last = frames.metadata
                    continue
                for piece in pieces(segments, lanes.num_tbins, drop=lanes.drops):
                    if self._skip:
                        self._skip -= 1
                        self._is_cut = not self._skip and self._is_damaged(frames, piece)
                        continue
                    yield frames, piece

    def _counted(self) -> Counted:
        """Return what counts whether or not the batch is delivered."""
        assert self._room is not None
        return self._room.passed

    def close(self) -> None:
        """Close what is open."""
        self._turns.close()  # type: ignore[attr-defined]


def _as_labels(
    found: Any, num_tbins: int, name: str
) -> tuple[Sequence[Any], npt.NDArray[np.bool_]]:
    """Return labels of T frames, and which are labelled, as `load_labels` has returned them.

    Raises
    ------
    ParameterError
        If they are something else.
    """
    try:
        labels, given = found
        n, is_labelled = len(labels), np.asarray(given)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"load_labels returned {one_line(repr(found), 80)}; a list of {num_tbins} labels and "
            f"an array of {num_tbins} bool, which of them are labelled, are expected",
            place=name,
        ) from error
    if n != num_tbins or is_labelled.shape != (num_tbins,):
        raise ParameterError(
            f"load_labels returned {n} labels and {is_labelled.shape} of which are labelled; "
            f"{num_tbins} each are expected",
            place=name,
        )
    if not np.isin(is_labelled, (False, True)).all():
        raise ParameterError(
            f"load_labels returned {one_line(str(given), 80)} of which are labelled; true or false "
            "is expected of each",
            place=name,
        )
    return labels, is_labelled.astype(bool)


def opened(lanes: Lanes, place: int) -> Frames:
    """Return an open recording whose frames fit the others'."""
    with contextlib.ExitStack() as stack, told_by_the_system():
        frames = stack.enter_context(lanes.sources[place].open())
        _check_frames(frames, lanes)
        stack.pop_all()
    return frames


def _check_frames(frames: Frames, lanes: Lanes) -> None:
    """Raise `UsageError` if frames, or values per window, are others than those of the others."""
    check_shapes(frames, lanes.shape)
    if lanes.dtype not in ("float32", frames.dtype):
        raise UsageError(
            f"its frames are {frames.dtype}; {lanes.dtype} is expected",
            path=frames.metadata.path,
            hint="Take all as float32 (dtype='float32').",
        )
    has, expected = frames.look.extra, lanes.extra
    for name in sorted({*has, *expected}):
        if has.get(name) != expected.get(name):
            said = [
                "none" if one is None else f"{one[0]} of shape {one[1]}"
                for one in (has.get(name), expected.get(name))
            ]
            raise UsageError(
                f"has {said[0]} as {name!r} per window; other recordings have {said[1]}",
                path=frames.metadata.path,
                hint="Add the same to all of them with `evreel enrich`.",
            )


def _even(start_us: int, step_us: int, n: int) -> tuple[tuple[int, int], ...]:
    """Return the starts and stops of n windows that are end to end, of one duration."""
    edges = range(start_us, start_us + (n + 1) * step_us, step_us) if step_us else ()
    return tuple(pairwise(edges))


def info_of(frames: Frames, piece: Piece) -> Info:
    """Return what a batch says of a piece of a recording."""
    windows, metadata = frames.windows, frames.metadata
    start = int(windows.start_us[piece.start])
    stop = int(windows.stop_us[piece.stop - 1])
    if frames.samples is not None:
        first_us = int(windows.start_us[frames.first_with(piece.start)])
        metadata = metadata._replace(start_ts=first_us)
    return Info(metadata, start, stop - start)


def as_padding(info: Info) -> Info:
    """Return what a batch says of a lane that has no recording left."""
    return info._replace(metadata=info.metadata._replace(padding=True))


class LanesLoader:
    """What loaders of lanes have in common: epochs, a state to go on from, counts.

    Parameters
    ----------
    lanes
        What is delivered.
    num_workers
        Workers that fill batches ahead.

    Attributes
    ----------
    batch_size : N, number of lanes.
    """

    def __init__(self, lanes: Lanes, num_workers: int) -> None:
        for name in ("load_labels", "transforms"):
            function = getattr(lanes, name)
            if function is not None and not callable(function):
                raise UsageError(f"{name}={function!r} is not a function")
        for augment in (lanes.augment_of(True), lanes.augment_of(False)):
            if not isinstance(augment, Augment | None):
                raise UsageError(
                    f"augment={augment!r} is not an Augment",
                    hint="Give such as Augment(flip_x=0.5), of evreel.loaders.augment.",
                )
        check_keep(lanes.keep)
        if lanes.keep != "all" and lanes.load_labels is not None:
            raise UsageError(
                f"keep={lanes.keep!r} is of the loader's own boxes, and load_labels makes others",
                hint="Give it to that function: functools.partial(load_boxes, keep='last').",
            )
        self._lanes = replace(lanes, seed=whole("seed", lanes.seed))
        self.batch_size = lanes.batch_size
        self.num_workers = at_least("num_workers", num_workers, 0)
        n, n_streams = len(lanes.sources), lanes.n_streams
        if n < n_streams:
            LOG.warning(
                "of %d lanes that go on from batch to batch, %d have no recording, as there "
                "are %d: a smaller batch_size would leave fewer empty",
                *(n_streams, n_streams - n, n),
            )
        self.counts: MutableMapping[str, int] = {}
        self._epoch, self._batch, self._begun = 0, 0, False
        self._n_labels = 0
        self._has_warned = False
        self._turn: object | None = None  # the iteration whose place the loader tells

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be an epoch's, from its start."""
        self._epoch, self._batch, self._n_labels = at_least("epoch", epoch, 0), 0, 0
        self._begun, self._turn = False, None

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is, for `load_state_dict`: plain numbers and text."""
        return {
            "epoch": self._epoch,
            "batch": self._batch,
            "labels": self._n_labels,
            "counts": dict(self.counts),
            "identity": self._identity(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader of the same data was: its next batch comes next.

        Raises
        ------
        UsageError
            If that one had other recordings or arguments, or it is no state.
        """
        try:
            identity, counts = state["identity"], dict(state["counts"])
            epoch, batch, n_labels = (int(state[name]) for name in ("epoch", "batch", "labels"))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{one_line(repr(state), 80)} is no state of a loader",
                hint="Give what state_dict returned.",
            ) from error
        if identity != self._identity():
            raise UsageError(
                "the state is of a loader with other recordings or arguments",
                hint="Make the loader with the same files, batch_size, array_dim, padding, "
                "shuffle and seed.",
            )
        self.set_epoch(epoch)
        self._batch, self._n_labels, self.counts = batch, n_labels, counts

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch, or those that follow a loaded state.

        Of several iterations at once, each is an epoch of its own, and the loader's state is that
        of the last one that began.
        """
        if self._begun:
            self.set_epoch(self._epoch + 1)
        self._begun = True
        self._turn = turn = object()
        epoch, batch, n_labels = self._epoch, self._batch, self._n_labels
        with contextlib.closing(self._rooms(epoch, batch)) as rooms:
            for room in rooms:
                room.passed.put_into(self.counts)
                self._warn_of(room.passed.missing)
                if self._lanes.are_over(room):
                    break
                room.counted.put_into(self.counts)
                batch += 1
                n_labels += int(room.n_labels.sum())
                if self._turn is turn:
                    self._batch, self._n_labels = batch, n_labels
                yield self._delivered(room)
        self._count_dropped(batch, n_labels)
        if self._turn is turn:
            self.set_epoch(epoch + 1)

    def _warn_of(self, missing: Sequence[Path]) -> None:
        """Say of the first file of boxes that is missing that it is."""
        if missing and not self._has_warned:
            self._has_warned = True
            LOG.warning(
                "%s: is not there, so its recording has no labels; "
                "counts['recordings_without_boxes'] says how many have none",
                missing[0],
            )

    def __repr__(self) -> str:
        lanes = self._lanes
        n = len(lanes.sources)
        shape = (lanes.num_tbins, lanes.batch_size, *lanes.shape)
        return (
            f"<{type(self).__name__}: {n} recording{'s' * (n != 1)}{lanes.kinds}, batches of "
            f"{shape} (T, N, C, H, W), at batch {self._batch} of epoch {self._epoch}>"
        )

    def show(self, viz_labels: VizLabels = None) -> Iterator[Image]:
        """Yield a picture of each time bin, all lanes side by side, of the batches that come next.

        Parameters
        ----------
        viz_labels
            Function of (frame, labels) of a lane that returns a picture, or draws on the one that
            it is given; or True, for boxes with the names of their classes.

        Yields
        ------
        (H', W', 3) uint8. A lane whose memory is reset has a red corner.
        """
        labels = self._lanes.sources[0].labels() if viz_labels is True else {}
        shown = Shown(self._shown_as(), viz_labels, labels)
        for batch in LanesLoader.__iter__(self):  # whatever a class that inherits makes of batches
            yield from shown.pictures(batch)

    def _shown_as(self) -> Representation | None:
        """Return what frames are, as the first recording that can be opened says."""
        for source in self._lanes.sources:
            try:
                with told_by_the_system():
                    return source.shown_as()
            except EvreelError as error:
                if not is_left_out(error, self._lanes.on_damage):
                    raise
        return None

    @property
    def _next_epoch(self) -> int:
        return self._epoch + self._begun

    @functools.cached_property
    def _sizes(self) -> list[_Sizes]:
        """How much each recording has."""
        return [self._size_of(source) for source in self._lanes.sources]

    def _size_of(self, source: Source) -> _Sizes:
        lanes = self._lanes
        try:
            with told_by_the_system(), source.open() as frames:
                return _Sizes(
                    n_pieces(lanes.segments(frames), lanes.num_tbins, drop=lanes.drops),
                    frames.n_frames,
                    sum(frames.n_labels(*segment) for segment in frames.segments.tolist()),
                )
        except EvreelError as error:
            if not is_left_out(error, lanes.on_damage):
                raise
            return _Sizes(0, 0, 0)

    def _identity(self) -> str:
        lanes = self._lanes
        said = [
            *([source.identity for source in lanes.sources], lanes.batch_size, lanes.num_tbins),
            *(lanes.shape, lanes.padding, lanes.shuffle, lanes.seed),
            *((repr(lanes.augment),) if lanes.augment else ()),
            *((lanes.keep,) if lanes.keep != "all" else ()),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _rooms(self, epoch: int, first_batch: int) -> Generator[Room]:
        """Yield filled batches, the last of which comes after the end."""
        yield from filled(self._lanes, epoch, first_batch, self.num_workers)

    def _count_dropped(self, n_batches: int, n_labels: int) -> None:
        """Count what an epoch of so many batches has left out, which had so many labels."""

    def _delivered(self, room: Room) -> Batch:
        """Return a batch as it is delivered."""
        return room.batch()


class SequentialLoader(LanesLoader):
    """Yield batches of sequences that go on from batch to batch.

    Parameters
    ----------
    files
        A release or its folder; or features files, evreel's or Metavision's own, or, with a
        representation, recordings or events stores: one by one, by wildcards, or a folder of them.
        Boxes are those of the release, or ``<name>_bbox.npy`` beside a file.
    delta_t
        Duration of a frame's window, µs; with precomputed features it may be None.
    representation
        What is computed live; None: features are precomputed.
    array_dim
        (T, C, H, W), or (T,) if frames are taken as they are. Frames that are computed live are
        brought to H and W: by halvings of the events, and what is left by a bilinear resize.
    load_labels
        Function of (metadata, start_us, duration_us, tensor) → T labels, and (T,) which of them are
        labelled, as `evreel.boxes.load_labels_stub`; None: the boxes of each frame. Where windows
        have one duration, the part is always T of them, also if the recording ends before; what is
        returned for windows after its end is not used. The tensor is read-only.
    batch_size
        N, number of lanes.
    num_workers
        Threads that fill batches ahead; 0: they are filled when they are asked for.
    preprocess_kwargs
        Parameters of the representation.
    shuffle
        Whether the order of recordings is drawn anew each epoch.
    padding
        ``pad``: what is missing at the end of a recording, or of a lane, is zeros, so that every
        frame and every label is delivered exactly once. ``drop``: incomplete pieces are left out,
        and the epoch ends with its shortest lane. Both are counted. True stands for ``pad``, False
        for ``drop``.
    transforms
        Function of a lane's (T, C, H, W) → the same shape.
    feature, split
        Of a release: which feature, and the recordings and samples of which split.
    seed
        What a shuffled order is drawn from.
    stream, sensor
        Of recordings by their paths: which event stream, and the sensor's size where a recording
        does not state it.
    on_damage
        ``fail``: a damaged or missing file is an error. ``skip``: a recording that cannot be opened
        is left out, and so are T frames if one of them cannot be read, with their labels; the
        memory is reset after them. Both are counted.
    augment
        Flips, zooms and shifts, drawn anew for each recording or sample; boxes follow.
    keep
        ``all`` boxes of a frame, or of each track its ``last`` one: where a window is longer than
        the time from one label of an object to the next, ``all`` has it several times.
    settings
        Windows other than those of `delta_t` (``count=5000``), geometry, ``store``, as
        `evreel.features` takes them.

    Attributes
    ----------
    counts : name → how often, in the epochs so far: ``padded_frames``; ``dropped_frames`` and
        ``dropped_labels``; ``skipped_recordings``, ``skipped_frames`` and ``skipped_labels``;
        ``labels_outside_windows``; ``recordings_without_boxes``, which have no file of boxes;
        ``boxes_not_last``, which `keep` leaves out; ``boxes_cut_by_augment`` and
        ``boxes_outside_augment``.

    Yields
    ------
    A dict: ``inputs`` (T, N, C, H, W) float32; ``labels[t][n]``; ``mask_keep_memory`` (N, 1, 1, 1)
    float32, 0 where a recording or a sample begins; ``frame_is_labeled`` (T, N) bool;
    ``frame_is_padded`` (T, N) bool; ``video_infos``, N × (metadata, start_us, duration_us), None
    for a lane without any recording; and values per window by their names, (T, N, …).

    Raises
    ------
    UsageError
        If arguments are not valid, or contradict each other.
    LayoutError, ReleaseError, RecordingError
        If a file is damaged or missing, when it is opened or read.
    """

    def __init__(
        self,
        files: Files,
        delta_t: int | None = None,
        representation: str | None = None,
        array_dim: Sequence[int] = (1,),
        load_labels: LoadLabels | None = None,
        batch_size: int = 8,
        num_workers: int = 2,
        preprocess_kwargs: Mapping[str, Any] | None = None,
        shuffle: bool = False,
        padding: Padding | bool = "pad",
        transforms: Transform | None = None,
        *,
        feature: str | None = None,
        split: str | None = None,
        seed: int = 0,
        stream: int | None = None,
        sensor: SensorSize | None = None,
        on_damage: OnDamage = "fail",
        augment: Augment | None = None,
        keep: Keep = "all",
        **settings: Any,
    ) -> None:
        given = given_by(
            type(self),
            files,
            delta_t,
            representation,
            array_dim,
            preprocess_kwargs or {},
            settings,
            feature=feature,
            split=split,
            stream=stream,
            sensor=sensor,
            on_damage=on_damage,
        )
        lanes = Lanes(
            given.sources,
            at_least("batch_size", batch_size, 1),
            given.num_tbins,
            given.look.shape,
            given.look.extra,
            padding=_padding(padding),
            shuffle=bool(shuffle),
            seed=seed,
            load_labels=load_labels,
            transforms=transforms,
            on_damage=on_damage,
            augment=augment,
            keep=keep,
        )
        if lanes.drops and len(lanes.sources) < lanes.batch_size:
            raise UsageError(
                f"batch_size={batch_size} lanes have only {len(lanes.sources)} recordings: with "
                "padding='drop' nothing would be delivered",
                hint="Choose a smaller batch_size, or padding='pad'.",
            )
        super().__init__(lanes, num_workers)

    def __len__(self) -> int:
        """Return the number of batches of the next epoch.

        Every recording is opened for it, once; those that are not stores are decoded.
        """
        n = [sizes.n_pieces for sizes in self._sizes]
        order, n_lanes = self._lanes.order(self._next_epoch), self._lanes.batch_size
        of_lanes = [sum(n[k] for k in order[i::n_lanes]) for i in range(n_lanes)]
        return min(of_lanes) if self._lanes.drops else max(of_lanes)

    def _count_dropped(self, n_batches: int, n_labels: int) -> None:
        """Count the frames and boxes of all recordings that were in no batch of an epoch."""
        if not self._lanes.drops:
            return
        delivered = n_batches * self._lanes.batch_size * self._lanes.num_tbins
        dropped = Counted()
        dropped.count("dropped_frames", sum(sizes.n_frames for sizes in self._sizes) - delivered)
        dropped.count("dropped_labels", sum(sizes.n_labels for sizes in self._sizes) - n_labels)
        dropped.put_into(self.counts)


class _Sizes(NamedTuple):
    """How much a recording has: pieces of its lane, frames, boxes of frames."""

    n_pieces: int
    n_frames: int
    n_labels: int


class Given(NamedTuple):
    """What the arguments say that all loaders of lanes take: sources, T, what frames look like."""

    sources: Sequence[Source]
    num_tbins: int
    look: Look


def given_by(
    loader: type,
    files: Files,
    delta_t: int | None,
    representation: str | None,
    array_dim: Sequence[int],
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    feature: str | None,
    split: str | None,
    stream: int | None,
    sensor: SensorSize | None,
    on_damage: OnDamage,
) -> Given:
    """Return what arguments of `SequentialLoader` say; raises as that does."""
    check_on_damage(on_damage)
    made = _live_settings(loader, delta_t, representation, parameters, settings)
    dims = _array_dim(array_dim)
    sources = sources_of(
        files,
        made,
        feature=feature,
        split=split,
        delta_t_us=delta_t if made is None else None,
        size=_size(dims, made),
        stream=stream,
        sensor=sensor,
    )
    look = first_look(sources, on_damage)
    if dims[1:] and dims[1:] != look.shape:
        raise UsageError(
            f"array_dim says frames of {dims[1:]}; they are {look.shape} (C, H, W)",
            hint="Leave C, H and W out, or make the feature in another size.",
        )
    return Given(sources, dims[0], look)


def arguments_of(loader: type) -> list[str]:
    """Return the names of all arguments that a class of loaders takes, for guesses."""
    each = (vars(kind)["__init__"] for kind in loader.__mro__ if "__init__" in vars(kind))
    found = (
        one.name
        for function in each
        if inspect.isfunction(function)
        for one in inspect.signature(function).parameters.values()
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    )
    return [name for name in dict.fromkeys(found) if name not in ("self", "lanes")]


def _live_settings(
    loader: type,
    delta_t: int | None,
    representation: str | None,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> FeatureSettings | None:
    """Return what is computed live, None if features are precomputed."""
    if representation is not None:
        window = {} if delta_t is None else {"window_us": delta_t}
        given = {**window, **settings, **parameters}
        check_boxes(settings)
        return feature_settings(representation, given, also_known=arguments_of(loader))
    check_boxes(settings)
    for name in (*parameters, *settings):
        near = did_you_mean(name, arguments_of(loader))
        if near and name not in settings_of(FeatureSettings):
            raise UsageError(f"{name!r} is no argument of {loader.__name__}; {near}")
        raise UsageError(f"{name!r} is a setting of a representation, but none is given")
    return None


def check_boxes(settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` if settings say which boxes files have, which a loader does not heed."""
    if "boxes" in settings:
        raise UsageError(
            f"boxes={settings['boxes']!r} says which boxes are written with a feature",
            hint="Give keep='all' or keep='last' to a loader.",
        )


def first_look(sources: Sequence[Source], on_damage: OnDamage) -> Look:
    """Return what frames of the first recording that can be opened look like."""
    for k, source in enumerate(sources):
        try:
            with told_by_the_system():
                look = source.look()
        except EvreelError as error:
            if not is_left_out(error, on_damage) or k == len(sources) - 1:
                raise
            continue
        for name in look.extra:
            if name in _KEYS:
                raise UsageError(
                    f"values per window are called {name!r}, as a part of a batch is",
                    place=source.name,
                    hint="Add them under another name.",
                )
        return look
    raise UsageError("there is no recording")


def _size(dims: tuple[int, ...], settings: FeatureSettings | None) -> Sensor | None:
    """Return (height, width) that live frames are brought to, None if a geometry says it."""
    if settings is None or settings.geometry != Geometry() or not dims[1:]:
        return None
    return Sensor(*dims[2:])


def _array_dim(array_dim: Sequence[int]) -> tuple[int, ...]:
    dims = tuple(array_dim) if isinstance(array_dim, Iterable) else ()
    if len(dims) not in (1, 4):
        raise UsageError(f"array_dim={array_dim!r} is neither (T, C, H, W) nor (T,)")
    return tuple(at_least("array_dim", dim, 1) for dim in dims)


def _padding(padding: Padding | bool) -> Padding:
    if padding is True or padding == "pad":
        return "pad"
    if padding is False or padding == "drop":
        return "drop"
    raise UsageError(f"padding={padding!r} is neither 'pad' nor 'drop'")
