"""Checks of a release hold its files, its manifest and its tables together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evreel import steps
from evreel.checks import release
from evreel.checks.dataset import Member
from evreel.checks.finding import Report
from evreel.checks.inventory import File, Head
from evreel.checks.run import check
from evreel.publish.build import build
from evreel.release.manifest import MANIFEST, PlanEntry, is_release
from evreel.samples.tables import Assigned, read_samples_table, write_samples_table
from support.checks import cut_of
from support.hdf5 import edited


def test_missing_file__names_the_first_recording_without_one():
    assert not list(release.missing_file("slices/<id>.h5", ["a", "b"], ["a", "b"], "m"))
    [(path, place, problem)] = release.missing_file("events/<id>.h5", ["b"], ["a", "b"], "m")
    assert (path, place) == ("m", "recording 'a'")
    assert problem.startswith("has no events/<id>.h5;")


def test_unknown_id__counts_the_places_of_each():
    ids = {("f", ""): "a", ("g", ""): "c", ("h", "line 2"): "c"}
    files = [Member(*at, id_, "") for at, id_ in ids.items()]
    [(path, _, problem)] = release.unknown_id(files, ["a", "b"])
    assert path == "g"
    assert "'c'" in problem
    assert "the first of 2 places" in problem


def test_n_events__counts_left_out_events_and_accepts_numbers_of_any_length():
    def found_(promised, n, left_out):
        store = Head(File(Path(), "a.h5", "events", "a"), n=n, left_out=left_out)
        row = {} if promised is None else {"n_events": promised}
        return [problem for _, _, problem in release.n_events({"a": row}, [store])]

    assert not found_("10", 8, 2)
    assert not found_("0010", 8, 2)
    assert not found_(None, 1, 0)
    assert "holds 8 events, and 1 were left out; the table says 10" in found_("10", 8, 1)[0]
    assert "'ten', not a whole number" in found_("ten", 8, 0)[0]
    assert "a number of 5000 digits" in found_("9" * 5_000, 8, 2)[0]


@pytest.mark.parametrize("is_recipe", [False, True])
def test_people__are_left_out_by_a_setting_or_in_a_recipe_by_hand(tmp_path, is_recipe):
    owner = "<owner><username>Kim</username><email>kim@example.org</email></owner>"
    text = f"<annotations><meta><task>{owner}</task></meta></annotations>\n"
    (tmp_path / "park.xml").write_text(text, encoding="utf-8")
    (tmp_path / "config.yaml").write_text("recordings: recordings.tsv\n", encoding="utf-8")
    plan = [PlanEntry("annotations/park.xml", tmp_path / "park.xml", "annotations", "park")]
    if is_recipe:
        plan.append(PlanEntry("recipe/config.yaml", tmp_path / "config.yaml", "recipe"))
    build(plan, tmp_path / "r", name="r", version="1", licence="CC0-1.0")
    (found,) = (one for one in check(tmp_path / "r").findings if one.check == "people")
    assert "names 1 person, 1 e-mail address; to leave them out, " in found.problem
    assert ("anonymous_annotations" in found.problem) != is_recipe
    assert ("from your own files" in found.problem) == is_recipe


def test_samples_table__says_of_each_sample_what_its_file_says():
    cut = cut_of(["train", "test"], group=["g", ""])
    rows = [
        Assigned("a", "0", "clap", "g", "train", 0, 10),
        Assigned("a", "1", "clap", "", "test", 10, 20),
    ]

    def found_(rows, unread=()):
        return list(release.samples_table([cut], rows, "samples.tsv", unread))

    assert not found_(rows)
    assert not found_(rows[::-1]), "in whatever order"
    fields = {"label": "wave", "group": "h", "split": "val", "start_us": 9, "stop_us": 21}
    for field, value in fields.items():
        [(path, place, problem)] = found_([rows[0], rows[1]._replace(**{field: value})])
        assert (path, place) == ("a.h5", "sample '1'")
        assert "1 sample not as in samples.tsv, where the first differs in line 3" in problem
    [(path, place, problem)] = found_(rows[:1])
    assert (path, place) == ("a.h5", "sample '1'")
    assert "is missing" in problem
    [(path, place, problem)] = found_([*rows, rows[0]])
    assert (path, place) == ("samples.tsv", "line 4")
    assert problem.startswith("1 sample duplicated, the first '0' of 'a'")
    [(path, place, problem)] = found_([*rows, rows[0]._replace(recording="b")])
    assert (path, place) == ("samples.tsv", "line 4")
    assert problem.startswith("1 sample in no samples file, the first '0' of 'b'")
    assert not found_([*rows, rows[0]._replace(recording="b")], unread={"b"})


def test_missing_file__needs_no_boxes_of_a_recording_that_is_cut():
    form = release._Form("slices/<id>_bbox.npy", "slices")
    nothing: dict[str, dict[str, str]] = {"drawn": {}, "cut": {}}
    assert release._who_needs(form, nothing, {"cut"}) == {"drawn"}
    told = {"drawn": {"rois": "a.xml"}, "bare": {}, "boxed": {"boxes": "b.npy"}, "cut": {}}
    assert release._who_needs(form, told, {"cut"}) == {"drawn", "boxed"}
    for name in ("<id>_bbox_first.npy", "<id>_bbox.json"):
        form = release._Form(f"histogram/{name}", "features")
        assert release._who_needs(form, told, {"cut"}) == {"drawn", "boxed"}
    video = release._Form("video/<id>.mp4", "video")
    assert release._who_needs(video, told, {"cut"}) == {"drawn", "bare"}
    assert release._who_needs(release._Form("h/<id>.h5", "features"), told, {"cut"}) == {*told}


def test_check__of_a_release_finds_a_missing_file(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    (tmp_path / "r" / "train" / "slices" / "one.h5").unlink()
    [finding] = check(tmp_path / "r").findings
    assert finding.path == "train/slices/one.h5"
    assert (finding.severity, finding.check) == ("error", "readable")


def test_check__of_a_release_reads_what_is_left_of_its_manifest(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    manifest = tmp_path / "r" / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    value = json.loads(text)
    value["files"][0]["path"] = "../out"
    manifest.write_text(json.dumps(value), encoding="utf-8")
    assert any("'..'" in finding.problem for finding in check(tmp_path / "r").findings)
    manifest.write_text(text[: len(text) // 2], encoding="utf-8")
    [finding] = check(tmp_path / "r").findings
    assert finding.path == MANIFEST
    assert "is not JSON" in finding.problem


def test_check__of_a_release_whose_manifest_is_damaged_or_missing_says_so(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    manifest, store = tmp_path / "r" / MANIFEST, tmp_path / "r" / "train" / "events" / "one.h5"
    assert is_release(tmp_path / "r")
    manifest.write_text("[]")
    assert [f.path for f in check(tmp_path).findings] == [f"r/{MANIFEST}"]
    manifest.unlink()
    with edited(store) as file:
        file["events/p"][5] = 7
    expected = [("polarity", "train/events/one.h5"), ("readable", MANIFEST)]
    assert {(f.check, f.path) for f in check(tmp_path / "r").findings} >= set(expected)
    manifest.mkdir()
    assert any(f.path == MANIFEST for f in check(tmp_path / "r").findings)
    shutil.rmtree(manifest)
    (tmp_path / "r" / "SHA256SUMS").unlink()
    assert not is_release(tmp_path / "r")
    assert not any(f.path == MANIFEST for f in check(tmp_path / "r").findings)


def test_check__of_a_release_looks_at_files_that_are_not_in_the_manifest(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    whole = check(tmp_path / "r")
    stray = tmp_path / "r" / "train" / "events" / "stray.h5"
    shutil.copyfile(made / "results" / "events" / "one.h5", stray)
    (tmp_path / "r" / "notes.doc").write_bytes(b"x")
    report = check(tmp_path / "r")
    assert report == Report((), whole.looked_at + 1, whole.not_looked_at + 1)
    with edited(stray) as file:
        file["events/x"][3] = 999
    [finding] = check(tmp_path / "r").findings
    assert (finding.check, finding.path) == ("bounds", "train/events/stray.h5")


@pytest.fixture(scope="module")
def cut_release(made, tmp_path_factory):
    """Return a release of one recording that is annotated, and one cut into two splits."""
    results, folder = made / "results", tmp_path_factory.mktemp("cut") / "release"
    rows = read_samples_table(results / "samples.tsv")
    of_two = [row._replace(recording="two", split=s) for row, s in zip(rows, SPLIT_OF, strict=True)]
    table, file = folder.with_name("samples.tsv"), folder.with_name("two.h5")
    write_samples_table(table, of_two)
    steps.samples(
        *(results / "events" / "one.h5", results / "cuts" / "one.tsv", table, file),
        recording="two",
        labels=["clap", "wave"],
    )
    mixed = {"id": "two", "split": "mixed"}
    plan = [
        PlanEntry("train/events/one.h5", results / "events/one.h5", "events", "one", "train"),
        PlanEntry("train/slices/one.h5", results / "slices/one.h5", "slices", "one", "train"),
        PlanEntry("video/one.clock.tsv", results / "video/one.clock.tsv", "video", "one", "train"),
        PlanEntry("mixed/events/two.h5", results / "events/one.h5", "events", **mixed),
        PlanEntry("mixed/samples/two.h5", file, "samples", **mixed),
        PlanEntry("samples.tsv", table, "samples"),
    ]
    known = {"one": {"split": "train", "group": "g"}, "two": {"split": "mixed", "group": "g"}}
    build(plan, folder, name="t", version="1", licence="CC0-1.0", recordings=known)
    return folder


SPLIT_OF = ("train", "train", "test")


def changed(path, name, rows, values):
    with edited(path) as file:
        file[name][rows] = values


def of_samples(folder):
    """Return what is found but the equal bytes of the stores, which stand in for each other."""
    return [(f.check, f.path, f.place) for f in check(folder).findings if f.check != "split_bytes"]


def test_check__of_a_release_compares_samples_with_table_split_and_group(cut_release, tmp_path):
    root = tmp_path / "r"
    shutil.copytree(cut_release, root)
    assert not of_samples(root), "one that is cut needs no slices, and its group may be parted"
    path, file = "mixed/samples/two.h5", root / "mixed" / "samples" / "two.h5"
    changed(file, "samples/group", slice(0, 3), ["g", "", "g"])
    expected = [("sample_group", path, "sample '2'"), ("samples_table", path, "sample '0'")]
    assert of_samples(root) == expected
    changed(file, "samples/group", slice(0, 3), ["", "", ""])
    changed(file, "samples/split", 1, "val")
    assert ("samples_table", path, "sample '1'") in of_samples(root)
    assert ("sample_class", path, "sample '1'") in of_samples(root)
    changed(file, "samples/split", 1, "train")
    manifest = root / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"mixed"', '"val"'), encoding="utf-8")
    expected = {("sample_split", path, "sample '0'"), ("split_group", MANIFEST, "group 'g'")}
    assert expected <= set(of_samples(root)), "a recording of one split has no sample of another"
    manifest.write_text(text, encoding="utf-8")
    file.write_bytes(file.read_bytes()[:900])
    assert of_samples(root) == [("readable", path, "")], "not that the table says otherwise, too"
    file.unlink()
    assert of_samples(root) == [("readable", path, "")]
    (root / "samples.tsv").write_text("recording\n")
    assert of_samples(root)[1:] == [("readable", "samples.tsv", "line 1")]


def test_check__of_a_release_finds_one_source_in_two_splits(made, tmp_path):
    splits = {"one": "train", "two": "test"}
    for stop, n_found in (("500", 0), ("501", 1)):
        rows = {id_: {"split": split, "md5": "AB" * 16} for id_, split in splits.items()}
        rows["one"]["events/stop_us"], rows["two"]["events/start_us"] = stop, "500"
        rows["two"]["md5"] = "ab" * 16
        store = made / "results" / "events" / "one.h5"
        plan = [
            PlanEntry(f"{split}/{id_}.h5", store, "annotations", id_, split)
            for id_, split in splits.items()
        ]
        folder = tmp_path / stop
        build(plan, folder, name="t", version="1", licence="CC0-1.0", recordings=rows)
        assert [f.check for f in check(folder).findings] == ["split_bytes"] * n_found
