"""The wheel: what it holds, and that it works where nothing is but what it depends on."""

from __future__ import annotations

import contextlib
import email
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from hatchling import build
from packaging.requirements import Requirement

from evreel.recordings.aedat4 import Aedat4Writer
from support import ROOT, random_events

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
NAME = f"evreel-{PROJECT['version']}"

# Commands one after the other in one process, as a command line of each would run them.
COMMANDS = """
import contextlib, io, json, sys
sys.path.append(sys.argv[1])
from evreel.cli import main
done = []
for command in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(command)
        except SystemExit as end:
            code = end.code
    done.append((code, out.getvalue(), err.getvalue()))
import evreel
json.dump([done, evreel.__file__, sorted(sys.modules)], sys.stdout)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with contextlib.chdir(ROOT):
        return folder / build.build_wheel(str(folder))


def below(folder: str) -> set[str]:
    """Return the files of a folder of the checkout, without what Python and numba keep there."""
    made = (".pyc", ".nbi", ".nbc", ".compiling")
    paths = (ROOT / folder).rglob("*")
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in paths
        if path.is_file() and path.suffix not in made
    }


def test_wheel__holds_the_package_and_what_it_reads_and_no_more(wheel):
    about = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    with zipfile.ZipFile(wheel) as file:
        assert set(file.namelist()) == {
            *(f"evreel/{name}" for name in below("src/evreel")),
            *(f"evreel/configs/{name}" for name in below("configs")),
            *(f"evreel/workflow/{name}" for name in below("workflow")),
            *(f"{NAME}.dist-info/{name}" for name in about),
        }
        text = b"\n".join(map(file.read, file.namelist()))
        licence = file.read(f"{NAME}.dist-info/licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()
    here = (ROOT, Path.home(), sys.prefix)
    assert [str(place) for place in here if f"{place}/".encode() in text] == []


def test_wheel__states_what_it_needs(wheel):
    assert wheel.name == f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        told = email.message_from_bytes(file.read(f"{NAME}.dist-info/METADATA"))
        commands = file.read(f"{NAME}.dist-info/entry_points.txt").decode()
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == PROJECT["requires-python"]
    assert commands == "[console_scripts]\nevreel = evreel.cli:main\n"
    extras = PROJECT["optional-dependencies"]
    wanted = [
        *map(Requirement, PROJECT["dependencies"]),
        *(Requirement(f"{one}; extra == {extra!r}") for extra in extras for one in extras[extra]),
    ]
    assert set(map(Requirement, told.get_all("Requires-Dist"))) == set(wanted)


def test_extras__are_in_the_lock_file_with_all_that_they_need():
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    (own,) = (package for package in packages if package["name"] == "evreel")
    known = {package["name"] for package in packages}
    extras = PROJECT["optional-dependencies"]
    assert set(own["optional-dependencies"]) == set(extras)
    for name, requirements in extras.items():
        needed = {re.match(r"[\w-]+", each)[0] for each in requirements}
        assert needed == {each["name"] for each in own["optional-dependencies"][name]}
        assert needed <= known


def test_build__is_by_the_version_that_tests_build_with():
    (backend,) = PYPROJECT["build-system"]["requires"]
    assert backend in PYPROJECT["dependency-groups"]["test"]


def closure(requirements: list[str]) -> set[str]:
    """Return the installed distributions that requirements need, and those need, and so on."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        needed = Requirement(waiting.pop())
        if needed.name not in found and (
            needed.marker is None or needed.marker.evaluate({"extra": ""})
        ):
            found.add(needed.name)
            waiting += metadata.requires(needed.name) or []
    return found


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """A folder of packages with the wheel in it, and links to what it depends on."""
    folder = tmp_path_factory.mktemp("bare")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    for name in closure(PROJECT["dependencies"]):
        distribution = metadata.distribution(name)
        tops = {path.parts[0] for path in distribution.files} - {"..", "__pycache__"}
        for top in tops:
            (folder / top).symlink_to(distribution.locate_file(top))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A recording, and the table of a release."""
    folder = tmp_path_factory.mktemp("data")
    events = random_events(2_000, seed=1)
    with Aedat4Writer(folder / "park.aedat4", events.sensor) as writer:
        writer.write(events)
    (folder / "release.tsv").write_text(
        "path\tsource\tkind\tid\tsplit\ntrain/events/park.h5\tpark.h5\tevents\tpark\ttrain\n"
    )
    return folder


WORKS = (
    ["--version"],
    ["--help"],
    ["info", "park.aedat4"],
    ["events", "park.aedat4", "-o", "park.h5"],
    ["features", "park.h5", "-o", "f", "--representation", "histogram", "--window-us", "50000"],
    ["check", "park.h5"],
    ["release", "--manifest", "release.tsv", "-o", "r", "--name", "parks"],
    ["verify", "r"],
    ["representations"],
    ["datasets"],
)
NEEDS_MORE = {
    "workflow": ["rebuild", "r", "-o", "again"],
    "Snakemake": ["rebuild", "r", "-o", "again", "--snakefile", "Snakefile"],
}


@pytest.fixture(scope="module")
def ran(bare, data):
    """Code, output and errors of commands, run where no other package is; and its modules."""
    (data / "Snakefile").touch()
    run = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            COMMANDS,
            bare,
            json.dumps([*WORKS, *NEEDS_MORE.values()]),
        ],
        cwd=data,
        env={"NUMBA_DISABLE_JIT": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    done, place, modules = json.loads(run.stdout)
    assert Path(place).is_relative_to(bare)
    assert not {"snakemake", "pandas", "matplotlib", "torch", "av"} & set(modules)
    return done


def test_wheel__works_where_nothing_is_but_what_it_depends_on(ran, data):
    for command, (code, out, err) in zip(WORKS, ran, strict=False):
        assert code == 0, (command, err)
        assert "Traceback" not in err
        assert out or err, command
    assert (data / "park.h5").is_file()
    assert (data / "r" / "manifest.json").is_file()


def test_wheel__says_in_a_line_what_needs_the_workflow(ran):
    for needed, (code, out, err) in zip(NEEDS_MORE, ran[len(WORKS) :], strict=True):
        assert (code, out) == (2, ""), (needed, err)
        (line,) = err.splitlines()
        assert needed in line
