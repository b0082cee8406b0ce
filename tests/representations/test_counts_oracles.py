"""What other projects' code made of given events, and what representations make of them."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.representations import (
    Binary,
    EventImage,
    Histogram,
    MixedDensityStack,
    Representation,
    StackedHistogram,
    VoxelGrid,
    frames,
    tensor,
)
from evreel.windows import Windows
from support import shared_file

SMALL = Sensor(10, 14)


@cache
def oracle(name: str) -> tuple[Any, dict[str, Any]]:
    """Return (index, name → array) of an oracle."""
    index = json.loads(shared_file(f"oracles/{name}.json").read_text(encoding="utf-8"))
    with np.load(shared_file(f"oracles/{name}.npz")) as arrays:
        return index, dict(arrays)


def columns(arrays: dict[str, Any], name: str) -> list[Any]:
    """Return t, x, y, p of an input, as whole numbers."""
    if name in arrays:
        return [arrays[name][column].astype(np.int64) for column in "txyp"]
    return [arrays[f"{name}/{column}"].astype(np.int64) for column in "txyp"]


def by_rows(events: Events, start: Any, stop: Any) -> Windows:
    """Return windows of given rows; an empty one has some microsecond."""
    start, stop = np.asarray(start, dtype=np.int64), np.asarray(stop, dtype=np.int64)
    t = np.append(events.t, events.t[-1:] + 1) if len(events) else np.zeros(1, dtype=np.int64)
    first, last = t[start], np.where(stop > start, t[stop - 1], t[start])
    return Windows(first, last + 1, start, stop)


def whole(events: Events) -> Windows:
    return by_rows(events, [0], [len(events)])


def rvt_representation(case: dict[str, Any]) -> Representation:
    if case["rep"] == "stacked":
        return StackedHistogram(
            case["bins"], case["count_cutoff"], compat="rvt", fastmode=case["fastmode"]
        )
    return MixedDensityStack(case["bins"], "rvt", case["count_cutoff"])


def test_rvt__representations_equal_all_cases_that_events_can_hold():
    cases, arrays = oracle("rvt_representations")
    outcome: Counter[str] = Counter()
    for case in cases:
        t, x, y, p = columns(arrays, f"in/{case['input']}")
        try:
            events = Events(t, x, y, p, Sensor(case["height"], case["width"]))
            representation = rvt_representation(case)
        except EventsError:
            # RVT puts x = W onto the next row, takes first and last elements as the ends of
            # unsorted times, and stops with an AssertionError at p = -1: such events are
            # repaired by name when a recording is read, or are an error there.
            assert case["input"] in ("out_of_frame_x", "out_of_frame_end", "unsorted", "neg_pol")
            outcome["not events"] += 1
            continue
        except ParameterError:
            assert "error" in case, case
            outcome["refused"] += 1
            continue
        repairs: dict[str, int] = {}
        (made,) = tensor(representation, events, whole(events), repairs)
        expected = arrays[f"out/{case['id']}"]
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made, expected, err_msg=str(case))
        if case["rep"] == "stacked":
            lost = repairs["stacked_histogram_increments_lost"]
            assert expected.sum(dtype=np.int64) + lost == len(events)
        outcome["equal"] += 1
    assert outcome == {"equal": 185, "not events": 24, "refused": 6}


def test_rvt__slow_mode_is_what_saturates_as_long_as_no_count_wraps():
    cases, arrays = oracle("rvt_representations")
    compared = 0
    for case in cases:
        # From 22 bins or 40 s on, float32 puts some events into a neighbouring bin.
        if case["rep"] != "stacked" or case.get("fastmode") or "error" in case:
            continue
        if case["input"] in ("unsorted", "long_span", "borders", "borders40s", "hot33000"):
            continue
        events = Events(*columns(arrays, f"in/{case['input']}"), (case["height"], case["width"]))
        (made,) = tensor(
            StackedHistogram(case["bins"], case["count_cutoff"]), events, whole(events)
        )
        np.testing.assert_array_equal(made, arrays[f"out/{case['id']}"], err_msg=str(case))
        compared += 1
    assert compared > 25


def spikingjelly_rows(case: dict[str, Any], t: Any) -> tuple[Any, Any]:
    """Return the rows of each of SpikingJelly's frames."""
    if "j_l" in case:
        return case["j_l"], case["j_r"]
    # By duration: from the first event; the last frame also takes an event at its end.
    n, duration = case["shape"][0], case["duration"]
    edges = np.searchsorted(t, t[0] + duration * np.arange(n + 1))
    edges[-1] = len(t)
    return edges[:-1], edges[1:]


def test_spikingjelly__frames_are_the_histogram():
    index, arrays = oracle("spikingjelly")
    compared = 0
    for case in index["cases"]:
        t, x, y, p = columns(arrays, f"in/{case['input']}")
        if "error" in case or (np.diff(t) < 0).any():
            continue  # an IndexError for an empty slice; unsorted times are not events
        events = Events(t, x, y, p != 0, SMALL)
        windows = by_rows(events, *spikingjelly_rows(case, t))
        expected = arrays[f"out/{case['id']}"]
        for dtype in ("uint16", "int32"):
            made = tensor(Histogram(dtype), events, windows)
            np.testing.assert_array_equal(made, expected, err_msg=str(case))
        compared += 1
    assert compared > 80


def tonic_rows(case: dict[str, Any], t: Any) -> tuple[Any, Any]:
    """Return the rows of each of Tonic's frames: by time or by count, from the first event on."""
    k = np.arange(case["shape"][0])
    overlap = case.get("overlap", 0)
    if "event_count" in case or "n_event_bins" in case:
        size = case.get("event_count") or len(t) // case["n_event_bins"]
        start = k * (size - overlap)
        return np.minimum(start, len(t)), np.minimum(start + size, len(t))
    begin = case.get("start_time", t[0])
    if "time_window" in case:
        size, stride = case["time_window"], case["time_window"] - overlap
    else:
        size = (t[-1] - t[0]) // case["n_time_bins"] * (1 + overlap)
        stride = size * (1 - overlap)
    start_us = begin + k * stride
    return np.searchsorted(t, start_us), np.searchsorted(t, start_us + size)


def test_tonic__frames_are_the_histogram():
    cases, arrays = oracle("tonic")
    compared = 0
    for case in cases:
        if case["transform"] != "ToFrame":
            continue
        t, x, y, p = columns(arrays, f"in/{case['input']}")
        expected = arrays[f"out/{case['id']}"]
        if not len(t):
            assert expected.shape[2:] == (14, 10), "height and width are swapped"
            continue
        events = Events(t, x, y, p != 0, SMALL)
        windows = by_rows(events, *tonic_rows(case, t))
        made = tensor(Histogram("int16"), events, windows)
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made, expected, err_msg=str(case))
        marked = tensor(Binary(per_polarity=True), events, windows)
        np.testing.assert_array_equal(marked, expected > 0)
        compared += 1
    assert compared > 70


def test_tonic__voxel_grid_is_the_first_bins_of_the_next_larger_one():
    cases, arrays = oracle("tonic")
    compared = 0
    for case in cases:
        t, x, y, p = columns(arrays, f"in/{case['input']}")
        if case["transform"] != "ToVoxelGrid" or "error" in case:
            continue  # for no event, for one bin of one time, and for the polarities of u8p
        # Tonic takes false and true both as ON.
        p = np.ones_like(p) if case["input"] == "boolp" else p > 0
        events = Events(t, x, y, p, SMALL)
        n = case["n_time_bins"]
        expected = arrays[f"out/{case['id']}"][:, 0]
        if t[-1] == t[0]:
            assert np.isnan(expected).any()
            continue
        (made,) = tensor(VoxelGrid(n, compat="tonic"), events, whole(events))
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5, err_msg=str(case))
        (larger,) = tensor(VoxelGrid(n + 1), events, whole(events))
        assert made.tobytes() == larger[:n].tobytes()
        compared += 1
    assert compared >= 15


def test_openeb__event_image_is_the_signed_one():
    _, arrays = oracle("openeb_core_ml")
    compared = 0
    for key, expected in arrays.items():
        if not key.startswith("image/"):
            continue
        for k, image in enumerate(expected):
            t, x, y, p = columns(arrays, f"cd/{key[6:]}/in{k}")
            order = np.argsort(t, kind="stable")  # they count before the start of a window, too
            t -= t.min(initial=0)
            events = Events(t[order], x[order], y[order], p[order], Sensor(12, 16))
            (made,) = tensor(EventImage(), events, whole(events))
            np.testing.assert_array_equal(made[0], image, err_msg=key)
            compared += 1
    assert compared >= 9


def test_openeb__event_volume_is_the_voxel_grid_of_its_rule():
    from evreel.kernels.voxel_grid import add_centred

    index, arrays = oracle("openeb_core_ml")
    compared: Counter[bool] = Counter()
    for case in index["volume"]:
        if case["fn"] != "event_volume":
            continue
        for k, expected in enumerate(arrays[case["key"]]):
            t, x, y, p = columns(arrays, f"cd/{case['input']}/in{k}")
            t = t.astype(np.float32).astype(np.int64)  # as OpenEB rounds them before it subtracts
            start, duration = int(case["start_times"][k]), int(case["durations"][k])
            is_window = bool(((t >= start) & (t < start + duration)).all())
            if is_window:
                events = Events(t, x, y, p, Sensor(12, 16))
                windows = Windows([start], [start + duration], [0], [len(events)])
                grid = VoxelGrid(case["nbins"], "window", f"openeb_{case['mode']}")
                (made,) = tensor(grid, events, windows)
            else:  # its bins take what is outside the window, too, but no window of ours has any
                made = np.zeros_like(expected)
                typed = (x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))
                add_centred(t, *typed, start, duration, case["mode"] == "bilinear", 1.0, made)
            np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5, err_msg=case["key"])
            compared[is_window] += 1
    assert compared[True] >= 70
    assert compared[False] > 10


def test_openeb__weights_by_time_are_equal():
    _, arrays = oracle("openeb_core_ml")
    t = arrays["profile/t"]
    inside = (t >= 0) & (t < 100_000)
    for mode in ("bilinear", "nearest"):
        for stamp, expected in zip(t[inside], arrays[f"profile/{mode}"][inside], strict=True):
            events = Events([stamp], [0], [0], [1], Sensor(1, 1))
            windows = Windows([0], [100_000], [0], [1])
            (made,) = tensor(VoxelGrid(4, "window", f"openeb_{mode}"), events, windows)
            assert made[:, 0, 0].tobytes() == expected.tobytes()


def sparse(arrays: dict[str, Any], case: dict[str, Any], value: str, *axes: str, shape: Any) -> Any:
    """Return a table of evlib's as a dense array; OFF is 0 or −1 there."""
    made = np.zeros(shape, dtype=np.int64)
    place = tuple(arrays[f"out/{case['id']}/{axis}"].clip(min=0) for axis in axes)
    made[place] = arrays[f"out/{case['id']}/{value}"]
    return made


def test_evlib__representations_are_ours():
    index, arrays = oracle("evlib")
    compared: Counter[str] = Counter()
    for case in index["representations"]:
        t, x, y, p = columns(arrays, f"in/{case['input']}")
        events = Events(t, x, y, p != 0, SMALL)
        name = case["fn"].split("+")[0]
        made: Any
        if name == "create_stacked_histogram":
            # `window_duration_ms` is that of a bin; what comes after the last one is left out.
            start, bins = int(t[0]), case["bins"]
            stop = start + round(bins * case["window_duration_ms"] * 1000)
            windows = Windows([start], [stop], [0], [np.searchsorted(t, stop)])
            (made,) = tensor(StackedHistogram(bins, None, "window"), events, windows)
            made = made.reshape(2, bins, *SMALL)
            axes = ("polarity", "time_bin", "y", "x")
            expected = sparse(arrays, case, "count", *axes, shape=made.shape)
        elif name == "create_mixed_density_stack":
            signed = case["polarity"] == "-1/1"
            (made,) = tensor(EventImage(signed=signed), events, whole(events))
            if not signed:  # the sum of 0 and 1: the ON events
                (made,) = tensor(Histogram(), events, whole(events))
                made = made[1:]
            expected = sparse(arrays, case, "polarity_sum", "y", "x", shape=SMALL)[None]
        elif name == "event_histogram":
            (made,) = tensor(Histogram(), events, whole(events))
            expected = sparse(arrays, case, "count", "polarity", "y", "x", shape=made.shape)
        elif name == "create_voxel_grid":
            grid = VoxelGrid(case["n_time_bins"], compat="tonic")
            (made,) = tensor(grid, events, whole(events))
            expected = arrays[f"out/{case['id']}/dense"][:, 0]
            np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5, err_msg=str(case))
            compared[name] += 1
            continue
        elif name == "create_event_frame":
            n = case["n_time_bins"]
            expected = arrays[f"out/{case['id']}/dense"]
            if t[-1] == t[0]:  # all in the first frame; in none of Tonic's
                windows = by_rows(events, [0] * n, [len(t)] + [0] * (n - 1))
            else:
                windows = by_rows(events, *tonic_rows({**case, "shape": [n]}, t))
            made = tensor(Histogram("int64"), events, windows)
        else:
            continue
        np.testing.assert_array_equal(made, expected, err_msg=str(case))
        compared[name] += 1
    assert compared == {
        "create_event_frame": 24,
        "create_stacked_histogram": 16,
        "create_mixed_density_stack": 8,
        "event_histogram": 8,
        "create_voxel_grid": 24,
    }


def test_rvt__frames_are_the_same_however_rows_are_read():
    cases, arrays = oracle("rvt_representations")
    case = next(case for case in cases if case["input"] == "long_span" and case["bins"] == 10)
    events = Events(*columns(arrays, "in/long_span"), Sensor(case["height"], case["width"]))
    windows = whole(events)
    for representation in (StackedHistogram(compat="rvt"), MixedDensityStack()):
        (expected,) = tensor(representation, events, windows)
        read = frames(representation, lambda a, b: events[a:b], windows, events.sensor, rows=7)
        assert next(read).tobytes() == expected.tobytes()
