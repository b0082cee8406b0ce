"""A folder of recordings with published boxes: its table, and the boxes carried along."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile

import h5py
import numpy as np
import pytest

from evreel import cli, steps
from evreel.checks.run import check
from evreel.errors import AnnotationError, EvreelError, RecordingError, UsageError
from evreel.files.boxes import read_boxes, read_published_boxes, write_boxes
from evreel.folders import listing_of
from evreel.layout import BOX_DTYPE
from support import random_events
from support.stores import store_of
from support.writers.aer40 import aer40

GEN1 = [("ts", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"), ("class_id", "u1")]
GEN1 += [("confidence", "<f4"), ("track_id", "<u4")]


def recording(path, seed=0):
    """Write a short recording in 40-bit words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = random_events(50, (20, 20), 9_000, seed)
    columns = (column.tolist() for column in (events.t, events.x, events.y, events.p))
    path.write_bytes(aer40(zip(*columns, strict=True)))
    return path


def published(path, t=(5_000, 6_000, 6_000)):
    """Write boxes as GEN1 has them."""
    boxes = np.zeros(len(t), dtype=GEN1)
    boxes["ts"], boxes["class_id"], boxes["confidence"] = t, range(len(t)), 0.5
    boxes["x"], boxes["w"], boxes["h"], boxes["track_id"] = 3.5, 4, 4, 7
    np.save(path, boxes)
    return path


def rows_of(table):
    with table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_table__lists_recordings_with_split_group_and_boxes(tmp_path):
    folder, out = tmp_path / "data", tmp_path / "recordings.tsv"
    first = recording(folder / "train" / "17-03_12_td.bin")
    recording(folder / "test" / "sub" / "b!1.bin", seed=1)
    recording(folder / "train" / ".hidden.bin")
    (folder / "readme.md").write_text("text")
    boxes = published(folder / "train" / "17-03_12_bbox.npy")
    arguments = ["table", str(folder), "-o", str(out), "--sensor", "20x20", "-q"]
    assert cli.main([*arguments, "--group", "*/{group}_??_td.bin"]) == 0
    test, train = rows_of(out)
    assert train == {
        "id": "17-03_12_td",
        "source": str(first),
        "md5": hashlib.md5(first.read_bytes()).hexdigest(),
        "split": "train",
        "group": "17-03",
        "sensor": "20x20",
        "boxes": str(boxes),
        "boxes_md5": hashlib.md5(boxes.read_bytes()).hexdigest(),
    }
    assert (test["id"], test["split"], test["group"], test["boxes"]) == ("b_1", "test", "", "")
    assert test["source"].endswith("b!!1.bin")


def test_table__makes_ids_from_paths_if_names_are_duplicated(tmp_path):
    folder, out = tmp_path / "train", tmp_path / "recordings.tsv"
    for name in ("a/x.bin", "b/X.bin"):
        recording(folder / name)
    assert steps.table(folder, out, sensor="20x20") == 2
    assert [row["id"] for row in rows_of(out)] == ["a_x", "b_X"]
    assert all(row["split"] == "train" for row in rows_of(out))


def test_table__calls_files_of_one_name_by_the_nearest_folder_that_distinguishes_them(tmp_path):
    folder = tmp_path / "data"
    for name in ("train/a/left", "train/b/left", "test/c/left"):
        recording(folder / name / "events.bin", seed=len(name))
    for files, ids in ((None, ["c", "a", "b"]), ("train/*/left/*", ["a", "b"])):
        out = tmp_path / f"{len(ids)}.tsv"
        steps.table(folder, out, sensor="20x20", files=files)
        assert [row["id"] for row in rows_of(out)] == ids
    recording(folder / "val" / "a" / "left" / "events.bin", seed=99)
    steps.table(folder, tmp_path / "more.tsv", sensor="20x20")
    made = [row["id"] for row in rows_of(tmp_path / "more.tsv")]
    assert made == [f"{name}_left_events" for name in ("test_c", "train_a", "train_b", "val_a")]
    steps.table(folder / "train" / "a", tmp_path / "one.tsv", sensor="20x20", split="val")
    assert [row["id"] for row in rows_of(tmp_path / "one.tsv")] == ["events"]


def test_table__takes_the_files_and_boxes_that_it_is_told(tmp_path, caplog):
    folder, out = tmp_path / "data", tmp_path / "recordings.tsv"
    for side in ("left", "right"):
        recording(folder / "train" / "a" / "events" / side / "events.bin", seed=len(side))
    boxes = published(tmp_path / "tracks.npy")
    place = folder / "train" / "a" / "labels" / "tracks.npy"
    place.parent.mkdir()
    arguments = ["table", str(folder), "-o", str(out), "--sensor", "20x20", "-q"]
    arguments += ["--files", "*/*/events/left/*.bin", "--boxes", "../../labels/tracks.npy"]
    assert cli.main(arguments) == 1
    assert not out.exists()
    boxes.rename(place)
    assert cli.main(arguments) == 0
    [row] = rows_of(out)
    assert row["source"].endswith("events/left/events.bin")
    assert row["boxes"] == str(place)
    assert row["boxes_md5"] == hashlib.md5(place.read_bytes()).hexdigest()
    assert "If these are classes" not in caplog.text
    with pytest.raises(RecordingError, match="No file in it fits --files 'x/\\*', or none that"):
        steps.table(folder, tmp_path / "none.tsv", sensor="20x20", files="x/*")


def test_table__lists_a_folder_of_files_as_one_recording_where_columns_are_said(tmp_path, caplog):
    caplog.set_level("INFO")
    for side in ("left", "right"):
        folder = tmp_path / "train" / side / "events"
        folder.mkdir(parents=True)
        for k in range(3):
            columns = {name: np.arange(4) for name in ("timestamp", "x", "y", "polarity")}
            np.savez(folder / f"{k}.npz", **columns | {"timestamp": len(side) * k + np.arange(4)})
    arguments = ["table", str(tmp_path), "--columns", "bs-ergb", "-o"]
    assert cli.main([*arguments, str(tmp_path / "each.tsv")]) == 0
    assert len(rows_of(tmp_path / "each.tsv")) == 6
    assert "has 3 files whose names differ by their numbers" in caplog.text
    assert "name the folder: --files 'train/left/events'" in caplog.text
    caplog.clear()
    out = tmp_path / "whole.tsv"
    assert cli.main([*arguments, str(out), "--files", "*/*/events"]) == 0
    assert [row["id"] for row in rows_of(out)] == ["left", "right"]
    assert "differ by their numbers" not in caplog.text
    assert rows_of(out)[0]["md5"] == listing_of(tmp_path / "train/left/events").md5
    assert rows_of(out)[0]["source"].endswith("train/left/events")


def test_table__notes_the_columns_by_which_files_are_recordings(tmp_path, caplog):
    folder = tmp_path / "train"
    folder.mkdir()
    with h5py.File(folder / "a.hdf5", "w") as file:
        file["davis/left/events"] = np.array([[3, 4, 1_504_645_177.5, -1]])
    with pytest.raises(RecordingError, match="has no recordings"):
        steps.table(folder, tmp_path / "without.tsv")
    arguments = ["table", str(folder), "-o", str(tmp_path / "out.tsv"), "-q", "--columns", "mvsec"]
    assert cli.main(arguments) == 0
    [row] = rows_of(tmp_path / "out.tsv")
    assert row.keys() == {"id", "source", "md5", "split", "columns"}
    assert (row["id"], row["columns"]) == ("a", "mvsec")


def test_table__finds_boxes_past_a_link_where_the_system_does(tmp_path):
    (tmp_path / "disk" / "events").mkdir(parents=True)
    recording(tmp_path / "disk" / "events" / "e.bin")
    boxes = published(tmp_path / "disk" / "tracks.npy")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "linked").symlink_to(tmp_path / "disk" / "events")
    out = tmp_path / "out.tsv"
    steps.table(
        tmp_path / "train" / "linked", out, sensor="20x20", split="val", boxes="../tracks.npy"
    )
    [row] = rows_of(out)
    assert row["boxes_md5"] == hashlib.md5(boxes.read_bytes()).hexdigest()


def test_table__makes_ids_from_full_names_if_only_the_ending_differs(tmp_path):
    folder, out = tmp_path / "train", tmp_path / "recordings.tsv"
    events = random_events(5)
    recording(folder / "a.bin")
    np.savez(folder / "a.npz", t=events.t, x=events.x, y=events.y, p=events.p)
    steps.table(folder, out, sensor="64x48")
    assert [row["id"] for row in rows_of(out)] == ["a_bin", "a_npz"]


def test_table__leaves_out_what_a_workflow_made_and_says_what_is_next(tmp_path, caplog):
    folder = tmp_path / "my"
    recording(folder / "park.bin")
    recording(folder / "results" / "recordings" / "park.bin")
    (folder / "results" / ".evreel-tmp").mkdir()
    out = folder / "recordings.tsv"
    caplog.set_level("INFO", "evreel")
    for more in ("", "; 0 added, 1 kept as they are"):  # the table is none that is left out
        caplog.clear()
        assert steps.table(folder, out, split="train", sensor="20x20") == 1
        told = [entry.message for entry in caplog.records]
        assert told[0] == f"recordings.tsv: 1 recording{more}"
        assert told[1].startswith(f"Next: write recordings: {out} in the config.")
        assert len(told) == 2
    assert [row["id"] for row in rows_of(out)] == ["park"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_table__keeps_each_row_of_a_person_and_adds_what_is_new(tmp_path, ending, caplog):
    folder, out = tmp_path / "data", tmp_path / "recordings.tsv"
    caplog.set_level("INFO", "evreel")
    first = recording(folder / "park.bin")
    steps.table(folder, out, split="test", sensor="20x20")
    md5 = rows_of(out)[0]["md5"]
    lines = [
        "id\tsource\tmd5\tsplit\tsensor\trois\tmeta.place",
        f"mine\t{first}\t{md5}\ttrain\t20x20\tmy.xml\tpärk",
        "",
        f"gone\tother/x.bin\t{'0' * 32}\tval\t\t\t ",
    ]
    before = "\ufeff" + ending.join(lines)  # as a spreadsheet may save it
    out.write_bytes(before.encode())
    assert steps.table(folder, out, split="test", sensor="20x20") == 2
    assert out.read_bytes() == before.encode()
    assert "recordings.tsv: 2 recordings; 0 added, 2 kept as they are" in caplog.text
    second = recording(folder / "sub" / "mine.bin", seed=1)
    boxes = published(folder / "sub" / "mine_bbox.npy")
    assert steps.table(folder, out, split="test", sensor="20x20") == 3
    told = out.read_bytes().decode()
    assert told.split(ending)[:4] == [
        f"\ufeff{lines[0]}\tboxes\tboxes_md5",
        f"{lines[1]}\t\t",
        "",
        f"{lines[3]}\t\t",
    ]
    added = told.split(ending)[4].split("\t")
    assert added[:2] == ["sub_mine", str(second)] and added[3:7] == ["test", "20x20", "", ""]
    assert added[7] == str(boxes) and told.endswith(ending)
    assert "recordings.tsv: 3 recordings; 1 added, 2 kept as they are" in caplog.text
    (tmp_path / "data" / "copy.bin").write_bytes(first.read_bytes())
    assert steps.table(folder, out, split="test", sensor="20x20") == 3
    assert "not added, of the same bytes as in a row: " in caplog.text
    assert out.read_bytes().decode() == told


def test_table__with_a_header_alone_keeps_its_columns(tmp_path):
    recording(tmp_path / "train" / "park.bin")
    out = tmp_path / "recordings.tsv"
    out.write_text("id\tsource\trois\tmeta.place\n")
    assert steps.table(tmp_path, out, sensor="20x20") == 1
    assert out.read_text().startswith("id\tsource\trois\tmeta.place\tmd5\tsplit\tsensor\npark\t")


def test_table__that_cannot_be_read_is_not_replaced(tmp_path):
    recording(tmp_path / "train" / "park.bin")
    out = tmp_path / "recordings.tsv"
    out.write_text("id,source\nmine,x\n")
    with pytest.raises(
        UsageError, match=r"recordings\.tsv: line 1: .* Its rows would be lost: cor"
    ):
        steps.table(tmp_path, out, sensor="20x20")
    assert out.read_text() == "id,source\nmine,x\n"


def test_table__of_class_folders_says_how_they_become_one_row_of_samples(tmp_path, caplog):
    caplog.set_level("INFO", "evreel")
    for k, name in enumerate(("left/a", "left/b", "right/a", "right/b")):
        recording(tmp_path / "moves" / f"{name}.bin", seed=k)
    out = tmp_path / "recordings.tsv"
    assert steps.table(tmp_path / "moves", out, split="train", sensor="20x20") == 4
    assert (
        "Recordings are in 2 folders: left, right. If these are classes, write one row instead, "
        f"source: {tmp_path / 'moves'}, with samples: {{by: members, members: "
        '"{label}/*.bin"} in the config (docs/steps/samples.md).'
    ) in caplog.text
    caplog.clear()
    out.write_text(f"id\tsource\tsplit\nmoves\t{tmp_path / 'moves'}\tmixed\n")
    assert steps.table(tmp_path / "moves", out, sensor="20x20") == 1
    assert "classes" not in caplog.text, "the row is there"
    for split in ("train", "test"):
        recording(tmp_path / "parts" / split / "x.bin", seed=split == "test")
    steps.table(tmp_path / "parts", tmp_path / "parts.tsv", sensor="20x20")
    assert "classes" not in caplog.text


def test_plain__is_for_an_archive_and_leaves_its_member_alone(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("x.txt")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"c\n"))
    steps.acquire(f"{path}!x.txt", tmp_path / "x.txt", plain=True)
    assert (tmp_path / "x.txt").read_bytes() == b"c\n"
    steps.acquire(str(path), tmp_path / "plain.tar", plain=True)
    with tarfile.open(tmp_path / "plain.tar", "r:") as archive:
        assert archive.getnames() == ["x.txt"]


def test_table__says_what_is_missing(tmp_path):
    out = tmp_path / "recordings.tsv"
    (tmp_path / "data").mkdir()
    with pytest.raises(RecordingError, match=r"data: has no recordings"):
        steps.table(tmp_path / "data", out)
    recording(tmp_path / "data" / "x.bin")
    for name, said in (("x.bin", "is a file, not a folder"), ("y", "does not exist")):
        with pytest.raises(UsageError, match=rf"{name}: {said}. Name the folder"):
            steps.table(tmp_path / "data" / name, out, sensor="20x20")
    with pytest.raises(RecordingError, match=r"x.bin: is not in a folder named train, val or test"):
        steps.table(tmp_path / "data", out, sensor="20x20")
    assert not out.exists()
    steps.table(tmp_path / "data", out, sensor="20x20", split="mixed")
    assert [row["split"] for row in rows_of(out)] == ["mixed"]


def test_boxes__are_put_on_the_stores_time_line(tmp_path):
    store = store_of(tmp_path / "s.h5", random_events(50), t_offset=4_500)
    source, out = published(tmp_path / "x.npy"), tmp_path / "x_bbox.npy"
    assert steps.boxes(store, source, out, labels=["a", "b", "c"]) == 3
    boxes = read_boxes(out)
    assert boxes["t"].tolist() == [500, 1500, 1500] and boxes["class_id"].tolist() == [0, 1, 2]
    assert boxes["class_confidence"].tolist() == [0.5] * 3 and boxes["track_id"].tolist() == [7] * 3
    assert boxes["x"].tolist() == [3.5] * 3


@pytest.mark.parametrize(("clock", "other"), [("source", "recording"), ("recording", "source")])
def test_boxes__that_are_all_outside_the_recording_are_refused(tmp_path, clock, other):
    store = store_of(tmp_path / "s.h5", random_events(50), t_offset=10**15)
    out = tmp_path / "x_bbox.npy"
    times = (10, 20) if clock == "source" else (10**15 + 10, 10**15 + 20)
    source = published(tmp_path / "x.npy", times)
    settings = steps.BoxesSettings(clock=clock)
    with pytest.raises(AnnotationError, match=f"They seem to count .*: set boxes.clock: {other}"):
        steps.boxes(store, source, out, settings)
    assert not out.exists()
    assert steps.boxes(store, source, out, steps.BoxesSettings(clock=other)) == 2
    assert read_boxes(out)["t"].tolist() == [10, 20]
    with pytest.raises(AnnotationError, match="Are they of this recording"):
        steps.boxes(store, published(source, (5 * 10**14, 5 * 10**14)), out, settings)


def test_boxes__of_evreel_itself_do_not_change(tmp_path):
    made = np.zeros(2, dtype=BOX_DTYPE)
    made["t"], made["w"], made["class_confidence"] = [3, 9], 2.5, 1
    write_boxes(tmp_path / "b.npy", made)
    assert (read_published_boxes(tmp_path / "b.npy") == made).all()


def test_boxes__refuse_what_does_not_fit(tmp_path):
    store = store_of(tmp_path / "s.h5", random_events(50))
    out = tmp_path / "x_bbox.npy"

    def refused(message, source, **options):
        with pytest.raises(EvreelError, match=message):
            steps.boxes(store, source, out, **options)
        assert not out.exists()

    source = published(tmp_path / "x.npy")
    refused(r"x.npy: record 2: class_id is 2, but there are 2 labels", source, labels=["a", "b"])
    refused("md5 is", source, md5="0" * 32)
    refused(r"x.npy: record 1: goes back in time", published(tmp_path / "x.npy", (9, 8)))
    refused(r"x.npy: record 0: ts is 18446744073709551615", published(source, (2**64 - 1,)))
    np.save(source, np.zeros(2, dtype=[("ts", "<u8"), ("x", "<f4")]))
    refused(r"x.npy: has no field y; its fields are ts, x", source)
    source.write_bytes(source.read_bytes()[:-3])
    refused(r"x.npy: is not a complete .npy file of boxes", source)


def boxes_at(path, **columns):
    """Write sound boxes, but for column → row → value."""
    boxes = np.zeros(6, dtype=GEN1)
    boxes["ts"] = np.arange(6) * 1_000
    boxes["x"] = boxes["y"] = boxes["w"] = boxes["h"] = 10
    for name, values in columns.items():
        for row, value in values.items():
            boxes[name][row] = value
    np.save(path, boxes)
    return path


def test_boxes__outside_the_sensor_are_refused_clipped_or_kept(tmp_path, caplog):
    store, out = store_of(tmp_path / "x.h5", random_events(50)), tmp_path / "x_bbox.npy"
    outside = {"x": {1: -2, 3: 60, 4: 64}, "h": {3: 40}}
    source = boxes_at(tmp_path / "x.npy", **outside)
    before = source.read_bytes()
    message = (
        r"x\.npy: record 1: box x=-2, y=10, w=10, h=10 reaches outside the sensor of 64x48, the "
        r"first of 3 such boxes\. Is it of this recording\? If it is, set boxes\.outside: clip\.$"
    )
    with pytest.raises(AnnotationError, match=message):
        steps.boxes(store, source, out)
    assert not out.exists()
    assert steps.boxes(store, source, out, steps.BoxesSettings(outside="clip")) == 5
    corners = [[float(box[name]) for name in "xywh"] for box in read_boxes(out)]
    assert corners == [[10] * 4, [0, 10, 8, 10], [10] * 4, [60, 10, 4, 38], [10] * 4]
    warned = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert warned == [
        "x_bbox.npy: 2 boxes that reached outside the sensor, clipped",
        "x_bbox.npy: 1 box all outside the sensor, left out",
    ]
    assert source.read_bytes() == before
    assert not check(tmp_path).errors
    steps.boxes(store, source, out, steps.BoxesSettings(outside="keep"))
    assert read_boxes(out)["x"].tolist() == [10, -2, 10, 60, 64, 10]
    found = [f.problem for f in check(tmp_path).findings if f.check == "box_outside"]
    assert "as boxes.outside: clip does" in found[0]


@pytest.mark.parametrize("bad", [{"w": 0}, {"h": -1}, {"x": np.nan}, {"h": np.inf}, {"w": np.nan}])
def test_boxes__that_are_not_valid_are_refused_or_dropped(tmp_path, bad, caplog):
    store, out = store_of(tmp_path / "s.h5", random_events(50)), tmp_path / "x_bbox.npy"
    source = boxes_at(tmp_path / "x.npy", **{name: {4: value} for name, value in bad.items()})
    message = r"record 4: box x=.* has no area, or a number that is not finite\. Leave it out of"
    with pytest.raises(AnnotationError, match=message + r".*set boxes\.invalid: drop\.$"):
        steps.boxes(store, source, out)
    settings = steps.BoxesSettings(invalid="drop", outside="clip")
    assert steps.boxes(store, source, out, settings) == 5
    assert read_boxes(out)["t"].tolist() == [0, 1_000, 2_000, 3_000, 5_000]
    assert "x_bbox.npy: 1 box not valid, left out" in caplog.text


def test_boxes__out_of_order_are_refused_with_what_sorts_them(tmp_path):
    store, out = store_of(tmp_path / "s.h5", random_events(50)), tmp_path / "x_bbox.npy"
    source = boxes_at(tmp_path / "x.npy", ts={2: 4_500})
    with pytest.raises(AnnotationError, match=r"record 3: goes back in time\. Sort .*numpy\.sort"):
        steps.boxes(store, source, out)
    np.save(source, np.sort(np.load(source), order="ts", kind="stable"))
    assert steps.boxes(store, source, out) == 6


def test_boxes__are_clipped_by_the_command(tmp_path):
    store, out = store_of(tmp_path / "s.h5", random_events(50)), tmp_path / "x_bbox.npy"
    source = boxes_at(tmp_path / "x.npy", x={1: -2})
    command = ["boxes", str(store), "--boxes", str(source), "-o", str(out)]
    assert cli.main(command) == 1
    assert cli.main([*command, "--outside", "clip"]) == 0
    assert read_boxes(out)["x"].min() == 0


def test_boxes__of_a_cropped_store_are_refused(tmp_path):
    path = recording(tmp_path / "x.bin")
    steps.events(path, tmp_path / "s.h5", steps.EventsSettings(crop=[2, 0, 20, 20]), sensor="20x20")
    with pytest.raises(
        AnnotationError, match=r"but the events are cropped\. Make the store without events\.crop"
    ):
        steps.boxes(tmp_path / "s.h5", published(tmp_path / "x.npy"), tmp_path / "x_bbox.npy")
    steps.events(path, tmp_path / "whole.h5", sensor="20x20")
    steps.boxes(tmp_path / "whole.h5", published(tmp_path / "x.npy"), tmp_path / "x_bbox.npy")


def test_info_and_audit__take_the_size_that_a_file_does_not_state(tmp_path, capsys):
    path = recording(tmp_path / "x.bin")
    assert cli.main(["info", str(path), "--sensor", "20x20"]) == 0
    assert "events    50" in capsys.readouterr().out
    assert cli.main(["audit", str(path), "--sensor", "20x20"]) == 0
    assert cli.main(["audit", str(path), "--sensor", "5x5"]) == 1
    assert "outside the sensor" in capsys.readouterr().out
