"""What the jobs of a batch made, and of what: what is up to date is not made again.

Snakemake knows a batch by its manifest alone: which files it made, with their digests, and which
recordings failed. Its ledger says of each recording with what parameters and from which inputs its
files were made, and how to see that they are still the same.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evreel.dataset.job_records import is_incomplete, recorded_params
from evreel.errors import EvreelError
from evreel.outputs import atomic
from evreel.provenance import content_sha256

LEDGERS = Path("batches", ".made")
"""Where ledgers are in the results: a folder for each step."""
_WHOLE_BYTES = 16 << 20
"""Size up to which inputs are known by their digest, not by their time: archives are longer."""


@dataclass
class Entry:
    """What one job made.

    Parameters
    ----------
    id
        Its recording.
    compared
        Its parameters, as text, sorted.
    inputs
        Each file that it read → what it was.
    outputs
        Each file that it made → its digest, size and time of the last change, ns.
    """

    id: str
    compared: list[str]
    inputs: dict[str, str]
    outputs: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def stands(self) -> bool:
        """Tell whether all that was made is there as it was made.

        A file that has another time than then, and the same content, gets its new time here. One
        of time 0 is to be made again: see `evreel.dataset.outdated.age`.
        """
        for path, (digest, size, time_ns) in self.outputs.items():
            try:
                now = _state(path)
                if now == (size, time_ns):
                    continue
                if not now[1] or now[0] != size or content_sha256(path) != digest:
                    return False
            except (OSError, EvreelError):
                return False
            self.outputs[path] = (digest, *now)
        return True


def made(paths: Iterable[str]) -> dict[str, tuple[str, int, int]]:
    """Return files with their digests, sizes and times."""
    return {path: (content_sha256(path), *_state(path)) for path in paths}


def what_is(path: str) -> str:
    """Return what tells whether an input changed: its digest, or of a long one size and time."""
    if Path(path).is_dir():
        return ""  # its parameters tell
    size, time_ns = _state(path)
    return content_sha256(path) if size <= _WHOLE_BYTES else f"{size} {time_ns}"


def _state(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 (ten thousand of them)
    return found.st_size, found.st_mtime_ns


def recorded(now: Entry, outputs: Iterable[str]) -> Entry | None:
    """Return what a job of the recording's own made, None unless it would make the same now.

    That is what Snakemake recorded of the files, which are not older than what they are made from.
    """
    outputs = [*outputs]
    try:
        newest = max((os.stat(path).st_mtime_ns for path in now.inputs), default=0)  # noqa: PTH116
        oldest = min(os.stat(path).st_mtime_ns for path in outputs)  # noqa: PTH116
    except OSError:
        return None
    for path in outputs:
        params = recorded_params(path)
        if params is None or {*params} != {*now.compared} or is_incomplete(path):
            return None
    return Entry(now.id, now.compared, now.inputs, made(outputs)) if newest <= oldest else None


class Ledger:
    """What the jobs of a step and batch made: recording, and feature if there is one, → `Entry`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.entries: dict[str, Entry] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
            told = json.loads(self.path.read_bytes())
            params = told["params"]
            self.entries = {
                key: Entry(
                    **entry
                    | {
                        "compared": [params[k] for k in entry["compared"]],
                        "outputs": {file: tuple(is_) for file, is_ in entry["outputs"].items()},
                    }
                )
                for key, entry in told["entries"].items()
            }

    def save(self) -> None:
        """Write it; where nothing can be written, all is made again the next time."""
        params: dict[str, int] = {}
        entries: dict[str, Any] = {}
        for key, entry in self.entries.items():
            numbers = [params.setdefault(text, len(params)) for text in entry.compared]
            entries[key] = {**asdict(entry), "compared": numbers}
        text = json.dumps({"params": [*params], "entries": entries})
        with contextlib.suppress(OSError, EvreelError), atomic(self.path) as (scratch,):
            scratch.write_text(text, encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class Manifest:
    """What a batch made, as Snakemake sees it: nothing in it depends on when it was made.

    Parameters
    ----------
    files
        Each file → its digest.
    failed
        Each recording of which a job failed → the step, and what it said. Recordings that failed
        in a step before are there too.
    """

    files: Mapping[str, str]
    failed: Mapping[str, tuple[str, str]]

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """Return the one in a file.

        Raises
        ------
        EvreelError
            If it cannot be read.
        """
        try:
            told = json.loads(Path(path).read_bytes())
            failed = {id_: (step, what) for id_, (step, what) in told["failed"].items()}
            return cls(dict(told["files"]), failed)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            hint = "Remove it, and run the same command again."
            raise EvreelError("is not the manifest of a batch", path=path, hint=hint) from error

    def write(self, path: str | Path) -> None:
        """Write it, whole or not at all."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True)
        with atomic(path) as (scratch,):
            scratch.write_text(f"{text}\n", encoding="utf-8", newline="\n")


def ledger_of(results: str, step: str, batch: str) -> Path:
    """Return the ledger of a step and batch."""
    return Path(results, LEDGERS, step, f"{batch}.json")


def hand_over(results: str, steps: Iterable[str], batch_of: Mapping[str, str]) -> None:
    """Move entries to the ledger of the batch that their recording is in now.

    Before any job runs: a batch drops entries of recordings that it does not have.

    Parameters
    ----------
    batch_of
        The batch of each recording that shares jobs.
    """
    for step in steps:
        folder = Path(results, LEDGERS, step)
        ledgers = {path.stem: Ledger(path) for path in sorted(folder.glob("*.json"))}
        changed: dict[str, None] = {}
        for name, ledger in [*ledgers.items()]:
            for key, entry in [*ledger.entries.items()]:
                new = batch_of.get(entry.id, name)
                if new != name:
                    into = ledgers.setdefault(new, Ledger(ledger_of(results, step, new)))
                    into.entries.setdefault(key, ledger.entries.pop(key))
                    changed |= {new: None, name: None}
        for name in changed:
            ledgers[name].save()
