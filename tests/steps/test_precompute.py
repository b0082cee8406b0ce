"""Features of many recordings, whole or in parts, with their boxes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.cli.main import main
from evreel.errors import EvreelError, RecordingError, SourceError, UsageError
from evreel.events import Events
from evreel.files.boxes import read_boxes
from evreel.files.features import FeaturesFile
from evreel.geometry import Geometry
from evreel.provenance import STEP_REVISIONS, sha256
from evreel.recordings.open import read_at_most
from evreel.steps import FeatureSettings
from evreel.steps.many import Outcome
from evreel.steps.precompute import Wanted, precompute
from support import random_events
from support.boxes import boxes_at
from support.hdf5 import everything
from support.stores import store_of
from support.writers.prophesee import dat

T_OFFSET = 5_000
SETTINGS = FeatureSettings(representation="histo", window_us=10_000)


def recording(path: Path, events: Events, t_offset: int = T_OFFSET) -> Path:
    columns = (events.t + t_offset, events.x, events.y, events.p)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    path.write_bytes(dat(rows, size=(events.sensor.width, events.sensor.height)))
    return path


@pytest.fixture
def folder(tmp_path):
    """Three recordings."""
    for seed, name in enumerate("abc"):
        recording(tmp_path / f"{name}.dat", random_events(400, (4, 6), 95_000, seed))
    return tmp_path


def run(root: Path, names: str = "abc", workers: int = 1, **wanted) -> dict[str, Outcome]:
    given = {"folder": root / "out", "settings": SETTINGS, **wanted}
    paths = {name: root / f"{name}.dat" for name in names}
    return {of.name: of for of in precompute(paths, Wanted(**given), workers=workers)}


def states(outcomes: dict[str, Outcome]) -> dict[str, str]:
    for outcome in outcomes.values():
        assert (outcome.error is None) == (outcome.state != "failed"), outcome.error
    return {name: outcome.state for name, outcome in sorted(outcomes.items())}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def frames_of(*paths: Path):
    made = []
    for path in paths:
        with FeaturesFile(path) as file:
            made.append(file[:])
    return np.concatenate(made)


def test_files__are_those_of_the_step_and_the_same_for_any_number_of_workers(folder):
    assert states(run(folder)) == dict.fromkeys("abc", "made")
    assert set(contents(folder / "out")) == {"a.h5", "b.h5", "c.h5"}
    run(folder, workers=3, folder=folder / "three")
    assert contents(folder / "three") == contents(folder / "out")
    for name in "ab":
        steps.events(folder / f"{name}.dat", folder / "store" / f"{name}.h5")
        steps.features(folder / "store" / f"{name}.h5", folder / "step" / f"{name}.h5", SETTINGS)
        said = everything(folder / "out" / f"{name}.h5")
        of_step = everything(folder / "step" / f"{name}.h5")
        assert [*json.loads(said.pop("inputs"))] == ["decoding", "recording"]
        assert [*json.loads(of_step.pop("inputs"))] == ["store"]
        assert said == of_step


def test_second_run__keeps_what_is_complete_and_the_same_without_decoding(folder, monkeypatch):
    boxes_at(folder / "a_bbox.npy", 20_000)
    more = {"max_duration_us": 40_000, "boxes": {"a": folder / "a_bbox.npy"}}
    run(folder, **more)
    before = {path: path.stat() for path in (folder / "out").iterdir()}

    def no_decoding(*args, **kwargs):
        raise AssertionError("decodes a recording")

    monkeypatch.setattr("evreel.steps.precompute.as_events", no_decoding)
    assert states(run(folder, **more)) == dict.fromkeys("abc", "kept")
    (folder / "out").rename(folder / "moved")
    assert states(run(folder, **more, folder=folder / "moved")) == dict.fromkeys("abc", "kept")
    for path, was in before.items():
        now = (folder / "moved" / path.name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_files__name_the_recording_and_how_it_was_decoded_whatever_the_version(folder, monkeypatch):
    run(folder, "a")
    whole = (folder / "out" / "a.h5").read_bytes()
    with FeaturesFile(folder / "out" / "a.h5") as file:
        inputs = json.loads(file.provenance["inputs"])
        assert inputs["recording"] == sha256(folder / "a.dat")
        assert inputs["decoding"] == file.provenance["decoding"]
    monkeypatch.setattr("evreel.provenance.__version__", "another")
    assert states(run(folder, "a")) == {"a": "kept"}
    monkeypatch.setitem(STEP_REVISIONS, "events", 99)
    assert states(run(folder, "a")) == {"a": "made"}
    assert (folder / "out" / "a.h5").read_bytes() != whole


@pytest.mark.parametrize("held", [399, 0])
def test_files__are_the_same_of_a_recording_too_long_for_memory(folder, monkeypatch, held):
    boxes_at(folder / "a_bbox.npy", 20_000)
    more = {"max_duration_us": 40_000, "boxes": {"a": folder / "a_bbox.npy"}}
    run(folder, "a", **more)
    stores = []

    def events(source, *args, made=steps.events, **kwargs):
        stores.append(source)
        return made(source, *args, **kwargs)

    monkeypatch.setattr("evreel.steps.precompute.most_in_memory", lambda slices: held)
    monkeypatch.setattr(sys.modules["evreel.steps.events"], "events", events)
    run(folder, "a", folder=folder / "long", **more)
    assert stores == [folder / "a.dat"]
    assert contents(folder / "long") == contents(folder / "out")


def test_features_of_a_store__are_kept_for_its_recording(folder):
    store = folder / "store" / "a.h5"
    steps.events(folder / "a.dat", store)
    wanted = Wanted(folder=folder / "out", settings=SETTINGS)
    [made] = precompute({"a": store}, wanted)
    [kept] = precompute({"a": folder / "a.dat"}, wanted)
    assert (made.state, kept.state) == ("made", "kept")


def test_recording_that_changes_while_it_is_decoded__fails(folder, monkeypatch):
    def read(*args, made=read_at_most, **kwargs):
        with (folder / "a.dat").open("ab") as file:
            file.write(bytes(8))
        return made(*args, **kwargs)

    monkeypatch.setattr("evreel.recordings.open.read_at_most", read)
    outcome = run(folder, "a")["a"]
    assert isinstance(outcome.error, SourceError)
    assert "was changed while it was in use" in str(outcome.error)
    assert not (folder / "out" / "a.h5").exists()


def test_recording_without_events__fails_as_in_step_events(folder):
    recording(folder / "a.dat", random_events(0, (4, 6)))
    with pytest.raises(RecordingError) as of_step:
        steps.events(folder / "a.dat", folder / "store.h5")
    assert str(run(folder, "a")["a"].error) == str(of_step.value)


def test_second_run__makes_what_is_not_as_it_should_be(folder):
    run(folder)
    out = folder / "out"
    whole = (out / "a.h5").read_bytes()
    (out / "a.h5").write_bytes(whole[:-100])
    recording(folder / "b.dat", random_events(400, (4, 6), 95_000, seed=9))
    assert states(run(folder)) == {"a": "made", "b": "made", "c": "kept"}
    assert (out / "a.h5").read_bytes() == whole
    for settings in (
        replace(SETTINGS, window_us=20_000),
        replace(SETTINGS, window_us=20_000, parameters={"max_incr_per_pixel": 4}),
        replace(SETTINGS, window_us=20_000, representation="diff"),
    ):
        assert states(run(folder, "c", settings=settings)) == {"c": "made"}
        assert states(run(folder, "c", settings=settings)) == {"c": "kept"}


def test_recording_that_cannot_be_read__fails_alone(folder):
    (folder / "b.dat").write_bytes(b"no recording")
    for workers in (1, 2):
        outcomes = run(folder, workers=workers, folder=folder / str(workers))
        assert states(outcomes) == {"a": "made", "b": "failed", "c": "made"}
        assert "b.dat" in str(outcomes["b"].error)
        assert set(contents(folder / str(workers))) == {"a.h5", "c.h5"}
    (folder / "b.dat").unlink()
    assert isinstance(run(folder)["b"].error, EvreelError)


def test_parts__hold_every_frame_of_the_whole_once_with_their_own_times(folder):
    run(folder, "a")
    run(folder, "a", max_duration_us=40_000, folder=folder / "parts")
    parts = [folder / "parts" / f"a_{k}.h5" for k in range(3)]
    assert set(contents(folder / "parts")) == {path.name for path in parts}
    np.testing.assert_array_equal(frames_of(*parts), frames_of(folder / "out" / "a.h5"))
    for k, path in enumerate(parts):
        with FeaturesFile(path) as file:
            n = len(file)
            assert n == (4, 4, 2)[k]
            assert file.windows.start_us.tolist() == [10_000 * w for w in range(n)]
            assert file.t_offset == T_OFFSET + 40_000 * k
            said = json.loads(file.provenance["parameters"])
            assert (said["part"], said["parts"], said["max_duration_us"]) == (k, 3, 40_000)


@pytest.mark.parametrize("last", [79_999, 80_000])
def test_parts__reach_an_event_on_the_last_boundary_and_beyond_a_gap(folder, last):
    t = np.array([0, 1, last])
    recording(folder / "a.dat", Events(t, [0, 0, 5], [0, 0, 3], [1, 1, 1], (4, 6)), t_offset=0)
    of_histogram = replace(SETTINGS, representation="histogram")
    run(folder, "a", settings=of_histogram, max_duration_us=20_000)
    n = last // 20_000 + 1
    parts = [folder / "out" / f"a_{k}.h5" for k in range(n)]
    assert set(contents(folder / "out")) == {path.name for path in parts}
    counts = [frames_of(path).sum() for path in parts]
    assert counts == [2, *[0] * (n - 2), 1]


def test_every_part__has_its_boxes_also_none_with_times_since_its_start(folder):
    # On the camera's clock: at 40, 40.001 and 94 ms since the first event, and one after the end.
    times = [T_OFFSET, T_OFFSET + 40_000, T_OFFSET + 40_001, T_OFFSET + 94_000, T_OFFSET + 200_000]
    boxes_at(folder / "a_bbox.npy", *times)
    run(folder, "ab", max_duration_us=40_000, boxes={"a": folder / "a_bbox.npy"})
    made = [read_boxes(folder / "out" / f"a_{k}_bbox.npy") for k in range(3)]
    assert [boxes["t"].tolist() for boxes in made] == [[0, 40_000], [1], [14_000, 120_000]]
    assert np.concatenate(made)["track_id"].tolist() == [0, 1, 2, 3, 4]
    for k in range(3):
        assert len(read_boxes(folder / "out" / f"b_{k}_bbox.npy")) == 0
        assert (folder / "out" / f"b_{k}_bbox.json").exists()


def test_boxes__are_carried_and_made_again_alone_if_they_change(folder):
    boxes = {"a": boxes_at(folder / "a_bbox.npy", T_OFFSET + 7, T_OFFSET + 9)}
    run(folder, "a", boxes=boxes)
    was = (folder / "out" / "a.h5").stat()
    assert read_boxes(folder / "out" / "a_bbox.npy")["t"].tolist() == [7, 9]
    boxes_at(folder / "a_bbox.npy", T_OFFSET + 8)
    assert states(run(folder, "a", boxes=boxes)) == {"a": "made"}
    assert read_boxes(folder / "out" / "a_bbox.npy")["t"].tolist() == [8]
    assert (folder / "out" / "a.h5").stat().st_ino == was.st_ino
    assert states(run(folder, "a", boxes=boxes)) == {"a": "kept"}
    boxes_at(folder / "out" / "a_bbox.npy", 1)
    assert states(run(folder, "a", boxes=boxes)) == {"a": "made"}, "edited by hand"


def test_boxes__are_in_the_pixels_of_the_frames_beside_them(folder):
    published = boxes_at(folder / "a_bbox.npy", T_OFFSET + 7, T_OFFSET + 50_000, T_OFFSET + 60_000)
    given = np.load(published)
    given["x"], given["y"] = [1, 0, 4], [1, 2, 2]
    np.save(published, given)
    mirrored = Geometry(crop=(1, 0, 5, 4), flip_x=True)
    wanted = {
        "boxes": {"a": published},
        "max_duration_us": 40_000,
        "settings": FeatureSettings(representation="histo", window_us=10_000, geometry=mirrored),
    }
    out = folder / "out"
    for name in ("a_0", "a_1", "a_2"):  # as of an earlier run
        out.mkdir(exist_ok=True)
        boxes_at(out / f"{name}_bbox.npy", 1)
    assert states(run(folder, "a", **wanted)) == {"a": "made"}
    made = [read_boxes(out / f"a_{k}_bbox.npy") for k in range(3)]
    assert [boxes["t"].tolist() for boxes in made] == [[7], [10_000, 20_000], []]
    assert [boxes[name].tolist() for boxes in made[:2] for name in "xw"] == [
        *([2.0], [2.0], [3.0, 0.0], [1.0, 1.0])
    ]
    said = json.loads((out / "a_0_bbox.json").read_text(encoding="utf-8"))
    assert said["parameters"]["geometry"] == mirrored.plain()
    assert (said["repairs"]["boxes_cut_by_crop"], said["repairs"]["boxes_outside_crop"]) == (2, 0)
    assert steps.check(out).findings == ()
    assert states(run(folder, "a", **wanted)) == {"a": "kept"}
    assert states(run(folder, "a", **{**wanted, "settings": SETTINGS})) == {"a": "made"}
    assert read_boxes(out / "a_0_bbox.npy")["x"].tolist() == [1]
    assert steps.check(out).findings == ()


def test_start__is_where_windows_and_times_begin(folder):
    boxes = {"a": boxes_at(folder / "a_bbox.npy", T_OFFSET + 7, T_OFFSET + 25_000)}
    run(folder, "a", start_us=25_000, boxes=boxes)
    events = random_events(400, (4, 6), 95_000, 0)
    with FeaturesFile(folder / "out" / "a.h5") as file:
        assert file.windows.start_us[0] == 0
        assert file.t_offset == T_OFFSET + 25_000
        n = len(events) - int(np.searchsorted(events.t, 25_000))
        assert (file.windows.stop - file.windows.start).sum() == n
        assert file.windows.stop[-1] == len(events)
    assert read_boxes(folder / "out" / "a_bbox.npy")["t"].tolist() == [0]
    said = json.loads((folder / "out" / "a_bbox.json").read_bytes())
    assert said["repairs"]["boxes_before_start"] == 1
    late = run(folder, "a", start_us=10**7, folder=folder / "late")["a"]
    assert isinstance(late.error, RecordingError)
    assert "a.dat: has no events from 10000000 µs on" in str(late.error)


def test_start_of_the_cameras_clock__may_be_before_the_first_event(folder):
    run(folder, "a", start_us=0, clock="metavision")
    events = random_events(400, (4, 6), 95_000, 0)
    with FeaturesFile(folder / "out" / "a.h5") as file:
        assert file.t_offset == 0
        assert file.windows.start_us.tolist() == list(range(0, 100_000, 10_000))
        assert file.windows.stop[0] == np.searchsorted(events.t, 10_000 - T_OFFSET)


def test_parts_of_an_earlier_run__are_not_left_behind(folder):
    boxes_at(folder / "a_bbox.npy", T_OFFSET)
    more = {"boxes": {"a": folder / "a_bbox.npy"}}
    run(folder, "a", max_duration_us=20_000, **more)
    out = folder / "out"
    assert (out / "a_4_bbox.npy").exists()
    (out / "a_7.h5").write_bytes(b"another's")
    run(folder, "a", max_duration_us=50_000, **more)
    left = {path.name for path in out.iterdir()} - {"a_7.h5"}
    assert left == {f"a_{k}{end}" for k in (0, 1) for end in (".h5", "_bbox.npy", "_bbox.json")}
    assert states(run(folder, "a", max_duration_us=50_000, **more)) == {"a": "kept"}


def test_files_of_an_earlier_run_that_would_mislead__are_told(folder, caplog):
    boxes_at(folder / "a_bbox.npy", T_OFFSET)
    run(folder, "a", boxes={"a": folder / "a_bbox.npy"})
    run(folder, "a", max_duration_us=50_000)
    assert "a.h5: is there too, of a run without parts" in caplog.text
    caplog.clear()
    recording(folder / "a.dat", random_events(400, (4, 6), 95_000, seed=9))
    run(folder, "a")
    assert "a_0.h5: is there too, of a run with parts" in caplog.text
    assert "a_bbox.npy: is there too, and was made of other events" in caplog.text
    caplog.clear()
    run(folder, "b")
    assert "is there too" not in caplog.text


def test_run_that_ends_early__leaves_whole_files_alone_and_goes_on(folder, monkeypatch):
    from evreel.files.features import FeaturesWriter

    write, calls = FeaturesWriter.write, []

    def failing(self, frame):
        calls.append(1)
        if len(calls) > 6:
            raise EvreelError("the disk is full")
        write(self, frame)

    monkeypatch.setattr(FeaturesWriter, "write", failing)
    outcome = run(folder, "a", max_duration_us=40_000)["a"]
    assert (outcome.state, str(outcome.error)) == ("failed", "the disk is full")
    assert set(contents(folder / "out")) == {"a_0.h5"}
    monkeypatch.undo()
    first = (folder / "out" / "a_0.h5").stat().st_ino
    assert states(run(folder, "a", max_duration_us=40_000)) == {"a": "made"}
    assert (folder / "out" / "a_0.h5").stat().st_ino == first
    assert len(contents(folder / "out")) == 3


def test_run_that_is_interrupted__ends_all_workers_and_leaves_no_part_of_a_file(
    folder, monkeypatch
):
    from evreel.files.features import FeaturesWriter

    write, is_interrupted = FeaturesWriter.write, threading.Event()

    def slow(self, frame):
        is_interrupted.set()
        time.sleep(0.01)
        write(self, frame)

    monkeypatch.setattr(FeaturesWriter, "write", slow)
    going = precompute(
        {name: folder / f"{name}.dat" for name in "abc"},
        Wanted(folder=folder / "out", settings=replace(SETTINGS, window_us=50)),
        workers=2,
    )

    def interrupt():
        is_interrupted.wait(30)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(going)
    assert time.monotonic() - begun < 10, "19 s of writing each"
    assert contents(folder / "out") == {}


def test_output_in_the_place_of_an_input__is_refused(tmp_path):
    events = random_events(100, (4, 6))
    store = store_of(tmp_path / "a.h5", events)
    before = store.read_bytes()
    wanted = Wanted(folder=tmp_path, settings=SETTINGS)
    (outcome,) = precompute({"a": store}, wanted)
    assert "a.h5: is an input of this run, and would be overwritten" in str(outcome.error)
    recording(tmp_path / "b.dat", events)
    boxes = {"b": boxes_at(tmp_path / "b_bbox.npy", T_OFFSET)}
    (outcome,) = precompute({"b": tmp_path / "b.dat"}, replace(wanted, boxes=boxes))
    assert "b_bbox.npy: is an input of this run" in str(outcome.error)
    assert store.read_bytes() == before


def test_wishes_that_contradict__are_refused(tmp_path):
    with pytest.raises(UsageError, match="a window of 10000 µs is longer than a file may be, 9999"):
        Wanted(folder=tmp_path, settings=SETTINGS, max_duration_us=9_999)
    with pytest.raises(UsageError, match="a start of -1 µs is before all events"):
        Wanted(folder=tmp_path, settings=SETTINGS, start_us=-1)
    with pytest.raises(UsageError, match="at most 0 µs has no room"):
        Wanted(folder=tmp_path, settings=SETTINGS, max_duration_us=0)
    recording(tmp_path / "a.dat", random_events(100, (4, 6)))
    beside = {"cut": tmp_path / "a.tsv"}
    outcome = run(tmp_path, "a", start_us=5, beside=lambda name: beside)["a"]
    assert "does not go with cut" in str(outcome.error)


def test_count_windows__go_into_parts_by_their_times(folder):
    of_count = FeatureSettings(representation="timesurface", count=50)
    run(folder, "a", settings=of_count)
    run(folder, "a", settings=of_count, max_duration_us=40_000, folder=folder / "parts")
    n = len([name for name in contents(folder / "parts") if name.endswith(".h5")])
    parts = [folder / "parts" / f"a_{k}.h5" for k in range(n)]
    assert n == 3
    np.testing.assert_array_equal(frames_of(*parts), frames_of(folder / "out" / "a.h5"))
    for path in parts:
        with FeaturesFile(path) as file:
            assert file.windows.stop_us[-1] <= 40_000


@pytest.mark.parametrize(
    "windows",
    [
        {"window_us": 7_000, "count": 30},
        {"number": 9},
        {"window_us": 9_000, "origin_us": 12_000},
        {"window_us": 15_000, "ending": "times"},
        {"window_us": 15_000, "ending": "times", "compat": "rvt"},
    ],
    ids=str,
)
def test_windows_of_any_kind__go_into_parts_and_begin_at_a_start(folder, windows):
    settings = FeatureSettings(representation="histogram", **windows)
    (folder / "a.times").write_text("10000\n25000\n61000\n94000\n99000\n")
    more = {"settings": settings, "beside": lambda name: {"ends": {"times": folder / "a.times"}}}
    for start_us in (0, 20_000):
        whole, parts = folder / f"whole{start_us}", folder / f"parts{start_us}"
        run(folder, "a", start_us=start_us, folder=whole, **more)
        states_ = states(
            run(folder, "a", start_us=start_us, max_duration_us=50_000, folder=parts, **more)
        )
        assert states_ == {"a": "made"}
        paths = sorted(parts.glob("*.h5"))
        assert len(paths) >= 2
        np.testing.assert_array_equal(frames_of(*paths), frames_of(whole / "a.h5"))
        with FeaturesFile(whole / "a.h5") as file:
            stops, repairs = file.windows.stop_us, json.loads(file.provenance["repairs"])
        found, early = [], 0
        for path in paths:
            with FeaturesFile(path) as file:
                found += (file.windows.stop_us + file.t_offset - T_OFFSET - start_us).tolist()
                early += json.loads(file.provenance["repairs"]).get("events_before_origin", 0)
        assert found == stops.tolist()
        assert early == repairs.get("events_before_origin", 0)
        if "ending" in windows:
            instants = [at for at in (10_000, 25_000, 61_000, 94_000, 99_000) if at >= start_us]
            assert (stops + start_us - ("compat" in windows)).tolist() == instants
        elif "origin_us" in windows:
            t = random_events(400, (4, 6), 95_000, 0).t
            assert early == ((t >= start_us) & (t < start_us + 12_000)).sum() > 0
        again = run(folder, "a", start_us=start_us, max_duration_us=50_000, folder=parts, **more)
        assert states(again) == {"a": "kept"}


def command(*arguments: object) -> int:
    return main(["features", *map(str, arguments), "--representation", "diff"])


def test_command__takes_quoted_wildcards_and_reports_the_one_that_failed(folder, capsys):
    (folder / "b.dat").write_bytes(b"no recording")
    boxes_at(folder / "a_bbox.npy", T_OFFSET + 70_000)
    asked = (folder / "*.dat", "-o", folder / "out", "--window-us", 10_000, "-n", 2)
    more = ("--max-duration-ms", 50, "--boxes", folder / "*_bbox.npy")
    assert command(*asked, *more) == 1
    said = capsys.readouterr().err
    assert re.search(r"\w+Error: .*b\.dat: ", said)
    assert said.endswith("3 recordings: 2 made, 0 kept, 1 failed\n")
    names = {f"{n}_{k}{end}" for n in "ac" for k in (0, 1) for end in (".h5", "_bbox.npy")}
    assert names <= {path.name for path in (folder / "out").iterdir()}
    assert read_boxes(folder / "out" / "a_1_bbox.npy")["t"].tolist() == [20_000]
    recording(folder / "b.dat", random_events(10, (4, 6)))
    assert command(*asked, *more) == 0
    assert "3 recordings: 1 made, 2 kept, 0 failed" in capsys.readouterr().err
    assert command(*asked, *more) == 0
    assert "3 recordings: 0 made, 3 kept, 0 failed" in capsys.readouterr().err


def test_command__shows_on_a_terminal_how_much_is_done_and_the_time_left(folder, monkeypatch):
    control, terminal = pty.openpty()  # which states no size
    pieces: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the terminal is closed
            while pieces.append(os.read(control, 4096)) or pieces[-1]:
                pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(terminal, "w", encoding="utf-8") as shown:
        monkeypatch.setattr(sys, "stderr", shown)
        assert command(folder / "*.dat", "-o", folder / "out", "--window-us", 1_000) == 0
    reader.join(10)
    os.close(control)
    said = b"".join(pieces).decode()
    assert re.search(r"features: +\d+%.*\[\d\d:\d\d<(\d\d:\d\d|\?)", said)
    assert said.endswith("3 recordings: 3 made, 0 kept, 0 failed\r\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.dat", "x/a.aedat4"], "two files would both become a.h5: a.dat and x/a.aedat4"),
        (["*.raw"], r"\*.raw: no file fits it"),
        (["a.dat", "--boxes", "q_bbox.npy", "r_bbox.npy"], "q_bbox.npy: belongs to no recording"),
    ],
)
def test_command__that_cannot_work_does_nothing_and_exits_with_2(
    folder, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(folder)
    assert command(*arguments, "-o", "out", "--window-us", 10_000) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (folder / "out").exists()


def test_command__of_one_recording_that_fails_says_so_once(folder, capsys):
    (folder / "b.dat").write_bytes(b"no recording")
    assert command(folder / "b.dat", "-o", folder / "out", "--window-us", 10_000) == 1
    said = capsys.readouterr().err
    assert said.count("b.dat") == 1
    assert not (folder / "out" / "b.h5").exists()


def test_command__without_the_sensors_size_says_which_command_takes_it(tmp_path, capsys):
    (tmp_path / "park.raw").write_bytes(b"% evt 2.0\n")
    options = ["--representation", "histo", "--window-us", "10000", "-o", str(tmp_path / "out")]
    assert main(["features", str(tmp_path / "park.raw"), *options]) == 1
    assert "--sensor WIDTHxHEIGHT, or column sensor" in capsys.readouterr().err
