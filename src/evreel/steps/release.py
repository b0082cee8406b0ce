"""Building a release."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel.dataset.memory import Memory
from evreel.dataset.settings import ReleaseSettings
from evreel.errors import ReleaseError, UsageError
from evreel.outputs import Progress, atomic, scratch_path, silent
from evreel.release.content import ANONYMOUS
from evreel.steps.check import check
from evreel.steps.common import LOG, named

if TYPE_CHECKING:
    from evreel.checks import Finding
    from evreel.release.identity import Word
    from evreel.release.manifest import PlanEntry


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
    memory: str | Path | None = None,
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
        are compressed, whether it is anonymous, and checks whose errors do not stop the release.
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
    memory
        Where the sums of those files are kept: one that did not change is not read again. None
        keeps nothing.

    Raises
    ------
    ReleaseError
        If the plan is not valid, one of its files is missing, or a check finds an error.
    """
    from evreel.release.build import build, check_replaceable
    from evreel.release.manifest import read_plan
    from evreel.release.recipe import story, withhold

    text = None
    if settings.licence_file is not None:
        text = _licence_text(settings.licence_file)
    entries = read_plan(plan)
    check_replaceable(Path(folder))
    there = {id_: path for id_, path in (acquired or {}).items() if Path(path).exists()}
    if acquired and len(there) < len(acquired):
        gone = len(acquired) - len(there)
        LOG.warning("recordings that are gone, and so not compared: %d", gone)
    known = Memory(None if memory is None else Path(memory))
    sums = {id_: f"sha256:{known.digests(path).sha256}" for id_, path in there.items()}
    known.save()
    about = story(Path(folder).name) if settings.data == "none" else ""
    words: set[Word] | None = None
    if settings.anonymous:
        from evreel.release.anonymous import described, words_to_find

        entries = [
            replace(entry, kind=ANONYMOUS) if entry.kind == "annotations" else entry
            for entry in entries
        ]
        words = words_to_find(entries, there.values(), dataset, recordings)
        config, recordings, dataset = described(
            config, recordings, dataset, settings.anonymous_keep
        )
        about = "Its authors are anonymous, for double-blind review."
    with atomic(folder) as (scratch,), _cleaned(entries, words, Path(folder)) as cleaned:
        made = build(
            entries,
            scratch,
            name=settings.name,
            version=settings.version,
            licence=settings.licence,
            licence_text=text,
            description=about,
            compression=settings.compression,
            labels=None if labels is None else dict(enumerate(labels)),
            recordings=recordings,
            dataset=dataset,
            config=config,
            acquired=sums,
            cleaned=cleaned,
            progress=progress,
        )
        found = sorted({*check(scratch).findings, *_identifying(scratch, words, settings)})
        for finding in found:
            LOG.warning("%s", finding)
        refused = [
            finding
            for finding in found
            if finding.severity == "error" and finding.check not in settings.tolerate
        ]
        if refused:
            raise ReleaseError(
                f"checks found {len(refused)} errors, the first: {refused[0]}",
                path=folder,
                hint="The log has them all. Fix the data, or name the check in release.tolerate.",
            )
        if settings.data == "none":
            made = withhold(scratch)
    here = [file for file in made.files if not file.withheld]
    size = sum(file.size for file in here)
    LOG.info("%s: %d files, %.1f MB", Path(folder).name, len(here), size / 1e6)


@contextlib.contextmanager
def _cleaned(
    entries: Iterable[PlanEntry], words: Collection[Word] | None, folder: Path
) -> Iterator[dict[Path, Path]]:
    """Give source → copy of files that have what an anonymous release leaves out."""
    if words is None:
        yield {}
        return
    from evreel.release.anonymous import cleaned

    copies: dict[Path, Path] = {}
    with scratch_path(folder.with_name("cleaned")) as room:
        room.mkdir()
        for entry in entries:
            source = entry.source.resolve()
            # One that is missing is named, with its line, by what plans the release.
            if source in copies or not source.is_file():
                continue
            copy = cleaned(source, room / f"{len(copies)}{source.suffix}", entry.kind, words)
            if copy is not None:
                copies[source] = copy.path
                LOG.info("%s: left out%s", entry.path, named(copy.counts))
        yield copies


def _identifying(
    folder: Path, words: Collection[Word] | None, settings: ReleaseSettings
) -> Iterator[Finding]:
    """Yield what an anonymous release has of the words that no check of it alone can know."""
    from evreel.checks.registry import findings
    from evreel.checks.release import identifying
    from evreel.release.identity import words_of_machine
    from evreel.release.search import search

    further = set(words or ()) - words_of_machine()
    if not further:
        return
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    within = ((path.relative_to(folder).as_posix(), path) for path in files)
    found = search(within, further, settings.anonymous_keep, stated=False)
    yield from findings(identifying, found)


def _licence_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the licence's text cannot be read: {error}", path=path) from error
