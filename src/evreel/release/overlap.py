"""Recordings of different splits that share events, as their rows tell: no release may have any."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from evreel.errors import UsageError
from evreel.release.content import Row
from evreel.samples.pattern import Pattern


def same_source(recordings: Mapping[str, Row]) -> Iterator[tuple[str, str, str]]:
    """Yield recordings of different splits that were made from the same time of the same bytes.

    Parameters
    ----------
    recordings
        id → column → text. These columns are read: `split`; `md5` and `sha256` of the source, in
        upper or lower case, and no `crc32`, which files with other events may share;
        `events/start_us` and `events/stop_us`, the part that is used, µs, from 0 and to the end if
        they are absent, empty, ``null`` or not a whole number; what follows ``!`` in `source`, the
        member of an archive; `samples/members`, the pattern of the members of an archive or folder
        that are taken. Nothing else distinguishes parts of a file.

    Yields
    ------
    id, the id of an earlier row that shares events with it, and the column that shows it. If many
    share the same events, each is in a pair, but not every pair is yielded.

    Examples
    --------
    >>> rows = {
    ...     "a": {"split": "train", "md5": "0F", "events/stop_us": "500"},
    ...     "b": {"split": "test", "md5": "0f", "events/start_us": "500"},
    ... }
    >>> list(same_source(rows))
    []
    >>> list(same_source(rows | {"c": {"split": "val", "md5": "0F", "events/start_us": "499"}}))
    [('c', 'a', 'md5'), ('c', 'b', 'md5')]

    Rows that take different members of an archive share nothing:

    >>> of_zip = {"md5": "0f", "source": "lip.zip"}
    >>> rows = {
    ...     split: of_zip | {"split": split, "samples/members": f"{split}/{{label}}/*.npy"}
    ...     for split in ("train", "test")
    ... }
    >>> list(same_source(rows))
    []
    """
    rank = {id_: k for k, id_ in enumerate(recordings)}
    for column in ("md5", "sha256"):
        parts: dict[str, dict[str, list[_Part]]] = {}
        for id_, row in recordings.items():
            first, last = (_whole(row.get(f"events/{end}", "")) for end in ("start_us", "stop_us"))
            part = first or 0, math.inf if last is None else last, rank[id_], id_
            if row.get(column) and row.get("split") and part[0] < part[1]:
                member = row.get("source", "").partition("!")[2]  # of an archive of that sum
                key = f"{row[column].lower()}!{member}"
                of_pattern = parts.setdefault(key, {}).setdefault(
                    row.get("samples/members", ""), []
                )
                of_pattern.append((*part, row["split"]))
        for of_one in (each for by_pattern in parts.values() for each in _sharing(by_pattern)):
            # Sorted by start, a part shares events with an earlier one that stops after its
            # start: it is enough to ask the two splits that reach farthest.
            farthest: dict[str, tuple[float, str]] = {}
            for start, stop, _, id_, split in sorted(of_one):
                for other_split, (other_stop, other) in farthest.items():
                    if other_split != split and other_stop > start:
                        later, earlier = sorted((id_, other), key=rank.__getitem__, reverse=True)
                        yield later, earlier, column
                        break
                if split not in farthest or stop > farthest[split][0]:
                    farthest[split] = stop, id_
                if len(farthest) > 2:
                    del farthest[min(farthest, key=lambda name: farthest[name][0])]


_Part = tuple[int, float, int, str, str]
"""Start and stop of what a recording takes of a file; its rank, id and split."""


def _sharing(by_pattern: Mapping[str, list[_Part]]) -> Iterator[list[_Part]]:
    """Yield parts of a file that may share members of it; of those yielded apart, none can.

    None is yielded where all are in one split.

    Parameters
    ----------
    by_pattern
        Pattern of the members that are taken, empty where the row states none → parts.
    """
    if len({split for parts in by_pattern.values() for *_, split in parts}) == 1:
        return  # nothing is in two splits
    patterns = {text: _pattern_of(text) for text in by_pattern}
    known = {text: pattern for text, pattern in patterns.items() if pattern is not None}
    if len(known) < len(patterns) or len(known) == 1:
        yield [part for parts in by_pattern.values() for part in parts]
        return
    for alike in _alike(known):
        together: list[list[str]] = []
        for text in alike:
            may_share = [
                texts
                for texts in together
                if not all(known[text].excludes(known[other]) for other in texts)
            ]
            together = [texts for texts in together if texts not in may_share]
            together.append([text, *(other for texts in may_share for other in texts)])
        for texts in together:
            yield [part for text in texts for part in by_pattern[text]]


def _alike(patterns: Mapping[str, Pattern]) -> Iterator[list[str]]:
    """Yield patterns that state the same names wherever all of as many folders state one.

    Patterns that are yielded apart exclude each other, so that not each has to be compared with
    each: an archive may have a row for each of a thousand folders.
    """
    by_depth: dict[int, list[str]] = {}
    for text, pattern in patterns.items():
        by_depth.setdefault(len(pattern.stated), []).append(text)
    for texts in by_depth.values():
        levels = zip(*(patterns[text].stated for text in texts), strict=True)
        stated = [k for k, names in enumerate(levels) if None not in names]
        by_names: dict[tuple[str | None, ...], list[str]] = {}
        for text in texts:
            names = tuple(patterns[text].stated[k] for k in stated)
            by_names.setdefault(names, []).append(text)
        yield from by_names.values()


def _pattern_of(text: str) -> Pattern | None:
    """Return a pattern; None if nothing is known of what it takes."""
    try:
        return Pattern(text) if text else None
    except UsageError:
        return None


def _whole(text: str) -> int | None:
    """Return a text as a whole number; None if it is not one of at most 18 digits."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
