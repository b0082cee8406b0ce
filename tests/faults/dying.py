"""How a process ends itself, or its ffmpeg, at a moment that was drawn before.

Python imports the package's `sitecustomize` in each job, which calls `arm`; commands that are forks
of the campaign call it themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PLAN = "EVREEL_FAULTS"
"""The environment variable that names the folder of a `Plan`."""
_CHANGES = {
    "os.chmod",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "subprocess.Popen",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LONGEST_S = 60.0


@dataclass(frozen=True)
class Death:
    """What ends a process, and when.

    Parameters
    ----------
    signal
        Number of a signal.
    after
        Changes of files that are done before, counting files that are opened to be written; None
        where time decides.
    delay_s
        Seconds before, of a process or of its ffmpeg.
    of
        ``self``, or a part of the name of the program among its children that is ended instead.
    """

    signal: int
    after: int | None = None
    delay_s: float = 0.0
    of: str = "self"

    @classmethod
    def drawn(
        cls, rng: random.Random, *signals: int, most: int = 40, longest_s: float = 0.5
    ) -> Death:
        """Return a death in the middle of changes of files, or of anything else."""
        number = rng.choice(signals or (signal.SIGKILL,))
        if rng.random() < 0.6:
            return cls(number, after=round(most ** rng.random()) - 1)
        return cls(number, delay_s=longest_s * rng.random() ** 2)

    def __str__(self) -> str:
        name = signal.Signals(self.signal).name
        whose = "" if self.of == "self" else f" of {self.of}"
        if self.after is not None:
            return f"{name}{whose} after {self.after} changes of files"
        return f"{name}{whose} after {self.delay_s:.3f} s"


def arm(death: Death, note: Path | None = None) -> None:
    """Let a death come to this process; it is noted in a file just before."""
    if death.after is not None:
        _at_change(death, note)
    else:
        _in_time(death, note)


def _at_change(death: Death, note: Path | None) -> None:
    left, me, is_over = death.after or 0, os.getpid(), False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left, is_over
        if is_over or os.getpid() != me:
            return
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & _WRITES:
                return
        elif event not in _CHANGES:
            return
        left -= 1
        if left < 0:
            is_over = True
            if note is not None:
                note.touch()
            os.kill(me, death.signal)

    sys.addaudithook(hook)


def _in_time(death: Death, note: Path | None) -> None:
    """Fork a process that ends this one, or a child of it, and lives no longer than this one."""
    me = os.getpid()
    if os.fork():
        return
    with contextlib.suppress(BaseException):
        number = None
        since = time.monotonic()
        while os.getppid() == me and time.monotonic() - since < _LONGEST_S:
            if number is None:
                number = me if death.of == "self" else _child(me, death.of)
                found_s = time.monotonic()
            if number is not None and time.monotonic() - found_s >= death.delay_s:
                if os.getppid() == me:
                    if note is not None:
                        note.touch()
                    os.kill(number, death.signal)
                break
            time.sleep(0.001)
    os._exit(0)


def _child(parent: int, name: str) -> int | None:
    for path in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                program = Path(f"/proc/{child}/comm").read_text()
                if name in program:
                    return int(child)
    return None


class Plan:
    """Deaths of the processes that a run starts, by what they are called.

    A job is called as its rule, Snakemake itself ``snakemake``. Of several jobs of a rule, each
    takes the next death.

    Parameters
    ----------
    folder
        Where it is written, and where each process notes its death.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, deaths: dict[str, list[Death | None]]) -> None:
        """Begin a new plan."""
        for name in ("taken", "died"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            for old in (self.folder / name).iterdir():
                old.unlink()
        plan = {
            name: [death and asdict(death) for death in turns] for name, turns in deaths.items()
        }
        (self.folder / "plan.json").write_text(json.dumps(plan), encoding="ascii")

    def died(self) -> list[str]:
        """Return which processes ended as planned."""
        return sorted(path.name for path in (self.folder / "died").iterdir())

    def arm_me(self) -> None:
        """Let this process die as planned, if it is one of them."""
        name = _called()
        plan = json.loads((self.folder / "plan.json").read_text(encoding="ascii"))
        for k, death in enumerate(plan.get(name, ())):
            with contextlib.suppress(FileExistsError):
                (self.folder / "taken" / f"{name}-{k}").touch(exist_ok=False)
                if death is not None:
                    arm(Death(**death), self.folder / "died" / f"{name}-{k}")
                return


def _called() -> str:
    """Return the rule of this job, or ``snakemake``; empty for anything else."""
    name = Path(sys.argv[0] if sys.argv else "")
    if name.suffix == ".py" and name.parent.name == "scripts":
        return name.name.split(".")[-2]
    if name.name == "snakemake" or sys.orig_argv[1:3] == ["-m", "snakemake"]:
        return "snakemake"
    return ""
