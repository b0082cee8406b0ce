"""What a run that failed says at its end, from logs as Snakemake and the jobs write them."""

from __future__ import annotations

import pytest

from evreel.dataset.failures import what_failed

RULE = """[Sat Nov 21 14:02:13 2026]
Error in rule acquire:
    message: {message}
    jobid: 4
    input: raw/one.aedat4
    output: results/recordings/one.aedat4
    log: {log} (check log file(s) for error details)
Logfile {log}:
"""
GROUP = """Error in group shard:
    jobs:
        rule events:
            jobid: 3
            output: results/events/one.h5
            log: {log} (check log file(s) for error details)
        rule clock:
            jobid: 5
            output: results/video/one.clock.tsv
    external_jobid: 77
Trying to restart job 3.
"""


@pytest.fixture
def said(tmp_path):
    """Return a function of Snakemake's log and a job's log that returns what is said."""

    def say(snakemake, job=None, message="None"):
        log = tmp_path / "job.log"
        if job is not None:
            log.write_text(job, encoding="utf-8")
        main = tmp_path / "snakemake.log"
        main.write_text(snakemake.format(log=log, message=message), encoding="utf-8")
        return what_failed([main])

    return say


def test_failed_job__is_named_with_the_error_that_ends_its_log(said):
    text = said(RULE, "one.aedat4: 12 events\nSourceError: raw/one: md5 is 1. Look.\n")
    assert text.splitlines()[:4] == [
        "1 job failed; jobs that need it did not run:",
        "",
        "acquire: results/recordings/one.aedat4",
        "    SourceError: raw/one: md5 is 1. Look.",
    ]
    assert text.endswith("run the same command again; finished jobs are kept.")


@pytest.mark.parametrize("last", ["AssertionError", "KeyError: 'x'", "numpy.exceptions.AxisError"])
def test_traceback__is_told_by_its_last_line(said, last):
    assert f"    {last}\n" in said(RULE, f"Traceback (most recent call last):\n  x\n{last}\n")


@pytest.mark.parametrize("log", [None, "", "one.aedat4: 5000 events\n", "warning: gap: one.h5\n"])
def test_job__that_was_killed_is_not_explained_by_what_it_said_before(said, log):
    assert "It ended without a message in its log" in said(RULE, log)


def test_executor__that_knows_why_is_heard(said):
    text = said(RULE, "", message="SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'.")
    assert "ran out of memory or time. The executor says: SLURM-job '7' failed" in text


def test_job__that_failed_twice_is_told_once(said):
    assert said(RULE + RULE, "SourceError: x\n").count("acquire: results") == 1


def test_group__names_each_of_its_jobs(said):
    text = said(GROUP, "RecordingError: one.aedat4: is cut\n")
    assert "2 jobs failed" in text
    assert "events: results/events/one.h5\n    RecordingError: one.aedat4: is cut" in text
    assert "clock: results/video/one.clock.tsv\n    It ended without a message: it was" in text


@pytest.mark.parametrize("text", ["", "Terminating processes on user request.\n"])
def test_run__that_no_job_failed_in_was_stopped(said, text):
    assert said(text) == (
        "The run was stopped early. To go on, run the same command again; finished jobs are kept."
    )
