"""Slices go through torch's own loader, with and without workers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from evreel.loaders.slices import SlicesDataset
from evreel.loaders.torch import stack_collate
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


def test_stacked_slices__have_tensors_of_different_lengths_in_lists(release):
    [batch] = DataLoader(SlicesDataset(release), batch_size=5, collate_fn=stack_collate)
    assert [len(t) for t in batch["t"]] == [len(item["t"]) for item in SlicesDataset(release)]
    assert {type(t) for t in batch["t"]} == {torch.Tensor} and batch["x"][0].dtype == torch.uint16
    assert batch["start_us"].tolist() == [0, 20_000, 40_000, 60_000, 80_000]
    assert len(batch["boxes"]) == len(batch["sensor"]) == len(batch["label_names"]) == 5
    again = stack_collate([{"a": torch.ones(2)}, {"a": torch.zeros(2)}])
    assert again["a"].tolist() == [[1, 1], [0, 0]]
