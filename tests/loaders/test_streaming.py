"""Streams deliver every frame, event and label of recordings once, as features files have them."""

from __future__ import annotations

import logging
import pickle
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evreel
from evreel import open_release, steps
from evreel.boxes import load_boxes
from evreel.errors import ParameterError, RecordingError, UsageError
from evreel.events import Events
from evreel.files.boxes import read_boxes, write_boxes
from evreel.files.features import FeaturesFile
from evreel.loaders import arriving, streams
from evreel.loaders.mixed import MixedLoader
from evreel.loaders.sequential import SequentialLoader
from evreel.loaders.shown import get_vis_func, show_dataloader
from evreel.loaders.streaming import StreamLoader
from evreel.recordings.aedat4 import Aedat4Writer, gather
from evreel.recordings.open import Reading
from evreel.representations import REGISTRY
from evreel.viz import to_rgb
from support import random_events
from support.frames import boxes_at
from support.stores import write_store

SENSOR = (12, 18)
W = 9_000
FEW = 100


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(arriving, "BLOCK_ROWS", FEW)
    monkeypatch.setattr(gather, "BATCH_ROWS", FEW)


def recording(folder: Path, number: int, events: Events, times=None, **options) -> Path:
    """Write a recording in packets of few events, and boxes at times beside it."""
    path = folder / f"r{number:02}.aedat4"
    with Aedat4Writer(path, events.sensor, events_per_packet=37, **options) as writer:
        writer.write(events)
    if times is not None:
        write_boxes(path.with_name(f"r{number:02}_bbox.npy"), boxes_at(times, number))
    return path


def delivered(loader) -> dict[str, list]:
    """Return recording → its frames in order, without padding; check what padding is."""
    found: dict[str, list] = {}
    for batch in loader:
        for lane, info in enumerate(batch["video_infos"]):
            is_padded = batch["frame_is_padded"][:, lane]
            for k in np.flatnonzero(is_padded):
                assert not len(batch["labels"][k][lane]) and not batch["frame_is_labeled"][k, lane]
            if not is_padded.all():
                name = info.metadata.name
                assert (batch["mask_keep_memory"][lane] == 0) == (name not in found)
                found.setdefault(name, []).extend(batch["inputs"][~is_padded, lane])
    return found


def same(frames, expected) -> bool:
    return np.array_equal(np.array(frames), np.asarray(expected, dtype=np.float32))


@settings(max_examples=8, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 160), min_size=1, max_size=5),
    batch_size=st.integers(1, 4),
    num_tbins=st.integers(1, 4),
    workers=st.integers(0, 3),
    windows=st.sampled_from(
        [{"delta_t": W}, {"mode": "n_events", "n_events": 17}, {"mode": "mixed", "n_events": 23}]
    ),
    padding_mode=st.sampled_from(["zeros", "data"]),
    data=st.data(),
)
def test_stream__delivers_every_frame_event_and_label_once(
    numbers, batch_size, num_tbins, workers, windows, padding_mode, data
):
    windows = {"delta_t": W, **windows}
    with tempfile.TemporaryDirectory() as folder:
        files, times = [], []
        for k, n in enumerate(numbers):
            stop_us = data.draw(st.integers(1, 8 * W))
            events = random_events(n, SENSOR, stop_us, seed=n)
            last = int(events.t[-1])
            times.append(sorted(data.draw(st.lists(st.integers(0, last), max_size=4))))
            files.append(recording(Path(folder), k, events, times[k]))
        loader = StreamLoader(
            files,
            representation="histogram",
            batch_size=batch_size,
            num_tbins=num_tbins,
            num_workers=workers,
            padding_mode=padding_mode,
            **windows,
        )
        batches = list(loader)
    frames = delivered(batches)
    assert {name: int(np.sum(own)) for name, own in frames.items()} == {
        f"r{k:02}.aedat4": n for k, n in enumerate(numbers)
    }
    labels = [
        (int(box["track_id"]), int(box["t"]))
        for batch in batches
        for of_bin in batch["labels"]
        for boxes in of_bin
        for box in boxes
    ]
    given_labels = Counter((k, t) for k, own in enumerate(times) for t in own)
    # Windows of a number of events have gaps between them.
    n_outside = loader.counts.get("labels_outside_windows", 0)
    assert Counter(labels) <= given_labels
    assert len(labels) + n_outside == given_labels.total()
    assert not n_outside or "mode" in windows
    n_frames = sum(map(len, frames.values()))
    assert loader.counts.get("padded_frames", 0) == len(batches) * batch_size * num_tbins - n_frames
    if padding_mode == "data":
        # A lane always has data, if only of a window without events.
        assert all(info.duration_us > 0 for batch in batches for info in batch["video_infos"])


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    return [
        recording(
            folder, k, random_events(900 + 300 * k, SENSOR, 70_000 + W * k, seed=k), [5_000, 50_000]
        )
        for k in range(3)
    ]


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_representation__streamed_is_as_in_files(three, name):
    loader = StreamLoader(
        three, "delta_t", W, representation=name, num_tbins=3, batch_size=2, num_workers=0
    )
    frames = delivered(loader)
    for path in three[1:]:
        assert same(frames[path.name], evreel.features(path, name, window_us=W))


@pytest.mark.parametrize(
    ("mode", "windows", "settings"),
    [
        ("delta_t", {"window_us": W}, {"store": "uint8", "scale": 0.25}),
        ("delta_t", {"window_us": W}, {"stride_us": 4_000, "tail": "drop"}),
        ("n_events", {"count": 250}, {"stride": 100}),
        ("mixed", {"window_us": W, "count": 90}, {"geometry": {"downsample": 1, "flip_x": True}}),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["voxel_grid", "exponential_surface"])
def test_settings__streamed_are_as_in_files(three, tmp_path, name, mode, windows, settings):
    if name == "exponential_surface":
        settings = {**settings, "history_us": 20_000}
    loader = StreamLoader(
        three[:1],
        mode,
        windows.get("window_us"),
        windows.get("count"),
        representation=name,
        num_tbins=4,
        batch_size=1,
        **settings,
    )
    parameters = {key: settings[key] for key in settings if key == "history_us"}
    others = {key: value for key, value in settings.items() if key != "history_us"}
    wanted = steps.FeatureSettings(representation=name, parameters=parameters, **windows, **others)
    steps.features(three[0], tmp_path / "f.h5", wanted)
    with FeaturesFile(tmp_path / "f.h5") as file:
        values = file[:].astype(np.float32) * (file.scale or 1)
    assert same(delivered(loader)["r00.aedat4"], values)


def test_batches__are_those_of_the_sequential_loader(three):
    common = {"batch_size": 2, "num_workers": 1}
    streamed = StreamLoader(three, "delta_t", W, representation="diff", num_tbins=3, **common)
    computed = SequentialLoader(three, W, "diff", array_dim=(3,), **common)
    n = 0
    for one, other in zip(streamed, computed, strict=True):
        n += 1
        assert one.keys() == other.keys()
        for name in ("inputs", "mask_keep_memory", "frame_is_labeled", "frame_is_padded"):
            np.testing.assert_array_equal(one[name], other[name])
        for key in ("start_us", "duration_us"):
            assert [getattr(info, key) for info in one["video_infos"]] == [
                getattr(info, key) for info in other["video_infos"]
            ]
        for mine, theirs in zip(one["labels"], other["labels"], strict=True):
            assert all(map(np.array_equal, mine, theirs))
    assert n == 7


def test_first_batch__comes_before_the_recording_is_decoded(three, monkeypatch):
    taken, whole = [], streams.events_of

    def counted(recording):
        for events in whole(recording):
            taken.append(len(events))
            yield events

    monkeypatch.setattr(streams, "events_of", counted)
    loader = StreamLoader(three, "delta_t", W, representation="tore", batch_size=1, num_workers=0)
    batches = iter(loader)
    taken.clear()
    assert next(batches)["inputs"].any()
    assert sum(taken) < 400  # of 900
    batches.close()


@pytest.mark.parametrize("name", ["histogram", "tore", "voxel_grid"])
def test_memory__is_bounded_by_windows_and_not_by_the_recording(tmp_path, monkeypatch, name):
    held = []
    more = arriving.Arriving.more

    def measured(self):
        more(self)
        held.append(self.held)

    monkeypatch.setattr(arriving.Arriving, "more", measured)
    for n in (10, 40):
        held.clear()
        path = recording(tmp_path, n, random_events(100 * n, SENSOR, 10_000 * n))
        loader = StreamLoader(
            [path], "delta_t", 10_000, representation=name, num_tbins=2, batch_size=1, num_workers=0
        )
        assert sum(1 for _ in loader) == n / 2
        assert max(held) < 500


@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_loop__leaves_nothing_open(three, monkeypatch, workers):
    opened = []
    whole = streams.open_recording

    def remembered(*arguments, **named):
        opened.append(whole(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(streams, "open_recording", remembered)
    loader = StreamLoader(
        three,
        "delta_t",
        W,
        representation="diff",
        batch_size=2,
        num_workers=workers,
        padding_mode="data",
    )
    for _ in loader:
        break
    n = len(opened)
    for batch in loader:
        if (batch["frame_is_padded"] & batch["inputs"].any(axis=(2, 3, 4))).any():
            break
    assert len(opened) > n > 0
    assert not any(recording.is_open for recording in opened)
    assert not [thread for thread in threading.enumerate() if "evreel" in thread.name]


def test_padding_with_data__goes_on_with_others_from_their_start(tmp_path):
    numbers = [(0, 6), (1, 2), (2, 3)]
    files = [
        recording(tmp_path, k, random_events(60 * n, SENSOR, n * W, seed=k), [1])
        for k, n in numbers
    ]
    expected = [evreel.features(path, "histogram", window_us=W) for path in files]
    loader = StreamLoader(
        files,
        "delta_t",
        W,
        representation="histogram",
        batch_size=3,
        padding_mode="data",
        num_workers=1,
    )
    batches = list(loader)
    assert len(batches) == 6
    names = [info.metadata.name[2] for batch in batches for info in batch["video_infos"][1:2]]
    assert names == list("112220")
    lane = np.array([batch["inputs"][0, 1] for batch in batches])
    assert same(lane, np.concatenate([expected[1], expected[2], expected[0][:1]]))
    keeps = [float(batch["mask_keep_memory"][1, 0, 0, 0]) for batch in batches]
    assert keeps == [0, 1, 0, 1, 1, 0]
    padded = [bool(batch["frame_is_padded"][0, 1]) for batch in batches]
    assert padded == [False] * 2 + [True] * 4
    assert sum(len(batch["labels"][0][n]) for batch in batches for n in range(3)) == 3
    assert loader.counts["repeated_frames"] == loader.counts["padded_frames"] == 4 + 3


@pytest.mark.parametrize(("name", "workers"), [("histogram", 0), ("last_timestamp", 2)])
def test_stream__goes_on_from_a_state_as_if_never_interrupted(three, name, workers):
    def loader():
        return StreamLoader(
            three,
            "delta_t",
            W,
            representation=name,
            num_tbins=2,
            batch_size=2,
            num_workers=workers,
            padding_mode="data",
            reading=Reading(on_stray="drop"),
            shuffle=True,
            seed=4,
        )

    whole = loader()
    every = [*whole, *whole]
    interrupted, going_on = loader(), pickle.loads(pickle.dumps(loader()))
    for _, _ in zip(range(3), interrupted, strict=False):
        pass
    going_on.load_state_dict(interrupted.state_dict())
    rest = [*going_on, *going_on]
    at = len(every) - len(rest)
    assert at in (3, 4)  # the loop above takes one more, to find out that it has three
    for one, other in zip(rest, every[at:], strict=True):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])
        assert one["video_infos"] == other["video_infos"]
        np.testing.assert_array_equal(one["frame_is_padded"], other["frame_is_padded"])


@pytest.mark.parametrize("most_us", [20_000, 27_000])
@pytest.mark.parametrize("mode", ["delta_t", "n_events", "mixed"])
def test_max_duration__is_of_each_recording_from_its_start(three, mode, most_us):
    loader = StreamLoader(
        three, mode, W, 90, most_us, "histogram", batch_size=2, num_tbins=3, num_workers=0
    )
    frames = delivered(loader)
    for path in three[:2]:
        events = evreel.read(path)
        n = int(np.searchsorted(events.t, most_us))
        whole = {"window_us": W} if mode != "n_events" else {}
        whole |= {"count": 90} if mode != "delta_t" else {}
        expected = evreel.features(events[:n], "histogram", **whole)
        empty = np.array(frames[path.name])[len(expected) :]
        assert same(frames[path.name][: len(expected)], expected) and not empty.any()
        assert len(empty) <= 1
    if most_us == 20_000 and mode == "delta_t":
        assert {len(own) for own in frames.values()} == {3}


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """Return a recording whose clock is reset after 40 ms, and its store, in two parts."""
    folder = tmp_path_factory.mktemp("jumping")
    events = random_events(1_200, SENSOR, 90_000, seed=5)
    path, store = folder / "jump.npz", folder / "s.h5"
    t = events.t + np.where(events.t < 40_000, 50_000_000, 0)
    np.savez(path, t=t, x=events.x, y=events.y, p=events.p)
    steps.events(path, store, steps.EventsSettings(on_reset="split"), sensor="18x12")
    return path, store


@pytest.mark.parametrize("name", ["histogram", "exponential_surface"])
@pytest.mark.parametrize(
    ("mode", "windows"), [("delta_t", {"window_us": W}), ("n_events", {"count": 70})]
)
def test_parts__between_resets_of_the_clock_are_divided_each_on_its_own(
    jumping, name, mode, windows
):
    path, store = jumping
    expected = evreel.features(store, name, **windows)
    common = {"representation": name, "batch_size": 1, "num_tbins": 2}
    with pytest.raises(RecordingError, match="the clock jumps"):
        list(StreamLoader([path], mode, W, 70, sensor=(12, 18), **common))
    reading = Reading(on_reset="split")
    split = StreamLoader([path], mode, W, 70, sensor=(12, 18), reading=reading, **common)
    assert same(delivered(split)["jump.npz"], expected)
    assert split.counts["clock_resets"] == 1
    assert same(delivered(StreamLoader([store], mode, W, 70, **common))["s"], expected)


def damaged(folder: Path, number: int) -> tuple[Path, Events]:
    """Write a recording with damage in the middle."""
    events = random_events(2_000, SENSOR, 20 * W, seed=number)
    path = recording(folder, number, events, compression="none")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 700] = b"\xff" * 700
    path.write_bytes(data)
    return path, events


@pytest.mark.parametrize("workers", [0, 2])
def test_damage__comes_after_the_frames_before_it_or_is_skipped_and_counted(
    tmp_path, caplog, workers
):
    good = recording(tmp_path, 1, random_events(200, SENSOR, 2 * W))
    bad, events = damaged(tmp_path, 2)
    after = recording(tmp_path, 3, random_events(300, SENSOR, 3 * W, seed=3))
    common = {"representation": "histogram", "num_tbins": 4, "num_workers": workers}
    expected = evreel.features(events, "histogram", window_us=W)
    strict = StreamLoader([bad, good], "delta_t", W, batch_size=1, **common)
    batches = []
    with pytest.raises(RecordingError, match=r"r02.aedat4: .*byte"):
        for batch in strict:
            batches.append(batch)
    frames = delivered(batches)["r02.aedat4"]
    n = len(frames)
    assert 8 <= n < 12 and same(frames, expected[:n])
    with caplog.at_level(logging.WARNING):
        files = [bad, tmp_path / "none.aedat4", good, after]
        lenient = StreamLoader(files, "delta_t", W, batch_size=2, on_damage="skip", **common)
        found = delivered(lenient)
    assert {name: len(own) for name, own in found.items()} == {
        "r02.aedat4": n,
        "r01.aedat4": 2,
        "r03.aedat4": 3,
    }
    assert (lenient.counts["damaged_recordings"], lenient.counts["skipped_recordings"]) == (1, 1)
    assert "r02.aedat4" in caplog.text and "none.aedat4" in caplog.text
    salvaged = StreamLoader(
        [bad], "delta_t", W, batch_size=1, reading=Reading(on_damage="salvage"), **common
    )
    assert len(delivered(salvaged)["r02.aedat4"]) == n + 1  # the last window, as far as it came
    assert salvaged.counts["damaged_bytes"] > 0


def test_recording_without_events__is_counted(tmp_path):
    empty = write_store(tmp_path / "empty.h5", [], random_events(1, SENSOR).sensor)
    other = recording(tmp_path, 1, random_events(20, SENSOR, W))
    loader = StreamLoader(
        [empty, other, empty], "delta_t", W, representation="diff", batch_size=2, num_workers=0
    )
    assert list(delivered(loader)) == ["r01.aedat4"]
    assert loader.counts == {
        "empty_recordings": 2,
        "padded_frames": 1,
        "recordings_without_boxes": 3,
    }
    nothing = StreamLoader(
        [empty], "delta_t", W, representation="diff", batch_size=2, padding_mode="data"
    )
    assert list(nothing) == []


def test_size__halves_events_and_boxes(tmp_path):
    path = recording(tmp_path, 1, random_events(500, SENSOR, 3 * W), [5])
    boxes = read_boxes(tmp_path / "r01_bbox.npy")
    (tmp_path / "r01_bbox.npy").unlink()
    boxes["x"], boxes["w"] = 6, 4
    write_boxes(tmp_path / "r01_bbox.npy", boxes)
    common = {"representation": "histogram", "batch_size": 1, "num_workers": 0}
    loader = StreamLoader([path], "delta_t", W, height=6, width=9, **common)
    batches = list(loader)
    expected = evreel.features(path, "histogram", window_us=W, geometry={"downsample": 1})
    assert same(delivered(batches)["r01.aedat4"], expected)
    assert batches[0]["labels"][0][0][["x", "w"]].tolist() == [(3, 2)]
    resized = StreamLoader([path], "delta_t", W, height=5, width=7, **common)
    assert next(iter(resized))["inputs"].shape == (1, 1, 2, 5, 7)


def test_labels__are_those_of_a_function_and_transforms_change_inputs(three):
    asked = []

    def load_labels(metadata, start_us, duration_us, tensor):
        asked.append((metadata.name, start_us, duration_us, tensor.shape))
        return [start_us, None], np.array([True, False])

    loader = StreamLoader(
        three[:1],
        "delta_t",
        W,
        representation="histogram",
        num_tbins=2,
        batch_size=1,
        num_workers=0,
        load_labels=load_labels,
        transforms=lambda tensor: tensor * 0 + 7,
    )
    first, second = list(loader)[:2]
    assert [first["labels"][0][0], second["labels"][0][0]] == [0, 2 * W]
    assert second["frame_is_labeled"][:, 0].tolist() == [True, False]
    assert (first["inputs"] == 7).all()
    assert asked[1] == ("r00.aedat4", 2 * W, 2 * W, (2, 2, *SENSOR))


@pytest.mark.parametrize(
    ("windows", "settings"),
    [
        (("delta_t", W), {}),
        (("delta_t", W), {"stride_us": 4_000}),
        (("delta_t", 4_000), {"stride_us": W}),
        (("n_events", None, 130), {}),
        (("mixed", 4_000, 70), {}),
    ],
)
def test_boxes_of_a_function__are_in_the_windows_that_they_are_in_without_it(
    tmp_path, windows, settings
):
    events = random_events(900, SENSOR, 60_000)
    borders = events.t[::130]
    times = np.sort(np.concatenate([borders, borders + 1, np.arange(0, 60_000, 500)]))
    path = recording(tmp_path, 1, events, times)
    common = {"representation": "histogram", "batch_size": 1, "num_workers": 0, **settings}
    streams = [
        StreamLoader([path], *windows, num_tbins=3, load_labels=load, **common)
        for load in (load_boxes, None)
    ]
    whole = {"delta_t": {"delta_t": windows[1]}}.get(windows[0], {"count": windows[-1]})
    if windows[0] != "mixed":
        streams.append(
            SequentialLoader([path], array_dim=(3,), load_labels=load_boxes, **whole, **common)
        )
    found = [
        [lane["t"].tolist() for batch in stream for (lane,) in batch["labels"]]
        for stream in streams
    ]
    assert all(each == found[0] for each in found)
    assert sum(map(len, found[1])) == len(times) - streams[1].counts.get(
        "labels_outside_windows", 0
    )


def test_release__gives_recordings_and_samples_of_a_split(labelled_folder):
    with open_release(labelled_folder) as release:
        common = {"split": "train", "batch_size": 2, "num_workers": 0}
        streamed = StreamLoader(
            release, "delta_t", 10_000, representation="histogram", num_tbins=2, **common
        )
        computed = SequentialLoader(release, 10_000, "histogram", array_dim=(2,), **common)
        for one, other in zip(streamed, computed, strict=True):
            for name in ("inputs", "mask_keep_memory", "frame_is_labeled", "frame_is_padded"):
                np.testing.assert_array_equal(one[name], other[name])
            for mine, theirs in zip(one["labels"], other["labels"], strict=True):
                assert all(map(np.array_equal, mine, theirs))
        with pytest.raises(UsageError, match=r"town.* is cut into samples"):
            StreamLoader(release, "delta_t", 10_000, None, 50_000, "histogram", **common)


OWN = """
from dataclasses import dataclass
import numpy as np
from evreel.representations import Accumulator, Histogram

@dataclass(frozen=True)
class SinceTheStart(Histogram):
    history = None
    def accumulator(self, sensor, repairs):
        return All(self, sensor, repairs)

class All(Accumulator):
    def add(self, events):
        np.add.at(self.frame, (events.p, events.y, events.x), 1)
    def accumulate(self, events):
        pass
"""


def test_own_representation__that_looks_at_all_without_carrying_has_all(tmp_path, three):
    (tmp_path / "own.py").write_text(OWN)
    name = f"{tmp_path}/own.py:SinceTheStart"
    loader = StreamLoader(three[:1], "delta_t", W, representation=name, batch_size=1)
    frames = delivered(loader)["r00.aedat4"]
    assert same(frames, evreel.features(three[0], name, window_us=W))
    assert [int(frame.sum()) for frame in frames][-1] == 900


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "events"}, "mode='events' is not one of delta_t, n_events, mixed"),
        ({"delta_t": None}, "mode='delta_t' needs delta_t"),
        ({"mode": "mixed"}, "mode='mixed' needs n_events"),
        ({"representation": None}, "no representation"),
        ({"padding_mode": "wrap"}, "padding_mode='wrap' is not one of zeros, data"),
        ({"height": 5}, "height=5 and width=None: give both"),
        ({"height": 5, "width": 5, "geometry": {"flip_x": True}}, "another one is given"),
        ({"max_duration": 0}, "max_duration=0 is not a whole number of 1 or more"),
        ({"num_tbins": 0}, "num_tbins=0"),
        ({"bins": 3}, "has no parameter 'bins'"),
        ({"count": 30}, "count=30 is a window, and so is that of mode='delta_t'"),
        ({"preprocess_function_name": "diff"}, "are two names of one thing"),
        ({"reading": "salvage"}, "reading='salvage' is no Reading"),
        ({"seed": 1.5}, "seed=1.5 is not a whole number"),
    ],
    ids=str,
)
def test_arguments__that_are_not_valid_are_refused(three, arguments, message):
    given = {"delta_t": W, "representation": "histogram", **arguments}
    with pytest.raises(UsageError, match=message):
        StreamLoader(three, **given)


def test_keep_last__is_of_every_loader_the_same(tmp_path):
    path = recording(tmp_path, 1, random_events(300, stop_us=50), [1, 2, 3, 12, 19, 31, 33])
    options = {"representation": "histogram", "delta_t": 20, "num_workers": 0}
    loaders = [
        StreamLoader(path, batch_size=1, num_tbins=2, keep="last", **options),
        SequentialLoader(path, array_dim=(2,), batch_size=1, keep="last", **options),
        MixedLoader(path, array_dim=(2,), n_stream=1, n_random=0, keep="last", **options),
    ]
    for loader in loaders:
        found = [row[0]["t"].tolist() for batch in loader for row in batch["labels"]]
        assert found[:2] == [[19], [33]] and not any(found[2:])
        assert loader.counts["boxes_not_last"] == 5


def test_pictures__of_a_stream_have_all_lanes_boxes_and_the_size_asked_for(three):
    loader = StreamLoader(
        three, "delta_t", W, representation="histogram", num_tbins=2, batch_size=2
    )
    seen = []

    def draw(picture, labels):
        seen.append(len(labels))
        picture[:] = 255

    vis_func = get_vis_func("histogram", limit=1)
    pictures = list(show_dataloader(loader, 24, 36, vis_func, draw))
    plain = list(show_dataloader(loader, None, None, vis_func))
    assert (pictures[0].shape, plain[0].shape) == ((50, 36, 3), (26, 18, 3))
    assert len(pictures) == len(plain) == 2 * sum(1 for _ in loader)
    assert sum(seen) == 6
    first = next(iter(loader))["inputs"][1, 0]
    assert np.array_equal(plain[1][:12], to_rgb(first, "histogram", limit=1))
    assert len(list(loader.show())) == len(plain)
    with pytest.raises(ParameterError, match="height=5 and width=None"):
        next(show_dataloader(loader, 5, None, vis_func))
