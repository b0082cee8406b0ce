"""What RVT's preprocessing and its readers do, event by event and in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (its filters, as RVT's readers have them)
import numpy as np


def histogram(t, x, y, p, *, shape, bins=10, cutoff=10, wraps_at=256) -> np.ndarray:
    """Return a stacked histogram of a window's events: counts wrap, then they are limited."""
    frame = np.zeros((2 * bins, *shape), int)
    for k in range(len(t)):
        span = max(int(t[-1] - t[0]), 1)
        share = np.float32(int(t[k] - t[0])) / np.float32(span)
        number = min(int(np.float32(share * np.float32(bins))), bins - 1)
        frame[bins * int(p[k]) + number, y[k], x[k]] += 1
    frame = (frame + wraps_at // 2) % wraps_at - wraps_at // 2 if wraps_at > 256 else frame % 256
    return np.clip(frame, 0, cutoff).astype(np.uint8)


def windows(t, ends, window_us) -> Iterator[np.ndarray]:
    """Yield which events are in each window, both of whose ends count."""
    for end in ends:
        yield (t >= end - window_us) & (t <= end)


class Sequence:
    """What RVT's readers make of a sequence's folder.

    Parameters
    ----------
    folder
        Of the sequence.
    sensor
        (height, width) of its data set.
    halved
        Whether it reads frames of half the size.
    """

    def __init__(self, folder: Path, sensor: tuple[int, int], halved: bool) -> None:
        assert {path.name for path in folder.iterdir()} == {
            "labels_v2",
            "event_representations_v2",
        }
        [frames] = (folder / "event_representations_v2").iterdir()
        self.path = frames / f"event_representations{'_ds2_nearest' if halved else ''}.h5"
        with np.load(folder / "labels_v2" / "labels.npz") as read:
            labels, self.first = read["labels"], read["objframe_idx_2_label_idx"]
        assert len(self.first) == len(np.unique(labels["t"]))
        self.window_of = np.load(frames / "objframe_idx_2_repr_idx.npy")
        with h5py.File(self.path) as file:
            self.n = len(file["data"])
        names = ("t", "x", "y", "w", "h", "class_id", "class_confidence")
        self.labels = np.stack([labels[name].astype(np.float32) for name in names], axis=1)
        self.size = tuple(float(side) / 2 if halved else side for side in sensor)
        self._scale = np.float32(0.5 if halved else 1)

    def frames(self, start: int, stop: int) -> np.ndarray:
        """Return frames as they are read; int8 becomes float32."""
        with h5py.File(self.path) as file:
            read = file["data"][start:stop]
        return read if read.dtype == np.uint8 else read.astype(np.float32)

    def labels_of(self, k: int) -> np.ndarray:
        """Return the boxes of labelled frame k: t, x, y, w, h, class, confidence."""
        rows = self.labels[slice(*[*self.first, len(self.labels)][k : k + 2])].copy()
        height, width = self.size
        for corner, limit in ((1, width), (2, height)):
            stop = (rows[:, corner] + rows[:, corner + 2]) * self._scale
            rows[:, corner] *= self._scale
            rows[:, corner + 2] = np.minimum(stop, np.float32(limit - 1)) - rows[:, corner]
        return rows[(rows[:, 3] > 0) & (rows[:, 4] > 0)]

    def centres_of(self, k: int) -> np.ndarray:
        """Return the boxes of labelled frame k: class, centre x and y, w, h."""
        _, x, y, w, h, class_id, _ = self.labels_of(k).T
        half = np.float32(0.5)
        return np.stack([class_id, x + half * w, y + half * h, w, h], axis=1)

    def chunks(self, length: int) -> dict[str, Any]:
        """Return which windows its three ways of reading take, for a sequence length."""
        window_of = self.window_of.tolist()
        first = max(window_of[0] - length + 1, 0)
        starts = list(range(first, self.n, length))
        whole = [k for k, window in enumerate(window_of) if window + 1 >= length]
        begin = whole[0] if whole else len(window_of)
        ranges, low = [], 0
        for k in range(1, len(window_of) + 1):
            if k == len(window_of) or window_of[k] - window_of[k - 1] > length:
                span = max(window_of[low] - length + 1, 0), window_of[k - 1] + 1
                steps = list(range(*span, length))
                ranges.append([steps, [*steps[1:], span[1]]])
                low = k
        return {
            "random_first_objframe": begin,
            "random_length": len(window_of) - begin,
            "eval_start": starts,
            "eval_stop": [*starts[1:], self.n],
            "train_ranges": ranges,
        }


def read_tree(folder: Path) -> dict[str, Any]:
    """Return all that is in the split folders of RVT's layout, path → arrays."""
    found: dict[str, Any] = {}
    for path in sorted(
        p for split in ("train", "val", "test") for p in folder.glob(f"{split}/**/*")
    ):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".npy":
            found[name] = np.load(path)
        elif path.suffix == ".npz":
            with np.load(path) as read:
                found |= {f"{name}/{key}": read[key] for key in read}
        elif path.is_file():
            with h5py.File(path) as file:
                assert list(file) == ["data"]
                data = file["data"]
                found[name] = data[:]
                filters = data.id.get_create_plist()
                found[f"{name}/filter"] = [
                    filters.get_filter(k) for k in range(filters.get_nfilters())
                ]
                found[f"{name}/chunks"] = (data.chunks, data.maxshape)
    return found


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Return the names of what is not the same, in type, shape or bits."""
    names = sorted(found.keys() ^ wanted.keys())
    for name in sorted(found.keys() & wanted.keys()):
        one, two = found[name], wanted[name]
        if isinstance(one, np.ndarray):
            same = (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
        else:
            same = one == two
        names += [] if same else [name]
    return names
