"""Samples in PyTorch's loader, with worker processes; batches as tensors."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from evreel.errors import UsageError
from evreel.loaders import collate
from evreel.loaders.frames import FramesDataset
from evreel.loaders.torch import (
    RandomTemporalDelete,
    pad_sequence_collate,
    padded_sequence_mask,
    play_frame,
    split_to_train_test_set,
)
from support import random_events, shared_file
from support.releases import labelled_release
from support.samples import sample_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    parts = [random_events(200 + k, (10, 14), 4_000 + 900 * k, seed=k) for k in range(7)]
    return [sample_files(tmp_path_factory.mktemp("plain"), parts)]


def halved(frames):
    """Return what a worker that is spawned has to find by name."""
    return frames / 2


@pytest.mark.parametrize(("way", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers__deliver_what_one_process_delivers(files, tmp_path, way, workers):
    dataset = FramesDataset(files, duration=1_500, transform=halved, cache=tmp_path)
    dataset[0]  # has files open when workers start
    alone = list(DataLoader(dataset, 3, collate_fn=pad_sequence_collate))
    several = DataLoader(
        dataset,
        3,
        num_workers=workers,
        collate_fn=pad_sequence_collate,
        multiprocessing_context=way,
    )
    for ours, expected in zip(several, alone, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))
    assert torch.cat([y for _, y, _ in alone]).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert sum(float(x.sum()) for x, _, _ in alone) == sum(200 + k for k in range(7)) / 2


def test_release__goes_through_pytorchs_own_collate(tmp_path):
    dataset = FramesDataset(labelled_release(tmp_path), frames_number=4)
    [(frames, labels)] = DataLoader(dataset, 3)
    assert frames.shape == (3, 4, 2, 24, 32) and frames.dtype == torch.float32
    assert labels.tolist() == [0, 1, 0] and labels.dtype == torch.int64
    np.testing.assert_array_equal(frames[1], dataset[1][0])


def test_spikingjelly__tensors_are_equal():
    index = json.loads(shared_file("oracles/spikingjelly.json").read_text())["pad"]
    with np.load(shared_file("oracles/spikingjelly.npz")) as arrays:
        for k, case in enumerate(index):
            said = {name.split("/")[2]: arrays[name] for name in arrays if f"pad/{k}/" in name}
            items = [(said[f"x{row}"], y) for row, y in enumerate(said["y_in"].tolist())]
            x, y, lengths = pad_sequence_collate(items)
            kinds = [str(each.dtype) for each in (x, y, lengths)]
            assert kinds == [case["x_dtype"], case["y_dtype"], case["len_dtype"]]
            for ours, name in ((x, "x_p"), (y, "y"), (lengths, "len")):
                np.testing.assert_array_equal(ours, said[name])
            mask = padded_sequence_mask(lengths)
            assert mask.dtype == torch.bool
            np.testing.assert_array_equal(mask, said["mask"])


def test_padded__takes_tensors_and_gives_pytorchs_types():
    x, y, lengths = pad_sequence_collate([(torch.ones(2, 3), 0.5), (torch.ones(1, 3), 1)])
    assert (x.shape, y.dtype, lengths.tolist()) == ((2, 2, 3), torch.float32, [2, 1])
    _, y, _ = pad_sequence_collate([(np.ones(2), np.array([1.5, 2])), (np.ones(1), np.ones(2))])
    assert y.dtype == torch.float64 and y.shape == (2, 2)


def test_tensors__are_padded_with_their_gradients_and_types():
    x = torch.ones(2, 3, requires_grad=True)
    padded, _, _ = pad_sequence_collate([(x, 0), (torch.ones(1, 3), 1)])
    padded.sum().backward()
    assert x.grad.tolist() == [[1.0] * 3] * 2
    half = torch.ones(1, 3, dtype=torch.bfloat16)
    padded, _, lengths = pad_sequence_collate([(half, 0), (half[:0], 1)])
    assert (padded.dtype, lengths.tolist()) == (torch.bfloat16, [1, 0])
    padded, _, _ = pad_sequence_collate([(half, 0), (x, 1)])
    assert padded.dtype == torch.float32
    with pytest.raises(UsageError, match=r"item 1 .* frames of \(2,\)"):
        pad_sequence_collate([(x, 0), (torch.ones(1, 2), 1)])


def test_split__is_of_pytorchs_subsets(files):
    dataset = FramesDataset(files, frames_number=1)
    train, test = split_to_train_test_set(0.5, dataset, 3, True, seed=2)
    others = collate.split_to_train_test_set(0.5, dataset, 3, True, seed=2)
    assert [train.indices, test.indices] == [part.indices for part in others]
    assert isinstance(train, torch.utils.data.Subset)
    again, rest = split_to_train_test_set(1.0, train, 3)
    assert (len(again), len(rest)) == (len(train), 0)


def test_delete__is_a_module():
    x = torch.arange(24).reshape(2, 12)
    model = torch.nn.Sequential(RandomTemporalDelete(5, batch_first=True, seed=3))
    expected = collate.RandomTemporalDelete(5, batch_first=True, seed=3)(x.numpy())
    np.testing.assert_array_equal(model(x), expected)


def test_play__takes_a_tensor_with_gradients(tmp_path):
    play_frame(torch.ones(2, 2, 6, 8, requires_grad=True), tmp_path / "a.gif")
    assert (tmp_path / "a.gif").read_bytes()[:3] == b"GIF"


def test_missing__pytorch_is_told_in_one_line(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("evreel.loaders.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"needs PyTorch.*Run: pip install torch"):
        getattr(importlib.import_module("evreel.loaders.torch"), "play_frame")  # noqa: B009


def test_tonic__transforms_run_on_the_items(files):
    transforms = importlib.import_module("tonic.transforms")
    structured = FramesDataset(files, structured=True)
    to_frame = transforms.ToFrame(sensor_size=structured.sensor_size, n_event_bins=3)
    theirs, _ = FramesDataset(files, structured=True, transform=to_frame)[2]
    ours, _ = FramesDataset(files, frames_number=3)[2]
    n = len(structured[2][0]) // 3
    np.testing.assert_array_equal(theirs[:2], ours[:2])
    assert theirs.sum() >= 3 * n
    grid = transforms.ToVoxelGrid(sensor_size=structured.sensor_size, n_time_bins=4)
    voxels, _ = FramesDataset(files, structured=True, transform=grid)[2]
    assert voxels.shape == (4, 1, 10, 14) and (voxels < 0).any() and (voxels > 0).any()
