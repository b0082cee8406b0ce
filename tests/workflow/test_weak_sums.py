"""A data set of which only CRC-32 sums are known: built, left alone, corrected, and told as weak."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib

import pytest

from support.dataset import CONFIG, build, planned, snakemake, write_config, write_table
from support.writers.aer40 import aer40

ROWS = [(10 * k, 1 + k % 30, 2 + k % 20, k % 2) for k in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recording of its own and one in an archive, each with a CRC-32 alone; built."""
    folder = tmp_path_factory.mktemp("weak")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b.bin", aer40(ROWS[:150]))
    (folder / "a.bin").write_bytes(aer40(ROWS))
    (folder / "b.zip").write_bytes(packed.getvalue())
    features = {"h": {"representation": "histogram", "window_us": 1_000}}
    release = CONFIG["release"] | {"include": ["events", "features"]}
    config = {
        "recordings": "recordings.tsv",
        "labels": [],
        "features": features,
        "release": release,
    }
    write_config(folder, config)
    table(folder)
    build(folder, "--cores", "2")
    return folder


def table(folder, **more):
    """Write the table, with more columns for all rows."""
    rows = [("id", "source", "sensor", "split", "crc32", *more)]
    for id_, source, file in (("a", "a.bin", "a.bin"), ("b", "b.zip!b.bin", "b.zip")):
        data = (folder / file).read_bytes()
        sums = {name: hashlib.new(name, data).hexdigest() for name in more}
        crc32 = f"{zlib.crc32(data):08X}"
        rows.append((id_, source, "34x34", "train", crc32, *sums.values()))
    write_table(folder, rows)


def test_release__says_that_its_sources_have_weak_sums(folder):
    manifest = json.loads((folder / "results/release/tiny-1.0/manifest.json").read_text())
    assert {row["source_checksum"] for row in manifest["recordings"].values()} == {"crc32"}
    log = (folder / "results/logs/acquire/a.bin.log").read_text(encoding="utf-8")
    assert "a.bin: verified by its CRC-32 alone, a weak sum" in log


def test_build__makes_nothing_again_until_bytes_or_sums_differ(folder):
    assert planned(folder) == []
    table(folder, md5=None)
    told = planned(folder)
    assert set(told) <= {"all", "release", "release_plan"}, "a better sum verifies, and no more"
    data = (folder / "a.bin").read_bytes()
    (folder / "a.bin").write_bytes(data[:-5])
    table(folder)
    assert {"acquire", "events", "features"} <= set(planned(folder))


def test_build__refuses_another_crc32(folder):
    table(folder)
    text = (folder / "recordings.tsv").read_text(encoding="utf-8")
    crc32 = f"{zlib.crc32((folder / 'a.bin').read_bytes()):08X}"
    (folder / "recordings.tsv").write_text(text.replace(crc32, "00000000"), encoding="utf-8")
    run = snakemake(folder, "--cores", "2")
    assert run.returncode == 1
    assert f"a.bin: crc32 is {crc32.lower()} (" in run.stdout
