"""Data sets that many tests of checks look at, and change only in copies."""

from __future__ import annotations

import pytest

from support.checks import build_results, planted_faults
from support.once import once


@pytest.fixture(scope="session")
def planted():
    """The folder of planted faults, what plants them and where, and what an audit finds."""
    return planted_faults()


@pytest.fixture(scope="session")
def made():
    """A folder with a raw recording, results like the workflow's, and releases of them."""
    return once("results", build_results)
