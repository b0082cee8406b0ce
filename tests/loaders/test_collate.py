"""Padding, masks, splits, deletion in time and a look at frames, as NumPy arrays."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError, UsageError
from evreel.layout import BOX_DTYPE
from evreel.loaders import collate
from evreel.loaders.collate import (
    RandomTemporalDelete,
    Subset,
    pad_sequence_collate,
    padded_sequence_mask,
    play_frame,
    split_to_train_test_set,
    stack_collate,
)
from evreel.loaders.frames import FramesDataset
from evreel.viz import show
from evreel.viz.rgb import scale_of, to_rgb
from support import random_events, shared_file
from support.samples import sample_files


class Listed:
    """A data set that counts how often a sample is loaded."""

    def __init__(self, targets):
        self.targets = targets
        self.loaded = 0

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, k):
        self.loaded += 1
        return k, self.targets[k]


def test_spikingjelly__batches_and_masks_are_equal():
    index = json.loads(shared_file("oracles/spikingjelly.json").read_text())["pad"]
    with np.load(shared_file("oracles/spikingjelly.npz")) as arrays:
        for k, case in enumerate(index):
            said = {name.split("/")[2]: arrays[name] for name in arrays if f"pad/{k}/" in name}
            items = [(said[f"x{row}"], y) for row, y in enumerate(said["y_in"].tolist())]
            x, y, lengths = pad_sequence_collate(items)
            assert f"torch.{x.dtype}" == case["x_dtype"] and len(items) > 1
            np.testing.assert_array_equal(x, said["x_p"])
            np.testing.assert_array_equal(y.astype(said["y"].dtype), said["y"])
            np.testing.assert_array_equal(lengths, said["len"])
            np.testing.assert_array_equal(padded_sequence_mask(lengths), said["mask"])
            if "mask_T7" in said:
                np.testing.assert_array_equal(padded_sequence_mask(lengths, 7), said["mask_T7"])


def example(k, n):
    """Return what a data set of frames may give: number k, with n boxes."""
    return {
        "frame": np.full((2, 3), k, np.float32),
        "boxes": np.zeros(n, dtype=BOX_DTYPE),
        "recording": f"r{k}",
        "sensor": (48, 64),
        "t": 10 * k,
        "is_labelled": bool(n),
        "x": np.arange(n, dtype=np.uint16),
    }


def test_stacked__is_what_has_one_shape_and_the_rest_stays_a_list():
    found = stack_collate([example(1, 2), example(2, 0)])
    assert found["frame"].shape == (2, 2, 3) and found["frame"].dtype == np.float32
    assert found["frame"][:, 0, 0].tolist() == [1, 2]
    assert [len(boxes) for boxes in found["boxes"]] == [2, 0]
    assert {boxes.dtype for boxes in found["boxes"]} == {BOX_DTYPE}
    assert found["recording"] == ["r1", "r2"] and found["sensor"] == [(48, 64)] * 2
    assert found["t"].tolist() == [10, 20] and found["t"].dtype == np.int64
    assert found["is_labelled"].tolist() == [True, False]
    assert [x.tolist() for x in found["x"]] == [[0, 1], []]
    alone = stack_collate([example(1, 2)])
    assert alone["x"].tolist() == [[0, 1]] and type(alone["boxes"]) is list


def test_stacked__of_a_view_has_an_axis_for_each_list():
    clips = [{"clip": [example(k, k) for k in (a, a + 1)], "one": example(a, 1)} for a in (0, 4, 7)]
    found = stack_collate(clips)
    assert found["clip"]["frame"].shape == (3, 2, 2, 3)
    assert found["clip"]["t"].tolist() == [[0, 10], [40, 50], [70, 80]]
    assert found["clip"]["recording"] == [["r0", "r1"], ["r4", "r5"], ["r7", "r8"]]
    assert [[len(each) for each in of] for of in found["clip"]["boxes"]] == [[0, 1], [4, 5], [7, 8]]
    assert found["one"]["frame"].shape == (3, 2, 3)


def test_stacked__of_pairs_is_a_pair():
    frames, labels = stack_collate([(np.ones((2, 3)), 1), (np.zeros((2, 3)), 0)])
    assert frames.shape == (2, 2, 3) and labels.tolist() == [1, 0]
    frames, labels = stack_collate([(np.ones((2, 3)), 1), (np.zeros((1, 3)), 0)])
    assert [len(each) for each in frames] == [2, 1] and labels.tolist() == [1, 0]
    events, _ = stack_collate([({"t": np.arange(2)}, 1), ({"t": np.arange(3)}, 0)])
    assert [len(t) for t in events["t"]] == [2, 3]
    assert stack_collate(["a", None]) == ["a", None]
    with pytest.raises(UsageError, match="a batch without items"):
        stack_collate([])


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    more=st.integers(0, 2),
)
def test_padded__keeps_every_frame_and_the_mask_says_which(lengths, more):
    rng = np.random.default_rng(len(lengths))
    items = [(rng.random((n, 2, 3), np.float32), k) for k, n in enumerate(lengths)]
    x, y, said = pad_sequence_collate(items)
    assert x.shape == (len(lengths), max(lengths), 2, 3) and x.dtype == np.float32
    assert y.tolist() == list(range(len(lengths))) and y.dtype == np.int64
    assert said.tolist() == lengths and said.dtype == np.int64
    mask = padded_sequence_mask(said, max(lengths) + more)
    assert mask.shape == (max(lengths) + more, len(lengths)) and mask.dtype == np.bool_
    for k, (frames, _) in enumerate(items):
        np.testing.assert_array_equal(x[k][mask[: max(lengths), k]], frames)
        assert not x[k][~mask[: max(lengths), k]].any()
    np.testing.assert_array_equal(padded_sequence_mask(said), mask[: max(lengths)])


def test_padded__is_of_a_type_that_holds_all_items():
    x, _, _ = pad_sequence_collate([(np.ones(2, np.int8), 0), (np.array([0.5]), 1)])
    assert x.tolist() == [[1, 1], [0.5, 0]]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "without items"),
        ([({"t": np.zeros(2)}, 0)], "item 0 of the batch is a dict without frames"),
        ([(np.float32(1), 0)], "item 0 of the batch is a float32 value"),
        ([(np.zeros((1, 2)), 0), (np.zeros((1, 3)), 0)], r"item 1 .* frames of \(3,\); .* \(2,\)"),
    ],
)
def test_padded__needs_frames_of_one_shape(batch, message):
    with pytest.raises(UsageError, match=message):
        pad_sequence_collate(batch)


def test_mask__needs_whole_lengths():
    assert padded_sequence_mask([2, 0, 3], 2).tolist() == [[True, False, True]] * 2
    for wrong in ([1.5], [[1]], []):
        with pytest.raises(UsageError):
            padded_sequence_mask(wrong)
    assert padded_sequence_mask(np.zeros(0, np.int64), 2).shape == (2, 0)


def test_split__takes_the_first_of_each_class_and_loads_none():
    dataset = Listed([0, 1, 0, 2, 1, 0, 0, 2])
    train, test = split_to_train_test_set(0.5, dataset, 3)
    assert (train.indices, test.indices) == ([0, 2, 1, 3], [5, 6, 4, 7])
    assert (train.targets.tolist(), dataset.loaded) == ([0, 0, 1, 2], 0)
    assert [train[k] for k in (0, -1)] == [(0, 0), (3, 2)] and len(test) == 4


def test_split__drawn_is_what_spikingjelly_draws_with_this_seed():
    # np.random.seed(3), and SpikingJelly 2.0.0's function.
    train, test = split_to_train_test_set(0.5, Listed([0, 1, 0, 2, 1, 0, 0, 2]), 3, True, seed=3)
    assert (train.indices, test.indices) == ([6, 2, 1, 7], [0, 5, 4, 3])


@settings(max_examples=30)
@given(
    targets=st.lists(st.integers(0, 3), max_size=40),
    ratio=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_split__has_every_sample_once_and_a_share_of_each_class(targets, ratio, seed):
    dataset = Listed(targets)
    np.random.seed(seed)  # noqa: NPY002 (it must not matter)
    one, two = (split_to_train_test_set(ratio, dataset, 4, True, seed=5) for _ in range(2))
    assert [part.indices for part in one] == [part.indices for part in two]
    train, test = one
    assert sorted(train.indices + test.indices) == list(range(len(targets)))
    for k in range(4):
        assert (train.targets == k).sum() == math.ceil(targets.count(k) * ratio)


def test_split__of_a_split_and_of_a_data_set_of_samples(tmp_path):
    parts = [random_events(20, (10, 14), 500, seed=k) for k in range(6)]
    dataset = FramesDataset([sample_files(tmp_path, parts)], frames_number=2)
    train, _ = split_to_train_test_set(0.5, dataset, 3)
    again, rest = split_to_train_test_set(0.1, train, 3)
    assert len(train) == 3 and len(again) == 3 and len(rest) == 0
    assert again[2][1] == 2

    class Foreign:
        """As PyTorch's subsets are."""

        def __init__(self, dataset, indices):
            self.dataset, self.indices = dataset, indices

        def __len__(self):
            return len(self.indices)

    train, _ = split_to_train_test_set(1.0, Foreign(Subset(dataset, [5, 4]), [1]), 3)
    assert train.targets.tolist() == [1]


@pytest.mark.parametrize(
    ("dataset", "ratio", "message"),
    [
        ([1, 2], 0.5, "attribute targets of list is missing; 2 class numbers are expected"),
        (Listed([0.5, 1.0]), 0.5, r"is float64 \(2,\)"),
        (Listed([0, 3]), 0.5, "sample 1 has class number 3; num_classes=3 allows 0 to 2"),
        (Listed([0, -1]), 0.5, "sample 1 has class number -1"),
        (Listed([0, 1]), 1.5, "train_ratio=1.5 is not within 0 to 1"),
        (Listed([0, 1]), math.nan, "train_ratio=nan"),
    ],
)
def test_split__needs_class_numbers_and_a_ratio(dataset, ratio, message):
    with pytest.raises(UsageError, match=message):
        split_to_train_test_set(ratio, dataset, 3)


def test_delete__keeps_steps_in_order_and_depends_on_its_seed_alone():
    x = np.arange(40).reshape(2, 20)
    kept = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002 (it must not matter)
        delete = RandomTemporalDelete(5, batch_first=True, seed=4)
        kept.append([delete(x), delete(x)])
    np.testing.assert_array_equal(kept[0], kept[1])
    first, second = kept[0]
    assert first.shape == (2, 5) and (np.diff(first) > 0).all()
    assert (first[0] + 20 == first[1]).all() and (first != second).any()
    # np.random.seed(0), and SpikingJelly 2.0.0's class.
    assert RandomTemporalDelete(3, batch_first=False, seed=0)(np.arange(8)).tolist() == [1, 2, 6]


def test_delete__of_more_than_there_is_is_an_error():
    with pytest.raises(ParameterError, match=r"T_remain=5, but the sequence has 4 .* batch_first"):
        RandomTemporalDelete(5, batch_first=False)(np.zeros((4, 9)))
    with pytest.raises(ParameterError, match="has 0 time steps"):
        RandomTemporalDelete(1, batch_first=True)(np.zeros(4))


def test_play__saves_a_gif_or_shows_pictures_of_one_scale(tmp_path, monkeypatch):
    frames = np.random.default_rng(0).poisson(0.2, (3, 2, 8, 6)).astype(np.float32)
    assert play_frame(frames, tmp_path / "a.gif") is None
    content = (tmp_path / "a.gif").read_bytes()
    assert content[:6] == b"GIF89a" and content[6:10] == bytes([6, 0, 8, 0])
    shown = []
    monkeypatch.setattr(show, "show_pictures", lambda pictures, _: shown.append(pictures))
    play_frame(frames)
    expected = [to_rgb(frame, scale=scale_of(frames)) for frame in frames]
    np.testing.assert_array_equal(shown[0], expected)
    assert collate.GIF_FPS == 10
    for wrong in (frames[0], frames[:0]):
        with pytest.raises(UsageError, match="not frames"):
            play_frame(wrong, tmp_path / "b.gif")
