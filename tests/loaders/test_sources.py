"""Recordings are found, opened and described whatever they are given as."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from evreel import open_release, steps
from evreel.annotations.tables import Spans
from evreel.boxes import load_boxes, load_labels_stub
from evreel.errors import EvreelError, LayoutError, ParameterError, UsageError
from evreel.events import Sensor
from evreel.geometry import to_size
from evreel.loaders import sources as sources_module
from evreel.loaders.mixed import MixedLoader
from evreel.loaders.sequential import SequentialLoader
from evreel.loaders.sources import sources_of
from evreel.loaders.streaming import StreamLoader
from evreel.loaders.windows import WindowsDataset
from support import random_events
from support.frames import boxes_at, numbered_file
from support.stores import store_of

COUNTS = steps.FeatureSettings(representation="histogram", window_us=9_000)


def names(found):
    return [source.name for source in found]


def test_folder_and_wildcard__are_the_features_files_in_them(tmp_path):
    for k in (2, 1, 3):
        numbered_file(tmp_path, k, 1, [3])
    (tmp_path / "label_map_dictionary.json").write_text("{}")
    (tmp_path / "deeper").mkdir()
    for given in (tmp_path, str(tmp_path), [tmp_path], tmp_path / "*.h5", str(tmp_path / "r*")):
        assert names(sources_of(given)) == ["r01", "r02", "r03"]
    assert names(sources_of([tmp_path / "r03.h5", tmp_path / "r0[12].h5"])) == ["r03", "r01", "r02"]
    assert names(sources_of(tmp_path, COUNTS)) == ["r01", "r02", "r03"]
    with pytest.raises(UsageError, match=r"deeper: has no features file, \*\.h5, in it"):
        sources_of(tmp_path / "deeper")
    with pytest.raises(UsageError, match="no file fits it"):
        sources_of(tmp_path / "x*.h5")
    with pytest.raises(UsageError, match="there is no recording"):
        sources_of([])


def test_release__is_found_by_its_folder_and_named_by_its_ids(labelled_folder):
    with open_release(labelled_folder) as release:
        for given in (
            labelled_folder,
            str(labelled_folder),
            release,
            [release.recordings["park"], release.recordings["town"]],
        ):
            assert names(sources_of(given, feature="counts")) == ["park", "town"]
        with pytest.raises(UsageError, match="which feature of recording 'park'"):
            sources_of([release.recordings["park"]])
        assert sources_of(release, feature="counts")[0].labels() == release.labels


def test_split_without_recordings__is_an_error_that_names_it(labelled_folder):
    with pytest.raises(UsageError, match="has no split 'vall'"):
        SequentialLoader(labelled_folder, feature="counts", split="vall")


def test_live_shape__is_known_without_decoding(tmp_path, monkeypatch):
    path = tmp_path / "events.npz"
    events = random_events(500, (12, 18), stop_us=40_000)
    np.savez(path, **{column: getattr(events, column) for column in "txyp"})
    looked = []

    def opened(*args, **kwargs):
        looked.append(args)
        return as_events(*args, **kwargs)

    as_events = sources_module.as_events
    monkeypatch.setattr(sources_module, "as_events", opened)
    loader = SequentialLoader(
        path, 9_000, "histogram", array_dim=(2,), batch_size=1, num_workers=0, sensor="18x12"
    )
    assert not looked
    found = np.concatenate([batch["inputs"][:, 0] for batch in loader])
    assert len(looked) == 1
    store_of(tmp_path / "s.h5", events)
    steps.features(tmp_path / "s.h5", tmp_path / "f.h5", COUNTS)
    (batch,) = SequentialLoader(tmp_path / "f.h5", array_dim=(6,), batch_size=1)
    np.testing.assert_array_equal(found, batch["inputs"][:, 0])


@pytest.mark.parametrize("size", [(6, 9), (12, 18), (5, 10)])
def test_array_dim__gives_live_frames_the_size_and_boxes_follow(tmp_path, size):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for k, sensor in enumerate([(12, 18), (24, 36)]):  # two sensors, one size
        store_of(paths[k], random_events(900, sensor, stop_us=40_000, seed=k))
        boxes = boxes_at([3_000], k)
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = (*sensor[::-1], 2, 2)
        boxes["x"], boxes["y"] = boxes["x"] / 2, boxes["y"] / 2
        np.save(tmp_path / f"{'ab'[k]}_bbox.npy", boxes)
    loader = SequentialLoader(paths, 9_000, "histogram", array_dim=(5, 2, *size), batch_size=2)
    (batch,) = loader
    for k, sensor in enumerate([(12, 18), (24, 36)]):
        geometry = to_size(Sensor(*sensor), Sensor(*size))
        wanted = steps.FeatureSettings(
            representation="histogram", window_us=9_000, geometry=geometry
        )
        steps.features(paths[k], tmp_path / f"f{k}.h5", wanted)
        (filed,) = SequentialLoader(tmp_path / f"f{k}.h5", array_dim=(5,), batch_size=1)
        np.testing.assert_array_equal(batch["inputs"][:, k], filed["inputs"][:, 0])
        (box,) = batch["labels"][0][k]
        assert (box["y"], box["x"]) == (size[0] / 2, size[1] / 2)
        assert box["w"] == pytest.approx(2 * size[1] / sensor[1])
    with pytest.raises(UsageError, match=r"array_dim says frames of \(3, "):
        SequentialLoader(paths, 9_000, "histogram", array_dim=(5, 3, *size))


def metavision_file(path, frames, **attributes):
    """Write a features file with what Metavision's own have, and no more."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip"
        )
        given = {
            "events_to_tensor": np.bytes_("histo"),
            "delta_t": np.uint32(50_000),
            "event_input_width": 16,
            "event_input_height": 8,
            "shape": np.array(frames.shape[1:]),
            "mode": "delta_t",
            "n_events": 0,
        } | attributes
        for name, value in given.items():
            if value is not None:
                data.attrs[name] = value
    return path


def test_metavision_file__is_opened_as_its_attributes_say(tmp_path):
    frames = np.random.default_rng(0).random((5, 2, 4, 8)).astype("f4")
    path = metavision_file(tmp_path / "park.h5", frames, max_incr_per_pixel=5)
    boxes = boxes_at([0, 50_000, 50_001, 250_000, 250_001])
    boxes["x"], boxes["w"] = 6, 4
    older = np.zeros(
        5, dtype=[("ts", "<u8"), *((name, "<f4") for name in "xywh"), ("class_id", "u1")]
    )
    older["ts"] = boxes["t"]
    for name in ("x", "y", "w", "h", "class_id"):
        older[name] = boxes[name]
    np.save(tmp_path / "park_bbox.npy", older)
    loader = SequentialLoader(path, 50_000, array_dim=(2, 2, 4, 8), batch_size=1)
    batches = list(loader)
    found = np.concatenate([batch["inputs"][:, 0] for batch in batches])
    np.testing.assert_array_equal(found[:5], frames)
    labels = [batch["labels"][k][0] for batch in batches for k in range(2)]
    assert [own["t"].tolist() for own in labels] == [[0, 50_000], [50_001], [], [], [250_000], []]
    assert labels[1]["x"].tolist() == [3] and labels[1]["w"].tolist() == [2]  # px of the frames
    info = batches[1]["video_infos"][0]
    assert (info.start_us, info.duration_us, info.metadata.sensor) == (100_000, 100_000, (8, 16))
    assert loader.counts == {"labels_outside_windows": 1, "padded_frames": 1}
    assert len(list(loader.show())) == 6


def test_metavision_file_by_count__ends_windows_at_its_last_timestamps(tmp_path):
    frames = np.arange(3 * 2 * 8 * 16).reshape(3, 2, 8, 16).astype("u1")
    changes = {"mode": "n_events", "n_events": 50, "store_as_uint8": True}
    path = metavision_file(tmp_path / "park.h5", frames, **changes)
    with h5py.File(path, "a") as file:
        file["last_timestamps"] = np.array([99, 99, 300])
    np.save(tmp_path / "park_bbox.npy", boxes_at([100, 101, 301]))
    (batch,) = SequentialLoader(path, array_dim=(3,), batch_size=1)
    np.testing.assert_array_equal(batch["inputs"][:, 0], (frames / 255).astype("f4"))
    assert [own[0]["t"].tolist() for own in batch["labels"]] == [[100], [], [101, 301]]
    with pytest.raises(UsageError, match="its windows are not of one duration; 10 µs are asked"):
        SequentialLoader(path, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event_input_width": None}, "data: attribute event_input_width is missing"),
        ({"delta_t": np.uint32(0)}, "data: its delta_t is 0 µs"),
        ({"events_to_tensor": None}, "its layout is None; 'evreel-features' is expected"),
    ],
)
def test_metavision_file_without_what_is_needed__is_named(tmp_path, changes, message):
    path = metavision_file(tmp_path / "park.h5", np.zeros((1, 2, 8, 16), "f4"), **changes)
    with pytest.raises(LayoutError, match=f"^park.h5: {message}"):
        SequentialLoader(path)


def test_frame__with_a_box_where_annotators_looked_is_labelled(tmp_path, monkeypatch):
    # They looked from 20 µs on; a box of then is of the window that ends there.
    spans = Spans(np.array([20, 60]), np.array([40, 70]))
    monkeypatch.setattr(sources_module, "labelled_of", lambda _: spans)
    file = numbered_file(tmp_path, 1, 7, [20, 45])
    common = {"array_dim": (7,), "batch_size": 1, "num_workers": 0}
    for load_labels in (None, load_boxes):
        (batch,) = SequentialLoader(file, load_labels=load_labels, **common)
        assert batch["frame_is_labeled"][:, 0].astype(int).tolist() == [0, 1, 1, 1, 0, 0, 1]
        assert [len(labels[0]) for labels in batch["labels"]] == [0, 1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("workers", [0, 2])
def test_recordings_without_boxes__are_counted_and_told_once(tmp_path, caplog, workers):
    files = [numbered_file(tmp_path, 1, 1, []), *(numbered_file(tmp_path, k, 1) for k in (2, 3))]
    loader = SequentialLoader(files, batch_size=3, num_workers=workers)
    assert len(list(loader)) == 1 and loader.counts == {"recordings_without_boxes": 2}
    list(loader)
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'r02_bbox.npy'}: is not there, so its recording has no")
    list(SequentialLoader(files, batch_size=3, load_labels=load_labels_stub))
    assert len(caplog.messages) == 1


def test_stream_without_boxes__is_told(tmp_path, caplog):
    store_of(tmp_path / "s.h5", random_events(50))
    live = {"representation": "histogram", "delta_t": 50_000, "num_workers": 0}
    list(StreamLoader(tmp_path / "s.h5", batch_size=1, **live))
    assert [line.split(": ")[0] for line in caplog.messages] == [str(tmp_path / "s_bbox.npy")]


def test_lanes_without_a_recording__are_told_when_a_loader_is_made(tmp_path, caplog):
    files = [numbered_file(tmp_path, k, 3, [5]) for k in (1, 2)]
    SequentialLoader(files, batch_size=2)
    MixedLoader(files, n_stream=2, n_random=5)
    assert not caplog.messages
    SequentialLoader(files)
    MixedLoader(files, n_stream=3, n_random=1)
    assert [line[:56] for line in caplog.messages] == [
        f"of {n} lanes that go on from batch to batch, {n - 2} have no rec" for n in (8, 3)
    ]


def test_repr__of_loaders_is_short_and_says_what_they_deliver(tmp_path):
    file = numbered_file(tmp_path, 1, 3, [5])
    loader = SequentialLoader(file, array_dim=(2,), batch_size=1, num_workers=0)
    for n, batch in enumerate(loader, 1):
        assert repr(loader) == (
            f"<SequentialLoader: 1 recording, batches of {batch['inputs'].shape} (T, N, C, H, W), "
            f"at batch {n} of epoch 0>"
        )
    mixed = repr(MixedLoader(file, n_stream=1, n_random=2))
    assert "1 recording, 1 stream, 2 of 1 random sequences, batches" in mixed


@pytest.mark.parametrize("options", [{}, {"split": "train"}, {"feature": "counts"}], ids=str)
@pytest.mark.parametrize("in_list", [False, True])
def test_path_that_is_not_there__is_named_first(tmp_path, options, in_list):
    gone = tmp_path / "demo-2.0"
    given = [gone] if in_list else str(gone)
    told = r"demo-2\.0: does not exist\. Give the folder that holds the release's manifest\.json"
    with pytest.raises(EvreelError, match=told):
        SequentialLoader(given, **options)
    if "feature" not in options:
        live = {"representation": "histogram", "delta_t": 10, **options}
        for kind in (SequentialLoader, StreamLoader):
            with pytest.raises(EvreelError, match=told):
                kind(given, **live)
        with pytest.raises(EvreelError, match=told):
            WindowsDataset(given, **options)


def test_recordings_of_two_sizes__are_told_how_to_get_one(tmp_path):
    for k, sensor in enumerate([(24, 32), (48, 64)]):
        store_of(tmp_path / f"r{k}.h5", random_events(200, sensor))
    live = {"representation": "histogram", "delta_t": 50_000, "num_workers": 0}
    with pytest.raises(ParameterError, match=r"features/<name>/geometry\), or .* array_dim=\(T, C"):
        list(SequentialLoader(tmp_path, batch_size=2, **live))
    resized = SequentialLoader(tmp_path, array_dim=(1, 2, 24, 32), batch_size=2, **live)
    assert next(iter(resized))["inputs"].shape == (1, 2, 2, 24, 32)
