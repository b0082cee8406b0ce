"""A recipe has paths that start at it, and names and sums by which recordings are found."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.recipe import (
    config_text,
    needed_by,
    read_recipe,
    recipe_of,
    recipe_rows,
    table_text,
    with_local,
)
from evreel.dataset.settings import Config
from evreel.errors import SourceError
from evreel.settings import all_contradictions, read
from support.dataset import CONFIG

making = importlib.import_module("evreel.steps.recipe")
SUMS = ["0123456789abcdef" * 2, "fedcba9876543210" * 2]


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Recordings here, of one name, in an archive, on the web; files of two columns."""
    monkeypatch.chdir(tmp_path)
    for path, text in (("a/x.raw", "a"), ("b/x.raw", "b!"), ("a/1.xml", "x"), ("b/1.xml", "y")):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    Path("LICENCE").write_text("text")
    rows = {
        "one": {"source": "a/x.raw", "md5": SUMS[0], "rois": "a/1.xml\nb/1.xml"},
        "two": {"source": str(tmp_path / "b/x.raw"), "md5": SUMS[1], "meta.light": "day"},
        "in": {"source": "manual:my/d.zip!c/y!!.raw", "md5": SUMS[0], "samples": "!t.csv"},
        "too": {"source": "manual:my/d.zip!z.raw", "md5": SUMS[0], "clock": "a/1.xml"},
        "web": {"source": "https://a.org/w.raw", "sha256": "0" * 64, "size_bytes": "3"},
    }
    release = {"name": "n", "version": "1", "licence": "X", "licence_file": "LICENCE"}
    config = read(Config, CONFIG | {"release": release | {"data": "none"}, "results": "/far/off"})
    return DataSet(config, {id_: {"id": id_, "split": "val"} | row for id_, row in rows.items()})


def test_recipe__of_an_incomplete_release_needs_only_what_is_released(dataset):
    rest = dataset.without({"one": "events: FormatError: bad"})
    config, rows, inputs = recipe_of(rest)
    assert [row["id"] for row in rows] == ["two", "in", "too", "web"]
    assert sorted(inputs.values()) == ["LICENCE", "a/1.xml"]
    assert "incomplete" not in config["release"]
    cut = {"by": "none", "counts": {"train": 3}}
    with_counts = read(Config, rest.config.plain() | {"samples": cut})
    counts = [
        recipe_of(DataSet(with_counts, each.recordings, missing=each.missing)).config["samples"]
        for each in (dataset, rest)
    ]
    assert [each["counts"].get("train") for each in counts] == [3, None]


def test_recipe__moves_local_files_and_keeps_their_names(dataset, tmp_path):
    config, rows, inputs = recipe_of(dataset)
    assert {Path(path).name for path in inputs} == {"1.xml", "LICENCE"}
    assert len(inputs) == 3, "files of equal name and other content are two"
    of = {row["id"]: row for row in rows}
    assert [inputs[path] for path in of["one"]["rois"].split(" | ")] == ["a/1.xml", "b/1.xml"]
    assert of["one"]["source"] == f"manual:recordings/{SUMS[0][:16]}/x.raw"
    assert of["two"]["source"] == f"manual:recordings/{SUMS[1][:16]}/x.raw"
    assert (of["two"]["size_bytes"], of["two"]["meta.light"]) == ("2", "day")
    assert of["in"]["source"] == "manual:recordings/d.zip!c/y!!.raw"
    assert of["in"]["samples"] == "!t.csv"
    assert of["web"] == dataset.recordings["web"]
    assert inputs[config["release"]["licence_file"]] == "LICENCE"
    assert config["release"]["data"] == "all"
    assert "results" not in config
    said = config_text(config) + table_text(rows)
    assert str(tmp_path) not in said
    assert "my/" not in said
    planned = {row["path"]: row["source"] for row in recipe_rows(dataset)}
    assert planned["recipe/config.yaml"] == "/far/off/recipe/config.yaml"
    assert all(planned[f"recipe/{path}"] == source for path, source in inputs.items())


def test_recipe__is_a_config_and_a_table_that_evreel_reads(dataset, tmp_path, monkeypatch):
    config, rows, inputs = recipe_of(dataset)
    texts = {path: Path(source).read_bytes() for path, source in inputs.items()}
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    for path, data in texts.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
    kept = [row for row in rows if row["id"] in ("one", "two", "web")]
    Path("config.yaml").write_text(config_text(config), encoding="utf-8")
    Path("recordings.tsv").write_text(table_text(kept), encoding="utf-8")
    assert read_recipe(place) == (config, [{k: v for k, v in row.items() if v} for row in kept])
    found = read_config(yaml.safe_load(Path("config.yaml").read_text()), ["config.yaml"])
    assert list(found.recordings) == ["one", "two", "web"]
    assert not {"parts", "batches"} & {*config}
    assert found.config.plain() | {"release": None} == config | {
        "results": "results",
        "batches": {},
        "parts": {"annotate": None, "features": None},
        "release": None,
    }


def test_needed__is_each_file_once_and_becomes_local_where_it_is_found(dataset):
    rows = recipe_of(dataset).rows
    needed = {one.name: one for one in needed_by(rows) if one.name != "x.raw"}
    assert needed["d.zip"].ids == ("in", "too")
    assert (needed["w.raw"].place, needed["w.raw"].size_bytes) == ("", 3)
    places = {needed["d.zip"].source: "recordings/0/d.zip", "https://a.org/w.raw": "recordings/w"}
    sources = {row["id"]: row["source"] for row in with_local(rows, places)}
    assert sources["in"] == "recordings/0/d.zip!c/y!!.raw"
    assert sources["too"] == "recordings/0/d.zip!z.raw"
    assert sources["web"] == "recordings/w"
    assert sources["one"].startswith("manual:")


def test_needed__of_which_only_a_crc32_is_known_is_the_file_that_has_it(tmp_path):
    (tmp_path / "w.raw").write_bytes(b"123456789")
    row = {"id": "w", "source": "manual:w.raw", "crc32": "CBF43926"}
    [one] = needed_by([row])
    assert one.strongest_sum == ("CRC-32", "cbf43926")
    assert making._found([one], tmp_path) == {"manual:w.raw": tmp_path / "w.raw"}
    (tmp_path / "w.raw").write_bytes(b"12345678")
    with pytest.raises(SourceError, match="its CRC-32 is 9ae0daaf, expected cbf43926"):
        making._found([one], tmp_path)
    [better] = needed_by([row | {"md5": "0" * 32}])
    assert better.strongest_sum == ("MD5", "0" * 32)


@pytest.mark.parametrize("other", [{"anonymous": True}, {"include": ["anonymous_annotations"]}])
def test_config__of_a_recipe_is_not_anonymous(other):
    config = read(Config, CONFIG | {"release": CONFIG["release"] | {"data": "none"} | other})
    ((place, problem),) = all_contradictions(config)
    assert place == ("release", "data")
    assert "has the annotations as they are" in problem
