"""Views: nesting, labels, errors, identity, folders."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import EvreelError, UsageError
from evreel.loaders.slices import SlicesDataset
from evreel.loaders.views import View, base_digest, gathered, sequences
from evreel.loaders.views.edflow import MetaDataset
from evreel.loaders.views.mapped import MappedArray, map_npy
from evreel.loaders.views.nested import leaves, with_leaves
from evreel.loaders.windows import WindowsDataset
from evreel.release.open import open_release
from support.frames import numbered_file
from support.releases import labelled_release

N = 10


class Base:
    """Ten examples with two labels; it can be pickled."""

    def __init__(self, n=N):
        self.labels = {"t": np.arange(n) * 1_000, "box": np.arange(4 * n).reshape(n, 4)}
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        assert type(k) is int and 0 <= k < self.n
        return {"number": k, "frame": np.full((2, 3), k)}


def plain(index, of):
    """Return what indices, as nested lists, are to give: the twin of a view."""
    return [plain(below, of) for below in index] if isinstance(index, list) else of(index)


def same(found, expected):
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, list):
        return (
            type(found) is list and len(found) == len(expected) and all(map(same, found, expected))
        )
    return np.array_equal(found, expected)


def of_examples(nested, k, of):
    if isinstance(nested, dict):
        return {key: of_examples(below, k, of) for key, below in nested.items()}
    if isinstance(nested, list):
        return [of_examples(below, k, of) for below in nested]
    return plain(nested[k].tolist(), of)


@st.composite
def nestings(draw, n=N):
    m = draw(st.integers(0, 4))

    def array(shape, dtype, seed):
        values = np.random.default_rng(seed).integers(0, n, (m, *shape))
        return values.astype(dtype, order="F" if seed % 2 else "C")

    shapes = st.lists(st.integers(0, 3), max_size=2).map(tuple)
    array_s = st.builds(
        array, shapes, st.sampled_from(["u1", "<i4", ">i8", "u8"]), st.integers(0, 99)
    )
    keys = st.text("ab/.é ", min_size=1, max_size=3)
    return draw(
        st.recursive(
            array_s,
            lambda below: (
                st.lists(below, min_size=1, max_size=2)
                | st.dictionaries(keys, below, min_size=1, max_size=2)
            ),
            max_leaves=4,
        )
    )


@given(nestings())
@settings(max_examples=20, deadline=None)
def test_example__nests_as_indices_do(nested):
    base = Base()
    view = View.from_indices(base, nested)
    assert len(view) == len(next(leaves(nested))[1])
    for k, example in enumerate(view):
        assert same(example, of_examples(nested, k, base.__getitem__))


@given(nestings())
@settings(max_examples=20, deadline=None)
def test_label__is_that_of_the_base_at_each_index(nested):
    base = Base()
    view = View.from_indices(base, nested)
    for place, index in leaves(nested):
        labels = view.labels
        for key in place:
            labels = labels[key]
        assert list(labels) == ["t", "box"]
        for name, label in labels.items():
            expected = base.labels[name][index.astype(int)]
            assert label.shape == expected.shape and label.dtype == expected.dtype
            assert np.array_equal(label, expected) and ((label + 1) == expected + 1).all()
            for k in range(len(index)):
                assert np.array_equal(label[k], expected[k])
                assert np.array_equal(label[k, ...], expected[k, ...])
            assert label.tolist() == expected.tolist()


@given(nestings(), st.data())
@settings(max_examples=20, deadline=None)
def test_view_of_a_view__is_one_view_with_the_same_examples(nested, data):
    inner = View.from_indices(Base(), nested)
    outer_nested = data.draw(nestings(len(inner)) if len(inner) else st.just(np.zeros((0, 2), int)))
    outer = View.from_indices(inner, outer_nested)
    assert type(outer.base) is Base
    assert outer.digest == inner.compose(outer_nested).digest
    for k, example in enumerate(outer):
        assert same(example, of_examples(outer_nested, k, inner.__getitem__))


def test_sequences_and_an_appearance__are_lists_of_five_and_one_example():
    frames = np.arange(6)[:, None] + np.arange(5)
    view = View.from_indices(Base(), {"frames": frames, "appearance": [9, 8, 7, 6, 5, 4]})
    example = view[2]
    assert [each["number"] for each in example["frames"]] == [2, 3, 4, 5, 6]
    assert example["appearance"]["number"] == 7
    assert view.labels["frames"]["t"][2].tolist() == [2_000, 3_000, 4_000, 5_000, 6_000]
    assert view.labels["appearance"]["box"][:2, 1:3].tolist() == [[37, 38], [33, 34]]
    assert view.labels["frames"]["t"][np.array([0, 1]), 0].tolist() == [0, 1_000]


@pytest.mark.parametrize(
    ("indices", "says"),
    [
        ({"frames": [[0, 1], [2, -1]]}, "frames: position [1, 1] is -1; allowed are 0 to 9"),
        ({"frames": [0, 10]}, "frames: position 1 is 10; allowed are 0 to 9"),
        ({"a": [np.array([2**64 - 1], "u8")]}, "a/0: position 0 is 18446744073709551615; allowed"),
        (np.ma.array([0, 1], mask=[False, True]), "indices: has masked values"),
        ([0.0, np.inf], "indices: position 1 is inf of type float64"),
        ([0.0, 1.5], "indices: position 1 is 1.5 of type float64; an index is an integer"),
        ({"a": [True, False]}, "a: position 0 is True of type bool"),
        ({"a": np.array(["x"])}, "a: position 0 is x of type <U1"),
        ({"a": None}, "a: is of type object"),
        ({"a": np.int64(3)}, "a: is the single number 3; it needs a row for each example"),
        ({"a": [0, 1], "b": [[1]]}, "b: has 1 rows; a has 2"),
        ({"a": [[0, 1], [2]]}, "a: cannot be made an array"),
        ({"a": {}}, "a: has no array of indices"),
        ([], "indices: has no array of indices"),
        ({3: [0]}, "key 3 is not a text"),
    ],
)
def test_wrong_indices__are_named_with_position_value_and_range(indices, says):
    with pytest.raises(UsageError) as error:
        View.from_indices(Base(), indices)
    assert says in str(error.value)


def test_base__that_is_empty_has_no_example_to_be_viewed():
    assert len(View.from_indices([], np.empty((0, 5), int))) == 0
    with pytest.raises(UsageError, match="position 0 is 0; allowed are none, because the base is"):
        View.from_indices([], [0])
    with pytest.raises(UsageError, match="generator has not"):
        View.from_indices((k for k in range(3)), [0])

    class Endless(Base):
        def __len__(self):
            raise TypeError("there is no end")

    with pytest.raises(UsageError, match="Endless: there is no end"):
        View.from_indices(Endless(), [0])


@pytest.mark.parametrize("index", [-1, 2, 10**20, np.int64(2)])
def test_example__that_is_not_there_is_an_error(index):
    view = View.from_indices(Base(), [0, 1])
    with pytest.raises(IndexError, match="there are 0 to 1"):
        view[index]
    with pytest.raises(UsageError, match="is not a whole number"):
        view[0.0]
    with pytest.raises(UsageError, match="is not a whole number"):
        view[True]


def test_label__that_is_not_of_every_example_is_named():
    base = Base()
    base.labels["box"] = base.labels["box"][:-1]
    view = View.from_indices(base, [0])
    with pytest.raises(UsageError, match="label 'box': has 9 values; the base has 10 examples"):
        view.validate()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"t": [5, 6, 7]}, {"t": [[7, 5]]}),
        ({"name": ["a", "b", "c"], "pair": [[1, 2]] * 3}, None),
        ({"clip": [np.arange(3), {"t": (1, 2, 3)}]}, {"clip": [[[2, 0]], {"t": [[3, 1]]}]}),
        (np.arange(3), {"labels": [[2, 0]]}),
        (["a", "b", "c"], {"labels": [["c", "a"]]}),
        (("cat", "dog"), {}),  # of another length: names of classes
        (None, {}),
    ],
)
def test_labels__may_be_lists_or_one_array(labels, expected):
    base = Base(3)
    base.labels = labels
    view = View.from_indices(base, [[2, 0]])
    if expected is None:
        expected = {"name": [["c", "a"]], "pair": [[[1, 2], [1, 2]]]}
    assert with_leaves(view.labels, lambda _, label: label.tolist()) == expected
    view.validate()
    digest, base.labels = view.digest, None
    assert (digest == View.from_indices(base, [[2, 0]]).digest) == (not expected)


def test_labels__that_no_file_could_name_are_refused():
    base = Base()
    base.labels = {3: np.arange(N)}
    with pytest.raises(UsageError, match="labels: key 3 is not a text"):
        View.from_indices(base, [0]).validate()
    base.labels = {"t": [1, 2]}
    with pytest.raises(UsageError, match="label 't': has 2 values; the base has 10 examples"):
        View.from_indices(base, [0]).validate()


def test_indices__that_a_caller_changes_later_stay_as_they_were():
    mine = np.array([0, 1])
    view = View.from_indices(Base(), mine)
    mine[:] = 9
    assert [each["number"] for each in view] == [0, 1]
    assert not view.indices.flags.writeable


def test_digest__is_of_values_and_form_alone():
    base = Base()
    view = View.from_indices(base, {"a": [[0, 1], [2, 3]], "b": [4, 5]})
    turned = {"b": np.array([4, 5], "u1"), "a": np.asfortranarray([[0, 1], [2, 3]])}
    assert view.digest == View.from_indices(Base(), turned).digest
    others = [
        View.from_indices(base, {"a": [[0, 1], [2, 3]], "b": [4, 6]}),
        View.from_indices(base, {"a": [[0, 1], [2, 3]], "c": [4, 5]}),
        View.from_indices(base, {"a": [[[0], [1]], [[2], [3]]], "b": [4, 5]}),
        View.from_indices(Base(N + 1), {"a": [[0, 1], [2, 3]], "b": [4, 5]}),
    ]
    others.append(View.from_indices(base, {"a": {"0": np.array([[0, 1]])}}))
    others.append(View.from_indices(base, {"a": [np.array([[0, 1]])]}))
    changed = Base()
    changed.labels["t"] = changed.labels["t"] + 1
    others.append(View.from_indices(changed, {"a": [[0, 1], [2, 3]], "b": [4, 5]}))
    changed = Base()
    changed.digest = "of 1 January"
    others.append(View.from_indices(changed, {"a": [[0, 1], [2, 3]], "b": [4, 5]}))
    assert len({view.digest, *(other.digest for other in others)}) == len(others) + 1


def test_digest__of_a_base_with_objects_asks_for_one():
    base = Base()
    base.labels["boxes"] = np.array([[], [1], *[[]] * 8], dtype=object)
    with pytest.raises(UsageError, match=r"'boxes' holds Python objects.*attribute `digest`"):
        base_digest(base)


def folder_of(folder, views="{frames: indices/frames.npy}", **more):
    """Write a view of two pairs as a person would."""
    (folder / "indices").mkdir(exist_ok=True)
    np.save(folder / "indices" / "frames.npy", np.asfortranarray([[0, 1], [2, 3]], "u1"))
    lines = ["layout: evreel-view", "layout_version: 1", f"views: {views}"]
    lines += [f"{key}: {value}" for key, value in more.items()]
    (folder / "view.yaml").write_text("\n".join(lines) + "\n")
    return folder


def test_path__is_that_of_an_array_of_indices(tmp_path):
    folder_of(tmp_path)
    path = tmp_path / "indices" / "frames.npy"
    view = View.from_indices("abcd", {"both": [path, str(path)]})
    assert view[1] == {"both": [["c", "d"], ["c", "d"]]}
    assert type(view.indices["both"][0]) is MappedArray
    with pytest.raises(EvreelError, match=r"none.npy: cannot be read: No such file"):
        View.from_indices("abcd", "none.npy")


def test_folder__opens_with_a_base_in_python(tmp_path):
    view = View.open(folder_of(tmp_path, description="Pairs."), Base())
    assert view.description == "Pairs." and type(view.indices["frames"]) is MappedArray
    assert [each["number"] for each in view[1]["frames"]] == [2, 3]
    view.validate()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vews: a.npy", "line 4: top level: unknown key 'vews'; did you mean 'views'?"),
        ("digest: abc", "line 4: digest: 'abc' is not of the form"),
        ("base: {loder: windows}", "unknown key 'loder'; did you mean 'loader'?"),
        ("base: {loader: window}", "line 4: base/loader: 'window' is not a loader; did you mean"),
        ("base: {loader: windows}", "WindowsDataset: missing a required argument: 'source'"),
        (
            "base: {loader: windows, release: r}",
            "line 4: base/release: r does not exist, seen from",
        ),
        (
            "base: {loader: windows, release: r, arguments: {f: 1}}",
            "unexpected keyword argument 'f'",
        ),
        ("base: {loader: os.system, arguments: {command: x}}", "allow_import=True"),
        ("labels: {frames: {t: t.npy}}", "line 4: labels: digest is missing"),
        ("base: {loader: windows, arguments: 3}", "line 4: base/arguments: 3 is not a mapping"),
        ("description: &a [*a]", "cannot be read|within the value|not a text"),
        ("layout: x", "line 4: layout is duplicated"),
    ],
)
def test_view_yaml__with_a_mistake_says_line_and_key(tmp_path, text, says):
    folder_of(tmp_path)
    with (tmp_path / "view.yaml").open("a") as file:
        file.write(text + "\n")
    with pytest.raises(UsageError) as error:
        View.open(tmp_path)
    assert any(each in str(error.value) for each in says.split("|"))


def test_view_yaml__that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "view.yaml")
    with pytest.raises(EvreelError, match=r"view\.yaml: is not a file"):
        View.open(tmp_path, Base())


def test_view_yaml__without_a_base_asks_for_one(tmp_path):
    with pytest.raises(UsageError, match=r"view.yaml: names no base. Give the data set"):
        View.open(folder_of(tmp_path))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../frames.npy", "leads out of the folder"),
        ("/etc/frames.npy", "leads out of the folder"),
        ("indices/../../x.npy", "leads out of the folder"),
        ("'..\\x.npy'", "is not the name of a file"),
        ("3", "3 is not the name of a file"),
        ("{}", "line 3: views: names no file"),
        ("{a: [{}]}", "line 3: views/a/0: names no file"),
        ("{1: indices/frames.npy}", "line 3: views/1: key 1 is not a text"),
        ("indices", "indices: is not a file"),
        ("indices/other.npy", "other.npy: cannot be read: No such file"),
        ("indices/pipe.npy", "pipe.npy: is not a file"),
    ],
)
def test_file_of_indices__is_one_in_the_folder(tmp_path, name, says):
    folder = folder_of(tmp_path, views=name)
    os.mkfifo(folder / "indices" / "pipe.npy")
    with pytest.raises(EvreelError) as error:
        View.open(folder, Base())
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "frames.npy: has 131 bytes"),
        (lambda path: path.write_bytes(b""), "frames.npy: is not an npy file"),
        (lambda path: np.save(path, np.array([[0.5]])), "frames.npy: views? position|is 0.5"),
        (lambda path: np.save(path, [[0, 99]]), "frames.npy: frames: position [0, 1] is 99"),
        (lambda path: np.save(path, np.array([{}]), allow_pickle=True), "of type object"),
    ],
)
def test_damaged_indices__are_named_with_their_file(tmp_path, damage, says):
    folder_of(tmp_path)
    damage(tmp_path / "indices" / "frames.npy")
    with pytest.raises(EvreelError) as error:
        View.open(tmp_path, Base())
    assert any(each in str(error.value) for each in says.split("|"))


def test_materialized_view__opens_with_its_labels_and_digest(tmp_path):
    nested = {"a.b": [np.array([[1, 2], [3, 4]])], "a-b": [[5], [6]], "A-B": [7, 8]}
    view = View.from_indices(Base(), nested)
    view.materialize(tmp_path / "out")
    again = View.open(tmp_path / "out", Base())
    again.validate()
    assert again.digest == view.digest and list(again.indices) == list(nested)
    assert all(same(found, expected) for found, expected in zip(again, view, strict=True))
    label = again.labels["a.b"][0]["box"]
    assert type(label) is MappedArray and np.array_equal(label, view.labels["a.b"][0]["box"])
    again.materialize(tmp_path / "out")  # over the files that it is mapped from
    first = {p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*.npy")}
    again.materialize(tmp_path / "more")
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "more").rglob("*.npy")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more", "out"]


def test_materialized_view__may_have_names_of_any_length(tmp_path):
    base = Base()
    base.labels = {end * 300: np.arange(N) * k for k, end in enumerate("aé")}
    View.from_indices(base, {"a" * 300: [1], "a" * 301: [2]}).materialize(tmp_path / "out")
    labels = View.open(tmp_path / "out", base).labels["a" * 301]
    assert with_leaves(labels, lambda _, label: label.tolist()) == {"a" * 300: [0], "é" * 300: [2]}


def test_materialized_view__of_no_example_opens(tmp_path):
    View.from_indices(Base(), np.empty((0, 5), int)).materialize(tmp_path / "out")
    again = View.open(tmp_path / "out", Base())
    assert len(again) == 0 and again.labels["box"].shape == (0, 5, 4)


def test_materialized_view__is_not_opened_over_another_base(tmp_path):
    View.from_indices(Base(), [[0, 1]]).materialize(tmp_path / "out")
    changed = Base()
    changed.labels["t"][3] += 1
    with pytest.raises(EvreelError, match=r"view.yaml: the base or indices changed since"):
        View.open(tmp_path / "out", changed)
    view = View.open(tmp_path / "out", Base())
    np.save(tmp_path / "out" / "indices" / "all.npy", [[0, 2]])
    with pytest.raises(EvreelError, match=r"view.yaml: the base or indices changed since"):
        view.validate()  # it sees the file that is there now
    with pytest.raises(EvreelError, match=r"view.yaml: the base or indices changed since"):
        View.open(tmp_path / "out", Base())


def test_validate__compares_files_that_were_written_out(tmp_path):
    View.from_indices(Base(), [[0, 1]]).materialize(tmp_path / "out")
    np.save(tmp_path / "out" / "labels" / "t.npy", [[0, 9]])
    view = View.open(tmp_path / "out", Base())
    with pytest.raises(EvreelError, match=r"t.npy: is not the file that view.yaml names"):
        view.validate()
    np.save(tmp_path / "out" / "labels" / "t.npy", [[0]])
    with pytest.raises(EvreelError, match=r"t.npy: is of shape \(1, 1\); the indices"):
        View.open(tmp_path / "out", Base())
    (tmp_path / "out" / "labels" / "t.npy").unlink()
    with pytest.raises(EvreelError, match=r"t.npy: cannot be read: No such file"):
        view.validate()


def test_materialize__writes_all_or_nothing(tmp_path):
    base = Base()
    base.labels["boxes"] = np.array([[], [1], *[[]] * 8], dtype=object)
    base.digest = "mine"
    with pytest.raises(UsageError, match="holds Python objects"):
        View.from_indices(base, [0]).materialize(tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="mine: is not a view, so it is not replaced"):
        View.from_indices(Base(), [0]).materialize(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process__maps_the_files_for_itself(tmp_path, method):
    view = View.open(folder_of(tmp_path), list("abcd"))
    assert len(pickle.dumps(view)) < 2_000
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(view.__getitem__, [1]) == [{"frames": ["c", "d"]}]


def test_huge_files__are_not_read(tmp_path):
    rows = 1 << 36  # 2 TB of zeros, of which the disk has none
    path = tmp_path / "i.npy"
    with path.open("wb") as file:
        head = {"descr": "<i8", "fortran_order": False, "shape": (rows, 5)}
        np.lib.format.write_array_header_1_0(file, head)
        try:
            file.truncate(file.tell() + rows * 5 * 8)
        except OSError:
            pytest.skip("this file system has no files of 2 TB")
    began = time.monotonic()
    view = View.from_indices("ab", map_npy(path))
    assert len(view) == rows and view[rows - 1] == ["a"] * 5
    assert len(pickle.dumps(view)) < 2_000
    assert view.labels == {}
    assert time.monotonic() - began < 20


def test_array__that_a_caller_mapped_is_pickled_as_its_file(tmp_path):
    np.save(tmp_path / "i.npy", np.zeros((50_000, 2), "u1"))
    mapped = np.load(tmp_path / "i.npy", mmap_mode="r")
    assert len(pickle.dumps(View.from_indices("ab", mapped))) < 2_000
    part = pickle.loads(pickle.dumps(View.from_indices("ab", mapped[49_990:])))
    assert len(part) == 10 and part[9] == ["a", "a"]


def test_large_file__is_checked_where_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "CHECKED_AT_ONCE", 3)
    np.save(tmp_path / "i.npy", [[0, 1], [2, 9]])
    view = View.from_indices("abc", {"pair": map_npy(tmp_path / "i.npy")})
    assert view[0] == {"pair": ["a", "b"]}
    with pytest.raises(EvreelError, match=r"i.npy: pair: position \[1, 1\] is 9; allowed are 0 to"):
        view[1]
    with pytest.raises(EvreelError, match=r"i.npy: pair: position \[1, 1\] is 9"):
        view.validate()


def test_show__says_what_an_example_holds(capsys):
    View.from_indices(Base(), {"frames": [[1, 2]], "appearance": [3]}).show()
    assert capsys.readouterr().out == textwrap.dedent("""\
        view of length 1 over Base: frames (1, 2), appearance (1,)
        labels
          frames:
            t: (1, 2) int64
            box: (1, 2, 4) int64
          appearance:
            t: (1,) int64
            box: (1, 4) int64
        example 0
          frames: 2 alike, of which the first is
            number: 1
            frame: (2, 3) int64, 1 … 1
          appearance:
            number: 3
            frame: (2, 3) int64, 3 … 3
        """)


@pytest.fixture(scope="module")
def parks(tmp_path_factory):
    return labelled_release(tmp_path_factory.mktemp("views"))


def test_windows_of_a_release__are_all_frames_with_what_they_are(parks):
    every = WindowsDataset(parks, "counts")
    with open_release(parks) as release:
        k = 0
        for id_ in ("park", "town"):
            file = release.recordings[id_].features["counts"]
            for window in range(len(file)):
                example = every[k]
                assert np.array_equal(example.pop("frame"), file.values(window))
                start_us, t = int(file.windows.start_us[window]), int(file.windows.stop_us[window])
                boxes = example.pop("boxes")
                assert ((boxes["t"] <= t) & (boxes["t"] >= start_us)).all()
                assert example == {"recording": id_, "window": window, "t": t}
                assert every.labels["t"][k] == t and every.labels["recording"][k] == id_
                assert every.labels["start_us"][k] == start_us
                k += 1
    assert k == len(every)
    assert sum(len(example["boxes"]) for example in every) == 40


def test_windows_of_a_split__are_those_of_its_samples(parks):
    train = WindowsDataset(parks, "counts", "train")
    assert set(train.labels["recording"]) == {"park", "town"}
    test = WindowsDataset(parks, "counts", "test")
    every = WindowsDataset(parks, "counts")
    assert set(test.labels["recording"]) == {"town"} and len(test) + len(train) == len(every)
    assert len({train.digest, test.digest, every.digest}) == 3
    copy = pickle.loads(pickle.dumps(train))
    assert copy[3]["window"] == 3 and copy.digest == train.digest
    assert len(WindowsDataset(parks, "counts", "val")) == 0
    with pytest.raises(UsageError, match="has no feature 'count'; did you mean 'counts'"):
        WindowsDataset(parks, "count")
    with pytest.raises(UsageError, match="which of its features"):
        WindowsDataset(parks)


@pytest.mark.parametrize("opened", [View.open, MetaDataset], ids=["view", "meta"])
def test_folder__that_is_not_of_a_view_is_called_as_it_was_given(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "view.yaml" if opened == View.open else "meta.yaml"
    (tmp_path / "file").write_text("")
    for folder, why in [
        ("/nothing", "does not exist"),
        ("not/../here", "does not exist"),
        (Path("here"), "does not exist"),
        ("file", "is no folder"),
        (".", f"has no {name}"),
    ]:
        with pytest.raises(UsageError) as error:
            opened(folder)
        assert str(error.value) == (
            f"{folder} {why}. Give the folder of a view, which has a {name}."
        )


def test_sequences__stay_within_a_recording_and_a_sample(parks, tmp_path):
    every = WindowsDataset(parks, "counts")
    found = sequences(every, 3)
    assert found.dtype == np.int64
    names = ("recording", "sample", "window")
    rows = list(zip(*(np.asarray(every.labels[name]).tolist() for name in names), strict=True))
    assert {row[1] for row in rows if row[0] == "park"} == {""}
    assert len({row[1] for row in rows if row[0] == "town"}) > 1
    twin = [
        [k, k + 1, k + 2]
        for k in range(len(rows) - 2)
        if rows[k][:2] == rows[k + 1][:2] == rows[k + 2][:2]
    ]
    assert found.tolist() == twin and 0 < len(twin) < len(rows) - 2
    # Of two recordings with one name, the window tells where the second begins.
    for number, n in ((0, 5), (1, 4)):
        (tmp_path / str(number)).mkdir()
        numbered_file(tmp_path / str(number), 0, n)
    two = WindowsDataset([tmp_path / "0/r00.h5", tmp_path / "1/r00.h5"])
    assert sequences(two, 2, stride=2).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]
    assert sequences(two, 3, stride=9).tolist() == [[0, 1, 2], [5, 6, 7]]
    assert sequences(two, 6).shape == (0, 6)
    assert len(View.from_indices(two, sequences(two, 6))) == 0
    view = View.from_indices(two, [1, 2, 4, 5, 6])
    assert sequences(view, 2).tolist() == [[0, 1], [3, 4]]


def test_sequences__of_slices_and_of_anything_with_recordings(parks):
    assert sequences(SlicesDataset(parks), 4).tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]
    own = Base(5)
    own.labels = {"recording": ["a", "a", "a", "b", "b"]}
    assert sequences(own, 2).tolist() == [[0, 1], [1, 2], [3, 4]]
    pairs = View.from_indices(own, [[0, 1], [1, 2], [2, 2], [3, 4]])
    assert sequences(pairs, 2).tolist() == [[0, 1], [1, 2]]
    own.labels, own.n = {"recording": np.array([], dtype=np.str_)}, 0
    assert sequences(own, 2).shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Base(), 2), "Base has no label 'recording'"),
        (("abc", 2), "str has no label 'recording'"),
        ((Base(), 0), "length=0 is not a whole number of 1 or more"),
        ((Base(), 1.5), "length=1.5 is not a whole number of 1 or more"),
        ((Base(), 2, True), "stride=True is not a whole number of 1 or more"),
        ((Base(), 2, -1), "stride=-1 is not a whole number of 1 or more"),
    ],
)
def test_sequences__need_recordings_and_whole_numbers(arguments, message):
    with pytest.raises(UsageError, match=message):
        sequences(*arguments)


def test_windows_of_files__need_no_release(tmp_path):
    paths = [numbered_file(tmp_path, number, 3 + number) for number in range(2)]
    of = WindowsDataset(paths)
    assert [example["frame"][0, 0, :2].tolist() for example in of] == [
        [number, k] for number in range(2) for k in range(3 + number)
    ]
    assert of.declared is None and list(of.labels["recording"]) == ["r00"] * 3 + ["r01"] * 4
    assert of.digest == WindowsDataset(paths).digest != WindowsDataset(paths[:1]).digest
    assert of.digest == WindowsDataset(tmp_path).digest == WindowsDataset(f"{tmp_path}/*.h5").digest
    View.from_indices(of, [[0, 6]]).materialize(tmp_path / "v")
    assert View.open(tmp_path / "v", of)[0][1]["recording"] == "r01"


def test_view_of_a_release__is_declared_in_yaml(parks, tmp_path):
    base = WindowsDataset(parks, "sums", "train")
    View.from_indices(base, {"frames": [[0, 1], [1, 2]]}).materialize(tmp_path / "deep" / "v")
    said = yaml.safe_load((tmp_path / "deep" / "v" / "view.yaml").read_text())
    assert said["base"]["arguments"] == {"feature": "sums", "split": "train"}
    assert said["base"]["release"].startswith("../")
    view = View.open(tmp_path / "deep" / "v")
    view.validate()
    assert np.array_equal(view[1]["frames"][1]["frame"], base[2]["frame"])
    assert view.labels["frames"]["recording"][0].tolist() == ["park", "park"]
    view.materialize(tmp_path / "w")
    assert View.open(tmp_path / "w").digest == view.digest


def test_base_of_other_code__is_imported_only_if_that_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "mine_of_views.py").write_text("def letters(n):\n    return 'abcdef'[:n]\n")
    monkeypatch.syspath_prepend(tmp_path)
    base = "{loader: mine_of_views.letters, arguments: {n: 4}}"
    folder = folder_of(tmp_path, base=base)
    with pytest.raises(UsageError, match=r"view.yaml: line 4: base/loader: 'mine_of_views.letters"):
        View.open(folder)
    assert "mine_of_views" not in sys.modules
    assert View.open(folder, allow_import=True)[1] == {"frames": ["c", "d"]}
    folder_of(tmp_path, base="{loader: mine_of_views.numbers}")
    with pytest.raises(UsageError, match=r"'mine_of_views.numbers' cannot be imported"):
        View.open(folder, allow_import=True)


def test_damaged_recording__is_an_error_or_is_left_out_and_counted(parks, tmp_path):
    folder = shutil.copytree(parks, tmp_path / "parks")
    [file] = folder.rglob("counts/town.h5")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EvreelError, match=r"counts/town.h5: has [0-9,]+ bytes"):
        WindowsDataset(folder, "counts")
    left = WindowsDataset(folder, "counts", on_damage="skip")
    assert left.counts == {"skipped_recordings": 1} and set(left.labels["recording"]) == {"park"}
    assert left.declared["arguments"]["on_damage"] == "skip"
    with pytest.raises(UsageError, match="on_damage='ignore' is not one of fail, skip"):
        WindowsDataset(folder, "counts", on_damage="ignore")
