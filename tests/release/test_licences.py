"""Licences: by name, or with their text."""

from __future__ import annotations

import pytest

from evreel.errors import UsageError
from evreel.release.build import build
from evreel.release.manifest import (
    PlanEntry,
)
from support.releases import DATA_SET


def test_build__takes_a_licence_with_its_text(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    plan = [PlanEntry("a.txt", tmp_path / "a.txt")]
    arguments = DATA_SET | {"licence": "LicenseRef-ours"}
    with pytest.raises(UsageError, match=r"text of licence 'LicenseRef-ours' is not given.*CC0"):
        build(plan, tmp_path / "r", **arguments)
    build(plan, tmp_path / "r", **arguments, licence_text="Ask us.")
    assert (tmp_path / "r" / "LICENSE.txt").read_text() == "Ask us.\n"
