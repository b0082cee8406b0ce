"""Folders of npz, npy and text files that are one recording: order, errors, damage, strays."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zstandard

import evreel
from evreel import cli, steps
from evreel.dataset.settings import EventsSettings
from evreel.errors import (
    CodingError,
    EvreelError,
    JumpError,
    RecordingError,
    UnknownFormatError,
)
from evreel.events import Sensor
from evreel.files.events_store import EventsStore
from evreel.folders import listing_of
from evreel.recordings import open_recording
from evreel.recordings.open import Reading
from evreel.recordings.series import missing
from recordings.rows import read
from recordings.rows import refused as refused_file
from recordings.rows import rows as read_rows
from support.writers import columns as made

SENSOR = Sensor(6, 8)
ROWS = [(5_000 + 7 * (k // 2), k % 8, k % 6, k % 2) for k in range(60)]
BY_NAME = "t, x, y, p"
NAMES = [f"{k:06d}" for k in range(6)]


def npz_of(rows, **more):
    return made.npz(**made.columns(rows), **more)


def ergb(rows):
    t, x, y, p = (np.array(column) for column in zip(*rows, strict=True))
    return made.npz(timestamp=t, x=x * 32 + 7, y=y * 32 + 31, polarity=p)


def npy_of(rows):
    return made.npy(made.records(rows))


def text_of(rows):
    return "".join(f"{t} {x} {y} {p}\n" for t, x, y, p in rows).encode()


def packed(rows):
    return gzip.compress(text_of(rows))


KINDS = {
    ".npz": (npz_of, BY_NAME),
    ".npy": (npy_of, "t = t, x = x, y = y, p = p"),
    ".txt": (text_of, "t[us], x, y, p"),
    ".csv.gz": (packed, "t[us], x, y, p"),
    ".tsv.zst": (lambda rows: zstandard.compress(text_of(rows)), "t[us], x, y, p"),
}


def parts_of(rows, n=6):
    """Return rows in parts, of which some events of equal times are in two."""
    return [rows[k * len(rows) // n : (k + 1) * len(rows) // n] for k in range(n)]


def written(path, contents):
    """Write files, name → bytes, into a folder."""
    path.mkdir(exist_ok=True)
    for name, content in contents.items():
        (path / name).write_bytes(content)
    return path


def folder_of(path, suffix=".npz", names=NAMES, rows=ROWS):
    """Write a folder of one kind of files; return it, and what is declared of it."""
    write, columns = KINDS[suffix]
    parts = parts_of(rows, len(names))
    files = {f"{name}{suffix}": write(part) for name, part in zip(names, parts, strict=True)}
    return written(path, files), columns


def rows_of(path, columns=BY_NAME, sensor=SENSOR, **reading):
    return read(path, sensor=sensor, reading=Reading(columns=columns, **reading))


def refused(path, columns=BY_NAME, kind=RecordingError, **reading):
    said = Reading(columns=columns, **reading)
    return refused_file(path, kind, sensor=SENSOR, reading=said)


# What is read


@pytest.mark.parametrize("suffix", KINDS)
def test_folder__has_the_events_of_its_files_end_to_end(tmp_path, suffix):
    folder, columns = folder_of(tmp_path / "seq", suffix)
    assert rows_of(folder, columns) == (ROWS, {})
    each = [rows_of(file, columns)[0] for file in sorted(folder.iterdir())]
    assert list(itertools.chain(*each)) == ROWS
    with open_recording(folder, sensor=SENSOR, reading=Reading(columns=columns)) as recording:
        assert recording.format == {".npz": "npz", ".npy": "npy"}.get(suffix, "text")
        assert (recording.t_offset, recording.path) == (ROWS[0][0], folder)
        assert sum(len(chunk) for chunk in recording) == len(ROWS), "a second pass does the same"


def test_bs_ergb__is_a_folder_by_its_name_alone(tmp_path):
    names = (f"{k:06d}.npz" for k in range(6))
    folder = written(tmp_path / "events", dict(zip(names, map(ergb, parts_of(ROWS)), strict=True)))
    events = evreel.read(folder, columns="bs-ergb")
    assert events.sensor == Sensor(625, 970)
    assert (events.t + ROWS[0][0]).tolist() == [row[0] for row in ROWS]
    assert (events.x.tolist(), events.y.tolist()) == ([r[1] for r in ROWS], [r[2] for r in ROWS])
    assert events.p.tolist() == [row[3] for row in ROWS]


@pytest.mark.parametrize(
    "names",
    [
        ["7", "8", "9", "10", "11", "100"],
        ["a2_9", "a2_10", "a10_1", "a10_2", "b", "b1"],
        ["01", "2", "003", "4", "05", "0006"],
    ],
)
def test_numbers__in_names_are_ordered_by_value(tmp_path, names):
    folder, _ = folder_of(tmp_path / "seq", names=names)
    assert rows_of(folder)[0] == ROWS


def test_names__of_the_same_number_are_refused(tmp_path):
    folder, _ = folder_of(tmp_path / "seq", names=["1", "2", "3"])
    (folder / "02.npz").write_bytes(npz_of(ROWS))
    assert "has 2.npz and 02.npz" in refused(folder).replace("02.npz and 2.npz", "2.npz and 02.npz")
    folder, columns = folder_of(tmp_path / "texts", ".txt", ["1", "events"])
    (folder / "events.txt.gz").write_bytes(packed(ROWS))
    assert "same name" in refused(folder, columns)


def test_files__without_events_are_allowed(tmp_path):
    for suffix, (write, columns) in KINDS.items():
        files = {"0": write([]), "1": write(ROWS[:30]), "2": write([]), "3": write(ROWS[30:])}
        named = {f"{name}{suffix}": content for name, content in files.items()}
        folder = written(tmp_path / suffix, named)
        assert rows_of(folder, columns) == (ROWS, {}), suffix
    lists = made.npz(t=np.array([]), x=np.array([]), y=np.array([]), p=np.array([]))
    assert rows_of(written(tmp_path / ".npz", {"2.npz": lists}))[0] == ROWS
    assert rows_of(written(tmp_path / ".txt", {"2.txt": b""}), "t[us], x, y, p")[0] == ROWS
    nothing = written(tmp_path / "nothing", {"0.txt": b"", "1.txt": b""})
    assert rows_of(nothing, "t[us], x, y, p")[0] == []
    assert "not a whole zip file" in refused(written(tmp_path / ".npz", {"2.npz": b""}))


def test_other_files__are_left_aside(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    (folder / "sub").mkdir()
    others = {"README.txt": b"Events.", "times.csv": b"1,2", "0.png": b"", ".0.npz": b"", "a": b""}
    written(folder, others | {"._000001.npz": b"?"})
    assert rows_of(folder) == (ROWS, {})
    texts, columns = folder_of(tmp_path / "texts", ".txt")
    written(texts, {"README.txt": b"Events.", "readme.csv": b"", ".1.txt": b"?", "p.png": b""})
    assert rows_of(texts, columns) == (ROWS, {})
    only = written(tmp_path / "rpg", {"events.txt": text_of(ROWS), "imu.txt": b"0 1 2 3 4 5\n"})
    assert rows_of(only, columns) == (ROWS, {}), "as in a zip file"


def test_other_kinds__beside_it_are_refused(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    (folder / "0.npy").write_bytes(npy_of(ROWS))
    assert "of both npz and npy files, such as" in refused(folder)
    stray, _ = folder_of(tmp_path / "stray")
    (stray / "calibration.npz").write_bytes(made.npz(K=np.eye(3)))
    said = refused(stray, kind=UnknownFormatError)
    assert "stray: byte 0 of calibration.npz: has no arrays with 4 columns" in said
    assert said.endswith("If calibration.npz is not of the recording, put it elsewhere.")
    outer = tmp_path / "scene"
    (outer / "images").mkdir(parents=True)
    folder_of(outer / "events")
    said = refused(outer, kind=UnknownFormatError)
    assert "scene: is a folder without npz, npy and text files. Is it events in this folder" in said


def test_npy__of_one_column_each_are_not_one_after_the_other(tmp_path):
    columns = made.columns(ROWS)
    folder = written(tmp_path / "a", {f"{name}.npy": made.npy(columns[name]) for name in "txyp"})
    assert rows_of(folder)[0] == rows_of(folder, KINDS[".npy"][1])[0] == ROWS
    (folder / "0.npz").write_bytes(npz_of(ROWS))
    assert rows_of(folder)[0] == ROWS
    (folder / "x.npy").unlink()
    assert "has no array x" in refused(folder, KINDS[".npy"][1])
    arrays = [np.array(part) for part in parts_of(ROWS)]
    many = {f"{k}.npy": made.npy(array) for k, array in enumerate(arrays)}
    assert rows_of(written(tmp_path / "b", many))[0] == ROWS


def test_missing_files__are_counted_where_most_are_there(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    (folder / "000002.npz").unlink()
    assert rows_of(folder) == (ROWS[:20] + ROWS[30:], {"missing_files": 1})
    assert missing([f"{k}0.npz" for k in range(9)]) == 0, "names may count in tens"
    assert missing(["1.npz"]) == missing(["a.npz", "b.npz"]) == missing(["1a.npz", "2b.npz"]) == 0
    assert missing([f"cam0_{k}.csv.gz" for k in (3, 4, 5, 8)]) == 2


# One clock, one sensor


def unruly_rows(rng):
    """Return rows with late events, resets, strays and events outside, each now and then."""
    t, rows = 10**6, []
    for _ in range(rng.randrange(5, 400)):
        t += rng.choice((0, 1, 5, 300))
        t += rng.choice((-(9 * 10**8), 10**9)) if rng.random() < 0.004 else 0
        at = t - rng.randrange(1, 15_000) if rng.random() < 0.02 else t
        at += 10**10 if rng.random() < 0.003 else 0
        rows.append((at, rng.randrange(9 if rng.random() < 0.01 else 8), 1, rng.randrange(2)))
    return rows


def outcome(path, **reading):
    """Return all that is read of a recording, or that it is refused."""
    said = Reading(columns=BY_NAME, **reading)
    try:
        with open_recording(path, sensor=SENSOR, reading=said) as recording:
            found = read_rows(recording)
            return found, dict(recording.repairs), recording.members, recording.t_offset
    except EvreelError as error:
        assert str(error).startswith(f"{path.name}: ")
        return "refused"


@pytest.mark.parametrize("seed", range(8))
def test_files__cut_anywhere_are_read_as_one_file_with_the_same_events(tmp_path, seed):
    rng = random.Random(seed)
    rows = unruly_rows(rng)
    whole = tmp_path / "whole.npz"
    whole.write_bytes(npz_of(rows))
    cuts = sorted(rng.randrange(len(rows) + 1) for _ in range(6))
    parts = [rows[a:b] for a, b in itertools.pairwise([0, *cuts, len(rows)])]
    files = {f"{k}.npz": npz_of(part) for k, part in enumerate(parts)}
    folder = written(tmp_path / "seq", files)
    ends = set()
    for disorder, reset in itertools.product(
        ("fail", "sort", "drop", "clamp"), ("fail", "first", "last", "split")
    ):
        how = {
            "on_disorder": disorder,
            "on_reset": reset,
            "on_stray": rng.choice(("fail", "drop", "drop")),
            "on_out_of_bounds": rng.choice(("fail", "drop", "drop")),
        }
        expected = outcome(whole, **how)
        assert outcome(folder, **how) == expected, how
        ends.add(expected == "refused")
    assert False in ends


def test_time__that_goes_back_between_files_is_late_or_a_reset(tmp_path):
    late = [(t - 10 if k == 30 else t, *row) for k, (t, *row) in enumerate(ROWS)]
    folder, _ = folder_of(tmp_path / "late", rows=late)
    said = refused(folder)
    assert "of 000003.npz" in said
    assert "on_disorder" in said
    assert rows_of(folder, on_disorder="sort") == (
        sorted(late, key=lambda row: row[0]),
        {"disordered_events": 1},
    )
    assert rows_of(folder, on_disorder="drop")[1] == {"dropped_late_events": 1}
    reset = [(t - 5_000 + 10**9 * (k < 30), *row) for k, (t, *row) in enumerate(ROWS)]
    folder, _ = folder_of(tmp_path / "reset", rows=reset)
    assert "of 000003.npz" in refused(folder, kind=JumpError)
    assert rows_of(folder, on_reset="last")[0] == reset[30:]
    with open_recording(
        folder, sensor=SENSOR, reading=Reading(columns=BY_NAME, on_reset="split")
    ) as recording:
        assert [part.t_offset for part in recording.members] == [reset[0][0], reset[30][0]]


def test_sensor__is_the_same_in_all_files(tmp_path):
    size = {"height": np.array(6), "width": np.array(8)}
    parts = parts_of(ROWS, 3)
    files = {f"{k}.npz": npz_of(part, **size) for k, part in enumerate(parts)}
    folder = written(tmp_path / "seq", files)
    assert rows_of(folder, sensor=None)[0] == ROWS
    (folder / "1.npz").write_bytes(npz_of(parts[1]))
    assert rows_of(folder, sensor=None)[0] == ROWS, "one that states none has that of the first"
    (folder / "2.npz").write_bytes(npz_of(parts[2], height=np.array(60), width=np.array(80)))
    said = refused_file(folder, CodingError, reading=Reading(columns=BY_NAME))
    assert "seq: byte 0 of 2.npz: states a sensor of 80x60 px, but that of the recording is" in said
    with pytest.raises(RecordingError, match="states a sensor of 8x6"):
        open_recording(folder, sensor=Sensor(7, 8), reading=Reading(columns=BY_NAME))
    (folder / "0.npz").write_bytes(npz_of(parts[0]))
    with pytest.raises(RecordingError, match="does not state the sensor's size"):
        open_recording(folder, reading=Reading(columns=BY_NAME))


def test_event__outside_the_sensor_is_named_with_its_file(tmp_path):
    folder, columns = folder_of(tmp_path / "seq", ".txt")
    (folder / "000003.txt").write_bytes(b"5105 1 1 1\n5105 8 1 1\n")
    said = refused(folder, columns)
    assert "seq: byte 0 of 000003.txt: event x=8, y=1, in line 2, is outside" in said


def test_units__that_texts_are_taken_to_have_are_the_same(tmp_path):
    files = {"0.txt": b"0.0001 1 1 1\n", "1.txt": b"7 1 1 1\n"}
    said = refused(written(tmp_path / "seq", files), BY_NAME, CodingError)
    assert "of 1.txt: has times that look like us, but those of 0.txt look like s. Declare" in said
    assert rows_of(tmp_path / "seq", "t[s], x, y, p")[0] == [(100, 1, 1, 1), (7_000_000, 1, 1, 1)]
    written(tmp_path / "seq", {"1.txt": b"# nothing happened\n"})
    assert rows_of(tmp_path / "seq")[0] == [(100, 1, 1, 1)]


def test_start__that_an_array_states_may_differ_from_file_to_file(tmp_path):
    parts = parts_of(ROWS, 2)
    files = {}
    for k, part in enumerate(parts):
        start = part[0][0]
        rows = [(t - start, *row) for t, *row in part]
        files[f"{k}.npz"] = npz_of(rows, start=np.array(start))
    columns = "t[us] = t + start, x = x, y = y, p = p"
    assert rows_of(written(tmp_path / "seq", files), columns)[0] == ROWS


# Damage


def test_damaged_file__is_named_and_salvaged_up_to_it(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    path = folder / "000003.npz"
    path.write_bytes(path.read_bytes()[:-30])
    said = refused(folder)
    assert f"seq: byte {path.stat().st_size} of 000003.npz: is not a whole zip file" in said
    assert "set on_damage: salvage to read the files before it" in said
    lost = sum((folder / f"00000{k}.npz").stat().st_size for k in (3, 4, 5))
    assert rows_of(folder, on_damage="salvage") == (ROWS[:30], {"damaged_bytes": lost})


def test_damage__within_a_file_leaves_what_is_before_it(tmp_path):
    folder, columns = folder_of(tmp_path / "seq", ".npy")
    path = folder / "000003.npy"
    path.write_bytes(path.read_bytes()[:-20])
    said = refused(folder, columns)
    assert "of 000003.npy: the file ends after 8 of 10 events" in said
    lost = 8 + sum((folder / f"00000{k}.npy").stat().st_size for k in (4, 5))
    repairs = {"damaged_bytes": lost}
    assert rows_of(folder, columns, on_damage="salvage") == (ROWS[:38], repairs)
    texts, columns = folder_of(tmp_path / "texts", ".txt")
    (texts / "000002.txt").write_bytes(b"5070 1 1 1\nabc 1 1 1\n")
    assert "byte 11 of 000002.txt: line 2: t is 'abc'" in refused(texts, columns)
    assert rows_of(texts, columns, on_damage="salvage")[0] == [*ROWS[:20], (5_070, 1, 1, 1)]


def test_coding__of_a_file_is_no_damage(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    rows = [(t, x, y, 7) for t, x, y, _ in ROWS[30:40]]
    (folder / "000003.npz").write_bytes(npz_of(rows))
    said = refused(folder, kind=CodingError, on_damage="salvage")
    assert "of 000003.npz: polarity 7 is neither" in said


def test_file__that_is_none_or_gone_is_an_error(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    os.mkfifo(folder / "9.npz")
    assert "seq: 9.npz: is not a regular file" in refused(folder)
    (folder / "9.npz").unlink()
    (folder / "9.npz").symlink_to("nowhere.npz")
    assert "seq: 9.npz: cannot be read: No such file" in refused(folder)
    (folder / "9.npz").unlink()
    with open_recording(folder, sensor=SENSOR, reading=Reading(columns=BY_NAME)) as recording:
        (folder / "000004.npz").unlink()
        with pytest.raises(RecordingError, match=r"000004\.npz: cannot be read"):
            list(recording)


@pytest.mark.parametrize("suffix", KINDS)
def test_any_damage__ends_in_events_or_one_kind_of_error(tmp_path, suffix):
    folder, columns = folder_of(tmp_path / "seq", suffix)
    files, rng = sorted(folder.iterdir()), random.Random(suffix)
    whole = {file: file.read_bytes() for file in files}
    ends = {"whole": 0, "refused": 0, "salvaged": 0}
    for _ in range(40):
        file = rng.choice(files)
        content = bytearray(whole[file])
        if rng.randrange(2):
            del content[rng.randrange(len(content)) :]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        try:
            rows_of(folder, columns)
            ends["whole"] += 1
        except EvreelError as error:
            assert file.name in str(error)
            assert error.path == folder
            ends["refused"] += 1
        try:
            found, repairs = rows_of(folder, columns, on_damage="salvage")
            before = 10 * files.index(file)
            if repairs.get("damaged_bytes"):
                assert found[:before] == ROWS[:before]
                assert repairs["damaged_bytes"] <= sum(each.stat().st_size for each in files)
                ends["salvaged"] += 1
        except EvreelError as error:
            assert error.path == folder
        file.write_bytes(whole[file])
    assert ends["refused"] > 10, ends
    assert ends["salvaged"] > 4, ends
    assert rows_of(folder, columns)[0] == ROWS


def test_hundreds_of_files__take_few_descriptors_and_the_memory_of_one(tmp_path):
    n, each = 300, 2_000
    rows = np.zeros(n * each, made.RECORD)
    rows["t"] = np.arange(len(rows))
    folder = tmp_path / "seq"
    folder.mkdir()
    for k in range(n):
        np.save(folder / f"{k}.npy", rows[k * each : (k + 1) * each])
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 10, hard))
    tracemalloc.start()
    try:
        said = Reading(columns=KINDS[".npy"][1])
        with open_recording(folder, sensor=SENSOR, reading=said) as recording:
            assert sum(map(len, recording)) == len(rows)
            assert 0.9 * len(rows) < recording.n_expected < 1.1 * len(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert peak < rows.nbytes / 10


# Steps


def test_commands__take_the_folder(tmp_path, capsys):
    folder, columns = folder_of(tmp_path / "seq")
    said = ["--columns", columns, "--sensor", "8x6"]
    assert cli.main(["info", str(folder), *said]) == 0
    told = capsys.readouterr().out
    assert "format    npz" in told
    assert "events    60 (30 ON, 30 OFF)" in told
    store = tmp_path / "seq.h5"
    assert cli.main(["events", str(folder), "-o", str(store), *said]) == 0
    with EventsStore(store) as opened:
        assert (opened.n, opened.t_offset, opened.source_format) == (60, 5_000, "npz")
        assert opened.decoded_from["recording"] == f"sha256:{listing_of(folder).sha256}"
    made_of = ["export", str(folder), "--layout", "csv", "-o", str(tmp_path / "seq.csv")]
    assert cli.main([*made_of, *said]) == 0
    assert read(tmp_path / "seq.csv", sensor=SENSOR)[0] == ROWS
    assert cli.main(["events", str(folder), "-o", str(tmp_path / "none.h5")]) == 2
    assert "--columns" in capsys.readouterr().err


def test_range_of_time__counts_from_the_first_file(tmp_path):
    folder, _ = folder_of(tmp_path / "seq")
    settings = EventsSettings(columns=BY_NAME, start_us=14, stop_us=150)
    steps.events(folder, tmp_path / "part.h5", settings, sensor="8x6")
    kept = [row for row in ROWS if 14 <= row[0] - 5_000 < 150]
    assert read(tmp_path / "part.h5")[0] == kept
