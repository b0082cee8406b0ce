"""All frames of a feature, one by one, with labels that say what they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from evreel.errors import EvreelError
from evreel.files.opened import OpenFiles
from evreel.loaders.arguments import check_on_damage, checked_index
from evreel.loaders.damage import OnDamage, is_left_out
from evreel.loaders.sources import Files, Frames, Metadata, Source, sources_of
from evreel.loaders.views.gathered import Gathered, Indices
from evreel.provenance import canonical_json, sha256
from evreel.release.open import given_release
from evreel.timebase import Int64Array


class WindowsDataset:
    """All frames of a feature, recording by recording.

    An example is a dictionary: `frame`, (C, H, W) float32; `boxes` of its window, records of
    `evreel.layout.BOX_DTYPE`; `recording`, its id; `window`, the number of the frame in its file;
    `t`, the end of its window in µs. It can be pickled, and each process opens files for itself.

    Parameters
    ----------
    source
        A release or its folder; or features files, one by one, by wildcards, or a folder of them;
        or recordings of a release, one by one.
    feature
        Name of a release's feature; may be left out if it has only one.
    split
        Which recordings and samples of a release; all if left out.
    on_damage
        Whether a recording whose file is damaged or missing is an error, or is left out and
        counted.

    Attributes
    ----------
    labels : `recording`, `sample` (its id; empty if the recording is not cut), `window`,
        `start_us` and `t` of every example, (n,) each.
    counts : ``skipped_recordings``: how many were left out because of `on_damage`.

    Raises
    ------
    UsageError
        If there is no such feature, or no recording.
    EvreelError
        If a file is damaged or missing.
    """

    def __init__(
        self,
        source: Files,
        feature: str | None = None,
        split: str | None = None,
        *,
        on_damage: OnDamage = "fail",
    ) -> None:
        check_on_damage(on_damage)
        self._release = given_release(source)
        files = source if self._release is None else self._release
        self._feature, self._split = feature, split
        self.counts: Counter[str] = Counter(skipped_recordings=0)
        self._sources: list[Source] = []
        self._metadata: list[Metadata] = []
        rows, start_us, stop_us = [], [], []
        samples: list[str] = []
        n_of_sample: list[int] = []
        for each in sources_of(files, feature=feature, split=split):
            try:
                with each.open() as frames:
                    wanted = _rows_of(frames)
                    windows = frames.windows
                    ids = _samples_of(frames)
                    sizes = np.diff(frames.segments)[:, 0].tolist()
                    self._metadata.append(frames.metadata)
            except EvreelError as error:
                if not is_left_out(error, on_damage):
                    raise
                self.counts["skipped_recordings"] += 1
                continue
            self._sources.append(each)
            rows.append(wanted)
            samples += ids
            n_of_sample += sizes
            start_us.append(windows.start_us[wanted])
            stop_us.append(windows.stop_us[wanted])
        self._of = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        of_sample = np.repeat(np.arange(len(samples)), n_of_sample)
        self._open = OpenFiles()
        self.labels: Mapping[str, Any] = {
            "recording": _texts("recording", [each.name for each in self._sources], self._of),
            "sample": _texts("sample", samples, of_sample),
            "window": _together(rows),
            "start_us": _together(start_us),
            "t": _together(stop_us),
        }

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, index: int) -> dict[str, Any]:
        k = checked_index(index, len(self))
        number, window = int(self._of[k]), int(self.labels["window"][k])
        frames = self._open.get(number, self._sources[number].open)
        frame = np.empty((1, *frames.metadata.shape), dtype=np.float32)
        frames.read(window, window + 1, frame)
        [boxes] = frames.boxes(window, window + 1)
        return {
            "frame": frame[0],
            "boxes": boxes,
            "recording": self._sources[number].name,
            "window": window,
            "t": int(self.labels["t"][k]),
        }

    def __repr__(self) -> str:
        return f"<{len(self)} windows of {len(self._sources)} recordings>"

    @cached_property
    def digest(self) -> str:
        """Text that says what it consists of: the SHA-256 of each file, and which windows.

        A release's manifest has them; other files are read.
        """
        known = {}
        if self._release is not None:
            root = self._release.path
            known = {root / file.path: file.sha256 for file in self._release.manifest.files}
        paths = [each.path for each in self._metadata]
        files = [known.get(path) or sha256(path) for path in paths]
        window = hashlib.sha256(np.asarray(self.labels["window"], "<i8").tobytes())
        return canonical_json(["windows", files, window.hexdigest()])

    @property
    def declared(self) -> dict[str, Any] | None:
        """How ``view.yaml`` names it; None if it is not of a release."""
        if self._release is None:
            return None
        named = {"feature": self._feature, "split": self._split}
        arguments = {name: value for name, value in named.items() if value is not None}
        if self.counts["skipped_recordings"]:
            arguments["on_damage"] = "skip"
        path = str(self._release.path)
        return {"loader": "windows", "release": path, "arguments": arguments}


def _rows_of(frames: Frames) -> Int64Array:
    """Return the numbers of all frames of a recording that are wanted."""
    return _together([np.arange(start, stop) for start, stop in frames.segments.tolist()])


def _texts(name: str, texts: Sequence[str], rows: Int64Array) -> Gathered:
    """Return a label that has few values, each once in memory."""
    return Gathered(np.array(texts, dtype=np.str_), Indices(rows, (name,), len(texts)))


def _samples_of(frames: Frames) -> list[str]:
    """Return the id of the sample that each segment is; empty if the recording is not cut."""
    if frames.samples is None:
        return [""] * len(frames.segments)
    of, bounds = frames.samples.samples, frames.samples.bounds
    rows = np.searchsorted(bounds, frames.segments[:, 0], side="right") - 1
    return [of.id[row] for row in rows.tolist()]


def _together(parts: Sequence[Int64Array]) -> Int64Array:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
