"""What channels hold: what a representation says of them, and what a trial finds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evreel.representations import REGISTRY, Histogram, VoxelGrid, create, from_function
from evreel.representations.base import Accumulator, Representation
from evreel.representations.channels import (
    Channel,
    guessed,
    legend_text,
    pairs,
    probed,
    singles,
)


@pytest.mark.parametrize("name", REGISTRY)
def test_legend__of_each_representation_is_what_a_trial_finds(name):
    made_of = create(name)
    said, found = made_of.legend, probed(made_of)
    assert len(said) == made_of.channels
    assert len({(channel.holds, channel.part) for channel in said}) == made_of.channels
    parts = {channel.part for channel in said}
    assert parts == set(range(len(parts)))
    for k, (channel, shown) in enumerate(zip(said, found, strict=True)):
        assert channel._replace(part=0) == shown._replace(part=0), f"channel {k} of {name}"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("binary", {"per_polarity": True}),
        ("event_image", {"signed": False}),
        ("stacked_histogram", {"bins": 3, "compat": "rvt"}),
        ("mixed_density_stack", {"bins": 3, "kind": "nam2022"}),
        ("event_cube", {"num_utbins": 2, "split_polarity": False}),
        ("multi_channel_timesurface", {"num_utbins": 2}),
        ("tore", {"newest": 2}),
        ("hats", {"radius_px": 1}),
    ],
)
def test_legend__follows_the_parameters(name, parameters):
    made_of = create(name, parameters)
    assert made_of.legend == probed(made_of)


def test_legend__does_not_depend_on_how_fast_events_fade():
    made_of = create("averaged_timesurface", {"decay": "lin", "radius_px": 1})
    assert made_of.legend == pairs(9, polarity_major=True)


def by_function(function, channels, dtype="float32", **more):
    return from_function(
        function, name="own", channels=channels, dtype=dtype, unit="1", reference="none", **more
    )()


def test_trial__finds_the_order_of_polarities_and_bins():
    def bins_of(at):
        def fill(frame, events, window):
            part = (events.t - window.start_us) * 3 // (window.stop_us - window.start_us)
            np.add.at(frame, (at(events.p.astype(int), part), events.y, events.x), 1)

        return fill

    assert by_function(bins_of(lambda p, part: 3 * p + part), 6).legend == pairs(
        3, polarity_major=True
    )
    assert by_function(bins_of(lambda p, part: 2 * part + p), 6).legend == pairs(3)
    assert by_function(bins_of(lambda p, part: part), 3).legend == singles(3)
    on_first = by_function(bins_of(lambda p, part: 1 - p), 2).legend
    assert [channel.holds for channel in on_first] == ["ON", "OFF"]


def test_trial__finds_signs_and_what_a_pixel_without_events_has():
    class Full(Accumulator):
        def begin(self, window):
            super().begin(window)
            self.frame.fill(7)

        def accumulate(self, events):
            self.frame[events.p, events.y, events.x] = 2

    @dataclasses.dataclass(frozen=True)
    class Filled(Histogram):
        legend = Representation.legend

        def accumulator(self, sensor, repairs):
            return Full(self, sensor, repairs)

    assert Filled().legend == pairs(empty=7)

    def signed(frame, events, window):
        np.add.at(frame[0], (events.y, events.x), 2.0 * events.p - 1)

    assert by_function(signed, 1).legend == singles(signed=True)
    assert by_function(lambda frame, events, window: None, 1).legend == singles()
    assert VoxelGrid(7).legend == singles(7, signed=True)


def test_trial__of_a_function_that_fails_falls_back_on_a_guess():
    def only_large(frame, events, window):
        frame[0, 200, 300] = len(events)

    assert by_function(only_large, 2).legend == pairs()
    assert by_function(only_large, 3).legend == singles(3, signed=None)
    assert by_function(only_large, 3, "uint8").legend == singles(3)


def test_trial__is_run_once_and_only_if_a_class_does_not_say_what_it_holds():
    calls = []

    def counted(frame, events, window):
        calls.append(len(events))

    made_of = by_function(counted, 2)
    assert made_of.legend == made_of.legend
    assert len(calls) == 2  # of OFF and of ON: there is no call without events

    @dataclasses.dataclass(frozen=True)
    class Said(Histogram):
        @property
        def legend(self):
            return (Channel("ON"), Channel("OFF"))

        def accumulator(self, sensor, repairs):
            raise AssertionError("not needed")

    assert [channel.holds for channel in Said().legend] == ["ON", "OFF"]


@pytest.mark.parametrize(
    ("legend", "words"),
    [
        (pairs(), "OFF, ON"),
        (pairs(4), "OFF, ON of each of parts 0 to 3"),
        (pairs(4, polarity_major=True), "OFF of parts 0 to 3, ON of parts 0 to 3"),
        (singles(), "both polarities"),
        (singles(signed=None), "both polarities"),
        (singles(3, signed=True), "ON − OFF of parts 0 to 2"),
        ((Channel("ON"), Channel("OFF")), "ON, OFF"),
        (
            (Channel("OFF", 0), Channel("both", 1), Channel("both", 2, True)),
            "OFF of part 0, both polarities of part 1, ON − OFF of part 2",
        ),
    ],
)
def test_legend_text__names_every_channel_in_order(legend, words):
    assert legend_text(legend) == words


def test_guess__takes_twice_a_parameter_for_pairs():
    assert guessed(20, "uint8", {"bins": 10}) == pairs(10)
    assert guessed(10, "int8", {"bins": 10, "other": 5}) == singles(10, signed=None)
    assert guessed(1, "uint8", {}) == singles(1)
    assert guessed(12, "float32", {"wide": True}) == singles(12, signed=None)
