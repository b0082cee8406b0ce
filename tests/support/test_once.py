"""What is made once is whole for all that ask, also where the first of them fails."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT, once

ASKS = """
import os, pathlib, sys, time
from support import once

def make(folder):
    (folder / "half").write_text("")
    time.sleep(0.2)
    with (folder.parent / "makers").open("a") as file:
        file.write("x")
    (folder / "whole").write_text("")

once.FOLDER.append(pathlib.Path(sys.argv[1]))
assert (once.once("things", make) / "whole").exists()
"""


def test_processes__that_ask_together_find_what_one_of_them_made(tmp_path):
    command = [sys.executable, "-c", ASKS, tmp_path]
    asking = [subprocess.Popen(command, cwd=ROOT / "tests") for _ in range(2)]
    assert [process.wait(timeout=60) for process in asking] == [0, 0]
    assert (tmp_path / "makers").read_text() == "x"


def test_failure__leaves_nothing_to_who_asks_next(tmp_path, monkeypatch):
    monkeypatch.setattr(once, "FOLDER", [tmp_path])

    def fails(folder):
        (folder / "half").touch()
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        once.once("things", fails)
    folder = once.once("things", lambda folder: (folder / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_copy__is_added_to_what_a_folder_has(tmp_path, monkeypatch):
    monkeypatch.setattr(once, "FOLDER", [tmp_path / "shared"])
    target = tmp_path / "own"
    target.mkdir()
    (target / "mine").touch()
    for _ in range(2):
        once.copy_once("things", lambda folder: (folder / "it").write_text("x"), target)
    assert sorted(path.name for path in target.iterdir()) == ["it", "mine"]
    (target / "it").write_text("changed")
    assert (once.once("things", pytest.fail) / "it").read_text() == "x"
