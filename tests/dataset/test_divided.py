"""How many jobs share a recording, and that another number makes nothing again."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from evreel.dataset import dataset as module
from evreel.dataset.dataset import DataSet
from evreel.dataset.divided import keep_made_of_parts
from evreel.dataset.job_records import recorded_inputs
from evreel.dataset.memory import Memory
from evreel.dataset.recipe import recipe_of
from evreel.dataset.settings import Config
from evreel.settings import mistakes, read

CONFIG = {
    "recordings": "r.tsv",
    "labels": ["car"],
    "slices": {"window_us": 20_000},
    "features": {"histogram": {"representation": "histogram", "window_us": 10_000}},
    "release": {"name": "tiny", "version": "1.0", "licence": "CC0-1.0"},
}
SLICES, BOXES = "results/slices/a.h5", "results/slices/a_bbox.npy"
FEATURES, MADE = "results/features/histogram/a.h5", "results/features/.made/a"


def data_set(*, parts=None, own=None, **row):
    row = {"id": "a", "source": "raw/a.raw", "md5": "0" * 32, "split": "train"} | row
    more = {} if parts is None else {"parts": parts}
    of_a = {} if own is None else {"a": read(Config, CONFIG | {"parts": own})}
    return DataSet(read(Config, CONFIG | more), {"a": row}, of_a)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PART_BYTES", 10)
    Path("raw").mkdir()
    return tmp_path


def record(path, *inputs):
    folder = Path(".snakemake", "metadata")
    folder.mkdir(parents=True, exist_ok=True)
    name = base64.urlsafe_b64encode(path.encode()).decode()
    (folder / name).write_text(json.dumps({"input": sorted(inputs), "params": ["1"]}))


def test_number_of_parts__is_the_one_asked_for_else_from_the_size_known_beforehand(here):
    Path("raw/a.raw").write_bytes(bytes(31))
    assert data_set().n_parts("features", "a") == 4
    assert data_set(size_bytes="10").n_parts("features", "a") == 1
    assert data_set(size_bytes="11").n_parts("annotate", "a") == 2
    assert data_set(size_bytes="99", parts={"features": 3}).n_parts("features", "a") == 3
    assert data_set(parts={"features": 3}, own={"features": 1}).n_parts("features", "a") == 1
    assert data_set(source="https://a.org/a.raw").n_parts("features", "a") == 1
    assert data_set(source="manual:raw/a.raw").n_parts("features", "a") == 1
    assert data_set(source="raw/a.zip!a.raw", size_bytes="99").n_parts("features", "a") == 1
    assert data_set(source="raw/none.raw").n_parts("features", "a") == 1


def test_number_of_parts__beyond_its_range_is_a_mistake():
    for number in (0, 501, 1.5, "two"):
        assert len(list(mistakes(Config, CONFIG | {"parts": {"features": number}}))) == 1


def test_parts__are_named_by_recording_step_and_number():
    assert data_set().parts("features")("a") == []
    found = data_set(parts={"annotate": 2}).parts("annotate")("a")
    assert found == ["results/parts/annotate/a/1of2.h5", "results/parts/annotate/a/2of2.h5"]


def test_another_number_of_parts__takes_the_place_of_the_one_in_snakemakes_records(here):
    memory = Memory(here / "memory.json")
    old = ["results/parts/features/a/1of2.h5", "results/parts/features/a/2of2.h5"]
    store = "results/events/a.h5"
    for path in (FEATURES, MADE):
        record(path, store)
    for path in (SLICES, BOXES):
        record(path, store, "my/a.xml")
    keep_made_of_parts(data_set(parts={"features": 2}), memory)
    assert recorded_inputs(FEATURES) == recorded_inputs(MADE) == [store, *old]
    assert recorded_inputs(SLICES) == ["my/a.xml", store]
    keep_made_of_parts(data_set(parts={"features": 3, "annotate": 2}), memory)
    assert recorded_inputs(FEATURES)[1:] == data_set(parts={"features": 3}).parts("features")("a")
    assert recorded_inputs(BOXES)[2:] == data_set(parts={"annotate": 2}).parts("annotate")("a")
    memory.save()
    keep_made_of_parts(data_set(), Memory(here / "memory.json"))
    assert recorded_inputs(FEATURES) == [store]
    assert recorded_inputs(SLICES) == ["my/a.xml", store]


def test_number_of_parts__is_not_in_what_a_release_says_of_itself(here):
    Path("raw/a.raw").touch()
    made = data_set(parts={"features": 2}, **{"parts/annotate": "3"})
    assert "parts" not in repr(made.description(len))
    config, rows, _ = recipe_of(made)
    assert "parts" not in config
    assert not [name for name in rows[0] if name.startswith("parts/")]
