"""Rules of the tests themselves: none needs another, and each lies where its subject is."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from support import ROOT

TESTS = ROOT / "tests"
FILES = sorted(TESTS.rglob("test_*.py"))
IDS = [path.relative_to(TESTS).as_posix() for path in FILES]
OTHER_ROOMS = {
    *("support", "with_slurm", "with_torch", "in_browser", "venues", "workflow", "faults")
}


@functools.cache
def parsed(path: Path) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return what a file of tests imports, and the names of its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(imported_by(tree)), tuple(names)


def imported(text: str) -> set[str]:
    """Return `imported_by` of code."""
    return imported_by(ast.parse(text))


def imported_by(tree: ast.Module) -> set[str]:
    """Return the last part of each module that code imports, also in code that it has as text."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line in re.findall(r"(?:^|;|\n) *(?:import|from) +[^;\n]+", node.value):
                found |= set(re.findall(r"\w+", line))
            found |= set(re.findall(r"^(?:\w+\.)*(test_\w+)$", node.value))
    return found


def test_imported__sees_modules_in_code_and_in_text():
    assert imported("import a.test_b, c\nfrom d.test_e import f") == {"test_b", "c", "test_e", "f"}
    assert "test_g" in imported("run('x = 1; import test_g; test_g.h()')")
    assert "test_i" in imported("run('import os\\n' 'from j import test_i\\n')")
    assert "test_k" in imported("import_module('l.test_k')")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_file__imports_no_other_test(path):
    others = {other.stem for other in FILES} & parsed(path)[0]
    assert others == set(), "what two files need belongs into tests/support"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_file__has_tests_whose_names_are_claims_and_differ(path):
    _, names = parsed(path)
    tests = [name for name in names if name.startswith("test_")]
    assert tests
    assert [name for name in tests if not re.fullmatch(r"test_\w+?__\w+", name)] == []
    assert len(tests) == len(set(tests)), "one hides another of its name"


def test_rooms__are_those_of_the_package():
    rooms = {path.name for path in TESTS.iterdir() if any(path.rglob("test_*.py"))}
    modules = {path.stem for path in (ROOT / "src" / "evreel").iterdir()}
    assert rooms - OTHER_ROOMS <= modules


def test_support__imports_no_test():
    for path in (TESTS / "support").rglob("*.py"):
        assert not {Path(name).stem for name in IDS} & imported(path.read_text(encoding="utf-8"))
