"""`import evreel`: light, and all that people name often."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evreel
from evreel.errors import EvreelError, RecordingError, UsageError
from evreel.events import Events, Sensor
from evreel.files import events_store, hdf5
from evreel.files.events_store import EventsStore
from evreel.recordings.aedat4 import Aedat4Writer
from support import random_events
from support.releases import labelled_release
from support.stores import store_of


@pytest.fixture(scope="module")
def events():
    return random_events(20_000, stop_us=200_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory, events):
    """The same events as a recording and as an events store."""
    folder = tmp_path_factory.mktemp("door")
    with Aedat4Writer(folder / "park.aedat4", events.sensor) as writer:
        writer.write(events)
    return folder / "park.aedat4", store_of(folder / "park.h5", events)


def same(got: Events, expected: Events) -> None:
    assert got.sensor == expected.sensor
    for name in "txyp":
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


def test_import__loads_none_of_our_modules_and_no_numpy():
    code = (
        "import json, sys; before = set(sys.modules); import evreel; from evreel import *\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    light = code.replace("; from evreel import *", "")
    run = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True)
    loaded = json.loads(run.stdout)
    assert [name for name in loaded if name.split(".")[0] == "evreel"] == ["evreel"]
    assert not {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"evreel"}


def test_import__takes_less_than_60_ms():
    def of_processor() -> float:  # which other processes take less from than from the clock
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    taken = []
    for _ in range(10):
        before = of_processor()
        subprocess.run([sys.executable, "-c", "import evreel"], check=True)
        taken.append(of_processor() - before)
    assert min(taken) < 0.06


def test_names__all_exist_and_come_from_their_modules():
    assert set(dir(evreel)) == set(evreel.__all__)
    for name in evreel.__all__:
        assert getattr(evreel, name) is not None
    assert evreel.Events is Events
    assert evreel.Sensor is Sensor
    assert evreel.EvreelError is EvreelError
    with pytest.raises(AttributeError, match="has no attribute 'opne'"):
        getattr(evreel, "opne")  # noqa: B009


def test_open__gives_chunks_of_events(files, events):
    for path in files:
        for spelled in (path, str(path)):
            with evreel.open(spelled) as recording:
                chunks = list(recording)
            assert recording.sensor == events.sensor
            t = np.concatenate([chunk.t for chunk in chunks])
            np.testing.assert_array_equal(t, events.t)


def test_read__gives_a_whole_recording(files, events):
    for path in files:
        same(evreel.read(path), events)
        same(evreel.read(str(path), sensor=events.sensor), events)


@given(start=st.none() | st.integers(-10, 200_010), stop=st.none() | st.integers(-10, 200_010))
def test_read__gives_the_events_of_a_range(files, events, start, stop):
    kept = np.ones(len(events), dtype=bool)
    kept &= True if start is None else events.t >= start
    kept &= True if stop is None else events.t < stop
    rows = np.flatnonzero(kept)
    for path in files:
        got = evreel.read(path, start, None if stop is None else np.int32(stop))
        np.testing.assert_array_equal(got.t, events.t[rows])
        np.testing.assert_array_equal(got.x, events.x[rows])


def test_read__finds_a_range_of_a_store_by_its_index(tmp_path, monkeypatch):
    events = random_events(300_000, stop_us=3_000_000)
    path = store_of(tmp_path / "long.h5", events)
    rows, stamps = [], []

    def counted(columns, start, stop, sensor, path):
        rows.append(stop - start)
        return read_events(columns, start, stop, sensor, path)

    def looked_at(store, first, last):
        stamps.append(last - first)
        return of_rows(store, first, last)

    read_events, of_rows = hdf5.read_events, EventsStore._stamps
    monkeypatch.setattr(hdf5, "read_events", counted)
    monkeypatch.setattr(EventsStore, "_stamps", looked_at)
    got = evreel.read(path, 1_500_100, 1_510_100)
    assert np.all((got.t >= 1_500_100) & (got.t < 1_510_100))
    assert (
        sum(rows) == len(got) == np.count_nonzero((events.t >= 1_500_100) & (events.t < 1_510_100))
    )
    assert sum(stamps) <= 2 * events_store.COLUMN_CHUNK


@pytest.fixture
def without_size(tmp_path):
    """A recording that does not state its sensor's size: three 40-bit events."""
    path = tmp_path / "digit.bin"
    path.write_bytes(b"".join(bytes([x, y, 0x80, 0, t]) for x, y, t in ((1, 2, 0), (33, 0, 5))))
    return path


@pytest.mark.parametrize(
    "sensor", ["34x25", (25, 34), [25, 34], Sensor(25, 34), (np.int64(25), np.int64(34))]
)
def test_sensor__is_accepted_as_text_pair_or_size(without_size, sensor):
    with evreel.open(without_size, sensor=sensor) as recording:
        assert recording.sensor == Sensor(25, 34)
    assert evreel.read(without_size, sensor=sensor).x.tolist() == [1, 33]


@pytest.mark.parametrize(
    ("sensor", "message"),
    [
        ("34", "sensor '34' is not WIDTHxHEIGHT"),
        (34, "sensor=34 is not a size"),
        ((25, 34, 2), "is not a size"),
        ((25, 0), "height 25 and width 0 is outside"),
        ((25.5, 34), "height of 25.5 is not a whole number"),
    ],
)
def test_sensor__of_another_form_is_refused(without_size, sensor, message):
    with pytest.raises(UsageError, match=message):
        evreel.open(without_size, sensor=sensor)


def test_reading__says_how_damage_is_handled(tmp_path):
    events = random_events(300_000, stop_us=3_000_000)
    path = tmp_path / "cut.aedat4"
    with Aedat4Writer(path, events.sensor) as writer:
        writer.write(events)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match=r"^cut\.aedat4: "):
        evreel.read(path)
    got = evreel.read(path, reading=evreel.Reading(on_damage="salvage"))
    assert 0 < len(got) < len(events)
    same(got, events[: len(got)])


@pytest.mark.parametrize("function", [evreel.open, evreel.read, evreel.open_release])
@pytest.mark.parametrize("given", [None, 7, b"park.h5", ["park.h5"], io.BytesIO()])
def test_path__of_another_type_is_refused_with_the_right_one_named(function, given):
    with pytest.raises(UsageError, match="takes the path of a") as raised:
        function(given)
    assert "Give " in str(raised.value)


@pytest.mark.parametrize("time", [0.5, 1e6, "0", np.float64(3)])
def test_time__that_is_not_a_whole_number_is_refused(files, time):
    for start, stop in ((time, None), (0, time)):
        with pytest.raises(UsageError, match=r"is not a whole number of µs\. Write it as int"):
            evreel.read(files[0], start, stop)


def test_file__that_is_missing_is_named(tmp_path):
    for function in (evreel.open, evreel.read, evreel.open_release):
        with pytest.raises(EvreelError, match=r"^nothing: "):
            function(tmp_path / "nothing")


def test_store__that_is_truncated_is_named(tmp_path, files):
    path = tmp_path / "cut.h5"
    path.write_bytes(files[1].read_bytes()[:-500])
    with pytest.raises(EvreelError, match=r"^cut\.h5: .*truncated file"):
        evreel.read(path)


def test_release__opens_and_gives_the_same_events_as_read(tmp_path):
    folder = labelled_release(tmp_path)
    with evreel.open_release(folder) as release:
        assert isinstance(release, evreel.Release)
        recording = release.recordings["park"]
        chunks = list(recording.events)
        same(evreel.read(folder / "train" / "events" / "park.h5"), recording.events.read())
        assert sum(map(len, chunks)) == recording.events.n
    assert Path(folder).name in repr(release).replace(" ", "-")
