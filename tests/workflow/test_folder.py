"""A folder of class folders is a source, as an archive of it is: the same events and samples."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile

import h5py
import numpy as np
import pytest

from evreel import cli, steps
from evreel.dataset.settings import MemberSettings
from evreel.errors import EvreelError, SourceError
from evreel.folders import listing_of
from evreel.samples.tables import read_samples_table
from support import random_events
from support.dataset import build, planned, snakemake, write_config, write_table
from support.writers.aer40 import aer40

PATTERN = "{label}/*.bin"
CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["left", "right"],
    "samples": {"by": "members", "members": PATTERN},
    "features": {"h": {"representation": "histogram", "number": 2}},
    "release": {"name": "cut", "version": "1", "licence": "CC0-1.0"},
}


def recording(path, seed):
    """Write a short recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = random_events(50, (20, 20), 9_000, seed)
    columns = (column.tolist() for column in (events.t, events.x, events.y, events.p))
    path.write_bytes(aer40(zip(*columns, strict=True)))


def gestures(root):
    """Write class folders with recordings whose order of names is not that of writing."""
    folder = root / "gestures"
    names = ("right/b.bin", "left/c.bin", "right/a.bin", "left/10.bin", "left/9.bin")
    for seed, name in enumerate(names):
        recording(folder / name, seed)
    (folder / "readme.txt").write_text("not a member")
    return folder


def packed(folder, to):
    """Pack a folder's files in an order that is not that of their names."""
    files = sorted((p for p in folder.rglob("*") if p.is_file()), reverse=True)
    with zipfile.ZipFile(to, "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(folder).as_posix())
    return to


def decode(source, output):
    steps.events(source, output, archive=MemberSettings(members=PATTERN), sensor="20x20")
    with h5py.File(output) as file:
        found = {}
        file.visititems(
            lambda name, node: found.update({name: node[()]}) if hasattr(node, "dtype") else None
        )
        attributes = {k: v for k, v in file.attrs.items() if k != "inputs"}
    return found, attributes


def test_folder__gives_the_events_samples_and_attributes_of_its_archive(tmp_path):
    folder = gestures(tmp_path)
    one, of_one = decode(folder, tmp_path / "one.h5")
    (folder / ".DS_Store").write_bytes(b"hidden")
    two, of_two = decode(packed(gestures(tmp_path / "b"), tmp_path / "b.zip"), tmp_path / "two.h5")
    assert one.keys() == two.keys() and len(one) > 5
    for name in one:
        assert np.array_equal(one[name], two[name]), name
    assert of_one == of_two
    for name in ("one", "two"):
        steps.cut(tmp_path / f"{name}.h5", tmp_path / f"{name}.tsv", members=PATTERN)
    cuts = [
        [line for line in (tmp_path / f"{n}.tsv").read_text().splitlines() if line[0] != "#"]
        for n in ("one", "two")
    ]
    assert cuts[0] == cuts[1]
    names = [line.split("\t")[0] for line in cuts[0][1:]]
    assert names == ["left/10", "left/9", "left/c", "right/a", "right/b"]


def test_sum__of_a_folder_is_that_of_what_md5sum_prints(tmp_path):
    folder = gestures(tmp_path)
    (folder / ".hidden").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(b"x")
    for program, found in zip(("md5sum", "sha256sum"), listing_of(folder)[:2], strict=True):
        command = f"find * -type f | LC_ALL=C sort | xargs -d '\\n' {program} | {program}"
        run = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)
        assert run.stdout.split()[0] == found


def test_acquired_folder__is_a_relative_link_and_its_listing(tmp_path, capsys):
    folder = gestures(tmp_path)
    listing = listing_of(folder)
    out = tmp_path / "results" / "g.folder"
    assert cli.main(["acquire", str(folder), "-o", str(out), "--md5", listing.md5]) == 0
    assert os.readlink(tmp_path / "results" / "g") == "../gestures"
    assert hashlib.sha256(out.read_bytes()).hexdigest() == listing.sha256
    decoded = [decode(source, tmp_path / "s.h5")[0] for source in (folder, out)]
    assert all(np.array_equal(decoded[0][name], decoded[1][name]) for name in decoded[0])
    recording(folder / "left" / "new.bin", 9)
    with pytest.raises(SourceError, match=r"g: has other files than .*g\.folder lists.*Acquire it"):
        decode(out, tmp_path / "s.h5")
    with pytest.raises(SourceError, match="the md5 of its listing is .*, expected"):
        steps.acquire(str(folder), out, md5=listing.md5)
    with pytest.raises(SourceError, match="Name one file in it"):
        steps.acquire(str(folder), tmp_path / "g.bin")


def _link(folder):
    (folder.parent / "outside.bin").write_bytes(b"x")
    (folder / "left" / "link.bin").symlink_to("../../outside.bin")


def _link_to_folder(folder):
    (folder / "more").symlink_to("/")


def _no_recording(folder):
    (folder / "left" / "text.bin").write_bytes(b"")


def _empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_link, r"left/link\.bin: is a link, which a folder of recordings cannot have"),
        (_link_to_folder, r"more: is a link, which a folder of recordings cannot have"),
        (_no_recording, r"gestures: left/text\.bin: is empty"),
        (_empty, r"gestures: no file in it matches '\{label\}/\*\.bin'"),
    ],
)
def test_folder__that_cannot_be_read_as_samples_is_one_error(tmp_path, spoil, message):
    folder = gestures(tmp_path)
    spoil(folder)
    with pytest.raises(EvreelError, match=message):
        decode(folder, tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


def test_folder__without_a_pattern_of_members_says_what_to_give(tmp_path):
    with pytest.raises(EvreelError, match="is a folder, not a recording.*--members"):
        steps.events(gestures(tmp_path), tmp_path / "s.h5")


def test_workflow__releases_a_folder_and_sees_each_change_of_its_files(tmp_path):
    folder = gestures(tmp_path)
    columns = ("id", "source", "split", "sensor")
    write_table(tmp_path, [columns, ("hands", "gestures/", "train", "20x20")])
    write_config(tmp_path, {key: what for key, what in CONFIG.items() if key != "samples"})
    refused = snakemake(tmp_path, "-n")
    assert "source: 'gestures' is a folder, which only samples/by: members takes" in refused.stdout
    write_config(tmp_path, CONFIG)
    build(tmp_path, "--cores", "2")
    results = tmp_path / "results"
    assert os.readlink(results / "recordings" / "hands") == "../../gestures"
    rows = read_samples_table(results / "release" / "cut-1" / "samples.tsv")
    assert [row.sample for row in rows] == ["left/10", "left/9", "left/c", "right/a", "right/b"]
    (folder / ".DS_Store").write_bytes(b"hidden")
    os.utime(folder)
    assert planned(tmp_path) == []
    place = folder / "left" / "9.bin"
    whole = place.read_bytes()
    times = place.stat().st_atime_ns, place.stat().st_mtime_ns
    place.write_bytes(whole[::-1])
    os.utime(place, ns=times)
    assert "acquire" in planned(tmp_path) and "events" in planned(tmp_path)
    place.write_bytes(whole)
    assert planned(tmp_path) == []
    place.rename(folder / "left" / "8.bin")
    assert "events" in planned(tmp_path)
    # Without Snakemake's records, what was decoded is not taken for what is there now.
    shutil.rmtree(tmp_path / ".snakemake")
    run = snakemake(tmp_path, "--cores", "2")
    assert run.returncode and "it changed since it was acquired" in run.stdout
    build(tmp_path, "--cores", "2", "--forcerun", "results/recordings/hands.folder")
    rows = read_samples_table(results / "release" / "cut-1" / "samples.tsv")
    assert rows[1].sample == "left/8"
