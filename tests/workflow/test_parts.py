"""A recording that several jobs share: the same files, and nothing is made again for its sake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.dataset import (
    CONFIG,
    build,
    make_data_set,
    planned,
    snakemake,
    tree,
    write_config,
    write_table,
)

OWN = """import os
import signal
from pathlib import Path


def counts(events, H, W):
    import numpy as np

    if Path("kill").exists():
        Path("kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    frame = np.zeros((H, W), dtype=np.uint16)
    np.add.at(frame, (events["y"], events["x"]), 1)
    return frame
"""
FEATURES = {
    "own": {"representation": "own.py:counts", "window_us": 20_000},
    "voxels": {"representation": "voxel_grid", "count": 500, "parameters": {"bins": 3}},
    "surface": {"representation": "exponential_surface", "window_us": 9_000, "ending": "frames"},
    "labels": {"representation": "tore", "window_us": 9_000, "ending": "labels"},
    "cars": {"representation": "diff", "number": 4, "geometry": {"labels": ["car"]}},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data set that is made in one piece; then its table asks for parts."""
    folder = make_data_set(tmp_path_factory.mktemp("dataset"), ["one"])
    (folder / "own.py").write_text(OWN)
    write_config(folder, CONFIG | {"features": FEATURES})
    build(folder, "--cores", "2", "release")
    rows = [line.split("\t") for line in (folder / "recordings.tsv").read_text().splitlines()]
    more = [("parts/features", "parts/annotate"), ("3", "2")]
    write_table(folder, [(*row, *cells) for row, cells in zip(rows, more, strict=True)])
    return folder


def made(folder: Path) -> dict[str, str]:
    """Return path → digest of what is made, but for logs and times."""
    return {
        path: digest
        for path, digest in tree(folder / "results").items()
        if not path.startswith(("logs/", "benchmarks/"))
    }


def test_parts__of_any_number_make_nothing_again(whole):
    assert planned(whole, "release") == []


def test_parts__of_which_one_is_killed_are_joined_to_the_same_files(whole, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(whole, folder, symlinks=True)
    in_one_piece = made(folder)
    for step in ("slices", "features", "published", "release"):
        shutil.rmtree(folder / "results" / step)
    (folder / "kill").touch()
    run = snakemake(folder, "--cores", "2", "release")
    assert run.returncode != 0
    left = {path for path in made(folder) if path.startswith(("parts/features/", "features/"))}
    assert left and left < {f"parts/features/one/{k}of3.h5" for k in (1, 2, 3)}
    build(folder, "--cores", "2", "release")
    assert made(folder) == in_one_piece
    assert planned(folder, "release") == []
