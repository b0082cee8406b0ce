"""Checks of samples hold their rows, times and splits to their recording."""

from __future__ import annotations

import shutil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.checks import samples
from evreel.checks.run import check
from support.checks import cut_of, samples_of
from support.hdf5 import edited

TIMES = st.lists(st.integers(0, 20), max_size=12).map(sorted)


@given(TIMES, st.lists(st.tuples(st.integers(-1, 13), st.integers(-1, 22)), max_size=9))
@settings(max_examples=100, deadline=None)
def test_sample_rows__are_those_that_a_search_finds(times, asked):
    t = np.array(times, np.int64)
    rows, t_us = np.array(asked, np.int64).reshape(-1, 2).T
    bad = samples._misplaced(rows, t_us, len(t), lambda first, stop: [t[first:stop]])
    assert bad.tolist() == (rows != np.searchsorted(t, t_us)).tolist()


def test_sample_rows__reads_only_the_chunks_it_needs_and_tolerates_damage_there():
    t, asked = np.arange(1_000_000) * 3, []

    def read(first, stop):
        asked.append(first)
        return None if first == 9 * 65_536 else [t[first:stop]]

    at = np.array([10, 65_536, 600_000])
    held = samples_of(at * 3, at * 3 + 30)

    def found_(start):
        return list(samples.sample_rows(held, start, at + 10, 3_000_000, len(t), read))

    assert not found_(at)
    assert set(asked) == {0, 65_536, 9 * 65_536}
    assert not found_(at + np.array([0, 0, 5])), "what cannot be read may be right"
    [(place, problem)] = found_(at + np.array([0, 1, 0]))
    assert (place, problem[:8]) == ("sample '1'", "1 sample")
    assert "rows 65537 to 65546 for t=196608 to 196638 µs" in problem


def test_sample_rows__of_an_unknown_store_are_compared_with_the_recordings_end():
    held, rows = samples_of([-5, 0, 99, 100], [5, 90, 120, 130]), np.zeros(4, np.int64)
    [(place, problem)] = samples.sample_rows(held, rows, rows, 100)
    assert (place, problem[:9]) == ("sample '0'", "2 samples")
    assert "ends at t=100 µs; cut" in problem


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=9))
@settings(max_examples=60, deadline=None)
def test_sample_overlap__counts_samples_that_share_time_with_an_earlier_one(spans):
    spans = sorted((start, start + n) for start, n in spans)
    shared = [k for k, (start, _) in enumerate(spans) if any(stop > start for _, stop in spans[:k])]
    result = list(samples.sample_overlap(samples_of([a for a, _ in spans], [b for _, b in spans])))
    assert bool(result) == bool(shared)
    if shared:
        assert result[0][0] == f"sample '{shared[0]}'"
        assert result[0][1].startswith(f"{len(shared)} sample")


def test_sample_overlap__says_with_which_sample_how_long_and_of_which_class():
    held = samples_of([0, 10, 20], [50, 15, 60], ["clap", "wave", "clap"])
    [(place, problem)] = samples.sample_overlap(held)
    assert place == "sample '1'"
    assert "the first 5 µs with sample '0' of another class" in problem


def test_sample_empty__is_one_without_a_row():
    start, stop = np.array([0, 4, 4, 4]), np.array([4, 4, 4, 9])
    [(place, problem)] = samples.sample_empty(samples_of(start, stop + 5), start, stop)
    assert (place, problem[:9]) == ("sample '1'", "2 samples")


def test_sample_split__is_the_recordings_unless_that_is_mixed():
    cut = cut_of(["train", "val", "train"])
    assert not list(samples.sample_split(cut))
    assert not list(samples.sample_split(cut, "mixed"))
    [(place, problem)] = samples.sample_split(cut, "train")
    assert (place, problem.split(";")[0]) == (
        "sample '1'",
        "1 sample in a split other than train, the first 'val'",
    )
    [(place, problem)] = samples.sample_split(cut_of(["train", "x" * 999]), "mixed")
    assert place == "sample '1'"
    assert len(problem) < 200


def test_check__finds_samples_of_another_store(made, tmp_path):
    for folder in ("events", "samples", "features"):
        shutil.copytree(made / "results" / folder, tmp_path / folder)
    with edited(tmp_path / "events" / "one.h5") as file:
        file["events/t"][500:] += 3_000
        file.attrs["t_stop_us"] += 3_000
    wrong = {(f.check, f.path) for f in check(tmp_path).findings}
    assert wrong >= {("made_from", "samples/one.h5"), ("sample_rows", "samples/one.h5")}
    with edited(tmp_path / "samples" / "one.h5") as file:
        file["samples/stop"][0] -= 100
    assert ("feature_sample", "features/h/one.h5") in {
        (f.check, f.path) for f in check(tmp_path).findings
    }
    assert [f.check for f in check(tmp_path / "samples" / "one.h5").findings] == []
