"""Describers of the HDF5 files that evreel makes, and of boxes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.annotations.forms.records import as_boxes, mapped_records
from evreel.checks.inventory import id_of
from evreel.files.boxes import label_map, read_boxes_of_windows, read_origin
from evreel.files.features import FeaturesFile
from evreel.files.samples import SamplesFile
from evreel.files.slices import SlicesFile
from evreel.layout import COLUMN_CHUNK, LABEL_MAP
from evreel.provenance import digests_in


def slices(path: Path) -> dict[str, Any]:
    """Describe annotated slices."""
    with SlicesFile(path) as file:
        attributes = dict(file._file.attrs)
        windows, labels = file.windows, file.labels
        return {
            "recording": id_of(path.name),
            "sensor": file.sensor._asdict(),
            "slices": len(windows),
            "time_us": [0, file.t_stop_us],
            "events": file.n_events,
            "outside_slices": file.events_outside_slices,
            "regions": by_name(file.rois.label, labels),
            "shapes": file.n_shapes,
            "tags": by_name(file.tags.label, labels),
            "labelled": f"{_total_us(file.labelled) / 1e6:.6f} s",
            "attributes": list(file.attributes.name),
            **made_by(attributes),
            "doubts": list(file.doubts),
        }


def samples(path: Path) -> dict[str, Any]:
    """Describe the samples of a recording."""
    with SamplesFile(path) as file:
        return {
            "recording": file.recording,
            "samples": len(file),
            "by_label": by_name(file.label, file.labels),
            "by_split": dict(sorted(Counter(file.split).items())),
            "time_us": [0, file.t_stop_us],
            **made_by(dict(file._file.attrs)),
        }


def features(path: Path) -> dict[str, Any]:
    """Describe one representation of a recording."""
    with FeaturesFile(path) as file:
        windows, n = file.windows, len(file)
        cut = {"delta_t": "by duration", "n_events": "by count", "number": "a fixed number"}
        return {
            "recording": id_of(path.name),
            "representation": file.representation,
            "settings": file.parameters,
            "shape": list(file.shape),
            "dtype": str(file.dtype),
            "unit": file.unit,
            "sensor": file.sensor._asdict(),
            "windows": cut.get(file.mode, file.mode),
            "window_us": file.delta_t_us if file.mode == "delta_t" else None,
            "count": file.n_events if file.mode == "n_events" else None,
            "time_us": [int(windows.start_us[0]), int(windows.stop_us[-1])] if n else None,
            "geometry": _changed(file.provenance.get("geometry")),
            "samples": None if file.samples is None else len(file.samples.samples),
            "extra": list(file.extra),
            **made_by(file.provenance, said={"representation"}),
        }


def boxes(path: Path) -> dict[str, Any]:
    """Describe boxes, read in pieces."""
    records = mapped_records(path)
    count: Counter[int] = Counter()
    tracks: set[int] = set()
    first = last = None
    as_boxes(records[:0], path)  # its fields, also of a file without boxes
    for start in range(0, len(records), COLUMN_CHUNK):
        piece = as_boxes(records[start : start + COLUMN_CHUNK], path, start)
        numbers, n = np.unique(piece["class_id"], return_counts=True)
        count.update(dict(zip(numbers.tolist(), n.tolist(), strict=True)))
        tracks.update(np.unique(piece["track_id"]).tolist())
        first = int(piece["t"][0]) if first is None else first
        last = int(piece["t"][-1])
    return {
        "recording": id_of(path.name),
        "boxes": len(records),
        "by_label": _named(count, path),
        "tracks": len(tracks),
        "time_us": None if first is None or last is None else [first, last],
        "inputs": read_origin(path)["inputs"],
        "repairs": read_origin(path)["repairs"],
    }


def boxes_of_windows(path: Path) -> dict[str, Any]:
    """Describe boxes in the order of the windows of a feature."""
    found, first = read_boxes_of_windows(path)
    per_window = np.diff(first)
    return {
        "recording": id_of(path.name),
        "boxes": len(found),
        "by_label": _named(Counter(found["class_id"].tolist()), path),
        "tracks": len(np.unique(found["track_id"])),
        "windows": len(per_window),
        "with_boxes": int(np.count_nonzero(per_window)),
        "inputs": read_origin(path)["inputs"],
        "repairs": read_origin(path)["repairs"],
    }


def by_name(numbers: npt.NDArray[Any], names: Iterable[str]) -> dict[str, int]:
    """Return name → how many of the numbers are its own; ``without a label``: those below 0."""
    names = list(names)
    count = Counter(numbers.tolist())
    found = {name: count[k] for k, name in enumerate(names) if count[k]}
    without = sum(n for k, n in count.items() if not 0 <= k < len(names))
    return found | ({"without a label": without} if without else {})


def made_by(attributes: Mapping[str, Any], said: Container[str] = ()) -> dict[str, Any]:
    """Return what root attributes say of how a file was made; parameters that are `said`, not."""
    repairs = _parsed(attributes.get("repairs"))
    parameters = _parsed(attributes.get("parameters"))
    return {
        "parameters": {k: v for k, v in parameters.items() if v is not None and k not in said},
        "repairs": {name: n for name, n in repairs.items() if n},
        "evreel": f"{attributes.get('evreel_version', 'unknown')}",
        "inputs": digests_in(attributes.get("inputs")),
    }


def _parsed(text: object) -> dict[str, Any]:
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _changed(geometry: object) -> dict[str, Any]:
    """Return what of a geometry is not left as it is."""
    return {name: value for name, value in _parsed(geometry).items() if value}


def _named(count: Mapping[int, int], path: Path) -> dict[str, int]:
    """Return counts by names of classes, where a label map lies beside or above the file."""
    names: dict[int, str] = {}
    for folder in path.absolute().parents:
        place = folder / LABEL_MAP
        if place.is_file():
            try:
                names = label_map(place.read_bytes())
            except (OSError, ValueError, RecursionError):
                names = {}
            break
    return {names.get(number, f"class {number}"): count[number] for number in sorted(count)}


def _total_us(spans: Any) -> int:
    return int((spans.stop_us - spans.start_us).sum())
