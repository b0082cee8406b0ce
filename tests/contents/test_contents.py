"""`evreel info` says what any file that evreel makes or reads holds, and what is wrong with it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from evreel import cli, steps
from evreel.annotations.cvat import read_cvat
from evreel.annotations.forms.coco import Pictures, write_coco
from evreel.annotations.forms.mot import write_mot
from evreel.annotations.forms.yolo import write_yolo, write_yolo_config
from evreel.contents import KINDS, lines
from evreel.errors import EvreelError
from evreel.files.boxes import write_boxes_of_windows
from evreel.layout import BOX_DTYPE
from evreel.release.manifest import PlanEntry, write_plan
from evreel.release.recipe import withhold
from evreel.video.jpeg import jpeg_bytes
from evreel.video.png import png_bytes
from support import run_python
from support.checks import build_results
from support.once import copy_once

TIMED = "s\tmax_rss\n0.5\t10\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A raw recording, results with a release, and what else can be described."""
    folder = tmp_path_factory.mktemp("contents")
    copy_once("results", build_results, folder)
    results = folder / "results"
    shutil.rmtree(results / "release" / "fast")
    store, clock = results / "events" / "one.h5", results / "video" / "one.clock.tsv"
    for name in ("one.mp4", "one.zip"):
        steps.video(store, clock, results / "video" / name)
    boxes = np.zeros(3, dtype=BOX_DTYPE)
    boxes["t"], boxes["class_id"], boxes["track_id"] = [5, 9, 20], [1, 0, 1], [4, 5, 4]
    first = folder / "w_bbox_first.npy"
    write_boxes_of_windows(folder / "w_bbox.npy", first, boxes, np.array([0, 2, 2, 3]))
    drawn, shape = read_cvat(folder / "raw" / "one.rois.xml"), (48, 64)
    names = {k: f"{k}.png" for k in range(12)}
    write_coco(folder / "coco.json", [Pictures(drawn, shape, names)])
    write_mot(folder / "mot", drawn, name="one", n_frames=12, picture_shape=shape)
    write_yolo(folder / "yolo", drawn, picture_shape=shape, names=names)
    write_yolo_config(folder / "yolo", drawn.labels)
    write_plan(folder / "plan.tsv", [PlanEntry("a.h5", store, "events", "one", "train")])
    for place, text in (("logs/events/one.log", ""), ("benchmarks/events/one.tsv", TIMED)):
        (results / place).parent.mkdir(parents=True)
        (results / place).write_text(text)
        (results / place).parent.with_name("video").mkdir()
    for suffix, form in ((".png", png_bytes), (".jpg", jpeg_bytes)):
        (folder / f"one{suffix}").write_bytes(form(np.zeros((4, 6, 3), dtype=np.uint8)))
    (folder / "recordings.tsv").write_text("id\tsource\tsplit\none\traw/one.aedat4\ttrain\n")
    return folder


def said(path, **options):
    """Return what is said of a path, both ways: facts, and lines for people."""
    found = steps.info(path, **options)
    return json.loads(json.dumps(found)), list(steps.describe(found))


EXPECTED = {
    "results/slices/one.h5": {
        "kind": "annotated slices",
        "recording": "one",
        "slices": 6,
        "regions": {"car": 1, "sign": 1},
        "tags": {"busy": 3},
    },
    "results/features/voxels/one.h5": {
        "kind": "features",
        "representation": "voxel_grid",
        "shape": [6, 5, 47, 63],
        "dtype": "float32",
        "count": 500,
    },
    "results/features/h/one.h5": {"kind": "features", "samples": 3, "windows": "a fixed number"},
    "results/samples/one.h5": {
        "kind": "samples of a recording",
        "by_label": {"clap": 2, "wave": 1},
        "by_split": {"train": 3},
    },
    "results/slices/one_bbox.npy": {
        "kind": "boxes",
        "boxes": 24,
        "by_label": {"class 0": 12, "class 1": 12},
        "tracks": 2,
        "time_us": [10_000, 120_000],
    },
    "results/release/portable/train/voxels/one_bbox.npy": {"by_label": {"car": 12, "sign": 12}},
    "w_bbox.npy": {
        "kind": "boxes of windows",
        "by_label": {"class 0": 1, "class 1": 2},
        "windows": 3,
        "with_boxes": 2,
    },
    "results/video/one.clock.tsv": {
        "kind": "clock of a video",
        "frames": 12,
        "frame_us": 10_000,
        "pictures": {"height": 48, "width": 64},
    },
    "results/video/one.mp4": {
        "kind": "video",
        "frames": 12,
        "pictures": {"height": 48, "width": 64},
        "clock": "one.clock.tsv",
        "time_us": [0, 120_000],
    },
    "results/video/one.zip": {"kind": "pictures of a video", "frames": 12},
    "results/cuts/one.tsv": {"kind": "table of a recording's samples", "samples": 3},
    "results/samples.tsv": {"kind": "table of a data set's samples", "by_split": {"train": 3}},
    "plan.tsv": {"kind": "plan of a release", "files": 1, "by_kind": {"events": 1}},
    "recordings.tsv": {"kind": "table of recordings", "by_split": {"train": 1}},
    "results/release/portable/label_map_dictionary.json": {
        "kind": "label map",
        "labels": {"0": "car", "1": "sign", "2": "busy"},
    },
    "raw/one.rois.xml": {
        "kind": "annotation",
        "form": "CVAT XML",
        "objects": {"car": 1, "sign": 1},
        "shapes": {"box": 12, "polygon": 12},
        "frames": "0 to 11",
    },
    "raw/one.tags.xml": {"tags": {"busy": 3}},
    "coco.json": {"kind": "annotation", "form": "COCO"},
    "mot": {"kind": "annotation", "form": "MOT", "objects": {"car": 1, "sign": 1}},
    "yolo": {"kind": "annotation", "form": "YOLO"},
    "mot/gt/gt.txt": {"kind": "annotation", "form": "MOT"},
    "results/release/portable/index.parquet": {"kind": "Parquet table", "rows": 1},
    "results/release/portable/MD5SUMS": {"kind": "checksums", "sums": "MD5"},
    "results/release/portable/SHA256SUMS": {"kind": "checksums", "sums": "SHA-256"},
    "results/release/portable/croissant.json": {"kind": "JSON", "name": "tiny"},
    "results/release/portable/README.md": {"kind": "text"},
    "results/release/portable/index.html": {"kind": "text", "title": "tiny 1.0"},
    "results/logs/events/one.log": {"kind": "text", "lines": 0},
    "results/benchmarks/events/one.tsv": {"kind": "table", "rows": 1, "columns": ["s", "max_rss"]},
    "one.png": {"kind": "picture", "form": "PNG", "pictures": {"height": 4, "width": 6}},
    "one.jpg": {"kind": "picture", "form": "JPEG", "pictures": {"height": 4, "width": 6}},
    "results/release/portable": {
        "kind": "release",
        "name": "tiny",
        "by_split": {"train": 1},
        "features": ["h", "voxels"],
        "labels": ["car", "sign", "busy"],
    },
    "results/release/portable/manifest.json": {"kind": "release", "name": "tiny"},
    "results": {
        "kind": "results of a workflow",
        "features": {"h": 1, "voxels": 1},
        "releases": ["portable"],
    },
}


@pytest.mark.parametrize("place", EXPECTED)
def test_info__says_what_is_in_a_file(made, place):
    found, shown = said(made / place)
    assert {name: found.get(name) for name in EXPECTED[place]} == EXPECTED[place]
    assert found["problems"] == []
    assert shown[0] == f"kind           {found['kind']}"
    assert len(shown) < 30 and all(line.strip() for line in shown)


def test_kinds__are_each_described_by_a_test():
    told = {expected.get("kind") for expected in EXPECTED.values()}
    assert {kind.name for kind in KINDS} <= told


@pytest.mark.parametrize(
    "place",
    ["results/slices/one.h5", "results/features/h/one.h5", "results/samples/one.h5"],
)
def test_info__names_the_digests_of_what_a_file_was_made_from(made, place):
    found, shown = said(made / place)
    assert found["inputs"]["store"].startswith("sha256:")
    assert any(found["inputs"]["store"] in line for line in shown)
    assert found["parameters"]


def test_info__of_recordings_and_stores_is_as_of_any_recording(made):
    for place in ("raw/one.aedat4", "results/events/one.h5"):
        found, shown = said(made / place)
        assert found["events"] == 2_558 and shown[0].startswith("format    ")


@pytest.mark.parametrize(
    "place",
    [place for place in EXPECTED if "." in place.rpartition("/")[2] and place != "mot/gt/gt.txt"],
)
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_info__of_a_file_that_is_cut_short_is_one_error_or_all_that_it_says(
    made, place, share, tmp_path
):
    source = made / place
    whole = source.read_bytes()
    # Without its neighbours: a clock beside a video, a release around its manifest.
    cut = tmp_path / source.name
    cut.write_bytes(whole[: int(len(whole) * share)])
    if source.name == "w_bbox.npy":
        shutil.copyfile(made / "w_bbox_first.npy", tmp_path / "w_bbox_first.npy")
    try:
        found, _ = said(cut)
    except EvreelError as error:
        assert source.name in str(error) and "\n" not in str(error)
    else:
        texts = (".tsv", ".json", ".md", ".html", ".log")
        whole_enough = source.suffix in texts or "bbox" in source.name
        assert whole_enough or found["problems"], found


def test_recipe__lacks_nothing_but_says_what_is_to_be_made(made, tmp_path, capsys):
    recipe = shutil.copytree(made / "results" / "release" / "portable", tmp_path / "recipe")
    withheld = [file for file in withhold(recipe).files if file.withheld]
    assert cli.main(["info", str(recipe)]) == 0
    told = capsys.readouterr().out
    assert f"to be made     {len(withheld)}\n" in told
    assert "problem" not in told
    # Once some are there, the others are missing.
    (recipe / withheld[0].path).parent.mkdir(parents=True, exist_ok=True)
    (recipe / withheld[0].path).write_bytes(b"")
    assert cli.main(["info", str(recipe)]) == 1
    assert f"problem        and {len(withheld) - 1} more" in capsys.readouterr().out


def test_command__ends_with_1_and_one_line_of_what_is_damaged(made, tmp_path, capsys):
    for place in ("results/slices/one.h5", "results/video/one.mp4", "raw/one.rois.xml"):
        path = tmp_path / place.rpartition("/")[2]
        path.write_bytes((made / place).read_bytes()[:600])
        assert cli.main(["info", str(path)]) == 1
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1 and path.name in told.err
    release = tmp_path / "release"
    shutil.copytree(made / "results" / "release" / "portable", release)
    (release / "README.md").unlink()
    assert cli.main(["info", str(release)]) == 1
    assert "problem        README.md: is missing" in capsys.readouterr().out


def test_video__with_the_clock_of_another_has_a_problem(made, tmp_path):
    for name in ("one.mp4", "one.zip"):
        shutil.copyfile(made / "results" / "video" / name, tmp_path / name)
    text = (made / "results" / "video" / "one.clock.tsv").read_text()
    lines_ = text.replace("# frames\t12\n", "").splitlines()[:-1]
    (tmp_path / "one.clock.tsv").write_text("\n".join(lines_) + "\n")
    for name in ("one.mp4", "one.zip"):
        problems = said(tmp_path / name)[0]["problems"]
        assert problems == [
            "one.clock.tsv: has 11 rows; the video has 12 frames",
            "one.clock.tsv: is not the clock that the video was made with",
        ]


@pytest.mark.parametrize("content", [b"just a text\n", b'{"a": 1}', b"\0\1\2" * 99])
def test_info__of_anything_else_says_what_is_known(tmp_path, content, capsys):
    path = tmp_path / "odd.data"
    path.write_bytes(content)
    assert cli.main(["info", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "AEDAT 4" in told and all(kind.name in told for kind in KINDS)


def test_info__of_any_other_folder_says_what_is_known(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(EvreelError, match=r"is a folder of no kind that is known here.*release"):
        steps.info(tmp_path)


@pytest.mark.parametrize(
    "place", ["logs", "benchmarks", "release/portable/train", "release/portable/train/slices"]
)
def test_folder__in_results_or_a_release_is_not_told_as_what_it_is_not(made, place):
    with pytest.raises(EvreelError, match=r"is a folder of no kind that is known here"):
        steps.info(made / "results" / place)


def test_results__are_told_also_where_a_link_leads_to_itself(made, tmp_path):
    shutil.copytree(made / "results", tmp_path / "results")
    (tmp_path / "results" / "loop").symlink_to("loop")
    assert said(tmp_path / "results")[0]["kind"] == "results of a workflow"


def test_boxes__of_any_number_take_the_memory_of_a_piece(tmp_path):
    code = (
        "import sys, tracemalloc, numpy as np\n"
        "from evreel.layout import BOX_DTYPE\n"
        "from evreel.contents import described\n"
        "described(sys.argv[1])\n"
        "tracemalloc.start(); described(sys.argv[1])\n"
        "print(tracemalloc.get_traced_memory()[1])\n"
    )
    boxes = np.zeros(1_000_000, dtype=BOX_DTYPE)
    boxes["t"] = np.arange(len(boxes))
    np.save(tmp_path / "many_bbox.npy", boxes)
    peak = int(run_python(code, tmp_path / "many_bbox.npy").stdout)
    assert peak < boxes.nbytes / 2


def test_lines__show_a_few_of_many():
    found = {"kind": "x", "by_label": {f"l{k}": k for k in range(30)}, "problems": ["is odd"]}
    shown = list(lines(found))
    assert shown[1].endswith("l9 9, and 20 more")
    assert shown[-1] == "problem        is odd"
