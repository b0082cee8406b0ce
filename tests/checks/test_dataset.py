"""Checks of a data set find what its splits share, and files that differ from each other."""

from __future__ import annotations

import itertools
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.checks import dataset
from evreel.release.origins import Made
from evreel.release.overlap import same_source
from support.checks import cut_of


def test_data_set_checks__find_what_splits_share():
    rows = {
        "a": {"split": "train", "group": "g"},
        "b": {"split": "train", "group": "g"},
        "c": {"split": "test", "group": "h"},
    }
    assert not list(dataset.split_group(rows, "m"))
    [(_, place, problem)] = dataset.split_group(rows | {"d": {"split": "val", "group": "g"}}, "m")
    assert place == "group 'g'"
    assert "train ('a'), val ('d')" in problem
    train = [
        dataset.Member("train.txt", f"line {k}", name, "train") for k, name in enumerate("abc")
    ]
    test = [dataset.Member("test.txt", f"line {k}", name, "test") for k, name in enumerate("bca")]
    assert not list(dataset.split_recording(train * 2))
    assert list(dataset.split_recording(train + test[:2])) == [
        (
            "test.txt",
            "line 0",
            "2 recordings of test also in train, the first 'b' (train.txt, line 1); keep each in "
            "one split",
        )
    ]
    stored = dataset.Stored
    assert not list(
        dataset.split_bytes([stored("a", "", "train", "1"), stored("b", "", "train", "1")])
    )
    [(path, _, problem)] = dataset.split_bytes(
        [stored("a", "", "train", "1"), stored("b", "", "test", "1"), stored("c", "", "test", "1")]
    )
    assert path == "b"
    assert "has the bytes of a, the first of 2 such pairs" in problem


def test_same_source__is_the_same_time_of_the_same_bytes_in_two_splits():
    def pairs(*rows):
        return list(same_source(dict(zip("abcd", rows, strict=False))))

    def row(split, start="", stop="", **columns_):
        return {"split": split, "events/start_us": start, "events/stop_us": stop, **columns_}

    assert pairs(row("train", md5="0F"), row("test", md5="0f")) == [("b", "a", "md5")]
    assert pairs(row("train", sha256="A"), row("test", sha256="a")) == [("b", "a", "sha256")]
    assert not pairs(row("train", md5="1"), row("test", md5="2"))
    assert not pairs(row("train", md5="1"), row("train", md5="1"))
    assert not pairs(row("train"), row("test")), "nothing is known of what they are made from"
    other = {"slices/count": "5", "events/max_pixel_hz": "9", "events/crop": "[0, 0, 9, 9]"}
    assert pairs(row("train", md5="1"), row("test", md5="1", **other)), "nothing else exempts"
    assert not pairs(row("train", "", "500", md5="1"), row("test", "500", "null", md5="1"))
    assert pairs(row("train", "null", "501", md5="1"), row("test", "500", md5="1"))
    assert pairs(row("train", "9" * 5_000, md5="1"), row("test", "soon", md5="1"))
    assert not pairs(row("train", "500", "500", md5="1"), row("test", md5="1")), "nothing is taken"


def test_same_source__is_none_of_rows_whose_patterns_take_other_members():
    def pairs(**patterns):
        """Pairs of rows, called by their splits, of one archive."""
        rows = {id_: {"split": id_[:5].strip("_"), "md5": "1"} for id_ in patterns}
        for id_, pattern in patterns.items():
            rows[id_] |= {"samples/members": pattern} if pattern else {}
        return [(a, b) for a, b, _ in same_source(rows)]

    assert not pairs(train="Lip/train/{label}/*.npy", test_="Lip/test/{label}/*.npy")
    assert pairs(train="Lip/train/{label}/*.npy", test_="Lip/*/{label}/*.npy") == [
        ("test_", "train")
    ]
    assert pairs(train="Lip/train/{label}/*.npy", test_="") == [("test_", "train")]
    assert pairs(train="a/*", train_2="b/*", test_="*/x") == [("test_", "train")]
    assert not pairs(train="a/*", train_2="b/*", test_="c/*", val__="d/*")
    assert pairs(train="a/x/*", test_="a/*/y", val__="b/x/y") == [("test_", "train")]
    assert pairs(train="{nonsense}/*", test_="c/*") == [("test_", "train")], "it exempts nothing"


def test_same_source__of_a_row_per_folder_takes_no_longer_than_there_are_rows():
    def rows(n):
        said = [("train", "test")[k % 2] for k in range(n)]
        return {
            str(k): {"split": split, "md5": "1", "samples/members": f"all/{k}/*.npy"}
            for k, split in enumerate(said)
        }

    start = time.process_time()
    assert list(same_source(rows(4_000))) == []
    assert time.process_time() - start < 3, "to compare each with each takes minutes"
    again = rows(100) | {"more": {"split": "val", "md5": "1", "samples/members": "all/7/?.npy"}}
    assert [(a, b) for a, b, _ in same_source(again)] == [("more", "7")]


TIMES = st.tuples(st.integers(0, 6), st.integers(1, 4), st.sampled_from(["train", "val", "test"]))


@given(st.lists(TIMES, max_size=9))
@settings(max_examples=100, deadline=None)
def test_same_source__names_a_row_for_every_time_that_two_splits_share(parts):
    rows = {
        str(k): {
            "split": split,
            "md5": "0",
            "events/start_us": str(start),
            "events/stop_us": str(start + n),
        }
        for k, (start, n, split) in enumerate(parts)
    }

    def share(a, b):
        (start, n, split), (other_start, other_n, other_split) = parts[a], parts[b]
        apart = start + n <= other_start or other_start + other_n <= start
        return split != other_split and not apart

    pairs = [(int(a), int(b)) for a, b, _ in same_source(rows)]
    assert all(a > b and share(a, b) for a, b in pairs)
    at_fault = {k for k in range(len(parts)) if any(share(k, j) for j in range(len(parts)))}
    told = {k for pair in pairs for k in pair}
    assert bool(told) == bool(at_fault)
    # Without the rows that are named later, nothing is shared any more in what is left of two.
    for a, b in itertools.combinations(sorted(at_fault), 2):
        assert not share(a, b) or a in told or b in told


def test_sample_group__is_in_one_split_within_a_file_and_across():
    groups = ["ann", "", "ben"]
    a, b = (cut_of(["train"] * 3, group=groups, path=path) for path in ("a.h5", "b.h5"))
    assert not list(dataset.sample_group([a, b]))
    test = cut_of(["test"] * 3, group=groups, path="c.h5")
    [(path, place, problem)] = dataset.sample_group([a, test, b])
    assert (path, place) == ("c.h5", "sample '0'")
    assert problem.startswith("2 groups in two splits, the first 'ann' is in test here, in train")
    within = cut_of(["train", "train", "test"], group=["ann"] * 3)
    assert [row[1] for row in dataset.sample_group([within])] == ["sample '2'"]
    [(_, _, problem)] = dataset.sample_group([a], {"ben": ("test", "recording 'r'")})
    assert "'ben' is in train here, in test by recording 'r'" in problem


def test_sample_class__is_trained_on_if_anything_is():
    train = cut_of(["train", "train"], ["clap", "wave"])
    test = cut_of(["test", "test"], ["clap", "wave"], path="b.h5")
    assert not list(dataset.sample_class([train, test]))
    assert not list(dataset.sample_class([test])), "a set of nothing but tests"
    assert not list(dataset.sample_class([])), "no samples at all"
    only = cut_of(["train", "train"], ["clap", ""])
    [(path, place, problem)] = dataset.sample_class([only, test])
    assert (path, place) == ("b.h5", "sample '1'")
    assert problem.startswith("1 class of test not in train, the first 'wave'")
    [(path, place, problem)] = dataset.sample_class([only])
    assert (path, place) == ("a.h5", "labels/name")
    assert problem.startswith("1 label without a sample in the data set, the first 'wave'")


def test_sample_labels__are_numbered_alike_in_all_files():
    a, b = cut_of(["train"]), cut_of(["train"], path="b.h5")
    assert not list(dataset.sample_labels([a, b]))
    other = a._replace(path="c.h5", labels=("wave", "clap"))
    assert [row[0] for row in dataset.sample_labels([a, b, other])] == ["c.h5"]


def test_made_from__finds_files_of_other_stores():
    files = [
        Made(path, "a", inputs={"store": digest})
        for path, digest in (("s.h5", "1"), ("f.h5", "1"), ("g.h5", "2"))
    ]
    assert not list(dataset.made_from(files[:2]))
    assert [row[0] for row in dataset.made_from(files)] == ["g.h5"]
    with_store = [*files, Made("e.h5", "a", "store", "2")]
    assert [row[0] for row in dataset.made_from(with_store)] == ["s.h5", "f.h5"]


def test_split_label__of_a_split_is_trained_on_if_anything_is():
    def found(**splits):
        files = [
            dataset.Drawn(f"{split}.h5", split, frozenset(labels))
            for split, labels in splits.items()
        ]
        return [(place, problem) for _, place, problem in dataset.split_label(files, "m.json")]

    assert found(train={"car", "bus"}, val={"car"}, test={"bus"}) == []
    assert found(train=(), val=()) == [], "nothing is labelled"
    assert found(val={"car"}, test={"car"}) == [], "a set of nothing but tests"
    assert found() == []
    [(place, problem)] = found(train={"car"}, val=())
    assert place == "split val"
    assert problem.startswith("has no region and no tag in any of its slices")
    [(place, problem)] = found(train={"car"}, test={"car", "van", "bus"})
    assert (place, problem) == (
        "split test",
        "2 labels not in train, the first 'bus'; is the split intended?",
    )
    [(place, _)] = found(train=(), test={"car"})
    assert place == "split train"
