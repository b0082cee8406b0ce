"""A data set with videos and clocks, but without events, and commands on it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import yaml

from evreel.cli import main
from evreel.cvat.note import Note, read_note
from evreel.files.clock import write_clock
from evreel.timebase import FrameClock
from evreel.video.mp4 import write_mp4
from evreel.video.picture import Picture
from evreel.video.png_zip import write_png_zip

N = 10
SHAPE = (48, 64)
LABELS = ["bush & tree", "car", "Süd", "person"]
CLOCK = FrameClock.regular(N * 10_000, 10_000)


@cache
def video(suffix: str, n: int = N, shape: tuple[int, int] = SHAPE) -> Path:
    """Return a video of black pictures, made once."""
    path = Path(mkdtemp()) / f"video{suffix}"
    pictures = [np.zeros(shape, dtype=np.uint8)] * n
    if suffix == ".zip":
        write_png_zip(path, pictures, shape, FrameClock.regular(n * 10_000, 10_000))
    else:
        write_mp4(path, pictures, shape)
    return path


class CvatData:
    """A data set in the working folder; its recordings are park, street and yard."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.rows: dict[str, dict[str, str]] = {}
        (folder / "my").mkdir()
        (folder / "results" / "video").mkdir(parents=True)
        for name in ("park", "street", "yard"):
            (folder / "my" / f"{name}.aedat4").write_bytes(name.encode())
            self.rows[name] = {}
            self.make(name)
        self.config()

    def config(self, **changes: object) -> None:
        """Write config and table."""
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        lines = ["\t".join(["id", "source", "md5", "split", *columns])]
        for id_, row in self.rows.items():
            cells = [id_, f"my/{id_}.aedat4", "0" * 32, "train"]
            lines.append("\t".join([*cells, *(row.get(name, "") for name in columns)]))
        (self.folder / "my" / "recordings.tsv").write_text("\n".join(lines) + "\n", "utf-8")
        config = {
            "recordings": "my/recordings.tsv",
            "results": "results",
            "labels": LABELS,
            "slices": {"window_us": 20_000},
            "features": {},
            "release": {"name": "tiny", "version": "1.0", "licence": "CC0-1.0"},
            **changes,
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")

    def table(self, **rows: Mapping[str, str]) -> None:
        """Write the table with more in some rows."""
        for id_, row in rows.items():
            self.rows[id_] = dict(row)
        self.config()

    def make(
        self,
        id_: str,
        suffix: str = ".mp4",
        clock: FrameClock = CLOCK,
        shape: tuple[int, int] = SHAPE,
    ) -> None:
        """Put video and clock where a run puts them."""
        folder = self.folder / "results" / "video"
        shutil.copyfile(video(suffix, len(clock), shape), folder / f"{id_}{suffix}")
        write_clock(folder / f"{id_}.clock.tsv", clock, Picture(shape), {"a": "b"})

    def run(self, *arguments: str, server: bool = True) -> int:
        """Run ``evreel cvat``; return its exit code."""
        more = ["--server", self.url] if server else []
        return main(["cvat", *arguments, *more])

    def note_path(self, id_: str = "park") -> Path:
        return self.folder / "results" / "video" / f"{id_}.cvat.json"

    def note(self, id_: str = "park") -> Note:
        found = read_note(self.note_path(id_))
        assert found is not None
        return found

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Return path → bytes and time of change of every file."""
        return {
            path.relative_to(self.folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
