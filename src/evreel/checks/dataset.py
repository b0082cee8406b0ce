"""Checks of a data set as a whole: splits, groups, equal bytes, files that are missing, counts."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from evreel.checks.finding import Placed, counted, register

Recordings = Mapping[str, Mapping[str, str]]
"""What is known of each recording: id → column → text."""


class Member(NamedTuple):
    """A recording in a split: the file and place that say so."""

    path: str
    place: str
    id: str
    split: str


class Stored(NamedTuple):
    """What a split holds: the file, or the place in a file that says so, and its digest."""

    path: str
    place: str
    split: str
    digest: str


def _in_two(members: Iterable[Member]) -> Iterator[tuple[Member, Member, int]]:
    """Yield first member, its twin in another split, and how many: a row a pair of splits."""
    known: dict[str, Member] = {}
    pairs: dict[tuple[str, str], tuple[Member, Member, set[str]]] = {}
    for member in members:
        other = known.setdefault(member.id, member)
        if other.split != member.split:
            pair = (member.split, other.split)
            pairs.setdefault(pair, (member, other, set()))[2].add(member.id)
    for member, other, ids in pairs.values():
        yield member, other, len(ids)


@register("split_recording", "error", "data set")
def split_recording(members: Iterable[Member]) -> Iterator[Placed]:
    """Find recordings that are in two splits: what is tested was trained on."""
    for member, other, n in _in_two(members):
        yield (
            member.path,
            member.place,
            f"{counted(n, 'recording')} of {member.split} also in {other.split}, the first "
            f"{member.id!r} ({_where(other)}); leave each in one split",
        )


@register("split_name", "warning", "data set")
def split_name(members: Iterable[Member]) -> Iterator[Placed]:
    """Find files of the same name in the folders of two splits: perhaps the same recording."""
    for member, other, n in _in_two(members):
        yield (
            member.path,
            member.place,
            f"{counted(n, 'name')} of {member.split} also in {other.split}, the first "
            f"{member.id!r}; are they the same recording?",
        )


@register("split_group", "error", "data set")
def split_group(recordings: Recordings, path: str) -> Iterator[Placed]:
    """Find groups of recordings, such as those of one day or person, that are in two splits."""
    groups: dict[str, dict[str, str]] = {}
    for id_, row in sorted(recordings.items()):
        if row.get("group") and row.get("split"):
            groups.setdefault(row["group"], {}).setdefault(row["split"], id_)
    for group, splits in sorted(groups.items()):
        if len(splits) > 1:
            where = ", ".join(f"{split} ({id_!r})" for split, id_ in sorted(splits.items()))
            yield path, f"group {group!r}", f"is in {where}; put all of a group into one split"


@register("split_bytes", "error", "data set")
def split_bytes(files: Iterable[Stored]) -> Iterator[Placed]:
    """Find files of the same bytes in two splits, under whatever names."""
    known: dict[str, Stored] = {}
    pairs: dict[tuple[str, str], list[tuple[Stored, Stored]]] = {}
    for file in files:
        other = known.setdefault(file.digest, file)
        if file.split != other.split:
            pairs.setdefault((file.split, other.split), []).append((file, other))
    for (split, other_split), twins in pairs.items():
        file, other = twins[0]
        more = f", the first of {len(twins):,} such pairs" if len(twins) > 1 else ""
        yield (
            file.path,
            file.place,
            f"has the bytes of {_where(other)}{more}; leave it in {split} or in {other_split}",
        )


def same_source(recordings: Recordings) -> Iterator[tuple[str, str, str]]:
    """Yield recordings of different splits that were made from the same time of the same bytes.

    Parameters
    ----------
    recordings
        id → column → text. Of the columns are read: `split`; `md5` and `sha256` of what the
        recording is made from, in whichever case; `events/start_us` and `events/stop_us`, the
        part that is taken of it, µs, from 0 and to the end where they are absent, empty, ``null``
        or no whole number; what follows ``!`` in `source`, the member of an archive. Nothing
        else makes parts of a file differ.

    Yields
    ------
    id, the id of a row above that it shares events with, and the column that tells. Of many that
    share the same events, each is in a pair, but not every pair is there.

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
    """
    rank = {id_: k for k, id_ in enumerate(recordings)}
    for column in ("md5", "sha256"):
        parts: dict[str, list[tuple[int, float, int, str, str]]] = {}
        for id_, row in recordings.items():
            first, last = (_whole(row.get(f"events/{end}", "")) for end in ("start_us", "stop_us"))
            part = first or 0, math.inf if last is None else last, rank[id_], id_
            if row.get(column) and row.get("split") and part[0] < part[1]:
                member = row.get("source", "").partition("!")[2]  # of an archive of that sum
                key = f"{row[column].lower()}!{member}"
                parts.setdefault(key, []).append((*part, row["split"]))
        for of_one in parts.values():
            # By their starts, a part shares events with an earlier one that stops after its
            # start: of the splits, the two that reach farthest are enough to ask.
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


def _whole(text: str) -> int | None:
    """Return the whole number that a text is, if it is one of a sensible length."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


@register("missing_file", "error", "release")
def missing_file(
    forms: Mapping[str, Collection[str]], recordings: Collection[str], path: str
) -> Iterator[Placed]:
    """Find recordings without a file of a kind that others have.

    Parameters
    ----------
    forms
        Form of a path, such as ``slices/<id>.h5`` → the recordings that have such a file.
    recordings
        Every recording of the table.
    path
        The table.
    """
    for form, having in sorted(forms.items()):
        without = sorted(set(recordings) - set(having))
        more = f", the first of {len(without):,} without" if len(without) > 1 else ""
        if without:
            yield (
                path,
                f"recording {without[0]!r}",
                f"has no {form}{more}; {counted(len(having), 'recording')} with one; build the "
                "release again",
            )


@register("unknown_id", "error", "release")
def unknown_id(
    files: Iterable[tuple[str, str, str]], recordings: Collection[str]
) -> Iterator[Placed]:
    """Find files, or lines of a split list, of a recording that is not in the table.

    Parameters
    ----------
    files
        (path, place, id) of each.
    recordings
        Every recording of the table.
    """
    unknown: dict[str, list[tuple[str, str]]] = {}
    for path, place, id_ in files:
        if id_ not in recordings:
            unknown.setdefault(id_, []).append((path, place))
    for id_, places in sorted(unknown.items()):
        more = f", the first of {counted(len(places), 'place')}" if len(places) > 1 else ""
        problem = f"is of recording {id_!r}, which is not in the table{more}; add its row"
        yield *places[0], problem


@register("n_events", "error", "release")
def n_events(recordings: Recordings, held: Mapping[str, tuple[str, int, int]]) -> Iterator[Placed]:
    """Find stores that do not hold the number of events that the table promises.

    Parameters
    ----------
    recordings
        The table; its column `n_events` counts the events of the source.
    held
        Recording → the store's path, its events, and those it says were left out by name.
    """
    for id_, (path, n, left_out) in sorted(held.items()):
        promised = recordings.get(id_, {}).get("n_events", "")
        if not promised:
            continue
        # As text: Python refuses to read whole numbers of thousands of digits.
        digits = promised.lstrip("0") or "0"
        if not re.fullmatch("[0-9]+", promised):
            yield path, "", f"the table's n_events of {id_!r} is {promised[:40]!r}, no whole number"
        elif digits != str(n + left_out):
            says = f"{int(digits):,}" if len(digits) <= 19 else f"a number of {len(digits)} digits"
            yield (
                path,
                "",
                f"holds {n:,} events, and {left_out:,} were left out; the table says {says}; is "
                "it the right recording?",
            )


@register("made_from", "error", "slices, samples, features")
def made_from(files: Iterable[tuple[str, str]], store: tuple[str, str] | None) -> Iterator[Placed]:
    """Find files of one recording that were made from different events stores.

    Parameters
    ----------
    files
        (path, digest of the store that it was made from) of one recording's files.
    store
        Path and digest of the store, where it has the bytes from which others are made.
    """
    first = store
    for path, digest in files:
        if first is None:
            first = path, digest
        elif digest != first[1]:
            than = first[0] if store is not None else f"the one that {first[0]} was made from"
            yield path, "attribute inputs", f"was made from another store than {than}; build again"


def _where(member: Member | Stored) -> str:
    return f"{member.path}, {member.place}" if member.place else member.path
