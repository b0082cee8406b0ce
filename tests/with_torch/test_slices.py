"""Slices go through torch's own loader, with and without workers."""

from __future__ import annotations

import numpy as np
import pytest
from torch.utils.data import DataLoader

from evreel.loaders.slices import SlicesDataset
from support.releases import labelled_release


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return labelled_release(tmp_path_factory.mktemp("release"))


@pytest.mark.parametrize(
    ("workers", "context"), [(0, None), (2, "fork"), (1, "spawn")], ids=["none", "fork", "spawn"]
)
def test_loader__delivers_each_slice_once_whatever_the_workers(release, workers, context):
    slices = SlicesDataset(release)
    before = [slices[k] for k in range(len(slices))]  # its files are open when workers start
    loader = DataLoader(
        slices,
        batch_size=2,
        shuffle=False,
        collate_fn=list,
        num_workers=workers,
        multiprocessing_context=context,
    )
    found = [item for batch in loader for item in batch]
    assert len(found) == len(before) == 5
    for one, other in zip(found, before, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])


def test_items__become_tensors_without_a_warning(release):
    loader = DataLoader(SlicesDataset(release, transform=lambda item: item["t"]), batch_size=None)
    assert [len(t) for t in loader] == [len(item["t"]) for item in SlicesDataset(release)]
