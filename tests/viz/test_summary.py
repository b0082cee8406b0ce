"""Summaries: what is counted, in the table and in the plot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evreel import steps
from evreel.errors import ClockError, UsageError
from evreel.files.slices import SlicesFile
from evreel.video.labelled import colour_of
from evreel.viz.moments import clock_of
from evreel.viz.plot import MOST_ROWS, plot
from evreel.viz.summary import COLUMNS, MOST_BINS, bin_us, summarize
from support.labelled import N_FRAMES, labelled, rows, van


def summary_of(made, clock=True):
    with SlicesFile(made.slices) as file:
        return summarize(file, "some", clock_of(file, made.clock) if clock else None)


def table(summary) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the comments and the rows of the table."""
    lines = list(summary.lines())
    comments = dict(line[2:].split("\t") for line in lines if line.startswith("# "))
    header, *body = [line.split("\t") for line in lines if not line.startswith("# ")]
    assert tuple(header) == COLUMNS
    return comments, [dict(zip(header, row, strict=True)) for row in body]


def test_table__counts_events_by_label_and_track(tmp_path):
    comments, body = table(summary_of(labelled(tmp_path)))
    assert comments["events"] == "30"
    assert comments["labelled_events"] == "11"
    assert comments["labelled_share"] == "0.3667"
    assert comments["annotated_share"] == "1.0000"
    assert comments["frames"] == comments["annotated_frames"] == "10"
    assert comments["frames_without_region"] == "0"
    kinds = [(row["what"], row["label"], row["track"], row["events"]) for row in body]
    assert kinds == [
        ("unlabelled", "", "", "19"),
        ("label", "van", "", "10"),
        ("label", "車両", "", "1"),
        ("track", "van", "3", "10"),
        ("track", "車両", "7", "1"),
    ]
    van_row, sign_row = body[3:]
    # The recording ends within its last frame.
    assert comments["duration_us"] == van_row["stop_us"] == "90301"
    assert (van_row["frames"], van_row["shown_us"], van_row["events_per_s"]) == (
        "10",
        "90301",
        "110.7",
    )
    assert (sign_row["start_us"], sign_row["stop_us"], sign_row["frames"]) == (
        "40000",
        "50000",
        "1",
    )


def test_table__has_each_event_in_one_bin_of_time(tmp_path):
    comments, body = table(summary_of(labelled(tmp_path)))
    width = int(comments["bin_us"])
    assert width == bin_us(90_301) == 1000
    over_time = [np.array(row["over_time"].split(","), dtype=int) for row in body]
    assert [int(counts.sum()) for counts in over_time] == [int(row["events"]) for row in body]
    assert np.flatnonzero(over_time[4]).tolist() == [40]
    assert np.array_equal(over_time[1], over_time[3])
    for t_stop in (1, 7, 120, 121, 9_160_000, 10**12):
        assert (t_stop - 1) // bin_us(t_stop) < MOST_BINS


def test_table__lists_frames_without_a_region_and_time_that_nobody_annotated(tmp_path):
    made = labelled(tmp_path, van(frames=(2, 3, 5)), frames=range(8))
    comments, _ = table(summary_of(made))
    assert comments["annotated_frames"] == "8"
    assert comments["frames_without_region"] == "4"
    assert comments["without_region"] == "0-1,6-7"
    assert comments["annotated_us"] == "80000"
    comments, _ = table(summary_of(made, clock=False))
    assert "frames_without_region" not in comments, "frames are not known"


def test_table__names_suspicious_tracks_and_why(tmp_path):
    made = labelled(tmp_path, events=rows((100, 29, 0, 1), (99_999, 29, 19, 1)))
    comments, body = table(summary_of(made))
    assert comments["suspicious_regions"] == "1"
    [row] = [row for row in body if row["suspicious"]]
    assert (row["track"], row["suspicious"]) == ("3", "silent_track")
    assert "no event" in row["why"]


def test_summary__of_a_recording_without_regions_or_events_has_a_table_and_a_plot(tmp_path):
    made = labelled(tmp_path, van(frames=()), events=rows(), frames=())
    summary = summary_of(made)
    comments, _ = table(summary)
    assert comments["events"] == "0"
    assert comments["labelled_share"] == "0.0000"
    assert plot(summary).ndim == 3


def test_plot__has_bars_in_the_colours_of_labels_and_a_row_for_each_track(tmp_path):
    one = plot(summary_of(labelled(tmp_path)))
    for label in (0, 1):
        assert (one == colour_of(label, -1, "light")).all(axis=2).sum() > 30
    (tmp_path / "many").mkdir()
    many = summary_of(labelled(tmp_path / "many", *(van() for _ in range(MOST_ROWS + 5))))
    more = plot(many)
    assert more.shape[0] > one.shape[0] + (MOST_ROWS - 3) * 16
    assert more.shape[1] == one.shape[1]
    assert (more[-1] == 255).all(), "nothing is cut off at the bottom"


def test_step__writes_the_table_and_the_plot_and_tells_what_is_suspicious(tmp_path, caplog):
    made = labelled(tmp_path, events=rows((100, 29, 0, 1), (99_999, 29, 19, 1)))
    files = tmp_path / "t.tsv", tmp_path / "p.png"
    with caplog.at_level("WARNING", logger="evreel"):
        found = steps.summary(made.slices, *files, clock=made.clock)
    assert files[0].read_text(encoding="utf-8").splitlines() == list(found.lines())
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "silent_track: some.h5: van 3: has no event in the 0.100 s" in caplog.text
    with pytest.raises(ClockError, match="cannot be read"):
        steps.summary(made.slices, clock=tmp_path / "none.tsv")


def test_counts__of_very_many_regions_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.viz.summary.MOST_CELLS", 30)
    made = labelled(tmp_path, *(replace(van((k % N_FRAMES,)), id=-1) for k in range(14)))
    found = summary_of(made)
    assert found.counts.shape == (2, 15)
    assert found.counts.sum() == len(made.events)


def test_frames__before_the_recording_are_at_its_start(tmp_path):
    """As those of another camera, which began earlier."""
    whole = summary_of(labelled(tmp_path))
    spans = whole.tracks.labelled
    early = replace(
        whole,
        tracks=whole.tracks._replace(
            start_us=whole.tracks.start_us - 50_000,
            stop_us=whole.tracks.stop_us - 50_000,
            labelled=spans._replace(start_us=spans.start_us - 50_000),
        ),
        clock=None,
    )
    assert early.facts()["annotated_share"] == "1.0000"
    names = slice(0, 200)  # columns that no bar reaches
    assert np.array_equal(plot(early)[-140:, names], plot(replace(whole, clock=None))[-140:, names])


def test_page__is_html_by_name(tmp_path):
    made = labelled(tmp_path)
    with pytest.raises(UsageError, match=r"must end in \.html, not in '\.txt'"):
        steps.summary(made.slices, page=tmp_path / "a.txt")
    steps.summary(made.slices, page=tmp_path / "a.html")
    assert "<!doctype html>" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_plot__is_a_png_by_name(tmp_path):
    made = labelled(tmp_path)
    with pytest.raises(UsageError, match=r"\.png"):
        steps.summary(made.slices, plot=tmp_path / "a.jpg")
    assert not (tmp_path / "a.jpg").exists()
