"""The sequential loader with worker processes delivers what the NumPy loader does, as tensors."""

from __future__ import annotations

import itertools
import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from evreel import open_release
from evreel.errors import EvreelError, UsageError
from evreel.loaders import sequential
from evreel.loaders.torch import SequentialLoader
from evreel.loaders.torch.lanes import WorkerError
from support import random_events
from support.frames import numbered_file
from support.releases import labelled_release
from support.stores import store_of

LENGTHS = (7, 2, 4, 5)
COMMON = {"array_dim": (2,), "batch_size": 3, "shuffle": True, "seed": 3}


def same(batches, others):
    """Hold that tensors of batches are the arrays of others, and that the rest is equal."""
    assert len(batches) == len(others)
    for one, other in zip(batches, others, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, np.ndarray):
                assert isinstance(one[name], torch.Tensor)
                np.testing.assert_array_equal(one[name].numpy(), value)
                assert one[name].numpy().dtype == value.dtype
            elif name == "labels":
                for a, b in zip(one[name], value, strict=True):
                    assert all(map(np.array_equal, a, b)) and len(a) == len(b)
            else:
                assert one[name] == value


@pytest.fixture
def files(tmp_path):
    return [numbered_file(tmp_path, k, n, [5, 15]) for k, n in enumerate(LENGTHS, 1)]


@pytest.mark.parametrize(("workers", "context"), [(0, None), (1, "fork"), (2, "fork"), (5, "fork")])
def test_torch_batches__are_those_of_the_numpy_loader(files, workers, context):
    state = torch.get_rng_state()
    loader = SequentialLoader(files, num_workers=workers, multiprocessing_context=context, **COMMON)
    arrays = sequential.SequentialLoader(files, num_workers=0, **COMMON)
    first = len(arrays)
    expected = [*arrays, *arrays]
    same([*loader, *loader], expected)
    assert loader.counts == arrays.counts
    loader.set_epoch(0)
    for _ in zip(range(2), loader, strict=False):  # broken off
        pass
    going_on = SequentialLoader(files, num_workers=0, **COMMON)
    going_on.load_state_dict(loader.state_dict())
    same(list(going_on), expected[2:first])
    same(list(loader), expected[first:])
    loader.close()
    assert torch.equal(torch.get_rng_state(), state)


def test_error_of_a_worker__is_that_of_evreel(files):
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2])
    common = {"array_dim": (2,), "batch_size": 2}
    loader = SequentialLoader(files, num_workers=2, **common)
    with pytest.raises(EvreelError) as expected:
        list(sequential.SequentialLoader(files, num_workers=0, **common))
    with pytest.raises(type(expected.value)) as found:
        next(iter(loader))
    assert str(found.value) == str(expected.value) and found.value.path == files[1]
    skipping = SequentialLoader(files, num_workers=2, on_damage="skip", **common)
    arrays = sequential.SequentialLoader(files, num_workers=0, on_damage="skip", **common)
    same(list(skipping), list(arrays))
    assert skipping.counts == arrays.counts and arrays.counts["skipped_recordings"] == 1


def load(metadata, start_us, duration_us, tensor):
    """Return a text as the label of each frame: a worker can be sent it."""
    return [f"{metadata.name} {start_us} {k}" for k in range(len(tensor))], np.ones(len(tensor))


def test_live_batches_and_callers_functions__are_the_same_in_workers(tmp_path):
    stores = [tmp_path / f"s{k}.h5" for k in range(3)]
    for k, path in enumerate(stores):
        store_of(path, random_events(2_000, (12, 18), stop_us=50_000 + 9_000 * k, seed=k))
    arguments = (stores, None, "voxel_grid", (2, 5, 6, 9))
    common = {"count": 300, "batch_size": 2, "load_labels": load, "padding": "drop"}
    loader = SequentialLoader(*arguments, num_workers=2, transforms=torch.relu, **common)
    arrays = sequential.SequentialLoader(
        *arguments, num_workers=0, transforms=lambda inputs: np.maximum(inputs, 0), **common
    )
    assert len(loader) == len(arrays)
    same(list(loader), list(arrays))
    assert loader.counts == arrays.counts and loader.counts["dropped_frames"] > 0
    shown = [picture.shape for picture in loader.show()]
    assert len(shown) == 2 * len(loader) and len(set(shown)) == 1


def test_release_that_is_open__is_read_by_workers(tmp_path):
    arguments = {"feature": "counts", "split": "train", "array_dim": (2,), "batch_size": 2}
    with open_release(labelled_release(tmp_path)) as release:
        arrays = sequential.SequentialLoader(release, num_workers=2, **arguments)
        expected = list(arrays)
        for context in ("fork", "spawn"):
            loader = SequentialLoader(
                release, num_workers=1, multiprocessing_context=context, **arguments
            )
            same(list(loader), expected)
            assert loader.counts == arrays.counts


def test_function_that_no_worker_can_be_sent__is_an_error_that_says_so(files):
    loader = SequentialLoader(
        files, transforms=lambda inputs: inputs, num_workers=1, multiprocessing_context="spawn"
    )
    with pytest.raises(UsageError, match=r"cannot start worker processes: .*lambda"):
        next(iter(loader))


def test_batches__are_their_holders_as_long_as_these_hold_them(files):
    loader = SequentialLoader(files, num_workers=1, **COMMON)
    arrays = list(sequential.SequentialLoader(files, num_workers=0, **COMMON))
    loops = [[batch["inputs"].clone() for batch in loader]]  # each is let go
    loader.set_epoch(0)
    parts = [batch["inputs"][-1, :, 0].numpy() for batch in loader]  # views of a part
    loader.set_epoch(0)
    loops.append([batch["inputs"] for batch in loader])
    loader.set_epoch(0)
    for batch in loader:
        batch["inputs"].fill_(7)  # whoever holds it may change it
    for one, part, *others in zip(arrays, parts, *loops, strict=True):
        np.testing.assert_array_equal(part, one["inputs"][-1, :, 0])
        for other in others:
            np.testing.assert_array_equal(other.numpy(), one["inputs"])


def test_iterations_at_once__have_workers_of_their_own(files):
    loader = SequentialLoader(files, num_workers=1, **COMMON)
    arrays = sequential.SequentialLoader(files, num_workers=0, **COMMON)
    first, second = [], []
    for one, other in itertools.zip_longest(loader, loader):
        first += [one] * (one is not None)
        second += [other] * (other is not None)
    same([*first, *second], [*arrays, *arrays])


def test_worker_that_is_killed__is_an_error_and_the_state_goes_on(files):
    arguments = {
        "num_workers": 1,
        "multiprocessing_context": "fork",
        "prefetch_factor": 1,
        **COMMON,
    }
    loader = SequentialLoader(files, transforms=killed_at_frame_4, **arguments)
    n = 0
    with pytest.raises(WorkerError, match=r"a worker process has been ended: .*state_dict says"):
        for _ in loader:
            n += 1
    going_on = SequentialLoader(files, **arguments)
    going_on.load_state_dict(loader.state_dict())
    whole = len(going_on)
    assert n + sum(1 for _ in going_on) == whole


def killed_at_frame_4(inputs):
    """Kill the process where a recording has a frame 4."""
    if (inputs[:, 0, 0, 1] == 4).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return inputs


def test_module__transforms_without_gradients(files):
    module = torch.nn.Conv2d(2, 2, 1)
    for batch in SequentialLoader(files, transforms=module, num_workers=0, **COMMON):
        assert not batch["inputs"].requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"multiprocessing_context": "forks"}, "'forks' is not one of fork, spawn, forkserver"),
        ({"prefetch_factor": 0}, "prefetch_factor=0 is not a whole number of 1 or more"),
        ({"prefetch_factor": None}, "prefetch_factor=None is not a whole number"),
    ],
)
def test_arguments__of_processes_are_checked(files, arguments, message):
    with pytest.raises(UsageError, match=message):
        SequentialLoader(files, num_workers=1, **arguments)


def test_loader__goes_through_a_dataloader_that_leaves_processes_to_it(files):
    def through(num_workers):
        loader = SequentialLoader(files, num_workers=0, **COMMON)
        return DataLoader(loader, None, num_workers=num_workers, collate_fn=as_it_is)

    same(list(through(0)), list(sequential.SequentialLoader(files, num_workers=0, **COMMON)))
    with pytest.raises(UsageError, match="each of its processes would deliver all"):
        list(through(2))


def as_it_is(batch):
    return batch
