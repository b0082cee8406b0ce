"""Many recordings: each is found, named, made and reported on its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from evreel.errors import EvreelError, UsageError
from evreel.layout import BOXES_SUFFIX
from evreel.steps.many import (
    boxes_by_name,
    by_name,
    each_on_its_own,
    files_of,
    without_marks,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("b.raw", "a.raw", "a_bbox.npy", "c[1].raw", "day/d.dat", "day/deep/e.dat")
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    return tmp_path


def test_wildcards__name_each_recording_once_in_order(folder):
    assert files_of(["*"], but=BOXES_SUFFIX) == [Path("a.raw"), Path("b.raw"), Path("c[1].raw")]
    assert files_of(["b.raw", "*.raw", folder / "a.raw"]) == [
        *(Path("b.raw"), Path("a.raw"), Path("c[1].raw"))
    ]
    assert files_of(["*_bbox.npy"]) == [Path("a_bbox.npy")]
    assert files_of(["**/*.dat"]) == [Path("day/d.dat"), Path("day/deep/e.dat")]
    assert files_of([str(folder / "day" / "?.dat")]) == [folder / "day/d.dat"]


def test_name_with_brackets__is_the_file_of_that_name(folder):
    assert files_of(["c[1].raw"]) == [Path("c[1].raw")]
    assert files_of(["a_bbox.npy", "none.raw"]) == [Path("a_bbox.npy"), Path("none.raw")]


def test_folder_with_brackets__is_the_folder_of_that_name(tmp_path):
    for folder in ("day[1]", "day[1]/a*", "day1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.dat").touch()
    here = tmp_path / "day[1]"
    assert files_of([f"{here}/*.dat"]) == [here / "x.dat"]
    assert files_of([f"{here}/**/*.dat"]) == [here / "a*" / "x.dat", here / "x.dat"]
    assert files_of([f"{here}/a*/?.dat"]) == [here / "a*" / "x.dat"]
    assert files_of([f"{tmp_path}/day[0-9]/x.dat"]) == [tmp_path / "day1" / "x.dat"]


def test_wildcard__that_nothing_fits_is_an_error(folder):
    with pytest.raises(UsageError, match=r"\*\.aedat4: no file fits it"):
        files_of(["a.raw", "*.aedat4"])


def test_names__that_two_recordings_share_are_an_error():
    both = [Path("x/a_td.dat"), Path("y/a_cd.raw"), Path("a.1.raw")]
    assert list(by_name(both)) == ["a_td", "a_cd", "a.1"]
    with pytest.raises(UsageError, match=r"both become a\.h5: x/a_td\.dat and y/a_cd\.raw"):
        by_name(both, without_marks)
    with pytest.raises(UsageError, match=r"both become a\.h5: a\.raw and x/a\.aedat4"):
        by_name([Path("a.raw"), Path("b.raw"), Path("x/a.aedat4")])


def test_boxes__belong_to_the_recording_of_their_name():
    names = by_name([Path("a_td.dat"), Path("b.raw"), Path("c.raw")])
    boxes = [Path("l/b_bbox.npy"), Path("l/a_bbox.npy")]
    assert boxes_by_name(boxes, names) == {"a_td": boxes[1], "b": boxes[0]}
    assert boxes_by_name([], names) == {}
    assert boxes_by_name([Path("any.npy")], by_name([Path("b.raw")])) == {"b": Path("any.npy")}
    for wrong, message in (
        ([Path("d_bbox.npy")], "d_bbox.npy: belongs to no recording"),
        ([Path("b_bbox.npy"), Path("x/b_bbox.npy")], "b has other boxes too: b_bbox.npy"),
    ):
        with pytest.raises(UsageError, match=message):
            boxes_by_name(wrong, names)
    with pytest.raises(UsageError, match="could belong to a_td and a_cd"):
        boxes_by_name([Path("a_bbox.npy")], by_name([Path("a_td.dat"), Path("a_cd.raw")]))


@pytest.mark.parametrize("workers", [1, 3])
def test_recording_that_fails__fails_alone(workers, tmp_path):
    names = {name: tmp_path / name for name in "abcde"}
    errors = {"b": EvreelError("is damaged"), "d": MemoryError("4 GB"), "e": OSError(5, "I/O", "e")}

    def make(name, path, progress):
        progress(1, 2)
        if name in errors:
            raise errors[name]
        return name == "a"

    outcomes = {out.name: out for out in each_on_its_own(names, make, workers=workers)}
    assert {name: out.state for name, out in outcomes.items()} == {
        **{"a": "made", "b": "failed", "c": "kept", "d": "failed", "e": "failed"}
    }
    assert outcomes["b"].error is errors["b"]
    assert "out of memory: 4 GB" in str(outcomes["d"].error)
    assert str(outcomes["e"].error) == "e: I/O"


def test_progress__counts_bytes_of_all_recordings_up_to_their_sum(tmp_path):
    names = {name: tmp_path / name for name in "ab"}
    for k, path in enumerate(names.values()):
        path.write_bytes(bytes(100 * (k + 1)))
    seen = []

    def make(name, path, progress):
        for done in range(4):
            progress(done, 4)
        return True

    list(each_on_its_own(names, make, progress=lambda *at: seen.append(at)))
    assert seen[-1] == (300, 300)
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {300}


def test_fault_of_ours__ends_the_others_soon(tmp_path):
    started, ended = threading.Event(), []

    def make(name, path, progress):
        if name == "a":
            started.wait(10)
            raise ZeroDivisionError
        try:
            while True:
                started.set()
                progress(0, 1)
                time.sleep(0.001)
        finally:
            ended.append(name)

    with pytest.raises(ZeroDivisionError):
        list(each_on_its_own({n: tmp_path / n for n in "abc"}, make, workers=2))
    assert ended == ["b"]
