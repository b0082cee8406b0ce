"""Inspect HDF5 files that have no seal in a program of its own, which ends whatever the file holds.

That takes a third of a second. The program is `probe`.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from evreel.errors import EvreelError
from evreel.files import probe

MAGIC = b"\x89HDF\r\n\x1a\n"
CPU_SECONDS = 6
"""Limit of the processor's time: HDF5 hangs by searching without end, never by waiting."""
WAIT_SECONDS = 60.0
"""Limit of time in all: a slow disk makes a sound file wait."""

_OUT_OF_TIME = {getattr(signal, name, None) for name in ("SIGXCPU", "SIGKILL")}  # Windows has none


class InspectionError(EvreelError):
    """Why the structure of a file cannot be read; whoever asked for it names the file."""


def described(path: Path, *names: str) -> tuple[dict[str, Any], bytes]:
    """Return what `probe` tells of a file and some data sets, and the tables of their chunks.

    Raises
    ------
    InspectionError
        If the structure is damaged, or inspecting it takes too long.
    """
    line, _, tables = _inspected(path, "describe", *names).partition(b"\n")
    told: dict[str, Any] = json.loads(line)
    return told, tables


def check_structure(path: Path) -> int:
    """Raise if reading the structure of an HDF5 file does not end by itself, or finds damage.

    Returns
    -------
    How many bytes the file has beyond its own, where a seal would be.

    Raises
    ------
    OSError
        If the file cannot be read.
    InspectionError
        If it is damaged.
    """
    status = path.stat()
    there, stated = status.st_size, _stated_size(path)
    if stated is not None and there < stated:
        raise InspectionError(f"truncated file: it ends after {there:,} of {stated:,} bytes")
    _walk(path, (status.st_dev, status.st_ino, there, status.st_mtime_ns))
    return 0 if stated is None else there - stated


@functools.lru_cache(maxsize=4096)
def _walk(path: Path, seen: tuple[int, ...]) -> None:
    """Inspect a file once, until it changes: checks open it several times."""
    _inspected(path, "walk")


def _inspected(path: Path, task: str, *names: str) -> bytes:
    """Return what `probe` prints."""
    # By its path and with -P, so that it imports nothing from its folder or the working directory.
    command = [sys.executable, "-P", probe.__file__, str(CPU_SECONDS), task, str(path.resolve())]
    try:
        done = subprocess.run(
            [*command, *names],
            capture_output=True,
            timeout=WAIT_SECONDS,
            stdin=subprocess.DEVNULL,
            # A thread for each core would take address space, which is limited.
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        problem = f"inspecting it did not end within {WAIT_SECONDS:.0f} s"
        raise InspectionError(problem) from error
    if done.returncode > 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InspectionError(said[-1] if said else f"exit code {done.returncode}")
    if -done.returncode in _OUT_OF_TIME:
        raise InspectionError(f"inspecting it did not end within {CPU_SECONDS} s")
    if done.returncode:
        raise InspectionError(f"HDF5 ends with signal {-done.returncode}")
    return done.stdout


def _stated_size(path: Path) -> int | None:
    """Return the size that the superblock states, None if it is of no known form.

    Files that were cut short are common: this sees them at once.
    """
    with path.open("rb") as file:
        start = file.read(48)
    place = {b"\x00": (13, 40), b"\x02": (9, 28), b"\x03": (9, 28)}.get(start[8:9])
    if not start.startswith(MAGIC) or len(start) < 48 or place is None:
        return None
    width_at, size_at = place
    return int.from_bytes(start[size_at : size_at + 8], "little") if start[width_at] == 8 else None
