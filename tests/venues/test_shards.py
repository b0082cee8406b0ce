"""Shards, read by WebDataset."""

import io

import h5py
import numpy as np
import pytest
import webdataset

from evreel import steps
from support.releases import files_below


@pytest.fixture(scope="module")
def packed(released, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "shards"
    steps.shards(released, folder)
    return folder


def samples(shard):
    return list(webdataset.WebDataset(str(shard), shardshuffle=False))


def test_webdataset__reads_a_sample_per_recording(packed, released):
    (park,) = samples(packed / "train-000000.tar")
    assert park["__key__"] == "park"
    assert {name for name in park if not name.startswith("__")} == {
        *("counts.bbox.npy", "counts.h5", "events.h5", "sidecars.biases.txt"),
        *("slices.bbox.npy", "slices.h5", "sums.h5"),
    }
    assert park["events.h5"] == (released / "train/events/park.h5").read_bytes()
    with h5py.File(io.BytesIO(park["counts.h5"])) as file:
        assert file["data"].shape[1:] == (2, 24, 32)


def test_webdataset__decodes_boxes_by_their_suffix(packed, released):
    data = webdataset.WebDataset(str(packed / "train-000000.tar"), shardshuffle=False).decode()
    (park,) = data
    assert np.array_equal(park["slices.bbox.npy"], np.load(released / "train/slices/park_bbox.npy"))


def test_unpacked_shards__are_the_release(packed, released, tmp_path):
    steps.unpack(packed, tmp_path / "release")
    assert {
        path: place.read_bytes() for path, place in files_below(tmp_path / "release").items()
    } == {path: place.read_bytes() for path, place in files_below(released).items()}
