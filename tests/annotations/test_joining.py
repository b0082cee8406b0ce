"""Tracks made of parts: linked masks, and tracks stitched where a job ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evreel.annotations.joining import linked, overlap, stitched
from evreel.annotations.shapes import Annotations, Mask, Track, merge
from support.annotations import box, still
from support.cvat import Recording, task


def mask(frame, left=0, group=0, width=4, **more):
    points = np.array([[left, 0], [left + width, 2]], dtype=float)
    return Mask(frame, points, runs=(0, 2 * width), group=group, **more)


def loose(*shapes, label="car"):
    return Annotations(
        ("car", "bus"), tuple(Track(-1, label, (shape,)) for shape in shapes), frames=range(10)
    )


def joined(annotations):
    return [(t.id, t.label, [s.frame for s in t.shapes]) for t in annotations.tracks]


def test_masks__of_a_group_are_one_track_and_are_counted():
    scene = loose(mask(1, group=3), mask(4, 9, group=3), mask(2, group=5), mask(3), mask(7))
    got = linked(scene, "group_id")
    assert joined(got) == [
        (0, "car", [1, 4]),
        (-1, "car", [2]),
        (-1, "car", [3]),
        (-1, "car", [7]),
    ]
    assert got.repairs == {"linked_masks": 1}
    assert all(shape.alone for shape in got.tracks[0].shapes), "a mask labels its own frame"
    twice = loose(mask(1, group=3), mask(1, 9, group=3))
    assert joined(linked(twice, "group_id")) == [(-1, "car", [1]), (-1, "car", [1])]
    assert linked(scene, "none") is scene


def test_masks__that_overlap_most_in_successive_frames_are_one_track():
    scene = loose(mask(1), mask(1, 20), mask(2, 19), mask(2, 1), mask(3, 2), mask(3, 40), mask(5))
    got = linked(scene, "iou")
    assert joined(got) == [
        (0, "car", [1, 2, 3]),
        (1, "car", [1, 2]),
        (-1, "car", [3]),
        (-1, "car", [5]),
    ]
    assert got.repairs == {"linked_masks": 3}
    other = replace(scene, tracks=(*scene.tracks[:1], Track(-1, "bus", (mask(2),))))
    assert len(linked(other, "iou").tracks) == 2, "another label"
    apart = linked(loose(mask(1), mask(2, 2)), "iou")
    assert len(apart.tracks) == 2, "a third of both"


def test_masks__of_a_video_export_leave_their_closing_shapes():
    tracks = tuple(
        Track(k, "car", (mask(frame), mask(frame + 1, outside=True)))
        for k, frame in ((4, 1), (7, 2))
    )
    scene = Annotations(("car",), (*tracks, Track(9, "car", (box(1),))), frames=range(10))
    assert joined(linked(scene, "iou")) == [(4, "car", [1, 2]), (9, "car", [1])]


def test_masks__that_are_linked_are_one_region_of_the_slices(tmp_path):
    rle = 'rle="0, 8" left="{}" top="1" width="4" height="2"'
    body = "".join(
        f'<image id="{k}"><mask label="car" {rle.format(k)} z_order="0"/></image>' for k in range(3)
    )
    made = Recording(tmp_path).annotate(rois=task(body), link="iou", part_of_video=True)
    assert made.counts["linked_masks"] == 2
    assert len(set(made.boxes["track_id"].tolist())) == 1


# Jobs


def tracks_of(*spans, step=1, jobs=(range(6), range(4, 10)), label="car", **more):
    """Return tracks of still boxes in some frames; a span is frames and the left edge."""
    tracks = tuple(
        Track(k, label, tuple(box(frame, left, right=left + 10) for frame in frames))
        for k, (frames, left) in enumerate(spans)
    )
    jobs = tuple(jobs)
    frames = range(jobs[0][0], jobs[-1][-1] + 1, step)
    return Annotations(("car",), tracks, frames=frames, task=frames, jobs=jobs, **more)


@pytest.mark.parametrize(
    ("jobs", "spans", "frames"),
    [
        ((range(6), range(4, 10)), [(range(2, 6), 0), (range(4, 9), 1)], range(2, 9)),
        ((range(6), range(4, 10)), [(range(2, 4), 0), (range(4, 9), 1)], range(2, 9)),
        ((range(5), range(5, 10)), [(range(2, 5), 0), (range(5, 9), 1)], range(2, 9)),
        ((range(5), range(5, 10)), [(range(2, 5), 0), (range(6, 9), 1)], None),
        ((range(5), range(5, 10)), [(range(2, 4), 0), (range(5, 9), 1)], None),
        ((range(5), range(5, 10)), [(range(2, 5), 0), (range(5, 9), 6)], None),
        ((range(10),), [(range(2, 5), 0), (range(5, 9), 1)], None),
    ],
)
def test_track__goes_on_in_the_next_job_if_it_overlaps_there(jobs, spans, frames):
    scene = tracks_of(*spans, jobs=jobs)
    got = stitched(scene)
    if frames is None:
        assert joined(got) == joined(scene)
        assert got.repairs.get("stitched_tracks", 0) == 0
        return
    assert joined(got) == [(0, "car", list(frames))]
    assert got.repairs == {"stitched_tracks": 1, "cut_tracks": 0}
    assert not got.doubts
    border = spans[1][0][0]
    lefts = {shape.frame: shape.points[0, 0] for shape in got.tracks[0].shapes}
    assert (lefts[border - 1], lefts[border]) == (0, 1), "the later job counts where both list it"


def test_track__over_many_jobs_is_one_and_takes_the_nearest_of_several():
    jobs = tuple(range(k, k + 5) for k in range(0, 25, 5))
    spans = [(range(k, k + 5), left) for k in range(0, 25, 5) for left in (0, 6)]
    got = stitched(tracks_of(*spans, jobs=jobs))
    assert joined(got) == [(0, "car", list(range(25))), (1, "car", list(range(25)))]
    assert [{s.points[0, 0] for s in t.shapes} for t in got.tracks] == [{0}, {6}]
    assert got.repairs == {"stitched_tracks": 8, "cut_tracks": 0}


def test_track__that_is_cut_at_a_border_is_named_if_its_label_goes_on_elsewhere():
    scene = tracks_of((range(2, 5), 0), (range(5, 9), 30), jobs=(range(5), range(5, 10)))
    got = stitched(replace(scene, source="a.xml"))
    assert joined(got) == joined(scene)
    assert got.repairs == {"stitched_tracks": 0, "cut_tracks": 1}
    assert got.doubts == (
        "a.xml: 1 track ends where a job does, and none that overlaps begins there: track 0 "
        "('car') in frame 4. Join them in CVAT if they are of one object",
    )


def test_tracks__of_a_stepped_task_are_stitched_by_its_steps():
    jobs = (range(0, 12, 3), range(12, 24, 3))
    got = stitched(tracks_of((range(0, 12, 3), 0), (range(12, 24, 3), 1), jobs=jobs, step=3))
    assert joined(got) == [(0, "car", list(range(0, 24, 3)))]


def test_tracks__of_several_exports_are_stitched_where_their_jobs_meet():
    parts = [
        replace(tracks_of((range(2, 5), 0), jobs=[range(5)]), jobs=()),
        replace(tracks_of((range(5, 9), 1), jobs=[range(5, 10)]), jobs=()),
    ]
    for order in (parts, parts[::-1]):
        got = stitched(merge(order))
        assert [t[2] for t in joined(got)] == [list(range(2, 9))]


class Looked(tuple):
    """Shapes that count how many of them are looked at."""

    n = 0

    def __getitem__(self, key):
        Looked.n += 1
        return super().__getitem__(key)

    def __iter__(self):
        Looked.n += len(self)
        return super().__iter__()


def test_long_tracks__are_searched_and_not_gone_through():
    """Else many tracks of many frames, in several jobs, take minutes for each border."""
    frames = range(4_000)
    one = still(box(0), frames)
    earlier = replace(one, shapes=Looked(one.shapes))
    later = still(box(0), range(4_000, 4_010))
    Looked.n = 0
    assert overlap(earlier, later, 1) == 1
    assert overlap(earlier, later, 0) == 0
    assert Looked.n < 100
