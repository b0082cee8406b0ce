"""What a page knows of each recording, in pieces that it loads when it needs them.

A page that is opened as a file may load scripts, and nothing else: so each piece is a script that
calls a function of the page's. Lists have what every row needs, to be searched and sorted; details
are loaded for a recording that somebody looks into.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evreel.cards.page.markup import clean
from evreel.cards.told import Told
from evreel.checks.finding import Finding
from evreel.release.facts import RecordingFacts
from evreel.release.manifest import ListedFile

LISTED = 1000
"""Recordings in a piece of the list."""

DETAILED = 50
"""Recordings in a piece of details."""

_SHOWN_APART = ("id", "split", "group")


def pieces(told: Told) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts with what the page lists of recordings: path in the release, bytes."""
    findings, _ = findings_of_recordings(told)
    files = _files(told)
    listed = [
        _listed(told, one, files.get(one.id, ()), findings.get(one.id, ())) for one in told.facts
    ]
    for k, first in enumerate(range(0, len(listed), LISTED)):
        yield list_path(k), _call("list", k, listed[first : first + LISTED])
    for k, first in enumerate(range(0, len(told.facts), DETAILED)):
        details = [
            _details(told, one, files.get(one.id, ()), findings.get(one.id, ()))
            for one in told.facts[first : first + DETAILED]
        ]
        yield f"page/details-{k + 1:04d}.js", _call("details", k, details)


def list_path(k: int) -> str:
    """Return the path of a piece of the list."""
    return f"page/recordings-{k + 1:04d}.js"


def findings_of_recordings(told: Told) -> tuple[dict[str, list[Finding]], list[Finding]]:
    """Return what checks found in files of each recording, id → findings, and all else."""
    of_path = {file.path: file.id for file in told.files}
    found: dict[str, list[Finding]] = {}
    others = []
    for finding in told.findings:
        id_ = of_path.get(finding.path)
        if id_:
            found.setdefault(id_, []).append(finding)
        else:
            others.append(finding)
    return found, others


def _files(told: Told) -> dict[str, list[ListedFile]]:
    """Return the files of each recording: id → files."""
    found: dict[str, list[ListedFile]] = {}
    for file in told.files:
        if file.id:
            found.setdefault(file.id, []).append(file)
    return found


def _listed(
    told: Told,
    one: RecordingFacts,
    files: Sequence[ListedFile],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    """Return what the list has of a recording; what is empty is left out."""
    row = told.recordings.get(one.id, {})
    paths = [file.path for file in files if file.kind == "previews" and not file.withheld]
    boxes = sum(of.boxes for of in (one.boxes or {}).values())
    samples = sum(n for of in (one.samples or {}).values() for n in of.values())
    labels = {label for label, of in (one.boxes or {}).items() if of.boxes}
    labels |= {label for of in (one.samples or {}).values() for label in of if label}
    names = {label: k for k, label in enumerate(told.classes)}
    events = one.events
    return _full(
        id=one.id,
        split=one.split,
        splits=sorted(one.samples or ()),
        group=row.get("group"),
        events=None if events is None else events.events,
        us=None if events is None else events.duration_us,
        sensor=None if events is None else f"{events.width} × {events.height}",
        labelled=one.labelled_us,
        boxes=boxes,
        samples=samples,
        classes=sorted(names[label] for label in labels if label in names),
        findings=len(findings),
        video=next((path for path in paths if path.endswith(".mp4")), None),
        poster=next((path for path in paths if path.endswith(".jpg")), None),
        meta=[value for key, value in sorted(row.items()) if key.startswith("meta.")],
    )


def _details(
    told: Told,
    one: RecordingFacts,
    files: Sequence[ListedFile],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    """Return what else the page shows of a recording."""
    names = {label: k for k, label in enumerate(told.classes)}
    row = told.recordings.get(one.id, {})
    events = one.events
    return _full(
        rate=None if events is None else list(events.rate),
        on=None if events is None else events.on,
        boxes=[
            {
                "class": names.get(label, -1),
                "name": label,
                "boxes": of.boxes,
                "tracks": of.tracks,
                "time": [round(n, 3) for n in of.over_time],
            }
            for label, of in sorted(
                (one.boxes or {}).items(), key=lambda item: names.get(item[0], len(names))
            )
        ],
        samples=[
            [split, label, n]
            for split, of in sorted((one.samples or {}).items())
            for label, n in sorted(of.items())
        ],
        features=[
            [name, of.representation, of.frames, " × ".join(map(str, of.shape)), of.dtype]
            for name, of in sorted(one.features.items())
        ],
        columns=[[key, row[key]] for key in sorted(row) if key not in _SHOWN_APART and row[key]],
        findings=[[of.severity, of.check, of.path, of.place, of.problem] for of in findings],
        files=[
            [file.path, file.size, *([1] if file.withheld else [])]
            for file in sorted(files, key=lambda file: file.path)
        ],
    )


def _full(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], 0)}


def _call(name: str, k: int, value: Any) -> bytes:
    return f"evreel.{name}({k},{as_json(value)});\n".encode()


def as_json(value: Any) -> str:
    r"""Return plain JSON that may stand in a script, also within HTML.

    Examples
    --------
    >>> as_json({"a": "</script>\ud800"})
    '{"a":"\\u003c/script>\\ufffd"}'
    """
    text = json.dumps(_cleaned(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(key): _cleaned(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(of) for of in value]
    return value
