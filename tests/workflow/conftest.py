"""Fixtures of modules that build a data set once."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def copied(built, tmp_path):
    """A copy of the data set that the module has built, to be changed."""
    folder = tmp_path / "dataset"
    shutil.copytree(built, folder, symlinks=True)
    return folder
