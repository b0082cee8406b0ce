"""DVS128 Gesture: 11 hand and arm gestures of 29 people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from evreel.acquire import Archive, in_archive, read_source
from evreel.compat.spikingjelly.folder import Divided
from evreel.dataset.table import Row
from evreel.errors import SourceError
from evreel.samples.tables import Assigned
from evreel.text import read_list

__all__ = ["DVS128Gesture"]

_LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}


class DVS128Gesture(Divided):
    """DVS128 Gesture, got by hand: ``download/DvsGesture.tar.gz``.

    Every row of the trials' tables is a sample: 1176 for training, 288 for testing. Class k is
    gesture k + 1 of the tables. Parameters are those of `NeuromorphicDatasetFolder`.
    """

    _config = "dvs128_gesture"
    _beside: ClassVar[Mapping[str, str]] = {
        "gesture_mapping.csv": "109b2ae64a0e1f3ef535b18ad7367fd1",
        "LICENSE.txt": "065e10099753156f18f51941e6e44b66",
        "README.txt": "a0663d3b1d8307c329a43d949ee32d19",
    }

    @classmethod
    def _rows_in(
        cls, archive: Archive, table: Mapping[str, Row], scratch: Path
    ) -> Mapping[str, Row]:
        """Return a row for each trial in the archive's lists; without them, the published rows."""
        like = next(iter(table.values()))
        source = read_source(like["source"])
        folder = PurePosixPath(source.members[0]).parent
        lists = {split: str(folder / name) for split, name in _LISTS.items()}
        if not set(archive.names).issuperset(lists.values()):
            return super()._rows_in(archive, table, scratch)
        rows: dict[str, Row] = {}
        for split, name in lists.items():
            archive.unpack(name, scratch)
            for _, file in read_list(scratch):
                trial = PurePosixPath(file).stem
                if rows.get(trial, {}).get("split", split) != split:
                    raise SourceError(
                        f"lists trial {trial!r}, and so does {_LISTS['train']}",
                        place=f"{archive.path}: {name}",
                        hint="A trial is either for training or for testing.",
                    )
                rows[trial] = {
                    "id": trial,
                    "source": in_archive(source.file, [str(folder / file)]),
                    "sensor": like["sensor"],
                    "split": split,
                    "group": trial.partition("_")[0],
                    "samples": f"!{folder / trial}_labels.csv",
                }
        return rows

    def _names(self, rows: Sequence[Assigned], labels: Sequence[int]) -> list[str]:
        """Return trial and number within its class, which counts from 0."""
        seen: Counter[tuple[str, int]] = Counter()
        names = []
        for row, label in zip(rows, labels, strict=True):
            of_class = row.recording, label
            names.append(f"{row.recording}_{seen[of_class]}")
            seen[of_class] += 1
        return names
