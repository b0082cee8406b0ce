"""A release is of files that were made from each other, or it is refused."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.errors import ReleaseError
from evreel.geometry import Geometry
from evreel.layout import BOX_DTYPE
from evreel.publish import build as publish_build
from evreel.release.manifest import read_manifest
from evreel.release.origins import Made, mixtures
from support.releases import edit_manifest
from support.scenes import write_scene

DATA_SET = {"name": "park", "version": "1", "licence": "CC0-1.0"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the workflow makes of a recording, and the plan of its release."""
    folder = tmp_path_factory.mktemp("made")
    recording, rois, *_ = steps.simulate(write_scene(folder, "park", seed=1), folder)
    store, clock, slices = folder / "park.h5", folder / "park.clock.tsv", folder / "slices.h5"
    feature, boxes = folder / "histogram.h5", folder / "park_bbox.npy"
    steps.events(recording, store)
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000))
    windows = steps.RegularWindows(window_us=20_000)
    steps.annotate(store, clock, slices, boxes, windows, rois=rois)
    settings = steps.FeatureSettings(representation="histogram", window_us=10_000)
    steps.features(store, feature, settings)
    rows = [
        ("train/events/park.h5", store, "events"),
        ("train/slices/park.h5", slices, "slices"),
        ("train/slices/park_bbox.npy", boxes, "slices"),
        ("train/histogram/park.h5", feature, "features"),
        ("video/park.clock.tsv", clock, "video"),
        ("annotations/park.rois.xml", rois, "annotations"),
    ]
    return folder, [
        {"path": path, "source": source.name, "kind": kind, "id": "park", "split": "train"}
        for path, source, kind in rows
    ]


def build(made, tmp_path, monkeypatch, change=None, **options):
    """Build a release of a copy of these files, of which one was changed."""
    folder, rows = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if change is not None:
        change()
    steps.release_plan(rows, "plan.tsv")
    steps.release(
        "plan.tsv",
        "park-1",
        steps.ReleaseSettings(**DATA_SET),
        labels=["car", "sign", "busy"],
        **options,
    )
    return tmp_path / "park-1"


def edited_xml():
    xml = Path("park.rois.xml")
    xml.write_text(xml.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def other_store():
    Path("park.h5").unlink()
    steps.events("park.aedat4", "park.h5", steps.EventsSettings(stop_us=90_000))


def other_clock():
    steps.clock("park.h5", "park.clock.tsv", steps.ClockSettings(window_us=10_000, scale=2))


def other_boxes():
    np.save("park_bbox.npy", np.load("park_bbox.npy")[:-1])


MIXTURES = {
    edited_xml: ("train/slices/park.h5", "another rois annotation than annotations/park.rois.xml"),
    other_store: ("train/slices/park.h5", "another events store than train/events/park.h5"),
    other_clock: ("train/slices/park.h5", "another clock than video/park.clock.tsv"),
    other_boxes: ("train/slices/park.h5", "another file of boxes than train/slices/park_bbox.npy"),
}


def test_build__of_files_that_were_made_from_each_other_is_a_release(made, tmp_path, monkeypatch):
    release = build(made, tmp_path, monkeypatch)
    assert steps.verify(release) == []
    assert not steps.check(release).errors


@pytest.mark.parametrize("change", MIXTURES, ids=lambda change: change.__name__)
def test_build__refuses_a_mixture(made, tmp_path, monkeypatch, change):
    path, problem = MIXTURES[change]
    with pytest.raises(ReleaseError) as caught:
        build(made, tmp_path, monkeypatch, change)
    assert f"{path!r}: was made" in str(caught.value)
    assert problem in str(caught.value)
    assert not (tmp_path / "park-1").exists()


def test_feature_of_regions__fits_the_slices_that_say_where_these_are(made, tmp_path, monkeypatch):
    folder, rows = made
    wanted = steps.FeatureSettings(
        representation="histogram", window_us=10_000, geometry=Geometry(labels=("car",))
    )
    both = tmp_path / "both"
    shutil.copytree(folder, both)
    steps.features(both / "park.h5", both / "cars.h5", wanted, slices=both / "slices.h5")
    row = {"path": "train/cars/park.h5", "source": "cars.h5", "kind": "features"}
    rows = [*rows, {**rows[0], **row}]
    release = build((both, rows), tmp_path / "sound", monkeypatch)
    assert steps.verify(release) == []
    assert not steps.check(release).errors
    assert not steps.check(both).errors

    def other_slices():
        outputs = Path("slices.h5"), Path("park_bbox.npy")
        windows = steps.RegularWindows(window_us=15_000)
        for output in outputs:
            output.unlink()
        steps.annotate("park.h5", "park.clock.tsv", *outputs, windows, rois="park.rois.xml")

    problem = "was made from another file of slices than train/slices/park.h5"
    with pytest.raises(ReleaseError, match=problem):
        build((both, rows), tmp_path / "mixed", monkeypatch, other_slices)


def test_verify_and_check__find_a_mixture_of_which_all_sums_are_right(made, tmp_path, monkeypatch):
    release = build(made, tmp_path, monkeypatch)
    xml = release / "annotations" / "park.rois.xml"
    xml.write_text(xml.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    data = xml.read_bytes()

    def of_new_xml(manifest):
        entry = next(e for e in manifest["files"] if e["path"] == "annotations/park.rois.xml")
        entry["size"] = len(data)
        entry["md5"] = hashlib.md5(data).hexdigest()
        entry["sha256"] = hashlib.sha256(data).hexdigest()

    edit_manifest(release, of_new_xml, keep_sums=True)
    path, problem = MIXTURES[edited_xml]
    [difference] = steps.verify(release)
    assert (difference.path, problem in difference.problem) == (path, True)
    [finding] = [f for f in steps.check(release).findings if f.severity == "error"]
    assert (finding.check, finding.path, problem in finding.problem) == ("made_from", path, True)


def test_build__compares_with_the_files_that_the_table_names(made, tmp_path, monkeypatch):
    digest = hashlib.sha256((made[0] / "park.rois.xml").read_bytes()).hexdigest()
    row = {"id": "park", "split": "train", "rois": "park.rois.xml", "rois_sha256": digest}
    folder, rows = made
    without = folder, [row for row in rows if row["kind"] != "annotations"]
    assert build(without, tmp_path / "a", monkeypatch, recordings={"park": row}).is_dir()
    other = row | {"rois_sha256": "0" * 64}
    with pytest.raises(ReleaseError, match="another rois annotation than that of column rois"):
        build(without, tmp_path / "b", monkeypatch, recordings={"park": other})
    tagged = row | {"tags_sha256": "0" * 64}
    with pytest.raises(ReleaseError, match="without the tags annotation, that of column tags"):
        build(without, tmp_path / "c", monkeypatch, recordings={"park": tagged})


def test_manifest__that_tells_of_other_files_than_it_has_is_a_mixture(made, tmp_path, monkeypatch):
    row = {"id": "park", "split": "train", "rois": "park.rois.xml", "rois_sha256": "0" * 64}
    with pytest.raises(ReleaseError, match="is not the file that column rois names"):
        build(made, tmp_path, monkeypatch, recordings={"park": row})


def test_sidecar__is_held_to_the_file_that_the_table_names(tmp_path):
    (tmp_path / "park.json").write_text("{}", encoding="utf-8")
    sidecar = Made.read(
        "sidecars/a.calibration.json", "a", tmp_path / "park.json", lambda: "sha256:1"
    )
    assert list(mixtures([sidecar], {"a": {"calibration_sha256": "1"}})) == []
    assert list(mixtures([sidecar], {"a": {"calibration_sha256": "2"}})) == [
        (sidecar.path, "is not the file that column calibration names")
    ]


def test_store__of_another_recording_is_found_where_the_table_states_its_sum():
    store = Made("a.h5", "a", "store", "sha256:0", inputs={"recording": "sha256:1"})
    assert list(mixtures([store], {"a": {"sha256": "1", "source": "a.npz"}})) == []
    assert list(mixtures([store], {"a": {"sha256": "2", "source": "a.zip!a.npz"}})) == []
    assert list(mixtures([store], {"a": {"sha256": "2", "source": "a.npz"}})) == [
        ("a.h5", "was made from another recording than that of column sha256")
    ]


def test_xml__that_is_edited_while_it_is_released_is_refused(made, tmp_path, monkeypatch):
    copy = publish_build._placed

    def edit_and_copy(of, target, links):
        if of.entry.kind == "annotations":
            of.path.write_bytes(of.path.read_bytes() + b"\n")
        return copy(of, target, links)

    monkeypatch.setattr(publish_build, "_placed", edit_and_copy)
    with pytest.raises(ReleaseError, match=r"park.rois.xml': was changed while it was in use\."):
        build(made, tmp_path, monkeypatch)


def test_mixtures__are_also_among_files_that_name_what_is_not_there():
    one, two = (Made(f"{n}.h5", "a", inputs={"cut": n}) for n in "12")
    assert list(mixtures([one, two])) == [
        ("2.h5", "was made from another table of samples than the one that 1.h5 was made from")
    ]
    assert list(mixtures([one, replace(two, id="b")])) == []


def test_published_boxes__are_held_to_the_file_that_the_table_names(made, tmp_path, monkeypatch):
    folder, _ = made
    monkeypatch.chdir(tmp_path)
    published = np.zeros(2, dtype=BOX_DTYPE)
    published["x"], published["w"], published["h"] = [3, -2], 9, 9
    published["t"] = steps.info(folder / "park.h5")["t_offset"] + 10
    np.save("published.npy", published)
    clip = steps.BoxesSettings(outside="clip")
    steps.boxes(folder / "park.h5", "published.npy", "park_bbox.npy", clip)
    digest = hashlib.sha256(Path("published.npy").read_bytes()).hexdigest()
    rows = [
        {"path": path, "source": str(source), "id": "park"}
        for path, source in (
            ("train/events/park.h5", folder / "park.h5"),
            ("train/slices/park_bbox.npy", "park_bbox.npy"),
        )
    ]
    steps.release_plan(rows, "plan.tsv")
    row = {"split": "train", "boxes": "published.npy", "boxes_sha256": digest}

    def released(name, row):
        known = {"labels": ["car"], "recordings": {"park": row}}
        steps.release("plan.tsv", name, steps.ReleaseSettings(**DATA_SET), **known)
        return read_manifest(name).recordings["park"]["boxes_repairs"]

    told = '{"clipped_boxes": 1, "invalid_boxes": 0, "outside_boxes": 0}'
    assert released("whole", row) == told
    with pytest.raises(ReleaseError, match="another file of published boxes than that of column"):
        released("other", row | {"boxes_sha256": "0" * 64})
    np.save("park_bbox.npy", np.load("park_bbox.npy")[:1])
    with pytest.raises(ReleaseError, match="was made together with another file of boxes"):
        released("edited", row)


@pytest.fixture(scope="module")
def by_windows(made, tmp_path_factory):
    """The same with two features, and boxes in the order of their windows."""
    folder = tmp_path_factory.mktemp("by_windows")
    shutil.copytree(made[0], folder, dirs_exist_ok=True)
    rows = list(made[1])
    for feature, keep in (("histogram", "all"), ("long", "last")):
        (folder / feature).mkdir()
        file, boxes = folder / feature / "park.h5", folder / feature / "park_bbox.npy"
        histograms(folder / "park.h5", file, 10_000 if feature == "histogram" else 30_000)
        keeping = steps.FeatureBoxesSettings(boxes=keep)
        steps.feature_boxes(file, folder / "park_bbox.npy", boxes, keeping)
        rows += [
            row_of(f"train/{feature}/{path.name}", f"{feature}/{path.name}")
            for path in sorted((folder / feature).iterdir())
            if feature == "long" or path.suffix != ".h5"
        ]
        if feature == "histogram":
            [row] = [row for row in rows if row["path"] == "train/histogram/park.h5"]
            rows[rows.index(row)] = row_of("train/histogram/park.h5", "histogram/park.h5")
    return folder, rows


def row_of(path, source):
    return {"path": path, "source": source, "kind": "features", "id": "park", "split": "train"}


def histograms(store, output, window_us):
    settings = steps.FeatureSettings(representation="histogram", window_us=window_us)
    steps.features(store, output, settings)


def edited_labels():
    """Draw the regions anew, and forget the boxes in the order of windows."""
    edited_xml()
    xml = Path("park.rois.xml")
    xml.write_text(xml.read_text(encoding="utf-8").replace('label="sign"', 'label="busy"'), "utf-8")
    windows = steps.RegularWindows(window_us=20_000)
    files = "park.clock.tsv", "slices.h5", "park_bbox.npy"
    steps.annotate("park.h5", *files, windows, rois="park.rois.xml")


def other_windows():
    histograms("park.h5", "long/park.h5", 20_000)


def interchanged_boxes():
    for name in ("park_bbox.npy", "park_bbox_first.npy"):
        shutil.copy(f"histogram/{name}", f"long/{name}")


def interchanged_features():
    for name in ("park_bbox.npy", "park_bbox_first.npy", "park_bbox.json"):
        shutil.copy(f"histogram/{name}", f"long/{name}")


def edited_first_rows():
    np.save("long/park_bbox_first.npy", np.load("long/park_bbox_first.npy") * 0)


LONG = "train/long/park_bbox.npy"
STALE = {
    edited_labels: (
        "train/histogram/park_bbox.npy",
        "made from another file of boxes than train/slices/park_bbox.npy; 1 more",
    ),
    other_windows: (LONG, "made from another feature file than train/long/park.h5"),
    interchanged_boxes: (LONG, f"made together with another file of boxes than {LONG}; 1 more"),
    interchanged_features: (LONG, "made from another feature file than train/long/park.h5"),
    edited_first_rows: (
        LONG,
        "made together with another file of first rows than train/long/park_bbox_first.npy",
    ),
}


def test_boxes_by_windows__are_released_where_they_fit(by_windows, tmp_path, monkeypatch):
    release = build(by_windows, tmp_path, monkeypatch)
    assert steps.verify(release) == []
    assert not steps.check(release).findings
    assert not steps.check(tmp_path / "long").findings


@pytest.mark.parametrize("change", STALE, ids=lambda change: change.__name__)
def test_build__refuses_stale_boxes_by_windows(by_windows, tmp_path, monkeypatch, change):
    path, problem = STALE[change]
    with pytest.raises(ReleaseError) as caught:
        build(by_windows, tmp_path, monkeypatch, change)
    assert f"{path!r}: was {problem}" in str(caught.value)
    assert not (tmp_path / "park-1").exists()


def test_verify_and_check__find_interchanged_boxes_by_windows(by_windows, tmp_path, monkeypatch):
    release = build(by_windows, tmp_path, monkeypatch)
    changed = {}
    for name in ("park_bbox.npy", "park_bbox_first.npy", "park_bbox.json"):
        data = (release / "train" / "histogram" / name).read_bytes()
        (release / "train" / "long" / name).unlink()  # a link to the working file
        (release / "train" / "long" / name).write_bytes(data)
        changed[f"train/long/{name}"] = data

    def of_changed(manifest):
        for entry in manifest["files"]:
            if entry["path"] in changed:
                data = changed[entry["path"]]
                sums = {name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha256")}
                entry.update(size=len(data), **sums)

    edit_manifest(release, of_changed, keep_sums=True)
    [difference] = steps.verify(release)
    assert str(difference).startswith(f"{LONG}: was made from another feature file than train/long")
    found = {(f.check, f.path) for f in steps.check(release).findings if f.severity == "error"}
    assert found == {("made_from", LONG), ("box_window", LONG)}


def test_check__of_results_finds_stale_boxes_by_windows(by_windows, tmp_path, monkeypatch):
    shutil.copytree(by_windows[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in ("events", "features"):
        Path("results", name).mkdir(parents=True)
    shutil.move("park.h5", "results/events/park.h5")
    shutil.move("park_bbox.npy", "results/events/park_bbox.npy")
    for name in ("histogram", "long"):
        shutil.move(name, f"results/features/{name}")
    assert not steps.check("results").findings
    histograms("results/events/park.h5", "results/features/long/park.h5", 20_000)
    boxes = np.load("results/events/park_bbox.npy")
    np.save("results/events/park_bbox.npy", boxes[:-1])
    found = {(f.check, f.path) for f in steps.check("results").findings}
    long, short = (f"features/{name}/park_bbox.npy" for name in ("long", "histogram"))
    assert found == {("made_from", long), ("box_window", long), ("made_from", short)}


def test_slices_of_several_jobs__fit_those_files_in_their_order():
    slices = Made(
        *("a.h5", "a"), inputs={"rois": "sha256:1", "rois.2": "sha256:2"}, needs=("rois", "tags")
    )
    first, second = (
        Made.read(f"annotations/a.rois{number}.xml", "a", Path(), digest)
        for number, digest in (("", lambda: "sha256:1"), (".2", lambda: "sha256:2"))
    )
    assert (first.role, second.role) == ("rois", "rois.2")
    files = [slices, first, second]
    assert list(mixtures(files, {"a": {"rois_sha256": "1 | 2"}})) == []
    assert list(mixtures([slices], {"a": {"rois_sha256": "1 | 3"}})) == [
        ("a.h5", "was made from another rois annotation 2 than file 2 of column rois")
    ]
    assert list(mixtures([slices], {"a": {"rois_sha256": "1 | 2 | 3"}})) == [
        ("a.h5", "was made without the rois annotation 3, file 3 of column rois")
    ]
    assert list(mixtures([slices], {"a": {"rois_sha256": "1"}})) == [
        ("a.h5", "was made from more files than column rois names")
    ]
    edited = replace(second, digest="sha256:9")
    problems = dict(mixtures([slices, first, edited], {"a": {"rois_sha256": "1 | 2"}}))
    assert problems[second.path] == "is not the file that column rois names"


def test_annotations__are_released_without_people_where_asked_for(made, tmp_path, monkeypatch):
    folder, rows = made
    with_kind = [
        row | {"kind": "anonymous_annotations" if row["kind"] == "annotations" else row["kind"]}
        for row in rows
    ]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    xml = Path("park.rois.xml")
    text = xml.read_text(encoding="utf-8")
    owner = "<owner><username>Kim</username><email>kim@example.org</email></owner>"
    xml.write_text(text.replace("<labels>", f"{owner}<labels>", 1), encoding="utf-8")
    windows = steps.RegularWindows(window_us=20_000)
    steps.annotate(
        "park.h5", "park.clock.tsv", "slices.h5", "park_bbox.npy", windows, rois="park.rois.xml"
    )
    named = steps.ReleaseSettings(**DATA_SET)
    digest = hashlib.sha256(xml.read_bytes()).hexdigest()
    known = {"park": {"split": "train", "rois": xml.name, "rois_sha256": digest}}
    for plan, release, n in ((rows, "named-1", 1), (with_kind, "park-1", 0)):
        steps.release_plan(plan, "plan.tsv")
        labels = ["car", "sign", "busy"]
        steps.release("plan.tsv", release, named, labels=labels, recordings=known)
        found = [finding for finding in steps.check(release).findings if finding.check == "people"]
        assert len(found) == n
        assert steps.verify(release) == []
    released = Path("park-1", "annotations", "park.rois.xml")
    assert "Kim" not in released.read_text(encoding="utf-8")
    (file,) = (file for file in read_manifest("park-1").files if file.path.startswith("annot"))
    assert (file.kind, file.source_sha256) == ("annotations", digest)
