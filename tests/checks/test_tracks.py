"""Checks of tracks: what looks wrong is found, with its place; what does not is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.annotations.tables import Spans
from evreel.checks import tracks
from evreel.checks.run import check
from evreel.checks.tracks import SUSPICIONS, Tracks, read_tracks
from evreel.files.slices import SlicesFile
from support.labelled import labelled, rows, sign, van

N = 40


def made(n_regions: int = 1, frame_us: int = 50_000, step: int = 1, **columns) -> Tracks:
    """Boxes of 10 × 10 px that move by 1 px a frame, for 40 frames; each has events to the end.

    A column may be given as a function of (region, frame).
    """
    roi, frame = (column.ravel() for column in np.indices((n_regions, N)))
    start = frame * frame_us
    left = 5.0 + frame
    columns = {
        name: value(roi, frame) if callable(value) else value for name, value in columns.items()
    }
    left = columns.pop("left", left) * np.ones(len(roi))
    keep = columns.pop("shown", np.ones(len(roi), dtype=bool))
    parts = (roi.astype(np.int32), frame * step, start, start + frame_us, left, 20.0 + 0 * left)
    parts = [part[keep] for part in (*parts, left + 10, 30.0 + 0 * left)]
    order = np.lexsort((parts[0], parts[1]))
    found = {
        "names": [f"car {k}" for k in range(n_regions)],
        "label": np.zeros(n_regions, dtype=np.int32),
        "n_events": np.full(n_regions, 9),
        "last_us": np.full(n_regions, N * frame_us - 1),
        "sensor": (48, 64),
        "labelled": Spans(np.array([0]), np.array([N * frame_us])),
        **columns,
    }
    names = ("roi", "frame", "start_us", "stop_us", "left", "top", "right", "bottom")
    shapes = dict(zip(names, (part[order] for part in parts), strict=True))
    return Tracks(**{**shapes, **found})


def found(of: Tracks) -> dict[str, list]:
    return {name: list(find(of)) for name, find in SUSPICIONS.items() if list(find(of))}


def test_tracks__that_move_and_have_events_are_not_suspicious():
    assert found(made()) == {}
    assert found(made(3)) == {}
    empty = made(2, shown=lambda roi, frame: roi < 0)
    assert found(empty) == {}


def test_jump__is_a_step_that_is_far_for_this_track_and_touches_nothing():
    [[one]] = found(made(2, left=lambda roi, k: 5.0 + k + 14 * (roi & (k == 7)))).values()
    assert (one.roi, one.place) == (1, "car 1, frame 7")
    assert one.problem.startswith("is 15 px from where it was in frame 6; its usual step is 1.0 px")
    assert "the first of 2 such jumps" in one.problem
    assert found(made(left=lambda roi, k: 5.0 + k + 7 * (k == 7))) == {}, "the boxes touch"
    fast = made(left=lambda roi, k: 20.0 + 15 * (k % 2) + k / 100)
    assert found(fast) == {}, "it always moves like that"
    away = made(left=lambda roi, k: 5.0 + k + 14 * (k >= 7), shown=lambda roi, k: (k < 5) | (k > 9))
    assert found(away) == {}, "it was away meanwhile"


def test_jump__is_found_in_a_stepped_task():
    assert list(found(made(step=5, left=lambda roi, k: 5.0 + k + 14 * (k == 7)))) == [
        "jumping_track"
    ]


def test_leaving__is_to_be_wholly_outside():
    [one] = found(made(2, left=lambda roi, k: 26.0 + k))["outside_track"][:1]
    assert (one.roi, one.place) == (0, "car 0, frame 38")
    assert "outside the sensor of 64x48 in 2 frames" in one.problem
    assert len(found(made(2, left=lambda roi, k: 26.0 + k))["outside_track"]) == 2
    assert found(made(left=lambda roi, k: 24.9 + k)) == {}
    assert "outside_track" in found(made(left=lambda roi, k: -10.0 - k))


def test_silent__is_to_have_no_event_for_long_enough():
    none = {"n_events": np.array([9, 0]), "last_us": np.array([N * 50_000 - 1, -1])}
    [[one]] = found(made(2, **none)).values()
    assert (one.roi, one.place) == (1, "car 1")
    assert "no event in the 2.000 s" in one.problem
    assert found(made(2, **none, shown=lambda roi, k: (roi == 0) | (k == 3))) == {}, "50 ms"


def test_unclosed__goes_on_to_the_end_of_the_labelled_time_without_events():
    quiet = {"last_us": np.array([900_000])}
    [[one]] = found(made(**quiet)).values()
    assert one.place == "car 0, t=900000 µs"
    assert "no event in its last 1.100 s" in one.problem
    assert found(made(last_us=np.array([1_000_001]))) == {}
    assert found(made(**quiet, shown=lambda roi, k: k < N - 1)) == {}, "somebody closed it"


def test_frozen__is_what_boxes_call_frozen_for_each_track_once():
    [both] = found(made(2, left=lambda roi, k: 5.0 + 30 * roi)).values()
    assert [one.roi for one in both] == [0, 1]
    assert both[0].problem.startswith("the same box for 1.950 s")
    assert found(made(left=lambda roi, k: 5.0 + k // 20)) == {}, "0.95 s each"


def test_frozen__names_the_first_of_loose_shapes():
    diagonal = made(N, left=5.0, shown=lambda roi, k: roi == k)
    [[one]] = found(diagonal).values()
    assert (one.roi, one.place) == (0, "car 0, frame 0")


def test_check__finds_the_first_of_each_and_counts_the_others():
    of = made(3, n_events=np.zeros(3, dtype=int), left=lambda roi, k: 30.0 + k)
    [(place, problem)] = tracks.silent_track(of)
    assert place == "car 0"
    assert problem.endswith("the first of 3 such tracks")
    [(place, problem)] = tracks.outside_track(of)
    assert "the first of 3 such tracks" in problem


def test_tracks__count_events_of_all_their_regions(tmp_path, monkeypatch):
    events = rows((100, 5, 6, 1), (200, 5, 6, 0), (40_100, 22, 11, 1), (90_000, 29, 19, 1))
    over = van(frames=range(1, 10))  # the same object annotated twice
    made = labelled(tmp_path, van(), over, sign(), events=events)
    for rows_ in (1 << 18, 1):
        monkeypatch.setattr(tracks, "READ_ROWS", rows_)
        monkeypatch.setattr(tracks, "READ_OVERLAPS", rows_)
        monkeypatch.setattr(tracks, "READ_SHAPES", rows_)
        with SlicesFile(made.slices) as file:
            read = read_tracks(file)
        assert list(read.names) == ["van 3", "van 3", "車両 7"]
        assert read.n_events.tolist() == [2, 0, 1]
        assert read.last_us.tolist() == [200, -1, 40_100]
        assert len(read.roi) == 10 + 9 + 1
        assert (read.right - read.left).tolist()[:3] == [10.0, 10.0, 10.0]


def test_tracks__count_what_is_under_another(tmp_path):
    events = rows((40_100, 7, 6, 1), (90_000, 29, 19, 1))
    made = labelled(tmp_path, van(), van(z_order=1), events=events)
    with SlicesFile(made.slices) as file:
        assert read_tracks(file).n_events.tolist() == [1, 1]
        assert len(file.overlaps.event) == 1


def test_check__of_slices_looks_at_tracks(tmp_path):
    silent = labelled(tmp_path, events=rows((100, 29, 0, 1), (99_999, 29, 19, 1)))
    report = check(silent.slices)
    [finding] = [one for one in report.findings if one.check == "silent_track"]
    assert finding.place == "van 3"
    assert finding.severity == "warning"


@pytest.mark.parametrize("name", ["frozen_box", "jumping_track", "outside_track", "silent_track"])
def test_suspicions__have_names_of_checks(name):
    assert name in SUSPICIONS
