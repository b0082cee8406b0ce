"""A recipe gives, with the recordings and one command, the release byte for byte."""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evreel import steps
from evreel.cli import main
from evreel.errors import EvreelError, SourceError, UsageError
from evreel.release.manifest import read_manifest
from evreel.release.verify import verify
from support.dataset import CONFIG, build, make_data_set, write_config
from support.releases import files_below

making = importlib.import_module("evreel.steps.recipe")  # `steps.recipe` is its function

TELLING = {"README.md", "config.json", "croissant.json", "index.html", "load_example.py"}
TELLING |= {"page/recordings-0001.js", "page/details-0001.js"}
"""Files that say whether a release is a recipe."""
OWN = "import numpy as np\nfrom helper import GAIN\n\n\ndef counts(events, H, W):\n"
OWN += "    return np.full((H, W), GAIN * len(events), dtype=np.uint32)\n"


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """A data set's release with its data, the same as a recipe, and the recordings elsewhere."""
    folder = tmp_path_factory.mktemp("dataset")
    place = make_data_set(folder / "at home", ["one"])
    (place / "own").mkdir()
    (place / "own" / "mine.py").write_text(OWN)
    (place / "own" / "helper.py").write_text("GAIN = 3\n")
    mine = {"representation": "own/mine.py:counts", "window_us": 40_000}
    config = CONFIG | {"features": {"mine": mine}}
    for name, data in (("full", "all"), ("recipe", "none")):
        write_config(place, config | {"release": CONFIG["release"] | {"data": data}})
        build(place, "--cores", "2", "release")
        shutil.copytree(place / "results" / "release" / "tiny-1.0", folder / name)
    (folder / "disk" / "2024").mkdir(parents=True)
    shutil.move(place / "raw" / "one.aedat4", folder / "disk" / "2024" / "mine.aedat4")
    shutil.rmtree(place)
    return folder


@pytest.fixture
def warm(monkeypatch):
    """Run the real workflow by processes that have imported what they need."""

    def run(workflow: Path, work: Path, cores: int) -> None:
        build(work, "--cores", str(cores), "release")

    monkeypatch.setattr(making, "_run", run)


def test_recipe__has_labels_and_what_makes_the_data_but_nothing_with_events(recipes):
    recipe, full = files_below(recipes / "recipe"), files_below(recipes / "full")
    assert sorted(set(full) - set(recipe)) == [
        "previews/one.jpg",
        "previews/one.mp4",
        "train/events/one.h5",
        "train/mine/one.h5",
        "train/slices/one.h5",
        "video/one.mp4",
    ]
    added = sorted(Path(path).name for path in set(recipe) - set(full))
    assert added == sorted(
        [
            *("README.md", "config.yaml", "recordings.tsv", "requirements.txt"),
            *("helper.py", "mine.py", "one.rois.xml", "one.tags.xml"),
        ]
    )
    page = recipe["README.md"].read_text(encoding="utf-8")
    assert "`evreel rebuild tiny-1.0 --recordings FOLDER -o OUT`" in page
    for name, path in recipe.items():
        assert str(recipes).encode() not in path.read_bytes(), name
    assert "one.aedat4" in recipe["recipe/recordings.tsv"].read_text(encoding="utf-8")
    versions = json.loads(recipe["versions.json"].read_bytes())
    assert f"numpy=={versions['numpy']}\n" in recipe["recipe/requirements.txt"].read_text()


def test_recipe__lists_what_is_to_be_made_and_is_not_incomplete(recipes, capsys):
    recipe = recipes / "recipe"
    assert verify(recipe) == []
    assert main(["verify", str(recipe)]) == 0
    summary = "every file is as its manifest says; 6 more are to be made: evreel rebuild"
    assert summary in capsys.readouterr().out
    assert not [finding for finding in steps.check(recipe).findings if finding.severity == "error"]
    listed = {file.path: file for file in read_manifest(recipe).files}
    for file in read_manifest(recipes / "full").files:
        assert listed[file.path].withheld == (file.path not in files_below(recipe))
        if file.path not in TELLING:
            assert listed[file.path].sha256 == file.sha256


def test_rebuild__gives_the_release_byte_for_byte(recipes, tmp_path, warm, caplog):
    recipe = shutil.copytree(recipes / "recipe", tmp_path / "tiny")
    made = tmp_path / "made"
    with caplog.at_level(logging.INFO):
        steps.rebuild(recipe, made, recordings=recipes / "disk", cores=2)
    assert "made: 6 files made, and every file is as its manifest says" in caplog.text
    assert verify(made) == []
    full, whole = files_below(recipes / "full"), files_below(made)
    different = {path for path in full if full[path].read_bytes() != whole[path].read_bytes()}
    assert different == {*TELLING, "manifest.json", "MD5SUMS", "SHA256SUMS"}
    assert whole["manifest.json"].read_bytes() == (recipe / "manifest.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "tiny"]
    for folder, code in ((recipe, 1), (made, 0)):
        run = subprocess.run(
            [sys.executable, "load_example.py"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == code
        assert ("6 files are to be made: recipe/README.md" in run.stderr) == bool(code)
    whole["train/mine/one.h5"].unlink()
    (lost,) = verify(made)
    assert str(lost) == "train/mine/one.h5: is missing"


def test_rebuild__names_what_has_other_bytes(recipes, tmp_path, monkeypatch, caplog):
    built = tmp_path / "work" / "results" / "release" / "tiny-1.0"

    def run(workflow: Path, work: Path, cores: int) -> None:
        shutil.copytree(recipes / "full", built)
        (built / "train" / "mine" / "one.h5").write_bytes(b"other")

    monkeypatch.setattr(making, "_run", run)
    with pytest.raises(EvreelError, match=r"1 files? .*train/mine/one\.h5: has 5 bytes"):
        steps.rebuild(
            recipes / "recipe",
            tmp_path / "made",
            recordings=recipes / "disk",
            work=built.parents[2],
        )
    assert "train/mine/one.h5: has 5 bytes" in caplog.text
    assert not (tmp_path / "made").exists()


def test_rebuild__warns_of_other_versions_before_it_begins(recipes, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("evreel.publish.build.versions", lambda: {"numpy": "0.1", "new": "3"})
    monkeypatch.setattr(making, "_run", lambda *arguments: None)
    with pytest.raises(EvreelError, match="has none of the files"):
        steps.rebuild(recipes / "recipe", tmp_path / "made", recordings=recipes / "disk")
    assert "numpy is 0.1 here, and was " in caplog.text
    assert "new" not in caplog.text


@pytest.fixture
def no_work(monkeypatch):
    """Fail where the workflow is run."""
    monkeypatch.setattr(making, "_run", lambda *arguments: pytest.fail("it began"))


@pytest.mark.parametrize("change", ["other bytes", "gone", "no folder"])
def test_rebuild__refuses_wrong_and_missing_recordings_by_name_before_it_begins(
    recipes, tmp_path, no_work, change
):
    disk = tmp_path / "disk"
    disk.mkdir()
    if change == "other bytes":
        (disk / "one.aedat4").write_bytes(b"other")
    message = {
        "other bytes": r"one\.aedat4: is not the file of recording 'one' .* its MD5 is 795f3202",
        "gone": r"recordings are missing: one\.aedat4. Name the folder .* --recordings",
        "no folder": r"recordings are missing: one\.aedat4",
    }[change]
    with pytest.raises(SourceError, match=message):
        steps.rebuild(
            *(recipes / "recipe", tmp_path / "made"),
            recordings=None if change == "no folder" else disk,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk"]


def test_rebuild__refuses_a_recipe_that_was_changed_or_is_none(recipes, tmp_path, no_work):
    with pytest.raises(EvreelError, match="leaves no files to be made"):
        steps.rebuild(recipes / "full", tmp_path / "made")
    recipe = shutil.copytree(recipes / "recipe", tmp_path / "recipe")
    (recipe / "recipe" / "config.yaml").write_text("labels: []\n")
    with pytest.raises(EvreelError, match=r"recipe/config\.yaml: has 11 bytes"):
        steps.rebuild(recipe, tmp_path / "made")
    with pytest.raises(UsageError, match="evreel's workflow is not there"):
        steps.rebuild(recipes / "recipe", tmp_path / "made", snakefile=tmp_path / "Snakefile")


def test_workflow__is_run_in_its_folder_with_its_config_and_a_failure_is_told(tmp_path):
    workflow, work = tmp_path / "Snakefile", tmp_path / "work"
    work.mkdir()
    (work / "config.yaml").write_text("word: made\n")
    shell = "echo {config[word]} > said.txt; exit 1"
    workflow.write_text(f"rule release:\n    output: 'a.txt'\n    shell: '{shell}'\n")
    with pytest.raises(EvreelError, match="the workflow did not make the release"):
        making._run(workflow, work, 1)
    assert (work / "said.txt").read_text() == "made\n"


def test_workflow__goes_on_where_one_was_killed(tmp_path):
    workflow, work = tmp_path / "Snakefile", tmp_path / "work"
    (work / ".snakemake" / "locks").mkdir(parents=True)
    for kind in ("input", "output"):
        (work / ".snakemake" / "locks" / f"0.{kind}.lock").write_text(f"{work}/a.txt\n")
    (work / "config.yaml").write_text("{}\n")
    workflow.write_text("rule release:\n    output: 'a.txt'\n    shell: 'touch {output}'\n")
    making._run(workflow, work, 1)
    assert (work / "a.txt").exists()


def test_rebuild__is_not_run_twice_in_one_folder(recipes, tmp_path, monkeypatch):
    given = {"recordings": recipes / "disk", "work": tmp_path / "work"}

    def run(workflow: Path, work: Path, cores: int) -> None:
        monkeypatch.setattr(making, "_run", lambda *arguments: pytest.fail("it began"))
        with pytest.raises(UsageError, match="work: the release is being made there already"):
            steps.rebuild(recipes / "recipe", tmp_path / "other", **given)
        assert (work / "recordings").is_dir()
        raise KeyError

    monkeypatch.setattr(making, "_run", run)
    with pytest.raises(KeyError):
        steps.rebuild(recipes / "recipe", tmp_path / "made", **given)


def test_opened_recipe__says_what_is_to_be_made(recipes):
    import evreel

    with evreel.open_release(recipes / "recipe") as release:
        assert len(release.splits["train"][0].boxes) > 0
        with pytest.raises(EvreelError, match=r"events/one\.h5 is to be made.*evreel rebuild"):
            _ = release.splits["train"][0].events
