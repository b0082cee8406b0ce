"""The split of each sample: its recording's, a published list's, or drawn by a seed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from evreel.errors import AnnotationError, UsageError, did_you_mean
from evreel.text import nfc, read_list

SPLITS = ("train", "val", "test")


class Unassigned(NamedTuple):
    """A sample of a data set: its recording, and that recording's file name at its source."""

    recording: str
    file_name: str
    sample: str
    label: str
    group: str

    @property
    def place(self) -> str:
        """Its name in messages and in lists: ``recording/sample``."""
        return f"{self.recording}/{self.sample}"


def by_lists(
    samples: Sequence[Unassigned],
    lists: Mapping[str, str | Path],
    unknown: list[str] | None = None,
) -> list[str]:
    """Return the split of each sample according to published lists.

    Parameters
    ----------
    samples
        The samples whose recording does not say the split.
    lists
        Split → list. A line is ``recording/sample``; or the id or file name of a recording, for
        all its samples; or the id of a sample alone, if no recording and no other sample has
        it. Endings such as ``.aedat`` are optional.
    unknown
        Takes the names that stand for nothing, which are no error then.

    Raises
    ------
    AnnotationError
        If a line names nothing or is ambiguous, or if a sample is in no list or in two.
    UsageError
        If there is a split other than train, val and test.
    """
    check_names(lists)
    names = _Names(samples)
    found: list[tuple[str, str]] = [("", "")] * len(samples)
    for split, path in lists.items():
        for line, name in read_list(path):
            place = f"line {line}"
            try:
                rows = names.rows_of(name)
            except _UnknownNameError as error:
                if unknown is None:
                    raise AnnotationError(error.problem, path=path, place=place) from error
                unknown.append(name)
                continue
            except AnnotationError as error:
                raise AnnotationError(
                    error.problem, path=path, place=place, hint=error.hint
                ) from error
            for k in rows:
                other, where = found[k]
                if other and other != split:
                    raise AnnotationError(
                        f"{samples[k].place!r} is in {split} here, but in {other} at {where}",
                        path=path,
                        place=place,
                    )
                found[k] = split, f"{Path(path).name}, {place}"
    for sample, (split, _) in zip(samples, found, strict=True):
        if not split:
            raise AnnotationError(
                f"is in none of the lists {', '.join(Path(path).name for path in lists.values())}",
                place=f"sample {sample.place!r}",
                hint="Add it to one, or give its recording a split of its own.",
            )
    return [split for split, _ in found]


class _UnknownNameError(AnnotationError):
    """A name in a list stands for nothing."""


class _Names:
    """The samples that names in lists stand for, as positions in a sequence of samples."""

    def __init__(self, samples: Sequence[Unassigned]) -> None:
        self._samples = samples
        self._of_place: dict[str, list[int]] = {}
        self._of_recording: dict[str, list[int]] = {}
        self._of_sample: dict[str, list[int]] = {}
        for k, sample in enumerate(samples):
            self._of_place.setdefault(nfc(sample.place), []).append(k)
            file_name = nfc(sample.file_name)
            for name in {sample.recording, file_name, _stem(file_name)}:
                self._of_recording.setdefault(name, []).append(k)
            self._of_sample.setdefault(nfc(sample.sample), []).append(k)

    def rows_of(self, name: str) -> list[int]:
        """Return the samples that a name stands for: as it is, or else without its ending.

        Raises
        ------
        AnnotationError
            If it stands for nothing, or is ambiguous.
        """
        name = nfc(name)
        for called in (name, _stem(name)):
            if called in self._of_place:
                return self._of_place[called]
            of_recording = self._of_recording.get(called, [])
            others = set(self._of_sample.get(called, [])) - set(of_recording)
            # A file's name means all recordings that are parts of it.
            meant = {self._samples[k].file_name: self._samples[k].recording for k in of_recording}
            places = [f"recording {recording!r}" for recording in meant.values()]
            places += [f"sample {self._samples[k].place!r}" for k in sorted(others)]
            if len(places) > 1:
                raise AnnotationError(
                    f"{name!r} may be {places[0]} or {places[1]}",
                    hint="Write recording/sample, or the full name of a recording's file.",
                )
            if places:
                return of_recording or list(others)
        known = [*self._of_place, *self._of_recording, *self._of_sample]
        guess = did_you_mean(name, known)
        raise _UnknownNameError(
            f"{name!r} is not a recording or a sample" + (f"; {guess}" if guess else "")
        )


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name


def by_seed(samples: Sequence[Unassigned], seed: int, shares: Mapping[str, float]) -> list[str]:
    """Return the split of each sample, drawn by a seed: stratified by class, groups kept together.

    If no sample has a group, each class is divided as `shares` say, to within one sample, and
    so are all together. Groups come close to that: the largest are taken first, those of equal
    size in the order of a hash of seed and name, and each goes to the split that lacks most
    samples of its classes. A sample without a group is a group of its own. The result depends
    only on the samples' names, classes and groups, not on their order.

    Parameters
    ----------
    samples
        The samples whose recording does not say the split.
    seed
        Any whole number.
    shares
        Split → its share of all samples; each more than 0, and 1 in total.

    Raises
    ------
    UsageError
        If there is a split other than train, val and test, or shares do not add up to 1.

    Examples
    --------
    >>> rows = [Unassigned("r", "r.zip", f"{k}", "cat", "") for k in range(10)]
    >>> sorted(by_seed(rows, 0, {"train": 0.7, "test": 0.3})).count("train")
    7
    """
    check_shares(shares)
    groups: dict[tuple[str, ...], list[int]] = {}
    key: tuple[str, ...]
    for k, sample in enumerate(samples):
        key = (nfc(sample.group),) if sample.group else ("", sample.recording, sample.sample)
        groups.setdefault(key, []).append(k)
    missing = _quotas(Counter(sample.label for sample in samples), shares)
    split_of = [""] * len(samples)
    for key in sorted(groups, key=lambda key: (-len(groups[key]), _hash(seed, key))):
        classes = Counter(samples[k].label for k in groups[key])

        def missed(split: str, classes: Counter[str] = classes) -> tuple[int, float, str]:
            wanted = sum(n * missing[split, label] for label, n in classes.items())
            return wanted, shares[split], split

        best = max(shares, key=missed)
        for label, n in classes.items():
            missing[best, label] -= n
        for k in groups[key]:
            split_of[k] = best
    return split_of


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise `UsageError` unless shares are of known splits, more than 0, and 1 in total."""
    check_names(shares)
    if not shares:
        raise UsageError("no split is given")
    if not all(share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        given = ", ".join(f"{split}={share:g}" for split, share in shares.items())
        raise UsageError(f"shares must each be more than 0, and 1 in total; got {given}")


def _quotas(size: Mapping[str, int], shares: Mapping[str, float]) -> dict[tuple[str, str], int]:
    """Return how many samples of each class a split must have, (split, label) → whole number.

    The rest of a class after rounding down goes to the split that is owed most, by this class and
    those before it, so that rounding does not add up: of three splits, none is ever owed a whole
    sample.
    """
    owed = dict.fromkeys(shares, 0.0)
    quotas = {}
    for label in sorted(size):
        for split, share in shares.items():
            quotas[split, label] = math.floor(round(share * size[label], 9))
            owed[split] += share * size[label] - quotas[split, label]
        left = size[label] - sum(quotas[split, label] for split in shares)
        ranked = sorted(shares, key=lambda split: (round(owed[split], 9), split), reverse=True)
        for split in ranked[:left]:
            quotas[split, label] += 1
            owed[split] -= 1
    return quotas


def _hash(seed: int, key: Iterable[str]) -> bytes:
    return hashlib.sha256("\0".join([str(seed), *key]).encode()).digest()


def check_names(splits: Iterable[str]) -> None:
    """Raise `UsageError` if there is a split other than train, val and test."""
    for split in splits:
        if split not in SPLITS:
            raise UsageError(f"{split!r} is not a split; splits are {', '.join(SPLITS)}")


def check_counts(
    splits: Iterable[str], counts: Mapping[str, int], *, at_most: bool = False
) -> None:
    """Raise if splits do not have as many samples as published.

    Parameters
    ----------
    splits
        The split of each sample.
    counts
        Split → how many it must have; others may have any number.
    at_most
        Whether it may have fewer.

    Raises
    ------
    AnnotationError
        If a split has another number.
    UsageError
        If `counts` names a split other than train, val and test.
    """
    check_names(counts)
    found = Counter(splits)
    wrong = {
        split: counts[split]
        for split in SPLITS
        if found[split] != counts.get(split, found[split])
        and not (at_most and found[split] < counts[split])
    }
    if wrong:
        got = ", ".join(f"{found[split]} in {split}" for split in wrong)
        expected = ", ".join(f"{n} in {split}" for split, n in wrong.items())
        raise AnnotationError(
            f"there are {got}; {expected} are expected",
            hint="Is a recording missing, or is another label policy needed (samples.repeats)?",
        )
