"""Step annotate: when boxes are, what settings do, and labels of cropped and magnified pictures."""

from __future__ import annotations

import hashlib
import json
import sys

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.annotations.cvat import write_video_xml
from evreel.annotations.shapes import FrameTag
from evreel.checks.run import check
from evreel.cli.main import main
from evreel.errors import AnnotationError, ClockError, ParameterError
from evreel.files.boxes import read_boxes
from evreel.files.clock import write_clock
from evreel.files.slices import SlicesFile
from evreel.provenance import sha256
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support import random_events
from support.annotations import annotated, box, polygon, still
from support.cvat import STEP_US, Recording, listed, task, track
from support.scenes import simulated
from support.stores import store_of

MOVING = task(track(listed(range(20))))


def annotate(folder, **settings):
    """Annotate random events by a box that moves by a pixel a frame; return slices and boxes."""
    slices, _ = Recording(folder).run(MOVING, part_of_video=True, **settings)
    return slices, read_boxes(slices.with_name("slices_bbox.npy"))


def test_boxes__are_at_the_ends_of_frames_of_slices_or_at_any_rate(tmp_path):
    _, found = annotate(tmp_path)
    assert found["t"].tolist() == [STEP_US * (k + 1) for k in range(20)]
    _, found = annotate(tmp_path, boxes_at="slices")
    assert found["t"].tolist() == [50_000, 100_000, 150_000, 200_000]
    assert found["x"].tolist() == [4, 9, 14, 19]
    _, found = annotate(tmp_path, boxes_at="rate", boxes_us=4_000, at="event")
    assert found["t"].tolist() == list(range(4_000, 200_001, 4_000))
    # Drawn in the middle of each frame, it is a pixel further every 10 ms, and rests at the ends.
    expected = np.clip((found["t"] - 5_000) / 10_000, 0, 19)
    np.testing.assert_allclose(found["x"], expected, atol=1e-5)


def test_boxes__at_more_times_than_memory_holds_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["evreel.steps.annotate"], "_MOST_TIMES", 50)
    assert len(annotate(tmp_path, boxes_at="rate", boxes_us=4_000)[1]) == 50
    message = "boxes_us: 3900 gives boxes at 52 times; 50 is the limit. Choose a larger boxes_us"
    with pytest.raises(ParameterError, match=message):
        annotate(tmp_path, boxes_at="rate", boxes_us=3_900)


def test_settings__change_the_labels_and_are_recorded(tmp_path):
    seen = {}
    for name, settings in (
        ("frame", {}),
        ("event", {"at": "event"}),
        ("start", {"at": "event", "instant": "start"}),
        ("margin", {"margin_px": 1.5}),
    ):
        slices, _ = annotate(tmp_path, **settings)
        with SlicesFile(slices) as opened:
            seen[name] = opened.read()[1].tobytes()
        with h5py.File(slices) as file:
            told = json.loads(file.attrs["parameters"])
        defaults = {"at": "frame", "instant": "middle", "margin_px": 0.0, "radius_px": 2.0}
        assert {key: told[key] for key in defaults} == defaults | settings
    assert len({seen[name] for name in ("event", "start", "margin")}) == 3


def test_boxes_us__goes_with_a_rate_alone():
    for settings in ({"boxes_at": "rate"}, {"boxes_us": 5}):
        with pytest.raises(ParameterError, match=r"boxes_us: (is needed|does not go) with boxes"):
            steps.AnnotateSettings(**settings)


@pytest.mark.parametrize("at", ["frame", "event"])
def test_labels__of_a_cropped_and_magnified_video_are_on_the_same_events(at, tmp_path):
    """Drawn on the whole sensor, and on a crop of it at scale 2: the same events, moved."""
    x0, y0, x1, y1 = 10, 6, 52, 40
    drawn = [box(0, 12, 8, 30.5, 21.25), polygon(0, (25, 10), (50, 20.5), (31, 38))]
    whole, cropped = tmp_path / "whole.h5", tmp_path / "cropped.h5"
    recording = simulated(tmp_path, "one", 4, duration_us=100_000, camera={"noise_hz": 10.0})
    steps.events(recording, whole)
    steps.events(recording, cropped, steps.EventsSettings(crop=(x0, y0, x1, y1)))
    told = {}
    for store, scale, shift in ((whole, 1, (0, 0)), (cropped, 2, (x0, y0))):
        clock, xml, slices = (store.with_suffix(end) for end in (".tsv", ".xml", ".s.h5"))
        steps.clock(store, clock, steps.ClockSettings(window_us=10_000, scale=scale))
        moved = [type(s)(0, (s.points - np.array(shift)) * scale) for s in drawn]
        scene = annotated(*(still(shape, range(10), k) for k, shape in enumerate(moved)))
        size = (48, 64) if store == whole else ((y1 - y0) * 2, (x1 - x0) * 2)
        write_video_xml(xml, scene, name="crop", n_frames=10, picture_shape=size)
        boxes = store.with_suffix(".npy")
        settings = steps.AnnotateSettings(at=at)
        steps.annotate(
            *(store, clock, slices, boxes, steps.RegularWindows(window_us=50_000), settings),
            rois=xml,
        )
        with SlicesFile(slices) as opened:
            events, roi = opened.read()
        rows = zip(events.t, events.x + shift[0], events.y + shift[1], roi, strict=True)
        told[store] = {row[:3]: row[3] for row in (tuple(map(int, row)) for row in rows)}
        found = read_boxes(boxes)
        np.testing.assert_allclose(found["x"][0] + shift[0], 12)
    assert len(told[cropped]) > 1_000
    for event, roi in told[cropped].items():
        assert told[whole][event] == roi
    assert {-1, 0, 1} <= set(told[cropped].values())


def test_annotations__of_another_size_are_refused(tmp_path):
    with pytest.raises(AnnotationError, match="outside the 64 px wide"):
        Recording(tmp_path).run(task(track(listed(range(20), xbr=99))), part_of_video=True)


def test_jobs__are_inputs_of_the_slices_by_hand_too(tmp_path, capsys):
    recording = Recording(tmp_path)
    recording.run(rois=task(track(listed(range(20)))))
    (tmp_path / "jobs").mkdir()
    texts = [
        task(track(listed(frames)), frames, number=None, name=None)
        for frames in (range(12), range(9, 20))
    ]
    for k, text in enumerate(texts):
        (tmp_path / "jobs" / f"{k}.xml").write_text(text)
    files = sorted((tmp_path / "jobs").iterdir())
    common = ["annotate", str(tmp_path / "rec.h5"), "--clock", str(tmp_path / "rec.clock.tsv")]
    common += ["--window-us", "50000", "-o", str(tmp_path / "out.h5")]
    sums = [hashlib.md5(file.read_bytes()).hexdigest() for file in files]
    each = [option for file in files for option in ("--rois", str(file))]
    folder = ["--rois", str(tmp_path / "jobs"), "--rois-md5", " | ".join(sums)]
    made = []
    cell = ["--rois", " | ".join(map(str, files))]
    for given in (each, folder, cell):
        assert main([*common, *given]) == 0
        made.append((tmp_path / "out.h5").read_bytes())
        with h5py.File(tmp_path / "out.h5") as slices:
            inputs, repairs = (json.loads(slices.attrs[name]) for name in ("inputs", "repairs"))
    assert made[0] == made[1] == made[2]
    assert [inputs["rois"], inputs["rois.2"]] == [sha256(file) for file in files]
    assert (repairs["overlapping_shapes"], repairs["stitched_tracks"]) == (3, 1)
    assert main([*common, *each, "--no-stitch"]) == 0
    with SlicesFile(tmp_path / "out.h5") as apart:
        assert len(apart.rois.track) == 2, "which are kept apart if asked"
    assert main([*common, *each, "--rois-md5", f"{sums[0]} | {'0' * 32}"]) == 1
    assert "1.xml" in capsys.readouterr().err


def brief(folder, window_us=STEP_US, n=20):
    """Return a store of 50 ms, and a clock of `n` frames from its begin on."""
    store_of(folder / "rec.h5", random_events(2_000, (48, 64), stop_us=50_000, seed=1))
    times = [window_us * k for k in range(n + 1)]
    clock = FrameClock(times[:-1], times[1:], "external")
    write_clock(folder / "rec.clock.tsv", clock, Picture((48, 64)))
    (folder / "rois.xml").write_text(MOVING, encoding="utf-8")
    return folder / "rec.h5", folder / "rec.clock.tsv"


def test_clock__that_goes_on_after_the_recording_is_an_error_with_advice(tmp_path, caplog):
    made = *brief(tmp_path), tmp_path / "s.h5", tmp_path / "b.npy"
    windows = steps.RegularWindows(window_us=50_000)
    with pytest.raises(ClockError) as caught:
        steps.annotate(*made, windows, rois=tmp_path / "rois.xml")
    end = str(caught.value).split("ends at ")[1].split(" ")[0]
    assert 49_000 < int(end) <= 50_000
    said = f"rec.clock.tsv: frames 5 to 19 begin after the recording, which ends at {end} µs, and "
    assert str(caught.value).startswith(
        f"{said}are labelled. If these are times of another clock, "
    )
    assert "set annotate/time_offset_us, which `evreel align` estimates." in str(caught.value)
    assert not (tmp_path / "s.h5").exists()
    early = steps.AnnotateSettings(time_offset_us=-150_000)
    assert steps.annotate(*made, windows, early, rois=tmp_path / "rois.xml") is not None
    (tmp_path / "rois.xml").write_text(task(track(listed(range(5))), frames=range(20)))
    with pytest.raises(ClockError, match="frames 5 to 19 begin after"):  # which were looked at
        steps.annotate(*made, windows, rois=tmp_path / "rois.xml")
    short = steps.AnnotateSettings(time_offset_us=-60_000)
    steps.annotate(*made, windows, short, rois=tmp_path / "rois.xml")
    assert "frames 11 to 19 begin after the recording" in caplog.text
    (tmp_path / "full.xml").write_text(MOVING, encoding="utf-8")
    with pytest.raises(ClockError, match="frames 11 to 19 begin after"):  # in which is something
        steps.annotate(*made, windows, short, rois=tmp_path / "full.xml")
    (tmp_path / "seen.tsv").write_text("start_frame\tstop_frame\n0\t4\n", encoding="utf-8")
    steps.annotate(*made, windows, rois=tmp_path / "rois.xml", labelled=tmp_path / "seen.tsv")
    assert "beyond" not in {finding.check for finding in check(tmp_path / "s.h5").findings}


@pytest.mark.parametrize("tag", [True, False])
def test_last_frame__that_is_much_longer_than_what_is_left_is_no_fault(tmp_path, tag):
    """A frame of 1 s, of which the recording has 50 ms: neither here nor in a check."""
    store, clock = brief(tmp_path, window_us=1_000_000, n=1)
    tags = (FrameTag(0, "car"),) if tag else ()
    one = annotated(still(box(0), [0]), frames=range(1), tags=tags)
    write_video_xml(tmp_path / "rois.xml", one, name="rec", n_frames=1, picture_shape=(48, 64))
    steps.annotate(
        *(store, clock, tmp_path / "s.h5", tmp_path / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        rois=tmp_path / "rois.xml",
    )
    assert check(tmp_path / "s.h5").findings == ()
