"""The sequential loader delivers every frame and every label once, in order, lane by lane."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import open_release, steps
from evreel.boxes import load_box_events, load_boxes, load_labels_stub, split_boxes
from evreel.errors import EvreelError, LayoutError, ParameterError, UsageError
from evreel.files.boxes import write_boxes
from evreel.files.features import FeaturesFile, SampleWindows
from evreel.loaders.sequential import SequentialLoader
from evreel.samples.samples import Samples
from support import random_events
from support.frames import WINDOW_US, boxes_at, numbered_file, same
from support.stores import store_of


def delivered(loader, stride_us=WINDOW_US):
    """Return (recording, frame) and label times in the order of lanes, and of resets."""
    frames, labels, resets = Counter(), Counter(), []
    for batch in loader:
        t, n = batch["frame_is_labeled"].shape
        for lane in range(n):
            if batch["video_infos"][lane] is None or batch["video_infos"][lane].duration_us == 0:
                assert batch["frame_is_padded"][:, lane].all()
                continue
            first = batch["inputs"][0, lane, 0, 0, :2].tolist()
            if batch["mask_keep_memory"][lane] == 0:
                resets.append(tuple(map(int, first)))
            for k in range(t):
                number, frame = batch["inputs"][k, lane, 0, 0, :2].astype(int).tolist()
                if batch["frame_is_padded"][k, lane]:
                    assert not batch["inputs"][k, lane].any() and not len(batch["labels"][k][lane])
                    continue
                frames[number, frame] += 1
                assert batch["frame_is_labeled"][k, lane] == bool(len(batch["labels"][k][lane]))
                for box in batch["labels"][k][lane]:
                    assert box["track_id"] == number
                    assert frame == window_of(int(box["t"]), stride_us)
                    labels[number, int(box["t"])] += 1
    return frames, labels, resets


def window_of(t, stride_us):
    """Return the first window that holds a label, whether or not there are so many."""
    k = max(-(-(t - WINDOW_US) // stride_us), 0)
    return k if k * stride_us < t <= k * stride_us + WINDOW_US or t == k == 0 else None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a function that writes boxes beside a file of numbered frames, made when first asked."""
    files = {}

    def file(number, n, times, stride_us=WINDOW_US):
        key = (number, n, stride_us)
        if key not in files:
            folder = tmp_path_factory.mktemp("made")
            files[key] = numbered_file(folder, number, n, stride_us=stride_us)
        beside = files[key].with_name(f"{files[key].stem}_bbox.npy")
        beside.unlink(missing_ok=True)
        write_boxes(beside, boxes_at(times, number))
        return files[key]

    return file


@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any),
    batch_size=st.integers(1, 3),
    num_tbins=st.integers(1, 3),
    workers=st.integers(0, 3),
    shuffle=st.booleans(),
    padding=st.sampled_from(["pad", "pad", "drop"]),
    stride_us=st.sampled_from([WINDOW_US, WINDOW_US, 4, 15]),
    data=st.data(),
)
def test_sequential__delivers_every_frame_and_label_once(
    made, lengths, batch_size, num_tbins, workers, shuffle, padding, stride_us, data
):
    times = [
        sorted(data.draw(st.lists(st.integers(0, n * stride_us + 20), max_size=6))) for n in lengths
    ]
    files = [made(k + 1, n, times[k], stride_us) for k, n in enumerate(lengths)]
    batch_size = min(batch_size, len(files)) if padding == "drop" else batch_size
    loader = SequentialLoader(
        files,
        array_dim=(num_tbins,),
        batch_size=batch_size,
        num_workers=workers,
        shuffle=shuffle,
        padding=padding,
    )
    n = len(loader)
    frames, labels, resets = delivered(loader, stride_us)
    every = Counter((k + 1, i) for k, length in enumerate(lengths) for i in range(length))
    windows = [[window_of(t, stride_us) for t in own] for own in times]
    inside = Counter(
        (number, t)
        for number, (own, of) in enumerate(zip(times, windows, strict=True), 1)
        for t, k in zip(own, of, strict=True)
        if k is not None and k < lengths[number - 1]
    )
    counts = Counter(loader.counts)
    if padding == "pad":
        assert frames == every and labels == inside
        assert sorted(resets) == [(k + 1, 0) for k, length in enumerate(lengths) if length]
        assert counts["padded_frames"] == n * batch_size * num_tbins - sum(lengths)
        assert counts["labels_outside_windows"] == sum(map(len, times)) - inside.total()
    else:
        assert frames <= every and labels <= inside and counts["padded_frames"] == 0
        assert frames.total() == n * batch_size * num_tbins
        assert counts["dropped_frames"] == every.total() - frames.total()
        assert counts["dropped_labels"] == inside.total() - labels.total()


def tracked(times_and_tracks):
    """Return boxes of (t, track) pairs."""
    boxes = boxes_at([t for t, _ in times_and_tracks])
    boxes["track_id"] = [track for _, track in times_and_tracks]
    return boxes


def labels_of(loader):
    """Return (t, track) of the labels of each frame, and which frames are labelled."""
    labels, labelled = [], []
    for batch in loader:
        for t, row in enumerate(batch["labels"]):
            labels.append([(int(box["t"]), int(box["track_id"])) for box in row[0]])
            labelled.append(bool(batch["frame_is_labeled"][t, 0]))
    return labels, labelled


def test_keep_last__delivers_each_track_once_a_frame_and_counts_the_others(tmp_path):
    file = numbered_file(tmp_path, 1, 3)
    given = [(2, 1), (4, 1), (4, 2), (6, 1), (10, 1), (21, 2), (24, 1), (25, 2)]
    write_boxes(tmp_path / "r01_bbox.npy", tracked(given))
    options = {"array_dim": (3,), "batch_size": 1, "num_workers": 0}
    every = SequentialLoader(file, **options)
    assert [
        each for frame in labels_of(every)[0] for each in frame
    ] == given and "boxes_not_last" not in every.counts
    expected = [[(4, 2), (10, 1)], [], [(24, 1), (25, 2)]], [True, False, True]
    last = SequentialLoader(file, keep="last", **options)
    assert labels_of(last) == expected
    assert last.counts == {"boxes_not_last": 4}
    function = SequentialLoader(file, load_labels=partial(load_boxes, keep="last"), **options)
    assert labels_of(function) == expected
    with pytest.raises(UsageError, match="state is of a loader with other"):
        last.load_state_dict(every.state_dict())
    with pytest.raises(ParameterError, match="keep='first' is neither 'all' nor 'last'"):
        SequentialLoader(file, keep="first", **options)
    with pytest.raises(UsageError, match="keep='last' is of the loader's own boxes"):
        SequentialLoader(file, keep="last", load_labels=load_boxes, **options)


def resumed(loader, workers, places):
    """Hold that two epochs of a loader that is interrupted are those of one that is not.

    `loader` is a function of a number of workers → a new loader; `places` say after which batches
    it is interrupted: the first one, all of the first epoch, all but the last one.
    """
    whole = loader(2)
    every = [*whole, *whole]  # two epochs, each in an order of its own
    first = len(loader(0))
    after = {"first": 1, "between": first, "last": len(every) - 1}
    for n in (after[place] for place in places):
        interrupted = loader(2)
        epochs = [iter(interrupted), iter(interrupted)]
        if n > first:
            for _ in epochs[0]:
                pass
        going = epochs[n > first]
        for _ in range(n - first * (n > first)):
            next(going)
        state = json.loads(json.dumps(interrupted.state_dict()))
        going.close()
        going_on = loader(workers)
        going_on.load_state_dict(state)
        rest = [*going_on, *([] if n > first else going_on)]
        assert len(rest) == len(every) - n
        for one, other in zip(rest, every[n:], strict=True):
            same(one, other)
        assert going_on.counts == whole.counts
    return whole.counts


@pytest.mark.parametrize(
    ("workers", "padding", "counted"),
    [
        (0, "pad", {"skipped_recordings", "skipped_frames", "skipped_labels", "padded_frames"}),
        (3, "drop", {"skipped_recordings", "dropped_frames", "dropped_labels"}),
    ],
)
def test_sequential__goes_on_from_a_state_as_if_never_interrupted(
    tmp_path, workers, padding, counted
):
    files = [numbered_file(tmp_path, k, n, [5, 15, 99]) for k, n in enumerate((6, 2, 4, 1, 5), 1)]
    damage_frame(files[0], 1)
    files[4].write_bytes(files[4].read_bytes()[:999])

    def loader(workers):
        return SequentialLoader(
            files,
            array_dim=(2,),
            batch_size=2,
            shuffle=True,
            seed=3,
            num_workers=workers,
            padding=padding,
            on_damage="skip",
        )

    places = ["first", "between", "last"] if workers == 0 else ["last"]
    counts = resumed(loader, workers, places)
    assert counted <= counts.keys() and counts["skipped_recordings"] == 2


def test_live_batches_by_count__go_on_from_a_state(tmp_path):
    stores = [tmp_path / f"s{k}.h5" for k in range(3)]
    for k, path in enumerate(stores):
        store_of(path, random_events(300 + 90 * k, (4, 6), seed=k))

    def loader(workers):
        settings = {"count": 75, "array_dim": (2,), "batch_size": 2, "shuffle": True}
        return SequentialLoader(stores, None, "timesurface", num_workers=workers, **settings)

    resumed(loader, 1, ["last"])


def damage_frame(path, k):
    """Flip the bytes of a frame in a features file."""
    with h5py.File(path) as file:
        place = file["data"].id.get_chunk_info(k)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        flipped = bytes(255 - byte for byte in file.read(place.size))
        file.seek(place.byte_offset)
        file.write(flipped)


@pytest.mark.parametrize("workers", [0, 2])
def test_damage__is_named_or_skipped_and_resets_the_memory(tmp_path, workers):
    files = [numbered_file(tmp_path, k, 6, [5, 25, 26, 45]) for k in (1, 2)]
    damage_frame(files[1], 3)
    common = {"array_dim": (2,), "batch_size": 2, "num_workers": workers}
    with pytest.raises(LayoutError, match=r"r02\.h5: window 3: cannot be decompressed"):
        list(SequentialLoader(files, **common))
    loader = SequentialLoader(files, on_damage="skip", **common)
    batches = list(loader)
    assert loader.counts == {"skipped_frames": 2, "skipped_labels": 2}
    padded = np.concatenate([batch["frame_is_padded"] for batch in batches])
    assert padded.tolist() == [[False, 2 <= k < 4] for k in range(6)]
    keeps = [batch["mask_keep_memory"].ravel().tolist() for batch in batches]
    assert keeps == [[0, 0], [1, 0], [1, 0]]
    assert not batches[1]["inputs"][:, 1].any()
    assert [len(batches[1]["labels"][k][1]) for k in range(2)] == [0, 0]


@pytest.mark.parametrize("workers", [0, 2])
def test_missing_file__is_named_or_skipped(tmp_path, workers):
    files = [numbered_file(tmp_path, k, 3) for k in (1, 2)]
    files[0].unlink()
    with pytest.raises(EvreelError, match=r"r01\.h5"):
        SequentialLoader(files)
    loader = SequentialLoader(files, on_damage="skip", num_workers=workers)
    assert len(loader) == len(list(loader)) == 3
    assert loader.counts["skipped_recordings"] == 1
    with pytest.raises(UsageError, match=r"windows are of 10 µs; 20 µs are asked for"):
        list(SequentialLoader(files, 20, on_damage="skip"))  # that is no damage


def test_loop_that_is_broken_off__leaves_no_thread_and_no_open_file(tmp_path):
    files = [numbered_file(tmp_path, k, 9) for k in (1, 2, 3)]
    loader = SequentialLoader(files, batch_size=2, num_workers=2)
    for _ in loader:
        break
    gc.collect()
    assert not [one for one in threading.enumerate() if one.name.startswith("evreel-load")]
    open_files = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert not [path for path in open_files if path.startswith(str(tmp_path))]


def test_error_of_a_callers_function__comes_out_of_its_thread(tmp_path):
    files = [numbered_file(tmp_path, k, 3) for k in (1, 2, 3)]

    def fails(inputs):
        raise ZeroDivisionError("mine")

    loader = SequentialLoader(files, batch_size=2, num_workers=2, transforms=fails)
    with pytest.raises(ZeroDivisionError, match="mine"):
        list(loader)


def test_iterations_at_once__are_epochs_of_their_own(tmp_path):
    files = [numbered_file(tmp_path, k, 3) for k in (1, 2, 3)]

    def loader():
        return SequentialLoader(files, shuffle=True, num_workers=1)

    two, alone = loader(), loader()
    first, second = [], []
    for one, other in zip(two, two, strict=True):
        first.append(one)
        second.append(other)
    for one, other in zip([*first, *second], [*alone, *alone], strict=True):
        same(one, other)
    assert two.state_dict() == alone.state_dict()


def test_name_that_is_there_twice__is_two_recordings(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    files = [numbered_file(tmp_path / "a", 1, 2), numbered_file(tmp_path / "b", 1, 3)]
    loader = SequentialLoader([*files, files[0]], shuffle=True, batch_size=2)
    frames, _, resets = delivered(loader)
    assert frames == {(1, 0): 3, (1, 1): 3, (1, 2): 1} and len(resets) == 3


def test_load_labels__sees_what_there_is_and_changes_nothing(tmp_path):
    file = numbered_file(tmp_path, 1, 5)
    seen = []

    def load(metadata, start_us, duration_us, tensor):
        assert not tensor.flags.writeable
        seen.append((metadata.name, start_us, duration_us, tensor[0, 0, 0, 1].item()))
        return [f"{start_us}+{k}" for k in range(3)], np.array([True, False, True])

    batches = list(SequentialLoader(file, array_dim=(3,), batch_size=1, load_labels=load))
    assert seen == [("r01", 0, 30, 0), ("r01", 30, 30, 3)]
    assert batches[0]["labels"] == [["0+0"], ["0+1"], ["0+2"]]
    assert [len(labels[0]) for labels in batches[1]["labels"]] == [4, 4, 0]
    assert batches[1]["frame_is_labeled"].tolist() == [[True], [False], [False]]
    stub = list(SequentialLoader(file, array_dim=(5,), load_labels=load_labels_stub))
    assert stub[0]["labels"][0][0] == [] and not stub[0]["frame_is_labeled"].any()
    with pytest.raises(ParameterError, match=r"r01: load_labels returned 1 labels and \(1,\)"):
        list(SequentialLoader(file, array_dim=(2,), load_labels=lambda *_: ([0], [True])))


def split_evenly(metadata, start_us, duration_us, tensor):
    """Load boxes as functions written for other loaders do: a part is T equal windows."""
    n = len(tensor)
    found = load_box_events(metadata, start_us, duration_us)
    return split_boxes(found, start_us, duration_us // n, n), np.ones(n, dtype=bool)


def test_load_labels__may_divide_a_part_evenly_also_at_the_end_of_a_recording(tmp_path):
    files = [numbered_file(tmp_path, k, n, [0, 10, 11, n * 10]) for k, n in ((1, 5), (2, 4))]
    common = {"array_dim": (3,), "batch_size": 2, "num_workers": 0}
    own = SequentialLoader(files, load_labels=split_evenly, **common)
    for one, other in zip(own, SequentialLoader(files, **common), strict=True):
        for labels, expected in zip(one["labels"], other["labels"], strict=True):
            assert all(map(np.array_equal, labels, expected))
        np.testing.assert_array_equal(one["frame_is_labeled"], ~one["frame_is_padded"])


@pytest.mark.parametrize(("stride_us", "is_cut"), [(10, True), (5, False), (15, False)])
def test_boxes_of_a_function__are_in_the_windows_that_they_are_in_without_it(
    tmp_path, stride_us, is_cut
):
    start, stop = np.array([0, 30]), np.array([30, 70])
    members = Samples(("a", "b"), ("", ""), ("", ""), start, stop, t_offset=0 * start)
    cut = SampleWindows(members, (), np.array([0, 3, 7])) if is_cut else None
    file = numbered_file(tmp_path, 1, 7, np.arange(0, 90, 5), samples=cut, stride_us=stride_us)
    common = {"array_dim": (2,), "batch_size": 1, "num_workers": 0}
    times = [
        [lane["t"].tolist() for batch in loader for (lane,) in batch["labels"]]
        for loader in (
            SequentialLoader(file, load_labels=load_boxes, **common),
            SequentialLoader(file, **common),
        )
    ]
    assert times[0] == times[1] and sum(map(len, times[0])) > 8


def test_metadata__says_where_a_sample_starts_and_which_lane_is_padding(tmp_path):
    start, stop = np.array([0, 30]), np.array([30, 50])
    members = Samples(("a", "b"), ("", ""), ("", ""), start, stop, t_offset=0 * start)
    cut = SampleWindows(members, (), np.array([0, 3, 5]))
    file = numbered_file(tmp_path, 1, 5, [0, 30, 31], samples=cut)
    other = numbered_file(tmp_path, 2, 2, [])
    common = {"array_dim": (2,), "batch_size": 2, "num_workers": 0}
    batches = list(SequentialLoader([file, other], load_labels=split_evenly, **common))
    infos = [batch["video_infos"] for batch in batches]
    assert [info.metadata.start_ts for info, _ in infos] == [0, 0, 30]
    assert [info.metadata.padding for _, info in infos] == [False, True, True]
    assert infos[0][0].metadata.delta_t == 10 and infos[0][0].metadata != infos[2][0].metadata


NEITHER = "a list of 1 labels and an array of 1 bool"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, f"r01: load_labels returned None; {NEITHER}"),
        ([[]], NEITHER),
        ((None, [True]), NEITHER),
        (([1], [[True], [True, False]]), NEITHER),
        (([1, 2], [True]), r"returned 2 labels and \(1,\) of which are labelled; 1 each"),
        (([1], [3]), r"returned \[3\] of which are labelled; true or false is expected of each"),
        (([1], ["no"]), "true or false is expected of each"),
    ],
    ids=str,
)
def test_load_labels_that_returns_something_else__is_told_what_is_expected(
    tmp_path, found, message
):
    file = numbered_file(tmp_path, 1, 1)
    with pytest.raises(ParameterError, match=message):
        list(SequentialLoader(file, load_labels=lambda *_: found, num_workers=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"array_dim": 2}, r"array_dim=2 is neither \(T, C, H, W\) nor \(T,\)"),
        ({"seed": None}, "seed=None is not a whole number"),
        ({"batchsize": 3}, "'batchsize' is no argument of SequentialLoader; .* 'batch_size'"),
        (
            {"batchsize": 3, "representation": "histogram", "delta_t": 10},
            "has no parameter 'batchsize', nor is it a setting of a feature; .* 'batch_size'",
        ),
        ({"count": 3}, "'count' is a setting of a representation, but none is given"),
        ({"boxes": "last"}, "boxes='last' says which boxes are written .* keep='last'"),
        ({"transforms": 3}, "transforms=3 is not a function"),
        ({"load_labels": "stub"}, "load_labels='stub' is not a function"),
        ({"feature": "counts"}, "feature='counts' is for a release; files have none"),
        ({"sensor": "3x2"}, "sensor='3x2' is of recordings, and frames are precomputed"),
        (
            {"feature": "counts", "delta_t": 10, "representation": "histogram"},
            "feature='counts' is precomputed, and a representation is to be computed live",
        ),
        ({"files": None}, "None is neither a file nor a recording"),
        ({"files": [7]}, "7 is neither a file nor a recording"),
    ],
    ids=str,
)
def test_arguments__that_are_not_valid_or_would_be_ignored_are_refused(
    tmp_path, arguments, message
):
    given = {"files": [numbered_file(tmp_path, 1, 1)], **arguments}
    with pytest.raises(UsageError, match=message):
        SequentialLoader(**given)


def test_transforms__keep_the_shape_and_what_is_padded(tmp_path):
    file = numbered_file(tmp_path, 1, 3)
    (batch,) = SequentialLoader(file, array_dim=(4,), batch_size=2, transforms=lambda x: x + 1)
    real = ~batch["frame_is_padded"]
    assert real.sum() == 3 and (batch["inputs"][real] >= 1).all()
    assert not batch["inputs"][~real].any()
    with pytest.raises(ParameterError, match=r"transforms made \(4, 2, 3\) of \(4, 2, 2, 3\)"):
        list(SequentialLoader(file, array_dim=(4,), transforms=lambda x: x.sum(axis=1)))


def test_values_per_window__are_delivered_beside_their_frames(tmp_path):
    files = [numbered_file(tmp_path, k, n) for k, n in ((1, 3), (2, 2))]
    for path in files:
        n = len(FeaturesFile(path))
        for name, values in {
            "speed": np.arange(n, dtype=">i2"),
            "pose": np.arange(n * 6, dtype=np.float64).reshape(n, 2, 3),
        }.items():
            np.save(tmp_path / f"{name}.npy", values)
            steps.enrich(path, {name: tmp_path / f"{name}.npy"})
    batches = list(SequentialLoader(files, array_dim=(2,), batch_size=2))
    assert [batch["speed"].tolist() for batch in batches] == [[[0, 0], [1, 1]], [[2, 0], [0, 0]]]
    assert batches[1]["pose"].shape == (2, 2, 2, 3) and batches[1]["pose"][0, 0, 1, 2] == 17
    plain = numbered_file(tmp_path, 3, 2)
    for order in ([files[0], plain], [plain, files[0]]):
        with pytest.raises(UsageError, match="'pose' per window; other recordings have"):
            list(SequentialLoader(order))


def test_show__draws_lanes_boxes_and_resets(tmp_path):
    files = [numbered_file(tmp_path, k, n, [15]) for k, n in ((1, 3), (2, 2))]
    (tmp_path / "label_map_dictionary.json").write_text('{"0": "car"}')
    seen = []

    def draw(frame, labels):
        seen.append(labels["track_id"].tolist())
        frame[:] = 7

    loader = SequentialLoader(files, array_dim=(2,), batch_size=2)
    pictures = list(loader.show(draw))
    assert len(pictures) == 4 and seen == [[1], [2]]
    assert all(p.dtype == np.uint8 and p.shape == pictures[0].shape for p in pictures)
    loader.set_epoch(0)
    plain = list(loader.show())
    reset = [[255, 64, 64]]
    corners = [(p.reshape(-1, 3) == reset).all(axis=1).any() for p in plain]
    assert corners == [True, False, False, False]  # of a lane that goes on, or is over: none
    loader.set_epoch(0)
    boxes = list(loader.show(True))
    changed = [(one != other).any() for one, other in zip(plain, boxes, strict=True)]
    assert changed == [False, True, False, False]


def test_show__begins_with_the_first_recording_that_can_be_opened(tmp_path):
    files = [tmp_path / "none.h5", numbered_file(tmp_path, 1, 2)]
    loader = SequentialLoader(files, batch_size=2, on_damage="skip", num_workers=0)
    assert len(list(loader.show(True))) == 2 and loader.counts["skipped_recordings"] == 1


def test_state__of_other_recordings_or_none_at_all_is_refused(tmp_path):
    files = [numbered_file(tmp_path, k, 3) for k in (1, 2)]
    state = SequentialLoader(files).state_dict()
    with pytest.raises(UsageError, match="other recordings or arguments"):
        SequentialLoader(files[:1]).load_state_dict(state)
    for other in (None, {}, {**state, "batch": "x"}, {**state, "counts": 3}):
        with pytest.raises(UsageError, match="is no state of a loader"):
            SequentialLoader(files).load_state_dict(other)


def test_state__is_of_plain_values_whatever_numbers_a_loader_was_given(tmp_path):
    file = numbered_file(tmp_path, 1, 3)
    numpy = {"seed": np.int64(3), "shuffle": np.True_, "batch_size": np.uint8(2)}
    state = SequentialLoader(file, array_dim=np.array([2]), **numpy).state_dict()
    plain = SequentialLoader(file, array_dim=(2,), seed=3, shuffle=True, batch_size=2)
    plain.load_state_dict(json.loads(json.dumps(state)))


@pytest.mark.parametrize(
    ("name", "settings", "workers"),
    [
        ("histogram", {}, 0),
        ("voxel_grid", {"bins": 3, "store": "uint8", "scale": 0.25}, 2),
        ("histo", {"store": "uint8"}, 1),
        ("exponential_surface", {"geometry": {"downsample": 1, "flip_x": True}}, 2),
        ("last_timestamp", {"store": "float16"}, 0),
    ],
)
def test_live_batches__are_those_of_features_files(tmp_path, name, settings, workers):
    stores, made = [], []
    parameters = {key: value for key, value in settings.items() if key == "bins"}
    others = {key: value for key, value in settings.items() if key != "bins"}
    for k in range(3):
        stores.append(tmp_path / f"s{k}.h5")
        made.append(tmp_path / f"f{k}.h5")
        store_of(stores[k], random_events(3_000, (12, 18), stop_us=70_000 + 9_000 * k, seed=k))
        boxes = boxes_at([3_000, 9_000, 50_000], k)
        for beside in (f"s{k}_bbox.npy", f"f{k}_bbox.npy"):
            np.save(tmp_path / beside, boxes)  # in pixels of the sensor
        wanted = steps.FeatureSettings(
            representation=name, parameters=parameters, window_us=9_000, **others
        )
        steps.features(stores[k], made[k], wanted)
    common = {"array_dim": (3,), "batch_size": 2, "num_workers": workers}
    live = SequentialLoader(stores, 9_000, name, preprocess_kwargs=parameters, **common, **others)
    filed = SequentialLoader(made, 9_000, **common)
    n = 0
    for one, other in zip(live, filed, strict=True):
        assert one["inputs"].any()
        one["video_infos"] = [info and info[1:] for info in one["video_infos"]]
        other["video_infos"] = [info and info[1:] for info in other["video_infos"]]
        same(one, other)
        n += 1
    assert n == len(live) > 2


def test_release__gives_recordings_and_samples_of_a_split(labelled_folder):
    with open_release(labelled_folder) as release:
        loader = SequentialLoader(
            release, feature="counts", split="train", array_dim=(2,), batch_size=2, num_workers=0
        )
        batches = list(loader)
        park, town = (release.recordings[name] for name in ("park", "town"))
        boxes, first = park.boxes_of("counts")
        rows = [*range(*town.features["counts"].rows_of("a").indices(99))]
        rows += range(*town.features["counts"].rows_of("c").indices(99))
        for lane, frames, expected in (
            (0, park.features["counts"], range(10)),
            (1, town.features["counts"], rows),
        ):
            inputs = np.concatenate([batch["inputs"][:, lane] for batch in batches])
            real = ~np.concatenate([batch["frame_is_padded"][:, lane] for batch in batches])
            np.testing.assert_array_equal(inputs[real], frames[:][list(expected)])
        keeps = [batch["mask_keep_memory"][:, 0, 0, 0].tolist() for batch in batches]
        labels = [batch["labels"][k][0] for batch in batches for k in range(2)]
        labelled = np.concatenate([batch["frame_is_labeled"] for batch in batches])
    assert [len(own) for own in labels] == np.diff(first).tolist() and len(boxes) == 40
    # Annotators looked at [0, 40) and [50, 80) ms of park; its windows are of 10 ms.
    assert labelled[:, 0].tolist() == [True] * 4 + [False] + [True] * 3 + [False] * 2
    assert not labelled[:, 1].any()
    # A sample is 2 or 3 windows of town: the second sample, of 3, begins in the second batch.
    assert keeps == [[0, 0], [1, 0], [1, 1], [1, 0], [1, 0]]


def test_loaders_for_torch__say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    sys.modules.pop("evreel.loaders.torch", None)
    with pytest.raises(ImportError, match=r"Run: pip install torch") as found:
        from evreel.loaders.torch import SequentialLoader  # noqa: F401
    assert isinstance(found.value, UsageError)
