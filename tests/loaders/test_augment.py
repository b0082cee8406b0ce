"""What is drawn for a sequence is done to its events, frames and boxes alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError, UsageError
from evreel.events import Sensor
from evreel.layout import BOX_DTYPE
from evreel.loaders.augment import RVT_RANDOM, RVT_STREAMS, Augment
from evreel.loaders.mixed import MixedLoader
from evreel.loaders.sequential import SequentialLoader
from evreel.loaders.streaming import StreamLoader
from support import random_events
from support.frames import boxes_at
from support.rvt_tree import rvt_tree
from support.stores import store_of

SIZE = Sensor(6, 9)
WHOLE = {"zoom": 0, "flip_x": 0.5, "flip_y": 0.5}


def counted(events):
    """Return the number of events of each pixel."""
    frame = np.zeros(events.sensor, np.float32)
    np.add.at(frame, (events.y, events.x), 1)
    return frame


def box(x, y, w, h):
    boxes = np.zeros(1, BOX_DTYPE)
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = x, y, w, h
    return boxes


@settings(max_examples=20, deadline=None)
@given(what=st.text(), shift=st.integers(0, 12), seed=st.integers(0, 99))
def test_flips_and_shifts__of_events_are_those_of_frames_and_boxes(what, shift, seed):
    change = Augment(**WHOLE, shift_px=shift).draw(what, SIZE)
    events = random_events(200, SIZE, stop_us=100, seed=seed)
    before = counted(events)
    left, kept = change.of_events(events)
    frames = np.stack([before, before + 1])[None]
    change.of_frames(frames)
    np.testing.assert_array_equal(counted(left), frames[0, 0])
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(left.t, events.t[kept])
    np.testing.assert_array_equal(left.p, events.p[kept])
    moved = change.columns.placed, change.rows.placed
    assert max(map(abs, moved)) <= shift
    y, x = seed % 6, seed % 9  # a box around one pixel is where the pixel is
    boxes, n_cut, n_outside = change.of_boxes(box(x, y, 1, 1))
    alone = np.zeros((1, 1, *SIZE), np.float32)
    alone[0, 0, y, x] = 1
    change.of_frames(alone)
    assert [len(boxes), n_cut, n_outside] == [alone.sum(), 0, 1 - alone.sum()]
    if len(boxes):
        assert alone[0, 0, int(boxes["y"][0]), int(boxes["x"][0])] == 1


@settings(max_examples=20, deadline=None)
@given(what=st.text(), dtype=st.sampled_from([np.uint8, np.int8, np.float32]))
def test_zooms__take_for_each_pixel_the_value_at_its_centre(what, dtype):
    change = Augment(zoom=1, zoom_in=(1, 3), zoom_out=(1, 3), flip_x=0.5, shift_px=2).draw(
        what, SIZE
    )
    frame = np.arange(1, SIZE.height * SIZE.width + 1, dtype=dtype).reshape(1, 1, *SIZE)
    made = frame.copy()
    change.of_frames(made)
    for i in range(SIZE.height):
        for j in range(SIZE.width):
            places = []
            for axis, at in ((change.rows, i), (change.columns, j)):
                inside = axis.placed <= at < axis.placed + axis.n_placed
                share = (at - axis.placed + 0.5) / axis.n_placed
                place = axis.taken + int(np.float32(share * axis.n_taken))
                places.append((axis.side - 1 - place if axis.flip else place) if inside else None)
            expected = 0 if None in places else frame[0, 0, places[0], places[1]]
            assert made[0, 0, i, j] == expected


def test_zoom_in__of_a_box_keeps_it_where_the_picture_shows_it():
    augment = Augment(zoom=1, zoom_in_share=1, zoom_in=(2, 2), flip_x=0.5)
    size, flips = Sensor(40, 60), Counter()
    for k in range(50):
        change = augment.draw(f"{k}", size, box(41, 7, 10, 8))
        [moved], n_cut, n_outside = change.of_boxes(box(41, 7, 10, 8))
        assert (n_cut, n_outside) == (0, 0)
        assert (moved["w"], moved["h"]) == (20, 16)
        frame = np.zeros((1, 1, *size), np.uint8)
        frame[0, 0, 7:15, 41:51] = 1
        change.of_frames(frame)
        x, y = int(moved["x"]), int(moved["y"])
        assert frame[0, 0, y : y + 16, x : x + 20].all() and frame.sum() == 320
        flips[change.flip_x] += 1
    assert min(flips.values()) > 10
    clipped, n_cut, n_outside = augment.draw("", size).of_boxes(box(0, 0, 60, 40))
    assert (len(clipped), n_cut, n_outside) == (1, 1, 0)
    assert clipped[["x", "y", "w", "h"]].tolist() == [(0, 0, 60, 40)]


def test_zoom_out__puts_the_whole_picture_into_a_smaller_one():
    change = Augment(zoom=1, zoom_in_share=0, zoom_out=(2, 2), flip_x=0).draw("", SIZE)
    frame = np.ones((1, 1, *SIZE), np.uint8)
    change.of_frames(frame)
    assert frame.sum() == 3 * 4  # RVT cuts sizes off, too
    boxes, n_cut, _ = change.of_boxes(box(0, 0, *SIZE[::-1]))
    rows, columns = change.rows, change.columns
    assert boxes[["x", "y", "w", "h"]].tolist() == [(columns.placed, rows.placed, 4, 3)]
    assert n_cut == 0


def test_draws__are_as_often_as_the_settings_say():
    drawn = [RVT_RANDOM.draw(f"{k}", Sensor(240, 304)) for k in range(2_000)]
    shares = {
        "flip": np.mean([change.flip_x for change in drawn]),
        "in": np.mean([change.rows.n_taken < 240 for change in drawn]),
        "out": np.mean([change.rows.n_placed < 240 for change in drawn]),
    }
    expected = {"flip": 0.5, "in": 0.64, "out": 0.16}
    assert all(abs(shares[name] - expected[name]) < 0.04 for name in expected)
    assert min(change.rows.n_taken for change in drawn) in range(160, 165)
    assert all(RVT_STREAMS.draw(f"{k}", SIZE).rows.n_taken == 6 for k in range(200))
    assert RVT_RANDOM.draw("1", SIZE) == RVT_RANDOM.draw("1", SIZE)


@pytest.fixture
def stores(tmp_path):
    made = [tmp_path / f"s{k}.h5" for k in range(2)]
    for k, path in enumerate(made):
        store_of(path, random_events(3_000, (12, 18), stop_us=90_000, seed=k))
        boxes = boxes_at([25_000, 41_000, 80_000], k)
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 11, 2, 4, 5
        np.save(tmp_path / f"s{k}_bbox.npy", boxes)
    return made


def test_loaders__augment_live_events_as_they_augment_frames(stores):
    name = "exponential_surface"
    common = {"array_dim": (3,), "n_stream": 2, "n_random": 2, "num_workers": 0}
    of_frames, of_events = (
        list(
            MixedLoader(stores, 9_000, name, augment=Augment(**WHOLE, shift_px=3, of=of), **common)
        )
        for of in ("frames", "events")
    )
    plain = list(MixedLoader(stores, 9_000, name, **common))
    assert any((a["inputs"] != b["inputs"]).any() for a, b in zip(of_frames, plain, strict=True))
    for one, other in zip(of_frames, of_events, strict=True):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])
        for ours, theirs in zip(one["labels"], other["labels"], strict=True):
            assert all(map(np.array_equal, ours, theirs))
    halved = {"geometry": {"downsample": 1, "crop": (2, 0, 18, 12)}, **common}
    one, other = (
        np.concatenate(
            [
                batch["inputs"]
                for batch in MixedLoader(
                    stores, 9_000, name, augment=Augment(zoom=0, flip_x=1, of=of), **halved
                )
            ]
        )
        for of in ("frames", "events")
    )
    np.testing.assert_array_equal(one, other)


def test_streams__keep_what_was_drawn_until_their_reset(stores):
    common = {"array_dim": (2,), "batch_size": 1, "num_workers": 0}
    augment = Augment(zoom=0, flip_x=0.5, flip_y=0.5)
    plain = list(SequentialLoader(stores, 9_000, "histogram", **common))
    loader = SequentialLoader(stores, 9_000, "histogram", augment=augment, seed=4, **common)
    turns = set()
    for epoch in range(4):
        found: list[set[tuple[bool, bool]]] = []
        for one, other in zip(plain, loader, strict=True):
            if one["mask_keep_memory"][0] == 0:
                found.append({(x, y) for x in (False, True) for y in (False, True)})
            for flips in list(found[-1]):
                steps = (
                    slice(None, None, -1 if flips[1] else 1),
                    slice(None, None, -1 if flips[0] else 1),
                )
                if not np.array_equal(one["inputs"][(..., *steps)], other["inputs"]):
                    found[-1].discard(flips)
            np.testing.assert_array_equal(one["frame_is_labeled"], other["frame_is_labeled"])
        assert [len(flips) for flips in found] == [1, 1]
        turns |= {(epoch, *flips) for flips in found}
    assert len({turn[1:] for turn in turns}) > 1


def test_stream_loader__augments_frames_as_the_sequential_loader_does(stores):
    common = {"batch_size": 2, "augment": Augment(**WHOLE, shift_px=2), "seed": 3}
    streamed = StreamLoader(
        stores, delta_t=9_000, representation="histogram", num_tbins=3, **common
    )
    for one, other in zip(
        streamed, SequentialLoader(stores, 9_000, "histogram", (3,), **common), strict=True
    ):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])
        for ours, theirs in zip(one["labels"], other["labels"], strict=True):
            assert all(map(np.array_equal, ours, theirs))
    with pytest.raises(UsageError, match="a stream's events cannot be augmented"):
        StreamLoader(stores, delta_t=9, representation="histogram", augment=Augment(of="events"))


def test_boxes__that_leave_the_picture_are_counted_and_frames_stay_labelled(stores):
    augment = Augment(zoom=1, zoom_in_share=1, zoom_in=(3, 3), flip_x=0)
    loader = SequentialLoader(stores, 9_000, "histogram", (3,), augment=augment, batch_size=1)
    labelled = left = 0
    for _ in range(3):
        for batch in loader:
            labelled += int(batch["frame_is_labeled"].sum())
            left += sum(len(lane) for step in batch["labels"] for lane in step)
    assert labelled == 3 * 2 * 3
    assert left + loader.counts["boxes_outside_augment"] == labelled
    assert 0 < loader.counts["boxes_cut_by_augment"] <= left


def test_augment__names_what_it_cannot_do(stores, tmp_path):
    for wrong, problem in (
        ({"flip_x": 2}, "flip_x"),
        ({"zoom_in": (2, 1)}, "not a least and a greatest"),
        ({"zoom_out": (0.5, 1)}, "zoom_out"),
        ({"of": "boxes"}, "of"),
    ):
        with pytest.raises(ParameterError, match=problem):
            Augment(**wrong)

    def names(metadata, start_us, duration_us, tensor):
        return ["car"] * len(tensor), np.ones(len(tensor), bool)

    arguments = (stores, 9_000, "histogram", (3,))
    with pytest.raises(UsageError, match="labels are of str; augment moves records"):
        list(SequentialLoader(*arguments, load_labels=names, augment=Augment(flip_x=1)))
    resized = {"resize": (6, 9), "of": "frame", "method": "nearest"}
    with pytest.raises(UsageError, match="does not go with a geometry that resizes"):
        list(SequentialLoader(*arguments, geometry=resized, augment=Augment(of="events")))
    tree = rvt_tree(tmp_path / "tree", {"train/a": (3, [2])})
    for on_damage in ("fail", "skip"):
        with pytest.raises(UsageError, match="are computed already, so that events cannot"):
            list(SequentialLoader(tree, augment=Augment(of="events"), on_damage=on_damage))
