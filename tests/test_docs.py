"""Every example of the pages runs, every link leads somewhere, and what is named exists.

How a page's fenced blocks are run:

- no kind, or ``sh``: by bash, up to the first command that fails, which no command may;
- ``console``: each line after ``$ `` by bash; what is shown is what it prints, where ``…`` stands
  for whatever varies;
- ``python``: as a doctest where it has ``>>>``, by an interpreter of its own where not;
- ``toml``, ``yaml``: are read; ``text``: is no example.

The comment ``<!-- not run: reason -->`` before a block keeps it from being run, and
``<!-- before: commands -->`` makes the state that its reader is in. A page's blocks run one after
the other in a copy of a clone in which the README's were run before; of troubleshooting.md, each
section begins with such a copy. Commands are forks of a process that has imported what they need
(`support.warm`); where the README shows each step without Snakemake, they have imported nothing of
evreel. That the installed command starts by itself is shown in `cli/test_cli.py`.
"""

from __future__ import annotations

import contextlib
import doctest
import hashlib
import importlib
import importlib.util
import io
import os
import pkgutil
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import dataclass, replace
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
from support import ROOT, unprivileged, warm
from support.checks import planted_faults
from support.scenes import car, simulated

MADE_BY = ROOT / "docs" / "make_pages.py"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
SECTIONS_START_AGAIN = "docs/troubleshooting.md"
KINDS = ("", "sh", "console", "python", "toml", "yaml", "text")
FLAGS = doctest.ELLIPSIS

LINKED = ("Snakefile", "profiles", "envs", "examples", "src", "docs")
COPIED = ("workflow", "scripts")
"""Parts of a clone; a rule finds its script from where the rule lies, so both are copies."""

# What a person does where the README says `$EDITOR`.
EDITOR = """
import pathlib, re, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text(encoding="utf-8")
if path.name == "config.yaml":
    text = text.replace("demo/recordings.tsv", "my/recordings.tsv\\nresults: my/results")
    text = re.sub(r"labels:\\n(  - .*\\n)+", "labels: [car, busy]\\n", text)
    text = text.replace("name: demo", "name: park")
else:
    header, row = text.splitlines()
    text = f"{header}\\trois\\ttags\\n{row}\\tmy/park.xml\\tmy/park.tags.xml\\n"
path.write_text(text, encoding="utf-8")
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, what kind it says it is, and the comments before it."""

    page: str
    line: int
    section: str
    kind: str
    text: str
    comments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def said(self, what: str) -> str | None:
        """Return what the comment ``what: …`` before the block says, None where there is none."""
        told = (text.partition(":") for text in self.comments)
        return next((text.strip() for key, _, text in told if key == what), None)


def blocks_of(name: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found, comments, section = [], [], ""
    lines = iter(enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if line.lstrip().startswith("<!--"):
            comment = [line]
            while "-->" not in comment[-1]:
                comment.append(next(lines)[1])
            comments.append("\n".join(comment).strip()[4:].removesuffix("-->").strip())
        elif line.lstrip().startswith("```"):
            kind, inside = line.strip().strip("`"), []
            while (following := next(lines)[1]).strip() != "```":
                inside.append(following)
            text = textwrap.dedent("\n".join(inside) + "\n")
            found.append(Block(name, number, section, kind, text, tuple(comments)))
            comments = []
        elif line.strip():
            comments = []
            section = line[3:] if line.startswith("## ") else section
    return found


BLOCKS = [block for name in NAMES for block in blocks_of(name)]
NOT_RUN = [block for block in BLOCKS if block.said("not run") is not None]
RUN = [block for block in BLOCKS if block not in NOT_RUN]
TURNS = list(
    dict.fromkeys(
        (block.page, block.section if block.page == SECTIONS_START_AGAIN else "")
        for block in RUN
        if block.kind in KINDS[:4] and block.page != "README.md"
    )
)


@dataclass(frozen=True)
class Person:
    """Who does what a page says: with an editor in `scratch`, and ``evreel`` of `commands`."""

    scratch: Path
    commands: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of who has activated ``.venv``."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EVREEL_")}
        path = (str(self.commands), str(Path(sys.prefix) / "bin"), kept["PATH"])
        return kept | {
            "PATH": os.pathsep.join(path),
            "EDITOR": f"{sys.executable} {self.scratch / 'editor.py'}",
            "COLUMNS": "100",
        }

    def bash(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a script in a folder, with output and errors as one text."""
        return subprocess.run(
            [*unprivileged(), "bash", "-c", script],
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )


def warmed(person: Person) -> Person:
    """Return the person with commands that begin with all imported."""
    return replace(person, commands=warm.commands(*unprivileged()))


def run_shell(block: Block, folder: Path, person: Person) -> None:
    """Run a block of commands, none of which may fail."""
    run = person.bash(f"set -euo pipefail\n{block.said('before') or ''}\n{block.text}", folder)
    assert run.returncode == 0, f"{block} fails:\n{run.stdout}"


def run_console(block: Block, folder: Path, person: Person) -> None:
    """Run commands one by one; each must print what is shown below it."""
    before = block.said("before") or ""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        n = 1 + next(k for k, line in enumerate(lines) if not line.endswith("\\"))
        command, shown = "\n".join(lines[:n]), "\n".join(lines[n:])
        run = person.bash(f"{before}\n{command}", folder)
        before = ""
        printed = "\n".join(line.rstrip() for line in run.stdout.splitlines()).strip()
        pattern = ".*".join(map(re.escape, shown.strip().split("…")))
        assert re.fullmatch(pattern, printed, re.DOTALL), (
            f"{block} shows of\n{command}\n\n{shown}\n\nand it prints\n\n{printed}"
        )
        assert shown or run.returncode == 0, f"{block}: {command} fails in silence"


def run_python(block: Block, folder: Path, person: Person, names: dict) -> dict:
    """Run Python; return the names that examples further down know."""
    state = person.bash(f"set -euo pipefail\n{block.said('before') or ''}", folder)
    assert state.returncode == 0, f"what stands before {block} fails:\n{state.stdout}"
    if ">>>" not in block.text:
        run = subprocess.run(
            [sys.executable, "-"],
            input=block.text,
            cwd=folder,
            env=person.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, f"{block} fails:\n{run.stderr}"
        return names
    test = doctest.DocTestParser().get_doctest(
        block.text, names, str(block), str(ROOT / block.page), block.line
    )
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    with contextlib.chdir(folder), mock.patch.dict(REGISTRY):
        failed, _ = runner.run(test, out=told.append, clear_globs=False)
    assert not failed, "".join(told)
    return test.globs


def run_blocks(blocks: list[Block], folder: Path, person: Person) -> None:
    """Run blocks in their order, in one folder."""
    names: dict = {}
    for block in blocks:
        if block.kind in ("", "sh"):
            run_shell(block, folder, person)
        elif block.kind == "console":
            run_console(block, folder, person)
        elif block.kind == "python":
            names = run_python(block, folder, person, names)


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """Who begins with the README, with commands that import of evreel by themselves what they need.

    Where it activates ``.venv``, `clone` has others follow.
    """
    folder = tmp_path_factory.mktemp("docs")
    (folder / "editor.py").write_text(EDITOR, encoding="utf-8")
    return Person(folder, warm.commands(*unprivileged(), fresh=True))


@pytest.fixture(scope="module")
def clone(person):
    """A clone with the demo built, but from one small recording; and one of a person's own."""
    scratch = person.scratch
    folder = scratch / "clone"
    (folder / "demo" / "recordings").mkdir(parents=True)
    (folder / "my").mkdir()
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name)
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(
        f"source {shlex.quote(str(Path(sys.prefix) / 'bin' / 'activate'))}\n"
        f"PATH={shlex.quote(str(warmed(person).commands))}:$PATH\n",
        encoding="utf-8",
    )
    shutil.copyfile(ROOT / "config.yaml", folder / "config.yaml")
    made, size = scratch / "raw", {"height": 48, "width": 64}
    for name, tag in (("street", "at rest"), ("park", "busy")):
        simulated(scratch, name, 1, duration_us=200_000, objects=[car], tags=[tag], sensor=size)
    for source, path in (
        ("street.aedat4", "demo/recordings/street.aedat4"),
        ("street.rois.xml", "demo/street.xml"),
        ("park.aedat4", "my/park.aedat4"),
        ("park.rois.xml", "my/park.xml"),
        ("park.tags.xml", "my/park.tags.xml"),
    ):
        shutil.copyfile(made / source, folder / path)
    md5 = hashlib.md5((made / "street.aedat4").read_bytes()).hexdigest()
    (folder / "demo" / "recordings.tsv").write_text(
        "id\tsource\tmd5\tsplit\trois\n"
        f"street\tdemo/recordings/street.aedat4\t{md5}\ttrain\tdemo/street.xml\n",
        encoding="utf-8",
    )
    run = warmed(person).bash("snakemake --cores 2", folder)
    assert run.returncode == 0, run.stdout
    return folder


@pytest.fixture(scope="module")
def used(clone, person):
    """The clone after a person did what the README says; other pages begin there."""
    run_blocks([block for block in RUN if block.page == "README.md"], clone, person)
    return clone


def test_readme__does_what_it_shows(used):
    assert (used / "my/results/release/park-1.0/manifest.json").is_file()


def test_readme__shows_the_files_that_a_run_makes(used):
    (tree,) = (block for block in BLOCKS if block.text.startswith("results/\n"))
    named = re.findall(r"(?<!\S)(?:[\w.-]+/)*(?:\w+\.[\w.]*\w|[\w.-]+/)(?=[\s,])", tree.text)
    made = [path.as_posix() for path in (used / "results", *(used / "results").rglob("*"))]
    missing = [path for path in named if not any(p.endswith(f"/{path.strip('/')}") for p in made)]
    assert len(named) > 10
    # What stands in for the demo has one recording, of split train.
    assert missing == ["val/", "test/"]


@pytest.mark.parametrize(("name", "section"), TURNS, ids=[": ".join(turn) for turn in TURNS])
def test_page__does_what_it_shows(used, person, tmp_path, name, section):
    folder = tmp_path / "clone"
    # Links stay links: a release's files are those of the results.
    subprocess.run(["cp", "-a", used, folder], check=True)
    blocks = [b for b in RUN if b.page == name and section in ("", b.section)]
    run_blocks(blocks, folder, warmed(person))
    for path in folder.rglob("*"):  # so that pytest can remove it
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


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
        failed, _ = doctest.testmod(importlib.import_module(module), optionflags=FLAGS)
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
