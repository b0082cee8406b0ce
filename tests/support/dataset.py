"""A small data set of simulated recordings, and Snakemake run on it as a user runs it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from support import ROOT, warm
from support.scenes import simulated

CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["car", "sign", "busy"],
    "slices": {"window_us": 20_000},
    "features": {
        "histogram": {"representation": "histogram", "window_us": 10_000},
        "voxels": {"representation": "voxel_grid", "count": 500, "parameters": {"bins": 3}},
    },
    "release": {"name": "tiny", "version": "1.0", "licence": "CC0-1.0"},
}


def make_data_set(folder: Path, names: Sequence[str] = ("one", "two")) -> Path:
    """Simulate a recording a name; write a table and a config."""
    folder.mkdir(exist_ok=True)
    rows = [("id", "source", "md5", "split", "rois", "tags")]
    for k, name in enumerate(names):
        md5 = hashlib.md5(simulated(folder, name, k).read_bytes()).hexdigest()
        split = ("train", "test")[k % 2]
        rows.append(
            (name, f"raw/{name}.aedat4", md5, split, f"raw/{name}.rois.xml", f"raw/{name}.tags.xml")
        )
    write_table(folder, rows)
    write_config(folder, CONFIG)
    return folder


def write_table(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write recordings.tsv."""
    text = "".join("\t".join(row) + "\n" for row in rows)
    (folder / "recordings.tsv").write_text(text, encoding="utf-8")


def write_config(folder: Path, config: Mapping[str, object]) -> None:
    """Write config.yaml."""
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")


def command(
    folder: Path,
    *arguments: str,
    house: Path = ROOT,
    cold: bool = True,
    machine: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the command line that runs a checkout's Snakefile on the data set in `folder`."""
    if cold:
        own = [sys.executable, "-m", "snakemake"]
    else:
        fresh = machine is not None or house != ROOT
        own = [str(warm.commands(fresh=fresh, **(machine or {})) / "snakemake")]
    return [
        *own,
        *(
            "--snakefile",
            str(house / "Snakefile"),
            "--directory",
            str(folder),
            "--configfile",
            str(folder / "config.yaml"),
        ),
        *("--workflow-profile", str(house / "profiles" / "default"), *arguments),
    ]


def snakemake(
    folder: Path,
    *arguments: str,
    house: Path = ROOT,
    env: Mapping[str, str] | None = None,
    machine: Mapping[str, str] | None = None,
    timeout: int = 180,
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the data set in `folder`, with output and errors as one text.

    `house` is a checkout, of which also the package is taken; `env` is added to the environment.
    Snakemake and its jobs are forks of a process that has imported what they need. `machine` is
    added to the environment in which that process starts, too; where it is given, or the checkout
    is another, each job imports of evreel by itself what it needs.
    """
    path = os.pathsep.join(filter(None, [str(house / "src"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        command(folder, *arguments, house=house, cold=False, machine=machine),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **(machine or {}), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def build(folder: Path, *arguments: str, **options: Any) -> str:
    """Run Snakemake, which must not fail; return what it says."""
    run = snakemake(folder, *arguments, **options)
    assert run.returncode == 0, run.stdout
    return run.stdout


def planned(folder: Path, *arguments: str, house: Path = ROOT) -> list[str]:
    """Return the rule of each job that a dry run would run, sorted."""
    lines = build(folder, "-n", *arguments, house=house).splitlines()
    return sorted(
        line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))
    )


TIMED = ("benchmarks/", "logs/acquire/", "logs/archive/")
"""Where files of the results tell how long things took."""


def tree(folder: Path) -> dict[str, str]:
    """Return path → digest, or where a link leads to, for each file that a workflow keeps there.

    Benchmarks are there by their names alone, as are the logs with rates: they tell of times.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file() and not name.startswith(".evreel-tmp/"):
            timed = name.startswith(TIMED)
            found[name] = "" if timed else hashlib.sha256(path.read_bytes()).hexdigest()
    return found
