"""A small data set to disturb, and what an undisturbed run makes of it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evreel import steps
from evreel.acquire.download import DOWNLOADS
from faults.dying import PLAN, Death, Plan
from support import random_events
from support.archives import packed
from support.dataset import command, snakemake, tree, write_config, write_table
from support.scenes import simulated
from support.writers.aer40 import aer40

CONFIG: dict[str, Any] = {
    "recordings": "recordings.tsv",
    "labels": ["car", "sign", "busy", "1", "2"],
    "slices": {"window_us": 20_000},
    "features": {
        "histogram": {"representation": "histogram", "window_us": 10_000, "boxes": "last"},
        "voxels": {
            "representation": "voxel_grid",
            "number": 3,
            "by": "count",
            "parameters": {"bins": 3},
        },
    },
    "release": {"name": "tiny", "version": "1.0", "licence": "CC0-1.0"},
}
EDITED = CONFIG | {
    "video": {"style": "decay"},
    "slices": {"window_us": 30_000},
    "features": CONFIG["features"]
    | {"histogram": CONFIG["features"]["histogram"] | {"window_us": 20_000}},
}
"""The same data set after an edit that concerns most of its files."""
XML = ('label="car"', 'label="sign"')
"""What is edited in the annotation then."""
PATTERN = "*/{label}/*.bin"
"""Members of the archive."""

OWN = {"config.yaml", "one.toml", "raw", "recordings.tsv", "results", ".snakemake"}
"""What is in the folder of a data set; whatever else comes there is a stray file."""
TOLD = ("logs/", "benchmarks/")
"""Files that tell how a run went, of which no two are alike."""
LONGEST_S = 600
"""How long anything may take, seconds; the machine may be busy with something else."""
PLENTY = 1 << 30
"""Bytes that are enough for anything here."""
_KEPT = "kept-by-workflow"
_PAGE_BYTES = 4096


class BrokenError(AssertionError):
    """What a fault left behind is not what was promised."""


def hold(condition: object, message: str) -> None:
    """Raise `BrokenError` unless a condition is true."""
    if not condition:
        raise BrokenError(message)


def until(reached: Callable[[], object], what: str, longest_s: float = LONGEST_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + longest_s
    while not reached():
        hold(time.monotonic() < deadline, f"not within {longest_s:.0f} s: {what}")
        time.sleep(0.01)


@contextlib.contextmanager
def disk(place: Path, n_bytes: int) -> Iterator[Callable[[str], None]]:
    """Put a disk of so many bytes, or a page more, there; yields what gives it other options."""
    place.mkdir(exist_ok=True)
    options = f"size={n_bytes // _PAGE_BYTES * _PAGE_BYTES + _PAGE_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)

    def change(option: str) -> None:
        remount = ["mount", "-o", f"remount,{option}", place]
        subprocess.run(remount, check=True, stderr=subprocess.DEVNULL)

    try:
        yield change
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def make(folder: Path) -> None:
    """Make the data set: an annotated recording with boxes, and samples from an archive."""
    folder.mkdir(parents=True)
    one = simulated(folder, "one", 0)
    members = {}
    for label in "12":
        for k in range(2):
            events = random_events(300, (34, 34), 60_000, seed=10 * int(label) + k)
            columns = (events.t, events.x, events.y, events.p)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            members[f"Train/{label}/{k:05d}.bin"] = aer40(rows)
    many = packed(folder / "raw" / "many.zip", members)
    md5_one, md5_many = (hashlib.md5(path.read_bytes()).hexdigest() for path in (one, many))
    columns = ("id", "source", "md5", "split", "rois", "tags")
    rois, tags = ("raw/one.rois.xml", "raw/one.tags.xml")
    write_table(
        folder,
        [
            (*columns, "samples/by", "samples/members", "sensor"),
            ("one", "raw/one.aedat4", md5_one, "train", rois, tags, "", "", ""),
            ("many", "raw/many.zip", md5_many, "test", "", "", "members", PATTERN, "34x34"),
        ],
    )
    write_config(folder, CONFIG)


def edit(folder: Path) -> None:
    """Edit config and annotation."""
    write_config(folder, EDITED)
    rois = folder / "raw" / "one.rois.xml"
    text = rois.read_text(encoding="utf-8")
    hold(XML[0] in text, f"{XML[0]} is not in the annotation")
    rois.write_text(text.replace(*XML), encoding="utf-8")


class Undisturbed:
    """The data set, built without trouble: before an edit and after it.

    Parameters
    ----------
    folder
        Where to build.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.built = folder / "built"
        make(self.built)
        self._build(self.built)

    @functools.cached_property
    def edited(self) -> Path:
        """The data set after the edit."""
        folder = self.folder / "edited"
        shutil.copytree(self.built, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
        edit(folder)
        self._build(folder)
        return folder

    def _build(self, folder: Path) -> None:
        run = snakemake(folder, "--cores", "2")
        hold(run.returncode == 0, run.stdout)


class World:
    """A copy of the data set, in which one thing goes wrong.

    Parameters
    ----------
    undisturbed
        What it is a copy of, and is compared with.
    folder
        Its own folder, for the data set and for what the fault needs beside it.
    has_disks
        Whether disks can be mounted.
    """

    def __init__(self, undisturbed: Undisturbed, folder: Path, *, has_disks: bool = False) -> None:
        self.undisturbed = undisturbed
        self.has_disks = has_disks
        self.root = folder
        self.root.mkdir(parents=True)
        self.plan = Plan(folder / "plan")
        self.folder = folder / "dataset"
        self.wanted = undisturbed.built
        self.env = {PLAN: str(self.plan.folder)}
        self.deaths = 0
        self._started: list[subprocess.Popen[bytes]] = []
        self.plan.write({})
        self.said_file.touch()

    @property
    def results(self) -> Path:
        """The results of the workflow."""
        return self.folder / "results"

    @property
    def release(self) -> Path:
        """The release that it makes."""
        return self.results / "release" / "tiny-1.0"

    def fill(self, state: str) -> None:
        """Put the data set there: ``new``, ``built``, or ``edited`` after it was built."""
        ignored = shutil.ignore_patterns("results", ".snakemake") if state == "new" else None
        shutil.copytree(
            self.undisturbed.built, self.folder, symlinks=True, ignore=ignored, dirs_exist_ok=True
        )
        if state == "edited":
            self.edit()

    def edit(self) -> None:
        """Edit config and annotation."""
        edit(self.folder)
        self.wanted = self.undisturbed.edited

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Callable[[str], None] | None]:
        """Have the folder on a disk of its own; yields what changes that, None if there is none."""
        if not self.has_disks:
            yield None
            return
        with disk(self.folder, PLENTY) as change:
            try:
                yield change
            finally:
                self.end()
        self.folder.rmdir()

    def used_bytes(self) -> int:
        """Return how much of the disk is in use."""
        return shutil.disk_usage(self.folder).used

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a run in which processes die as planned."""
        inside = str(Path(__file__).parent / "inside")
        path = os.pathsep.join(filter(None, [inside, os.environ.get("PYTHONPATH")]))
        return {**os.environ, **self.env, "PYTHONPATH": path, **more}

    def start(
        self,
        *arguments: str,
        cold: bool = False,
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **how: Any,
    ) -> subprocess.Popen[bytes]:
        """Start Snakemake in a process group of its own; what it says is in the file ``said``.

        `before` is how the command begins; a `cold` one is not a fork of a process that is warm.
        """
        with self.said_file.open("ab") as said:
            process = subprocess.Popen(
                [*before, *command(self.folder, "--cores", "2", *arguments, cold=cold)],
                cwd=self.folder,
                env=self.environment(**(env or {})),
                **{"stdout": said, "stderr": subprocess.STDOUT, "start_new_session": True, **how},
            )
        self._started.append(process)
        return process

    @property
    def said_file(self) -> Path:
        """What runs said."""
        return self.root / "said"

    def said(self) -> str:
        """Return what runs said until now."""
        return self.said_file.read_text(encoding="utf-8", errors="replace")

    def run(self, *arguments: str, **how: Any) -> int:
        """Run Snakemake to its end; return its exit status."""
        return self.start(*arguments, **how).wait(timeout=LONGEST_S)

    def disturbed(self, deaths: Mapping[str, Iterable[Death | None]], **how: Any) -> int:
        """Run Snakemake while processes die as planned, and note how many did."""
        self.plan.write({name: list(turns) for name, turns in deaths.items()})
        status = self.run(**how)
        self.count()
        return status

    def count(self) -> None:
        """Count the processes that died, and let no other die."""
        self.deaths += len(self.plan.died())
        self.plan.write({})

    def cure(self, *arguments: str, **how: Any) -> None:
        """Do what the documentation says: unlock where a lock stays, run the same command."""
        self.plan.write({})
        since = len(self.said())
        if self.run(*arguments, **how):
            text = self.said()[since:]
            hold("cannot be locked" in text, f"the same command fails:\n{text}")
            hold("--unlock" in text, f"nobody says how to unlock:\n{text}")
            hold(self.run("--unlock", **how) == 0, f"unlocking fails:\n{self.said()}")
            hold(
                self.run(*arguments, **how) == 0,
                f"after --unlock, the same command fails:\n{self.said()}",
            )

    def check(self) -> None:
        """Compare with what an undisturbed run makes.

        Raises
        ------
        BrokenError
            If anything differs.
        """
        until(lambda: not self.processes(), f"all processes end; left: {self.processes()}", 60)
        differing = differences(self.wanted / "results", self.results)
        hold(not differing, "not as after an undisturbed run:\n" + "\n".join(differing))
        left = list(strays(self.folder))
        hold(not left, "stray files:\n" + "\n".join(left))
        problems = steps.verify(self.release)
        hold(not problems, "the release has problems:\n" + "\n".join(map(str, problems)))
        since = len(self.said())
        hold(self.run("-n") == 0, f"a dry run fails:\n{self.said()[since:]}")
        text = self.said()[since:]
        hold("Nothing to be done" in text, f"there is still something to do:\n{text}")

    def processes(self) -> dict[int, str]:
        """Return what was started here, and by what was started here, and still runs."""
        mark = f"{PLAN}={self.plan.folder}".encode()
        found = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0"):
                    line = environ.with_name("cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(environ.parent.name)] = line.decode(errors="replace")
        return found

    def end(self) -> None:
        """Leave no process behind."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait(timeout=30)


def differences(wanted: Path, found: Path) -> list[str]:
    """Return a line for each file of the results that is not as it should be."""
    one, two = (_but_told(tree(folder)) for folder in (wanted, found))
    lines = [f"{name}: is missing" for name in sorted(one.keys() - two.keys())]
    lines += [f"{name}: is too much" for name in sorted(two.keys() - one.keys())]
    both = sorted(one.keys() & two.keys())
    return lines + [f"{name}: has other bytes" for name in both if one[name] != two[name]]


def _but_told(files: Mapping[str, str]) -> dict[str, str]:
    return {name: what for name, what in files.items() if not name.startswith(TOLD)}


def strays(folder: Path) -> Iterator[str]:
    """Yield what a run should not have left in the folder of a data set."""
    for path in folder.iterdir():
        if path.name not in OWN:
            yield path.name
    of_results = folder / "results" / ".evreel-tmp"
    for path in folder.rglob("*"):
        is_scratch = ".evreel-tmp" in path.parts and not (
            path.name == _KEPT or (path.is_dir() and path.is_relative_to(of_results))
        )
        is_left = path.suffix in (".part", ".lock", ".compiling") or path.name == DOWNLOADS
        if is_scratch or is_left:
            yield path.relative_to(folder).as_posix()
