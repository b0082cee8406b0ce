"""What is known of a video before a run: annotations that cannot fit are told by a dry run."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from evreel import steps
from evreel.dataset import videos
from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.inputs import check_inputs
from evreel.dataset.memory import Memory
from evreel.errors import MistakesError
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.recordings.open import open_recording
from support import random_events
from support.cvat import frame_names, images, listed, picture_names, task, track
from support.dataset import CONFIG, write_table

SENSOR = (47, 63)
N = 10
SIZE = "<original_size><width>{}</width><height>{}</height></original_size>"


def sized(width, height, step=1):
    """Return an XML of pictures of a size."""
    text = task(track(listed(range(0, N, step))), frames=range(0, N, step))
    return text.replace("<labels>", SIZE.format(width, height) + "<labels>")


ROIS = sized(64, 48)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording of 63x47 px and 100 ms: its video has 10 frames of 64x48 px."""
    path = tmp_path_factory.mktemp("videos") / "rec.aedat4"
    with Aedat4Writer(path, random_events(500, SENSOR, stop_us=N * 10_000, seed=3).sensor) as file:
        file.write(random_events(500, SENSOR, stop_us=N * 10_000, seed=3))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch, recording):
    monkeypatch.chdir(tmp_path)
    shutil.copy(recording, "rec.aedat4")
    return tmp_path


def told(folder, rois=ROIS, config=None, **columns):
    """Return the mistakes of a table with one recording; doubts come with a question mark."""
    (folder / "rec.xml").write_text(rois, encoding="utf-8")
    cells = {
        "id": "rec",
        "source": "rec.aedat4",
        "md5": hashlib.md5((folder / "rec.aedat4").read_bytes()).hexdigest(),
        "split": "train",
        "rois": "rec.xml",
    } | columns
    write_table(folder, [[*cells], [*cells.values()]])
    try:
        dataset = DataSet(*read_config(CONFIG | (config or {})))
        memory = Memory(folder / "known.json")
        doubts = check_inputs(dataset, memory)
        memory.save()
        return [f"? {doubt}" for doubt in doubts]
    except MistakesError as error:
        return str(error).splitlines()


WRONG = "recordings.tsv: line 2: rois: rec.xml: was drawn on {} pictures; the video's are {}. "


@pytest.mark.parametrize(
    ("size", "config", "video"),
    [
        ((128, 96), {}, "64x48"),
        ((63, 47), {}, "64x48"),
        ((64, 48), {"video": {"scale": 2}}, "126x94"),
        ((64, 48), {"events": {"crop": [0, 0, 31, 20]}}, "32x20"),
        ((64, 48), {"events": {"swap_xy": True}}, "48x64"),
    ],
)
def test_annotation__of_pictures_of_another_size_is_told_before_anything_runs(
    folder, size, config, video
):
    [line] = told(folder, sized(*size), config)
    assert line.startswith(WRONG.format(f"{size[0]}x{size[1]}", video))


@pytest.mark.parametrize(
    ("rois", "config", "columns"),
    [
        (ROIS, {}, {}),
        (task(track(listed(range(N))), frames=range(N)), {"video": {"scale": 3}}, {}),
        (sized(126, 94), {"video": {"scale": 2}}, {}),
        (sized(126, 94), {}, {"video/scale": "2"}),
        (sized(32, 24), {"events": {"crop": [8, 8, 40, 32]}}, {}),
        (sized(48, 64), {"events": {"swap_xy": True}}, {}),
        (sized(640, 480), {"annotate": {"homography": [0.1, 0, 0, 0, 0.1, 0, 0, 0, 1]}}, {}),
        (sized(64, 48, step=3), {}, {}),
        (task(images(frame_names(range(N))), range(N)), {}, {}),
    ],
)
def test_annotation__of_the_size_of_its_video_passes(folder, rois, config, columns):
    assert told(folder, rois, config, **columns) == []


def test_size__that_the_table_states_counts_where_the_recording_is_not_there_yet(folder):
    away = {"source": "https://example.org/rec.aedat4", "md5": "0" * 32}
    assert told(folder, sized(640, 480), **away) == []
    [line] = told(folder, sized(640, 480), sensor="63x47", **away)
    assert line.startswith(WRONG.format("640x480", "64x48"))
    assert told(folder, sensor="63x47", **away) == []
    assert told(folder, sensor="346x260") == [], "it is the table that is wrong"


def test_crop__that_reaches_outside_is_left_to_its_job(folder):
    assert told(folder, config={"events": {"crop": [0, 0, 500, 500]}}) == []


def test_recording__that_cannot_be_read_is_left_to_its_job(folder):
    (folder / "rec.aedat4").write_bytes(b"#!AER-DAT4.0\r\n nothing of this kind")
    assert told(folder, sized(640, 480)) == []


def test_header__is_read_once_while_the_file_stays(folder, monkeypatch):
    reads = []
    opened = open_recording
    monkeypatch.setattr(
        "evreel.recordings.open.open_recording",
        lambda path, **more: (reads.append(path), opened(path, **more))[1],
    )
    assert told(folder) == told(folder) == []
    [line] = told(folder, sized(640, 480))
    assert len(reads) == 1 and "64x48" in line
    Path("rec.aedat4").write_bytes(b"#!AER-DAT4.0\r\n nothing of this kind")
    assert told(folder, sized(640, 480)) == []


def test_size__in_a_table_of_times_that_states_none_is_that_of_the_recording(folder):
    rows = "".join(f"{k}\t{k * 10_000}\t{k * 10_000 + 5}\n" for k in range(N))
    (folder / "c.tsv").write_text(f"frame\tstart_us\tstop_us\n{rows}")
    assert told(folder, clock="c.tsv") == []
    [line] = told(folder, sized(640, 480), clock="c.tsv")
    assert "clock: rec.xml: was drawn on 640x480 pictures; the video's are 64x48" in line


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("start_frame\tstop_frame\n0\t4\n", ""),
        ("start_frame\tstop_frame\n0\t99\n", ""),
        ("start_us\tstop_us\n900000\t990000\n", ""),
        (
            "start_frame\tstop_frame\n0\t4\n12\t15\n",
            "recordings.tsv: line 2: labelled: done.tsv: line 3: no frame that rec.xml looked at "
            "is from 12 to 16; its frames are 0 to 10. Is the table of another recording?",
        ),
    ],
)
def test_finished_frames__that_the_annotation_does_not_have_are_told(folder, table, message):
    (folder / "done.tsv").write_text(table)
    assert told(folder, labelled="done.tsv") == ([message] if message else [])
    (folder / "tags.xml").write_text(task(images(frame_names(range(N))), range(N)))
    assert told(folder, labelled="done.tsv", tags="tags.xml") == ([message] if message else [])
    (folder / "tags.xml").write_text(task(images(picture_names(range(20, 30))), range(N)))
    assert told(folder, labelled="done.tsv", tags="tags.xml") == []  # of other frames


def run(folder, **settings):
    """Make recording, store and clock as the workflow does."""
    results = folder / "results"
    for name in ("recordings", "events", "video"):
        (results / name).mkdir(parents=True, exist_ok=True)
    link, store = results / "recordings" / "rec.aedat4", results / "events" / "rec.h5"
    link.symlink_to("../../rec.aedat4")
    os.utime(link, ns=(1, 10**10), follow_symlinks=False)
    os.utime("rec.aedat4", ns=(1, 1))
    steps.events(link, store, steps.EventsSettings(**settings))
    steps.clock(store, results / "video" / "rec.clock.tsv")


SHORT = "rec.xml: its task has the frames 0 to 5, the video 0 to 9; "
PART = task(track(listed(range(6))), frames=range(6))


def test_annotation__that_does_not_fit_the_clock_which_stays_is_an_error(folder, monkeypatch):
    monkeypatch.setattr("evreel.dataset.inputs.changed_source", lambda *_: None)
    run(folder)
    assert told(folder) == []
    assert told(folder, PART, {"annotate": {"part_of_video": True}}) == []
    [line] = told(folder, PART)
    assert line.startswith(f"recordings.tsv: line 2: {SHORT}")


@pytest.mark.parametrize("change", ["crop", "source", "order", "window", "edit", "revision"])
def test_annotation__that_does_not_fit_a_clock_which_may_be_made_again_is_a_doubt(
    folder, monkeypatch, change
):
    edited = "sha256 other" if change == "edit" else None
    monkeypatch.setattr("evreel.dataset.inputs.changed_source", lambda *_: edited)
    run(folder, **({"max_pixel_hz": 1e6} if change == "crop" else {}))
    config = {"video": {"window_us": 20_000}} if change == "window" else {}
    if change == "source":
        Path("other.aedat4").write_bytes(Path("rec.aedat4").read_bytes())
        Path("results/recordings/rec.aedat4").unlink()
        Path("results/recordings/rec.aedat4").symlink_to("../../other.aedat4")
    elif change == "order":
        os.utime("results/video/rec.clock.tsv", (1, 1))
    elif change == "revision":
        monkeypatch.setitem(videos.STEP_REVISIONS, "events", 99)
    found = told(folder, PART, config)
    expected = [] if change == "window" else [f"? recordings.tsv: line 2: {SHORT}"]
    assert [line[: len(f"? recordings.tsv: line 2: {SHORT}")] for line in found] == expected


@pytest.mark.parametrize(
    ("before", "now", "size", "n"),
    [
        ({"crop": (0, 0, 40, 40)}, {}, (64, 48), 10),
        ({}, {"crop": [0, 0, 32, 24]}, (32, 24), 10),
        ({}, {"swap_xy": True}, (48, 64), 10),
        ({"stop_us": 50_000}, {}, (64, 48), 10),
        ({}, {"stop_us": 50_000}, (64, 48), 5),
    ],
)
def test_clock__of_other_pixels_or_another_time_than_the_config_asks_for_says_nothing(
    folder, monkeypatch, before, now, size, n
):
    monkeypatch.setattr("evreel.dataset.inputs.changed_source", lambda *_: None)
    run(folder, **before)
    text = task(track(listed(range(n), xtl=0, xbr=9)), frames=range(n))
    text = text.replace("<labels>", SIZE.format(*size) + "<labels>")
    assert told(folder, text, {"events": now}) == []


def test_clock__that_a_crop_made_and_would_make_again_is_certain(folder, monkeypatch):
    monkeypatch.setattr("evreel.dataset.inputs.changed_source", lambda *_: None)
    run(folder, crop=(0, 0, 40, 40))
    [line] = told(folder, PART, {"events": {"crop": [0, 0, 40, 40]}})
    assert line.startswith(f"recordings.tsv: line 2: {SHORT}")
