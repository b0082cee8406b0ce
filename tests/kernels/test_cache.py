"""Compiled kernels on the disk: of processes that start together, one compiles."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import pytest

from evreel.kernels import cache, kernel
from support import ROOT

SMALL = """
from evreel.kernels import kernel

@kernel
def doubled(a):
    return 2 * a

@kernel
def times_four(a):
    return doubled(doubled(a))
"""

ONCE = """
import small
assert small.times_four(3) == 12
print(sum(small.times_four.stats.cache_misses.values()))
"""

# Processes that have imported all and begin together; each says how often it had to compile.
TOGETHER = """
import os
import small

gate, go = os.pipe()
started = []
for _ in range(3):
    process = os.fork()
    if not process:
        os.read(gate, 1)
        assert small.times_four(3) == 12
        compiled = sum(small.times_four.stats.cache_misses.values())
        os.write(1, f"{compiled}\\n".encode())
        os._exit(0)
    started.append(process)
os.write(go, bytes(len(started)))
assert [os.waitpid(process, 0)[1] for process in started] == [0, 0, 0]
"""


def run(folder: Path, code: str, **environment: str) -> list[str]:
    """Run code that finds the small kernel in a folder; return its lines."""
    (folder / "small.py").write_text(SMALL, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    given = {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": path, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def marks(folder: Path) -> list[Path]:
    return list(folder.rglob("*.compiling"))


def test_processes__that_begin_together_compile_once(tmp_path):
    assert sorted(run(tmp_path, TOGETHER)) == ["0", "0", "1"]
    assert marks(tmp_path) == []
    assert run(tmp_path, ONCE) == ["0"]


def test_process__that_cannot_compile_leaves_no_mark(tmp_path):
    code = """
import numba, small
try:
    small.times_four(None)
except numba.TypingError:
    print("refused")
"""
    assert run(tmp_path, code) == ["refused"]
    assert marks(tmp_path) == []


@pytest.mark.parametrize("chosen", [False, True])
def test_package__that_is_read_only_works_with_and_without_a_folder_for_the_cache(tmp_path, chosen):
    # Files where numba wants folders: permissions do not hold for root.
    for name in ("__pycache__", "home"):
        (tmp_path / name).touch()
    no_home = dict.fromkeys(("HOME", "XDG_CACHE_HOME"), str(tmp_path / "home"))
    folder = {} if chosen else {"NUMBA_CACHE_DIR": ""}
    assert run(tmp_path, ONCE, **no_home, **folder) == ["1"]
    assert len(list(tmp_path.rglob("*.nbi"))) == (2 if chosen else 0)


@pytest.fixture
def compiled(tmp_path, monkeypatch) -> Callable[[], int]:
    """Return a function that compiles or loads a kernel, and returns how often it compiled."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def doubled(a):
        return 2 * a

    def run() -> int:
        made = kernel(doubled)
        assert made(4) == 8
        return sum(made.stats.cache_misses.values())

    return run


@pytest.fixture
def mark(compiled, tmp_path) -> Path:
    """Return where the mark of that kernel is, of which nothing is compiled."""
    assert compiled() == 1
    [index] = tmp_path.rglob("*.nbi")
    for file in index.parent.iterdir():
        file.unlink()
    number = index.name.split("-")[1].split(".")[0]
    return index.parent / f"{Path(__file__).stem}.doubled-{number}.compiling"


def test_process__goes_on_at_once_where_another_was_killed(compiled, mark):
    gone = subprocess.Popen(["true"])
    gone.wait()
    mark.write_text(f"{platform.node()} {gone.pid}", encoding="ascii")
    assert compiled() == 1
    assert not mark.exists()


def test_process__that_finds_what_it_needs_waits_for_nobody(compiled, mark):
    """Another may compile the kernel for other types, or for another processor."""
    assert compiled() == 1
    mark.write_text(f"{platform.node()} {os.getpid()}", encoding="ascii")
    begin = time.monotonic()
    assert compiled() == 0
    assert time.monotonic() - begin < 10
    assert mark.exists()


@pytest.mark.parametrize("whose", ["another 1", "{node} {pid}", "", "\0"])
def test_process__waits_for_another_but_not_for_ever(compiled, mark, monkeypatch, whose):
    monkeypatch.setattr(cache, "LONGEST_S", 0.2)
    mark.write_text(whose.format(node=platform.node(), pid=os.getpid()), encoding="ascii")
    begin = time.monotonic()
    assert compiled() == 1
    assert time.monotonic() - begin > 0.2
    assert not mark.exists()
    assert compiled() == 0


def test_process__compiles_by_itself_where_a_mark_cannot_be_removed(compiled, mark, monkeypatch):
    monkeypatch.setattr(cache, "LONGEST_S", 0.1)
    mark.mkdir()
    assert compiled() == 1
    assert compiled() == 0
