"""Writing what makes a release again, and making it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel.acquire import read_source
from evreel.errors import EvreelError, ReleaseError, SourceError, UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.steps.common import LOG
from evreel.system import lock
from evreel.text import listed

if TYPE_CHECKING:
    from evreel.dataset.memory import Memory
    from evreel.dataset.recipe import Needed

_MOST_NAMED = 5


def recipe(
    folder: str | Path,
    *,
    config: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    release: str,
) -> None:
    """Write what a recipe has besides the data set's own files.

    Parameters
    ----------
    folder
        Where to write config, table, list of libraries, and page.
    config, rows
        As `evreel.dataset.recipe.recipe_of` makes them: paths start at the recipe.
    release
        Name of the release's folder.
    """
    from evreel.dataset.recipe import config_text, needed_by, table_text
    from evreel.publish.build import versions
    from evreel.release.recipe import WRITTEN, page

    known = versions()
    own = ("evreel", "hdf5", "python")
    libraries = [f"{name}=={known[name]}\n" for name in sorted(known) if name not in own]
    comment = f"# For Python {known['python']} and evreel {known['evreel']}.\n"
    table = (
        f"| {', '.join(one.ids)} | `{one.place or one.source}` | {_size(one)} | {_sum(one)} |"
        for one in needed_by(rows)
    )
    texts = (
        config_text(config),
        table_text(rows),
        comment + "".join(libraries),
        page(release, known["evreel"], table),
    )
    with atomic(*(Path(folder) / name for name in WRITTEN)) as made:
        for path, text in zip(made, texts, strict=True):
            path.write_text(text, encoding="utf-8", newline="\n")


def _size(one: Needed) -> str:
    return "" if one.size_bytes is None else f"{one.size_bytes:,}"


def _sum(one: Needed) -> str:
    name, digest = one.strongest_sum
    return f"{name} `{digest}`"


def rebuild(
    folder: str | Path,
    output: str | Path,
    *,
    recordings: str | Path | None = None,
    cores: int = 1,
    work: str | Path | None = None,
    snakefile: str | Path | None = None,
    progress: Progress = silent,
) -> None:
    """Make the data that a recipe leaves out, and fill the release with them.

    Parameters
    ----------
    folder
        The recipe: a release without its data.
    output
        The release to make: the recipe, and the files that it leaves out.
    recordings
        Folder with the recordings, in any subfolders. Those with a url are downloaded if they are
        not there.
    cores
        How many cores the workflow may use.
    work
        Where it works; it stays. None works beside `output`, and removes that in the end.
    snakefile
        evreel's workflow, if the package is not in a checkout that has it.
    progress
        Called as ``progress(done_bytes, total_bytes)`` while the release is compared.

    Raises
    ------
    ReleaseError
        If the folder is not an unchanged recipe, or what is made has other bytes than the manifest
        says; each such file is in the log.
    SourceError
        If a recording is missing, or has other bytes: before any work.
    UsageError
        If the workflow is not to be found.
    EvreelError
        If it fails; what it has made stays, and the same command goes on.
    """
    from evreel.dataset.recipe import needed_by, read_recipe, with_local
    from evreel.publish.build import check_replaceable
    from evreel.release.manifest import read_manifest
    from evreel.release.recipe import PLACE, to_be_made
    from evreel.release.verify import verify

    root, output = Path(folder), Path(output)
    workflow = _workflow(snakefile)
    _check_recipe(root)
    check_replaceable(output)
    for doubt in _other_versions(root):
        LOG.warning("%s", doubt)
    place = output.with_name(f"{output.name}.work") if work is None else Path(work)
    config, rows = read_recipe(root / PLACE)
    places = _found(needed_by(rows), None if recordings is None else Path(recordings))
    with _alone(place):
        _prepare(root / PLACE, place, config, with_local(rows, _link(places, place)))
        _run(workflow, place, cores)
        manifest = read_manifest(root)
        built = place / "results" / "release" / f"{manifest.name}-{manifest.version}"
        with atomic(output) as (scratch,):
            shutil.copytree(root, scratch)
            for file in manifest.files:
                if file.withheld and (built / file.path).is_file():
                    target = scratch / file.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(built / file.path, target)
            found = verify(scratch, progress=progress)
            if not found and to_be_made(scratch):
                raise ReleaseError("has none of the files that the recipe needs", path=built)
            for difference in found:
                LOG.warning("%s", difference)
            if found:
                raise ReleaseError(
                    f"{len(found)} files are not as the manifest says, the first: {found[0]}",
                    path=output,
                    hint="Install the versions in recipe/requirements.txt; files that were made "
                    f"are in {place}.",
                )
    n = sum(file.withheld for file in manifest.files)
    LOG.info("%s: %d files made, and every file is as its manifest says", output.name, n)
    if work is None:
        shutil.rmtree(place)


def _workflow(given: str | Path | None) -> Path:
    """Return the workflow: the one that is given, or that of the checkout that has this package."""
    import evreel

    path = (
        Path(evreel.__file__).resolve().parents[2] / "Snakefile" if given is None else Path(given)
    )
    if not path.is_file():
        raise UsageError(
            "evreel's workflow is not there",
            path=path,
            hint="Get evreel's source, run make setup in it, and use its evreel, or name the "
            "Snakefile with --snakefile.",
        )
    if importlib.util.find_spec("snakemake") is None:
        raise UsageError(
            "Snakemake is not installed beside evreel",
            hint="Run make setup in evreel's source, and use the evreel of its .venv.",
        )
    return path.absolute()


def _check_recipe(root: Path) -> None:
    """Raise unless a folder is a recipe of which no file has changed."""
    from evreel.release.recipe import CONFIG, PLACE, to_be_made
    from evreel.release.verify import verify

    found = verify(root)
    if found:
        more = f"; {len(found) - 1} more" if len(found) > 1 else ""
        raise ReleaseError(
            f"is not as its manifest says: {found[0]}{more}",
            path=root,
            hint="Download the recipe again.",
        )
    if not to_be_made(root):
        raise ReleaseError("leaves no files to be made", path=root, hint="It is complete.")
    if not (root / PLACE / CONFIG).is_file():
        raise ReleaseError(
            f"has no {PLACE}/{CONFIG}", path=root, hint="Is it a recipe of evreel's?"
        )


def _other_versions(root: Path) -> Iterator[str]:
    """Yield a warning for each library that is not the one that made the release."""
    from evreel.publish.build import versions

    try:
        theirs = json.loads((root / "versions.json").read_bytes())
    except (OSError, ValueError):
        return
    for name, version in versions().items():
        if theirs.get(name, version) != version:
            yield (
                f"{name} is {version} here, and was {theirs[name]} when the release was made: some "
                "files may get other bytes"
            )


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Work in a folder while nobody else does; a workflow that was killed locks it no longer."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("ab") as file:
        try:
            lock(file)
        except BlockingIOError:
            raise UsageError(
                "the release is being made there already",
                path=work,
                hint="Wait until that is done, or name another folder with --work.",
            ) from None
        except OSError:
            pass  # the system refuses, for whatever reason: go on without
        # The workflow keeps the lock if only this process is killed.
        os.set_inheritable(file.fileno(), True)
        yield


def _link(places: Mapping[str, Path], work: Path) -> dict[str, str]:
    """Link to recordings where the workflow works; return source → link."""
    from evreel.release.recipe import RECORDINGS

    shutil.rmtree(work / RECORDINGS, ignore_errors=True)
    local = {}
    for k, (source, file) in enumerate(places.items()):
        # Its name says which recording it is to annotations, and it may not be its own here.
        link = work / RECORDINGS / str(k) / read_source(source).file_name
        link.parent.mkdir(parents=True)
        link.symlink_to(file.absolute())
        local[source] = link.relative_to(work).as_posix()
    return local


def _prepare(
    recipe: Path, work: Path, config: Mapping[str, Any], rows: Sequence[Mapping[str, str]]
) -> None:
    """Lay out what else the workflow needs: config, table and local files."""
    from evreel.dataset.recipe import config_text, table_text
    from evreel.release.recipe import CONFIG, INPUTS, TABLE

    shutil.rmtree(work / INPUTS, ignore_errors=True)
    if (recipe / INPUTS).is_dir():
        shutil.copytree(recipe / INPUTS, work / INPUTS)
    (work / CONFIG).write_text(config_text(config), encoding="utf-8", newline="\n")
    (work / TABLE).write_text(table_text(rows), encoding="utf-8", newline="\n")


def _found(needed: Sequence[Needed], folder: Path | None) -> dict[str, Path]:
    """Return source → file of each recording that is in a folder.

    Raises
    ------
    SourceError
        If a file has the name of a recording and other bytes, or a recording is not there.
    """
    from evreel.dataset.memory import Memory

    if folder is not None and not folder.is_dir():
        raise UsageError("is not a folder", path=folder, hint="Name the folder of the recordings.")
    files = [] if folder is None else [path for path in folder.rglob("*") if path.is_file()]
    memory, found, others, missing = Memory(), {}, [], []
    for one in needed:
        named = [path for path in files if path.name == one.name]
        sized = [path for path in files if path.stat().st_size == one.size_bytes]
        fitting = (path for path in (*named, *sized) if _is(one, path, memory))
        place = next(fitting, None)
        if place is not None:
            found[one.source] = place
        elif named:
            others.append((one, named[0]))
        elif one.place:
            missing.append(one)
    if others:
        one, path = others[0]
        kind, wanted = one.strongest_sum
        digests = memory.digests(path)
        got = {"SHA-256": digests.sha256, "MD5": digests.md5}.get(kind) or memory.crc32(path)
        raise SourceError(
            f"is not the file of recording {one.ids[0]!r} that the release was made from: its "
            f"{kind} is {got}, expected {wanted}{_more(len(others))}",
            path=path,
            hint="Get the original file.",
        )
    if missing:
        raise SourceError(
            f"recordings are missing: {listed((one.name for one in missing), _MOST_NAMED)}",
            path=folder,
            hint="Name the folder that has them with --recordings; recipe/recordings.tsv has their "
            "checksums.",
        )
    return found


def _is(one: Needed, path: Path, memory: Memory) -> bool:
    got = memory.digests(path)
    is_so = one.sha256 in (None, got.sha256) and one.md5 in (None, got.md5)
    return is_so and (one.crc32 is None or one.crc32 == memory.crc32(path))


def _more(n: int) -> str:
    return f"; so are {n - 1} more" if n > 1 else ""


def _run(workflow: Path, work: Path, cores: int) -> None:
    """Run the workflow up to the release."""
    from evreel.release.recipe import CONFIG

    command = [sys.executable, "-m", "snakemake", "release", "--cores", str(cores)]
    command += ["--snakefile", str(workflow), "--directory", str(work.absolute())]
    command += ["--configfile", str((work / CONFIG).absolute()), "--quiet", "rules"]
    # Snakemake's own lock would outlive a kill; `_alone` has one that does not.
    with subprocess.Popen([*command, "--nolock"], close_fds=False) as snakemake:
        try:
            status = snakemake.wait()
        except SystemExit:  # this process is asked to end
            snakemake.terminate()
            raise
    if status:
        raise EvreelError(
            "the workflow did not make the release; its messages are above",
            path=work,
            hint="What is made stays: the same command goes on from there.",
        )
