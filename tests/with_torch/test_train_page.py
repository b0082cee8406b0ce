"""The examples of docs/train.md that need PyTorch do what they show."""

from __future__ import annotations

import re
import runpy

import pytest
import torch

from support import ROOT
from support.releases import labelled_release

PAGE = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
STANDS_IN = {
    "results/train/release/traffic-1.0": "parks-2.0",
    'split="train"': 'split="train", feature="counts"',
    "results/train_gestures/release/gestures-1.0": "parks-2.0",
    'feature="histogram_10"': "frames_number=10",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the page's example with a word in it, on another release; return what it leaves."""
    folder = labelled_release(tmp_path)
    monkeypatch.chdir(folder.parent)

    def running(word, **names):
        (block,) = (b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if word in b)
        for theirs, ours in STANDS_IN.items():
            block = block.replace(theirs, ours)
        exec(compile(block, "docs/train.md", "exec"), names)
        return names

    return running


def test_few_lines__train_a_network(run):
    example = runpy.run_path(str(ROOT / "examples" / "train_detector.py"))
    torch.manual_seed(1)
    network = example["Detector"](n_classes=2)
    before = [weights.clone() for weights in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    names = run(
        "SequentialLoader", network=network, optimizer=optimizer, loss_of=example["loss_of"]
    )
    assert not names["state"].requires_grad
    for one, other in zip(before, network.parameters(), strict=True):
        assert not torch.equal(one, other)


def test_samples__come_in_batches_of_pytorchs_own(run, capsys):
    names = run("FramesDataset")
    assert len(names["frames"]) == len(names["label"])
    assert len(capsys.readouterr().out.splitlines()) >= 1
