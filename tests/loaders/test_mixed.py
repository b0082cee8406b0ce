"""Streams go on and random sequences end with labelled frames, in the shares that are asked for."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import open_release, steps
from evreel.errors import UsageError
from evreel.loaders.augment import RVT_STREAMS, Augment
from evreel.loaders.mixed import MixedLoader
from evreel.loaders.sequential import SequentialLoader
from support import random_events
from support.frames import WINDOW_US, boxes_at, numbered_file, same
from support.releases import labelled_release
from support.rvt_tree import rvt_tree
from support.stores import store_of


def labelled_files(folder, labels):
    """Write recordings: of each its number of frames and which of them are labelled."""
    return [
        numbered_file(Path(folder), k, n, [frame * WINDOW_US + 5 for frame in sorted(frames)])
        for k, (n, frames) in enumerate(labels, 1)
    ]


def of_random(batch):
    """Yield (lane, recording, last frame) of random lanes that are not empty."""
    for lane in np.flatnonzero(~batch["is_stream"]):
        if not batch["frame_is_padded"][:, lane].all():
            number, last = batch["inputs"][-1, lane, 0, 0, :2].astype(int).tolist()
            yield int(lane), number, last


@settings(max_examples=8, deadline=None)
@given(
    recordings=st.lists(
        st.integers(1, 9).flatmap(
            lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))
        ),
        min_size=1,
        max_size=4,
    ),
    lanes=st.tuples(st.integers(0, 2), st.integers(1, 3)),
    t=st.integers(1, 3),
    epoch=st.sampled_from(["streams", "windows", "longest", "once"]),
    workers=st.integers(0, 3),
)
def test_mixed__streams_all_and_draws_each_labelled_sequence_equally_often(
    recordings, lanes, t, epoch, workers
):
    n_stream, n_random = lanes
    epoch = "windows" if n_stream == 0 else epoch
    ends = {
        (k, last) for k, (_, frames) in enumerate(recordings, 1) for last in frames if last >= t - 1
    }
    with tempfile.TemporaryDirectory() as folder:
        files = labelled_files(folder, recordings)
        arguments = {
            "array_dim": (t,),
            "n_stream": n_stream,
            "n_random": n_random,
            "epoch": epoch,
        }
        if not ends:
            with pytest.raises(UsageError, match="no random sequence to draw"):
                MixedLoader(files, **arguments)
            return
        loader = MixedLoader(files, num_workers=workers, **arguments)
        n = len(loader)
        batches = list(loader)
    assert len(batches) == n
    drawn, streamed = Counter(), Counter()
    for batch in batches:
        assert batch["is_stream"].tolist() == [True] * n_stream + [False] * n_random
        assert not batch["mask_keep_memory"][n_stream:].any()
        for lane, number, last in of_random(batch):
            drawn[number, last] += 1
            assert not batch["frame_is_padded"][:, lane].any()
            for k, frame in enumerate(range(last - t + 1, last + 1)):
                assert batch["inputs"][k, lane, 0, 0, :2].tolist() == [number, frame]
                is_labelled = frame in recordings[number - 1][1]
                assert batch["frame_is_labeled"][k, lane] == is_labelled
                assert len(batch["labels"][k][lane]) == is_labelled
            assert is_labelled
        for lane in range(n_stream):
            for k in np.flatnonzero(~batch["frame_is_padded"][:, lane]):
                streamed[tuple(batch["inputs"][k, lane, 0, 0, :2].astype(int).tolist())] += 1
    every = {(k, frame) for k, (length, _) in enumerate(recordings, 1) for frame in range(length)}
    assert set(drawn) <= ends and set(streamed) <= every
    if drawn:
        counts = [drawn[end] for end in ends]
        assert max(counts) - min(counts) <= 1
    if epoch == "streams":
        assert set(streamed.values()) == {1} and set(streamed) == every
        assert sum(drawn.values()) == n * n_random
    if epoch == "windows":
        assert set(drawn.values()) == {1} and set(drawn) == ends
    if epoch == "longest":
        assert set(streamed) == every and set(drawn) == ends
        assert sum(drawn.values()) == n * n_random
    if epoch == "once":
        assert streamed == Counter(every) and drawn == Counter(ends)
        assert "repeated_sequences" not in loader.counts
    too_early = sum(last < t - 1 for _, frames in recordings for last in frames)
    assert loader.counts.get("labels_too_early", 0) == too_early


RECORDINGS = [(7, {1, 3, 6}), (4, {3}), (9, {0, 2, 8}), (2, set())]


def test_mixed__streams_are_those_of_the_sequential_loader(tmp_path):
    files = labelled_files(tmp_path, RECORDINGS)
    mixed = list(
        MixedLoader(files, array_dim=(2,), n_stream=2, n_random=1, shuffle=False, epoch="once")
    )
    plain = list(SequentialLoader(files, array_dim=(2,), batch_size=2))
    for one, other in zip(mixed, plain, strict=False):
        for name in ("inputs", "frame_is_labeled", "frame_is_padded"):
            np.testing.assert_array_equal(one[name][:, :2], other[name])
        np.testing.assert_array_equal(one["mask_keep_memory"][:2], other["mask_keep_memory"])


@pytest.mark.parametrize(("workers", "epoch"), [(0, "streams"), (3, "longest"), (1, "once")])
def test_mixed__goes_on_from_a_state_as_if_never_interrupted(tmp_path, workers, epoch):
    files = labelled_files(tmp_path, RECORDINGS)
    arguments = {
        "array_dim": (2,),
        "n_stream": 2,
        "n_random": 2,
        "seed": 5,
        "epoch": epoch,
        "augment": Augment(flip_y=0.5, shift_px=1),
        "augment_streams": RVT_STREAMS,
    }
    every = [*(whole := MixedLoader(files, num_workers=0, **arguments)), *whole]
    for n in (4,) if workers else (3,):
        interrupted = MixedLoader(files, num_workers=2, **arguments)
        going = iter(interrupted)
        for _ in range(n):
            next(going)
        going_on = MixedLoader(files, num_workers=workers, **arguments)
        going_on.load_state_dict(interrupted.state_dict())
        rest = [*going_on, *going_on]
        assert len(rest) == len(every) - n
        for one, other in zip(rest, every[n:], strict=True):
            same(one, other)
    with pytest.raises(UsageError, match="other recordings or arguments"):
        MixedLoader(files, **arguments | {"ranges": "labelled"}).load_state_dict(
            interrupted.state_dict()
        )


def test_mixed__draws_another_order_each_epoch_and_seed_whatever_the_order_of_files(tmp_path):
    files = labelled_files(tmp_path, [(9, set(range(9)))] * 2)

    def order(files, seed=0, epoch=0):
        loader = MixedLoader(
            files, array_dim=(1,), n_stream=0, n_random=2, seed=seed, num_workers=0
        )
        loader.set_epoch(epoch)
        return [one[1:] for batch in loader for one in of_random(batch)]

    first = order(files)
    assert sorted(first) == [(k, frame) for k in (1, 2) for frame in range(9)]
    assert first == order(files[::-1])
    orders = [first, order(files, epoch=1), order(files, seed=1), sorted(first)]
    assert len({tuple(each) for each in orders}) == 4


def test_ranges__leave_out_what_is_far_from_a_label(tmp_path):
    files = labelled_files(tmp_path, [(12, {3, 5, 9}), (4, set())])
    expected = {
        "all": [(1, k) for k in range(12)] + [(2, k) for k in range(4)],
        "labelled": [(1, k) for k in (2, 3, 4, 5, 8, 9)],
        "from_first_label": [(1, k) for k in range(2, 12)],
    }
    resets = {"all": 2, "labelled": 2, "from_first_label": 1}
    for ranges, frames in expected.items():
        loader = MixedLoader(
            files, array_dim=(2,), n_stream=1, n_random=0, ranges=ranges, shuffle=False
        )
        batches = list(loader)
        real = np.concatenate([~batch["frame_is_padded"][:, 0] for batch in batches])
        found = np.concatenate([batch["inputs"][:, 0, 0, 0, :2] for batch in batches])[real]
        assert found.astype(int).tolist() == [list(frame) for frame in frames]
        assert sum(batch["mask_keep_memory"][0] == 0 for batch in batches) == resets[ranges]


def test_random_sequences__live_are_those_of_features_files(tmp_path):
    wanted = steps.FeatureSettings(representation="exponential_surface", window_us=9_000)
    stores, made = [], []
    for k in range(2):
        stores.append(tmp_path / f"s{k}.h5")
        made.append(tmp_path / f"f{k}.h5")
        store_of(stores[k], random_events(3_000, (12, 18), stop_us=90_000, seed=k))
        for beside in (f"s{k}_bbox.npy", f"f{k}_bbox.npy"):
            np.save(tmp_path / beside, boxes_at([30_000, 40_000, 80_000], k))
        steps.features(stores[k], made[k], wanted)
    common = {"array_dim": (3,), "n_stream": 1, "n_random": 2, "shuffle": False}
    live = MixedLoader(stores, 9_000, "exponential_surface", **common)
    filed = MixedLoader(made, **common)
    assert len(live) == len(filed) > 2
    for one, other in zip(live, filed, strict=True):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])
        assert one["inputs"].any()
        np.testing.assert_array_equal(one["frame_is_labeled"], other["frame_is_labeled"])


def test_release__samples_and_labelled_intervals_say_what_is_drawn(tmp_path):
    with open_release(labelled_release(tmp_path)) as release:
        arguments = {"feature": "counts", "split": "train", "array_dim": (2,), "num_workers": 0}
        loader = MixedLoader(release, n_stream=1, n_random=1, epoch="windows", **arguments)
        last = [
            (batch["video_infos"][1].start_us + batch["video_infos"][1].duration_us)
            for batch in loader
        ]
    # Annotators looked at [0, 40) and [50, 80) ms of park; its windows are of 10 ms.
    assert sorted(last) == [20_000, 30_000, 40_000, 60_000, 70_000, 80_000]


@pytest.mark.parametrize("dtype", ["float32", "stored"])
def test_mixed__of_rvts_tree(tmp_path, dtype):
    tree = rvt_tree(tmp_path, {"train/a": (9, [2, 5, 8]), "train/b": (6, [3]), "val/c": (5, [4])})
    loader = MixedLoader(tree, array_dim=(3,), batch_size=4, split="train", dtype=dtype)
    batches = list(loader)
    assert {batch["inputs"].dtype.name for batch in batches} == {
        "float32" if dtype == "float32" else "uint8"
    }
    drawn = {(number, last) for batch in batches for _, number, last in of_random(batch)}
    assert drawn == {(1, 2), (1, 5), (1, 8), (2, 3)}
    assert [len(boxes) for boxes in batches[0]["labels"][2][2:]] == [2, 2]


def test_damage__of_a_recording_is_skipped_and_counted_or_named(tmp_path):
    files = labelled_files(tmp_path, RECORDINGS)
    whole = files[0].read_bytes()
    loader = MixedLoader(
        files, array_dim=(2,), n_stream=1, n_random=1, on_damage="skip", epoch="once"
    )
    files[0].write_bytes(whole[: len(whole) // 2])  # after it was looked at
    assert len(list(loader)) == 8
    assert loader.counts["skipped_recordings"] == 1 + 3
    with pytest.raises(Exception, match=files[0].name):
        MixedLoader(files, array_dim=(2,), n_stream=1, n_random=1)
    loader = MixedLoader(files, array_dim=(2,), n_stream=0, n_random=1, on_damage="skip")
    assert {number for batch in loader for _, number, _ in of_random(batch)} == {2, 3}
    assert loader.counts["skipped_recordings"] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"n_stream": 1}, "n_stream and n_random go together"),
        ({"n_stream": 0, "n_random": 0}, "leave no lane"),
        ({"batch_size": 1}, "batch_size=1 leaves no lane for one of the two"),
        ({"stream_share": 1.5}, "stream_share=1.5 is not from 0 to 1"),
        ({"epoch": "all"}, "epoch='all' is not one of streams"),
        ({"ranges": "some"}, "ranges='some' is not one of all"),
        ({"n_stream": 2, "n_random": 0, "epoch": "windows"}, "there are no lanes of them"),
        ({"stream_share": "half"}, "stream_share='half' is not from 0 to 1"),
        ({"array_dim": (12,)}, "no frame that is labelled has 11 frames before it"),
        ({"array_dim": 2}, r"array_dim=2 is neither \(T, C, H, W\) nor"),
        ({"seed": None}, "seed=None is not a whole number"),
        ({"augment": {"flip_x": 1}}, "augment=.* is not an Augment"),
        ({"augment_streams": "rvt"}, "augment='rvt' is not an Augment"),
    ],
)
def test_arguments__that_are_not_valid_are_refused(tmp_path, arguments, problem):
    with pytest.raises(UsageError, match=problem):
        MixedLoader(labelled_files(tmp_path, RECORDINGS), **{"array_dim": (2,)} | arguments)


def test_seeds_and_epochs__of_numpy_are_plain_numbers(tmp_path):
    files = labelled_files(tmp_path, RECORDINGS)
    loader = MixedLoader(files, array_dim=(2,), seed=np.int64(3))
    loader.set_epoch(np.int64(2))
    state = json.loads(json.dumps(loader.state_dict()))
    MixedLoader(files, array_dim=(2,), seed=3).load_state_dict(state)
    with pytest.raises(UsageError, match=r"epoch=1\.5 is not a whole number"):
        loader.set_epoch(1.5)


def test_labels__of_which_there_are_none_are_said_or_counted(tmp_path):
    files = labelled_files(tmp_path, [(5, set()), (6, set())])
    with pytest.raises(UsageError, match=r"no frame is labelled: .* Give recordings with boxes or"):
        MixedLoader(files, array_dim=(2,), n_stream=1, n_random=1)
    with pytest.raises(UsageError, match="no frame has a box: there is no random"):
        MixedLoader(files, array_dim=(2,), n_stream=1, n_random=1, ends_at="boxes")
    loader = MixedLoader(files, array_dim=(2,), n_stream=2, n_random=0, ranges="labelled")
    assert len(loader) == len(list(loader)) == 0
    assert loader.counts == {"recordings_without_labels": 2}
