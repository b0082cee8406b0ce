"""Train a small spiking network to tell gestures apart, on samples cut from simulated recordings.

    python examples/train_classifier.py results/train_gestures/release/gestures-1.0

Each sample is ten frames. Neurons leak, fire where their membrane is above 1, and are reset by what
they fired; in the backward pass a spike's derivative is that of a smooth step (surrogate gradient:
Neftci, Mostafa and Zenke, IEEE Signal Processing Magazine 36(6), 2019). The class whose neuron has
the highest mean membrane is the answer.

The exit code is 1 if the network is not clearly better, on people that it has not seen, than the
trivial baseline: the most frequent class.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader

from evreel.loaders import FramesDataset

LEARNING_RATE = 4e-3

MARGIN = 0.3
"""By how much the share of right answers must exceed the baseline's."""


class Spike(torch.autograd.Function):
    """1 where the membrane is above 0, with the derivative of a smooth step: 1 / (1 + |4 v|)²."""

    @staticmethod
    def forward(ctx: Any, above: Tensor) -> Tensor:
        """Return which neurons fire."""
        ctx.save_for_backward(above)
        return (above > 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the surrogate gradient."""
        (above,) = ctx.saved_tensors
        return gradient / (1 + 4 * above.abs()).square()


class Leaky(nn.Module):
    """Leaky integrate-and-fire neurons, each channel with a leak of its own that is learned."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.linspace(-1, 3, channels)[:, None, None])

    def forward(self, current: Tensor) -> Tensor:
        """Return the spikes of a sequence; both are (T, N, C, H, W)."""
        keep, membrane, spikes = self.leak.sigmoid(), torch.zeros_like(current[0]), []
        for step in current:
            membrane = keep * membrane + step
            spikes.append(Spike.apply(membrane - 1))
            membrane = membrane - spikes[-1]
        return torch.stack(spikes)


class Classifier(nn.Module):
    """Two layers of spiking neurons, and one that integrates per class.

    Parameters
    ----------
    n_classes
        K, number of classes.
    size
        (height, width) of a frame.
    """

    def __init__(self, n_classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        cells = math.ceil(size[0] / 4) * math.ceil(size[1] / 4)
        self.first = nn.Conv2d(2, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.first_neurons, self.second_neurons = Leaky(16), Leaky(32)
        self.answer = nn.Linear(32 * cells, n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Return a score per class, (N, K), of frames (N, T, C, H, W)."""
        x = frames.float().transpose(0, 1).clamp(max=4)
        for weights, neurons in (
            (self.first, self.first_neurons),
            (self.second, self.second_neurons),
        ):
            x = neurons(weights(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
        return self.answer(x.flatten(2)).mean(0)


def train_epoch(network: Classifier, optimizer: torch.optim.Optimizer, loader: DataLoader) -> float:
    """Train with each sample once; return the mean loss of a batch."""
    losses = []
    for frames, label in loader:
        loss = F.cross_entropy(network(frames), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.no_grad()
def share_right(network: Classifier, loader: DataLoader) -> float:
    """Return the share of samples whose class the network finds."""
    right = [network(frames).argmax(1) == label for frames, label in loader]
    return torch.cat(right).float().mean().item()


def main() -> int:
    """Train, compare with the baseline, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("--feature", default="histogram_10")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that load samples")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # frames are small; and sums are the same for any number of cores
    train, test = (
        FramesDataset(options.release, split, feature=options.feature)
        for split in ("train", "test")
    )
    # A generator of its own: the order of samples depends on the seed alone.
    order = torch.Generator().manual_seed(options.seed)
    common = {"batch_size": 16, "num_workers": options.workers}
    batches = DataLoader(train, shuffle=True, generator=order, **common)
    held_out = DataLoader(test, **common)

    network = Classifier(len(train.classes), train[0][0].shape[2:])
    optimizer = torch.optim.Adam(network.parameters())
    for epoch in range(options.epochs):
        began = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * math.cos(math.pi / 2 * epoch / options.epochs) ** 2
        loss = train_epoch(network, optimizer, batches)
        print(f"epoch {epoch + 1:2}  loss {loss:.3f}  {time.monotonic() - began:.1f} s", flush=True)

    majority = np.bincount(train.targets).argmax()
    baseline = float((test.targets == majority).mean())
    score = share_right(network, held_out)
    print(f"share of {len(test)} samples of other people that are named rightly:")
    print(f"  most frequent class {baseline:.3f}")
    print(f"  network             {score:.3f}  (at least {baseline + MARGIN:.3f} is expected)")
    return int(score < baseline + MARGIN)


if __name__ == "__main__":
    sys.exit(main())
