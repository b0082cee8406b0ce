"""What tests share: real recordings, random events by seed, code in other processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from evreel.events import Events, Sensor

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"

PLAIN_PROCESSOR = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-FMA,-BMI2,-ERMS",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
}
"""Environment that takes AVX from the C library, numpy and kernels; ffmpeg looks for itself."""


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


def run_python(
    code: str, *arguments: object, env: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run code that may import `support` in a process of its own, with `env` added."""
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done


def unprivileged() -> list[str]:
    """Return what takes from root the right to write where a user may not."""
    if os.geteuid() or not shutil.which("setpriv"):
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def bound() -> list[str]:
    """Return how a command begins that permissions bind, or skip: nothing may bind root."""
    before = unprivileged()
    if os.geteuid() == 0 and not before:
        pytest.skip("permissions do not bind root, and there is no setpriv")
    return before


def run_oracle(script: str, *arguments: object, timeout: float = 120) -> str:
    """Run a script of `support/oracles` in a process of its own; return what it prints.

    Other readers may hang, or end the process.
    """
    folder = Path(__file__).with_name("oracles")
    command = [sys.executable, str(folder / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout
