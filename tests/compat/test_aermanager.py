"""aermanager's functions, on its folder and on evreel's slices."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel.annotations import write_video_xml
from evreel.compat.aermanager import (
    aedat_convert_to_video,
    gen_annotated_dataset_from_list,
    list_dataset_files,
    load_annotated_slice,
    load_frame_shape,
    load_labels_lut,
    load_rois_lut,
)
from evreel.errors import AnnotationError, LayoutError, UsageError
from evreel.files.clock import read_clock
from evreel.files.slices import SlicesFile
from support import random_events
from support.exports import GIVEN, LABELS, SHAPE, N, made_in

T_OFFSET = 1_600_000_000_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_in(tmp_path_factory.mktemp("compat"))


@pytest.fixture(scope="module")
def data_set(made):
    """The data set that aermanager's users make: slices of a recording with both files."""
    said = {"rois_file": made.rois, "tags_file": made.folder / "park.tags.xml"}
    gen_annotated_dataset_from_list([made.store], [said], made.folder / "set", time_window=20_000)
    return made.folder / "set"


def test_data_set__is_where_aermanager_puts_it(made, data_set):
    digits = hashlib.md5(made.store.read_bytes()[:4096]).hexdigest()[:5]
    files = list_dataset_files(data_set)
    # An incomplete last slice is left out, as the peer does.
    assert files == [str(data_set / f"rec_{digits}" / f"{k}.h5") for k in range(4)]


def test_slices__say_the_same_in_both_layouts(made, data_set):
    folder, own = list_dataset_files(data_set), list_dataset_files(made.slices)
    assert own[:2] == [str(made.slices / "0"), str(made.slices / "1")]
    for one, other in zip(folder, own, strict=False):
        events, labels = load_annotated_slice(one)
        again, same = load_annotated_slice(other)
        assert events.dtype.descr == [
            ("x", "<u2"),
            ("y", "<u2"),
            ("t", "<u8"),
            ("p", "|b1"),
            ("id", "<f8"),
        ]
        for name in events.dtype.names:
            np.testing.assert_array_equal(events[name], again[name])
        assert labels.tolist() == same.tolist()
        assert load_labels_lut(one) == load_labels_lut(other)
        assert load_rois_lut(one) == load_rois_lut(other) == {3: "Süd", 5: "car"}
        assert load_frame_shape(one) == load_frame_shape(other) == (2, *SHAPE)
    assert load_labels_lut(made.slices) == load_labels_lut(folder[0])
    assert load_rois_lut(made.slices) == load_rois_lut(folder[0])
    assert load_frame_shape(made.slices) == (2, *SHAPE)
    with pytest.raises(UsageError, match="list_dataset_files"):
        load_annotated_slice(made.slices)
    assert load_labels_lut(folder[0]) == {"__Empty_Default__": 0, "car": 1, "Süd": 2}
    assert load_annotated_slice(folder[0])[1].tolist() == ["car"]


@pytest.mark.parametrize(
    "load", [load_annotated_slice, load_labels_lut, load_rois_lut, load_frame_shape]
)
def test_slice__that_does_not_exist_is_told_with_what_there_is(made, data_set, tmp_path, load):
    for name in ("5", "-1", "x", "9" * 5000):
        with pytest.raises(LayoutError, match=r"^park.h5: has no slice '.*; it has slices 0 to 4"):
            load(made.slices / name)
    folder = Path(list_dataset_files(data_set)[0]).parent
    there = f"4.h5 does not exist; folder {folder.name} has 0.h5, 1.h5, 2.h5 and 1 more. list_data"
    with pytest.raises(LayoutError, match=there):
        load(folder / "4.h5")
    with pytest.raises(LayoutError, match=r"is a folder\. list_dataset_files names its"):
        load(folder)
    for path in (tmp_path / "no.h5", tmp_path / "no.h5" / "3"):
        with pytest.raises(LayoutError, match=f"^{path} does not exist; .* has no files"):
            load(path)
    with pytest.raises(LayoutError, match=r"no\.h5 does not exist"):
        list_dataset_files(tmp_path / "no.h5")


def test_list__of_a_folder_of_slices_has_them_all(made, tmp_path):
    for name in ("7.h5", "b.h5"):
        (tmp_path / name).write_bytes(made.slices.read_bytes())
    expected = [str(tmp_path / name / str(k)) for name in ("7.h5", "b.h5") for k in range(5)]
    assert list_dataset_files(tmp_path) == expected


def test_events__are_in_the_frame_that_holds_them_and_none_is_twice(made, data_set):
    events = np.concatenate([load_annotated_slice(f)[0] for f in list_dataset_files(data_set)])
    with SlicesFile(made.slices) as file:
        every, _ = file.read(0, len(events))
    assert (events["t"].astype(np.int64) - T_OFFSET == every.t).all()
    frame = every.t // 10_000
    for track, label in ((3, "Süd"), (5, "car")):
        shown = np.zeros(len(events), dtype=bool)
        for shape in next(t for t in GIVEN.tracks if t.label == label).shapes:
            (left, top), (right, bottom) = shape.points
            inside = (every.x + 0.5 >= left) & (every.x + 0.5 < right)
            inside &= (every.y + 0.5 >= top) & (every.y + 0.5 < bottom)
            shown |= inside & (frame == shape.frame)
        assert shown[events["id"] == track].all()
        assert shown.any()


def test_rerun__leaves_no_slice_of_an_earlier_one(made, tmp_path):
    said = [{"rois_file": made.rois}]
    gen_annotated_dataset_from_list([made.store], said, tmp_path, time_window=10_000)
    assert len(list_dataset_files(tmp_path)) == 9
    gen_annotated_dataset_from_list([made.store], said, tmp_path, "gzip", spike_count=1500)
    files = list_dataset_files(tmp_path)
    assert [len(load_annotated_slice(path)[0]) for path in files] == [1500, 1500]
    with h5py.File(files[0]) as file:
        assert file["frame"].compression == "gzip"
    assert sorted(path.name for path in tmp_path.iterdir()) == [files[0].split("/")[-2]]


def test_video__is_written_with_its_clock_and_serves_the_data_set(made, tmp_path):
    recording = tmp_path / "day.bin"
    recording.write_bytes(b"day" * 2000)
    events = random_events(3_000, SHAPE, stop_us=95_000, seed=2)

    def parser(name):
        assert name == str(recording)
        dtype = [("x", "<u2"), ("y", "<u2"), ("t", "<u8"), ("p", "?")]
        records = np.empty(len(events), dtype=dtype)
        for field in "xyp":
            records[field] = getattr(events, field)
        records["t"] = events.t + 5_000_000
        return SHAPE, records

    crop = ((8, 0), (0, 8))
    aedat_convert_to_video(str(recording), time_window=10_000, crop_size=crop, parser=parser)
    assert (tmp_path / "day.mp4").read_bytes()[4:8] == b"ftyp"
    clock, picture, _ = read_clock(tmp_path / "day.clock.tsv")
    assert (len(clock), picture.sensor) == (10, (40, 56))
    tracks = tuple(t for t in GIVEN.tracks if t.id == 3)
    given = replace(GIVEN, tracks=tracks, picture_shape=(40, 56))
    more = {"name": "day", "n_frames": N, "picture_shape": (40, 56)}
    write_video_xml(tmp_path / "day.xml", given, **more)
    gen_annotated_dataset_from_list(
        [recording],
        [{"rois_file": tmp_path / "day.xml"}],
        tmp_path / "set",
        crop_size=crop,
        time_window=50_000,
        parser=parser,
    )
    (path,) = list_dataset_files(tmp_path / "set")
    assert load_frame_shape(path) == (2, 40, 56)
    found, labels = load_annotated_slice(path)
    inside = (events.x >= 8) & (events.y < 40) & (events.t < 50_000)
    assert (found["t"].astype(np.int64) == events.t[inside] + 5_000_000).all()
    assert (found["x"] == events.x[inside] - 8).all()
    assert labels.tolist() == ["Süd"]


def test_video_of_aermanager__lacks_the_last_frame_and_is_taken_all_the_same(made, tmp_path):
    copy = tmp_path / "rec.h5"
    copy.write_bytes(made.store.read_bytes())
    tracks = tuple(
        replace(track, shapes=tuple(s for s in track.shapes if s.frame < N - 1))
        for track in GIVEN.tracks
    )
    given = replace(GIVEN, tracks=tracks, tags=(), frames=range(N - 1))
    xml = tmp_path / "rec.xml"
    write_video_xml(xml, given, name="rec", n_frames=N - 1, picture_shape=SHAPE)
    call = {"labels": [{"rois_file": xml}], "destination_path": tmp_path, "time_window": 50_000}
    with pytest.raises(UsageError, match=r"there is no rec\.clock\.tsv"):
        gen_annotated_dataset_from_list([copy], **call)
    gen_annotated_dataset_from_list([copy], **call, video_time_window=10_000)
    assert len(list_dataset_files(tmp_path / next(tmp_path.glob("rec_*")).name)) == 1
    with pytest.raises(AnnotationError, match="frames"):
        gen_annotated_dataset_from_list([copy], **call, video_time_window=20_000)


def test_arguments__that_contradict_are_refused(made, tmp_path):
    with pytest.raises(UsageError, match="time_window"):
        aedat_convert_to_video(made.store, spike_count=100)
    with pytest.raises(UsageError, match="1 recordings, but 0 labels"):
        gen_annotated_dataset_from_list([made.store], [], tmp_path, time_window=10_000)
    with pytest.raises(UsageError):
        gen_annotated_dataset_from_list([made.store], [{}], tmp_path)
    with pytest.raises(UsageError, match="'roi'"):
        gen_annotated_dataset_from_list([made.store], [{"roi": "x"}], tmp_path, time_window=10)
    (tmp_path / "0.h5").write_bytes(b"no HDF5")
    for load in (load_annotated_slice, load_labels_lut, load_rois_lut, load_frame_shape):
        with pytest.raises(LayoutError, match="HDF5"):
            load(tmp_path / "0.h5")
    for load in (load_annotated_slice, load_labels_lut, load_frame_shape):
        with pytest.raises(LayoutError, match="aermanager's layout"):
            load(made.store)
    with pytest.raises(LayoutError, match=r"has no slice .99.; it has slices 0 to 4"):
        load_annotated_slice(made.slices / "99")


@pytest.mark.parametrize(
    ("name", "value", "load"),
    [
        ("frame_size", np.array([2, 48]), load_frame_shape),
        ("frame_size", 3, load_frame_shape),
        ("frame_size", "abc", load_frame_shape),
        ("spikes/x", np.arange(3), load_annotated_slice),
        ("spikes/x", "abc", load_annotated_slice),
        ("spikes", np.arange(3), load_annotated_slice),
        ("label", 3, load_annotated_slice),
        ("label", np.arange(3), load_annotated_slice),
        ("labels_lut/label", np.arange(1), load_labels_lut),
        ("labels_lut/label", 1, load_labels_lut),
        ("rois/id", np.arange(1), load_rois_lut),
    ],
)
def test_slice__of_another_form_is_an_error(data_set, tmp_path, name, value, load):
    with (
        h5py.File(list_dataset_files(data_set)[0]) as old,
        h5py.File(tmp_path / "0.h5", "w") as new,
    ):
        for each in old:
            old.copy(each, new)
        del new[name]
        new[name] = value
    with pytest.raises(LayoutError, match=r"not a slice|frame_size"):
        load(tmp_path / "0.h5")


def test_data_set_without_regions__has_no_table_of_them(made, tmp_path):
    said = {"rois_file": None, "tags_file": None}
    gen_annotated_dataset_from_list([made.store], [said], tmp_path, time_window=20_000)
    path = list_dataset_files(tmp_path)[0]
    events, labels = load_annotated_slice(path)
    assert np.isnan(events["id"]).all()
    assert labels.tolist() == []
    assert load_rois_lut(path) == {}
    assert load_labels_lut(path) == {"__Empty_Default__": 0}
    assert LABELS[0] not in load_labels_lut(path)
