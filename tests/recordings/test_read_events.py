"""Whole recordings in memory: the content of their chunks, whatever was expected, and errors."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

from evreel.errors import RecordingError
from evreel.events import Events, Triggers
from evreel.recordings import event_chunks, open_recording, read_events
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.recordings.prefetch import prefetched
from support import random_events
from support.stores import store_of


class Recording:
    """A recording of given chunks that expects any number of events."""

    def __init__(self, chunks, expected, error=None):
        self.sensor, self.n_expected = chunks[0].sensor, expected
        self._chunks, self._error = chunks, error

    def batches(self, start_us=None, stop_us=None, *, side=True):
        yield from self._chunks
        if self._error:
            raise self._error


def columns(events):
    return [getattr(events, name) for name in "txyp"]


def equal(one, other):
    return all((a == b).all() for a, b in zip(columns(one), columns(other), strict=True))


def ours():
    return [t.name for t in threading.enumerate() if t.name.startswith("evreel")]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("expected", [0, 3, 900, 1000, 5000, 2**60, -5])
def test_read_events__does_not_depend_on_what_is_expected(threads, expected):
    whole = random_events(1000, stop_us=3000)
    bounds = [0, 10, 10, 40, 300, 301, 700, 1000]
    chunks = [whole[a:b] for a, b in pairwise(bounds)]
    got = read_events(Recording(chunks, expected), threads=threads)
    assert equal(got, whole) and got.sensor == whole.sensor
    assert [column.dtype for column in columns(got)] == ["int64", "uint16", "uint16", "uint8"]
    assert ours() == []


def test_read_events__of_nothing_is_empty():
    none = random_events(0)
    assert len(read_events(Recording([none], 0))) == 0


def test_read_events__shares_no_memory_with_what_it_was_given():
    whole = random_events(50)
    got = read_events(Recording([whole], 50))
    assert not np.shares_memory(got.t, whole.t)


@pytest.mark.parametrize("threads", [1, 2])
def test_read_events__raises_what_its_recording_raises(threads):
    chunks = [random_events(5)] * 9
    with pytest.raises(RecordingError, match="byte 7: is cut"):
        read_events(Recording(chunks, 1, RecordingError("is cut", offset=7)), threads=threads)
    assert ours() == []


def test_read_events__reads_files_and_parts_of_them(tmp_path):
    whole = random_events(300_000, (48, 64), 2_000_000)
    path = tmp_path / "x.aedat4"
    with Aedat4Writer(path, whole.sensor) as writer:
        for first in range(0, len(whole), 7_000):
            writer.write(whole[first : first + 7_000])
    for source in (path, store_of(tmp_path / "x.h5", whole)):
        with open_recording(source) as recording:
            assert recording.n_expected == len(whole)
            assert equal(read_events(recording), whole)
            part = read_events(recording, 500_000, 500_300)
            inside = (whole.t >= 500_000) & (whole.t < 500_300)
            assert part.t.tolist() == whole.t[inside].tolist()


def test_prefetched__ends_its_thread_wherever_it_is_left():
    def endless():
        while True:
            yield random_events(1)

    items = prefetched(endless())
    assert isinstance(next(items), Events)
    items.close()
    assert ours() == []


def test_event_chunks__leave_side_streams_out():
    marks = Triggers(np.array([1]), np.array([1], np.int8), np.array([0], np.int16))
    events = random_events(5)
    recording = Recording([events, marks, events], 10)
    assert [type(chunk) for chunk in event_chunks(recording)] == [Events, Events]


def test_prefetched__left_waiting_does_not_keep_python_from_exiting():
    program = (
        "from itertools import count\n"
        "from evreel.recordings.prefetch import prefetched\n"
        "items = prefetched(count())\n"
        "print(next(items))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout) == (0, "0\n")


def test_prefetched__raises_also_base_exceptions():
    def ends():
        yield 1
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        list(prefetched(ends()))
