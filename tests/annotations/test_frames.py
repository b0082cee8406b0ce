"""Which frames a file's shapes are in, and which frames between them are filled."""

from __future__ import annotations

import json

import h5py
import pytest

from evreel.checks.run import check
from evreel.errors import AnnotationError
from support import shared_file
from support.cvat import (
    STEP_US,
    N,
    Recording,
    box,
    corners,
    element,
    frame_names,
    images,
    listed,
    picture_names,
    task,
    track,
    unknown,
)

WHOLE = [(0, 200_000)]


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    return Recording(tmp_path_factory.mktemp("frames"))


# Identity


@pytest.mark.parametrize(
    "form",
    [
        *("{:06d}_{}.png", "frames/{:06d}_{}.PNG", "a/b/{:06d}_{}.jpg", "a\\{:06d}_{}.png"),
        *("{:06d}_{}", "park_{:06d}_{}.png", "{:06d}_{} (1).png", "a/2024-01-02 {:06d}_{}_left"),
    ],
)
def test_pictures__are_the_frames_that_their_names_state(rec, form):
    xml = task(images(picture_names(range(10, 20), form)), range(10), mode="annotation")
    made = rec.annotate(rois=xml)
    assert made.at == {frame: frame - 10 for frame in range(10, 20)}
    assert made.tagged == list(range(10, 20))
    assert made.labelled == [(100_000, 200_000)]
    assert not made.doubts


def test_pictures__in_another_order_are_the_frames_that_their_names_state(rec):
    order = [7, 3, 12, 0, 19]
    xml = task(images(picture_names(order)), range(5), mode="annotation")
    for made in (rec.annotate(rois=xml), rec.annotate(rois=xml, tags=xml)):
        assert made.at == {row: k for k, row in enumerate(order)}
        assert sorted(made.tagged) == sorted(order)
        assert made.labelled == [(10_000 * row, 10_000 * row + 10_000) for row in sorted(order)]
    assert rec.annotate(tags=xml).tagged == order


def test_pictures__of_several_runs_leave_the_frames_between_them_alone(rec):
    rows = [2, 3, 4, 12, 13, 14]
    names = images(picture_names(rows))
    # Of the video form, listed and by key frames: the track goes on over both runs.
    for frames in (range(6), (0, 5)):
        drawn = task(track(listed(frames)), range(6), mode="annotation")
        made = rec.annotate(rois=drawn, tags=task(names, range(6), mode="annotation"))
        assert sorted(made.at) == rows
        assert made.labelled == [(20_000, 50_000), (120_000, 150_000)]


def test_pictures__that_are_not_named_by_evreel_are_the_frames_of_their_numbers(rec):
    alike = ("a_{:06d}_7.png", "a_{:06d}_{:06d}.png", "a_20240101_{1}.png", "a_240101_{1}.png")
    for form in ("img{}.png", "20240101_{1}.png", "frame_{:06d}.png", *alike):
        names = {k: form.format(k, k * 10_000) for k in range(N)}
        assert rec.annotate(rois=task(images(names), mode="annotation")).at == {
            k: k for k in range(N)
        }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            picture_names(range(20)) | {3: "000003_30001.png"},
            r"rois\.xml: frame 3: picture '000003_30001\.png' is frame 3 at 30001 µs; the clock "
            r"says 30000 µs of it\. The XML belongs to another recording",
        ),
        (
            picture_names(range(20), "{:06d}_{}0.png"),
            r"frame 1: picture '000001_100000\.png' is frame 1 at 100000 µs; the clock says 10000",
        ),
        (
            picture_names(range(20)) | {5: "000020_200000.png"},
            r"frame 5: picture '000020_200000\.png' is frame 20 at 200000 µs; the clock has 20 fr",
        ),
        (
            picture_names(range(20)) | {5: "again/000004_40000.png"},
            r"frame 5: pictures '000004_40000\.png' and 'again/000004_40000\.png' are both frame 4"
            r"\. Export a task that has each picture once",
        ),
        (
            picture_names(range(20)) | {5: "title.png"},
            r"frame 5: picture 'title\.png' does not say which frame it is, but '000000_0\.png' "
            r"does\. Export a task that has only pictures of this recording",
        ),
        (
            {k: f"park_{k:06d}_{k * 5000}.png" for k in range(20)},
            r"picture 'park_000001_5000\.png' is frame 1 at 5000 µs; the clock says 10000 µs",
        ),
        (picture_names(range(20)) | {5: None}, "frame 5: picture '' does not say which frame"),
    ],
)
def test_pictures__whose_names_contradict_the_clock_or_each_other_are_refused(rec, names, message):
    xml = task(images(names), mode="annotation")
    with pytest.raises(AnnotationError, match=message):
        rec.annotate(rois=xml)
    with pytest.raises(AnnotationError, match=message.replace("rois", "tags")):
        rec.annotate(tags=xml, part_of_video=True)


@pytest.mark.parametrize(
    ("rows", "sparse"), [(range(10, 20), False), (range(10, 20), True), ([5, 2, 9, 7, 1], False)]
)
def test_tracks__are_in_the_frames_that_the_images_export_of_their_task_names(rec, rows, sparse):
    rows = list(rows)
    frames = range(len(rows))
    shapes = box(0) + box(len(rows) - 1) if sparse else listed(frames)
    closing = box(len(rows), outside=1)
    rois = task(track(shapes, closing), frames, mode="annotation")
    tags = task(images(picture_names(rows)), frames, mode="annotation")
    made = rec.annotate(rois=rois, tags=tags)
    assert made.at == {row: k for k, row in enumerate(rows)}
    assert sorted(made.tagged) == sorted(rows)
    assert sum(stop - start for start, stop in made.labelled) == 10_000 * len(rows)
    assert not made.doubts


def test_tracks__close_in_the_frames_of_pictures_also_where_that_was_deleted(rec):
    names = picture_names(range(8, 18))
    del names[4]
    tags = task(images(names), range(10), mode="annotation")
    rois = task(track(listed(range(3)), box(4, outside=1), listed([7, 8])), range(10))
    made = rec.annotate(rois=rois, tags=tags)
    assert sorted(made.at) == [8, 9, 10, 15, 16]
    assert made.labelled == [(80_000, 120_000), (130_000, 180_000)]


def test_tracks__of_a_task_of_images_without_names_are_a_doubt(rec):
    rois = task(track(listed(range(N))), mode="annotation")
    made = rec.annotate(rois=rois)
    assert made.at == {k: k for k in range(N)}
    (doubt,) = made.doubts
    assert "rois.xml: its task was made of images, whose names this export does not say" in doubt
    tags = task(images(picture_names(range(N))), mode="annotation")
    assert not rec.annotate(rois=rois, tags=tags).doubts
    other = task(images(picture_names(range(N))), mode="annotation", name="other")
    (doubt,) = rec.annotate(rois=rois, tags=other).doubts
    assert doubt.endswith(
        "in order. tags.xml does not say it, because it is of task 1 'other', frames 0 to 19, and "
        "rois.xml of task 1 'rec', frames 0 to 19. An export CVAT for images 1.1 of the same task, "
        "given as tags, says them"
    )


def test_tracks__of_pictures_that_the_images_export_does_not_name_are_refused(rec):
    names = picture_names(range(10, 20))
    del names[4]
    tags = task(images(names), range(10), mode="annotation")
    rois = task(track(listed(range(10))), range(10), mode="annotation")
    with pytest.raises(
        AnnotationError, match=r"tags.xml: does not name frame 4, in which rois.xml"
    ):
        rec.annotate(rois=rois, tags=tags)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            images({3: "frame_000004"}),
            r"frame 3: is called 'frame_000004', as CVAT calls frame 4\. It was edited after",
        ),
        (images({3: "frame_1000003"}), "frame 3: is called 'frame_1000003', as CVAT calls frame"),
        (images({20: "x.png"}), r"frame 20: is not one of the task's frames 0 to 19\. It was"),
    ],
)
def test_names_and_frames_of_cvat__that_contradict_each_other_are_refused(rec, body, message):
    with pytest.raises(AnnotationError, match=message):
        rec.annotate(rois=task(body))


def test_stepped_task__has_the_frames_of_its_filter(rec):
    frames = range(1, 20, 3)
    made = rec.annotate(rois=task(images(frame_names(frames)), frames), part_of_video=True)
    assert made.at == {k: k for k in frames}
    assert made.labelled[0] == (10_000, 20_000)


# What is left out of a track


@pytest.mark.parametrize(
    "skipped", [unknown(5), '<mask frame="5" rle="1"/>', '<points frame="5"/>']
)
def test_skipped_shape__is_never_bridged(rec, skipped):
    dense = track(listed(range(5)), skipped, listed(range(6, N)))
    made = rec.annotate(rois=task(dense), unsupported="skip", shapes=("box",))
    assert sorted(made.at) == [*range(5), *range(6, N)]
    assert made.counts["skipped_shapes"] == 1
    sparse = track(box(0), box(3), skipped, box(8), box(10), box(19))
    made = rec.annotate(rois=task(sparse), unsupported="skip", shapes=("box",))
    assert sorted(made.at) == [*range(4), *range(8, N)]
    assert made.labelled == WHOLE, "annotators looked"
    assert not made.doubts


def test_skipped_shape__out_of_order_is_refused(rec):
    message = r"frame 5: frame 5 is listed after 10\. Put the shapes of the track in the order"
    for shapes in ((box(0), box(10), unknown(5), box(19)), (unknown(10), box(5), box(19))):
        with pytest.raises(AnnotationError, match=message):
            rec.annotate(rois=task(track(*shapes)), unsupported="skip")


def test_skipped_shapes__at_the_end_of_a_track_are_not_bridged_by_its_closing(rec):
    xml = task(track(box(0), unknown(5), box(9, outside=1), box(12), box(19)))
    made = rec.annotate(rois=xml, unsupported="skip")
    assert sorted(made.at) == [0, *range(12, N)]


@pytest.mark.parametrize(
    "closing",
    [
        box(5, outside=1, rotation=30),
        unknown(5, outside=1),
        box(5, outside=1, xbr=5),
        box(5, outside=1, xtl=None, ybr="nan"),
        box(5, outside=1, rotation="x"),
        '<polygon frame="5" outside="1" points=""/>',
        '<polygon frame="5" outside="1"/>',
        '<mask frame="5" outside="1"/>',
    ],
)
@pytest.mark.parametrize("unsupported", ["error", "skip"])
def test_closing_shape__closes_whatever_its_outline_is(rec, closing, unsupported):
    for shapes in (listed(range(5)), box(0), box(0) + box(3)):
        made = rec.annotate(rois=task(track(shapes, closing)), unsupported=unsupported)
        assert sorted(made.at) == list(range(5))
        assert made.counts["skipped_shapes"] == 0
        assert not made.doubts
    again = rec.annotate(rois=task(track(box(0), closing, box(9), box(N - 1))))
    assert sorted(again.at) == [*range(5), *range(9, N)]


@pytest.mark.parametrize(
    "bad",
    [
        {"xbr": 5},
        {"ybr": 0},
        {"xtl": "nan"},
        {"xtl": None},
    ],
)
def test_invalid_shape__is_an_error_or_dropped_and_not_bridged(rec, bad):
    xml = task(track(box(0), box(5, **bad), box(10), box(19)))
    hint = r"Correct or delete it in CVAT, or set annotate\.invalid: drop\.$"
    with pytest.raises(AnnotationError, match=rf"track 0 \('car'\), frame 5: .*{hint}"):
        rec.annotate(rois=xml)
    made = rec.annotate(rois=xml, invalid="drop")
    assert sorted(made.at) == [0, *range(10, N)]
    assert made.counts["dropped_shapes"] == 1
    pictures = images(frame_names(range(N))).replace('xbr="14"', 'xbr="5"')
    with pytest.raises(AnnotationError, match=rf"frame 5, label 'car': box xbr=5.0 .*{hint}"):
        rec.annotate(rois=task(pictures))
    made = rec.annotate(rois=task(pictures), invalid="drop")
    assert sorted(made.at) == [k for k in range(N) if k != 5]


def test_doubled_closing_shape__is_dropped_and_counted(rec):
    for again in (
        box(5, outside=1),
        box(5, outside=1, xtl=0),
        unknown(5, outside=1),
        box(7, outside=1, **corners(5)),
    ):
        xml = task(track(listed(range(5)), box(5, outside=1), again, listed(range(9, N))))
        made = rec.annotate(rois=xml)
        assert sorted(made.at) == [*range(5), *range(9, N)]
        assert made.counts["doubled_closing_shapes"] == 1


def test_doubled_shape__is_dropped_on_request_if_it_is_equal(rec):
    twice = task(track(listed(range(9)), box(8), listed(range(9, N))))
    message = r"frame 8 is listed twice, with the same shape\. To drop .* annotate\.invalid: drop"
    with pytest.raises(AnnotationError, match=message):
        rec.annotate(rois=twice)
    made = rec.annotate(rois=twice, invalid="drop")
    assert sorted(made.at) == list(range(N))
    assert made.counts["dropped_shapes"] == 1


@pytest.mark.parametrize("other", [box(8, xtl=0), box(8, outside=1), box(8, z_order=1)])
def test_contradictory_shapes_of_one_frame__are_refused_until_one_is_deleted(rec, other):
    for pair in (box(8) + other, other + box(8)):
        xml = task(track(listed(range(8)), pair, listed(range(9, N))))
        message = r"frame 8 is listed twice, .*same shape\. Delete one of the two from the XML"
        for invalid in ("error", "drop"):
            with pytest.raises(AnnotationError, match=message):
                rec.annotate(rois=xml, invalid=invalid)
        assert len(rec.annotate(rois=xml.replace(other, "")).boxes) == N


def test_shapes_out_of_order__are_refused_until_they_are_in_order(rec):
    xml = task(track(box(3), box(2), box(19)))
    with pytest.raises(AnnotationError, match=r"frame 2 is listed after 3\. Put the shapes of the"):
        rec.annotate(rois=xml)
    assert len(rec.annotate(rois=task(track(box(2), box(3), box(19)))).boxes) == 18


# Gaps


def test_gaps_of_deleted_frames__are_left_if_an_images_export_says_so(rec):
    kept = [k for k in range(N) if k not in (5, 6)]
    rois = task(track(listed(kept[:5]), listed(kept[5:])))
    tags = task(images(frame_names(kept)))
    made = rec.annotate(rois=rois, tags=tags)
    assert sorted(made.at) == kept
    assert made.labelled == [(0, 50_000), (70_000, 200_000)]
    assert made.counts["frames_maybe_deleted"] == 0
    assert not made.doubts
    key_frames = rec.annotate(rois=task(track(box(0), box(19))), tags=tags)
    assert sorted(key_frames.at) == kept
    assert key_frames.at == {k: k for k in kept}
    assert rec.annotate(rois=tags).labelled == made.labelled


@pytest.mark.parametrize("keyframe", [0, 1])
def test_gaps_of_all_tracks__are_a_doubt_in_the_video_form_alone(rec, keyframe):
    kept = [k for k in range(N) if k not in (5, 6)]
    shapes = listed(kept, keyframe=keyframe)
    rois = task(track(shapes) + track(shapes, number=1))
    made = rec.annotate(rois=rois)
    assert len(made.boxes) == 36
    assert made.labelled == [(0, 50_000), (70_000, 200_000)]
    assert made.counts["frames_maybe_deleted"] == 2
    (doubt,) = made.doubts
    assert "rois.xml: no track lists frames 5 to 6, though some go on after that" in doubt
    assert "An export CVAT for images 1.1 of the same task, given as tags, settles it" in doubt
    filled = rec.annotate(rois=rois, gaps="fill")
    assert (len(filled.boxes), filled.labelled, filled.doubts) == (40, WHOLE, [])
    other = rec.annotate(rois=rois, tags=task(images(frame_names(range(N))), name="other"))
    assert other.counts["frames_maybe_deleted"] == 2, "an export of another task settles nothing"
    assert "tags.xml does not say it, because it is of task 1 'other', frames" in other.doubts[0]
    pictures = images(frame_names(kept))
    tags = f"<annotations><version>1.1</version>{pictures}</annotations>"
    (doubt,) = rec.annotate(rois=rois, tags=tags).doubts
    assert "because it is of a task that it does not name, and rois.xml of task 1 'rec'" in doubt


def test_gaps__where_every_second_frame_was_deleted_are_told_by_frames_between_key_frames(rec):
    made = rec.annotate(rois=task(track(listed(range(0, N - 1, 2)), box(19))))
    assert sorted(made.at) == [*range(0, N - 1, 2), 19]
    assert made.counts["frames_maybe_deleted"] == 9


def test_gaps_of_key_frames__are_filled(rec):
    made = rec.annotate(rois=task(track(box(0), box(1), box(7), box(12), box(19))))
    assert made.at == {k: k for k in range(N)}
    assert (made.labelled, made.doubts) == (WHOLE, [])
    left = rec.annotate(rois=task(track(box(0), box(7), box(19))), gaps="leave")
    assert sorted(left.at) == [0, 7, 19]
    assert left.counts["frames_maybe_deleted"] == 17


def test_frames_between_those_of_a_stepped_task__are_left_unless_asked_for(rec):
    frames = range(0, N, 3)
    xml = task(track(listed(frames)), frames)
    made = rec.annotate(rois=xml)
    assert made.at == {k: k for k in frames}
    assert made.labelled == [(k * STEP_US, (k + 1) * STEP_US) for k in frames]
    filled = rec.annotate(rois=xml, between="interpolate")
    assert filled.at == {k: k for k in range(19)}
    assert filled.labelled == [(0, 19 * STEP_US)]


def test_deleted_frame_of_a_stepped_task__is_never_bridged(rec):
    frames = range(0, N, 3)
    kept = [k for k in frames if k != 6]
    made = rec.annotate(rois=task(track(listed(kept)), frames))
    assert sorted(made.at) == kept
    assert made.counts["frames_maybe_deleted"] == 1
    assert (60_000, 70_000) not in made.labelled
    tags = task(images(frame_names(kept)), frames)
    for more in ({}, {"tags": tags}):
        made = rec.annotate(rois=task(track(listed(kept)), frames), between="interpolate", **more)
        assert sorted(made.at) == [*range(4), *range(9, 19)]
        assert made.labelled == [(0, 40_000), (90_000, 190_000)]


def test_key_frames_of_a_stepped_task__are_filled_in_its_own_frames(rec):
    frames = range(0, N, 3)
    keys = task(track(box(0), box(9), box(18)), frames)
    tags = task(images(frame_names(k for k in frames if k != 12)), frames)
    assert sorted(rec.annotate(rois=keys).at) == list(frames)
    assert sorted(rec.annotate(rois=keys, tags=tags).at) == [k for k in frames if k != 12]
    left = rec.annotate(rois=keys, gaps="leave")
    assert sorted(left.at) == [0, 9, 18]
    all_ = rec.annotate(rois=keys, tags=tags, between="interpolate")
    assert sorted(all_.at) == [*range(10), *range(15, 19)]


def test_stepped_task__of_named_pictures_leaves_what_is_between_their_rows(rec):
    rows = range(2, N, 5)
    rois = task(track(listed(range(4))), range(4), mode="annotation")
    tags = task(images(picture_names(rows), shown=False), range(4), mode="annotation")
    made = rec.annotate(rois=rois, tags=tags)
    assert made.at == {row: k for k, row in enumerate(rows)}
    assert made.labelled == [(k * STEP_US, (k + 1) * STEP_US) for k in rows]
    filled = rec.annotate(rois=rois, tags=tags, between="interpolate")
    assert sorted(filled.at) == list(range(2, 18))
    assert filled.labelled == [(2 * STEP_US, 18 * STEP_US)]


def test_shapes_of_images__have_nothing_between_them(rec):
    rois = task(images(picture_names(range(2, N, 5))), range(4))
    (doubt,) = rec.annotate(rois=rois, between="interpolate").doubts
    assert "shapes of images have no track" in doubt
    whole = task(images(picture_names(range(N))), range(N))
    assert rec.annotate(rois=whole, between="interpolate").doubts == []


def test_closing_shape_of_a_stepped_task__labels_nothing_before_it(rec):
    frames = range(0, N, 3)
    xml = task(track(listed(range(0, 10, 3)), box(12, outside=1)), frames)
    assert sorted(rec.annotate(rois=xml).at) == [0, 3, 6, 9]
    assert sorted(rec.annotate(rois=xml, between="interpolate").at) == list(range(12))


def test_later_job__labels_its_own_frames_alone(rec):
    frames = range(8, N)
    made = rec.annotate(rois=task(track(listed(frames)), frames), part_of_video=True)
    assert made.at == {k: k for k in frames}
    assert made.labelled == [(80_000, 200_000)]


# What annotators have finished


def finished(rec, *rows: str) -> str:
    path = rec.folder / "labelled.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("start_us\tstop_us", "0\t50000", "65000\t99999"), [(0, 50_000), (70_000, 90_000)]),
        (("start_frame\tstop_frame", "3\t5"), [(30_000, 60_000)]),
        (
            (
                "job\tstart_frame\tstop_frame\tstage\tstate",
                "7\t0\t4\tannotation\tcompleted",
                "8\t5\t9\tannotation\tin progress",
                "9\t10\t19\tacceptance\tcompleted",
            ),
            [(0, 50_000), (100_000, 200_000)],
        ),
        (("start_frame\tstop_frame\tstate", "0\t19\tnew"), []),
    ],
)
def test_table_of_what_is_finished__says_what_counts_as_labelled(rec, rows, expected):
    xml = task(track(listed(range(N))))
    made = rec.annotate(rois=xml, labelled=finished(rec, *rows))
    assert made.labelled == expected
    assert made.at == {k: k for k in range(N)}
    done = sum(stop - start for start, stop in expected) // STEP_US
    assert made.counts["unfinished_shapes"] == N - done


def test_table_of_what_is_finished__takes_times_of_the_recording_not_of_the_clock(rec):
    xml = task(track(listed(range(N))))
    table = finished(rec, "start_us\tstop_us", "53000\t83000")
    made = rec.annotate(rois=xml, labelled=table, time_offset_us=3_000)
    assert made.labelled == [(50_000, 80_000)]  # on the clock that `Recording` lays them on


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("from\tto", "0\t1"), r"line 1: header row is 'from\\tto'; expected the columns start_us"),
        (("start_us\tstop_us", "5\t5"), "line 2: stop_us=5 with start_us=5 is no interval"),
        (("start_us\tstop_us", "0\t1e6"), "line 2: stop_us is '1e6'; expected a whole number"),
        (("start_us\tstop_us", "0"), "line 2: stop_us is ''"),
        (("start_frame\tstop_frame", "", "4\t3"), "line 3: stop_frame=3 with start_frame=4"),
        (("start_frame\tstop_frame\tstate", "0\t1\tdone"), "state is 'done'; expected one of new"),
        (("start_frame\tstop_frame", "20\t25"), "labelled.tsv: line 2: no frame that rois.xml"),
        (("start_us\tstop_us", "1\t9000"), "its µs are 0 to 200000. Is the table of another"),
    ],
)
def test_table_of_what_is_finished__that_is_wrong_is_refused(rec, rows, message):
    with pytest.raises(AnnotationError, match=message):
        rec.annotate(rois=task(track(listed(range(N)))), labelled=finished(rec, *rows))


def test_gap_of_one_track__in_frames_that_another_lists_is_taken_as_away(rec):
    gone = [*range(5), *range(9, N)]
    made = rec.annotate(rois=task(track(listed(gone)) + track(listed(range(N)), number=1)))
    assert len(made.boxes) == 16 + N
    assert made.labelled == WHOLE
    assert (made.counts["open_gaps"], made.counts["frames_maybe_deleted"]) == (1, 0)
    assert "1 gap in frames that other tracks list: track 0 ('car') in frame 5" in made.doubts[0]


def test_images_export__that_lacks_frames_with_shapes_settles_nothing(rec):
    kept = [k for k in range(N) if k not in (5, 6)]
    made = rec.annotate(rois=task(track(listed(kept))), tags=task(images(frame_names(range(9)))))
    assert len(made.boxes) == 18
    assert made.counts["frames_maybe_deleted"] == 2
    assert "tags.xml: lacks frames 9 to 19 of its task, in which rois.xml has" in made.doubts[0]


# Tracks that end


@pytest.mark.parametrize("shapes", [listed(range(11)), box(0) + box(10)])
def test_track__that_ends_unclosed_is_a_doubt(rec, shapes):
    made = rec.annotate(rois=task(track(shapes)))
    assert made.at == {k: k for k in range(11)}
    assert made.labelled == WHOLE
    assert made.counts["unclosed_tracks"] == 1
    (doubt,) = made.doubts
    assert "track 0 ('car') in frame 10, but the task goes on to frame 19" in doubt
    closed = rec.annotate(rois=task(track(shapes, box(11, outside=1))))
    assert (closed.counts["unclosed_tracks"], closed.doubts) == (0, [])


def test_doubts__are_in_the_log_with_the_slices_and_in_what_a_check_finds(rec, caplog):
    xml = task(track(listed([*range(5), *range(7, 11)])))
    slices, counts = rec.run(rois=xml)
    doubts = rec.annotate(rois=xml).doubts
    assert len(doubts) == 2
    found = [f for f in check(slices).findings if f.check == "doubt"]
    assert sorted(finding.problem for finding in found) == sorted(doubts)
    assert {finding.severity for finding in found} == {"warning"}
    assert [entry.message for entry in caplog.records if entry.levelname == "WARNING"] == doubts
    with h5py.File(slices) as file:
        assert json.loads(file.attrs["repairs"]) == counts
    assert counts == {
        **dict.fromkeys(("clipped_shapes", "skipped_shapes", "dropped_shapes"), 0),
        **{"doubled_closing_shapes": 0, "frames_maybe_deleted": 2},
        **{"open_gaps": 0, "unclosed_tracks": 1},
    }
    slices, _ = rec.run(rois=task(track(listed(range(N)))))
    with h5py.File(slices) as file:
        assert "doubts" not in file


def test_track__that_ends_with_its_task_or_alone_in_its_last_frames_is_closed(rec):
    for shapes in (listed(range(N)), box(19), box(18), listed(range(3)) + box(3, outside=1)):
        assert not rec.annotate(rois=task(track(shapes))).doubts
    for shapes in (box(17), listed(range(17, 19))):
        assert rec.annotate(rois=task(track(shapes))).counts["unclosed_tracks"] == 1
    part = task(track(listed(range(10))), range(10))
    assert not rec.annotate(rois=part, part_of_video=True).doubts
    stepped = task(track(box(15)), range(0, 19, 3))
    assert not rec.annotate(rois=stepped).doubts


def test_track__that_ends_before_deleted_frames_may_be_closed_in_them(rec):
    kept = [k for k in range(N) if k not in (5, 6)]
    other = track(listed(kept), number=1)
    tags = task(images(frame_names(kept)))
    for shapes in (listed(range(5)), box(4)):
        made = rec.annotate(rois=task(track(shapes) + other), tags=tags)
        assert (made.counts["unclosed_tracks"], made.doubts) == (0, [])
    assert rec.annotate(rois=task(track(box(3)) + other), tags=tags).doubts


def test_many_doubts__are_counted_after_the_first(rec):
    made = rec.annotate(rois=task("".join(track(box(k), number=k) for k in range(9))))
    assert (
        "9 tracks are not closed at the last shape: track 0 ('car') in frame 0, " in made.doubts[0]
    )
    assert "track 4 ('car') in frame 4 and 4 more, but the task" in made.doubts[0]


# Real exports and given cases


def test_real_exports__leave_nothing_open(rec):
    from evreel.annotations.cvat import read_cvat
    from evreel.annotations.frames import place
    from evreel.timebase import FrameClock

    for name, n, skipped in (
        ("four_obj_static_video", 916, "error"),
        ("four_obj_static_image", 916, "error"),
        ("volleyball_video_JOB_boxes_outside", 910, "error"),
        ("datumaro_video_small", 20, "skip"),
    ):
        read = read_cvat(shared_file(f"annotations/{name}.xml"), unsupported=skipped)
        placed = place(read, None, FrameClock.regular(n * 10_000, 10_000))
        assert (placed.doubts, set(placed.counts.values())) == ((), {0})
        assert (placed.rois.tracks, placed.rois.frames) == (read.tracks, read.frames)


def test_cases__have_the_boxes_and_intervals_that_they_state(rec):
    video, pictures = (
        shared_file(f"cases/cvat_deleted_frames/{form}.xml") for form in ("video", "images")
    )
    both, alone = rec.annotate(rois=video, tags=pictures), rec.annotate(rois=video)
    assert len(both.boxes) == len(alone.boxes) == 18
    assert both.labelled == [(0, 50_000), (70_000, 200_000)]
    assert not both.doubts
    assert "frames 5 to 6" in alone.doubts[0]
    for name in ("unclosed", "sparse"):
        made = rec.annotate(rois=shared_file(f"cases/cvat_unclosed_track/{name}.xml"))
        assert len(made.boxes) == 11
        assert "track 0 ('car') in frame 10, but the task goes on to frame 19" in made.doubts[0]


def test_place__takes_what_has_no_tracks(rec):
    assert rec.annotate().doubts == []
    assert rec.annotate(rois=task("")).labelled == WHOLE
    assert rec.annotate(rois=task(element("track", {"id": 0, "label": "car"}))).doubts == []
