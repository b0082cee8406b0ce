"""How a run of the workflow ends: what it says when a job fails, or somebody stops it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from evreel.outputs import hold_run
from support import ROOT, warm
from support.dataset import CONFIG, command, make_data_set, snakemake, write_config, write_table
from support.webserver import running


@pytest.fixture
def folder(tmp_path):
    """A data set of one recording, not built."""
    return make_data_set(tmp_path / "dataset", ["one"])


def with_cells(folder, **cells):
    """Change cells of the only row of the table."""
    header, row = (
        line.split("\t") for line in (folder / "recordings.tsv").read_text("utf-8").splitlines()
    )
    write_table(folder, [header, [cells.get(name, cell) for name, cell in zip(header, row)]])


@pytest.mark.parametrize("quiet", [["all"], ["progress", "rules", "reason", "host"]])
def test_failed_job__is_named_with_its_error_whatever_is_quiet(folder, quiet):
    with_cells(folder, md5="0" * 32)
    run = snakemake(folder, "--cores", "1", "--quiet", *quiet, "--", "all_events")
    assert run.returncode == 1
    told = run.stdout.split("1 job failed; jobs that need it did not run:")[1]
    assert "acquire: results/recordings/one.aedat4\n    SourceError: raw/one.aedat4: md5" in told
    assert "finished jobs are kept" in told


def test_mistake__is_told_though_snakemake_is_to_be_quiet_about_all(folder):
    write_config(folder, CONFIG | {"video": {"widow_us": 1}})
    run = snakemake(folder, "--cores", "1", "--quiet", "all")
    assert run.returncode == 1
    assert "unknown key 'widow_us'; did you mean 'window_us'?" in run.stdout
    write_config(folder, CONFIG)
    run = snakemake(folder, "--cores", "1", "--quiet", "all", "--", "all_evnts")
    assert run.returncode == 1
    assert "No rule to produce all_evnts" in run.stdout


def test_interrupted_run__says_so_and_how_to_go_on(folder):
    with running() as server:
        with_cells(folder, source=f"{server.url}/stall.aedat4")
        server.script["stall.aedat4"] = ["stall"] * 9
        run = subprocess.Popen(
            command(folder, "--cores", "1", "--quiet", "all", "--", "all_events"),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not server.seen and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        said, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "The run was interrupted (Ctrl-C); 1 job was cut off. To go on, run the same" in said
    assert "out of memory" not in said


def test_run__while_another_is_at_work_says_so_and_changes_nothing(folder):
    with hold_run(folder / "results"):
        (folder / "results" / "release").mkdir()
        stamp = folder / "results" / "release" / "tiny-1.0.sha256"
        stamp.touch()  # of a release that is not there: a run would remove it
        run = snakemake(folder, "--cores", "1", "--", "all_events")
    assert run.returncode == 1
    assert "results: another run is using this folder. Wait until it has ended, then" in run.stdout
    assert "Traceback" not in run.stdout
    assert stamp.exists() and not (folder / "results" / "recordings").exists()


@pytest.mark.parametrize("where", ["events", "nowhere"])
def test_run__whose_results_have_a_link_that_leads_nowhere_says_so(folder, where):
    (folder / "results").mkdir()
    (folder / "results" / "events").symlink_to(where)
    run = snakemake(folder, "--cores", "1", "--", "all_events")
    assert run.returncode == 1
    assert "results: cannot be written: Not a directory (results/events). A folder" in run.stdout
    assert "Traceback" not in run.stdout
    assert not (folder / "results" / "recordings").exists()


def test_progress__is_told_also_to_who_asks_snakemake_to_be_quiet(folder):
    form = re.compile(r"^(\d+) of 3 jobs, \d+ of \d+ kB, (about \d+ s left|in \d+ s)$", re.MULTILINE)
    run = snakemake(folder, "--cores", "1", "--quiet", "--", "all_events")
    assert run.returncode == 0, run.stdout
    found = form.findall(run.stdout)
    assert found[0][0] == "1"
    assert found[-1][0] == "3"
    assert found[-1][1].startswith("in ")
    run = snakemake(folder, "--cores", "1", "--quiet", "all", "--forceall", "--", "all_events")
    assert (run.returncode, form.findall(run.stdout)) == (0, [])


def started(here, *arguments):
    """Run Snakemake in a folder, with output and errors as one text."""
    return subprocess.run(
        [str(warm.commands() / "snakemake"), "--snakefile", str(ROOT / "Snakefile"), *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


BROKEN = {
    "a: [1\nb: }": "config.yaml: cannot be read: ",
    "": "config.yaml: is empty",
    "- a": "config.yaml: is not a mapping of keys to values",
    "a: \0": "config.yaml: cannot be read: ",
    None: "config.yaml: does not exist in ",
}


@pytest.mark.parametrize("text", BROKEN)
def test_config__that_is_none_is_told_in_a_line_without_a_place_in_the_rules(folder, text):
    config = folder / "config.yaml"
    if text is None:
        config.unlink()
    else:
        config.write_text(text, encoding="utf-8")
    run = started(folder, "--directory", ".", "-n")
    assert run.returncode == 1
    assert not re.search(r"Traceback|\.smk|Snakefile|Error", run.stdout), run.stdout
    assert BROKEN[text] in run.stdout


def test_run__from_another_folder_finds_the_data_set_by_its_directory(folder, tmp_path):
    """Paths of config and table count from --directory; that of --configfile, from here."""
    (tmp_path / "elsewhere").mkdir()
    for config in ([], ["--configfile", "../dataset/config.yaml"]):
        run = started(tmp_path / "elsewhere", "-n", "--directory", "../dataset", *config)
        assert run.returncode == 0, run.stdout
        assert "results/recordings/one.aedat4" in run.stdout
    assert not (tmp_path / "elsewhere" / "results").exists()


def test_run__in_another_folder_without_its_name_says_where_the_table_is(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    run = started(tmp_path / "elsewhere", "-n", "--configfile", "../dataset/config.yaml")
    assert run.returncode == 1
    assert "recordings: 'recordings.tsv' does not exist; paths count from the working" in run.stdout
    assert f"it is in {folder}. Run there, or name that to Snakemake with --directory" in run.stdout
