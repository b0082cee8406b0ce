"""The sequential loader delivers every frame and every label once, in order, lane by lane."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import open_release, steps
from evreel.errors import UsageError
from evreel.loaders.sequential import SequentialLoader
from support import random_events
from support.frames import WINDOW_US, boxes_at, numbered_file
from support.releases import labelled_release
from support.stores import store_of


def delivered(loader):
    """Return (recording, frame) and label times in the order of lanes, and of resets."""
    frames, labels, resets = Counter(), Counter(), []
    for batch in loader:
        t, n = batch["frame_is_labeled"].shape
        for lane in range(n):
            if batch["video_infos"][lane] is None or batch["video_infos"][lane].duration_us == 0:
                assert batch["frame_is_padded"][:, lane].all()
                continue
            first = batch["inputs"][0, lane, 0, 0, :2].tolist()
            if batch["mask_keep_memory"][lane] == 0:
                resets.append(tuple(map(int, first)))
            for k in range(t):
                number, frame = batch["inputs"][k, lane, 0, 0, :2].astype(int).tolist()
                if batch["frame_is_padded"][k, lane]:
                    assert not batch["inputs"][k, lane].any() and not len(batch["labels"][k][lane])
                    continue
                frames[number, frame] += 1
                assert batch["frame_is_labeled"][k, lane] == bool(len(batch["labels"][k][lane]))
                for box in batch["labels"][k][lane]:
                    assert box["track_id"] == number
                    start = frame * WINDOW_US
                    assert start < box["t"] <= start + WINDOW_US or box["t"] == frame == 0
                    labels[number, int(box["t"])] += 1
    return frames, labels, resets


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    batch_size=st.integers(1, 4),
    num_tbins=st.integers(1, 4),
    workers=st.integers(0, 3),
    shuffle=st.booleans(),
    data=st.data(),
)
def test_sequential__delivers_every_frame_and_label_once(
    lengths, batch_size, num_tbins, workers, shuffle, data
):
    times = [
        sorted(data.draw(st.lists(st.integers(0, n * WINDOW_US), max_size=6))) for n in lengths
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = [numbered_file(Path(folder), k + 1, n, times[k]) for k, n in enumerate(lengths)]
        loader = SequentialLoader(
            files,
            array_dim=(num_tbins,),
            batch_size=batch_size,
            num_workers=workers,
            shuffle=shuffle,
        )
        n = len(loader)
        frames, labels, resets = delivered(loader)
    assert frames == {(k + 1, i): 1 for k, length in enumerate(lengths) for i in range(length)}
    assert labels == Counter((k + 1, t) for k, own in enumerate(times) for t in own)
    assert sorted(resets) == [(k + 1, 0) for k in range(len(lengths))]
    padded = n * batch_size * num_tbins - sum(lengths)
    assert loader.counts.get("padded_frames", 0) == padded


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name == "labels":
            assert all(
                np.array_equal(a, b)
                for x, y in zip(value, other[name], strict=True)
                for a, b in zip(x, y, strict=True)
            )
        elif name == "video_infos":
            assert value == other[name]
        else:
            np.testing.assert_array_equal(value, other[name])


@pytest.mark.parametrize("workers", [0, 3])
def test_sequential__goes_on_from_a_state_as_if_never_interrupted(tmp_path, workers):
    files = [numbered_file(tmp_path, k, n, [5, 15]) for k, n in enumerate((7, 2, 4, 5), 1)]

    def loader(workers=2):
        return SequentialLoader(
            files, array_dim=(2,), batch_size=2, shuffle=True, seed=3, num_workers=workers
        )

    whole = loader()
    every = [*whole, *whole]  # two epochs, each in an order of its own
    first = len(loader())
    for n in (0, 1, first - 1, first, len(every) - 1):
        interrupted = loader()
        epochs = [iter(interrupted), iter(interrupted)]
        if n > first:
            for _ in epochs[0]:
                pass
        going = epochs[n > first]
        for _ in range(n - first * (n > first)):
            next(going)
        going_on = loader(workers)
        going_on.load_state_dict(interrupted.state_dict())
        rest = [*going_on, *([] if n > first else going_on)]
        assert len(rest) == len(every) - n
        for one, other in zip(rest, every[n:], strict=True):
            same(one, other)


def test_state__of_other_recordings__is_refused(tmp_path):
    files = [numbered_file(tmp_path, k, 3) for k in (1, 2)]
    state = SequentialLoader(files).state_dict()
    with pytest.raises(UsageError, match="other recordings or arguments"):
        SequentialLoader(files[:1]).load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("histogram", {}),
        ("voxel_grid", {"bins": 3, "store": "uint8", "scale": 0.25}),
        ("histo", {"store": "uint8"}),
        ("exponential_surface", {"geometry": {"downsample": 1, "flip_x": True}}),
        ("last_timestamp", {}),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_live_batches__are_those_of_features_files(tmp_path, name, settings, workers):
    stores, made = [], []
    parameters = {key: value for key, value in settings.items() if key == "bins"}
    others = {key: value for key, value in settings.items() if key != "bins"}
    for k in range(3):
        stores.append(tmp_path / f"s{k}.h5")
        made.append(tmp_path / f"f{k}.h5")
        store_of(stores[k], random_events(3_000, (12, 18), stop_us=70_000 + 9_000 * k, seed=k))
        boxes = boxes_at([3_000, 9_000, 50_000], k)
        for beside in (f"s{k}_bbox.npy", f"f{k}_bbox.npy"):
            np.save(tmp_path / beside, boxes)  # in pixels of the sensor
        wanted = steps.FeatureSettings(
            representation=name, parameters=parameters, window_us=9_000, **others
        )
        steps.features(stores[k], made[k], wanted)
    common = {"array_dim": (3,), "batch_size": 2, "num_workers": workers}
    live = SequentialLoader(stores, 9_000, name, preprocess_kwargs=parameters, **common, **others)
    filed = SequentialLoader(made, 9_000, **common)
    n = 0
    for one, other in zip(live, filed, strict=True):
        assert one["inputs"].any()
        one["video_infos"] = [info and info[1:] for info in one["video_infos"]]
        other["video_infos"] = [info and info[1:] for info in other["video_infos"]]
        same(one, other)
        n += 1
    assert n == len(live) > 2


def test_release__gives_recordings_and_samples_of_a_split(tmp_path):
    with open_release(labelled_release(tmp_path)) as release:
        loader = SequentialLoader(
            release, feature="counts", split="train", array_dim=(2,), batch_size=2, num_workers=0
        )
        batches = list(loader)
        park, town = (release.recordings[name] for name in ("park", "town"))
        boxes, first = park.boxes_of("counts")
        rows = [*range(*town.features["counts"].rows_of("a").indices(99))]
        rows += range(*town.features["counts"].rows_of("c").indices(99))
        for lane, frames, expected in (
            (0, park.features["counts"], range(10)),
            (1, town.features["counts"], rows),
        ):
            inputs = np.concatenate([batch["inputs"][:, lane] for batch in batches])
            real = ~np.concatenate([batch["frame_is_padded"][:, lane] for batch in batches])
            np.testing.assert_array_equal(inputs[real], frames[:][list(expected)])
        keeps = [batch["mask_keep_memory"][:, 0, 0, 0].tolist() for batch in batches]
        labels = [batch["labels"][k][0] for batch in batches for k in range(2)]
        labelled = np.concatenate([batch["frame_is_labeled"] for batch in batches])
    assert [len(own) for own in labels] == np.diff(first).tolist() and len(boxes) == 40
    # Annotators looked at [0, 40) and [50, 80) ms of park; its windows are of 10 ms.
    assert labelled[:, 0].tolist() == [True] * 4 + [False] + [True] * 3 + [False] * 2
    assert not labelled[:, 1].any()
    # A sample is 2 or 3 windows of town: the second sample, of 3, begins in the second batch.
    assert keeps == [[0, 0], [1, 0], [1, 1], [1, 0], [1, 0]]
