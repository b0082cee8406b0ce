"""Samples of a release, or of plain files, as events and as frames with their labels."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import (
    EvreelError,
    LayoutError,
    ReleaseError,
    RepresentationError,
    UsageError,
)
from evreel.events import Events, Sensor
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.geometry import Geometry
from evreel.loaders.frames import FramesDataset, structured
from evreel.loaders.views import View
from evreel.release.open import Release, open_release
from evreel.representations import Feature, Histogram
from support import random_events, shared_file
from support.releases import SAMPLES_OF_TOWN, labelled_release
from support.samples import CLASSES, events_of, sample_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_release(tmp_path_factory.mktemp("release"), "fast")


@pytest.fixture(scope="module")
def parts():
    return [random_events(n, (10, 14), 5_000, seed=n) for n in (400, 900, 7, 100)]


@pytest.fixture(scope="module")
def files(tmp_path_factory, parts):
    splits = ("train", "test", "train", "train")
    return sample_files(tmp_path_factory.mktemp("plain"), parts, splits=splits)


def counted(events: Events, start: int, stop: int) -> np.ndarray:
    """Count events one by one: what frames are, written out."""
    frame = np.zeros((2, *events.sensor), np.float32)
    for row in range(start, stop):
        frame[events.p[row], events.y[row], events.x[row]] += 1
    return frame


def test_events__are_the_samples_rows_with_times_from_its_start(files, parts):
    dataset = FramesDataset([files])
    assert len(dataset) == 4
    for (events, label), part, k in zip(dataset, parts, range(4), strict=True):
        assert label == k % 3 and type(label) is int
        assert [events[name].dtype.name for name in "txyp"] == [
            "int64",
            "uint16",
            "uint16",
            "uint8",
        ]
        for name in "txyp":
            np.testing.assert_array_equal(events[name], getattr(part, name))
            events[name][...] = 0  # the caller's own


def test_release__gives_events_and_labels_of_a_split(folder):
    dataset = FramesDataset(folder, "train")
    store = EventsStore(next(folder.glob("*/events/town.h5")))
    of = SAMPLES_OF_TOWN
    assert [row.sample for row in dataset.samples] == ["a", "c"]
    assert dataset.classes == ("pedestrian", "Straßenbahn")
    assert dict(dataset.class_to_idx) == {"pedestrian": 0, "Straßenbahn": 1}
    for (events, label), k in zip(dataset, (0, 2), strict=True):
        expected = store.read_us(of.start_us[k], of.stop_us[k])
        np.testing.assert_array_equal(events["t"], expected.t - of.start_us[k])
        np.testing.assert_array_equal(events["x"], expected.x)
        assert len(expected) > 100 and label == 0
    assert FramesDataset(folder).targets.tolist() == [0, 1, 0]
    assert FramesDataset(folder, "test")[0][1] == 1


def without(folder: Path, copy: Path, name: str) -> Path:
    """Copy a release without one of its files."""
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["path"] != name]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    (copy / name).unlink()
    return copy


def test_samples__are_found_without_a_samples_file_and_without_a_table(folder, tmp_path):
    expected = FramesDataset(folder)
    without_table = FramesDataset(without(folder, tmp_path / "a", "samples.tsv"))
    assert without_table.samples == expected.samples
    without_file = FramesDataset(without(folder, tmp_path / "b", "mixed/samples/town.h5"))
    for dataset in (without_table, without_file):
        for (events, _), (others, _) in zip(dataset, expected, strict=True):
            np.testing.assert_array_equal(events["t"], others["t"])


def test_labels__are_known_without_opening_a_file(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "r")
    for path in copy.rglob("town.h5"):
        path.unlink()
    dataset = FramesDataset(copy)
    assert dataset.targets.tolist() == [0, 1, 0] and dataset.targets.dtype == np.int64
    with pytest.raises(ReleaseError, match="is missing, but the manifest lists it"):
        dataset[0]


def test_none__is_the_label_of_a_sample_without_class(tmp_path):
    parts = [events_of([0, 5])] * 2
    dataset = FramesDataset([sample_files(tmp_path, parts, labels=("", "wave"))])
    assert dataset.targets.tolist() == [-1, 1] and dataset[0][1] == -1


def test_spikingjelly__frames_are_equal_where_it_makes_any(tmp_path):
    cases = json.loads(shared_file("oracles/spikingjelly.json").read_text())["cases"]
    made = refused = 0
    datasets = {}
    with np.load(shared_file("oracles/spikingjelly.npz")) as file:
        arrays = dict(file)
    inputs = {}
    for name in {case["input"] for case in cases}:
        t, x, y, p = (arrays[f"in/{name}/{c}"].astype(np.int64) for c in "txyp")
        is_legal = (x < 14).all() and (y < 10).all() and (p >= 0).all() and (np.diff(t) >= 0).all()
        if is_legal:
            inputs[name] = Events(t - t.min(initial=0), x, y, p, Sensor(10, 14))
    files = [sample_files(tmp_path, list(inputs.values()))]
    for case in cases:
        if case["input"] not in inputs:
            continue
        if "frames_num" in case:
            asked = {"frames_number": case["frames_num"], "split_by": case["split_by"]}
        else:
            asked = {"duration": case["duration"]}
        key = tuple(asked.items())
        datasets[key] = datasets.get(key) or FramesDataset(files, **asked)
        frames, _ = datasets[key][list(inputs).index(case["input"])]
        assert frames.dtype == np.float32 and frames.sum() == len(inputs[case["input"]])
        if "error" in case:
            refused += 1
            continue
        np.testing.assert_array_equal(frames, arrays[f"out/{case['id']}"], err_msg=str(case))
        made += 1
    assert made > 20 and refused > 3


@pytest.mark.parametrize(
    ("t", "duration", "per_frame"),
    [
        ([0, 5, 10, 15, 20], 10, [2, 3]),  # the event at the end of the last frame is in it
        ([0, 5, 10, 15, 21], 10, [2, 2, 1]),
        ([3, 5, 12], 10, [3]),  # frames begin at the first event
        ([7], 10, [1]),
        ([7, 7, 7], 10, [3]),
        ([], 10, [0]),
        ([0, 30], 10, [1, 0, 1]),
    ],
)
def test_duration__divides_from_the_first_event_and_folds_the_last(
    tmp_path, t, duration, per_frame
):
    parts = [events_of([0]), events_of(t), events_of([0])]
    dataset = FramesDataset([sample_files(tmp_path, parts)], duration=duration)
    assert dataset[1][0].sum((1, 2, 3)).tolist() == per_frame


@pytest.mark.parametrize(
    ("t", "split_by", "per_frame"),
    [
        ([0, 1, 2, 3, 4, 5, 6], "number", [2, 2, 3]),
        ([0, 1, 2, 3, 4, 5, 100], "time", [6, 0, 1]),
        ([0, 1], "number", [0, 0, 2]),
        ([5], "time", [0, 0, 1]),
        ([], "time", [0, 0, 0]),
        ([], "number", [0, 0, 0]),
    ],
)
def test_frames_number__gives_the_last_frame_all_the_rest(tmp_path, t, split_by, per_frame):
    parts = [events_of([0]), events_of(t), events_of([0])]
    files = [sample_files(tmp_path, parts)]
    dataset = FramesDataset(files, frames_number=3, split_by=split_by)
    frames, _ = dataset[1]
    assert frames.shape == (3, 2, 10, 14) and frames.dtype == np.float32
    assert frames.sum((1, 2, 3)).tolist() == per_frame


@settings(max_examples=3, deadline=None)
@given(
    every=st.lists(st.lists(st.integers(0, 60), max_size=30).map(sorted), min_size=3, max_size=9),
    number=st.integers(1, 9),
    duration=st.integers(1, 70),
)
def test_frames__hold_every_event_once_in_order(tmp_path_factory, every, number, duration):
    parts = [events_of(t) for t in [*every, [0]]]
    files = [sample_files(tmp_path_factory.mktemp("any"), parts)]
    for asked in (
        {"frames_number": number, "split_by": "number"},
        {"frames_number": number, "split_by": "time"},
        {"duration": duration},
    ):
        for (frames, _), events in zip(FramesDataset(files, **asked), parts, strict=True):
            n = frames.sum((1, 2, 3)).astype(int)
            edges = np.concatenate([[0], np.cumsum(n)])
            assert edges[-1] == len(events)
            for frame, (start, stop) in zip(frames, pairwise(edges.tolist()), strict=True):
                np.testing.assert_array_equal(frame, counted(events, start, stop))


def test_function__gets_events_and_size_and_its_frames_become_float32(files, parts):
    seen = []

    def integrate(events, height, width):
        seen.append((events, height, width))
        frames = np.zeros((2, 2, height, width))
        frames[0, 1, 3, 4] = len(events["t"])
        return frames

    dataset = FramesDataset([files], custom_integrate_function=integrate)
    frames, label = dataset[2]
    assert frames.dtype == np.float32 and frames[0, 1, 3, 4] == len(parts[2]) and label == 2
    [(events, height, width)] = seen
    assert (height, width) == (10, 14)
    np.testing.assert_array_equal(events["t"], parts[2].t)


def test_function__that_fails_is_told_with_its_line_and_the_sample(files):
    def fails(events, height, width):
        raise KeyError("q")

    with pytest.raises(RepresentationError, match=r"line \d+: .*sample 's1': KeyError: 'q'"):
        FramesDataset([files], custom_integrate_function=fails)[1]
    with pytest.raises(RepresentationError, match="returned <U1 \\(\\)"):
        FramesDataset([files], custom_integrate_function=lambda e, h, w: "a")[0]


def test_feature__gives_the_frames_of_the_samples_windows(folder):
    dataset = FramesDataset(folder, feature="counts")
    with FeaturesFile(next(folder.glob("*/counts/town.h5"))) as file:
        bounds = file.samples.bounds.tolist()
        for (frames, label), rows, k in zip(dataset, pairwise(bounds), (0, 1, 0), strict=True):
            np.testing.assert_array_equal(frames, file[slice(*rows)])
            assert frames.dtype == file.dtype and len(frames) in (2, 3) and label == k
    path, cut = (next(folder.glob(f"*/{kind}/town.h5")) for kind in ("counts", "samples"))
    plain = FramesDataset([(path, cut)])
    np.testing.assert_array_equal(plain[2][0], dataset[2][0])
    assert plain.sensor_size == (32, 24, 2)


def test_representation__is_what_frames_are_made_of(files, parts):
    counts, _ = FramesDataset([files], frames_number=2)[1]
    for named, dtype in (("histogram", np.uint16), (Histogram("uint8"), np.uint8)):
        histogram, _ = FramesDataset([files], frames_number=2, representation=named)[1]
        assert histogram.dtype == dtype
        np.testing.assert_array_equal(histogram, counts)
    half = Feature(Histogram(), Geometry(crop=(0, 0, 7, 10)))
    cropped, _ = FramesDataset([files], duration=5_000, representation=half)[1]
    np.testing.assert_array_equal(cropped, counts.sum(0, keepdims=True)[..., :7])


def test_structured__is_one_array_for_tonic(files, parts):
    dataset = FramesDataset([files], structured=True)
    events, _ = dataset[1]
    assert events.dtype.names == ("x", "y", "t", "p") and dataset.sensor_size == (14, 10, 2)
    for name in "xytp":
        assert events[name].dtype == np.int64
        np.testing.assert_array_equal(events[name], getattr(parts[1], name))
    np.testing.assert_array_equal(structured(parts[1]), events)


def test_transforms__are_applied_to_item_and_label(files):
    dataset = FramesDataset(
        [files],
        frames_number=2,
        transform=lambda frames: frames.sum(),
        target_transform=lambda label: CLASSES[label],
    )
    assert dataset[1] == (900.0, "wave")
    assert dataset.targets.tolist() == [0, 1, 2, 0]


def test_index__may_be_negative_or_numpys_and_is_checked(files):
    dataset = FramesDataset([files], frames_number=1)
    assert dataset[-1][0].sum() == dataset[np.int64(3)][0].sum() == 100
    for wrong in (4, -5):
        with pytest.raises(IndexError, match=f"no sample {wrong}; there are 0 to 3"):
            dataset[wrong]
    with pytest.raises(TypeError):
        dataset[:2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_type": "events"}, "is not one of event, frame; did you mean 'event'"),
        ({"data_type": "frame"}, "does not say which frames. Give frames_number"),
        ({"data_type": "event", "frames_number": 2}, "contradicts"),
        ({"frames_number": 2, "duration": 5}, "frames_number and duration each say"),
        ({"frames_number": 0}, "frames_number=0 is not a whole number of 1 or more"),
        ({"duration": 2**60}, "duration=1152921504606846976 is more than 9007199254740992"),
        ({"frames_number": True}, "frames_number=True is not a whole number"),
        ({"frames_number": 2, "split_by": "count"}, "is not one of number, time"),
        ({"split_by": "time"}, "goes with frames_number"),
        ({"duration": 2.5}, "duration=2.5 is not a whole number"),
        ({"duration": -1}, "duration=-1 is not a whole"),
        ({"custom_integrate_function": "f"}, "is str, not a function"),
        ({"representation": "histogram"}, "goes with frames_number or duration"),
        ({"frames_number": 2, "representation": "histogran"}, "Did you mean 'histogram'"),
        ({"frames_number": 2, "representation": 5}, "representation is int"),
        ({"frames_number": 2, "structured": True}, "is about events"),
        ({"feature": "counts"}, "is of a release, but plain files are given"),
        ({"on_damage": "ignore"}, "is not one of fail, skip"),
        ({"cache": True}, "cache=True is not a folder"),
        ({"cache": ""}, "cache='' is not a folder"),
        ({"split": "tran"}, "no sample of split 'tran'; did you mean 'train'"),
    ],
)
def test_arguments__that_do_not_go_together_are_an_error(files, arguments, message):
    with pytest.raises(UsageError, match=message):
        FramesDataset([files], **arguments)


def test_source__of_another_kind_is_an_error(folder, files, tmp_path):
    with pytest.raises(UsageError, match="neither a release nor plain files"):
        FramesDataset(5)
    with pytest.raises(UsageError, match="neither a release nor plain files"):
        FramesDataset([])
    with pytest.raises(UsageError, match="no feature 'count'; did you mean 'counts'"):
        FramesDataset(folder, feature="count")
    with pytest.raises(ReleaseError, match="does not exist"):
        FramesDataset(tmp_path / "no")
    with pytest.raises(LayoutError, match="its layout is 'evreel-samples'"):
        FramesDataset([(files[1], files[1])])
    with pytest.raises(LayoutError, match="cannot be opened"):
        FramesDataset([(tmp_path / "no.h5", files[1])])
    assert len(FramesDataset(files)) == 4  # one pair alone


def test_samples_file__of_another_recording_is_an_error(files, tmp_path):
    other = sample_files(tmp_path, [events_of([0, 9])])
    with pytest.raises(LayoutError, match="of the same recording"):
        FramesDataset([(files[0], other[1])])[0]
    ends = sample_files(tmp_path / "b", [events_of([0, 9]), events_of([0, 9])], gap_us=5)
    alike = sample_files(tmp_path / "c", [events_of([0, 3]), events_of([0, 2, 15])], gap_us=5)
    with pytest.raises(LayoutError, match="sample 's0': rows 0 to 2 are 2 events from 0 to 9 µs"):
        FramesDataset([(ends[0], alike[1])])[0]


def test_table__that_contradicts_the_samples_file_is_an_error(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "r")
    table = copy / "samples.tsv"
    release = open_release(folder)
    rows = [row._replace(stop_us=row.stop_us + 1) for row in release.samples]
    wrong = Release(folder, release.manifest)
    wrong.__dict__["samples"] = tuple(rows)
    assert table.exists()
    with pytest.raises(ReleaseError, match="sample 'a': is from 0 to 20001 µs by the table"):
        FramesDataset(wrong)[0]


def test_damage__is_told_with_file_and_place_or_skipped_and_counted(tmp_path, files, parts):
    good = sample_files(tmp_path / "good", parts[:2], name="good")
    lost = sample_files(tmp_path / "lost", parts[:3], name="lost")
    lost[0].unlink()
    big = [random_events(70_000, (10, 14), 50_000, seed=k) for k in range(3)]
    torn = sample_files(tmp_path / "torn", big, name="torn")
    content = bytearray(torn[0].read_bytes())
    with EventsStore(torn[0]) as store:
        chunk = store.columns[1].id.get_chunk_info(2)
    content[chunk.byte_offset + 20] ^= 0xFF
    torn[0].write_bytes(content)
    every = [good, lost, torn]
    dataset = FramesDataset(every)
    assert len(dataset) == 8 and set(dataset.counts.values()) == {0}
    with pytest.raises(LayoutError, match=r"lost\.h5: cannot be opened"):
        dataset[2]
    with pytest.raises(LayoutError, match=r"torn\.h5: rows .* cannot be read"):
        dataset[7]
    kept = FramesDataset(every, on_damage="skip", frames_number=1)
    assert kept.counts == {
        "skipped_recordings": 1,
        "skipped_samples": 5,
        "damaged_in_cache": 0,
    }
    assert [(row.recording, row.sample) for row in kept.samples] == [
        ("good", "s0"),
        ("good", "s1"),
        ("torn", "s0"),
    ]
    assert [frames.sum() for frames, _ in kept] == [400, 900, 70_000]


def test_damage__of_a_release_is_skipped_by_recording(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "r")
    next(copy.glob("*/events/town.h5")).unlink()
    dataset = FramesDataset(copy, on_damage="skip")
    assert len(dataset) == 0
    assert (dataset.counts["skipped_recordings"], dataset.counts["skipped_samples"]) == (1, 3)
    assert len(FramesDataset(copy, feature="sums", on_damage="skip")) == 3
    bare = without(folder, tmp_path / "bare", "samples.tsv")
    next(bare.glob("*/samples/town.h5")).write_bytes(b"nothing")
    with pytest.raises(EvreelError):
        FramesDataset(bare)
    assert FramesDataset(bare, on_damage="skip").counts["skipped_recordings"] == 1


def test_view__takes_it_as_a_base(folder, files, tmp_path):
    dataset = FramesDataset([files], frames_number=2)
    view = View.from_indices(dataset, {"pair": [[0, 1], [1, 2]]})
    assert view.labels["pair"]["label"].tolist() == [[0, 1], [1, 2]]
    np.testing.assert_array_equal(view[1]["pair"][0][0], dataset[1][0])
    np.save(tmp_path / "whole.npy", [1, 0])
    (tmp_path / "r").symlink_to(folder)
    lines = (
        "layout: evreel-view",
        "layout_version: 1",
        "base: {loader: samples, release: r, arguments: {split: train, frames_number: 2}}",
        "views: {whole: whole.npy}",
    )
    (tmp_path / "view.yaml").write_text("\n".join(lines))
    frames, label = View.open(tmp_path)[0]["whole"]
    assert frames.shape == (2, 2, 24, 32) and label == 0


def test_digest__is_another_one_for_other_items(folder, files, tmp_path):
    def with_gain(gain):
        return lambda item: item * gain

    every = [
        FramesDataset([files]),
        FramesDataset([files], "train"),
        FramesDataset([files], structured=True),
        FramesDataset([files], frames_number=2),
        FramesDataset([files], duration=2),
        FramesDataset([files], frames_number=2, transform=with_gain(2)),
        FramesDataset([files], frames_number=2, transform=with_gain(3)),
        FramesDataset([files], frames_number=2, target_transform=with_gain(3)),
        FramesDataset([sample_files(tmp_path, [events_of([0])])]),
        FramesDataset(folder),
        FramesDataset(folder, feature="counts"),
        FramesDataset(folder, feature="sums"),
    ]
    assert len({dataset.digest for dataset in every}) == len(every)
    assert FramesDataset([files]).digest == every[0].digest
    assert FramesDataset(open_release(folder), feature="sums").digest == every[-1].digest
    path, cut = (next(folder.glob(f"*/{kind}/town.h5")) for kind in ("sums", "samples"))
    assert FramesDataset((path, cut)).digest == every[-1].digest


def test_pickle__drops_open_files_and_keeps_the_items(folder, files):
    for dataset in (FramesDataset(folder), FramesDataset([files], "train", frames_number=3)):
        expected = dataset[1]
        again = pickle.loads(pickle.dumps(dataset))
        assert again.samples == dataset.samples
        np.testing.assert_equal(again[1], expected)


def test_threads__may_share_a_data_set(files):
    dataset = FramesDataset([files], frames_number=2)
    expected = [dataset[k][0] for k in range(4)]
    wrong = []

    def read(seed):
        for k in np.random.default_rng(seed).integers(0, 4, 20):
            if not np.array_equal(dataset[int(k)][0], expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_rows__of_other_samples_are_not_read(files, monkeypatch):
    dataset = FramesDataset([files])
    asked = []
    read = EventsStore.read
    monkeypatch.setattr(
        EventsStore, "read", lambda self, *rows: asked.append(rows) or read(self, *rows)
    )
    dataset[1]
    assert asked == [(400, 1300)]


def test_exchanged__plain_files_are_read_again(tmp_path):
    first = sample_files(tmp_path, [events_of([0, 5, 9], seed=1)])
    dataset = FramesDataset([first], frames_number=1)
    before, _ = dataset[0]
    second = sample_files(tmp_path / "new", [events_of([0, 5, 9], seed=2)])
    Path(second[0]).replace(first[0])
    after, _ = dataset[0]
    assert not np.array_equal(before, after)


def test_labels__that_differ_between_plain_files_are_an_error(files, tmp_path):
    other = sample_files(tmp_path, [events_of([0])], name="town", classes=("wave", "clap"))
    with pytest.raises(UsageError, match="'town' are wave, clap; those of 'park' are clap, wave"):
        FramesDataset([files, other])


def test_split__without_events_in_another_split_is_read(folder, tmp_path):
    manifest = open_release(folder).manifest
    release = Release(folder, manifest)
    others = [row._replace(recording="park", split="val") for row in release.samples]
    release.__dict__["samples"] = (*release.samples, *others)
    release.recordings["park"].kinds = ()
    assert len(FramesDataset(release, "train")) == 2
    with pytest.raises(UsageError, match=r"has no events of recording 'park'.*release.include"):
        FramesDataset(release, "val")
