"""`evreel.boxes`: files, parts by time, windows, and what is done to boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import boxes as box_api
from evreel.annotations.tables import Spans
from evreel.boxes import (
    EVENT_BBOX,
    clip_boxes,
    create_class_lookup,
    iou,
    load_box_events,
    load_boxes,
    load_labels_stub,
    nms,
    rescale_boxes,
    split_boxes,
)
from evreel.errors import AnnotationError, EvreelError, ParameterError
from evreel.geometry import Geometry
from support import shared_file
from support.boxes import boxes_at

LEGACY = np.dtype(
    [("ts", "<u8"), *((name, "<f4") for name in "xywh"), ("class_id", "u1"), ("confidence", "<f4")]
)


@dataclass(frozen=True)
class Recording:
    """What a loader tells of a recording."""

    path: Path
    start_ts: int = 0
    padding: bool = False
    sensor: tuple[int, int] | None = None
    geometry: Geometry | None = None
    labelled: Spans | None = None
    boxes: Path | None = None


def made(**columns: Any) -> np.ndarray:
    """Return boxes of columns; of others 0."""
    found = np.zeros(max(len(np.ravel(column)) for column in columns.values()), dtype=EVENT_BBOX)
    for name, column in columns.items():
        found[name] = column
    return found


def frames(n: int, height: int = 10, width: int = 20) -> np.ndarray:
    return np.zeros((n, 2, height, width), dtype=np.float32)


@given(
    times=st.lists(st.integers(0, 60), max_size=12),
    start=st.integers(0, 7),
    delta_t=st.integers(1, 9),
    num_tbins=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_parts__give_each_label_once_wherever_batches_end(
    tmp_path_factory, times, start, delta_t, num_tbins
):
    path = boxes_at(tmp_path_factory.mktemp("boxes") / "a_bbox.npy", *sorted(times))
    recording, every = Recording(path.with_name("a.h5"), start_ts=start), np.load(path)
    duration = delta_t * num_tbins
    got = []
    for begin in range(start, 70, duration):
        labels, labelled = load_boxes(recording, begin, duration, frames(num_tbins))
        loaded = load_box_events(recording, begin, duration)
        split = split_boxes(loaded, begin, delta_t, num_tbins, first=begin == start)
        whole = split_boxes(every, begin, delta_t, num_tbins, first=begin == start)
        for k in range(num_tbins):
            low, high = begin + k * delta_t, begin + (k + 1) * delta_t
            slow = [t for t in sorted(times) if low < t <= high or t == low == start]
            for part in (labels[k], split[k], whole[k]):
                assert part["t"].tolist() == slow
            assert labelled[k] == bool(slow)
            got += labels[k]["track_id"].tolist()
    assert got == [k for k, t in enumerate(sorted(times)) if t >= start]


def test_load_boxes__loses_no_label_if_windows_do_not_divide_the_part(tmp_path):
    path = boxes_at(tmp_path / "a_bbox.npy", *range(11))
    labels, _ = load_boxes(Recording(path.with_name("a.raw")), 0, 10, frames(3))
    assert [part["t"].tolist() for part in labels] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9, 10]]


@pytest.mark.parametrize("name", ["delta_t_us", "delta_t"])
def test_load_boxes__of_a_tail_are_in_windows_of_the_recordings_duration(tmp_path, name):
    path = boxes_at(tmp_path / "a_bbox.npy", 101, 110, 111, 125)
    spans = Spans(np.array([0]), np.array([200]))
    recording = SimpleNamespace(path=path.with_name("a.h5"), labelled=spans, **{name: 10})
    labels, labelled = load_boxes(recording, 100, 15, frames(3))
    assert [part["t"].tolist() for part in labels] == [[101, 110], [111], []]
    assert labelled.tolist() == [True, True, False]


def test_split_boxes__takes_the_start_of_a_recording_alone():
    every = made(t=[10, 20, 30])
    assert [len(part) for part in split_boxes(every, 10, 10, 2)] == [1, 1]
    assert [len(part) for part in split_boxes(every, 10, 10, 2, first=True)] == [2, 1]
    shuffled = split_boxes(every[[2, 0, 1]], 0, 15, 2)
    assert [part["t"].tolist() for part in shuffled] == [[10], [30, 20]]
    assert [len(part) for part in split_boxes([], 0, 10, 2)] == [0, 0]
    assert split_boxes([], 0, 10, 2)[0].dtype == EVENT_BBOX


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0, 0, 1), "delta_t=0 is less than 1"),
        ((0, 10, 0), "num_tbins=0 is less than 1"),
        ((0.5, 10, 1), r"batch_start_time=0\.5 is not a whole number"),
    ],
)
def test_split_boxes__refuses_windows_that_are_none(arguments, told):
    with pytest.raises(ParameterError, match=told):
        split_boxes(made(t=[1]), *arguments)


def test_load_box_events__opens_a_file_once_and_again_if_it_changes(tmp_path):
    path = boxes_at(tmp_path / "a_bbox.npy", 5, 15)
    recording = Recording(tmp_path / "a.h5")
    with mock.patch("evreel.boxes.BoxesByTime", wraps=box_api.BoxesByTime) as opened:
        for start in (0, 10, 0):
            assert load_box_events(recording, start, 10)["t"].tolist() == [start + 5]
        assert opened.call_count == 1
        box_api.write(path, made(t=[7, 8], w=1, h=1))
        assert load_box_events(recording, 0, 10)["t"].tolist() == [7, 8]
        assert opened.call_count == 2


def test_load_box_events__gives_boxes_that_may_be_edited(tmp_path):
    path = boxes_at(tmp_path / "a_bbox.npy", 5)
    before = path.read_bytes()
    got = load_box_events(Recording(tmp_path / "a.h5"), 0, 10)
    got["class_id"] = 7
    assert path.read_bytes() == before
    assert load_box_events(Recording(tmp_path / "a.h5"), 0, 10)["class_id"].tolist() == [0]


def test_load_box_events__names_the_row_that_goes_back_in_time(tmp_path):
    boxes = made(t=np.arange(70_000))
    boxes["t"][65_536:] -= 2
    np.save(tmp_path / "a_bbox.npy", boxes)
    with pytest.raises(AnnotationError, match=r"^a_bbox\.npy: record 65536: goes back in time"):
        load_box_events(Recording(tmp_path / "a.h5"), 0, 10)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", "cut"])
def test_load_box_events__names_a_damaged_file(tmp_path, content):
    path = boxes_at(tmp_path / "a_bbox.npy", 5, 6)
    path.write_bytes(path.read_bytes()[:-1] if content == "cut" else content)
    with pytest.raises(AnnotationError, match=r"^a_bbox\.npy: is not a complete \.npy file"):
        load_box_events(Recording(tmp_path / "a.h5"), 0, 10)


def test_read__of_a_missing_file_says_what_to_give(tmp_path):
    for path in (tmp_path / "none_bbox.npy", tmp_path):
        with pytest.raises(AnnotationError, match=r"cannot be read: .*\. Give the path of a .npy"):
            box_api.read(path)


def test_load_box_events__tells_no_file_from_no_box(tmp_path):
    with pytest.raises(AnnotationError, match=r"^a\.h5: has no boxes beside it\. Is a_bbox\.npy"):
        load_box_events(Recording(tmp_path / "a.h5"), 0, 10)
    with pytest.raises(AnnotationError, match=r"^b\.npy: there is no such file of boxes"):
        load_box_events(Recording(tmp_path / "a.h5", boxes=tmp_path / "b.npy"), 0, 10)
    boxes_at(tmp_path / "a_bbox.npy")
    assert len(load_box_events(Recording(tmp_path / "a.h5"), 0, 10)) == 0
    assert len(load_box_events(Recording(tmp_path / "none.h5", padding=True), 0, 10)) == 0


def test_load_box_events__finds_boxes_as_prophesee_names_them(tmp_path):
    boxes_at(tmp_path / "17-04_bbox.npy", 5)
    for name in ("17-04.raw", "17-04_td.dat", "17-04_cd.dat", "17-04_td.dat.h5"):
        assert len(load_box_events(Recording(tmp_path / name), 0, 10)) == 1
    boxes_at(tmp_path / "17-04_td_bbox.npy", 5, 6)
    assert len(load_box_events(Recording(tmp_path / "17-04_td.dat"), 0, 10)) == 2
    elsewhere = boxes_at(tmp_path / "other.npy", 5, 6)
    assert len(load_box_events(Recording(tmp_path / "17.raw", boxes=elsewhere), 0, 10)) == 2


def test_load_box_events__reads_older_fields(tmp_path):
    old = np.zeros(3, dtype=LEGACY)
    old["ts"], old["confidence"], old["class_id"] = [3, 10, 11], 0.5, 1
    np.save(tmp_path / "a_bbox.npy", old)
    got = load_box_events(Recording(tmp_path / "a.h5"), 0, 10)
    assert got.dtype == EVENT_BBOX
    assert got[["t", "class_id", "class_confidence"]].tolist() == [(3, 1, 0.5), (10, 1, 0.5)]
    np.testing.assert_array_equal(box_api.read(tmp_path / "a_bbox.npy")[:2], got)
    old["ts"][2] = 2**63
    np.save(tmp_path / "a_bbox.npy", old)
    with pytest.raises(AnnotationError, match=r"record 2: ts is 9223372036854775808"):
        load_box_events(Recording(tmp_path / "a.h5"), 0, 10)


def test_load_box_events__reads_published_boxes():
    path = shared_file("oracles/rvt_in/gen1/train/a_bbox.npy")
    recording, every = Recording(path.with_name("a_td.dat.h5")), np.load(path)
    got = [load_box_events(recording, t, 100_000) for t in range(0, 1_300_000, 100_000)]
    np.testing.assert_array_equal(np.concatenate(got)["t"], every["t"])


def test_write__takes_older_fields_and_replaces_a_file(tmp_path):
    old = np.zeros(2, dtype=LEGACY)
    old["ts"] = [3, 4]
    for boxes in (made(t=[1]), old):
        box_api.write(tmp_path / "a.npy", boxes)
    assert np.load(tmp_path / "a.npy").dtype == EVENT_BBOX
    assert box_api.read(tmp_path / "a.npy")["t"].tolist() == [3, 4]
    with pytest.raises(AnnotationError, match=r"^a\.npy: record 1: goes back in time"):
        box_api.write(tmp_path / "a.npy", old[::-1])
    assert box_api.read(tmp_path / "a.npy")["t"].tolist() == [3, 4]
    with pytest.raises(AnnotationError, match="boxes are float64 in 2 dimensions"):
        box_api.write(tmp_path / "a.npy", np.zeros((2, 4)))


def test_load_boxes__is_in_the_pixels_of_the_frames(tmp_path):
    boxes = made(t=[1, 2, 3], x=[2, 38, 50], y=4, w=4, h=8)
    np.save(tmp_path / "a_bbox.npy", boxes)
    counts: dict[str, int] = {}
    recording = Recording(tmp_path / "a.h5", sensor=(20, 40))
    ((got,), _) = load_boxes(recording, 0, 10, frames(1), repairs=counts)
    assert got[["x", "y", "w", "h"]].tolist() == [(1, 2, 2, 4), (19, 2, 1, 4)]
    assert counts == {"boxes_clipped": 1, "boxes_outside": 1, "boxes_too_small": 0}
    np.testing.assert_array_equal(np.load(tmp_path / "a_bbox.npy"), boxes)


def test_load_boxes__are_turned_as_the_frames_are(tmp_path):
    np.save(tmp_path / "a_bbox.npy", made(t=[1], x=2, y=4, w=4, h=8))
    geometry = Geometry(flip_x=True, downsample=1)
    recording = Recording(tmp_path / "a.h5", sensor=(20, 40), geometry=geometry)
    ((got,), _) = load_boxes(recording, 0, 10, frames(1))
    assert got[["x", "y", "w", "h"]].tolist() == [(17, 2, 2, 4)]
    origin = {"parameters": {"geometry": {"flip_x": True, "downsample": 1}}}
    (tmp_path / "b_bbox.json").write_text(json.dumps(origin))
    box_api.write(tmp_path / "b_bbox.npy", got)
    of_frames = Recording(tmp_path / "b.h5", sensor=(20, 40))
    ((again,), _) = load_boxes(of_frames, 0, 10, frames(1, 20, 40))
    assert again[["x", "y", "w", "h"]].tolist() == [(34, 4, 4, 8)]


def test_load_boxes__leaves_out_other_classes_and_small_boxes(tmp_path):
    boxes = made(t=[1, 2, 12, 13], w=[3, 3, 3, 1], h=4, class_id=[0, 1, 2, 0])
    np.save(tmp_path / "a_bbox.npy", boxes)
    lookup = create_class_lookup({0: "car", 1: "bus", 2: "van"}, ["bus", "car"])
    load = partial(load_boxes, class_lookup=lookup, min_box_diag_network=5)
    counts: dict[str, int] = {}
    labels, labelled = load(Recording(tmp_path / "a.h5"), 0, 20, frames(2), repairs=counts)
    assert [part["class_id"].tolist() for part in labels] == [[2, 1], []]
    assert labelled.tolist() == [True, True], "what was left out was labelled"
    assert counts["boxes_of_other_classes"] == counts["boxes_too_small"] == 1
    with pytest.raises(AnnotationError, match=r"^a_bbox\.npy: box at t=12: class_id is 2, but"):
        load(Recording(tmp_path / "a.h5"), 0, 20, frames(2), class_lookup=[0, 1])


@pytest.mark.parametrize("lookup", [{0: 1}, ["car"], [[1]], [0.5], 3])
def test_load_boxes__refuses_a_class_lookup_that_is_none(tmp_path, lookup):
    box_api.write(tmp_path / "a_bbox.npy", made(t=[1, 2], w=3, h=3))
    of = SimpleNamespace(path=tmp_path / "a.h5")
    with pytest.raises(
        ParameterError, match=r"class_lookup is .*Make it with evreel\.boxes\.create"
    ):
        load_boxes(of, 0, 10, np.zeros((2, 1, 8, 8)), class_lookup=lookup)
    box_api.write(tmp_path / "a_bbox.npy", made(t=[1, 2], w=[3, np.nan], h=3))
    with pytest.raises(AnnotationError, match=r"a_bbox\.npy: box at t=2: a number of a box is NaN"):
        load_boxes(of, 0, 10, np.zeros((2, 1, 8, 8)))


def test_load_boxes__tells_empty_windows_from_those_not_labelled(tmp_path):
    boxes_at(tmp_path / "a_bbox.npy", 35)
    spans = Spans(np.array([0, 41]), np.array([20, 60]))
    recording = Recording(tmp_path / "a.h5", labelled=spans)
    labels, labelled = load_boxes(recording, 0, 60, frames(6))
    assert [len(part) for part in labels] == [0, 0, 0, 1, 0, 0]
    assert labelled.tolist() == [True, True, False, False, True, True]
    assert load_boxes(recording, 15, 10, frames(2))[1].tolist() == [True, False]
    padding = Recording(tmp_path / "a.h5", labelled=spans, padding=True)
    assert load_boxes(padding, 0, 60, frames(6))[1].tolist() == [False] * 6


def test_load_boxes__keeps_the_last_box_of_each_track_and_counts_the_others(tmp_path):
    given = made(t=[1, 5, 9, 10, 15], track_id=[1, 2, 1, 1, 1], w=4, h=3)
    box_api.write(tmp_path / "r_bbox.npy", given)
    recording, counts = Recording(tmp_path / "r.h5"), {}
    every, _ = load_boxes(recording, 0, 20, frames(2))
    assert [window["t"].tolist() for window in every] == [[1, 5, 9, 10], [15]]
    last, labelled = load_boxes(recording, 0, 20, frames(2), keep="last", repairs=counts)
    assert [window["t"].tolist() for window in last] == [[5, 10], [15]]
    assert labelled.all() and counts["boxes_not_last"] == 2
    with pytest.raises(ParameterError, match="keep='one' is neither 'all' nor 'last'"):
        load_boxes(recording, 0, 20, frames(2), keep="one")


def test_load_labels_stub__gives_a_list_for_each_window():
    labels, labelled = load_labels_stub(Recording(Path("a.h5")), 0, 30, frames(3))
    assert labels == [[], [], []] and labels[0] is not labels[1]
    assert labelled.dtype == bool and labelled.tolist() == [False] * 3


def test_create_class_lookup__takes_all_names_if_none_is_wanted():
    for wanted in ((), None, np.array([], dtype=str)):
        assert create_class_lookup({0: "car", 2: "bus"}, wanted).tolist() == [1, -1, 2]


def test_create_class_lookup__reads_the_map_of_a_folder(tmp_path):
    (tmp_path / "label_map_dictionary.json").write_text('{"4": "Zürich", "1": "car", "0": "a"}')
    for path in (tmp_path, tmp_path / "label_map_dictionary.json"):
        lookup = create_class_lookup(path, ["Zu\u0308rich", "a"])
        assert lookup.tolist() == [2, -1, -1, -1, 1]
    assert create_class_lookup(tmp_path).tolist() == [1, 2, -1, -1, 3]
    assert create_class_lookup({}).tolist() == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (["cra"], r"wanted class 'cra' is not in the label map; did you mean 'car'\?"),
        (["car", "car"], "wanted class 'car' is given twice"),
        ("car", r"wanted_keys='car' is not a list of names\. Write \['car'\]"),
    ],
)
def test_create_class_lookup__refuses_a_name_that_is_none(wanted, told):
    with pytest.raises(ParameterError, match=told):
        create_class_lookup({0: "car"}, wanted)


@pytest.mark.parametrize("text", ["", "[]", '{"a": "b"}', '{"0": 1}', '{"-1": "car"}', "\xff"])
def test_create_class_lookup__refuses_another_file(tmp_path, text):
    (tmp_path / "map.json").write_text(text, encoding="latin-1")
    with pytest.raises(AnnotationError, match=r"^map\.json: is not a label map"):
        create_class_lookup(tmp_path / "map.json")
    with pytest.raises(AnnotationError, match=r"^none\.json: cannot be read"):
        create_class_lookup(tmp_path / "none.json")


def test_create_class_lookup__refuses_numbers_that_no_table_holds():
    with pytest.raises(ParameterError, match="class 4294967295 is too large"):
        create_class_lookup({2**32 - 1: "car"})


def test_clip_and_rescale__leave_the_callers_boxes_alone():
    boxes = made(x=[-2, 3, 9], y=[1, 1, 1], w=[5, 2, 3], h=[4, 4, 4])
    before = boxes.copy()
    counts = {"boxes_clipped": 1}
    clipped = clip_boxes(boxes, (4, 8), counts)
    assert clipped[["x", "y", "w", "h"]].tolist() == [(0, 1, 3, 3), (3, 1, 2, 3)]
    assert counts == {"boxes_clipped": 3, "boxes_outside": 1}
    scaled = rescale_boxes(clipped, (4, 8), (8, 4))
    assert scaled[["x", "y", "w", "h"]].tolist() == [(0, 2, 1.5, 6), (1.5, 2, 1, 6)]
    inside = clip_boxes(boxes[1:2], (10, 10))
    inside["x"] = 7
    np.testing.assert_array_equal(boxes, before)
    for change in (lambda size: rescale_boxes(boxes, size, (8, 4)), partial(clip_boxes, boxes)):
        with pytest.raises(ParameterError, match=r"a picture of \(0, 8\) px has no area"):
            change((0, 8))
        with pytest.raises(ParameterError, match=r"\(3, 4, 8\) is not \(height, width\)"):
            change((3, 4, 8))


def slow_iou(a: np.void, b: np.void) -> float:
    """Intersection over union, by area."""
    wide = min(float(a["x"] + a["w"]), float(b["x"] + b["w"])) - max(float(a["x"]), float(b["x"]))
    high = min(float(a["y"] + a["h"]), float(b["y"] + b["h"])) - max(float(a["y"]), float(b["y"]))
    shared = max(wide, 0) * max(high, 0)
    return shared / (float(a["w"] * a["h"]) + float(b["w"] * b["h"]) - shared) if shared else 0.0


sides = st.tuples(*[st.integers(0, 6)] * 4, st.integers(0, 2), st.integers(0, 4))


@given(boxes=st.lists(sides, max_size=12), limit=st.sampled_from([0, 0.25, 0.5, 1]), aware=...)
@settings(max_examples=40, deadline=None)
def test_nms__equals_its_slow_twin(boxes: list[tuple[int, ...]], limit: float, aware: bool):
    found = np.zeros(len(boxes), dtype=EVENT_BBOX)
    for k, name in enumerate(("x", "y", "w", "h", "class_id", "class_confidence")):
        found[name] = [box[k] for box in boxes]
    scores = found["class_confidence"].tolist()
    slow: list[int] = []
    for k in sorted(range(len(boxes)), key=lambda k: (-scores[k], k)):
        others = [j for j in slow if not aware or found["class_id"][j] == found["class_id"][k]]
        if all(slow_iou(found[k], found[j]) <= limit for j in others):
            slow.append(k)
    assert nms(found, None, limit, class_aware=aware).tolist() == slow
    table = [[slow_iou(a, b) for b in found] for a in found]
    np.testing.assert_allclose(iou(found, found), np.reshape(table, (len(boxes),) * 2))


def test_nms__keeps_objects_of_two_classes_in_one_place_unless_told_otherwise():
    boxes = made(w=5, h=5, class_id=[0, 1], class_confidence=[0.4, 0.9])
    assert nms(boxes).tolist() == [1, 0]
    assert nms(boxes, class_aware=False).tolist() == [1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"scores": [0.5]}, r"scores of shape \(1,\) are given for 2 boxes"),
        ({"scores": [0.5, np.nan]}, "box 1: has a score or a side that is no number"),
        ({"iou_thresh": 1.5}, "iou_thresh=1.5 is not within 0 to 1"),
        ({"iou_thresh": np.nan}, "iou_thresh=nan is not within 0 to 1"),
    ],
)
def test_nms__refuses_what_has_no_order(more, told):
    with pytest.raises(EvreelError, match=told):
        nms(made(w=[1, 2], h=1), **more)
    with pytest.raises(AnnotationError, match="box 1: has a score or a side that is no number"):
        nms(made(w=[1, np.inf], h=1))
