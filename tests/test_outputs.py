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

from evreel import outputs, steps
from evreel.errors import EvreelError
from evreel.outputs import (
    RUN,
    SCRATCH,
    atomic,
    atomic_into,
    check_wanted,
    end_run,
    ended_in_order,
    hold_run,
    is_running,
    remove_leftovers,
    scratch_folder,
    scratch_path,
    start_run,
)
from support import bound, random_events, run_python
from support.stores import store_of


@pytest.fixture(autouse=True)
def no_run(monkeypatch):
    """Take tests for jobs of no workflow, wherever they run."""
    monkeypatch.delenv(RUN, raising=False)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Make this process a job of a workflow whose results are in `tmp_path`."""
    monkeypatch.setenv(RUN, start_run(tmp_path))
    return tmp_path / SCRATCH / os.environ[RUN]


def below(folder: Path) -> list[str]:
    """Every file and folder below `folder`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_atomic__makes_a_file_and_leaves_nothing_else(tmp_path):
    with atomic(tmp_path / "a" / "b" / "x.h5") as (scratch,):
        assert scratch.name == "x.h5"
        scratch.write_text("whole")
        assert not (tmp_path / "a" / "b" / "x.h5").exists()
    assert below(tmp_path) == ["a", "a/b", "a/b/x.h5"]
    assert (tmp_path / "a/b/x.h5").read_text() == "whole"


def test_atomic__gives_files_ordinary_permissions(tmp_path):
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
    assert run_python(DIES, final, how, check=False).returncode == code
    assert final.read_text() == "old"
    leftovers = [path for path in (tmp_path / SCRATCH).rglob("*") if path.is_file()]
    assert sorted(path.read_text() for path in leftovers) == ["", "half"]  # and its lock

    start_run(tmp_path)
    with atomic(final) as (scratch,):
        scratch.write_text("new")
    assert final.read_text() == "new"
    left = [path for path in (tmp_path / SCRATCH).rglob("*") if path.is_file()]
    assert {path.read_text() for path in left} == {""}


def test_atomic__removes_what_killed_processes_left_there_and_nothing_of_others(tmp_path):
    with atomic(tmp_path / "other") as (other,):
        other.write_text("other")
        for how in ("kill", "exit"):
            run_python(DIES, tmp_path / "x.txt", how, check=False)
        assert len([*(tmp_path / SCRATCH).glob("*/x.txt")]) == 1  # the first one's is gone
        with atomic(tmp_path / "x.txt") as (scratch,):
            scratch.write_text("new")
        assert [path.name for path in (tmp_path / SCRATCH).glob("*/*")] == ["other"]
    assert below(tmp_path) == ["other", "x.txt"]


def test_remove_leftovers__removes_what_killed_processes_left_beside_an_output_that_stands(
    tmp_path,
):
    final = tmp_path / "x.txt"
    final.write_text("whole")
    remove_leftovers(final)
    run_python(DIES, final, "kill", check=False)
    with atomic(tmp_path / "other") as (other,):
        other.write_text("other")
        run_python(DIES, final, "kill", check=False)
        remove_leftovers(final)
        assert [path.name for path in (tmp_path / SCRATCH).glob("*/*")] == ["other"]
    run_python(DIES, final, "kill", check=False)
    remove_leftovers(final)
    assert below(tmp_path) == ["other", "x.txt"]
    assert not (tmp_path / SCRATCH).exists()


@pytest.mark.parametrize("step", ["table", "features"])
def test_step__that_keeps_its_output_removes_what_a_killed_one_left(tmp_path, step):
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "a.bin").write_bytes(bytes(40))  # as N-MNIST has it
    store = store_of(tmp_path / "store.h5", random_events(50))
    out = tmp_path / "out"

    def make():
        if step == "table":
            steps.table(tmp_path / "data", out, sensor="34x34")
        else:
            settings = steps.FeatureSettings(representation="histogram", window_us=1000)
            steps.all_features(store, {out: settings})

    make()
    before = out.read_bytes()
    run_python(DIES, out, "kill", check=False)
    make()
    assert out.read_bytes() == before
    assert not (tmp_path / SCRATCH).exists()


def test_atomic__puts_nothing_under_a_name_if_a_process_was_killed(tmp_path):
    assert run_python(DIES, tmp_path / "x.txt", "kill", check=False).returncode == -signal.SIGKILL
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


def test_atomic__restores_a_folder_if_its_successor_cannot_be_renamed(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "_exchanged", lambda path, final: False)
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


def test_atomic__replaces_neither_a_folder_by_a_file_nor_the_reverse(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    other = tmp_path / "other"
    with (
        pytest.raises(EvreelError, match="folder: a folder of this name already exists; a file"),
        atomic(other, tmp_path / "folder") as (first, scratch),
    ):
        first.write_text("new")
        scratch.write_text("new")
    with (
        pytest.raises(EvreelError, match="file: a file of this name already exists; a folder"),
        atomic(tmp_path / "file") as (scratch,),
    ):
        scratch.mkdir()
    assert below(tmp_path) == ["file", "folder"]


def test_atomic__renames_none_if_one_was_not_written(tmp_path):
    (tmp_path / "a").write_text("old")
    with (
        pytest.raises(EvreelError, match="b: was not written"),
        atomic(tmp_path / "a", tmp_path / "b") as (a, _),
    ):
        a.write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    assert below(tmp_path) == ["a"]


def test_atomic__keeps_links_as_links_wherever_they_lead(tmp_path):
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
    start_run(tmp_path)
    final = tmp_path / "events" / "deep" / "x.h5"
    final.parent.mkdir(parents=True)
    assert scratch_folder(final) == tmp_path / SCRATCH
    (tmp_path / "events" / SCRATCH).mkdir()
    assert scratch_folder(final) == tmp_path / "events" / SCRATCH
    with atomic(final) as (scratch,):
        assert scratch.parent.parent == tmp_path / "events" / SCRATCH
        scratch.write_text("")


def test_scratch__of_a_workflow_outlives_its_outputs(tmp_path, run):
    before = below(tmp_path)
    for name in ("x", "a/y"):
        with atomic(tmp_path / name) as (scratch,):
            assert scratch.parent.parent == run
            scratch.write_text("")
    assert below(tmp_path) == sorted([*before, "a", "a/y", "x"])


def test_scratch__of_a_job_without_a_run_is_the_workflows(tmp_path):
    start_run(tmp_path)
    before = below(tmp_path)
    with atomic(tmp_path / "a" / "x") as (scratch,):
        assert scratch.parent.parent == tmp_path / SCRATCH
        scratch.write_text("")
    assert below(tmp_path) == sorted([*before, "a", "a/x"])


def test_scratch__of_a_job_that_writes_elsewhere_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN, "0123")
    (tmp_path / SCRATCH).mkdir()  # of some run by hand
    with atomic(tmp_path / "x") as (scratch,):
        assert scratch.parent.parent == tmp_path / SCRATCH
        scratch.write_text("")
    assert below(tmp_path) == ["x"]


def test_scratch__left_beside_an_output_does_not_hide_the_runs(tmp_path, run):
    (tmp_path / "a" / SCRATCH / "left").mkdir(parents=True)
    with scratch_path(tmp_path / "a" / "x") as scratch:
        assert scratch.parent.parent == run


def test_scratch__shared_by_two_outputs_is_removed_with_the_last(tmp_path):
    with atomic(tmp_path / "a") as (a,):
        a.write_text("")
        with atomic(tmp_path / "b") as (b,):
            assert b.parent.parent == a.parent.parent
            b.write_text("")
        assert a.exists()
    assert below(tmp_path) == ["a", "b"]


def test_scratch__that_is_not_writable_is_skipped(tmp_path, monkeypatch):
    (tmp_path / SCRATCH).mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert scratch_folder(tmp_path / "mine" / "x") == tmp_path / "mine" / SCRATCH


def test_scratch__that_is_a_file_is_skipped(tmp_path):
    (tmp_path / SCRATCH).write_text("")
    (tmp_path / "mine").mkdir()
    assert scratch_folder(tmp_path / "mine" / "x") == tmp_path / "mine" / SCRATCH


CLOSED = """
import os, sys
from pathlib import Path
from evreel.errors import EvreelError
from evreel.outputs import atomic, atomic_into, start_run
for name, call in {
    "atomic": lambda place: atomic(place / "x.h5").__enter__(),
    "atomic_into": lambda place: atomic_into(place / "deep").__enter__(),
    "start_run": start_run,
    "logs": lambda place: start_run(Path("open"), place),
}.items():
    for place in sys.argv[1:]:
        try:
            call(Path(place))
        except EvreelError as error:
            print(f"{name} {place}: {error}")
"""


def test_output__that_the_system_refuses_is_one_error(tmp_path):
    for name in ("open", "closed/logs", "outer/inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere/else")
    (tmp_path / "circle").symlink_to("circle")
    for name in ("closed/logs", "closed", "outer/inner"):
        (tmp_path / name).chmod(0o555)
    places = ["closed", "closed/new", "file", "file/new", "dangling", "circle"]
    done = subprocess.run(
        [*bound(), sys.executable, "-c", CLOSED, *places, "outer"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "closed").chmod(0o755)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    told = {line.partition(": ")[0]: line for line in lines}
    assert len(told) == len(lines), "an error of several lines"
    expected = {
        f"{name} {place}" for name in ("atomic", "atomic_into", "start_run") for place in places
    }
    assert set(told) == expected | {"logs closed", "logs outer"}
    for line in lines:
        assert ": cannot be written: " in line
        assert line.endswith(
            (
                "A folder is needed there: move away the file or link of that name.",
                "Give yourself permission to write there, or choose another place for the output.",
                "Choose another folder for the output.",
            )
        )
    assert "outer: cannot be written: Permission denied (outer/inner). Give" in told["logs outer"]


def test_output__on_a_full_disk_is_one_error(tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "mkdir", full)
    says = "cannot be written: No space left on device.* Make room on the disk, and run again."
    with pytest.raises(EvreelError, match=says):
        start_run(tmp_path / "results")
    with pytest.raises(EvreelError, match=says), atomic(tmp_path / "x"):
        pass


def test_start_run__removes_what_a_dead_run_left(tmp_path):
    (tmp_path / SCRATCH / "0123").mkdir(parents=True)
    (tmp_path / SCRATCH / "0123" / "half.h5").write_text("half")
    (tmp_path / SCRATCH / "stray").write_text("half")
    first = start_run(tmp_path)
    (tmp_path / SCRATCH / first / "0123").mkdir()
    second = start_run(tmp_path)
    assert first != second
    kept = "kept-by-workflow"
    assert below(tmp_path / SCRATCH) == sorted([kept, second, f"{second}/{kept}"])
    assert (tmp_path / "made" / "too" / SCRATCH / start_run(tmp_path / "made" / "too")).is_dir()


ENDS = """
import os, signal, sys, time
from evreel.outputs import atomic, ended_in_order
with ended_in_order(), atomic(sys.argv[1]) as (scratch,):
    scratch.write_text("half")
    os.kill(os.getpid(), signal.Signals[sys.argv[2]])
    time.sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal__that_can_be_handled_leaves_nothing_half_written(tmp_path, name):
    ended = run_python(ENDS, tmp_path / "x", name, check=False).returncode
    assert ended == 128 + signal.Signals[name]
    assert below(tmp_path) == []


def test_signals__that_are_handled_or_ignored_stay_so():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("handled"))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_in_order():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)
    assert seen == ["handled"]


def test_end_run__removes_what_killed_jobs_left(tmp_path, run):
    before = below(tmp_path)
    assert run_python(DIES, tmp_path / "x", "kill", check=False).returncode == -signal.SIGKILL
    assert below(tmp_path) != before
    end_run(tmp_path)
    assert below(tmp_path) == before


HOLDS = """
import os, sys
from pathlib import Path
from evreel.outputs import hold_run
held = hold_run(Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_hold_run__lets_one_run_alone_have_the_results(tmp_path):
    assert not is_running(tmp_path)
    with hold_run(tmp_path):
        assert is_running(tmp_path)
        with pytest.raises(
            EvreelError, match=f"^{tmp_path}: another run is using this folder. Wait"
        ):
            hold_run(tmp_path)
        start_run(tmp_path)
        assert is_running(tmp_path)
    assert not is_running(tmp_path)
    run_python(HOLDS, tmp_path, check=False)
    hold_run(tmp_path).close()


TAKEN = "[xy]: another run has started in .*; this job's output is no longer wanted"


def test_newer_run__lets_no_job_of_an_older_one_begin(tmp_path, run):
    start_run(tmp_path)
    before = below(tmp_path)
    for begun in (atomic(tmp_path / "a" / "x"), scratch_path(tmp_path / "a" / "x")):
        with pytest.raises(EvreelError, match=TAKEN), begun:
            pytest.fail("the block ran")
    with pytest.raises(EvreelError, match=TAKEN):
        check_wanted(tmp_path / "logs" / "x")
    assert below(tmp_path) == before


def test_newer_run__does_not_stop_its_own_jobs(tmp_path, run, monkeypatch):
    monkeypatch.setenv(RUN, start_run(tmp_path))
    check_wanted(tmp_path / "logs" / "x")
    with atomic(tmp_path / "x") as (scratch,):
        scratch.write_text("new")
    assert (tmp_path / "x").read_text() == "new"


def write_before(scratch: Path, take_over) -> None:
    scratch.write_text("old")
    take_over()


def write_after(scratch: Path, take_over) -> None:
    take_over()
    scratch.write_text("old")  # FileNotFoundError


def make_folders_and_write(scratch: Path, take_over) -> None:
    take_over()
    scratch.parent.mkdir(parents=True)
    scratch.write_text("old")


def make_a_folder(scratch: Path, take_over) -> None:
    (scratch / "a").mkdir(parents=True)
    take_over()
    (scratch / "b").mkdir(parents=True)


@pytest.mark.parametrize("job", [write_before, write_after, make_folders_and_write, make_a_folder])
@pytest.mark.parametrize("standing", [False, True])
def test_newer_run__lets_no_job_of_an_older_one_publish(tmp_path, run, job, standing):
    final = tmp_path / "x"
    if standing and job is make_a_folder:
        (final / "new").mkdir(parents=True)
    elif standing:
        final.write_text("new")
    made = []

    def take_over() -> None:
        made.append(start_run(tmp_path))

    with pytest.raises(EvreelError, match=TAKEN), atomic(tmp_path / "y", final) as (y, x):
        y.write_text("old")
        job(x, take_over)
    kept = [SCRATCH, f"{SCRATCH}/kept-by-workflow"]
    kept += [f"{SCRATCH}/{made[0]}", f"{SCRATCH}/{made[0]}/kept-by-workflow"]
    stands = {(False, False): [], (True, False): ["x"], (True, True): ["x", "x/new"]}
    expected = stands.get((standing, job is make_a_folder), [])
    assert below(tmp_path) == sorted([*kept, *expected])
    if standing and job is not make_a_folder:
        assert final.read_text() == "new"


def test_newer_run__between_the_last_check_and_the_rename_is_reported_too(
    tmp_path, run, monkeypatch
):
    monkeypatch.setattr(outputs, "_exchanged", lambda path, final: False)
    final = tmp_path / "x"
    (final / "new").mkdir(parents=True)
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        if run.exists() and self.is_relative_to(run) and Path(target) == final:
            rename(run, tmp_path / SCRATCH / "gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(EvreelError, match=TAKEN), atomic(final) as (scratch,):
        (scratch / "old").mkdir(parents=True)
    assert not (final / "old").exists()


def test_newer_run__keeps_files_of_unknown_names_from_being_published(tmp_path, run):
    with pytest.raises(EvreelError, match="another run has started"), atomic_into(tmp_path) as new:
        start_run(tmp_path)
        new.mkdir(parents=True)
        (new / "x").write_text("old")
    assert not (tmp_path / "x").exists()


def test_error__of_a_job_that_is_wanted_stays_its_own(tmp_path, run):
    with pytest.raises(ValueError, match="bad"), atomic(tmp_path / "x"):
        raise ValueError("bad")


DIES_BETWEEN = """
import os, signal, sys
from pathlib import Path
from evreel import outputs
final = Path(sys.argv[1])
rename = Path.rename
def dying(self, target):
    if Path(target) == final:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = dying
outputs._exchanged = lambda path, final: False
with outputs.atomic(final) as (scratch,):
    (scratch / "half").mkdir(parents=True)
"""

DIES_AT_EXCHANGE = """
import os, signal, sys
from pathlib import Path
from evreel import outputs
exchanged = outputs._exchanged
def dying(path, final):
    if sys.argv[2] == "after":
        assert exchanged(path, final)
    os.kill(os.getpid(), signal.SIGKILL)
outputs._exchanged = dying
with outputs.atomic(sys.argv[1]) as (scratch,):
    (scratch / "new").mkdir(parents=True)
"""


def test_folder__killed_between_its_renames_is_made_whole_by_the_next_run(tmp_path, monkeypatch):
    final = tmp_path / "results" / "release" / "x"
    for workflow in (False, True):
        if workflow:
            monkeypatch.setenv(RUN, start_run(tmp_path / "results"))
        (final / "old").mkdir(parents=True, exist_ok=True)
        assert run_python(DIES_BETWEEN, final, check=False).returncode == -signal.SIGKILL
        assert not final.exists()
        if workflow:
            monkeypatch.setenv(RUN, start_run(tmp_path / "results"))
            assert below(final) == ["new", "old"], "the older one is back"
        with atomic(final) as (scratch,):
            (scratch / "new").mkdir(parents=True)
        assert below(final) == ["new"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs renameat2")
@pytest.mark.parametrize(("moment", "whole"), [("before", "old"), ("after", "new")])
def test_folder__killed_while_it_is_exchanged_is_the_older_or_the_newer_one(
    tmp_path, moment, whole
):
    final = tmp_path / "release"
    (final / "old").mkdir(parents=True)
    killed = run_python(DIES_AT_EXCHANGE, final, moment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert below(final) == [whole]


def test_atomic__without_permission_to_write_says_so_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    whole = os.access
    monkeypatch.setattr(  # nothing is closed to root, which tests may be run as
        os, "access", lambda path, mode: Path(path).name != "closed" and whole(path, mode)
    )
    began = False
    with (
        pytest.raises(EvreelError, match=r"^b\.h5: cannot be written: no permission to make files"),
        atomic(tmp_path / "a.h5", tmp_path / "closed" / "b.h5"),
    ):
        began = True
    assert not began
    assert [path.name for path in tmp_path.iterdir()] == ["closed"]


def test_log__that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    log = tmp_path / "file" / "x.log"
    with pytest.raises(SystemExit) as ended, steps.logged(log):
        pass
    said = f"EvreelError: {log}: cannot be written: Not a directory. A folder is needed there"
    assert str(ended.value.code).startswith(said)
