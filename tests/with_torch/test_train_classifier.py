"""What the classifier's example rests on: its neurons."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import numpy as np
import torch

from support import ROOT

classifier = SimpleNamespace(**runpy.run_path(str(ROOT / "examples" / "train_classifier.py")))


def spikes_of(current, leak):
    """Return the spikes of one neuron, step by step."""
    membrane, spikes = 0.0, []
    for step in current:
        membrane = leak * membrane + step
        spikes.append(float(membrane > 1))
        membrane -= spikes[-1]
    return spikes


def test_neurons__leak_and_fire_and_are_reset():
    neurons = classifier.Leaky(2)
    with torch.no_grad():
        neurons.leak[:] = torch.tensor([0.0, 30.0])[:, None, None]  # keeps half, or all
        # 0.625, 0.9375, 1.09 fires; 0.625, 1.25 fires, 0.875, 1.5 fires
        found = neurons(torch.full((4, 1, 2, 1, 1), 0.625)).flatten(1)
    assert found.T.tolist() == [[0, 0, 1, 0], [0, 1, 0, 1]]
    current = np.random.default_rng(1).uniform(-1, 2, 50).astype(np.float32)
    with torch.no_grad():
        found = neurons(torch.from_numpy(current)[:, None, None, None, None].expand(-1, 1, 2, 1, 1))
    assert found[:, 0, 0].flatten().tolist() == spikes_of(current, 0.5)


def test_spike__has_the_derivative_of_a_smooth_step():
    above = torch.tensor([-0.25, 0.0, 0.75], requires_grad=True)
    spikes = classifier.Spike.apply(above)
    spikes.sum().backward()
    assert spikes.tolist() == [0, 0, 1]
    torch.testing.assert_close(above.grad, torch.tensor([1 / 4, 1, 1 / 16]))


def test_network__learns_from_its_first_layer_to_its_last():
    torch.manual_seed(1)
    network = classifier.Classifier(4, (30, 33))
    frames = torch.randint(0, 5, (2, 10, 2, 30, 33), dtype=torch.int32).to(torch.uint16)
    scores = network(frames)
    assert scores.shape == (2, 4)
    scores.square().sum().backward()
    assert all(weights.grad.ne(0).any() for weights in network.parameters())
