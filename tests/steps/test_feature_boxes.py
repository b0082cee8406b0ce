"""Boxes in the order of a feature's windows: what the step writes, and says of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evreel import steps
from evreel.cli.main import main
from evreel.errors import AnnotationError, UsageError
from evreel.files.boxes import boxes_of_windows, read_boxes, write_boxes
from evreel.files.features import FeaturesFile
from evreel.provenance import sha256
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from support.scenes import annotated


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Boxes of a simulated recording, every 5 ms, and a feature with windows of 20 ms."""
    folder = tmp_path_factory.mktemp("made")
    at = steps.AnnotateSettings(boxes_at="rate", boxes_us=5_000)
    annotated(folder, folder / "slices.h5", folder / "boxes.npy", at)
    (folder / "hist").mkdir()
    features(folder, folder / "hist" / "park.h5", window_us=20_000)
    return folder


def features(folder, output, **windows):
    """Compute a feature of the recording."""
    steps.features(
        folder / "park.h5", output, steps.FeatureSettings(representation="histogram", **windows)
    )


def keeping(keep):
    return steps.FeatureBoxesSettings(boxes=keep)


@pytest.mark.parametrize("keep", ["last", "all"])
def test_files__have_what_a_search_finds_and_where_each_window_begins(made, tmp_path, keep):
    output, feature = tmp_path / "park_bbox.npy", made / "hist" / "park.h5"
    repairs = steps.feature_boxes(feature, made / "boxes.npy", output, keeping(keep))
    every = read_boxes(made / "boxes.npy")
    with FeaturesFile(feature) as file:
        boxes, first = boxes_of_windows(every, file.windows, keep)
    assert np.load(output).tobytes() == boxes.tobytes()
    assert np.load(tmp_path / "park_bbox_first.npy").tolist() == first.tolist()
    assert len(boxes) == len(every) if keep == "all" else 0 < len(boxes) < len(every)
    assert repairs == {"boxes_in_no_window": 0, "earlier_boxes": len(every) - len(boxes)}
    said = json.loads((tmp_path / "park_bbox.json").read_text(encoding="utf-8"))
    assert said["parameters"] == {"boxes": keep}
    assert said["repairs"] == repairs
    assert said["inputs"] == {"features": sha256(feature), "boxes": sha256(made / "boxes.npy")}


def test_boxes__in_gaps_and_beyond_the_last_window_are_counted(made, tmp_path):
    features(made, tmp_path / "park.h5", window_us=10_000, stride_us=40_000, tail="drop")
    output = tmp_path / "park_bbox.npy"
    repairs = steps.feature_boxes(tmp_path / "park.h5", made / "boxes.npy", output, keeping("all"))
    every = read_boxes(made / "boxes.npy")
    assert 0 < repairs["boxes_in_no_window"] == len(every) - len(np.load(output)) < len(every)


def test_recording_without_a_box__has_windows_without_boxes(made, tmp_path):
    write_boxes(tmp_path / "none.npy", read_boxes(made / "boxes.npy")[:0])
    output, feature = tmp_path / "park_bbox.npy", made / "hist" / "park.h5"
    for keep in ("last", "all"):
        steps.feature_boxes(feature, tmp_path / "none.npy", output, keeping(keep))
        assert len(np.load(output)) == 0
        with FeaturesFile(feature) as file:
            assert np.load(tmp_path / "park_bbox_first.npy").tolist() == [0] * (len(file) + 1)


def test_step__that_is_asked_for_no_boxes_says_so(made, tmp_path):
    output = tmp_path / "park_bbox.npy"
    with pytest.raises(UsageError, match="give last or all"):
        steps.feature_boxes(made / "hist" / "park.h5", made / "boxes.npy", output, keeping("none"))
    assert not list(tmp_path.iterdir())


def test_step__that_is_asked_for_nothing_in_particular_takes_all_boxes(made, tmp_path):
    outputs = [tmp_path / name / "park_bbox.npy" for name in ("left_out", "all")]
    for output, keep in zip(outputs, (None, "all"), strict=True):
        output.parent.mkdir()
        steps.feature_boxes(made / "hist" / "park.h5", made / "boxes.npy", output, keeping(keep))
    for suffix in (".npy", "_first.npy", ".json"):
        one, other = (output.with_name(f"park_bbox{suffix}").read_bytes() for output in outputs)
        assert one == other


def test_boxes__out_of_order_leave_what_was_there(made, tmp_path):
    output, feature = tmp_path / "park_bbox.npy", made / "hist" / "park.h5"
    steps.feature_boxes(feature, made / "boxes.npy", output, keeping("last"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    np.save(tmp_path / "back.npy", read_boxes(made / "boxes.npy")[::-1])
    with pytest.raises(AnnotationError, match=r"back.npy: record 2: goes back in time"):
        steps.feature_boxes(feature, tmp_path / "back.npy", output, keeping("all"))
    (tmp_path / "back.npy").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_command__makes_what_the_step_makes(made, tmp_path):
    output, by_hand = tmp_path / "park_bbox.npy", tmp_path / "hand" / "b.npy"
    feature, boxes = made / "hist" / "park.h5", made / "boxes.npy"
    steps.feature_boxes(feature, boxes, output, keeping("last"))
    given = ["feature-boxes", str(feature), "--boxes", str(boxes), "-o", str(by_hand)]
    assert main([*given, "--keep", "last", "-q"]) == 0
    assert by_hand.read_bytes() == output.read_bytes()
    assert (tmp_path / "hand" / "b_first.npy").read_bytes() == (
        tmp_path / "park_bbox_first.npy"
    ).read_bytes()
    assert main([*given, "-q"]) == 0
    assert by_hand.read_bytes() == boxes.read_bytes(), "all, by default"


def test_release__of_recordings_without_a_box_or_without_boxes_is_sound(made, tmp_path):
    write_boxes(tmp_path / "none.npy", read_boxes(made / "boxes.npy")[:0])
    plan, rows = [], {}
    for name, split, windows in (
        ("empty", "train", {"window_us": 20_000}),
        ("other", "test", {"window_us": 20_000, "stride_us": 20_001}),
        ("unlabelled", "train", {"count": 300}),
    ):
        rows[name] = {"split": split}
        file = tmp_path / f"{name}.h5"
        features(made, file, **windows)
        if name != "unlabelled":
            rows[name]["rois"] = f"{name}.xml"
            boxes = tmp_path / f"{name}_bbox.npy"
            steps.feature_boxes(file, tmp_path / "none.npy", boxes, keeping("last"))
        plan += [
            PlanEntry(f"{split}/f/{path.name}", path, "features", name, split)
            for path in sorted(tmp_path.glob(f"{name}*"))
        ]
    first = [tmp_path / f"{name}_bbox_first.npy" for name in ("empty", "other")]
    assert first[0].read_bytes() == first[1].read_bytes(), "which is no recording in two splits"
    about = {"name": "none", "version": "1", "licence": "CC0-1.0", "labels": {0: "car"}}
    build(plan, tmp_path / "release", recordings=rows, **about)
    assert steps.check(tmp_path / "release").findings == ()
    assert steps.verify(tmp_path / "release") == []
