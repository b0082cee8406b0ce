"""Files that many tests begin with, made once by the first of all processes that ask for them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from evreel.system import lock

FOLDER: list[Path] = []
"""The folder for such files, which `tests/conftest.py` enters; without it, there is a new one."""


def once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder of a name, which no test may change, after `make` has filled it once.

    The processes of one test run share it. While one makes it, the others wait; if that one fails
    or is killed, the next one begins again. The folder has its place from the beginning, because
    files may name it.
    """
    if not FOLDER:
        FOLDER.append(Path(tempfile.mkdtemp(prefix="once-")))
        atexit.register(_remove, FOLDER[0], os.getpid())
    folder = FOLDER[0] / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f"{folder.name}.made")
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        lock(file, wait=True)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def _remove(folder: Path, process: int) -> None:
    """Remove a folder that a process made, at the end of this one and not of those it forks."""
    if os.getpid() == process:
        shutil.rmtree(folder)


def copy_once(name: str, make: Callable[[Path], object], folder: Path) -> None:
    """Add copies of the files that `once` makes to a folder."""
    shutil.copytree(once(name, make), folder, symlinks=True, dirs_exist_ok=True)
