"""Metavision's loaders by their names: what scripts written for them do, on evreel's loaders."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from evreel.compat.metavision import (
    CDProcessorDataLoader,
    SequentialDataLoader,
    generate_hdf5,
    register_new_preprocessing,
    show_dataloader,
)
from evreel.compat.metavision.data import box_processing as box_api
from evreel.errors import LayoutError, UsageError
from evreel.loaders import sequential, streaming
from evreel.representations import REGISTRY
from support import random_events
from support.frames import boxes_at, numbered_file
from support.stores import store_of
from support.writers.prophesee import dat

COMMON = {"delta_t": 10, "preprocess_function_name": "numbered", "num_workers": 0}


def delivered(loader):
    """Return (recording, frame) of each frame that is not padding, and the times of its labels."""
    frames, times = [], []
    for batch in loader:
        for t, n in zip(*np.nonzero(~batch["frame_is_padded"].numpy()), strict=True):
            frames.append(tuple(batch["inputs"][t, n, 0, 0, :2].int().tolist()))
            labels = batch["labels"][t][n]
            times += [(frames[-1], int(time)) for time in (labels["t"] if len(labels) else ())]
    return frames, times


@pytest.fixture
def files(tmp_path):
    return [
        str(numbered_file(tmp_path, k, n, [0, 10, 11, n * 10])) for k, n in enumerate((5, 2, 4), 1)
    ]


def load(metadata, batch_start_time, duration, tensor, **kwargs):
    """Load boxes as scripts for Metavision do: bins are equal parts, classes are looked up."""
    assert metadata.path.endswith(".h5") and metadata.delta_t == 10 and not metadata.padding
    found = box_api.load_box_events(metadata, batch_start_time, duration)
    found["class_id"] = kwargs["class_lookup"][found["class_id"]]
    n = tensor.shape[0]
    labels = box_api.split_boxes(found, batch_start_time, delta_t=duration // n, num_tbins=n)
    return labels, np.ones(len(labels), dtype=bool)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("padding", [False, True])
def test_every_frame_and_label__is_delivered_once_whatever_padding_is(files, padding, workers):
    loader = SequentialDataLoader(
        *(files, 10, "numbered", [2, 2, 2, 3]),
        load_labels=partial(load, class_lookup=np.array([1])),
        batch_size=2,
        num_workers=workers,
        padding=padding,
    )
    frames, times = delivered(loader)
    assert sorted(frames) == [(1, k) for k in range(5)] + [(2, 0), (2, 1)] + [
        (3, k) for k in range(4)
    ]
    assert sorted(times) == [
        *(((1, 0), 0), ((1, 0), 10), ((1, 1), 11), ((1, 4), 50)),
        *(((2, 0), 0), ((2, 0), 10), ((2, 1), 11), ((2, 1), 20)),
        *(((3, 0), 0), ((3, 0), 10), ((3, 1), 11), ((3, 3), 40)),
    ]
    assert len(loader) == 5 and loader.counts == {"padded_frames": 9}
    dropping = SequentialDataLoader(files, **COMMON, array_dim=(2,), batch_size=2, padding="drop")
    assert len(list(dropping)) == len(dropping) == 1 and dropping.counts["dropped_frames"] == 7
    loader.close()


def test_batches__are_those_of_evreels_loader_and_name_recordings_as_metavision_does(files):
    loader = SequentialDataLoader(files, **COMMON, array_dim=(3,), batch_size=4, load_labels=None)
    arrays = sequential.SequentialLoader(files, 10, array_dim=(3,), batch_size=4, num_workers=0)
    for batch, other in zip(loader, arrays, strict=True):
        assert batch.keys() == other.keys()
        for name in ("inputs", "mask_keep_memory", "frame_is_labeled", "frame_is_padded"):
            np.testing.assert_array_equal(batch[name].numpy(), other[name])
        for (metadata, start, duration), info in zip(
            batch["video_infos"][:3], other["video_infos"], strict=False
        ):
            assert (metadata.path, start, duration) == (str(info.metadata.path), *info[1:])
            assert metadata.num_tbins == 3 and metadata.start_ts == 0 and metadata.delta_t == 10
    paddings = [metadata.padding for metadata, _, _ in batch["video_infos"]]
    assert paddings == [False, True, False, True] and batch["video_infos"][3].duration == 0
    stub = SequentialDataLoader(files, **COMMON, array_dim=(3,))
    assert all(len(lane) == 0 for batch in stub for labels in batch["labels"] for lane in labels)


def test_durations__cut_recordings(files):
    loader = SequentialDataLoader(
        files, **COMMON, array_dim=(2,), batch_size=3, load_labels=None, durations=[25, 10, 99]
    )
    frames, times = delivered(loader)
    assert sorted(frames) == [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3)]
    assert ((3, 3), 40) in times and len(loader) == 2
    with pytest.raises(UsageError, match="there are 3 files, but 1 durations"):
        SequentialDataLoader(files, **COMMON, array_dim=(2,), durations=[5])


def test_precomputed_frames__must_be_what_is_asked_for(tmp_path, files, caplog):
    with pytest.raises(UsageError, match=r"r01.h5: its frames are 'numbered'; 'histo' is asked"):
        next(iter(SequentialDataLoader(files, 10, "histo", (2,), num_workers=0)))
    with pytest.raises(UsageError, match=r"r01.h5: its windows are of 10 µs; 20 µs are asked for"):
        next(iter(SequentialDataLoader(files, 20, "numbered", (2,), num_workers=0)))
    with pytest.raises(UsageError, match=r"array_dim says frames of \(2, 9, 9\)"):
        SequentialDataLoader(files, 10, "numbered", (2, 2, 9, 9))
    store = store_of(tmp_path / "park.h5", random_events(300, (4, 6), stop_us=30_000))
    generate_hdf5(
        store, tmp_path / "made", "histo", 10_000, preprocess_kwargs={"max_incr_per_pixel": 5}
    )
    made = [tmp_path / "made" / "park.h5"]
    kwargs = {"max_incr_per_pixel": 2.5, "unknown": 1}
    loader = SequentialDataLoader(made, 10_000, "histo", (2,), preprocess_kwargs=kwargs)
    assert "park.h5: its frames were made with max_incr_per_pixel=5.0, not 2.5" in caplog.text
    live = SequentialDataLoader([store], 10_000, "histo", (2,), num_workers=0)
    assert len(SequentialDataLoader(made, None, None, (2,))) == len(live)
    (one, _), (other, _) = list(loader), list(live)
    torch.testing.assert_close(one["inputs"], other["inputs"], rtol=0, atol=0)
    with h5py.File(made[0], "r+") as file:
        del file["data"].attrs["event_input_width"]
    with pytest.raises(LayoutError, match=r"park.h5"):
        SequentialDataLoader(made, 10_000, "histo", (2,))


def test_boxes__are_in_pixels_of_the_frames(tmp_path, recordings):
    boxes = boxes_at([1, 9_000, 12_000])
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = [1, 4, 6], 3, 6, 2
    np.save(tmp_path / "r0_bbox.npy", boxes)
    generate_hdf5(
        *(recordings[:1], tmp_path / "made", "histo", 10_000, 4, 6),
        box_labels=[tmp_path / "r0_bbox.npy"],
    )
    files = {"made": [tmp_path / "made" / "r0.h5"], "live": recordings[:1]}
    for given in files.values():
        common = {"delta_t": 10_000, "num_workers": 0, "batch_size": 1}
        found = [
            SequentialDataLoader(
                given,
                preprocess_function_name="histo",
                array_dim=(2, 2, 4, 6),
                load_labels=load,
                **common,
            )
            for load in (None, box_api.load_boxes)
        ]
        for one, other in zip(*found, strict=True):
            for bins, others in zip(one["labels"], other["labels"], strict=True):
                np.testing.assert_array_equal(bins[0], others[0])
        first = next(iter(found[1]))["labels"]
        assert first[0][0][["x", "y", "w", "h"]].tolist() == [(0.5, 1.5, 3, 1), (2, 1.5, 3, 1)]
        assert first[1][0][["x", "w"]].tolist() == [(3, 3)]


class GenX(SequentialDataLoader):
    """A benchmark's loader: sets what it likes, and gives batches another form."""

    def __init__(self, folder, split="testing", batch_size=2, num_tbins=2, workers=0):
        self.split, self.batch_size, self.num_tbins = split, batch_size, num_tbins
        self.height, self.width, self.channels = 2, 3, 2
        self.data = sorted(map(str, Path(folder).glob("*.h5")))
        lookup = box_api.create_class_lookup(str(Path(folder) / "labels.json"), ["car"])
        boxes = partial(
            box_api.load_boxes, num_tbins=num_tbins, class_lookup=lookup, min_box_diag_network=1
        )
        self.kw_args = {
            "delta_t": 10,
            "preprocess_function_name": "numbered",
            "array_dim": [num_tbins, self.channels, self.height, self.width],
            "load_labels": boxes,
            "batch_size": batch_size,
            "num_workers": workers,
            "padding": True,
            "preprocess_kwargs": {"max_incr_per_pixel": 5},
        }
        super().__init__(self.data, **self.kw_args)

    def __next__(self):
        batch = super().__next__()
        inputs = batch.pop("inputs").permute(1, 0, 2, 3, 4)
        return inputs, batch.pop("labels"), batch


@pytest.mark.parametrize("workers", [0, 1])
def test_class_that_changes_batches__is_a_loader(tmp_path, files, workers):
    (tmp_path / "labels.json").write_text(json.dumps({"0": "car", "1": "bus"}))
    loader = GenX(tmp_path, workers=workers)
    assert len(loader) == 5 and next(iter(loader)) is not None
    inputs, labels, more = next(iter(loader))
    assert inputs.shape == (2, 2, 2, 2, 3) and isinstance(labels, list)
    assert labels[0][0]["class_id"].tolist() == [1, 1]
    assert set(more) > {"mask_keep_memory", "frame_is_labeled", "video_infos"}
    n_labels = 0
    for _, labels, more in loader:
        n_labels += sum(len(lane) for bins in labels for lane in bins)
        assert not (more["frame_is_labeled"] & more["frame_is_padded"]).any()
    assert n_labels == 12
    assert [len(next(loader)) for _ in range(5)] == [3] * 5  # an epoch, as iter(loader) begins one
    with pytest.raises(StopIteration):
        next(loader)
    assert len(list(loader.show())) == 2 * len(loader)
    loader.close()


def test_tensors__are_delivered_on_a_device(files):
    loader = SequentialDataLoader(files, **COMMON, array_dim=(2,))
    assert next(loader.to("meta").__iter__())["inputs"].device.type == "meta"
    assert next(iter(loader.cpu()))["inputs"].device.type == "cpu"
    loader.cuda()
    assert len(list(loader.show(lambda frame, labels: frame))) == 2 * len(loader)


@pytest.fixture
def recordings(tmp_path):
    paths = []
    for k, n in enumerate((300, 200, 120)):
        events = random_events(n, (8, 12), stop_us=n * 100, seed=k)
        paths.append(tmp_path / f"r{k}_td.dat")
        rows = zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True)
        paths[-1].write_bytes(dat(rows, (12, 8)))
        np.save(tmp_path / f"r{k}_bbox.npy", boxes_at([1, 9_000], k))
    return [str(path) for path in paths]


@pytest.mark.parametrize("workers", [0, 2])
def test_streams__are_those_of_evreels_loader(recordings, workers):
    loader = CDProcessorDataLoader(
        recordings,
        mode="n_events",
        delta_t=0,
        n_events=70,
        max_duration=25_000,
        preprocess_function_name="diff",
        height=4,
        width=6,
        num_tbins=2,
        batch_size=2,
        num_workers=workers,
        load_labels=box_api.load_boxes,
        padding_mode="zeros",
    )
    arrays = streaming.StreamLoader(
        *(recordings, "n_events", 0, 70, 25_000, "diff", 2, 2, 0, 4, 6), load_labels=None
    )
    for one, other in zip(loader, arrays, strict=True):
        np.testing.assert_array_equal(one["inputs"].numpy(), other["inputs"])
    shown = show_dataloader(
        *(loader, loader.height, loader.width, loader.batch_size, loader.get_vis_func(), None)
    )
    assert next(shown).shape[2] == 3
    with pytest.raises(UsageError, match="batch_size=3, but batches have 2 lanes"):
        show_dataloader(loader, 4, 6, 3, loader.get_vis_func())
    shown.close()
    loader.close()


def test_registered_function__is_computed_in_worker_processes(recordings):
    before = dict(REGISTRY)

    def count(events, tensor):
        np.add.at(tensor, (0, 0, events["y"], events["x"]), 1)

    try:
        register_new_preprocessing(
            "counted",
            1,
            count,
            viz_function=lambda tensor: np.repeat(
                np.moveaxis(tensor, 0, 2).astype(np.uint8), 3, axis=2
            ),
        )
        loader = SequentialDataLoader(
            recordings, 10_000, "counted", (2,), batch_size=2, num_workers=1
        )
        assert sum(batch["inputs"].sum().item() for batch in loader) == 620
        assert loader.get_vis_func()(np.full((1, 8, 12), 7))[0, 0].tolist() == [7, 7, 7]
        loader.close()
    finally:
        REGISTRY.clear()
        REGISTRY.update(before)
