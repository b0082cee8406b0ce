"""Time many short recordings: the workflow beside the same steps called in a row in one process.

    python benchmarks/many.py                     1,000 recordings, and plans of 10,000 (90 minutes)
    python benchmarks/many.py --only plan         how long Snakemake plans 1,000 and 10,000 rows

Three tables:

- *rows*: 1,000 recordings of 20,000 events, a row each: the whole chain with videos, slices,
  previews, two features and the release, on one core; then a run that has nothing to do, and one
  after an edited annotation.
- *archive*: the same recordings as members of one archive, samples of two classes.
- *plan*: a dry run and a run that has nothing to do, of tables of 1,000 and of 10,000 rows. Only
  their number counts there, so files are made empty, by stand-ins of the scripts.

All is held to one core. What is measured is kept, so that parts may be measured one after the
other; `--again` forgets it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

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
ROWS = "workflow, rows"
NOTHING_TO_DO = "workflow, rows, nothing to do"
ONE_EDIT = "workflow, rows, one edited annotation"
IN_A_ROW = "steps in a row, one process"
ARCHIVE = "workflow, archive of samples"
DRY_RUN = "plan: dry run"
NO_OP = "plan: nothing to do"
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


def run(
    folder: Path, *arguments: str, house: Path = ROOT, on: Collection[int] = ()
) -> tuple[float, float]:
    """Run the workflow; return its time, seconds, and its peak memory, MB.

    It runs on some of the machine's cores; none: on the one that this process is held to.
    """
    begin = time.perf_counter()
    with (folder / "said.txt").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--cores", str(len(on) or 1)),
                *("--snakefile", str(house / "Snakefile"), "--directory", str(folder)),
                *("--configfile", str(folder / "config.yaml")),
                *("--workflow-profile", str(house / "profiles" / "default"), *arguments),
            ],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        if on:
            os.sched_setaffinity(process.pid, on)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit((folder / "said.txt").read_text(encoding="utf-8")[-4000:])
    return time.perf_counter() - begin, usage.ru_maxrss / 1000


class Measured:
    """Seconds, and the peak memory of Snakemake in MB or None, by what was run on how many rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else "{}"
        self._found: dict[str, list[Any]] = json.loads(text)

    def add(self, what: str, n: int, seconds: float, mb: float | None = None) -> None:
        """Keep a measurement, and print it."""
        self._found[f"{what}, {n:,}"] = [what, n, seconds, mb]
        self._path.write_text(json.dumps(self._found, indent=1), encoding="utf-8")
        print(f"{what}, {n:,}: {seconds:.1f} s", flush=True)

    def of(self, what: str) -> dict[int, float]:
        """Return the seconds of something by the number of recordings, in order."""
        found = {n: seconds for name, n, seconds, _ in self._found.values() if name == what}
        return dict(sorted(found.items()))

    def table(self) -> str:
        """Return all as a table of Markdown."""
        lines = ["| | recordings | s | MB |", "|---|---|---|---|"]
        for what, n, seconds, mb in self._found.values():
            lines.append(
                f"| {what} | {n:,} | {seconds:.1f} | {'' if mb is None else f'{mb:.0f}'} |"
            )
        ratios = [
            f"{seconds / self.of(IN_A_ROW)[n]:.2f} with {n:,} recordings"
            for n, seconds in self.of(ROWS).items()
            if n in self.of(IN_A_ROW)
        ]
        return "\n".join([*lines, *(f"\nworkflow : in a row: {text}" for text in ratios)])


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


def compare_rows(folder: Path, n: int, events: int, found: Measured) -> None:
    """Measure how long the workflow takes of rows, and the steps in a row."""
    made = rows(folder / "rows", n, events, annotated=max(1, n // 10))
    found.add(ROWS, n, *run(made))
    found.add(NOTHING_TO_DO, n, *run(made))
    xml = made / "raw" / "r00000.xml"
    xml.write_text(xml.read_text(encoding="utf-8").replace("70.0", "80.0"), encoding="utf-8")
    found.add(ONE_EDIT, n, *run(made))
    shutil.rmtree(made)
    made = rows(folder / "row", n, events, annotated=max(1, n // 10))
    found.add(IN_A_ROW, n, timed(lambda: steps_in_a_row(made, n)))
    shutil.rmtree(made)


def compare_archive(folder: Path, n: int, events: int, found: Measured) -> None:
    """Measure how long the workflow takes of an archive of members."""
    made = archive(folder / "archive", n, events)
    found.add(ARCHIVE, n, *run(made))
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


def compare_plans(folder: Path, found: Measured, every: Collection[int]) -> None:
    """Measure how long Snakemake plans; what is not timed uses every core."""
    house = with_stand_ins(folder)
    for n in (1_000, 10_000):
        made = rows(folder / f"plan{n}", n, 10)
        found.add(DRY_RUN, n, *run(made, "--dry-run", "--quiet", house=house))
        run(made, house=house, on=every)
        found.add(NO_OP, n, *run(made, "--dry-run", house=house))
        assert "Nothing to be done" in (made / "said.txt").read_text(encoding="utf-8")
        shutil.rmtree(made)


def plot(found: Measured, path: Path) -> None:
    """Draw what whole data sets take, and what plans take."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, (whole, plans) = pyplot.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
    bars = {
        f"{what}, {n:,}": seconds
        for what in (IN_A_ROW, ROWS, ARCHIVE)
        for n, seconds in found.of(what).items()
    }
    drawn = whole.barh([*bars], [*bars.values()], color="C0")
    whole.bar_label(drawn, fmt="%.0f", padding=3)
    whole.set(xlabel="seconds on one core")
    whole.invert_yaxis()
    for what, most in ((DRY_RUN, (6, 20)), (NO_OP, (7, 25))):
        times = found.of(what)
        (line,) = plans.plot([*times], [*times.values()], marker="o", label=what)
        plans.plot([1_000, 10_000], most, linestyle=":", color=line.get_color(), label="limit")
    plans.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds")
    for axis, ticks in ((plans.xaxis, [1_000, 10_000]), (plans.yaxis, [5, 10, 20, 40])):
        axis.set_major_locator(ticker.FixedLocator(ticks))
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_locator(ticker.NullLocator())
    plans.legend(frameon=False)
    for axes in (whole, plans):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument(
        "--only", nargs="*", choices=["plan", "archive", "rows"], help="none: what is kept"
    )
    parser.add_argument(
        "--kept",
        type=Path,
        default=Path(tempfile.gettempdir(), "evreel-many.json"),
        help="what is measured; default: in TMPDIR",
    )
    parser.add_argument("--again", action="store_true", help="forget what is measured")
    parser.add_argument("--plot", type=Path, help="draw it, PNG")
    chosen = parser.parse_args()
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(every)})
    if chosen.again:
        chosen.kept.unlink(missing_ok=True)
    found, size = Measured(chosen.kept), (chosen.recordings, chosen.events)
    with tempfile.TemporaryDirectory() as folder:
        if chosen.only is None or "plan" in chosen.only:
            compare_plans(Path(folder), found, every)
        if chosen.only is None or "archive" in chosen.only:
            compare_archive(Path(folder), *size, found)
        if chosen.only is None or "rows" in chosen.only:
            compare_rows(Path(folder), *size, found)
    print(f"\n{found.table()}")
    if chosen.plot is not None:
        plot(found, chosen.plot)


if __name__ == "__main__":
    main()
