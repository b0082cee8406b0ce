"""Writing CVAT XML: as CVAT writes it, and what is written is read back."""

from __future__ import annotations

import pytest
from lxml import etree

from evreel.annotations.cvat import read_cvat, write_images_xml, write_video_xml
from evreel.annotations.shapes import Annotations, FrameTag, Track
from evreel.errors import AnnotationError
from support import shared_file
from support.annotations import CAR, PARK, TASK, box, by_frame, plain


def plain_tracks(annotations):
    return [(t.id, t.label, [plain(s) for s in t.shapes]) for t in annotations.tracks]


def test_video_form__gives_back_every_track(tmp_path):
    write_video_xml(tmp_path / "park.xml", PARK, **TASK)
    got = read_cvat(tmp_path / "park.xml")
    assert plain_tracks(got) == plain_tracks(PARK)
    assert got.labels == PARK.labels
    assert got.frames == range(10)
    assert got.picture_shape == (48, 64)
    assert got.source == "park.xml"
    assert got.tags == (), "a video export has no tags"


def test_images_form__gives_back_every_visible_shape_and_tag(tmp_path):
    write_images_xml(tmp_path / "park.xml", PARK, **TASK)
    got = read_cvat(tmp_path / "park.xml")
    assert by_frame(got) == by_frame(PARK)
    assert {track.id for track in got.tracks} == {-1}
    assert got.tags == PARK.tags
    assert got.frames == tuple(range(10))
    assert (got.labels, got.picture_shape) == (PARK.labels, (48, 64))
    occluded = [track.shapes[0].frame for track in got.tracks if track.shapes[0].occluded]
    assert occluded == [3]


def test_images_form__lists_what_is_on_top_last(tmp_path):
    low, high = Track(0, "car", (box(0, z_order=4),)), Track(1, "car", (box(0, left=0.0),))
    scene = Annotations(("car",), (low, high), frames=range(10))
    write_images_xml(tmp_path / "a.xml", scene, **TASK)
    assert [t.shapes[0].z_order for t in read_cvat(tmp_path / "a.xml").tracks] == [0, 4]


def test_images_form__of_images_names_them_and_has_no_video(tmp_path):
    names = [f"left/{k}.png" for k in range(10)]
    write_images_xml(tmp_path / "a.xml", PARK, **TASK, frame_names=names)
    root = etree.parse(tmp_path / "a.xml").getroot()
    assert [image.get("name") for image in root.iter("image")] == names
    assert root.findtext("meta/task/mode") == "annotation"
    assert root.find("meta/task/original_size") is None
    assert root.find("meta/source") is None
    assert read_cvat(tmp_path / "a.xml").picture_shape == (48, 64)


@pytest.mark.parametrize("write", [write_video_xml, write_images_xml])
def test_writers__write_the_same_bytes_again(tmp_path, write):
    for name in ("one.xml", "two.xml"):
        write(tmp_path / name, PARK, **TASK)
    assert (tmp_path / "one.xml").read_bytes() == (tmp_path / "two.xml").read_bytes()


def test_video_form__is_what_cvat_writes(tmp_path):
    still = Annotations(
        ("car",), (Track(0, "car", (box(0, attributes={"hue": "7"}), box(3, outside=True))),)
    )
    write_video_xml(tmp_path / "a.xml", still, name="s", n_frames=8, picture_shape=(48, 64), step=3)
    assert (
        (tmp_path / "a.xml").read_text()
        == """\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>1</id>
      <name>s</name>
      <size>3</size>
      <mode>interpolation</mode>
      <overlap>0</overlap>
      <bugtracker></bugtracker>
      <created>2020-01-01 00:00:00.000000+00:00</created>
      <updated>2020-01-01 00:00:00.000000+00:00</updated>
      <start_frame>0</start_frame>
      <stop_frame>6</stop_frame>
      <frame_filter>step=3</frame_filter>
      <labels>
        <label>
          <name>car</name>
          <color>#2b2961</color>
          <attributes>
            <attribute>
              <name>hue</name>
              <mutable>True</mutable>
              <input_type>text</input_type>
              <default_value></default_value>
              <values></values>
            </attribute>
          </attributes>
        </label>
      </labels>
      <segments>
        <segment>
          <id>1</id>
          <start>0</start>
          <stop>2</stop>
          <url>http://localhost:8080/?id=1</url>
        </segment>
      </segments>
      <owner>
        <username>annotator</username>
        <email></email>
      </owner>
      <assignee></assignee>
      <original_size>
        <width>64</width>
        <height>48</height>
      </original_size>
    </task>
    <dumped>2020-01-01 00:00:00.000000+00:00</dumped>
    <source>s.mp4</source>
  </meta>
  <track id="0" label="car" source="manual">
    <box frame="0" outside="0" occluded="0" keyframe="1" xtl="1.00" ytl="2.00" xbr="11.50" \
ybr="12.25" z_order="0">
      <attribute name="hue">7</attribute>
    </box>
    <box frame="3" outside="1" occluded="0" keyframe="1" xtl="1.00" ytl="2.00" xbr="11.50" \
ybr="12.25" z_order="0">
    </box>
  </track>
</annotations>
"""
    )
    assert read_cvat(tmp_path / "a.xml").frames == range(0, 7, 3)


def test_video_form__closes_a_loose_shape_one_step_later_except_in_the_last_frames(tmp_path):
    loose = tuple(Track(-1, "car", (box(frame),)) for frame in (0, 6, 7, 8))
    scene = Annotations(("car",), (*loose, Track(4, "car", (box(1),))), frames=range(1, 9))
    with pytest.raises(AnnotationError, match=r"track -1 \('car'\), frame 0: the task has no such"):
        write_video_xml(tmp_path / "a.xml", scene, **TASK)
    scene = Annotations(("car",), scene.tracks, frames=range(9))
    write_video_xml(tmp_path / "a.xml", scene, **TASK)
    listed = [
        (t.id, [(s.frame, s.outside) for s in t.shapes])
        for t in read_cvat(tmp_path / "a.xml").tracks
    ]
    assert listed == [
        (5, [(0, False), (1, True)]),
        (6, [(6, False), (7, True)]),
        (7, [(7, False)]),
        (8, [(8, False)]),
        (4, [(1, False)]),
    ]


@pytest.mark.parametrize("write", [write_video_xml, write_images_xml])
def test_task__that_starts_late_and_leaves_frames_out_keeps_its_frame_numbers(tmp_path, write):
    late = Annotations(("car",), (Track(0, "car", (box(13), box(16))),), frames=range(10, 20, 3))
    more = {"step": 3} if write is write_video_xml else {}
    write(tmp_path / "a.xml", late, name="a", n_frames=30, picture_shape=(48, 64), **more)
    got = read_cvat(tmp_path / "a.xml")
    assert list(got.frames) == [10, 13, 16, 19]
    assert by_frame(got) == by_frame(late)
    task = etree.parse(tmp_path / "a.xml").find("meta/task")
    names = ("size", "start_frame", "stop_frame", "frame_filter", "segments/segment/stop")
    assert [task.findtext(name) for name in names] == ["4", "10", "19", "step=3", "3"]


def test_images_form__lists_only_the_frames_that_were_looked_at(tmp_path):
    some = Annotations(("car",), (Track(0, "car", (box(5),)),), frames=(2, 5, 8, 9))
    write_images_xml(tmp_path / "a.xml", some, **TASK)
    assert read_cvat(tmp_path / "a.xml").frames == (2, 5, 8, 9)
    with pytest.raises(AnnotationError, match="only 4 of 8 frames were annotated"):
        write_video_xml(tmp_path / "b.xml", some, **TASK)


@pytest.mark.parametrize(
    ("annotations", "more", "message"),
    [
        (Annotations(("car",), (Track(0, "bus", (box(1),)),)), {}, "label 'bus' is not one of car"),
        (Annotations(("car",), (CAR, CAR)), {}, "two tracks have the same number"),
        (Annotations(("car",), (Track(0, "car", (box(10),)),)), {}, "frame 10: the task has no"),
        (Annotations(("car",), frames=range(11)), {}, "0 to 10 are not within the video's 0 to 9"),
        (Annotations(("car",), frames=range(0, 10, 2)), {"step": 3}, "are 2 apart; step=3"),
        (Annotations(("car",)), {"n_frames": 0}, "n_frames=0, step=1 has no frames"),
        (Annotations(("ca\x00r",)), {}, r"'ca\\x00r' has '\\x00' in it, which XML does"),
    ],
)
def test_video_form__refuses_what_it_cannot_say(tmp_path, annotations, more, message):
    with pytest.raises(AnnotationError, match=rf"^a\.xml: .*{message}"):
        write_video_xml(tmp_path / "a.xml", annotations, **(TASK | more))


def test_images_form__refuses_a_tag_without_a_frame_and_too_few_names(tmp_path):
    with pytest.raises(AnnotationError, match="tag 'car', frame 10: the task has no such frame"):
        write_images_xml(
            tmp_path / "a.xml", Annotations(("car",), tags=(FrameTag(10, "car"),)), **TASK
        )
    with pytest.raises(AnnotationError, match="1 names for 10 frames"):
        write_images_xml(tmp_path / "a.xml", PARK, **TASK, frame_names=["a.png"])


def test_shape__after_which_nothing_is_known_is_only_written_as_an_image(tmp_path):
    track = Track(3, "car", (box(2, alone=True), box(4)))
    scene = Annotations(("car",), (track,), frames=range(10))
    with pytest.raises(AnnotationError, match=r"track 3 \('car'\), frame 2: .*the images form"):
        write_video_xml(tmp_path / "a.xml", scene, **TASK)
    write_images_xml(tmp_path / "a.xml", scene, **TASK)
    assert sorted(by_frame(read_cvat(tmp_path / "a.xml"))) == [2, 4]


# Real exports


def test_real_video_export__is_read_and_written_again_line_by_line(tmp_path):
    path = shared_file("annotations/four_obj_static_video.xml")
    got = read_cvat(path)
    assert [(t.id, t.label, len(t.shapes)) for t in got.tracks] == [
        (0, "Mug", 916),
        (1, "Rabbit", 916),
        (2, "Box", 161),
        (3, "Pen", 161),
    ]
    assert [t.shapes[-1].outside for t in got.tracks] == [False, False, True, True]
    assert got.frames == range(916)
    assert got.picture_shape == (260, 346)
    assert got.labels[:4] == ("Pen", "Rabbit", "Box", "Mug")
    assert len(got.tracks[2].shapes[0].points) == 13
    assert got.tracks[0].shapes[1].points.tolist() == [[30.85, 115.69], [113.04, 184.80]]
    write_video_xml(tmp_path / "again.xml", got, name="x", n_frames=916, picture_shape=(260, 346))
    assert_same_body(tmp_path / "again.xml", path)


def test_real_images_export__is_read_and_written_again_line_by_line(tmp_path):
    path = shared_file("annotations/four_obj_static_image.xml")
    got = read_cvat(path)
    assert (len(got.tracks), len(got.tags), got.frames) == (2152, 195, tuple(range(916)))
    assert got.tags[4] == FrameTag(13, "whole_frame_tag_2")
    write_images_xml(tmp_path / "again.xml", got, name="x", n_frames=916, picture_shape=(260, 346))
    assert_same_body(tmp_path / "again.xml", path)


def assert_same_body(written, real):
    head, body = (
        [path.read_text().rstrip().partition("</meta>")[part] for path in (written, real)]
        for part in (0, 2)
    )
    assert body[0].splitlines() == body[1].splitlines()
    elements = [[e.split(">")[0].strip() for e in text.split("<")[1:]] for text in head]
    # Labels differ in number of lines only by what follows from their number.
    assert elements[0] == elements[1]
