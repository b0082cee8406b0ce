"""What the table states of files that are there: a correction that fits them makes nothing again.

Sums, sizes and counts only verify. Snakemake would run a job again when one of them changes, and a
recording would be downloaded and decoded again for a digest that it has. So what a job was given
stays as Snakemake recorded it, as long as what is there agrees with what is stated now.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evreel.acquire import link, read_source
from evreel.dataset.dataset import DataSet
from evreel.dataset.inputs import changed_source
from evreel.dataset.job_records import is_incomplete, record_params, recorded_params
from evreel.dataset.memory import Digests, Memory
from evreel.dataset.notes import ACQUIRED, Notes, Stated, agrees
from evreel.errors import EvreelError
from evreel.folders import is_folder
from evreel.layout import LEFT_OUT
from evreel.provenance import STEP_REVISIONS

_MD5 = re.compile("[0-9A-Fa-f]{32}")


def verified(
    path: str | Path,
    wanted: Mapping[str, Any],
    *,
    params: Iterable[str] | None,
    found: Stated | None,
    memory: Memory,
    known: Callable[[Path], Digests | None] = lambda path: None,
) -> dict[str, Any]:
    """Return what was stated of a source when it was acquired, if that is as stated now.

    Parameters
    ----------
    path
        What was acquired. A failed job leaves nothing there; what was made of it before may be
        right all the same.
    wanted
        What `evreel.steps.acquire` takes.
    params
        What Snakemake recorded of the job that ran last; None if nothing.
    found
        What the last job that did not fail found; None if that is not known.
    memory
        What is known of files: one is read only where another kind of digest is stated than before.
    known
        Function of a path → the digests that another step found the file to have, None if unknown.

    Returns
    -------
    As Snakemake recorded it; or what is stated now, in another form than it recorded, where that is
    not known to be right: the job then runs, and tells.
    """
    path, stated = Path(path), Stated.of(wanted)
    statements = (value for value in _values(params or (), "{") if _is_statement(value))
    recorded: dict[str, Any] | None = next(statements, None)
    changed = changed_source(path, wanted, memory)
    source = read_source(wanted["source"])
    # The sum of a folder is told even if it did not change.
    tells_sum = source.path is not None and is_folder(source.path)
    if recorded is not None and (changed is None or (tells_sum and changed == recorded["changed"])):
        then = found
        if then is None and path.exists():
            then = Stated(*(recorded.get(name) for name in Stated._fields))
        file = path if source.path is None or source.members else source.path
        if then is not None and agrees(path, file, stated, then, memory, known):
            return recorded
    now = {**stated.plain(), "changed": changed, "again": False}
    return {**now, "again": True} if now == recorded else now


def as_recorded_now(
    path: str | Path, wanted: Mapping[str, Any], params: Iterable[str], notes: str, revision: int
) -> list[str] | None:
    """Return the parameters of a job that acquired a source, as they are recorded now.

    Earlier versions recorded each thing that was stated by itself. Their results would be acquired
    again, and with them all that was made of them.

    Parameters
    ----------
    path
        What was acquired.
    wanted
        What `evreel.steps.acquire` takes.
    params
        What Snakemake recorded of the job.
    notes, revision
        Where jobs keep their notes, and the revision of the step.

    Returns
    -------
    None if they are in this form, or of anything else than what is stated now.
    """
    stated = Stated.of(wanted)
    given = {wanted.get(name) for name in ("source", "member_md5", "page", *Stated._fields)}
    if not Path(path).exists() or {*params} != {repr(value) for value in (*given, None, revision)}:
        return None
    statement = {**stated.plain(), "changed": None, "again": False}
    return sorted(repr(value) for value in (notes, wanted["source"], revision, statement))


def keep_acquired(dataset: DataSet) -> None:
    """Let Snakemake know what an earlier version acquired, so that it is not acquired again."""
    files = {dataset.recording_file(id_): dataset.acquired(id_) for id_ in dataset.recordings}
    for name in dataset.archives:
        files[f"{dataset.results}/archives/{name}"] = dataset.acquired_archive(name)
    for path, wanted in files.items():
        params = recorded_params(path) or ()
        now = as_recorded_now(path, wanted, params, str(ACQUIRED), STEP_REVISIONS["acquire"])
        if now is not None:
            record_params(path, now)


def restore_links(dataset: DataSet, memory: Memory) -> Iterator[str]:
    """Make links to local sources again that a failed job left behind removed.

    A job that is given a wrong sum fails, and its link is gone. When the sum is corrected, nothing
    asks for the link: what was made of it is there, and as it was.

    Parameters
    ----------
    dataset
        What config and table say.
    memory
        What is known of files; a source whose link is gone is read once.

    Yields
    ------
    What to say of each.
    """
    for id_, row in dataset.recordings.items():
        source, path = read_source(row["source"]).path, dataset.recording_file(id_)
        store = Path(dataset.results, "events", f"{id_}.h5")
        if os.path.lexists(path) or not store.exists() or is_incomplete(path):
            continue
        if source is None or read_source(row["source"]).members or not source.is_file():
            continue
        found = Notes(ACQUIRED).read(path)
        stated = Stated.of(dataset.acquired(id_))
        if found is None or not agrees(Path(path), source, stated, found, memory):
            continue
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            link(source, Path(path), Path(path))
            # Not newer than the store, which is made of it.
            made_ns = store.stat().st_mtime_ns
            os.utime(path, ns=(made_ns, made_ns), follow_symlinks=False)
        except (OSError, EvreelError):  # where nothing may be written, the release says so
            continue
        yield f"{path}: was not there; it is a link to {source} again"


def _is_statement(value: Any) -> bool:
    fields = {*Stated._fields, "changed", "again"}
    return isinstance(value, dict) and {*value, "crc32"} == fields


def settled_count(
    store: str | Path, stated: int | None, params: Iterable[str] | None, revision: int
) -> int | None:
    """Return the number of events stated when a store was made, if it has that stated now."""
    if params is None or not Path(store).exists():
        return stated
    recorded = _number_in(_values(params, "-0123456789"), revision)
    if stated in (None, recorded) or stated == _count(store):
        return recorded
    return stated


def settled_member(
    stated: str | None, params: Iterable[str] | None, found: Callable[[], str]
) -> str | None:
    """Return the MD5 that was stated of an archive's member, if the member has the one of now.

    Parameters
    ----------
    stated
        The MD5 that is stated now.
    params
        What Snakemake recorded of the job that read the member, None if nothing.
    found
        Finds the member's MD5; asked only where none was stated.
    """
    if params is None:
        return stated
    texts = (value for value in _values(params, "'\"") if isinstance(value, str))
    recorded = next((text for text in texts if _MD5.fullmatch(text)), None)
    if stated is None or (recorded and stated.lower() == recorded.lower()):
        return recorded
    try:
        is_so = recorded is None and stated.lower() == found()
    except (EvreelError, OSError):
        return stated
    return None if is_so else stated


def _values(params: Iterable[str], beginnings: str) -> Iterator[Any]:
    """Yield those parameters that begin with one of some characters; to read all takes long."""
    for text in params:
        if text[:1] not in beginnings:
            continue
        try:
            yield ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue


def _number_in(values: Iterable[Any], revision: int) -> int | None:
    """Return the number among a job's parameters that is not its step's revision."""
    numbers = (v for v in values if isinstance(v, int) and not isinstance(v, bool))
    return next((v for v in numbers if v != revision), None)


def _count(store: str | Path) -> int | None:
    """Return how many events the recording has that a store was decoded from, None if unknown."""
    from evreel.files.events_store import EventsStore

    try:
        with EventsStore(store) as opened:
            left_out = sum(opened.decoded_repairs.get(name, 0) for name in LEFT_OUT)
            return len(opened) + left_out
    except (EvreelError, OSError):
        return None
