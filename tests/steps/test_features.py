"""Several features in one job: each stands for itself, and what is changed is told."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import evreel
from evreel import steps
from evreel.cli import main
from evreel.errors import ParameterError, UsageError
from evreel.events import Events
from evreel.files.features import FeaturesFile
from evreel.settings import mistakes
from support import random_events
from support.stores import store_of

SENSOR = (6, 9)


@pytest.fixture
def store(tmp_path):
    """A recording with a pixel that has 300 OFF events within 10 ms."""
    events = random_events(4_000, SENSOR)
    order = np.argsort(np.concatenate([events.t, np.arange(20_000, 20_300)]), kind="stable")
    hot = (np.full(300, 5), np.full(300, 2), np.zeros(300, int))
    columns = [
        np.concatenate([getattr(events, name), more])[order]
        for name, more in zip("xyp", hot, strict=True)
    ]
    t = np.concatenate([events.t, np.arange(20_000, 20_300)])[order]
    return store_of(tmp_path / "one.h5", Events(t, *columns, SENSOR))


def wanted(folder, **parameters):
    good = steps.FeatureSettings(representation="voxel_grid", window_us=10_000)
    bad = steps.FeatureSettings(
        representation="histogram", parameters={"dtype": "uint8"}, window_us=10_000
    )
    return {
        folder / "before" / "one.h5": good,
        folder / "narrow" / "one.h5": bad,
        folder / "after" / "one.h5": steps.FeatureSettings(representation="tore", count=700),
    }


def test_feature_that_fails__does_not_keep_the_others_from_being_made(store, tmp_path):
    with pytest.raises(
        ParameterError, match=r"narrow/one\.h5: histogram, window 2: pixel x=5, y=2"
    ):
        steps.all_features(store, wanted(tmp_path))
    assert not (tmp_path / "narrow" / "one.h5").exists()
    assert not list(tmp_path.rglob(".evreel-tmp"))
    for name, n in (("before", 10), ("after", 7)):
        with FeaturesFile(tmp_path / name / "one.h5") as file:
            assert len(file) == n
            assert np.isfinite(file[:]).all()


def test_feature_that_cannot_begin__does_not_either(store, tmp_path):
    crop = steps.FeatureSettings(
        representation="binary", window_us=9_000, geometry={"crop": (0, 0, 99, 5)}
    )
    good = steps.FeatureSettings(representation="binary", window_us=9_000)
    files = {tmp_path / "crop" / "one.h5": crop, tmp_path / "good" / "one.h5": good}
    with pytest.raises(ParameterError, match=r"crop/one\.h5: crop .* outside the 9x6 sensor"):
        steps.all_features(store, files)
    assert [path.exists() for path in files] == [False, True]


def test_values_beyond_what_is_stored__are_a_warning(store, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="evreel")
    settings = steps.FeatureSettings(representation="voxel_grid", window_us=10_000, store="uint8")
    repairs = steps.features(store, tmp_path / "f" / "one.h5", settings)
    assert repairs["stored_saturated"] > 100
    n = repairs["stored_saturated"]
    assert f"f/one.h5: 10 windows of voxel_grid (stored_saturated {n})" in caplog.text
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"{n} values are beyond what uint8 holds" in warning.getMessage()
    with FeaturesFile(tmp_path / "f" / "one.h5") as file:
        assert file.repairs == repairs


def test_sensor__may_be_stated_where_a_recording_does_not(tmp_path):
    events = random_events(500, (5, 8))
    columns = {name: getattr(events, name) for name in "txyp"}
    np.savez(tmp_path / "one.npz", **columns)
    settings = ["--representation", "histogram", "--window-us", "20000"]
    arguments = ["features", str(tmp_path / "one.npz"), "-o", str(tmp_path / "out"), *settings]
    assert main([*arguments, "-q"]) != 0
    assert main([*arguments, "-q", "--sensor", "8x5"]) == 0
    with FeaturesFile(tmp_path / "out" / "one.h5") as file:
        filed = file[:]
        assert file.sensor == (5, 8)
    changed = (tmp_path / "out" / "one.h5").stat().st_ino
    assert main([*arguments, "-q", "--sensor", "8x5"]) == 0
    assert (tmp_path / "out" / "one.h5").stat().st_ino == changed, "it is kept"
    for sensor in ((5, 8), "8x5"):
        live = evreel.features(tmp_path / "one.npz", "histogram", window_us=20_000, sensor=sensor)
        assert live.tobytes() == filed.tobytes()
    with pytest.raises(UsageError, match="is not a size"):
        evreel.features(tmp_path / "one.npz", "histogram", window_us=20_000, sensor=5)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"bins": 5}, "unknown key 'bins'; it is a parameter of voxel_grid: parameters: {bins: …}"),
        ({"windw_us": 5}, "did you mean 'window_us'"),
    ],
)
def test_parameter_beside_its_representation__is_told_where_it_belongs(given, problem):
    value = {"representation": "voxel_grid", "window_us": 10, **given}
    assert any(problem in said for _, said in mistakes(steps.FeatureSettings, value))


def test_compat_without_instants__is_told_to_be_a_parameter_of_the_representation():
    with pytest.raises(ParameterError, match=r"is a parameter: parameters: \{compat: rvt\}"):
        steps.FeatureSettings(representation="stacked_histogram", window_us=10, compat="rvt")
    with pytest.raises(ParameterError, match="compat=rvt of windows goes with ending only"):
        steps.FeatureSettings(representation="histogram", window_us=10, compat="rvt")
