"""One recording by several threads: the bytes of one thread, and a clean end of whatever fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from evreel import steps
from evreel.annotations.cvat import write_video_xml
from evreel.cli.main import main
from evreel.errors import RecordingError
from evreel.events import Events
from evreel.files import bitshuffle, hdf5
from evreel.files.clock import write_clock
from evreel.layout import COLUMN_CHUNK
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support import random_events
from support.annotations import moving_scene
from support.stores import pieces, store_of

THREADS = (1, 2, 3, 16)
N = 270_000
DAT = "% Data file containing CD events\n% Version 2\n% Width 64\n% Height 48\n"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Let several pieces be on the way at a time, and chunks get their places on the way."""
    monkeypatch.setattr(hdf5, "KEPT_BYTES", 2 * 8 * COLUMN_CHUNK)
    monkeypatch.setattr("evreel.files.events_store.READ_ROWS", 2 * COLUMN_CHUNK)
    monkeypatch.setattr("evreel.recordings.prophesee.PIECE_ROWS", 30_000)
    monkeypatch.setattr("evreel.representations.running.READ_ROWS", COLUMN_CHUNK)


@pytest.fixture(scope="module")
def events():
    return random_events(N, stop_us=N)


@pytest.fixture(scope="module")
def store(events, tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("store") / "one.h5", events)


def ours() -> list[str]:
    """Return the threads that a step may have started."""
    return [t.name for t in threading.enumerate() if t.name.startswith("evreel")]


def write_dat(path, events):
    words = [events.t, events.x | events.y.astype("u4") << 14 | events.p.astype("u4") << 28]
    path.write_bytes(DAT.encode() + bytes([0x0C, 8]) + np.stack(words, 1).astype("<u4").tobytes())


def write_aedat4(path, events):
    with Aedat4Writer(path, events.sensor, compression="lz4") as writer:
        for part in pieces(events, 10_000):
            writer.write(part)


@pytest.mark.parametrize("write", [write_dat, write_aedat4])
def test_events__are_the_same_bytes_for_any_number_of_threads(tmp_path, events, write):
    write(tmp_path / "recording", events)
    contents = set()
    for threads in THREADS:
        output = tmp_path / f"{threads}.h5"
        found = steps.events(
            tmp_path / "recording",
            output,
            steps.EventsSettings(crop=(1, 1, 60, 40)),
            threads=threads,
        )
        assert found["outside_crop"] > 0
        contents.add(output.read_bytes())
    assert len(contents) == 1
    assert ours() == []


@pytest.mark.parametrize("at", ["frame", "event"])
def test_slices__are_the_same_bytes_for_any_number_of_threads(tmp_path, store, at):
    edges = np.arange(11) * (N // 10)
    clock, xml = tmp_path / "clock.tsv", tmp_path / "park.xml"
    write_clock(clock, FrameClock(edges[:-1], edges[1:]), Picture((48, 64)))
    write_video_xml(xml, moving_scene(), name="park", n_frames=10, picture_shape=(48, 64))
    contents = set()
    for threads in THREADS:
        made = tmp_path / f"{threads}.h5", tmp_path / f"{threads}.npy"
        steps.annotate(
            *(store, clock, *made, steps.RegularWindows(window_us=50_000)),
            steps.AnnotateSettings(at=at, clip=True),
            rois=xml,
            threads=threads,
        )
        contents.add(tuple(path.read_bytes() for path in made))
    assert len(contents) == 1
    assert ours() == []


def wanted(folder):
    """Return features that look at their windows, back, and at one another's; and two filters."""
    return {
        folder / f"{k}.h5": steps.FeatureSettings(**one)
        for k, one in enumerate(
            (
                {"representation": "histogram", "window_us": 5_000},
                {"representation": "voxel_grid", "count": 9_000, "compression": "gzip"},
                {"representation": "exponential_surface", "window_us": 20_000},
            )
        )
    }


@pytest.mark.parametrize("together", [True, False])
def test_features__are_the_same_bytes_for_any_number_of_threads(tmp_path, store, together):
    contents = set()
    for threads in THREADS:
        files = wanted(tmp_path / str(threads))
        for path, one in () if together else files.items():
            steps.features(store, path, one, threads=threads)
        if together:
            steps.all_features(store, files, threads=threads)
        contents.add(tuple(path.read_bytes() for path in files))
    assert len(contents) == 1
    assert ours() == []


def test_features_of_a_recording__are_the_same_bytes_for_any_number_of_threads(tmp_path, events):
    write_dat(tmp_path / "a.dat", events)
    contents = set()
    for threads in (1, 3):
        files = wanted(tmp_path / str(threads))
        steps.all_features(tmp_path / "a.dat", files, threads=threads)
        contents.add(tuple(path.read_bytes() for path in files))
    assert len(contents) == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_event_that_breaks_a_rule__is_one_error_and_no_output(tmp_path, events, threads):
    t = events.t.copy()
    t[-5] = 3
    write_dat(
        tmp_path / "a.dat",
        Events.trusted(t, events.x, events.y, events.p, events.sensor),
    )
    with pytest.raises(RecordingError, match="the clock jumps: event t=3 µs"):
        steps.events(tmp_path / "a.dat", tmp_path / "a.h5", threads=threads)
    assert {path.name for path in tmp_path.iterdir()} == {"a.dat"}
    assert ours() == []


def on_fifth_call(function, raised):
    """Return a function that raises in its fifth call."""
    calls = iter(range(1_000_000))

    def called(*arguments, **more):
        if next(calls) == 4:
            raise raised
        return function(*arguments, **more)

    return called


@pytest.mark.parametrize("threads", [2, 16])
@pytest.mark.parametrize("raised", [MemoryError("no room"), ValueError("broken")])
def test_error_in_a_thread__is_raised_once_and_leaves_nothing(
    tmp_path, events, store, monkeypatch, threads, raised
):
    write_dat(tmp_path / "a.dat", events)
    monkeypatch.setattr(bitshuffle, "encode_each", on_fifth_call(bitshuffle.encode_each, raised))
    with pytest.raises(type(raised), match=str(raised)):
        steps.events(tmp_path / "a.dat", tmp_path / "made" / "a.h5", threads=threads)
    monkeypatch.undo()
    monkeypatch.setattr(
        "evreel.files.frame_chunks.FrameChunks._compress", on_fifth_call(len, raised)
    )
    with pytest.raises((type(raised), TypeError)):
        steps.all_features(store, wanted(tmp_path / "made"), threads=threads)
    assert not [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert ours() == []


@pytest.mark.parametrize("threads", [1, 3])
def test_interruption__ends_all_threads_and_leaves_nothing(tmp_path, events, store, threads):
    def interrupt(done: int, total: int | None) -> None:
        if done > 3:
            raise KeyboardInterrupt

    write_dat(tmp_path / "a.dat", events)
    made = tmp_path / "made"
    with pytest.raises(KeyboardInterrupt):
        steps.events(tmp_path / "a.dat", made / "a.h5", threads=threads, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        steps.all_features(store, wanted(made), threads=threads, progress=interrupt)
    assert not [path for path in made.rglob("*") if path.is_file()]
    assert ours() == []


def test_commands__take_the_number_of_threads(tmp_path, events, capsys):
    write_dat(tmp_path / "a.dat", events)
    for threads in ("1", "3"):
        made = tmp_path / f"{threads}.h5"
        assert main(["events", str(tmp_path / "a.dat"), "-o", str(made), "--threads", threads]) == 0
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "3.h5").read_bytes()
    with pytest.raises(SystemExit):
        main(["events", "a.dat", "-o", "x.h5", "--threads", "0"])
    assert "'0' is not a whole number from 1 on" in capsys.readouterr().err
