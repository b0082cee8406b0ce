"""Time many short recordings: the workflow beside the same steps called in a row in one process.

    python benchmarks/many.py                     1,000 recordings, and plans of 10,000 (an hour)
    python benchmarks/many.py --only plan         how long Snakemake plans 1,000 and 10,000 rows

Three tables:

- *rows*: 1,000 recordings of 20,000 events, a row each: the whole chain with videos, slices,
  previews, two features and the release, on one core; then a run that has nothing to do, and one
  after an edited annotation.
- *archive*: the same recordings as members of one archive, samples of two classes.
- *plan*: a dry run and a run that has nothing to do, of tables of 1,000 and of 10,000 rows. Only
  their number counts there, so files are made empty, by stand-ins of the scripts.

All is held to one core.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from evreel import steps

ROOT = Path(__file__).parents[1]
SENSOR = 128, 128
DURATION_US = 1_000_000
FEATURES = {
    "histogram": {"representation": "histogram", "window_us": 50_000},
    "voxels": {"representation": "voxel_grid", "count": 5_000, "parameters": {"bins": 3}},
}
CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["left", "right"],
    "features": FEATURES,
    "release": {"name": "many", "version": "1.0", "licence": "CC0-1.0"},
}
XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><id>{k}</id><name>{name}</name><size>30</size><mode>interpolation</mode>
<labels><label><name>left</name></label></labels>
<original_size><width>128</width><height>128</height></original_size></task></meta>
<track id="0" label="left" source="manual">
<box frame="0" outside="0" occluded="0" keyframe="1" xtl="10.0" ytl="20.0" xbr="60.0" ybr="{y}"/>
<box frame="20" outside="1" occluded="0" keyframe="1" xtl="10.0" ytl="20.0" xbr="60.0" ybr="{y}"/>
</track></annotations>
"""


def recording(seed: int, events: int) -> bytes:
    """Return a DAT file of random events."""
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(0, DURATION_US, events)).astype("<u4")
    x, y, p = (random.integers(0, most, events).astype("<u4") for most in (*SENSOR[::-1], 2))
    height, width = SENSOR
    head = f"% Data file\n% Version 2\n% Width {width}\n% Height {height}\n".encode()
    return head + bytes([12, 8]) + np.stack([t, x | y << 14 | p << 28], 1).tobytes()


def rows(folder: Path, n: int, events: int, annotated: int = 0) -> Path:
    """Make a data set with a row for each recording; the first ones are annotated."""
    (folder / "raw").mkdir(parents=True)
    lines = ["id\tsource\tmd5\tsplit\trois"]
    for k in range(n):
        name, data = f"r{k:05}", recording(k, events)
        (folder / "raw" / f"{name}.dat").write_bytes(data)
        rois = f"raw/{name}.xml" if k < annotated else ""
        if rois:
            (folder / rois).write_text(XML.format(k=k, name=name, y="70.0"), encoding="utf-8")
        split = ("train", "val", "test")[k % 3]
        cells = name, f"raw/{name}.dat", hashlib.md5(data).hexdigest(), split, rois
        lines.append("\t".join(cells))
    (folder / "recordings.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = CONFIG | {"slices": {"window_us": 100_000}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def archive(folder: Path, n: int, events: int) -> Path:
    """Make a data set with one archive, whose members are samples."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "many.zip", "w") as made:
        for k in range(n):
            made.writestr(f"{('left', 'right')[k % 2]}/r{k:05}.dat", recording(k, events))
    md5 = hashlib.md5((folder / "many.zip").read_bytes()).hexdigest()
    lines = ["id\tsource\tmd5\tsplit", f"many\tmany.zip\t{md5}\ttrain"]
    (folder / "recordings.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = CONFIG | {"samples": {"by": "members", "members": "{label}/*.dat"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str, house: Path = ROOT) -> tuple[float, float]:
    """Run the workflow on one core; return its time, seconds, and its peak memory, MB."""
    begin = time.perf_counter()
    with (folder / "said.txt").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--cores", "1"),
                *("--snakefile", str(house / "Snakefile"), "--directory", str(folder)),
                *("--configfile", str(folder / "config.yaml")),
                *("--workflow-profile", str(house / "profiles" / "default"), *arguments),
            ],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit((folder / "said.txt").read_text(encoding="utf-8")[-4000:])
    return time.perf_counter() - begin, usage.ru_maxrss / 1000


def say(line: str) -> None:
    print(line, flush=True)


def timed(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def steps_in_a_row(folder: Path, n: int) -> None:
    """Do in one process, recording by recording, what the workflow does of rows; then release."""
    results = folder / "results"
    for kind in ("recordings", "events", "video", "slices", "previews", "features/histogram"):
        (results / kind).mkdir(parents=True)
    for kind in ("features/voxels", *(f"published/{k}" for k in ("events", "slices"))):
        (results / kind).mkdir(parents=True)
    for name in FEATURES:
        (results / "published" / "features" / name).mkdir(parents=True)
    publish, plan, table = steps.PublishSettings(), [], (folder / "recordings.tsv").read_text()
    features = {name: steps.FeatureSettings(**one) for name, one in FEATURES.items()}
    for line in table.splitlines()[1:]:
        id_, source, md5, split, rois = line.split("\t")

        def at(pattern: str, id_: str = id_) -> Path:
            return results / pattern.format(id_)

        recorded, store, clock = (
            at("recordings/{}.dat"),
            at("events/{}.h5"),
            at("video/{}.clock.tsv"),
        )
        slices, boxes = at("slices/{}.h5"), at("slices/{}_bbox.npy")
        steps.acquire(str(folder / source), recorded, md5=md5)
        steps.events(recorded, store, steps.EventsSettings())
        steps.clock(store, clock, steps.ClockSettings())
        steps.video(store, clock, at("video/{}.mp4"), steps.VideoSettings())
        steps.annotate(
            *(store, clock, slices, boxes, steps.RegularWindows(window_us=100_000)),
            steps.AnnotateSettings(),
            rois=folder / rois if rois else None,
            labels=CONFIG["labels"],
        )
        tables = (at(f"slices/{{}}.summary.{end}") for end in ("tsv", "png", "html"))
        steps.summary(slices, *tables, clock=clock)
        steps.preview(
            *(store, at("previews/{}.mp4"), at("previews/{}.jpg"), steps.PreviewSettings()),
            slices=slices,
            clock=clock,
        )
        made = {at(f"features/{name}/{{}}.h5"): one for name, one in features.items()}
        steps.all_features(store, made)
        ready = at("published/events/{}.h5")
        steps.publish(store, ready, ready.with_suffix(".json"), publish)
        for file in (slices, *made):
            out = results / "published" / file.relative_to(results)
            record = out.with_suffix(".json")
            steps.publish(file, out, record, publish, store=store, published=ready)
        plan += planned(id_, split, results, clock, boxes)
    steps.release_plan(plan, folder / "plan.tsv")
    settings = steps.ReleaseSettings(name="many", version="1.0", licence="CC0-1.0")
    steps.release(folder / "plan.tsv", folder / "release", settings, labels=CONFIG["labels"])


def planned(id_: str, split: str, results: Path, clock: Path, boxes: Path) -> list[dict[str, str]]:
    """Return the rows of a plan for a recording."""
    ready = results / "published"
    files = {
        "events": (f"{split}/events/{id_}.h5", ready / "events" / f"{id_}.h5"),
        "slices": (f"{split}/slices/{id_}.h5", ready / "slices" / f"{id_}.h5"),
        "sidecars": (f"{split}/{clock.name}", clock),
        "boxes": (f"{split}/{boxes.name}", boxes),
        "video": (f"{split}/video/{id_}.mp4", results / "video" / f"{id_}.mp4"),
        "previews": (f"previews/{id_}.mp4", results / "previews" / f"{id_}.mp4"),
    }
    found = [(kind, *pair) for kind, pair in files.items()]
    found += [
        ("features", f"{split}/{name}/{id_}.h5", ready / "features" / name / f"{id_}.h5")
        for name in FEATURES
    ]
    return [
        {"path": path, "source": str(file), "kind": kind, "id": id_, "split": split}
        for kind, path, file in found
    ]


def compare_rows(folder: Path, n: int, events: int) -> None:
    """Print how long the workflow takes of rows, and the steps in a row."""
    made = rows(folder / "rows", n, events, annotated=max(1, n // 10))
    took_s, _ = run(made)
    print(f"workflow, {n:,} rows, one core    {took_s:7.1f} s")
    idle_s, _ = run(made)
    say(f"nothing to do                     {idle_s:7.1f} s")
    xml = made / "raw" / "r00000.xml"
    xml.write_text(xml.read_text(encoding="utf-8").replace("70.0", "80.0"), encoding="utf-8")
    edit_s, _ = run(made)
    say(f"after one edited annotation       {edit_s:7.1f} s")
    shutil.rmtree(made)
    made = rows(folder / "row", n, events, annotated=max(1, n // 10))
    row_s = timed(lambda: steps_in_a_row(made, n))
    say(f"steps in a row in one process     {row_s:7.1f} s")
    say(f"workflow : in a row               {took_s / row_s:7.2f}")
    shutil.rmtree(made)


def compare_archive(folder: Path, n: int, events: int) -> None:
    """Print how long the workflow takes of an archive of members."""
    made = archive(folder / "archive", n, events)
    took_s, _ = run(made)
    say(f"workflow, archive of {n:,} members {took_s:6.1f} s")
    shutil.rmtree(made)


BATCH = """from pathlib import Path
from evreel import steps

def touch(member):
    for path in map(Path, member.output):
        path.touch()

p = snakemake.params
steps.batch(p.step, p.members, touch, snakemake.output.manifest, p.ledger)
"""
RELEASE = """import hashlib
from pathlib import Path
stamp = Path(snakemake.output.stamp)
manifest = stamp.with_suffix("") / "manifest.json"
manifest.parent.mkdir()
manifest.write_text("{}")
stamp.write_text(hashlib.sha256(b"{}").hexdigest())
"""


def with_stand_ins(folder: Path) -> Path:
    """Return a checkout whose jobs make empty files."""
    house = folder / "house"
    for name in ("workflow", "scripts", "profiles", "envs"):
        shutil.copytree(ROOT / name, house / name)
    shutil.copy(ROOT / "Snakefile", house)
    (house / "src").symlink_to(ROOT / "src")
    (house / "scripts" / "batch.py").write_text(BATCH, encoding="utf-8")
    (house / "scripts" / "release.py").write_text(RELEASE, encoding="utf-8")
    return house


def compare_plans(folder: Path) -> None:
    """Print how long Snakemake plans."""
    house = with_stand_ins(folder)
    for n in (1_000, 10_000):
        made = rows(folder / f"plan{n}", n, 10)
        dry_s, dry_mb = run(made, "--dry-run", "--quiet", house=house)
        say(f"dry run of {n:6,} rows             {dry_s:7.1f} s   {dry_mb:4.0f} MB")
        run(made, house=house)
        idle_s, idle_mb = run(made, "--dry-run", house=house)
        assert "Nothing to be done" in (made / "said.txt").read_text(encoding="utf-8")
        say(f"nothing to do                     {idle_s:7.1f} s   {idle_mb:4.0f} MB")
        shutil.rmtree(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--only", choices=["rows", "archive", "plan"])
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        if chosen.only in (None, "plan"):
            compare_plans(Path(folder))
        if chosen.only in (None, "archive"):
            compare_archive(Path(folder), chosen.recordings, chosen.events)
        if chosen.only in (None, "rows"):
            compare_rows(Path(folder), chosen.recordings, chosen.events)


if __name__ == "__main__":
    main()
