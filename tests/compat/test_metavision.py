"""Metavision's functions, by their names, without their faults."""

from __future__ import annotations

import functools
import subprocess
import sys

import h5py
import numpy as np
import pytest

from evreel import representations
from evreel.compat.metavision import (
    EVENT_DTYPE,
    filter_outliers,
    generate_hdf5,
    register_new_preprocessing,
)
from evreel.errors import EvreelError, ParameterError, RepresentationError, UsageError
from evreel.events import Events, Sensor
from evreel.representations import REGISTRY, Histo, Timesurface, create, frames, tensor
from evreel.windows import Duration
from support import random_events
from support.boxes import boxes_at
from support.stores import store_of
from support.writers.prophesee import ENCODERS, dat, raw


@pytest.fixture
def registry(monkeypatch):
    """Let a test register in the registry, and clear it afterwards."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def histo(xypt, output_array, total_tbins_delta_t, downsampling_factor=0, reset=True, *, step=0.2):
    """Metavision's own form."""
    assert xypt.dtype == EVENT_DTYPE and output_array.shape[0] == 1
    assert total_tbins_delta_t == 10_000 and downsampling_factor == 0 and reset is True
    assert not len(xypt) or 0 <= xypt["t"].min() <= xypt["t"].max() < total_tbins_delta_t
    for event in xypt:
        value = output_array[0, event["p"], event["y"], event["x"]] + np.float32(step)
        output_array[0, event["p"], event["y"], event["x"]] = min(value, 1)


def windows_of(events):
    return Duration(10_000).plan(events.t_stop_us, lambda at: np.searchsorted(events.t, at))


def test_registered_function__is_a_representation_as_any_other(registry):
    register_new_preprocessing("mine", 2, histo, None, {"step": 0.2})
    events = random_events(700, (4, 5), stop_us=30_000)
    made = tensor(create("mine"), events, windows_of(events))
    np.testing.assert_array_equal(made, tensor(Histo(), events, windows_of(events)))
    assert create("mine", {"step": 0.5}).parameters == {"step": 0.5}
    assert create("mine").dtype == "float32"
    read = frames(
        create("mine"), lambda a, b: events[a:b], windows_of(events), events.sensor, rows=37
    )
    assert np.stack([frame.copy() for frame in read]).tobytes() == made.tobytes()


def test_registered_function__is_given_what_it_takes(registry):
    given = {}

    def every(events, tensor, **kwargs):
        given["every"] = kwargs

    def timed(events, tensor, delta_t, n=5):
        given["timed"] = (delta_t, n)
        tensor[:] = delta_t

    def short(events, tensor):
        given["short"] = True

    def counted(events, tensor, count):
        given["counted"] = count

    def show(tensor):
        return tensor

    register_new_preprocessing("every", 1, every, show, {"k": 3})
    register_new_preprocessing("timed", 1, timed, show)
    register_new_preprocessing("short", 1, short, show, {})
    register_new_preprocessing("counted", 1, counted, show, {"count": np.int64(7)})
    events = random_events(20, (2, 2), stop_us=10_000)
    for name in ("every", "timed", "short", "counted"):
        made = tensor(create(name), events, windows_of(events))
        assert made.dtype == np.float32
    offered = {"total_tbins_delta_t": 10_000, "downsampling_factor": 0, "reset": True}
    assert given["every"] == {**offered, "k": 3}
    assert type(given["every"]["k"]) is int
    assert given["timed"] == (10_000, 5)
    assert given["counted"] == 7
    assert REGISTRY["every"].viz is show


def test_registered_function__may_be_any_callable(registry):
    class Counting:
        def __call__(self, events, tensor, max_incr_per_pixel=5):
            tensor += len(events) / max_incr_per_pixel

    def scaled(factor, *args):
        args[1][:] += factor * len(args[0])

    events = random_events(20, (2, 2), stop_us=10_000)
    for name, function, expected in (
        ("counting", Counting(), 4.0),
        ("scaled", functools.partial(scaled, 3), 60.0),
        ("nothing", lambda events, tensor: None, 0.0),
    ):
        register_new_preprocessing(name, 1, function, None)
        made = tensor(create(name), events, windows_of(events))
        assert set(made.ravel().tolist()) == {expected}
        assert create(name).sources["representation"].startswith("sha256:")


def test_registered_function__may_change_the_events_that_it_is_given(registry):
    def last(events, tensor):
        events["t"] += 1
        tensor[0, events["p"], events["y"], events["x"]] = events["t"]

    register_new_preprocessing("last", 2, last, None, {})
    events = random_events(300, (3, 4), stop_us=40_000)
    made = tensor(create("last"), events, windows_of(events))
    expected = tensor(Timesurface(normed=False), events, windows_of(events))
    assert (made[made > 0] == expected[made > 0] + 1).all()
    np.testing.assert_array_equal(events.t, random_events(300, (3, 4), stop_us=40_000).t)


def test_compiled_function__can_be_registered(registry):
    import numba

    @numba.njit
    def on(events, tensor, total_tbins_delta_t, downsampling_factor=0, reset=True, step=1.0):
        for k in range(events.shape[0]):
            tensor[0, 0, events[k].y, events[k].x] += step * events[k].p

    register_new_preprocessing("on", 1, on, None, {"step": 2.0})
    events = Events([1, 2, 3], [0, 0, 1], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    assert tensor(create("on"), events, windows_of(events)).ravel().tolist() == [4.0, 0.0]


def test_registered_name__is_not_taken_twice(registry):
    register_new_preprocessing("mine", 2, histo, None, {})
    for name in ("mine", "histo", "voxel_grid"):
        with pytest.raises(ParameterError, match=f"a preprocessing called '{name}' exists already"):
            register_new_preprocessing(name, 2, histo, None, {})
    assert representations.REGISTRY["histo"] is Histo


def test_registered_function__that_fails_names_its_line_and_the_window(registry):
    def late(events, tensor):
        if len(events):
            raise ValueError("no such events")

    register_new_preprocessing("late", 1, late, None, {})
    events = Events([25_000], [0], [0], [1], Sensor(1, 1))
    with pytest.raises(RepresentationError, match=r"metavision\.py: line \d+: window 2: ValueErr"):
        tensor(create("late"), events, windows_of(events))


@pytest.mark.parametrize(
    ("channels", "kwargs", "message"),
    [
        (0, {}, "x: n_input_channels=0 is not a number of channels"),
        (2, {"stpe": 1}, "x: its function has no argument 'stpe', which kwargs has"),
        (2, {"step": [1]}, r"x: its argument 'step' is \[1\]; a number, a text"),
    ],
)
def test_registration__that_cannot_work_says_why(registry, channels, kwargs, message):
    with pytest.raises(ParameterError, match=message):
        register_new_preprocessing("x", channels, histo, None, kwargs)

    def other(events, tensor, delta_t, more):
        """Take an argument that nothing gives."""

    with pytest.raises(ParameterError, match="x: its function needs 'more'"):
        register_new_preprocessing("x", 2, other, None, {})
    with pytest.raises(ParameterError, match="x: 'histo' is not a function"):
        register_new_preprocessing("x", 2, "histo")
    with pytest.raises(ParameterError, match="does not take events and tensor"):
        register_new_preprocessing("x", 2, lambda events: None, None, {})
    assert "x" not in REGISTRY


T_OFFSET = 5_000
"""µs on the camera's clock of the first event."""


@pytest.fixture
def folder(tmp_path):
    """Two recordings, and boxes of the first."""
    for seed, name in enumerate(("park_td.dat", "way_cd.dat")):
        events = random_events(400, (4, 6), 95_000, seed)
        columns = (events.t + T_OFFSET, events.x, events.y, events.p)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        (tmp_path / name).write_bytes(dat(rows, size=(6, 4)))
    boxes_at(tmp_path / "park_bbox.npy", 0, 5_000, 50_000, 50_001, 99_000)
    boxes_at(tmp_path / "way_bbox.npy")
    return tmp_path


def slow_bins(seed: int, delta_t: int, start_ts: int = 0, k: float = 0.2):
    """`histo` of bins on the camera's clock, event by event."""
    events = random_events(400, (4, 6), 95_000, seed)
    t = events.t + T_OFFSET - start_ts
    made = np.zeros((int(t[-1]) // delta_t + 1, 2, 4, 6), dtype=np.float32)
    for at, x, y, p in zip(t.tolist(), events.x, events.y, events.p, strict=True):
        if at >= 0:
            pixel = (at // delta_t, p, y, x)
            made[pixel] = min(np.float32(made[pixel] + np.float32(k)), np.float32(1))
    return made


def test_generate_hdf5__makes_metavisions_files(folder):
    paths = [folder / "park_td.dat", folder / "way_cd.dat"]
    generate_hdf5(paths, folder / "out", "histo", 10_000)
    for seed, name in enumerate(("park", "way")):
        with h5py.File(folder / "out" / f"{name}.h5") as file:
            data = file["data"]
            np.testing.assert_array_equal(data[:], slow_bins(seed, 10_000))
            assert data.chunks == (1, 2, 4, 6)
            assert (data.compression, data.compression_opts) == ("gzip", 4)
            said = data.attrs
            assert said["events_to_tensor"] == b"histo"
            assert (said["delta_t"], said["delta_t"].dtype) == (10_000, np.uint32)
            assert (said["event_input_width"], said["event_input_height"]) == (6, 4)
            assert said["shape"].tolist() == [2, 4, 6]
            assert said["mode"] == "delta_t"
            assert said["n_events"] == 0
            assert said["max_incr_per_pixel"] == 5.0
            assert "store_as_uint8" not in said
            assert file["t_offset"][()] == 0


def test_generate_hdf5__is_read_without_a_plugin(folder):
    generate_hdf5(
        str(folder / "*.dat"), folder / "out", "timesurface", 50_000, preprocess_kwargs=None
    )
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1]);"
        "print(f['data'][:].shape, f['windows/start_us'][:].tolist(), 'hdf5plugin' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(folder / "out" / "park.h5")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "(2, 2, 4, 6) [0, 50000] False\n"


def test_generate_hdf5__in_parts_re_bases_boxes_and_leaves_no_part_without(folder):
    paths = [folder / "park_td.dat", folder / "way_cd.dat"]
    labels = [folder / "park_bbox.npy", folder / "way_bbox.npy"]
    generate_hdf5(paths, folder / "out", "histo", 10_000, max_duration=50_000, box_labels=labels)
    made = [np.load(folder / "out" / f"park_{k}_bbox.npy")["t"].tolist() for k in (0, 1)]
    assert made == [[0, 5_000, 50_000], [1, 49_000]]
    whole = slow_bins(0, 10_000)
    for k, part in ((0, whole[:5]), (1, whole[5:])):
        with h5py.File(folder / "out" / f"park_{k}.h5") as file:
            np.testing.assert_array_equal(file["data"][:], part)
        assert len(np.load(folder / "out" / f"way_{k}_bbox.npy")) == 0
    assert not (folder / "out" / "park_2.h5").exists()


def test_generate_hdf5__starts_where_told(folder):
    labels = [folder / "park_bbox.npy"]
    generate_hdf5(
        [folder / "park_td.dat"], folder / "out", "histo", 9_000, start_ts=12_000, box_labels=labels
    )
    with h5py.File(folder / "out" / "park.h5") as file:
        np.testing.assert_array_equal(file["data"][:], slow_bins(0, 9_000, 12_000))
    made = np.load(folder / "out" / "park_bbox.npy")["t"].tolist()
    assert made == [38_000, 38_001, 87_000]


def test_generate_hdf5__by_number_of_events_keeps_the_newest_and_its_time(folder):
    generate_hdf5(
        [folder / "park_td.dat"], folder / "out", "timesurface", 0, mode="n_events", n_events=150
    )
    t = random_events(400, (4, 6), 95_000, 0).t + T_OFFSET
    with h5py.File(folder / "out" / "park.h5") as file:
        assert file["last_timestamps"].dtype == np.int64
        assert file["last_timestamps"][:].tolist() == t[[149, 299, 399]].tolist()
        assert file["data"].attrs["mode"] == "n_events"
        assert file["data"].attrs["n_events"] == 150
        newest = file["data"][:].max(axis=(1, 2, 3))
    spans = t[[149, 299, 399]] - t[[0, 150, 300]]
    np.testing.assert_array_equal(newest, (spans / (spans + 1)).astype(np.float32))


def test_generate_hdf5__stores_whole_steps_of_0_to_1_only(folder):
    generate_hdf5([folder / "park_td.dat"], folder / "out", "histo", 10_000, store_as_uint8=True)
    with h5py.File(folder / "out" / "park.h5") as file:
        assert file["data"].dtype == np.uint8
        assert file["data"].attrs["store_as_uint8"]
        expected = np.round(np.float32(255) * slow_bins(0, 10_000)).astype(np.uint8)
        np.testing.assert_array_equal(file["data"][:], expected)
    for name, kwargs in (
        ("diff", {}),
        ("histo_quantized", {}),
        ("diff_quantized", {"normalization": True}),
        ("event_cube", {"split_polarity": False}),
    ):
        with pytest.raises(UsageError, match=f"those of {name} are not"):
            generate_hdf5(
                *([folder / "park_td.dat"], folder / "out", name, 10_000),
                store_as_uint8=True,
                preprocess_kwargs=kwargs,
            )


def test_generate_hdf5__takes_registered_functions(folder, registry):
    register_new_preprocessing("mine", 2, histo, None, {"step": 0.1})
    generate_hdf5(
        *([folder / "park_td.dat"], folder / "out", "mine", 10_000),
        preprocess_kwargs={"step": 0.2},
    )
    with h5py.File(folder / "out" / "park.h5") as file:
        np.testing.assert_array_equal(file["data"][:], slow_bins(0, 10_000))
        assert file["data"].attrs["step"] == 0.2


def test_generate_hdf5__makes_again_what_another_function_of_the_name_made(folder, registry):
    path = folder / "out" / "park.h5"

    def count(events, tensor):
        tensor += len(events)

    def twice(events, tensor):
        tensor += 2 * len(events)

    sums = []
    for k, function in enumerate((count, twice, twice)):
        # As if each was in a file of its own, by whose digest it is known.
        source = folder / f"own_{min(k, 1)}.py"
        source.write_text(f"{min(k, 1)}\n", encoding="utf-8")
        space = {"g": function}
        exec(compile("def f(events, tensor): g(events, tensor)", str(source), "exec"), space)
        REGISTRY.pop("other", None)
        register_new_preprocessing("other", 1, space["f"], None, {})
        generate_hdf5([folder / "park_td.dat"], folder / "out", "other", 50_000)
        with h5py.File(path) as file:
            sums.append((file["data"][:].sum(), path.stat().st_ino))
    assert sums[1][0] == 2 * sums[0][0]
    assert sums[2] == sums[1], "kept"


def test_generate_hdf5__halves_events_and_resizes_what_is_left(folder):
    labels = [folder / "park_bbox.npy"]
    given = ([folder / "park_td.dat"], folder / "half", "histo", 10_000)
    generate_hdf5(*given, height=2, width=3, box_labels=labels)
    events = random_events(400, (4, 6), 95_000, 0)
    expected = np.zeros((10, 2, 2, 3), dtype=np.float32)
    for t, x, y, p in zip(events.t + T_OFFSET, events.x, events.y, events.p, strict=True):
        pixel = (t // 10_000, p, y // 2, x // 2)
        expected[pixel] = min(np.float32(expected[pixel] + np.float32(0.05)), np.float32(1))
    with h5py.File(folder / "half" / "park.h5") as file:
        np.testing.assert_array_equal(file["data"][:], expected)
        said = file["data"].attrs
        assert said["shape"].tolist() == [2, 2, 3]
        assert (said["event_input_height"], said["event_input_width"]) == (4, 6)
    boxes = np.load(folder / "half" / "park_bbox.npy")
    assert set(boxes["w"].tolist()) == {2.0}, "in pixels of the sensor, as the loaders expect"
    generate_hdf5(*given[:1], folder / "other", *given[2:], height=2, width=2)
    with h5py.File(folder / "other" / "park.h5") as file:
        assert file["data"].shape == (10, 2, 2, 2)
        assert file["data"][:].any()


@pytest.mark.parametrize(("version", "zero"), [("3.0", 3 * 4096), ("2.0", 3 * 4096 + 64)])
def test_generate_hdf5__counts_in_raw_files_as_metavision_shifts_them(tmp_path, version, zero):
    t = [3 * 4096 + 100, 3 * 4096 + 5_000, 3 * 4096 + 10_090]
    rows = [(at, 1, 2, 1) for at in t]
    (tmp_path / "a.raw").write_bytes(raw(version, ENCODERS[version].encode(rows), size=(6, 4)))
    boxes_at(tmp_path / "a_bbox.npy", 5_000)
    generate_hdf5(
        *([tmp_path / "a.raw"], tmp_path / "out", "timesurface", 10_000),
        box_labels=[tmp_path / "a_bbox.npy"],
    )
    expected = {}
    for at in t:
        expected[(at - zero) // 10_000] = np.float32((at - zero) % 10_000 / 10_000)
    with h5py.File(tmp_path / "out" / "a.h5") as file:
        assert file["data"][:, 1, 2, 1].tolist() == [expected[k] for k in range(len(expected))]
    assert np.load(tmp_path / "out" / "a_bbox.npy")["t"].tolist() == [5_000]


def test_generate_hdf5__does_the_others_and_then_raises(folder):
    (folder / "hill_td.dat").write_bytes(b"no recording")
    with pytest.raises(EvreelError, match=r"hill_td\.dat: "):
        generate_hdf5(str(folder / "*.dat"), folder / "out", "histo", 10_000)
    assert {path.name for path in (folder / "out").glob("*.h5")} == {"park.h5", "way.h5"}


def test_generate_hdf5__counts_from_the_first_event_where_timestamps_are_dates(tmp_path):
    events = random_events(100, (4, 6), 30_000)
    store_of(tmp_path / "now.h5", events, t_offset=1_600_000_000_000_000)
    generate_hdf5([tmp_path / "now.h5"], tmp_path / "out", "histo", 10_000)
    with h5py.File(tmp_path / "out" / "now.h5") as file:
        assert len(file["data"]) == 3


def test_generate_hdf5__names_what_is_wrong_before_anything_is_made(folder):
    park, way = folder / "park_td.dat", folder / "way_cd.dat"
    (folder / "x").mkdir()
    (folder / "x" / "park.1.raw").write_bytes(b"")
    labels = [folder / "way_bbox.npy", folder / "park_bbox.npy"]
    for arguments, more, message in (
        (
            [[park, folder / "x" / "park.1.raw"], "histo", 9],
            {},
            r"two files would both become park",
        ),
        ([[park], "hist", 9], {}, r"no representation 'hist'.*Did you mean 'histo'"),
        ([[park], "histo", 9], {"preprocess_kwargs": {"max_inc": 1}}, "no parameter 'max_inc'"),
        ([[park], "histo", 9], {"mode": "both"}, "mode='both' is neither"),
        ([[park], "histo", 9], {"mode": "n_events"}, "count: 0 is less than 1"),
        ([[park], "histo", 9], {"n_processes": 0}, "n_processes=0 is less than 1"),
        ([[park], "histo", 0], {}, "window_us: 0 is less than 1"),
        ([[park], "histo", 9], {"height": 4}, "give both, or none"),
        ([[park], "histo", 9], {"max_duration": 8}, "longer than a file may be"),
        ([[park, way], "histo", 9], {"box_labels": labels}, "is named as that of way_cd.dat"),
        ([[park, way], "histo", 9], {"box_labels": labels[:1]}, "2 recordings, but 1 box_labels"),
    ):
        paths, *rest = arguments
        with pytest.raises((UsageError, ParameterError), match=message):
            generate_hdf5(paths, folder / "out", *rest, **more)
    assert not (folder / "out").exists()


def test_modules__have_the_names_that_scripts_import_and_need_no_pytorch():
    code = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from evreel.compat.metavision.data import box_processing as box_api
from evreel.compat.metavision.data.box_processing import EventBbox, load_boxes
from evreel.compat.metavision.data.sequential_dataset import load_labels_stub
from evreel.compat.metavision.detection_tracking.display_frame import draw_box_events
from evreel.compat.metavision.preprocessing.hdf5 import generate_hdf5
from evreel.compat.metavision.preprocessing.viz import filter_outliers
from evreel.compat import metavision
assert box_api.load_boxes is load_boxes and metavision.generate_hdf5 is generate_hdf5
for module in (
    metavision,
    metavision.data,
    metavision.data.sequential_dataset,
):
    try:
        module.SequentialDataLoader
    except ImportError as error:
        assert "pip install torch" in str(error), error
    else:
        raise AssertionError(module)
try:
    metavision.nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "module 'evreel.compat.metavision' has no attribute 'nothing'\n"


def test_outliers__become_the_nearest_value_that_is_none():
    values = np.array([[0, 1], [2, 97]], dtype=np.float32)
    mean, deviation = values.mean(), values.std()
    found = filter_outliers(values, 1)
    np.testing.assert_allclose(found, [[0, 1], [2, mean + deviation]], rtol=1e-6)
    assert found.dtype == np.float32 and values[1, 1] == 97
    assert filter_outliers(values.astype(np.uint8), 7).tolist() == values.tolist()
    assert filter_outliers(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(ParameterError, match="num_std=-1 is not 0 or more"):
        filter_outliers(values, -1)
    with pytest.raises(ParameterError, match="values are <U1; numbers are expected"):
        filter_outliers(["a"])
