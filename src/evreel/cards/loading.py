"""Lines of Python that load the labelled samples of a release, as its card and page show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from evreel.cards.told import Told
from evreel.release.manifest import ListedFile, kind_of


def sample_lines(told: Told) -> list[str]:
    """Return lines that load each sample of an open `release`: frames, or events, and its class.

    Empty if it has no samples, or neither frames nor events of them.
    """
    if frames := _of_samples(told, "features"):
        feature = python(PurePosixPath(frames[0].path).parent.name)
        return [
            "for sample in release.samples:",
            f"    frames = release.recordings[sample.recording].features[{feature}]",
            "    print(sample.split, frames[frames.rows_of(sample.sample)].shape, sample.label)",
        ]
    if _of_samples(told, "events"):
        return [
            "for sample in release.samples:",
            "    events = release.recordings[sample.recording].events  # t, x, y, p",
            "    inside = events.read_us(sample.start_us, sample.stop_us)",
            "    print(sample.split, len(inside), sample.label)",
        ]
    return []


def plain_sample_lines(told: Told) -> list[str]:
    """Return lines that do the same with h5py alone, by the table of samples.

    Empty if the release has no such table, or not what it needs.
    """
    table = next((of.path for of in told.files if of.kind == "samples" and not of.id), None)
    frames, events, cut = (_of_samples(told, kind) for kind in ("features", "events", "samples"))
    if table is None or not (frames or (events and cut)):
        return []
    head = [
        f"import glob, h5py{', hdf5plugin' if told.compression == 'fast' else ''}, pathlib",
        f'for line in pathlib.Path({python(table)}).read_text("utf-8").splitlines()[1:]:',
        '    recording, sample, label, group, split, *times = line.split("\\t")',
    ]
    if frames:
        return [
            *head,
            f"    file = {_opening(frames[0])}",
            '    k = list(file["samples/id"].asstr()).index(sample)',
            '    start, stop = file["samples/window_start"][k], file["samples/window_stop"][k]',
            '    print(split, file["data"][start:stop].shape, label)',
        ]
    return [
        *head,
        f"    file, cut = {_opening(events[0])}, {_opening(cut[0])}",
        '    k = list(cut["samples/id"].asstr()).index(sample)',
        '    t, x, y, p = (file["events"][c][cut["samples/start"][k] : cut["samples/stop"][k]]'
        ' for c in "txyp")',
        "    print(split, len(t), label)",
    ]


def python(text: str) -> str:
    """Return a text as Python has it within quotes."""
    return json.dumps(text, ensure_ascii=False)


def _opening(file: ListedFile) -> str:
    """Return what opens the file of a `recording` that is in a place like this file's."""
    parts = PurePosixPath(file.path).parent.parts
    folder = "/".join("*" if part == file.split else part for part in parts)
    pattern = python(f"{folder}/".lstrip("/"))
    return f'h5py.File(*glob.glob({pattern} + recording + ".h5"))'


def _of_samples(told: Told, kind: str) -> Sequence[ListedFile]:
    """Return the files of a kind that recordings with samples have."""
    ids = {sample.recording for sample in told.samples}
    return [
        file
        for file in told.files
        if file.id in ids and kind_of(file) == kind and file.path.endswith(".h5")
    ]
