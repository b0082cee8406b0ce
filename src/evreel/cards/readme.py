"""The data card of a release, README.md: the page that a person reads first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from evreel import __version__
from evreel.cards.croissant import CROISSANT
from evreel.cards.huggingface import front_matter
from evreel.cards.index import INDEX
from evreel.cards.loading import plain_sample_lines, python, sample_lines
from evreel.cards.page import INDEX as PAGE
from evreel.cards.page.numbers import duration
from evreel.cards.told import Told, left_out
from evreel.layout import BOXES_SUFFIX, FIRST_SUFFIX, LABEL_MAP
from evreel.release.example import EXAMPLE
from evreel.release.facts import Totals
from evreel.release.manifest import MANIFEST, REASON, SUMS, ListedFile, kind_of
from evreel.release.recipe import MAKING
from evreel.text import counted, size_text

README = "README.md"

MOST_FINDINGS = 20
"""Most findings that are told; `evreel check` tells them all."""
MOST_MISSING = 20
"""Most missing recordings that are told; the manifest has them all."""

_HOW_TO_READ = {
    "features": "A feature's `data` is (windows, channels, height, width); `windows/start_us` and "
    "`windows/stop_us` are its windows.",
    "boxes": "A box (`…_bbox.npy`) has `t` (µs, the end of its video frame), `x`, `y` (left "
    "upper corner, px), `w`, `h` (px), `class_id` (see the label map) and `track_id`. It belongs "
    "to the window with `start_us < t <= stop_us`.",
    "boxes of windows": "Beside a feature with `…_bbox_first.npy`, boxes are in the order of its "
    "windows: window k has the rows `first[k]` to `first[k + 1]`, without the latter. "
    "`…_bbox.json` says whether these are all boxes or, of each track in a window, the last.",
    "samples": "`samples.tsv` has one row per sample: recording, name, class, split. A recording "
    "whose samples belong to several splits is in the folder `mixed/`. "
    "In `samples/<recording>.h5`, `samples/start` and `samples/stop` are rows of the recording's "
    "events; in a feature's file, `samples/window_start` and `samples/window_stop` are the frames "
    "of a sample, and `samples/label` is the number of its class in `labels/name`.",
    "slices": "`labelled/start_us` and `labelled/stop_us` of the slices say when annotators "
    "looked. Within these times, no label means that there was nothing; outside, nobody looked.",
}


_BEFORE_USE = {
    "data_use_cases": "Meant for",
    "data_limitations": "Known limits",
    "data_biases": "Biases",
    "personal_sensitive_information": "Personal information",
    "data_social_impact": "Social impact",
    "data_collection": "How they were collected",
    "data_annotation_protocol": "How they were labelled",
}
"""Key of the group `dataset/rai` → how the card calls it."""

_STEPS = ("events", "samples", "video", "annotate", "slices", "boxes")
"""Groups of the config that say how files were made, in running order; features have their own."""

_TAKEN = {"annotate": ("rois", "tags"), "boxes": ("boxes",)}
"""Step → columns of recordings that it takes one of."""


def readme(told: Told) -> dict[str, bytes]:
    """Return the page."""
    return {README: page(told).encode()}


def page(told: Told) -> str:
    """Return the text of the page, which begins with what the Hugging Face Hub reads of it."""
    paragraphs = [
        f"# {told.title}",
        *_missing(told),
        *_about(told.dataset),
        *_picture(told),
        *_numbers(told),
        *_loading(told),
        *_content(told),
        *_reading(told),
        *_making(told),
        *_before_use(told),
        *_findings(told),
        *_licence_and_citation(told),
        *_verifying(),
    ]
    return front_matter(told) + "\n" + "\n\n".join(paragraphs) + "\n"


def _missing(told: Told) -> Iterator[str]:
    """Yield which recordings of the data set are missing, and why."""
    if not told.missing:
        return
    yield f"**This release is incomplete.** It lacks {_text(told.lacks)}."
    rows = [
        [_text(id_), row.get("split", ""), _text(row.get(REASON, ""))]
        for id_, row in sorted(told.missing.items())[:MOST_MISSING]
    ]
    yield _table(["missing recording", "split", "why"], rows, n_text=3)
    if more := len(told.missing) - len(rows):
        yield f"{more:,} more: see `missing` in `{MANIFEST}`."


def _about(dataset: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a data set is, who made it, and from what, as far as that is stated."""
    if description := (dataset.get("description") or "").strip():
        yield description
    title, page = dataset.get("title"), dataset.get("page")
    if title or page:
        yield f"Data set: {' '.join(filter(None, [title and _text(title), page and f'<{page}>']))}."
    makers = [*(dataset.get("creators") or ()), *(dataset.get("organizations") or ())]
    if makers:
        yield f"Made by {', '.join(makers)}."
    if origins := dataset.get("derived_from"):
        yield f"Made from {', '.join(origins)}."


def _picture(told: Told) -> Iterator[str]:
    """Yield a picture of the recording with the most boxes, of those that have one."""
    if (best := told.picture) is not None:
        yield f"![A moment of recording {best.id}]({_address(best.path)})"


def _numbers(told: Told) -> Iterator[str]:
    """Yield what is counted: recordings, events and time by split, labels by class and split."""
    columns = dict(told.splits)
    if len(columns) != 1:
        columns["all"] = told.totals
    always = ["recordings"]
    if any(one.events for one in told.facts):
        always += ["events", "duration"]
    rows: list[list[str]] = [
        [name, *values]
        for name, values in (
            ("recordings", [f"{of.recordings:,}" for of in columns.values()]),
            ("events", [f"{of.events:,}" for of in columns.values()]),
            ("duration", [duration(of.duration_us) for of in columns.values()]),
            ("annotated", [duration(of.labelled_us) for of in columns.values()]),
            ("boxes", [f"{sum(of.boxes.values()):,}" for of in columns.values()]),
            ("tracks", [f"{sum(of.tracks.values()):,}" for of in columns.values()]),
            ("samples", [f"{sum(of.samples.values()):,}" for of in columns.values()]),
        )
        if name in always or set(values) - {"0", "0 s"}
    ]
    yield "## In numbers"
    yield _table(["", *columns], rows)
    if "mixed" in columns:
        yield (
            "The samples of a recording in `mixed` belong to several splits: each is counted in "
            "its own split, all else in `mixed`."
        )
    yield from _sensors(told)
    yield from _by_class("Boxes", told, columns, {name: of.boxes for name, of in columns.items()})
    yield from _by_class(
        "Samples", told, columns, {name: of.samples for name, of in columns.items()}
    )
    features = sorted({name for one in told.facts for name in one.features})
    if features:
        yield _table(
            ["feature", "representation", "frame", "type", "frames"],
            [_feature(told, name) for name in features],
            n_text=4,
        )


def _sensors(told: Told) -> Iterator[str]:
    """Yield the sizes of sensors, and of how many recordings each is."""
    sizes: dict[tuple[int, int], int] = {}
    for one in told.facts:
        if one.events is not None:
            size = one.events.width, one.events.height
            sizes[size] = sizes.get(size, 0) + 1
    if sizes:
        each = (f"{w} × {h} px ({counted(n, 'recording')})" for (w, h), n in sizes.items())
        yield f"Sensor, width × height: {', '.join(each)}."


def _by_class(
    what: str,
    told: Told,
    columns: Mapping[str, Totals],
    counts: Mapping[str, Mapping[str, int]],
) -> Iterator[str]:
    """Yield a table of what is counted by class and split, and the classes that have none."""
    known = dict.fromkeys([*told.classes, *(name for of in counts.values() for name in of)])
    there = [name for name in known if any(of.get(name) for of in counts.values())]
    if not there:
        return
    yield _table(
        [f"{what} of class", *columns],
        [
            [_text(name) or "no class", *(f"{counts[split].get(name, 0):,}" for split in columns)]
            for name in there
        ],
    )
    if none := [_text(name) for name in known if name not in there]:
        yield f"{what} of other classes: none ({', '.join(none)})."


def _feature(told: Told, name: str) -> list[str]:
    """Return the row of a feature: how its frames are made and how many there are."""
    frames = [one.features[name] for one in told.facts if name in one.features]
    shapes = {" × ".join(map(str, of.shape)) for of in frames}
    return [
        f"`{name}`",
        ", ".join(sorted({of.representation for of in frames})),
        ", ".join(sorted(shapes)),
        ", ".join(sorted({of.dtype for of in frames})),
        f"{sum(of.frames for of in frames):,}",
    ]


def _loading(told: Told) -> Iterator[str]:
    """Yield how the files are loaded: a few lines for the kind of files that most people want."""
    yield "## Load it"
    if told.is_recipe:
        yield f"First make the data: [`{MAKING}`]({MAKING}) says how."
    yield (
        f"In this folder, after `pip install h5py numpy{_plugin(told)}`; `{EXAMPLE}` shows more:"
    )
    yield _code(plain_sample_lines(told) or _plain_lines(told))
    loops = [
        "for split, recordings in release.splits.items():",
        "    print(split, [recording.id for recording in recordings])",
    ]
    found = "files by recording, and boxes by window"
    if of_samples := sample_lines(told):
        found = "samples with their classes"
        is_all = all(one.samples for one in told.facts)
        loops = of_samples if is_all else [*loops, *of_samples]
    yield f"Or with evreel, which finds {found}:"
    yield _code(
        [
            "import evreel",
            "",
            'with evreel.open_release(".") as release:',
            *(f"    {line}" for line in loops),
        ]
    )


def _plain_lines(told: Told) -> list[str]:
    """Return lines of Python that read a file of the release without evreel."""
    paths = {file.path for file in told.files}
    of_kind: dict[str, list[str]] = {"features": [], "events": [], "slices": []}
    for file in sorted(told.files, key=lambda file: file.split != "train"):
        if file.path.endswith(".h5") and kind_of(file) in of_kind:
            of_kind[kind_of(file)].append(file.path)
    lines = ["import h5py, hdf5plugin"] if told.compression == "fast" else ["import h5py"]
    boxed = [path for path in of_kind["features"] if _boxes_of(path) in paths]
    if of_kind["features"]:
        path = next(iter(boxed or of_kind["features"]))
        lines += ["import numpy as np"] if boxed else []
        lines.append(
            f'frames = h5py.File({python(path)})["data"]  # windows, channels, rows, columns'
        )
        if boxed:
            lines.append(
                f"boxes = np.load({python(_boxes_of(path))})  # t, x, y, w, h, class_id, …"
            )
        return [*lines, f"print(frames.shape{', boxes[:2]' if boxed else ''})"]
    if of_kind["events"] or of_kind["slices"]:
        path = next(iter(of_kind["events"] or of_kind["slices"]))
        return [
            *lines,
            f'events = h5py.File({python(path)})["events"]',
            't, x, y, p = (events[name][:1000] for name in "txyp")  # t in µs, p is 1 or 0',
            "print(t[:5], x[:5], y[:5], p[:5])",
        ]
    return [
        "import json",
        "from pathlib import Path",
        f'files = json.loads(Path("{MANIFEST}").read_bytes())["files"]',
        'print(*(file["path"] for file in files), sep="\\n")',
    ]


def _content(told: Told) -> Iterator[str]:
    """Yield the folders, and the files that evreel adds."""
    folders: dict[str, list[ListedFile]] = {}
    for file in told.files:
        folders.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    yield "## What is in it"
    yield _table(
        ["folder", "what", "files", "size"],
        [
            [
                f"`{folder}/`",
                "; ".join(filter(None, (_kinds(inside), left_out(inside)))),
                f"{len(inside):,}",
                size_text(sum(file.size for file in inside)),
            ]
            for folder, inside in sorted(folders.items())
        ],
        n_text=2,
    )
    lines = [
        f"- [`{PAGE}`]({PAGE}): the same in a browser, with plots and each recording",
        f"- `{EXAMPLE}`: how to read all this with h5py and NumPy: `python {EXAMPLE}`",
        f"- `{INDEX}`: a row per recording, for pandas or polars; `{CROISSANT}`: what the data "
        "are, for programs",
    ]
    if any(file.split for file in told.files):
        lines.append("- `splits/`: the recordings of each split, one per line")
    if told.labels:
        lines.append(f"- `{LABEL_MAP}`: class number → name")
    lines += [
        "- `config.json`: the configuration that made it; `versions.json`: the software",
        f"- `{MANIFEST}`: every file with its size, MD5, SHA-256 and what it is; what is known of "
        "each recording",
    ]
    yield "\n".join(lines)


def _kinds(files: Sequence[ListedFile]) -> str:
    return ", ".join(sorted({file.kind for file in files} - {""}))


def _reading(told: Told) -> Iterator[str]:
    """Yield what the arrays mean."""
    kinds = {file.kind for file in told.files}
    if any(file.path.endswith(BOXES_SUFFIX) for file in told.files):
        kinds.add("boxes")
    if any(file.path.endswith(FIRST_SUFFIX) for file in told.files):
        kinds.add("boxes of windows")
    yield "## How to read it"
    yield (
        "Times are whole microseconds since the first event of a recording; intervals are "
        "`[start, stop)`."
    )
    yield from (text for kind, text in _HOW_TO_READ.items() if kind in kinds)
    yield (
        "HDF5 files open with h5py alone."
        if told.compression == "portable"
        else "HDF5 files need a plugin: `pip install hdf5plugin`, and `import hdf5plugin` first."
    )


def _making(told: Told) -> Iterator[str]:
    """Yield the settings that made the files; what is switched off or not given is left out."""
    features = told.config.get("features") or {}
    groups = {name: told.config.get(name) for name in _STEPS if _is_used(told, name)}
    groups |= {f"features/{name}": of for name, of in features.items()}
    lines = [
        f"- {name}: {', '.join(said)}"
        for name, group in groups.items()
        if isinstance(group, Mapping) and (said := list(_said(group)))
    ]
    yield "## How it was made"
    yield (
        f"With evreel {__version__}, from the recordings that `{MANIFEST}` names. `config.json` "
        "has every setting."
    )
    if lines:
        yield "\n".join(lines)


def _is_used(told: Told, step: str) -> bool:
    """Return whether a recording has what a step takes; where nothing is known, it may have."""
    taken = _TAKEN.get(step)
    rows = told.recordings.values()
    return taken is None or not rows or any(row.get(name) for row in rows for name in taken)


def _said(group: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield the settings of a group that say something, groups in it after their own name."""
    for name, value in group.items():
        if isinstance(value, Mapping):
            yield from _said(value, f"{before}{name}/")
        elif value is not None and value is not False and value not in ("", [], ()):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            shown = " ".join(text.replace("`", "'").split())
            yield f"`{before}{name}: {shown}`"


def _before_use(told: Told) -> Iterator[str]:
    """Yield what people should know before they use the data, as far as it is stated."""
    stated = told.dataset.get("rai") or {}
    lines = []
    for key, name in _BEFORE_USE.items():
        if value := stated.get(key):
            each = [value] if isinstance(value, str) else value
            lines.append(f"- **{name}**: {' '.join(' '.join(text.split()) for text in each)}")
    if stated.get("has_synthetic_data"):
        lines.append("- **Simulated data** are among them.")
    if lines:
        yield "## Before you use it"
        yield "\n".join(lines)


def _findings(told: Told) -> Iterator[str]:
    """Yield what the checks found."""
    yield "## Known findings"
    if not told.findings:
        yield "None. `evreel check .` checks again."
        return
    lines = [f"- {_text(str(finding))}" for finding in told.findings[:MOST_FINDINGS]]
    if more := len(told.findings) - len(lines):
        lines.append(f"- {more:,} more: `evreel check .` lists them all")
    yield "\n".join(lines)


def _licence_and_citation(told: Told) -> Iterator[str]:
    yield "## Licence and citation"
    yield f"Licence of the data: {told.licence}, see `LICENSE.txt`."
    citation, page = told.dataset.get("citation"), told.dataset.get("page")
    if citation:
        yield "To cite:"
        yield _fenced(citation.strip(), "")
    else:
        name = told.dataset.get("title") or told.name
        yield f"To cite: {_text(name)}, version {told.version}{f', <{page}>' if page else ''}."


def _verifying() -> Iterator[str]:
    yield "## Verify it"
    yield "With evreel, which also finds files that do not belong here:"
    yield "    evreel verify ."
    yield "Without evreel, in this folder:"
    yield (f"    md5sum --check --quiet {SUMS['md5']}\n    shasum -a 256 --check {SUMS['sha256']}")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], n_text: int = 1) -> str:
    """Return a table; all columns but the first `n_text` have numbers."""
    aligned = ["---"] * n_text + ["---:"] * (len(head) - n_text)
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(aligned)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _code(lines: Sequence[str]) -> str:
    return _fenced("\n".join(lines), "python")


def _fenced(text: str, kind: str) -> str:
    """Return a block of code, within a fence that is longer than any in it."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def _text(text: str) -> str:
    r"""Return a name or message so that Markdown shows it as it is, on one line.

    Examples
    --------
    >>> print(_text("a|b *c* <d>"))
    a\|b \*c\* \<d>
    """
    return re.sub(r"([\\`*_\[\]<|])", r"\\\1", " ".join(text.split()))


def _address(path: str) -> str:
    """Return a path as a link of Markdown has it."""
    return f"<{path}>" if re.search(r"[\s()]", path) else path


def _boxes_of(path: str) -> str:
    """Return where the boxes beside a file of a feature are."""
    return path.removesuffix(".h5") + BOXES_SUFFIX


def _plugin(told: Told) -> str:
    return " hdf5plugin" if told.compression == "fast" else ""
