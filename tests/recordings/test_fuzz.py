"""Damaged files of every format, by `support.fuzz`, which says the rules that are held."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT, warm

FUZZ = ["-m", "support.fuzz", "--seed", "20240301"]

# Group of formats → files, and how many of them an outcome must at least be met by.
GROUPS = {
    "aedat": (120, {"whole": 5, "read": 3, "salvaged": 50, "mended": 12}),
    # Whole: damage where nothing can tell must still be met.
    "aedat4": (400, {"whole": 12, "salvaged": 150, "mended": 12, "refused": 75}),
    "annotations": (250, {"read": 20, "refused": 150}),
    "columns": (100, {"whole": 10, "read": 1, "salvaged": 16, "mended": 4, "refused": 16}),
    "event_stream": (120, {"whole": 3, "read": 5, "salvaged": 5, "mended": 50}),
    "own": (240, {"whole": 2, "read": 12, "refused": 150}),
    "prophesee": (120, {"whole": 3, "read": 3, "salvaged": 20, "mended": 30}),
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
