"""Damaged files of every format, by `support.fuzz`, which says the rules that are held."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT, warm

FUZZ = ["-m", "support.fuzz", "--seed", "20240301"]

# Group of formats → files, and how many of them an outcome must at least be met by.
GROUPS = {
    "aedat": (500, {"whole": 20, "read": 10, "salvaged": 200, "mended": 50}),
    # Whole: damage where nothing can tell must still be met.
    "aedat4": (1_600, {"whole": 35, "salvaged": 590, "mended": 35, "refused": 290}),
    "annotations": (250, {"read": 20, "refused": 150}),
    "columns": (300, {"whole": 30, "read": 3, "salvaged": 48, "mended": 12, "refused": 48}),
    "event_stream": (500, {"whole": 15, "read": 25, "salvaged": 20, "mended": 200}),
    "own": (480, {"whole": 3, "read": 15, "refused": 300}),
    "prophesee": (500, {"whole": 10, "read": 20, "salvaged": 100, "mended": 100}),
}


@pytest.mark.parametrize("name", GROUPS)
def test_fuzz__of_many_files_ends_in_events_or_one_kind_of_error(name):
    files, fewest = GROUPS[name]
    done = subprocess.run(  # in a process of its own, so that a hang is a failure
        [warm.commands() / "job", *FUZZ, "--files", str(files), name],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT / "tests",
    )
    assert done.returncode == 0, done.stderr
    told, _, line = done.stdout.splitlines()[-1].partition(": ")
    counts = {outcome: int(n) for outcome, n in (word.split("=") for word in line.split())}
    assert (told, sum(counts.values())) == (name, files)
    assert {outcome for outcome, n in fewest.items() if counts.get(outcome, 0) < n} == set(), line


def test_fuzz__has_every_group_of_formats():
    done = subprocess.run(
        [sys.executable, *FUZZ, "--help"], capture_output=True, text=True, cwd=ROOT / "tests"
    )
    assert ", ".join(GROUPS) in " ".join(done.stdout.split())
