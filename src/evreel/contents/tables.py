"""Describers of text: clocks, tables, a label map."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from evreel.dataset.table import read_known
from evreel.errors import LayoutError
from evreel.files.boxes import label_map
from evreel.files.clock import CLOCK_SUFFIX, read_clock
from evreel.release.manifest import read_plan
from evreel.samples.tables import inputs_of_cut, read_cut, read_samples_table


def clock(path: Path) -> dict[str, Any]:
    """Describe the times that the frames of a video stand for."""
    frames, picture, extra = read_clock(path)
    n = len(frames)
    inputs = {name: text for name, text in extra.items() if text.startswith("sha256:")}
    lasts = np.unique(frames.stop_us - frames.start_us)
    return {
        "recording": path.name.removesuffix(CLOCK_SUFFIX).removesuffix(".tsv"),
        "frames": n,
        "source": frames.source,
        "time_us": [int(frames.start_us[0]), int(frames.stop_us[-1])] if n else None,
        "frame_us": int(lasts[0]) if len(lasts) == 1 else None,
        "frames_last": f"{lasts[0]} to {lasts[-1]} µs" if len(lasts) > 1 else None,
        "sensor": dict(zip(("height", "width"), picture.sensor, strict=True)) if picture else None,
        "pictures": (
            dict(zip(("height", "width"), picture.shape, strict=True)) if picture else None
        ),
        "comments": {name: text for name, text in extra.items() if name not in inputs},
        "inputs": inputs,
    }


def cut(path: Path) -> dict[str, Any]:
    """Describe where the samples of one recording are."""
    found = read_cut(path)
    n = len(found.id)
    return {
        "recording": path.stem,
        "samples": n,
        "by_label": dict(sorted(Counter(found.label).items())),
        "groups": len(set(found.group) - {""}) or None,
        "time_us": [int(found.start_us.min()), int(found.stop_us.max())] if n else None,
        "inputs": inputs_of_cut(path),
    }


def samples_table(path: Path) -> dict[str, Any]:
    """Describe all samples of a data set."""
    rows = read_samples_table(path)
    return {
        "samples": len(rows),
        "recordings": len({row.recording for row in rows}),
        "by_split": dict(sorted(Counter(row.split for row in rows).items())),
        "by_label": dict(sorted(Counter(row.label for row in rows).items())),
    }


def plan(path: Path) -> dict[str, Any]:
    """Describe which files go into a release."""
    entries = read_plan(path)
    missing = [entry for entry in entries if not entry.source.exists()]
    problems = []
    if missing:
        first = f"{missing[0].source} (for {missing[0].path})"
        problems.append(f"{len(missing):,} sources are not there, the first {first}")
    return {
        "files": len(entries),
        "recordings": len({entry.id for entry in entries} - {""}),
        "by_kind": dict(sorted(Counter(entry.kind or "other" for entry in entries).items())),
        "by_split": dict(sorted(Counter(entry.split for entry in entries if entry.split).items())),
        "problems": problems,
    }


def recordings(path: Path) -> dict[str, Any]:
    """Describe a table of recordings."""
    rows = read_known(path)
    columns = {column for row in rows.values() for column in row}
    return {
        "recordings": len(rows),
        "by_split": dict(sorted(Counter(row.get("split", "") for row in rows.values()).items())),
        "columns": sorted(columns),
        "first": list(rows),
    }


def labels(path: Path) -> dict[str, Any]:
    """Describe which number stands for which label."""
    try:
        named = label_map(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LayoutError(
            f"is not a label map: {error}", path=path, hint='Such as {"0": "car", "1": "bus"}.'
        ) from error
    return {"labels": {str(number): name for number, name in named.items()}}
