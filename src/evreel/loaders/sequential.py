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
    Generator,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evreel.boxes import LoadLabels, check_keep
from evreel.dataset.settings import FeatureSettings
from evreel.errors import EvreelError, UsageError, did_you_mean, one_line
from evreel.events import Sensor
from evreel.files.boxes import Keep
from evreel.geometry import Geometry
from evreel.loaders.arguments import at_least, check_on_damage, whole
from evreel.loaders.augment import Augment
from evreel.loaders.damage import OnDamage, is_left_out, told_by_the_system
from evreel.loaders.filling import filled
from evreel.loaders.lane import (
    KEYS,
    Batch,
    Counted,
    Lanes,
    Padding,
    Room,
    Transform,
)
from evreel.loaders.live import feature_settings
from evreel.loaders.pieces import n_pieces
from evreel.loaders.shown import Shown, VizLabels
from evreel.loaders.sources import (
    Files,
    Look,
    SensorSize,
    Source,
    sources_of,
)
from evreel.representations import Representation
from evreel.settings import settings_of
from evreel.steps.common import LOG
from evreel.video.labelled import Image


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
                min(missing),  # whichever thread came first
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
        stream: int | str | None = None,
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
    stream: int | str | None,
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
            if name in KEYS:
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
