"""What each step makes of one simulated recording, held fast by digests.

When an output changes on purpose, raise the step's number in
`evreel.provenance.STEP_REVISIONS` and run ``PYTHONPATH=tests python tests/steps/test_golden.py``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.provenance import STEP_REVISIONS
from support.scenes import write_scene

GOLDEN = Path(__file__).with_name("golden.json")
# What tells the version of the program and not the content.
UNSTABLE = {"evreel_version", "step_revision", "inputs", "decoding"}


def digest_of_hdf5(path: Path) -> str:
    """Return a digest of the names, dtypes, values and attributes of a file."""
    digest = hashlib.sha256()

    def add(name, node):
        digest.update(name.encode())
        for key in sorted(set(node.attrs) - UNSTABLE):
            value = np.asarray(node.attrs[key])
            digest.update(f"{key} {value.dtype.str} {value.tolist()}".encode())
        if isinstance(node, h5py.Dataset):
            digest.update(f"{node.dtype.str} {node.shape}".encode())
            text = h5py.check_string_dtype(node.dtype) is not None
            values = node.asstr()[()] if text else node[()]
            digest.update(repr(values.tolist()).encode() if text and node.shape else b"")
            digest.update(b"" if text else np.ascontiguousarray(values).tobytes())

    with h5py.File(path) as file:
        add("/", file)
        file.visititems(add)
    return digest.hexdigest()


def digest_of_bytes(*paths: Path) -> str:
    """Return a digest of files' bytes."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def digests(folder: Path) -> dict[str, dict[str, object]]:
    """Run every step on one simulated recording; return step → digest of what it made."""
    with (
        mock.patch.object(sys.modules["evreel.steps.clock"], "__version__", "golden"),
        mock.patch.object(sys.modules["evreel.steps.video"], "__version__", "golden"),
        mock.patch.object(sys.modules["evreel.steps.qa"], "__version__", "golden"),
        mock.patch.object(sys.modules["evreel.steps.preview"], "__version__", "golden"),
        mock.patch("evreel.provenance.__version__", "golden"),
    ):
        return digests_at_a_version(folder)


def digests_at_a_version(folder: Path) -> dict[str, dict[str, object]]:
    """Do it, with files that carry the version of the program."""
    recording, rois, tags, *_ = steps.simulate(write_scene(folder, "golden", seed=7), folder)
    store, clock, movie, frames, slices, boxes = (
        folder / name for name in ("s.h5", "c.tsv", "v.mp4", "v.zip", "slices.h5", "b.npy")
    )
    steps.events(recording, store, steps.EventsSettings(crop=(2, 2, 61, 46), max_pixel_hz=5000))
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000, scale=2))
    # The annotations are of the whole sensor; a clock of its own says so.
    whole = folder / "whole.h5"
    steps.events(recording, whole)
    steps.clock(whole, folder / "whole.tsv", steps.ClockSettings(window_us=10_000))
    steps.video(store, clock, movie)
    steps.video(store, clock, frames, steps.VideoSettings(style="decay"))
    steps.annotate(
        whole,
        folder / "whole.tsv",
        slices,
        boxes,
        steps.RegularWindows(window_us=20_000),
        rois=rois,
        tags=tags,
    )
    made = {
        "events": digest_of_hdf5(store),
        "clock": digest_of_bytes(clock),
        "video": digest_of_bytes(movie, frames),
        "annotate": digest_of_hdf5(slices) + digest_of_bytes(boxes),
    }
    names = ("qa.mp4", "summary.tsv", "summary.png", "summary.html")
    qa, table, plot, page = (folder / name for name in names)
    # Without what names the inputs, whose versions differ.
    with (
        mock.patch.object(sys.modules["evreel.steps.qa"], "sha256", lambda path: "golden"),
        mock.patch.object(sys.modules["evreel.steps.preview"], "canonical_json", lambda of: "it"),
    ):
        steps.qa(slices, folder / "whole.tsv", qa)
        preview = folder / "p.mp4", folder / "p.jpg"
        steps.preview(whole, *preview, slices=slices, clock=folder / "whole.tsv")
    made["preview"] = digest_of_bytes(*preview)
    steps.summary(slices, table, plot, page, clock=folder / "whole.tsv")
    made["qa"], made["summary"] = digest_of_bytes(qa), digest_of_bytes(table, plot, page)
    for name, division in (("histogram", {"window_us": 10_000}), ("voxel_grid", {"count": 400})):
        file = folder / f"{name}.h5"
        steps.features(store, file, steps.FeatureSettings(representation=name, **division))
        made["features"] = made.get("features", "") + digest_of_hdf5(file)
    intervals, cut, table, samples = (
        folder / name for name in ("intervals.csv", "whole.cut.tsv", "samples.tsv", "samples.h5")
    )
    intervals.write_text("label,start_us,stop_us\ncar,0,40000\nbusy,50000,110000\n")
    steps.cut(whole, cut, intervals=str(intervals), recording="whole")
    steps.splits(
        {"whole": cut},
        table,
        steps.SplitsSettings(split={"seed": 1, "shares": {"train": 0.5, "test": 0.5}}),
    )
    steps.samples(*(whole, cut, table, samples), recording="whole", labels=["car", "sign", "busy"])
    made["cut"], made["splits"] = digest_of_bytes(cut), digest_of_bytes(table)
    made["samples"] = digest_of_hdf5(samples)
    file = folder / "of_samples.h5"
    steps.features(
        whole, file, steps.FeatureSettings(representation="histogram", number=3), cut=cut
    )
    made["features"] += digest_of_hdf5(file)
    steps.boxes(whole, boxes, folder / "carried.npy", steps.BoxesSettings(clock="recording"))
    made["boxes"] = digest_of_bytes(folder / "carried.npy")
    of_windows = folder / "golden_bbox.npy", folder / "golden_bbox_first.npy"
    for keep, feature in (("last", "voxel_grid"), ("all", "of_samples")):
        kept = steps.FeatureBoxesSettings(boxes=keep)
        steps.feature_boxes(folder / f"{feature}.h5", boxes, of_windows[0], kept)
        made["feature_boxes"] = made.get("feature_boxes", "") + digest_of_bytes(*of_windows)
    plan = folder / "plan.tsv"
    rows = [
        {
            "path": f"train/x/{file.name}",
            "source": str(file),
            "kind": "events",
            "id": "golden",
            "split": "train",
        }
        for file in (whole, slices)
    ]
    steps.release_plan(rows, plan)
    release = folder / "release"
    steps.release(
        plan, release, steps.ReleaseSettings(name="golden", version="1", licence="CC0-1.0")
    )
    written = sorted(path.relative_to(release) for path in release.rglob("*"))
    texts = [release / name for name in ("LICENSE.txt", "config.json", "splits/train.txt")]
    made["release"] = "".join(
        [
            *(digest_of_hdf5(release / row["path"]) for row in rows),
            *map(str, written),
            digest_of_bytes(*texts),
        ]
    )
    made["publish"] = ""
    for source in (whole, slices, samples, folder / "histogram.h5"):
        ready = folder / f"ready_{source.name}"
        steps.publish(source, ready, ready.with_suffix(".json"), steps.PublishSettings())
        record = json.loads(ready.with_suffix(".json").read_bytes())
        told = [record["facts"], record["looked"]["alone"], record["looked"]["drawn"]]
        made["publish"] += digest_of_hdf5(ready) + json.dumps(told)
    row = {"id": "golden", "source": "manual:recordings/a.raw", "md5": "0" * 32, "split": "val"}
    config = {"recordings": "recordings.tsv", "labels": ["Straßenbahn"], "features": {}}
    steps.recipe(folder / "recipe", config=config, rows=[row], release="golden-1")
    # The others have the versions of libraries in them.
    texts = [folder / "recipe" / name for name in ("config.yaml", "recordings.tsv")]
    made["recipe"] = digest_of_bytes(*texts)
    return {
        step: {"revision": STEP_REVISIONS[step], "digest": hashlib.sha256(d.encode()).hexdigest()}
        for step, d in made.items()
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return digests(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("step", [step for step in STEP_REVISIONS if step != "acquire"])
def test_step__makes_what_its_revision_made_before(found, step):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    hint = "raise STEP_REVISIONS and run: PYTHONPATH=tests python tests/steps/test_golden.py"
    assert found[step] == golden[step], f"the output of step {step} changed; {hint}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        text = json.dumps(digests(Path(scratch)), indent=1) + "\n"
    GOLDEN.write_text(text, encoding="utf-8")
