"""Every link of the pages leads somewhere, what they name exists, and docstrings are right.

That their examples run is shown in ``workflow/test_pages.py``.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import pkgutil
import re
import runpy
import shlex
import tomllib
from pathlib import Path
from unittest import mock

import imageio.v3 as imageio
import numpy as np
import pytest
import yaml

import evreel
from evreel import cli
from evreel.errors import EvreelError
from evreel.layout import LAYOUTS
from evreel.representations import REGISTRY
from support import ROOT
from support.blocks import BLOCKS, KINDS, NAMES, NOT_RUN, PAGES
from support.checks import planted_faults

MADE_BY = ROOT / "docs" / "make_pages.py"


@pytest.mark.parametrize(
    "module",
    [
        found.name
        for found in pkgutil.walk_packages(evreel.__path__, "evreel.")
        if not found.name.startswith("evreel.loaders.torch.")  # run by `make test-torch`
    ],
)
def test_docstrings__say_what_happens(module):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        failed, _ = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert not failed, told.getvalue()


def test_blocks__are_each_run_or_read_or_said_not_to_be():
    for block in BLOCKS:
        assert block.kind in KINDS, f"{block} is of the kind {block.kind!r}, which nothing runs"
        if block.kind == "toml":
            tomllib.loads(block.text)
        if block.kind == "yaml":
            assert yaml.safe_load(block.text) is not None


def test_blocks__that_are_not_run_give_a_reason():
    assert NOT_RUN
    for block in NOT_RUN:
        assert len(block.said("not run").split()) >= 3, f"{block} gives no reason"


def test_make_targets__that_a_page_names_exist():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for name in NAMES
        for target in re.findall(r"[`\n]make ([a-z][a-z-]*)", (ROOT / name).read_text("utf-8"))
    }
    assert named
    assert named <= targets


def test_made_pages__are_those_of_this_code():
    pages = runpy.run_path(str(MADE_BY))["pages"]
    # The audit was made once for all tests; that its commands print it, docs/checks.md is run for.
    with mock.patch.dict(pages.__globals__, audit_of_planted=lambda: planted_faults().report):
        made = pages()
    for name, text in made.items():
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert page == text, f"docs/{name} is of other code; run: python docs/make_pages.py"
    marked = [path.name for path in PAGES if "Made by docs/make_pages.py" in path.read_text()[:99]]
    assert sorted(marked) == sorted(name for name in made if name.endswith(".md"))


def test_made_pictures__are_those_of_this_code_and_few_bytes():
    made = runpy.run_path(str(MADE_BY))
    folder = ROOT / "docs" / made["PICTURES"]
    for name, picture in made["pictures"]().items():
        path = folder / f"{name}.png"
        again = f"{path.relative_to(ROOT)} is of other code; run: python docs/make_pages.py"
        assert path.exists() and np.array_equal(imageio.imread(path)[..., :3], picture), again
    files = sorted(path.stem for path in folder.iterdir())
    assert files == sorted(REGISTRY)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000


def test_made_pages__keep_what_is_written_by_hand(tmp_path):
    made = runpy.run_path(str(MADE_BY))
    pages, names = made["representations_page"], made["hand_written"].__globals__
    page = tmp_path / "representations.md"
    by_hand = "<!-- by hand: voxel_grid -->\nAs wide\n\nas needed.\n<!-- made again -->"
    with mock.patch.dict(names, DOCS=tmp_path):
        plain = "\n".join(pages())
        page.write_text(plain.replace("\n## voxel_grid", f"\n{by_hand}\n\n## voxel_grid"), "utf-8")
        once = "\n".join(pages())
        page.write_text(once, encoding="utf-8")
        assert "\n".join(pages()) == once
        assert once.replace(f"\n{by_hand}\n", "") == plain
        assert once.index(by_hand) > once.index("## voxel_grid")
        page.write_text(once.replace("by hand: voxel_grid", "by hand: voxels"), encoding="utf-8")
        with pytest.raises(EvreelError, match="is of voxels, which is not there"):
            list(pages())


def test_citation__is_of_this_version_and_has_what_the_form_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == evreel.__version__
    assert all(author["name"] for author in citation["authors"])


def prose_of(name: str) -> str:
    """Return a page without its fenced blocks and comments."""
    text = re.sub(r"<!--.*?-->", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def links_of(name: str) -> list[tuple[Path, str]]:
    """Return (file, anchor) of each link of a page that leads to a file here."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose_of(name))
    pairs = [target.partition("#")[::2] for target in found if "://" not in target]
    page = ROOT / name
    return [((page.parent / path).resolve() if path else page, anchor) for path, anchor in pairs]


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(path.relative_to(ROOT).as_posix()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("name", NAMES)
def test_links__lead_to_what_exists(name):
    for path, anchor in links_of(name):
        assert path.exists(), f"{name} links to {path}"
        if anchor:
            assert anchor in anchors_of(path), f"{name} links to {path.name}#{anchor}"


def test_pages__are_each_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += [path for path, _ in links_of(page.relative_to(ROOT).as_posix())]
    assert set(PAGES) <= reached


def code_of(name: str) -> list[str]:
    """Return the pieces of code within a page's sentences and tables."""
    return [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose_of(name))]


def commands() -> tuple[str, ...]:
    """Return the commands that ``evreel --help`` lists."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        cli.main(["--help"])
    return tuple(re.findall(r"^    ([a-z-]+)(?: |$)", told.getvalue(), re.MULTILINE))


COMMANDS = commands()


@pytest.fixture(scope="module")
def options():
    """Return command → its options, of ``evreel``."""
    found = {}
    for command in ("", *COMMANDS):
        told = io.StringIO()
        with contextlib.redirect_stdout(told), pytest.raises(SystemExit):
            cli.main([*([command] if command else []), "--help"])
        found[command] = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", told.getvalue()))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_commands__that_a_page_names_have_the_options_it_names(name, options):
    lines = code_of(name)
    for block in BLOCKS:
        if block.page == name and block.kind in ("", "sh", "console"):
            lines += re.findall(r"^(?:\$ )?(evreel .*)", block.text, re.MULTILINE)
    for line in lines:
        ours = re.split(r"\s[|>]|\s2>|\$\(|\\$", line)[0]
        words = shlex.split(ours, comments=True) if line.startswith("evreel ") else []
        if len(words) < 2 or words[1] in ("COMMAND", "…"):
            continue
        assert words[1].startswith("-") or words[1] in COMMANDS, f"{name}: {line}"
        command = words[1] if words[1] in COMMANDS else ""
        named = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert named <= options[command], f"{name}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_options__that_a_page_names_exist(name, options):
    snakemake = Path(importlib.util.find_spec("snakemake").origin).with_name("cli.py")
    ours = (*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py"))
    programs = [snakemake, *ours]
    known = set().union(*options.values())
    for program in programs:
        known |= set(re.findall(r'"(--[a-z][a-z0-9-]*)"', program.read_text(encoding="utf-8")))
    for piece in code_of(name):
        named = re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", piece)
        assert set(named) <= known, f"{name}: {piece}"


def resolves(dotted: str) -> bool:
    """Tell whether a dotted name such as ``evreel.timebase.FrameClock`` leads to something."""
    thing, *rest = importlib.import_module("evreel"), *dotted.split(".")[1:]
    for k, part in enumerate(rest):
        if part in getattr(thing, "_LAZY", ()):
            return True  # imported when it is used; PyTorch is not here
        if not hasattr(thing, part):
            with contextlib.suppress(ImportError):
                importlib.import_module(".".join(["evreel", *rest[: k + 1]]))
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True


@pytest.mark.parametrize("name", NAMES)
def test_names__that_a_page_gives_lead_to_something(name):
    for piece in code_of(name):
        if re.fullmatch(r"evreel(\.\w+)+(\(\))?", piece):
            assert resolves(piece.removesuffix("()")), f"{name}: {piece}"


def settings() -> set[str]:
    """Return every key of the config as docs/config.md names it, and every column of the table."""
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| \**`([^`]+)`", page, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_settings__that_a_page_names_exist(name):
    known = settings()
    arrays = {array.name for layout in LAYOUTS.values() for array in layout.arrays}
    sections = {key.split("/")[0] for key in known if "/" in key}
    for piece in code_of(name):
        if re.fullmatch(r"[a-z_]+(/[a-z_]+|/<name>)+", piece) and piece.split("/")[0] in sections:
            assert piece in known | arrays, f"{name}: {piece}"
