# %% [markdown]
"""# Views: sequences of five frames, and one of appearance.

What edflow's example of `MetaViewDataset` does, step for step, on simulated recordings. Run the
cells in an empty folder; they write into it.
"""

# %%
from pathlib import Path

import numpy as np

from evreel import steps
from evreel.compat.edflow import MetaViewDataset, store_label_mmap
from evreel.loaders.views import View, sequences
from evreel.loaders.windows import WindowsDataset
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry

# %% [markdown]
# ## Recordings
#
# Two cameras see a box pass. A release has frames of 10 ms of each.

# %%
SCENE = """
name = "{name}"
seed = {seed}
duration_us = 120_000
sensor = {{ height = 36, width = 48 }}
background = {{ intensity = 0.4 }}

[[object]]
label = "car"
box = [12.0, 8.0]
intensity = 0.9
motion = [[0, 6.0, 18.0], [120_000, 40.0, 18.0]]
"""

plan = []
for seed, name in enumerate(["east", "west"]):
    Path(f"{name}.toml").write_text(SCENE.format(name=name, seed=seed))
    recording = steps.simulate(f"{name}.toml", "raw")[0]
    steps.events(recording, f"{name}.h5")
    frames_of_10_ms = steps.FeatureSettings(representation="histogram", window_us=10_000)
    steps.features(f"{name}.h5", f"{name}_frames.h5", frames_of_10_ms)
    plan.append(
        PlanEntry(
            f"train/histogram/{name}.h5", Path(f"{name}_frames.h5"), "features", name, "train"
        )
    )
build(plan, "cars-1.0", name="cars", version="1.0", licence="CC0-1.0")

# %% [markdown]
# ## The base data set
#
# It has one frame per example, and labels that cost nothing to read.

# %%
base = WindowsDataset("cars-1.0", "histogram", "train")
print(base)
print(base[3]["frame"].shape, base[3]["recording"], base[3]["t"])

# %% [markdown]
# ## Indices
#
# All sequences of five frames in a row of one recording, and for each, an appearance: a frame of
# the same recording that is far from it.

# %%
recording = np.asarray(base.labels["recording"])
seq_idxs = sequences(base, 5)
starts = seq_idxs[:, 0]
M = len(seq_idxs)
print(seq_idxs.shape)  # (M, 5)

first_of, last_of = (
    {name: np.flatnonzero(recording == name)[k] for name in set(recording)} for k in (0, -1)
)
is_early = base.labels["window"][starts] < 4
app_idxs = np.array(
    [
        (last_of if early else first_of)[recording[k]]
        for k, early in zip(starts, is_early, strict=True)
    ]
)
print(app_idxs.shape)  # (M,)

# %% [markdown]
# ## The folder of edflow
#
# Raw arrays whose names say what they are, and `meta.yaml`.

# %%
store_label_mmap(app_idxs, "ROOT/labels", "app_view")
store_label_mmap(seq_idxs, "ROOT/labels", "seq_view")

Path("ROOT/meta.yaml").write_text("""\
description: |
    This is our very own View on the data.
    Let's have fun with it!

base_dset: evreel.loaders.windows.WindowsDataset
base_kwargs:
    source: ../cars-1.0
    feature: histogram
    split: train

views:
    appearance: app_view
    frames: seq_view
""")

ViewDset = MetaViewDataset("ROOT")

print(ViewDset.labels.keys())
print(len(ViewDset))

ViewDset.show()

# %% [markdown]
# An example has a list of five frames, and one frame. Labels of the base are taken through both
# arrays when they are used.

# %%
example = ViewDset[2]
print([frame["window"] for frame in example["frames"]], example["appearance"]["window"])
print(ViewDset.labels["frames"]["t"][2], ViewDset.labels["appearance"]["t"][2])

# %% [markdown]
# ## The same without edflow's folder
#
# `View.from_indices` takes the arrays as they are, and `materialize` writes a folder that
# `View.open` opens: it compares base and indices with a digest, so that nothing is out of date.

# %%
view = View.from_indices(base, {"appearance": app_idxs, "frames": seq_idxs})
view.materialize("sequences")
again = View.open("sequences")
again.validate()
again.show(2)

# %% [markdown]
# A view of a view is one view of the base: here, of the sequences of `west` alone.

# %%
of_west = np.flatnonzero(view.labels["appearance"]["recording"] == "west")
west = view.compose(of_west)
print(len(west), west[0]["appearance"]["recording"])
