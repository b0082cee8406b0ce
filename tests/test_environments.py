"""Environments beside `.venv`: conda, containers. They have what `uv.lock` pins."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from support import ROOT, bound

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKED = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
NAMED = re.compile(r"[A-Za-z0-9._-]+")

CONDA_FORGE: dict[str, str] = {}
"""Name on PyPI → name on conda-forge, of what has another one there."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(NAMED.match(requirement)[0]) for requirement in requirements}


def locked(name: str, python: str) -> str:
    """Return the version that `uv.lock` has for a Python: it has two where markers divide them."""
    found = {}
    for package in LOCKED:
        if normal(package["name"]) == name:
            marks = package.get("resolution-markers", [])
            old = any("python_full_version < '3.12'" in mark for mark in marks)
            if not marks or old == (python == "3.11"):
                found[package["version"]] = None
    (version,) = found
    return version


def fits(pin: str, version: str) -> bool:
    """Tell whether a pin of conda or pip is of this version, at least up to its second number."""
    exact = re.fullmatch(r"==(\d+(?:\.\d+)*)", pin)
    if exact:
        return exact[1] == version
    loose = re.fullmatch(r"=(\d+(?:\.\d+)+)", pin)
    return loose is not None and f"{version}.".startswith(f"{loose[1]}.")


def pins(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return name → pin of a conda environment: from conda-forge, and from PyPI."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    both = []
    for lines in ([entry for entry in entries if isinstance(entry, str)], pip):
        parts = [line.partition(" ") for line in lines]
        both.append({name: pin.strip() for name, _, pin in parts})
        assert len(both[-1]) == len(lines), "a package is named twice"
    return both[0], both[1]


def rules(text: str) -> dict[str, str]:
    found = re.findall(r"^(?:rule|checkpoint) (\w+):\n((?:(?:[ \t].*)?\n)+)", text, re.MULTILINE)
    return dict(found)


RULES = [
    (path, name, body)
    for path in (ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    for name, body in rules(path.read_text(encoding="utf-8")).items()
]


def test_fits__takes_the_locked_version_and_no_other():
    assert fits("=3.16", "3.16.0")
    assert fits("==0.9.0", "0.9.0")
    for pin in ("", "=3", "=3.1", "=3.17", ">=3.16", "==3.16", "==3.16.1", "*"):
        assert not fits(pin, "3.16.0"), pin


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda__has_what_the_package_needs_at_the_locked_versions(path):
    conda, pip = pins(path)
    python = conda.pop("python").removeprefix("=")
    assert conda.pop("pip") == "", "pip comes with Python, at its version"
    assert not set(conda) & set(pip)
    wanted = {
        (name if name in pip else CONDA_FORGE.get(name, name)): name
        for name in names(PROJECT["dependencies"])
    }
    assert {*conda, *pip} == set(wanted)
    got = conda | pip
    assert [name for name in wanted if not fits(got[name], locked(wanted[name], python))] == []


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda__has_a_python_that_the_package_takes(path):
    python = pins(path)[0]["python"]
    assert re.fullmatch(r"=3\.\d+", python)
    least = PROJECT["requires-python"].removeprefix(">=")
    minor = int(python.removeprefix("=3."))
    assert minor >= int(least.removeprefix("3."))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda__takes_free_channels_only_and_names_no_place(path):
    text = path.read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    assert set(told) == {"channels", "dependencies"}, "a name or prefix would be this machine's"
    assert told["channels"] == ["conda-forge", "nodefaults"]
    assert [word for word in ("-e ", "--editable", "file:", "://", "..") if word in text] == []


def test_rules__name_an_environment_that_exists():
    jobs = [(path, name, body) for path, name, body in RULES if "    script:\n" in body]
    assert len(jobs) > 15
    for path, name, body in jobs:
        found = re.findall(r'^    conda:\n        "(.+)",?$', body, re.MULTILINE)
        assert len(found) == 1, f"{path.name}: rule {name} needs one line `conda:`"
        place = (path.parent / found[0]).resolve()
        assert place in ENVIRONMENTS, f"{path.name}: rule {name}: there is no {place}"


def test_rules__that_run_anything_run_a_script():
    others = ("shell", "run", "notebook", "wrapper", "cwl")
    found = [(name, word) for _, name, body in RULES for word in others if f"    {word}:" in body]
    assert found == []


SYSTEMS = {
    "Linux x86-64": "manylinux.*x86_64",
    "Apple silicon": "macosx.*(arm64|universal2)",
    "Windows x86-64": "win_amd64",
}


def needed_to_run() -> set[str]:
    """Return what the package depends on, and that depends on, by the lock file."""
    needs: dict[str, set[str]] = {}
    for package in LOCKED:
        dependencies = {each["name"] for each in package.get("dependencies", [])}
        needs.setdefault(package["name"], set()).update(dependencies)
    found, waiting = set(), {"evreel"}
    while waiting:
        found |= waiting
        waiting = set().union(*(needs[name] for name in waiting)) - found
    return found - {"evreel"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_lock__has_a_wheel_of_each_dependency_for_the_systems_of_the_page(system):
    wheels: dict[str, list[str]] = {}
    for package in LOCKED:
        files = [each["url"].rpartition("/")[2] for each in package.get("wheels", [])]
        wheels.setdefault(package["name"], []).extend(files)
    fits = re.compile(rf"-none-any\.whl$|{SYSTEMS[system]}")
    assert [name for name in needed_to_run() if not any(map(fits.search, wheels[name]))] == []
    assert len(needed_to_run()) >= len(PROJECT["dependencies"])


# What is copied into an image, and what is done there.


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def copied() -> list[str]:
    """Return what `.dockerignore` lets through."""
    lines = [line for line in text_of(".dockerignore").splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    return [line[1:] for line in lines if line.startswith("!")]


def apptainer() -> dict[str, list[str]]:
    """Return section → lines of `apptainer.def`; those before the first one are its head."""
    head, *sections = re.split(r"^%", text_of("apptainer.def"), flags=re.MULTILINE)
    told = {"head": [line for line in head.splitlines() if line and line[0] != "#"]}
    for section in sections:
        name, *lines = section.splitlines()
        told[name] = [line.strip() for line in lines if line.strip()]
    return told


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A folder with what is copied into an image, and this environment instead of its own."""
    home = tmp_path_factory.mktemp("image") / "evreel"
    home.mkdir()
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            kept_out = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc", "recordings")
            shutil.copytree(source, home / name, ignore=kept_out)
        else:
            shutil.copy(source, home / name)
    return home


def container(home, *arguments, cwd=None, begin=(), **env):
    return subprocess.run(
        [*begin, home / "tools" / "container.sh", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_images__start_from_one_base_pinned_by_its_tag():
    bases = re.findall(r"^FROM (\S+)", text_of("Dockerfile"), re.MULTILINE)
    bases += [line.split()[1] for line in apptainer()["head"] if line.startswith("From:")]
    assert len(bases) == 3
    assert len(set(bases)) == 1
    tag = re.fullmatch(r"python:3\.(\d+)-slim-(bookworm|trixie)", bases[0])
    assert tag, "it names Python's and Debian's release"
    assert {pins(path)[0]["python"] for path in ENVIRONMENTS} == {f"=3.{tag[1]}"}


def test_images__have_the_same_files():
    files = [line.split() for line in apptainer()["files"]]
    assert files == [[name, f"/opt/evreel/{name}"] for name in copied()]
    assert [name for name in copied() if not (ROOT / name).exists()] == []
    assert "COPY . /opt/evreel\n" in text_of("Dockerfile")


def test_images__take_no_file_that_git_ignores():
    ignored = [line.strip("/") for line in text_of(".gitignore").splitlines()]
    assert [name for name in copied() if any(fnmatch.fnmatch(name, each) for each in ignored)] == []


def test_images__do_their_work_by_the_same_script():
    script = "/opt/evreel/tools/container.sh"
    docker = text_of("Dockerfile")
    assert f"\nRUN {script} install\n" in docker
    assert f'\nENTRYPOINT ["{script}", "run"]\n' in docker
    assert apptainer()["post"] == [f"{script} install"]
    assert apptainer()["runscript"] == [f'exec {script} run "$@"']
    assert os.access(ROOT / "tools" / "container.sh", os.X_OK)


def test_docker__ends_as_a_user_who_is_not_root():
    last = text_of("Dockerfile").split("FROM ")[-1]
    user = re.search(r"^USER (\w+)$", last, re.MULTILINE)[1]
    assert user != "root"
    assert re.search(rf"useradd [^&\n]*\b{user}\b", last)
    assert last.index("COPY") < last.index("USER"), "who runs it cannot change what it has"


def test_install__syncs_the_lock_file_and_leaves_nothing_else(tmp_path):
    home, tools = tmp_path / "evreel", tmp_path / "bin"
    (home / "src").mkdir(parents=True)
    (home / "src" / "one.py").write_text("ONE = 1\n", encoding="utf-8")
    (home / "src" / "one.py").chmod(0o600)
    shutil.copytree(ROOT / "tools", home / "tools")
    (home / ".tools").mkdir()
    tools.mkdir()
    uv = tools / "uv"
    uv.write_text(
        "#!/bin/sh\n"
        'echo "$UV_NO_CACHE $UV_LINK_MODE $*" >> asked\n'
        f"mkdir -p .venv/bin; ln -sf {sys.executable} .venv/bin/python; touch .venv/bin/pip\n"
        "chmod +x .venv/bin/pip\n",
        encoding="utf-8",
    )
    uv.chmod(0o755)
    run = container(home, "install", cwd="/", PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    (sync,) = (home / "asked").read_text(encoding="utf-8").splitlines()
    assert sync.startswith("1 copy sync ")
    assert " --frozen " in sync
    assert sync.endswith(" --no-default-groups --group workflow")
    assert not (home / ".tools").exists()
    assert list((home / "src" / "__pycache__").glob("one.*.pyc"))
    assert (home / "src" / "one.py").stat().st_mode & 0o777 == 0o644, "who runs it can read it"


def test_run__takes_the_workflow_beside_it_and_the_data_of_the_working_folder(image, tmp_path):
    (image / ".venv").symlink_to(sys.prefix)
    for path in (image, *image.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    work = tmp_path / "work"
    shutil.copytree(ROOT / "demo", work / "demo")
    shutil.copy(ROOT / "config.yaml", work)
    command = ("run", "snakemake", "-n", "-q", "rules", "--cores", "1", "all_events")
    run = container(image, *command, cwd=work, begin=bound(), HOME="/nonexistent")
    assert run.returncode == 0, run.stderr
    assert "events" in run.stdout


def test_run__runs_any_program_and_says_what_it_can(tmp_path):
    home = tmp_path / "evreel"
    shutil.copytree(ROOT / "tools", home / "tools")
    (home / ".venv").symlink_to(sys.prefix)
    version = container(home, "run", "evreel", "--version")
    assert version.stdout.startswith("evreel ")
    assert "events" in container(home, "run").stdout, "alone, it lists the commands"
    code = "import os; print(os.access(os.environ['HOME'], os.W_OK))"
    run = container(home, "run", "python", "-c", code, HOME="/nonexistent")
    assert run.stdout == "True\n", "there is a home for caches"
    wrong = container(home, "build")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("usage: ")
