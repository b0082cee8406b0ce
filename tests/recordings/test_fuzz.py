"""Damaged files of every format, by `support.fuzz`, which says the rules that are held."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT, warm

FUZZ = ["-m", "support.fuzz", "--seed", "20240301"]

# Group of formats → files, and how many of them an outcome must at least be met by. `make fuzz`
# tries hundreds of times as many.
GROUPS = {
    "aedat": (60, {"whole": 2, "read": 1, "salvaged": 25, "mended": 6}),
    # Whole: damage where nothing can tell must still be met.
    "aedat4": (300, {"whole": 9, "salvaged": 110, "mended": 9, "refused": 55}),
    "annotations": (200, {"read": 16, "refused": 120}),
    "columns": (90, {"whole": 9, "salvaged": 19, "mended": 2, "refused": 15}),
    "event_stream": (60, {"whole": 1, "read": 2, "salvaged": 2, "mended": 25}),
    "own": (200, {"whole": 1, "read": 10, "refused": 120}),
    "prophesee": (60, {"whole": 1, "read": 1, "salvaged": 10, "mended": 15}),
    "ros": (120, {"whole": 15, "salvaged": 10, "mended": 1, "refused": 25}),
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
