"""A user's own representation in a workflow: an edit of its source makes its features again."""

from __future__ import annotations

import os
import shutil

import pytest

from evreel.files.features import FeaturesFile
from support.dataset import CONFIG, build, make_data_set, planned, snakemake, write_config

OWN = """import numpy as np
from helper import GAIN


def counts(events, H, W, *, fails: bool = False):
    frame = np.zeros((H, W), dtype=np.uint16)
    np.add.at(frame, (events["y"], events["x"]), GAIN)
    return frame[fails:]
"""


def configured(folder, representation="own/mine.py:counts", **more):
    mine = {"representation": representation, "window_us": 20_000, **more}
    histogram = {"representation": "histogram", "window_us": 20_000}
    write_config(folder, CONFIG | {"features": {"mine": mine, "histogram": histogram}})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A recording and a feature of a user's own, built once."""
    folder = make_data_set(tmp_path_factory.mktemp("dataset"), ["one"])
    (folder / "own").mkdir()
    (folder / "own" / "mine.py").write_text(OWN)
    (folder / "own" / "helper.py").write_text("GAIN = 1\n")
    configured(folder)
    build(folder, "--cores", "2", "all_features")
    return folder


def total(folder, feature="mine"):
    with FeaturesFile(folder / "results" / "features" / feature / "one.h5") as file:
        return int(file[:].sum())


def test_edited_source__makes_the_features_of_it_again_and_no_others(built, copied):
    n = total(copied, "histogram")
    assert total(copied) == n > 0
    again = ["all_features", "features"]
    assert planned(copied, "all_features") == []
    helper = copied / "own" / "helper.py"
    helper.write_text("GAIN = 2\n")
    os.utime(helper, (0, 0))  # as where it was unpacked, or checked out
    other = copied / "results" / "features" / "histogram" / "one.h5"
    inode = other.stat().st_ino
    assert planned(copied, "all_features") == again
    build(copied, "--cores", "2", "all_features")
    assert total(copied) == 2 * n
    assert other.stat().st_ino == inode, "the other feature is kept"
    assert planned(copied, "all_features") == []
    mine = copied / "own" / "mine.py"
    mine.write_text(OWN + "\n")
    assert planned(copied, "all_features") == again
    mine.write_text(OWN)
    assert planned(copied, "all_features") == []
    shutil.rmtree(copied / ".snakemake")  # as where results were copied from elsewhere
    assert planned(copied, "all_features") == []
    mine.write_text(OWN + "\n\n")
    os.utime(mine, (0, 0))
    assert planned(copied, "all_features") == again


def test_failing_source__ends_the_run_with_one_message(built, copied):
    configured(copied, parameters={"fails": True})
    run = snakemake(copied, "--cores", "1", "all_features")
    assert run.returncode
    assert "RepresentationError: mine.py: line 5: a call with four events: it returns" in run.stdout
    assert "Traceback" not in run.stdout
    configured(copied, "own/mine.py:count")
    run = snakemake(copied, "-n", "all_features")
    said = "config.yaml: line 5: features/mine: mine.py: has no function or class 'count'; available"
    assert run.returncode
    assert said in run.stdout
    assert "Traceback" not in run.stdout


def test_failed_job__is_run_again_although_its_older_files_are_there(built, copied):
    before = total(copied)
    configured(copied, parameters={"fails": True})
    assert snakemake(copied, "--cores", "1", "all_features").returncode
    assert total(copied) == before, "a job that fails leaves what was there"
    assert planned(copied, "all_features") == ["all_features", "features"]
    assert "features" in planned(copied), "a release waits for it too"
    assert snakemake(copied, "--cores", "1", "all_features").returncode
    configured(copied)
    build(copied, "--cores", "1", "all_features")
    assert planned(copied, "all_features") == []
