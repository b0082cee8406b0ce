"""A small tree as RVT's preprocessing writes it, with RVT's compression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import hdf5plugin
import numpy as np

from evreel.exports.rvt_labels import RVT_DTYPE
from evreel.files import hdf5


def rvt_tree(
    folder: Path,
    sequences: Mapping[str, tuple[int, Sequence[int]]],
    *,
    halved: bool = False,
    shape: tuple[int, int, int] = (2, 8, 12),
) -> Path:
    """Write sequences, ``split/name`` → (number of windows, the labelled ones); two boxes each."""
    for number, (name, (n, labelled)) in enumerate(sequences.items(), 1):
        frames = folder / name / "event_representations_v2/stacked_histogram_dt=50_nbins=1"
        labels = folder / name / "labels_v2"
        frames.mkdir(parents=True)
        labels.mkdir()
        ends, windows = 50_000 * (np.arange(n) + 1), np.array(labelled, dtype=np.int64)
        boxes = np.zeros(2 * len(windows), RVT_DTYPE)
        boxes["t"] = np.repeat(ends[windows], 2)
        # The second is flat in frames of half the size.
        boxes["x"], boxes["w"], boxes["y"], boxes["h"] = 1, 4.5, 2, 5
        boxes["x"][1::2], boxes["w"][1::2] = shape[2] - 2, 1
        boxes["track_id"], boxes["class_confidence"] = number, 1
        first = 2 * np.arange(len(windows))
        np.savez(labels / "labels.npz", labels=boxes, objframe_idx_2_label_idx=first)
        np.save(labels / "timestamps_us.npy", ends[windows])
        np.save(frames / "timestamps_us.npy", ends)
        np.save(frames / "objframe_idx_2_repr_idx.npy", windows)
        size = tuple(side // 2 for side in shape[1:]) if halved else shape[1:]
        made = np.random.default_rng(number).integers(0, 11, (n, shape[0], *size), np.uint8)
        made[:, 0, 0, 0], made[:, 0, 0, 1] = number, np.arange(n)
        file_name = f"event_representations{'_ds2_nearest' if halved else ''}.h5"
        # With a seal, so that reading it takes no program that inspects the file.
        with hdf5.new_file(frames / file_name, libver=("v110", "v110")) as file:
            file.create_dataset(
                "data",
                data=made,
                chunks=(1, *made.shape[1:]),
                maxshape=(None, *made.shape[1:]),
                **hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE),
            )
    return folder
