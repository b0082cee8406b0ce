"""A feature's geometry, from the settings to the file, its boxes, and the release."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evreel import steps
from evreel.checks.run import check
from evreel.cli.main import main
from evreel.errors import AnnotationError, LayoutError, ParameterError, UsageError
from evreel.events import Sensor
from evreel.files.boxes import read_boxes
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.files.slices import SlicesFile
from evreel.geometry import Geometry
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from evreel.release.open import open_release
from evreel.representations import Feature, Histogram, tensor
from support.hdf5 import edited
from support.scenes import annotated
from support.stores import store_of

SENSOR = Sensor(47, 63)
CROPPED = {"crop": [8, 4, 56, 44], "flip_x": True, "downsample": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A simulated recording of 63×47 px, its slices, and its boxes, one per frame."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "slices").mkdir()
    annotated(folder, folder / "slices" / "park.h5", folder / "boxes.npy")
    return folder


def wanted(**geometry) -> steps.FeatureSettings:
    return steps.FeatureSettings(
        representation="histogram", window_us=20_000, geometry=Geometry(**geometry)
    )


def computed(made, output, **geometry):
    output.parent.mkdir(exist_ok=True)
    return steps.features(made / "park.h5", output, wanted(**geometry))


def test_file__says_its_geometry_and_has_the_frames_computed_live(made, tmp_path):
    output = tmp_path / "park.h5"
    repairs = computed(made, output, **CROPPED)
    with EventsStore(made / "park.h5") as store, FeaturesFile(output) as file:
        assert file.geometry == Geometry(**CROPPED)
        assert file.sensor == store.sensor == SENSOR
        assert file.shape[1:] == (2, 20, 24)
        live = tensor(Feature(Histogram(), file.geometry), store.read(), file.windows)
        assert file[:].tobytes() == live.tobytes()
        assert repairs == {"outside_crop": len(store) - live.sum()}
        assert json.loads(file.provenance["parameters"])["geometry"] == Geometry(**CROPPED).plain()
        assert json.loads(file.provenance["repairs"]) == repairs


def test_file__without_a_geometry_says_nothing_of_it(made, tmp_path):
    computed(made, tmp_path / "park.h5")
    with FeaturesFile(tmp_path / "park.h5") as file:
        assert file.geometry == Geometry()
        assert "geometry" not in file.provenance
        assert "geometry" not in json.loads(file.provenance["parameters"])


def test_file__whose_geometry_cannot_be_read_is_refused(made, tmp_path):
    computed(made, tmp_path / "park.h5", **CROPPED)
    for wrong in ("{", '{"cropp": 1}', '{"downsample": -1}', "[1]", "3"):
        with edited(tmp_path / "park.h5") as h5:
            h5.attrs["geometry"] = wrong
        with pytest.raises(LayoutError, match="its attributes cannot be read"):
            FeaturesFile(tmp_path / "park.h5")


def test_another_geometry__makes_a_feature_again_and_the_same_one_does_not(made, tmp_path):
    output = tmp_path / "park.h5"
    computed(made, output, **CROPPED)
    before = output.stat().st_ino
    assert computed(made, output, **CROPPED)["outside_crop"] > 0
    assert output.stat().st_ino == before
    computed(made, output, downsample=1)
    assert output.stat().st_ino != before
    with FeaturesFile(output) as file:
        assert file.shape[2:] == (24, 32)  # half of an odd size, rounded up


def test_crop__outside_the_sensor_is_an_error_that_names_the_feature(made, tmp_path):
    with pytest.raises(ParameterError, match=r"hist/park\.h5: crop 0,0,64,47 .*63x47 sensor"):
        computed(made, tmp_path / "hist" / "park.h5", crop=(0, 0, 64, 47))
    assert not list((tmp_path / "hist").iterdir())


def test_labels__count_the_events_that_slices_put_into_regions(made, tmp_path):
    slices = made / "slices" / "park.h5"
    with SlicesFile(slices) as opened:
        labels = opened.labels
        events, roi = opened.read()
        overlaps = opened.overlaps
        named = opened.labels_of(roi)
        is_of = {k: named == k for k in range(len(labels))}
        for k in is_of:
            is_of[k][overlaps.event[opened.rois.label[overlaps.roi] == k]] = True
    (tmp_path / "h").mkdir()
    for k, label in enumerate(labels):
        output = tmp_path / "h" / f"{label}.h5"
        repairs = steps.features(made / "park.h5", output, wanted(labels=[label]), slices=slices)
        n = int(np.count_nonzero(is_of[k]))
        with FeaturesFile(output) as file:
            assert file[:].sum() == n
            assert file.geometry.labels == (label,)
            assert set(json.loads(file.provenance["inputs"])) == {"store", "slices"}
        assert repairs == {"outside_labels": len(events) - n}
    assert any(0 < np.count_nonzero(found) < len(events) for found in is_of.values())
    with pytest.raises(UsageError, match=r"only events in regions of car .*annotated slices"):
        steps.features(made / "park.h5", tmp_path / "none.h5", wanted(labels=["car"]))
    with pytest.raises(UsageError, match="has no label 'tram'"):
        steps.features(
            made / "park.h5", tmp_path / "none.h5", wanted(labels=["tram"]), slices=slices
        )
    assert not (tmp_path / "none.h5").exists()


def test_labels__by_slices_of_another_recording_are_refused(made, tmp_path):
    with EventsStore(made / "park.h5") as store:
        events = store.read()
        others = store_of(tmp_path / "other.h5", events, store.t_offset)
        later = store_of(tmp_path / "later.h5", events, store.t_offset + 1)
    for other in (others, later):
        with pytest.raises(LayoutError, match=rf"park\.h5: was not made from {other.name}"):
            steps.features(
                *(other, tmp_path / "h.h5", wanted(labels=["car"])),
                slices=made / "slices" / "park.h5",
            )


def test_boxes__of_windows_are_in_the_coordinates_of_the_frames(made, tmp_path):
    feature, output = tmp_path / "h" / "park.h5", tmp_path / "h" / "park_bbox.npy"
    computed(made, feature, **CROPPED)
    every = read_boxes(made / "boxes.npy")
    repairs = steps.feature_boxes(feature, made / "boxes.npy", output, steps.FeatureBoxesSettings())
    moved, counts = Geometry(**CROPPED).of_boxes(every, SENSOR)
    got = np.load(output)
    assert len(got) == len(moved) > 0
    for name in ("t", "x", "y", "w", "h", "track_id"):
        np.testing.assert_array_equal(got[name], moved[name])
    assert repairs == {"boxes_in_no_window": 0, "earlier_boxes": 0, **counts}
    assert counts["boxes_cut_by_crop"] + counts["boxes_outside_crop"] > 0
    said = json.loads((tmp_path / "h" / "park_bbox.json").read_text(encoding="utf-8"))
    assert said["repairs"] == repairs
    assert said["parameters"] == {"boxes": "all", "geometry": Geometry(**CROPPED).plain()}
    assert not check(tmp_path / "h").findings


def test_boxes__that_have_the_coordinates_already_are_not_moved_again(made, tmp_path):
    feature, output = tmp_path / "h" / "park.h5", tmp_path / "h" / "park_bbox.npy"
    computed(made, feature, **CROPPED)
    every = steps.FeatureBoxesSettings()
    steps.feature_boxes(feature, made / "boxes.npy", output, every)
    moved = tmp_path / "moved_bbox.npy"
    for suffix in (".npy", ".json"):
        moved.with_suffix(suffix).write_bytes(output.with_suffix(suffix).read_bytes())
    repairs = steps.feature_boxes(feature, moved, output, every)
    assert output.read_bytes() == moved.read_bytes()
    assert repairs == {"boxes_in_no_window": 0, "earlier_boxes": 0}
    computed(made, tmp_path / "other.h5", flip_x=True)
    with pytest.raises(AnnotationError, match=r"moved_bbox\.npy: is in the pixels of the frames"):
        steps.feature_boxes(tmp_path / "other.h5", moved, tmp_path / "other_bbox.npy", every)


def test_check__finds_boxes_outside_the_frames_and_boxes_of_the_sensor(made, tmp_path):
    feature, output = tmp_path / "h" / "park.h5", tmp_path / "h" / "park_bbox.npy"
    computed(made, feature, **CROPPED)
    output.write_bytes((made / "boxes.npy").read_bytes())
    found = {finding.check for finding in check(tmp_path / "h").findings}
    assert "box_geometry" in found
    steps.feature_boxes(feature, made / "boxes.npy", output, steps.FeatureBoxesSettings())
    boxes = np.load(output)
    boxes["x"][0], boxes["w"][0] = 20, 10
    np.save(output, boxes)
    found = {f.check: f.problem for f in check(output).findings}
    assert "24x20" in found["box_outside"]
    assert "box_geometry" not in found


def test_release__gives_boxes_that_fit_the_frames_with_or_without_files_of_them(made, tmp_path):
    of = {"moved": CROPPED, "alike": {"labels": None}, "small": {"resize": [12, 16]}}
    plan = [PlanEntry("train/slices/park_bbox.npy", made / "boxes.npy", "slices", "park", "train")]
    for name, geometry in of.items():
        source = tmp_path / name / "park.h5"
        computed(made, source, **geometry)
        plan.append(PlanEntry(f"train/{name}/park.h5", source, "features", "park", "train"))
    about = {
        "name": "park",
        "version": "1.0",
        "licence": "CC-BY-4.0",
        "labels": dict(enumerate(["car", "person"])),
    }
    build(plan, tmp_path / "release", **about)
    every = read_boxes(made / "boxes.npy")
    with open_release(tmp_path / "release") as release:
        park = release.recordings["park"]
        for name, geometry in of.items():
            expected, _ = Geometry(**geometry).of_boxes(every, SENSOR)
            boxes, first = park.boxes_of(name)
            assert first[-1] == len(boxes)
            for column in "xywh":
                np.testing.assert_array_equal(boxes[column], expected[column])


def test_command__takes_a_geometry_and_slices(made, tmp_path, capsys):
    arguments = [
        *("features", made / "park.h5", "-o", tmp_path / "f", "--representation", "histogram"),
        *("--window-us", "20000", "--geometry", "crop=8,4,56,44", "--geometry", "flip_x=true"),
        *("--geometry", "resize=10,12", "--geometry", "of=frame", "--geometry", "method=area"),
        *("--geometry", "labels=car", "--slices", made / "slices"),
    ]
    assert main([str(argument) for argument in arguments]) == 0
    with FeaturesFile(tmp_path / "f" / "park.h5") as file:
        assert file.geometry == Geometry(
            crop=(8, 4, 56, 44),
            flip_x=True,
            resize=(10, 12),
            of="frame",
            method="area",
            labels=("car",),
        )
        assert file.shape[1:] == (2, 10, 12)
    for wrong, said in (
        ("crop=8,4", "'8,4' is not X0,Y0,X1,Y1 in whole numbers"),
        ("flip_x=yes", "'yes' is not true or false"),
        ("flipx=true", "'flipx' is unknown; did you mean 'flip_x'?"),
    ):
        with pytest.raises(SystemExit):
            main([*map(str, arguments[:6]), "--window-us", "9", "--geometry", wrong])
        assert said in capsys.readouterr().err
    assert main([*map(str, arguments[:8]), "--geometry", "of=frame"]) == 2
    assert "of: frame goes with resize" in capsys.readouterr().err
