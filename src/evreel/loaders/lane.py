"""Lanes: what each has in a batch, read, labelled and changed.

`Lanes` says what is delivered, the same in every worker; a `Lane` fills its column of a `Room`, the
arrays of a batch, one batch after the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.boxes import NOT_LAST, Boxes, LoadLabels
from evreel.errors import EvreelError, ParameterError, UsageError, one_line
from evreel.events import Sensor
from evreel.files.boxes import Keep, last_in_each
from evreel.layout import BOX_DTYPE
from evreel.loaders.augment import Augment, Change
from evreel.loaders.damage import OnDamage, is_left_out, told_by_the_system
from evreel.loaders.pieces import Piece, n_pieces, order_of, pieces
from evreel.loaders.sources import (
    Frames,
    Metadata,
    Source,
    check_shapes,
)
from evreel.timebase import Int64Array

Batch = dict[str, Any]
Padding = Literal["pad", "drop"]
Transform = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

KEYS = (
    "inputs",
    "labels",
    "mask_keep_memory",
    "frame_is_labeled",
    "frame_is_padded",
    "video_infos",
)
"""What a batch consists of, by name; values per window have names of their own."""


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
        return {**dict(zip(KEYS, values, strict=True)), **self.extra}


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
