"""Checks of a release: its manifest, the files that it lists, and files that it does not list."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from evreel.annotations.cvat.people import people_in
from evreel.checks.dataset import (
    Drawn,
    Member,
    Recordings,
    Stored,
    check_cuts,
    made_from,
    split_bytes,
    split_group,
    split_label,
    split_recording,
)
from evreel.checks.finding import DAMAGE, Finding, Placed, first_of, problem_of
from evreel.checks.inventory import Entry, File, Folder, Head, id_of, is_file, kind_of, read_head
from evreel.checks.looked import Looked
from evreel.checks.registry import check_of, checks_of, findings, unreadable
from evreel.checks.samples import MIXED, Cut, read_cuts, sample_at, short
from evreel.checks.slices import drawn_labels
from evreel.checks.splits import listed_names
from evreel.errors import EvreelError, ReleaseError
from evreel.layout import EVENTS, OF_BOXES, SAMPLES, SLICES
from evreel.release.anonymous import is_anonymous, kept_words
from evreel.release.content import ANNOTATED_KINDS, MADE_KINDS, has_boxes, is_annotated
from evreel.release.identity import words_of_machine
from evreel.release.manifest import MANIFEST, REASON, SUMS, Manifest, parse_manifest
from evreel.release.origins import Made
from evreel.release.overlap import same_source
from evreel.release.recipe import awaited
from evreel.release.search import Found, Unsearched, search
from evreel.samples.tables import Assigned, read_samples_table
from evreel.text import counted

error, warning = checks_of("release")


@error("missing_file", "Recordings without a file of a kind that others have.")
def missing_file(
    form: str, having: Collection[str], recordings: Collection[str], path: str
) -> Iterator[Placed]:
    """Find recordings that lack a file of some form.

    Parameters
    ----------
    form, having
        Form of a path, such as ``slices/<id>.h5``, and the recordings that have such a file.
    recordings
        Every recording of the table that needs such a file.
    path
        The table.
    """
    without = sorted(set(recordings) - set(having))
    if without:
        more = first_of(len(without), "without")
        yield (
            path,
            f"recording {without[0]!r}",
            f"has no {form}{more}; {counted(len(having), 'recording')} with one; build the "
            "release again",
        )


@warning("incomplete", "Releases that lack recordings of their data set; the manifest says why.")
def incomplete(missing: Recordings, lacks: str, path: str) -> Iterator[Placed]:
    """Find recordings that are missing: `lacks` says how many and which; `path` is the table."""
    if missing:
        first = min(missing)
        why = missing[first].get(REASON, "")
        yield path, f"recording {first!r}", f"the release lacks {lacks}; {why}"


@error("empty_split", "Splits that lost all their recordings because these are missing.")
def empty_split(missing: Recordings, there: Collection[str], path: str) -> Iterator[Placed]:
    """Find splits of missing recordings that are not among those there; `path` is the table."""
    lost: dict[str, list[str]] = {}
    for id_, row in sorted(missing.items()):
        if row.get("split") and row["split"] not in there:
            lost.setdefault(row["split"], []).append(id_)
    for split, ids in sorted(lost.items()):
        what = (
            f"its only recording, {ids[0]!r}, is missing"
            if len(ids) == 1
            else f"all its {len(ids):,} recordings are missing, such as {ids[0]!r}"
        )
        yield (
            path,
            f"split {split}",
            f"is empty: {what}; fix one, or name this check in release/tolerate",
        )


@error("unknown_id", "Files, or lines of a list of a split, whose recording is not in the table.")
def unknown_id(files: Iterable[Member], recordings: Collection[str]) -> Iterator[Placed]:
    """Find ids that are not among the recordings of the table."""
    unknown: dict[str, list[Member]] = {}
    for file in files:
        if file.id not in recordings:
            unknown.setdefault(file.id, []).append(file)
    for id_, of_one in unknown.items():
        more = first_of(len(of_one), "places")
        problem = f"belongs to recording {id_!r}, which is not in the table{more}; add its row"
        yield of_one[0].path, of_one[0].place, problem


@error("n_events", "Stores whose number of events is not the table's.")
def n_events(recordings: Recordings, stores: Iterable[Head]) -> Iterator[Placed]:
    """Find stores whose number of events differs from the table's.

    Parameters
    ----------
    recordings
        The table; its column `n_events` counts the events of the source.
    stores
        What each store says of its events, and of those that were left out.
    """
    for store in stores:
        path, id_, n, left_out = store.file.path, store.file.id, store.n, store.left_out
        promised = recordings.get(id_, {}).get("n_events", "")
        if n is None or not promised:
            continue
        # As text: Python refuses to read whole numbers of thousands of digits.
        digits = promised.lstrip("0") or "0"
        if not re.fullmatch("[0-9]+", promised):
            said = repr(promised[:40])
            yield path, "", f"the table's n_events of {id_!r} is {said}, not a whole number"
        elif digits != str(n + left_out):
            says = f"{int(digits):,}" if len(digits) <= 19 else f"a number of {len(digits)} digits"
            yield (
                path,
                "",
                f"holds {n:,} events, and {left_out:,} were left out; the table says {says}; is "
                "it the right recording?",
            )


@error(
    "samples_table",
    "Samples that differ from the release's table of samples, or are missing or duplicated in it.",
)
def samples_table(
    cuts: Iterable[Cut], rows: Sequence[Assigned], path: str, unread: Collection[str] = ()
) -> Iterator[Placed]:
    """Find samples that differ from their row, rows without a sample, and duplicated rows.

    Parameters
    ----------
    cuts
        The samples.
    rows, path
        The table, from line 2 on.
    unread
        Recordings whose samples cannot be read; their rows are not checked.
    """
    lines: dict[tuple[str, str], int] = {}
    twice = [
        k for k, row in enumerate(rows) if lines.setdefault((row.recording, row.sample), k) != k
    ]
    seen: set[int] = set()
    for cut in cuts:
        held = zip(
            *(cut.samples.id, cut.samples.label, cut.samples.group, cut.split),
            *(cut.samples.start_us.tolist(), cut.samples.stop_us.tolist()),
            strict=True,
        )
        wrong: list[tuple[int, int | None]] = []
        for k, sample in enumerate(held):
            line = lines.get((cut.id, sample[0]))
            if line is not None:
                seen.add(line)
            if line is None or rows[line][1:] != sample:
                wrong.append((k, line))
        if wrong:
            k, line = wrong[0]
            there = "is missing" if line is None else f"differs in line {line + 2}"
            n = counted(len(wrong), "sample")
            problem = f"{n} not as in {path}, where the first {there}; make the splits again"
            yield cut.path, sample_at(cut.samples, k), problem
    gone = [k for k in sorted(set(lines.values()) - seen) if rows[k].recording not in unread]
    for at_fault, problem in (
        (twice, "duplicated, the first {}; make the splits again"),
        (gone, "in no samples file, the first {}; cut again"),
    ):
        if at_fault:
            row = rows[at_fault[0]]
            first = f"{short(row.sample)} of {short(row.recording)}"
            n = counted(len(at_fault), "sample")
            yield path, f"line {at_fault[0] + 2}", f"{n} {problem.format(first)}"


@warning("people", "Annotations that name people, perhaps with e-mail addresses: CVAT's XML does.")
def people(files: Iterable[Entry], is_recipe: bool = False) -> Iterator[Placed]:
    """Find annotations that name who owned, or was assigned, a task; one finding for all.

    Parameters
    ----------
    files
        The annotations.
    is_recipe
        Whether the release is a recipe, which has annotations as they are or not at all.
    """
    named = []
    for file in files:
        with contextlib.suppress(EvreelError, *DAMAGE):  # whoever reads it says what is wrong
            found = people_in(file.location)
            if found.n:
                named.append((file.path, found))
    if named:
        path, found = named[0]
        emails = f", {counted(found.n_emails, 'e-mail address')}" if found.n_emails else ""
        more = f"; so do {len(named) - 1} more" if len(named) > 1 else ""
        remedy = (
            "remove them from your own files, which a recipe has as they are"
            if is_recipe
            else "name anonymous_annotations in release.include"
        )
        yield (
            path,
            "meta",
            f"names {'1 person' if found.n == 1 else f'{found.n} people'}{emails}{more}; to leave "
            f"them out, {remedy}",
        )


@error(
    "identifying",
    "What tells who made an anonymous release, in any byte of its files, also where it is "
    "compressed: names, paths, hosts, e-mail addresses, serial numbers.",
)
def identifying(found: Iterable[Found | Unsearched]) -> Iterator[Placed]:
    """Name what a search for it has found; a file that cannot be searched may have it too."""
    for one in found:
        if isinstance(one, Unsearched):
            problem = f"{one.problem}, so it may have what identifies; leave the file out"
        else:
            problem = (
                f"has {one.what}, {short(one.text)}; remove it from what the file is made from, or "
                "name it in release.anonymous_keep"
            )
        yield one.path, one.place, problem


class _Form(NamedTuple):
    """A path with ``<id>`` in place of the recording's id, and the kind of such files."""

    path: str
    kind: str


class Release:
    """A release's folder.

    Parameters
    ----------
    root, prefix
        The folder, and how findings name it.
    looked
        Path of a file, as findings name it → what a look at it has found before.

    Attributes
    ----------
    files, unlisted
        Files of the kinds that evreel makes: those that the manifest lists, those that it does not.
    maps
        Label maps.
    looked_at, not_looked_at
        How many files are checked, and how many are not recognized.
    """

    def __init__(
        self, root: Path, prefix: str, looked: Mapping[str, Looked] = MappingProxyType({})
    ) -> None:
        self._root, self._prefix, self.looked = root, prefix, looked
        self._table = prefix + MANIFEST
        kinds = {path: of.kind for path, of in looked.items()}
        folder = Folder(root, prefix, parts=False, kinds=kinds)
        self._findings = folder.findings
        self._manifest = self._read_manifest(root)
        self.files: list[File] = []
        self.maps = folder.maps
        self._lists: list[Entry] = []
        self._samples: list[Entry] = []
        self._annotations: list[Entry] = []
        gone = self.not_looked_at = 0
        own = {file.path for file in folder.maps}
        known = {prefix + name for name in (MANIFEST, *SUMS.values())} | own
        to_make = awaited(self._manifest, lambda path: is_file(root / path))
        for listed in self._manifest.files:
            file = Entry(root / listed.path, prefix + listed.path)
            known.add(file.path)
            if listed.path in to_make:
                continue
            if not file.is_file:
                gone += 1
                problem = "is missing, but the manifest lists it"
                self._findings.append(unreadable(file.path, problem))
                continue
            kind = kinds[file.path] if file.path in kinds else kind_of(file.location)
            if kind is not None:
                id_ = listed.id or id_of(file.location.name)
                self.files.append(File(file.location, file.path, kind, id_))
            elif listed.kind == "split":
                self._lists.append(file)
            elif listed.kind == "samples":
                self._samples.append(file)
            elif file.path not in own:
                self.not_looked_at += 1
                if listed.kind == "annotations":
                    self._annotations.append(file)
        self.unlisted = [file for file in folder.files if file.path not in known]
        checked = (*self.files, *self.unlisted, *self._lists, *self._samples, *self.maps)
        self.looked_at = 1 + gone + len(checked)
        self.not_looked_at += sum(other.path not in known for other in folder.others)

    def _read_manifest(self, root: Path) -> Manifest:
        """Return the readable part of the manifest."""
        try:
            manifest, problems = parse_manifest((root / MANIFEST).read_bytes())
        except (ReleaseError, *DAMAGE) as error:
            self._findings.append(unreadable(self._table, *problem_of(error)))
            return Manifest("", "", "", ())
        self._findings += (unreadable(self._table, problem) for problem in problems)
        return manifest

    def check(self) -> Iterator[Finding]:
        """Yield what is found in the release as a whole; its files are checked separately."""
        listed, recordings = self._manifest.files, self._manifest.recordings
        looked = self.looked
        found = list(self._findings)
        table = [
            Member(self._table, f"recording {id_!r}", id_, row.get("split", ""))
            for id_, row in recordings.items()
        ]
        lines = [
            Member(list_.path, at, id_, list_.location.stem)
            for list_ in self._lists
            for at, id_ in listed_names(list_, found)
        ]
        files = [
            Member(self._prefix + file.path, "", file.id, file.split or "")
            for file in listed
            if file.id
        ]
        yield from found
        sampled = self._sampled()
        yield from self._check_samples(sampled)
        yield from findings(split_recording, [*table, *lines, *files])
        of_one_split = {
            id_: row
            for id_, row in recordings.items()
            if id_ not in sampled or row.get("split") != MIXED
        }
        missing = self._manifest.missing
        of_one_split |= {id_: row for id_, row in missing.items() if row.get("split") != MIXED}
        yield from findings(incomplete, missing, self._manifest.lacks, self._table)
        there = {member.split for member in (*table, *files)}
        yield from findings(empty_split, missing, there, self._table)
        yield from findings(split_group, of_one_split, self._table)
        yield from findings(split_label, self._drawn(), self._table)
        yield from findings(split_bytes, self._stored())
        yield from check_of(split_bytes).findings(self._same_source())
        ids = recordings or {file.id: {} for file in files}
        for form, having in self._forms().items():
            needed = _who_needs(form, ids, sampled)
            yield from findings(missing_file, form.path, having, needed, self._table)
        yield from findings(unknown_id, [*files, *lines], ids)
        heads = (
            looked[file.path].head_of(file) if file.path in looked else read_head(file)
            for file in self.files
            if file.kind == EVENTS.name
        )
        stores = {head.file.id: head for head in heads if head.n is not None}
        yield from findings(n_events, recordings, stores.values())
        yield from findings(made_from, self._origins(), recordings or None)
        is_recipe = any(file.kind == "recipe" for file in listed)
        yield from findings(people, self._annotations, is_recipe)
        if is_anonymous(self._root) and not self.looked:
            words, keep = words_of_machine(), kept_words(self._root)
            yield from findings(identifying, search(self._all_files(), words, keep))

    def _all_files(self) -> Iterator[tuple[str, Path]]:
        for place in sorted(self._root.rglob("*")):
            if is_file(place):
                yield self._prefix + place.relative_to(self._root).as_posix(), place

    def _origins(self) -> Iterator[Made]:
        paths = {file.path for file in self._manifest.files}
        for file in self._manifest.files:
            if file.id and is_file(self._root / file.path):
                digest = partial(getattr, file, "original")
                before = self.looked.get(self._prefix + file.path)
                said = None if before is None else before.said
                made = Made.read(file.path, file.id, self._root / file.path, digest, paths, said)
                yield replace(made, path=self._prefix + file.path)

    def _sampled(self) -> set[str]:
        """Return the recordings that are cut into samples."""
        rows = self._manifest.recordings.items()
        return self._with_samples() | {id_ for id_, row in rows if row.get("samples")}

    def _with_samples(self) -> set[str]:
        """Return the recordings for which a samples file is listed, readable or not."""
        listed = (file.id for file in self._manifest.files if file.kind == "samples" and file.id)
        return {*listed, *(file.id for file in self.files if file.kind == SAMPLES.name)}

    def _check_samples(self, sampled: Collection[str]) -> Iterator[Finding]:
        """Yield what is found in the samples of all recordings together."""
        cuts = read_cuts(self.files)
        split_of = {self._prefix + file.path: file.split for file in self._manifest.files}
        others = {
            row["group"]: (row["split"], f"recording {id_!r}")
            for id_, row in self._manifest.recordings.items()
            if id_ not in sampled and row.get("group") and row.get("split")
        }
        yield from check_cuts(cuts, split_of, others)
        unread = self._with_samples() - {of.id for of in cuts}
        for table in self._samples:
            try:
                rows = read_samples_table(table.location)
            except (EvreelError, *DAMAGE) as error:
                yield unreadable(table.path, *problem_of(error))
                continue
            yield from findings(samples_table, cuts, rows, table.path, unread)

    def _same_source(self) -> Iterator[Placed]:
        recordings = self._manifest.recordings
        for id_, other, column in same_source(recordings):
            split, other_split = (recordings[row]["split"] for row in (id_, other))
            yield (
                self._table,
                f"recording {id_!r}",
                f"has the {column} of {other!r}, and events of the same time; keep them in "
                f"{split} or in {other_split}",
            )

    def _drawn(self) -> Iterator[Drawn]:
        split_of = {self._prefix + file.path: file.split for file in self._manifest.files}
        for file in self.files:
            split = split_of.get(file.path)
            before = self.looked.get(file.path)
            if before is not None:
                labels = before.drawn
            else:
                labels = drawn_labels(file) if split and file.kind == SLICES.name else None
            if split and labels is not None:
                yield Drawn(file.path, split, labels)

    def _stored(self) -> Iterator[Stored]:
        for file in self._manifest.files:
            # Two recordings without labels have the same boxes.
            data = file.kind in MADE_KINDS and not file.path.endswith(OF_BOXES)
            if data and file.split and file.kind not in ("video", "previews"):
                yield Stored(self._prefix + file.path, "", file.split, file.sha256)

    def _forms(self) -> dict[_Form, set[str]]:
        """Return the recordings that have a file of each form."""
        forms: dict[_Form, set[str]] = {}
        for file in self._manifest.files:
            if file.kind in MADE_KINDS and file.id:
                folder, _, name = file.path.rpartition("/")
                if file.split and folder.split("/")[0] == file.split:
                    folder = folder[len(file.split) + 1 :]
                suffix = name.removeprefix(file.id)
                if suffix != name:
                    form = _Form(f"{folder}/<id>{suffix}".lstrip("/"), file.kind)
                    forms.setdefault(form, set()).add(file.id)
        return dict(sorted(forms.items()))


def _who_needs(
    form: _Form, recordings: Mapping[str, Mapping[str, str]], sampled: Collection[str]
) -> set[str]:
    """Return the recordings that need a file of a form.

    Boxes: those that say where their boxes come from, or all if none says. Files made from drawn
    labels: not those that have samples or boxes instead.
    """
    boxed = {id_ for id_, row in recordings.items() if has_boxes(row)}
    if form.path.endswith(OF_BOXES):
        return boxed or set(recordings) - set(sampled)
    if form.kind not in ANNOTATED_KINDS:
        return set(recordings)
    return {id_ for id_, row in recordings.items() if is_annotated(row, id_ in sampled)}
