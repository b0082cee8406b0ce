"""All that a release tells of itself: what its page, cards, index and metadata are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evreel.checks.finding import Finding
from evreel.release.facts import RecordingFacts, Totals
from evreel.release.manifest import ListedFile, lacking
from evreel.samples.splits import SPLITS
from evreel.samples.tables import Assigned

if TYPE_CHECKING:
    from evreel.cards.index import Table


@dataclass(frozen=True)
class Told:
    """What is known of a release when its files are in place, before its manifest is written.

    Parameters
    ----------
    name, version, licence, compression
        As in the config's group `release`.
    files
        The planned files, as they are in the release. Files that evreel writes about them are not
        in it. A recipe marks those that it leaves out as ``withheld``.
    facts
        What the release holds of each recording, in the order of their ids.
    labels
        Number of a class → its name.
    recordings
        What is known of each recording, id → column → text: the manifest's `recordings`.
    dataset
        The config's group `dataset`, plain: ``title``, ``page``, ``citation`` and so on; only what
        is stated.
    config
        The config that made it, plain.
    findings
        What the checks found, errors first.
    samples
        All samples of all recordings, as in the release's table of samples.
    missing
        Recordings of the data set that the release lacks, and why: the manifest's `missing`.
    """

    name: str
    version: str
    licence: str
    compression: str
    files: Sequence[ListedFile]
    facts: Sequence[RecordingFacts]
    labels: Mapping[int, str] = field(default_factory=dict)
    recordings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    samples: Sequence[Assigned] = ()
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @cached_property
    def splits(self) -> Mapping[str, Totals]:
        """Split → its sums; train, val and test first, and only those that have something."""
        named = {one.split for one in self.facts if one.split}
        named |= {split for one in self.facts for split in one.samples or ()}
        order = [name for name in SPLITS if name in named]
        order += sorted(named.difference(SPLITS))
        return {name: Totals.of(self.facts, name) for name in order}

    @cached_property
    def tables(self) -> Sequence[Table]:
        """The tables of recordings and samples, made when they are asked for."""
        from evreel.cards.index import tables

        return tables(self)

    @cached_property
    def totals(self) -> Totals:
        """The sums of all recordings."""
        return Totals.of(self.facts)

    @cached_property
    def picture(self) -> ListedFile | None:
        """The picture that stands for the data set: of the recording with the most boxes."""
        boxes = {one.id: sum(of.boxes for of in (one.boxes or {}).values()) for one in self.facts}
        pictures = [
            file
            for file in self.files
            if file.path.endswith((".jpg", ".png")) and file.id and not file.withheld
        ]
        # The first of equal ones.
        return max(pictures, key=lambda file: boxes.get(file.id, 0), default=None)

    @property
    def lacks(self) -> str:
        """Which recordings of the data set are missing, in words; empty if none."""
        return lacking(self.missing, len(self.missing) + len(self.facts))

    @property
    def is_recipe(self) -> bool:
        """Whether some of its files are left out, to be made by those who have the recordings."""
        return any(file.withheld for file in self.files)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        return [self.labels[number] for number in sorted(self.labels)]


def left_out(files: Sequence[ListedFile]) -> str:
    """Return how many files of some a recipe leaves out, in words; empty if none.

    Examples
    --------
    >>> from dataclasses import replace
    >>> file = ListedFile("test/events/a.h5", 9, "", "", "events")
    >>> left_out([file]), left_out([replace(file, withheld=True), file])
    ('', '1 not in the recipe')
    """
    n = sum(file.withheld for file in files)
    if not n:
        return ""
    return "not in the recipe" if n == len(files) else f"{n:,} not in the recipe"
