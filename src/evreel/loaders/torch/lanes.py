"""Lanes filled by worker processes: each has lanes of its own, whose parts are joined here.

What is delivered is the same for any number of processes, bit by bit: a lane depends on nothing
but its number, and the parts of a batch are put where they belong.

Frames are filled into memory that all processes share, in slots of a batch each, and are delivered
from there without a copy. A slot is filled again when nobody holds its batch any more; whoever
holds more batches than there are slots for gets copies.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import multiprocessing
import pickle
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from evreel.errors import EvreelError, UsageError, words_of
from evreel.loaders.arguments import at_least
from evreel.loaders.filling import PREFETCHED, filled
from evreel.loaders.lane import Batch, Lanes, Room
from evreel.loaders.sequential import LanesLoader


class WorkerError(EvreelError, RuntimeError):
    """A worker process has ended before its time; PyTorch has a RuntimeError for it."""


class InProcesses(LanesLoader, IterableDataset):  # type: ignore[misc]
    """What makes a loader of lanes one of tensors and processes: name it before that loader.

    Parameters
    ----------
    *args, **kwargs
        As the loader takes them; `num_workers` are processes, and `transforms` is given a tensor.
    multiprocessing_context
        ``fork``, ``spawn`` or ``forkserver``, or such a context; None: Python's own choice.
    pin_memory
        Whether tensors are in pinned memory, from which a GPU copies faster. Without a GPU
        nothing is pinned.
    persistent_workers
        Whether processes, and the files that they have open, outlive an epoch.
    prefetch_factor
        Batches that each process is ahead.

    Raises
    ------
    UsageError
        If a context or a number is none.
    """

    def __init__(
        self,
        *args: Any,
        multiprocessing_context: str | BaseContext | None = None,
        pin_memory: bool = False,
        persistent_workers: bool = True,
        prefetch_factor: int = PREFETCHED,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self._lanes.transforms is not None:
            of_tensors = _OfTensors(self._lanes.transforms)
            self._lanes = replace(self._lanes, transforms=of_tensors)
        methods = multiprocessing.get_all_start_methods()
        if not isinstance(multiprocessing_context, BaseContext | None) and (
            multiprocessing_context not in methods
        ):
            raise UsageError(
                f"multiprocessing_context={multiprocessing_context!r} is not one of "
                f"{', '.join(methods)}"
            )
        self._context = multiprocessing_context
        self._pins = pin_memory and torch.cuda.is_available()
        self._persists = persistent_workers
        self._prefetch_factor = at_least("prefetch_factor", prefetch_factor, 1)
        self._idle: list[Any] = []

    def __iter__(self) -> Iterator[Batch]:
        """As `LanesLoader` has it; also through a `DataLoader` without processes of its own."""
        info = get_worker_info()
        if info is not None and info.dataset is self:
            raise UsageError(
                "it is in a DataLoader with num_workers: each of its processes would deliver all",
                hint="Give num_workers to this loader, and 0 to the DataLoader, or leave that out.",
            )
        return super().__iter__()

    def close(self) -> None:
        """End the worker processes that wait for another epoch; the next one starts its own."""
        self._idle.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_idle": []}

    def _rooms(self, epoch: int, first_batch: int) -> Generator[Room]:
        lanes, n = self._lanes, self._lanes.batch_size
        n_workers = min(self.num_workers, n)
        if n_workers == 0:
            yield from filled(lanes, epoch, first_batch, 0)
            return
        workers = self._idle.pop() if self._idle else self._started(n_workers)
        workers.dataset.place[:] = torch.tensor([epoch, first_batch])
        slots, parts = workers.dataset.slots, _begun(workers)
        try:
            for batch in itertools.count():
                room = _bare(lanes).room(n)
                for k in range(n_workers):
                    part = _next_of(parts)
                    if not isinstance(part, Room):
                        raise part
                    room.put(slice(k, None, n_workers), part)
                room.inputs = slots.taken(batch)
                yield room
                if lanes.are_over(room):
                    break
        except GeneratorExit:
            self._put_by(workers)
            raise
        self._put_by(workers)

    def _started(self, n_workers: int) -> Any:
        with _in_our_words():
            return DataLoader(
                _Parts(self._lanes, n_workers, self._prefetch_factor),
                batch_size=None,
                num_workers=n_workers,
                collate_fn=_as_it_came,
                worker_init_fn=_begin_worker,
                multiprocessing_context=self._context,
                persistent_workers=self._persists,
                prefetch_factor=self._prefetch_factor,
                generator=torch.Generator(),  # a seed is drawn from it, not from the caller's
            )

    def _put_by(self, workers: Any) -> None:
        if self._persists:
            self._idle.append(workers)

    def _delivered(self, room: Room) -> Batch:
        return {name: self._tensor(value) for name, value in room.batch().items()}

    def _tensor(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        tensor = torch.from_numpy(value)
        return tensor.pin_memory() if self._pins else tensor


@dataclass(frozen=True)
class _OfTensors:
    """A function that takes a tensor, called with an array."""

    function: Callable[[Any], Any]

    def __call__(self, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.no_grad():  # a module has parameters, whose gradients are not wanted here
            return np.asarray(self.function(torch.from_numpy(inputs)))


class _Slots:
    """Memory for frames of batches, shared by all processes; the main one says who fills which.

    A worker is asked for batch k when the one that is `ahead` before it is asked for, and so when
    the one before that has been taken.

    Parameters
    ----------
    shape
        (T, N, C, H, W) of a batch.
    ahead
        Batches that each worker is ahead.
    dtype
        Type of the frames.
    """

    def __init__(self, shape: tuple[int, ...], ahead: int, dtype: str) -> None:
        # Beside those on their way: one that is taken, and the one before, which a loop still has.
        of = getattr(torch, dtype)
        self._slots = [torch.empty(shape, dtype=of).share_memory_() for _ in range(ahead + 3)]
        # Slots of the next batches; nobody holds what is in them.
        self._of_batch = torch.arange(ahead + 1).share_memory_()

    @functools.cached_property
    def _frames(self) -> list[npt.NDArray[Any]]:
        return [slot.numpy() for slot in self._slots]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_frames"}

    def at(self, batch: int) -> npt.NDArray[Any]:
        """Return the frames of a batch that was asked for."""
        return self._frames[int(self._of_batch[batch % len(self._of_batch)])]

    def taken(self, batch: int) -> npt.NDArray[Any]:
        """Return the frames of a batch, and say where the next one that is asked for goes."""
        found = self.at(batch)
        coming = self._of_batch.tolist()
        for k in range(len(self._slots)):
            if k not in coming and self._is_free(k):
                self._of_batch[batch % len(coming)] = k
                return found
        return found.copy()

    def _is_free(self, k: int) -> bool:
        # The list has it, and this call; a tensor or a view of it would have it too.
        return sys.getrefcount(self._frames[k]) == len(("list", "call"))


class _Parts(IterableDataset):  # type: ignore[misc]
    """The lanes of a worker process: their part of one batch after the other, without an end.

    Parameters
    ----------
    lanes, num_workers
        What is delivered, and by how many processes.
    ahead
        Batches that each worker is ahead.

    Attributes
    ----------
    place : (2,) epoch and first batch, in memory that is shared with the workers.
    slots : where frames of batches go.
    """

    def __init__(self, lanes: Lanes, num_workers: int, ahead: int) -> None:
        self._lanes, self._num_workers = lanes, num_workers
        self.place = torch.zeros(2, dtype=torch.int64).share_memory_()
        shape = lanes.num_tbins, lanes.batch_size, *lanes.shape
        self.slots = _Slots(shape, ahead, lanes.dtype)

    def __iter__(self) -> Iterator[Room | Exception]:
        epoch, first_batch = self.place.tolist()
        own = slice(get_worker_info().id, None, self._num_workers)
        numbers = range(self._lanes.batch_size)[own]
        bare = _bare(self._lanes)
        with contextlib.ExitStack() as stack:
            each = [self._lanes.lane(number, epoch, first_batch) for number in numbers]
            for lane in each:
                stack.callback(lane.close)
            for batch in itertools.count():
                room = bare.room(len(each))
                without, room.inputs = room.inputs, self.slots.at(batch)[:, own]
                room.inputs[...] = 0
                try:
                    for column, lane in enumerate(each):
                        lane.fill(room, column)
                except (EvreelError, OSError) as error:
                    # PyTorch would make a text of it, with the worker's traceback.
                    yield error
                    return
                room.inputs = without
                yield room


def _bare(lanes: Lanes) -> Lanes:
    """Return lanes whose rooms have none for frames."""
    return replace(lanes, shape=(0, 0, 0))


def _begin_worker(_: int) -> None:
    gc.freeze()  # else a forked worker may finalize what belongs to the main process


def _as_it_came(room: Room | Exception) -> Room | Exception:
    return room


def _begun(workers: Any) -> Iterator[Any]:
    """Return the parts that workers deliver."""
    try:
        with _in_our_words():
            return iter(workers)
    except (AttributeError, TypeError, ValueError, pickle.PicklingError) as error:
        raise UsageError(
            f"cannot start worker processes: {words_of(error)}",
            hint="What they are given must be picklable: define functions at the top of a module; "
            "or choose multiprocessing_context='fork', or num_workers=0.",
        ) from error


def _next_of(parts: Iterator[Any]) -> Any:
    """Return the next part, or raise `WorkerError` if its process has been ended."""
    try:
        return next(parts)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise  # of the caller's function
        raise WorkerError(
            f"a worker process has been ended: {words_of(error)}",
            hint="If the system had no memory left, choose fewer workers, or a smaller batch_size "
            "or prefetch_factor; state_dict says where to go on.",
        ) from error


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    """Keep PyTorch from warning of what the caller chose, or of what becomes an error here."""
    with warnings.catch_warnings():
        for told in ("This DataLoader will create", "Got pickle error"):
            warnings.filterwarnings("ignore", told, UserWarning)
        yield
