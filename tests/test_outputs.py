"""Outputs appear under their names only when they are whole, whatever ends the run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evreel.errors import EvreelError
from evreel.outputs import SCRATCH, atomic, empty_scratch, scratch_folder


def below(folder: Path) -> list[str]:
    """Every file and folder below `folder`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_atomic__lands_a_file_and_leaves_nothing_else(tmp_path):
    with atomic(tmp_path / "a" / "b" / "x.h5") as (scratch,):
        assert scratch.name == "x.h5"
        scratch.write_text("whole")
        assert not (tmp_path / "a" / "b" / "x.h5").exists()
    assert below(tmp_path) == ["a", "a/b", "a/b/x.h5"]
    assert (tmp_path / "a/b/x.h5").read_text() == "whole"


def test_atomic__gives_files_the_rights_of_ordinary_ones(tmp_path):
    with atomic(tmp_path / "x") as (scratch,):
        scratch.write_text("")
    (tmp_path / "y").write_text("")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "y").stat().st_mode


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
def test_atomic__keeps_what_was_there_when_the_block_raises(tmp_path, error):
    final = tmp_path / "x.txt"
    final.write_text("old")
    with pytest.raises(type(error)), atomic(final, tmp_path / "new.txt") as (scratch, new):
        scratch.write_text("half")
        new.write_text("half")
        raise error
    assert final.read_text() == "old"
    assert below(tmp_path) == ["x.txt"]


DIES = """
import os, signal, sys
from evreel.outputs import atomic
final, how = sys.argv[1:]
with atomic(final) as (scratch,):
    file = scratch.open("w")
    file.write("half")
    file.flush()
    if how == "exit":
        os._exit(9)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "code"), [("exit", 9), ("kill", -signal.SIGKILL)])
def test_atomic__keeps_what_was_there_when_the_process_is_killed(tmp_path, how, code):
    final = tmp_path / "x.txt"
    final.write_text("old")
    assert run_python(DIES, final, how).returncode == code
    assert final.read_text() == "old"
    leftovers = [path for path in (tmp_path / SCRATCH).rglob("*") if path.is_file()]
    assert [path.read_text() for path in leftovers] == ["half"]

    empty_scratch(tmp_path)
    with atomic(final) as (scratch,):
        scratch.write_text("new")
    assert final.read_text() == "new"
    assert [path for path in (tmp_path / SCRATCH).rglob("*") if path.stat().st_size] == []


def test_atomic__puts_nothing_under_a_name_where_a_process_was_killed(tmp_path):
    assert run_python(DIES, tmp_path / "x.txt", "kill").returncode == -signal.SIGKILL
    assert not (tmp_path / "x.txt").exists()


def test_atomic__replaces_a_folder_as_a_whole(tmp_path):
    final = tmp_path / "release"
    (final / "old").mkdir(parents=True)
    (final / "old" / "a").write_text("old")
    with atomic(final) as (scratch,):
        (scratch / "new").mkdir(parents=True)
        (scratch / "new" / "a").write_text("new")
        assert (final / "old" / "a").read_text() == "old"
    assert below(tmp_path) == ["release", "release/new", "release/new/a"]


def test_atomic__restores_a_folder_where_its_successor_can_not_land(tmp_path, monkeypatch):
    final = tmp_path / "release"
    final.mkdir()
    (final / "a").write_text("old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if Path(target) == final and (self / "b").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="No space left"), atomic(final) as (scratch,):
        scratch.mkdir()
        (scratch / "b").write_text("new")
    assert below(tmp_path) == ["release", "release/a"]


def test_atomic__does_not_put_a_file_in_place_of_a_folder_nor_the_reverse(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    other = tmp_path / "other"
    with (
        pytest.raises(EvreelError, match="folder: a folder of this name stands where a file"),
        atomic(other, tmp_path / "folder") as (first, scratch),
    ):
        first.write_text("new")
        scratch.write_text("new")
    with (
        pytest.raises(EvreelError, match="file: a file of this name stands where a folder"),
        atomic(tmp_path / "file") as (scratch,),
    ):
        scratch.mkdir()
    assert below(tmp_path) == ["file", "folder"]


def test_atomic__renames_none_where_one_was_not_written(tmp_path):
    (tmp_path / "a").write_text("old")
    with (
        pytest.raises(EvreelError, match="b: was not written"),
        atomic(tmp_path / "a", tmp_path / "b") as (a, _),
    ):
        a.write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    assert below(tmp_path) == ["a"]


def test_atomic__lands_links_as_links_wherever_they_lead(tmp_path):
    (tmp_path / "folder").mkdir()
    with atomic(tmp_path / "dangling", tmp_path / "to_folder") as (dangling, to_folder):
        dangling.symlink_to("nowhere")
        to_folder.symlink_to(tmp_path / "folder")
    assert (tmp_path / "dangling").readlink() == Path("nowhere")
    assert (tmp_path / "to_folder").readlink() == tmp_path / "folder"
    with atomic(tmp_path / "to_folder") as (scratch,):
        scratch.write_text("a file now")
    assert not (tmp_path / "to_folder").is_symlink()
    assert (tmp_path / "folder").is_dir()


def test_atomic__lets_the_last_of_two_of_the_same_name_win(tmp_path):
    final = tmp_path / "x"
    with atomic(final) as (first,):
        first.write_text("first")
        with atomic(final) as (second,):
            assert second != first
            second.write_text("second")
        assert final.read_text() == "second"
    assert final.read_text() == "first"
    assert below(tmp_path) == ["x"]


def test_atomic__keeps_folders_whole_under_many_writers_at_once(tmp_path):
    final = tmp_path / "release"
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for _ in range(15):
                with atomic(final) as (scratch,):
                    scratch.mkdir()
                    for k in range(3):
                        (scratch / f"{k}").write_text(str(writer))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert below(tmp_path) == ["release", "release/0", "release/1", "release/2"]
    assert len({path.read_text() for path in final.iterdir()}) == 1


def test_scratch__is_the_nearest_one_beside_or_above(tmp_path):
    empty_scratch(tmp_path)
    final = tmp_path / "events" / "deep" / "x.h5"
    final.parent.mkdir(parents=True)
    assert scratch_folder(final) == tmp_path / SCRATCH
    (tmp_path / "events" / SCRATCH).mkdir()
    assert scratch_folder(final) == tmp_path / "events" / SCRATCH
    with atomic(final) as (scratch,):
        assert scratch.parent.parent == tmp_path / "events" / SCRATCH
        scratch.write_text("")


def test_scratch__of_a_workflow_outlives_its_outputs(tmp_path):
    empty_scratch(tmp_path)
    for name in ("x", "a/y"):
        with atomic(tmp_path / name) as (scratch,):
            assert scratch.is_relative_to(tmp_path / SCRATCH)
            scratch.write_text("")
    assert (tmp_path / SCRATCH).is_dir()
    assert not (tmp_path / "a" / SCRATCH).exists()


def test_scratch__shared_by_two_outputs_goes_with_the_last(tmp_path):
    with atomic(tmp_path / "a") as (a,):
        a.write_text("")
        with atomic(tmp_path / "b") as (b,):
            assert b.parent.parent == a.parent.parent
            b.write_text("")
        assert a.exists()
    assert below(tmp_path) == ["a", "b"]


def test_scratch__that_may_not_be_written_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / SCRATCH).mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert scratch_folder(tmp_path / "mine" / "x") == tmp_path / "mine" / SCRATCH


def test_scratch__that_is_a_file_is_passed_over(tmp_path):
    (tmp_path / SCRATCH).write_text("")
    (tmp_path / "mine").mkdir()
    assert scratch_folder(tmp_path / "mine" / "x") == tmp_path / "mine" / SCRATCH


def test_empty_scratch__removes_what_a_dead_run_left(tmp_path):
    (tmp_path / SCRATCH / "0123").mkdir(parents=True)
    (tmp_path / SCRATCH / "0123" / "half.h5").write_text("half")
    empty_scratch(tmp_path)
    assert not any(path.is_dir() for path in (tmp_path / SCRATCH).iterdir())
    empty_scratch(tmp_path / "made" / "too")
    assert (tmp_path / "made" / "too" / SCRATCH).is_dir()
