"""A release that tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.releases import release


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A release that no test changes."""
    return release(tmp_path_factory.mktemp("made"))


@pytest.fixture
def copied(made, tmp_path):
    """A release to spoil."""
    return Path(shutil.copytree(made, tmp_path / "street-1.0"))
