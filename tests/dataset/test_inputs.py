"""Faults of local files are told before anything runs: content, sums, and whose they are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.inputs import changed_source, check_inputs
from evreel.dataset.memory import Memory
from evreel.errors import UsageError
from evreel.layout import BOX_DTYPE
from support.dataset import CONFIG, write_table
from support.fonts import DEJAVU

XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><id>{number}</id><name>{task}</name><created>{created}</created>
<start_frame>0</start_frame><stop_frame>9</stop_frame><frame_filter></frame_filter>
<labels><label><name>car</name></label></labels><source>{video}</source></task>
<dumped>{dumped}</dumped></meta>
<track id="0" label="{label}"><box frame="0" xtl="1" ytl="2" xbr="{right}" ybr="9" outside="0"
occluded="0" keyframe="1"/></track></annotations>
"""


PICTURE = (
    "<annotations><version>1.1</version>"
    '<image id="0" name="{}" width="9" height="9"></image></annotations>'
)


SIZE = "<original_size><width>9</width><height>9</height></original_size>"


def xml(path, **said):
    """Write a CVAT XML that says this of its origin."""
    usual = {"number": 7, "task": "", "created": "2024-01-02", "video": "", "dumped": "x"}
    usual |= {"label": "car", "right": 8}
    path.write_text(XML.format(**usual | said), encoding="utf-8")


def told(folder, rows, config=None, left_out=()):
    """Return the lines of the error, or the doubts, about rows of a table in `folder`."""
    for row in rows:
        (folder / row["source"]).write_bytes(b"events")
    columns = list(dict.fromkeys([*(column for row in rows for column in row), "md5", "split"]))
    sums = {"md5": hashlib.md5(b"events").hexdigest(), "split": "train"}
    cells = [[(sums | row).get(column, "") for column in columns] for row in rows]
    write_table(folder, [columns, *cells])
    try:
        dataset = DataSet(*read_config(CONFIG | {"labels": ["car"]} | (config or {})))
        memory = Memory(folder / "known.json")
        found = check_inputs(dataset, memory, left_out)
        memory.save()
        return found
    except UsageError as error:
        return str(error).splitlines()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def row(id_, **columns):
    return {"id": id_, "source": f"{id_}.raw", **columns}


def test_xmls__of_their_own_recordings_pass(folder):
    xml(folder / "a.xml", video="One.MP4", number=1)
    xml(folder / "b.xml", task="two", number=2)
    xml(folder / "c.xml", video="raw_three.mp4", number=3)
    rows = [row("one", rois="a.xml"), row("two", rois="b.xml")]
    three = {"id": "three", "source": "raw_three.raw", "rois": "c.xml"}
    assert told(folder, [*rows, three]) == []


@pytest.mark.parametrize("key", ["video", "task"])
def test_xmls__that_are_interchanged_are_told_of_both_rows(folder, key):
    for k, name in enumerate(("one", "two")):
        xml(folder / f"{name}.xml", number=k, **{key: name + ".mp4" * (key == "video")})
    lines = told(folder, [row("one", rois="two.xml"), row("two", rois="one.xml")])
    said = "two.mp4" if key == "video" else "two"
    assert lines[0] == (
        f"recordings.tsv: line 2: rois: two.xml: its {key} is '{said}', which is recording 'two' "
        "in line 3. Name the XML of this recording; are two rows interchanged?"
    )
    assert lines[1].startswith(f"recordings.tsv: line 3: rois: one.xml: its {key} is 'one")


def test_xml__whose_video_is_its_own_may_have_a_task_of_any_name(folder):
    xml(folder / "a.xml", video="one.mp4", task="two")
    assert told(folder, [row("one", rois="a.xml"), row("two")]) == []


def test_xml__whose_pictures_are_in_the_folder_of_another_recording_is_told(folder):
    (folder / "a.xml").write_text(PICTURE.format("two/000000_0.png"), encoding="utf-8")
    [line] = told(folder, [row("one", tags="a.xml"), row("two")])
    assert "tags: a.xml: its pictures are in folder 'two', which is recording 'two'" in line


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("video", "{}_v2.mp4"),
        ("task", "{} (1)"),
        ("task", "Annotate {}/10ms"),
        ("video", "C:\\v\\{}.clock.mp4"),
    ],
)
def test_xmls__whose_names_contain_their_recordings_are_held_against_the_rows(folder, key, form):
    names = ("one", "two_b")
    for k, name in enumerate(names):
        xml(folder / f"{name}.xml", number=k, **{key: form.format(name)})
    assert told(folder, [row(name, rois=f"{name}.xml") for name in names]) == []
    lines = told(folder, [row("one", rois="two_b.xml"), row("two_b", rois="one.xml"), row("two")])
    said = form.format("two_b")
    assert lines[0].startswith(f"recordings.tsv: line 2: rois: two_b.xml: its {key} is {said!r}, ")
    assert "recording 'two_b' in line 3. Name the XML of this recording" in lines[0]
    assert "recording 'one' in line 2. Name the XML of this recording" in lines[1]


def test_xml__with_a_part_of_anothers_name_is_a_doubt_if_that_has_its_own(folder):
    xml(folder / "a.xml", video="two_v2.mp4", number=1)
    xml(folder / "b.xml", video="two_v3.mp4", number=2)
    rows = [row("one", rois="a.xml"), row("two", rois="b.xml")]
    assert told(folder, rows) == [
        "recordings.tsv: line 2: rois: a.xml: its video is 'two_v2.mp4', which may mean recording "
        "'two' in line 3, not 'one'"
    ]
    [line] = told(folder, [rows[0], row("two")])
    assert "its video is 'two_v2.mp4', which names recording 'two' in line 3. Name the" in line
    xml(folder / "a.xml", video="two_v2.mp4", task="one", number=1)
    assert told(folder, rows) == []


@pytest.mark.parametrize(
    ("own", "other", "name"),
    [
        ("1", "2", "scene_2"),
        ("car", "train", "train 7"),
        ("park_01", "park", "park_1"),
        ("car", "bus", "bus and car"),
        ("1", "2", "take_2_1"),
    ],
)
def test_xml__with_a_word_that_is_also_an_id_is_no_mistake(folder, own, other, name):
    xml(folder / "a.xml", video=f"{name}.mp4")
    [line] = told(folder, [row(own, rois="a.xml"), row(other)])
    assert f"which may mean recording {other!r}" in line or "does not say" in line


@pytest.mark.parametrize(
    ("own", "other", "name"), [("street2", "street", "street_2"), ("a_b", "a", "a_b (1)")]
)
def test_xml__has_the_longest_id_that_its_name_contains(folder, own, other, name):
    xml(folder / "a.xml", video=f"{name}.mp4")
    assert told(folder, [row(own, rois="a.xml"), row(other)]) == []


def test_xml__whose_name_fits_the_files_of_several_rows_is_a_doubt(folder):
    for k, name in enumerate(("one", "two")):
        (folder / name).mkdir()
        xml(folder / f"{name}.xml", number=k, video="events.mp4")
    rows = [
        row(name, rois=f"{name}.xml") | {"source": f"{name}/events.raw"} for name in ("one", "two")
    ]
    [line] = told(folder, rows)
    assert "one.xml does not say that it is of 'one', but of video 'events.mp4'; 1 more" in line


@pytest.mark.parametrize(
    "name", ["frames/two/png/000000_0.png", "two\\000000_0.png", "two_000000_0.png"]
)
def test_xml__whose_pictures_name_another_recording_is_told(folder, name):
    (folder / "a.xml").write_text(PICTURE.format(name), encoding="utf-8")
    [line] = told(folder, [row("one", tags="a.xml"), row("two")])
    assert "tags: a.xml: its pictures are " in line
    assert "recording 'two' in line 3. Name the XML of this recording" in line


def test_xml__of_two_rows_is_an_error(folder):
    xml(folder / "a.xml", task="any")
    (folder / "copy.xml").write_bytes((folder / "a.xml").read_bytes())
    rows = [row("one", rois="a.xml"), row("two"), row("six", rois="copy.xml")]
    assert told(folder, rows) == [
        "recordings.tsv: line 4: rois: copy.xml has the same bytes as rois of 'one' in line 2; an "
        "XML belongs to one recording. Export that of 'six'"
    ]


def test_xml__may_be_both_rois_and_tags_of_one_row(folder):
    (folder / "a.xml").write_text(
        "<annotations><version>1.1</version><meta><task><name>one</name></task></meta>"
        '<image id="0" name="frame_000000" width="9" height="9"></image></annotations>',
        encoding="utf-8",
    )
    assert told(folder, [row("one", rois="a.xml", tags="a.xml")]) == []


def test_exports__of_one_task_for_two_rows_are_an_error_unless_they_are_of_other_frames(folder):
    xml(folder / "a.xml", task="day", dumped="monday")
    xml(folder / "b.xml", task="day", dumped="tuesday")
    [line] = told(folder, [row("one", rois="a.xml"), row("two", rois="b.xml")])
    assert "line 3: rois: b.xml is an export of the same task ('day') as rois of 'one'" in line
    xml(folder / "b.xml", task="day", number=8)
    assert len(told(folder, [row("one", rois="a.xml"), row("two", rois="b.xml")])) == 1
    text = (folder / "b.xml").read_text(encoding="utf-8").replace(">8<", ">7<")
    text = text.replace("<start_frame>0<", "<start_frame>10<").replace("me>9<", "me>19<")
    (folder / "b.xml").write_text(text.replace('frame="0"', 'frame="10"'), encoding="utf-8")
    [line] = told(folder, [row("one", rois="a.xml"), row("two", rois="b.xml")])
    assert "does not say that it is of 'one', but of task 'day'; 1 more" in line


def project(path, *names, label="car", right=8):
    """Write the export of a project with a task of each name, numbered from 1."""
    tasks = "".join(
        f"<task><id>{k}</id><name>{name}</name><size>10</size><created>2024-01-02</created>"
        "<subset>x</subset><start_frame>0</start_frame><stop_frame>9</stop_frame><frame_filter/>"
        "<original_size><width>9</width><height>9</height></original_size></task>"
        for k, name in enumerate(names, 1)
    )
    tracks = "".join(
        f'<track id="{k}" label="{label}" task_id="{k}" subset="x"><box frame="{10 * k - 10}" '
        f'xtl="1" ytl="2" xbr="{right}" ybr="9"/></track>'
        for k in range(1, len(names) + 1)
    )
    text = (
        "<annotations><version>1.1</version><meta><project><id>1</id><tasks>"
        f"{tasks}</tasks><labels><label><name>car</name></label></labels></project></meta>"
        f"{tracks}</annotations>"
    )
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("annotations.xml", text)
    else:
        path.write_text(text)


@pytest.mark.parametrize("name", ["all.xml", "all.zip"])
def test_project__may_be_of_several_rows_with_a_task_for_each(folder, name):
    project(folder / name, "one", "two.mp4")
    rows = [row("one", rois=name), row("two", rois=name)]
    assert told(folder, rows) == []
    (line,) = told(folder, [*rows[:1], row("three", rois=name)])
    assert line.startswith(
        f"recordings.tsv: line 3: rois: {name}: is the export of a project of 2 tasks, "
        "1 ('one', x), 2 ('two.mp4', x); none is called 'three'. Set annotate.task"
    )
    rows[1]["annotate/task"] = "1"
    lines = told(folder, [row("three", rois=name) | {"annotate/task": "2"}, rows[1]])
    assert lines[0].startswith("recordings.tsv: line 2: rois: all"), (
        "the task that a row asks for is that of another row"
    )
    lines = told(folder, [row("five", rois=name) | {"annotate/task": "7"}])
    assert lines[0].startswith(f"recordings.tsv: line 2: rois: {name}: has no task '7'; it has 1 (")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"label": "cat"}, "label 'cat' is not one of the task's: car"),
        ({"right": 30}, "box reaches x=30.0, outside the 9 px wide picture"),
    ],
)
@pytest.mark.parametrize("name", ["all.xml", "all.zip"])
def test_faults__of_projects_and_zips_are_told_before_anything_runs(folder, name, more, message):
    project(folder / name, "one", "two", **more)
    lines = told(folder, [row("two", rois=name)])
    assert len(lines) == 1
    assert message in lines[0]
    assert lines[0].startswith(f"recordings.tsv: line 2: rois: {name}: ")


def test_xml__that_does_not_say_whose_it_is_is_a_doubt(folder):
    xml(folder / "a.xml", video="clip.mp4", task="new")
    assert told(folder, [row("one", rois="a.xml")]) == [
        "recordings.tsv: line 2: rois: a.xml does not say that it is of 'one', but of video "
        "'clip.mp4' and task 'new'"
    ]


def test_faults_of_labels__are_told_with_their_row_before_anything_runs(folder):
    xml(folder / "a.xml", label="cat", task="one")
    xml(folder / "b.xml", right="x", task="two")
    (folder / "c.csv").write_text("label,start_us,stop_us\ncar,0,10\ncat,0,10\n", encoding="utf-8")
    (folder / "d.csv").write_text("label,start_us,stop_us\ncar,0\n", encoding="utf-8")
    (folder / "e.csv").write_text("label,start_us,stop_us\ncra,0,10\n", encoding="utf-8")
    rows = [row("one", rois="a.xml"), row("two", rois="b.xml")]
    lines = told(folder, rows)
    assert "line 2: rois: a.xml: " in lines[0]
    assert "line 3: rois: b.xml: " in lines[1]
    cut = [row("six", samples="c.csv"), row("ten", samples="d.csv"), row("z", samples="e.csv")]
    lines = told(folder, cut, {"samples": {"by": "intervals"}})
    assert "line 2: samples: c.csv: line 3: label 'cat' is not listed" in lines[0]
    assert "line 3: samples: d.csv: line 2: has 2 cells; the header has 3" in lines[1]
    meant = (
        "label 'cra' is not listed; did you mean 'car'? Or correct labels in config.yaml. Add it"
    )
    assert meant in lines[2]


def test_single_recording__as_source_of_members_is_told_before_anything_runs(folder):
    rows = [row("left0")]
    config = {"samples": {"by": "members", "members": "{label}/*.raw"}}
    assert told(folder, rows, config) == [
        "recordings.tsv: line 2: source: 'left0.raw' is a single recording; samples/by: members "
        "needs an archive or a folder as source, in one row: its files are the samples"
    ]
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        archive.writestr("left/0.raw", b"events")
    md5 = hashlib.md5((folder / "many.zip").read_bytes()).hexdigest()
    whole = {"id": "many", "source": "many.zip!left/0.raw", "md5": md5}
    write_table(folder, [[*whole, "split"], [*whole.values(), "train"]])
    dataset = DataSet(*read_config(CONFIG | {"labels": ["car"]} | config))
    assert check_inputs(dataset, Memory(folder / "known.json")) == []


def test_shape_outside_its_picture__is_told_before_anything_runs(folder):
    xml(folder / "a.xml", right=33, task="one")
    text = (folder / "a.xml").read_text(encoding="utf-8")
    assert told(folder, [row("one", rois="a.xml")]) == []
    size = "<original_size><width>32</width><height>24</height></original_size></task>"
    (folder / "a.xml").write_text(text.replace("</task>", size), encoding="utf-8")
    [line] = told(folder, [row("one", rois="a.xml")])
    assert line.endswith(
        "line 2: rois: a.xml: track 0 ('car'), frame 0: box reaches x=33.0, outside the 32 px wide "
        "picture. Export again from CVAT, or set annotate.clip: true."
    )
    assert told(folder, [row("one", rois="a.xml")], {"annotate": {"clip": True}}) == []


def test_shared_table__is_read_for_its_recordings_alone(folder):
    table = "recording,label,start_us,stop_us\none,car,0,10\nother,cat,0,10\n"
    (folder / "all.csv").write_text(table, encoding="utf-8")
    config = {"samples": {"by": "intervals", "table": "all.csv"}}
    assert told(folder, [row("one")], config) == []
    [line] = told(folder, [row("one"), row("other")], config)
    assert line.startswith("samples/table: all.csv: line 3: label 'cat' is not listed")


@pytest.mark.parametrize("column", ["rois", "samples"])
def test_pinned_md5__is_checked_before_anything_runs(folder, column):
    xml(folder / "a.rois", task="one")
    (folder / "a.samples").write_text("label,start_us,stop_us\ncar,0,10\n", encoding="utf-8")
    config = {"samples": {"by": "intervals"}} if column == "samples" else {}
    file = f"a.{column}"
    right = hashlib.md5((folder / file).read_bytes()).hexdigest()
    pinned = {column: file, f"{column}_md5": right.upper()}
    assert told(folder, [row("one", **pinned)], config) == []
    [line] = told(folder, [row("one", **pinned | {f"{column}_md5": "0" * 32})], config)
    assert f"line 2: {column}: {file}: md5 is {right}" in line


def test_unchanged_files__are_not_parsed_again(folder, monkeypatch):
    xml(folder / "a.xml", task="one")
    assert told(folder, [row("one", rois="a.xml")]) == []
    monkeypatch.delattr("evreel.annotations.cvat.read_cvat")
    assert told(folder, [row("one", rois="a.xml")]) == []
    xml(folder / "a.xml", task="one", dumped="later")
    with pytest.raises(ImportError):
        told(folder, [row("one", rois="a.xml")])


@pytest.mark.parametrize(
    ("x", "class_id", "sensor", "message"),
    [
        (-2, 0, "", "line 2: boxes: b.npy: record 0: box x=-2, y=0, w=4, h=4 reaches outside the "),
        (98, 0, "100x80", "reaches outside the sensor of 100x80"),
        (0, 3, "", "class_id is 3, but there are 1 labels"),
    ],
)
def test_faults_of_published_boxes__are_told_before_anything_runs(
    folder, x, class_id, sensor, message
):
    boxes = np.zeros(1, dtype=BOX_DTYPE)
    boxes["x"], boxes["w"], boxes["h"], boxes["class_id"] = x, 4, 4, class_id
    np.save(folder / "b.npy", boxes)
    [line] = told(folder, [row("one", boxes="b.npy", sensor=sensor)])
    assert message in line
    if not class_id:
        config = {"boxes": {"outside": "clip"}}
        assert told(folder, [row("one", boxes="b.npy", sensor=sensor)], config) == []


def test_boxes__of_two_recordings_are_a_doubt_unless_there_are_none(folder):
    np.save(folder / "none.npy", np.zeros(0, dtype=BOX_DTYPE))
    boxes = np.zeros(1, dtype=BOX_DTYPE)
    boxes["w"], boxes["h"] = 4, 4
    np.save(folder / "some.npy", boxes)
    rows = [row("one", boxes="some.npy"), row("two", boxes="some.npy")]
    assert told(folder, rows) == [], "two rows of one recording"
    rows[1]["md5"] = "0" * 32
    assert told(folder, rows) == [
        "recordings.tsv: line 3: boxes: some.npy has the same bytes as boxes of 'one' in line 2: "
        "is it of 'two'?"
    ]
    assert told(folder, [each | {"boxes": "none.npy"} for each in rows]) == []


def seen(wanted, link="link.raw"):
    """Return what a run finds changed of a source, with what the runs before it remember."""
    memory = Memory(Path("known.json"))
    found = changed_source(link, wanted, memory)
    memory.save()
    return found


def long_after(path):
    """Let a link have been made long after what it leads to was there."""
    time_ns = time.time_ns() + 10**10
    os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


@pytest.mark.parametrize("first_seen", ["before it is acquired", "after it is acquired"])
def test_source__of_an_exchanged_folder_is_seen_however_old_it_is(folder, first_seen):
    (folder / "old").mkdir()
    (folder / "new").mkdir()
    (folder / "old" / "a.raw").write_bytes(b"events")
    (folder / "new" / "a.raw").write_bytes(b"others")
    (folder / "data").symlink_to("old")
    wanted = {"source": "data/a.raw", "md5": hashlib.md5(b"events").hexdigest(), "sha256": None}
    if first_seen == "before it is acquired":
        assert seen(wanted) is None
    (folder / "link.raw").symlink_to("data/a.raw")
    long_after("link.raw")
    assert [seen(wanted) for _ in range(2)] == [None, None]
    (folder / "data").unlink()
    (folder / "data").symlink_to("new")
    other = hashlib.md5(b"others").hexdigest()
    assert all(seen(wanted).startswith(f"md5 {other}, ") for _ in range(2))
    assert seen(wanted | {"md5": other}) is None


def test_recording__that_was_moved_is_read_once_and_not_in_each_run(folder, monkeypatch):
    rows = [row("a")]
    assert told(folder, rows) == []
    os.utime("a.raw", (10**9, 10**9))
    (folder / "link.raw").symlink_to("a.raw")
    os.utime("link.raw", (10**9, 10**9), follow_symlinks=False)
    monkeypatch.setattr("evreel.dataset.memory._SETTLED_NS", -(10**18))
    wanted = {"source": "a.raw", "md5": hashlib.md5(b"events").hexdigest(), "sha256": None}
    assert seen(wanted, folder / "link.raw") is None
    dataset = DataSet(*read_config(CONFIG | {"labels": ["car"]}))
    memory = Memory(Path("known.json"))
    check_inputs(dataset, memory)
    memory.save()
    monkeypatch.setattr("evreel.dataset.memory._digests", lambda path: pytest.fail("is read"))
    assert seen(wanted, folder / "link.raw") is None


def annotation(path, form):
    """Write a box of label or class `car` in a form; one that is wrong has another class."""
    form, _, wrong = form.partition(" ")
    if form == "coco":
        image = {"id": 1, "file_name": "000000_0.png", "width": 64, "height": 48}
        item = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
        label = {"id": 1, "name": "cow" if wrong else "car"}
        root = {"images": [image], "categories": [label], "annotations": [item]}
        path.write_text(json.dumps(root))
    elif form == "mot":
        path.write_text(f"1,1,1,2,3,4,1,{2 if wrong else 1},1\n")
    elif form == "yolo":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("data.yaml", "names: [car]")
            file.writestr("labels/train/000000_0.txt", f"{1 if wrong else 0} .5 .5 .5 .5\n")
    else:
        boxes = np.array([(10, 1, 2, 3, 4, 1 if wrong else 0, 1, 1)], BOX_DTYPE)
        with path.open("wb") as file:
            np.save(file, boxes)


@pytest.mark.parametrize("form", ["coco", "mot", "yolo", "event-bbox"])
def test_annotations__of_any_form_are_read_before_anything_runs(folder, form):
    annotation(folder / "one.x", form)
    rows = [row("one", rois="one.x")]
    doubts = told(folder, rows)
    assert all("does not say that it is of" in doubt for doubt in doubts)
    annotation(folder / "one.x", f"{form} wrong")
    [line] = told(folder, rows)
    assert line.startswith("recordings.tsv: line 2: rois: one.x: ")
    assert "cow" in line or "class 1" in line or "class 2" in line
    [line] = told(folder, [row("one", tags="one.x")])
    assert "has no tags of frames" in line


# Clocks of another camera, and what is finished


def times(path, n=10, step_us=10_000, comments=""):
    """Write a table of times of frames."""
    rows = "".join(f"{k}\t{k * step_us}\t{k * step_us + 5}\n" for k in range(n))
    path.write_text(f"{comments}frame\tstart_us\tstop_us\n{rows}")


def test_clock_and_finished_frames__that_fit_the_annotation_pass(folder):
    xml(folder / "a.xml", video="one.mp4")
    times(folder / "c.tsv")
    (folder / "done.tsv").write_text("start_frame\tstop_frame\n0\t4\n")
    assert told(folder, [row("one", rois="a.xml", clock="c.tsv", labelled="done.tsv")]) == []


def test_annotation__that_is_broken_is_told_once_if_there_is_a_clock_too(folder):
    times(folder / "c.tsv")
    (folder / "a.xml").write_text("<annotations><version>1.1</ver")
    [line] = told(folder, [row("one", rois="a.xml", clock="c.tsv")])
    assert line.startswith("recordings.tsv: line 2: rois: a.xml: ")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"clock": "c.tsv"}, "clock: c.tsv: line 1: header row is 'bad'"),
        ({"clock": "c.tsv", "clock_md5": "0" * 32}, "clock: c.tsv: "),
        ({"labelled": "c.tsv", "rois": "a.xml"}, "labelled: c.tsv: line 1: header row is 'bad'"),
        ({"labelled": "c.tsv"}, "labelled: says which frames of rois or tags are finished"),
        ({"clock": "d.tsv"}, "clock: 'd.tsv' does not exist"),
        ({"clock": "c.tsv", "video/clock": "frames"}, "clock: is not used, because video/clock is"),
        (
            {"clock": "c.tsv", "video/n_frames": "5"},
            "clock: video/n_frames is for clock: events; give",
        ),
        ({"video/clock": "external"}, "clock: is missing; it names the table of the frames' times"),
        ({"video/trigger_id": "1"}, "video/trigger_id: goes with clock: triggers only"),
        ({"clock_md5": "0" * 32}, "clock_md5 is given without clock"),
    ],
)
def test_clock_and_finished_frames__that_are_wrong_are_told_with_their_line(
    folder, columns, message
):
    xml(folder / "a.xml", video="one.mp4")
    (folder / "c.tsv").write_text("bad\n")
    lines = told(folder, [row("one", **columns)])
    assert any(f"recordings.tsv: line 2: {message}" in line for line in lines), lines


@pytest.mark.parametrize(
    ("ending", "columns", "message"),
    [
        ("times", {"times": "t.txt"}, ""),
        ("times", {}, "times: is missing; it names the file with the times at which windows of "),
        ("times", {"times": "u.txt"}, "times: 'u.txt' does not exist"),
        ("times", {"times": "bad"}, "times: bad: line 2: 'x' is not a whole number of at most"),
        ("times", {"times": "t.txt", "times_md5": "0" * 32}, "times: t.txt: "),
        ("times", {"times_md5": "0" * 32}, "times_md5 is given without times"),
        ("labels", {"times": "t.txt", "boxes": "b.npy"}, "times: is not used: no feature has"),
        ("labels", {}, "rois or boxes is missing: windows of features/ends end at the times of "),
        ("labels", {"boxes": "b.npy"}, ""),
        ("times", {"features/ends/ending": "labels", "boxes": "b.npy"}, ""),
        ("times", {"features/ends/ending": "null"}, ""),
        ("times", {"features/ends/count": "5"}, "features/ends: count=5 does not go with ending"),
        ("frames", {}, ""),
    ],
)
def test_instants__where_windows_end_are_there_and_whole(folder, ending, columns, message):
    (folder / "t.txt").write_text("5\n7\n")
    (folder / "bad").write_text("5\nx\n")
    annotation(folder / "b.npy", "event-bbox")
    one = {"representation": "histogram", "window_us": 10_000, "ending": ending}
    lines = told(folder, [row("one", **columns)], {"features": {"ends": one}})
    if not message:
        assert lines == []
    else:
        assert any(f"recordings.tsv: line 2: {message}" in line for line in lines), lines


def test_instants__of_a_recording_are_in_the_file_that_its_features_ask_for(folder):
    one = {"representation": "histogram", "window_us": 10_000}
    features = {name: one | {"ending": name} for name in ("labels", "times")} | {"plain": one}
    rows = [row("a", boxes="b.npy", times="t.txt"), row("b", rois="a.xml")]
    rows[1] |= {"features/times/ending": "frames"}
    (folder / "t.txt").write_text("5\n7\n")
    xml(folder / "a.xml", video="b.mp4")
    annotation(folder / "b.npy", "event-bbox")
    assert told(folder, rows, {"features": features}) == []
    dataset = DataSet(*read_config(CONFIG | {"labels": ["car"], "features": features}))
    found = {at: dataset.ends_of_windows(at) for at in ("labels", "frames", "times")}
    assert {at: file("a") for at, file in found.items()} == {
        "labels": "results/boxes/a_bbox.npy",
        "frames": None,
        "times": "t.txt",
    }
    assert {at: file("b") for at, file in found.items()} == {
        "labels": "results/slices/b_bbox.npy",
        "frames": "results/video/b.clock.tsv",
        "times": None,
    }


def test_annotation__of_the_frames_of_another_clock_is_told_whose_it_is(folder):
    xml(folder / "a.xml", task="shift 7")
    size = "# sensor_height_px\t{}\n# sensor_width_px\t9\n"
    for name, n, height in (("one", 20, 9), ("two", 10, 8), ("three", 10, 9)):
        times(folder / f"{name}.tsv", n, comments=size.format(height))
    (folder / "b.xml").write_text(
        (folder / "a.xml").read_text().replace("<source>", SIZE + "<source>")
    )
    rows = [row(name, clock=f"{name}.tsv") for name in ("one", "two", "three")]
    rows[0]["rois"] = "b.xml"
    lines = told(folder, rows)
    [line] = [line for line in lines if "clock: b.xml" in line]
    assert "its task has the frames 0 to 9, the video 0 to 19; it is of task 7 'shift 7'" in line
    assert line.endswith(
        "It seems to belong to three. Give the XML that belongs here, or the clock of that."
    )
    rows[0]["annotate/part_of_video"] = "true"
    assert not any("clock: b.xml" in line for line in told(folder, rows))
    rows[0]["annotate/part_of_video"], rows[0]["clock"] = "", "two.tsv"
    [line] = [line for line in told(folder, rows) if "clock: b.xml" in line]
    assert "was drawn on 9x9 pictures; the video's are 9x8" in line
    rows[0]["annotate/homography"] = "[1, 0, 0, 0, 1, 0, 0, 0, 1]"
    assert not any("clock: b.xml" in line for line in told(folder, rows))


def test_what_is_wrong_with_a_recording_that_is_left_out__is_a_doubt(folder):
    times(folder / "one.tsv", 20, comments="# sensor_height_px\t9\n# sensor_width_px\t9\n")
    xml(folder / "a.xml", task="one")
    rows = [row("one", rois="a.xml", clock="one.tsv"), row("two", rois="none.csv")]
    (folder / "none.csv").write_text("not an XML", encoding="utf-8")
    both = told(folder, rows)
    assert len(both) == 2
    assert told(folder, rows, left_out=["one"]) == [line for line in both if "line 3" in line]
    assert told(folder, rows, left_out=["one", "two"]) == both


def test_annotation__that_does_not_fit_the_clock_of_an_earlier_run_is_a_doubt(folder):
    size = "# sensor_height_px\t9\n# sensor_width_px\t9\n# window_us\t{}\n"
    (folder / "results" / "video").mkdir(parents=True)
    for name, n in (("one", 20), ("two", 10)):
        path = folder / "results" / "video" / f"{name}.clock.tsv"
        times(path, n, comments=size.format(10_000))
    xml(folder / "a.xml", task="one")
    text = (folder / "a.xml").read_text()
    (folder / "a.xml").write_text(text.replace("<source>", SIZE + "<source>"))
    rows = [row("one", rois="a.xml"), row("two")]
    [doubt] = told(folder, rows)
    assert doubt.startswith("recordings.tsv: line 2: a.xml: its task has the frames 0 to 9, the ")
    assert doubt.endswith(
        "It seems to belong to two. Give the XML that belongs here, or the clock of that."
    )
    assert told(folder, rows, {"video": {"window_us": 5_000}}) == []
    rows[0]["annotate/part_of_video"] = "true"
    assert told(folder, rows) == []


@pytest.mark.parametrize("form", ["coco", "mot", "yolo", "event-bbox"])
def test_clock__of_a_table_goes_with_any_form(folder, form):
    """The box is in frame 0 of the table, which the recording's own frames need not have."""
    (folder / "one.tsv").write_text("frame\tstart_us\tstop_us\n0\t0\t20\n")
    annotation(folder / "one.x", form)
    rows = [row("one", rois="one.x", clock="one.tsv")]
    found = told(folder, rows)
    assert all("does not say" in doubt for doubt in found), found
    (folder / "one.tsv").write_text("frame\tstart_us\tstop_us\n0\t5\t6\n")
    lines = told(folder, rows)
    wrong = {"coco": "000000_0.png", "yolo": "000000_0", "event-bbox": "in no frame"}
    assert form == "mot" or wrong[form] in lines[0]


def test_font__that_letters_cannot_be_drawn_from_is_told_before_anything_runs(folder):
    config = {"qa": {"font": "letters.ttf"}}
    shutil.copy(DEJAVU, "letters.ttf")
    assert told(folder, [row("a")], config) == []
    Path("letters.ttf").write_bytes(DEJAVU.read_bytes()[:100_000])
    (line,) = told(folder, [row("a")], config)
    assert line.startswith("qa/font: letters.ttf: is not a font that letters can be drawn from: ")


def jobs(folder, name, *ranges, **said):
    """Write an export for each range of frames, as those of one task's jobs."""
    files = []
    for k, frames in enumerate(ranges):
        number = 50 + frames[0]
        path = folder / name / f"job_{k}.xml"
        path.parent.mkdir(exist_ok=True)
        xml(path, number=number, task="", **said)
        text = path.read_text(encoding="utf-8").replace("task>", "job>")
        text = text.replace("<start_frame>0<", f"<start_frame>{frames[0]}<")
        text = text.replace("<stop_frame>9<", f"<stop_frame>{frames[-1]}<")
        path.write_text(text.replace('frame="0"', f'frame="{frames[0]}"'), encoding="utf-8")
        files.append(f"{name}/{path.name}")
    return files


def listed_of(folder, cell, **columns):
    """Return the files that a cell of column rois names, as the config reads it."""
    (doubt,) = told(folder, [row("one", rois=cell, **columns)])
    assert doubt.endswith(".xml does not say that it is of 'one'; 1 more")
    dataset = DataSet(*read_config(CONFIG | {"labels": ["car"]}))
    return dataset.files("rois")("one"), dataset.description(str)["recordings"]["one"]["rois"]


def test_jobs_of_one_recording__are_listed_or_in_a_folder(folder):
    files = jobs(folder, "a", range(10), range(10, 20))
    sums = [hashlib.md5((folder / file).read_bytes()).hexdigest() for file in files]
    for cell in (" | ".join(files), "|".join(files), "a"):
        assert listed_of(folder, cell) == (files, "job_0.xml | job_1.xml")
    assert listed_of(folder, "a", rois_md5=" | ".join(sums))[0] == files
    assert listed_of(folder, " | ".join(files[::-1]))[0] == files[::-1]


def test_file__whose_name_has_a_bar_in_it_is_one_file(folder):
    xml(folder / "a | b.xml", video="one.mp4")
    assert told(folder, [row("one", rois="a | b.xml")]) == []


@pytest.mark.parametrize(
    ("cell", "more", "message"),
    [
        ("a/job_0.xml | a/job_7.xml", {}, "'a/job_7.xml' does not exist; did you mean"),
        ("a/job_0.xml | ", {}, "begins or ends with a space"),
        ("a/job_0.xml |", {}, "names no file between two |"),
        ("a/job_0.xml | a/job_0.xml", {}, "'a/job_0.xml' is named twice"),
        ("a/job_0.xml,a/job_1.xml", {}, "write several as 'a/job_0.xml | a/job_1.xml'"),
        ("a/job_0.xml a/job_1.xml", {}, "write several as 'a/job_0.xml | a/job_1.xml'"),
        ("a", {"rois_md5": "0" * 32}, "rois_md5: has 1 sums; rois has 2 files"),
        ("a/job_0.xml | copy.xml", {}, "job_0.xml and copy.xml are both of job 50"),
        ("a/job_0.xml | later.xml", {}, "no file has the frames 10 to 29"),
        ("a/job_0.xml | cut.xml", {}, "cut.xml: line 8: is not whole XML"),
        ("empty", {}, "'empty' is a folder"),
    ],
)
def test_jobs_that_do_not_go_together__are_told_before_anything_runs(folder, cell, more, message):
    jobs(folder, "a", range(10), range(10, 20))
    (other,) = jobs(folder, "b", range(30, 40))
    (folder / other).rename(folder / "later.xml")
    shutil.copy(folder / "a" / "job_0.xml", folder / "copy.xml")
    text = (folder / "a" / "job_1.xml").read_bytes()
    (folder / "cut.xml").write_bytes(text[:-30])
    (folder / "empty").mkdir()
    lines = told(folder, [row("one", rois=cell, **more)])
    assert len(lines) == 1
    assert lines[0].startswith("recordings.tsv: line 2: rois")
    assert message in lines[0]


def test_wrong_md5_of_one_of_several_files__is_told_with_its_name(folder):
    files = jobs(folder, "a", range(10), range(10, 20))
    right = hashlib.md5((folder / files[0]).read_bytes()).hexdigest()
    lines = told(folder, [row("one", rois="a", rois_md5=f"{right} | {'0' * 32}")])
    assert "job_1.xml" in lines[0]
    assert "0000" in lines[0]
