"""AEDAT 4: read what dv-processing wrote and the reverse; damage is never taken for events."""

from __future__ import annotations

import gc
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import flatbuffers
import lz4.frame
import numpy as np
import pytest
import zstandard

from evreel import steps
from evreel.errors import EventsError, JumpError, RecordingError, UsageError
from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
from evreel.recordings import open_recording
from evreel.recordings.aedat4 import MAGIC, Aedat4Recording, Aedat4Writer
from evreel.recordings.open import Reading
from evreel.threads import Crew
from support import random_events, run_oracle, shared_file

T_OFFSET = 1_700_000_000_000_000
REAL = ["recordings/aestream_davis.aedat4", "recordings/aermanager_class1_test.aedat4"]
PACK = {
    "none": bytes,
    "lz4": lz4.frame.compress,
    "lz4_high": lambda content: lz4.frame.compress(content, compression_level=9, store_size=False),
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd_high": zstandard.ZstdCompressor(level=12, write_content_size=False).compress,
}


def by_dv(path: Path, out: Path, *limits: int) -> dict[str, np.ndarray]:
    run_oracle("dv_read.py", path, out, *limits)
    with np.load(out) as columns:
        return dict(columns)


def joined(batches, kind):
    """Return the columns of all batches of a kind, end to end."""
    chosen = [batch for batch in batches if isinstance(batch, kind)]
    names = [name for name in kind.__slots__ if name != "sensor"]
    return {name: np.concatenate([getattr(batch, name) for batch in chosen]) for name in names}


def read(path: Path, start_us=None, stop_us=None, **options) -> Events:
    """Return the events of a recording, checked again as a whole."""
    with Aedat4Recording(path, **options) as recording:
        batches = list(recording.batches(start_us, stop_us))
        events = [batch for batch in batches if isinstance(batch, Events)]
        return Events.concatenate(events, recording.sensor)


def assert_equal_events(got: Events, expected: Events) -> None:
    assert got.sensor == expected.sensor
    for name in "txyp":
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


def write(path: Path, events: Events, **options) -> Path:
    options = {"t_offset": T_OFFSET, "events_per_packet": 1_000} | options
    with Aedat4Writer(path, events.sensor, **options) as writer:
        writer.write(events)
    return path


def without_table(path: Path, out: Path) -> Path:
    """Return a copy that ends after the packets, as if the recorder had been switched off."""
    whole = bytearray(path.read_bytes())
    (table_at,) = struct.unpack_from("<q", whole, len(MAGIC) + 40)
    struct.pack_into("<q", whole, len(MAGIC) + 40, -1)
    out.write_bytes(whole[:table_at])
    return out


# Files made by hand with the flatbuffers library: independent of the writer, and able to lie.


def finished(builder: flatbuffers.Builder, root: int, identifier: str) -> bytes:
    builder.FinishSizePrefixed(root, file_identifier=identifier.encode())
    return bytes(builder.Output())


def event_packet(rows) -> bytes:
    """Return a packet's content; rows of (t, x, y, p), any int64, int16, int16 and uint8."""
    builder = flatbuffers.Builder(0)
    builder.StartVector(16, len(rows), 8)
    for t, x, y, p in reversed(rows):
        builder.Prep(8, 16)
        builder.Pad(3)
        builder.PrependUint8(p)
        builder.PrependInt16(y)
        builder.PrependInt16(x)
        builder.PrependInt64(t)
    elements = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, elements, 0)
    return finished(builder, builder.EndObject(), "EVTS")


def table_packet(identifier: str, rows, prepend: dict[int, str], slots: int) -> bytes:
    """Return tables of the fields {slot: value} of `rows`; `prepend` names each slot's type."""
    builder = flatbuffers.Builder(0)
    tables = []
    for row in rows:
        builder.StartObject(slots)
        for slot, value in row.items():
            if prepend[slot] == "PacketInfo":
                builder.Prep(4, 8)
                builder.PrependInt32(value[1])
                builder.PrependInt32(value[0])
                builder.PrependStructSlot(slot, builder.Offset(), 0)
            else:
                getattr(builder, f"Prepend{prepend[slot]}Slot")(slot, value, 0)
        tables.append(builder.EndObject())
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    elements = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, elements, 0)
    return finished(builder, builder.EndObject(), identifier)


def frame_packet(**fields: int) -> bytes:
    slots = {"t": 0, "readout": 1, "readout_stop": 2, "start": 3, "stop": 4, "exposure": 11}
    builder = flatbuffers.Builder(0)
    pixels = builder.CreateByteVector(bytes(12))
    builder.StartObject(13)
    for name, value in fields.items():
        builder.PrependInt64Slot(slots[name], value, 0)
    builder.PrependUOffsetTRelativeSlot(10, pixels, 0)
    return finished(builder, builder.EndObject(), "FRME")


def stream_xml(number: int, kind: str, source: str | None = "cam", size=(48, 64)) -> str:
    attributes = "" if source is None else f'<attr key="source" type="string">{source}</attr>'
    if size:
        attributes += f'<attr key="sizeX" type="int">{size[1]}</attr>'
        attributes += f'<attr key="sizeY" type="int">{size[0]}</attr>'
    return (
        f'<node name="{number}"><attr key="typeIdentifier" type="string">{kind}</attr>'
        f'<attr key="originalOutputName" type="string">out{number}</attr>'
        f'<node name="info">{attributes}</node></node>'
    )


def header(xml: str | bytes, compression: int = 0, table_at: int = -1) -> bytes:
    builder = flatbuffers.Builder(0)
    text = builder.CreateByteVector(xml if isinstance(xml, bytes) else xml.encode())
    builder.StartObject(3)
    builder.PrependInt32Slot(0, compression, 0)
    builder.PrependInt64Slot(1, table_at, -1)
    builder.PrependUOffsetTRelativeSlot(2, text, 0)
    return MAGIC + finished(builder, builder.EndObject(), "IOHE")


def by_hand(path: Path, packets, streams=(), compression="none", table=None) -> Path:
    """Write packets of (stream, content); `table(rows)` turns the honest table's rows into bytes.

    A row is (offset, stream, size, count, first stamp, last stamp); a packet may bring the last
    three along as (stream, content, count, first, last).
    """
    xml = "".join(streams or [stream_xml(0, "EVTS"), stream_xml(1, "TRIG")])
    xml = f'<dv version="2.0"><node name="outInfo">{xml}</node></dv>'
    number = list(PACK).index(compression)
    body, rows = b"", []
    start = len(header(xml, number, 1))
    for stream, content, *listed in packets:
        packed = PACK[compression](content)
        rows.append((start + len(body) + 8, stream, len(packed), *(listed or (0, 0, 0))))
        body += struct.pack("<ii", stream, len(packed)) + packed
    if table is None:
        path.write_bytes(header(xml, number) + body)
    else:
        head = header(xml, number, start + len(body))
        assert len(head) == start
        path.write_bytes(head + body + PACK[compression](table(rows)))
    return path


def table_of(rows) -> bytes:
    types = {0: "Int64", 1: "PacketInfo", 2: "Int64", 3: "Int64", 4: "Int64"}
    fields = [
        {0: offset, 1: (stream, size), 2: count, 3: first, 4: last}
        for offset, stream, size, count, first, last in rows
    ]
    return table_packet("FTAB", fields, types, 5)


FOUR = [(100, 0, 0, 1), (105, 63, 47, 0), (105, 5, 6, 1), (110, 1, 2, 0)]


def peak_of(function) -> int:
    """Return the most memory that was allocated at once while a function ran, in bytes."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(path: Path, match: str, start_us=None, stop_us=None) -> RecordingError:
    with pytest.raises(RecordingError, match=match) as caught:
        read(path, start_us, stop_us)
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= path.stat().st_size
    assert path.name in str(caught.value)
    return caught.value


# Against dv-processing


@pytest.mark.parametrize("name", REAL)
def test_recording__of_a_camera_is_what_dv_processing_reads(name, tmp_path):
    path = shared_file(name)
    expected = by_dv(path, tmp_path / "dv.npz")
    with open_recording(path) as recording:
        assert recording.format == "aedat4"
        assert recording.header.startswith("<dv")
        assert list(recording.sensor) == expected["sensor"].tolist()
        batches = list(recording.batches())
        offset = recording.t_offset
    assert offset == expected["t"][0]
    events = joined(batches, Events)
    np.testing.assert_array_equal(events["t"] + offset, expected["t"])
    for column in "xyp":
        np.testing.assert_array_equal(events[column], expected[column])
    assert len(events["t"]) > 100_000
    imu = joined(batches, Imu)
    np.testing.assert_array_equal(imu["t"] + offset, expected["imu_t"])
    np.testing.assert_array_equal(imu["temperature"], expected["imu"][:, 0])
    np.testing.assert_array_equal(imu["gyroscope"], expected["imu"][:, 4:7])
    if "frame_start" in expected:
        frames = joined(batches, FrameTimes)
        np.testing.assert_array_equal(frames["exposure_start_us"] + offset, expected["frame_start"])
        np.testing.assert_array_equal(frames["exposure_stop_us"] + offset, expected["frame_stop"])
        triggers = joined(batches, Triggers)
        np.testing.assert_array_equal(triggers["t"] + offset, expected["trigger_t"])
        np.testing.assert_array_equal(triggers["id"], expected["trigger_id"])


@pytest.mark.parametrize("compression", ["NONE", "LZ4", "LZ4_HIGH", "ZSTD", "ZSTD_HIGH"])
def test_recording__by_dv_processing_has_the_events_it_was_given(compression, tmp_path):
    events = random_events(21_000)
    rng = np.random.default_rng(4)
    given = {
        "sensor": np.array([48, 64]),
        "t": events.t + T_OFFSET,
        "x": events.x,
        "y": events.y,
        "p": events.p,
        "frame_start": np.array([1_000, 41_000]) + T_OFFSET,
        "frame_stop": np.array([1_700, 49_000]) + T_OFFSET,
        "trigger_t": np.arange(10) * 5_000 + T_OFFSET,
        "trigger_id": np.arange(10),
        "imu_t": np.arange(50) * 1_000 + T_OFFSET,
        "imu": rng.random((50, 10)).astype(np.float32),
    }
    np.savez(tmp_path / "given.npz", **given)
    path = tmp_path / "dv.aedat4"
    run_oracle("dv_write.py", path, compression, tmp_path / "given.npz")
    with Aedat4Recording(path) as recording:
        batches = list(recording.batches())
        assert recording.t_offset == T_OFFSET
        assert recording.indexed
    assert_equal_events(Events(**joined(batches, Events), sensor=Sensor(48, 64)), events)
    frames = joined(batches, FrameTimes)
    assert frames["exposure_start_us"].tolist() == [1_000, 41_000]
    assert frames["exposure_stop_us"].tolist() == [1_700, 49_000]
    triggers = joined(batches, Triggers)
    assert triggers["t"].tolist() == (given["trigger_t"] - T_OFFSET).tolist()
    assert triggers["id"].tolist() == list(range(10))
    assert triggers["edge"].tolist() == [-1, 1, 0, -1, 1, 0, -1, -1, -1, -1]
    imu = joined(batches, Imu)
    np.testing.assert_array_equal(imu["t"], given["imu_t"] - T_OFFSET)
    axes = [imu[name] for name in ("accelerometer", "gyroscope", "magnetometer")]
    np.testing.assert_array_equal(np.hstack([imu["temperature"][:, None], *axes]), given["imu"])


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("t_offset", [0, T_OFFSET])
def test_writer__makes_what_dv_processing_reads_and_seeks_in(compression, t_offset, tmp_path):
    events = random_events(25_000)
    triggers = Triggers(
        np.array([5, 70_000]), np.array([1, -1], np.int8), np.array([1, 8], np.int16)
    )
    axes = np.random.default_rng(2).random((3, 40, 3)).astype(np.float32)
    imu = Imu(np.arange(40) * 100, *axes, np.arange(40, dtype=np.float32))
    path = tmp_path / "ours.aedat4"
    options = {"compression": compression, "t_offset": t_offset, "side": (Triggers, Imu)}
    with Aedat4Writer(path, events.sensor, source="A&B <1>", **options) as writer:
        for batch in (triggers, events, imu):
            writer.write(batch)
    got = by_dv(path, tmp_path / "dv.npz")
    np.testing.assert_array_equal(got["t"], events.t + t_offset)
    for column in "xyp":
        np.testing.assert_array_equal(got[column], getattr(events, column))
    assert got["sensor"].tolist() == [48, 64]
    assert got["range"].tolist() == [t_offset, t_offset + events.t[-1]]
    assert (got["trigger_t"] - t_offset).tolist() == [5, 70_000]
    assert got["trigger_id"].tolist() == [1, 8]
    np.testing.assert_array_equal(got["imu_t"] - t_offset, imu.t)
    np.testing.assert_array_equal(got["imu"][:, 1:], np.hstack(axes))
    part = by_dv(path, tmp_path / "part.npz", t_offset + 40_000, t_offset + 41_000)
    inside = (events.t >= 40_000) & (events.t < 41_000)
    np.testing.assert_array_equal(part["t"] - t_offset, events.t[inside])
    with Aedat4Recording(path) as recording:
        assert "A&amp;B &lt;1&gt;" in recording.header
        batches = list(recording.batches())
    for batch in (triggers, imu):
        for name, column in joined(batches, type(batch)).items():
            np.testing.assert_array_equal(column, getattr(batch, name))


# The writer


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_writer__returns_the_same_bytes_and_events_whatever_the_batches(compression, tmp_path):
    events = random_events(6_100, stop_us=5_000_000_000)  # timestamps beyond 2³¹
    contents = set()
    for rows in (1, 377, 500, 6_100):
        path = tmp_path / f"{rows}.aedat4"
        with Aedat4Writer(
            path, events.sensor, compression=compression, events_per_packet=500
        ) as writer:
            for first in range(0, len(events), rows):
                writer.write(events[first : first + rows])
        assert_equal_events(read(path), events)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_writer__refuses_what_the_reader_would(tmp_path):
    sensor = Sensor(48, 64)

    def event(t: int) -> Events:
        return Events([t], [0], [0], [0], sensor)

    with Aedat4Writer(tmp_path / "a.aedat4", sensor, side=(Triggers,)) as writer:
        writer.write(event(10))
        with pytest.raises(EventsError, match="t=9 goes back before t=10"):
            writer.write(event(9))
        with pytest.raises(EventsError, match="86400000001 µs pass between two events"):
            writer.write(event(86_400_000_011))
        with pytest.raises(
            EventsError, match=r"timestamp is not within \[0, 4611686018427387904\)"
        ):
            writer.write(event(-1))
        with pytest.raises(EventsError, match="sensor"):
            writer.write(Events([11], [0], [0], [0], Sensor(48, 65)))
        with pytest.raises(UsageError, match="FrameTimes is not announced; Events, Triggers"):
            writer.write(FrameTimes(np.array([1]), np.array([2])))
        for edge, kind in ((0, 1), (-1, 200)):
            edges, kinds = np.array([edge], np.int8), np.array([kind], np.int16)
            with pytest.raises(EventsError, match="trigger"):
                writer.write(Triggers(np.array([1]), edges, kinds))
    assert read(tmp_path / "a.aedat4").t.tolist() == [0]
    for options in (
        {"compression": "gzip"},
        {"events_per_packet": 0},
        {"source": "a\nb"},
        {"sensor": Sensor(40_000, 1)},
    ):
        with pytest.raises(UsageError):
            Aedat4Writer(tmp_path / "b.aedat4", **({"sensor": sensor} | options))
    assert not (tmp_path / "b.aedat4").exists()


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_writer__makes_the_same_bytes_whatever_batches_and_threads(compression, tmp_path):
    events = random_events(20_000)
    paths = tmp_path / "one.aedat4", tmp_path / "many.aedat4"
    with Crew(3) as crew:
        for path, rows, given in zip(paths, (20_000, 77), (None, crew), strict=True):
            form = {"compression": compression, "events_per_packet": 300, "crew": given}
            with Aedat4Writer(path, events.sensor, **form) as writer:
                for first in range(0, len(events), rows):
                    writer.write(events[first : first + rows])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert_equal_events(read(paths[1]), events)


def test_writer__that_fails_midway_leaves_a_file_without_table(tmp_path):
    events = random_events(2_500)
    with (
        pytest.raises(KeyError),
        Aedat4Writer(tmp_path / "a.aedat4", events.sensor, events_per_packet=1_000) as writer,
    ):
        writer.write(events)
        raise KeyError
    with Aedat4Recording(tmp_path / "a.aedat4") as recording:
        assert not recording.indexed
        assert sum(len(batch.t) for batch in recording.batches()) == 2_000


def test_writer__without_events_makes_a_recording_of_none(tmp_path):
    path = write(tmp_path / "a.aedat4", Events.empty(Sensor(48, 64)))
    with Aedat4Recording(path) as recording:
        assert recording.t_offset == 0
        assert list(recording.batches()) == []
        assert list(recording.batches(0, 10)) == []


# Reading


@pytest.mark.parametrize("compression", list(PACK))
def test_recording__made_by_hand_is_read_in_every_compression(compression, tmp_path):
    packets = [
        (1, table_packet("TRIG", [{0: 90, 1: 2}, {1: 1}], {0: "Int64", 1: "Int8"}, 2)),
        (0, event_packet([])),
        (0, event_packet(FOUR[:1])),
        (0, event_packet(FOUR[1:])),
    ]
    path = by_hand(tmp_path / "a.aedat4", packets, compression=compression)
    with Aedat4Recording(path) as recording:
        assert recording.t_offset == 100
        events, triggers = recording.batches()
    assert events.t.tolist() == [0, 5, 5, 10]
    assert events.x.tolist() == [0, 63, 5, 1]
    assert events.y.tolist() == [0, 47, 6, 2]
    assert events.p.tolist() == [1, 0, 1, 0]
    assert (triggers.t.tolist(), triggers.edge.tolist(), triggers.id.tolist()) == (
        [-10, -100],  # an omitted timestamp is 0
        [0, 1],
        [2, 1],
    )


def test_imu__fields_that_are_omitted_are_zero(tmp_path):
    types = {0: "Int64"} | dict.fromkeys(range(1, 11), "Float32")
    rows = [{0: 100 + k, k: float(k)} for k in range(1, 11)] + [{0: 99}]
    path = by_hand(
        tmp_path / "a.aedat4",
        [(0, event_packet(FOUR)), (2, table_packet("IMUS", rows, types, 11))],
        [stream_xml(0, "EVTS"), stream_xml(2, "IMUS")],
    )
    with Aedat4Recording(path) as recording:
        _, imu = recording.batches()
    values = np.hstack(
        [imu.temperature[:, None], imu.accelerometer, imu.gyroscope, imu.magnetometer]
    )
    expected = np.zeros((11, 10), dtype=np.float32)
    expected[range(10), range(10)] = range(1, 11)
    np.testing.assert_array_equal(values, expected)
    assert imu.t.tolist() == [*range(1, 11), -1]


def test_frame_times__are_the_most_specific_that_the_frame_has(tmp_path):
    times = {
        (1, 2): {"t": 150, "readout": 110, "readout_stop": 190, "start": 101, "stop": 102},
        (50, 57): {"t": 150, "readout": 110, "readout_stop": 190, "exposure": 7},
        (10, 90): {"t": 150, "readout": 110, "readout_stop": 190},
        (53, 53): {"t": 153},
    }
    packets = [(0, event_packet(FOUR)), *((2, frame_packet(**fields)) for fields in times.values())]
    streams = [stream_xml(0, "EVTS"), stream_xml(2, "FRME")]
    path = by_hand(tmp_path / "a.aedat4", packets, streams)
    with Aedat4Recording(path) as recording:
        _, frames = recording.batches()
    assert frames.exposure_start_us.tolist() == [start for start, _ in times]
    assert frames.exposure_stop_us.tolist() == [stop for _, stop in times]
    packets[1] = (2, frame_packet(start=9, stop=8))
    refused(by_hand(path, packets, streams), "a frame that is exposed from 9 to 8")


@pytest.mark.parametrize("threads", [1, 2])
def test_batches__join_packets_and_cut_those_beyond_their_size(threads, tmp_path, monkeypatch):
    events = random_events(5_000)

    def sizes(rows: int) -> list[int]:
        monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", rows)
        with Aedat4Recording(path, threads=threads) as recording:
            return [len(batch.t) for batch in recording.batches()]

    path = write(tmp_path / "a.aedat4", events, events_per_packet=1_300)
    assert sizes(1_024) == [1_024, 276] * 3 + [1_024, 76]
    assert sizes(2_700) == [2_600, 2_400]
    path = without_table(path, tmp_path / "b.aedat4")
    assert sizes(1_024) == [1_024] * 4 + [904]
    assert_equal_events(read(path), events)
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 7)
    assert_equal_events(read(path, 300, 40_000), events[_inside(events, 300, 40_000)])


def test_side_streams__come_in_batches_of_their_own_size(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.side.SIDE_ROWS", 100)
    monkeypatch.setattr("evreel.recordings.aedat4.flatbuffer._TABLES_AT_ONCE", 30)
    n = 777
    triggers = Triggers(np.arange(n), np.ones(n, np.int8), np.ones(n, np.int16))
    path = tmp_path / "a.aedat4"
    with Aedat4Writer(path, Sensor(48, 64), side=(Triggers,)) as writer:
        writer.write(triggers)
    with Aedat4Recording(path) as recording:
        batches = list(recording.batches())
    assert max(len(batch.t) for batch in batches) < 200
    np.testing.assert_array_equal(joined(batches, Triggers)["t"], triggers.t)


def _inside(events: Events, start_us: int | None, stop_us: int | None) -> np.ndarray:
    start = -(2**63) if start_us is None else start_us
    stop = 2**63 if stop_us is None else stop_us
    return np.array([start <= t < stop for t in events.t.tolist()], dtype=bool)


@pytest.mark.parametrize("indexed", [True, False])
def test_time_range__is_the_filtered_whole(indexed, tmp_path):
    events = random_events(6_000, stop_us=2_000)  # runs of equal timestamps across packets
    path = write(tmp_path / "a.aedat4", events, events_per_packet=100)
    if not indexed:
        path = without_table(path, tmp_path / "b.aedat4")
    with Aedat4Recording(path) as recording:
        assert recording.indexed is indexed
    edges = [None, -(2**80), -5, 0, 1, 499, 500, 1_234, int(events.t[-1]), 1_999, 2_500, 2**80]
    for start in edges:
        for stop in edges:
            assert_equal_events(read(path, start, stop), events[_inside(events, start, stop)])


@pytest.mark.parametrize("name", REAL)
def test_time_range__of_a_camera_is_the_filtered_whole_with_all_side_streams(name):
    with Aedat4Recording(shared_file(name)) as recording:
        whole, part = list(recording.batches()), list(recording.batches(40_000, 50_000))
    all_t, some_t = joined(whole, Events)["t"], joined(part, Events)["t"]
    np.testing.assert_array_equal(some_t, all_t[(all_t >= 40_000) & (all_t < 50_000)])
    assert 0 < len(some_t) < len(all_t)
    np.testing.assert_array_equal(joined(whole, Imu)["t"], joined(part, Imu)["t"])


def test_time_range__leaves_packets_far_from_it_unread(tmp_path):
    events = random_events(10_000)
    path = write(tmp_path / "a.aedat4", events, events_per_packet=500)
    whole = bytearray(path.read_bytes())
    with Aedat4Recording(path) as recording:
        packets = list(recording._packets(None, None))
    for packet in (packets[5], packets[15]):
        whole[packet.start + 8 : packet.stop] = bytes(packet.size)
    path.write_bytes(whole)
    refused(path, "cannot be unpacked")
    start, stop = int(events.t[4_500]), int(events.t[6_500])
    assert_equal_events(read(path, start, stop), events[_inside(events, start, stop)])


def test_recording__can_be_read_by_two_passes_at_once(tmp_path):
    events = random_events(5_000)
    path = write(tmp_path / "a.aedat4", events, compression="zstd")
    with Aedat4Recording(path) as recording:
        first, second = recording.batches(), recording.batches(0, 50_000)
        parts = [next(second), next(first), *first]
    np.testing.assert_array_equal(parts[0].t, events.t[events.t < 50_000])
    np.testing.assert_array_equal(parts[1].t, events.t)


def test_batches__stay_as_they_were_yielded(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 500)
    events = random_events(2_000)
    path = write(tmp_path / "a.aedat4", events, compression="none")
    with Aedat4Recording(path) as recording:
        batches = list(recording.batches())
        assert_equal_events(Events.concatenate(batches, recording.sensor), events)
        with pytest.raises(ValueError, match="read-only"):
            batches[0].t[0] = 1


# Streams


def test_several_event_streams__must_be_chosen_from(tmp_path):
    streams = [
        stream_xml(0, "EVTS", "left"),
        stream_xml(1, "TRIG", "left"),
        stream_xml(4, "EVTS", "right", (10, 20)),
        stream_xml(5, "TRIG", "right"),
        stream_xml(6, "TRIG", "right"),
    ]
    types = {0: "Int64", 1: "Int8"}
    packets = [
        (0, event_packet(FOUR)),
        *((k, table_packet("TRIG", [{0: 1_000 + k}], types, 2)) for k in (1, 5, 6)),
        (4, event_packet([(500, 19, 9, 1)])),
    ]
    path = by_hand(tmp_path / "a.aedat4", packets, streams)
    listed = r"event streams are 0 \(out0 of left, 64x48\), 4 \(out4 of right, 20x10\)"
    with pytest.raises(UsageError, match=f"{listed}; none is chosen"):
        Aedat4Recording(path)
    with pytest.raises(UsageError, match=f"{listed}; stream 1 is not one of them"):
        Aedat4Recording(path, stream=1)
    for stream, sensor, stamps, triggered in (
        (0, (48, 64), [0, 5, 5, 10], [901]),
        (4, (10, 20), [0], [505]),  # the lower of the two with its source
    ):
        with open_recording(path, stream=stream) as recording:
            assert recording.sensor == sensor
            events, triggers = recording.batches()
        assert events.t.tolist() == stamps
        assert triggers.t.tolist() == triggered


@pytest.mark.parametrize(
    ("events", "side", "read_"), [("a", "b", 0), ("a", None, 1), (None, "b", 1)]
)
def test_side_streams__of_another_camera_are_left_out(events, side, read_, tmp_path):
    streams = [stream_xml(0, "EVTS", events), stream_xml(1, "TRIG", side)]
    trigger = table_packet("TRIG", [{0: 1, 1: 1}], {0: "Int64", 1: "Int8"}, 2)
    path = by_hand(tmp_path / "a.aedat4", [(0, event_packet(FOUR)), (1, trigger)], streams)
    with Aedat4Recording(path) as recording:
        assert sum(isinstance(batch, Triggers) for batch in recording.batches()) == read_


@pytest.mark.parametrize(
    ("streams", "match"),
    [
        ([stream_xml(0, "FRME")], "no event stream .* its streams: FRME"),
        (["<other/>"], "no event stream .* its streams: none"),
        ([stream_xml(0, "EVTS", size=None)], "no size.; sides of 1 to 32768 pixels are expected"),
        ([stream_xml(0, "EVTS", size=(0, 5))], "5x0.; sides of 1 to 32768"),
        ([stream_xml(0, "EVTS", size=(40_000, 5))], "5x40000.; sides of 1 to 32768"),
        ([stream_xml(0, "EVTS", size=("a", 5))], "size 5 x a; int32 numbers are expected"),
        ([stream_xml("x", "EVTS")], "a stream 'x'"),
        ([stream_xml(2**31, "EVTS")], "a stream '2147483648'"),
        ([stream_xml(0, "EVTS"), stream_xml(0, "EVTS")], "stream 0 is duplicated"),
        (["</dv>"], "XML cannot be read"),
        (["\x00"], "XML cannot be read"),
    ],
)
def test_header__that_describes_no_events_is_refused(streams, match, tmp_path):
    refused(by_hand(tmp_path / "a.aedat4", [(0, event_packet(FOUR))], streams), match)


def test_header__with_entities_is_not_expanded(tmp_path):
    path = tmp_path / "a.aedat4"
    listed = f'<node name="outInfo">{stream_xml(0, "EVTS")}</node>'.replace('"', "'")
    path.write_bytes(header(f'<!DOCTYPE dv [<!ENTITY all "{listed}">]><dv>&all;</dv>'))
    refused(path, "no event stream")
    entities = "".join(f'<!ENTITY e{k + 1} "{f"&e{k};" * 10}">' for k in range(20))
    xml = f'<!DOCTYPE dv [<!ENTITY e0 "ha">{entities}]><dv>&e20;</dv>'
    path.write_bytes(header(xml))

    def reading():
        refused(path, "XML cannot be read|no event stream")

    assert peak_of(reading) < 4 * 2**20


# Damage


def test_file__of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.aedat4"
    for content, match in (
        (b"", "starts with b''"),
        (b"#!AER-DAT4.1\r\n" + bytes(100), "starts with b'#!AER-DAT4.1"),
        (MAGIC, "ends in the middle of its header"),
        (MAGIC + b"\xff\xff\xff\xff", "the header has 4294967295 bytes"),
        (MAGIC + bytes(50), "the header has 4 bytes, too few"),
        (header("<dv/>", compression=5), "compression is 5; 0 to 4 are known"),
        (header(b"\xff"), "text that is not UTF-8"),
        (header("<dv/>", table_at=-2), "begins at byte -2"),
        (header("<dv/>", table_at=20), "begins at byte 20, but packets begin at byte"),
        (header("<dv/>", table_at=2**62), "begins at byte 4611686018427387904"),
    ):
        path.write_bytes(content)
        refused(path, match)
    with pytest.raises(RecordingError, match="cannot be read: Is a directory"):
        Aedat4Recording(tmp_path)
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        Aedat4Recording(tmp_path / "none.aedat4")


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([(110, 64, 0, 0)], "event x=64, y=0, number 0 from here, is outside the sensor of 64x48"),
        (
            [(110, 0, 0, 0), (110, -1, 0, 0)],
            "event x=-1, y=0, number 1 from here, is outside the sensor of 64x48",
        ),
        ([(110, 0, 48, 0)], "event x=0, y=48, number 0 from here, is outside the sensor of 64x48"),
        ([(110, 0, -32768, 0)], "event x=0, y=-32768, number 0 from here, is outside"),
        ([(110, 0, 0, 2)], r"event 0 with p=2, not within \[0, 2\)"),
        ([(109, 0, 0, 0)], "t=109 µs, number 0 from here, is before t=110 of"),
        ([(120, 0, 0, 0), (119, 0, 0, 0)], "t=119 µs, number 1 from here, is before t=120 of"),
        ([(-5, 0, 0, 0)], "event 0 at t=-5 µs, not within"),
        ([(2**62, 0, 0, 0)], r"event 0 at t=4611686018427387904 µs, not within"),
        ([(2**63 - 1, 0, 0, 0)], r"event 0 at t=9223372036854775807 µs, not within"),
    ],
)
@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_event__that_is_impossible_is_refused(rows, match, compression, tmp_path):
    packets = [(0, event_packet(FOUR)), (0, event_packet(rows))]
    path = by_hand(tmp_path / "a.aedat4", packets, compression=compression)
    error = refused(path, match)
    head = struct.pack("<ii", 0, len(PACK[compression](packets[1][1])))
    assert path.read_bytes()[error.offset :].startswith(head)


@pytest.mark.parametrize("t", [-1, 2**62, -(2**63)])
def test_first_event__must_have_a_possible_timestamp(t, tmp_path):
    packets = [(0, event_packet([(t, 0, 0, 0)]))]
    refused(by_hand(tmp_path / "a.aedat4", packets), rf"an event at t={t} µs, not within")


def test_side_timestamp__beyond_int64_after_subtraction_is_refused(tmp_path):
    for t in (2**62, -(2**62) - 1):
        trigger = table_packet("TRIG", [{0: t}], {0: "Int64", 1: "Int8"}, 2)
        packets = [(0, event_packet(FOUR)), (1, trigger)]
        refused(by_hand(tmp_path / "a.aedat4", packets), "a timestamp that is not within ±")


def test_day__between_events_is_read(tmp_path):
    packets = [(0, event_packet([(5, 0, 0, 0), (86_400_000_005, 1, 1, 1)]))]
    path = by_hand(tmp_path / "a.aedat4", packets)
    assert read(path).t.tolist() == [0, 86_400_000_000]


@pytest.mark.parametrize("compression", ["none", "lz4"])
@pytest.mark.parametrize("last", [[86_400_000_111], [86_400_000_111, 120], [50_000_110, 120]])
def test_event__that_is_far_off_the_clock_is_a_stray_and_not_damage(compression, last, tmp_path):
    packets = [(0, event_packet(FOUR)), (0, event_packet([(t, 0, 0, 0) for t in last]))]
    path = by_hand(tmp_path / "a.aedat4", packets, compression=compression)
    for choice in ({}, {"on_damage": "salvage"}, {"on_disorder": "sort"}):
        with pytest.raises(JumpError, match=r"the clock jumps.*1 stray event.*on_stray: drop"):
            repaired(path, **choice)
    events, counts = repaired(path, on_stray="drop")
    assert events.t.tolist() == [0, 5, 5, 10, *(t - 100 for t in last[1:])]
    assert counts == {"stray_events": 1}


@pytest.mark.parametrize(
    ("stream", "size", "match"),
    [
        (7, 100, "is of stream 7, but the header lists 0, 1"),
        (-1, 100, "is of stream -1, but the header lists 0, 1"),
        (0, 0, "has 0 bytes; 1 to 268435456 are read"),
        (0, -8, "has -8 bytes; 1 to"),
        (0, 2**31 - 1, "has 2147483647 bytes; 1 to"),
        (0, 10_000, "has 10000 bytes, but the file ends at byte"),
    ],
)
def test_packet_head__that_is_impossible_is_refused(stream, size, match, tmp_path):
    path = by_hand(tmp_path / "a.aedat4", [(0, event_packet(FOUR))])
    start = path.stat().st_size
    path.write_bytes(path.read_bytes() + struct.pack("<ii", stream, size) + bytes(200))
    assert refused(path, match).offset == start


def test_packet__of_another_kind_than_its_stream_is_refused(tmp_path):
    trigger = table_packet("TRIG", [{0: 1}], {0: "Int64", 1: "Int8"}, 2)
    for packets in ([(0, trigger)], [(0, event_packet(FOUR)), (1, event_packet(FOUR))]):
        refused(by_hand(tmp_path / "a.aedat4", packets), "holds b'(TRIG|EVTS)'; (TRIG|EVTS) is")


def test_packet__with_bytes_beside_its_events_is_refused(tmp_path):
    content = bytearray(event_packet(FOUR))
    (at,) = (k for k in range(len(content)) if content[k : k + 4] == b"\x04\0\0\0" and k >= 28)
    content[at] = 3  # one event fewer
    refused(by_hand(tmp_path / "a.aedat4", [(0, bytes(content))]), "says that it has 3 events")
    content[at] = 5
    refused(by_hand(tmp_path / "a.aedat4", [(0, bytes(content))]), "a vector of 5 items")
    longer = event_packet(FOUR) + bytes(16)
    refused(by_hand(tmp_path / "a.aedat4", [(0, longer)]), "the number in front")


def poked(content: bytes, kind: str, at: int, value: int) -> bytes:
    new = bytearray(content)
    struct.pack_into(kind, new, at, value)
    return bytes(new)


def test_flatbuffer__with_wrong_offsets_is_refused(tmp_path):
    events = event_packet(FOUR)
    triggers = table_packet("TRIG", [{0: 105, 1: 1}], {0: "Int64", 1: "Int8"}, 2)
    # The root table's only field, and the vtable and table that get wrong offsets.
    assert events[14:20] == struct.pack("<3H", 6, 8, 4)
    field = 8 + struct.unpack_from("<I", triggers, 4)[0]
    entry = field + struct.unpack_from("<I", triggers, field)[0] + 4
    table = entry + struct.unpack_from("<I", triggers, entry)[0]
    vtable = table - struct.unpack_from("<i", triggers, table)[0]
    assert struct.unpack_from("<HH", triggers, vtable) == (8, 16)
    path = tmp_path / "a.aedat4"
    for base in (0, 1):
        content, vector, *places = ((events, 24, 14, 20), (triggers, field, vtable, table))[base]
        for kind, at, value, match in (
            ("<H", places[0], 2, "a table that does not fit"),
            ("<H", places[0], 60_000, "a table that does not fit"),
            ("<H", places[0] + 2, 60_000, "a table that does not fit"),
            ("<H", places[0] + 2, 6, "a field outside its table"),
            ("<H", places[0] + 4, 3, "a field outside its table"),
            ("<H", places[0] + 4, 60_000, "a field outside its table"),
            ("<i", places[1], 10_000, "an offset"),
            ("<i", places[1], -10_000, "an offset"),
            ("<i", places[1], -(2**31), "an offset"),
            ("<I", 4, 2**32 - 1, "an offset to byte"),
            ("<I", vector, 2**32 - 1, "an offset to byte"),
            ("<I", vector, 2**31, "an offset to byte"),
        ):
            packets = [(0, events), (1, triggers)]
            packets[base] = (base, poked(content, kind, at, value))
            refused(by_hand(path, packets), match)
    refused(by_hand(path, [(0, events), (1, poked(triggers, "<I", entry, 2**31))]), "an offset")


@pytest.mark.parametrize("compression", ["lz4", "zstd", "zstd_high"])
def test_packed_packet__with_more_or_less_than_one_frame_is_refused(
    compression, tmp_path, monkeypatch
):
    content = event_packet(FOUR * 1)
    packed = PACK[compression](content)
    path = tmp_path / "a.aedat4"
    for damaged, match in (
        (packed + b"x", r"after the end|unused data"),
        (packed + packed, r"after the end|unused data"),
        (packed[:-1], "cannot be unpacked"),
        (packed[:5], "cannot be unpacked"),
        (b"\x00" * 40, "cannot be unpacked"),
        (struct.pack("<II", 0x184D2A50, 4) + b"skip", "cannot be unpacked|too few|after the end"),
    ):
        monkeypatch.setitem(PACK, compression, lambda _, damaged=damaged: damaged)
        refused(by_hand(path, [(0, content)], compression=compression), match)


def sized_lz4(size: int) -> bytes:
    """Return a frame that claims a size, with a checksum of its head that is right."""
    honest = bytearray(lz4.frame.compress(event_packet(FOUR), store_size=True))
    head = honest[4:6] + struct.pack("<Q", size)
    # xxHash32 of the head decides its last byte: one of 256 fits.
    for check in range(256):
        frame = honest[:4] + head + bytes([check]) + honest[15:]
        try:
            lz4.frame.get_frame_info(bytes(frame))
        except RuntimeError:
            continue
        return bytes(frame)
    raise AssertionError("no checksum fits")


def sized_zstd(size: int) -> bytes:
    """Return a frame of one segment that claims a size of 8 bytes and holds a raw block."""
    return struct.pack("<IBQ", 0xFD2FB528, 0xE0, size) + b"\x09\0\0x"


@pytest.mark.parametrize(
    ("claim", "size"),
    [
        *((claim, size) for claim in ("lz4", "zstd") for size in (2**20, 2**27, 2**40, 2**64 - 3)),
        *((c, 2**k) for c in ("vector", "tables", "packet", "header") for k in (20, 27, 31)),
    ],
)
def test_claim__of_a_size_allocates_nothing(claim, size, tmp_path, monkeypatch):
    content = event_packet(FOUR)
    path = tmp_path / "a.aedat4"
    if claim in ("lz4", "zstd"):
        frame = sized_lz4(size) if claim == "lz4" else sized_zstd(size)
        monkeypatch.setitem(PACK, claim, lambda _: frame)
        by_hand(path, [(0, content)], compression=claim)
    elif claim in ("vector", "tables"):
        kind, stream = ("EVTS", 0) if claim == "vector" else ("TRIG", 1)
        claimed = struct.pack("<II4s2x3HiII", 92, 16, kind.encode(), 6, 8, 4, 6, 4, size)
        by_hand(path, [(0, content), (stream, claimed + bytes(64))])
    elif claim == "packet":
        by_hand(path, [(0, content)])
        head = struct.pack("<iI", 0, size)
        path.write_bytes(path.read_bytes() + head + bytes(64))
    else:
        path.write_bytes(MAGIC + struct.pack("<I", size) + bytes(64))
    assert peak_of(lambda: refused(path, ".")) < 4 * 2**20


@pytest.mark.parametrize("compression", ["lz4", "zstd", "zstd_high"])
def test_packet__that_unpacks_beyond_the_limit_is_refused(compression, tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.packets.PACKET_LIMIT", 100_000)
    path = tmp_path / "a.aedat4"
    for n, match in ((100_000, "too few|size|in front"), (100_001, "the limit is 100000")):
        content = struct.pack("<I", n) + bytes(n - 4)
        error = refused(by_hand(path, [(0, content)], compression=compression), match)
        assert ("the limit" in str(error)) == (n > 100_000)


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_table__of_more_packets_than_are_held_is_not_used(compression, tmp_path, monkeypatch):
    events = random_events(6_000, sensor=(6, 8))
    path = write(tmp_path / "a.aedat4", events, compression=compression, events_per_packet=60)
    for module in ("packets", "read"):
        monkeypatch.setattr(f"evreel.recordings.aedat4.{module}.PACKET_LIMIT", 3_000)
    with Aedat4Recording(path) as recording:
        assert not recording.indexed
        assert (
            np.concatenate([batch.t for batch in recording.batches()]).tolist() == events.t.tolist()
        )
    # Where there are fewer bytes of packets than that, such a table is damaged.
    monkeypatch.setattr("evreel.recordings.aedat4.packets.PACKET_LIMIT", 1 << 28)
    monkeypatch.setattr("evreel.recordings.aedat4.read.PACKET_LIMIT", 1 << 28)
    with Aedat4Recording(path) as recording:
        assert recording.indexed
    monkeypatch.setattr("evreel.recordings.aedat4.packets.PACKET_LIMIT", 3_000)
    if compression == "lz4":
        refused(path, "table of packets that begins here unpacks to .* the limit is 3000")


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_file__cut_at_any_byte_is_refused(compression, tmp_path):
    events = random_events(60, sensor=(6, 8))
    path = write(tmp_path / "a.aedat4", events, compression=compression, events_per_packet=25)
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        refused(path, ".")


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_file__without_table_is_read_to_a_packets_end_and_refused_anywhere_else(
    compression, tmp_path
):
    events = random_events(60, sensor=(6, 8))
    path = write(tmp_path / "a.aedat4", events, compression=compression, events_per_packet=25)
    path = without_table(path, tmp_path / "b.aedat4")
    with Aedat4Recording(path) as recording:
        ends = {packet.stop: 25 * k for k, packet in enumerate(recording._packets(None, None), 1)}
        start = recording._packets_start
    assert list(ends.values()) == [25, 50, 75]
    for size in reversed(range(start + 1, path.stat().st_size)):
        os.truncate(path, size)
        if size in ends:
            assert_equal_events(read(path), events[: ends[size]])
        else:
            refused(path, "in the middle of")


# The table of packets


def honest_packets() -> list[tuple]:
    return [
        (0, event_packet(FOUR), 4, 100, 110),
        (1, table_packet("TRIG", [{0: 1, 1: 1}], {0: "Int64", 1: "Int8"}, 2), 1, 1, 1),
        (0, event_packet([(120, 1, 1, 1), (130, 2, 2, 0)]), 2, 120, 130),
        (0, event_packet([(140, 1, 1, 1), (150, 2, 2, 0)]), 2, 140, 150),
    ]


def changed(rows, row: int, column: int, value: int) -> list[tuple]:
    new = [list(line) for line in rows]
    new[row][column] = value
    return [tuple(line) for line in new]


def test_table__by_hand_is_used(tmp_path):
    path = by_hand(tmp_path / "a.aedat4", honest_packets(), table=table_of)
    with Aedat4Recording(path) as recording:
        assert recording.indexed
    assert read(path).t.tolist() == [0, 5, 5, 10, 20, 30, 40, 50]
    assert read(path, 10, 40).t.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "lie",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[1:],
        lambda rows: rows[::-1],
        lambda rows: [*rows, rows[-1]],
        lambda rows: [],
        lambda rows: changed(rows, 2, 0, 10**15),
        lambda rows: changed(rows, 2, 0, -(2**63)),
        lambda rows: changed(rows, 2, 0, 2**63 - 1),
        lambda rows: changed(rows, 2, 0, rows[2][0] + 1),
        lambda rows: changed(rows, 2, 1, 9),
        lambda rows: changed(rows, 2, 2, rows[2][2] - 1),
        lambda rows: changed(rows, 2, 2, -1),
        lambda rows: changed(rows, 2, 3, -1),
        lambda rows: changed(rows, 2, 4, 99),
        lambda rows: changed(rows, 2, 5, 141),
    ],
)
def test_table__whose_rows_contradict_each_other_is_ignored(lie, tmp_path):
    path = by_hand(tmp_path / "a.aedat4", honest_packets(), table=lambda rows: table_of(lie(rows)))
    with Aedat4Recording(path) as recording:
        assert not recording.indexed
    assert read(path).t.tolist() == [0, 5, 5, 10, 20, 30, 40, 50]
    assert read(path, 10, 40).t.tolist() == [10, 20, 30]


def test_table__that_says_another_stream_or_number_of_elements_is_refused(tmp_path):
    def with_(row, column, value):
        return by_hand(
            tmp_path / "a.aedat4",
            honest_packets(),
            table=lambda rows: table_of(changed(rows, row, column, value)),
        )

    refused(with_(2, 1, 1), "is of stream 0 and has .* says stream 1")
    refused(with_(2, 3, 3), "has 2 elements, but the table of packets says 3")
    refused(with_(1, 3, 2), "has 1 elements, but the table of packets says 2")


@pytest.mark.parametrize(
    ("row", "column", "value", "hides"),
    [
        # of the packets with 100 to 110, 120 to 130 and 140 to 150
        (0, 5, 100, (5, 8)),
        (2, 4, 130, (20, 25)),
        (2, 5, 120, (25, 30)),
        (3, 4, 150, (40, 45)),
        (3, 5, 140, (45, 60)),
    ],
)
def test_table__with_timestamps_that_hide_an_event_is_refused_by_a_range(
    row, column, value, hides, tmp_path
):
    path = by_hand(
        tmp_path / "a.aedat4",
        honest_packets(),
        table=lambda rows: table_of(changed(rows, row, column, value)),
    )
    with Aedat4Recording(path) as recording:
        assert recording.indexed
    refused(path, "has timestamps .* the table of packets says", *hides)
    assert read(path).t.tolist() == [0, 5, 5, 10, 20, 30, 40, 50]


def test_table__that_cannot_be_decoded_is_refused(tmp_path):
    path = tmp_path / "a.aedat4"
    for compression in ("none", "lz4", "zstd"):
        for table in (b"", b"x", event_packet(FOUR), table_of([]) + b"\0", b"\xff" * 100):
            by_hand(path, honest_packets(), compression=compression, table=lambda _, t=table: t)
            refused(path, "table of packets")
    by_hand(path, honest_packets(), table=table_of)
    path.write_bytes(path.read_bytes() + b"\0" * 8)
    refused(path, "table of packets that begins here has .* number in front")


def test_header__whose_table_begins_at_another_place_is_refused(tmp_path):
    path = write(tmp_path / "a.aedat4", random_events(300), events_per_packet=100)
    whole = bytearray(path.read_bytes())
    with Aedat4Recording(path) as recording:
        places = [packet.start for packet in recording._packets(None, None)]
    for place in (*places, places[-1] + 8):
        struct.pack_into("<q", whole, len(MAGIC) + 40, place)
        path.write_bytes(whole)
        refused(path, "the table of packets that begins here")
    struct.pack_into("<q", whole, len(MAGIC) + 40, -1)
    path.write_bytes(whole)
    refused(path, "is of stream .* the header lists 0")


# Reading what breaks a rule


def repaired(path: Path, **choices) -> tuple[Events, dict[str, int]]:
    """Return the events of a recording that breaks rules, and what was counted."""
    with open_recording(path, reading=Reading(**choices)) as recording:
        events = [batch for batch in recording.batches() if isinstance(batch, Events)]
        return Events.concatenate(events, recording.sensor), dict(recording.repairs)


@pytest.mark.parametrize("compression", list(PACK))
def test_disorder__within_and_across_packets_is_sorted_and_counted(compression, tmp_path):
    rows = [(100, 1, 0, 1), (120, 2, 0, 1), (110, 3, 0, 0)], [(105, 4, 0, 1), (120, 5, 0, 0)]
    packets = [(0, event_packet(part)) for part in rows]
    packets.insert(1, (1, table_packet("TRIG", [{0: 90, 1: 2}], {0: "Int64", 1: "Int8"}, 2)))
    path = by_hand(tmp_path / "a.aedat4", packets, compression=compression)
    refused(path, "event t=110 µs, number 2 from here, is before t=120 of .*on_disorder: sort")
    events, counts = repaired(path, on_disorder="sort")
    assert events.t.tolist() == [0, 5, 10, 20, 20]
    assert events.x.tolist() == [1, 4, 3, 2, 5]
    assert counts == {"disordered_events": 2}
    with open_recording(path, reading=Reading(on_disorder="sort")) as recording:
        assert recording.t_offset == 100
        (triggers,) = (batch for batch in recording.batches() if isinstance(batch, Triggers))
        assert triggers.t.tolist() == [-10]
        assert [batch.x.tolist() for batch in recording.batches(5, 20, side=False)] == [[4, 3]]


def test_sort__does_not_accept_impossible_timestamps(tmp_path):
    for rows, match in (
        ([(101, 0, 0, 0), (-1, 0, 0, 0)], "event at t=-1 µs|event .*t=-1 µs, not within"),
        ([(2**62, 0, 0, 0)], "t=4611686018427387904 µs, not within"),
    ):
        packets = [(0, event_packet(FOUR)), (0, event_packet(rows))]
        path = by_hand(tmp_path / "a.aedat4", packets)
        with pytest.raises(RecordingError, match=match) as caught:
            repaired(path, on_disorder="sort")
        assert caught.value.offset == path.stat().st_size - len(packets[1][1]) - 8
        events, counts = repaired(path, on_disorder="sort", on_damage="salvage")
        assert events.t.tolist() == [0, 5, 5, 10]
        assert counts["damaged_bytes"] == len(packets[1][1]) + 8


def test_first_event__that_is_dropped_does_not_set_time_zero(tmp_path):
    packets = [(0, event_packet([(90, 64, 0, 0), *FOUR]))]
    events, counts = repaired(by_hand(tmp_path / "a.aedat4", packets), on_out_of_bounds="drop")
    assert events.t.tolist() == [0, 5, 5, 10]
    assert counts == {"out_of_bounds_events": 1}


def test_events_outside_the_sensor__are_dropped_and_counted(tmp_path):
    rows = [(110, 64, 0, 0), (111, -1, 0, 0), (112, 63, 47, 1), (113, 0, 48, 0), (114, 5, -7, 1)]
    packets = [(0, event_packet(FOUR)), (0, event_packet(rows))]
    path = by_hand(tmp_path / "a.aedat4", packets, compression="lz4")
    refused(path, "event x=64, y=0, number 0 from here, .*on_out_of_bounds: drop")
    events, counts = repaired(path, on_out_of_bounds="drop")
    assert events.t.tolist() == [0, 5, 5, 10, 12]
    assert counts == {"out_of_bounds_events": 4}
    with pytest.raises(RecordingError, match=r"y=0, number 0 from here, .*on_out_of_bounds: drop"):
        repaired(path, on_disorder="sort")
    with pytest.raises(RecordingError, match=r"event 1 with p=2, not within \[0, 2\)"):
        path = by_hand(path, [(0, event_packet([(1, 0, 0, 1), (2, 0, 0, 2)]))])
        repaired(path, on_out_of_bounds="drop")


@pytest.mark.parametrize(
    ("compression", "table"), [("none", True), ("lz4", True), ("zstd", True), ("none", False)]
)
def test_file__cut_at_any_byte_is_salvaged_to_its_last_whole_packet(compression, table, tmp_path):
    events = random_events(60, sensor=(6, 8))
    path = write(tmp_path / "a.aedat4", events, compression=compression, events_per_packet=25)
    with Aedat4Recording(path) as recording:
        start, table_at = recording._packets_start, recording._packets_stop
        ends = [packet.stop for packet in recording._packets(None, None)]
    if not table:
        path = without_table(path, tmp_path / "b.aedat4")
    sizes = range(start, path.stat().st_size)
    for size in reversed(sizes):
        os.truncate(path, size)
        kept = sum(end <= size for end in ends)
        got, counts = repaired(path, on_damage="salvage")
        assert_equal_events(got, events[: 25 * kept])
        assert counts == {"damaged_bytes": size - [start, *ends][kept]}
    if table:
        assert table_at in sizes[:-1], "the table itself was cut, too"


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_table__that_is_damaged_or_elsewhere_is_not_needed_when_salvaging(compression, tmp_path):
    def with_table(table=table_of) -> bytearray:
        by_hand(path, honest_packets(), compression=compression, table=table)
        return bytearray(path.read_bytes())

    path = tmp_path / "a.aedat4"
    stamps = [0, 5, 5, 10, 20, 30, 40, 50]
    whole = with_table()
    with Aedat4Recording(path) as recording:
        start, table_at = recording._packets_start, recording._packets_stop
    at = whole.index(struct.pack("<q", table_at))
    for place in (-2, 20, table_at - 5, start, len(whole), len(whole) + 99, 2**62):
        path.write_bytes(whole[:at] + struct.pack("<q", place) + whole[at + 8 :])
        refused(path, "table of packets")
        events, counts = repaired(path, on_damage="salvage")
        assert events.t.tolist() == stamps
        assert counts == {"damaged_bytes": len(whole) - table_at}
    whole = with_table(lambda _: b"\xff" * 100)
    events, counts = repaired(path, on_damage="salvage")
    assert events.t.tolist() == stamps
    assert counts == {"damaged_bytes": len(whole) - table_at}


def test_salvage__keeps_what_is_before_a_damaged_packet_of_any_stream(tmp_path):
    packets = honest_packets()
    ways = (
        (1, (1, poked(packets[1][1], "<I", 4, 2**32 - 1), *packets[1][2:])),
        (2, (0, bytes(len(packets[2][1])), *packets[2][2:])),
        (2, (0, packets[2][1], 3, 120, 130)),  # not as its table says
    )
    path = tmp_path / "a.aedat4"
    for k, damaged in ways:
        listed = [damaged if j == k else packet for j, packet in enumerate(packets)]
        path = by_hand(path, listed, table=table_of)
        offset = refused(path, ".").offset
        with open_recording(path, reading=Reading(on_damage="salvage")) as recording:
            both = [list(recording.batches()), list(recording.batches(side=False))]
            assert recording.repairs == {"damaged_bytes": path.stat().st_size - offset}
        for batches in both:
            assert joined(batches, Events)["t"].tolist() == [0, 5, 5, 10]
        assert sum(isinstance(batch, Triggers) for batch in both[0]) == k - 1


def test_header__that_is_damaged_cannot_be_salvaged(tmp_path):
    path = tmp_path / "a.aedat4"
    for content in (MAGIC + bytes(50), header("<dv/>", compression=5), header("<dv>")):
        path.write_bytes(content)
        with pytest.raises(RecordingError):
            Aedat4Recording(path, reading=Reading(on_damage="salvage"))


@pytest.mark.parametrize("name", REAL)
def test_recording__of_a_camera_is_the_same_in_every_way_of_reading(name):
    with Aedat4Recording(shared_file(name), threads=1) as recording:
        offset, strict = recording.t_offset, list(recording.batches())
    ways = (
        {"threads": 3},
        {"reading": Reading("sort", "drop", "salvage")},
        {"reading": Reading(on_damage="salvage"), "threads": 1},
    )
    for options in ways:
        with Aedat4Recording(shared_file(name), **options) as recording:
            assert recording.t_offset == offset
            batches = list(recording.batches())
            assert set(recording.repairs.values()) <= {0}
        for kind in (Events, Imu):
            expected = joined(strict, kind)
            for column, got in joined(batches, kind).items():
                np.testing.assert_array_equal(got, expected[column])


# Threads


def threads_ahead() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("evreel-prefetch")]


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("indexed", [True, False])
def test_threads__do_not_change_what_is_read(compression, indexed, tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 700)
    monkeypatch.setattr("evreel.recordings.aedat4.read.BUNDLE_BYTES", 40_000)
    events = random_events(9_000, stop_us=5_000)
    path = write(tmp_path / "a.aedat4", events, compression=compression, events_per_packet=160)
    if not indexed:
        path = without_table(path, tmp_path / "b.aedat4")
    for span in ((None, None), (1_000, 3_100)):
        sizes = set()
        for threads in (1, 2, 5):
            with Aedat4Recording(path, threads=threads) as recording:
                batches = list(recording.batches(*span))
            got = Events.concatenate(batches, recording.sensor)
            assert_equal_events(got, events[_inside(events, *span)])
            sizes.add(tuple(map(len, batches)))
        assert len(sizes) == 1
    assert threads_ahead() == []
    with pytest.raises(UsageError, match="threads=0 is not 1 or more"):
        Aedat4Recording(path, threads=0)


@pytest.mark.parametrize("budget", [0, 3_000, 10_000])
def test_threads__leave_what_unpacks_to_much_to_the_caller(budget, tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.read.AHEAD_BYTES", budget)
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 700)
    events = random_events(5_000)
    for compression in PACK:
        packets = [
            (0, event_packet([*zip(part.t + 5, part.x, part.y, part.p, strict=True)]))
            for part in (events[k : k + 160] for k in range(0, len(events), 160))
        ]
        path = by_hand(tmp_path / "a.aedat4", packets, compression=compression)
        assert_equal_events(read(path, threads=3), events)


def test_error__of_one_packet_is_the_same_for_any_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 300)
    events = random_events(4_000)
    path = write(tmp_path / "a.aedat4", events, events_per_packet=100)
    with Aedat4Recording(path) as recording:
        packets = list(recording._packets(None, None))
    whole = path.read_bytes()
    for k in (1, 2, 17, 39):
        damaged = bytearray(whole)
        damaged[packets[k].start + 8 : packets[k].stop] = bytes(packets[k].size)
        path.write_bytes(damaged)
        found = set()
        for threads in (1, 2, 5):
            with Aedat4Recording(path, threads=threads) as recording:
                seen = 0
                with pytest.raises(RecordingError) as caught:
                    for batch in recording.batches():
                        seen += len(batch)
                assert seen == 100 * k
                found.add((str(caught.value), caught.value.offset))
        assert {offset for _, offset in found} == {packets[k].start}
        assert len(found) == 1
    assert threads_ahead() == []


def test_threads__are_gone_when_a_pass_is_left_or_the_file_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 100)
    path = write(tmp_path / "a.aedat4", random_events(9_000), events_per_packet=100)
    with Aedat4Recording(path, threads=3) as recording:
        for k, _ in enumerate(recording.batches()):
            if k == 3:
                assert threads_ahead()
                break
        gc.collect()
        assert threads_ahead() == []
        first, second = recording.batches(), recording.batches()
        next(first)
        next(second)
        assert threads_ahead()
        first.close()
        assert threads_ahead()
    assert threads_ahead() == []
    with pytest.raises(ValueError, match="closed"):
        list(second)


def test_side_false__leaves_packets_of_side_streams_unread(tmp_path):
    streams = [stream_xml(0, "EVTS"), stream_xml(2, "FRME")]
    packets = [(0, event_packet(FOUR), 4, 100, 110), (2, b"no frame", 0, 105, 105)]
    for table in (table_of, None):
        path = by_hand(tmp_path / "a.aedat4", packets, streams, table=table)
        refused(path, "too few for a flatbuffer")
        with Aedat4Recording(path) as recording:
            for span in ((None, None), (0, 6)):
                (events,) = recording.batches(*span, side=False)
                assert len(events) == (4 if span[1] is None else 3)


# Memory


def test_import__allocates_nothing_that_only_reading_needs(tmp_path):
    path = write(tmp_path / "a.aedat4", random_events(10, sensor=(48, 64), stop_us=100, seed=1))
    script = """
import sys, tracemalloc
import lxml.etree, lz4.frame, numpy, zstandard
tracemalloc.start()
from evreel.recordings.aedat4 import Aedat4Recording
peaks = [tracemalloc.get_traced_memory()[1]]
for _ in range(2):
    tracemalloc.reset_peak()
    with Aedat4Recording(sys.argv[1], threads=1) as recording:
        list(recording.batches())
    peaks.append(tracemalloc.get_traced_memory()[1])
print(*peaks)
"""
    run = [sys.executable, "-c", script, str(path)]
    imported, first, second = map(int, subprocess.check_output(run, timeout=60).split())
    assert max(imported, first, second) < 1 << 23


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_reading__takes_memory_for_batches_whatever_the_length(
    compression, threads, tmp_path, monkeypatch
):
    monkeypatch.setattr("evreel.recordings.aedat4.gather.BATCH_ROWS", 1 << 14)
    peaks = []
    for n in (100_000, 500_000):
        path = write(tmp_path / f"{n}.aedat4", random_events(n), compression=compression)
        rows = []

        def reading(path=path, rows=rows):
            with Aedat4Recording(path, threads=threads) as recording:
                rows.extend(len(batch.t) for batch in recording.batches())

        peaks.append(peak_of(reading))
        assert sum(rows) == n
    # With two threads, how far ahead one is varies.
    assert max(peaks) < 4 * 2**20  # the longer one has 8 MB
    if threads == 1:
        assert peaks[1] < peaks[0] + 2**17


def test_info__of_a_file_that_was_cut_counts_what_is_whole_and_says_how_to_keep_it(tmp_path):
    path = write(tmp_path / "a.aedat4", random_events(50_000))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = steps.info(path)
    assert 0 < found["events"] < 50_000
    assert "the table of packets begins at byte" in found["problems"][0]
    with pytest.raises(RecordingError, match="on_damage: salvage to read what is whole"):
        steps.events(path, tmp_path / "a.h5")
    kept = steps.EventsSettings(on_damage="salvage")
    steps.events(path, tmp_path / "a.h5", kept)
    assert steps.info(tmp_path / "a.h5")["events"] == found["events"]


def test_salvage__of_a_file_without_a_whole_packet_says_that(tmp_path):
    path = write(tmp_path / "a.aedat4", random_events(1_000))
    head = len(without_table(path, tmp_path / "b.aedat4").read_bytes()) // 2
    path.write_bytes(path.read_bytes()[:head])
    with pytest.raises(RecordingError, match="nothing is whole before the damage"):
        steps.events(path, tmp_path / "a.h5", steps.EventsSettings(on_damage="salvage"))
    assert not (tmp_path / "a.h5").exists()
