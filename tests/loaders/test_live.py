"""Features computed on the fly are those of the files, bit for bit."""

from __future__ import annotations

import h5py
import hdf5plugin  # noqa: F401 (RVT compresses with Blosc)
import numpy as np
import pytest

import evreel
from evreel import steps
from evreel.errors import ParameterError, UsageError
from evreel.events import Events, Sensor
from evreel.files.features import FeaturesFile
from evreel.geometry import Geometry
from evreel.representations import REGISTRY, create
from support import random_events, shared_file
from support.stores import store_of

SENSOR = (12, 18)
WINDOWS = {"window_us": 9_000}
GEOMETRY = {"crop": (2, 1, 18, 11), "flip_x": True, "downsample": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "one.h5"
    store_of(path, random_events(6_000, SENSOR))
    return path


def from_file(path, folder, representation, **settings):
    """Return the values of a features file made with the same settings."""
    parameters = settings.pop("parameters", {})
    output = folder / f"{representation}.h5"
    settings = steps.FeatureSettings(
        representation=representation, parameters=parameters, **settings
    )
    steps.features(path, output, settings)
    with FeaturesFile(output) as file:
        return file[:]


def same(live, filed):
    return (
        live.dtype == filed.dtype
        and live.shape == filed.shape
        and live.tobytes() == filed.tobytes()
    )


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_representation__live_is_as_in_files(name, store, tmp_path):
    events = evreel.read(store)
    filed = from_file(store, tmp_path, name, **WINDOWS)
    assert same(evreel.features(store, name, **WINDOWS), filed)
    assert same(evreel.features(events, name, **WINDOWS), filed)
    one_by_one = np.stack([frame.copy() for frame in evreel.iter_features(store, name, **WINDOWS)])
    assert same(one_by_one, filed)
    assert filed.any()


@pytest.mark.parametrize(
    "settings",
    [
        {"window_us": 7_000, "stride_us": 5_000, "tail": "drop"},
        {"count": 700, "stride": 300},
        {"window_us": 20_000, "count": 900},
        {"number": 7},
        {"number": 7, "by": "count"},
        {"window_us": 9_000, "origin_us": -2_500},
        {"window_us": 9_000, "geometry": GEOMETRY},
        {"window_us": 9_000, "store": "float16"},
        {"window_us": 9_000, "store": "float32"},
        {"window_us": 9_000, "store": "uint8", "scale": 0.25},
        {"window_us": 9_000, "store": "uint8", "geometry": GEOMETRY},
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["voxel_grid", "exponential_surface", "histo"])
def test_settings__of_a_feature_are_those_of_a_call(name, settings, store, tmp_path):
    as_settings = dict(settings)
    if "geometry" in settings:
        as_settings["geometry"] = Geometry(**GEOMETRY)
    filed = from_file(store, tmp_path, name, **as_settings)
    assert same(evreel.features(store, name, **settings), filed)


@pytest.mark.parametrize(
    "windows",
    [
        {"window_us": 9_000, "stride_us": 4_000, "origin_us": -3_000},
        {"count": 700, "stride": 300, "tail": "drop", "origin_us": 20_000},
        {"window_us": 5_000, "count": 200},
        {"number": 7},
        {"number": 7, "by": "count", "origin_us": 60_000},
        {"number": 7_000, "by": "count"},
    ],
    ids=str,
)
def test_windows_of_any_kind__live_are_as_in_files(store, tmp_path, windows):
    filed = from_file(store, tmp_path, "event_image", **windows)
    assert same(evreel.features(store, "event_image", **windows), filed)
    assert same(evreel.features(evreel.read(store), "event_image", **windows), filed)
    assert filed.any()


@pytest.mark.parametrize(
    ("representation", "compat", "of_windows"),
    [
        ("histogram", "rvt", "rvt"),
        ("voxel_grid", "tonic", None),
        ("stacked_histogram", "rvt", "rvt"),
    ],
)
def test_ending__also_before_and_after_the_recording_is_as_in_files(
    store, tmp_path, representation, compat, of_windows
):
    instants = [-70_000, 0, 20_000, 20_000, 90_000, 400_000]
    (tmp_path / "t.txt").write_text("\n".join(map(str, instants)))
    parameters = {} if representation == "histogram" else {"compat": compat}
    asked = {"window_us": 15_000, "ending": "times", "parameters": parameters}
    asked |= {} if of_windows is None else {"compat": of_windows}
    settings = steps.FeatureSettings(representation=representation, **asked)
    steps.features(store, tmp_path / "f.h5", settings, ends={"times": tmp_path / "t.txt"})
    with FeaturesFile(tmp_path / "f.h5") as file:
        filed = file[:]
    for source in (store, evreel.read(store)):
        live = evreel.features(
            source, representation, window_us=15_000, ending=instants, compat=compat
        )
        assert same(live, filed)


@pytest.mark.parametrize("sequence", ["train/a", "val/c"])
def test_ending__at_rvts_times_with_its_compat_makes_rvts_frames(sequence):
    made = shared_file(f"oracles/rvt/gen1_stacked_fast/{sequence}") / "event_representations_v2"
    made /= "stacked_histogram_dt=50_nbins=10"
    with h5py.File(shared_file(f"oracles/rvt_in/gen1/{sequence}_td.dat.h5")) as file:
        t, x, y, p = (file[f"events/{name}"][:] for name in "txyp")
    live = evreel.features(
        Events(t.astype(np.int64), x, y, p, Sensor(240, 304)),
        "stacked_histogram",
        window_us=50_000,
        ending=np.load(made / "timestamps_us.npy"),
        compat="rvt",
        bins=10,
    )
    with h5py.File(made / "event_representations.h5") as file:
        assert same(live, file["data"][:])


def test_ending__is_an_array_of_instants(store, tmp_path):
    times = tmp_path / "one.times"
    times.write_text("20000\n50000\n", encoding="utf-8")
    parameters = {"bins": 3, "compat": "rvt"}
    windows = {"window_us": 15_000, "ending": "times", "compat": "rvt"}
    settings = steps.FeatureSettings(
        representation="stacked_histogram", parameters=parameters, **windows
    )
    steps.features(store, tmp_path / "rvt.h5", settings, ends={"times": times})
    live = evreel.features(
        store,
        "stacked_histogram",
        window_us=15_000,
        ending=[20_000, 50_000],
        compat="rvt",
        bins=3,
    )
    with FeaturesFile(tmp_path / "rvt.h5") as file:
        assert same(live, file[:])


def test_recording__that_is_no_store_is_decoded_first(store, tmp_path):
    from evreel.recordings.aedat4 import Aedat4Writer

    events = evreel.read(store)
    with Aedat4Writer(tmp_path / "one.aedat4", events.sensor) as writer:
        writer.write(events)
    live = evreel.features(tmp_path / "one.aedat4", "histogram", **WINDOWS)
    assert same(live, evreel.features(events, "histogram", **WINDOWS))


@pytest.mark.parametrize("name", ["histogram", "last_timestamp"])
@pytest.mark.parametrize(
    ("windows", "of_shifted"),
    [
        ({"count": 30}, {"count": 30}),
        ({"number": 4}, {"number": 4}),
        ({"number": 4, "by": "count"}, {"number": 4, "by": "count"}),
        ({"count": 30, "origin_us": -400}, {"count": 30, "origin_us": 600}),
        ({"window_us": 300, "origin_us": -1_000}, {"window_us": 300}),
        ({"window_us": 300}, {"window_us": 300, "origin_us": 1_000}),
        ({"window_us": 300, "count": 20}, {"window_us": 300, "count": 20, "origin_us": 1_000}),
        ({"window_us": 300, "ending": [-900, 0]}, {"window_us": 300, "ending": [100, 1_000]}),
    ],
    ids=str,
)
def test_times_below_0__are_times_like_others(name, windows, of_shifted):
    events = random_events(200, (3, 4), stop_us=2_000)
    t = events.t - events.t[0]
    earlier, shifted = (Events(t - by, events.x, events.y, events.p, (3, 4)) for by in (1_000, 0))
    assert same(
        evreel.features(earlier, name, **windows), evreel.features(shifted, name, **of_shifted)
    )


def test_no_events__have_no_window():
    none = Events([], [], [], [], (3, 4))
    for windows in ({"window_us": 10}, {"count": 10}):
        assert evreel.features(none, "voxel_grid", **windows).shape == (0, 5, 3, 4)


@pytest.mark.parametrize("given", [create("voxel_grid"), len, None])
def test_representation__that_is_not_named_is_refused_with_what_to_do(given):
    none = Events([], [], [], [], (3, 4))
    with pytest.raises(ParameterError, match=r"by its name, not as .* register\(from_function"):
        evreel.features(none, given, window_us=10)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, r"exactly one of window_us .* is needed"),
        ({"window_us": 10, "bin": 3}, "no parameter 'bin', .*; did you mean 'bins'.* bins, span"),
        ({"windows_us": 10}, "no parameter 'windows_us', .*; did you mean 'window_us'"),
        ({"window_us": 10, "stide_us": 3}, "did you mean 'stride_us'"),
        ({"window_us": 10, "compression": "gzip"}, "nor is it a setting of a feature"),
        ({"window_us": 0}, "window_us: 0 is less than 1"),
        ({"window_us": 9.5}, "window_us"),
        ({"window_us": 10, "bins": 0}, "bins"),
        ({"window_us": 10, "geometry": {"labels": ("car",)}}, "needs the slices"),
        (
            {"window_us": 10, "geometry": {"cropp": (0, 0, 1, 1)}},
            "geometry: cropp: unknown key 'cropp'",
        ),
        ({"count": 5, "ending": [3]}, "ending"),
    ],
    ids=repr,
)
def test_what_is_wrong__is_told_before_a_frame_is_asked_for(given, problem):
    with pytest.raises(UsageError, match=problem):
        evreel.features(random_events(50), "voxel_grid", **given)
    if "geometry" not in given:
        with pytest.raises(UsageError, match=problem):
            evreel.iter_features(random_events(50), "voxel_grid", **given)
