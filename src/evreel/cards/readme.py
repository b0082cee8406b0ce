"""The page of a release that a person reads first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from evreel.cards.told import Told
from evreel.layout import BOXES_SUFFIX, FIRST_SUFFIX, LABEL_MAP
from evreel.release.example import EXAMPLE
from evreel.release.manifest import MANIFEST, SUMS, ListedFile

_HOW_TO_READ = {
    "features": "A feature's `data` is (windows, channels, height, width); `windows/start_us` and "
    "`windows/stop_us` are its windows.",
    "boxes": "A box (`…_bbox.npy`) has `t` (µs, the end of its video frame), `x`, `y` (left "
    "upper corner, px), `w`, `h` (px), `class_id` (see the label map) and `track_id`. It belongs "
    "to the window with `start_us < t <= stop_us`.",
    "boxes of windows": "Beside a feature with `…_bbox_first.npy`, boxes are in the order of its "
    "windows: window k has the rows `first[k]` to `first[k + 1]`, without the latter. "
    "`…_bbox.json` says whether these are all boxes or, of each track in a window, the last.",
    "samples": "`samples.tsv` has a row a sample: recording, name, class, split. A recording whose "
    "samples are of several splits lies in `mixed/`, so look for it in all of these folders. "
    "In `samples/<recording>.h5`, `samples/start` and `samples/stop` are rows of the recording's "
    "events; in a feature's file, `samples/window_start` and `samples/window_stop` are the frames "
    "of a sample, and `samples/label` is the number of its class in `labels/name`.",
    "slices": "That annotators looked and found nothing differs from that they did not look: the "
    "slices' `labelled/start_us` and `labelled/stop_us` say where they looked.",
}


def about(dataset: Mapping[str, Any]) -> str:
    r"""Return paragraphs that say what a data set is and, if known, what it was made from.

    Parameters
    ----------
    dataset
        ``description`` of what it is, and ``title``, ``page`` and ``citation`` of the data's
        origin, as far as they are known.

    Examples
    --------
    >>> about({"description": "Streets.", "title": "Roads", "page": "https://roads.org"})
    'Streets.\n\nMade from Roads <https://roads.org>.'
    """
    title, page, citation = (dataset.get(key) for key in ("title", "page", "citation"))
    paragraphs = [(dataset.get("description") or "").strip()]
    if title or page:
        paragraphs.append(f"Made from {' '.join(filter(None, [title, page and f'<{page}>']))}.")
    if citation:
        paragraphs.append(f"To cite: {' '.join(citation.split())}")
    return "\n\n".join(filter(None, paragraphs))


def readme(told: Told) -> dict[str, bytes]:
    """Return the page."""
    return {"README.md": _page(told).encode()}


def _page(told: Told) -> str:
    story, files = about(told.dataset), told.files
    folders: dict[str, list[ListedFile]] = {}
    for file in files:
        folders.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    table = [
        f"| `{folder}/` | {len(inside)} | {sum(file.size for file in inside) / 1e6:,.1f} "
        f"| {', '.join(sorted({file.kind for file in inside} - {''}))} |"
        for folder, inside in sorted(folders.items())
    ]
    kinds = {file.kind for file in files}
    if any(file.path.endswith(BOXES_SUFFIX) for file in files):
        kinds.add("boxes")
    if any(file.path.endswith(FIRST_SUFFIX) for file in files):
        kinds.add("boxes of windows")
    lines = [f"# {told.title}", ""]
    if story:
        lines += [story, ""]
    lines += [
        f"Licence of the data: {told.licence}, see `LICENSE.txt`.",
        "",
        "## What is in it",
        "",
        "| folder | files | MB | what |",
        "|---|---:|---:|---|",
        *table,
        "",
    ]
    if any(file.split for file in files):
        lines.append("- `splits/`: the recordings of each split, one a line")
    lines.append(f"- `{EXAMPLE}`: how to read all this with h5py and NumPy: `python {EXAMPLE}`")
    if told.labels:
        lines.append(f"- `{LABEL_MAP}`: class number → name")
    lines += [
        "- `config.json`: the configuration that made it; `versions.json`: the software",
        f"- `{MANIFEST}`: every file with its size, MD5, SHA-256 and what it is; what is known "
        "of each recording",
        "",
        "## How to read it",
        "",
        "Times are whole microseconds since the first event of a recording; intervals are "
        "`[start, stop)`.",
        *(text for kind, text in _HOW_TO_READ.items() if kind in kinds),
        "HDF5 files open with h5py alone."
        if told.compression == "portable"
        else "HDF5 files need a plugin: `pip install hdf5plugin`, and `import hdf5plugin` first.",
        "",
        "## Is it whole?",
        "",
        "With evreel, which also finds what does not belong:",
        "",
        "    evreel verify .",
        "",
        "Without it, in this folder:",
        "",
        f"    md5sum --check --quiet {SUMS['md5']}",
        f"    shasum -a 256 --check {SUMS['sha256']}",
        "",
    ]
    return "\n".join(lines)
