"""Licences: by name and address, or with their text."""

from __future__ import annotations

import pytest

from evreel.errors import UsageError
from evreel.publish.build import build
from evreel.release.licences import licence_notice
from evreel.release.manifest import PlanEntry
from support.releases import DATA_SET


@pytest.mark.parametrize(
    ("licence", "address"),
    [
        ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC-BY-NC-SA-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
        ("ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
    ],
)
def test_notice__of_a_known_licence_has_its_name_and_address(licence, address):
    notice = licence_notice(licence, None)
    assert f"({licence})" in notice
    assert address in notice
    assert ("Affirmer" in notice) == (licence == "CC0-1.0"), "CC0's own text comes along"


def test_notice__without_a_licence_says_so():
    assert licence_notice("NOASSERTION", None).startswith("No licence is stated")


def test_build__takes_a_licence_with_its_text(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    plan = [PlanEntry("a.txt", tmp_path / "a.txt")]
    arguments = DATA_SET | {"licence": "LicenseRef-ours"}
    with pytest.raises(UsageError, match=r"text of licence 'LicenseRef-ours' is missing.*CC0"):
        build(plan, tmp_path / "r", **arguments)
    build(plan, tmp_path / "r", **arguments, licence_text="Ask us.")
    assert (tmp_path / "r" / "LICENSE.txt").read_text() == "Ask us.\n"
