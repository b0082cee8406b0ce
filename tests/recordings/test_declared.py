"""Declared columns: every layout by its preset, units, scales, shifts, and what is wrong."""

from __future__ import annotations

import re
from fractions import Fraction

import h5py
import hdf5plugin
import numpy as np
import pytest

from evreel import steps
from evreel.dataset.settings import EventsSettings
from evreel.errors import ParameterError, RecordingError, UnknownFormatError, UsageError
from evreel.events import Sensor
from evreel.files import inspection, probe
from evreel.recordings import columns as reader
from evreel.recordings import open_recording
from evreel.recordings.declared import PRESETS, Column, converted, declaration
from evreel.recordings.open import Reading
from recordings.rows import read
from recordings.rows import refused as refused_file
from support.writers import columns as made

SENSOR = Sensor(6, 8)
ROWS = [(10, 1, 2, 1), (10, 7, 5, 0), (13, 0, 0, 1), (2_000_000, 3, 4, 0)]
T, X, Y, P = (np.array(column) for column in zip(*ROWS, strict=True))
EPOCH_S = 1_468_941_032
SIGNED = np.where(P == 1, 1, -1)


@pytest.fixture(autouse=True)
def looked_at_here(monkeypatch):
    """Look at the structure of HDF5 in this process; `test_hdf5` shows that another one does it."""

    def inspected(path, task, *names):
        with h5py.File(path, "r") as file:
            return probe.description(file, names)

    monkeypatch.setattr(inspection, "_inspected", inspected)


def by(columns: str) -> Reading:
    return Reading(columns=columns)


def rows_of(path, columns, sensor=SENSOR):
    return read(path, sensor=sensor, reading=by(columns))[0]


def refused(path, columns, kind=RecordingError):
    return refused_file(path, kind, sensor=SENSOR, reading=by(columns))


def hdf5(path, options=None, **sets):
    """Write data sets; `__` in a name stands for /."""
    with h5py.File(path, "w") as file:
        for name, values in sets.items():
            values = np.asarray(values)
            file.create_dataset(
                name.replace("__", "/"), data=values, **(options or {}) if values.ndim else {}
            )
    return path


# Presets


def side_by_side(*columns, dtype):
    return np.stack([np.asarray(column).astype(dtype) for column in columns], axis=1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_m3ed__is_read_in_its_own_compression(tmp_path, side):
    path = tmp_path / "car.h5"
    columns = {"t": T, "x": X.astype("u2"), "y": Y.astype("u2"), "p": P.astype("i1")}
    with h5py.File(path, "w") as file:
        for at, moved in (("left", 0), ("right", 1)):
            for name, values in columns.items():
                group = file.require_group(f"prophesee/{at}")
                group.create_dataset(name, data=values + moved * (name == "t"), compression="lzf")
            group["ms_map_idx"] = np.zeros(3, np.uint64)
    preset = {"left": "m3ed", "right": "m3ed-right"}[side]
    moved = side == "right"
    assert rows_of(path, preset, None) == [(t + moved, x, y, p) for t, x, y, p in ROWS]
    with open_recording(path, reading=by(preset)) as recording:
        assert recording.sensor == Sensor(720, 1280)
        assert recording.format == "hdf5-columns"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (3, 4), "compression": "gzip"},
        {"chunks": (3, 1), "compression": "gzip", "shuffle": True},
        {"chunks": (2, 3), "maxshape": (None, 4), **hdf5plugin.Zstd()},
        {"chunks": (8, 8), "maxshape": (None, None), "compression": "lzf"},
    ],
    ids=["plain", "whole rows", "a column each", "uneven", "wider"],
)
def test_mvsec__keeps_every_microsecond_of_its_epoch(tmp_path, options):
    seconds = EPOCH_S + T / 1e6
    left = side_by_side(X, Y, seconds, SIGNED, dtype="f8")
    right = side_by_side(X, Y, seconds + 1, SIGNED, dtype="f8")
    path = hdf5(tmp_path / "e.hdf5", options, davis__left__events=left, davis__right__events=right)
    moved = EPOCH_S * 10**6
    assert rows_of(path, "mvsec", None) == [(t + moved, *row) for t, *row in ROWS]
    assert rows_of(path, "mvsec-right", None)[0][0] == moved + 10**6 + 10


def test_tum_vie__has_the_size_of_its_sensor(tmp_path):
    path = hdf5(tmp_path / "e.h5", events__t=T, events__x=X, events__y=Y, events__p=P)
    assert rows_of(path, "tum-vie", None) == ROWS
    with open_recording(path, sensor=SENSOR, reading=by("tum-vie")) as recording:
        assert recording.sensor == SENSOR, "what is given counts more"


@pytest.mark.parametrize("flat", [True, False])
def test_ev_imo2__is_read_from_a_zip_file_in_a_folder_of_it_and_in_a_folder(tmp_path, flat):
    arrays = {
        "t": T / 1e6,
        "xy": side_by_side(X, Y, dtype="u2"),
        "p": P.astype("u1"),
    }
    if not flat:
        arrays |= {"t": arrays["t"][:, None], "p": arrays["p"][:, None]}
    files = {f"dataset_events_{name}.npy": made.npy(array) for name, array in arrays.items()}
    folder = tmp_path / "scene"
    folder.mkdir()
    for name, content in (files | {"dataset_info.npz": b"PK"}).items():
        (folder / name).write_bytes(content)
    packed = tmp_path / "scene.zip"
    packed.write_bytes(made.zipped({f"scene/{name}": data for name, data in files.items()}))
    for path in (packed, folder):
        assert rows_of(path, "ev-imo2", None) == ROWS


def test_v2e__is_read_by_columns(tmp_path):
    options = {"chunks": (2, 4), "maxshape": (None, 4), "compression": "gzip"}
    path = hdf5(tmp_path / "e.h5", options, events=side_by_side(T, X, Y, P, dtype="u4"))
    assert rows_of(path, "v2e") == rows_of(path, "t[us], x, y, p") == ROWS
    assert rows_of(path, "t[ms], x, y, p")[1] == (10_000, 7, 5, 0)
    with pytest.raises(RecordingError, match="does not state the sensor's size"):
        open_recording(path, reading=by("v2e"))


@pytest.mark.parametrize("part", [0, 17, 31])
def test_bs_ergb__counts_thirty_seconds_of_pixels(tmp_path, part):
    path = tmp_path / "000001.npz"
    path.write_bytes(made.npz(timestamp=T, x=X * 32 + part, y=Y * 32 + part, polarity=P))
    assert rows_of(path, "bs-ergb", None) == ROWS


def test_eventaid__may_be_arrays_of_its_columns(tmp_path):
    path = tmp_path / "e.npz"
    path.write_bytes(made.npz(events=side_by_side(T, X, Y, P, dtype="f8")))
    assert rows_of(path, "eventaid") == ROWS
    path.write_bytes(made.npz(**made.columns(ROWS)))
    assert rows_of(path, "eventaid") == ROWS


def test_declaration__may_have_blanks_for_commas_and_either_sign_for_micro():
    plain = declaration("-, t[us], x, y, p")
    for said in ("- t[us] x y p", "-,t [us],x,y,p", "-, t[µs], x, y, p", " - t[\u03bcs] x y p "):
        assert (declaration(said).order, declaration(said).columns) == (plain.order, plain.columns)


def test_presets__are_valid_and_read_in_any_case():
    for name, (text, sensor) in PRESETS.items():
        assert declaration(name.upper()).columns == declaration(text).columns
        assert declaration(name).sensor == sensor


# Places, units, scales and shifts


@pytest.mark.parametrize("kind", ["hdf5", "npz"])
def test_places__may_be_anywhere_with_unit_scale_and_shift(tmp_path, kind):
    records = np.zeros(4, [("ts", "<u8"), ("col", "f4"), ("pad", "u1")])
    records["ts"], records["col"] = T * 1000 + 999, X * 2 + 1
    sets = {"cam__r": records, "cam__rows": Y + 1, "start": np.int64(5_999), "cam__on": P == 1}
    text = "t[ns] = cam/r[ts] + start, x = cam/r[col] * 0.5, y = cam/rows - 1, p = cam/on"
    if kind == "hdf5":
        path = hdf5(tmp_path / "e.h5", **sets)
    else:
        path = tmp_path / "e.npz"
        path.write_bytes(made.npz(**{name.replace("__", "/"): each for name, each in sets.items()}))
    assert rows_of(path, text) == [(t + 6, *row) for t, *row in ROWS], (
        "added before times become whole"
    )


def test_npy__of_two_dimensions_or_other_fields_is_declared(tmp_path):
    path = tmp_path / "e.npy"
    np.save(path, side_by_side(X, Y, P, np.zeros(4), T / 1000, dtype="f8"))
    assert rows_of(path, "x, y, p, -, t[ms]") == ROWS
    assert "has 5 columns, but 4 are declared" in refused(path, "t, x, y, p")
    records = np.zeros(4, [("when", "f8"), ("u", "u2"), ("v", "u2"), ("on", "?")])
    for name, values in zip(records.dtype.names, (T / 1e6, X, Y, P), strict=True):
        records[name] = values
    np.save(path, records)
    assert rows_of(path, "t[s] = when, x = u, y = v, p = on") == ROWS
    assert rows_of(path, "t[s], x, y, p") == ROWS
    assert "no column w among its fields when, u" in refused(path, "t = when, x = w, y = v, p = on")
    np.save(path, np.asfortranarray(side_by_side(T, X, Y, P, dtype="f8")))
    assert "ascontiguousarray" in refused(path, "t, x, y, p", UnknownFormatError)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("dtype", ["i8", "u8", "f8", "f4"])
def test_times__are_the_nearest_microsecond_or_the_one_before_of_whole_numbers(unit, dtype):
    factor = {
        "s": Fraction(10**6),
        "ms": Fraction(1000),
        "us": Fraction(1),
        "ns": Fraction(1, 1000),
    }
    values = np.array([0, 1, 999, 1_000, 1_001, 123_456_789]).astype(dtype)
    if dtype.startswith("f"):
        values = values / np.array(7, dtype)
    column = declaration(f"t[{unit}], x, y, p").columns["t"]
    got, n, problem = converted("t", values, column)
    assert (n, problem) == (len(values), None)
    for value, time in zip(values.tolist(), got.tolist(), strict=True):
        exact = Fraction(value) * factor[unit]
        if dtype.startswith("f"):
            assert abs(time - exact) <= Fraction(1, 2) + exact / 2**52
        else:
            assert time == exact.numerator // exact.denominator


def test_numbers__beyond_what_can_be_kept_are_found_in_place():
    for dtype in ("i8", "u8", "f8"):
        for role, most in (("t", 1 << 53), ("x", 1 << 31)):
            for factor in (Fraction(1), Fraction(3, 7), Fraction(1000)):
                column = Column(unit="us", scale=factor, shift=-5)
                last = int((most + 5) / factor)
                values = np.array([5, last, 2 * last + 9, 7]).astype(dtype)
                got, n, problem = converted(role, values, column)
                assert n == 2 and problem.startswith(f"{role}={values[2]} is")
                exact = last * factor.numerator // factor.denominator - 5
                assert abs(got[1] - exact) <= (dtype == "f8") * 4
    for value in (np.nan, np.inf, -np.inf):
        assert converted("t", np.array([value]), Column(unit="s"))[1:] == (
            0,
            f"t={value} is not a time",
        )


# What is wrong


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "is not the name of a layout"),
        ("mvsek", "did you mean 'mvsec'"),
        ("t, x, y", "lacks p"),
        ("t, x, y, p, t", "has t twice"),
        ("t, x, y, q", "'q', which is none of t, x, y, p and -"),
        ("t[h], x, y, p", "unit 'h'"),
        ("t, x[s], y, p", "a unit for x"),
        ("t = a, x = b, y = c", "does not say where p is"),
        ("t = a, x = b, y = c, p = d, x = e", "has x twice"),
        ("t = a, x = b, y = c, p", "'p', which is not a column and its place"),
        ("t = a, x = b / 0, y = c, p = d", "scales x by '0', which is not a number above 0"),
        ("t = a, x = b - c, y = c, p = d", "a data set may be added to t alone"),
        ("t = a, x = b + 0.12345, y = c, p = d", "too many digits"),
        ("t = a * 99999999999, x = b, y = c, p = d", "too many digits"),
        ("t = a + 1/0, x = b + 1/0, y = c, p = d", "'1/0', which is not a number"),
        ("t = a + 1e9999999, x = b / 1e9999999, y = c, p = d", "'1e9999999', which is not"),
        ("t[s] = a + 99999999999, x = b, y = c, p = d", "shifts t too far"),
        ("t = a\0, x = b, y = c, p = d", "a character that is not printed"),
        ("t = a" + " " * 150 + "], x = b, y = c, p = d", "no place for t"),
        ("t = a[, x = b, y = c, p = d", "no place for t"),
        ("t = /, x = b, y = c, p = d", "no place for t"),
        ("t = " + "a" * 1000 + ", x = b, y = c, p = d", "more than 1000 characters"),
    ],
)
def test_wrong_declaration__says_what_is_wrong_before_anything_is_read(said, problem):
    with pytest.raises(UsageError, match=re.escape(problem)) as caught:
        declaration(said)
    assert "m3ed" in str(caught.value)
    with pytest.raises(ParameterError, match=re.escape(problem)):
        Reading(columns=said)


def test_unknown_hdf5__is_listed_with_the_line_to_write(tmp_path):
    sets = {"cam__ts": T / 1e6, "cam__xs": X, "cam__ys": Y, "cam__ps": P, "pose": np.zeros((9, 7))}
    path = hdf5(tmp_path / "e.h5", **sets)
    message = refused_file(path, UnknownFormatError, sensor=SENSOR)
    assert "cam/ts (4,)" in message and "pose (9, 7)" in message
    (line,) = re.findall(r"Declare its columns.*?: (.*?) \(", message)
    assert rows_of(path, line) == ROWS, "the line that it says is right"
    message = refused(path, "m3ed", UnknownFormatError)
    assert "has no data set prophesee/left/t" in message and line in message
    m3ed = hdf5(tmp_path / "m.h5", **{f"prophesee__left__{name}": T for name in "txyp"})
    assert "Declare its columns: m3ed (" in refused_file(m3ed, sensor=SENSOR)
    records = hdf5(tmp_path / "r.h5", all__e=made.records(ROWS))
    (line,) = re.findall(r"Declare its columns.*?: (.*?) \(", refused_file(records, sensor=SENSOR))
    assert rows_of(records, line) == ROWS
    two = hdf5(tmp_path / "t.h5", a=np.zeros((3, 4)), b=np.zeros((3, 4)))
    assert "has 2 data sets with 4 columns" in refused(two, "t, x, y, p")


def test_unknown_npz__is_listed_with_the_line_to_write(tmp_path):
    path = tmp_path / "e.npz"
    path.write_bytes(made.npz(events=side_by_side(T / 1e6, X, Y, P, dtype="f8")))
    message = refused_file(path, sensor=SENSOR)
    assert "it holds events (4, 4)" in message
    (line,) = re.findall(r"Declare its columns.*?: (.*?) \(", message)
    assert rows_of(path, line) == ROWS
    assert "has no array q; it holds events" in refused(path, "t = q, x = q, y = q, p = q")
    assert "array events has 0, 1, 2, 3" in refused(
        path, "t = events[4], x = events[1], y = events[2], p = events[3]"
    )
    assert "array events has 0, 1, 2, 3" in refused(
        path, "t = events, x = events[1], y = events[2], p = events[3]"
    )


def test_places__of_the_wrong_kind_are_errors(tmp_path):
    sets = {
        "a": T,
        "b": np.zeros((4, 2)),
        "c": np.zeros((4, 2, 2)),
        "d": np.zeros((4, 99)),
        "e": 1.5,
    }
    path = hdf5(tmp_path / "e.h5", **sets)
    ends = ", x = a, y = a, p = a"
    assert "b has 0, 1" in refused(path, "t = b[2]" + ends, UnknownFormatError)
    assert "a[1] is not a column: a is of int64" in refused(
        path, "t = a[1]" + ends, UnknownFormatError
    )
    assert "(4, 2, 2)" in refused(path, "t = c" + ends, UnknownFormatError)
    assert "(4, 99)" in refused(path, "t = d[1]" + ends, UnknownFormatError)
    assert "b is of shape (4, 2)" in refused(path, "t = a + b" + ends, UnknownFormatError)
    assert "a is not one number" in refused(path, "t = a + a" + ends, UnknownFormatError)
    said = "t[ms] = a + e, x = xy[0], y = xy[1], p = on"
    path = hdf5(path, a=T, xy=side_by_side(X, Y, dtype="u1"), on=P, e=1.5)
    assert rows_of(path, said)[0][0] == 11_500


def test_suggested_line__is_one_that_reads_or_none(tmp_path):
    odd = hdf5(tmp_path / "odd.h5", **{"c, d__t": T, "c, d__x": X, "c, d__y": Y, "c, d__p": P})
    assert "t[UNIT] = NAME" in refused_file(odd, sensor=SENSOR)
    path = tmp_path / "e.npy"
    np.save(path, side_by_side(T, X, Y, P, dtype="i8"))
    (line,) = re.findall(r"in their order, such as (.*?) or ", refused_file(path, sensor=SENSOR))
    assert rows_of(path, line) == ROWS
    partly = hdf5(tmp_path / "p.h5", events__t=T, events__x=X, events__y=Y, events__polarity=P)
    message = refused_file(partly, UnknownFormatError, sensor=SENSOR)
    (line,) = re.findall(r"Declare its columns: (.*?) \(", message)
    assert "has no data set events/p" in message and rows_of(partly, line) == ROWS


def test_guess__takes_pairs_units_and_fields_by_their_names(tmp_path):
    pair = side_by_side(X, Y, dtype="u2")
    path = hdf5(tmp_path / "e.h5", camera__ts=T / 1e6, camera__xy=pair, camera__pol=SIGNED)
    message = refused_file(path, UnknownFormatError, sensor=SENSOR)
    assert "camera/ts (4,) float64" in message
    (line,) = re.findall(r"Declare its columns.*?: (.*?) \(", message)
    assert rows_of(path, line) == ROWS
    named = {"d__time_ns": T * 1000, "d__x": X, "d__y": Y, "d__on": P}
    path = hdf5(tmp_path / "n.h5", **named)
    (line,) = re.findall(r"Declare its columns.*?: (.*?) \(", refused_file(path, sensor=SENSOR))
    assert line.startswith("t[ns] = d/time_ns") and rows_of(path, line) == ROWS


def test_mistake__in_the_table_stops_a_run_before_it_begins():
    with pytest.raises(ParameterError, match="the unit 'sec'"):
        EventsSettings(columns="t[sec], x, y, p")


def test_contents__are_found_below_many_groups_and_in_circles(tmp_path):
    with h5py.File(tmp_path / "e.h5", "w") as file:
        for k in range(400):
            file.create_group(f"a{k}")
        for name, values in zip("txyp", (T, X, Y, P), strict=True):
            file[f"z/{name}"] = values
        file["z/loop"] = file["z"]
    message = refused_file(tmp_path / "e.h5", sensor=SENSOR)
    assert "it holds z/p (4,) int64; z/t (4,) int64; z/x (4,) int64; z/y (4,) int64. " in message
    many = hdf5(tmp_path / "m.h5", **{f"s{k:03}": T for k in range(250)})
    assert "; …" in refused_file(many, sensor=SENSOR)


def test_records__of_two_dimensions_are_refused(tmp_path):
    records = np.stack([made.records(ROWS)] * 2, 1)
    path = hdf5(tmp_path / "e.h5", e=records)
    said = "t = e[t], x = e[x], y = e[y], p = e[p]"
    assert "(4, 2)" in refused(path, said, UnknownFormatError)


def test_salvaged_rows__have_the_offset_of_the_clock(tmp_path):
    times = np.array([100.0, 101.0, np.nan, 103.0])
    path = hdf5(tmp_path / "e.h5", events__t=times, events__x=X, events__y=Y, events__p=P)
    with h5py.File(path, "a") as file:
        file["t_offset"] = 1_000_000
    reading = Reading(on_damage="salvage")
    assert [row[0] for row in read(path, sensor=SENSOR, reading=reading)[0]] == [
        1_000_100,
        1_000_101,
    ]


def test_whole_numbers__beyond_an_int64_are_divided_first():
    columns = declaration("t[ns] = a / 10, x = b, y = c, p = d").columns
    values = np.array([2**63 + 50_000], np.uint64)
    assert converted("t", values, columns["t"])[0].tolist() == [(2**63 + 50_000) // 10_000]


@pytest.mark.parametrize("start", [1_468_941_032_229_165_123, -5])
def test_shift__of_a_data_set_may_be_as_far_as_the_epoch(tmp_path, start):
    sets = {"c__t": T * 1000 + 999, "c__x": X, "c__y": Y, "c__p": P, "c__start": np.int64(start)}
    path = hdf5(tmp_path / "e.h5", **sets)
    said = "t[ns] = c/t + c/start, x = c/x, y = c/y, p = c/p"
    assert [row[0] for row in rows_of(path, said)] == [(t * 1000 + 999 + start) // 1000 for t in T]


def test_times__that_skip_microseconds_are_counted(tmp_path):
    seconds = (1_000 + T / 1e6).astype(np.float32)
    path = hdf5(tmp_path / "e.h5", c__t=seconds, c__x=X, c__y=Y, c__p=P)
    columns = "t[s] = c/t, x = c/x, y = c/y, p = c/p"
    _, repairs = read(path, sensor=SENSOR, reading=by(columns))
    assert repairs == {"coarse_times": 4}
    hdf5(path, c__t=1_000 + T / 1e6, c__x=X, c__y=Y, c__p=P)
    assert read(path, sensor=SENSOR, reading=by(columns))[1] == {}


@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_polarities__that_are_scaled_must_be_whole(tmp_path, dtype):
    said = "t = t, x = x, y = y, p = p / 255"
    path = tmp_path / "e.npz"
    path.write_bytes(made.npz(t=T, x=X, y=Y, p=(P * 255).astype(dtype)))
    assert rows_of(path, said) == ROWS
    path.write_bytes(made.npz(t=T, x=X, y=Y, p=np.array([255, 254, 0, 1]).astype(dtype)))
    assert "p=254" in refused(path, said)


def test_size__that_the_file_states_counts_more_than_a_preset(tmp_path):
    path = hdf5(tmp_path / "e.h5", events__t=T, events__x=X, events__y=Y, events__p=P)
    with h5py.File(path, "a") as file:
        file["events/height"], file["events/width"] = 480, 640
    with open_recording(path, reading=by("tum-vie")) as recording:
        assert recording.sensor == Sensor(480, 640)
    assert "states a sensor of 640x480" in refused(path, "tum-vie")
    packed = tmp_path / "e.npz"
    arrays = {"timestamp": T, "x": X * 32, "y": Y * 32, "polarity": P}
    packed.write_bytes(made.npz(**arrays, height=np.array(480), width=np.array(640)))
    with open_recording(packed, reading=by("bs-ergb")) as recording:
        assert recording.sensor == Sensor(480, 640)


def test_order__does_not_pick_another_array_than_the_named_ones(tmp_path):
    path = tmp_path / "e.npz"
    path.write_bytes(made.npz(**made.columns(ROWS), K=np.zeros((3, 4))))
    assert rows_of(path, "eventaid") == ROWS
    sets = {f"events__{name}": values for name, values in zip("txyp", (T, X, Y, P), strict=True)}
    assert rows_of(hdf5(tmp_path / "e.h5", calib=np.eye(4), **sets), "t, x, y, p") == ROWS
    records = tmp_path / "e.npy"
    np.save(records, made.records(ROWS))
    assert "another order than is declared" in refused(records, "x, y, t, p")
    assert "nothing like start" in refused(records, "t = t + start, x = x, y = y, p = p")
    assert "nothing like [t]" in refused(records, "t = e[t], x = e[x], y = e[y], p = e[p]")


def test_folder__without_the_declared_files_is_listed(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(UnknownFormatError, match="without npz, npy and text files"):
        open_recording(tmp_path / "f", sensor=SENSOR, reading=by("t, x, y, p"))
    np.save(tmp_path / "f" / "events.npy", side_by_side(T, X, Y, P, dtype="i8"))
    assert rows_of(tmp_path / "f", "t, x, y, p") == ROWS
    assert "it holds events (4, 4)" in refused(tmp_path / "f", "ev-imo2", UnknownFormatError)


def test_store__of_a_folder_is_put_elsewhere(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    np.save(folder / "events.npy", side_by_side(T, X, Y, P, dtype="i8"))
    settings = EventsSettings(columns="t, x, y, p")
    with pytest.raises(UsageError, match="is in the folder that is read"):
        steps.events(folder, folder / "e.h5", settings, sensor="8x6")
    steps.events(folder, tmp_path / "e.h5", settings, sensor="8x6")
    assert read(tmp_path / "e.h5")[0] == ROWS


def test_rows__are_read_by_their_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "PIECE_BYTES", 200)
    wide = np.zeros((4, 60))
    wide[:, :4] = side_by_side(T, X, Y, P, dtype="f8")
    order = "t, x, y, p" + ", -" * 56
    np.save(tmp_path / "e.npy", wide)
    (tmp_path / "e.npz").write_bytes(made.npz(e=wide))
    hdf5(tmp_path / "e.h5", e=wide)
    for name in ("e.npy", "e.npz", "e.h5"):
        assert rows_of(tmp_path / name, order) == ROWS


def test_columns__are_refused_where_a_format_has_its_own(tmp_path):
    path = tmp_path / "e.aedat4"
    path.write_bytes(b"#!AER-DAT4.0\r\n")
    with pytest.raises(UsageError, match="columns cannot be declared of AEDAT 4"):
        open_recording(path, reading=by("t, x, y, p"))


def test_damage__in_a_narrow_chunk_is_salvaged_up_to_it(tmp_path):
    many = [(t, t % 8, t % 6, t % 2) for t in range(100)]
    t, x, y, p = (np.array(column) for column in zip(*many, strict=True))
    options = {"chunks": (10, 1), "compression": "gzip", "fletcher32": True}
    path = hdf5(tmp_path / "e.h5", options, events=side_by_side(t, x, y, p, dtype="u4"))
    with h5py.File(path) as file:
        chunk = file["events"].id.get_chunk_info_by_coord((50, 2))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 5] ^= 0xFF
    path.write_bytes(content)
    assert "events, row 50: a chunk" in refused(path, "v2e")
    reading = Reading(columns="v2e", on_damage="salvage")
    assert read(path, sensor=SENSOR, reading=reading)[0] == many[:50]
