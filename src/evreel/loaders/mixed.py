"""Streams and random sequences in one batch, as RVT trains: `MixedLoader`.

The first lanes are streams, as those of `SequentialLoader`. Each of the others has in every batch
another sequence of T frames that ends with a labelled frame, drawn from all recordings.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np

from evreel.boxes import LoadLabels
from evreel.errors import EvreelError, UsageError
from evreel.events import Sensor
from evreel.files.boxes import Keep
from evreel.loaders.arguments import at_least, one_of
from evreel.loaders.augment import Augment, Change
from evreel.loaders.damage import OnDamage, is_left_out, told_by_the_system
from evreel.loaders.lane import (
    Batch,
    Lane,
    Lanes,
    Room,
    Transform,
    opened,
)
from evreel.loaders.pieces import Piece, drawn_order, labelled_ranges, order_of
from evreel.loaders.sequential import LanesLoader, given_by
from evreel.loaders.sources import Files, Frames, SensorSize, Source
from evreel.timebase import Int64Array

Ranges = Literal["all", "labelled", "from_first_label"]
"""Which frames are streamed: all; RVT's ranges for training, which `labelled_ranges` describes; or
its evaluation's, from T − 1 frames before the first labelled one to the end."""
Epoch = Literal["streams", "windows", "longest", "once"]
"""What ends an epoch: all streams are over; all random sequences were drawn; both, and the part
that is over first begins again; or both, and nothing is repeated."""
EndsAt = Literal["labelled", "boxes"]
"""Which frames random sequences end with: all that are labelled, or those with a box."""

MOST_OPEN = 4
"""Recordings that each random lane keeps open."""


@dataclass(frozen=True)
class Drawn:
    """The sequences that are drawn from, by the names of their recordings, then by time.

    Parameters
    ----------
    place
        (n,) int64: which of the sources.
    stop
        (n,) int64: the frame after the last one.
    n_too_early
        Frames that would end a sequence, if there were T − 1 frames before them.
    n_skipped
        Recordings that could not be opened.
    """

    place: Int64Array
    stop: Int64Array
    n_too_early: int = 0
    n_skipped: int = 0

    def __len__(self) -> int:
        return len(self.place)

    @classmethod
    def of(
        cls, sources: Sequence[Source], num_tbins: int, ends_at: EndsAt, on_damage: OnDamage
    ) -> Drawn:
        """Look for them: every recording is opened once."""
        places, stops = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        n_too_early = n_skipped = 0
        for place in sorted(range(len(sources)), key=lambda k: (sources[k].name, k)):
            try:
                with told_by_the_system(), sources[place].open() as frames:
                    for low, high in frames.segments.tolist():
                        ends = np.flatnonzero(_ends(frames, low, high, ends_at)) + 1
                        fits = ends[ends >= num_tbins]
                        n_too_early += len(ends) - len(fits)
                        stops.append(low + fits)
                        places.append(np.full(len(fits), place, dtype=np.int64))
            except EvreelError as error:
                if not is_left_out(error, on_damage):
                    raise
                n_skipped += 1
        return cls(np.concatenate(places), np.concatenate(stops), n_too_early, n_skipped)


def _ends(frames: Frames, start: int, stop: int, ends_at: EndsAt) -> Any:
    if ends_at == "labelled":
        return frames.labelled(start, stop)
    return [len(boxes) > 0 for boxes in frames.boxes(start, stop)]


_NONE = Drawn(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class MixedLanes(Lanes):
    """Lanes of which the first ones are streams and the others have random sequences.

    Parameters
    ----------
    n_stream
        How many are streams.
    ranges, ends_epoch
        As `Ranges` and `Epoch` say.
    drawn
        What random sequences are drawn from.
    augment_streams
        What is drawn for streams; `augment` is for random sequences.
    """

    n_stream: int = 0
    ranges: Ranges = "all"
    ends_epoch: Epoch = "streams"
    drawn: Drawn = field(default=_NONE, compare=False)
    augment_streams: Augment | None = None

    @property
    def n_random(self) -> int:
        """How many have random sequences."""
        return self.batch_size - self.n_stream

    @property
    def n_streams(self) -> int:
        """How many go on from batch to batch."""
        return self.n_stream

    @property
    def kinds(self) -> str:
        """How many are of which kind."""
        n, n_drawn = self.n_stream, len(self.drawn)
        return f", {n} stream{'s' * (n != 1)}, {self.n_random} of {n_drawn} random sequences"

    @property
    def repeats_streams(self) -> bool:
        """Whether streams that are over begin again."""
        return self.ends_epoch in ("windows", "longest")

    @property
    def repeats_drawn(self) -> bool:
        """Whether sequences are drawn again when all were drawn."""
        return self.ends_epoch in ("streams", "longest")

    def order_of_lane(self, number: int, epoch: int, again: int = 0) -> list[int]:
        """Return which recordings a stream reads in an epoch, in order."""
        names = [source.name for source in self.sources]
        seed = self.seed + (again << 40)
        order = order_of(names, shuffle=self.shuffle, seed=seed, epoch=epoch)
        return order[number :: self.n_stream]

    def segments(self, frames: Frames) -> Int64Array:
        """Return the ranges of frames that are streamed."""
        if self.ranges == "all":
            return frames.segments
        found = [np.zeros((0, 2), dtype=np.int64)]
        for low, high in frames.segments.tolist():
            ranges = low + labelled_ranges(frames.labelled(low, high), self.num_tbins)
            if self.ranges == "from_first_label" and len(ranges):
                ranges = np.array([[ranges[0, 0], high]])
            found.append(ranges)
        return np.concatenate(found)

    def augment_of(self, is_random: bool) -> Augment | None:
        """Return what is drawn for a stream, or for a random sequence."""
        return self.augment if is_random else self.augment_streams

    def room(self, n: int) -> Room:
        """Return room for what n lanes have in a batch."""
        return MixedRoom(self, n)

    def lane(self, number: int, epoch: int, first_batch: int = 0) -> Lane:
        """Return a lane of an epoch that fills its part of `first_batch` and of those after it."""
        of = StreamLane if number < self.n_stream else RandomLane
        return of(self, number, epoch, first_batch)

    def are_over(self, room: Room) -> bool:
        """Tell whether a batch of all lanes comes after the last one of the epoch."""
        alive = room.is_alive
        if self.ends_epoch == "streams":
            alive = alive[: self.n_stream]
        elif self.ends_epoch == "windows":
            alive = alive[self.n_stream :]
        return not alive.any()


class MixedRoom(Room):
    """Room for a batch, which says which lanes are streams."""

    def __init__(self, lanes: MixedLanes, n: int) -> None:
        super().__init__(lanes, n)
        self._n_stream = lanes.n_stream

    def batch(self) -> Batch:
        """Return what was filled, by name."""
        return {**super().batch(), "is_stream": np.arange(len(self.keeps)) < self._n_stream}


class StreamLane(Lane):
    """A lane that streams recordings, again and again if the epoch is longer."""

    _lanes: MixedLanes

    def _go(self) -> Iterator[tuple[Frames, Piece] | None]:
        while True:
            is_some, skipped = False, self._skip
            for turn in super()._go():
                is_some = True
                yield turn
            if not (self._lanes.repeats_streams and (is_some or self._skip < skipped)):
                return
            self._pass += 1


class RandomLane(Lane):
    """A lane with another random sequence in every batch."""

    is_random = True
    _lanes: MixedLanes

    def __init__(self, lanes: MixedLanes, number: int, epoch: int, first_batch: int = 0) -> None:
        super().__init__(lanes, number, epoch, first_batch)
        self._open: OrderedDict[int, Frames] = OrderedDict()
        self._is_missing = False

    def fill(self, room: Room, column: int) -> None:
        """Fill the lane's column of the next batch; nothing if all sequences were drawn."""
        self._last = None  # what was drawn before says nothing of a lane that is over
        super().fill(room, column)
        if self._is_missing:
            room.is_alive[column] = not self._pass

    def _go(self) -> Iterator[tuple[Frames, Piece] | None]:
        lanes, t = self._lanes, self._lanes.num_tbins
        n, order = len(lanes.drawn), None
        number = self._skip * lanes.n_random + self._number - lanes.n_stream
        while n and (number < n or lanes.repeats_drawn):
            again, k = divmod(number, n)
            if order is None or again != self._pass:
                self._pass = again
                order = drawn_order(n, f"{lanes.seed} {self._epoch} {again}")
            place, stop = int(lanes.drawn.place[order[k]]), int(lanes.drawn.stop[order[k]])
            frames = self._opened(place)
            self._is_missing = frames is None
            if frames is None:
                self._counted().count("skipped_recordings", 1)
                yield None
            else:
                yield frames, Piece(stop - t, stop, True)
            number += lanes.n_random
        self._is_missing = False

    def _opened(self, place: int) -> Frames | None:
        """Return an open recording, None if it is damaged and to be skipped."""
        if place in self._open:
            self._open.move_to_end(place)
            return self._open[place]
        try:
            frames = opened(self._lanes, place)
        except EvreelError as error:
            if not is_left_out(error, self._lanes.on_damage):
                raise
            return None
        self._open[place] = frames
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return frames

    def _change(self, frames: Frames, piece: Piece) -> Change | None:
        augment = self._lanes.augment
        if augment is None:
            return None
        name = frames.metadata.name
        what = f"{self._lanes.seed} {self._epoch} {self._pass} {name} {piece.stop}"
        boxes = [each for each in self._lanes.boxes(frames, piece) if len(each)]
        return augment.draw(what, Sensor(*self._lanes.shape[1:]), boxes[-1] if boxes else None)

    def close(self) -> None:
        """Close what is open."""
        super().close()
        while self._open:
            self._open.popitem()[1].close()


class MixedLoader(LanesLoader):
    """Yield batches with streams in some lanes and random sequences in the others.

    The first `n_stream` lanes go on from batch to batch, as those of `SequentialLoader`, with
    unlabelled frames. Each of the others has in every batch another sequence of T frames that ends
    with a labelled one, as RVT draws them: of all recordings, in an order drawn anew each epoch,
    none twice before all were drawn. Frames with fewer than T − 1 frames before them in their
    recording or sample do not end one.

    Parameters
    ----------
    files, delta_t, representation, array_dim, load_labels
        As `SequentialLoader` takes them; `files` may be a tree of RVT's, or the folder of one of
        its splits. Every recording is opened once for the labels: those that are computed live
        should be stores, or they are decoded again and again.
    batch_size, stream_share
        N, and which share of lanes are streams. There is one random lane at least, unless the share
        is 1.
    n_stream, n_random
        How many lanes of each, if that is not said by `batch_size` and `stream_share`.
    num_workers, preprocess_kwargs, transforms, feature, split, seed, stream, sensor, on_damage,
    keep
        As `SequentialLoader` takes them.
    shuffle
        Whether the order of streamed recordings is drawn anew each epoch.
    ranges
        Which frames are streamed. ``all``; ``labelled``: RVT's ranges for training, which end with
        a labelled frame, and are split where more than T frames lie between two labelled ones;
        ``from_first_label``: from T − 1 frames before the first labelled one to the end, as in
        RVT's evaluation.
    epoch
        What ends an epoch. ``streams``: every streamed frame was delivered once; sequences that
        were all drawn before are drawn anew. ``windows``: every sequence was drawn once; streams
        that are over begin again. ``longest``: both; the part that is over first begins again, as
        in RVT. ``once``: both, and nothing is repeated: lanes that are over are zeros. None:
        ``streams`` if there are any.
    ends_at
        Which frames sequences end with: all ``labelled`` ones, or those with ``boxes``.
    augment
        What is drawn for each random sequence and each stream (`evreel.loaders.augment`). A zoom
        into a random sequence keeps a box of its last frame with boxes in the picture.
    augment_streams
        What is drawn for streams instead.
    dtype
        ``float32``; or ``stored``: frames are of the type of the files, such as uint8 counts, which
        takes a quarter of the memory.
    settings
        As `SequentialLoader` takes them.

    Attributes
    ----------
    counts : as `SequentialLoader` has it; and ``repeated_sequences``, which began again within an
        epoch; ``labels_too_early``, frames with too few before them to end a sequence;
        ``recordings_without_labels``, of which `ranges` leaves nothing to stream.

    Yields
    ------
    What `SequentialLoader` does, and ``is_stream`` (N,) bool. `mask_keep_memory` of random lanes is
    always 0, and their `video_infos` is None when all sequences were drawn.

    Raises
    ------
    UsageError
        If arguments are not valid, contradict each other, or there is no sequence to draw.
    LayoutError, ReleaseError, RecordingError
        If a file is damaged or missing, when it is opened or read.
    """

    _lanes: MixedLanes

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
        shuffle: bool = True,
        transforms: Transform | None = None,
        *,
        stream_share: float = 0.5,
        n_stream: int | None = None,
        n_random: int | None = None,
        ranges: Ranges = "all",
        epoch: Epoch | None = None,
        ends_at: EndsAt = "labelled",
        augment: Augment | None = None,
        augment_streams: Augment | None = None,
        dtype: Literal["float32", "stored"] = "float32",
        feature: str | None = None,
        split: str | None = None,
        seed: int = 0,
        stream: int | str | None = None,
        sensor: SensorSize | None = None,
        on_damage: OnDamage = "fail",
        keep: Keep = "all",
        **settings: Any,
    ) -> None:
        shares = _shares(batch_size, stream_share, n_stream, n_random)
        epoch = ("streams" if shares[0] else "windows") if epoch is None else epoch
        for name, value, known in (
            ("ranges", ranges, get_args(Ranges)),
            ("epoch", epoch, get_args(Epoch)),
            ("ends_at", ends_at, get_args(EndsAt)),
            ("dtype", dtype, ("float32", "stored")),
        ):
            one_of(name, value, known)
        if not shares[epoch == "windows"] and epoch in ("streams", "windows"):
            raise UsageError(f"epoch={epoch!r}, but there are no lanes of them")
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
        drawn = _NONE
        if shares[1]:
            drawn = Drawn.of(given.sources, given.num_tbins, ends_at, on_damage)
            if not len(drawn):
                raise _nothing_drawn(drawn.n_too_early, given.num_tbins, ends_at)
        lanes = MixedLanes(
            given.sources,
            sum(shares),
            given.num_tbins,
            given.look.shape,
            given.look.extra,
            shuffle=shuffle,
            seed=seed,
            load_labels=load_labels,
            transforms=transforms,
            on_damage=on_damage,
            augment=augment,
            dtype=given.look.dtype if dtype == "stored" else "float32",
            keep=keep,
            n_stream=shares[0],
            ranges=ranges,
            ends_epoch=epoch,
            drawn=drawn,
            augment_streams=augment if augment_streams is None else augment_streams,
        )
        super().__init__(lanes, num_workers)
        if drawn.n_too_early:
            self.counts["labels_too_early"] = drawn.n_too_early
        if drawn.n_skipped and not shares[0]:
            self.counts["skipped_recordings"] = drawn.n_skipped

    def __len__(self) -> int:
        """Return the number of batches of the next epoch.

        Recordings are opened for it if an epoch ends with its streams.
        """
        lanes = self._lanes
        n_drawn = -(-len(lanes.drawn) // lanes.n_random) if lanes.n_random else 0
        if lanes.ends_epoch == "windows":
            return n_drawn
        n = [sizes.n_pieces for sizes in self._sizes] if lanes.n_stream else []
        orders = [lanes.order_of_lane(k, self._next_epoch) for k in range(lanes.n_stream)]
        n_streamed = max((sum(n[k] for k in order) for order in orders), default=0)
        return n_streamed if lanes.ends_epoch == "streams" else max(n_streamed, n_drawn)

    def _identity(self) -> str:
        lanes = self._lanes
        said = (
            *(super()._identity(), lanes.n_stream, lanes.ranges, lanes.ends_epoch),
            *(len(lanes.drawn), lanes.drawn.stop.sum(), lanes.augment_streams),
        )
        return hashlib.sha256(repr(said).encode()).hexdigest()


def _nothing_drawn(n_too_early: int, num_tbins: int, ends_at: EndsAt) -> UsageError:
    what = "is labelled" if ends_at == "labelled" else "has a box"
    if n_too_early:
        what = f"that {what} has {num_tbins - 1} frames before it ({n_too_early} are too early)"
    return UsageError(
        f"no frame {what}: there is no random sequence to draw",
        hint="Give recordings with boxes"
        + (", fewer frames (T)," if n_too_early else "")
        + " or n_random=0.",
    )


def _shares(
    batch_size: int, stream_share: float, n_stream: int | None, n_random: int | None
) -> tuple[int, int]:
    """Return how many lanes are streams, and how many have random sequences.

    Examples
    --------
    >>> _shares(8, 0.5, None, None), _shares(8, 0.9, None, None), _shares(8, 1, None, None)
    ((4, 4), (7, 1), (8, 0))
    """
    if (n_stream is None) != (n_random is None):
        raise UsageError("n_stream and n_random go together", hint="Give both, or batch_size.")
    if n_stream is not None and n_random is not None:
        found = at_least("n_stream", n_stream, 0), at_least("n_random", n_random, 0)
        if not sum(found):
            raise UsageError("n_stream=0 and n_random=0 leave no lane")
        return found
    size = at_least("batch_size", batch_size, 1)
    share: object = stream_share
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= 1:
        raise UsageError(f"stream_share={stream_share!r} is not from 0 to 1")
    if stream_share in (0, 1):
        return round(size * stream_share), round(size * (1 - stream_share))
    if size == 1:
        raise UsageError("batch_size=1 leaves no lane for one of the two", hint="Give 2 or more.")
    random = min(max(round(size * (1 - stream_share)), 1), size - 1)
    return size - random, random
