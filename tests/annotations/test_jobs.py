"""Exports of the jobs of one task, as the annotation of one recording."""

from __future__ import annotations

import re
import zipfile
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from evreel.annotations.cvat import read_cvat
from evreel.annotations.jobs import files_of, read_jobs
from evreel.errors import AnnotationError
from evreel.steps.annotate import files_in
from support import shared_file
from support.cvat import (
    Recording,
    box,
    corners,
    frame_names,
    images,
    listed,
    picture_names,
    task,
    track,
)

N = 20


def job(body, frames, number, **said):
    """Return the export of a job, as CVAT heads it."""
    text = task(body, frames, name=None, number=number, **said)
    return text.replace("<task>", "<job>").replace("</task>", "</job>")


def written(folder, *texts, form="{}.xml"):
    paths = [folder / form.format(k) for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return paths


def read(paths, **how):
    return read_jobs(paths, read_cvat, **how)


def shown(annotations):
    return {
        track.id: [shape.frame for shape in track.shapes if not shape.outside]
        for track in annotations.tracks
    }


def one_object(*jobs, whole=True):
    """Return exports of jobs in which one object moves on."""
    return [job(track(listed(frames)), frames, 30 + k) for k, frames in enumerate(jobs)]


def test_jobs__are_what_the_export_of_their_task_is(tmp_path):
    parts = [range(8), range(8, 15), range(15, N)]
    recording = Recording(tmp_path)
    want = recording.annotate(rois=task(track(listed(range(N)))))
    for order in permutations(range(3)):
        texts = one_object(*parts)
        got = recording.annotate(rois=[texts[k] for k in order])
        np.testing.assert_array_equal(got.boxes, want.boxes)
        assert got.labelled == want.labelled
        assert got.doubts == []
        assert got.counts["stitched_tracks"] == 2


def test_frames_that_two_jobs_share__count_once_and_are_counted(tmp_path):
    paths = written(tmp_path, *one_object(range(10), range(7, 15), range(12, N)))
    got = read(paths, stitch=True)
    assert shown(got) == {0: list(range(N))}
    assert got.repairs["overlapping_shapes"] == 6
    assert got.doubts == ()
    apart = read(paths)
    assert shown(apart) == {0: list(range(7)), 1: list(range(7, 12)), 2: list(range(12, N))}
    assert apart.repairs["overlapping_shapes"] == 6
    assert [t.shapes[-1].outside for t in apart.tracks] == [True, True, False]


def test_shape_that_the_later_job_lacks__is_left_out_and_in_doubt(tmp_path):
    first = job(
        track(listed(range(10))) + track(listed(range(4, 10), ytl=20, ybr=30), number=1),
        range(10),
        1,
    )
    second = job(track(listed(range(8, N))), range(8, N), 2)
    got = read(written(tmp_path, first, second), stitch=True)
    assert shown(got) == {0: list(range(N)), 1: list(range(4, 8))}
    assert got.repairs["overlapping_shapes"] == 4
    assert any("0.xml: 2 shapes in frames that 1.xml has too" in doubt for doubt in got.doubts)


def test_job__may_show_an_object_only_in_frames_of_the_next_but_one(tmp_path):
    frames = (range(5), range(4, 6), range(5, N))
    bodies = (range(5), range(5, 6), range(5, N))
    texts = [job(track(listed(of)), all_, 1) for of, all_ in zip(bodies, frames, strict=True)]
    got = read(written(tmp_path, *texts), stitch=True)
    assert list(shown(got).values()) == [list(range(4)), list(range(5, N))]
    assert any("1 shape in frames that 1.xml has too" in doubt for doubt in got.doubts)


def test_object__that_leaves_within_shared_frames_keeps_its_track(tmp_path):
    gone = box(9, outside=1)
    first = job(track(listed(range(9)) + gone), range(11), 1)
    second = job(track(listed(range(7, 9)) + gone), range(7, N), 2)
    got = read(written(tmp_path, first, second), stitch=True)
    assert shown(got) == {0: list(range(9))}
    assert got.doubts == ()


@pytest.mark.parametrize("stitch", [True, False])
def test_object__that_leaves_with_the_last_frame_of_a_job_is_not_in_doubt(tmp_path, stitch):
    """Nothing can be closed behind the last frame of a job."""
    texts = [job(track(listed(range(5, 10))), range(10), 1), job("", range(10, N), 2)]
    got = Recording(tmp_path).annotate(rois=texts, stitch=stitch)
    assert sorted(got.at) == list(range(5, 10))
    assert (got.counts["unclosed_tracks"], got.doubts) == (0, [])


def test_object__that_leaves_before_shared_frames_is_not_cut_by_the_next_job(tmp_path):
    gone = box(7, outside=1)
    first = job(track(listed(range(7)) + gone), range(10), 1)
    other = listed(range(7, N), ytl=20, ybr=30)
    second = job(track(other), range(7, N), 2)
    got = read(written(tmp_path, first, second), stitch=True)
    assert (got.repairs["stitched_tracks"], got.repairs["cut_tracks"]) == (0, 0)
    assert got.doubts == ()


def test_jobs_of_a_stepped_task__have_their_absolute_frames(tmp_path):
    steps = range(1, N, 3)
    paths = written(tmp_path, *one_object(steps[:3], steps[2:5], steps[5:]))
    got = read(paths, stitch=True)
    assert got.task == steps
    assert tuple(got.frames) == tuple(steps)
    assert shown(got) == {0: list(steps)}


def test_gap_between_jobs__is_named_or_counts_as_not_labelled(tmp_path):
    texts = one_object(range(5), range(12, N))
    paths = written(tmp_path, *texts)
    with pytest.raises(AnnotationError, match=r"frames 5 to 11, between 0\.xml and 1\.xml"):
        read(paths)
    got = Recording(tmp_path).annotate(rois=texts, part_of_video=True)
    assert got.labelled == [(0, 50_000), (120_000, 200_000)]
    assert got.counts["unclosed_tracks"] == 0
    assert got.doubts == []


def test_images_form__has_each_frame_once_with_its_tags(tmp_path):
    def of(frames, number):
        return job(images(frame_names(frames)), frames, number, mode="interpolation")

    paths = written(tmp_path, of(range(12), 1), of(range(10, N), 2))
    got = read(paths)
    assert sorted(shape.frame for t in got.tracks for shape in t.shapes) == list(range(N))
    assert [tag.frame for tag in got.tags] == list(range(N))
    assert (got.repairs["overlapping_shapes"], got.repairs["overlapping_tags"]) == (2, 2)
    assert got.lists_frames
    assert got.doubts == ()
    made = Recording(tmp_path).annotate(rois=[p.read_text() for p in paths])
    assert len(made.boxes) == len(made.tagged) == N


def test_jobs_for_video_and_for_images__are_joined_each_and_settle_deleted_frames(tmp_path):
    def listing(frames):
        names = frame_names(frame for frame in frames if frame != 5)
        return images(names, shown=False)

    halves = [range(10), range(10, N)]
    rois = [job(track(listed(f for f in half if f != 5)), half, k) for k, half in enumerate(halves)]
    tags = [job(listing(half), half, k) for k, half in enumerate(halves)]
    made = Recording(tmp_path).annotate(rois=rois, tags=tags)
    assert made.labelled == [(0, 50_000), (60_000, 200_000)]
    assert made.counts["frames_maybe_deleted"] == 0
    assert made.doubts == []


def with_size(text, size):
    height, width = size
    said = f"<original_size><width>{width}</width><height>{height}</height></original_size>"
    return text.replace("</meta>", f"{said}</meta>")


def with_attribute(text, kind):
    spec = (
        f"<attributes><attribute><name>make</name><mutable>True</mutable><input_type>{kind}"
        "</input_type><default_value>a</default_value><values>a\nb</values></attribute>"
        "</attributes>"
    )
    return text.replace("<name>car</name>", f"<name>car</name>{spec}")


def created(text, when):
    return text.replace("<start_frame>", f"<created>{when}</created><start_frame>", 1)


A, B = one_object(range(10), range(10, N))
NOON = "2026-03-01 12:00:00.250000+00:00"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([with_size(A, (48, 64)), with_size(B, (260, 346))], "sizes: 64x48 and 346x260"),
        ([A, A], "are both of job 30 of frames 0 to 9"),
        ([A, job("", range(10), 31)], "are both of frames 0 to 9"),
        ([A, job("", range(2, 8), 31)], "share frames, of which one has all"),
        ([A, job("", range(10, N, 2), 31)], "are of different tasks: frames 0 to 9, and frames"),
        (
            [task("", range(10), name="a"), task("", range(10, N), name="b", number=2)],
            "are of different tasks: 'a' and 'b'",
        ),
        (
            [created(A, NOON), created(B, NOON.replace("25", "26"))],
            "of tasks that were created at different times: 2026-03-01 12:00:00.250000+00:00 and",
        ),
        (
            [A, job(images(frame_names(range(10, N))), range(10, N), 2)],
            "for video 1.1 and CVAT for",
        ),
        (
            [with_attribute(A, "select"), with_attribute(B, "radio")],
            "kind of attribute 'make' of label 'car' is 'select', and 'radio'",
        ),
        ([A, "<annotations><version>1.1</version></annotations>"], "does not say which frames"),
    ],
)
def test_files_that_do_not_go_together__are_an_error_that_names_both(tmp_path, texts, said):
    paths = written(tmp_path, *texts)
    for order in (paths, paths[::-1]):
        with pytest.raises(AnnotationError, match=re.escape(said)) as told:
            read(order)
        assert "1.xml" in str(told.value)


def test_jobs__say_when_their_task_was_created_in_any_time_zone(tmp_path):
    for other in (NOON, "2026-03-01 13:00:00.250000+01:00", ""):
        paths = written(tmp_path, created(A, NOON), created(B, other))
        assert shown(read(paths, stitch=True)) == {0: list(range(N))}


def test_one_file_given_twice__is_an_error_however_it_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (path,) = written(tmp_path, A)
    with pytest.raises(AnnotationError, match=r"0\.xml: is given twice"):
        read([path, Path("0.xml")])


def test_job_that_is_cut_short__is_named_among_files_of_one_name(tmp_path):
    texts = one_object(range(5), range(5, 12), range(12, N))
    texts[1] = texts[1][:-40]
    paths = written(tmp_path, *texts, form="job_{}/annotations.xml")
    with pytest.raises(AnnotationError, match=r"^job_1/annotations\.xml, line .*is not whole XML"):
        read(paths)


def test_labels__are_matched_by_name(tmp_path):
    second = B.replace("<labels>", "<labels><label><name>van</name></label>")
    got = read(written(tmp_path, A, second.replace('label="car"', 'label="van"')))
    assert {t.label for t in got.tracks} == {"car", "van"}


def test_folder__gives_its_exports_zipped_or_not(tmp_path):
    texts = one_object(range(10), range(10, N))
    written(tmp_path / "jobs", texts[0])
    with zipfile.ZipFile(tmp_path / "jobs" / "second.zip", "w") as packed:
        packed.writestr("annotations.xml", texts[1])
    (tmp_path / "jobs" / "._0.xml").write_text("")
    (tmp_path / "jobs" / "notes.txt").write_text("")
    found = files_of(tmp_path / "jobs")
    assert [path.name for path in found] == ["0.xml", "second.zip"]
    assert shown(read(found, stitch=True)) == {0: list(range(N))}


def test_empty_text__names_no_file_rather_than_all_in_the_working_folder(tmp_path, monkeypatch):
    written(tmp_path, *one_object(range(10), range(10, N)))
    monkeypatch.chdir(tmp_path)
    assert [files_in(given) for given in ("", [""], None, [])] == [[]] * 4
    assert len(files_in(".")) == 2


def test_other_forms__cannot_be_several(tmp_path):
    paths = written(tmp_path, A, "1,7,10,20,30,40,1,1,1\n")
    with pytest.raises(AnnotationError, match=r"1\.xml: is of the form mot; of several files"):
        read(paths)


@pytest.mark.parametrize(
    "name",
    [
        "four_obj_static_video.xml",
        "volleyball_video_JOB_boxes_outside.xml",
        "datumaro_video_small.xml",
        "datumaro_video_start10_step3_skeleton_points_polyline.xml",
    ],
)
@pytest.mark.parametrize("overlap", [0, 1])
def test_real_export__cut_into_jobs_says_the_same_again(tmp_path, name, overlap):
    source = shared_file(f"annotations/{name}")
    whole = read_cvat(source)
    frames = whole.task
    middle = len(frames) // 2
    halves = [frames[: middle + overlap], frames[middle:]]
    got = read(written(tmp_path, *(job_of(source, half) for half in halves)), stitch=True)
    assert got.task == frames
    assert counts_by_frame(got) == counts_by_frame(whole)


def job_of(source, frames):
    """Return what CVAT exports of a job of a task: what its frames show."""
    text = source.read_text(encoding="utf-8")
    for name, value in (("start_frame", frames[0]), ("stop_frame", frames[-1])):
        text = re.sub(f"<{name}>.*?</{name}>", f"<{name}>{value}</{name}>", text, count=1)
    text = re.sub(r"<(/?)task>", r"<\1job>", text)
    text = re.sub(r"<id>.*?</id>", f"<id>{frames[0]}</id>", text, count=1)

    def kept(shape):
        at = re.search(r' frame="(\d+)"', shape[0])
        return shape[0] if int(at[1]) in frames else ""

    kinds = "box|polygon|points|polyline|skeleton"
    start = text.index("</meta>")
    body = re.sub(rf'  <({kinds}) frame="[^>]*>.*?</\1>\n', kept, text[start:], flags=re.DOTALL)
    return text[:start] + re.sub(r"<track [^>]*>\s*</track>", "", body)


def counts_by_frame(annotations):
    found = {}
    for each in annotations.tracks:
        for shape in each.shapes:
            if not shape.outside:
                key = (shape.frame, each.label, shape.name)
                found[key] = found.get(key, 0) + 1
    return found


def test_files_of_one_task__may_have_its_name_and_number_or_not_say_them(tmp_path):
    halves = [range(10), range(10, N)]
    for said in ({}, {"number": None}, {"name": None}):
        texts = [task(track(listed(half)), half, **said) for half in halves]
        got = read(written(tmp_path, *texts), stitch=True)
        assert shown(got) == {0: list(range(N))}


def test_file_that_is_a_task_of_several_jobs__is_stitched_itself_too(tmp_path):
    segments = "".join(
        f"<segment><id>{k}</id><start>{first}</start><stop>{last}</stop></segment>"
        for k, (first, last) in enumerate(((0, 4), (5, 9)))
    )
    cut = track(listed(range(5))) + track(listed(range(5, 10)), number=1)
    first = task(cut, range(10)).replace("<labels>", f"<segments>{segments}</segments><labels>")
    second = task(track(listed(range(10, N))), range(10, N))
    got = read(written(tmp_path, first, second), stitch=True)
    assert shown(got) == {0: list(range(N))}
    assert got.repairs["stitched_tracks"] == 2


def test_masks_of_jobs__are_linked_in_each_and_across_the_border(tmp_path):
    def of(frames):
        rle = 'rle="0, 8" left="{}" top="1" width="4" height="2"'
        return "".join(
            f'<image id="{k}"><mask label="car" {rle.format(k // 4)} z_order="0"/></image>'
            for k in frames
        )

    texts = [job(of(half), half, k) for k, half in enumerate((range(10), range(8, N)))]
    made = Recording(tmp_path).annotate(rois=texts, link="iou")
    assert len(set(made.boxes["track_id"].tolist())) == 1
    assert len(made.boxes) == N
    assert made.counts["overlapping_shapes"] == 2


def test_unannotated_later_job__leaves_a_doubt_for_what_it_shares(tmp_path):
    texts = [job(track(listed(range(10))), range(10), 1), job("", range(8, N), 2)]
    made = Recording(tmp_path).annotate(rois=texts)
    assert sorted(made.at) == list(range(8))
    (doubt,) = made.doubts
    assert "2 shapes in frames that rois_1.xml has too" in doubt


def test_names_of_pictures__say_the_frames_of_each_job(tmp_path):
    rows = list(range(N - 1, -1, -1))  # CVAT's order is another one
    names = picture_names(rows)

    def of(numbers, body, number):
        return job(body, numbers, number, mode="annotation")

    halves = [range(12), range(10, N)]
    listing = [
        of(half, images({k: names[k] for k in half}), 1 + n) for n, half in enumerate(halves)
    ]
    made = Recording(tmp_path).annotate(rois=listing)
    assert made.at == {row: float(k) for k, row in enumerate(rows)}
    assert sorted(made.tagged) == list(range(N))
    drawn = [of(half, track(listed(half)), 1 + n) for n, half in enumerate(halves)]
    both = Recording(tmp_path).annotate(rois=drawn, tags=listing)
    assert both.at == made.at
    assert both.labelled == [(0, 200_000)]


def test_track_that_jumps_where_a_job_ends__is_reported_with_the_files(tmp_path):
    first = job(track(listed(range(10))), range(10), 1)
    second = job(track(listed(range(10, N), ytl=30, ybr=40)), range(10, N), 2)
    made = Recording(tmp_path).annotate(rois=[first, second])
    assert (made.counts["stitched_tracks"], made.counts["cut_tracks"]) == (0, 1)
    assert any("rois_0.xml, rois_1.xml: 1 track ends where a job does" in d for d in made.doubts)


def test_object_that_leaves_where_the_next_job_begins__is_not_cut(tmp_path):
    """Its own job goes on for some frames, and says that it has left."""
    leaving = track(listed(range(10)), box(10, outside=1))
    other = track(listed(range(10, N), xtl=30, xbr=39, ytl=30, ybr=39))
    seen_first = track(listed(range(10, 15), xtl=30, xbr=39, ytl=30, ybr=39), number=1)
    first, second = job(leaving + seen_first, range(15), 1), job(other, range(10, N), 2)
    made = Recording(tmp_path).annotate(rois=[first, second])
    assert (made.counts["stitched_tracks"], made.counts["cut_tracks"]) == (0, 0)
    assert made.doubts == []


@pytest.mark.parametrize("between", ["leave", "interpolate"])
def test_object_that_the_next_job_lacks__has_left_where_that_begins(tmp_path, between):
    """As in the export of the task, where CVAT closes the track; in its job, nobody could."""
    halves = [range(0, 12, 3), range(12, N, 3)]
    texts = [job(track(listed(halves[0])), halves[0], 1), job("", halves[1], 2)]
    recording = Recording(tmp_path)
    got = recording.annotate(rois=texts, between=between)
    closed = track(listed(halves[0]), box(12, outside=1, **corners(9)))
    want = recording.annotate(rois=task(closed, range(0, N, 3)), between=between)
    assert got.at == want.at
    assert got.labelled == want.labelled
    assert (got.counts["unclosed_tracks"], got.doubts) == (0, want.doubts)
