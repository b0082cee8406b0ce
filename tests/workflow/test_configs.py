"""The data sets of configs/: sound by themselves, and built from stand-ins of the same shape.

A stand-in (`miniatures`) lies where the real data would: on a server on loopback, or where a person
puts it. The config that runs is the real one, but for the published counts.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import json
import re
import runpy
import shlex
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml

from evreel import cli, steps
from evreel.acquire import read_source
from evreel.dataset.config import read_config
from evreel.layout import BOX_DTYPE
from evreel.samples.pattern import Pattern
from support import ROOT, shared_file, webserver
from support.dataset import snakemake, write_config, write_table
from support.miniatures import MINIATURES, turned

CONFIGS = ROOT / "configs"
NAMES = sorted(MINIATURES)
TABLELESS = [name for name in NAMES if not (CONFIGS / name / "recordings.tsv").is_file()]
"""Those of which no sums are published: a command in the config's header makes the table."""
WITH_TABLE = [name for name in NAMES if name not in TABLELESS]
UNCUT = [*TABLELESS, "mvsec_bags"]
CUT = [name for name in NAMES if name not in UNCUT]
BY_URL = ("cifar10_dvs", "mvsec_bags", "n_caltech101", "n_mnist")


PUBLISHED = """
553ce464d6e5e617b3c21ce27c19368e  Prophesee_Dataset_n_cars.zip: tonic/datasets/ncars.py of tonic, at 03abf320
"""
"""MD5s that other loaders of the data publish and no table of shared/resources has."""
N_LABELS = {
    **{"asl_dvs": 24, "dvs128_gesture": 11, "dvs_lip": 100, "n_caltech101": 101, "n_cars": 2},
    "hardvs": 300,
}
WITHOUT_SIZE = ("1mpx", "dsec_det", "dvs_lip", "etram", "hardvs", "mvsec", "n_cars")
WITHOUT_SIZE += ("mvsec_bags",)
SIZES = {"1mpx": (720, 1280), "dsec_det": (480, 640), "etram": (720, 1280)}
SIZES |= {"gen1": (240, 304), "mvsec": (260, 346), "mvsec_bags": (260, 346)}
GROUPS = {
    "1mpx": [
        *("moorea_2019-02-18_000_td", "moorea_2019-02-18_000_td", "moorea_2019-02-21_000_td"),
        "moorea_2019-06-26_test_02_000",
    ],
    "dsec_det": ["", "", ""],
    "etram": ["", "", ""],
    "mvsec": ["", "", ""],
    "mvsec_bags": ["", ""],
    "gen1": ["17-03-30_12-53-58", "17-04-04_11-00-13_cut_15", "17-04-06_09-57-37"],
}


def config_of(name: str) -> dict:
    return yaml.safe_load((CONFIGS / name / "config.yaml").read_text(encoding="utf-8"))


@functools.cache
def table_of(name: str) -> list[dict[str, str]]:
    with (CONFIGS / name / "recordings.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def put(folder: Path, name: str, server: webserver.Server | None) -> None:
    """Lay out a stand-in and, if one is published, its table: with sources and sums of the files."""
    made = MINIATURES[name]()
    places = {}
    for place, content in made.files.items():
        if place.startswith("http"):
            path = place.partition("://")[2]
            assert server is not None
            server.contents[path] = content
            places[place] = f"{server.url}/{path}"
        else:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
            places[place] = place
    if name in TABLELESS:
        return
    recordings = {recording for recording, _ in made.samples} | made.recordings.keys()
    rows = [row for row in table_of(name) if row["id"] in recordings]
    assert len(rows) == len(recordings)
    for row in rows:
        source = read_source(row["source"])
        place = source.file if source.urls else str(source.path)
        row |= {
            "source": row["source"].replace(place, places[place]),
            "md5": hashlib.md5(made.files[place]).hexdigest(),
        }
        if "size_bytes" in row:
            row["size_bytes"] = str(len(made.files[place]))
        if "member_md5" in row:
            row["member_md5"] = member_md5(made.files[place], source.members[-1])
    table = folder / config_of(name)["recordings"]
    table.parent.mkdir(parents=True)
    write_table(table.parent, [list(rows[0]), *(list(row.values()) for row in rows)])


def member_md5(archive: bytes, member: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return hashlib.md5(opened.extractfile(member).read()).hexdigest()


every_set = pytest.mark.parametrize("built", NAMES, indirect=True)
every_cut_set = pytest.mark.parametrize("built", CUT, indirect=True)


@pytest.fixture(scope="module")
def built(request, tmp_path_factory):
    """Name, stand-in and release of a data set, built by the real Snakefile."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    config, made = config_of(name), MINIATURES[name]()
    if "counts" in config.get("samples", {}):
        counts = made.counts()
        if "" in counts:  # by a seed
            shares = config["samples"]["split"]["shares"]
            counts = {split: round(share * counts[""]) for split, share in shares.items()}
        config["samples"]["counts"] = counts
    with webserver.running() as server:
        put(folder, name, server)
        if name in TABLELESS:
            run_recipe(folder, name)
        if name == "hardvs":
            make_lists(folder)
        write_config(folder, config)
        run = snakemake(folder, "--cores", "2", env={"no_proxy": "127.0.0.1"})
        assert run.returncode == 0, run.stdout
        asked = [path for path, _ in server.seen]
    assert len(asked) == len(set(asked)) == (len(made.files) if name in BY_URL else 0)
    release = config["release"]
    built = folder / config["results"] / "release" / f"{release['name']}-{release['version']}"
    return SimpleNamespace(name=name, made=made, config=config, folder=folder, release=built)


def run_recipe(folder: Path, name: str) -> None:
    """Make a table by the command in its config's header."""
    text = (CONFIGS / name / "config.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^# +evreel (table .*)$", text.replace("\\\n#", ""), re.MULTILINE)
    with contextlib.chdir(folder):
        assert cli.main(shlex.split(line)) == 0


def make_lists(folder: Path) -> None:
    """Make HARDVS's lists by the command in its config's header."""
    text = (CONFIGS / "hardvs" / "config.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^# +(for s in .* done)$", text, re.MULTILINE)
    subprocess.run(["sh", "-c", line], cwd=folder, check=True)


def histograms(rows, bounds, shape) -> np.ndarray:
    """Return the events of rows [a, b) of each window, counted one by one: OFF, then ON."""
    frames = np.zeros((len(bounds), *shape), np.int64)
    for frame, (a, b) in zip(frames, bounds, strict=True):
        for _, x, y, p in rows[a:b]:
            frame[p, y, x] += 1
    return frames


def windows_of(rows, number: int, by: str) -> list[tuple[int, int]]:
    """Return the rows [a, b) of a fixed number of windows: equal shares, the last has the rest."""
    n, t = len(rows), np.array([row[0] for row in rows])
    if by == "count":
        edges = [k * (n // number) for k in range(number)]
    else:
        share = (t[-1] - t[0]) // number
        edges = np.searchsorted(t, [t[0] + k * share for k in range(number)]).tolist()
    return list(zip(edges, [*edges[1:], n], strict=True))


def stored(release: Path, recording: str):
    """Return the files of a recording in a release: events, samples, the feature."""
    places = {path.parent.name: path for path in release.glob(f"*/*/{recording}.h5")}
    feature = next(name for name in places if name not in ("events", "samples"))
    return places["events"], places.get("samples"), places[feature]


def rows_of(file: h5py.File, start: int = 0, stop: int | None = None, shift: int = 0):
    """Return rows (t, x, y, p) of an events store, with `shift` on their times."""
    columns = [file[f"events/{name}"][start:stop].tolist() for name in "txyp"]
    return [(t + shift, *rest) for t, *rest in zip(*columns, strict=True)]


# Each config and table by itself.


@pytest.mark.parametrize("name", WITH_TABLE)
def test_config__is_accepted_by_the_workflow_as_it_is(name, tmp_path):
    (tmp_path / "configs").symlink_to(CONFIGS)
    for path in config_of(name).get("samples", {}).get("split", {}).get("files", {}).values():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    with contextlib.chdir(tmp_path):
        found = read_config(config_of(name), [CONFIGS / name / "config.yaml"])
    assert len(found.recordings) == len(table_of(name))
    assert found.config.recordings == f"configs/{name}/recordings.tsv"
    assert found.config.results == f"results/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_config__says_what_it_is_of_and_how_it_is_run(name):
    config = config_of(name)
    size = set() if name in WITHOUT_SIZE else {"size_bytes"}
    assert set(config["dataset"]) == {"title", "page", "citation"} | size
    assert re.search(r"\(20\d\d\)", config["dataset"]["citation"])
    text = (CONFIGS / name / "config.yaml").read_text(encoding="utf-8")
    header = text[: text.index("dataset:")]
    assert f"snakemake --cores 4 --configfile configs/{name}/config.yaml" in header
    for word in ("Licence", "Labels", "Split"):
        assert f"{word}: " in header, f"{word} is not spoken of"
    assert config["release"]["licence"]


def test_md5s__are_each_published():
    published = PUBLISHED
    for name in ("spikingjelly", "tonic", "dvs128_gesture_members"):
        published += shared_file(f"resources/{name}.tsv").read_text(encoding="utf-8")
    found = {
        (name, row[key])
        for name in WITH_TABLE
        for row in table_of(name)
        for key in ("md5", "member_md5")
        if key in row
    }
    assert len(found) > 130
    assert [entry for entry in sorted(found) if entry[1] not in published] == []


@pytest.mark.parametrize("name", BY_URL)
def test_urls__are_published_with_their_md5(name):
    lines = [
        line.split("\t")
        for table in ("spikingjelly", "tonic")
        for line in shared_file(f"resources/{table}.tsv").read_text("utf-8").splitlines()
    ]
    for row in table_of(name):
        assert any(row["source"] in line and row["md5"] in line for line in lines), row["id"]


def test_dvs128_gesture__members_are_those_published_with_their_sums_and_splits():
    path = shared_file("resources/dvs128_gesture_members.tsv")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    rows = [
        [
            *read_source(row["source"]).members,
            row["member_md5"],
            row["split"],
            row["samples"].removeprefix("!"),
        ]
        for row in table_of("dvs128_gesture")
    ]
    assert rows == lines
    splits = Counter(row["split"] for row in table_of("dvs128_gesture"))
    assert splits == {"train": 98, "test": 24}
    groups = {row["group"] for row in table_of("dvs128_gesture")}
    assert len(groups) == 29


@pytest.mark.parametrize("name", CUT)
def test_labels__are_those_of_folders_and_classes(name):
    config, made = config_of(name), MINIATURES[name]()
    labels, samples = config["labels"], config["samples"]
    assert len(labels) == len(set(labels)) == N_LABELS.get(name, 10)
    assert all(isinstance(label, str) for label in labels), "YAML took one for a truth value"
    if samples["by"] == "intervals":
        assert list(samples["classes"].values()) == labels
        assert list(samples["classes"]) == [str(k) for k in range(1, 12)]
    else:
        fits = Pattern(samples["members"])
        named = samples["members"].replace("{label}", labels[-1]).replace("*", "1")
        assert fits.of(named) == ("" if name == "hardvs" else labels[-1], "")
        if name == "hardvs":  # no name says it
            assert [row["label"] for row in table_of(name)] == labels
    assert {sample.label for sample in made.samples.values()} <= set(labels)
    if name in ("cifar10_dvs", "asl_dvs", "hardvs"):  # a recording a class
        assert [row["id"] for row in table_of(name)] == labels


# Each built from a stand-in.


@every_set
def test_release__is_whole_and_says_where_it_is_from(built):
    assert steps.verify(built.release) == []
    readme = (built.release / "README.md").read_text(encoding="utf-8")
    about = built.config["dataset"]
    assert f"Data set: {about['title']} <{about['page']}>." in readme
    assert about["citation"] in readme
    assert f"Licence of the data: {built.config['release']['licence']}" in readme
    config = json.loads((built.release / "config.json").read_text(encoding="utf-8"))
    assert config["dataset"] == about


@every_set
def test_release__reads_itself(built, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["load_example.py"])
    runpy.run_path(str(built.release / "load_example.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert f"{next(iter(built.config['features']))}:" in said
    assert ("  sample " in said) == ("samples" in built.config)


@every_cut_set
def test_release__has_the_samples_that_were_written_and_no_others(built):
    lines = (built.release / "samples.tsv").read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    found = {(row["recording"], row["sample"]): row for row in rows}
    assert len(found) == len(rows)
    assert found.keys() == built.made.samples.keys()
    for key, sample in built.made.samples.items():
        assert found[key]["label"] == sample.label
        assert not sample.split or found[key]["split"] == sample.split
    for label in {sample.label for sample in built.made.samples.values()}:
        splits = Counter(row["split"] for row in rows if row["label"] == label)
        shares = built.config["samples"].get("split", {}).get("shares", {})
        for split, share in shares.items():
            assert splits[split] == round(share * sum(splits.values())), label


@every_cut_set
def test_samples__have_the_events_that_were_written(built):
    for recording in {recording for recording, _ in built.made.samples}:
        store, samples, _ = stored(built.release, recording)
        with h5py.File(store) as events, h5py.File(samples) as file:
            ids = file["samples/id"].asstr()[:]
            labels = file["labels/name"].asstr()[:]
            assert list(labels) == built.config["labels"]
            assert len(ids) == sum(key[0] == recording for key in built.made.samples)
            for k, id_ in enumerate(ids):
                sample = built.made.samples[recording, id_]
                assert labels[file["samples/label"][k]] == sample.label
                shift = int(file["samples/t_offset"][k] - file["samples/start_us"][k])
                start, stop = int(file["samples/start"][k]), int(file["samples/stop"][k])
                got = rows_of(events, start, stop, shift)
                assert got == turned(built.name, sample.rows), (recording, id_)


@every_cut_set
def test_features__count_each_event_of_each_sample(built):
    (feature,) = built.config["features"].values()
    for recording in {recording for recording, _ in built.made.samples}:
        _, _, path = stored(built.release, recording)
        with h5py.File(path) as file:
            data, labels = file["data"][:], file["labels/name"].asstr()[:]
            ids = file["samples/id"].asstr()[:]
            assert len(data) == feature["number"] * len(ids)
            for k, id_ in enumerate(ids):
                sample = built.made.samples[recording, id_]
                rows = turned(built.name, sample.rows)
                bounds = windows_of(rows, feature["number"], feature["by"])
                assert bounds[-1][1] == len(rows)
                start, stop = (file[f"samples/window_{end}"][k] for end in ("start", "stop"))
                expected = histograms(rows, bounds, data.shape[1:])
                np.testing.assert_array_equal(data[start:stop], expected)
                assert labels[file["samples/label"][k]] == sample.label


@pytest.mark.parametrize("built", UNCUT, indirect=True)
def test_release__has_all_events_and_its_boxes_on_their_time_line(built):
    assert not list(built.release.glob("**/samples*"))
    for recording, rows in built.made.recordings.items():
        store, _, feature = stored(built.release, recording)
        first = rows[0][0]
        with h5py.File(store) as file, h5py.File(feature) as windows:
            assert rows_of(file, shift=first) == rows
            assert int(file["t_offset"][()]) == first
            assert windows["data"].shape == (1, 2, *SIZES[built.name])
            assert int(windows["data"][:].sum()) == len(rows)
        assert feature.with_name(f"{recording}_bbox.npy").exists() == bool(built.made.boxes)
        if not built.made.boxes:
            continue
        boxes = np.load(feature.with_name(f"{recording}_bbox.npy"))
        published = built.made.boxes[recording]
        t = "ts" if built.name == "gen1" else "t"
        assert boxes.dtype == BOX_DTYPE
        assert (boxes["t"] + first).tolist() == published[t].tolist()
        for name in ("x", "y", "w", "h", "class_id", "track_id"):
            assert boxes[name].tolist() == published[name].tolist()
    manifest = json.loads((built.release / "manifest.json").read_text(encoding="utf-8"))
    known = manifest["recordings"]
    splits = {row["split"] for row in known.values()}
    if built.name in TABLELESS:  # by folder
        assert splits == {place.split("/")[2] for place in built.made.files} - {"terms.txt"}
    else:
        assert splits == {"train", "test"}
    assert sorted(row.get("group", "") for row in known.values()) == GROUPS[built.name]
    if "licence_file" in built.config["release"]:
        licence = (built.release / "LICENSE.txt").read_text(encoding="utf-8")
        assert licence == "Terms of the miniature.\n"


def test_cifar10_dvs__an_event_of_the_file_is_where_the_picture_is_upright():
    # Written at column 3 of row 10, OFF; worked by hand.
    assert turned("cifar10_dvs", [(5, 3, 10, 0)]) == [(5, 117, 124, 1)]
