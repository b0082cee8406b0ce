"""Tables of what a release holds, as Parquet: one row per recording, and one per sample.

pandas, polars, DuckDB, ``datasets`` and the viewer of the Hugging Face Hub read them. Beside the
whole table are its parts by split, because ``datasets`` takes a file for a split.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evreel.release.facts import RecordingFacts
from evreel.release.manifest import ListedFile, kind_of
from evreel.samples.splits import SPLITS
from evreel.samples.tables import Assigned

if TYPE_CHECKING:
    import pyarrow as pa

    from evreel.cards.told import Told

INDEX = "index.parquet"
SAMPLES_INDEX = "index_samples.parquet"

Type = Literal["text", "texts", "whole number"]


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, type, meaning, and its values in the order of the rows."""

    name: str
    type: Type
    meaning: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Table:
    """A table of a release.

    Parameters
    ----------
    name
        ``recordings`` or ``samples``: what a row is of.
    path
        Of the whole table.
    meaning
        What a row is.
    key
        Columns that no two rows have alike.
    columns
        All as long as each other. One is called `split`; a row without a split has None there.
    """

    name: str
    path: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def arrow(self) -> pa.Table:
        """The table in memory."""
        import pyarrow as pa

        text = pa.string()
        types = {"text": text, "texts": pa.list_(text), "whole number": pa.int64()}
        fields = [pa.field(column.name, types[column.type]) for column in self.columns]
        values = [pa.array(column.values, types[column.type]) for column in self.columns]
        return pa.table(values, schema=pa.schema(fields))

    @cached_property
    def parquet(self) -> bytes:
        """The whole table as Parquet."""
        return _parquet(self.arrow)

    @property
    def splits(self) -> dict[str, str]:
        """Split → path of the table of its rows alone.

        The file is called as the split, as far as ``datasets`` takes it for the name of one:
        letters, digits and _, but not ``all``.
        """
        (values,) = (column.values for column in self.columns if column.name == "split")
        splits = {value for value in values if value is not None}
        found: dict[str, str] = {}
        taken = {"all"}
        for split in [*filter(splits.__contains__, SPLITS), *sorted(splits.difference(SPLITS))]:
            name = plain = re.sub("[^A-Za-z0-9_]", "_", split)[:100]
            k = 1
            while name.lower() in taken:
                k += 1
                name = f"{plain}_{k}"
            taken.add(name.lower())
            found[split] = f"index/{self.name}/{name}.parquet"
        return found


def tables(told: Told) -> list[Table]:
    """Return the tables of a release; `Told.tables` keeps them."""
    files = _main_files(told)
    return [_recordings(told, files), *([_samples(told, files)] if told.samples else [])]


def index(told: Told) -> dict[str, bytes]:
    """Return the tables as files: path → bytes, of equal facts always the same."""
    found = {}
    for table in told.tables:
        found[table.path] = table.parquet
        for split, path in table.splits.items():
            found[path] = _parquet(table.arrow, split)
    return found


_MainFiles = Mapping[str, Mapping[str, ListedFile]]


def _main_files(told: Told) -> _MainFiles:
    """Return the files that a table names: recording → ``events``, ``features.<name>``, … → file.

    Of several copies of the same boxes, it is the first by path.
    """
    found: dict[str, dict[str, ListedFile]] = {}
    for file in sorted(told.files, key=lambda file: file.path):
        kind = kind_of(file)
        if file.id and not kind and file.kind in ("video", "recording"):
            kind = file.kind if not file.path.endswith(".clock.tsv") else "clock"
        if kind == "features":
            kind = f"features.{file.path.rpartition('/')[0].rpartition('/')[2]}"
        if kind and file.id:
            found.setdefault(file.id, {}).setdefault(kind, file)
    return found


_OF_A_FILE: Mapping[str, tuple[Type, str]] = {
    "path": ("text", "its path in the release"),
    "size_bytes": ("whole number", "its size, bytes"),
    "md5": ("text", "its MD5"),
    "sha256": ("text", "its SHA-256"),
}


def _recordings(told: Told, files: _MainFiles) -> Table:
    facts = told.facts

    def texts(name: str, meaning: str, of: Callable[[RecordingFacts], str | None]) -> Column:
        return Column(name, "text", meaning, [of(one) or None for one in facts])

    def numbers(name: str, meaning: str, of: Callable[[RecordingFacts], int | None]) -> Column:
        return Column(name, "whole number", meaning, [of(one) for one in facts])

    def known(column: str) -> Callable[[RecordingFacts], str | None]:
        return lambda one: told.recordings.get(one.id, {}).get(column)

    columns = [
        texts("id", "Name of the recording.", lambda one: one.id),
        texts("split", "Part of the data set.", lambda one: one.split),
        texts("group", "Scene, session or person that recordings share.", known("group")),
        numbers("height_px", "Height of the sensor, px.", _events("height")),
        numbers("width_px", "Width of the sensor, px.", _events("width")),
        numbers("events", "How many events.", _events("events")),
        numbers("on_events", "How many of them are ON.", _events("on")),
        numbers("duration_us", "Time of the last event + 1, µs.", _events("duration_us")),
        numbers("labelled_us", "For how long annotators looked, µs.", lambda one: one.labelled_us),
        numbers(
            "boxes",
            "How many boxes; null without a file of boxes.",
            lambda one: None if one.boxes is None else sum(c.boxes for c in one.boxes.values()),
        ),
        numbers(
            "tracks",
            "How many objects the boxes are of.",
            lambda one: None if one.boxes is None else sum(c.tracks for c in one.boxes.values()),
        ),
        numbers("samples", "How many samples; null if it is not cut.", _samples_of),
        Column(
            "labels",
            "texts",
            "Classes of its boxes and samples; null if it has neither.",
            [_labels_of(one, told.classes) for one in facts],
        ),
    ]
    if any(one.boxes is not None for one in facts):
        columns += [
            numbers(f"boxes.{name}", f"How many boxes of class {name}.", _boxes_of(name))
            for name in _classes(told)
        ]
    columns += [
        texts(name, f"Column {name} of the table of recordings.", known(name))
        for name in sorted({name for row in told.recordings.values() for name in row})
        if name.startswith("meta.")
    ]
    for kind in sorted({kind for of_one in files.values() for kind in of_one}):
        what = kind.replace(".", " ", 1)
        for attribute, (type_, meaning) in _OF_A_FILE.items():
            name = attribute.removesuffix("_bytes")
            values = [getattr(files.get(one.id, {}).get(kind), name, None) for one in facts]
            name, meaning = f"file.{kind}.{attribute}", f"File of {what}: {meaning}."
            columns.append(Column(name, type_, meaning, values))
    return Table("recordings", INDEX, "One row per recording.", ("id",), tuple(columns))


def _events(name: str) -> Callable[[RecordingFacts], int | None]:
    return lambda one: None if one.events is None else getattr(one.events, name)


def _boxes_of(name: str) -> Callable[[RecordingFacts], int | None]:
    def count(one: RecordingFacts) -> int | None:
        if one.boxes is None:
            return None
        return one.boxes[name].boxes if name in one.boxes else 0

    return count


def _samples_of(one: RecordingFacts) -> int | None:
    if one.samples is None:
        return None
    return sum(n for classes in one.samples.values() for n in classes.values())


def _labels_of(one: RecordingFacts, order: Sequence[str]) -> list[str] | None:
    """Return the classes in a recording, by their numbers; those without a name at the end."""
    if one.boxes is None and one.samples is None:
        return None
    found = {name for classes in (one.samples or {}).values() for name in classes if name}
    found |= set(one.boxes or ())
    return [name for name in order if name in found] + sorted(found.difference(order))


def _classes(told: Told) -> list[str]:
    """Return the classes that have boxes, by their numbers; those without a name at the end."""
    seen = {name for one in told.facts for name in one.boxes or ()}
    return [name for name in told.classes if name in seen] + sorted(seen.difference(told.classes))


_OF_A_SAMPLE: Mapping[str, tuple[Type, str]] = {
    "recording": ("text", "Name of the recording that the sample is of."),
    "sample": ("text", "Name of the sample in its recording."),
    "label": ("text", "Its class."),
    "group": ("text", "What stays in one split with others."),
    "split": ("text", "Part of the data set."),
    "start_us": ("whole number", "Where it begins in its recording, µs."),
    "stop_us": ("whole number", "Where it ends, µs; the event at that time is not of it."),
}


def _samples(told: Told, files: _MainFiles) -> Table:
    cells = dict(zip(Assigned._fields, zip(*told.samples, strict=True), strict=True))
    columns = [
        Column(name, type_, meaning, [cell or None for cell in cells[name]])
        if type_ == "text"
        else Column(name, type_, meaning, cells[name])
        for name, (type_, meaning) in _OF_A_SAMPLE.items()
    ]
    for kind, meaning in (
        ("events", "File of the recording's events."),
        ("samples", "File that says which events are its."),
    ):
        paths = {id_: of_one[kind].path for id_, of_one in files.items() if kind in of_one}
        values = [paths.get(id_) for id_ in cells["recording"]]
        columns.append(Column(f"file.{kind}.path", "text", meaning, values))
    key = ("recording", "sample")
    return Table("samples", SAMPLES_INDEX, "One row per sample.", key, tuple(columns))


def _parquet(table: pa.Table, split: str | None = None) -> bytes:
    """Return a table, or its rows of one split, as Parquet; of equal tables the same bytes."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = table if split is None else table.filter(pc.equal(table["split"], split))
    target = io.BytesIO()
    pq.write_table(rows, target, compression="zstd", store_schema=False)
    return target.getvalue()


def head(path: Path) -> tuple[int, list[str]]:
    """Return how many rows a Parquet table has, and its columns, by its foot."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.metadata.num_rows, list(file.schema_arrow.names)
