"""Reading CVAT XML: real exports, files by hand, and hostile ones."""

from __future__ import annotations

import pytest

from evreel.annotations.cvat import read_cvat, write_images_xml, write_video_xml
from evreel.annotations.shapes import Annotations, FrameTag, Track
from evreel.errors import AnnotationError, UsageError
from support import shared_file
from support.annotations import PARK, TASK, by_frame, plain

# Real exports


def test_real_pair__has_the_same_shapes_in_each_frame():
    video = read_cvat(shared_file("annotations/four_obj_static_video.xml"))
    images = read_cvat(shared_file("annotations/four_obj_static_image.xml"))
    # Track 0 was called Mug when the one was exported and Pen when the other was.
    renamed = [Track(t.id, {"Mug": "Pen"}.get(t.label, t.label), t.shapes) for t in video.tracks]
    video = Annotations(video.labels, tuple(renamed))
    assert by_frame(video) == by_frame(images)
    assert sorted(by_frame(video)) == list(range(916))


def test_real_job_export__has_its_frames_and_size():
    got = read_cvat(shared_file("annotations/volleyball_video_JOB_boxes_outside.xml"))
    assert got.labels == ("approach", "jump", "swing", "land")
    assert len(got.tracks) == 20
    assert got.frames == range(910)
    assert got.picture_shape == (1920, 1080)
    assert all(track.shapes[-1].outside for track in got.tracks)
    assert [s.frame for s in got.tracks[0].shapes] == list(range(20, 41))


@pytest.mark.parametrize(
    "name",
    ["datumaro_video_small", "datumaro_video_start10_step3_skeleton_points_polyline"],
)
def test_real_files__of_2020_have_all_their_shapes(name):
    got = read_cvat(shared_file(f"annotations/{name}.xml"))
    assert (got.frames, got.picture_shape, got.video) == (range(10, 20, 3), (20, 25), "t.mp4")
    assert [attribute.values for attribute in got.attributes["klhg"]] == [("jk", "hgkf")]
    tracks = [
        (t.id, t.label, t.shapes[0].name, [(s.frame, s.outside) for s in t.shapes])
        for t in got.tracks
    ]
    assert tracks[:3] == [
        (0, "II", "box", [(10, False), (13, True), (16, True)]),
        (1, "klhg", "points", [(10, False), (13, True)]),
        (2, "II", "polyline", [(13, False), (16, True)]),
    ]
    assert [dict(s.attributes) for s in got.tracks[1].shapes] == [{"hgl": "hgkf"}, {"hgl": "jk"}]
    if name.endswith("small"):
        return
    assert tracks[3:] == [
        (3, "skeleton", "skeleton", [(10, False), (13, False), (16, False)]),
    ]
    first, second, third = got.tracks[3].shapes
    assert first.joints == ("1", "2", "3", "4")
    assert first.points.tolist()[2] == [83.27, 106.61]
    assert [s.visible for s in (first, second, third)] == [
        (True, True, True, True),
        (True, True, False, True),
        (True, True, False, True),
    ]


def test_real_images_of_two_sizes__are_refused():
    path = shared_file("annotations/datumaro_images_task.xml")
    with pytest.raises(AnnotationError, match=r"line 90, frame 0: label '' is not one of the task"):
        read_cvat(path)


def test_real_project__is_read_task_by_task():
    path = shared_file("annotations/datumaro_images_project_subsets.xml")
    with pytest.raises(
        AnnotationError,
        match=r"of 3 tasks, 39 \('Test', Test\), 37 \('train', Train\), 38 .*Set annotate.task",
    ):
        read_cvat(path)
    # A script wrote it: its task of one frame has two, of two sizes.
    with pytest.raises(AnnotationError, match="frame 1: is not one of the task's frames 0 to 0"):
        read_cvat(path, task="39")


# Files written by hand

META = """<meta><task><start_frame>0</start_frame><stop_frame>9</stop_frame>
<frame_filter></frame_filter><labels><label><name>car</name></label></labels></task></meta>"""


def written(tmp_path, body, meta=META):
    path = tmp_path / "hand.xml"
    path.write_text(f"<annotations><version>1.1</version>{meta}\n{body}</annotations>")
    return path


def edit(**values):
    """A box in frame 2, with other attributes; None leaves one out."""
    given = {"frame": "2", "outside": "0", "xtl": "1", "ytl": "2", "xbr": "3", "ybr": "4"}
    kept = {name: value for name, value in (given | values).items() if value is not None}
    return "<box " + " ".join(f'{name}="{value}"' for name, value in kept.items()) + "/>"


def track(*shapes, label="car"):
    return f'<track id="7" label="{label}">{"".join(shapes)}</track>'


def outline(points):
    return track(f'<polygon frame="2" points="{points}"/>')


def test_reader__takes_a_file_without_meta(tmp_path):
    shapes = edit(frame="5", keyframe="1", occluded="0", xbr="3.5"), edit(frame="7", outside="1")
    body = track(*shapes, label="cat") + track(label="ant") + "<!-- a remark -->"
    body += track(label="cat")
    got = read_cvat(written(tmp_path, body, meta=""))
    assert got.labels == ("cat", "ant")
    assert got.frames == (5, 6), "the track is visible from 5 up to its closing shape at 7"
    assert got.picture_shape is None
    ((opened, closing),) = (cat.shapes for cat in got.tracks)
    assert plain(opened) == (5, "box", [[1, 2], [3.5, 4]], False, False, True, 0, {})
    assert closing.outside


def test_reader__counts_interpolated_frames_as_looked_at(tmp_path):
    listed = (("1", None), ("4", "1"), ("6", None), ("8", None))
    body = track(*(edit(frame=frame, outside=outside) for frame, outside in listed), label="cat")
    assert read_cvat(written(tmp_path, body, meta="")).frames == (1, 2, 3, 6, 7, 8)


def test_reader__of_tags_only_refuses_the_video_form(tmp_path):
    path = written(tmp_path, track(edit()))
    with pytest.raises(AnnotationError, match="is of the video form, which has no tags"):
        read_cvat(path, tags_only=True)


@pytest.mark.parametrize("of", ["task", "job"])
def test_reader__says_which_frames_the_task_or_job_has(tmp_path, of):
    meta = META.replace("<task>", f"<{of}>").replace("</task>", f"</{of}>")
    assert read_cvat(written(tmp_path, "", meta)).task == range(10)
    assert read_cvat(written(tmp_path, "", "")).task is None


SOURCES = {
    "in the task": "<task><name> park 1 </name><source>park.mp4</source>",
    "beside it": "<source>park.mp4</source><task><name>park 1</name>",
}


@pytest.mark.parametrize("where", SOURCES)
def test_reader__says_what_the_file_says_of_its_origin(tmp_path, where):
    images = "".join(f'<image id="{k}" name="frame_00000{k}"/>' for k in (3, 4))
    got = read_cvat(written(tmp_path, images, META.replace("<task>", SOURCES[where])))
    assert (got.task_name, got.video) == ("park 1", "park.mp4")
    assert got.pictures == {3: "frame_000003", 4: "frame_000004"}
    got = read_cvat(written(tmp_path, '<image id="3"/>', META))
    assert (got.task_name, got.video, got.pictures) == (None, None, {})


def test_reader__takes_old_shapes_without_z_order_and_source(tmp_path):
    body = (
        '<image id="4" name="4" width="9" height="8"><polygon label="car" annotation_type="manual" '
        'occluded="1" points="1,2;3.0,4;1,5"/><tag label="car" annotation_type="manual"/></image>'
    )
    got = read_cvat(written(tmp_path, body))
    expected = (4, "polygon", [[1, 2], [3, 4], [1, 5]], False, True, True, 0, {})
    assert plain(got.tracks[0].shapes[0]) == expected
    assert (got.tags, got.frames, got.picture_shape) == ((FrameTag(4, "car"),), (4,), (8, 9))


def test_reader__of_tags_only_leaves_shapes_unread(tmp_path):
    write_images_xml(tmp_path / "a.xml", PARK, **TASK)
    got = read_cvat(tmp_path / "a.xml", tags_only=True)
    assert got.tracks == ()
    assert (got.tags, got.labels, got.frames) == (PARK.tags, PARK.labels, tuple(range(10)))
    ellipse = '<image id="0"><ellipse label="car" cx="x"/><tag label="car"/></image>'
    assert read_cvat(written(tmp_path, ellipse), tags_only=True).tags == (FrameTag(0, "car"),)


def test_reader__takes_a_closing_shape_after_the_last_frame(tmp_path):
    body = track(edit(frame="9"), edit(frame="10", outside="1"))
    assert len(read_cvat(written(tmp_path, body)).tracks[0].shapes) == 2


def test_reader__keeps_attributes(tmp_path):
    body = track(
        *(
            edit(frame=str(k))[:-2]
            + f'><attribute name="a">{v}</attribute><attribute name="b"/></box>'
            for k, v in enumerate("ppq")
        )
    )
    shapes = read_cvat(written(tmp_path, body)).tracks[0].shapes
    assert [dict(s.attributes) for s in shapes] == [{"a": v, "b": ""} for v in "ppq"]


KINDS = {
    "ellipse": '<ellipse frame="2" cx="1" cy="2" rx="3" ry="4"/>',
    "mask": '<mask frame="2" rle="1, 2" left="0" top="0" width="3" height="1"/>',
    "polyline": '<polyline frame="2" points="1,2;3,4"/>',
    "points": '<points frame="2" points="1,2"/>',
    "cuboid": '<cuboid frame="2" xtl1="1"/>',
    "skeleton": '<skeleton frame="2"><points label="1" points="1,1"/></skeleton>',
    "hexagon": '<hexagon frame="2"/>',
}


@pytest.mark.parametrize("kind", KINDS)
def test_reader__never_drops_a_shape_silently(tmp_path, kind):
    path = written(tmp_path, track(KINDS[kind], edit(frame="3")))
    if kind == "hexagon":
        message = rf"track 7 \('car'\), frame 2: shapes of kind {kind} are not supported"
        with pytest.raises(AnnotationError, match=message):
            read_cvat(path)
    got = read_cvat(path, unsupported="skip", shapes=["box"])
    assert got.skipped == {kind: 1}
    assert [s.frame for s in got.tracks[0].shapes] == [3]


def test_reader__refuses_a_kind_that_does_not_exist(tmp_path):
    with pytest.raises(UsageError, match=r"shapes: 'boxes' is not one of box, ellipse, polygon"):
        read_cvat(written(tmp_path, track(edit())), shapes=["boxes"])


def test_reader__takes_a_box_rotated_by_zero(tmp_path):
    assert len(read_cvat(written(tmp_path, track(edit(rotation="0.00")))).tracks) == 1


WHERE = r"track 7 \('car'\), frame 2: "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (track(edit(xtl="nan")), WHERE + "xtl has 'nan', which is not a number"),
        (track(edit(ybr="inf")), WHERE + "ybr has 'inf'"),
        (track(edit(ybr="1e999")), WHERE + "ybr has '1e999'"),
        (track(edit(xbr="3_0")), WHERE + "xbr has '3_0'"),
        (track(edit(xbr="")), WHERE + "xbr has ''"),
        (track(edit(xbr="1")), WHERE + r"box xbr=1\.0 is not right of xtl=1\.0"),
        (track(edit(ytl="5")), WHERE + r"box ybr=4\.0 is not below ytl=5\.0"),
        (track(edit(xtl=None)), WHERE + "<box> has no xtl"),
        (track(edit(frame=None)), r"track 7 \('car'\): <box> has no frame"),
        (track(edit(frame="-1")), r"track 7 \('car'\): frame=-1 is not at least 0"),
        (track(edit(frame="2.0")), r"track 7 \('car'\): frame='2.0' is not a whole number"),
        (track(edit(frame="٣")), "frame='٣' is not a whole number"),
        (track(edit(outside="yes")), WHERE + "outside='yes' is neither 0 nor 1"),
        (track(edit(z_order="top")), WHERE + "z_order='top' is not a whole number"),
        (track(edit(), edit()), WHERE + "frame 2 is listed twice"),
        (track(edit(frame="3"), edit()), WHERE + "frame 2 is listed after 3"),
        (track(edit(frame="10")), "frame 10: is not one of the task's frames 0 to 9"),
        (track(edit()[:-2] + "><b/></box>"), WHERE + "<b> is not expected in <box>"),
        (outline("1,2;3,4"), WHERE + "polygon has 2 points"),
        (outline("1,2;3;4,5"), WHERE + "polygon has '3' among its points"),
        (outline("1,2;3,x;4,5"), WHERE + "points has 'x'"),
        (outline("1,2;3,4;5,6;"), WHERE + "polygon has '' among its points"),
        ('<track id="7" label="bus"/>', "track 7: label 'bus' is not one of the task's: car"),
        ('<track id="7"/>', "track 7: <track> has no label"),
        ('<track label="car"/>', "<track> has no id"),
        ('<image id="1"><tag label="bus"/></image>', "frame 1: label 'bus' is not one"),
        ('<image id="1"/><image id="1"/>', "frame 1: is listed twice"),
        ('<image id="1"/><track id="7" label="car"/>', "has both tracks and images"),
        ('<image id="1" width="0" height="3"/>', "frame 1: width=0 is not at least 1"),
        ('<image id="1" width="3"/>', "frame 1: <image> has no height"),
        ("<surprise/>", "<surprise> is not known"),
        (META, "<meta> is expected once"),
    ],
)
def test_reader__names_the_place_and_the_value_at_fault(tmp_path, body, message):
    with pytest.raises(AnnotationError, match=rf"^hand\.xml: line \d+[,:] .*{message}"):
        read_cvat(written(tmp_path, body))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<stop_frame>9", "<stop_frame>-9", "line 1: stop_frame=-9 is not at least 0"),
        ("<start_frame>0", "<start_frame>11", "stop_frame=9 is before start_frame=11"),
        (
            "<frame_filter>",
            "<frame_filter>every 3rd",
            "frame_filter 'every 3rd' does not have the form step=N",
        ),
        (
            "<frame_filter>",
            "<frame_filter>step=0",
            "frame_filter 'step=0' does not have the form step=N",
        ),
        ("<name>car</name>", "", "line 2: a label has no name"),
        ("<labels>", "<original_size/><labels>", "original_size lacks a width"),
    ],
)
def test_reader__names_what_is_wrong_in_meta(tmp_path, old, new, message):
    path = written(tmp_path, "", meta=META.replace(old, new))
    with pytest.raises(AnnotationError, match=message):
        read_cvat(path)


def test_reader__counts_lines_in_a_long_file(tmp_path):
    lines = "".join(edit(frame=str(k)) + "\n" for k in range(9)) + edit(frame="9", xbr="0")
    with pytest.raises(AnnotationError, match=r"line 12, track 7 \('car'\), frame 9"):
        read_cvat(written(tmp_path, track(lines)))


LAUGHS = "".join(
    f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "empty": ("", "is not whole XML: no element found"),
    "blank": ("  \n", "line 2: is not whole XML"),
    "text": ("frame,xtl\n1,2\n", "line 1: is not whole XML: Start tag expected"),
    "html": (
        "<!DOCTYPE html>\n<html><body>Bad gateway</body></html>",
        r"line 2: starts with <html>; <annotations> is expected.*a page that a server sent",
    ),
    "cut": (
        '<annotations>\n<track id="0" label="a">\n<box frame="0" xtl="1" ytl="2" xbr="3" ybr="4"/>',
        "line 3: is not whole XML: Premature end of data",
    ),
    "laughs": (
        f'<!DOCTYPE x [<!ENTITY a "aaaaaaaa">{LAUGHS}]>\n'
        '<annotations><image id="&i;"/></annotations>',
        "has a document type, which CVAT never writes|amplification",
    ),
    "outside": (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n<annotations>&e;</annotations>',
        "line 2: has a document type",
    ),
    "remote": (
        '<!DOCTYPE annotations SYSTEM "http://localhost:1/x.dtd">\n<annotations/>',
        "line 2: has a document type",
    ),
    "entity": ("<annotations>&e;</annotations>", "is not whole XML"),
    "version": ("<annotations><version>1.0</version></annotations>", "version '1.0'; only 1.1"),
    "two": ("<annotations/>\n<annotations/>", "line 2: is not whole XML: Extra content"),
    "deep": ("<annotations><track id='1' label='a'>" + "<box>" * 5000, "is not whole XML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_reader__answers_hostile_files_with_one_error(tmp_path, name):
    text, message = HOSTILE[name]
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=rf"^bad\.xml: .*({message})"):
        read_cvat(path)


def test_reader__answers_bytes_that_are_not_text(tmp_path):
    path = tmp_path / "bad.xml"
    for raw in (b"\x00\x01\x02", b"<annotations>\xff\xfe</annotations>"):
        path.write_bytes(raw)
        with pytest.raises(AnnotationError, match=r"^bad\.xml: .*is not whole XML"):
            read_cvat(path)


def test_reader__cut_anywhere_is_refused(tmp_path):
    write_video_xml(tmp_path / "a.xml", PARK, **TASK)
    whole = (tmp_path / "a.xml").read_bytes().rstrip()
    for length in range(0, len(whole), 97):
        (tmp_path / "a.xml").write_bytes(whole[:length])
        with pytest.raises(AnnotationError, match=r"^a\.xml: "):
            read_cvat(tmp_path / "a.xml")


def test_reader__says_that_a_file_is_missing(tmp_path):
    with pytest.raises(AnnotationError, match=r"^none\.xml: cannot be read: No such file"):
        read_cvat(tmp_path / "none.xml")
    with pytest.raises(UsageError, match="unsupported='drop' is neither"):
        read_cvat(tmp_path / "none.xml", unsupported="drop")
