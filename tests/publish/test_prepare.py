"""A file that is made ready for a release, and what is known of it then."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.errors import ReleaseError
from evreel.files.repack import repack
from evreel.files.seal import seal_again
from evreel.provenance import sha256
from evreel.publish import prepare as preparing
from evreel.publish.prepare import Store, prepare
from evreel.publish.record import Record
from evreel.publish.standing import forget_changed
from evreel.release.digests import digests_of, pieces
from support.scenes import annotated

PORTABLE = {"compression": "portable", "gzip_level": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recording's store and slices, as the workflow makes them."""
    folder = tmp_path_factory.mktemp("made")
    annotated(folder, folder / "slices.h5", folder / "slices_bbox.npy")
    return folder


@pytest.fixture
def store(made, tmp_path):
    """The store, made ready."""
    published = tmp_path / "events.h5"
    return Store(made / "park.h5", published, prepare(made / "park.h5", published, **PORTABLE))


def unread(monkeypatch):
    """Return the checks of events that run from here on, by the names of their files."""
    ran = []
    check = preparing.look.__globals__["check_slices"].__globals__["check_events"]

    def noted(path, pieces, checks):
        ran.extend(type(each).__name__ for each in checks)
        return check(path, pieces, checks)

    monkeypatch.setitem(
        preparing.look.__globals__["check_slices"].__globals__, "check_events", noted
    )
    return ran


@pytest.mark.parametrize("threads", [1, 2])
def test_slices__beside_their_events_are_those_that_are_made_alone(
    made, store, tmp_path, threads, monkeypatch
):
    alone = prepare(made / "slices.h5", tmp_path / "alone.h5", **PORTABLE)
    ran = unread(monkeypatch)
    beside = prepare(
        made / "slices.h5", tmp_path / "beside.h5", **PORTABLE, store=store, threads=threads
    )
    assert set(ran) <= {"LabelSpan"}, "events that were checked are not checked again"
    repack(made / "slices.h5", tmp_path / "packed.h5")
    for name in ("alone.h5", "beside.h5"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "packed.h5").read_bytes()
    assert beside.looked.alone == alone.looked.alone
    (found,) = beside.looked.against.values()
    assert found == ()
    assert replace(beside, looked=alone.looked) == alone


def test_slices__of_other_events_are_compressed_and_checked_on_their_own(
    made, store, tmp_path, monkeypatch
):
    slices = shutil.copy(made / "slices.h5", tmp_path / "slices.h5")
    with h5py.File(slices, "r+") as file:
        file["events/x"][5] ^= 1
    seal_again(Path(slices))
    ran = unread(monkeypatch)
    record = prepare(Path(slices), tmp_path / "beside.h5", **PORTABLE, store=store)
    assert "Bounds" in ran
    (found,) = record.looked.against.values()
    assert [finding.check for finding in found] == ["other_events"]
    with h5py.File(slices) as old, h5py.File(tmp_path / "beside.h5") as new:
        for name in ("t", "x", "y", "p", "roi"):
            np.testing.assert_array_equal(old[f"events/{name}"], new[f"events/{name}"])


def test_slices__beside_a_store_that_changed_since_take_nothing_from_it(made, store, tmp_path):
    other = shutil.copy(made / "park.h5", tmp_path / "other.h5")
    with h5py.File(other, "r+") as file:
        file["events/p"][0] ^= 1
    seal_again(Path(other))
    stale = replace(store, source=Path(other))
    record = prepare(made / "slices.h5", tmp_path / "beside.h5", **PORTABLE, store=stale)
    assert record.looked.against == {}
    repack(made / "slices.h5", tmp_path / "packed.h5")
    assert (tmp_path / "beside.h5").read_bytes() == (tmp_path / "packed.h5").read_bytes()


def test_record__has_size_and_sums_and_counts_of_the_file(made, store):
    size, digests = digests_of(pieces(store.published))
    record = Record.beside(store.published)
    assert record is None, "the step writes it"
    assert (store.record.size, store.record.md5) == (size, digests["md5"])
    assert store.record.sha256 == digests["sha256"]
    assert store.record.source == sha256(made / "park.h5")
    with h5py.File(made / "park.h5") as file:
        p = file["events/p"][:]
    counted = store.record.facts["events"]
    assert (counted["events"], counted["on"]) == (len(p), int(p.sum()))
    assert sum(counted["rate"]) == len(p)


def test_fast_file__is_the_same_file(made, tmp_path):
    record = prepare(made / "park.h5", tmp_path / "a.h5", compression="fast", gzip_level=4)
    assert (tmp_path / "a.h5").samefile(made / "park.h5")
    assert record.source == f"sha256:{record.sha256}"


@pytest.fixture
def published(made, tmp_path):
    """A file that the step has made ready."""
    file = tmp_path / "published.h5"
    steps.publish(made / "park.h5", file, tmp_path / "published.json", steps.PublishSettings())
    return file


def test_record__of_a_file_that_was_changed_is_an_error_that_says_what_to_do(published):
    record = Record.beside(published)
    with published.open("r+b") as file:
        file.write(b"\0")
    with pytest.raises(ReleaseError, match=r"published\.h5: was changed after .* Remove it, and"):
        Record.beside(published)
    published.write_bytes(published.read_bytes()[:-1])
    os.utime(published, (1, 1))
    with pytest.raises(ReleaseError, match="was changed after"):
        Record.beside(published)
    assert record is not None


def test_record__that_is_none_of_ours_is_none(published):
    place = published.with_suffix(".json")
    for content in (b"", b"{}", b"[1]", b"\xff", b'{"layout": "mine"}'):
        place.write_bytes(content)
        assert Record.beside(published) is None


def test_record__that_is_damaged_is_an_error_that_says_how_to_go_on(published):
    place = published.with_suffix(".json")
    whole = place.read_bytes()
    value = json.loads(whole)
    changed = ({**value, "size": 1, "x": 1}, value | {"layout_version": 0})
    for content in (whole[:200], *(json.dumps(one).encode() for one in changed)):
        place.write_bytes(content)
        with pytest.raises(ReleaseError, match=r"json: cannot be read as the record of .* Remove"):
            Record.beside(published)


def changed(path):
    """Change a file some time after its record; a clock may stand for some milliseconds."""
    with path.open("r+b") as file:
        file.write(b"\0")
    later = path.with_suffix(".json").stat().st_mtime_ns + 10**8
    os.utime(path, ns=(later, later))


def test_changed_file__is_forgotten_and_a_copy_is_not(published, tmp_path):
    place = published.with_suffix(".json")
    made_from = (str(published), str(tmp_path / "made_from.h5"))
    assert list(forget_changed([made_from, (str(tmp_path / "none.h5"), "none.h5")])) == []
    os.utime(published)  # as `cp -r` does
    assert list(forget_changed([made_from])) == []
    assert place.stat().st_mtime_ns >= published.stat().st_mtime_ns, "it is not read at each start"
    changed(published)
    (said,) = forget_changed([made_from])
    assert said == f"{published}: was changed after it was made; it will be made again"
    assert not place.exists()


def test_changed_file__that_is_the_one_it_was_made_from_is_forgotten_as_both(published, tmp_path):
    made_from = tmp_path / "made_from.h5"
    os.link(published, made_from)  # as a fast release does
    changed(published)
    (said,) = forget_changed([(str(published), str(made_from))])
    assert said.endswith(f"; it and {made_from}, which is the same file, will be made again")
    assert not made_from.exists()


def test_copied_file__where_nothing_may_be_written_is_not_said_to_be_gone(published, monkeypatch):
    def refuse(*_):
        raise PermissionError

    os.utime(published)
    monkeypatch.setattr(os, "utime", refuse)
    assert list(forget_changed([(str(published), "none.h5")])) == []
    assert published.with_suffix(".json").exists()
