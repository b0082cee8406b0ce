"""Files that mean harm, or that no one would draw: each with one stated outcome."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc

import h5py
import pytest

from evreel.annotations.cvat import read_cvat
from evreel.annotations.frames import place
from evreel.checks.run import check
from evreel.errors import AnnotationError
from evreel.timebase import FrameClock
from support.cvat import STEP_US, N, Recording, box, images, listed, task, track


@pytest.fixture
def rec(tmp_path):
    return Recording(tmp_path)


ENCODINGS = {
    "utf-16 with its mark": ("utf-16", "utf-16", None),
    "latin-1, as it says": ("iso-8859-1", "latin-1", None),
    "utf-8 with a mark": ("utf-8", "utf-8-sig", None),
    "latin-1, said to be utf-8": ("utf-8", "latin-1", "is not whole XML"),
    "utf-8, said to be utf-16": ("utf-16", "utf-8", "is not whole XML"),
    "an unknown one": ("klingon", "utf-8", "is not whole XML"),
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_encoding__is_the_one_that_the_file_states_or_one_error(tmp_path, case):
    stated, real, message = ENCODINGS[case]
    text = f'<?xml version="1.0" encoding="{stated}"?>\n' + task(track(box(0))).replace(
        "car", "Süd"
    )
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(real))
    if message is None:
        assert read_cvat(path).labels == ("Süd",)
        return
    with pytest.raises(AnnotationError, match=rf"^a\.xml: .*{message}"):
        read_cvat(path)


NAMES = (
    *("../../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "C:\\x", "con"),
    *("猫", "قطة", "кошка", "❤️", "a b", "e\u0301", "'; drop table", "%s {0}", "-rf", "__proto__"),
)


def test_label_names__of_any_script_or_path_are_names_and_nothing_else(rec):
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    body = "".join(
        f'<track id="{k}" label="{name}">{box(k)}{box(k + 1, outside=1)}</track>'
        for k, name in enumerate(NAMES)
    )
    xml = task(body).replace("<label><name>car</name></label>", labels)
    slices, _ = rec.run(rois=xml)
    with h5py.File(slices) as file:
        names = file["labels/name"].asstr()[:].tolist()
        assert file["rois/label"][:].tolist() == list(range(len(NAMES)))
    assert names == [*NAMES[:12], "\u00e9", *NAMES[13:]], "as Unicode composes them"
    assert not (rec.folder.parent / "etc").exists()
    assert {path.suffix for path in rec.folder.iterdir()} <= {".h5", ".tsv", ".npy", ".xml"}


def test_attribute_names__of_any_script_or_path_are_names_and_nothing_else(rec):
    said = "".join(f'<attribute name="{name}">../x</attribute>' for name in NAMES)
    shape = box(0)[:-3] + f">{said}</box>"
    slices, _ = rec.run(rois=task(track(shape, box(1, outside=1))))
    with h5py.File(slices) as file:
        assert {name.split("/")[0] for name in file} >= {"rois", "shapes", "labels"}
        assert ".." not in str(list(file["shapes"]))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "", "0x10", "٣", "1,5"])
@pytest.mark.parametrize("name", ["xtl", "ybr"])
def test_coordinate__that_is_not_a_number_is_one_error_or_is_dropped(rec, name, value):
    xml = task(track(box(3, **{name: value}), box(5)))
    with pytest.raises(AnnotationError, match=r"frame 3: .*annotate\.invalid: drop"):
        rec.annotate(rois=xml)
    made = rec.annotate(rois=xml, invalid="drop")
    assert (sorted(made.at), made.counts["dropped_shapes"]) == ([5], 1)


def test_shape__outside_the_picture_is_one_error_or_is_clipped_and_counted(rec):
    away = box(3, xtl=-50, xbr=-40)
    with pytest.raises(AnnotationError, match=r"frame 3: box reaches x=-50\.0, outside the 64 px"):
        rec.annotate(rois=task(track(away)))
    negative = task(track(box(3, xtl=-2.5)))
    with pytest.raises(AnnotationError, match=r"box reaches x=-2\.5"):
        rec.annotate(rois=negative)


def test_polygon__that_crosses_itself_or_has_no_area_is_taken_as_it_is(tmp_path):
    for points in ("1,1;9,9;9,1;1,9", "1,1;5,5;9,9", "1,1;1,1;1,1"):
        body = f'<image id="0"><polygon label="car" points="{points}"/></image>'
        path = tmp_path / "a.xml"
        path.write_text(task(body))
        assert len(read_cvat(path).tracks[0].shapes[0].points) == len(points.split(";"))


@pytest.mark.parametrize(
    "xml",
    [
        f"<annotations>{track(box(0), box(10**9 - 1))}</annotations>",
        task(track(box(0), box(10**9 - 1, outside=1))),
        task(track(box(0)), range(10**9)),
    ],
)
def test_frame__that_no_video_has_is_one_error(rec, xml):
    with pytest.raises(AnnotationError, match=r"line \d.*999999999 is beyond 16777215"):
        rec.annotate(xml)


@pytest.mark.parametrize("part_of_video", [False, True])
def test_task__of_far_more_frames_than_the_video_is_refused_without_listing_them(
    rec, part_of_video
):
    xml = task(track(box(0), box(1, outside=1)), range(1 << 24))
    tracemalloc.start()
    with pytest.raises(AnnotationError, match=r"16777215.*the video"):
        rec.annotate(xml, part_of_video=part_of_video)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 << 20


def test_ten_thousand_tracks__are_read_and_placed_in_good_time(tmp_path):
    closed = "".join((box(3), box(4, outside=1)))
    body = "".join(f'<track id="{k}" label="car">{closed}</track>' for k in range(10_000))
    path = tmp_path / "a.xml"
    path.write_text(task(body))
    start = time.process_time()
    placed = place(read_cvat(path), None, FrameClock.regular(N * STEP_US, STEP_US))
    assert len(placed.rois.tracks) == 10_000
    assert placed.doubts == ()
    assert time.process_time() - start < 60, "a second or two; a hang is what is tested"


def test_duplicate_closing_frames__are_counted_and_left_out(rec):
    closing = box(6, outside=1)
    made = rec.annotate(rois=task(track(listed(range(6)), closing, closing, box(7, outside=1))))
    assert sorted(made.at) == list(range(6))
    assert made.counts["doubled_closing_shapes"] >= 1


def test_file__without_shapes_or_tags_is_found_by_a_check(rec):
    def found(**files):
        slices, _ = rec.run(**files, part_of_video=True)
        return [f.place for f in check(slices).findings if f.check == "no_shape"]

    shapes, tags = task(track(listed(range(N)))), task(images({0: None}, shown=False))
    assert found(rois=task('<track id="0" label="car"/>')) == ["rois"]
    assert found(rois=task("")) == ["rois"]
    assert found(rois=shapes, tags=task('<image id="0"/>')) == ["tags"]
    assert found(rois=shapes, tags=tags) == found(rois=tags) == found() == []


MEASURE = """
import sys
from evreel.annotations.cvat import read_cvat
from evreel.annotations.frames import place
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024
before = peak()
read = read_cvat(sys.argv[1])
print(sum(len(track.shapes) for track in read.tracks), peak() - before)
"""


@pytest.mark.parametrize("form", ["video", "images"])
def test_reader__holds_less_in_memory_than_the_file_has(tmp_path, form):
    n, shape = (
        24_000,
        '<box {}xtl="1.25" ytl="2.25" xbr="103.25" ybr="104.25" z_order="0">\n</box>\n',
    )
    head = task("").removesuffix("</annotations>").replace("<stop_frame>19", "<stop_frame>30000")
    path = tmp_path / "a.xml"
    with path.open("w") as file:
        file.write(head)
        for k in range(n // 12_000 if form == "video" else n // 20):
            if form == "video":
                said = 'frame="{}" keyframe="0" outside="0" occluded="0" source="manual" '
                shapes = "".join(shape.format(said.format(f)) for f in range(12_000))
                file.write(f'<track id="{k}" label="car">\n{shapes}</track>\n')
            else:
                said = 'label="car" source="manual" occluded="0" '
                file.write(f'<image id="{k}" name="{k}">\n{shape.format(said) * 20}</image>\n')
        file.write("</annotations>")
    size = path.stat().st_size
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    shapes, grown = map(int, told.stdout.split())
    assert shapes == n
    # A tree of all elements would take ten times that.
    assert grown < size + (4 << 20), f"{size} bytes take {grown}"
