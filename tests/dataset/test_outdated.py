"""Results say which files they were made from, where Snakemake does not know it any more."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.memory import Memory
from evreel.dataset.outdated import outdated
from evreel.layout import BOX_DTYPE
from evreel.release import origins
from support.dataset import CONFIG, write_table
from support.fonts import DEJAVU
from support.scenes import write_scene


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recording with annotations and published boxes, and what is made of them."""
    folder = tmp_path_factory.mktemp("made")
    recording, rois, *_ = steps.simulate(write_scene(folder, "park", seed=1), folder)
    np.save(folder / "published.npy", np.zeros(0, BOX_DTYPE))
    results = folder / "results"
    for name in ("events", "video", "slices", "boxes"):
        (results / name).mkdir(parents=True)
    store, clock = results / "events" / "a.h5", results / "video" / "a.clock.tsv"
    steps.events(recording, store)
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000))
    steps.annotate(
        *(store, clock, results / "slices" / "a.h5", results / "slices" / "a_bbox.npy"),
        steps.RegularWindows(window_us=20_000),
        rois=rois,
    )
    steps.boxes(store, folder / "published.npy", results / "boxes" / "b_bbox.npy")
    md5 = hashlib.md5(recording.read_bytes()).hexdigest()
    write_table(
        folder,
        [
            ("id", "source", "md5", "split", "rois", "boxes"),
            ("a", recording.name, md5, "train", rois.name, ""),
            ("b", recording.name, md5, "train", "", "published.npy"),
        ],
    )
    return folder


@pytest.fixture
def found(made, tmp_path, monkeypatch):
    """Return a function that finds outdated results in a copy of the data set."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    dataset = DataSet(*read_config(CONFIG))

    def again(is_unknown=lambda path: True):
        memory = Memory(Path("known.json"))
        paths = list(outdated(dataset, memory, is_unknown))
        memory.save()
        return paths

    return again


def test_results__that_were_made_from_these_files_are_not_outdated(found, monkeypatch):
    assert found() == []
    monkeypatch.setattr(origins.Made, "read", lambda *_: pytest.fail("is read again"))
    assert found() == []


def test_results__of_edited_files_are_outdated_unless_snakemake_knows(found):
    Path("park.rois.xml").write_bytes(Path("park.rois.xml").read_bytes() + b"\n")
    np.save("published.npy", np.zeros(1, BOX_DTYPE))
    assert found() == ["results/slices/a.h5", "results/boxes/b_bbox.npy"]
    assert found(lambda path: "slices" in path) == ["results/slices/a.h5"]
    assert found(lambda path: False) == []


def test_boxes_by_windows__of_other_boxes_than_there_are_now_are_outdated(
    made, tmp_path, monkeypatch
):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    histogram = {"representation": "histogram", "window_us": 10_000}
    features = {"of": histogram | {"boxes": "last"}, "without": histogram}
    dataset = DataSet(*read_config(CONFIG | {"features": features}))
    feature, path = Path("results/features/of/a.h5"), "results/features/of/a_bbox.npy"
    steps.features("results/events/a.h5", feature, steps.FeatureSettings(**histogram))
    last = steps.FeatureBoxesSettings(boxes="last")
    steps.feature_boxes(feature, "results/slices/a_bbox.npy", path, last)

    def again(is_unknown=lambda path: True):
        return list(outdated(dataset, Memory(Path("known.json")), is_unknown))

    assert again() == []
    np.save("results/slices/a_bbox.npy", np.zeros(1, BOX_DTYPE))
    assert again(lambda asked: asked == path) == [path]
    assert again(lambda path: False) == []
    Path("results/slices/a_bbox.npy").unlink()
    assert again() == [], "the workflow makes both"


@pytest.mark.parametrize("representation", ["histogram", "own.py:brightness"])
def test_features__of_other_times_than_there_are_now_are_outdated(
    made, tmp_path, monkeypatch, representation
):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("5000\n")
    head, *rows = Path("recordings.tsv").read_text(encoding="utf-8").splitlines()
    table = [f"{head}\ttimes", *(f"{row}\tt.txt" for row in rows)]
    Path("recordings.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    Path("own.py").write_text(
        "def brightness(events, H, W):\n    return [[[0.0] * W] * H]\n", encoding="utf-8"
    )
    ends = {"representation": representation, "window_us": 10_000, "ending": "times"}
    dataset = DataSet(*read_config(CONFIG | {"features": {"ends": ends}}))
    path = "results/features/ends/a.h5"
    asked = steps.FeatureSettings(**ends)
    steps.features("results/events/a.h5", path, asked, ends={"times": "t.txt"})

    def again():
        return list(outdated(dataset, Memory(Path("known.json")), lambda asked: asked == path))

    assert again() == []
    Path("t.txt").write_text("5001\n")
    assert again() == [path]


def test_results__that_cannot_be_read_or_are_gone_are_no_error(found):
    Path("results/slices/a.h5").write_bytes(b"\0")
    shutil.rmtree("results/boxes")
    assert found() == ["results/slices/a.h5"]


def test_pictures__of_another_font_are_outdated_until_it_was_seen_once(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEJAVU, "f.ttf")
    picture = Path("results", "slices", "a.summary.png")
    picture.touch()
    dataset = DataSet(*read_config(CONFIG | {"qa": {"font": "f.ttf"}}))

    def again(is_unknown=lambda path: True):
        memory = Memory(Path("known.json"))
        paths = list(outdated(dataset, memory, is_unknown))
        memory.save()
        return paths

    assert again(lambda path: False) == []
    assert again() == [str(picture)]
    assert again() == []
    Path("f.ttf").write_bytes(DEJAVU.with_name("DejaVuSans-Bold.ttf").read_bytes())
    assert again() == [str(picture)]


def test_slices__of_one_file_are_outdated_where_several_are_named(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    shutil.copy("park.rois.xml", "other.xml")
    table = Path("recordings.tsv").read_text(encoding="utf-8")
    Path("recordings.tsv").write_text(table.replace("rois.xml", "rois.xml | other.xml"))
    dataset = DataSet(*read_config(CONFIG))
    assert list(outdated(dataset, Memory(), lambda path: "slices" in path)) == [
        "results/slices/a.h5"
    ]
