"""Train a small recurrent detector on a release of simulated traffic.

    python examples/train_detector.py results/train/release/traffic-1.0

The network sees 20 ms of events at a time. Things that stand still make no events, so it must
remember them: a convolutional GRU (Ballas et al., ICLR 2016) is trained by truncated
back-propagation through time, as in RED (Perot et al., NeurIPS 2020) and RVT (Gehrig and
Scaramuzza, CVPR 2023). Each cell of a grid says which class has its centre there, and its box, as
in CenterNet (Zhou et al., 2019).

The exit code is 1 if the network is not clearly better than the trivial baseline: in every frame,
each class's mean box of the training recordings. `docs/train.md` explains it step by step.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import evreel
from evreel.boxes import EVENT_BBOX, nms
from evreel.loaders.torch import SequentialLoader

STRIDE = 8
"""Pixels of the sensor to a side of a cell."""

SMALLEST_PX = 4
"""Boxes that are narrower or lower are neither learned nor counted: of things at the edge of the
picture, little is to be seen."""

SEQUENCE, LANES = 10, 8
"""Frames through which the gradient goes back, and recordings side by side in a batch."""

LEARNING_RATE = 3e-3

MARGIN = 0.3
"""By how much the mean average precision must exceed the baseline's."""

Boxes = np.ndarray
"""Records of `EVENT_BBOX`."""


class ConvGRU(nn.Module):
    """A gated recurrent unit whose states are pictures."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.candidate = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Return the next state; all are (N, C, h, w)."""
        update, reset = self.gates(torch.cat([x, state], 1)).sigmoid().chunk(2, 1)
        candidate = self.candidate(torch.cat([x, reset * state], 1)).tanh()
        return torch.lerp(state, candidate, update)


class Detector(nn.Module):
    """Frames in, and for each cell of a grid: a score per class, and a box.

    Parameters
    ----------
    n_classes
        K, number of classes.
    in_channels
        Channels of a frame.
    channels
        Channels of the memory.
    remembers
        Whether it does; if not, it sees each frame by itself, for comparison.
    """

    def __init__(
        self, n_classes: int, in_channels: int = 2, channels: int = 32, remembers: bool = True
    ) -> None:
        super().__init__()
        self.remembers = remembers
        self.encoder = nn.Sequential(
            *(nn.Conv2d(in_channels, 16, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(32, channels, 3, stride=2, padding=1), nn.ReLU()),
        )
        self.memory = ConvGRU(channels)
        self.head = nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()),
            nn.Conv2d(channels, n_classes + 4, 1),
        )
        # At first, every class is improbable everywhere; or else the first steps only learn that.
        nn.init.constant_(self.head[-1].bias[:n_classes], -4.0)

    def forward(
        self, frames: Tensor, keep: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what the network says of a sequence, and its memory at the end.

        Parameters
        ----------
        frames
            (T, N, C, H, W), of any representation; values may be negative.
        keep
            (N, 1, 1, 1), 0 where a lane begins another recording: its memory is cleared.
        state
            Memory at the end of the sequence before; None at the start.

        Returns
        -------
        (T, N, K + 4, h, w): K scores before the sigmoid; of the box, the centre within the cell and
        ln(size), in cells. And the memory, (N, channels, h, w).
        """
        small = frames.sign() * frames.abs().log1p()  # few events count, and many are not too much
        x = self.encoder(small.flatten(0, 1)).unflatten(0, frames.shape[:2])
        state = x.new_zeros(x.shape[1:]) if state is None else state * keep
        states = []
        for step in x:
            state = self.memory(step, state if self.remembers else torch.zeros_like(state))
            states.append(state)
        said = self.head(torch.cat(states)).unflatten(0, frames.shape[:2])
        return said, state


class Targets(NamedTuple):
    """What a network should say at the cells that boxes have their centres in.

    Attributes
    ----------
    frame, row, column : (n,) which frame, and cell in it.
    class_id : (n,) the class.
    box : (n, 4) centre within the cell, ln(size), in cells.
    """

    frame: Tensor
    row: Tensor
    column: Tensor
    class_id: Tensor
    box: Tensor


def seen(boxes: Boxes) -> Boxes:
    """Return the boxes that are large enough."""
    return boxes[np.minimum(boxes["w"], boxes["h"]) >= SMALLEST_PX]


def targets_of(frames: Sequence[Boxes]) -> Targets:
    """Return what a network should say of frames with these boxes."""
    frames = [seen(boxes) for boxes in frames]
    every = np.concatenate(frames)
    frame = np.repeat(np.arange(len(frames)), [len(boxes) for boxes in frames])
    size = np.stack([every["w"], every["h"]], 1) / STRIDE
    centre = np.stack([every["x"], every["y"]], 1) / STRIDE + size / 2
    cell = np.floor(centre)
    box = torch.from_numpy(np.concatenate([centre - cell, np.log(size)], 1))
    column, row = torch.from_numpy(cell.astype(np.int64)).unbind(1)
    class_id = torch.from_numpy(every["class_id"].astype(np.int64))
    return Targets(torch.from_numpy(frame), row, column, class_id, box.float())


def loss_of(said: Tensor, labels: Sequence[Sequence[Boxes]], is_labelled: Tensor) -> Tensor:
    """Return the loss of a sequence, of its labelled frames alone.

    Scores have the focal loss (Lin et al., ICCV 2017), boxes the absolute difference.

    Parameters
    ----------
    said
        (T, N, K + 4, h, w), of the network.
    labels
        T × N boxes.
    is_labelled
        (T, N). That there is no box in a frame means something only where annotators looked.
    """
    said = said[is_labelled]
    if not len(said):
        return said.sum()
    # Boolean indices take frames row by row, and so must this.
    rows = zip(labels, is_labelled.tolist(), strict=True)
    target = targets_of([boxes for row in rows for boxes, is_ in zip(*row, strict=True) if is_])
    scores, boxes = said[:, :-4], said[:, -4:]
    truth = torch.zeros_like(scores)
    truth[target.frame, target.class_id, target.row, target.column] = 1
    entropy = F.binary_cross_entropy_with_logits(scores, truth, reduction="none")
    focal = (truth - scores.sigmoid()).square() * entropy
    off = boxes[target.frame, :, target.row, target.column] - target.box
    return (focal.sum() + off.abs().sum()) / max(len(target.frame), 1)


def boxes_in(said: Tensor, most: int = 20) -> Boxes:
    """Return what a network says of one frame, (K + 4, h, w), as boxes, the best first."""
    scores, box = said[:-4].sigmoid(), said[-4:]
    peaks = scores * (scores == F.max_pool2d(scores, 3, stride=1, padding=1))
    score, place = peaks.flatten().topk(min(most, peaks.numel()))
    class_id, row, column = torch.unravel_index(place, peaks.shape)
    x, y, ln_w, ln_h = box[:, row, column].clamp(max=4)  # a size is finite, whatever is said
    w, h = ln_w.exp(), ln_h.exp()
    found = np.zeros(len(score), dtype=EVENT_BBOX)
    found["x"], found["y"] = (column + x - w / 2) * STRIDE, (row + y - h / 2) * STRIDE
    found["w"], found["h"] = w * STRIDE, h * STRIDE
    found["class_id"], found["class_confidence"] = class_id, score
    found = found[score.numpy() > 0]
    return found[nms(found, found["class_confidence"], iou_thresh=0.5)]


def mean_average_precision(truth: Sequence[Boxes], found: Sequence[Boxes], n_classes: int) -> float:
    """Return COCO's mean average precision: over classes, and overlaps from 0.5 to 0.95."""

    def rows(frames: Sequence[Boxes]) -> Iterator[dict[str, object]]:
        for k, boxes in enumerate(frames):
            for box in boxes:
                yield {
                    "image_id": k,
                    "category_id": int(box["class_id"]),
                    "bbox": [float(box[name]) for name in "xywh"],
                    "score": float(box["class_confidence"]),
                    "area": float(box["w"] * box["h"]),
                    "iscrowd": 0,
                }

    answers = list(rows(found))
    if not answers:
        return 0.0
    coco = COCO()
    coco.dataset = {
        "images": [{"id": k} for k in range(len(truth))],
        "categories": [{"id": k} for k in range(n_classes)],
        "annotations": [{"id": k, **row} for k, row in enumerate(rows(truth), 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # COCO prints as it goes
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


@torch.no_grad()
def detect(network: Detector, loader: SequentialLoader) -> tuple[list[Boxes], list[Boxes]]:
    """Return, for each labelled frame, which boxes there are and which the network finds."""
    network.eval()
    truth, found, state = [], [], None
    for batch in loader:
        said, state = network(batch["inputs"], batch["mask_keep_memory"], state)
        for t, n in batch["frame_is_labeled"].nonzero().tolist():
            truth.append(seen(batch["labels"][t][n]))
            found.append(boxes_in(said[t, n]))
    network.train()
    return truth, found


def channels_and_boxes(loader: SequentialLoader) -> tuple[int, Boxes]:
    """Return how many channels a loader's frames have, and all its boxes that are large enough."""
    channels, boxes = 0, [np.zeros(0, dtype=EVENT_BBOX)]
    for batch in loader:
        channels = batch["inputs"].shape[2]
        boxes += [of_frame for row in batch["labels"] for of_frame in row]
    return channels, seen(np.concatenate(boxes))


def mean_boxes(boxes: Boxes) -> Boxes:
    """Return the trivial guess: the mean box of each class that there are boxes of."""
    classes = np.unique(boxes["class_id"])
    guess = np.zeros(len(classes), dtype=EVENT_BBOX)
    for row, class_id in enumerate(classes):
        of_class = boxes[boxes["class_id"] == class_id]
        for name in "xywh":
            guess[row][name] = of_class[name].mean()
    guess["class_id"], guess["class_confidence"] = classes, 1
    return guess


def train_epoch(
    network: Detector, optimizer: torch.optim.Optimizer, loader: SequentialLoader, mirror: bool
) -> float:
    """Train with each frame of the loader's next epoch once; return the mean loss of a batch."""
    state, losses = None, []
    for batch in loader:
        frames, labels = batch["inputs"], batch["labels"]
        if mirror:
            frames, labels = mirrored(frames, labels)
        if state is not None:
            state = state.detach()  # truncated: the gradient ends where the sequence began
        said, state = network(frames, batch["mask_keep_memory"], state)
        loss = loss_of(said, labels, batch["frame_is_labeled"])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def mirrored(frames: Tensor, labels: Sequence[Sequence[Boxes]]) -> tuple[Tensor, list[list[Boxes]]]:
    """Return frames and their boxes with left and right exchanged."""
    width, turned = frames.shape[-1], []
    for row in labels:
        turned.append([boxes.copy() for boxes in row])
        for boxes in turned[-1]:
            boxes["x"] = width - boxes["x"] - boxes["w"]
    return frames.flip(-1), turned


def save(
    path: Path,
    network: Detector,
    optimizer: torch.optim.Optimizer,
    loader: SequentialLoader,
    epoch: int,
) -> None:
    """Save what is needed to go on after an epoch, when every memory begins anew."""
    states = {"network": network, "optimizer": optimizer, "loader": loader}
    saved = {name: of.state_dict() for name, of in states.items()}
    unfinished = path.with_name(f"{path.name}.part")  # a kill must not leave half a file
    torch.save(saved | {"epoch": epoch}, unfinished)
    unfinished.replace(path)


def resume(
    path: Path, network: Detector, optimizer: torch.optim.Optimizer, loader: SequentialLoader
) -> int:
    """Go on from what was saved; return how many epochs are done."""
    saved = torch.load(path)
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    loader.load_state_dict(saved["loader"])
    return int(saved["epoch"])


def main() -> int:
    """Train, compare with the baseline, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("--feature", help="which of the release's features; the only one")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that load batches")
    parser.add_argument("--forget", action="store_true", help="clear the memory at each frame")
    parser.add_argument("--checkpoint", type=Path, help="file to save to after each epoch")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    options = parser.parse_args()
    if options.resume and not (options.checkpoint and options.checkpoint.is_file()):
        parser.error("--resume needs --checkpoint, a file that an earlier run has saved")

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # frames are small; and sums are the same for any number of cores
    release = evreel.open_release(options.release)
    common = {
        "feature": options.feature,
        "array_dim": (SEQUENCE,),
        "batch_size": LANES,
        "num_workers": options.workers,
        "keep": "last",  # of a track one box per frame, however often it was labelled meanwhile
    }
    train = SequentialLoader(release, split="train", shuffle=True, seed=options.seed, **common)
    test = SequentialLoader(release, split="test", **common)
    channels, boxes = channels_and_boxes(SequentialLoader(release, split="train", **common))
    if not len(boxes):
        parser.error(f"{options.release}: no boxes of {SMALLEST_PX} px or more to train with")

    network = Detector(len(release.labels), channels, remembers=not options.forget)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    epoch = 0
    if options.resume:
        epoch = resume(options.checkpoint, network, optimizer, train)

    while epoch < options.epochs:
        began = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * math.cos(math.pi / 2 * epoch / options.epochs) ** 2
        loss = train_epoch(network, optimizer, train, mirror=epoch % 2 == 1)
        epoch += 1
        print(f"epoch {epoch:2}  loss {loss:.3f}  {time.monotonic() - began:.1f} s", flush=True)
        if options.checkpoint is not None:
            save(options.checkpoint, network, optimizer, train, epoch)

    truth, found = detect(network, test)
    guessed = [mean_boxes(boxes)] * len(truth)
    score, baseline = (
        mean_average_precision(truth, boxes, len(release.labels)) for boxes in (found, guessed)
    )
    print(f"mean average precision of {len(truth)} labelled frames of the test recordings:")
    print(f"  mean box of each class {baseline:.3f}")
    print(f"  network                {score:.3f}  (at least {baseline + MARGIN:.3f} is expected)")
    return int(score < baseline + MARGIN)


if __name__ == "__main__":
    sys.exit(main())
