"""Killed at any step by kill -9, a workflow ends in the bytes of an undisturbed one.

Nothing here waits for luck: jobs stop at named points, with the output written and not renamed,
or with ffmpeg under way, and stay there until they are killed or told to go on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from evreel import steps
from support.dataset import CONFIG, build, command, make_data_set, snakemake, tree, write_config

# Python imports this in each of its processes, because it is called sitecustomize.
HOLDING = """
import os
import sys

# Snakemake itself, which imports nothing of ours before a job, is not held up by it.
if "EVREEL_TEST_HOLD" in os.environ and "snakemake" not in sys.orig_argv:
    import contextlib
    import time
    from pathlib import Path

    from evreel import outputs
    from evreel import steps  # the modules, which functions of the same names hide
    picture = sys.modules["evreel.steps.video"]

    folder = Path(os.environ["EVREEL_TEST_HOLD"])

    def hold(point):
        if point not in (folder / "points").read_text().splitlines():
            return
        place = point.replace("/", ":")
        (folder / f"{place}.new").write_text(str(os.getpid()))
        (folder / f"{place}.new").rename(folder / f"{place}.held")
        deadline = time.monotonic() + 300
        while not (folder / f"{place}.go").exists():
            if time.monotonic() > deadline:
                os._exit(99)
            time.sleep(0.05)

    def held_replace(path, final, replace=outputs._replace):
        hold(f"rename {final}")
        replace(path, final)

    @contextlib.contextmanager
    def held_scratch_path(final, scratch_path=outputs.scratch_path):
        hold(f"scratch {final}")
        with scratch_path(final) as path:
            yield path

    def held_with_progress(items, total, progress, with_progress=picture.with_progress):
        for k, item in enumerate(with_progress(items, total, progress)):
            if k == 3 and sys.argv[0].endswith("video.py"):
                hold("frame 3")
            yield item

    outputs._replace = held_replace
    outputs.scratch_path = held_scratch_path
    picture.with_progress = held_with_progress
"""

WAVES = (
    ("rename results/recordings/one.aedat4", "rename results/release/tiny-1.0.tsv"),
    ("rename results/events/one.h5",),
    (
        "rename results/video/one.clock.tsv",
        "rename results/features/histogram/one.h5",
    ),
    # The histogram has its name by now, the other feature of its job has not.
    ("frame 3", "rename results/slices/one.h5", "rename results/features/voxels/one.h5"),
    # The slices have their name by now, their boxes do not.
    ("rename results/video/one.mp4", "rename results/slices/one_bbox.npy"),
    ("rename results/release/tiny-1.0",),
)
"""Points at which each step is held, those together that one run reaches without the others."""


class Workflow:
    """Snakemake on one data set, again and again, with jobs that stop where they are told."""

    def __init__(self, folder: Path, hold: Path) -> None:
        self.folder, self.hold = folder, hold
        self.results = folder / "results"
        self.started: list[subprocess.Popen] = []
        hold.mkdir()
        (hold / "sitecustomize.py").write_text(HOLDING, encoding="utf-8")
        self.env = {"EVREEL_TEST_HOLD": str(hold), "PYTHONPATH": str(hold)}
        if "PYTHONPATH" in os.environ:
            self.env["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]

    def run(self, *arguments: str) -> str:
        """Run to the end without a stop, and return what Snakemake says."""
        (self.hold / "points").write_text("")
        return build(self.folder, *arguments)

    def start(self, *points: str, cold: bool = False) -> subprocess.Popen:
        """Start Snakemake in a process group of its own, and wait until a job is at each point.

        Unless it starts `cold`, it and its jobs are forks, each of which is killed with the command
        that asked for it; these commands do not share a process group.
        """
        (self.hold / "points").write_text("\n".join(points))
        said = self.hold / "said"
        with said.open("w") as file:
            process = subprocess.Popen(
                command(self.folder, "--cores", "4", cold=cold),
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        until(
            lambda: process.poll() is not None or all(map(self.pid_at, points)),
            lambda: f"no job reached one of {points}: {said.read_text()}",
        )
        assert process.poll() is None, said.read_text()
        return process

    def pid_at(self, point: str) -> int | None:
        """Return the process that is held at a point."""
        held = self.place(point, "held")
        return int(held.read_text()) if held.exists() else None

    def let_go(self, point: str) -> None:
        """Let the process that is held at a point go on."""
        self.place(point, "go").touch()

    def place(self, point: str, suffix: str) -> Path:
        return self.hold / f"{point.replace('/', ':')}.{suffix}"

    def unlock(self) -> None:
        build(self.folder, "--unlock")

    def processes(self) -> set[int]:
        """Return all that were started here, and by what was started here, and still run."""
        mark = f"EVREEL_TEST_HOLD={self.hold}".encode()
        found = set()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0"):
                    found.add(int(environ.parent.name))
        return found

    def end(self) -> None:
        """Leave no process behind."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait(timeout=30)


def until(reached, message) -> None:
    """Wait, for two minutes at most."""
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, message()
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A data set of one recording, built without trouble."""
    folder = make_data_set(tmp_path_factory.mktemp("undisturbed"), ["one"])
    build(folder, "--cores", "2")
    return folder


@pytest.fixture
def workflow(undisturbed, tmp_path):
    """The same data set, not built yet."""
    folder = tmp_path / "dataset"
    shutil.copytree(undisturbed, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    workflow = Workflow(folder, tmp_path / "hold")
    yield workflow
    workflow.end()


@pytest.fixture
def built_workflow(undisturbed, tmp_path):
    """The same data set, built."""
    shutil.copytree(undisturbed, tmp_path / "dataset", symlinks=True)
    workflow = Workflow(tmp_path / "dataset", tmp_path / "hold")
    yield workflow
    workflow.end()


def results_of(folder):
    """Return `tree`, but of one log: it says which features a job found as they should be."""
    return {name: what for name, what in tree(folder).items() if name != "logs/features/one.log"}


def release_problems(workflow):
    return steps.verify(workflow.results / "release" / "tiny-1.0")


def test_killed_jobs_and_ffmpeg__leave_nothing_that_the_same_command_does_not_mend(
    undisturbed, workflow
):
    for points in WAVES:
        process = workflow.start(*points)
        for point in points:
            pid = workflow.pid_at(point)
            if point == "frame 3":
                (ffmpeg,) = children(pid)
                os.kill(ffmpeg, signal.SIGKILL)
                workflow.let_go(point)
            else:
                os.kill(pid, signal.SIGKILL)
        assert process.wait(timeout=120) != 0
        said = (workflow.hold / "said").read_text()
        assert ("ffmpeg was killed by SIGKILL" in said) == ("frame 3" in points)
        assert workflow.processes() == set()
    workflow.run("--cores", "2")
    assert results_of(workflow.results) == results_of(undisturbed / "results")
    assert release_problems(workflow) == []


def test_killed_snakemake__leaves_nothing_that_unlock_and_the_same_command_do_not_mend(
    undisturbed, workflow
):
    for k, points in enumerate(WAVES):
        process = workflow.start(*points, cold="frame 3" in points)
        if "frame 3" in points:
            os.killpg(process.pid, signal.SIGKILL)
        elif "rename results/events/one.h5" in points:
            for pid in workflow.processes():
                os.kill(pid, signal.SIGKILL)
        else:
            process.kill()  # its jobs stay, each with its output written
        process.wait(timeout=120)
        if k == 0:
            locked = snakemake(workflow.folder, "--cores", "2")
            assert locked.returncode != 0
            assert "--unlock" in locked.stdout
        workflow.unlock()
    workflow.run("--cores", "2")
    for points in WAVES:
        for point in points:
            workflow.let_go(point)
    until(lambda: not workflow.processes(), lambda: "an orphaned job does not end")
    assert results_of(workflow.results) == results_of(undisturbed / "results")
    assert release_problems(workflow) == []
    assert "Nothing to be done" in workflow.run("--cores", "2")


def test_orphaned_jobs__land_nothing_once_another_run_has_started(built_workflow):
    workflow = built_workflow
    held = (
        ("scratch results/features/histogram/one.h5",),
        ("rename results/features/voxels/one.h5",),
        ("rename results/release/tiny-1.0",),
    )
    histogram, voxels = CONFIG["features"]["histogram"], CONFIG["features"]["voxels"]
    for k, points in enumerate(held):
        features = {"histogram": histogram | {"window_us": 20_000 + k}}
        features |= {"voxels": voxels | {"count": 300 + k}}
        write_config(workflow.folder, CONFIG | {"features": features})
        process = workflow.start(*points)
        process.kill()
        process.wait(timeout=120)
        workflow.unlock()
    features = {"histogram": histogram | {"window_us": 30_000}, "voxels": voxels | {"count": 200}}
    write_config(workflow.folder, CONFIG | {"features": features})
    workflow.run("--cores", "2")

    def look():
        files = [path for path in workflow.results.rglob("*") if ".evreel-tmp" not in path.parts]
        return tree(workflow.results), {path: path.lstat().st_mtime_ns for path in files}

    before, orphans = look(), workflow.processes()
    assert len(orphans) == sum(map(len, held))
    for points in held:
        for point in points:
            workflow.let_go(point)
    until(lambda: not workflow.processes(), lambda: "an orphaned job does not end")
    assert look() == before
    assert release_problems(workflow) == []
    assert "Nothing to be done" in workflow.run("-n")
