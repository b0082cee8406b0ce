"""Events of simulated scenes, labelled through clocks of every source, against the exact truth.

An ideal annotator draws what is there in the middle of each frame. Each event must then have the
object that is on top at its pixel in the middle of its own frame, computed event by event.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evreel import steps
from evreel.annotations.alignment import Alignment
from evreel.annotations.cvat import write_video_xml
from evreel.annotations.shapes import Annotations, Box, Track
from evreel.events import Events, FrameTimes, Sensor, Triggers
from evreel.files.clock import read_clock
from evreel.files.slices import SlicesFile
from evreel.simulate.camera import simulate_events, truth
from evreel.simulate.scene import parse_scene
from support.scenes import scene
from support.stores import write_store

SENSOR = Sensor(47, 63)
PADDED = (48, 64)
DURATION_US = 120_000
BACK = {
    "label": "car",
    "box": [14.0, 10.0],
    "intensity": 0.9,
    "motion": [[0, 4.0, 20.0], [60_000, 44.0, 12.0], [120_000, 8.0, 30.0]],
}
OVER = {
    "label": "van",
    "box": [9.0, 16.0],
    "intensity": 0.1,
    "z_order": 1,
    "motion": [[0, 40.0, 8.0], [120_000, 12.0, 16.0]],
    "visible_us": [[0, 48_000], [70_000, 120_000]],
}
EXPOSED = np.array([-3_000, 9_000, 21_000, 22_500, 40_000, 55_000, 71_000, 90_000, 104_000])
LASTED = np.array([8_000, 9_000, 1_500, 9_000, 8_000, 6_000, 12_000, 9_000, 11_000])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Exact truth, events, and a store with frames and triggers of the same instants."""
    parsed = parse_scene(scene("exact", 2, objects=[BACK, OVER], tags=()))
    exact = truth(parsed)
    chunks = list(simulate_events(parsed))
    events = Events.concatenate(chunks, SENSOR)
    events = Events(events.t - events.t[0], events.x, events.y, events.p, SENSOR)
    edges = np.stack([EXPOSED, EXPOSED + LASTED], axis=1).ravel()
    marks = Triggers(
        edges,
        np.tile(np.array([1, 0], np.int8), len(EXPOSED)),
        np.full(len(edges), 4, np.int16),
    )
    path = tmp_path_factory.mktemp("exact") / "exact.h5"
    write_store(path, [events, FrameTimes(EXPOSED, EXPOSED + LASTED), marks], SENSOR)
    return exact, events, path


def drawn(exact, middles, frames) -> Annotations:
    """Return what an ideal annotator draws in some frames, as CVAT lists it."""
    tracks = []
    for index in range(2):
        shapes: list[Box] = []
        for k, frame in enumerate(frames):
            points = exact.annotated(index, int(middles[frame]))
            if points is not None:
                shapes.append(Box(frame, np.round(points, 2), keyframe=True, z_order=index))
            elif shapes and not shapes[-1].outside:
                shapes.append(replace(shapes[-1], frame=frames[k], outside=True))
        tracks.append(Track(index, ("car", "van")[index], tuple(shapes)))
    return Annotations(("car", "van"), tuple(tracks), frames=frames, picture_shape=PADDED)


def twin(exact, events, start_us, stop_us, middles, frames) -> list[int]:
    """Return the object of each event, frame by frame, by what is there in its middle."""
    found = []
    of = {}
    for t, x, y in zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        label = -1
        for frame in frames:
            if start_us[frame] <= t < stop_us[frame]:
                if frame not in of:
                    at = int(middles[frame])
                    of[frame] = [exact.annotated(index, at) for index in range(2)]
                for index, points in enumerate(of[frame]):
                    if points is not None:
                        (left, top), (right, bottom) = np.round(points, 2).tolist()
                        if left <= x + 0.5 < right and top <= y + 0.5 < bottom:
                            label = index
        found.append(label)
    return found


def annotated(store, folder, xml, clock_settings=None, table=None, **settings):
    """Return roi of each event, and labelled intervals."""
    if table is not None:
        rows = "".join(f"{k}\t{a}\t{b}\n" for k, (a, b) in enumerate(table))
        (folder / "t.tsv").write_text("frame\tstart_us\tstop_us\n" + rows)
    steps.clock(
        *(store, folder / "c.tsv", steps.ClockSettings(**(clock_settings or {}))),
        table=None if table is None else folder / "t.tsv",
    )
    steps.annotate(
        *(store, folder / "c.tsv", folder / "s.h5", folder / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        steps.AnnotateSettings(**settings),
        rois=xml,
    )
    with SlicesFile(folder / "s.h5") as slices:
        spans = list(zip(*(column.tolist() for column in slices.labelled), strict=True))
        return slices.read()[1].tolist(), spans, read_clock(folder / "c.tsv")[0]


@pytest.mark.parametrize("source", ["frames", "triggers", "external"])
def test_exposures__label_each_event_by_what_is_there_in_the_middle_of_its_own(
    made, tmp_path, source
):
    exact, events, store = made
    n = len(EXPOSED)
    middles = EXPOSED + LASTED // 2
    write_video_xml(
        *(tmp_path / "a.xml", drawn(exact, middles, range(n))),
        name="exact",
        n_frames=n,
        picture_shape=PADDED,
    )
    is_table = source == "external"
    table = list(zip(EXPOSED.tolist(), (EXPOSED + LASTED).tolist(), strict=True))
    roi, spans, clock = annotated(
        *(store, tmp_path, tmp_path / "a.xml"),
        None if is_table else {"clock": source},
        table if is_table else None,
    )
    assert clock.start_us.tolist() == EXPOSED.tolist()
    assert roi == twin(exact, events, EXPOSED, EXPOSED + LASTED, middles, range(n))
    assert roi.count(0) > 100 < roi.count(1)
    assert sum(b - a for a, b in spans) == LASTED.sum()


def test_clock_of_another_camera__labels_as_its_frames_do_on_the_recordings_clock(made, tmp_path):
    exact, events, store = made
    alignment = Alignment(time_offset_us=-40_000_000, drift_ppm=80.0)
    start, stop = EXPOSED, EXPOSED + LASTED
    # What the other camera says of the same instants.
    theirs = list(zip(*(alignment.inverse.times(t).tolist() for t in (start, stop)), strict=True))
    a, b = (alignment.times(np.array(column)) for column in zip(*theirs, strict=True))
    middles = start + LASTED // 2
    n = len(start)
    about = {"name": "exact", "n_frames": n, "picture_shape": PADDED}
    write_video_xml(tmp_path / "a.xml", drawn(exact, middles, range(n)), **about)
    rows = "".join(f"{k}\t{s}\t{e}\n" for k, (s, e) in enumerate(theirs))
    (tmp_path / "c.tsv").write_text("frame\tstart_us\tstop_us\n" + rows)
    steps.annotate(
        *(store, tmp_path / "c.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        steps.AnnotateSettings(
            time_offset_us=-40_000_000,
            drift_ppm=80.0,
            homography=(1, 0, 0, 0, 1, 0, 0, 0, 1),
            clip=True,
        ),
        rois=tmp_path / "a.xml",
    )
    with SlicesFile(tmp_path / "s.h5") as slices:
        roi = slices.read()[1].tolist()
    assert np.abs(a - start).max() <= 1
    assert roi == twin(exact, events, a, b, middles, range(n))


@pytest.mark.parametrize(
    ("frames", "between"),
    [(range(4, 12), "leave"), (range(1, 12, 3), "leave"), (range(1, 12, 3), "interpolate")],
    ids=["later job", "stepped", "stepped and interpolated"],
)
def test_parts_of_a_video__label_what_annotators_saw(made, tmp_path, frames, between):
    exact, events, store = made
    start = np.arange(12) * 10_000
    middles = start + 5_000
    scene_ = drawn(exact, middles, frames)
    about = {"name": "exact", "n_frames": 12, "picture_shape": PADDED}
    xml = tmp_path / "a.xml"
    write_video_xml(xml, scene_, **about, step=frames.step)
    text = xml.read_text()
    for name, frame in (("start", frames[0]), ("stop", frames[-1])):
        begin, rest = text.split(f"<{name}_frame>")
        text = f"{begin}<{name}_frame>{frame}</{rest.split('</', 1)[1]}"
    xml.write_text(text)
    roi, spans, _ = annotated(
        *(store, tmp_path, xml, {"n_frames": 12}), part_of_video=True, between=between
    )
    expected = twin(exact, events, start, start + 10_000, middles, frames)
    if between == "leave":
        assert roi == expected
        whole = [(40_000, 120_000)]
        each = [(k * 10_000, k * 10_000 + 10_000) for k in frames]
        assert spans == (whole if frames.step == 1 else each)
        return
    assert spans == [(10_000, 110_000)]
    seen = np.isin(events.t // 10_000, list(frames))
    assert (np.array(roi)[seen] == np.array(expected)[seen]).all()
    # Between two frames of the task, a box is on a straight line.
    by_frame = [{s.frame: s for s in track.shapes} for track in scene_.tracks]
    for t, x, y, found in zip(
        events.t.tolist(), events.x.tolist(), events.y.tolist(), roi, strict=True
    ):
        frame = t // 10_000
        before = (frame - 1) // 3 * 3 + 1
        label = -1
        for index, shapes in enumerate(by_frame):
            left = shapes.get(before)
            if left is None or left.outside or not 1 <= frame <= 10:
                continue
            right = shapes.get(before + 3, left)
            if frame != before and before + 3 not in shapes:
                continue
            box = left.between(right, frame) if frame != before else left
            (a, b), (c, d) = box.points.tolist()
            if a <= x + 0.5 < c and b <= y + 0.5 < d:
                label = index
        assert found == label


@pytest.mark.parametrize("frames", [range(len(EXPOSED)), range(0, len(EXPOSED), 2)])
def test_events_at_their_own_time__have_labels_in_frames_that_were_seen_alone(
    made, tmp_path, frames
):
    exact, events, store = made
    middles = EXPOSED + LASTED // 2
    about = {"name": "exact", "n_frames": len(EXPOSED), "picture_shape": PADDED}
    xml = tmp_path / "a.xml"
    write_video_xml(xml, drawn(exact, middles, frames), **about, step=frames.step)
    roi, spans, _ = annotated(store, tmp_path, xml, {"clock": "frames"}, at="event")
    seen = np.zeros(len(events), dtype=bool)
    for frame in frames:
        seen |= (events.t >= EXPOSED[frame]) & (events.t < EXPOSED[frame] + LASTED[frame])
    assert (np.array(roi)[~seen] == -1).all()
    assert roi.count(0) > 100
    assert sum(b - a for a, b in spans) == LASTED[list(frames)].sum()
