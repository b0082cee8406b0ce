"""Windows of a release, one by one: all frames of a feature, with labels that say what they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from evreel.errors import EvreelError, UsageError
from evreel.loaders.gathered import Gathered, Indices
from evreel.loaders.views import checked_index
from evreel.provenance import canonical_json
from evreel.release.open import Release, ReleasedRecording, open_release


class WindowsDataset:
    """All frames of a feature, recording by recording.

    An example is a dictionary: `frame`, (C, H, W) as it is stored; `recording`, its id; `window`,
    the number of the frame in its file; `t`, the end of its window in µs. It can be pickled, and
    each process opens files for itself.

    Parameters
    ----------
    source
        The release, or its folder.
    feature
        Name of the feature.
    split
        Name of the split; all recordings if left out. Recordings without the feature are left out.
    on_damage
        Whether a recording whose file is damaged or missing is an error, or is left out and
        counted.

    Attributes
    ----------
    release, feature, split : as given.
    labels : `recording`, `window`, `start_us` and `t` of every example, (n,) each.
    counts : ``skipped_recordings``: how many were left out because of `on_damage`.
    digest : what it consists of: the SHA-256 of each file.

    Raises
    ------
    UsageError
        If no recording has the feature.
    EvreelError
        If a file is damaged or missing.
    """

    def __init__(
        self,
        source: Release | str | os.PathLike[str],
        feature: str,
        split: str | None = None,
        *,
        on_damage: Literal["fail", "skip"] = "fail",
    ) -> None:
        if on_damage not in ("fail", "skip"):
            raise UsageError(f"on_damage is {on_damage!r}; it is fail or skip")
        self.release = source if isinstance(source, Release) else open_release(source)
        self.feature = feature
        self.split = split
        self.counts: Counter[str] = Counter(skipped_recordings=0)
        every = self.release.recordings.values() if split is None else self.release.splits[split]
        self._recordings: list[ReleasedRecording] = []
        start_us, stop_us = [], []
        having = [each for each in every if feature in each.features]
        for recording in having:
            try:
                windows = recording.features[feature].windows
            except EvreelError:
                if on_damage == "fail":
                    raise
                self.counts["skipped_recordings"] += 1
                continue
            self._recordings.append(recording)
            start_us.append(windows.start_us)
            stop_us.append(windows.stop_us)
        if not having:
            where = "" if split is None else f" in split {split!r}"
            there = ", ".join(self.release.features) or "none"
            raise UsageError(
                f"no recording{where} has a feature {feature!r}; features are {there}",
                path=self.release.path,
            )
        sizes = [len(part) for part in stop_us]
        self._row = np.repeat(np.arange(len(sizes)), sizes)
        self._first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        ids = np.array([recording.id for recording in self._recordings], dtype=np.str_)
        self.labels: Mapping[str, Any] = {
            "recording": Gathered(ids, Indices(self._row, ("recording",), len(ids))),
            "window": np.arange(len(self._row)) - self._first[self._row],
            "start_us": np.concatenate([np.empty(0, np.int64), *start_us]),
            "t": np.concatenate([np.empty(0, np.int64), *stop_us]),
        }

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, index: int) -> dict[str, Any]:
        k = checked_index(index, len(self))
        recording = self._recordings[self._row[k]]
        window = int(self.labels["window"][k])
        frame = recording.features[self.feature].read(window)
        t = int(self.labels["t"][k])
        return {"frame": frame, "recording": recording.id, "window": window, "t": t}

    def __repr__(self) -> str:
        of = f"{len(self._recordings)} recordings"
        return f"<{len(self)} windows of {self.feature!r}, {of} of {self.release.name}>"

    @property
    def digest(self) -> str:
        """Text that says what it consists of."""
        ids = {recording.id for recording in self._recordings}
        listed = {
            file.id: file.sha256
            for file in self.release.manifest.files
            if file.id in ids
            and file.path.endswith(".h5")
            and PurePosixPath(file.path).parent.name == self.feature
        }
        return canonical_json(["windows", self.feature, listed])

    @property
    def declared(self) -> dict[str, Any]:
        """How ``view.yaml`` names it."""
        split = {} if self.split is None else {"split": self.split}
        arguments = {"feature": self.feature, **split}
        if self.counts["skipped_recordings"]:
            arguments["on_damage"] = "skip"
        path = str(self.release.path)
        return {"loader": "windows", "release": path, "arguments": arguments}
