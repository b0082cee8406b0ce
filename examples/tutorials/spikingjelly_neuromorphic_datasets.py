# %%
"""Neuromorphic data sets, by SpikingJelly's names.

SpikingJelly's tutorial "Neuromorphic datasets processing", step by step: events, frames by number,
frames of a fixed duration, padded to a batch, a function of one's own, and a look at the frames.
Its lines are the same; the imports are of `evreel.compat.spikingjelly`.

It runs in a few seconds, on data that it simulates; its last step, which makes batches, needs
PyTorch: pip install torch. With the real DVS128 Gesture, leave out the stand-in, and put
DvsGesture.tar.gz into the folder ``download`` of your ``root_dir``.
"""

import hashlib
import io
import math
import tarfile
import tempfile
from pathlib import Path

import numpy as np

import evreel.compat.spikingjelly as sjds
from evreel.compat.spikingjelly import dvs128_gesture
from evreel.compat.spikingjelly.cifar10_dvs import CIFAR10DVS
from evreel.compat.spikingjelly.dvs128_gesture import DVS128Gesture
from evreel.compat.spikingjelly.utils import (
    pad_sequence_collate,
    padded_sequence_mask,
    play_frame,
)

# %% [markdown]
# ## Downloaded automatically, or by hand
#
# `downloadable` tells whether missing files are downloaded, `resource_url_md5` where they are.

# %%
print("CIFAR10-DVS downloadable", CIFAR10DVS.downloadable())
print("resource, url, md5/n", CIFAR10DVS.resource_url_md5())

print("DVS128Gesture downloadable", DVS128Gesture.downloadable())
print("resource, url, md5/n", DVS128Gesture.resource_url_md5())

# %% [markdown]
# ## A stand-in for DVS128 Gesture
#
# Three trials of a hand that waves, in another direction for each gesture. They are packed like the
# real ones: a recording and a table of gestures for each trial, and two lists of trials.

# %%
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.simulate.camera import simulate_events
from evreel.simulate.scene import parse_scene

GESTURES, GESTURE_US, CLOCK_US = 11, 40_000, 80_000_000
TRIALS = {"train": ("user01_fluorescent", "user02_natural"), "test": ("user24_led",)}


def waving_hand(seed: int) -> dict:
    """Return a scene: from the middle in direction k, and back, for gesture k."""
    motion = [[0, 54.0, 54.0]]
    for k in range(GESTURES):
        angle = 2 * math.pi * k / GESTURES
        begin, reach = k * GESTURE_US, 40 + 2 * (seed % 3)
        out = [54 + reach * math.cos(angle), 54 + reach * math.sin(angle)]
        motion += [[begin + 20_000, *out], [begin + GESTURE_US - 5_000, 54.0, 54.0]]
    return {
        "name": "hand",
        "duration_us": GESTURES * GESTURE_US,
        "seed": seed,
        "step_us": 1_000,
        "sensor": {"height": 128, "width": 128},
        "background": {"intensity": 0.3},
        "object": [{"label": "hand", "box": [20, 16], "intensity": 0.9, "motion": motion}],
    }


def stand_in() -> bytes:
    """Return an archive that is laid out like DvsGesture.tar.gz."""
    members = {}
    for split, trials in TRIALS.items():
        names = "".join(f"{trial}.aedat\n" for trial in trials)
        members[f"trials_to_{split}.txt"] = names.encode()
    with tempfile.TemporaryDirectory() as folder:
        for seed, trial in enumerate([*TRIALS["train"], *TRIALS["test"]]):
            scene = parse_scene(waving_hand(seed))
            path = Path(folder) / trial
            with Aedat4Writer(path, scene.sensor, t_offset=CLOCK_US) as writer:
                for chunk in simulate_events(scene):
                    writer.write(chunk)
            members[f"{trial}.aedat"] = path.read_bytes()
            table = "class,startTime_usec,endTime_usec\n"
            for k in range(GESTURES):
                start_us = CLOCK_US + k * GESTURE_US
                stop_us = start_us + GESTURE_US - 10_000 * (k % 3)  # samples differ in length
                table += f"{k + 1},{start_us},{stop_us}\n"
            members[f"{trial}_labels.csv"] = table.encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(f"DvsGesture/{name}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return packed.getvalue()


root_dir = tempfile.mkdtemp()
archive = stand_in()
(Path(root_dir) / "download").mkdir()
(Path(root_dir) / "download" / "DvsGesture.tar.gz").write_bytes(archive)


class DVS128Gesture(dvs128_gesture.DVS128Gesture):
    """DVS128 Gesture from another archive, which has another checksum."""

    @classmethod
    def resource_url_md5(cls):
        """Return name, page and MD5 of the archive."""
        page = dvs128_gesture.DVS128Gesture.resource_url_md5()[0][1]
        return [("DvsGesture.tar.gz", page, hashlib.md5(archive).hexdigest())]


# %% [markdown]
# ## Events
#
# The archive is verified, decoded, and cut into gestures. The next start finds them made.

# %%
train_set = DVS128Gesture(root_dir, train=True, data_type="event")

# %%
event, label = train_set[0]
for k in event.keys():
    print(k, event[k])
print("label", label)

# %% [markdown]
# ## Frames by number
#
# Each sample becomes 20 frames of as many events each; the last has what is left over.

# %%
train_set = DVS128Gesture(
    root_dir, train=True, data_type="frame", frames_number=20, split_by="number"
)

# %%
frame, label = train_set[0]
print(frame.shape)

# %%
frame, label = train_set[15]
play_frame(frame, save_gif_to=f"{root_dir}/gesture.gif")

# %% [markdown]
# ## Frames of a fixed duration
#
# Samples then differ in their number of frames: a batch is padded, and a mask tells what is real.

# %%
import torch
from torch.utils.data import DataLoader

train_set = DVS128Gesture(root_dir, data_type="frame", duration=10_000, train=True)
for i in range(5):
    x, y = train_set[i]
    print(f"x[{i}].shape=[T, C, H, W]={x.shape}")
train_data_loader = DataLoader(train_set, collate_fn=pad_sequence_collate, batch_size=5)
for x, y, x_len in train_data_loader:
    print(f"x.shape=[N, T, C, H, W]={tuple(x.shape)}")
    print(f"x_len={x_len}")
    mask = padded_sequence_mask(x_len)  # mask.shape = [T, N]
    print(f"mask=\n{mask.t().int()}")
    break
assert isinstance(x, torch.Tensor)

# %% [markdown]
# ## A function of one's own
#
# Frames are kept by what the function does: an edited one is computed anew.


# %%
def integrate_events_to_2_frames_randomly(events: dict, H: int, W: int):
    """Split events into two parts at random, and count each."""
    index_split = np.random.randint(low=0, high=events["t"].__len__())
    frames = np.zeros([2, 2, H, W])
    t, x, y, p = (events[key] for key in ("t", "x", "y", "p"))
    frames[0] = sjds.utils.integrate_events_segment_to_frame(x, y, p, H, W, 0, index_split)
    frames[1] = sjds.utils.integrate_events_segment_to_frame(
        x, y, p, H, W, index_split, events["t"].__len__()
    )
    return frames


train_set = DVS128Gesture(
    root_dir,
    train=True,
    data_type="frame",
    custom_integrate_function=integrate_events_to_2_frames_randomly,
)

# %%
frame, label = train_set[5]
print(frame.shape)
play_frame(frame, save_gif_to=f"{root_dir}/two.gif")
