"""Streams and random sequences from worker processes are those of the NumPy loader, as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evreel.loaders import mixed
from evreel.loaders.augment import Augment
from evreel.loaders.torch import MixedLoader
from support.rvt_tree import rvt_tree


@pytest.mark.parametrize(("workers", "context"), [(0, None), (2, "fork")])
def test_torch_batches_of_mixed__are_those_of_the_numpy_loader(tmp_path, workers, context):
    tree = rvt_tree(tmp_path, {"train/a": (9, [2, 5, 8]), "train/b": (6, [3]), "train/c": (4, [])})
    arguments = {
        "array_dim": (3,),
        "n_stream": 1,
        "n_random": 2,
        "augment": Augment(flip_y=0.5),
        "dtype": "stored",
    }
    arrays = mixed.MixedLoader(tree, num_workers=0, **arguments)
    loader = MixedLoader(tree, num_workers=workers, multiprocessing_context=context, **arguments)
    expected, found = list(arrays), list(loader)
    assert len(found) == len(expected) == len(loader) and loader.counts == arrays.counts
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys() and one["inputs"].dtype is torch.uint8
        for name in ("inputs", "is_stream", "mask_keep_memory", "frame_is_labeled"):
            np.testing.assert_array_equal(one[name].numpy(), other[name])
        for ours, theirs in zip(one["labels"], other["labels"], strict=True):
            assert all(map(np.array_equal, ours, theirs))
    loader.close()
