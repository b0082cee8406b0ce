"""Data sets that many tests of checks look at, and change only in copies."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import pytest

from evreel.checks.run import audit
from support import ROOT
from support.checks import build_results


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """The folder of planted faults, what plants them and where, and what an audit finds."""
    folder = tmp_path_factory.mktemp("checks") / "planted"
    plants = runpy.run_path(str(ROOT / "examples" / "plant_faults.py"))
    plants["plant"](folder)
    return SimpleNamespace(
        folder=folder, plants=plants["PLANTS"], paths=plants["PATHS"], report=audit(folder)
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with a raw recording, results like the workflow's, and releases of them."""
    folder = tmp_path_factory.mktemp("made")
    build_results(folder)
    return folder
