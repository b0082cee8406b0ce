"""Saying what a recording holds, and which data sets are ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evreel.errors import EvreelError, UsageError
from evreel.outputs import Progress, silent


def info(
    path: str | Path,
    *,
    stream: int | None = None,
    sensor: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Say what a recording or an events store holds, reading all of it.

    Parameters
    ----------
    path
        The file.
    stream
        Number of the event stream, where the recording holds several.
    sensor
        Its size as ``WIDTHxHEIGHT`` px, where the recording can't say.

    Returns
    -------
    ``format``; ``sensor`` (``height``, ``width``, px); ``events``; ``t_offset`` (first stamp of
    the recording on the camera's clock, µs); ``t_start_us`` and ``t_stop_us`` (first stamp and
    last stamp + 1 on the camera's clock; None without events); ``on`` and ``off`` (events of
    each polarity); ``triggers``, ``imu`` and ``frames`` (rows of the side streams, of frames the
    exposure times); ``problems`` (what ails the file, one line each; what was read before the
    damage is counted).

    Raises
    ------
    RecordingError
        Where not even the head of the file can be read.
    """
    import numpy as np

    from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
    from evreel.recordings import open_recording

    size = None if sensor is None else Sensor.parse(sensor)
    problems: list[str] = []
    n = n_on = 0
    first = last = None
    side = {Triggers: 0, Imu: 0, FrameTimes: 0}
    with open_recording(path, stream=stream, sensor=size) as recording:
        try:
            for chunk in recording.batches():
                if not isinstance(chunk, Events):
                    side[type(chunk)] += len(chunk)
                elif len(chunk):
                    first = int(chunk.t[0]) if first is None else first
                    last = chunk.t_stop_us
                    n += len(chunk)
                    n_on += int(np.count_nonzero(chunk.p))
                    progress(n, None)
        except EvreelError as error:
            problems.append(str(error))
        if not n and not problems:
            problems.append(f"{Path(path).name}: holds no event")
        return {
            "format": recording.format,
            "sensor": recording.sensor._asdict(),
            "events": n,
            "t_offset": recording.t_offset,
            "t_start_us": None if first is None else recording.t_offset + first,
            "t_stop_us": None if last is None else recording.t_offset + last,
            "on": n_on,
            "off": n - n_on,
            "triggers": side[Triggers],
            "imu": side[Imu],
            "frames": side[FrameTimes],
            "problems": problems,
        }


def describe(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines in which `info`'s result is shown to a person."""
    sensor, n = found["sensor"], found["events"]
    yield f"format    {found['format']}"
    yield f"sensor    {sensor['width']} × {sensor['height']} px (width × height)"
    yield f"events    {n:,} ({found['on']:,} ON, {found['off']:,} OFF)"
    if n:
        duration_us = found["t_stop_us"] - found["t_start_us"]
        yield f"time      {found['t_start_us']} to {found['t_stop_us']} µs on the camera's clock"
        yield f"duration  {duration_us / 1e6:.6f} s, {n / duration_us:.3f} M events/s on average"
    for what, of_what in (("triggers", ""), ("imu", " samples"), ("frames", " exposure times")):
        if found[what]:
            yield f"{what:<9} {found[what]:,}{of_what}"
    for problem in found["problems"]:
        yield f"problem   {problem}"


def datasets(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """List data sets that are ready to run: each a folder with a ``config.yaml``.

    Parameters
    ----------
    folder
        The folder with those folders. None takes ``configs`` of the working directory, or else of
        the checkout that this package is in.

    Returns
    -------
    One a data set, by name: ``name`` (its folder's), ``title``, ``page``, ``licence``,
    ``size_bytes`` (to download), ``automatic`` (whether every source is a url; false where the
    table is yet to be made), ``recordings`` (rows of the table), ``samples`` (as published),
    ``config`` (path). None stands for what the config does not say.

    Raises
    ------
    UsageError
        Where there is no such folder, no data set in it, or a config or table can't be read.
    """
    folder = _configs_folder() if folder is None else Path(folder)
    configs = sorted(folder.glob("*/config.yaml"))
    if not configs:
        raise UsageError(
            "has no data set in it" if folder.is_dir() else "is no folder",
            path=folder,
            hint="Name a folder with folders that hold a config.yaml.",
        )
    return [_dataset(path) for path in configs]


def _configs_folder() -> Path:
    house = Path(__file__).resolve().parents[3]
    for folder in (Path("configs"), house / "configs"):
        if folder.is_dir() and (folder.parent / "Snakefile").is_file():
            return folder
    raise UsageError(
        "there is no folder configs beside a Snakefile here, and this evreel is in no checkout",
        hint="The data sets come with the checkout: run this there, or name the folder.",
    )


def _dataset(path: Path) -> dict[str, Any]:
    """Return what one config says of its data set, as `datasets` does."""
    config = _yaml(path)
    about, release, samples = (
        part if isinstance(part := config.get(key), dict) else {}
        for key in ("dataset", "release", "samples")
    )
    counts = samples.get("counts")
    on_web = _on_web(path, str(config.get("recordings", "")))
    return {
        "name": path.parent.name,
        "title": about.get("title"),
        "page": about.get("page"),
        "licence": release.get("licence"),
        "size_bytes": about.get("size_bytes"),
        "automatic": on_web is not None and all(on_web),
        "recordings": None if on_web is None else len(on_web),
        "samples": sum(counts.values()) if isinstance(counts, dict) else None,
        "config": str(path),
    }


def _yaml(path: Path) -> dict[str, Any]:
    """Return a config as it is written."""
    try:
        import yaml
    except ImportError as error:
        raise UsageError(
            "can't be read without PyYAML",
            path=path,
            hint="Snakemake brings it; without Snakemake: pip install pyyaml.",
        ) from error
    try:
        config = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise UsageError(f"can't be read: {problem}", path=path) from error
    if not isinstance(config, dict):
        raise UsageError("is no config: it has no keys", path=path)
    return config


def _on_web(config: Path, table: str) -> list[bool] | None:
    """Tell for each row of a config's table whether its source is a url; None without a table."""
    import csv

    from evreel.acquire import read_source

    # As Snakemake takes it, from the working directory; from elsewhere, what is beside the config.
    places = (Path(table), config.with_name(Path(table).name))
    path = next((place for place in places if table and place.is_file()), None)
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return [bool(read_source(row["source"] or "").urls) for row in rows if any(row.values())]
    except KeyError as error:
        raise UsageError("has no column source", path=path) from error
    except (ValueError, csv.Error) as error:
        raise UsageError(f"can't be read: {error}", path=path) from error


def describe_datasets(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table in which `datasets`'s result is shown to a person."""
    rows = [
        ("name", "title", "licence", "download", "got", "recordings", "samples", "page"),
        *(
            (
                entry["name"],
                entry["title"] or "",
                entry["licence"] or "",
                _size(entry["size_bytes"]),
                "by itself" if entry["automatic"] else "by hand",
                *(
                    "" if entry[key] is None else f"{entry[key]:,}"
                    for key in ("recordings", "samples")
                ),
                entry["page"] or "",
            )
            for entry in found
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"
