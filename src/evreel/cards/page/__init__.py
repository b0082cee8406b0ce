"""The page of a release: what it holds, to look at in a browser, from a file and without network.

The page itself has what the data set is as a whole, so it can be read without scripts. Its script
lists the recordings, whose data and pictures are loaded as somebody gets to them.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from string import Template
from typing import Any
from urllib.parse import quote

from evreel.cards.loading import sample_lines
from evreel.cards.page.data import (
    DETAILED,
    LISTED,
    as_json,
    findings_of_recordings,
    list_path,
    pieces,
)
from evreel.cards.page.markup import Markup, clean, joined, name, table, tag
from evreel.cards.page.numbers import count, duration, rounded
from evreel.cards.page.plots import colour, figures
from evreel.cards.told import Told, left_out
from evreel.layout import OF_BOXES
from evreel.release.example import EXAMPLE
from evreel.release.facts import Totals
from evreel.release.licences import address_of
from evreel.release.manifest import MANIFEST, SUMS, ListedFile
from evreel.release.recipe import MAKING
from evreel.samples.tables import Assigned
from evreel.text import counted, size_text
from evreel.video.canvas import Theme
from evreel.video.labelled import colour_of

INDEX = "index.html"
"""Name of the page in a release."""

_MOST_FINDINGS = 100
_MOST_COLOURS = 500
_MOST_OPEN = 30  # classes; a longer table is closed at first

_RAI = {
    "data_collection": "How the data were collected",
    "data_annotation_protocol": "How they were labelled",
    "data_use_cases": "What they are for",
    "data_limitations": "Known limits",
    "data_biases": "Known biases",
    "personal_sensitive_information": "Personal information",
    "data_social_impact": "Social impact",
    "data_release_maintenance_plan": "Maintenance",
}
"""What a config may state about the data → what the page calls it."""


def page(told: Told) -> dict[str, bytes]:
    """Return the files of the page: path in the release → bytes."""
    assets = importlib.resources.files(__name__)
    read = {each: (assets / each).read_text(encoding="utf-8") for each in ("page.css", "page.js")}
    template = Template((assets / "page.html").read_text(encoding="utf-8"))
    return {
        INDEX: template.substitute(_parts(told)).encode(),
        **{f"page/{each}": text.encode() for each, text in read.items()},
        **dict(pieces(told)),
    }


def _parts(told: Told) -> dict[str, str]:
    """Return what stands in the places of the template."""
    return {
        "title": tag("title", told.dataset.get("title") or told.name, " ", told.version),
        "colours": tag("style", Markup(_colours(told))),
        "header": joined(_header(told)),
        "tiles": tag("dl", *_tiles(told), class_="tiles"),
        "splits": joined(_splits(told)),
        "classes": joined(_classes(told)),
        "figures": joined(figures(told)),
        "contents": _contents(told),
        "use": joined(_use(told)),
        "about": joined(_about(told)),
        "findings": joined(_findings(told)),
        "options": joined(tag("option", name_, value=name_) for name_ in told.splits),
        "class_options": joined(
            tag("option", label, value=k) for k, label in enumerate(told.classes)
        ),
        "recordings": count(len(told.facts)),
        "data": as_json(
            {
                "classes": told.classes,
                "recordings": len(told.facts),
                "lists": [list_path(k) for k in range(-(-len(told.facts) // LISTED))],
                "detailed": DETAILED,
            }
        ),
    }


def _header(told: Told) -> Iterator[Markup]:
    """Yield what the data set is, and a picture of it."""
    about = told.dataset
    text = [
        tag("h1", name(about.get("title") or told.name), " ", tag("small", told.version)),
        tag("p", _summary(told), class_="summary"),
    ]
    if told.missing:
        text.append(tag("p", f"Incomplete: it lacks {told.lacks}.", class_="doubt"))
    if about.get("description"):
        text += _paragraphs(about["description"])
    people = [_person(who) for key in ("creators", "organizations") for who in about.get(key) or ()]
    if people:
        text.append(tag("p", *_between(people, ", "), class_="people"))
    links = [_link("README.md", "README")] + [
        _link(path, text) for path, text in ((MANIFEST, "manifest"), ("LICENSE.txt", "licence"))
    ]
    if about.get("page"):
        links.insert(0, _outside(about["page"], "Web page"))
    text.append(tag("p", *_between(links, " · "), class_="links"))
    yield tag("div", *text)
    if (best := told.picture) is not None:
        says = f"A moment of recording {best.id}"
        yield tag("img", src=_address(best.path), alt=says, class_="hero")


def _summary(told: Told) -> str:
    """Return one sentence with the main numbers."""
    total = told.totals
    said = [counted(total.recordings, "recording")]
    if total.duration_us:
        said.append(duration(total.duration_us))
    if any(one.events for one in told.facts):
        said.append(counted(total.events, "event"))
    for n, what in ((sum(total.boxes.values()), "box"), (sum(total.samples.values()), "sample")):
        if n:
            said.append(counted(n, what))
    if told.labels:
        said.append(counted(len(told.labels), "class"))
    return ", ".join(said)


def _person(text: str) -> Markup:
    """Return a name, with its address as a link where it is followed by one: Name <https://…>."""
    said, _, address = text.partition("<")
    address = address.rstrip("> ")
    return _outside(address, said.strip()) if _is_web(address) else name(text)


def _tiles(told: Told) -> Iterator[Markup]:
    total = told.totals
    sensors = sorted({(of.width, of.height) for one in told.facts if (of := one.events)})
    size = sum(file.size for file in told.files)
    tracks = sum(total.tracks.values())
    sizes = [f"{width} × {height}" for width, height in sensors[:3]]
    yield _tile("Recordings", count(total.recordings), _parts_of(told))
    if sensors:
        yield _tile("Events", count(total.events), _rate(total))
        yield _tile("Time", duration(total.duration_us), _labelled(total))
        yield _tile("Sensor, px", sizes, f"of {len(sensors)} sizes" if len(sensors) > 3 else "")
    if total.boxes:
        boxes = sum(total.boxes.values())
        yield _tile("Boxes", count(boxes), f"of {counted(tracks, 'object')}")
    if total.samples:
        yield _tile("Samples", count(sum(total.samples.values())))
    if told.labels:
        yield _tile("Classes", count(len(told.labels)))
    files = [counted(len(told.files), "file"), left_out(told.files)]
    yield _tile("Data", size_text(size), ", ".join(filter(None, files)))


def _tile(what: str, values: str | list[str], more: str = "") -> Markup:
    each = [values] if isinstance(values, str) else values
    shown = _between([tag("b", value) for value in each], ", ")
    below = [tag("span", more)] if more else []
    size = "long" if len(each) > 1 or len(each[0]) > 9 else None
    return tag("div", tag("dt", what), tag("dd", *shown, *below, class_=size))


def _parts_of(told: Told) -> str:
    of = [(split, of.recordings) for split, of in told.splits.items() if of.recordings]
    return " · ".join(f"{split} {count(n)}" for split, n in of)


def _rate(total: Totals) -> str:
    return (
        f"{rounded(total.events / total.duration_us * 1e6)} per second" if total.duration_us else ""
    )


def _labelled(total: Totals) -> str:
    return f"{duration(total.labelled_us)} annotated" if total.labelled_us else ""


def _splits(told: Told) -> Iterator[Markup]:
    """Yield the table of splits: what each has, and for how long."""
    columns: list[tuple[str, Any]] = [
        ("Recordings", lambda of: count(of.recordings)),
        ("Time", lambda of: duration(of.duration_us)),
        ("Events", lambda of: count(of.events)),
        ("Annotated", lambda of: duration(of.labelled_us)),
        ("Boxes", lambda of: count(sum(of.boxes.values()))),
        ("Objects", lambda of: count(sum(of.tracks.values()))),
        ("Samples", lambda of: count(sum(of.samples.values()))),
        ("Time in samples", lambda of: ""),
    ]
    total = told.totals
    timed = any(one.events for one in told.facts)
    has = {
        "Time": timed,
        "Events": timed,
        "Annotated": total.labelled_us,
        "Boxes": total.boxes,
        "Objects": total.tracks,
        "Samples": total.samples,
        "Time in samples": told.samples,
    }
    columns = [column for column in columns if has.get(column[0], True)]
    sampled = _time_of_samples(told, lambda sample: sample.split)

    def row(split: str, of: Totals, title: Markup) -> list[str]:
        cells = [
            duration(sum(sampled.values()) if split == "" else sampled.get(split, 0))
            if what == "Time in samples"
            else text(of)
            for what, text in columns
        ]
        return [title, *cells]

    rows = [row(split, of, name(split)) for split, of in told.splits.items()]
    yield table(
        ["Split", *(what for what, _ in columns)],
        rows,
        foot=row("", total, Markup("All")),
        caption="Numbers by split",
    )
    if "mixed" in told.splits:
        yield tag(
            "p",
            "Samples of a recording in mixed belong to several splits; each is counted in its own.",
            class_="note",
        )


def _time_of_samples(told: Told, key: Callable[[Assigned], str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for sample in told.samples:
        found[key(sample)] = found.get(key(sample), 0) + sample.stop_us - sample.start_us
    return found


def _classes(told: Told) -> Iterator[Markup]:
    """Yield the table of classes: how often, in how many recordings and frames."""
    total = told.totals
    if not told.labels and not total.boxes and not total.samples:
        yield tag("p", "No labels: this data set has recordings alone.", class_="note")
        return
    labels = [*told.classes, *sorted({*total.boxes, *total.samples}.difference(told.classes))]
    frames: dict[str, int] = {}
    recordings: dict[str, int] = {}
    for one in told.facts:
        seen = {label for of in (one.samples or {}).values() for label in of}
        for label, of in (one.boxes or {}).items():
            seen.add(label)
            frames[label] = frames.get(label, 0) + of.frames
        for label in seen:
            recordings[label] = recordings.get(label, 0) + 1
    sampled = _time_of_samples(told, lambda sample: sample.label)
    head, rows = ["Class", "Recordings"], []
    if total.boxes:
        head += ["Boxes", "Objects", "Frames with boxes"]
    if total.samples:
        head.append("Samples")
    if told.samples:
        head.append("Time in samples")
    for label in labels:
        key = tag("span", class_="key", style=f"background:{colour(told, label)}")
        cells = [joined([key, name(label)]), count(recordings.get(label, 0))]
        if total.boxes:
            cells += [count(of.get(label, 0)) for of in (total.boxes, total.tracks, frames)]
        if total.samples:
            cells.append(count(total.samples.get(label, 0)))
        if told.samples:
            cells.append(duration(sampled.get(label, 0)))
        rows.append(cells)
    found = table(head, rows, caption="Numbers by class")
    if len(rows) > _MOST_OPEN:
        found = tag("details", tag("summary", f"All {count(len(rows))} classes"), found)
    yield found


_CONTENTS = {
    "annotations": "what people drew and noted, as it was exported",
    "anonymous_annotations": "what people drew and noted, without their names",
    "boxes": "boxes: time, place, size, class and track of each",
    "events": "events: t, x, y, p, and an index by milliseconds",
    "features": "frames of a representation",
    "previews": "short videos and pictures of recordings",
    "recording": "recordings as they were published",
    "samples": "which events make a sample, its class and its split",
    "sidecars": "biases, calibration, hot pixels",
    "slices": "events, each with the object that it belongs to",
    "video": "the videos that people annotated, and the times of their frames",
}
"""Kind of files → what is in them."""


def _contents(told: Told) -> Markup:
    """Return the table of what files there are: how many, and how large."""
    made = {name: of for one in told.facts for name, of in one.features.items()}
    found: dict[tuple[str, str], list[ListedFile]] = {}
    for file in told.files:
        feature = PurePosixPath(file.path).parent.name if file.kind == "features" else ""
        kind = "boxes" if file.path.endswith(OF_BOXES) and file.kind != "features" else file.kind
        found.setdefault((kind, feature), []).append(file)
    rows = []
    for (kind, feature), files in sorted(found.items()):
        what = _CONTENTS.get(kind, "")
        if feature in made:
            what = f"frames of {made[feature].representation}, {made[feature].dtype}"
        what = "; ".join(filter(None, (what, left_out(files))))
        title = f"{kind}: {feature}" if feature else kind or "other files"
        size = sum(file.size for file in files)
        rows.append([name(title), name(what), count(len(files)), size_text(size)])
    return table(["Kind", "What is in them", "Files", "Size"], rows, caption="Files by kind")


def _use(told: Told) -> Iterator[Markup]:
    """Yield how to load the data, and how to see whether they are whole."""
    folder = f"{told.name}-{told.version}"
    loop = ["for recording in release.recordings.values():"]
    if any(one.events for one in told.facts):
        loop += [
            "    events = recording.events.read(0, 1000)  # t, x, y, p",
            "    print(recording.id, recording.kinds, events.t)",
        ]
    else:
        loop.append("    print(recording.id, recording.split, recording.kinds)")
    if of_samples := sample_lines(told):
        loop = of_samples if all(one.samples for one in told.facts) else [*loop, *of_samples]
    opening = f'release = evreel.open_release("{folder}")'
    code = "\n".join(["import evreel", opening, *loop])
    plugin = "" if told.compression == "portable" else "; this release needs hdf5plugin as well"
    yield tag("h3", "Load")
    if told.is_recipe:
        yield tag("p", "First make the data: ", _link(MAKING, MAKING), " says how.")
    yield _code(code, "How to load it in Python")
    yield tag(
        "p",
        _link(EXAMPLE, EXAMPLE),
        f" reads it without evreel, with h5py and NumPy alone{plugin}.",
    )
    yield tag("h3", "Verify")
    yield _code(
        f"evreel verify {folder}\n\n# or, without evreel, in the folder\n"
        f"md5sum --check --quiet {SUMS['md5']}\nshasum -a 256 --check {SUMS['sha256']}",
        "How to verify it",
    )


def _code(text: str, label: str) -> Markup:
    return tag("pre", tag("code", text), tabindex=0, role="region", aria_label=label)


def _about(told: Told) -> Iterator[Markup]:
    """Yield licence, citation, what is stated about the data, and how they were made."""
    about, known = told.dataset, address_of(told.licence)
    yield tag("h3", "Licence")
    said = _outside(known[1], f"{known[0]} ({told.licence})") if known else name(told.licence)
    yield tag("p", said, "; see ", _link("LICENSE.txt", "LICENSE.txt"))
    if about.get("citation"):
        yield tag("h3", "Citation")
        yield _code(about["citation"].strip(), "What to cite")
    stated = about.get("rai") or {}
    for key, title in _RAI.items():
        if stated.get(key):
            yield tag("h3", title)
            texts = [stated[key]] if isinstance(stated[key], str) else stated[key]
            yield from (part for text in texts for part in _paragraphs(text))
    yield tag("h3", "How it was made")
    yield tag(
        "p",
        _link("config.json", "config.json"),
        " has the configuration that made it, ",
        _link("versions.json", "versions.json"),
        " the software, ",
        _link(MANIFEST, MANIFEST),
        " every file with its size and digests.",
    )


def _findings(told: Told) -> Iterator[Markup]:
    """Yield what checks found."""
    of_recordings, others = findings_of_recordings(told)
    if not told.findings:
        yield tag("p", "evreel's checks found nothing to report.")
        return
    errors = sum(finding.severity == "error" for finding in told.findings)
    said = f"{counted(errors, 'error')}, {counted(len(told.findings) - errors, 'warning')}"
    more = f"; those of {counted(len(of_recordings), 'recording')} are beside them as well"
    yield tag("p", f"evreel's checks found {said}{more if of_recordings else ''}.")
    rows = [
        [
            f"{finding.severity}: {finding.check}",
            name(finding.path),
            ": ".join(filter(None, (finding.place, finding.problem))),
        ]
        for finding in (*others, *(one for of in of_recordings.values() for one in of))
    ]
    found = table(
        ["Check", "File", "Finding"], rows[:_MOST_FINDINGS], caption="Findings", is_text=True
    )
    if len(rows) > _MOST_FINDINGS:
        found = joined([found, tag("p", f"and {count(len(rows) - _MOST_FINDINGS)} more")])
    yield tag("details", tag("summary", "All findings"), found)


def _colours(told: Told) -> str:
    """Return the colours of classes, the same as in videos, for both themes."""

    def rules(theme: Theme) -> str:
        numbers = range(min(len(told.labels), _MOST_COLOURS))
        return "".join(
            f"--class-{k}:rgb{colour_of(k, -1, theme)};".replace(" ", "") for k in numbers
        )

    light, dark = rules("light"), rules("dark")
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _paragraphs(text: str) -> list[Markup]:
    """Return the paragraphs of a text, between which a line is empty; `so` is code."""
    found = []
    for part in re.split(r"\n\s*\n", text.strip()):
        pieces = re.split("`([^`]+)`", part)
        found.append(tag("p", *(tag("code", of) if k % 2 else of for k, of in enumerate(pieces))))
    return found


def _address(path: str) -> str:
    """Return the relative address of a file of the release."""
    return quote(clean(path))


def _link(path: str, text: str) -> Markup:
    return tag("a", text, href=_address(path))


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _outside(address: str, text: str) -> Markup:
    """Return a link to the web; a text alone if the address is of another kind."""
    if not _is_web(address):
        return name(text)
    return tag("a", name(text), href=address, rel="noopener noreferrer")


def _between(parts: Sequence[Markup], between: str) -> Iterator[str]:
    for k, part in enumerate(parts):
        if k:
            yield between
        yield part
