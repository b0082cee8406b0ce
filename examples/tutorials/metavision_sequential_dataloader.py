# %% [markdown]
"""# Using a sequential data loader to create a training loop, by Metavision's names.

What Metavision's tutorial of this name does, step by step: labels loaded by a function of one's
own, what a batch holds, a look at batches with and without boxes, a training loop with truncated
back-propagation, and streams of recordings. Its lines are the same; imports are from
`evreel.compat.metavision` in place of `metavision_ml`.

It simulates its recordings, and needs PyTorch: pip install torch. Run the cells in an
empty folder; they write into it.
"""

# %%
import glob
import json
import os
from functools import partial

import numpy as np
import torch

from evreel.compat.metavision.data import SequentialDataLoader
from evreel.compat.metavision.data import box_processing as box_api

# %% [markdown]
# ## Simulate the data sample
#
# Two cameras see a car and a pedestrian pass. Features are precomputed: `name.h5`, with the boxes
# of the recording beside it, `name_bbox.npy`.

# %%
from evreel import boxes, steps
from evreel.compat.metavision.preprocessing.hdf5 import generate_hdf5

DURATION, HEIGHT, WIDTH = 210_000, 48, 64
CLASSES = {0: "pedestrian", 1: "two wheeler", 2: "car", 3: "truck"}
OBJECTS = {2: ((20, 10), 0.9, 14), 0: ((6, 14), 0.05, 36)}
"""Class → size (width, height), brightness, and the row of the centre."""

SCENE = """
name = "{name}"
seed = {seed}
duration_us = {duration}
sensor = {{ height = {height}, width = {width} }}
background = {{ intensity = 0.4 }}
"""
OBJECT = """
[[object]]
label = "{label}"
box = [{w}, {h}]
intensity = {intensity}
motion = [[0, {start}, {y}], [{duration}, {stop}, {y}]]
"""


def simulated(name: str, seed: int) -> tuple[str, np.ndarray]:
    """Return a recording and its boxes: one per object and 10 ms."""
    ways = [(8, WIDTH - 8), (WIDTH - 8, 8)]
    text = SCENE.format(name=name, seed=seed, duration=DURATION, height=HEIGHT, width=WIDTH)
    times = np.arange(10_000, DURATION + 1, 10_000)
    found = []
    for k, (number, ((w, h), intensity, y)) in enumerate(OBJECTS.items()):
        start, stop = ways[(k + seed) % 2]
        text += OBJECT.format(
            **{"label": CLASSES[number], "w": w, "h": h, "intensity": intensity, "y": y},
            **{"start": start, "stop": stop, "duration": DURATION},
        )
        each = np.zeros(len(times), dtype=boxes.EVENT_BBOX)
        each["t"], each["w"], each["h"], each["y"] = times, w, h, y - h / 2
        each["x"] = start + (stop - start) * times / DURATION - w / 2
        each["class_id"], each["track_id"], each["class_confidence"] = number, k, 1
        found.append(each)
    labels = np.concatenate(found)
    with open(f"{name}.toml", "w") as file:
        file.write(text)
    labels = labels[np.argsort(labels["t"], kind="stable")]
    return str(steps.simulate(f"{name}.toml", "recordings")[0]), labels


names = [f"street_{k}" for k in range(4)]
recordings, truth = zip(*(simulated(name, k) for k, name in enumerate(names)), strict=True)

dataset_path = "dataset_precomputed"
max_incr_per_pixel = 2.5
generate_hdf5(
    recordings[:2],
    dataset_path,
    "histo",
    delta_t=10_000,
    preprocess_kwargs={"max_incr_per_pixel": max_incr_per_pixel},
)
for name, found in zip(names[:2], truth, strict=False):
    boxes.write(os.path.join(dataset_path, f"{name}_bbox.npy"), found)
# a dictionary containing the correspondence map for class indices
label_map_path = os.path.join(dataset_path, "label_map_dictionary.json")
with open(label_map_path, "w") as file:
    json.dump(CLASSES, file)
print(sorted(os.listdir(dataset_path)))

# %% [markdown]
# ## Load labels
#
# Labels may be anything: a function loads those of a part of a recording. This is the least there
# is.

# %%
from evreel.compat.metavision.data.sequential_dataset import load_labels_stub

help(load_labels_stub)

# %% [markdown]
# It returns T labels, and which of the T time bins are labelled: the others have no loss.
#
# ### A function of one's own
#
# This one loads boxes, and gives the classes that are wanted numbers without a gap.


# %%
def custom_load_boxes(metadata, batch_start_time, duration, tensor, **kwargs):
    """Load the boxes of each time bin."""
    box_events = box_api.load_box_events(metadata, batch_start_time, duration)

    # what load_box_events returns is a new array, which may be changed
    class_lookup = kwargs["class_lookup"]
    box_events["class_id"] = class_lookup[box_events["class_id"]]

    # a list of boxes for each time bin
    num_tbins = tensor.shape[0]
    box_events = box_api.split_boxes(
        box_events,
        batch_start_time=batch_start_time,
        delta_t=duration // num_tbins,
        num_tbins=num_tbins,
    )
    # every frame has been labelled
    all_frames_are_okay = np.ones((len(box_events)), dtype=bool)
    return box_events, all_frames_are_okay


# %%
wanted_keys = ["car", "pedestrian", "two wheeler"]

# class of the files → 1 + its place in wanted_keys; 0 is the background
class_lookup = box_api.create_class_lookup(label_map_path, wanted_keys)
print(class_lookup)

custom_load_boxes_fn = partial(custom_load_boxes, class_lookup=class_lookup)

# %% [markdown]
# ## The sequential loader

# %%
files = sorted(glob.glob(os.path.join(dataset_path, "*.h5")))[:2]
preprocess_function_name = "histo"
delta_t = 10_000
channels = 2  # histograms have two channels
num_tbins = 3
height, width = HEIGHT, WIDTH
batch_size = 2
array_dim = [num_tbins, channels, height, width]

# %%
seq_dataloader = SequentialDataLoader(
    files,
    delta_t,
    preprocess_function_name,
    array_dim,
    load_labels=custom_load_boxes_fn,
    batch_size=batch_size,
    num_workers=0,
    preprocess_kwargs={"max_incr_per_pixel": max_incr_per_pixel},
)

# %%
for index, batch in enumerate(seq_dataloader):
    if index == 1:  # one example suffices
        break
    print("available keys: ", batch.keys(), "\n")
    print("input shape:", batch["inputs"].shape, "\n")
    print("metadata:", batch["video_infos"], "\n")
    print(
        "box events: ",
        len(batch["labels"]),
        "lists (corresponding to the no. of time bins), each containing a batch sized lists :",
        [len(labels) for labels in batch["labels"]],
    )

# %% [markdown]
# Inputs are (T, N, C, H, W): time bins, lanes of the batch, channels, rows, columns. Labels are T
# lists of N, so that both are indexed alike. `mask_keep_memory` is 0 for each lane in which a
# recording begins. `frame_is_padded` is evreel's own: where a recording or a lane has no frame
# left, and inputs are zeros.
#
# The boxes in the second time bin of the first lane:

# %%
batch["labels"][1][0]

# %% [markdown]
# ### A look at batches
#
# `show` yields a picture of each time bin, with all lanes side by side. To see them in a window:
# `cv2.imshow("frames", frame[..., ::-1])`.

# %%
plain = list(seq_dataloader.show())
print(len(plain), "pictures of", plain[0].shape)

# %% [markdown]
# A function of (frame, labels) draws labels. This time, `load_boxes` loads them: it looks classes
# up, leaves out those that are not wanted, and brings boxes to the size of the frames.

# %%
from evreel.compat.metavision.detection_tracking.display_frame import draw_box_events

load_boxes_fn = partial(box_api.load_boxes, class_lookup=class_lookup)

seq_dataloader = SequentialDataLoader(
    files,
    delta_t,
    preprocess_function_name,
    array_dim,
    load_labels=load_boxes_fn,
    batch_size=batch_size,
    num_workers=0,
    preprocess_kwargs={"max_incr_per_pixel": max_incr_per_pixel},
)

label_map = ["background", *wanted_keys]
viz_labels = partial(draw_box_events, label_map=label_map)

drawn = list(seq_dataloader.show(viz_labels))
print(sum((one != other).any() for one, other in zip(plain, drawn, strict=True)), "with boxes")

# %% [markdown]
# ## The training loop
#
# A small network with a memory says where the car is.


# %%
class Net(torch.nn.Module):
    """Each frame's car: the column of its centre, as a share of the width."""

    def __init__(self):
        super().__init__()
        self.look = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d((4, 16)), torch.nn.Flatten())
        self.remember = torch.nn.GRUCell(channels * 4 * 16, 32)
        self.say = torch.nn.Linear(32, 1)
        self.memory = torch.zeros(batch_size, 32)

    def reset(self, mask):
        """Forget what is before a new recording, and detach the rest from its gradients."""
        self.memory = self.memory.detach() * mask.reshape(-1, 1)

    def forward(self, frames):
        """Return (N, 1) columns of (N, C, H, W) frames."""
        self.memory = self.remember(self.look(frames) * 10, self.memory)
        return self.say(self.memory)


def columns_of_cars(labels):
    """Return (T, N, 1) columns of cars."""
    car = 1 + wanted_keys.index("car")
    targets = torch.zeros(len(labels), len(labels[0]), 1)
    for t, lanes in enumerate(labels):
        for n, lane in enumerate(lanes):
            for box in lane[lane["class_id"] == car]:
                targets[t, n] = float(box["x"] + box["w"] / 2) / width
    return targets


torch.manual_seed(0)
net, compute_loss = Net(), torch.nn.MSELoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
losses = []
for _ in range(10):
    losses.append(0.0)
    for data in seq_dataloader:
        # we first need to reset the memory of each lane in which a recording begins, and to detach
        # the gradients, so that the graph is not as long as the sequence: truncated
        # back-propagation
        net.reset(data["mask_keep_memory"])

        # clear the optimizer
        optimizer.zero_grad()

        # predictions in the order of time: the forward pass
        predictions = []
        for frames in data["inputs"]:
            predictions.append(net.forward(frames))
        predictions = torch.stack(predictions)

        # the loss of frames that are labelled
        targets = columns_of_cars(data["labels"])
        is_labeled = data["frame_is_labeled"]
        loss = compute_loss(predictions[is_labeled], targets[is_labeled])

        # the backward pass, and a step
        loss.backward()
        optimizer.step()
        losses[-1] += loss.item() / len(seq_dataloader)
print(f"loss in the first epoch {losses[0]:.4f}, in the last {losses[-1]:.4f}")

# %% [markdown]
# ## The streaming loader
#
# `CDProcessorDataLoader` takes recordings, also long ones, and computes frames while it decodes
# them: here, frames of 400 events each, whatever time they take.

# %%
from evreel.compat.metavision.data.cd_processor_dataset import CDProcessorDataLoader

dataloader = CDProcessorDataLoader(
    recordings,
    mode="n_events",
    delta_t=0,
    n_events=400,
    max_duration=100_000,
    preprocess_function_name="diff",
    height=24,
    width=32,
    num_tbins=5,
    batch_size=4,
    num_workers=2,
    load_labels=None,
    padding_mode="zeros",
)

# %%
from evreel.compat.metavision.data.sequential_dataset_common import show_dataloader

show = show_dataloader(
    dataloader,
    dataloader.height,
    dataloader.width,
    dataloader.batch_size,
    dataloader.get_vis_func(),
    None,
)

streamed = list(show)
print(len(streamed), "pictures of", streamed[0].shape)
