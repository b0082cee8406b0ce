"""Damage recordings of every format and read them: whatever the bytes, these rules hold.

Groups of targets, which are no recordings, and campaigns against servers have rules of their own:
each module says its.

- Reading ends by itself: run it in a process with a timeout, so that a hang is a failure.
- It ends in one of evreel's errors, which says a byte of the file (in SQLite, a message), or in
  events that are in order and inside the sensor.
- Salvage gives the events of the strict reading, and then maybe more; so it does where events are
  sorted and dropped too. Of a file that is read strictly all readings give the same.
- What is whole, but coded otherwise, is refused by every reading that comes to it.
- No more bytes are counted as damaged than there are.

A line for each format counts how its files were read: ``whole`` as if they were undamaged, ``read``
strictly all the same, ``salvaged`` before the damage, ``mended`` where events had to be sorted or
dropped too, ``refused`` in any case, ``unknown`` as no recording at all.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

import support.fuzz
from evreel.errors import CodingError, JumpError, RecordingError, UnknownFormatError, UsageError
from evreel.events import Events
from evreel.recordings.open import STRICT, Reading
from support.fuzz.damage import Original
from support.fuzz.target import Target, hold

FORMATS = sorted(
    {module.name for module in pkgutil.iter_modules(support.fuzz.__path__)}
    - {"__main__", "damage", "target"}
)
SALVAGE = Reading(on_damage="salvage")
MENDING = Reading(on_disorder="sort", on_out_of_bounds="drop", on_reset="split", on_stray="drop")
BOTH = replace(MENDING, on_damage="salvage")
ALL = (None, None)
PART_US = (500, 2_000)
Limits = tuple[int | None, int | None]


def read(
    original: Original, path: Path, reading: Reading, limits: Limits
) -> tuple[np.ndarray, RecordingError | None]:
    """Return the events that came, (4, n) with the file's own stamps, and the error that did."""
    size, last, shift, failed = path.stat().st_size, None, 0, None
    columns = [np.empty((4, 0), np.int64)]
    try:
        with original.opened(path, reading) as recording:
            for batch in recording.batches(*limits):
                if isinstance(batch, Events):
                    # Made again, so that it is checked.
                    events = Events(batch.t, batch.x, batch.y, batch.p, recording.sensor)
                    hold(last is None or events.t[0] >= last, f"t={events.t[0]} after t={last}")
                    last, shift = events.t[-1], recording.t_offset
                    columns.append(np.array([events.t, events.x, events.y, events.p], np.int64))
            damaged_bytes = recording.repairs.get("damaged_bytes", 0)
            hold(0 <= damaged_bytes <= size, f"{damaged_bytes} damaged bytes of {size}")
    except RecordingError as error:
        if isinstance(error, UnknownFormatError) and not isinstance(error, CodingError):
            raise
        placed = error.offset is not None and 0 <= error.offset <= size
        placed |= error.offset is None and not original.has_bytes and bool(error.place)
        hold(placed or "sensor" in str(error), f"an error without a place in the file: {error}")
        failed = error
    rows = np.concatenate(columns, axis=1)
    rows[0] += shift
    return rows, failed


def outcome(original: Original, path: Path, limits: Limits, whole: np.ndarray, turn: int) -> str:
    """Return how reading ends; raise where a rule is broken."""
    try:
        strict, refused = read(original, path, STRICT, limits)
        salvaged, disordered = read(original, path, SALVAGE, limits)
        mended, unmended = read(original, path, BOTH, limits)
        # Seldom, for time: it is the reading before, up to the damage.
        unsalvaged = read(original, path, MENDING, limits)[0] if turn // 8 % 4 == 0 else mended
    except (UnknownFormatError, UsageError):
        return "unknown"
    n = {"strict": strict, "salvaged": salvaged, "mended": mended, "unsalvaged": unsalvaged}
    said = ", ".join(f"{rows.shape[1]} {name}" for name, rows in n.items()) + " events"
    hold(np.array_equal(salvaged[:, : strict.shape[1]], strict), said)
    hold(refused is not None or np.array_equal(salvaged, strict), said)
    coded = isinstance(unmended, CodingError)
    hold(coded or not isinstance(refused, CodingError), f"{refused}, but salvaged")
    hold(not isinstance(refused, CodingError) or isinstance(disordered, CodingError), f"{refused}")
    if limits == ALL and not coded:
        # What a part is depends on the stamps that are sorted in or dropped, and events before a
        # jump may turn out to be stray.
        jumped = isinstance(refused, JumpError) or isinstance(disordered, JumpError)
        hold(jumped or mended.shape[1] >= max(salvaged.shape[1], unsalvaged.shape[1]), said)
        same = all(np.array_equal(rows, strict) for rows in (mended, unsalvaged))
        hold(refused is not None or same, said)
    if refused is None:
        return "whole" if np.array_equal(strict, whole) else "read"
    return "salvaged" if disordered is None else "mended" if mended.shape[1] else "refused"


def fuzz(name: str, files: int, seed: int) -> Counter[str]:
    """Read so many damaged files of a group; return how often each outcome came."""
    group = importlib.import_module(f"support.fuzz.{name}")
    if hasattr(group, "campaign"):
        return group.campaign(files, seed)
    if hasattr(group, "targets"):
        return fuzz_targets(name, group.targets(), files, seed)
    rng = np.random.default_rng(seed)
    originals = group.originals()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        wholes = {}
        for turn in range(files):
            original = originals[turn % len(originals)]
            path = Path(folder) / original.name
            limits = PART_US if turn % 3 == 0 else ALL
            if (id(original), limits) not in wholes:
                path.write_bytes(original.content)
                wholes[id(original), limits], failed = read(original, path, BOTH, limits)
                hold(failed is None, f"{name}: an original is refused")
            path.write_bytes(original.damaged(rng, turn))
            try:
                whole = wholes[id(original), limits]
                counts[outcome(original, path, limits, whole, turn)] += 1
            except Exception as error:
                error.add_note(f"{name}, seed {seed}, file {turn}")
                raise
    return counts


def fuzz_targets(name: str, targets: list[Target], files: int, seed: int) -> Counter[str]:
    """Use so many damaged targets; return how often each outcome came."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(files):
            target = targets[turn % len(targets)]
            content = target.damaged(rng, turn)
            try:
                counts[target.outcome(content, Path(folder))] += 1
            except Exception as error:
                error.add_note(f"{name}, seed {seed}, file {turn}: {target.name}")
                raise
    return counts


def main() -> None:
    """Read damaged files; print a line for each format."""
    parser = argparse.ArgumentParser(prog="python -m support.fuzz")
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--files", type=int, default=2_500, help="in all; shared by the formats")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    formats = chosen.formats or FORMATS
    sys.stdout.write(f"seed {chosen.seed}\n")
    for name in formats:
        sys.stdout.flush()
        counts = fuzz(name, -(-chosen.files // len(formats)), chosen.seed)
        told = " ".join(f"{outcome}={n}" for outcome, n in sorted(counts.items()))
        sys.stdout.write(f"{name}: {told}\n")


if __name__ == "__main__":
    main()
