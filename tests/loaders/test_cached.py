"""A cache of arrays: never stale, never half, shared by processes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from evreel import outputs
from evreel.dataset import memory
from evreel.errors import EvreelError, ParameterError
from evreel.files.events_store import EventsStore
from evreel.loaders import frames
from evreel.loaders.cached import ArrayCache
from evreel.loaders.frames import FramesDataset
from evreel.release.open import open_release
from evreel.representations import Histogram, from_function
from support import random_events
from support.releases import labelled_release
from support.samples import events_of, sample_files


def never() -> np.ndarray:
    raise AssertionError("it is kept")


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0, 255]], np.float32),
        np.array([0, 256], np.float32),
        np.array([-1, 127], np.float32),
        np.array([-129, 3], np.int64),
        np.array([0.5, np.nan, np.inf, -0.0], np.float32),
        np.array([70_000], np.uint32),
        np.array([True, False]),
        np.zeros((0, 2, 3), np.float32),
        np.zeros((3, 0), np.uint16),
    ],
)
def test_kept__is_what_was_made_to_the_bit(tmp_path, array):
    cache = ArrayCache(tmp_path)
    assert cache.get(["a"], lambda: array) is array
    again = ArrayCache(tmp_path).get(["a"], never)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes() and again.flags.writeable


def test_damaged__file_is_made_again(tmp_path):
    array = np.arange(2000, dtype=np.float32).reshape(2, -1)
    cache = ArrayCache(tmp_path)
    cache.get(["a"], lambda: array)
    [path] = tmp_path.rglob("*.array")
    whole = path.read_bytes()
    ends = [b"", whole[:5], whole[:60], whole[:-1], whole[:-100], whole + b"x"]
    flipped = [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in range(0, 280, 31)]
    for n, content in enumerate([*ends, *flipped], start=1):
        path.write_bytes(content)
        np.testing.assert_array_equal(cache.get(["a"], lambda: array), array)
        assert cache.damaged == n and path.read_bytes() == whole


def test_moved__file_does_not_stand_for_another(tmp_path):
    cache = ArrayCache(tmp_path)
    cache.get(["a"], lambda: np.zeros(3))
    [first] = tmp_path.rglob("*.array")
    cache.get(["b"], lambda: np.ones(3))
    [second] = set(tmp_path.rglob("*.array")) - {first}
    shutil.copy(first, second)
    assert cache.get(["b"], lambda: np.ones(3)).tolist() == [1, 1, 1]


def test_killed__writer_leaves_nothing_that_counts(tmp_path, monkeypatch):
    child = os.fork()
    if not child:
        monkeypatch.setattr(outputs, "_replace", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        ArrayCache(tmp_path).get(["a"], lambda: np.zeros(3))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert any(path.is_file() for path in tmp_path.rglob("*"))
    assert ArrayCache(tmp_path).get(["a"], lambda: np.ones(3)).tolist() == [1, 1, 1]
    assert ArrayCache(tmp_path).get(["a"], never).tolist() == [1, 1, 1]


def test_folder__that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvreelError, match="file"):
        ArrayCache(tmp_path / "file" / "cache").get(["a"], lambda: np.zeros(3))


def test_disk__that_is_full_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EvreelError, match=r"\.array: cannot be written: No space left.*Make room"):
        ArrayCache(tmp_path).get(["a"], lambda: np.zeros(3))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_shape__that_is_a_lie_takes_no_memory(tmp_path):
    cache = ArrayCache(tmp_path)
    cache.get(["a"], lambda: np.zeros(3))
    [path] = tmp_path.rglob("*.array")
    before, head, packed = path.read_bytes().split(b"\n", 2)
    head = head[9:].replace(b"[3]", b"[%d]" % 10**15)
    path.write_bytes(b"\n".join([before, b"%08x " % zlib.crc32(head) + head, packed]))
    assert cache.get(["a"], lambda: np.ones(3)).tolist() == [1, 1, 1]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    parts = [random_events(300, (10, 14), 5_000, seed=k) for k in range(6)]
    return sample_files(tmp_path_factory.mktemp("plain"), parts)


def made(monkeypatch) -> list[str]:
    """Return a list that gets the place of each sample whose frames are made from now on."""
    calls: list[str] = []
    for kind in (frames._ByWindows, frames._ByFunction):
        make = kind.frames
        monkeypatch.setattr(
            kind,
            "frames",
            lambda self, events, place, make=make: calls.append(place) or make(self, events, place),
        )
    return calls


def test_frames__are_made_once_and_are_the_same(files, tmp_path, monkeypatch):
    asked = {"frames_number": 4, "cache": tmp_path / "c"}
    expected = [item for item, _ in FramesDataset([files], frames_number=4)]
    calls = made(monkeypatch)
    for _ in range(2):
        for (item, _), other in zip(FramesDataset([files], **asked), expected, strict=True):
            np.testing.assert_array_equal(item, other)
            assert item.dtype == np.float32
            item[...] = -1  # the caller's own
    assert len(calls) == 6


@pytest.mark.parametrize(
    "other",
    [
        {"frames_number": 5},
        {"frames_number": 4, "split_by": "time"},
        {"duration": 4},
        {"frames_number": 4, "representation": "histogram"},
        {"custom_integrate_function": lambda e, h, w: np.ones((4, 2, h, w))},
    ],
)
def test_frames__of_other_parameters_are_made(files, tmp_path, monkeypatch, other):
    FramesDataset([files], frames_number=4, cache=tmp_path)[0]
    expected = FramesDataset([files], **other)[0][0]
    calls = made(monkeypatch)
    np.testing.assert_array_equal(FramesDataset([files], **other, cache=tmp_path)[0][0], expected)
    assert len(calls) == 1


def test_frames__of_an_edited_function_are_made(files, tmp_path):
    def integrate(events, height, width):
        return np.full((1, 2, height, width), GAIN["now"])

    GAIN = {"now": 1}  # noqa: N806
    dataset = FramesDataset([files], custom_integrate_function=integrate, cache=tmp_path)
    assert dataset[0][0].max() == 1
    GAIN["now"] = 2
    assert dataset[0][0].max() == 2
    first = integrate

    def integrate(events, height, width):  # the same name
        return np.full((1, 2, height, width), 7)

    assert first.__qualname__ == integrate.__qualname__
    again = FramesDataset([files], custom_integrate_function=integrate, cache=tmp_path)
    assert again[0][0].max() == 7


def test_frames__of_an_edited_representation_are_made(files, tmp_path):
    def made_of(gain):
        def mine(events, H, W):  # noqa: N803
            return np.full((1, H, W), gain, np.float32)

        return from_function(mine)()

    for gain in (1, 2, 1):
        dataset = FramesDataset(
            [files], frames_number=1, representation=made_of(gain), cache=tmp_path
        )
        assert dataset[0][0].max() == gain
    u8 = FramesDataset([files], frames_number=1, representation=Histogram("uint8"), cache=tmp_path)
    assert u8[0][0].dtype == np.uint8


def test_function__without_a_digest_is_an_error_at_once(files, tmp_path):
    random = np.random.default_rng(1)
    function = {"custom_integrate_function": lambda e, h, w: random.normal(size=(1, 2, h, w))}
    assert FramesDataset([files], **function)[0][0].shape == (1, 2, 10, 14)
    with pytest.raises(ParameterError, match=r"random: is a Generator.*or leave out cache"):
        FramesDataset([files], **function, cache=tmp_path)


def test_frames__of_an_exchanged_store_are_made(tmp_path):
    cache = tmp_path / "cache"
    first = sample_files(tmp_path, [events_of([0, 5, 9], seed=1)])
    dataset = FramesDataset([first], frames_number=1, cache=cache)
    before = dataset[0][0]
    second = sample_files(tmp_path / "new", [events_of([0, 5, 9], seed=2)])
    second[0].replace(first[0])
    after = dataset[0][0]
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(FramesDataset([first], frames_number=1)[0][0], after)


def test_frames__of_a_store_that_was_edited_in_place_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(EventsStore, "decoding", "sha256:0")  # what it was decoded from stays
    first, edited = (
        sample_files(tmp_path / name, [events_of([0, 5, 9], seed=seed)])
        for name, seed in (("first", 1), ("edited", 2))
    )
    asked = {"frames_number": 1, "cache": tmp_path / "cache"}
    before = FramesDataset([first], **asked)[0][0]
    first[0].write_bytes(edited[0].read_bytes())
    after = FramesDataset([first], **asked)[0][0]
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(FramesDataset([edited], frames_number=1)[0][0], after)


def test_plain_file__is_read_once_for_its_digest(files, tmp_path, monkeypatch):
    later = time.time_ns() + 10**10
    monkeypatch.setattr(memory.time, "time_ns", lambda: later)
    read = []
    digests = memory._digests
    monkeypatch.setattr(memory, "_digests", lambda path: read.append(path) or digests(path))
    dataset = FramesDataset([files], frames_number=2, cache=tmp_path)
    assert dataset[0] and dataset[1] and dataset.digest
    assert len(read) == 1


def test_frames__of_a_release_are_found_by_what_its_manifest_says(tmp_path, monkeypatch):
    release = labelled_release(tmp_path, "fast")
    asked = {"duration": 9_000, "cache": tmp_path / "cache"}
    expected = [item for item, _ in FramesDataset(release, **asked)]
    calls = made(monkeypatch)
    copy = shutil.copytree(release, tmp_path / "copy")
    with open_release(copy) as opened:
        for (item, _), other in zip(FramesDataset(opened, **asked), expected, strict=True):
            np.testing.assert_array_equal(item, other)
    assert calls == []
    manifest = json.loads((copy / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["kind"] == "events":
            file["sha256"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    FramesDataset(copy, **asked)[0]
    assert len(calls) == 1


def test_cache__is_shared_by_processes_that_write_at_once(files, tmp_path):
    expected = [item for item, _ in FramesDataset([files], frames_number=4)]
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            code = 1
            try:
                for _ in range(3):
                    dataset = FramesDataset([files], frames_number=4, cache=tmp_path)
                    same = [
                        np.array_equal(dataset[k][0], other) for k, other in enumerate(expected)
                    ]
                    assert all(same)
                    assert dataset.counts["damaged_in_cache"] == 0
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children] == [0, 0]
    assert len(list(tmp_path.rglob("*.array"))) == len(expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".array"]
