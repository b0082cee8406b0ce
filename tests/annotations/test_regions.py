"""Annotated slices: each event once, in its own frame, in the region that holds its pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.annotations.belonging import check_task
from evreel.annotations.cvat import read_cvat
from evreel.annotations.labelling import Annotator
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Annotations, FrameTag, Track, interpolate, merge
from evreel.errors import AnnotationError
from evreel.events import Events, Sensor
from evreel.kernels import regions as kernels
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support import random_events, shared_file
from support.annotations import CLOCK, SENSOR, annotated, box, label, moving_scene, polygon, still
from support.regions import assert_labels, plain_labels

PICTURE = Picture(tuple(SENSOR))


def laid(scene, picture=PICTURE, **more):
    return Regions(scene, CLOCK, picture, **more)


def in_frame_0(*shapes, **more):
    """Annotations of some shapes in the first frame, each a track."""
    return annotated(*(still(shape, [0], k) for k, shape in enumerate(shapes)), **more)


def events_at(t, x, y, sensor=SENSOR):
    t, x, y = np.broadcast_arrays(t, x, y)
    return Events(t.ravel(), x.ravel(), y.ravel(), np.zeros(t.size, dtype=int), sensor)


def every_pixel(t, sensor=SENSOR):
    y, x = np.mgrid[: sensor.height, : sensor.width]
    return events_at(t, x, y, sensor)


def drawn(annotations, t=5, sensor=SENSOR, **more):
    """The primary region of each pixel at a time, as text: one letter a pixel."""
    roi = label(annotations, every_pixel(t, sensor), **more).roi.reshape(sensor)
    return ["".join("." if k < 0 else "abcdefgh"[k] for k in row) for row in roi]


# The rule of pixels

RING = [(0, 0), (8, 0), (8, 6), (0, 6), (0, 0), (2, 2), (6, 2), (6, 4), (2, 4), (2, 2)]
NOWHERE = " ".join(["........"] * 6)


COORDINATES = st.integers(-4, 44).map(lambda n: n / 4)
POINTS = st.tuples(COORDINATES, COORDINATES)


@st.composite
def shapes(draw):
    z_order = draw(st.integers(0, 1))
    if draw(st.booleans()):
        return polygon(0, *draw(st.lists(POINTS, min_size=3, max_size=7)), z_order=z_order)
    (x0, y0), (x1, y1) = draw(POINTS), draw(POINTS)
    left, top = min(x0, x1), min(y0, y1)
    return box(0, left, top, max(x0, x1) + 0.25, max(y0, y1) + 0.25, z_order=z_order)


@settings(max_examples=60, deadline=None)
@given(st.lists(shapes(), max_size=4), st.integers(1, 2))
def test_labels__equal_a_search_of_every_shape_for_every_pixel(listed, scale):
    scene, events, picture = in_frame_0(*listed), every_pixel(3), Picture(tuple(SENSOR), scale)
    got = label(scene, events, picture=picture, clip=True)
    assert_labels(got, plain_labels(scene, events, CLOCK, picture))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (box(0, 0.5, 1.0, 3.5, 2.51), "........ aaa..... aaa..... ........ ........ ........"),
        (box(0, 0.51, 1.5, 3.51, 2.5), "........ .aaa.... ........ ........ ........ ........"),
        (
            polygon(0, *RING),  # the even-odd rule leaves its middle out
            "aaaaaaaa aaaaaaaa aa....aa aa....aa aaaaaaaa aaaaaaaa",
        ),
        (
            # The slanted edge crosses the centres' row y at 8 - 8y/6: 7.33, 6, 4.67, 3.33, 2, 0.67.
            polygon(0, (0, 0), (8, 0), (0, 6)),
            "aaaaaaa. aaaaaa.. aaaaa... aaa..... aa...... a.......",
        ),
        (polygon(0, (1, 1), (5, 1), (3, 1)), NOWHERE),  # flat
        (polygon(0, (2.5, 0.5), (2.5, 4.5), (2.5, 2.5)), NOWHERE),  # upright
    ],
)
def test_pixel__is_in_an_outline_where_its_centre_is(shape, expected):
    assert drawn(in_frame_0(shape)) == expected.split()


def test_polygons_with_common_edges__share_no_pixel_and_lose_none():
    hub = (3.5, 2.5)  # a pixel's centre
    rim = [(0, 0), (4, 0), (8, 0), (8, 3), (8, 6), (3.5, 6), (0, 6), (0, 2.5)]
    parts = [
        polygon(0, hub, *((a, b) if k % 2 else (b, a)))
        for k, (a, b) in enumerate(zip(rim, [*rim[1:], rim[0]], strict=True))
    ]
    got = label(in_frame_0(*parts), every_pixel(0))
    assert (got.roi >= 0).all()
    assert not len(got.overlap_event)
    assert set(got.roi.tolist()) == set(range(8))


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-1e9, 1e9) | COORDINATES | st.integers(0, 40).map(lambda n: n + 0.5),
    st.integers(1, 3),
    st.integers(0, 30),
)
def test_first_centre__is_the_first_at_or_beyond(at, scale, limit):
    expected = next((c for c in range(limit) if (c + 0.5) * scale >= at), limit)
    assert kernels.first_centre(at, scale, limit) == expected


# Frames


def test_event__belongs_to_the_frame_that_holds_its_timestamp():
    """One box a frame, one pixel further to the right each time."""
    moving = Track(0, "car", tuple(box(k, k, 0, k + 1, 1) for k in range(8)))
    for frame in range(8):
        for t in (10 * frame, 10 * frame + 9):
            got = label(annotated(moving), events_at(t, np.arange(8), 0))
            assert np.flatnonzero(got.roi == 0).tolist() == [frame], f"t={t}"


def test_clock__with_gaps_labels_nothing_in_them():
    clock = FrameClock([0, 10, 40], [10, 20, 43], source="frames")
    scene = annotated(still(box(0, 0, 0, 8, 6), range(3)), frames=range(3))
    t = np.array([0, 9, 10, 19, 20, 39, 40, 42, 43, 2**40])
    got = label(scene, events_at(t, 1, 1), clock=clock)
    assert got.roi.tolist() == [0, 0, 0, 0, -1, -1, 0, 0, -1, -1]


def test_timestamps__beyond_32_bits_are_found():
    start = np.array([2**33, 2**33 + 7])
    clock = FrameClock(start, start + 5)
    scene = annotated(still(box(0, 0, 0, 8, 6), [1]), frames=range(2))
    got = label(scene, events_at(2**33 + np.arange(14), 0, 0), clock=clock)
    assert np.flatnonzero(got.roi == 0).tolist() == [7, 8, 9, 10, 11]


def test_closed_track__labels_nothing_until_it_comes_back():
    shape = box(0, 0, 0, 8, 6)
    gone, back = replace(shape, frame=3, outside=True), replace(shape, frame=6)
    scene = annotated(Track(0, "car", (*still(shape, range(3)).shapes, gone, back)))
    got = label(scene, events_at(np.arange(0, 100, 10), 4, 4))
    assert got.roi.tolist() == [0, 0, 0, -1, -1, -1, 0, -1, -1, -1]
    rois = laid(scene).tables.rois
    assert (rois.start_us.tolist(), rois.stop_us.tolist()) == ([0], [70])


def test_track__that_only_closes_labels_nothing():
    scene = annotated(still(box(0, 0, 0, 8, 6, outside=True), [2]))
    regions = laid(scene)
    rois = regions.tables.rois
    assert (rois.start_us.tolist(), rois.stop_us.tolist()) == ([-1], [-1])
    assert (drawn(scene, t=25), len(regions.boxes())) == (NOWHERE.split(), 0)


def test_frames_between_listed_ones__show_the_box_on_a_straight_line():
    moving = Track(0, "car", (box(0, 0, 0, 1, 1), box(4, 4, 0, 5, 1), box(5, 0, 5, 1, 6)))
    scene = annotated(moving, frames=range(0, 9, 4))
    for frame in range(5):
        got = label(scene, events_at(10 * frame + 5, np.arange(8), 0))
        assert np.flatnonzero(got.roi == 0).tolist() == [frame]
    assert (label(scene, events_at(65, np.arange(8), 5)).roi == -1).all(), "the last was extended"
    labelled = laid(scene).tables.labelled
    assert labelled.start_us.tolist() == [0, 40, 80]


def test_last_pixel__is_labelled():
    scene = annotated(still(box(0, 7, 5, 8, 6), [9]))
    assert label(scene, events_at(99, 7, 5)).roi.tolist() == [0]
    assert label(scene, events_at(99, 6, 5)).roi.tolist() == [-1]


# Regions over each other


def test_primary_region__is_on_top_then_small_then_last():
    wide, small = box(0, 0, 0, 6, 6), box(0, 2, 2, 4, 4)
    got = label(in_frame_0(wide, small, wide), events_at(0, [3, 1], [3, 1]))
    assert got.roi.tolist() == [1, 2]
    assert got.overlap_event.tolist() == [0, 0, 1]
    assert got.overlap_roi.tolist() == [2, 0, 0]
    got = label(in_frame_0(small, wide, replace(wide, z_order=1)), events_at(0, 3, 3))
    assert (got.roi.tolist(), got.overlap_roi.tolist()) == ([2], [0, 1])


def test_regions__of_equal_size_keep_their_order_wherever_they_are():
    """Their areas differ by the noise of arithmetic: 3.1·1.7 is not (3.17 − 0.07)·1.7."""
    for shift in np.arange(0.03, 2, 0.07):
        for shapes in (
            [box(0, 0.5, 0.5, 3.6, 2.2), box(0, 0.5 + shift, 0.5, 3.6 + shift, 2.2)],
            [polygon(0, *(np.array([(0, 0), (4.1, 0.3), (2.3, 3.7)]) + k)) for k in (0, shift)],
        ):
            got = label(in_frame_0(*shapes), every_pixel(0))
            assert set(got.overlap_roi.tolist()) <= {0}


def test_events__are_neither_duplicated_nor_lost():
    rng = np.random.default_rng(3)
    tracks = []
    for number in range(9):
        left, top = rng.uniform(0, 30, 2)
        tracks.append(still(box(0, left, top, left + 20, top + 15), range(number, 10), number))
    events = random_events(5_000, stop_us=150, seed=4)  # many equal stamps
    before = [getattr(events, name).copy() for name in "txyp"]
    got = label(annotated(*tracks), events)
    assert len(got.roi) == len(events)
    for name, column in zip("txyp", before, strict=True):
        np.testing.assert_array_equal(getattr(events, name), column)
    # Every region that holds an event is named once, as the primary or as a further one.
    holding = np.zeros(len(events), dtype=int)
    for number, track in enumerate(tracks):
        (left, top), (right, bottom) = track.shapes[0].points
        x, y = events.x + 0.5, events.y + 0.5
        frame = CLOCK.frame_of(events.t)
        holding += (frame >= number) & (left <= x) & (x < right) & (top <= y) & (y < bottom)
    named = (got.roi >= 0) + np.bincount(got.overlap_event, minlength=len(events))
    np.testing.assert_array_equal(named, holding)
    assert holding.max() > 3


def test_labels__equal_a_search_of_every_shape_for_every_event():
    scene, events = moving_scene(), random_events(700, stop_us=110, seed=2)
    assert_labels(label(scene, events), plain_labels(scene, events, CLOCK, Picture((48, 64))))


def test_labels__do_not_depend_on_the_chunks():
    scene, events = moving_scene(1), random_events(3_000, stop_us=110, seed=5)
    whole = label(scene, events)
    assert len(whole.overlap_event) > 100
    for rows in (1, 7, 64, 1_000):
        for got, expected in zip(label(scene, events, rows=rows), whole, strict=True):
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype


def test_labels__of_no_event_and_of_one():
    assert label(moving_scene(), random_events(1)).roi.shape == (1,)
    empty = Annotator(laid(moving_scene(), Picture((48, 64)))).label(random_events(0))
    assert [column.tolist() for column in empty] == [[], [], []]
    assert [column.dtype for column in empty] == [np.int32, np.int64, np.int32]


def test_annotations_without_shapes__label_nothing():
    empty = Annotations(("car",), frames=range(10))
    regions = laid(empty)
    assert (label(empty, random_events(100, stop_us=100)).roi == -1).all()
    assert len(regions.boxes()) == 0
    assert [column.tolist() for column in regions.tables.labelled] == [[0], [100]]
    nothing = laid(Annotations(()))
    assert [column.tolist() for column in nothing.tables.labelled] == [[], []]


# Scale and padding


def test_scale__divides_and_padding_is_right_and_below():
    picture = Picture(tuple(SENSOR), scale=2, pad_bottom=4, pad_right=2)
    scene = in_frame_0(box(0, 4, 2, 18, 16), picture_shape=(16, 18))
    assert drawn(scene, picture=picture) == ["........", *["..aaaaaa"] * 5]
    (record,) = laid(scene, picture).boxes()
    assert [record[name] for name in ("x", "y", "w", "h")] == [2, 1, 6, 5]


def test_regions__in_the_padding_have_no_events_and_no_box():
    picture = Picture(tuple(SENSOR), pad_right=4)
    scene = in_frame_0(box(0, 9, 0, 11, 3))
    assert drawn(scene, picture=picture) == NOWHERE.split()
    assert len(laid(scene, picture).boxes()) == 0


# What does not fit


CORNER = box(0, 0, 0, 1, 1)
WIDE = annotated(still(box(0, 4, 1, 9.5, 3), [2], 7), still(CORNER, [0]), source="park.xml")
LOOSE = r"loose shape \('bus'\), frame 3: polygon reaches "
NO_FRAME_10 = r"^a\.xml: has frame 10; the video has 10 frames, 0 to 9\. Was it made from another"


def loose(*points):
    return annotated(Track(-1, "bus", (polygon(3, *points),)))


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (
            WIDE,
            r"^park\.xml: track 7 \('car'\), frame 2: box reaches x=9\.5, outside the 8 px wide "
            r"picture\. Export again from CVAT, or set annotate\.clip: true\.$",
        ),
        (loose((-0.25, 0), (4, 0), (4, 4)), LOOSE + r"x=-0\.25, outside the 8 px wide"),
        (loose((0, -3), (4, 0), (4, 4)), LOOSE + r"y=-3\.0, outside the 6 px high"),
        (loose((0, 0), (4, 0), (4, 6.01)), LOOSE + r"y=6\.01, outside the 6 px high"),
        (annotated(frames=range(11), source="a.xml"), NO_FRAME_10),
        (annotated(still(CORNER, [10]), source="a.xml"), NO_FRAME_10),
        (annotated(tags=(FrameTag(10, "car"),), source="a.xml"), NO_FRAME_10),
        (
            annotated(picture_shape=(260, 346), source="a.xml"),
            r"^a\.xml: was drawn on 346x260 pictures; the video's are 8x6",
        ),
        (
            Annotations(("car",), (still(CORNER, [0], label="cat"),)),
            "label 'cat' is not one of car",
        ),
        (annotated(still(CORNER, [3, 2])), "region 0: frame 2 is listed after frame 3"),
    ],
)
def test_regions__refuse_what_does_not_fit_the_video(scene, message):
    with pytest.raises(AnnotationError, match=message):
        laid(scene)


def test_shape__outside_the_picture_is_clipped_and_counted_on_request():
    regions = laid(WIDE, clip=True)
    assert regions.repairs == {"clipped_shapes": 1, "skipped_shapes": 0}
    assert drawn(WIDE, t=25, clip=True) == ["........", *["....aaaa"] * 2, *["........"] * 3]
    assert regions.boxes()["w"].tolist() == [1, 4]


def test_closing_shape__may_reach_outside():
    scene = annotated(still(box(0, 0, 0, 99, 99, outside=True), [3]))
    assert laid(scene).repairs["clipped_shapes"] == 0


def test_events__of_another_sensor_are_refused():
    annotator = Annotator(laid(annotated(), Picture((6, 9))))
    with pytest.raises(AnnotationError, match=r"events' sensor is 8x6; .* shows 9x6"):
        annotator.label(every_pixel(0))


# Tables and boxes


def test_tables__say_when_regions_and_tags_were():
    clock = FrameClock([0, 10, 20, 40], [10, 20, 30, 50], source="frames")
    scene = Annotations(
        ("bus", "car", "day"),
        (still(CORNER, [1, 2], 5, "car"), still(CORNER, [3], -1, "bus")),
        (FrameTag(3, "day"), FrameTag(0, "car"), FrameTag(0, "day")),
        frames=(0, 1, 2, 3),
    )
    labels, rois, tags, labelled, *_ = Regions(scene, clock, PICTURE).tables
    assert labels == ("bus", "car", "day")
    assert [c.tolist() for c in rois[:4]] == [[5, -1], [1, 0], [10, 40], [30, 50]]
    expected = [[3, 0, 0], [2, 1, 2], [40, 0, 0], [50, 10, 10]]
    assert [column.tolist() for column in tags] == expected
    assert [column.tolist() for column in labelled] == [[0, 40], [30, 50]]


def test_boxes__are_known_when_their_frame_is_complete():
    moving = Track(7, "bus", (box(1, 0, 0, 2, 2), box(3, 4, 2, 6, 4)))
    outline = still(polygon(0, (1, 1), (3.5, 2), (2, 5)), [1], 3)
    records = laid(annotated(moving, outline)).boxes()
    assert records.tolist() == [
        (20, 0, 0, 2, 2, 1, 0, 1),
        (20, 1, 1, 2.5, 4, 0, 1, 1),
        (30, 2, 1, 2, 2, 1, 0, 1),
        (40, 4, 2, 2, 2, 1, 0, 1),
    ]


def test_boxes__have_the_corners_of_what_is_drawn():
    scene = moving_scene(3)
    regions = laid(scene, Picture((48, 64)))
    expected = []
    for number, track in enumerate(scene.tracks):
        for shape in interpolate(track).shapes:
            if not shape.outside:
                left, top, right, bottom = shape.bounds
                t = CLOCK.stop_us[shape.frame]
                expected.append((t, number, left, top, right - left, bottom - top))
    got = regions.boxes()
    listed = [(r["t"], r["track_id"], r["x"], r["y"], r["w"], r["h"]) for r in got]
    np.testing.assert_allclose(np.array(listed), np.array(sorted(expected)), atol=1e-5)


# The tutorial's annotations, and where its tool fails


def tutorial_events(n=200_000):
    """Random events on the tutorial's sensor; its recording is not here."""
    return random_events(n, (260, 346), stop_us=9_160_000, seed=8)


TUTORIAL_CLOCK, TUTORIAL_PICTURE = FrameClock.regular(9_160_000, 10_000), Picture((260, 346))


def test_tutorial__events_at_the_edges_of_frames_hit_the_right_frame():
    annotations = read_cvat(shared_file("annotations/four_obj_static_video.xml"))
    t = np.repeat(np.arange(0, 9_160_000, 10_000), 3) + np.tile([0, 1, 9_999], 916)
    rng = np.random.default_rng(9)
    events = events_at(
        t, rng.integers(0, 346, t.size), rng.integers(0, 260, t.size), Sensor(260, 346)
    )
    got = label(annotations, events, TUTORIAL_CLOCK, TUTORIAL_PICTURE)
    assert_labels(got, plain_labels(annotations, events, TUTORIAL_CLOCK, TUTORIAL_PICTURE))
    assert np.count_nonzero(got.roi >= 0) > 200


def test_tutorial__closed_tracks_label_nothing_more():
    annotations = read_cvat(shared_file("annotations/four_obj_static_video.xml"))
    events = tutorial_events()
    got = label(annotations, events, TUTORIAL_CLOCK, TUTORIAL_PICTURE)
    assert len(got.roi) == len(events)
    for closed in (2, 3):
        t = np.concatenate(
            [events.t[got.roi == closed], events.t[got.overlap_event[got.overlap_roi == closed]]]
        )
        assert 1_500_000 < t.max() < 1_600_000, "the track closes in frame 160"
    tables = Regions(annotations, TUTORIAL_CLOCK, TUTORIAL_PICTURE).tables
    assert tables.rois.stop_us.tolist() == [9_160_000, 9_160_000, 1_600_000, 1_600_000]


def test_tutorial__both_forms_label_the_same_events():
    video = read_cvat(shared_file("annotations/four_obj_static_video.xml"))
    images = read_cvat(shared_file("annotations/four_obj_static_image.xml"))
    events = tutorial_events(50_000)
    one, two = (label(form, events, TUTORIAL_CLOCK, TUTORIAL_PICTURE) for form in (video, images))
    np.testing.assert_array_equal(one.roi >= 0, two.roi >= 0)
    np.testing.assert_array_equal(one.overlap_event, two.overlap_event)
    boxes = [Regions(form, TUTORIAL_CLOCK, TUTORIAL_PICTURE).boxes() for form in (video, images)]
    for name in "txywh":
        np.testing.assert_array_equal(boxes[0][name], boxes[1][name])


def test_tutorial__tags_alone_and_tags_beside_regions_meet_by_name():
    path = shared_file("annotations/four_obj_static_image.xml")
    tags = read_cvat(path, tags_only=True)
    alone = Regions(tags, TUTORIAL_CLOCK, TUTORIAL_PICTURE)
    assert len(alone.tables.tags.frame) == 195
    assert len(alone.tables.rois.track) == 0
    assert alone.tables.tags.start_us[1] == 70_000
    rois = read_cvat(shared_file("annotations/four_obj_static_video.xml"))
    turned = Annotations(rois.labels[::-1], rois.tracks, frames=rois.frames)
    for first in (rois, turned):
        both = Regions(merge([first, tags]), TUTORIAL_CLOCK, TUTORIAL_PICTURE).tables
        names = [both.labels[k] for k in both.tags.label]
        assert names == [tag.label for tag in tags.tags]
        assert [both.labels[k] for k in both.rois.label] == ["Mug", "Rabbit", "Box", "Pen"]
        assert [column.tolist() for column in both.labelled] == [[0], [9_160_000]]


@pytest.mark.parametrize(
    "task", [None, range(10), range(0, 10, 3), range(0, 9, 2), range(0, 10, 9), range(0, 1, 12)]
)
def test_task__of_all_frames_of_the_video_fits_it(task):
    check_task(annotated(task=task), CLOCK)


@pytest.mark.parametrize(
    "task", [range(5), range(1, 10), range(9), range(11), range(0, 8, 2), range(3, 10, 3)]
)
def test_task__of_other_frames_than_the_videos_is_refused(task):
    with pytest.raises(AnnotationError, match=r"the frames \d+ to \d+, the video 0 to 9\. Was it"):
        check_task(annotated(task=task), CLOCK)


def test_outline__of_a_box_that_begins_to_turn_is_that_of_the_turned_box():
    track = Track(0, "car", (box(0), box(4, rotation=90.0), box(8), box(9, outside=True)))
    regions = Regions(annotated(track), FrameClock.regular(100, 10), Picture((48, 64)))
    [rows] = regions.shape_rows()
    for frame, first in zip(rows.frame.tolist(), rows.first_vertex.tolist(), strict=True):
        [(_, shape)] = regions.shapes_of(frame)
        outline = np.stack([rows.vertex_x, rows.vertex_y], axis=1)[first : first + 4]
        np.testing.assert_allclose(outline, shape.outline, rtol=1e-6, err_msg=f"frame {frame}")
