"""Folders that are one recording in a table and in a workflow: ROS bags, and many files."""

from __future__ import annotations

import csv
import hashlib
import os

import pytest

from evreel import cli, steps
from evreel.dataset.settings import EventsSettings
from evreel.errors import UsageError
from evreel.events import Sensor
from evreel.files.events_store import EventsStore
from evreel.folders import bag_of, listing_of
from evreel.recordings import open_recording, read_events
from support.dataset import CONFIG, build, planned, write_config, write_table
from support.writers import columns
from support.writers import ros as made

START = made.START_S * 10**9
ROWS = [(START + k * 10**6, k % 8, k % 6, k % 2) for k in range(50)]


def two_cameras(path):
    return made.bag1(
        path,
        [made.array(ROWS[:20], topic="/left/events"), made.array(ROWS[20:], topic="/right/events")],
    )


def test_table__lists_the_folder_of_a_bag_as_one_recording(tmp_path, caplog):
    folder, out = tmp_path / "data" / "train", tmp_path / "recordings.tsv"
    folder.mkdir(parents=True)
    made.bag2(folder / "ride", [made.array(ROWS)])
    two_cameras(folder / "two.bag")
    # A folder with such a listing, but without files of a bag, is none.
    (folder / "walk").mkdir()
    (folder / "walk" / "metadata.yaml").write_text("kind: walk\n")
    made.bag1(folder / "walk" / "walk.bag", [made.array(ROWS)])
    assert cli.main(["table", str(tmp_path / "data"), "-o", str(out)]) == 0
    with out.open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert set(rows) == {"ride", "two", "walk"}
    assert rows["ride"]["source"] == str(folder / "ride")
    assert rows["ride"]["md5"] == listing_of(folder / "ride").md5
    assert "two.bag is in the table, but: two.bag: its topics of events are" in caplog.text
    assert bag_of(folder / "ride") == folder / "ride"
    assert bag_of(folder / "walk") is None
    assert bag_of(folder / "two.bag") is None


def test_events__takes_the_folder_of_a_bag_and_the_topic_of_a_camera(tmp_path, capsys):
    made.bag2(tmp_path / "ride", [made.array(ROWS), made.image(START)], "sqlite3")
    steps.events(tmp_path / "ride", tmp_path / "ride.h5")
    with EventsStore(tmp_path / "ride.h5") as store:
        assert (store.n, store.t_offset) == (50, START // 1_000)
        assert store.source_format == "rosbag2-sqlite3"
    path = two_cameras(tmp_path / "two.bag")
    with pytest.raises(UsageError, match="its topics of events are /left/events, /right/events"):
        steps.events(path, tmp_path / "two.h5")
    steps.events(path, tmp_path / "two.h5", EventsSettings(stream="/right/events"))
    with EventsStore(tmp_path / "two.h5") as store:
        assert store.n == 30
    assert cli.main(["info", str(tmp_path / "ride")]) == 0
    assert cli.main(["info", str(path), "--stream", "/left/events"]) == 0
    told = capsys.readouterr().out
    assert "format    rosbag2-sqlite3" in told
    assert "events    20 (10 ON, 10 OFF)" in told


@pytest.mark.parametrize("layout", ["metavision", "npz"])
def test_export__takes_the_folder_of_a_bag(tmp_path, layout):
    made.bag2(tmp_path / "ride", [made.array(ROWS)])
    suffix = {"metavision": "hdf5", "npz": "npz"}[layout]
    out = tmp_path / f"ride.{suffix}"
    assert cli.main(["export", str(tmp_path / "ride"), "--layout", layout, "-o", str(out)]) == 0
    with open_recording(out, sensor=Sensor(6, 8)) as recording:
        assert len(read_events(recording)) == len(ROWS)


def test_workflow__decodes_folders_and_bags_and_sees_a_change_in_a_folder(tmp_path):
    made.bag2(tmp_path / "ride", [made.array(ROWS)])
    md5 = hashlib.md5(two_cameras(tmp_path / "two.bag").read_bytes()).hexdigest()
    (tmp_path / "many").mkdir()
    for k in range(3):
        content = columns.npz(**columns.columns(ROWS[10 * k : 10 * k + 10]))
        (tmp_path / "many" / f"{k}.npz").write_bytes(content)
    named = ("id", "source", "md5", "split", "events/stream", "sensor", "columns")
    rows = [
        ("ride", "ride", "", "train", "", "", ""),
        ("two", "two.bag", md5, "test", "/left/events", "", ""),
        ("many", "many", listing_of(tmp_path / "many").md5, "val", "", "8x6", "t[ns], x, y, p"),
    ]
    write_table(tmp_path, [named, *rows])
    write_config(tmp_path, CONFIG)
    stores = [f"results/events/{name}.h5" for name in ("ride", "two", "many")]
    build(tmp_path, "--cores", "2", *stores)
    assert os.readlink(tmp_path / "results" / "recordings" / "ride") == "../../ride"
    for name, n in zip(stores, (50, 20, 30), strict=True):
        with EventsStore(tmp_path / name) as store:
            assert store.n == n
    assert planned(tmp_path, *stores) == []
    (tmp_path / "ride" / "note.txt").write_text("more")
    assert planned(tmp_path, *stores) == ["acquire", "events"]
    (tmp_path / "many" / "3.npz").write_bytes(content)
    assert planned(tmp_path, stores[2]) == ["acquire", "events"]
