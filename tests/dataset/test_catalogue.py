"""`evreel datasets`: what configs say of the data sets that they build."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from evreel import cli
from evreel.dataset import catalogue
from evreel.dataset.catalogue import datasets, published
from evreel.errors import UsageError
from support import ROOT
from support.miniatures import MINIATURES

CONFIGS = ROOT / "configs"
NAMES = sorted(MINIATURES)
WITH_TABLE = [name for name in NAMES if (CONFIGS / name / "recordings.tsv").is_file()]
BY_URL = ("cifar10_dvs", "mvsec_bags", "n_caltech101", "n_mnist")


def test_datasets__lists_each_with_size_licence_and_how_it_is_got(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.main(["datasets"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    titles = head.split()
    assert titles[:2] == ["name", "title"]
    shown = {line.split()[0]: re.split(r"  +", line) for line in lines}
    assert list(shown) == NAMES
    assert shown["n_mnist"] == [
        *("n_mnist", "N-MNIST", "CC-BY-SA-4.0", "1.2 GB", "automatic", "2", "70,000"),
        "https://www.garrickorchard.com/datasets/n-mnist",
    ]
    assert shown["dvs128_gesture"][3:7] == ["3.0 GB", "by hand", "122", "1,464"]
    assert {name for name, cells in shown.items() if "automatic" in cells} == set(BY_URL)


def test_datasets__prints_json_and_takes_a_folder_from_anywhere(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["datasets", str(CONFIGS), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == datasets(), "without a folder they are those of the checkout"
    assert [entry["name"] for entry in found] == NAMES
    gen1 = found[NAMES.index("gen1")]
    assert gen1["automatic"] is False
    assert gen1["recordings"] is None
    assert gen1["samples"] is None
    asl = found[NAMES.index("asl_dvs")]
    assert asl["recordings"] == 24
    assert asl["size_bytes"] == 5_807_293_496


def small(folder: Path, text: str, table: str | None = None) -> Path:
    """Write a folder of one data set."""
    (folder / "one").mkdir()
    (folder / "one" / "config.yaml").write_text(text, encoding="utf-8")
    if table is not None:
        (folder / "one" / "my.tsv").write_text(table, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("source", "automatic"),
    [
        ("https://a.org/x.zip!x.aedat4", True),
        ("manual:data/x.aedat4", False),
        ("data/x.aedat4", False),
    ],
)
def test_datasets__of_your_own_say_what_they_say(tmp_path, capsys, source, automatic):
    table = f"id\tsource\none\thttps://a.org/one.aedat4\ntwo\t{source}\n"
    folder = small(tmp_path, "recordings: some/my.tsv\ndataset: {size_bytes: 1500000}\n", table)
    (entry,) = datasets(folder)
    assert entry["automatic"] is automatic
    assert entry["recordings"] == 2
    assert cli.main(["datasets", str(folder)]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[:3] == ["one", "1.5", "MB"]


@pytest.mark.parametrize(
    ("text", "table", "message"),
    [
        ("a: [", None, "config.yaml: cannot be read: while parsing"),
        ("- a", None, "config.yaml: is not a config: it has no keys"),
        ("recordings: my.tsv", "id\tsauce\na\tb\n", "my.tsv: line 1: column 'source' is missing"),
    ],
)
def test_datasets__that_can_not_be_read_are_named(tmp_path, text, table, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        datasets(small(tmp_path, text, table))


def test_datasets__of_a_folder_without_any_are_a_clear_error(tmp_path):
    with pytest.raises(UsageError, match="has no data set in it"):
        datasets(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        datasets(tmp_path / "none")


def test_datasets__outside_a_checkout_are_those_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "lib" / "evreel"
    monkeypatch.setattr(catalogue, "__file__", str(package / "dataset" / "catalogue.py"))
    with pytest.raises(UsageError, match="or name the folder"):
        datasets()
    shutil.copytree(CONFIGS, package / "configs")
    assert [entry["name"] for entry in datasets()] == NAMES
    assert published("n_mnist").config.recordings == str(
        package / "configs" / "n_mnist" / "recordings.tsv"
    )


def test_package__has_the_data_sets_with_it():
    with (ROOT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["sources"]["configs"] == "evreel/configs"
    assert "configs" in wheel["only-include"]


@pytest.mark.parametrize("name", WITH_TABLE)
def test_published__reads_config_and_table_from_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name == "hardvs":  # whose lists a person makes
        (tmp_path / "data" / "hardvs").mkdir(parents=True)
        for split in ("train", "val", "test"):
            (tmp_path / "data" / "hardvs" / f"{split}.txt").touch()
    found = published(name)
    assert (found.config.samples is None) == (name == "mvsec_bags")
    assert len(found.recordings) == len(
        (CONFIGS / name / "recordings.tsv").read_text(encoding="utf-8").splitlines()[1:]
    )
