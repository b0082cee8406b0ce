"""What the detector's example rests on: which frames it learns from, its memory, its score."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evreel.boxes import EVENT_BBOX
from evreel.loaders.torch import SequentialLoader
from support import ROOT
from support.frames import numbered_file

NAMES = runpy.run_path(str(ROOT / "examples" / "train_detector.py"))
detector = SimpleNamespace(**NAMES)
NONE = np.zeros(0, dtype=EVENT_BBOX)


def boxes(*rows):
    """Return boxes of (x, y, w, h, class)."""
    made = np.zeros(len(rows), dtype=EVENT_BBOX)
    for name, column in zip(("x", "y", "w", "h", "class_id"), zip(*rows, strict=True), strict=True):
        made[name] = column
    return made


TWO = boxes((3.0, 5.0, 20.0, 10.0, 2), (40.5, 20.25, 8.0, 18.0, 0))


@pytest.fixture
def network():
    torch.manual_seed(1)
    return detector.Detector(n_classes=3)


def test_loss__is_of_labelled_frames_alone():
    torch.manual_seed(1)
    said = torch.randn(3, 2, 7, 6, 8, requires_grad=True)
    is_labelled = torch.tensor([[True, False], [False, True], [True, True]])
    labels = [[TWO, TWO], [TWO, NONE], [TWO[:1], TWO[1:]]]
    loss = detector.loss_of(said, labels, is_labelled)
    (gradient,) = torch.autograd.grad(loss, said)
    assert gradient[~is_labelled].eq(0).all()
    assert gradient[is_labelled].flatten(1).ne(0).any(1).all()  # also where no box is
    changed = torch.where(is_labelled[..., None, None, None], said, 1e6)
    without = [[TWO, NONE], [NONE, NONE], [TWO[:1], TWO[1:]]]
    assert detector.loss_of(changed, without, is_labelled) == loss
    assert detector.loss_of(said, labels, torch.zeros(3, 2, dtype=bool)) == 0


def test_loss__is_least_for_the_boxes_of_its_own_frame():
    right = said_of([TWO[:1], TWO[1:]])[:, None]
    labels, is_labelled = [[TWO[:1]], [TWO[1:]]], torch.ones(2, 1, dtype=bool)
    assert detector.loss_of(right, labels, is_labelled) < 1e-5
    assert detector.loss_of(right.flip(0), labels, is_labelled) > 1


def test_memory__is_cleared_where_a_lane_begins_another_recording(network):
    before, after = torch.rand(2, 4, 3, 2, 32, 48)
    with torch.no_grad():
        _, state = network(before, torch.zeros(3, 1, 1, 1))
        keep = torch.tensor([1.0, 0.0, 1.0])[:, None, None, None]
        said, _ = network(after, keep, state)
        fresh, _ = network(after, keep)
        whole, _ = network(torch.cat([before, after]), keep)
    torch.testing.assert_close(said[:, 1], fresh[:, 1])
    torch.testing.assert_close(said[:, ::2], whole[4:, ::2])
    assert not torch.allclose(said[:, 0], fresh[:, 0])


def said_of(frames):
    """Return what a network that is right would say of frames with these boxes."""
    target = detector.targets_of(frames)
    said = torch.zeros(len(frames), 7, 6, 8)
    said[:, :3] = -20
    said[target.frame, target.class_id, target.row, target.column] = 20
    said[target.frame, 3:, target.row, target.column] = target.box
    return said


def test_boxes__of_what_a_right_network_says_are_the_labels():
    frames = [TWO, NONE, TWO[1:]]
    for said, expected in zip(said_of(frames), frames, strict=True):
        found = detector.boxes_in(said)
        found = found[found["class_confidence"] > 0.5]
        order = np.argsort(-found["class_id"].astype(int))
        for name in ("x", "y", "w", "h", "class_id"):
            np.testing.assert_allclose(found[name][order], expected[name], rtol=1e-5)


def test_targets__leave_out_boxes_of_which_little_is_seen():
    frames = [boxes((0, 0, 3.9, 20, 0), (0, 0, 4, 4, 1))]
    assert detector.targets_of(frames).class_id.tolist() == [1]


def test_score__is_1_for_the_labels_and_less_for_each_fault():
    truth = [TWO, NONE, TWO]

    def score(found):
        return detector.mean_average_precision(truth, found, 3)

    right = [frame.copy() for frame in truth]
    for frame in right:
        frame["class_confidence"] = 0.9
    assert score(right) == pytest.approx(1)
    assert score([right[0], NONE, right[2][:1]]) == pytest.approx(0.75, abs=0.01)
    assert score([NONE] * 3) == 0
    moved = [frame.copy() for frame in right]
    for frame in moved:
        frame["x"] += 20
    assert score(moved) == 0


def test_network__sees_negative_values_as_it_sees_positive_ones():
    torch.manual_seed(1)
    network = detector.Detector(n_classes=3, in_channels=5)
    frames = torch.randn(3, 1, 5, 32, 48) * 10
    said, state = network(frames, torch.zeros(1, 1, 1, 1))
    assert said.isfinite().all() and state.isfinite().all()
    other, _ = network(-frames, torch.zeros(1, 1, 1, 1))
    assert not torch.allclose(said, other)


def test_baseline__guesses_only_classes_that_training_has_boxes_of():
    guess = detector.mean_boxes(np.concatenate([TWO, boxes((5, 15, 10, 20, 2))]))
    assert guess["class_id"].tolist() == [0, 2]
    assert guess[1][["x", "y", "w", "h"]].tolist() == (4, 10, 15, 15)
    assert len(detector.mean_boxes(NONE)) == 0


def test_baseline__is_of_the_boxes_and_channels_that_the_loader_delivers(tmp_path):
    files = [numbered_file(tmp_path, k, n, [5, 25]) for k, n in enumerate((7, 2, 4))]
    for path in tmp_path.glob("*_bbox.npy"):
        large = np.load(path)
        large["w"] = large["h"] = [9, 3]
        np.save(path, large)
    loader = SequentialLoader(files, array_dim=(2,), batch_size=2, num_workers=0)
    channels, found = detector.channels_and_boxes(loader)
    assert (channels, found["t"].tolist()) == (2, [5, 5, 5])


def test_mirroring__turns_boxes_with_their_frames():
    frames = torch.zeros(1, 1, 2, 48, 64)
    frames[0, 0, :, 5:15, 3:23] = 1
    turned, labels = detector.mirrored(frames, [[TWO]])
    (box, _) = labels[0][0]
    assert (box["x"], box["y"], box["w"], box["h"]) == (41, 5, 20, 10)
    assert turned[0, 0, 0].sum() == turned[0, 0, 0, 5:15, 41:61].sum() == 200
    again, back = detector.mirrored(turned, labels)
    assert torch.equal(again, frames) and np.array_equal(back[0][0], TWO)
    assert TWO["x"][0] == 3


def test_training__goes_on_after_an_interruption_as_without(tmp_path):
    files = [numbered_file(tmp_path, k, n, [5, 25]) for k, n in enumerate((7, 2, 4))]

    def start():
        torch.manual_seed(3)
        network = detector.Detector(n_classes=1)
        loader = SequentialLoader(
            *(files,), array_dim=(2,), batch_size=2, num_workers=0, shuffle=True, seed=4
        )
        return network, torch.optim.AdamW(network.parameters(), lr=1e-3), loader

    path = tmp_path / "checkpoint.pt"
    straight = start()
    detector.train_epoch(*straight, mirror=False)
    detector.save(path, *straight, epoch=1)
    expected = detector.train_epoch(*straight, mirror=True)
    torch.manual_seed(99)
    resumed = start()
    assert detector.resume(path, *resumed) == 1
    assert detector.train_epoch(*resumed, mirror=True) == expected
    for one, other in zip(straight[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)
    assert [path.name for path in tmp_path.glob("*.pt*")] == ["checkpoint.pt"]
