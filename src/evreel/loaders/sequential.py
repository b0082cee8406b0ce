"""Batches of sequences in the order of time, for networks that remember: `SequentialLoader`.

Lane i of each batch goes on where lane i of the batch before ended, until its recording does; then
the next recording begins and `mask_keep_memory` is 0. Workers have lanes of their own, so a
recording is opened by one worker, and read or computed from its start to its end.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.dataset.settings import FeatureSettings
from evreel.errors import EvreelError, ParameterError, UsageError
from evreel.layout import BOX_DTYPE
from evreel.loaders.lanes import Piece, n_pieces, order_of, pieces
from evreel.loaders.live import feature_settings
from evreel.loaders.sources import Boxes, Files, Frames, Metadata, Source, check_shapes, sources_of

Batch = dict[str, Any]
Padding = Literal["pad", "drop"]
OnDamage = Literal["fail", "skip"]
LoadLabels = Callable[
    [Metadata, int, int, npt.NDArray[Any]], tuple[Sequence[Any], npt.NDArray[np.bool_]]
]
"""Function of (metadata, start_us, duration_us, tensor) → T labels and which of T are labelled."""
Transform = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

PREFETCHED = 2
"""Batches that workers are ahead."""
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

    @property
    def drops(self) -> bool:
        """Whether incomplete pieces are left out."""
        return self.padding == "drop"

    def order(self, epoch: int) -> list[int]:
        """Return in which order recordings are read in an epoch."""
        names = [source.name for source in self.sources]
        return order_of(names, shuffle=self.shuffle, seed=self.seed, epoch=epoch)

    def room(self, n: int) -> Room:
        """Return room for what n lanes have in a batch."""
        return Room(self, n)


class Room:
    """Room for what n lanes have in one batch: zeros, no labels, until it is filled."""

    def __init__(self, lanes: Lanes, n: int) -> None:
        t = lanes.num_tbins
        self.inputs = np.zeros((t, n, *lanes.shape), dtype=np.float32)
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
        self.counts: dict[str, int] = {}

    def count(self, name: str, n: int) -> None:
        """Count what was padded or left out."""
        self.counts[name] = self.counts.get(name, 0) + n

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

    def __init__(self, lanes: Lanes, number: int, epoch: int, first_batch: int = 0) -> None:
        self._lanes = lanes
        self._order = lanes.order(epoch)[number :: lanes.batch_size]
        self._skip = first_batch
        self._room: Room | None = None
        self._turns = self._go()
        self._is_cut = False
        self._last: Metadata | None = None

    def fill(self, room: Room, column: int) -> None:
        """Fill the lane's column of the next batch; nothing if its recordings are over."""
        self._room = room
        turn = next(self._turns, None)
        t = self._lanes.num_tbins
        if turn is None:
            room.count("padded_frames", t)
            if self._last is not None:
                room.infos[column] = Info(self._last, self._last.duration_us, 0)
            return
        frames, piece = turn
        n = piece.stop - piece.start
        room.is_alive[column] = True
        room.count("padded_frames", t - n)
        room.infos[column] = info = _info(frames, piece)
        self._last = frames.metadata
        inputs = room.inputs[:, column]
        try:
            frames.read(piece.start, piece.stop, inputs[:n])
            for name, values in room.extra.items():
                values[:n, column] = frames.extra[name][piece.start : piece.stop]
        except EvreelError:
            if self._lanes.on_damage == "fail":
                raise
            inputs[:] = 0
            for values in room.extra.values():
                values[:, column] = 0
            room.count("skipped_frames", n)
            self._is_cut = True
            return
        room.keeps[column] = not (piece.is_first or self._is_cut)
        self._is_cut = False
        room.is_padded[:n, column] = False
        self._label(room, column, frames, piece, info)
        if self._lanes.transforms is not None:
            inputs[...] = self._lanes.transforms(inputs)

    def _label(self, room: Room, column: int, frames: Frames, piece: Piece, info: Info) -> None:
        n = piece.stop - piece.start
        if self._lanes.load_labels is None:
            labels: Sequence[Any] = frames.boxes(piece.start, piece.stop)
            is_labelled = frames.labelled(piece.start, piece.stop)
        else:
            labels, is_labelled = self._lanes.load_labels(*info, room.inputs[:, column])
            is_labelled = np.asarray(is_labelled, dtype=bool)
            if len(labels) != self._lanes.num_tbins or is_labelled.shape != (len(labels),):
                raise ParameterError(
                    f"load_labels returned {len(labels)} labels and {is_labelled.shape} of which "
                    f"are labelled; {self._lanes.num_tbins} each are expected",
                    place=info.metadata.name,
                )
        for k in range(n):
            room.labels[k][column] = labels[k]
        room.is_labelled[:n, column] = is_labelled[:n]

    def _go(self) -> Iterator[tuple[Frames, Piece]]:
        """Yield each piece with the open recording that it is of."""
        lanes = self._lanes
        for place in self._order:
            try:
                frames = lanes.sources[place].open()
            except (EvreelError, OSError):
                if lanes.on_damage == "fail":
                    raise
                self._counted().count("skipped_recordings", 1)
                continue
            with frames:
                check_shapes(frames, lanes.shape)
                missing = [name for name in lanes.extra if name not in frames.extra]
                if missing:
                    raise UsageError(
                        f"has no {missing[0]!r} per window, which other recordings have",
                        path=frames.metadata.path,
                        hint="Add it with `evreel enrich`.",
                    )
                n = n_pieces(frames.segments, lanes.num_tbins, drop=lanes.drops)
                if n <= self._skip:
                    self._skip -= n
                    self._last = frames.metadata
                    continue
                if not self._skip:
                    self._counted().count("labels_outside_windows", frames.n_labels_outside)
                for piece in pieces(frames.segments, lanes.num_tbins, drop=lanes.drops):
                    if self._skip:
                        self._skip -= 1
                        continue
                    yield frames, piece

    def _counted(self) -> Room:
        assert self._room is not None
        return self._room

    def close(self) -> None:
        """Close what is open."""
        self._turns.close()  # type: ignore[attr-defined]


def _info(frames: Frames, piece: Piece) -> Info:
    start = int(frames.windows.start_us[piece.start])
    stop = int(frames.windows.stop_us[piece.stop - 1])
    return Info(frames.metadata, start, stop - start)


class SequentialLoader:
    """Yield batches of sequences that go on from batch to batch.

    Parameters
    ----------
    files
        A release or its folder; or features files, or, with a representation, recordings or events
        stores, one by one. Boxes are those of the release, or ``<name>_bbox.npy`` beside a file.
    delta_t
        Duration of a frame's window, µs; with precomputed features it may be None.
    representation
        What is computed live; None: features are precomputed.
    array_dim
        (T, C, H, W), or (T,) if frames are taken as they are.
    load_labels
        Function of (metadata, start_us, duration_us, tensor) → T labels, and (T,) which of them are
        labelled; None: the boxes of each frame.
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
    on_damage
        ``fail``: a damaged or missing file is an error. ``skip``: it is left out and counted.
    settings
        Windows other than those of `delta_t` (``count=5000``), geometry, ``store``, as
        `evreel.features` takes them.

    Attributes
    ----------
    counts : name → how often, in the epochs so far: ``padded_frames``, ``dropped_frames``,
        ``skipped_frames``, ``skipped_recordings``, ``labels_outside_windows``.

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
        preprocess_kwargs: Mapping[str, Any] = MappingProxyType({}),
        shuffle: bool = False,
        padding: Padding | bool = "pad",
        transforms: Transform | None = None,
        *,
        feature: str | None = None,
        split: str | None = None,
        seed: int = 0,
        on_damage: OnDamage = "fail",
        **settings: Any,
    ) -> None:
        made = _live_settings(delta_t, representation, preprocess_kwargs, settings)
        sources = sources_of(
            files, made, feature=feature, split=split, delta_t_us=delta_t if made is None else None
        )
        dims = _array_dim(array_dim)
        shape, extra = _first(sources, on_damage)
        if dims[1:] and dims[1:] != shape:
            raise UsageError(f"array_dim says frames of {dims[1:]}; they are {shape} (C, H, W)")
        self._lanes = Lanes(
            sources,
            *(_at_least("batch_size", batch_size, 1), dims[0], shape, extra, _padding(padding)),
            *(shuffle, seed, load_labels, transforms, on_damage),
        )
        self.num_workers = _at_least("num_workers", num_workers, 0)
        if self._lanes.drops and len(sources) < batch_size:
            raise UsageError(
                f"batch_size={batch_size} lanes have only {len(sources)} recordings: with "
                "padding='drop' nothing would be delivered",
                hint="Choose a smaller batch_size, or padding='pad'.",
            )
        self.counts: MutableMapping[str, int] = {}
        self._epoch, self._batch, self._begun = 0, 0, False

    @property
    def batch_size(self) -> int:
        """N, number of lanes."""
        return self._lanes.batch_size

    def __len__(self) -> int:
        """Return the number of batches of the next epoch; every recording is opened for it."""
        lanes = self._lanes
        n = []
        for source in lanes.sources:
            try:
                with source.open() as frames:
                    n.append(n_pieces(frames.segments, lanes.num_tbins, drop=lanes.drops))
            except (EvreelError, OSError):
                if lanes.on_damage == "fail":
                    raise
                n.append(0)
        order = lanes.order(self._next_epoch)
        of_lanes = [sum(n[k] for k in order[i :: lanes.batch_size]) for i in range(self.batch_size)]
        return min(of_lanes) if lanes.drops else max(of_lanes)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be an epoch's, from its start."""
        self._epoch, self._batch, self._begun = epoch, 0, False

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is, for `load_state_dict`: plain numbers and text."""
        return {"epoch": self._epoch, "batch": self._batch, "identity": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader of the same data was: its next batch comes next.

        Raises
        ------
        UsageError
            If that one had other recordings or arguments.
        """
        if state.get("identity") != self._identity():
            raise UsageError(
                "the state is of a loader with other recordings or arguments",
                hint="Make the loader with the same files, batch_size, array_dim, padding, "
                "shuffle and seed.",
            )
        self._epoch, self._batch, self._begun = int(state["epoch"]), int(state["batch"]), False

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch, or those that follow a loaded state."""
        if self._begun:
            self.set_epoch(self._epoch + 1)
        self._begun = True
        epoch = self._epoch
        for room in self._rooms(epoch, self._batch):
            for name, n in room.counts.items():
                self.counts[name] = self.counts.get(name, 0) + n
            self._batch += 1
            yield room.batch()
        if self._epoch == epoch:
            self.set_epoch(epoch + 1)

    @property
    def _next_epoch(self) -> int:
        return self._epoch + self._begun

    def _identity(self) -> str:
        lanes = self._lanes
        said = [
            *([source.name for source in lanes.sources], lanes.batch_size, lanes.num_tbins),
            *(lanes.padding, lanes.shuffle, lanes.seed),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _rooms(self, epoch: int, first_batch: int) -> Iterator[Room]:
        """Yield filled batches until the lanes are over."""
        lanes, n = self._lanes, self.batch_size
        each = [Lane(lanes, k, epoch, first_batch) for k in range(n)]
        workers = [range(k, n, self.num_workers) for k in range(min(self.num_workers, n))]
        pools = [ThreadPoolExecutor(1, "evreel-load") for _ in workers]

        def fill(room: Room, numbers: Sequence[int]) -> None:
            for number in numbers:
                each[number].fill(room, number)

        pending: deque[tuple[Room, list[Future[None]]]] = deque()
        try:
            while True:
                while len(pending) <= (PREFETCHED if pools else 0):
                    room = lanes.room(n)
                    if not pools:
                        fill(room, range(n))
                    parts = zip(pools, workers, strict=True)
                    pending.append((room, [pool.submit(fill, room, own) for pool, own in parts]))
                room, futures = pending.popleft()
                for future in futures:
                    future.result()
                if not (room.is_alive.all() if lanes.drops else room.is_alive.any()):
                    return
                yield room
        finally:
            for pool in pools:
                pool.shutdown(cancel_futures=True)
            for lane in each:
                lane.close()


def _live_settings(
    delta_t: int | None,
    representation: str | None,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> FeatureSettings | None:
    """Return what is computed live, None if features are precomputed."""
    if representation is not None:
        window = {} if delta_t is None else {"window_us": delta_t}
        return feature_settings(representation, {**window, **settings, **parameters})
    for name in (*parameters, *settings):
        raise UsageError(f"{name!r} is a setting of a representation, but none is given")
    return None


def _first(
    sources: Sequence[Source], on_damage: OnDamage
) -> tuple[tuple[int, int, int], dict[str, tuple[np.dtype[Any], tuple[int, ...]]]]:
    """Return shape of frames and values per window of the first recording that can be opened."""
    for k, source in enumerate(sources):
        try:
            with source.open() as frames:
                for name in frames.extra:
                    if name in _KEYS:
                        raise UsageError(
                            f"its values per window are called {name!r}, as a part of a batch is",
                            path=frames.metadata.path,
                        )
                extra = {
                    name: (values.dtype, tuple(values.shape[1:]))
                    for name, values in frames.extra.items()
                }
                return frames.metadata.shape, extra
        except (EvreelError, OSError):
            if on_damage == "fail" or k == len(sources) - 1:
                raise
    raise UsageError("there is no recording")


def _at_least(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name}={value!r} is not a whole number of {least} or more")
    return int(value)


def _array_dim(array_dim: Sequence[int]) -> tuple[int, ...]:
    dims = tuple(array_dim)
    if len(dims) not in (1, 4):
        raise UsageError(f"array_dim={dims} is neither (T, C, H, W) nor (T,)")
    return tuple(_at_least("array_dim", dim, 1) for dim in dims)


def _padding(padding: Padding | bool) -> Padding:
    if padding is True or padding == "pad":
        return "pad"
    if padding is False or padding == "drop":
        return "drop"
    raise UsageError(f"padding={padding!r} is neither 'pad' nor 'drop'")
