"""Folders of edflow: what they hold, what their names say, and what is refused."""

from __future__ import annotations

import os
import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evreel.compat.edflow import MetaDataset, MetaViewDataset, store_label_mmap
from evreel.errors import EvreelError, UsageError
from evreel.loaders.views import View
from evreel.loaders.views.mapped import MappedArray
from evreel.loaders.views.nested import with_leaves
from support import ROOT

N = 7
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 4, 6, 3)).astype(np.uint8)
BASE = """\
description: Pictures, and who is on them.
loaders: {pid: category}
loader_kwargs:
  image: {support: "-1->1"}
  pid: {categories: [ann, bob, cy]}
more: {of: any kind}
"""
VIEW = """\
base_dset: edflow.data.believers.meta.MetaDataset
base_kwargs: {root: ../base}
views:
  frames: views/seq
  appearance: app
  both: [views/deep, app]
"""
SEQ = np.array([[0, 1, 2], [4, 5, 6]])
APP = np.array([6, 0])
DEEP = np.arange(8).reshape(2, 2, 2) % N


def raw(folder, name, data):
    """Write a label as edflow does: nothing but its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    data = np.asarray(data)
    shape = "x".join(map(str, data.shape))
    (folder / f"{name}-*-{shape}-*-{data.dtype}.npy").write_bytes(data.tobytes())


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    (folder / "images").mkdir(parents=True)
    paths = [f"images/{k}.png" for k in range(N)]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels).save(folder / path)
        np.save(folder / path.replace("png", "npy"), pixels[0])
    absolute = [str(folder / path) for path in paths]
    raw(folder / "labels", "image:image", absolute)
    raw(folder / "labels", "row:np", [path.replace("png", "npy") for path in paths])
    raw(folder / "labels", "pid", np.arange(N) % 3)
    raw(folder / "labels" / "pose", "points", np.arange(4.0 * N).reshape(N, 2, 2))
    (folder / "meta.yaml").write_text(BASE)
    return folder


@pytest.fixture
def view(base):
    folder = base.parent / "view"
    raw(folder / "labels" / "views", "seq", SEQ)
    raw(folder / "labels" / "views", "deep", DEEP)
    raw(folder / "labels", "app", APP)
    (folder / "meta.yaml").write_text(VIEW)
    return folder


def test_example__is_what_loaders_make_of_labels(base):
    of = MetaDataset(base)
    assert len(of) == N and of.meta["more"] == {"of": "any kind"}
    example = of[4]
    assert list(example) == ["image", "row", "pid", "index_", "labels_"]
    assert np.array_equal(example["image"](), PIXELS[4] / 255.0 * 2 - 1)
    assert np.array_equal(example["row"](), PIXELS[4, 0])
    assert example["pid"] == "bob" and example["index_"] == 4
    labels = example["labels_"]
    assert labels["image_"].endswith("/base/images/4.png") and labels["pid_"] == 1
    assert np.array_equal(labels["pose"]["points"], [[16, 17], [18, 19]])
    assert type(of.labels["pid_"]) is MappedArray
    of.expand, of.append_labels = True, False
    assert list(of[0]) == ["image", "row", "pid", "index_"]
    assert of[0]["image"].dtype == np.float64
    assert [each["index_"] for each in of[5:]] == [each["index_"] for each in of[[5, 6]]] == [5, 6]
    with pytest.raises(IndexError, match="there is no example -1"):
        of[-1]


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ("{}", PIXELS[0]),
        ("{support: 0->1}", PIXELS[0] / 255.0),
        ("{resize_to: 2}", np.array(Image.fromarray(PIXELS[0]).resize((2, 2)))),
        ("{resize_to: [3, 5]}", np.array(Image.fromarray(PIXELS[0]).resize((3, 5)))),
    ],
)
def test_picture__has_the_range_and_size_that_are_asked_for(base, kwargs, expected):
    (base / "meta.yaml").write_text(BASE.replace('{support: "-1->1"}', kwargs))
    found = MetaDataset(base).get_example(0)["image"]()
    assert found.dtype == expected.dtype and np.array_equal(found, expected)


def test_view__nests_examples_of_the_base_and_takes_its_labels(view):
    of = MetaViewDataset(view)
    base = of.base
    assert isinstance(base, MetaDataset) and not base.append_labels and len(of) == 2
    for k in range(2):
        example = of[k]
        assert list(example) == ["frames", "appearance", "both", "index_", "labels_"]
        assert [each["index_"] for each in example["frames"]] == SEQ[k].tolist()
        assert example["appearance"]["index_"] == APP[k]
        deep, app = example["both"]
        assert [[each["index_"] for each in row] for row in deep] == DEEP[k].tolist()
        assert app == example["appearance"] and set(app) == {"image", "row", "pid", "index_"}
        labels = example["labels_"]
        assert np.array_equal(labels["frames"]["pid_"], SEQ[k] % 3)
        points = base.labels["pose"]["points"]
        assert np.array_equal(labels["both"][0]["pose"]["points"], points[DEEP[k]])
        assert np.array_equal(labels["views"]["seq"], SEQ[k])
    assert list(of.labels) == ["app", "views", "frames", "appearance", "both"]
    again = pickle.loads(pickle.dumps(of))
    again.expand = True
    assert np.array_equal(again[1]["frames"][2]["image"], PIXELS[6] / 255.0 * 2 - 1)
    assert not (view / ".constructed.txt").exists() and again.digest == of.digest


def test_folder_of_edflow__opens_as_a_view(view):
    of = View.open(view)
    assert of.digest == MetaViewDataset(view).digest
    assert [each["index_"] for each in of[1]["frames"]] == SEQ[1].tolist()
    assert View.open(view, "abcdefg")[0]["appearance"] == "g"


def test_copies__that_edflow_made_of_labels_are_not_read(view):
    raw(view / "labels" / "frames", "pid_", np.full((2, 3), 99))
    raw(view / "labels" / "both" / "0", "pid_", np.full((5, 3), 99))  # of another length
    (view / ".constructed.txt").touch()
    of = MetaViewDataset(view)
    assert np.array_equal(of.labels["frames"]["pid_"], SEQ % 3)
    assert np.array_equal(of.labels["both"][0]["pid_"], DEEP % 3)


def test_folders__that_are_numbered_are_a_list(base):
    for k in range(2):
        raw(base / "labels" / "parts" / str(k), "x", np.full(N, k))
    assert [each["x"][3] for each in MetaDataset(base).labels["parts"]] == [0, 1]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x-*-8-*-int64", bytes(8 * N), "has 56 bytes; an array of shape (8,)"),
        ("x-*-7-*-object", bytes(8 * N), "holds values of type object"),
        ("x-*-7x" + "x".join("1" * 70) + "-*-i1", bytes(N), "cannot be mapped"),
        ("x-*-7x0x" + "9" * 18 + "x" + "9" * 18 + "-*-i1", b"", "cannot be mapped"),
        ("x-*-7-*-str", b"", "plain values of a stated size are read"),
        ("x-*-7-*-int65", bytes(8 * N), "'int65' is not a type"),
        ("x-*-7-*-i4,i4", bytes(8 * N), "is not named NAME"),
        ("x-*--7-*-int64", bytes(8 * N), "is not named NAME"),
        ("x-*-7-*-int64-*-a", bytes(8 * N), "is not named NAME"),
        ("x:np:np-*-7-*-int64", bytes(8 * N), "is not named NAME"),
        ("x-*-8-*-int64", bytes(64), "label x has 8 values; image_ has 7"),
        ("pid-*-7x1-*-int64", bytes(8 * N), "a second file of label 'pid_'"),
        ("pose-*-7-*-int64", bytes(8 * N), "label 'pose' is also a folder"),
    ],
)
def test_label__whose_file_is_not_as_its_name_says_is_refused(base, name, data, says):
    (base / "labels" / f"{name}.npy").write_bytes(data)
    with pytest.raises(EvreelError) as error:
        MetaDataset(base)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{pid: category}", "{pdi: category}", "line 2: loaders/pdi: there is no label 'pdi'. Did"),
        ("{pid: category}", "{pid: categori}", "line 2: loaders/pid: 'categori' is not a loader"),
        ("{pid: category}", "{pid: os.system}", "line 2: loaders/pid: 'os.system' is code to be"),
        ("loaders: {", "loaders: 3 #", "line 2: loaders: 3 is not a mapping"),
        ("support", "suport", "line 4: loader_kwargs/image: unknown key 'suport'; did you mean"),
        ('"-1->1"', "1->2", "line 4: loader_kwargs/image/support: '1->2' is not one of"),
        ('support: "-1->1"', "resize_to: [0, 1]", "resize_to: [0, 1] is not a width and a height"),
        ("categories", "names", "line 5: loader_kwargs/pid: categories is missing"),
        ("{support", "[support", "cannot be read"),
    ],
)
def test_meta_yaml__with_a_mistake_says_line_and_key(base, old, new, says):
    (base / "meta.yaml").write_text(BASE.replace(old, new))
    with pytest.raises(UsageError) as error:
        MetaDataset(base)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("views/seq", "views/sec", "line 4: views/frames: there is no label 'views/sec'. Did you"),
        ("[views/deep, app]", "[3, app]", "line 6: views/both/0: there is no label 3"),
        ("root: ../base", "root: .", "the view is its own base"),
        ("meta.MetaDataset", "meta_view.MetaViewDataset", "meta.yaml: base_dset is missing"),
        ("root: ../base", "allow_import: true", "takes root, the path of a folder"),
        ("root: ../base", "root: ../none", "none does not exist"),
        ("base_dset: edflow.data.believers.meta", "base_dset: os", "'os.MetaDataset' is code to"),
        ("base_dset", "base", "meta.yaml: base_dset is missing"),
    ],
)
def test_view__with_a_mistake_says_line_and_key(view, old, new, says):
    text = VIEW.replace(old, new)
    if new == "root: .":
        text = text.replace("meta.MetaDataset", "meta_view.MetaViewDataset")
    (view / "meta.yaml").write_text(text)
    with pytest.raises(UsageError) as error:
        MetaViewDataset(view)
    assert says in str(error.value)


@pytest.mark.parametrize(("index", "says"), [(-1, "is -1"), (N, "is 7"), (0.5, "is 0.5 of type")])
def test_view__whose_indices_are_not_of_the_base_is_refused(view, index, says):
    [file] = (view / "labels").glob("app*")
    file.unlink()
    raw(view / "labels", "app", [0, index])
    with pytest.raises(EvreelError) as error:
        MetaViewDataset(view)
    assert "appearance: position 1 " + says in str(error.value)


def test_view__without_a_name_is_of_single_examples(view):
    (view / "meta.yaml").write_text(VIEW[: VIEW.index("views:")] + "views: app\n")
    of = MetaViewDataset(view)
    assert of[1]["pid"] == "ann" and of.labels["pid_"][1] == 0
    (view / "meta.yaml").write_text(VIEW[: VIEW.index("views:")] + "views: views/seq\n")
    with pytest.raises(UsageError, match="line 3: views: examples are dictionaries; give each"):
        MetaViewDataset(view)


@pytest.mark.parametrize("path", ["../secret.npy", "/etc/secret.npy", "a/../../secret.npy"])
def test_file__outside_the_folder_is_read_only_if_that_is_allowed(base, path):
    np.save(base.parent / "secret.npy", [1, 2])
    raw(base / "labels", "x:np", [path] * N)
    with pytest.raises(EvreelError, match=r"label 'x' names a file outside.*allow_outside=True"):
        MetaDataset(base)[0]
    if not path.startswith("/"):
        (base / "a").mkdir()
        assert MetaDataset(base, allow_outside=True)[0]["x"]().tolist() == [1, 2]


def test_category__that_is_not_there_is_named(base):
    (base / "meta.yaml").write_text(BASE.replace("[ann, bob, cy]", "{0: ann, 1: bob}"))
    of = MetaDataset(base)
    assert of[1]["pid"] == "bob"
    with pytest.raises(EvreelError, match=r"label 'pid': np.int64\(2\) is none of its 2 categor"):
        of[2]


def test_value__that_its_loader_cannot_take_is_named(base):
    raw(base / "labels", "who:cat", np.zeros((N, 2), int))
    kwargs = "  who: {categories: [ann]}\n"
    (base / "meta.yaml").write_text(BASE.replace("loader_kwargs:\n", "loader_kwargs:\n" + kwargs))
    with pytest.raises(EvreelError, match=r"meta.yaml: label 'who': .* is none of its 1 categor"):
        MetaDataset(base)[0]
    raw(base / "labels", "more:np", np.arange(N))
    (base / "meta.yaml").write_text(BASE)
    (base / "labels" / f"who:cat-*-{N}x2-*-int64.npy").unlink()
    with pytest.raises(EvreelError, match=r"label 'more': .*3.* is not the name of a file"):
        MetaDataset(base)[3]
    (base / "meta.yaml").write_text(BASE.replace("{pid: cat", "{more: builtins.len, pid: cat"))
    with pytest.raises(EvreelError, match=r"label 'more': its loader failed: object of type"):
        MetaDataset(base, allow_import=True)[3]


def test_meta_yaml__that_is_a_pipe_is_not_waited_for(base):
    (base / "meta.yaml").unlink()
    os.mkfifo(base / "meta.yaml")
    with pytest.raises(EvreelError, match=r"meta\.yaml: is not a file"):
        MetaDataset(base)


def test_picture__that_is_none_is_named(base):
    (base / "images" / "3.png").write_bytes(b"no picture")
    example = MetaDataset(base)[3]
    with pytest.raises(EvreelError, match=r"3.png: is not a picture that can be read"):
        example["image"]()
    (base / "images" / "3.png").unlink()
    with pytest.raises(EvreelError, match=r"3.png: cannot be read: No such file"):
        example["image"]()


def test_code__that_a_folder_names_is_run_only_if_that_is_allowed(view, tmp_path, monkeypatch):
    code = "def doubled(value, plus=0): return 2 * value + plus\n"
    code += "def letters(n): return [{'letter': 'abcdefgh'[k]} for k in range(n)]\n"
    (tmp_path / "mine_of_edflow.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    text = VIEW.replace("edflow.data.believers.meta.MetaDataset", "mine_of_edflow.letters")
    text = text.replace("root: ../base", "n: 7")
    text += "loaders: {app: mine_of_edflow.doubled}\nloader_kwargs: {app: {plus: 1}}\n"
    (view / "meta.yaml").write_text(text.replace(" app]", " app_]").replace(": app\n", ": app_\n"))
    with pytest.raises(UsageError, match=r"'mine_of_edflow.doubled' is code to be imported"):
        MetaViewDataset(view)
    assert "mine_of_edflow" not in sys.modules
    of = MetaViewDataset(view, allow_import=True)
    assert of[0]["frames"] == [{"letter": "a"}, {"letter": "b"}, {"letter": "c"}]
    assert of[0]["app"] == 13
    given = MetaViewDataset(view, base=[{"k": k} for k in range(N)], allow_import=True)
    assert given[1]["appearance"] == {"k": 0}


def test_stored_label__is_opened_as_it_was(base):
    values = np.asfortranarray(np.arange(2 * N).reshape(N, 2))
    store_label_mmap(values, base / "labels" / "new", "pairs")
    store_label_mmap(["é"] * N, base / "labels", "text")
    store_label_mmap(np.zeros((N, 0)), base / "labels", "empty")
    labels = MetaDataset(base).labels
    assert np.array_equal(labels["new"]["pairs"], values) and labels["text"][0] == "é"
    assert labels["empty"].shape == (N, 0)
    for name, data in (("../x", [1]), ("a-*-b", [1]), ("x", [{}]), ("x", 3), (".x", [1])):
        with pytest.raises(UsageError, match=r"not the name of a label|are not a label"):
            store_label_mmap(data, base / "labels", name)
    assert sorted(path.name for path in (base / "labels").iterdir() if path.is_dir()) == [
        "new",
        "pose",
    ]


def test_show__says_what_there_is(view, capsys):
    MetaViewDataset(view).show()
    said = capsys.readouterr().out
    assert "frames: 3 alike, of which the first is\n  image: (4, 6, 3) float64" in said
    assert "  pid: 'ann'" in said


def test_tutorial__runs_and_its_views_are_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(ROOT / "examples" / "tutorials" / "views.py"))
    assert capsys.readouterr().out.startswith("<24 windows of 2 recordings>\n")
    theirs, ours, base = made["ViewDset"], made["again"], made["base"]
    assert len(theirs) == len(ours) == made["M"] == 16
    for k, example in enumerate(ours):
        frames = [base[int(row)] for row in made["seq_idxs"][k]]
        for found in (example, theirs[k]):
            windows = [each["window"] for each in found["frames"]]
            assert windows == list(range(windows[0], windows[0] + 5))
            recordings = {each["recording"] for each in (*found["frames"], found["appearance"])}
            assert len(recordings) == 1
            pixels = [each["frame"] for each in found["frames"]]
            assert np.array_equal(pixels, [each["frame"] for each in frames])
        far = example["appearance"]["window"]
        assert far not in windows
    first = with_leaves(theirs.labels["frames"], lambda _, label: np.asarray(label))
    assert first["t"][0].tolist() == [10_000, 20_000, 30_000, 40_000, 50_000]
    assert {example["appearance"]["recording"] for example in made["west"]} == {"west"}
    assert Path("sequences/view.yaml").is_file()
