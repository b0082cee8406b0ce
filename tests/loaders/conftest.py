"""What tests of several loaders read."""

from __future__ import annotations

import pytest

from support.releases import labelled_release


@pytest.fixture(scope="session")
def labelled_folder(tmp_path_factory):
    """Return a release with a file of each kind, which no test changes."""
    return labelled_release(tmp_path_factory.mktemp("labelled"))
