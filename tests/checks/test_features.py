"""Checks of features hold windows to the recording and to its samples."""

from __future__ import annotations

import dataclasses
import shutil

import h5py
import numpy as np

from evreel.checks import features
from evreel.checks.run import check
from evreel.files.features import SampleWindows
from evreel.files.samples import SamplesFile
from evreel.windows import Windows
from support.checks import write_histograms


def test_feature_checks__find_window_and_count():
    frames = [np.zeros((1, 2, 2), np.float32) for _ in range(5)]
    assert not list(features.feature_values(enumerate(frames)))
    assert not list(features.feature_values([(0, np.zeros(3, np.uint8))]))
    frames[2][0, 1, 1], frames[4][0, 0, 0] = np.nan, -np.inf
    [(place, problem)] = features.feature_values(enumerate(frames))
    assert (place, problem[:9]) == ("window 2", "2 windows")
    start, stop = np.array([0, 5]), np.array([5, 9])
    windows = Windows(start, stop, start, stop)
    assert not list(features.feature_windows(windows, 100, 9))
    assert next(features.feature_windows(windows, 100, 8))[0] == "window 1"
    assert next(features.feature_windows(windows, 5, 9))[0] == "window 1"


def test_feature_sample__compares_windows_with_the_time_and_rows_of_their_sample(made):
    with SamplesFile(made / "results" / "samples" / "one.h5") as cut:
        pass
    n = len(cut)
    start_us, start = np.repeat(cut.samples.start_us, 2), np.repeat(cut.start, 2)
    bounds = np.arange(n + 1) * 2
    of = SampleWindows(cut.samples, cut.labels, bounds)

    def found_(windows, of=of, cut=cut):
        return list(features.feature_sample(windows, of, cut, "s.h5"))

    sound = Windows(start_us, start_us + 1, start, start)
    assert not found_(sound)
    late = start_us.copy()
    late[[1, 4]] = cut.samples.stop_us[0], cut.samples.start_us[2] - 1
    for known in (cut, None):
        [(place, problem)] = found_(Windows(late, late + 1, start, start), cut=known)
        assert (place, problem[:9]) == ("window 1", "2 windows")
    other = Windows(start_us, start_us + 1, start - (np.arange(2 * n) == 2), start)
    assert found_(other)[0][0] == "window 2"
    assert not found_(other, cut=None)
    assert found_(sound, of._replace(labels=cut.labels[::-1]))[0][0] == "labels/name"
    moved = dataclasses.replace(cut.samples, start_us=cut.samples.start_us - 1)
    [(place, problem)] = found_(sound, of._replace(samples=moved))
    assert place == "samples/start_us"
    renamed = dataclasses.replace(cut.samples, id=tuple("cab"))
    assert found_(sound, of._replace(samples=renamed))[0][0] == "samples/id"


def test_check__accepts_windows_of_a_sample_that_reaches_beyond_the_recording(made, tmp_path):
    results = made / "results"
    shutil.copytree(results / "events", tmp_path / "events")
    frames = tmp_path / "features" / "one.h5"
    cut = results / "cuts" / "one.tsv"
    write_histograms(results / "events" / "one.h5", frames, cut, window_us=10_000)
    with h5py.File(frames) as file, h5py.File(results / "events" / "one.h5") as store:
        assert file["windows/start_us"][-1] > store.attrs["t_stop_us"]
    assert not check(tmp_path).errors
