"""What tests share: where real recordings lie, and random events by seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evreel.events import Events, Sensor

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def shared_file(name: str) -> Path:
    """Return a real input below ``../shared``, or skip: a stranger's clone has none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs ../shared/{name}, which only the developers' machines have")
    return path


def random_events(
    n: int, sensor: tuple[int, int] = (48, 64), stop_us: int = 100_000, seed: int = 0
) -> Events:
    """Return `n` uniform events from t = 0 to below `stop_us`, with equal stamps among them."""
    rng = np.random.default_rng(seed)
    height, width = sensor
    t = np.sort(rng.integers(0, stop_us, n))
    if n:
        t[0] = 0
    return Events(
        t,
        rng.integers(0, width, n),
        rng.integers(0, height, n),
        rng.integers(0, 2, n),
        Sensor(height, width),
    )


def run_oracle(script: str, *arguments: object, timeout: float = 120) -> str:
    """Run a script of `support/oracles` in a process of its own; return what it prints.

    Other readers may hang, or end the process.
    """
    folder = Path(__file__).with_name("oracles")
    command = [sys.executable, str(folder / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout
