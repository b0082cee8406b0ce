"""The tables of docs/coming-from.md: their lines, and files on which these run."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evreel import steps
from support import ROOT
from support.releases import labelled_release
from support.scenes import annotated

PAGE = ROOT / "docs" / "coming-from.md"
WITH_PYTORCH = "<!-- with PyTorch -->"


class Section(NamedTuple):
    """A peer's table: its name, whether it needs PyTorch, and the lines of each row."""

    name: str
    needs_torch: bool
    rows: list[list[str]]


def names() -> str:
    """Return the block that says the names which the tables use."""
    return re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


def sections() -> Iterator[Section]:
    """Yield the tables."""
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        lines = part.splitlines()
        table = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
        rows = [re.findall(r"`([^`]+)`", here) for _, here in table[1:]]
        assert all(rows), f"{lines[0]}: a row without a line to run"
        yield Section(lines[0], WITH_PYTORCH in lines, rows)


def make_files(folder: Path) -> None:
    """Make the files that the page names, in a folder."""
    (folder / "slices").mkdir()
    (folder / "features").mkdir()
    boxes = folder / "slices" / "park_bbox.npy"
    store, _ = annotated(folder, folder / "slices" / "park.h5", boxes)
    histo = steps.FeatureSettings(representation="histo", window_us=10_000)
    steps.features(store, folder / "features" / "park.h5", histo)
    shutil.copy(boxes, folder / "features" / "park_bbox.npy")
    labelled_release(folder / "made").rename(folder / "release")


def run(section: Section, known: dict[str, Any]) -> None:
    """Run the lines of a section, one after the other; take the first of what a line makes."""
    for row in section.rows:
        for line in row:
            tree = ast.parse(line)
            if not isinstance(tree.body[-1], ast.Expr):
                exec(compile(tree, f"{section.name}: {line}", "exec"), known)
                continue
            made = eval(line, known)
            if hasattr(made, "__iter__") or hasattr(made, "__getitem__"):
                next(iter(made), None)
            if hasattr(made, "close"):
                made.close()
