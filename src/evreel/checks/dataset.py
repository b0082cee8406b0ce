"""Checks of a data set as a whole: what its splits share, in recordings and samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from evreel.checks.finding import Finding, Located, Placed, first_of
from evreel.checks.registry import checks_of, findings
from evreel.checks.samples import Cut, sample_at, sample_split, short
from evreel.release.content import Row
from evreel.release.origins import Made, mixtures
from evreel.samples.splits import SPLITS
from evreel.text import counted

error, warning = checks_of("data set")

Recordings = Mapping[str, Mapping[str, str]]
"""What is known of each recording: id → column → text."""


class Member(NamedTuple):
    """A recording in a split, and the file and place that say so; empty split: none."""

    path: str
    place: str
    id: str
    split: str


class Stored(NamedTuple):
    """A file of a split, or the place in a file that lists it, and its digest."""

    path: str
    place: str
    split: str
    digest: str


def _in_two(members: Iterable[Member]) -> Iterator[tuple[Member, Member, int]]:
    """Yield one row per pair of splits: first member, its twin in the other split, their number."""
    known: dict[str, Member] = {}
    pairs: dict[tuple[str, str], tuple[Member, Member, set[str]]] = {}
    for member in members:
        other = known.setdefault(member.id, member) if member.split else member
        if other.split != member.split:
            pair = (member.split, other.split)
            pairs.setdefault(pair, (member, other, set()))[2].add(member.id)
    for member, other, ids in pairs.values():
        yield member, other, len(ids)


@error("split_recording", "Recordings that are in two splits: test data were trained on.")
def split_recording(members: Iterable[Member]) -> Iterator[Placed]:
    """Find ids that are in two splits."""
    for member, other, n in _in_two(members):
        yield (
            member.path,
            member.place,
            f"{counted(n, 'recording')} of {member.split} also in {other.split}, the first "
            f"{member.id!r} ({_where(other)}); keep each in one split",
        )


@warning(
    "split_name", "Files of the same name in the folders of two splits: perhaps the same recording."
)
def split_name(members: Iterable[Member]) -> Iterator[Placed]:
    """Find names that are in two splits."""
    for member, other, n in _in_two(members):
        yield (
            member.path,
            member.place,
            f"{counted(n, 'name')} of {member.split} also in {other.split}, the first "
            f"{member.id!r}; are they the same recording?",
        )


@error(
    "split_group",
    "Groups of recordings, such as one day's or one person's, that are in two splits.",
)
def split_group(recordings: Recordings, path: str) -> Iterator[Placed]:
    """Find groups with recordings in two splits; `path` is the table of recordings."""
    groups: dict[str, dict[str, str]] = {}
    for id_, row in sorted(recordings.items()):
        if row.get("group") and row.get("split"):
            groups.setdefault(row["group"], {}).setdefault(row["split"], id_)
    for group, splits in sorted(groups.items()):
        if len(splits) > 1:
            where = ", ".join(f"{split} ({id_!r})" for split, id_ in sorted(splits.items()))
            yield path, f"group {group!r}", f"is in {where}; keep a group in one split"


@error("split_bytes", "Files with the same bytes in two splits, whatever their names.")
def split_bytes(files: Iterable[Stored]) -> Iterator[Placed]:
    """Find digests that are in two splits."""
    known: dict[str, Stored] = {}
    pairs: dict[tuple[str, str], list[tuple[Stored, Stored]]] = {}
    for file in files:
        other = known.setdefault(file.digest, file)
        if file.split != other.split:
            pairs.setdefault((file.split, other.split), []).append((file, other))
    for (split, other_split), twins in pairs.items():
        file, other = twins[0]
        more = first_of(len(twins), "such pairs")
        yield (
            file.path,
            file.place,
            f"has the bytes of {_where(other)}{more}; keep it in {split} or in {other_split}",
        )


@error(
    "sample_labels",
    "Samples files that number the classes differently from the rest of their data set.",
)
def sample_labels(cuts: Sequence[Cut]) -> Iterator[Placed]:
    """Find samples files whose class names, or their order, differ from the first file's."""
    for cut in cuts:
        if cut.labels != cuts[0].labels:
            problem = f"numbers the classes differently from {cuts[0].path}; cut again"
            yield cut.path, "labels/name", problem


@error("sample_group", "Groups, such as one person's, whose samples are in two splits.")
def sample_group(
    cuts: Iterable[Cut], others: Mapping[str, tuple[str, str]] | None = None
) -> Iterator[Placed]:
    """Find groups with samples in two splits.

    Parameters
    ----------
    cuts
        The samples.
    others
        Group → split and place of a recording that is not cut.
    """
    known = dict(others or {})
    for cut in cuts:
        apart: set[str] = set()
        first: Located | None = None
        for k, (group, split) in enumerate(zip(cut.samples.group, cut.split, strict=True)):
            if not group:
                continue
            other = known.get(group)
            if other is None:
                known[group] = split, f"{sample_at(cut.samples, k)} of {cut.path}"
            elif other[0] != split:
                apart.add(group)
                first = first or (
                    sample_at(cut.samples, k),
                    f"{short(group)} is in {split} here, in {other[0]} by {other[1]}",
                )
        if first is not None:
            n = counted(len(apart), "group")
            yield cut.path, first[0], f"{n} in two splits, the first {first[1]}; keep each together"


@warning("sample_class", "Classes that are tested but not trained on, and labels without a sample.")
def sample_class(cuts: Sequence[Cut]) -> Iterator[Placed]:
    """Find classes without a sample in split train, or without any."""
    first: dict[str, dict[str, tuple[Cut, int]]] = {split: {} for split in SPLITS}
    labels: dict[str, None] = {}
    for cut in cuts:
        labels |= dict.fromkeys(cut.labels)
        for k, (label, split) in enumerate(zip(cut.samples.label, cut.split, strict=True)):
            if label and split in first:
                first[split].setdefault(label, (cut, k))
    for split in SPLITS[1:] if first["train"] else ():
        new = [label for label in first[split] if label not in first["train"]]
        if new:
            cut, k = first[split][new[0]]
            yield (
                cut.path,
                sample_at(cut.samples, k),
                f"{counted(len(new), 'class')} of {split} not in train, the first "
                f"{short(new[0])}; is the split intended?",
            )
    without = [label for label in labels if not any(label in seen for seen in first.values())]
    if without:
        yield (
            cuts[0].path,
            "labels/name",
            f"{counted(len(without), 'label')} without a sample in the data set, the first "
            f"{short(without[0])}; is a recording missing?",
        )


class Drawn(NamedTuple):
    """A slices file of a split, and the labels of its regions and tags."""

    path: str
    split: str
    labels: frozenset[str]


@warning(
    "split_label",
    "Splits without any region or tag, and labels that are tested but not trained on.",
)
def split_label(files: Iterable[Drawn], path: str) -> Iterator[Placed]:
    """Find splits without labels that others have; `path` is the table of recordings."""
    of_split: dict[str, set[str]] = {}
    for file in files:
        of_split.setdefault(file.split, set()).update(file.labels)
    any_label = set().union(*of_split.values())
    for split, labels in sorted(of_split.items()):
        new = sorted(labels - of_split["train"]) if split in SPLITS and "train" in of_split else []
        if not labels and any_label:
            yield (
                path,
                f"split {split}",
                "has no region and no tag in any of its slices; were its XMLs exported?",
            )
        elif new and of_split["train"]:
            yield (
                path,
                f"split {split}",
                f"{counted(len(new), 'label')} not in train, the first {short(new[0])}; is the "
                "split intended?",
            )


@error(
    "made_from", "Files that were made from others than the ones of their recording beside them."
)
def made_from(files: Iterable[Made], rows: Mapping[str, Row] | None = None) -> Iterator[Placed]:
    """Find files that name the digest of another file than the one that is there.

    Parameters
    ----------
    files, rows
        As `evreel.release.origins.mixtures` takes them.
    """
    for path, problem in mixtures(files, rows):
        yield path, "attribute inputs", f"{problem}; build again"


def _where(member: Member | Stored) -> str:
    return f"{member.path}, {member.place}" if member.place else member.path


def check_cuts(
    cuts: Sequence[Cut],
    split_of: Mapping[str, str] | None = None,
    others: Mapping[str, tuple[str, str]] | None = None,
    *,
    whole: bool = True,
) -> Iterator[Finding]:
    """Yield what is found in the samples of one data set together.

    Parameters
    ----------
    cuts
        The samples.
    split_of
        Path of a samples file → split of its recording, if known.
    others
        Group → split and place of a recording that is not cut.
    whole
        Whether they are all samples of the data set; in a part, nothing counts as missing.
    """
    for cut in cuts:
        split = (split_of or {}).get(cut.path, "")
        yield from findings(sample_split, cut, split, path=cut.path)
    yield from findings(sample_group, cuts, others)
    yield from findings(sample_labels, cuts)
    if whole:
        yield from findings(sample_class, cuts)
