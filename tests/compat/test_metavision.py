"""Metavision's functions, by their names, without their faults."""

from __future__ import annotations

import numpy as np
import pytest

from evreel import representations
from evreel.compat.metavision import EVENT_DTYPE, register_new_preprocessing
from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations import REGISTRY, Histo, Timesurface, create, frames, tensor
from evreel.windows import Duration
from support import random_events


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

    def typed(events, tensor, preprocess_dtype, count):
        given["typed"] = (preprocess_dtype, count)

    def show(tensor):
        return tensor

    register_new_preprocessing("every", 1, every, show, {"k": 3})
    register_new_preprocessing("timed", 1, timed, show, {"preprocess_dtype": np.dtype("int32")})
    register_new_preprocessing("short", 1, short, show, {})
    register_new_preprocessing("typed", 1, typed, show, {"count": np.int64(7)})
    events = random_events(20, (2, 2), stop_us=10_000)
    for name in ("every", "timed", "short", "typed"):
        made = tensor(create(name), events, windows_of(events))
        assert made.dtype == (np.int32 if name == "timed" else np.float32)
    offered = {"total_tbins_delta_t": 10_000, "downsampling_factor": 0, "reset": True}
    assert given["every"] == {**offered, "k": 3}
    assert type(given["every"]["k"]) is int
    assert given["timed"] == (10_000, 5)
    assert given["typed"] == (np.float32, 7)
    assert REGISTRY["every"].viz is show


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
    with pytest.raises(ParameterError, match="does not take events and tensor"):
        register_new_preprocessing("x", 2, lambda events: None, None, {})
    assert "x" not in REGISTRY
