"""Building a release."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evreel.dataset.memory import Memory
from evreel.dataset.settings import ReleaseSettings
from evreel.errors import ReleaseError, UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import sha256
from evreel.release.content import ANONYMOUS
from evreel.steps.common import LOG, check_made, named
from evreel.text import counted, listed, size_text

if TYPE_CHECKING:
    from evreel.checks.finding import Finding, Report
    from evreel.release.identity import Word
    from evreel.release.manifest import PlanEntry

_MOST_NAMED = 3
"""Recordings that are named in a warning."""


def release(
    plan: str | Path,
    folder: str | Path,
    settings: ReleaseSettings,
    *,
    labels: Sequence[str] | None = None,
    recordings: Mapping[str, Mapping[str, str]] | None = None,
    dataset: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    acquired: Mapping[str, str | Path] | None = None,
    missing: Mapping[str, Mapping[str, str]] | None = None,
    incomplete: Literal["refuse", "allow"] = "refuse",
    batches: Sequence[str | Path] = (),
    memory: str | Path | None = None,
    stamp: str | Path | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> None:
    """Build a release folder from a plan, and check its content as `check` does.

    Parameters
    ----------
    plan
        Table of what goes where, as `release_plan` writes it.
    folder
        The release. An existing release is replaced as a whole, any other folder is not.
    settings
        Name, version and licence of the data set (``NOASSERTION`` if none is stated), how files
        are compressed, whether it is anonymous or a recipe, and checks whose errors do not stop
        the release.
    labels
        Label names in the order of their numbers.
    recordings
        What is known of each recording, id → column → text: group, meta.*, … The manifest has it.
    dataset
        Its ``title``, ``page`` and ``citation``, if known, for the release's README.
    config
        The config that made it; kept in the release.
    acquired
        Recording → its file, which is read once more: its events store must be decoded from it.
        One that is gone, to save space, is not compared.
    missing
        Recordings of the data set that the plan leaves out: id → their ``split``, their ``group``
        if they have one, and the ``reason``. The manifest has it.
    incomplete
        What comes of recordings of which a file is not there: ``allow`` leaves them out, too.
    batches
        Manifests of the batches that made files of the plan: no recording of it may have failed
        there.
    memory
        Where the sums of files are kept that have no record: one that did not change is not read
        again. None keeps nothing.
    stamp
        A file to write when the release is whole: the SHA-256 of its manifest, as ``sha256sum``
        writes it.
    threads
        How many compress files that are not made ready yet.

    Raises
    ------
    ReleaseError
        If the plan is not valid, one of its files is missing, nothing is left of it, or a check
        finds an error.
    """
    from evreel.publish.build import Links, build, check_replaceable, made_ready_otherwise
    from evreel.release.anonymous import clean_in_place, described, told_by_nobody, words_to_find
    from evreel.release.manifest import MANIFEST, read_plan
    from evreel.release.recipe import is_data, told_as_recipe, withhold

    folder = Path(folder)
    text = None
    if settings.licence_file is not None:
        text = _licence_text(settings.licence_file)
    if config is not None:
        _warn_of_unstated(dataset or {}, settings.licence)
    planned = read_plan(plan)
    check_made(batches, {entry.id for entry in planned if entry.id})
    entries, missing = _there(planned, recordings or {}, missing or {}, incomplete)
    recordings = recordings and {id_: recordings[id_] for id_ in recordings if id_ not in missing}
    check_replaceable(folder)
    if stamp is None:  # a workflow makes files ready as its release asks for
        stay = made_ready_otherwise(entries, settings.compression, settings.gzip_level)
        if stay:
            LOG.warning(
                "files that stay as they were made ready, compressed otherwise than asked for: %d. "
                "In the plan, name those that they were made from.",
                stay,
            )
    there = {id_: path for id_, path in (acquired or {}).items() if Path(path).exists()}
    if acquired and len(there) < len(acquired):
        gone = [id_ for id_ in acquired if id_ not in there]
        LOG.warning(
            "recordings that are gone, and so not compared: %d: %s. To bring them back, with the "
            "same --configfile: snakemake --cores 2 %s",
            len(gone),
            listed(gone, _MOST_NAMED),
            shlex.join(str(acquired[id_]) for id_ in gone[:_MOST_NAMED]),
        )
    known = Memory(None if memory is None else Path(memory))
    sums = {id_: f"sha256:{known.digests(path).sha256}" for id_, path in there.items()}
    for entry in entries:
        known.keep(entry.source.resolve())
    links = Links(known)

    words: set[Word] | None = None
    if settings.anonymous:
        entries = [
            replace(entry, kind=ANONYMOUS) if entry.kind == "annotations" else entry
            for entry in entries
        ]
        words = words_to_find(entries, there.values(), dataset, recordings)
        config, recordings, dataset = described(
            config, recordings, dataset, settings.anonymous_keep
        )
        missing = {id_: told_by_nobody(row) for id_, row in missing.items()}
    if settings.data == "none":
        dataset = told_as_recipe(dataset, folder.name)

    def judge(report: Report) -> None:
        _refuse(report.findings, settings, folder)

    def clean(path: Path, kind: str) -> bool:
        counts = clean_in_place(path, kind, words or ())
        if counts:
            LOG.info("%s: left out%s", path.relative_to(scratch).as_posix(), named(counts))
        return bool(counts)

    try:
        with atomic(folder) as (scratch,):
            made = build(
                entries,
                scratch,
                name=settings.name,
                version=settings.version,
                licence=settings.licence,
                licence_text=text,
                compression=settings.compression,
                gzip_level=settings.gzip_level,
                threads=threads,
                labels=None if labels is None else dict(enumerate(labels)),
                recordings=recordings,
                dataset=dataset,
                config=config,
                acquired=sums,
                missing=missing,
                clean=None if words is None else clean,
                judge=judge,
                withheld=is_data if settings.data == "none" else None,
                links=links,
                progress=progress,
            )
            if words is not None:
                _refuse(_identifying(scratch, words, settings), settings, folder)
            if settings.data == "none":
                made = withhold(scratch)
    finally:  # what was read is remembered, whatever came of it
        links.settle()
        known.save()
    if stamp is not None:
        with atomic(stamp) as (written,):
            digest = sha256(folder / MANIFEST).removeprefix("sha256:")
            written.write_text(
                f"{digest}  {folder.name}/{MANIFEST}\n", encoding="utf-8", newline="\n"
            )
    here = [file for file in made.files if not file.withheld]
    size = sum(file.size for file in here)
    lacks = f"; lacks {made.lacks}" if made.lacks else ""
    LOG.info("%s: %d files, %s%s", folder.name, len(here), size_text(size), lacks)


def _there(
    entries: Sequence[PlanEntry],
    recordings: Mapping[str, Mapping[str, str]],
    missing: Mapping[str, Mapping[str, str]],
    incomplete: str,
) -> tuple[list[PlanEntry], dict[str, Mapping[str, str]]]:
    """Return the files of a plan without those of recordings that are missing, and all of these.

    Raises
    ------
    ReleaseError
        If a recording lacks a file and none may be missing, or if no recording is left.
    """
    from evreel.release.manifest import REASON, lacking

    gone: dict[str, PlanEntry] = {}
    for entry in entries:
        if entry.id and not entry.source.exists():
            gone.setdefault(entry.id, entry)
    ids = {entry.id for entry in entries if entry.id}
    if gone and (incomplete != "allow" or gone.keys() == ids):
        id_, first = next(iter(gone.items()))
        raise ReleaseError(
            f"files of {lacking(gone, len(ids))} are missing; the first of {id_!r}: "
            f"{str(first.source)!r}",
            place=first.place,
            hint="A relative path starts at the working directory. Make them"
            + (
                "." if gone.keys() == ids else ", or leave out these recordings: incomplete: allow."
            ),
        )
    for id_, entry in gone.items():
        LOG.warning("%r is left out: %s is not there", id_, entry.source)
    found = {
        id_: {
            "split": entry.split,
            **{key: cell for key, cell in recordings.get(id_, {}).items() if key == "group"},
            REASON: f"{entry.path} is not there",
        }
        for id_, entry in gone.items()
    }
    return [entry for entry in entries if entry.id not in gone], {**missing, **found}


def _refuse(found: Iterable[Finding], settings: ReleaseSettings, folder: Path) -> None:
    """Log findings, and raise if one of them stops the release."""
    found = list(found)
    for finding in found:
        LOG.warning("%s", finding)
    refused = [
        finding
        for finding in found
        if finding.severity == "error" and finding.check not in settings.tolerate
    ]
    if refused:
        raise ReleaseError(
            f"checks found {counted(len(refused), 'error')}, the first: {refused[0]}",
            path=folder,
            hint="The log has them all. Fix the data, or name the check in release.tolerate.",
        )


def _identifying(
    folder: Path, words: Collection[Word], settings: ReleaseSettings
) -> Iterator[Finding]:
    """Yield what a finished release has of what identifies: of its own files and cards, too."""
    from evreel.checks.registry import findings
    from evreel.checks.release import identifying
    from evreel.release.search import search

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    within = ((path.relative_to(folder).as_posix(), path) for path in files)
    yield from findings(identifying, search(within, words, settings.anonymous_keep))


def _licence_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the licence's text cannot be read: {error}", path=path) from error


def _warn_of_unstated(dataset: Mapping[str, Any], licence: str) -> None:
    from evreel.cards.croissant import unstated_notice

    notice = unstated_notice(dataset, licence)
    if notice is not None:
        LOG.warning("%s", notice)
