"""Views go through PyTorch's loader as they are, also to its workers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from evreel.loaders.torch import stack_collate
from evreel.loaders.views import View
from evreel.loaders.views.mapped import map_npy
from evreel.loaders.windows import WindowsDataset
from support.frames import numbered_file


@pytest.mark.parametrize("method", [None, "fork", "spawn"])
def test_view__gives_the_same_batches_with_any_workers(tmp_path, method):
    paths = [numbered_file(tmp_path, number, 4) for number in range(2)]
    base = WindowsDataset(paths)
    np.save(tmp_path / "i.npy", [[0, 1, 2], [4, 5, 6], [5, 6, 7]])
    indices = {"frames": map_npy(tmp_path / "i.npy"), "appearance": [3, 7, 4]}
    view = View.from_indices(base, indices)
    view[0]  # files are open when workers start
    n = 1 if method == "spawn" else 2  # each imports torch anew
    options = {} if method is None else {"num_workers": n, "multiprocessing_context": method}
    batches = list(DataLoader(view, 2, collate_fn=stack_collate, **options))
    assert [batch["appearance"]["t"].tolist() for batch in batches] == [[40, 40], [10]]
    assert [len(of) for batch in batches for of in batch["frames"]["boxes"]] == [3, 3, 3]
    assert [batch["frames"]["recording"][0] for batch in batches] == [["r00"] * 3, ["r01"] * 3]
    frames = torch.cat([batch["frames"]["frame"] for batch in batches])
    assert frames.dtype == torch.float32
    assert frames[:, :, 0, 0, :2].tolist() == [
        [[0, 0], [0, 1], [0, 2]],
        [[1, 0], [1, 1], [1, 2]],
        [[1, 1], [1, 2], [1, 3]],
    ]
