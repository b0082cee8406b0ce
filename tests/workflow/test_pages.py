"""Every example of the pages runs.

How a page's fenced blocks are run (`support.blocks` says of which kinds they are):

- commands by bash, up to the first one that fails, which no command may;
- ``console``: each line after ``$ `` by bash; what is shown is what it prints, where ``…`` stands
  for whatever varies;
- ``python``: as a doctest where it has ``>>>``, by an interpreter of its own where not.

A page's blocks run one after the other in a copy of a clone in which the README's were run before;
of troubleshooting.md, each section begins with such a copy. Commands are forks of a process that
has imported what they need (`support.warm`); where the README shows each step without Snakemake,
they have imported nothing of evreel. That the installed command starts by itself is shown in
`cli/test_cli.py`.
"""

from __future__ import annotations

import contextlib
import doctest
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pytest

from evreel.representations import REGISTRY
from support import ROOT, unprivileged, warm
from support.blocks import BLOCKS, COMMANDS, RUN, Block
from support.scenes import car, simulated

SECTIONS_START_AGAIN = "docs/troubleshooting.md"
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

TURNS = list(
    dict.fromkeys(
        (block.page, block.section if block.page == SECTIONS_START_AGAIN else "")
        for block in RUN
        if block.kind in (*COMMANDS, "python") and block.page != "README.md"
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
