"""One browser for all tests of a process."""

from __future__ import annotations

import pytest

from support.browser import started


@pytest.fixture(scope="session")
def browser():
    """The system's own Chromium, without network."""
    with started() as browser:
        yield browser
