"""Mistakes in config.yaml and recordings.tsv: one message with file, line, value and advice.

`workflow/test_workflow.py` shows that Snakemake stops with the same messages.
"""

from __future__ import annotations

import contextlib
import re
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.plan import release_plan
from evreel.dataset.settings import Config
from evreel.errors import UsageError
from evreel.settings import settings_of
from support.dataset import CONFIG, make_data_set, write_config, write_table


def read(folder, given=None):
    """Read the data set in `folder`, with some values from the command line."""
    path = folder / "config.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8")) | (given or {})
    return read_config(values, [path], given)


def refused(folder, given=None):
    """Return the message with which the data set in `folder` is refused."""
    with pytest.raises(UsageError) as caught:
        read(folder, given)
    return str(caught.value)


def of_voxels(**more):
    """Return the features of the config, with more settings of one of them."""
    features = CONFIG["features"]
    return {"features": {**features, "voxels": {**features["voxels"], **more}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_data_set(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A data set as the working directory; its recordings are those of all tests."""
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    for name in ("config.yaml", "recordings.tsv"):
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes((made / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(folder):
    """Return the recordings table as rows of column → cell."""
    lines = (folder / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]


def write_rows(folder, rows):
    """Write the recordings table with the columns of all rows."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    write_table(folder, [header, *[[row.get(name, "") for name in header] for row in rows]])


def test_data_set__without_a_mistake_is_completed_with_defaults(folder):
    names = read(folder)
    assert list(names.recordings) == ["one", "two"]
    assert names.config.video.window_us == 10_000
    assert names.own == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": {"widow_us": 1}}, "video: unknown key 'widow_us'; did you mean 'window_us'?"),
        ({"colour": 1}, "top level: unknown key 'colour'"),
        ({"boxes.outside": "clip"}, "unknown key 'boxes.outside'; did you mean boxes: outside?"),
        ({"on_reset": "last"}, "unknown key 'on_reset'; did you mean events: on_reset?"),
        ({"slices": {"window_us": 5, "count": None}}, "slices/count: null is not a value of"),
        ({"labels": None}, "labels: null is not a list"),
        ({"labels": "car"}, "labels: 'car' is not a list; write [car]"),
        ({"labels": "car, sign"}, "labels: 'car, sign' is not a list; write [car, sign]"),
        ({"labels": "a: b"}, "labels: 'a: b' is not a list; write [\"a: b\"]"),
        (
            {"dataset": {"rai": {"data_limitations": "Very short."}}},
            "dataset/rai/data_limitations: 'Very short.' is not a list; write [Very short.]",
        ),
        ({"acquire": {"member_gib": 1e300}}, "acquire/member_gib: 1e+300 is more than 1,000,000"),
        (
            {"samples": {"by": "members", "members": "*", "split": {"files": {}}}},
            "samples/split/files: names no list",
        ),
        (
            {"samples": {"by": "members", "members": "{lable}/*"}},
            "samples/members: pattern '{lable}/*' ",
        ),
        (
            {"samples": {"by": "members", "members": "*", "leave_out": ["a/*", "{lable}"]}},
            "samples/leave_out/1: pattern '{lable}' ",
        ),
        (
            {"samples": {"by": "members"}},
            "samples/members: is needed with by: members",
        ),
        (
            {"samples": {"by": "intervals", "split": {"seed": 1}}},
            "samples/split: seed is given without shares",
        ),
        (
            {"samples": {"by": "intervals", "split": {"seed": 1, "shares": {"train": 0.5}}}},
            "samples/split/shares: ",
        ),
        (
            {"samples": {"by": "intervals", "classes": {"1": "cra"}}},
            "samples/classes/1: '1' is 'cra', which labels does not list; did you mean 'car'? Or "
            "correct labels in config.yaml",
        ),
        ({"slices": {}}, "slices: exactly one of window_us (µs) and count (events) is needed"),
        (
            {"slices": {"window_us": 5, "count": 5}},
            "slices: exactly one of window_us (µs) and count (events) is needed; got",
        ),
        ({"slices": {"count": 0}}, "slices/count: 0 is less than 1 (Events per window.)"),
        ({"slices": None}, "slices: is empty; remove the key, or give settings below it"),
        ({"slices": 20_000}, "slices: 20000 is not a mapping"),
        ({"slices": [1]}, "slices: [1] is not a mapping"),
        ({"features": {"h": None}}, "features/h: is empty; remove the key"),
        ({"slices": {"window_us": 2e4}}, "slices/window_us: 20000.0 is not a whole number"),
        ({"video": {"contrast": float("inf")}}, "video/contrast: inf is not finite"),
        ({"video": {"fps": True}}, "video/fps: true is not a whole number"),
        ({"recordings": "a\0b"}, "recordings: 'a\\x00b' "),
        (
            {"features": {"nul": CONFIG["features"]["histogram"]}},
            "features/nul: Windows cannot have files of this name; choose another",
        ),
        (
            {"features": dict.fromkeys(("Histo", "histo"), CONFIG["features"]["histogram"])},
            "features/histo: differs from Histo only in case",
        ),
        (
            of_voxels(geometry={"crop": [5, 5, 1, 1]}),
            "features/voxels/geometry/crop: [5, 5, 1, 1] is empty",
        ),
        (
            of_voxels(geometry={"resize": [3, 4], "of": "frame"}),
            "features/voxels/geometry/method: is needed with of: frame",
        ),
        (
            of_voxels(geometry={"flipx": True}),
            "features/voxels/geometry: unknown key 'flipx'; did you mean 'flip_x'?",
        ),
        (
            of_voxels(geometry={"labels": ["car", "sing"]}),
            "features/voxels/geometry/labels/1: labels does not list 'sing'; did you mean 'sign'? "
            "Or correct labels in config.yaml",
        ),
        ({"slices": {"count": "many"}}, "slices/count: 'many' is not a whole number"),
        ({"labels": ["car", "car"]}, "labels/1: 'car' is duplicated"),
        ({"video": {"style": "gray"}}, "did you mean 'grey'?"),
        ({"recordings": "none.tsv"}, "recordings: 'none.tsv' does not exist; did you mean"),
        ({"results": ""}, "results: '' is not of the form"),
        ({"results": "s3://lab/a"}, "results: 's3://lab/a' is an address; results are built in a"),
        (
            {"results": "a{id}"},
            "(Folder for everything that is built; its path has no {, }, < or >",
        ),
        ({"results": "a\nb"}, "results: 'a\\nb' is not of the form"),
        ({"labels": ["é", "e\u0301"]}, "labels/1: 'é' is duplicated"),
        (
            {"samples": {"by": "intervals", "classes": {"é": "car", "e\u0301": "sign"}}},
            "' is duplicated, in another spelling of Unicode",
        ),
        ({"events": {"crop": [5, 5, 1, 1]}}, "events/crop: [5, 5, 1, 1] is empty"),
        ({"release": {"name": "tiny", "licence": "x"}}, "release: version is missing"),
        (
            {"release": CONFIG["release"] | {"licence": "MIT"}},
            "the text of licence 'MIT' is missing",
        ),
        (
            {"release": CONFIG["release"] | {"licence": "MIT", "licence_file": "config.yml"}},
            "release/licence_file: 'config.yml' does not exist; did you mean 'config.yaml'?",
        ),
        (
            {"qa": {"font": "no/f.ttf"}},
            "qa/font: 'no/f.ttf' does not exist: there is no folder 'no'",
        ),
        (
            {"release": CONFIG["release"] | {"tolerate": ["frozen_boxes"]}},
            "'frozen_boxes' is not the name of a check; did you mean 'frozen_box'?",
        ),
        (
            {"features": {"h": {"representation": "histogramm", "count": 5}}},
            "features/h: there is no representation 'histogramm'",
        ),
        (
            {"features": {"events": {"representation": "histogram", "count": 5}}},
            "features/events: a release already has a folder with this name",
        ),
        (
            {"dataset": {"date_published": "2026-02-30"}},
            "dataset/date_published: '2026-02-30' is not a day; write it as 2026-01-31",
        ),
        (
            {"dataset": {"rai": {"data_collection_timeframe": ["2026-01-31", "now"]}}},
            "dataset/rai/data_collection_timeframe/1: 'now' is not a day",
        ),
        (
            {"dataset": {"rai": {"data_bias": ["cars"]}}},
            "dataset/rai: unknown key 'data_bias'; did you mean 'data_biases'?",
        ),
    ],
)
def test_config__with_a_mistake_is_refused_with_file_line_and_value(folder, change, message):
    write_config(folder, CONFIG | change)
    told = refused(folder)
    assert message in told
    key = next(iter(change))
    lines = (folder / "config.yaml").read_text(encoding="utf-8").splitlines()
    first = 1 + next(k for k, line in enumerate(lines) if line.startswith(f"{key}:"))
    line = int(re.match(r"config.yaml: line ([0-9]+): ", told)[1])
    below = next(
        (k for k, text in enumerate(lines[first:], first + 1) if not text.startswith((" ", "-"))),
        len(lines) + 1,
    )
    assert first <= line < below, f"line {line} is not in the part of {key}"


def test_config__days_are_texts_with_and_without_quotes(folder):
    write_config(folder, CONFIG)
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("dataset:\n  date_published: 2026-01-31\n  rai:\n")
        file.write("    data_collection_timeframe: [2025-12-01, '2025-12-24']\n")
    told = read(folder).config.dataset
    assert told.date_published == "2026-01-31"
    assert told.rai.data_collection_timeframe == ("2025-12-01", "2025-12-24")


def test_config__line_is_that_of_the_key_at_fault(folder):
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("video:\n  style: polarity\n  # slow\n  presets: fast\n")
    line = text.count("\n") + 4
    assert refused(folder) == (
        f"config.yaml: line {line}: video: unknown key 'presets'; did you mean 'preset'?"
    )


def test_config__tells_all_of_its_mistakes_at_once(folder):
    write_config(folder, CONFIG | {"video": {"fps": "fast", "crf": 99}})
    assert len(refused(folder).splitlines()) == 2


def test_config__tells_its_mistakes_in_the_order_of_their_lines(folder):
    text = "video: {crf: 99}\nlabels: car\nfeatures:\n  h: {count: 5}\nslices: {count: 0}\n"
    (folder / "config.yaml").write_text(f"{text}results: ''\ncolour: 1\n", encoding="utf-8")
    numbers = [re.search(r": line (\d+): ", line) for line in refused(folder).splitlines()]
    assert [number and int(number[1]) for number in numbers] == [1, 2, 4, 5, 6, 7, None, None]


def test_config__with_a_key_twice_is_refused_with_both_lines(folder):
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("slices: {count: 7}\n")
    assert re.fullmatch(
        r"config.yaml: line \d+: slices is duplicated; it is also at line \d+", refused(folder)
    )


def test_config__merged_keys_are_not_taken_for_doubled_ones(folder):
    write_config(folder, {k: v for k, v in CONFIG.items() if k != "features"})
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "features:\n"
            "  a: &a {representation: histogram, count: 5}\n"
            "  b: &b {representation: voxel_grid, count: 6}\n"
            "  c:\n    <<: *a\n    <<: *b\n    count: 7\n"
        )
    assert read(folder).config.features["c"].count == 7


def test_config__with_an_alias_has_two_values_that_change_apart(folder):
    features = "features:\n  h: &a {representation: histogram, count: 500}\n  g: *a\n"
    write_config(folder, {k: v for k, v in CONFIG.items() if k != "features"})
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(features)
    rows = table(folder)
    rows[0]["features/h/count"] = "11"
    write_rows(folder, rows)
    features = read(folder).own["one"].features
    assert (features["h"].count, features["g"].count) == (11, 500)


def test_config__with_an_alias_of_itself_is_refused(folder):
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("video: &v {style: *v}\n")
    assert "config.yaml: an alias is within the value that it repeats" in refused(folder)


def test_config__of_the_command_line_is_named_as_such(folder):
    assert refused(folder, {"video": {"fps": "fast"}}).startswith("--config: video/fps: 'fast'")


ODD = ("rec{1}.npz", "{ id }", "{w,a{3,5}}.x", "<results>.npz", "a{id}<x_1>")
FINE = ("{}.x", "{a b}", "{", "<>", "<A>", "a*b?", "~", "-x", "#%s%20", "$HOME`x`;&", "x\\y", "a..")


@pytest.mark.parametrize("column", ["source", "manual", "rois", "tags", "boxes", "biases"])
@pytest.mark.parametrize("name", ODD)
def test_path_that_snakemake_would_change__is_refused_with_line_and_column(folder, column, name):
    rows = table(folder)
    cell = {"manual": f"manual:raw/{name}"}.get(column, f"raw/{name}")
    column = "source" if column == "manual" else column
    (folder / "odd").mkdir()
    (folder / "odd" / name).touch()
    rows[0] |= {column: cell.replace("raw/", "odd/")}
    write_rows(folder, rows)
    told = refused(folder).splitlines()[0]
    assert told.startswith(
        f"recordings.tsv: line 2: {column}: 'odd/{name}': Snakemake would replace"
    )
    assert "rename the file or folder, or make a link to it" in told


def test_path_in_the_config_that_snakemake_would_change__is_refused(folder):
    for name in ("<logs>.txt", "{1}.csv", "{2}.txt", "{3}.ttf"):
        (folder / name).touch()
    samples = {"by": "intervals", "table": "{1}.csv", "split": {"files": {"val": "{2}.txt"}}}
    release = CONFIG["release"] | {"licence": "MIT", "licence_file": "<logs>.txt"}
    write_config(
        folder, CONFIG | {"samples": samples, "release": release, "qa": {"font": "{3}.ttf"}}
    )
    assert [
        line.split(": ", 2)[2].split(" in this")[0] for line in refused(folder).splitlines()
    ] == [
        "qa/font: '{3}.ttf': Snakemake would replace {3}",
        "release/licence_file: '<logs>.txt': Snakemake would replace <logs>",
        "samples/split/files/val: '{2}.txt': Snakemake would replace {2}",
        "samples/table: '{1}.csv': Snakemake would replace {1}",
    ]


def test_path_of_any_other_name__is_taken(folder):
    row = table(folder)[0]
    (folder / "odd").mkdir()
    for name in FINE:
        (folder / "odd" / name).write_bytes(b"")
    write_rows(
        folder,
        [
            row | {"id": f"r{k}", "source": f"odd/{name}", "biases": f"odd/{name}"}
            for k, name in enumerate(FINE)
        ],
    )
    assert [row["source"] for row in read(folder).recordings.values()] == [
        f"odd/{name}" for name in FINE
    ]


def test_name_of_a_member_or_url__may_be_any(folder):
    rows = table(folder)
    (folder / "a.zip").touch()
    rows[0] |= {"source": "a.zip!{1}/<results>.npz"}
    rows[1] |= {"source": "https://example.org/{id}.npz"}
    write_rows(folder, rows)
    assert read(folder).recordings["one"]["source"] == "a.zip!{1}/<results>.npz"


def test_file_whose_name_the_disk_spells_otherwise__is_found(folder):
    rows = table(folder)
    (folder / "e\u0301").mkdir()
    for name in ("u\u0308.zip", "u\u0308.txt", "u\u0308!.xml"):
        (folder / "e\u0301" / name).write_text("licence")
    rows[0] |= {"source": "é/ü.zip!ü.npz", "rois": "é/ü!.xml", "biases": "é/ü.txt"}
    rows[1] |= {"source": "é/ü!!.xml"}
    write_rows(folder, rows)
    release = CONFIG["release"] | {"licence": "MIT", "licence_file": "é/ü.txt"}
    write_config(folder, CONFIG | {"release": release})
    found = read(folder)
    one, two = found.recordings.values()
    assert one["source"] == "e\u0301/u\u0308.zip!ü.npz"
    assert (one["rois"], one["biases"]) == ("e\u0301/u\u0308!.xml", "e\u0301/u\u0308.txt")
    assert two["source"] == "e\u0301/u\u0308!!.xml"
    assert found.config.release.licence_file == "e\u0301/u\u0308.txt"


def test_labels_classes_and_groups__are_one_in_both_spellings(folder):
    samples = {"by": "intervals", "table": "config.yaml", "classes": {"u\u0308": "e\u0301"}}
    write_config(folder, CONFIG | {"labels": ["e\u0301"], "samples": samples})
    rows = table(folder)
    for row, group in zip(rows, ("é", "e\u0301"), strict=True):
        row |= {"group": group, "samples/classes/o\u0308": "é"}
    write_rows(folder, [row | {"split": "train"} for row in rows])
    found = read(folder)
    assert found.config.labels == ("é",)
    assert found.own["one"].samples.classes == {"ü": "é", "ö": "é"}
    assert {row["group"] for row in found.recordings.values()} == {"é"}
    write_rows(folder, rows)
    assert "line 3: group: 'é' is in split 'test' here, in 'train' at line 2" in refused(folder)


def test_id__is_not_longer_than_a_files_name_can_hold(folder):
    rows = table(folder)
    write_rows(folder, [rows[0] | {"id": "x" * 100}])
    assert list(read(folder).recordings) == ["x" * 100]
    write_rows(folder, [rows[0] | {"id": "x" * 101}])
    assert "line 2: id: 'xxx" in refused(folder)


@pytest.mark.parametrize(
    "samples, label, problem",
    [
        ({"by": "members", "members": "*.raw"}, "car", ""),
        ({"by": "members", "members": "*.raw", "classes": {"c": "car"}}, "c", ""),
        (
            {"by": "members", "members": "*.raw"},
            "care",
            "labels does not list 'care'; did you mean",
        ),
        ({"by": "members", "members": "{label}/*.raw"}, "car", "is not used: samples/members has"),
        ({"by": "intervals", "table": "config.yaml"}, "car", "is not used with samples/by"),
        (None, "car", "is not used: the recording is not cut (samples/by)"),
    ],
)
def test_label__of_a_row_is_of_members_whose_names_say_none(folder, samples, label, problem):
    (folder / "many.zip").write_bytes(b"")
    write_config(folder, CONFIG | ({} if samples is None else {"samples": samples}))
    row = {"id": "a", "source": "many.zip", "md5": "0" * 32, "split": "train", "label": label}
    write_rows(folder, [row])
    if problem:
        assert f"line 2: label: {problem}" in refused(folder)
    else:
        assert read(folder).recordings["a"]["label"] == label


def test_data__without_labels_have_nothing_that_is_labelled(folder):
    config = {key: value for key, value in CONFIG.items() if key != "slices"} | {"labels": []}
    write_config(folder, config)
    rows = table(folder)
    told = refused(folder)
    assert "line 2: rois: needs labels, and the config's list is empty" in told
    for row in rows:
        for column in ("rois", "rois_md5", "tags", "tags_md5"):
            row.pop(column, None)
    write_rows(folder, rows)
    found = DataSet(*read(folder))
    assert found.annotated == []
    kinds = {row["kind"] for row in release_plan(found)}
    assert kinds == {"events", "features", "previews"}
    write_config(folder, config | {"labels": ["car"]})
    assert "slices is missing in the config; it is needed for what is annotated" in refused(folder)


def test_misspelt_key__is_not_also_told_as_missing(folder):
    write_config(folder, CONFIG | {"slices": {"widow_us": 5}, "lables": ["car"]})
    assert len(refused(folder).splitlines()) == 2
    config = {key: value for key, value in CONFIG.items() if key != "labels"}
    write_config(folder, config | {"lables": ["car"], "release": {"nmae": "x"}})
    told = refused(folder).splitlines()
    assert [line.split(": ", 2)[2].split(" (")[0] for line in told] == [
        "top level: unknown key 'lables'; did you mean 'labels'?",
        "release: version is missing",
        "release: licence is missing",
        "release: unknown key 'nmae'; did you mean 'name'?",
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"id": "a b"}, "line 2: id: 'a b' is not of the form"),
        ({"id": "two"}, "line 3: id: 'two' is duplicated; it is also at line 2"),
        ({"id": ""}, "line 2: id is missing (Name of the recording"),
        ({"md5": "12"}, "line 2: md5: '12' is not of the form"),
        ({"md5": ""}, "line 2: md5, sha256 or crc32 of the source is needed; none is given"),
        ({"crc32": "0" * 7}, "line 2: crc32: '0000000' is not of the form"),
        (
            {"md5": "", "source": "gestures/"},
            "none is given; 'gestures' does not exist: a folder needs none",
        ),
        (
            {"sha256": "0" * 32},
            "line 2: sha256: '0000000000",
        ),
        (
            {"member_md5": "0" * 32},
            "member_md5: source 'raw/one.aedat4' does not name a member",
        ),
        ({"source": "raw/one.zip!a"}, "line 2: source: 'raw/one.zip' does not exist"),
        ({"source": "raw/one.zip!../a"}, "line 2: source: member '../a' leads out of its archive"),
        ({"source": "raw/a | http://b/a"}, "lists mirrors that are not all http, https or s3 urls"),
        (
            {"split": "trian"},
            "line 2: split: 'trian' is not one of train, val, test, mixed; did",
        ),
        ({"format": "aedat"}, "line 2: format: 'aedat' is not one of aedat4, aedat3, "),
        ({"format": "EVT3"}, "; did you mean 'evt3'? (Format of the recording"),
        ({"sensor": "346"}, "line 2: sensor: '346' is not of the form"),
        ({"time_offset_us": "0.5"}, "line 2: time_offset_us: '0.5' is not of the form"),
        ({"source": "raw/on.aedat4"}, "line 2: source: 'raw/on.aedat4' does not exist; did you"),
        ({"source": "raw"}, "line 2: source: 'raw' is a folder"),
        ({"source": "row/one.aedat4"}, "'row/one.aedat4' does not exist: there is no folder 'row'"),
        ({"source": "ftp://a/b"}, "line 2: source: source 'ftp://a/b' has scheme ftp"),
        ({"source": "manual:"}, "line 2: source: source 'manual:' names no path"),
        ({"rois": "raw/one.roi.xml"}, "did you mean 'raw/one.rois.xml'?"),
        ({"rois": "https://a.org/one.xml"}, "line 2: rois: 'https://a.org/one.xml' is not a plain"),
        ({"rois": "manual:one.xml"}, "line 2: rois: 'manual:one.xml' is not a plain path"),
        ({"biases": "file:///one.bias"}, "line 2: biases: 'file:///one.bias' is not a plain path"),
        ({"rois": "", "rois_md5": "0" * 32}, "line 2: rois_md5 is given without rois"),
        ({"source": "raw/" + "x" * 5000}, "is not a valid file name: File name too long"),
        ({"id": "TWO"}, "line 3: id: 'two' differs only in case from that at line 2"),
        ({"id": "Con"}, "line 2: id: Windows cannot have files named 'Con'; choose another id"),
        ({"group": "park "}, "line 2: group: 'park ' begins or ends with a space"),
        ({"n_events": "9" * 5000}, "is not of the form [0-9]{1,18} "),
        ({"events/start_us": "2024-13-45"}, "events/start_us: '2024-13-45' is not a YAML value"),
        ({"features/voxels": "null"}, "'features/voxels' cannot be set per recording"),
        ({"features/new": "{a: 1}"}, "'features/new' cannot be set per recording"),
        ({"biases": "raw/one.bias"}, "line 2: biases: 'raw/one.bias' does not exist"),
        ({"video/fps": "fast"}, "line 2: video/fps: 'fast' is not a whole number"),
        (
            {"slices/tail": "kepe"},
            "line 2: slices/tail: 'kepe' is not one of keep, drop; did",
        ),
        ({"slices/count": "5"}, "line 2: slices: exactly one of window_us (µs) and count (events)"),
        ({"slices/windows_us": "5"}, "line 2: slices: unknown key 'windows_us'; did you mean"),
        ({"features/voxels/parameters": "{bins: no}"}, "line 2: features/voxels: "),
        ({"video/fps": "[1"}, "line 2: video/fps: '[1' is not a YAML value"),
        ({"vdeo/fps": "5"}, "line 1: unknown column 'vdeo/fps'; did you mean 'video/fps'?"),
        ({"features/voxel/count": "5"}, "there is no feature 'voxel'; did you mean 'voxels'?"),
        ({"video/fps": "!!bool x"}, "video/fps: '!!bool x' is not a YAML value"),
        ({"features/voxels/parameters": "&a {x: *a}"}, "holds itself, or is nested too deeply"),
        ({"events/start_us": "9" * 99}, "is more than 9,007,199,254,740,992"),
        ({"colour": "red"}, "line 1: unknown column 'colour'"),
        ({"boxes.outside": "clip"}, "unknown column 'boxes.outside'; did you mean 'boxes/outside'"),
        ({"on_reset": "last"}, "unknown column 'on_reset'; did you mean 'events/on_reset'?"),
        ({"it's": "red"}, 'line 1: unknown column "it\'s"'),
        ({"video/container": "png-zip"}, "line 2: 'video/container' cannot be set per recording"),
        ({"features/voxels/boxes": "all"}, "'features/voxels/boxes' cannot be set per recording"),
        ({"features/none/count": "5"}, "line 2: there is no feature 'none'"),
        ({"events/crop": "[5, 5, 1, 1]"}, "line 2: events/crop: [5, 5, 1, 1] is empty"),
        ({"columns": "t[sec], x, y, p"}, "line 2: events/columns: 't[sec], x, y, p' has the unit"),
        (
            {"events/columns": "mvsek"},
            "line 2: events/columns: 'mvsek' is not the name of a layout",
        ),
        ({"columns": "rpg", "events/columns": "rpg"}, "line 2: columns: events/columns says this"),
        (
            {"features/voxels/geometry/crop": "[5, 5, 1, 1]"},
            "line 2: features/voxels/geometry/crop: [5, 5, 1, 1] is empty",
        ),
        (
            {"features/voxels/geometry/labels": "[sing]"},
            "line 2: features/voxels/geometry/labels/0: labels does not list 'sing'; did you mean",
        ),
        (
            {"features/voxels/geometry/labels": "[car]", "rois": ""},
            "line 2: rois: is missing; features/voxels/geometry/labels is about its regions",
        ),
    ],
)
def test_table__with_a_mistake_is_refused_with_file_line_and_value(folder, cells, message):
    rows = table(folder)
    rows[0] |= cells
    write_rows(folder, rows)
    told = refused(folder)
    assert told.startswith("recordings.tsv: line "), told
    assert message in told


def test_table__tells_the_mistakes_of_all_rows_at_once(folder):
    write_rows(folder, [row | {"split": "trian"} for row in table(folder)])
    assert [line.split(": split")[0] for line in refused(folder).splitlines()] == [
        "recordings.tsv: line 2",
        "recordings.tsv: line 3",
    ]


def test_table__with_very_many_mistakes_tells_the_first_and_counts_the_rest(folder):
    write_rows(folder, [table(folder)[0] | {"id": f"r{k}", "split": "x"} for k in range(50)])
    lines = refused(folder).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 30 more"


def test_table__with_a_group_in_two_splits_is_refused_with_both_lines(folder):
    write_rows(folder, [row | {"group": "park"} for row in table(folder)])
    assert refused(folder) == (
        "recordings.tsv: line 3: group: 'park' is in split 'test' here, in 'train' at line 2; "
        "what was recorded together belongs to one split"
    )


def test_table__with_one_recording_in_two_splits_is_refused(folder):
    rows = table(folder)
    rows[1] |= {"source": rows[0]["source"], "md5": rows[0]["md5"]}
    write_rows(folder, rows)
    told = "recordings.tsv: line 3: md5: is the same as in line 2, which is in split 'train'"
    assert told in refused(folder)
    rows[1]["md5"] = rows[1]["md5"].upper()
    rows[1]["events/max_pixel_hz"] = "50"
    write_rows(folder, rows)
    assert told in refused(folder)
    rows[1]["events/start_us"] = "60000"
    write_rows(folder, rows)
    assert told in refused(folder), "a part of it is in all of it"
    rows[0]["events/stop_us"] = "60000"
    write_rows(folder, rows)
    assert list(read(folder).recordings) == ["one", "two"], "they are different times of it"


def test_table__rows_without_a_group_share_none(folder):
    rows = table(folder)
    rows[0]["group"] = "park"
    write_rows(folder, rows)
    assert read(folder).recordings["one"]["group"] == "park"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id source md5 split\n", "line 1: has no tab in it; separate columns by tabs"),
        ("", "line 1: has no tab in it"),
        ("id\tid\n", "line 1: column 'id' is duplicated"),
        ("id\tsource\tmd5\tsplit\n", "does not list any recording"),
        ("id\tsource\tmd5\tsplit\n\t\t\t\n\n", "does not list any recording"),
        ("id\tsource\tmd5\tsplit\na\tb\n", "line 2: has 2 cells; the header has 4"),
        ("id\tsource\na\t" + "x" * 200_000, "line 2: field larger than field limit"),
        ("id\tsource\tsplit\n\na\tb\tc\td\n", "line 3: has 4 cells; the header has 3"),
    ],
)
def test_table__of_another_form_is_refused(folder, text, message):
    (folder / "recordings.tsv").write_text(text, encoding="utf-8")
    assert message in refused(folder)


def test_table__of_another_encoding_is_refused_by_its_name(folder):
    (folder / "recordings.tsv").write_bytes("id\tsource\nStraße\tx\n".encode("latin-1"))
    assert refused(folder) == "recordings.tsv: is not UTF-8: save it as UTF-8"


def test_table__from_a_spreadsheet_is_read(folder):
    text = (folder / "recordings.tsv").read_text(encoding="utf-8")
    columns = text.splitlines()[0].count("\t")
    (folder / "recordings.tsv").write_bytes(
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\t" * columns + b"\r\n"
    )
    assert list(read(folder).recordings) == ["one", "two"]


def test_manual_source__that_is_not_there_yet_is_no_mistake(folder):
    rows = table(folder)
    rows[0] |= {"source": "manual:later/one.raw", "page": "https://example.org/login"}
    write_rows(folder, rows)
    assert read(folder).recordings["one"]["source"] == "manual:later/one.raw"


def test_override__of_a_free_name_is_unset_by_null(folder):
    config = CONFIG | {"samples": {"by": "none", "classes": {"x": "car", "y": "sign"}}}
    write_config(folder, config)
    rows = table(folder)
    rows[1] |= {"samples/classes/x": "null", "features/voxels/parameters/bins": "null"}
    write_rows(folder, rows)
    own = read(folder).own["two"]
    assert own.samples.classes == {"y": "sign"}
    assert own.features["voxels"].parameters == {}
    assert read(folder).config.samples.classes == {"x": "car", "y": "sign"}


@pytest.mark.parametrize("name", ["columns", "events/columns"])
def test_columns__of_a_row_are_those_of_its_recording_alone(folder, name):
    rows = table(folder)
    rows[1] |= {name: "-, t[s], x, y, p"}
    write_rows(folder, rows)
    told = read(folder)
    assert told.own["two"].events.columns == "-, t[s], x, y, p"
    assert told.config.events.columns is None and "one" not in told.own


def test_override__may_cut_a_recording_of_a_data_set_that_is_not_cut(folder):
    rows = table(folder)
    rows[1] |= {"samples/by": "members", "samples/members": "*.bin"}
    write_rows(folder, rows)
    own = read(folder).own["two"]
    assert own.cutting.members == "*.bin"
    assert own.cutting.columns.label == "label"
    assert read(folder).config.samples is None


YAML_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(["", "car", "members", "*", "!x", "a\nb", "\0", "none", "fast"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["by", "members", "split", "files", "train", "count", "x", 1, True]),
            below,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*settings_of(Config), "x"]), YAML_VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["by", "split", "classes", "counts"]), YAML_VALUES, max_size=3),
)
def test_config__of_any_values_is_read_or_refused_with_one_kind_of_error(values, samples):
    with contextlib.suppress(UsageError):
        read_config(CONFIG | {"samples": {"by": "members"} | samples} | values)


def test_override__stands_instead_of_the_configs_value_for_its_recording(folder):
    rows = table(folder)
    rows[1]["slices/window_us"] = "40000"
    write_rows(folder, rows)
    names = read(folder)
    assert names.own["two"].slices.plain() == {"window_us": 40_000, "tail": "keep"}
    assert names.config.slices.window_us == 20_000


def bomb(levels: int) -> str:
    """Return lines of lists of aliases, ten each, of the list before."""
    lines = ["  l0: &l0 [a, b, c, d, e, f, g, h, i, j]\n"]
    for k in range(1, levels):
        lines.append(f"  l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 10)}]\n")
    return "video:\n" + "".join(lines)


@pytest.mark.parametrize("levels", [6, 18])
def test_config__with_aliases_of_aliases_is_refused_at_once(folder, levels):
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(bomb(levels))
    started = time.perf_counter()
    message = refused(folder)
    assert time.perf_counter() - started < 10, "they are gone through one by one"
    assert "config.yaml: has 1" in message
    assert "values, with those that aliases repeat; 100,000 are allowed" in message


def test_config__with_a_chain_of_aliases_that_is_too_deep_is_refused(folder):
    lines = ["  l0: &l0 [a]\n", *(f"  l{k}: &l{k} [*l{k - 1}]\n" for k in range(1, 3_000))]
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("video:\n" + "".join(lines))
    assert "config.yaml: an alias is within the value that it repeats, or" in refused(folder)


def test_cell__with_aliases_of_aliases_is_refused_at_once(folder):
    before, parts = "x", []
    for k in range(12):
        parts.append(f"k{k}: &l{k} [{', '.join([before] * 10)}]")
        before = f"*l{k}"
    rows = table(folder)
    rows[0]["features/voxels/parameters"] = "{" + ", ".join(parts) + "}"
    write_rows(folder, rows)
    assert "values, with those of its aliases" in refused(folder)
