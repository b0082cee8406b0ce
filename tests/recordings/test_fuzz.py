"""Damaged files of every format, by `support.fuzz`, which says the rules that are held."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT, warm

FUZZ = ["-m", "support.fuzz", "--seed", "20240301"]

# Group of formats → files, and how many of them an outcome must at least be met by.
GROUPS = {
    "aedat": (250, {"whole": 10, "read": 5, "salvaged": 100, "mended": 25}),
    # Whole: damage where nothing can tell must still be met.
    "aedat4": (800, {"whole": 18, "salvaged": 295, "mended": 18, "refused": 145}),
    "annotations": (250, {"read": 20, "refused": 150}),
    "columns": (150, {"whole": 15, "read": 1, "salvaged": 24, "mended": 6, "refused": 24}),
    "event_stream": (250, {"whole": 8, "read": 12, "salvaged": 10, "mended": 100}),
    "own": (480, {"whole": 3, "read": 15, "refused": 300}),
    "prophesee": (250, {"whole": 5, "read": 10, "salvaged": 50, "mended": 50}),
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
