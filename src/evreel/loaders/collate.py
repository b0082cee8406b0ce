"""Batches of samples: padding, masks, splits, deletion in time, a look at frames.

Functions have the names and the arguments of SpikingJelly's, and give equal results on equal input;
where SpikingJelly draws from NumPy's global generator, these take a `seed`. They return NumPy
arrays; `evreel.loaders.torch` has the same as tensors.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError, UsageError
from evreel.timebase import Int64Array

GIF_FPS = 10
"""Frames per second of `play_frame`, at which browsers play GIFs that do not say."""


def pad_sequence_collate(
    batch: Sequence[tuple[npt.ArrayLike, Any]],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Int64Array]:
    """Return items of different lengths as one batch, padded with zeros at the end.

    Parameters
    ----------
    batch
        N items (x, y): x (T, …), of any T and otherwise of one shape; y a label.

    Returns
    -------
    x (N, longest T, …); labels (N, …); and the T of each, (N,) int64.

    Raises
    ------
    UsageError
        If there are no items, or an item is not of frames of the same shape.

    Examples
    --------
    >>> x, y, lengths = pad_sequence_collate([(np.ones((2, 1)), 3), (np.ones((1, 1)), 0)])
    >>> x[..., 0].tolist(), y.tolist(), lengths.tolist()
    ([[1.0, 1.0], [1.0, 0.0]], [3, 0], [2, 1])
    """
    sequences, labels = sequences_of(batch)
    lengths = np.array([len(x) for x in sequences], dtype=np.int64)
    shape = (len(sequences), int(lengths.max()), *sequences[0].shape[1:])
    padded = np.zeros(shape, dtype=np.result_type(*(x.dtype for x in sequences)))
    for row, x in zip(padded, sequences, strict=True):
        row[: len(x)] = x
    return padded, np.asarray(labels), lengths


def stack_collate(batch: Sequence[Any]) -> Any:
    """Return items of any data set of evreel, or of a view, as one batch.

    Parameters
    ----------
    batch
        N items: dictionaries, or tuples such as (frames, label), or examples of a view, in which
        these stand in dictionaries and lists.

    Returns
    -------
    One item of the same form. Numbers, and arrays of equal shape, are stacked to (N, …); all else
    becomes a list of N: arrays of different shapes, boxes and other records, texts, tuples of texts
    or numbers. A list of T, as a view makes it, becomes an axis: (N, T, …), or lists of T.

    Raises
    ------
    UsageError
        If there are no items.

    Examples
    --------
    >>> batch = stack_collate([{"t": 5, "of": "park"}, {"t": 6, "of": "town"}])
    >>> batch["t"].tolist(), batch["of"]
    ([5, 6], ['park', 'town'])
    """
    return together(batch, stacked, lambda value: value)


def together(
    items: Sequence[Any], joint: Callable[[list[Any]], Any], alone: Callable[[Any], Any]
) -> Any:
    """Return items as one, as `stack_collate` says.

    Parameters
    ----------
    items
        The items.
    joint
        Returns values of one shape as one, and None for others.
    alone
        What is made of each of the others.
    """
    values = list(items)
    if not values:
        raise UsageError("a batch without items cannot be stacked")

    def joined(parts: Iterable[Any]) -> Any:
        return together(list(parts), joint, alone)

    first = values[0]
    if all(isinstance(value, Mapping) and value.keys() == first.keys() for value in values):
        return {key: joined(value[key] for value in values) for key in first}
    if all(_has_parts(value) and len(value) == len(first) for value in values):
        return tuple(joined(column) for column in zip(*values, strict=True))
    if all(isinstance(value, list) and value for value in values):
        inner = [joined(value) for value in values]
        return inner if any(isinstance(value, list) for value in inner) else joined(inner)
    found = joint(values)
    return [alone(value) for value in values] if found is None else found


def _has_parts(value: Any) -> bool:
    """Tell whether a value is a tuple of more than numbers and texts, such as (frames, label)."""
    return isinstance(value, tuple) and any(
        isinstance(part, (Mapping, list)) or hasattr(part, "shape") for part in value
    )


def stacked(values: list[Any]) -> npt.NDArray[Any] | None:
    """Return numbers, or arrays of equal shape, as one array; None if they are anything else."""
    if not all(isinstance(value, (bool, int, float, np.ndarray, np.generic)) for value in values):
        return None
    arrays = [np.asarray(value) for value in values]
    is_alike = all(
        array.shape == arrays[0].shape and array.dtype.kind in "biufc" for array in arrays
    )
    return np.stack(arrays) if is_alike else None


def sequences_of(batch: Sequence[tuple[npt.ArrayLike, Any]]) -> tuple[list[Any], list[Any]]:
    """Return what the items of a batch have as arrays of frames, and their labels.

    Raises
    ------
    UsageError
        As `pad_sequence_collate`.
    """
    if not len(batch):
        raise UsageError("a batch without items cannot be padded")
    given, labels = map(list, zip(*batch, strict=True))
    sequences = []
    for k, x in enumerate(given):
        array = None if isinstance(x, Mapping) else np.asarray(x)
        if array is None or not array.ndim or array.dtype.kind not in "biufc":
            what = f"{type(x).__name__} without frames" if array is None else f"{array.dtype} value"
            raise UsageError(
                f"item {k} of the batch is a {what}; arrays (T, …) of numbers are padded",
                hint="Ask for frames: frames_number, duration, or another argument about them.",
            )
        sequences.append(array)
    check_alike([x.shape[1:] for x in sequences])
    return sequences, labels


def check_alike(shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise `UsageError` if the frames of a batch's items are not of one shape."""
    for k, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise UsageError(
                f"item {k} of the batch has frames of {shape}; those of item 0 are {shapes[0]}",
                hint="Bring frames to one size by a transform, or batch one sensor at a time.",
            )


def padded_sequence_mask(
    sequence_len: npt.ArrayLike,
    T: int | None = None,  # noqa: N803
) -> npt.NDArray[np.bool_]:
    """Return which frames of a padded batch are real.

    Parameters
    ----------
    sequence_len
        (N,) lengths.
    T
        Frames of the batch; None takes the longest.

    Returns
    -------
    (T, N), time first: False where a frame is padding.

    Raises
    ------
    UsageError
        If lengths are not whole numbers, or there are none.

    Examples
    --------
    >>> padded_sequence_mask([2, 1]).tolist()
    [[True, True], [True, False]]
    """
    lengths = np.asarray(sequence_len)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise UsageError(
            f"sequence_len is {lengths.dtype} in {lengths.ndim} dimensions; whole numbers in one "
            "are expected"
        )
    if T is None and not len(lengths):
        raise UsageError("there are no lengths, so T has to be given")
    longest = int(lengths.max()) if T is None else operator.index(T)
    mask: npt.NDArray[np.bool_] = np.arange(longest)[:, None] < lengths
    return mask


class Subset:
    """Some samples of a data set, in a given order.

    Parameters
    ----------
    dataset
        The data set.
    indices
        Which of its samples.

    Attributes
    ----------
    targets : (n,) int64, class numbers of these samples.
    """

    def __init__(self, dataset: Any, indices: Iterable[int]) -> None:
        self.dataset = dataset
        self.indices = [operator.index(k) for k in indices]

    @property
    def targets(self) -> Int64Array:
        """Class numbers of these samples, (n,) int64."""
        return targets_of(self.dataset)[self.indices]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """Return a sample of the data set."""
        return self.dataset[self.indices[operator.index(index)]]


def targets_of(dataset: Any) -> Int64Array:
    """Return the class number of each sample of a data set, or of a subset of one; load none.

    Raises
    ------
    UsageError
        If it does not say them.
    """
    inner, indices = getattr(dataset, "dataset", None), getattr(dataset, "indices", None)
    if not hasattr(dataset, "targets") and inner is not None and indices is not None:
        return targets_of(inner)[np.asarray(indices, dtype=np.int64)]
    targets = np.asarray(getattr(dataset, "targets", None))
    if targets.shape != (len(dataset),) or (len(dataset) and targets.dtype.kind not in "iu"):
        said = f"{targets.dtype} {targets.shape}" if hasattr(dataset, "targets") else "missing"
        raise UsageError(
            f"attribute targets of {type(dataset).__name__} is {said}; {len(dataset)} class "
            "numbers are expected, so that no sample has to be loaded",
            hint="Set it: dataset.targets = [label of each sample].",
        )
    return targets.astype(np.int64)


def split_indices(
    train_ratio: float, targets: Int64Array, num_classes: int, random_split: bool, seed: int
) -> tuple[list[int], list[int]]:
    """Return which samples are for training and which for tests, class by class."""
    if not 0 <= train_ratio <= 1:
        raise ParameterError(f"train_ratio={train_ratio} is not within 0 to 1")
    outside = (targets < 0) | (targets >= num_classes)
    if outside.any():
        k = int(np.argmax(outside))
        raise ParameterError(
            f"sample {k} has class number {targets[k]}; num_classes={num_classes} allows 0 to "
            f"{num_classes - 1}",
            hint="Give the number of classes; leave out samples without a class, which have −1.",
        )
    # That of NumPy's global functions, so that a seed gives what SpikingJelly gives after
    # numpy.random.seed(seed).
    random = np.random.RandomState(seed)
    train: list[int] = []
    test: list[int] = []
    for number in range(num_classes):
        members = np.flatnonzero(targets == number).tolist()
        if random_split:
            random.shuffle(members)
        n = math.ceil(len(members) * train_ratio)
        train += members[:n]
        test += members[n:]
    return train, test


def split_to_train_test_set(
    train_ratio: float,
    origin_dataset: Any,
    num_classes: int,
    random_split: bool = False,
    *,
    seed: int = 0,
) -> tuple[Subset, Subset]:
    """Return two parts of a data set, each with a share of every class. No sample is loaded.

    Parameters
    ----------
    train_ratio
        Of n samples of a class, ⌈n · train_ratio⌉ are for training, and the others for tests.
    origin_dataset
        The data set; its attribute `targets` has the class number of each sample.
    num_classes
        How many classes there are.
    random_split
        Whether samples are drawn; otherwise the first of each class are for training.
    seed
        Of the draw, which depends on nothing else.

    Raises
    ------
    UsageError
        If the data set has no `targets`, a class number is out of range, or the ratio is.

    Examples
    --------
    >>> class Letters(list):
    ...     targets = [0, 1, 0, 1, 1]
    >>> train, test = split_to_train_test_set(0.5, Letters("abcde"), 2)
    >>> list(train), list(test)
    (['a', 'b', 'd'], ['c', 'e'])
    """
    chosen = split_indices(train_ratio, targets_of(origin_dataset), num_classes, random_split, seed)
    train, test = (Subset(origin_dataset, indices) for indices in chosen)
    return train, test


class RandomTemporalDelete:
    """Keep some time steps of a sequence, drawn anew at each call, in their order.

    Parameters
    ----------
    T_remain
        How many are kept.
    batch_first
        ``True``: sequences are (N, T, …); ``False``: (T, …).
    seed
        Of the draws. They follow one another within a process, so apply it where batches arrive:
        in worker processes, draws would depend on their number.

    References
    ----------
    Fang et al., "Deep Residual Learning in Spiking Neural Networks", NeurIPS 2021,
    arXiv:2102.04159.

    Examples
    --------
    >>> delete = RandomTemporalDelete(2, batch_first=False, seed=1)
    >>> delete(np.arange(4)).tolist(), delete(np.arange(4)).tolist()
    ([2, 3], [0, 2])
    """

    def __init__(self, T_remain: int, batch_first: bool, seed: int = 0) -> None:  # noqa: N803
        self.T_remain = operator.index(T_remain)
        self.batch_first = batch_first
        self._random = np.random.RandomState(seed)

    def __call__(self, x_seq: Any) -> Any:
        """Return what is kept of an array, or of a tensor.

        Raises
        ------
        ParameterError
            If it has fewer time steps than are kept.
        """
        kept = self.drawn(x_seq.shape)
        return x_seq[:, kept] if self.batch_first else x_seq[kept]

    def drawn(self, shape: Sequence[int]) -> Int64Array:
        """Return which time steps of a sequence of this shape are kept, in ascending order."""
        axis = 1 if self.batch_first else 0
        steps = shape[axis] if len(shape) > axis else 0
        if not 0 <= self.T_remain <= steps:
            raise ParameterError(
                f"T_remain={self.T_remain}, but the sequence has {steps} time steps",
                hint="Keep fewer; or is batch_first wrong?",
            )
        return np.sort(self._random.choice(steps, self.T_remain, replace=False))


def play_frame(x: npt.ArrayLike, save_gif_to: str | os.PathLike[str] | None = None) -> Any:
    """Show frames in a notebook or a window, or save them as a GIF.

    Parameters
    ----------
    x
        (T, 2, H, W): OFF is shown blue, ON orange, with one scale for all frames (`evreel.viz`).
        Frames of other channels are shown too.
    save_gif_to
        File to write, 10 frames per second; None shows them with a slider.

    Returns
    -------
    The widget in a notebook, else None.

    Raises
    ------
    UsageError
        If these are not frames, or they cannot be shown here.
    """
    from evreel.viz.rgb import scale_of, to_rgb

    array = np.asarray(x)
    if array.ndim != 4 or not array.size:
        raise UsageError(f"these are not frames (T, C, H, W): their shape is {array.shape}")
    scale = scale_of(array)
    pictures = [to_rgb(frame, scale=scale) for frame in array]
    if save_gif_to is None:
        from evreel.viz.show import show_pictures

        return show_pictures(pictures, "Give save_gif_to, or call it in a notebook.")
    from evreel.outputs import atomic
    from evreel.video.gif import write_gif

    height, width, _ = pictures[0].shape
    with atomic(Path(save_gif_to)) as (path,):
        write_gif(path, pictures, (height, width), fps=GIF_FPS)
    return None
