"""What was found when a file was made ready is what a check of the whole release finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evreel import steps
from evreel.checks.looked import Looked
from evreel.checks.run import check
from evreel.errors import EvreelError
from evreel.files import hdf5
from evreel.layout import EVENTS, FEATURES, SAMPLES, SLICES
from evreel.provenance import sha256
from evreel.publish.build import build
from evreel.publish.record import Record
from evreel.release.manifest import PlanEntry
from evreel.release.origins import said_by

ABOUT = {"name": "planted", "version": "1", "licence": "CC0-1.0", "labels": {0: "car", 1: "sign"}}
KINDS = {EVENTS.name: "events", SLICES.name: "slices", SAMPLES.name: "samples"}
KINDS |= {FEATURES.name: "features"}


def faulty(folder: Path, store: Path) -> list[tuple[str, Path]]:
    """Return kind and path of each planted HDF5 file of a store that can be copied at all."""
    found, of_store = [], (None, sha256(store))
    for path in sorted(folder.rglob("*.h5")):
        try:
            kind = KINDS.get(hdf5.layout_of(path) or "")
            if kind is not None and said_by(path).inputs.get("store") in of_store:
                found.append((kind, path))
        except EvreelError:
            continue
    return found


@pytest.fixture(scope="module")
def releases(planted, tmp_path_factory):
    """A release of every planted file, each beside a sound store; some of them made at once."""
    folder = tmp_path_factory.mktemp("looked")
    store = planted.folder / "stores" / "other_events.h5"
    plan, ready = [], []
    for k, (kind, path) in enumerate(faulty(planted.folder, store)):
        id_ = f"r{k}"
        files = [("events", path if kind == "events" else store)]
        files += [(kind, path)] if kind != "events" else []
        entries, published = [], None
        for of, source in files:
            target = folder / "published" / of / f"{id_}.h5"
            try:
                steps.publish(
                    *(source, target, target.with_suffix(".json"), steps.PublishSettings()),
                    store=None if of == "events" else store,
                    published=published,
                )
            except EvreelError:  # damaged: it is in no release
                continue
            published = target if of == "events" else published
            entries.append((f"train/{of}/{id_}.h5", source, target, of))
        plan += [PlanEntry(path, source, of, id_, "train") for path, source, _, of in entries]
        ready += [PlanEntry(path, target, of, id_, "train") for path, _, target, of in entries]
    assert len(plan) > 60
    reports = []
    some = [k for k, entry in enumerate(plan) if int(entry.id[1:]) % 4 == 0]
    for name, entries in (
        ("in_parts", ready),
        ("some_in_parts", [ready[k] for k in some]),
        ("some_at_once", [plan[k] for k in some]),
    ):
        build(entries, folder / name, **ABOUT, judge=reports.append)
    return folder, reports


def test_release__of_faults_finds_what_a_check_of_its_folder_finds(releases):
    folder, reports = releases
    found = check(folder / "in_parts")
    assert reports[0].findings == found.findings
    assert reports[0].looked_at == found.looked_at
    checks = {finding.check for finding in found.findings}
    events = {"order", "bounds", "polarity", "quantum", "gap", "burst", "index", "time_zero"}
    labels = {"other_events", "slice_rows", "label_span", "jumping_track", "sample_rows"}
    assert checks >= {*events, *labels, "feature_values", "feature_windows", "feature_sample"}


def test_release__from_records_has_the_bytes_of_one_from_files(releases):
    folder, reports = releases
    in_parts, at_once = folder / "some_in_parts", folder / "some_at_once"
    for name in ("MD5SUMS", "manifest.json"):
        assert (in_parts / name).read_bytes() == (at_once / name).read_bytes()
    assert reports[1] == reports[2]


def test_record__is_read_as_it_was_written(releases):
    folder, _ = releases
    for path in sorted((folder / "published").rglob("*.h5")):
        record = Record.beside(path)
        assert record is not None
        again = Looked.read(json.loads(json.dumps(record.looked.plain())))
        assert again == record.looked
