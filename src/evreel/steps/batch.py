"""A step for each recording of a batch, in one process."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from evreel.dataset.ledger import Entry, Ledger, Manifest, made, recorded, what_is
from evreel.dataset.members import Member
from evreel.errors import EvreelError
from evreel.steps.common import LOG
from evreel.text import counted

_SAVE_S = 2.0
_ENDED = 128
"""Above this, the code of a script is the number of the signal that ended it, plus this."""


def batch(
    step: str,
    members: Sequence[Member],
    run: Callable[[Member], None],
    manifest: str | Path,
    ledger: str | Path,
    *,
    before: Iterable[str | Path] = (),
) -> Manifest:
    """Do a step for each recording of a batch, and say in a manifest what was made.

    A recording whose files are there, made with the same parameters from the same inputs, is not
    done again. One that fails does not stop the others.

    Parameters
    ----------
    step
        Its name.
    members
        The recordings' jobs.
    run
        Does one of them. If it fails, it ends with `SystemExit`, as scripts do, or with another
        exception, and has logged why.
    manifest
        File to write.
    ledger
        File that says what was made the last time; it is written too.
    before
        Manifests of the steps that this one takes from: recordings that failed there are left out.
    """
    known, failed = Ledger(ledger), dict[str, tuple[str, str]]()
    for path in before:
        failed |= Manifest.read(path).failed
    entries: dict[str, Entry] = {}
    waiting: dict[str, Entry] = {}
    n_kept, saved = 0, time.monotonic()
    try:
        for member in members:
            if member.id in failed:
                if member.key in known.entries:  # it may stand once what failed is mended
                    waiting[member.key] = known.entries[member.key]
                continue
            entry = known.entries.get(member.key)
            now = Entry(member.id, member.compared, {path: _what_is(path) for path in member.input})
            entry = entry or recorded(now, member.output)
            if entry is not None and _is_same(entry, now, member) and entry.stands():
                entries[member.key] = known.entries[member.key] = entry
                n_kept += 1
                continue
            known.entries.pop(member.key, None)
            problem = _done(member, run)
            if problem is None:
                now.outputs = made(member.output)
                entries[member.key] = known.entries[member.key] = now
            else:
                failed[member.id] = (step, problem)
                LOG.error("%s: %s", member.id, problem)
            if time.monotonic() > saved + _SAVE_S:
                known.save()
                saved = time.monotonic()
    except BaseException:  # what is done is not done again
        known.save()
        raise
    # What is in the ledger of recordings that are of no concern any more is dropped.
    known.entries = waiting | entries
    known.save()
    whole = Manifest(
        {
            path: digest
            for _, entry in sorted(entries.items())
            for path, (digest, *_) in entry.outputs.items()
        },
        dict(sorted(failed.items())),
    )
    whole.write(manifest)
    LOG.info(
        "%s: %s made, %d as they were, %d failed",
        *(step, counted(len(entries) - n_kept, "job"), n_kept, len(failed)),
    )
    return whole


def _is_same(then: Entry, now: Entry, member: Member) -> bool:
    made_same = then.compared == now.compared and then.inputs == now.inputs
    return made_same and then.outputs.keys() == {*member.output}


def _what_is(path: str) -> str:
    """Return what an input is; one that is not there makes its job fail, which says so."""
    try:
        return what_is(path)
    except (OSError, EvreelError):
        return "not there"


def _done(member: Member, run: Callable[[Member], None]) -> str | None:
    """Do a job; return what it said if it failed, else None."""
    for path in map(Path, member.output):
        if str(path) not in member.kept:
            path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
    Path(member.log[0]).parent.mkdir(parents=True, exist_ok=True)
    with _errors() as said:
        try:
            run(member)
        except SystemExit as end:
            if isinstance(end.code, int) and end.code > _ENDED:
                raise
            if end.code:
                return said[-1] if said else f"ended with {end.code}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    for path in map(Path, member.output):
        if str(path) in member.touched:
            path.touch()
        elif not path.exists():
            return f"did not make {path}"
    return None


@contextlib.contextmanager
def _errors() -> Iterator[list[str]]:
    """Yield the errors that are logged meanwhile."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    LOG.addHandler(handler)
    try:
        yield said
    finally:
        LOG.removeHandler(handler)
