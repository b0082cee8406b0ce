"""Checks of a release: its manifest, the files that it lists, and those that it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evreel.checks import dataset, made, samples
from evreel.checks.dataset import Member, Stored
from evreel.checks.finding import Finding, Placed, findings, unreadable
from evreel.checks.made import cut
from evreel.checks.neighbours import DAMAGE, File, id_of, kind_of, read_head
from evreel.checks.splits import listed_names
from evreel.checks.walk import Done, Folder, LabelMaps, Place, is_file
from evreel.errors import EvreelError, ReleaseError
from evreel.layout import BOXES_SUFFIX, EVENTS, SAMPLES
from evreel.release.manifest import MANIFEST, SUMS, Manifest, parse_manifest
from evreel.samples.tables import read_samples_table

_MADE_KINDS = ("events", "features", "recording", "slices", "video")
"""Kinds of a release's files that every recording has; annotations and sidecars need not be."""

_ANNOTATED_KINDS = ("slices", "video")
"""Those of them that a recording need not have that is cut into samples and not annotated."""


class _Form(NamedTuple):
    """A path with ``<id>`` for the recording's, and the kind of such files."""

    path: str
    kind: str


class Release:
    """A release's folder.

    Parameters
    ----------
    root, prefix
        The folder, and how findings name it.

    Attributes
    ----------
    files, unlisted
        Files that evreel makes: those that the manifest lists, those that it does not.
    looked_at, not_looked_at
        How many files are checked, and how many can't be told for what they are.
    """

    def __init__(self, root: Path, prefix: str) -> None:
        self._prefix = prefix
        self._table = prefix + MANIFEST
        folder = Folder(root, prefix, parts=False)
        self._findings = folder.findings
        self._manifest = self._read_manifest(root)
        self.files: list[File] = []
        self.looked_at = 1
        self.not_looked_at = 0
        self._lists: list[Place] = []
        self._samples: list[Place] = []
        self._maps = folder.maps
        own = {place.path for place in folder.maps}
        known = {prefix + name for name in (MANIFEST, *SUMS.values())} | own
        for listed in self._manifest.files:
            place = Place(root / listed.path, prefix + listed.path)
            known.add(place.path)
            if not is_file(place.place):
                self.looked_at += 1
                self._findings.append(
                    unreadable(place.path, "is not there, and the manifest lists it")
                )
                continue
            kind = kind_of(place.place)
            if kind is not None:
                id_ = listed.id or id_of(place.place.name)
                self.files.append(File(*place, kind, id_))
            elif listed.kind == "split":
                self._lists.append(place)
            elif listed.kind == "samples":
                self._samples.append(place)
            elif place.path not in own:
                self.not_looked_at += 1
        self.unlisted = [file for file in folder.files if file.path not in known]
        self.looked_at += len(self.files) + len(self.unlisted) + len(self._lists) + len(self._maps)
        self.looked_at += len(self._samples)
        self.not_looked_at += sum(other.path not in known for other in folder.others)

    def _read_manifest(self, root: Path) -> Manifest:
        """Return what is left of the manifest."""
        try:
            manifest, problems = parse_manifest((root / MANIFEST).read_bytes())
        except (ReleaseError, *DAMAGE) as error:
            self._findings.append(unreadable(self._table, *cut(error)))
            return Manifest("", "", "", ())
        self._findings += (unreadable(self._table, problem) for problem in problems)
        return manifest

    def check(self, done: Done) -> list[Finding]:
        """Return all that is found in the release."""
        maps = LabelMaps(self._maps)
        found = [*self._findings, *maps.findings]
        found += made.check_files(self.files, (), maps.of, done, parted=lambda heads: [list(heads)])
        found += made.check_files(self.unlisted, (), maps.of, done)
        listed, recordings = self._manifest.files, self._manifest.recordings
        sampled = self._sampled()
        found += self._of_samples(sampled)
        lines = [
            Member(list_.path, at, id_, list_.place.stem)
            for list_ in self._lists
            for at, id_ in listed_names(list_, found)
        ]
        members = [
            *(
                Member(self._table, f"recording {id_!r}", id_, row["split"])
                for id_, row in recordings.items()
                if row.get("split")
            ),
            *lines,
            *(
                Member(self._prefix + file.path, "", file.id, file.split)
                for file in listed
                if file.id and file.split
            ),
        ]
        found += findings("split_recording", dataset.split_recording(members))
        of_one_split = {
            id_: row
            for id_, row in recordings.items()
            if id_ not in sampled or row.get("split") != samples.MIXED
        }
        found += findings("split_group", dataset.split_group(of_one_split, self._table))
        found += findings("split_bytes", dataset.split_bytes(self._stored()))
        found += findings("split_bytes", self._same_source())
        ids = recordings or {file.id: {} for file in listed if file.id}
        for form, having in self._forms().items():
            needed = _who_needs(form, ids, sampled)
            found += findings(
                "missing_file", dataset.missing_file({form.path: having}, needed, self._table)
            )
        named = [(self._prefix + file.path, "", file.id) for file in listed if file.id]
        named += [(line.path, line.place, line.id) for line in lines]
        found += findings("unknown_id", dataset.unknown_id(named, ids))
        found += findings("n_events", dataset.n_events(recordings, self._held()))
        return found

    def _sampled(self) -> set[str]:
        """Return the recordings that are cut into samples."""
        rows = self._manifest.recordings.items()
        return self._with_samples() | {id_ for id_, row in rows if row.get("samples")}

    def _with_samples(self) -> set[str]:
        """Return the recordings that a samples file is listed of, whether it can be read or not."""
        listed = (file.id for file in self._manifest.files if file.kind == "samples" and file.id)
        return {*listed, *(file.id for file in self.files if file.kind == SAMPLES.name)}

    def _of_samples(self, sampled: Collection[str]) -> Iterator[Finding]:
        """Yield what is found in the samples of all recordings together."""
        cuts = made.read_cuts(self.files)
        split_of = {self._prefix + file.path: file.split for file in self._manifest.files}
        others = {
            row["group"]: (row["split"], f"recording {id_!r}")
            for id_, row in self._manifest.recordings.items()
            if id_ not in sampled and row.get("group") and row.get("split")
        }
        yield from made.check_cuts(cuts, split_of, others)
        unread = self._with_samples() - {of.id for of in cuts}
        for table in self._samples:
            try:
                rows = read_samples_table(table.place)
            except (EvreelError, *DAMAGE) as error:
                yield unreadable(table.path, *cut(error))
                continue
            problems = samples.samples_table(cuts, rows, table.path, unread)
            yield from findings("samples_table", problems)

    def _same_source(self) -> Iterator[Placed]:
        recordings = self._manifest.recordings
        for id_, other, column in dataset.same_source(recordings):
            split, other_split = (recordings[row]["split"] for row in (id_, other))
            yield (
                self._table,
                f"recording {id_!r}",
                f"has the {column} of {other!r}, and events of the same time: leave them in "
                f"{split} or in {other_split}",
            )

    def _stored(self) -> Iterator[Stored]:
        for file in self._manifest.files:
            # Two recordings in which nothing is labelled have the same boxes.
            data = file.kind in _MADE_KINDS and not file.path.endswith(BOXES_SUFFIX)
            if data and file.split and file.kind != "video":
                yield Stored(self._prefix + file.path, "", file.split, file.sha256)

    def _forms(self) -> dict[_Form, set[str]]:
        """Return the recordings that have a file of each form."""
        forms: dict[_Form, set[str]] = {}
        for file in self._manifest.files:
            if file.kind in _MADE_KINDS and file.id:
                folder, _, name = file.path.rpartition("/")
                if file.split and folder.split("/")[0] == file.split:
                    folder = folder[len(file.split) + 1 :]
                suffix = name.removeprefix(file.id)
                if suffix != name:
                    form = _Form(f"{folder}/<id>{suffix}".lstrip("/"), file.kind)
                    forms.setdefault(form, set()).add(file.id)
        return dict(sorted(forms.items()))

    def _held(self) -> dict[str, tuple[str, int, int]]:
        heads = (read_head(file) for file in self.files if file.kind == EVENTS.name)
        return {
            head.file.id: (head.file.path, head.n, head.left_out)
            for head in heads
            if head.n is not None
        }


def _who_needs(
    form: _Form, recordings: Mapping[str, Mapping[str, str]], sampled: Collection[str]
) -> set[str]:
    """Return the recordings that need a file of a form.

    Boxes are of those that say where their boxes are from, if any does. What is made of labels
    that people draw is not of those that have samples or boxes instead.
    """
    boxed = {id_ for id_, row in recordings.items() if row.get("rois") or row.get("boxes")}
    if form.path.endswith(BOXES_SUFFIX):
        return boxed or set(recordings) - set(sampled)
    if form.kind not in _ANNOTATED_KINDS:
        return set(recordings)
    return {
        id_
        for id_, row in recordings.items()
        if (id_ not in sampled and not row.get("boxes")) or row.get("rois") or row.get("tags")
    }
