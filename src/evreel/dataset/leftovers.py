"""Files of the results that no config asks for any more.

Which files the workflow makes is said by its rules, and read from there: their outputs, logs and
benchmarks. A file is the workflow's if its path is of such a form, and its job left a log, or a
record of Snakemake's; anything else that is there is a person's.
"""

from __future__ import annotations

import functools
import os
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evreel.acquire import DOWNLOADS
from evreel.dataset.batches import batches_of
from evreel.dataset.dataset import SUFFIXES, DataSet
from evreel.dataset.documents import read_document
from evreel.dataset.job_records import is_recorded
from evreel.dataset.ledger import LEDGERS, Ledger
from evreel.dataset.settings import NAME, Config, PartsSettings
from evreel.errors import EvreelError, UsageError
from evreel.outputs import SCRATCH
from evreel.release.content import RELEASE_NAME
from evreel.settings import settings_of

RELEASES = "release"
"""The folder of releases: the plans in it are made by the workflow, the folders stay."""
UNVERIFIED = ".unverified"
"""What the name of a note beside a download ends with."""
LOCKS = Path(".snakemake", "locks")

_ROOTS = {"results": "", "logs": "logs/", "benchmarks": "benchmarks/"}
_FORMS = {
    "id": NAME,
    "feature": NAME,
    "archive": "[A-Za-z0-9._-]+",
    "suffix": "[A-Za-z0-9]+",
    "pictures": "|".join(SUFFIXES),
    "release": f"{RELEASE_NAME}-{RELEASE_NAME}",
    "file": "[A-Za-z0-9._-]+",
    "step": "[a-z_]+",
    "batch": NAME,
    "part": "[1-9][0-9]*",
    "parts": "[1-9][0-9]*",
}
_OF_BATCHES = (
    *("batches/{step}/{batch}.json", "batches/.made/{step}/{batch}.json"),
    *("logs/batches/{step}/{batch}.log", "benchmarks/batches/{step}/{batch}.tsv"),
)
"""What the rule of `batches.smk` makes, of which one step is read as many."""
_RULE = re.compile(r"^(?:rule|checkpoint) (\w+):$", re.MULTILINE)
_SECTION = re.compile(r"^    (\w+):", re.MULTILINE)
_PATH = re.compile(r'"<(\w+)>/([^"]*)"')
_PLACE = re.compile(r"<(\w+)>|\{+(\w+)\}+")


class Form(NamedTuple):
    """A form of the paths that a rule makes.

    Parameters
    ----------
    matches
        The form of a path below the results; its groups are the names in it.
    names
        What distinguishes two paths of the form.
    logs
        Where the log of the job that makes such a file is, with the names in braces.
    """

    matches: re.Pattern[str]
    names: frozenset[str]
    logs: tuple[str, ...]


def _rules_folder() -> Path:
    """Return the rules of the workflow: of the checkout that this package is in, or its own."""
    package = Path(__file__).parents[1]
    folders = (package / "workflow" / "rules", package.parents[1] / "workflow" / "rules")
    for folder in folders:
        if folder.is_dir():
            return folder
    raise UsageError("the workflow's rules are not beside this package", path=folders[-1])


@functools.cache
def forms() -> tuple[Form, ...]:
    """Return the forms of all paths that the rules of the workflow make."""
    rules = sorted(_rules_folder().glob("*.smk"))
    of_rules = [form for file in rules for form in _forms_of(file.read_text(encoding="utf-8"))]
    of_batches = [Form(_pattern(path), frozenset({"step", "batch"}), ()) for path in _OF_BATCHES]
    return *of_rules, *of_batches


def _forms_of(text: str) -> Iterator[Form]:
    """Yield the forms of the rules in a file."""
    _, *parts = _RULE.split(text)
    for body in parts[1::2]:
        _, *sections = _SECTION.split(body)
        made = {
            section: [_ROOTS[root] + path for root, path in _PATH.findall(lines) if root in _ROOTS]
            for section, lines in zip(sections[::2], sections[1::2], strict=True)
            if section in ("output", "log", "benchmark")
        }
        logs = tuple(_PLACE.sub(r"{\1\2}", log) for log in made.get("log", ()))
        for section, paths in made.items():
            for path in paths:
                named = {one or two for one, two in _PLACE.findall(path)}
                names = frozenset(named - {"pictures"})  # of which a job makes one
                yield Form(_pattern(path), names, logs if section == "output" else ())


def _pattern(path: str) -> re.Pattern[str]:
    parts = _PLACE.split(path)
    text = re.escape(parts[0])
    for var, wildcard, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        name = var or wildcard
        text += f"(?P<{name}>{_FORMS.get(name, '[^/]+')})" + re.escape(rest)
    return re.compile(text)


@dataclass(frozen=True)
class Leftovers:
    """What is in a folder of results and in no config.

    Parameters
    ----------
    results
        The folder.
    files
        Files and links that the workflow made, in the order in which they may be removed: logs,
        which tell that it made the others, come last.
    sizes
        Their sizes, bytes; that of a link is its own.
    unknown
        Files, and links to folders, that the workflow does not make; they stay.
    others
        Configs that name the folder and were not asked.
    """

    results: Path
    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    unknown: tuple[Path, ...]
    others: tuple[str, ...] = ()


def leftovers(results: str, datasets: Sequence[DataSet], others: Sequence[str] = ()) -> Leftovers:
    """Return what is in a folder of results, and in none of these data sets that it is built of.

    `others` are configs of that folder besides, as `configs_beside` finds them.
    """
    root = Path(results)
    wanted, in_batches = _Wanted(datasets), _made_in_batches(results)
    found: list[tuple[Path, int]] = []
    unknown: list[Path] = []
    for path in _files_below(root):
        place = path.relative_to(root).as_posix()
        made = [each for each in _matches(place) if _is_made(results, place, in_batches, *each)]
        if not made:
            unknown.append(path)
        elif not any(wanted.has(match) for _, match in made):
            found.append((path, path.lstat().st_size))
    found.sort(key=lambda each: (each[0].relative_to(root).parts[0] == "logs", each[0]))
    return Leftovers(
        root,
        tuple(path for path, _ in found),
        tuple(n for _, n in found),
        tuple(unknown),
        tuple(others),
    )


def configs_beside(configs: Sequence[str | Path]) -> dict[str, list[str]]:
    """Return the other configs in the folders of some, and in the working directory.

    Returns
    -------
    Real path of a folder of results → the configs that name it.
    """
    known = {os.path.realpath(config) for config in configs}
    found: dict[str, list[str]] = {}
    parents = (*(Path(config).parent for config in configs), Path())
    folders = {os.path.realpath(folder): folder for folder in parents}
    for path in (each for folder in folders.values() for each in sorted(folder.iterdir())):
        is_yaml = path.suffix in (".yaml", ".yml") and path.is_file()
        if not is_yaml or os.path.realpath(path) in known:
            continue
        try:
            values, _ = read_document(path)
        except EvreelError:  # which is no config
            continue
        results = values.get("results", settings_of(Config)["results"].default)
        if "recordings" in values and isinstance(results, str) and "\0" not in results:
            found.setdefault(os.path.realpath(results), []).append(str(path))
    return found


def _files_below(root: Path) -> Iterator[Path]:
    """Yield the files and links below a folder of results, but not what is in releases."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if here == root:
            folders[:] = [name for name in folders if name not in (SCRATCH, DOWNLOADS)]
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted({*folders} - {*links})
        if here == root / RELEASES:
            folders[:] = []
        yield from (here / name for name in sorted([*files, *links]))


def _matches(place: str) -> Iterator[tuple[Form, re.Match[str]]]:
    for form in forms():
        match = form.matches.fullmatch(place.removesuffix(UNVERIFIED))
        if match:
            yield form, match


def _is_made(
    results: str, place: str, in_batches: Collection[str], form: Form, match: re.Match[str]
) -> bool:
    """Tell whether the workflow made a file that has the form of one of its own."""
    if not form.logs:  # a log or a benchmark
        return True
    file = f"{results}/{place.removesuffix(UNVERIFIED)}"
    if is_recorded(file) or file in in_batches:
        return True
    # Beside a video that was made, a zip may as well be what a person exported from CVAT.
    path = f"{results}/{place}"
    if match.groupdict().get("pictures") == "zip" and not _has_pictures_alone(path):
        return False
    named = [log for log in form.logs if all(f"{{{name}}}" in log for name in form.names)]
    return any(Path(results, log.format(**match.groupdict())).exists() for log in named)


def _made_in_batches(results: str) -> frozenset[str]:
    """Return the files that batches made, also of recordings that are no longer in the table."""
    ledgers = Path(results, LEDGERS).glob("*/*.json")
    entries = (entry for path in ledgers for entry in Ledger(path).entries.values())
    return frozenset(file for entry in entries for file in entry.outputs)


def _has_pictures_alone(path: str) -> bool:
    """Tell whether a file is a zip of PNG files, as the workflow makes them."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return bool(names) and all(name.endswith(".png") for name in names)


class _Wanted:
    """What data sets name: recordings, features, archives, and how their files are called."""

    def __init__(self, datasets: Sequence[DataSet]) -> None:
        self._names = {
            "id": {id_ for dataset in datasets for id_ in dataset.recordings},
            "feature": {name for dataset in datasets for name in dataset.config.features},
            "archive": {name for dataset in datasets for name in dataset.archives},
            "batch": {name for dataset in datasets for name in batches_of(dataset)},
            "pictures": {dataset.video_suffix for dataset in datasets},
            "release": {dataset.release_name for dataset in datasets},
        }
        self._parts = {
            (id_, str(dataset.n_parts(step, id_)))
            for dataset in datasets
            for id_ in dataset.recordings
            for step in settings_of(PartsSettings)
        }
        self._recordings = {
            Path(dataset.recording_file(id_)).name
            for dataset in datasets
            for id_ in dataset.recordings
        }

    def has(self, match: re.Match[str]) -> bool:
        """Tell whether a data set has what the names in a path mean."""
        named = match.groupdict()
        suffix = named.pop("suffix", None)
        if suffix is not None and f"{named['id']}.{suffix}" not in self._recordings:
            return False
        if "parts" in named and (named["id"], named["parts"]) not in self._parts:
            return False
        return all(value in self._names.get(name, (value,)) for name, value in named.items())


def check_idle(results: str) -> None:
    """Raise if a run of the workflow may be working in a folder of results.

    Raises
    ------
    EvreelError
        If Snakemake has locked the working directory, or a job writes into the results.
    """
    if LOCKS.is_dir() and any(LOCKS.iterdir()):
        raise EvreelError(
            "is locked: a workflow runs here, or was killed",
            path=Path.cwd(),
            hint="Wait until it ends; if none is running: snakemake --unlock.",
        )
    scratch = Path(results, SCRATCH)
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        if folder.is_dir() and any(each.is_dir() for each in folder.iterdir()):
            raise EvreelError(
                "has unfinished files: a job writes here, or was killed",
                path=scratch,
                hint="Wait until it ends; if none is running, run the workflow again first.",
            )


def remove(found: Leftovers) -> None:
    """Remove leftovers and the folders that are empty then; links are not followed."""
    for path in found.files:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == found.results:
                break
            try:
                folder.rmdir()
            except OSError:  # it has more in it
                break
