"""Slices by number are those of the files: events, labels, boxes and times belong together."""

from __future__ import annotations

import operator
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from evreel import open_release
from evreel.errors import EvreelError, LayoutError, UsageError
from evreel.exports.aermanager import write_slices
from evreel.files.boxes import boxes_of_windows, read_boxes, write_boxes
from evreel.files.hdf5 import new_file
from evreel.files.slices import SlicesFile
from evreel.layout import BOX_DTYPE
from evreel.loaders.slices import RECORDS, SlicesDataset
from evreel.loaders.views import View
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from support.exports import made_in
from support.hdf5 import edited
from support.labelled import LABELS, labelled, sign, van
from support.releases import labelled_release

T_OFFSET = 1_600_000_000_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Slices with regions that overlap, tags, and boxes beside them."""
    return made_in(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return labelled_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """aermanager's folder of the same slices."""
    folder = tmp_path_factory.mktemp("aermanager") / "set"
    with SlicesFile(made.slices) as file:
        write_slices(file, folder / "park_0a1b2")
    return folder


def plain(item):
    """Return an item so that it compares as a whole."""
    return {
        name: (value.dtype.str, value.tolist()) if isinstance(value, np.ndarray) else value
        for name, value in item.items()
    }


def expected(path, boxes, k):
    """Return slice k by reading the whole file, event by event."""
    with SlicesFile(path) as file:
        events, roi = file.read()
        overlaps, windows = file.overlaps, file.windows
        rows = range(windows.start[k], windows.stop[k])
        start_us, stop_us = int(windows.start_us[k]), int(windows.stop_us[k])
        regions = {int(roi[row]) for row in rows} - {-1}
        regions |= {int(r) for e, r in zip(*overlaps, strict=True) if e in rows}
        frames = zip(*(column.tolist() for column in file.tags), strict=True)
        tags = {label for _, label, start, stop in frames if start < stop_us and stop > start_us}
        labels = sorted({int(file.rois.label[region]) for region in regions} | tags)
        spans = zip(*(column.tolist() for column in file.labelled), strict=True)
        first = start_us - 1 if k == 0 else start_us
        return {
            "recording": path.stem,
            "slice": k,
            **{name: getattr(events, name)[rows.start : rows.stop] for name in "txyp"},
            "roi": roi[rows.start : rows.stop],
            "event_labels": np.array(
                [-1 if roi[row] < 0 else file.rois.label[roi[row]] for row in rows], "i4"
            ),
            "labels": np.array(labels, "i8"),
            "tags": np.array(sorted(tags), "i8"),
            "label_names": tuple(file.labels[label] for label in labels),
            "boxes": boxes[[first < t <= stop_us for t in boxes["t"].tolist()]],
            "is_labelled": any(start < stop_us and stop > start_us for start, stop in spans),
            "start_us": start_us,
            "stop_us": stop_us,
            "sensor": tuple(file.sensor),
        }


def test_items__are_what_the_whole_file_says(made):
    slices = SlicesDataset(made.slices)
    boxes = read_boxes(made.folder / "park_bbox.npy")
    assert len(slices) == 5
    assert slices.label_names == ("car", "Süd")
    for k in (3, 0, 4, 1, 2, 0):
        assert plain(slices[k]) == plain(expected(made.slices, boxes, k))
    assert sum(len(item["boxes"]) for item in slices) == len(boxes) > 0
    assert {item["label_names"] for item in slices} >= {("car", "Süd"), ("car",)}


@pytest.mark.parametrize(
    ("seed", "window_us", "stops"),
    [(0, 17_000, (3, 10)), (1, 33_000, (10, 1, 4)), (2, 200_000, (2,))],
)
def test_items__of_random_slices_are_what_the_whole_file_says(tmp_path, seed, window_us, stops):
    tracks = [van(range(stop)) for stop in stops] + [sign((stops[0] - 1,))]
    path = labelled(tmp_path, *tracks, window_us=window_us).slices
    boxes = np.zeros(12, dtype=BOX_DTYPE)
    boxes["t"] = np.sort(np.random.default_rng(seed).integers(0, 100, 12) * 1_000)
    boxes["class_id"] = np.arange(12) % len(LABELS)
    write_boxes(tmp_path / "some_bbox.npy", boxes)
    with SlicesFile(path) as file:
        inside, first = boxes_of_windows(boxes, file.windows)
    slices = SlicesDataset(path)
    for k in range(len(slices)):
        known = plain(expected(path, boxes, k))
        assert plain(slices[k]) == known == plain(slices[k - len(slices)])
    counts = [len(item["boxes"]) for item in slices]
    assert counts == np.diff(first).tolist()
    assert sum(counts) == len(inside)


def test_boxes__are_of_each_slice_that_holds_them_where_slices_overlap(tmp_path):
    path = labelled(tmp_path).slices
    with edited(path) as file:  # every other slice begins in the one before
        file["slices/start_us"][1] = 5_000
    boxes = np.zeros(3, dtype=BOX_DTYPE)
    boxes["t"] = [5_000, 10_000, 30_000]
    write_boxes(tmp_path / "some_bbox.npy", boxes)
    slices = SlicesDataset(path)
    assert [item["boxes"]["t"].tolist() for item in slices][:2] == [
        [5_000, 10_000],
        [10_000, 30_000],
    ]


def test_index__is_a_lists(made):
    slices = SlicesDataset([made.slices, made.slices])
    items = [plain(item) for item in slices]
    assert len(items) == len(slices) == 10
    for k in range(-10, 10):
        assert plain(slices[k]) == items[k]
        assert plain(slices[np.int64(k)]) == items[k]
    for beyond in (10, -11):
        with pytest.raises(IndexError, match=f"no slice {beyond}; there are 0 to 9"):
            slices[beyond]
    with pytest.raises(TypeError):
        slices[0.5]


def test_index__skips_a_recording_without_slices(made, tmp_path):
    shutil.copyfile(made.slices, tmp_path / "none.h5")
    with edited(tmp_path / "none.h5") as file:
        for name in ("start", "stop", "start_us", "stop_us"):
            file[f"slices/{name}"].resize(0, axis=0)
    slices = SlicesDataset([tmp_path / "none.h5", made.slices, tmp_path / "none.h5"])
    assert [(item["recording"], item["slice"]) for item in slices] == [
        ("park", k) for k in range(5)
    ]


def test_arrays__of_an_item_can_be_written_to_and_change_nothing(made):
    slices = SlicesDataset(made.slices)
    before = plain(slices[1])
    for value in slices[1].values():
        if isinstance(value, np.ndarray):
            value[...] = 0
    assert plain(slices[1]) == before


def test_release__gives_the_slices_of_a_split_with_its_boxes(release):
    slices = SlicesDataset(release, split="train")
    working = release.parent / "built/park_slices.h5"
    boxes = read_boxes(release.parent / "built/park_bbox.npy")
    assert slices.label_names == ("pedestrian", "Straßenbahn")
    assert len(slices) == 5
    for k, item in enumerate(slices):
        assert plain(item) == plain(expected(working, boxes, k)) | {"recording": "park"}
    # Of 20 ms each, and annotators looked from 0 to 40 and from 50 to 80 ms.
    assert [item["is_labelled"] for item in slices] == [True, True, True, True, False]
    with open_release(release) as opened:
        for source in (opened, [opened.recordings["park"]]):
            assert [plain(item) for item in SlicesDataset(source)] == [plain(i) for i in slices]


def test_recordings__of_two_releases_may_have_one_name(made, release, tmp_path):
    one = SlicesDataset(release)
    plan = [PlanEntry("train/slices/park.h5", made.slices, "slices", "park", "train")]
    build(plan, tmp_path / "r", name="r", version="1", licence="CC0-1.0")
    with open_release(release) as opened, open_release(tmp_path / "r") as other:
        both = SlicesDataset([opened.recordings["park"], other.recordings["park"]])
        assert [plain(both[k])["t"] for k in (0, 5)] == [
            plain(one[0])["t"],
            plain(SlicesDataset(tmp_path / "r")[0])["t"],
        ]


def test_labels__of_a_data_set_say_which_slice_it_is(made, release, folder):
    for source in ([made.slices, release / "train" / "slices" / "park.h5"], folder):
        slices = SlicesDataset(source)
        items = list(slices)
        assert list(slices.labels) == ["recording", "slice", "start_us", "stop_us"]
        for name, values in slices.labels.items():
            assert values.tolist() == [item[name] for item in items]


def first_alone(item):
    return item["t"][0]


def test_digest__is_of_files_labels_and_transforms(made, release, folder, tmp_path):
    for path in (made.slices, made.folder / "park_bbox.npy"):
        shutil.copyfile(path, tmp_path / path.name)
    slices = SlicesDataset(tmp_path / "park.h5")
    first = slices.digest
    assert first == SlicesDataset(made.slices).digest == pickle.loads(pickle.dumps(slices)).digest
    others = [
        SlicesDataset(made.slices, labels=["Süd", "car"]),
        SlicesDataset(made.slices, transform=first_alone),
        SlicesDataset(made.slices, events_transform=first_alone),
        SlicesDataset(release),
        SlicesDataset(folder),
    ]
    (tmp_path / "park_bbox.npy").unlink()
    others.append(SlicesDataset(tmp_path / "park.h5"))
    assert len({first, *(other.digest for other in others)}) == 7


def test_view__of_slices_is_declared_in_yaml(made, release, tmp_path):
    base = SlicesDataset(release, split="train", labels=["Straßenbahn", "pedestrian"])
    View.from_indices(base, {"pair": [[0, 1], [3, 4]]}).materialize(tmp_path / "v")
    view = View.open(tmp_path / "v")
    view.validate()
    assert view.base.label_names == base.label_names
    assert view.labels["pair"]["start_us"].tolist() == [[0, 20_000], [60_000, 80_000]]
    assert plain(view[1]["pair"][0]) == plain(base[3])
    assert SlicesDataset(release, transform=first_alone).declared is None
    assert SlicesDataset(made.slices).declared is None


def test_release__without_slices_in_a_split_is_refused(release):
    with pytest.raises(UsageError, match="has no recording with slices in split 'test'"):
        SlicesDataset(release, split="test")
    with pytest.raises(UsageError, match="has no split 'trian'; did you mean 'train'"):
        SlicesDataset(release, split="trian")


def test_release__stays_open_for_others_after_its_slices_are_closed(release):
    with open_release(release) as opened:
        file = opened.recordings["park"].slices
        slices = SlicesDataset(opened)
        slices[0]
        slices.close()
        assert file.is_open
        assert len(slices[0]["t"]) > 0
        opened.close()
        assert len(slices[0]["t"]) > 0


def test_labels__of_files_that_number_them_otherwise_are_the_data_sets(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = labelled(tmp_path / "one").slices
    two = tmp_path / "two" / "two.h5"
    shutil.copyfile(labelled(tmp_path / "two", van(), sign()).slices, two)
    with edited(two) as file:  # van and the sign are called by each other's name
        file["labels/name"][:2] = ["車両", "van"]
    boxes = np.zeros(2, dtype=BOX_DTYPE)
    boxes["t"], boxes["class_id"] = [5, 6], [0, 1]
    for path in (one, two):
        write_boxes(path.with_name(f"{path.stem}_bbox.npy"), boxes)
    slices = SlicesDataset([one, two])
    assert slices.label_names == ("van", "車両", "busy", "nobody")
    first, second = slices[0], slices[5]
    assert first["label_names"] == ("van",)
    assert second["label_names"] == ("車両",)
    assert first["event_labels"].tolist() == [0, -1, -1, 0, -1, -1]
    assert second["event_labels"].tolist() == [1, -1, -1, 1, -1, -1]
    assert first["boxes"]["class_id"].tolist() == [0, 1]
    assert second["boxes"]["class_id"].tolist() == [1, 0]
    stated = SlicesDataset([one, two], labels=["busy", "nobody", "車両", "van"])
    assert stated[0]["labels"].tolist() == [3]
    assert stated[2]["labels"].tolist() == [0, 2, 3]
    assert stated[2]["tags"].tolist() == [0]
    with pytest.raises(LayoutError, match=r"one|some\.h5: has label 'van', which is not listed"):
        SlicesDataset(one, labels=["car"])[0]


def test_box__of_a_class_without_a_name_is_refused(made, tmp_path):
    shutil.copyfile(made.slices, tmp_path / "park.h5")
    boxes = np.zeros(1, dtype=BOX_DTYPE)
    boxes["class_id"] = 7
    write_boxes(tmp_path / "park_bbox.npy", boxes)
    slices = SlicesDataset(tmp_path / "park.h5")
    with pytest.raises(LayoutError, match=r"park\.h5: a box is of class 7, which has no name"):
        slices[0]


def test_folder__of_aermanager_has_the_same_slices(made, folder):
    slices, own = SlicesDataset(folder), SlicesDataset(made.slices)
    assert len(slices) == len(own) == 5
    assert slices.label_names == own.label_names
    for one, other in zip(slices, own, strict=True):
        assert one["recording"] == "park_0a1b2"
        np.testing.assert_array_equal(one["t"] - T_OFFSET, other["t"])
        for name in ("x", "y", "p", "roi", "event_labels", "labels"):
            np.testing.assert_array_equal(one[name], other[name])
            assert one[name].dtype == other[name].dtype
        assert one["label_names"] == other["label_names"]
        assert (one["start_us"] - T_OFFSET, one["stop_us"] - T_OFFSET) == (
            other["start_us"],
            other["stop_us"],
        )
        assert one["sensor"] == other["sensor"] == (48, 64)
        assert one.keys() == other.keys()
    assert plain(slices[-1]) == plain(slices[4])


def test_folder__that_aermanager_itself_wrote_is_read(tmp_path):
    at = tmp_path / "set" / "rec_aaaaa"
    at.mkdir(parents=True)
    for k, events in ((0, 3), (1, 0), (10, 2)):
        # The first has no seal, as any file of another program.
        with h5py.File(at / "0.h5", "w") if k == 0 else new_file(at / f"{k}.h5") as file:
            file["frame"] = np.zeros((2, 5, 6), "u2")
            file["frame_size"] = np.array([2, 5, 6])
            for name, kind in (("x", "u2"), ("y", "u2"), ("t", "u8"), ("p", "?")):
                file[f"spikes/{name}"] = np.arange(events).astype(kind)
            file["spikes/id"] = np.array([np.nan, 9, 4][:events])
            file["label"] = ["dog", "cat"] if events else np.zeros(0)
            file["labels_lut/id"] = ["cat", "__Empty_Default__", "dog"]
            file["labels_lut/label"] = [2, 0, 1]
            file["rois/id"] = [9, 4]
            file["rois/label"] = ["cat", "dog"]
    with pytest.raises(UsageError, match=r"0\.h5: is one slice of aermanager's.* Give its folder"):
        SlicesDataset(at / "0.h5")
    slices = SlicesDataset(tmp_path / "set")
    assert slices.label_names == ("dog", "cat")
    first, empty, last = slices
    assert first["roi"].tolist() == [-1, 0, 1]
    assert first["event_labels"].tolist() == [-1, 1, 0]
    assert first["label_names"] == ("dog", "cat")
    assert (first["start_us"], first["stop_us"]) == (0, 3)
    assert (empty["start_us"], empty["stop_us"], empty["label_names"]) == (0, 0, ())
    assert (first["is_labelled"], empty["is_labelled"]) == (True, False)
    assert len(last["t"]) == 2  # 10 comes after 1


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("spikes/x", 70_000, "spikes/x is 70000 in row 0; 0 to 63 are allowed"),
        ("spikes/y", np.nan, "spikes/y is nan in row 0; 0 to 47 are allowed"),
        ("spikes/p", -1, "spikes/p is -1 in row 0; 0 to 1 are allowed"),
        ("spikes/t", 0.5, "spikes/t is 0.5 in row 0"),
        ("frame_size", -1, "frame_size: a sensor of height -1 and width -1 is outside"),
        ("frame_size", 0.5, "frame_size: a sensor's height of 0.5 is not a whole number"),
    ],
)
def test_slice__of_aermanager_with_other_values_is_refused(folder, tmp_path, name, values, says):
    shutil.copytree(folder, tmp_path / "set")
    with h5py.File(tmp_path / "set/park_0a1b2/1.h5", "r+") as file:
        n = len(file[name])
        del file[name]
        file[name] = np.full(n, values)
    slices = SlicesDataset(tmp_path / "set")
    assert len(slices[0]["t"]) > 0
    with pytest.raises(LayoutError, match=rf"1\.h5: {says}"):
        slices[1]


def test_folder__of_recordings_with_numbers_as_names_is_evreels(made, tmp_path):
    shutil.copyfile(made.slices, tmp_path / "2.h5")
    (tmp_path / "1.h5").write_bytes(b"damaged")
    assert len(SlicesDataset(tmp_path, on_damage="skip")) == 5
    with pytest.raises(LayoutError, match=r"1\.h5: cannot be opened"):
        SlicesDataset(tmp_path / "1.h5")


def test_transforms__get_the_item_and_the_events_as_records(made):
    whole = SlicesDataset(made.slices)[2]
    slices = SlicesDataset(
        made.slices,
        transform=operator.itemgetter("events", "labels"),
        events_transform=lambda events: events[::2],
    )
    events, labels = slices[2]
    assert events.dtype == RECORDS
    for name in ("t", "x", "y", "p", "roi"):
        assert events[name].tolist() == whole[name][::2].tolist()
    assert labels.tolist() == whole["labels"].tolist()
    assert "t" not in SlicesDataset(made.slices, events_transform=len)[2]


@pytest.mark.parametrize("of", ["made", "folder"])
def test_records__keep_the_label_of_each_event_whatever_a_transform_does(of, request):
    source = request.getfixturevalue(of)
    source = getattr(source, "slices", source)
    plain_slices = SlicesDataset(source, labels=["Süd", "car"])
    for change in (lambda e: e[::-1].copy(), lambda e: e[e["p"] == 1], lambda e: e[:0]):
        changed = SlicesDataset(source, labels=["Süd", "car"], events_transform=change)
        for k, whole in enumerate(plain_slices):
            item = changed[k]
            assert not {"t", "x", "y", "p", "roi", "event_labels"} & item.keys()
            columns = [whole[name].tolist() for name in ("t", "x", "y", "p", "roi")]
            label_of = dict(zip(zip(*columns, strict=True), whole["event_labels"], strict=True))
            for *row, label in item["events"].tolist():
                assert label_of[tuple(row)] == label
            label_of_roi = changed.label_of_roi(k)
            assert label_of_roi[whole["roi"]].tolist() == whole["event_labels"].tolist()
            assert label_of_roi[-1] == -1 and label_of_roi.dtype == np.int32
    assert {label for item in plain_slices for label in item["event_labels"].tolist()} == {-1, 0, 1}
    with pytest.raises(IndexError, match=r"no slice 5; there are 0 to 4"):
        plain_slices.label_of_roi(5)


def test_pickle__has_no_open_files_and_gives_the_same(made, folder, release):
    with open_release(release) as opened:
        for source in (made.slices, folder, release, opened):
            slices = SlicesDataset(source)
            before = [plain(item) for item in slices]
            again = pickle.loads(pickle.dumps(slices))
            assert [plain(item) for item in again] == before


def test_process__that_is_forked_opens_files_of_its_own(made):
    slices = SlicesDataset(made.slices)
    before = plain(slices[1])
    child = os.fork()
    if not child:
        os._exit(0 if plain(slices[1]) == before else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert plain(slices[1]) == before


def test_threads__read_the_same_at_once(made, release):
    for source in (made.slices, release):
        slices = SlicesDataset(source)
        before = [plain(item) for item in slices]
        with ThreadPoolExecutor(4) as pool:
            found = list(map(plain, pool.map(slices.__getitem__, [*range(5)] * 4)))
        assert found == before * 4


def test_rows__of_other_slices_are_not_read(made, monkeypatch):
    asked = []
    read = SlicesFile.read
    monkeypatch.setattr(
        SlicesFile,
        "read",
        lambda self, start=0, stop=None: asked.append((start, stop)) or read(self, start, stop),
    )
    slices = SlicesDataset(made.slices)
    item = slices[3]
    with SlicesFile(made.slices) as file:
        rows = int(file.windows.start[3]), int(file.windows.stop[3])
    assert asked == [rows]
    assert len(item["t"]) == rows[1] - rows[0]


@pytest.mark.parametrize("kind", ["slices", "aermanager"])
def test_damage__of_a_recording_is_named_or_skipped_and_counted(made, folder, tmp_path, kind):
    if kind == "slices":
        for name in ("a", "b", "c"):
            shutil.copyfile(made.slices, tmp_path / f"{name}.h5")
        bad = tmp_path / "b.h5"
    else:
        for name in ("a", "b", "c"):
            shutil.copytree(folder / "park_0a1b2", tmp_path / name)
        bad = tmp_path / "b" / "0.h5"
    bad.write_bytes(bad.read_bytes()[:900])
    with pytest.raises(LayoutError, match=bad.name):
        SlicesDataset(tmp_path)
    slices = SlicesDataset(tmp_path, on_damage="skip")
    assert slices.counts == {"skipped_recordings": 1}
    assert [item["recording"] for item in slices] == ["a"] * 5 + ["c"] * 5


def test_file__that_is_missing_is_named_or_skipped_and_counted(made, release, tmp_path):
    shutil.copytree(release, tmp_path / "parks")
    (tmp_path / "parks/train/slices/park.h5").unlink()
    for source, name in (([made.slices, "gone.h5"], "gone.h5"), (tmp_path / "parks", "park.h5")):
        with pytest.raises(EvreelError, match=name):
            SlicesDataset(source)
        slices = SlicesDataset(source, on_damage="skip")
        assert slices.counts == {"skipped_recordings": 1}
        assert len(slices) == (5 if name == "gone.h5" else 0)


def test_damage__of_rows_is_named_and_never_another_slice(release, tmp_path):
    copied = tmp_path / "parks-2.0"
    shutil.copytree(release, copied)
    path = copied / "train/slices/park.h5"
    with h5py.File(path) as file:
        chunk = file["events/x"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0x10
    path.write_bytes(content)
    slices = SlicesDataset(copied, on_damage="skip")
    with pytest.raises(LayoutError, match=r"park\.h5: rows .* cannot be read"):
        slices[1]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "there are no slices"),
        ("nowhere", {}, "nowhere"),
        (".", {}, "has no slices"),
        ("nowhere", {"on_damage": "ignore"}, "on_damage='ignore' is not one of fail, skip"),
        ("nowhere", {"split": "train"}, "nowhere: does not exist"),
        (".", {"split": "train"}, "split='train' is for a release"),
        (None, {}, "slices are of a release, of files or of a folder, not of None"),
        (".", {"labels": "car"}, "labels='car' is not a list of names"),
        (".", {"labels": [1]}, r"labels=\[1\] is not a list of names"),
    ],
)
def test_source__that_has_no_slices_is_refused(tmp_path, monkeypatch, given, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvreelError, match=message):
        SlicesDataset(given, **options)


def test_folder__of_slices_files_is_read_by_name(made, tmp_path):
    for name in ("b", "a"):
        shutil.copyfile(made.slices, tmp_path / f"{name}.h5")
    slices = SlicesDataset(tmp_path)
    assert [item["recording"] for item in slices] == ["a"] * 5 + ["b"] * 5
    assert repr(slices) == "<10 slices of 2 recordings>"


def test_build__of_a_release_of_slices_alone_is_enough(made, tmp_path):
    entry = PlanEntry("train/slices/park.h5", made.slices, "slices", "park", "train")
    build([entry], tmp_path / "r", name="r", version="1", licence="CC0-1.0")
    slices = SlicesDataset(tmp_path / "r")
    assert slices.label_names == ("car", "Süd")
    assert len(slices[0]["boxes"]) == 0
