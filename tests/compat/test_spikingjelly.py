"""SpikingJelly's data sets by their names: made of stand-ins, kept by content, or refused."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import pickle
import re
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.compat import spikingjelly
from evreel.compat.spikingjelly import (
    ASLDVS,
    CIFAR10DVS,
    NMNIST,
    DVS128Gesture,
    NCaltech101,
)
from evreel.dataset.catalogue import published
from evreel.dataset.memory import Memory
from evreel.errors import EvreelError, SourceError, UsageError
from support import ROOT, shared_file, webserver
from support.miniatures import MINIATURES, turned
from support.spikingjelly import CONFIGS, archives_of, of_archives, put, small

EVERY = pytest.mark.parametrize("of", CONFIGS, ids=lambda of: of.__name__)
TEN = [
    *("root", "train", "data_type", "frames_number", "split_by", "duration"),
    *("custom_integrate_function", "custom_integrated_frames_dir_name"),
    *("transform", "target_transform"),
]


def written(of: type, made, train: bool | None = None) -> dict[str, tuple[str, np.ndarray]]:
    """Return place of a sample → its label and its rows t, x, y, p as SpikingJelly has them."""
    name = CONFIGS[of]
    found = {}
    for (recording, sample), was in made.samples.items():
        if train is None or was.split == ("train" if train else "test"):
            rows = np.array(turned(name, was.rows), np.int64)
            if of is ASLDVS:  # columns are mirrored, too
                rows[:, 1] = 239 - rows[:, 1]
            found[f"{recording}/{sample}"] = was.label, rows
    return found


def counted(rows: np.ndarray, bounds, size: tuple[int, int]) -> np.ndarray:
    """Return the counts of rows [a, b) of each frame, OFF, then ON."""
    frames = np.zeros((len(bounds), 2, *size), np.float32)
    for frame, (a, b) in zip(frames, bounds, strict=True):
        _, x, y, p = rows[a:b].T
        np.add.at(frame, (p, y, x), 1)
    return frames


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what is in a folder → inode and time of the last change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "known.json"
    }


@pytest.fixture
def no_steps(monkeypatch):
    """Fail where a step makes something."""
    for name in ("acquire", "events", "cut", "splits", "samples"):

        def fails(*_, name=name, **__):
            raise AssertionError(f"{name} ran")

        monkeypatch.setattr(steps, name, fails)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """Return a function of a class → the class that reads its stand-in, root, what was written."""
    known = {}

    def of(kind: type):
        if kind not in known:
            root = tmp_path_factory.mktemp(kind.__name__)
            mini, made = small(kind, root)
            known[kind] = mini, root, made
        return known[kind]

    return of


# -- what there is


@EVERY
def test_data_set__has_every_sample_as_it_was_written(laid_out, of):
    mini, root, made = laid_out(of)
    whole = mini(root, train=None) if of in (DVS128Gesture, NMNIST) else mini(root)
    expected = written(of, made)
    assert sorted(place for place, _ in whole.samples) == sorted(expected)
    assert len(whole) == len(whole.samples) == len(whole.targets)
    for k, (place, number) in enumerate(whole.samples):
        events, label = whole[k]
        name, rows = expected[place]
        assert list(events) == ["t", "x", "y", "p"]
        assert {column.dtype for column in events.values()} == {np.dtype(np.int64)}
        np.testing.assert_array_equal(np.stack(list(events.values()), axis=1), rows)
        assert type(label) is int
        assert label == number == whole.targets[k] == whole.class_to_idx[name]
        assert whole.classes[label] == name


@pytest.mark.parametrize("of", [DVS128Gesture, NMNIST], ids=lambda of: of.__name__)
@pytest.mark.parametrize("train", [True, False])
def test_train__takes_the_publishers_split(laid_out, of, train):
    mini, root, made = laid_out(of)
    found = {place for place, _ in mini(root, train=train).samples}
    assert found == set(written(of, made, train))
    assert found
    if train:
        assert found == {place for place, _ in mini(root).samples}


def test_train__that_no_sample_is_in_is_an_error(tmp_path):
    archives = archives_of(NMNIST, MINIATURES["n_mnist"]())
    del archives["Test.zip"]
    put(archives, tmp_path)
    mini = of_archives(NMNIST, archives)
    assert len(mini(tmp_path)) == 4
    with pytest.raises(UsageError, match="no sample of split 'test'"):
        mini(tmp_path, train=False)


def test_samples__are_in_spikingjellys_order(laid_out):
    mini, root, _ = laid_out(DVS128Gesture)
    one = mini(root, train=True)
    assert one.targets == [0, 1, 7, 7, 8, 9, 10]
    assert [place for place, _ in one.samples if place.startswith("user22")] == [
        "user22_led/0",
        "user22_led/1",
    ]
    mini, root, _ = laid_out(CIFAR10DVS)
    names = [place.rpartition("/")[2] for place, _ in mini(root).samples]
    assert names == sorted(names[:10]) + sorted(names[10:])
    assert names[1] == "cifar10_airplane_1"


@EVERY
def test_signature__is_spikingjellys(of):
    expected = TEN if of in (DVS128Gesture, NMNIST) else [name for name in TEN if name != "train"]
    parameters = inspect.signature(of).parameters
    assert list(parameters) == expected
    assert parameters["data_type"].default == "event"
    if "train" in expected:
        assert parameters["train"].default is True


@EVERY
def test_resources__are_the_published_files_and_sums(of):
    with shared_file("resources/spikingjelly.tsv").open(encoding="utf-8", newline="") as file:
        rows = [
            row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == of.__name__
        ]
    found = {name: md5 for name, _, md5 in of.resource_url_md5()}
    assert list(found) == [row["file"] for row in rows]
    assert all(row["md5"] in ("None", found[row["file"]]) for row in rows)
    assert all(url.startswith("https://") for _, url, _ in of.resource_url_md5())


@EVERY
def test_published_sums__mean_all_recordings_and_the_published_counts(tmp_path, of):
    recipe = of._recipe(tmp_path, Memory())
    known = published(CONFIGS[of])
    assert recipe.rows == known.recordings
    assert recipe.config.samples.counts == known.config.samples.counts
    assert {row.get("md5") for row in recipe.rows.values()} == {
        download.md5 for download in recipe.downloads.values()
    }
    assert list(tmp_path.iterdir()) == []


def test_downloadable__tells_whose_archives_have_an_address():
    assert {of.__name__ for of in CONFIGS if of.downloadable()} == {
        "CIFAR10DVS",
        "NCaltech101",
        "NMNIST",
    }
    assert {of.__name__: of.get_H_W() for of in CONFIGS} == {
        "DVS128Gesture": (128, 128),
        "CIFAR10DVS": (128, 128),
        "NMNIST": (34, 34),
        "NCaltech101": (180, 240),
        "ASLDVS": (180, 240),
    }


def test_modules__have_spikingjellys_names():
    assert spikingjelly.dvs128_gesture.DVS128Gesture is DVS128Gesture
    assert spikingjelly.cifar10_dvs.CIFAR10DVS is CIFAR10DVS
    assert spikingjelly.n_mnist.NMNIST is NMNIST
    assert spikingjelly.n_caltech101.NCaltech101 is NCaltech101
    assert spikingjelly.asl_dvs.ASLDVS is ASLDVS
    for name in (
        *("pad_sequence_collate", "padded_sequence_mask", "split_to_train_test_set"),
        *("play_frame", "integrate_events_segment_to_frame"),
    ):
        assert getattr(spikingjelly.utils, name) is getattr(spikingjelly, name)


# -- items


@pytest.fixture
def gestures(laid_out):
    """Class, root and rows of the training samples of a stand-in of DVS128 Gesture."""
    mini, root, made = laid_out(DVS128Gesture)
    return mini, root, written(DVS128Gesture, made, True)


@pytest.mark.parametrize("number", [1, 4, 7])
def test_frames_by_number__are_equal_shares_of_events(gestures, number):
    mini, root, expected = gestures
    one = mini(root, data_type="frame", frames_number=number, split_by="number")
    for k, (place, label) in enumerate(one.samples):
        frames, found = one[k]
        rows = expected[place][1]
        share = len(rows) // number
        bounds = [(i * share, (i + 1) * share) for i in range(number - 1)]
        bounds.append(((number - 1) * share, len(rows)))
        assert frames.dtype == np.float32
        assert found == label
        np.testing.assert_array_equal(frames, counted(rows, bounds, (128, 128)))


def test_frames_by_time__are_equal_shares_of_time(gestures):
    mini, root, expected = gestures
    one = mini(root, data_type="frame", frames_number=3, split_by="time")
    for k, (place, _) in enumerate(one.samples):
        rows = expected[place][1]
        t = rows[:, 0]
        share = (t[-1] - t[0]) // 3
        first, second = np.searchsorted(t, [t[0] + share, t[0] + 2 * share])
        bounds = [(0, first), (first, second), (second, len(rows))]
        np.testing.assert_array_equal(one[k][0], counted(rows, bounds, (128, 128)))


def test_frames_of_a_duration__keep_the_last_and_fold_the_event_at_the_end(gestures):
    mini, root, expected = gestures
    one = mini(root, data_type="frame", duration=2_000)
    for k, (place, _) in enumerate(one.samples):
        rows = expected[place][1]
        t = rows[:, 0] - rows[0, 0]
        n = -(-t[-1] // 2_000)
        at = np.minimum(t // 2_000, n - 1)
        bounds = [(int((at < i).sum()), int((at <= i).sum())) for i in range(n)]
        np.testing.assert_array_equal(one[k][0], counted(rows, bounds, (128, 128)))


def test_custom_function__gets_what_items_of_events_are(gestures):
    mini, root, expected = gestures

    def first_and_last(events, H, W):  # noqa: N803
        t, size = events["t"], np.array([H, W])
        assert {column.dtype for column in events.values()} == {np.dtype(np.int64)}
        return np.array([[t[0], t[-1]] - np.int64(80_000_000), size])

    one = mini(root, data_type="frame", custom_integrate_function=first_and_last)
    for k, (place, _) in enumerate(one.samples):
        t = expected[place][1][:, 0]
        ends = t[[0, -1]] - 80_000_000
        np.testing.assert_array_equal(one[k][0], [ends, [128, 128]])


def test_custom_function__that_was_edited_is_computed_anew(gestures):
    mini, root, _ = gestures

    def of(value):
        def same_name(events, H, W):  # noqa: N803
            return np.full((1, 2, H, W), value)

        return same_name

    for value in (1, 2):
        one = mini(
            root,
            data_type="frame",
            custom_integrate_function=of(value),
            custom_integrated_frames_dir_name="mine",
        )
        assert one[0][0].max() == value


def test_transforms__are_applied_to_items_and_not_to_targets(gestures):
    mini, root, _ = gestures
    one = mini(
        root,
        data_type="frame",
        frames_number=2,
        split_by="number",
        transform=lambda frames: frames.sum(),
        target_transform=lambda number: -number,
    )
    total, label = one[3]
    assert total == len(mini(root)[3][0]["t"])
    assert (label, one.targets[3]) == (-7, 7)


def test_data_set__is_pickled_without_open_files_and_ends_like_a_sequence(gestures):
    mini, root, _ = gestures
    one = mini(root, data_type="frame", frames_number=2, split_by="number")
    one[0]
    of_class = pickle.loads(pickle.dumps(one._items))
    np.testing.assert_array_equal(of_class[0][0], one._items[0][0])
    np.testing.assert_array_equal(one[-1][0], one[len(one) - 1][0])
    with pytest.raises(IndexError):
        one[len(one)]
    assert len(list(one)) == len(one)


def test_frames__are_kept_by_content(gestures, monkeypatch):
    mini, root, _ = gestures

    def counts(events, H, W):  # noqa: N803
        if os.environ.get("NEVER"):
            raise AssertionError("computed again")
        return np.ones((1, 2, H, W))

    one = mini(root, data_type="frame", custom_integrate_function=counts)
    first = one[0][0]
    monkeypatch.setenv("NEVER", "yes")
    again = mini(root, data_type="frame", custom_integrate_function=counts)
    np.testing.assert_array_equal(again[0][0], first)


def test_split__is_by_class_and_loads_no_sample(laid_out, monkeypatch):
    mini, root, _ = laid_out(CIFAR10DVS)
    whole = mini(root)
    monkeypatch.setattr(mini, "__getitem__", None)
    train, test = spikingjelly.split_to_train_test_set(0.85, whole, 10)
    assert [whole.samples[k] for k in test.indices] == [whole.samples[9], whole.samples[19]]
    assert len(train) == 18


def test_arguments__that_contradict_are_errors(gestures):
    mini, root, _ = gestures
    for wrong in (
        {"data_type": "frames"},
        {"data_type": "frame"},
        {"data_type": "frame", "frames_number": 2, "duration": 1_000},
        {"data_type": "frame", "frames_number": 2, "split_by": "count"},
        {"data_type": "frame", "duration": 0},
        {"train": "test"},
    ):
        with pytest.raises(UsageError):
            mini(root, **wrong)
    with pytest.raises(UsageError, match="0 are given"):  # and not first what to get by hand
        DVS128Gesture(root / "none", data_type="frame")


def test_arguments__that_say_nothing_here_are_not_used(gestures):
    mini, root, _ = gestures
    with_more = mini(root, data_type="event", frames_number=4, split_by="time", duration=3)
    assert with_more[0][0].keys() == {"t", "x", "y", "p"}
    frames, _ = mini(root, data_type="frame", duration=50_000, split_by="number")[0]
    assert frames.shape == (1, 2, 128, 128)


# -- the publisher's files


def test_missing_archive__is_told_with_place_page_and_sum(tmp_path):
    with pytest.raises(SourceError) as caught:
        DVS128Gesture(tmp_path)
    told = str(caught.value)
    assert str(tmp_path / "download") in told
    assert "DvsGesture.tar.gz" in told
    assert "8a5c71fb11e24e5ca5b11866ca6c00a1" in told
    assert "https://ibm.ent.box.com/" in told


def test_wrong_md5__is_an_error_that_names_file_and_sums(tmp_path):
    put({"ICCV2019_DVS_dataset.zip": b"PK\3\4 another file"}, tmp_path)
    with pytest.raises(
        SourceError, match=r"ICCV2019_DVS_dataset\.zip.*33f8b87bf45edc0bfed0de41822279b9"
    ):
        ASLDVS(tmp_path)
    assert not list(tmp_path.rglob("*.h5"))


def test_file_beside_the_archive__is_verified_if_it_is_there(laid_out):
    mini, root, _ = laid_out(NMNIST)

    class WithReadme(mini):
        @classmethod
        def resource_url_md5(cls):
            return [*mini.resource_url_md5(), ("README.txt", "https://a.org", "0" * 32)]

    assert len(WithReadme(root)) == 4
    put({"README.txt": b"something"}, root)
    with pytest.raises(SourceError, match=r"README\.txt"):
        WithReadme(root)


def test_missing_archive__is_downloaded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = MINIATURES["n_mnist"]()
    archives = archives_of(NMNIST, made)
    put({"Test.zip": archives["Test.zip"]}, tmp_path)
    with webserver.running() as server:
        server.contents |= archives
        mini = of_archives(NMNIST, archives, f"{server.url}/")
        assert len(mini(tmp_path)) == 4
        assert [path for path, _ in server.seen] == ["/Train.zip"] or len(server.seen) == 1
        assert len(mini(tmp_path, train=False)) == 4
        assert len(server.seen) == 1
    assert (tmp_path / "download" / "Train.zip").read_bytes() == archives["Train.zip"]
    for path in (tmp_path / "download").iterdir():
        path.unlink()
    assert len(mini(tmp_path)) == 4, "what is made needs no archive"


def repacked(archive: bytes, wanted, old: str = "", new: str = "") -> bytes:
    """Return a tar.gz with the wanted members of another, in which a name is another one."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as given,
        tarfile.open(fileobj=packed, mode="w:gz") as made,
    ):
        for member in filter(lambda member: wanted(member.name), given.getmembers()):
            content = given.extractfile(member).read()
            if old:
                content = content.replace(old.encode(), new.encode())
                member.name = member.name.replace(old, new)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_archive_of_ones_own__says_which_samples_there_are(tmp_path):
    archives = archives_of(DVS128Gesture, MINIATURES["dvs128_gesture"]())
    packed = repacked(archives["DvsGesture.tar.gz"], lambda _: True, "user22_led", "someone")
    changed = {"DvsGesture.tar.gz": packed}
    put(changed, tmp_path)
    found = of_archives(DVS128Gesture, changed)(tmp_path)
    assert [place for place, _ in found.samples if "someone" in place] == ["someone/0", "someone/1"]


def test_archive_of_ones_own__with_a_trial_in_both_lists_is_an_error(tmp_path):
    archives = archives_of(DVS128Gesture, MINIATURES["dvs128_gesture"]())
    packed = repacked(
        archives["DvsGesture.tar.gz"], lambda name: "trials" in name, "user24_led", "user22_led"
    )
    put({"DvsGesture.tar.gz": packed}, tmp_path)
    with pytest.raises(SourceError, match=r"trials_to_test\.txt: lists trial 'user22_led', and so"):
        of_archives(DVS128Gesture, {"DvsGesture.tar.gz": packed})(tmp_path)


def test_archive_without_lists__has_the_published_trials_that_are_in_it(tmp_path):
    archives = archives_of(DVS128Gesture, MINIATURES["dvs128_gesture"]())
    packed = repacked(archives["DvsGesture.tar.gz"], lambda name: "trials_to" not in name)
    put({"DvsGesture.tar.gz": packed}, tmp_path)
    found = of_archives(DVS128Gesture, {"DvsGesture.tar.gz": packed})(tmp_path, train=False)
    assert [place for place, _ in found.samples] == ["user24_led/0", "user24_led/1"]


def test_archive_without_a_sum__is_taken_as_it_is(laid_out, request):
    mini, root, _ = laid_out(ASLDVS)
    mini(root)

    class Any(mini):
        @classmethod
        def resource_url_md5(cls):
            return [(name, url, None) for name, url, _ in mini.resource_url_md5()]

    request.getfixturevalue("no_steps")
    assert len(Any(root)) == 10


def test_archive_of_something_else__is_an_error(tmp_path):
    other = {"ICCV2019_DVS_dataset.zip": archives_of(NMNIST, MINIATURES["n_mnist"]())["Test.zip"]}
    put(other, tmp_path)
    with pytest.raises(SourceError, match="none of the data set's recordings"):
        of_archives(ASLDVS, other)(tmp_path)


def test_settings__of_a_subclass_make_another_store(laid_out):
    mini, root, _ = laid_out(ASLDVS)

    class Upright(mini):
        events_settings = {"flip_x": False}  # noqa: RUF012

    (one, _), (other, _) = mini(root)[0], Upright(root)[0]
    np.testing.assert_array_equal(one["x"], 239 - other["x"])
    Upright.events_settings = {"flip_z": True}
    with pytest.raises(UsageError, match="flip_z"):
        Upright(root)


# -- what is made is kept


def test_second_start__makes_nothing(laid_out, request):
    mini, root, _ = laid_out(DVS128Gesture)
    mini(root)
    before = files_in(root)
    assert not any(".evreel-tmp" in name or "archives" in name for name in before)
    request.getfixturevalue("no_steps")
    mini(root, train=False)
    mini(root, data_type="frame", frames_number=2, split_by="time")
    assert files_in(root) == before


def test_archive__that_was_edited_is_an_error(laid_out):
    mini, root, _ = laid_out(NMNIST)
    mini(root)
    archive = root / "download" / "Test.zip"
    content = archive.read_bytes()
    archive.write_bytes(content + b"more")
    with pytest.raises(SourceError, match=r"Test\.zip"):
        mini(root)
    archive.write_bytes(content)
    mini(root)


@pytest.mark.parametrize(
    ("kind", "how"), [("events", "edited"), ("samples", "cut"), ("events", "removed")]
)
def test_made_file__that_was_changed_is_made_again(laid_out, kind, how):
    mini, root, _ = laid_out(NMNIST)
    mini(root)
    (path,) = root.glob(f"evreel/*/{kind}/train.h5")
    content = path.read_bytes()
    if how == "removed":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(
            content[:middle] + (b"XX" + content[middle + 2 :] if how == "edited" else b"")
        )
    assert len(mini(root)) == 4
    assert path.read_bytes() == content


def test_preparation__that_was_killed_is_resumed(tmp_path, monkeypatch):
    tmp_path /= "any! {name} | é"
    mini, made = small(DVS128Gesture, tmp_path)
    events = steps.events

    class Killed(BaseException):
        pass

    def dies(recording, output, *rest, **named):
        if "user22" in output.name:
            left = output.parents[1] / ".evreel-tmp" / "a" / output.name
            left.parent.mkdir(parents=True)
            for path in (left, output):  # as if the disk had lost the bytes of a renamed file
                path.write_bytes(b"half")
            raise Killed
        return events(recording, output, *rest, **named)

    monkeypatch.setattr(steps, "events", dies)
    with pytest.raises(Killed):
        mini(tmp_path)
    monkeypatch.setattr(steps, "events", events)
    (first,) = tmp_path.glob("evreel/*/events/user01_fluorescent.h5")
    before = first.stat()
    assert len(mini(tmp_path, train=None)) == len(made.samples)
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not list(tmp_path.rglob(".evreel-tmp"))


def test_preparations__at_once_make_each_file_once(tmp_path, monkeypatch):
    mini, _ = small(NMNIST, tmp_path)
    made, events = [], steps.events

    def slow(recording, output, *rest, **named):
        made.append(Path(output).name)
        return events(recording, output, *rest, **named)

    monkeypatch.setattr(steps, "events", slow)
    found: list[object] = []

    def start():
        try:
            found.append(len(mini(tmp_path)))
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4, 4, 4]
    assert sorted(made) == ["test.h5", "train.h5"]


def test_root__in_which_nothing_can_be_written_is_an_error_that_names_it(tmp_path):
    mini, _ = small(NMNIST, tmp_path)
    (tmp_path / "evreel").write_text("a file", encoding="utf-8")
    with pytest.raises(EvreelError, match="cannot be written"):
        mini(tmp_path)
    with pytest.raises(EvreelError, match="evreel: cannot be written: Not a directory"):
        mini(tmp_path / "evreel")


def test_root__that_cannot_be_locked_serves_what_is_made(laid_out, monkeypatch):
    mini, root, _ = laid_out(NMNIST)
    mini(root)

    def refuses(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fcntl.flock", refuses)
    monkeypatch.setattr("evreel.dataset.memory.atomic", refuses)
    assert len(mini(root)) == 4


# -- the tutorial


def test_segment__is_counted_by_polarity_and_checked():
    count = spikingjelly.utils.integrate_events_segment_to_frame
    x, y, p = np.array([1, 3, 3]), np.array([0, 1, 1]), np.array([1, 0, -1])
    frame = count(x, y, p, 2, 4)
    assert frame.dtype == np.float64
    assert frame.shape == (2, 2, 4)
    assert (frame[1, 0, 1], frame[0, 1, 3], frame[1, 1, 3]) == (1, 1, 1)
    assert count(x, y, p, 2, 4, 1, 2).sum() == 1
    with pytest.raises(EvreelError, match="x=3"):
        count(x, y, p, 2, 3)


def test_segments__are_numbers_shares_and_durations():
    index = spikingjelly.cal_fixed_frames_number_segment_index
    t = np.array([5, 6, 7, 8, 25, 26, 27])
    assert [at.tolist() for at in index(t, "number", 3)] == [[0, 2, 4], [2, 4, 7]]
    assert [at.tolist() for at in index(t, "time", 3)] == [[0, 4, 4], [4, 4, 7]]
    events = {"t": np.array([0, 5, 10, 15, 20])} | {name: np.zeros(5, int) for name in "xyp"}
    by_duration = spikingjelly.integrate_events_by_fixed_duration(events, 10, 1, 1)
    assert by_duration.ravel().tolist() == [2, 0, 3, 0]
    for wrong in (("count", 2), ("time", 0)):
        with pytest.raises(UsageError):
            index(t, *wrong)
    with pytest.raises(EvreelError, match="event 2: t=3 comes after t=5"):
        index([1, 5, 3], "time", 2)
    assert index([1, 5, 3], "number", 1)[1].tolist() == [3]


def test_integration__is_spikingjellys_own():
    index = json.loads(shared_file("oracles/spikingjelly.json").read_text(encoding="utf-8"))
    with np.load(shared_file("oracles/spikingjelly.npz")) as arrays:
        for case in index["cases"]:
            name = f"in/{case['input']}"
            events = {column: arrays[f"{name}/{column}"] for column in "txyp"}
            function = getattr(spikingjelly.utils, case["fn"])
            how = [case[key] for key in ("split_by", "frames_num", "duration") if key in case]
            by_time = case.get("split_by") != "number"
            if by_time and (np.diff(events["t"]) < 0).any():
                with pytest.raises(EvreelError, match="Sort the events"):
                    function(events, *how, case["H"], case["W"])
            elif "error" not in case:
                frames = function(events, *how, case["H"], case["W"])
                assert frames.dtype == case["dtype"]
                np.testing.assert_array_equal(frames, arrays[f"out/{case['id']}"])


def test_tutorial__runs_without_torch(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = ROOT / "examples" / "tutorials" / "spikingjelly_neuromorphic_datasets.py"
    cells = re.split("^(?=# %%)", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = "".join(cell for cell in cells if "import torch" not in cell)
    names = {"__name__": "__main__"}
    exec(compile(text, str(script), "exec"), names)
    told = capsys.readouterr().out
    assert "(20, 2, 128, 128)" in told
    assert told.rstrip().endswith("(2, 2, 128, 128)")
    assert Path(names["root_dir"], "gesture.gif").read_bytes().startswith(b"GIF8")
