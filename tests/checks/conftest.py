"""Data sets that many tests of checks look at, and change only in copies."""

from __future__ import annotations

import pickle
import runpy
from types import SimpleNamespace

import pytest

from evreel.checks.run import audit
from support import ROOT
from support.checks import build_results
from support.once import once


@pytest.fixture(scope="session")
def planted():
    """The folder of planted faults, what plants them and where, and what an audit finds."""
    plants = runpy.run_path(str(ROOT / "examples" / "plant_faults.py"))

    def make(shared):
        plants["plant"](shared / "planted")
        (shared / "report").write_bytes(pickle.dumps(audit(shared / "planted")))

    shared = once("planted", make)
    return SimpleNamespace(
        folder=shared / "planted",
        plants=plants["PLANTS"],
        paths=plants["PATHS"],
        report=pickle.loads((shared / "report").read_bytes()),
    )


@pytest.fixture(scope="session")
def made():
    """A folder with a raw recording, results like the workflow's, and releases of them."""
    return once("results", build_results)
