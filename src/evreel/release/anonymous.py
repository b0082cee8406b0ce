"""What an anonymous release leaves out: a file → a copy without it, and counts.

Authors, their page and citation, people and hosts in annotations, and what headers of recordings
state of cameras and machines are left out. What the data mean stays: sizes, biases, timestamps.
`evreel.release.search` then looks for what may be left.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evreel.annotations.cvat.people import copy_without_people, names_in
from evreel.errors import EvreelError, ReleaseError
from evreel.layout import EVENTS
from evreel.provenance import canonical_json, counts_in
from evreel.release.content import ANONYMOUS, SIDECARS
from evreel.release.identity import (
    DATE,
    EMAIL,
    HOST,
    PATH,
    PERSON,
    SERIAL,
    TELLS_NOBODY,
    Word,
    kind_of_key,
    statements,
    words_of_dataset,
    words_of_folder,
    words_of_machine,
    words_of_name,
    words_of_recording,
    words_stated,
    worth,
)
from evreel.release.manifest import REASON, PlanEntry
from evreel.release.search import places_of

_RECORDINGS = (b"#!AER-DAT", b"% ", b"Event Stream", b"MATLAB ")
_LEFT_OUT = ("source", "page")
"""Columns of the recordings table that tell where recordings are from."""
_STATED_IN_JSON = re.compile(
    rb'("(?:annotator|assignee|author|coco_url|contributor|e?mail|flickr_url|owner|url|user(?:_?name)?)'
    rb'"\s*:\s*")((?:[^"\\]|\\.)*)(")'
)
AUTHORS = "Anonymous authors"
"""Who made an anonymous release, as its pages and metadata say."""
_COUNTED_AS = {
    SERIAL: "anonymous_serials",
    DATE: "anonymous_dates",
    PATH: "anonymous_paths",
    PERSON: "anonymous_names",
    HOST: "anonymous_hosts",
    EMAIL: "anonymous_emails",
}
"""What `repairs` call parts of a header that were left out; any other is one of the words."""


class Cleaned(NamedTuple):
    """A copy of a file without what identifies, and how many parts of which kind were left out."""

    path: Path
    counts: Mapping[str, int]


def words_to_find(
    entries: Iterable[PlanEntry],
    recordings: Iterable[str | Path],
    dataset: Mapping[str, Any] | None,
    rows: Mapping[str, Mapping[str, str]] | None = None,
) -> set[Word]:
    """Return all that would tell who made a release.

    Parameters
    ----------
    entries
        Its plan; annotations name people, and events stores have the headers of recordings.
    recordings
        Those of the recordings that are there.
    dataset
        The config's group `dataset`, plain.
    rows
        What is known of each recording.
    """
    found = words_of_machine() | words_of_dataset(dataset or {})
    for row in (rows or {}).values():
        for column, cell in row.items():
            if _tells(column) and column != "source":
                found.add(Word(cell, f"column {column}"))
                if kind_of_key(column.removeprefix("meta.")) == PERSON:
                    found |= words_of_name(cell, f"column {column}")
    for path in recordings:
        found |= words_of_recording(Path(path))
    for entry in entries:
        found |= words_of_folder(entry.source.parent)
        if not entry.source.is_file():
            continue  # whoever builds the release says so
        header = header_of(entry.source)
        if header is not None:
            found |= words_stated(header)
        elif entry.kind == ANONYMOUS:
            names = {*names_in(entry.source), *_stated_in_json(entry.source)}
            for name in names:
                found |= words_of_name(name, "a name in an annotation")
    return worth(found)


def cleaned(source: Path, target: Path, kind: str, words: Collection[Word]) -> Cleaned | None:
    """Make a copy of a file without what identifies; return None if it has nothing of that.

    Parameters
    ----------
    source, target
        The file, and the copy to make.
    kind
        Of the file, as in the plan.
    words
        What would tell who made the release: as `words_to_find` finds it.

    Raises
    ------
    ReleaseError
        If it is a recording, whose header cannot be changed.
    """
    if kind not in (ANONYMOUS, *SIDECARS) and _is_recording(source, kind):
        raise ReleaseError(
            "is a recording: its header, and what is in its packets, may name its camera",
            path=source,
            hint="Leave recordings out of an anonymous release; the events stores have their "
            "events, and a header that was cleaned.",
        )
    header = header_of(source)
    if header is not None:
        text, counts = clean_header(header, words)
        if not counts:
            return None
        _copy_store(source, target, text, counts)
        return Cleaned(target, counts)
    if kind == ANONYMOUS:
        names = names_in(source) | _stated_in_json(source)
        if _is_json(source) and names:
            target.write_bytes(_STATED_IN_JSON.sub(rb"\1\3", source.read_bytes()))
            return Cleaned(target, {_COUNTED_AS[PERSON]: len(names)})
        if copy_without_people(source, target, hosts=True):
            return Cleaned(target, {_COUNTED_AS[PERSON]: len(names)})
        target.unlink()
    return None


def clean_in_place(path: Path, kind: str, words: Collection[Word]) -> Mapping[str, int]:
    """Replace a file by a copy without what identifies, as `cleaned` makes it; return the counts.

    Another name of the same file keeps its bytes.
    """
    copy = cleaned(path, path.with_name(f"{path.name}.cleaned"), kind, words)
    if copy is None:
        return {}
    copy.path.replace(path)
    return copy.counts


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _stated_in_json(path: Path) -> set[str]:
    """Return whom annotations in JSON name, as COCO's do; nobody if they are in another form."""
    if not _is_json(path):
        return set()
    found = _STATED_IN_JSON.finditer(path.read_bytes())
    return {match[2].decode("utf-8", "replace") for match in found} - {""}


def _is_recording(path: Path, kind: str) -> bool:
    with path.open("rb") as file:
        start = file.read(16)
    return kind == "recording" or (start.startswith(_RECORDINGS) and path.suffix != ".bias")


def header_of(path: Path) -> str | None:
    """Return the header of the recording that is kept in an events store; None for other files."""
    from evreel.files import hdf5

    if path.suffix != ".h5":
        return None
    try:
        if hdf5.layout_of(path) != EVENTS.name:
            return None
        with hdf5.open_hdf5(path) as file, hdf5.reading(path, "its header"):
            return str(file["source_header"].asstr()[()])
    except EvreelError:
        return None  # the checks say what is wrong with it


def clean_header(text: str, words: Collection[Word] = ()) -> tuple[str, dict[str, int]]:
    r"""Return a header without what identifies, and how many parts of which kind were left out.

    Keys and lines stay; values go. What a header states once is left out wherever it is.

    Examples
    --------
    >>> clean_header("% serial_number 00001621\n% geometry 640x480\n% evt 3.0\n")
    ('% serial_number \n% geometry 640x480\n% evt 3.0\n', {'anonymous_serials': 1})
    """
    counts: Counter[str] = Counter()
    spans = _joined((start, stop, what) for what, start, stop in statements(text, of_header=True))
    known = {*words, *words_stated(text)}
    text = _without(text, spans, counts)
    for word in sorted(known, key=lambda word: (-len(word.text), word)):
        found = ((start, stop, word.what) for start, stop in places_of(word.text, text))
        text = _without(text, list(found), counts)
    return text, dict(sorted(counts.items()))


def _joined(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return spans of which none overlap, each named as the first that begins it."""
    joined: list[tuple[int, int, str]] = []
    for start, stop, what in sorted(spans):
        if joined and start < joined[-1][1]:
            first, last, name = joined[-1]
            joined[-1] = first, max(last, stop), name
        else:
            joined.append((start, stop, what))
    return joined


def _without(text: str, spans: list[tuple[int, int, str]], counts: Counter[str]) -> str:
    kept, at = [], 0
    for start, stop, what in spans:
        kept.append(text[at:start])
        counts[_COUNTED_AS.get(what, "anonymous_words")] += 1
        at = stop
    return "".join((*kept, text[at:]))


def _copy_store(source: Path, target: Path, header: str, counts: Mapping[str, int]) -> None:
    """Copy an events store, chunks as they are, with another header and the counts in `repairs`."""
    from evreel.files import hdf5
    from evreel.files.repack import copy_attributes

    name = EVENTS["source_header"].name
    with (
        hdf5.open_hdf5(source) as old,
        hdf5.new_file(target, libver=("v110", "v110"), track_order=False) as new,
        hdf5.reading(source, "its content"),
    ):
        for member in old:
            if member != name:
                old.copy(member, new)
        hdf5.add(new, EVENTS[name], header)
        copy_attributes(old["/"], new["/"], source)
        repairs = Counter(counts_in(old.attrs.get("repairs")))
        new.attrs["repairs"] = canonical_json(repairs + Counter(counts) | repairs)


def described(
    config: Mapping[str, Any] | None,
    recordings: Mapping[str, Mapping[str, str]] | None,
    dataset: Mapping[str, Any] | None,
    keep: Sequence[str] = (),
) -> tuple[dict[str, Any], dict[str, dict[str, str]] | None, dict[str, Any]]:
    """Return config, recordings and `dataset` without authors, and without where data are from.

    The config then says that the release is anonymous, and which words it may have.
    """
    about = dict(_of_nobody(dataset or {})) | {"creators": [AUTHORS]}
    told = dict(config or {})
    if isinstance(told.get("dataset"), Mapping):
        told["dataset"] = dict(_of_nobody(told["dataset"]))
    own: dict[str, Any] = {"anonymous": True, **({"anonymous_keep": list(keep)} if keep else {})}
    told["release"] = {**told.get("release", {}), **own}
    rows = None
    if recordings is not None:
        rows = {
            id_: {column: cell for column, cell in row.items() if not _tells(column)}
            for id_, row in recordings.items()
        }
    return told, rows, about


def told_by_nobody(missing: Mapping[str, str]) -> dict[str, str]:
    """Return what is known of a recording that is missing, with the step that failed alone.

    Examples
    --------
    >>> told_by_nobody({"split": "test", "reason": "acquire: SourceError: ada.raw: is empty"})
    {'split': 'test', 'reason': 'acquire'}
    """
    return {**missing, REASON: missing[REASON].partition(":")[0]}


def _tells(column: str) -> bool:
    """Return whether a column of the recordings table tells of people, machines or cameras."""
    free = column.removeprefix("meta.")
    return column in _LEFT_OUT or (free != column and kind_of_key(free) not in ("", DATE))


def _of_nobody(dataset: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in dataset.items() if key in TELLS_NOBODY)


def is_anonymous(folder: Path) -> bool:
    """Return whether the config in a release says that it is anonymous."""
    return bool(_release_settings(folder).get("anonymous"))


def kept_words(folder: Path) -> list[str]:
    """Return the words that a release may have, as the config in it says."""
    words = _release_settings(folder).get("anonymous_keep")
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _release_settings(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        settings = config["release"]
        return settings if isinstance(settings, Mapping) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
