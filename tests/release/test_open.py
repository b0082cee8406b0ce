"""Opening a release: all that is in it, by name, and each fault as one error."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.errors import EvreelError, LayoutError, ReleaseError, UsageError
from evreel.layout import BOX_DTYPE
from evreel.publish.build import build
from evreel.release import open as module
from evreel.release.manifest import PlanEntry, read_manifest
from evreel.release.open import NotInReleaseError, open_release
from support.once import copy_once
from support.releases import (
    LABELS,
    SAMPLES_OF_TOWN,
    SPLITS_OF_TOWN,
    edit_manifest,
    labelled_release,
    release,
)


@pytest.fixture(scope="module", params=["portable", "fast"])
def folder(request, tmp_path_factory):
    """A release with a file of each kind, which no test changes."""
    return labelled_release(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def copied_folder(folder, tmp_path):
    """One to spoil."""
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def equal(got, expected):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def columns_equal(got, group, names):
    for name in names:
        equal(getattr(got, name), group[name][:])


def test_open__says_what_the_release_is(folder):
    release = open_release(folder)
    assert (release.name, release.version, release.licence) == ("parks", "2.0", "CC0-1.0")
    assert release.path == folder
    assert release.labels == LABELS
    assert list(release.recordings) == ["park", "town"]
    assert list(release.splits) == ["train", "val", "test", "mixed"]
    assert release.features == ("counts", "sums")
    assert release.manifest == read_manifest(folder)
    assert repr(release) == (
        "<release parks 2.0: 2 recordings (1 train, 0 val, 0 test, 1 mixed); features counts, sums>"
    )


def test_recordings__have_their_split_and_what_is_known_of_them(folder):
    release = open_release(folder)
    park, town = release.recordings.values()
    assert release.splits["train"] == (park,)
    assert release.splits["mixed"] == (town,)
    assert release.splits["val"] == release.splits["test"] == ()
    assert (park.id, park.split, town.split) == ("park", "train", "mixed")
    assert park.columns == {"id": "park", "split": "train", "meta.light": "day"}
    assert park.kinds == ("boxes", "events", "features", "slices")
    assert town.kinds == ("events", "features", "samples")
    assert park.files["sidecars/park.biases.txt"].read_text() == "low\n"


def test_values__equal_those_in_the_files(folder):
    """Each against what h5py and numpy read of it."""
    with open_release(folder) as release:
        for recording in release.recordings.values():
            base = folder / recording.split
            with h5py.File(base / "events" / f"{recording.id}.h5", locking=False) as file:
                columns_equal(recording.events.read(), file["events"], "txyp")
                t = file["events/t"][:]
            some = recording.events.read_us(10_000, 20_000)
            equal(some.t, t[(t >= 10_000) & (t < 20_000)])
            assert list(recording.features) == ["counts", "sums"]
            for name, frames in recording.features.items():
                with h5py.File(base / name / f"{recording.id}.h5", locking=False) as file:
                    equal(frames[:], file["data"][:])
                    columns_equal(
                        frames.windows, file["windows"], ("start", "stop", "start_us", "stop_us")
                    )
                assert frames.parameters["seed"] == release.features.index(name)
        park = release.recordings["park"]
        with h5py.File(folder / "train/slices/park.h5", locking=False) as file:
            columns_equal(park.labelled, file["labelled"], ("start_us", "stop_us"))
            columns_equal(park.slices.rois, file["rois"], ("track", "label"))
            equal(park.slices.read()[1], file["events/roi"][:])
        equal(park.boxes, np.load(folder / "train/counts/park_bbox.npy"))
        town = release.recordings["town"]
        with h5py.File(folder / "mixed/samples/town.h5", locking=False) as file:
            columns_equal(town.samples, file["samples"], ("start", "stop", "label"))
        assert town.samples.split == SPLITS_OF_TOWN


def test_boxes_of__are_those_whose_time_is_in_the_window_of_a_frame(folder):
    with open_release(folder) as release:
        park = release.recordings["park"]
        for name, keep in product(park.features, ("all", "last")):
            windows = park.features[name].windows
            boxes, first = park.boxes_of(name, keep)
            assert (len(first), first[-1]) == (len(windows) + 1, len(boxes))
            for k, (start, stop) in enumerate(zip(windows.start_us, windows.stop_us, strict=True)):
                early = start - (k == 0)  # the first window also takes its start
                inside = [box for box in park.boxes if early < box["t"] <= stop]
                if keep == "last":
                    inside = list({box["track_id"]: box for box in inside}.values())
                equal(boxes[first[k] : first[k + 1]], np.array(inside, dtype=BOX_DTYPE))
        equal(park.boxes_of("counts")[0], park.boxes)
        with pytest.raises(NotInReleaseError, match="has no feature 'sum'; did you mean 'sums'"):
            park.boxes_of("sum")
        with pytest.raises(NotInReleaseError, match="town: has no boxes"):
            release.recordings["town"].boxes_of("sums")


def in_order_of_windows(folder, tmp_path, keep, without=()):
    """Return a release like one in `folder`, but with boxes in the order of the windows."""
    name = f"by-windows-{folder.parent.name}-{keep}{'-without' if without else ''}"
    copy_once(name, lambda shared: _in_order_of_windows(folder, shared, keep, without), tmp_path)
    return tmp_path / "r"


def _in_order_of_windows(folder, tmp_path, keep, without):
    plan = []
    for file in read_manifest(folder).files:
        if file.id and not file.path.startswith(without):
            source = folder / file.path
            plan.append(PlanEntry(file.path, source, file.kind, file.id, file.split))
    plan = [entry for entry in plan if entry.path != "train/counts/park_bbox.npy"]
    made = tmp_path / "counts" / "park_bbox.npy"
    steps.feature_boxes(
        folder / "train/counts/park.h5",
        folder / "train/slices/park_bbox.npy",
        made,
        steps.FeatureBoxesSettings(boxes=keep),
    )
    for path in sorted(made.parent.iterdir()):
        plan.append(PlanEntry(f"train/counts/{path.name}", path, "features", "park", "train"))
    about = {"name": "parks", "version": "3.0", "licence": "CC0-1.0", "labels": LABELS}
    build(plan, tmp_path / "r", **about)


@pytest.mark.parametrize("shipped", ["last", "all"])
def test_boxes_of__a_release_with_boxes_in_the_order_of_windows_are_the_same_to_the_bit(
    folder, tmp_path, shipped
):
    made = in_order_of_windows(folder, tmp_path, shipped)
    with open_release(folder) as searched, open_release(made) as release:
        park, same = release.recordings["park"], searched.recordings["park"]
        assert park.kinds == same.kinds
        equal(park.boxes, same.boxes)
        for feature, keep in product(park.features, ("all", "last")):
            for got, expected in zip(
                park.boxes_of(feature, keep), same.boxes_of(feature, keep), strict=True
            ):
                assert got.dtype == expected.dtype
                assert got.tobytes() == expected.tobytes()
    assert "rows `first[k]` to `first[k + 1]`" in (made / "README.md").read_text(encoding="utf-8")


def test_boxes_of__a_recording_that_is_cut_are_of_its_samples(folder, tmp_path):
    source, made = folder / "mixed" / "counts" / "town.h5", tmp_path / "town_bbox.npy"
    boxes = folder / "train" / "slices" / "park_bbox.npy"
    steps.feature_boxes(source, boxes, made, steps.FeatureBoxesSettings(boxes="last"))
    files = {f"counts/{path.name}": path for path in tmp_path.iterdir()}
    files |= {"slices/town_bbox.npy": boxes, "counts/town.h5": source, "sums/town.h5": source}
    plan = [
        PlanEntry(f"mixed/{path}", file, "features", "town", "mixed")
        for path, file in files.items()
    ]
    about = {"name": "towns", "version": "1", "licence": "CC0-1.0", "labels": LABELS}
    build(plan, tmp_path / "r", **about)
    with open_release(tmp_path / "r") as release:
        town = release.recordings["town"]
        of = town.features["counts"].samples
        got, first = town.boxes_of("counts", "last")
        for one, other in zip((got, first), town.boxes_of("sums", "last"), strict=True):
            assert one.tobytes() == other.tobytes(), "searched for, or as they are there"
        got, first = town.boxes_of("sums", "all")
        for k, (start, stop) in enumerate(
            zip(of.samples.start_us, of.samples.stop_us, strict=True)
        ):
            inside = [box for box in town.boxes if start <= box["t"] <= stop]
            rows = slice(first[of.bounds[k]], first[of.bounds[k + 1]])
            equal(got[rows], np.array(inside, dtype=BOX_DTYPE))


def test_boxes_of__in_the_order_of_windows_are_read_where_no_others_are(folder, tmp_path):
    made = in_order_of_windows(folder, tmp_path, "last", without="train/slices")
    with open_release(made) as release:
        park = release.recordings["park"]
        assert park.kinds == ("events", "features")
        with open_release(folder) as whole:
            expected = whole.recordings["park"].boxes_of("counts", "last")
        assert park.boxes_of("counts", "last")[0].tobytes() == expected[0].tobytes()
        for ask in (lambda: park.boxes, lambda: park.boxes_of("counts", "all")):
            with pytest.raises(NotInReleaseError, match="park: has no boxes; there are events"):
                ask()


@pytest.mark.parametrize("name", ["park_bbox.npy", "park_bbox_first.npy", "park_bbox.json"])
def test_boxes_of__damaged_files_are_one_error(folder, tmp_path, name):
    made = in_order_of_windows(folder, tmp_path, "all")
    path = made / "train" / "counts" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.unlink()  # nobody may write to it
    path.write_bytes(data)
    with open_release(made) as release, pytest.raises(ReleaseError, match=f"{name}: is damaged"):
        release.recordings["park"].boxes_of("counts", "all")


@pytest.mark.parametrize("table", [True, False])
def test_samples__are_all_with_class_and_split(tmp_path, table):
    folder = labelled_release(tmp_path, table=table)
    with open_release(folder) as release:
        assert [tuple(sample) for sample in release.samples] == [
            ("town", "a", "pedestrian", "", "train", 0, 20_000),
            ("town", "b", "Straßenbahn", "", "test", 30_000, 50_000),
            ("town", "c", "pedestrian", "late", "train", 60_000, 90_000),
        ]
        frames = release.recordings["town"].features["sums"]
        rows = [frames.rows_of(sample.sample) for sample in release.samples]
        assert rows == [slice(0, 2), slice(2, 4), slice(4, 7)]
        assert len(frames[rows[2]]) == 3
        with pytest.raises(UsageError, match=r"^town\.h5: has no sample 'd'; there are 3 others"):
            frames.rows_of("d")
        with pytest.raises(UsageError, match="has no sample 'a'; there are 0 others"):
            release.recordings["park"].features["sums"].rows_of("a")
    assert SAMPLES_OF_TOWN.stop_us.tolist() == [sample.stop_us for sample in release.samples]


def test_samples__are_empty_if_nothing_is_cut(made):
    opened = open_release(made)
    assert opened.samples == ()
    assert opened.recordings["park"].events.n == 70_000
    assert len(opened.recordings["park"].boxes) == 3


def test_release__of_a_plan_without_kinds_infers_them_from_folders(tmp_path, made):
    shutil.copytree(made, tmp_path / "plain")
    edit_manifest(
        tmp_path / "plain", lambda value: [file.update(kind="") for file in value["files"]]
    )
    opened = open_release(tmp_path / "plain")
    assert opened.recordings["park"].kinds == ("boxes", "events")
    assert opened.recordings["park"].events.n == 70_000
    assert list(opened.splits) == ["train", "val"]


def test_open__reads_only_the_manifest(folder, monkeypatch):
    read = []
    sys.addaudithook(lambda event, details: read.append(details[0]) if event == "open" else None)
    release = open_release(str(folder))
    assert "park" in release.recordings
    assert "counts" in release.recordings["park"].features
    names = [Path(name).name for name in read if str(name).startswith(str(folder))]
    read.clear()
    assert names == ["manifest.json"]


def test_close__closes_all_and_later_access_opens_again(folder):
    with open_release(folder) as release:
        store, frames = (release.recordings["park"].events, release.recordings["park"].features)
        assert release.recordings["park"].events is store
        counts = frames["counts"]
    assert not store.is_open
    assert not counts.is_open
    again = release.recordings["park"].events
    assert again.n == 3_000
    with again:  # a user may close it, too
        pass
    assert release.recordings["park"].events.n == 3_000
    release.close()


def test_files__not_in_use_do_not_all_stay_open(folder, monkeypatch):
    monkeypatch.setattr("evreel.files.opened.MOST_OPEN", 2)
    ours = Path("/proc/self/fd")
    before = len(list(ours.iterdir())) if ours.exists() else None
    with open_release(folder) as release:
        held = release.recordings["park"].events
        for _ in range(3):
            for recording in release.recordings.values():
                assert recording.events.n == 3_000
                assert len(recording.features["counts"]) == len(recording.features["sums"])
        gc.collect()
        assert held.is_open
        assert release.recordings["park"].events is held
        if before is not None:
            assert len(list(ours.iterdir())) <= before + 3


def test_pickle__drops_open_files(folder):
    with open_release(folder) as release:
        events = release.recordings["park"].events
        for copy in (
            pickle.loads(pickle.dumps(release)).recordings["park"],
            pickle.loads(pickle.dumps(release.recordings["park"])),
        ):
            assert copy.events is not events
            equal(copy.events.read().t, events.read().t)
            equal(copy.features["sums"][2], release.recordings["park"].features["sums"][2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork__gives_a_worker_its_own_files(folder):
    code = """
import os, sys
from evreel.release.open import open_release
recording = open_release(sys.argv[1]).recordings["park"]
ours = recording.events
child = os.fork()
if not child:
    os._exit(0 if recording.events is not ours and recording.events.n == 3_000 else 1)
assert os.waitpid(child, 0)[1] == 0
assert ours.read().t.size == 3_000
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=60)


def test_folder__may_be_relative_and_the_working_directory_may_change(folder, monkeypatch):
    monkeypatch.chdir(folder)
    release = open_release(".")
    assert release.path == folder
    monkeypatch.chdir("/")
    assert release.recordings["park"].events.n == 3_000


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.recordings["parc"], "has no recording 'parc'; did you mean 'park'?"),
        (lambda r: r.recordings[0], "has no recording 0; there are park, town"),
        (lambda r: r.splits["trian"], "has no split 'trian'; did you mean 'train'?"),
        (lambda r: r.recordings["park"].features["x"], "no feature 'x'; there are counts, sums"),
        (
            lambda r: r.recordings["park"].samples,
            "park: has no samples; there are boxes, events, features, slices",
        ),
        (lambda r: r.recordings["town"].boxes, "town: has no boxes; there are events, features"),
        (lambda r: r.recordings["town"].labelled, "town: has no slices; there are events"),
    ],
)
def test_names__that_do_not_exist_are_one_error_that_says_which_exist(folder, ask, message):
    with pytest.raises(NotInReleaseError) as raised:
        ask(open_release(folder))
    assert str(raised.value).startswith("parks-2.0: ")
    assert message in str(raised.value)
    assert isinstance(raised.value, KeyError)
    assert isinstance(raised.value, UsageError)


def test_mappings__behave_like_pythons(folder):
    release = open_release(folder)
    assert release.recordings.get("nowhere") is None
    assert "nowhere" not in release.splits
    assert 5 not in release.recordings
    assert len(release.recordings) == 2
    assert dict(release.splits)["mixed"] == (release.recordings["town"],)


@pytest.mark.parametrize("given", [None, 7, b"parks-2.0", ["parks-2.0"]])
def test_open__of_something_else_than_a_path_says_what_it_takes(given):
    with pytest.raises(UsageError, match=r"^open_release takes the path of a release's f"):
        open_release(given)


def test_open__of_an_open_file_says_what_it_takes(folder):
    with (folder / "manifest.json").open() as file, pytest.raises(UsageError, match="takes the pa"):
        open_release(file)


def test_open__of_another_or_a_missing_folder_says_so(tmp_path, folder):
    for path, message in (
        (tmp_path / "none", "none: does not exist. Give the folder that holds"),
        (folder / "manifest.json", "manifest.json: is not a folder. Give the folder"),
        (tmp_path, "manifest.json: cannot be read: No such file"),
        (tmp_path, f"(in folder {tmp_path}). Is this the folder of a release?"),
    ):
        with pytest.raises(ReleaseError) as raised:
            open_release(path)
        assert message in str(raised.value)


def one(value, path):
    return next(file for file in value["files"] if file["path"] == path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(layout_version=9), "has version 9; this evreel reads version 3"),
        (lambda v: v["files"][0].update(path="../secret"), "contains '..'"),
        (lambda v: v["files"][0].update(path="/etc/passwd"), "is absolute"),
        (
            lambda v: v["recordings"]["park"].update(split="test"),
            "parks-2.0: the manifest has recording 'park' in splits test and train",
        ),
    ],
)
def test_open__of_a_manifest_that_contradicts_itself_is_refused(copied_folder, change, message):
    edit_manifest(copied_folder, change)
    with pytest.raises(ReleaseError) as raised:
        open_release(copied_folder)
    assert message in str(raised.value)


def columns(*tables) -> list[bytes]:
    return [np.asarray(getattr(table, name)).tobytes() for table, names in tables for name in names]


def every_value(folder: Path, path: str = "", verify: bool = False) -> list[object]:
    """Read the tables, and all there is of the recording that an HDF5 file belongs to."""
    with open_release(folder, verify=verify) as release:
        values: list[object] = [release.labels, release.samples]
        for recording in release.recordings.values():
            if path.endswith(".h5") and path not in recording.files:
                continue
            values += columns((recording.events.read(), "txyp"))
            for frames in recording.features.values():
                values += [frames[:].tobytes(), frames.parameters, frames.t_offset]
                values += columns((frames.windows, ("start_us", "stop_us", "start", "stop")))
            if "slices" in recording.kinds:
                slices = recording.slices
                events, roi = slices.read()
                values += [roi.tobytes(), slices.labels, slices.t_offset]
                values += columns((events, "txyp"), (slices.rois, slices.rois._fields))
                values += columns(
                    (slices.labelled, slices.labelled._fields), (slices.overlaps, ("event",))
                )
            if "boxes" in recording.kinds:
                values.append(recording.boxes.tobytes())
            if "samples" in recording.kinds:
                samples = recording.samples
                values += [samples.samples.id, samples.split, samples.t_stop_us]
                values += columns((samples, ("start", "stop", "label")))
    return values


def read_by_name(folder: Path) -> list[str]:
    """Return paths of the files that `every_value` reads; of copies, the first."""
    paths = [file.path for file in read_manifest(folder).files if file.path.endswith(".h5")]
    return [*paths, "samples.tsv", "label_map_dictionary.json", "train/counts/park_bbox.npy"]


@pytest.mark.parametrize("spoil", ["missing", "empty", "cut"])
def test_file__that_is_missing_or_truncated_is_one_error_that_names_it(copied_folder, spoil):
    for path in read_by_name(copied_folder):
        place = copied_folder / path
        whole = place.read_bytes()
        if spoil == "missing":
            place.unlink()
        else:
            place.write_bytes(b"" if spoil == "empty" else whole[: len(whole) * 2 // 3])
        with pytest.raises(ReleaseError) as raised:
            every_value(copied_folder, path)
        problem = "is missing" if spoil == "missing" else "bytes; the manifest says"
        assert str(raised.value).startswith(f"parks-2.0: {path}: "), raised.value
        assert problem in str(raised.value)
        assert "evreel verify" in str(raised.value)
        place.write_bytes(whole)
    every_value(copied_folder)


@pytest.mark.parametrize("verify", [False, True])
def test_file__with_a_flipped_bit_is_one_error(copied_folder, folder, verify):
    """Or reads as it did, where no value lies; of `portable` files, what is said may differ."""
    rng = np.random.default_rng(11)
    refused = 0
    for path in read_by_name(copied_folder):
        place = copied_folder / path
        whole, values = place.read_bytes(), every_value(copied_folder, path)
        for at in rng.integers(0, len(whole), 2).tolist():
            spoiled = bytearray(whole)
            spoiled[at] ^= 1 << int(rng.integers(8))
            place.write_bytes(spoiled)
            try:
                got = every_value(copied_folder, path, verify)
            except EvreelError as error:
                refused += 1
                assert place.name in str(error)
            else:
                assert not verify
                assert path.endswith(".h5")
                assert "portable" in folder.parent.name or got == values, f"byte {at} of {path}"
        place.write_bytes(whole)
    assert refused > 6


def test_file__of_another_kind_under_its_name_is_named(copied_folder):
    path = "train/events/park.h5"
    shutil.copyfile(copied_folder / "train/slices/park.h5", copied_folder / path)
    size = (copied_folder / path).stat().st_size
    edit_manifest(copied_folder, lambda value: one(value, path).update(size=size))
    with pytest.raises(LayoutError, match=r"^park\.h5: its layout is 'evreel-slices'"):
        assert open_release(copied_folder).recordings["park"].events


def test_boxes__whose_copies_differ_are_refused(copied_folder):
    path = "train/slices/park_bbox.npy"
    edit_manifest(copied_folder, lambda value: one(value, path).update(sha256="0" * 64))
    with pytest.raises(ReleaseError, match=f"differ: train/counts/park_bbox.npy and {path}"):
        assert open_release(copied_folder).recordings["park"].boxes.size


def test_recording__with_several_files_of_a_kind_is_refused_on_access(copied_folder):
    edit_manifest(copied_folder, lambda v: one(v, "train/slices/park.h5").update(kind="events"))
    recording = open_release(copied_folder).recordings["park"]
    assert recording.boxes.size
    with pytest.raises(ReleaseError, match="has several files of events of recording 'park': tra"):
        assert recording.events


@pytest.mark.parametrize("content", ["[]", '{"a": "car"}', '{"0": 5}', "{", '{"0": '])
def test_labels__that_are_not_numbers_and_names_are_refused(copied_folder, content, monkeypatch):
    monkeypatch.setattr(module._Folder, "content", lambda self, file: content.encode())
    with pytest.raises(ReleaseError, match="is not a map of class numbers to names"):
        assert open_release(copied_folder).labels


def test_labels__are_empty_without_a_label_map(tmp_path):
    folder = release(tmp_path)
    edit_manifest(folder, lambda v: v["files"].remove(one(v, "label_map_dictionary.json")))
    assert open_release(folder).labels == {}
