"""The wheel and the sdist as their users install them, in a new environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from evreel.recordings.aedat4 import Aedat4Writer
from support import ROOT, random_events

BIN = "Scripts" if os.name == "nt" else "bin"


def done(*command: object, cwd: Path = ROOT, **env: str) -> str:
    """Run a program without what this environment has; return what it prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    run = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=kept | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, f"{command}: {run.stderr}"
    assert "Traceback" not in run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def commands(wheel, tmp_path_factory):
    """The commands of an environment with the wheel and the locked versions that it needs."""
    uv = shutil.which("uv") or ROOT / ".tools" / BIN / "uv"
    folder = tmp_path_factory.mktemp("bare")
    locked = folder / "locked.txt"
    done(uv, "export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "-o", locked)
    done(uv, "venv", "--python", sys.executable, folder / "env")
    python = folder / "env" / BIN / "python"
    done(uv, "pip", "install", "--python", python, "--constraint", locked, wheel)
    assert done(uv, "pip", "check", "--python", python) == ""
    return folder / "env" / BIN


def test_wheel__gives_a_command_line_without_snakemake_and_without_compiled_kernels(
    commands, tmp_path
):
    events = random_events(5_000, seed=2)
    with Aedat4Writer(tmp_path / "park.aedat4", events.sensor) as writer:
        writer.write(events)

    def evreel(*arguments: str) -> str:
        return done(commands / "evreel", *arguments, cwd=tmp_path)

    assert evreel("--version").startswith("evreel ")
    assert "features" in evreel("--help")
    assert "5,000" in evreel("info", "park.aedat4")
    evreel("events", "park.aedat4", "-o", "park.h5")
    evreel("video", "park.h5", "-o", "park.mp4", "--window-us", "10000")
    evreel("features", "park.h5", "-o", "f", "--representation", "voxel_grid", "--count", "1000")
    (tmp_path / "release.tsv").write_text(
        "path\tsource\tkind\tid\tsplit\ntrain/events/park.h5\tpark.h5\tevents\tpark\ttrain\n",
        encoding="utf-8",
    )
    evreel("check", "park.h5")
    evreel("release", "--manifest", "release.tsv", "-o", "parks")
    assert "is as its manifest says" in evreel("verify", "parks")
    code = "import importlib.util as util; print(util.find_spec('snakemake'))"
    assert done(commands / "python", "-c", code) == "None\n"
    python = "import evreel; print(len(evreel.read('park.aedat4')))"
    assert done(commands / "python", "-c", python, cwd=tmp_path) == "5000\n"


def test_sdist__builds_the_same_wheel_and_holds_nothing_of_this_machine(wheel, tmp_path):
    done(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    (sdist,) = tmp_path.iterdir()
    with tarfile.open(sdist) as file:
        tops = {name.split("/")[1] for name in file.getnames()}
        owners = {(member.uid, member.uname) for member in file.getmembers()}
        # Python before 3.11.4 has no filters; the archive is our own.
        file.extractall(tmp_path, **{"filter": "data"} if hasattr(tarfile, "data_filter") else {})
    assert {"LICENSE", "README.md", "pyproject.toml", "uv.lock", "Snakefile", "tests"} <= tops
    hidden = {top for top in tops if top.startswith(".")}
    own = {".ci", ".dockerignore", ".gitattributes", ".gitignore"}
    assert hidden <= own | {".snakemake-workflow-catalog.yml"}
    assert not tops & {"results", "dist", "my"}
    assert owners == {(0, "")}
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    again = tmp_path / "again"
    done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", again, cwd=source)
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
