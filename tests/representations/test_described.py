"""What representations say of themselves: lists for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from unittest import mock

import pytest

from evreel.cli.main import main
from evreel.errors import ParameterError
from evreel.events import Sensor
from evreel.representations import REGISTRY, Histogram, create, from_function, register
from evreel.representations.described import (
    describe,
    describe_all,
    details,
    listing,
    shape_by_letters,
)
from evreel.settings import required, setting, settings_of


@pytest.fixture(autouse=True)
def own_registry():
    with mock.patch.dict(REGISTRY):
        yield


@dataclass(frozen=True)
class Cells(Histogram):
    """Counts in cells.

    More of it.
    """

    name = "cells"
    size: int = setting(4, "Side of a cell, [as here](x.md).", minimum=1, maximum=64, unit="px")
    up: bool = setting(True, "Whether a cell that is cut off counts.")
    weight: float = setting(0.5, "Of an event.", above=0)
    edges: tuple[int, ...] | None = setting(None, "Of cells.")

    def shape(self, sensor):
        height, width = sensor
        if self.up:
            return 2, -(-height // self.size), -(-width // self.size)
        return 2, height // self.size, width // self.size


@dataclass(frozen=True, kw_only=True)
class Needy(Histogram):
    """What has a parameter that must be given."""

    name = "needy"
    bins: int = required("How many.", minimum=1)


def test_all__are_described_by_their_own_words_and_values():
    found = {one["name"]: one for one in describe_all()}
    assert list(found) == list(REGISTRY)
    for name, one in found.items():
        made = create(name)
        assert one["summary"], name
        assert (one["dtype"], one["unit"], one["reference"]) == (
            made.dtype,
            made.unit,
            made.reference,
        )
        values = {p["name"]: p["value"] for p in one["parameters"]}
        assert values == dict.fromkeys(values) | made.parameters
        assert one["shape"][0] == made.channels
        known = settings_of(type(made))
        for parameter in one["parameters"]:
            assert parameter["meaning"], f"{name}: {parameter['name']}"
            assert parameter["default"] == known[parameter["name"]].default
    assert json.loads(json.dumps(describe_all())) == describe_all()


def test_parameters__are_told_with_type_range_unit_and_meaning():
    register(Cells)
    size, up, weight, edges = describe("cells")["parameters"][2:]
    assert size == {
        "name": "size",
        "type": "whole number",
        "default": 4,
        "value": 4,
        "meaning": "Side of a cell, as here.",
        "minimum": 1,
        "maximum": 64,
        "unit": "px",
    }
    assert (up["type"], up["default"]) == ("true or false", True)
    assert (weight["type"], weight["above"]) == ("number", 0)
    assert edges["type"] == "list or null"
    lines = list(listing([describe("cells")]))
    assert "  size=4  (whole number, 1 to 64, px)" in lines
    assert "  up=true  (true or false)" in lines
    assert "  weight=0.5  (number, more than 0)" in lines
    assert "  edges=null  (list or null)" in lines


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("size", [1, 2, 7, 13, 64])
def test_shape__is_told_for_any_sensor_and_for_one(size, up):
    made = Cells(size=size, up=up)
    letters = ["H", "W"] if size == 1 else [f"H/{size}", f"W/{size}"]
    assert shape_by_letters(made) == [2, *letters]
    register(Cells)
    told = describe("cells", {"size": size, "up": up}, Sensor(260, 346))
    assert told["shape"] == list(made.shape(Sensor(260, 346)))


def test_shape__of_fixed_size_and_of_another_rule_is_told_as_such():
    class Fixed(Histogram):
        def shape(self, sensor):
            return 2, 10, sensor.width + 1

    assert shape_by_letters(Fixed()) == [2, 10, "f(W)"]


def test_parameters__change_what_is_told_of_channels_and_type():
    assert describe("voxel_grid", {"bins": 3})["shape"] == [3, "H", "W"]
    assert describe("voxel_grid", {"bins": 3})["channels"] == "ON − OFF of parts 0 to 2"
    assert describe("histogram", {"dtype": "uint8"})["dtype"] == "uint8"
    assert describe("histogram")["channels"] == "OFF, ON"
    with pytest.raises(ParameterError, match="voxel_grid: bins: 0 is less than 1"):
        describe("voxel_grid", {"bins": 0})
    with pytest.raises(ParameterError, match="Did you mean 'voxel_grid'"):
        describe("voxelgrid")


def test_representation__with_a_required_parameter_is_listed_without_what_depends_on_it():
    register(Needy)
    [one] = [one for one in describe_all() if one["name"] == "needy"]
    assert (one["shape"], one["dtype"]) == (None, None)
    assert one["parameters"][-1]["required"]
    lines = list(listing([one]))
    assert lines[0] == "needy  depends on parameters without a default, unit: events"
    assert lines[-1] == "  bins  (whole number, at least 1)"
    assert describe("needy", {"bins": 3})["shape"] == [2, "H", "W"]


def test_function_of_ones_own__is_listed_with_its_docstring():
    def latest(frame, events, window, *, gain: float = 1.5):
        """Time of the latest event."""

    register(
        from_function(
            latest, name="latest", channels=1, dtype="float32", unit="µs", reference="README"
        )
    )
    assert list(details(describe("latest"))) == [
        "latest  (1, H, W) float32, unit: µs",
        "Time of the latest event.",
        "\nchannels: both polarities",
        "reference: README",
        "revision: 1",
        "\nparameters:",
        "  gain=1.5  (number)",
    ]


def test_function_of_ones_own__needs_neither_docstring_nor_unit():
    def count(frame, events, window, *, gain: float = 1.5):
        pass

    register(
        from_function(count, name="mine", channels=2, dtype="uint8", unit="", reference="mine")
    )
    assert list(listing([describe("mine")])) == [
        "mine  (2, H, W) uint8",
        "  gain=1.5  (number)",
    ]


OWN = """
import numpy as np

def bins(events, H, W, *, gain: float = 2.0):
    \'\'\'Counts of two bins, ON before OFF.\'\'\'
    frame = np.zeros((4, H, W), np.float32)
    late = events["t"] >= 50_000
    np.add.at(frame, (2 * late + 1 - events["p"], events["y"], events["x"]), gain)
    return frame

def broken(events, H, W):
    return np.zeros((1, H, W))[events["nope"]]
"""


def test_file_of_ones_own__is_described_and_shown_by_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["representations", "own.py:bins", "--set", "gain=3", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["name"], one["shape"], one["dtype"]) == ("own.py:bins", [4, "H", "W"], "float32")
    assert one["summary"] == "Counts of two bins, ON before OFF."
    assert one["channels"] == "ON of part 0, OFF of part 0, ON of part 1, OFF of part 1"
    assert one["parameters"][0]["value"] == 3
    assert main(["representations", "own.py:broken"]) == 1
    told = capsys.readouterr().err
    assert "own.py: line 12" in told
    assert told.count("\n") == 1


def test_command__lists_all_and_describes_one(capsys):
    assert main(["representations"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n{name}  (" in f"\n{told}" for name in REGISTRY)
    assert main(["representations", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == describe_all()
    one = ["representations", "voxel_grid", "--set", "bins=2", "--sensor", "346x260"]
    assert main(one) == 0
    told = capsys.readouterr().out
    assert told.startswith("voxel_grid  (2, 260, 346) float32, unit: events\n")
    assert "max(0, 1 − |bin − t*|) of its polarity" in told
    assert main([*one, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == describe("voxel_grid", {"bins": 2}, Sensor(260, 346))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["histogramm"], "Did you mean 'histogram'"),
        (["--set", "bins=2"], "--set needs the NAME"),
        (["histogram", "--set", "bins=2"], "histogram: it has no parameter 'bins'"),
        (["histogram", "--sensor", "wide"], "wide"),
    ],
)
def test_command__refuses_what_there_is_not_in_one_line(arguments, message, capsys):
    assert main(["representations", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
