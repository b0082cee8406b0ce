"""The import rules of docs/architecture.md, held against the code."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib

import pytest

from support import ROOT

PACKAGE = ROOT / "src" / "evreel"
SOURCES = sorted(PACKAGE.rglob("*.py"))
IMPORTED_AS = {
    "botocore": "boto3",  # which it is a part of
    "PIL": "pillow",
    "cvat_sdk": "cvat-sdk",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "urllib3": "cvat-sdk",  # which needs it
    "yaml": "pyyaml",
}
"""Name that is imported → the package that has it, where they differ."""


@functools.cache
def rows() -> dict[str, int]:
    """Return module → row of the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("| module | one sentence |")[1].split("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    return {
        name: row
        for row, line in enumerate(lines)
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }


def part(path) -> str:
    """Return the module of the table that a source file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@functools.cache
def imports(path) -> frozenset[str]:
    """Return the dotted names that a source file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
            module = node.module or ""
            if module == "evreel":
                found |= {f"evreel.{alias.name}" for alias in node.names}
            else:
                found.add(module)
    return frozenset(found)


def waits(node: ast.stmt) -> bool:
    """Tell whether a statement imports nothing of ours when its module is imported."""
    if isinstance(node, ast.If):
        assert "TYPE_CHECKING" in ast.unparse(node.test)
        return True
    if isinstance(node, ast.Import):
        return not any(alias.name.split(".")[0] == "evreel" for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] != "evreel"
    return True


def ours(path) -> set[str]:
    """Return the modules of the table that a source file imports."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("evreel.")}
    return names - {"__version__"}


def test_table__names_every_module_and_no_other():
    modules = {part(path) for path in SOURCES} - {"__init__"}
    assert set(rows()) == modules


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module__imports_only_from_rows_above(path):
    known = rows()
    here = part(path)
    if here == "__init__":  # the front door, above all rows, which opens them when it is used
        assert all(map(waits, ast.parse(path.read_text(encoding="utf-8")).body))
        return
    for name in ours(path) - {here}:
        assert known[name] < known[here], f"{here} imports {name}, which is not above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module__keeps_to_the_nevers(path):
    here, names = part(path), imports(path)
    top = {name.split(".")[0] for name in names}
    if here != "kernels":
        assert "numba" not in top, "numba is for kernels"
    else:
        loops = {"collections", "math", "typing", "numba", "numpy", "evreel", "__future__"}
        if path.name == "bitshuffle.py":
            loops.add("llvmlite")  # it calls functions of a library
        assert top <= loops or path.name == "cache.py", "the cache on the disk has its own file"
        assert ours(path) <= {"kernels"}
    if here in ("files", "recordings"):
        assert "representations" not in ours(path)
    if here == "representations":
        assert not ours(path) & {"files", "recordings"}
    assert not top & {"snakemake", "dv_processing", "av"}
    assert "PIL" not in top or here == "video", "text is drawn in one place"
    assert "cvat_sdk" not in top or path.name == "sdk.py", "one file asks CVAT"
    assert not top & {"boto3", "botocore"} or path.name == "s3.py", "one file asks S3 stores"
    assert "rosbags" not in top or path.name == "definitions.py", "one file knows rosbags"
    assert "pyarrow" not in top or here == "cards", "tables for others are made in one place"
    assert "torch" not in top or here == "loaders", "torch is for loaders"
    assert "yaml" not in top or here in ("annotations", "dataset"), "YAML is a config, or YOLO's"


def test_package__declares_what_it_imports_and_no_more():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    needed, wanted = (
        {re.match(r"[\w-]+", requirement)[0] for requirement in group}
        for group in (project["dependencies"], [one for extra in extras for one in extra])
    )
    names = {name.split(".")[0] for path in SOURCES for name in imports(path)}
    others = names - sys.stdlib_module_names - {"evreel", "_typeshed"}
    imported = {IMPORTED_AS.get(name, name) for name in others}
    assert needed == imported - wanted
