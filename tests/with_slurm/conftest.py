"""A cluster for the session, and Snakemake run on it by the profile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.slurm import CUSTOMS, Runs, Slurm


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    """A cluster of three nodes."""
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def runs(slurm, tmp_path_factory) -> Runs:
    """Snakemake on it."""
    customs = tmp_path_factory.mktemp("customs")
    (customs / "sitecustomize.py").write_text(CUSTOMS, encoding="utf-8")
    return Runs(slurm, customs)
