"""What follows from config and table: sources, samples, annotation, the plan of a release."""

from __future__ import annotations

import pytest

from evreel.acquire import read_source
from evreel.dataset.dataset import DataSet
from evreel.dataset.plan import (
    published_files,
    records_of_files,
    release_plan,
    released_files,
    working_files,
)
from evreel.dataset.settings import Config
from evreel.errors import UsageError
from evreel.settings import all_contradictions, read
from support.dataset import CONFIG

SUM = "0123456789abcdef" * 2


def data_set(rows, config=None, own=None):
    """Return a data set of rows, each with a sum and a split unless it says otherwise."""
    recordings = {id_: {"id": id_, "md5": SUM, "split": "train"} | row for id_, row in rows.items()}
    settings = read(Config, CONFIG | (config or {}))
    return DataSet(settings, recordings, own)


def test_source__of_a_recording_is_its_file_with_what_the_table_says_of_it():
    found = data_set({"a": {"source": "raw/a.raw", "size_bytes": "12", "page": "https://a.org"}})
    assert found.acquired("a") == {
        "source": "raw/a.raw",
        "md5": SUM,
        "sha256": None,
        "crc32": None,
        "size_bytes": 12,
        "page": None,  # a local file is not downloaded from a page
    }
    assert found.recording_file("a") == "results/recordings/a.raw"
    by_hand = data_set({"a": {"source": "manual:a", "page": "https://a.org"}})
    assert by_hand.acquired("a")["page"] == "https://a.org"
    assert by_hand.recording_file("a") == "results/recordings/a.recording"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://ndownloader.figshare.com/files/12345678", "a.recording"),
        ("https://a.org/get.php?file=x.raw", "a.php"),
        ("raw/x.", "a.recording"),
        ("raw/x.np{z}", "a.npz"),
        (f"raw/x.{'y' * 240}", f"a.{'y' * 20}"),
        ("x.zip!1", "a.recording"),
    ],
)
def test_acquired_file__is_named_by_id_and_source_alone(source, name):
    for form in ({}, {"format": "evt3"}):
        found = data_set({"a": {"source": source, **form}})
        assert found.recording_file("a") == f"results/recordings/{name}"


def test_archive__has_a_name_that_a_disk_can_hold():
    [archive] = data_set({"a": {"source": f"https://a.org/{'x' * 3000}.tar.gz!a.raw"}}).archives
    assert archive.endswith("xxx.tar.gz")
    assert len(archive) < 150


def test_archive__is_acquired_once_for_all_of_its_recordings():
    url = "https://a.org/day 1.zip"
    found = data_set({name: {"source": f"{url}!{name}.raw", "member_md5": SUM} for name in "ab"})
    [archive] = found.archives
    assert archive == f"{SUM[:16]}-day_1.zip"
    assert found.acquired_archive(archive)["source"] == url
    assert found.acquired("b") == {
        "source": f"results/archives/{archive}!b.raw",
        "member_md5": SUM,
    }


@pytest.mark.parametrize(("names", "folder"), [("a", "archives"), ("ab", "archives/plain")])
def test_archive__that_is_a_compressed_tar_is_decompressed_for_several_members(names, folder):
    found = data_set({name: {"source": f"x.tar.gz!{name}.raw"} for name in names})
    source = found.acquired("a")["source"]
    assert source.startswith(f"results/{folder}/{SUM[:16]}-x.tar.gz")


SAMPLES = {"samples": {"by": "intervals"}}


def test_intervals__are_a_path_a_table_of_all_or_beside_the_recording():
    rows = {
        "path": {"source": "a.raw", "samples": "a.csv"},
        "member": {"source": "x.zip!d/b.raw", "samples": "!d/b.csv"},
    }
    found = data_set(rows, SAMPLES)
    assert found.intervals("path") == "a.csv"
    assert found.intervals("member") == f"results/archives/{SUM[:16]}-x.zip!d/b.csv"
    assert found.intervals_file("member") == f"results/archives/{SUM[:16]}-x.zip"
    assert not found.is_in_shared_table("path")
    shared = data_set(rows, {"samples": {"by": "intervals", "table": "all.csv"}})
    assert shared.intervals("path") == shared.intervals_file("member") == "all.csv"
    assert shared.is_in_shared_table("path")
    members = data_set(rows, {"samples": {"by": "members", "members": "*"}})
    assert members.intervals("path") is None and members.intervals_file("path") == []
    assert members.is_archive("path") and members.member_pattern("path") == "*"


def test_split_lists__in_the_archive_need_one_archive():
    lists = {"samples": {"by": "members", "members": "*", "split": {"files": {"test": "!t.txt"}}}}
    found = data_set({"a": {"source": "x.zip!a.zip", "split": "mixed"}}, lists)
    assert found.split_lists == {"test": f"results/archives/{SUM[:16]}-x.zip!t.txt"}
    assert found.list_files() == [f"results/archives/{SUM[:16]}-x.zip"]
    assert found.fixed_splits() == {"a": None}
    assert found.source_names() == {"a": "a.zip"}
    with pytest.raises(UsageError, match="there are 0"):
        _ = data_set({"a": {"source": "a.zip"}}, lists).split_lists


def test_recording__that_is_labelled_already_is_annotated_only_where_it_is_asked_for():
    rows = {
        "plain": {"source": "a"},
        "boxes": {"source": "b", "boxes": "b.npy"},
        "both": {"source": "c", "boxes": "c.npy", "tags": "c.xml"},
    }
    assert data_set(rows).annotated == ["plain", "both"]
    cut = data_set(rows, SAMPLES)
    assert cut.annotated == ["both"]
    assert cut.cut == list(rows)
    own = {"plain": read(Config, CONFIG | {"samples": {"by": "none"}})}
    assert data_set(rows, SAMPLES, own).cut == ["boxes", "both"]


def test_boxes__beside_frames_in_other_pixels_than_the_sensors_are_those_of_windows_or_none():
    of = {
        "alike": {},
        "moved": {"geometry": {"flip_x": True}},
        "last": {"geometry": {"flip_x": True}, "boxes": "last"},
        "none": {"geometry": {"flip_x": True}, "boxes": "none"},
        "regions": {"geometry": {"labels": ["car"]}},
        "alike_none": {"boxes": "none"},
    }
    histogram = CONFIG["features"]["histogram"]
    features = {name: histogram | more for name, more in of.items()}
    found = data_set({"a": {"source": "a", "rois": "a.xml"}}, {"features": features})
    assert found.features_with_boxes == ["moved", "last"]
    plan = {row["path"]: row["source"] for row in release_plan(found)}
    beside = {
        name: [plan[path] for path in sorted(plan) if path.startswith(f"train/{name}/a_bbox")]
        for name in of
    }
    every = ["results/slices/a_bbox.npy"]
    windows = ["_bbox.json", "_bbox.npy", "_bbox_first.npy"]
    assert beside == {
        "alike": every,
        "moved": [f"results/features/moved/a{suffix}" for suffix in windows],
        "last": [f"results/features/last/a{suffix}" for suffix in windows],
        "none": [],
        "regions": every,
        "alike_none": every,
    }
    assert found.slices_of_regions("a") == "results/slices/a.h5"
    # The column of one recording may change what the frames of a feature are.
    alike = {"features": {"alike": histogram}}
    own = {"a": read(Config, CONFIG | {"features": {"alike": features["moved"]}})}
    of_one = data_set({"a": {"source": "a", "rois": "a.xml"}, "b": {"source": "b"}}, alike, own)
    assert of_one.features_with_boxes == ["alike"]
    assert of_one.slices_of_regions("a") is None


def test_preview__shows_what_labels_the_recording():
    rows = {
        "plain": {"source": "a"},
        "drawn": {"source": "a", "rois": "a.xml"},
        "boxes": {"source": "b", "boxes": "b.npy"},
        "both": {"source": "c", "boxes": "c.npy", "tags": "c.xml"},
    }
    of_slices = {"slices": "results/slices/{}.h5", "clock": "results/video/{}.clock.tsv"}
    of_boxes = {"boxes": "results/boxes/{}_bbox.npy"}
    shown = {"plain": {}, "drawn": of_slices, "boxes": of_boxes, "both": of_boxes}
    cut = {"plain": {"cut": "results/cuts/{}.tsv"}}
    for found, wanted in ((data_set(rows), shown), (data_set(rows, SAMPLES), shown | cut)):
        for id_ in rows:
            files = {role: found.preview_file(role)(id_) for role in (*of_slices, "boxes", "cut")}
            assert {role: file for role, file in files.items() if file} == {
                role: file.format(id_) for role, file in wanted[id_].items()
            }
            has_labels = "boxes" in rows[id_]
            assert found.preview_labels(id_) == (found.labels() if has_labels else [])


def test_plan__has_every_file_of_a_recording_and_no_other():
    rows = {
        "drawn": {"source": "a", "rois": "in/a.xml", "biases": "in/a.bias"},
        "cut": {"source": "b", "split": "mixed", "samples": "b.csv"},
    }
    own = {"drawn": read(Config, CONFIG)}
    found = data_set(rows, SAMPLES | {"features": {"h": CONFIG["features"]["histogram"]}}, own)
    plan = {row["path"]: (row["source"], row["kind"]) for row in release_plan(found)}
    assert plan == {
        "train/events/drawn.h5": ("results/published/events/drawn.h5", "events"),
        "train/slices/drawn.h5": ("results/published/slices/drawn.h5", "slices"),
        "train/slices/drawn_bbox.npy": ("results/slices/drawn_bbox.npy", "slices"),
        "video/drawn.mp4": ("results/video/drawn.mp4", "video"),
        "video/drawn.clock.tsv": ("results/video/drawn.clock.tsv", "video"),
        **{
            f"previews/{name}": (f"results/previews/{name}", "previews")
            for name in ("cut.jpg", "cut.mp4", "drawn.jpg", "drawn.mp4")
        },
        "annotations/drawn.rois.xml": ("in/a.xml", "annotations"),
        "sidecars/drawn.biases.bias": ("in/a.bias", "sidecars"),
        "train/h/drawn.h5": ("results/published/features/h/drawn.h5", "features"),
        "train/h/drawn_bbox.npy": ("results/slices/drawn_bbox.npy", "features"),
        "mixed/events/cut.h5": ("results/published/events/cut.h5", "events"),
        "mixed/samples/cut.h5": ("results/published/samples/cut.h5", "samples"),
        "mixed/h/cut.h5": ("results/published/features/h/cut.h5", "features"),
        "samples.tsv": ("results/samples.tsv", "samples"),
    }
    ready = [source for source, _ in plan.values() if source.startswith("results/published/")]
    assert released_files(found) == [source for source, _ in plan.values() if source not in ready]
    assert published_files(found) == ready
    assert records_of_files(found) == [f"{source.removesuffix('.h5')}.json" for source in ready]
    assert working_files(found) == [source.replace("/published/", "/") for source in ready]


def test_plan__has_each_job_and_names_annotations_without_people_so():
    def planned(*include, **settings):
        config = CONFIG | {"release": CONFIG["release"] | {"include": list(include)} | settings}
        row = {"id": "a", "source": "a.raw", "split": "val", "rois": "1.xml\n2.zip"}
        plan = release_plan(DataSet(read(Config, config), {"a": row}))
        return [(row["path"], row["source"], row["kind"]) for row in plan]

    paths = [("annotations/a.rois.xml", "1.xml"), ("annotations/a.rois.2.zip", "2.zip")]
    for kind in ("annotations", "anonymous_annotations"):
        assert planned(kind) == [(*path, kind) for path in paths]
    for kind in ("annotations", "anonymous_annotations"):
        of_nobody = [(*path, "anonymous_annotations") for path in paths]
        assert planned(kind, anonymous=True) == of_nobody
    assert planned("sidecars") == planned("sidecars", anonymous=True) == []
    both = CONFIG["release"] | {"include": ["annotations", "anonymous_annotations"]}
    assert list(all_contradictions(read(Config, CONFIG | {"release": both}))) == [
        (("release", "include"), "annotations or anonymous_annotations; both are given")
    ]


def test_description__names_local_files_without_their_folders():
    rows = {
        "a": {
            "source": "/home/me/a.raw",
            "rois": "/home/me/a.xml",
            "group": "x/y",
            "features/mine/representation": "/home/me/other.py:f",
        },
        "b": {"source": "https://a.org/b.raw?key=1"},
    }
    release = CONFIG["release"] | {"licence_file": "/home/me/LICENCE"}
    named = {"release": release, "recordings": "/home/me/r.tsv", "qa": {"font": "/home/me/f.ttf"}}
    mine = {"representation": "/home/me/mine.py:f", "window_us": 10}
    named["features"] = CONFIG["features"] | {"mine": mine}
    told = data_set(rows, named).description(len)
    assert told["config"]["features"]["mine"]["representation"] == "mine.py:f"
    assert told["config"]["features"]["histogram"]["representation"] == "histogram"
    assert told["config"]["qa"]["font"] == "f.ttf"
    assert told["config"]["recordings"] == "r.tsv"
    assert told["config"]["release"]["licence_file"] == "LICENCE"
    assert "results" not in told["config"]
    assert told["config"]["video"]["crf"] == 23
    assert told["recordings"]["a"] | {"md5": ""} == {
        "id": "a",
        "md5": "",
        "split": "train",
        "source": "a.raw",
        "rois": "a.xml",
        "rois_sha256": len("/home/me/a.xml"),
        "group": "x/y",
        "features/mine/representation": "other.py:f",
    }
    assert told["recordings"]["b"]["source"] == read_source("https://a.org/b.raw?key=1").public
    assert told["dataset"] is None
