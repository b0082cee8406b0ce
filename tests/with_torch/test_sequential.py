"""The sequential loader with worker processes delivers what the NumPy loader does, as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evreel.errors import EvreelError
from evreel.loaders import sequential
from evreel.loaders.torch import SequentialLoader
from support.frames import numbered_file

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


@pytest.mark.parametrize(
    ("workers", "context"), [(0, None), (1, "fork"), (2, "spawn"), (5, "fork")]
)
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
    loader = SequentialLoader(files, array_dim=(2,), batch_size=2, num_workers=2)
    arrays = sequential.SequentialLoader(files, array_dim=(2,), batch_size=2, num_workers=0)
    with pytest.raises(EvreelError) as expected:
        list(arrays)
    with pytest.raises(type(expected.value)) as found:
        list(loader)
    assert str(found.value) == str(expected.value) and found.value.path == files[1]
