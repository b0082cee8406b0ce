"""Snakemake's records of jobs are read, and marked where a job failed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from evreel.dataset.job_records import is_recorded, mark_failed, record_params, recorded_params

LOG = """\
Error in rule annotate:
    jobid: 3
    output: results/slices/a.h5, results/slices/a_bbox.npy
    log: results/logs/annotate/a.log (check log file(s) for error details)

Error in rule acquire:
    jobid: 1
    output: results/recordings/a.aedat4
"""


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return a function that records a file's job with some parameters."""
    monkeypatch.chdir(tmp_path)
    folder = Path(".snakemake", "metadata")
    folder.mkdir(parents=True)

    def record(path, value):
        name = base64.urlsafe_b64encode(path.encode()).decode()
        (folder / name).write_text(value, encoding="utf-8")

    return record


def test_records__tell_the_parameters_of_the_file_that_they_name(recorded):
    recorded("results/events/a.h5", json.dumps({"params": ["1", "'x'"]}))
    assert is_recorded("results/events/a.h5")
    assert recorded_params("results/events/a.h5") == ["1", "'x'"]


@pytest.mark.parametrize("value", ["", "[]", "null", "{}", '{"params": "1"}', "{"])
def test_records__that_cannot_be_read_tell_nothing(recorded, value):
    recorded("results/events/a.h5", value)
    assert recorded_params("results/events/a.h5") is None


@pytest.mark.parametrize("path", ["results/events/b.h5", f"results/events/{'b' * 300}.h5"])
def test_records__that_are_not_there_tell_nothing(recorded, path):
    assert not is_recorded(path)
    assert recorded_params(path) is None


def test_mark_failed__marks_each_output_of_a_failed_job_but_none_in_a_kept_folder(recorded):
    marked = "results/slices/a.h5", "results/slices/a_bbox.npy"
    others = "results/recordings/a.aedat4", "results/slices/b.h5"
    for path in (*marked, *others):
        recorded(path, json.dumps({"params": ["1"]}))
    Path("run.log").write_text(LOG, encoding="utf-8")
    mark_failed(["run.log"], kept=["results/recordings"])
    assert [len(recorded_params(path)) for path in (*marked, *others)] == [2, 2, 1, 1]


def test_mark_failed__leaves_a_record_alone_that_cannot_be_read(recorded):
    recorded("results/slices/a.h5", "{")
    recorded("results/slices/a_bbox.npy", json.dumps({"params": [], "code": "x"}))
    Path("run.log").write_text(LOG, encoding="utf-8")
    mark_failed(["run.log"])
    assert recorded_params("results/slices/a.h5") is None
    assert recorded_params("results/slices/a_bbox.npy") == ["'failed'"]


def test_record_params__needs_no_room_on_a_full_disk(recorded, monkeypatch):
    recorded("results/slices/a.h5", json.dumps({"params": ["1"], "rule": "annotate"}))
    opened = Path.open

    def full(path, mode="r", *arguments, **how):
        assert mode in ("r", "rb", "r+b"), "a new file, or one that is emptied, needs room"
        return opened(path, mode, *arguments, **how)

    monkeypatch.setattr(Path, "open", full)
    for params in (["1", "'x'"], ["2"]):
        record_params("results/slices/a.h5", params)
        assert recorded_params("results/slices/a.h5") == params
