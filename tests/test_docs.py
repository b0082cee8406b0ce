"""The pages that are made from the code are those of this code; links lead somewhere."""

from __future__ import annotations

import re
import runpy

import pytest
from conftest import ROOT

MADE = runpy.run_path(str(ROOT / "docs" / "make_pages.py"))["pages"]()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", MADE)
def test_made_page__is_that_of_this_code(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == MADE[name], "run: python docs/make_pages.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links__lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme__names_only_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert named
    assert named <= targets
