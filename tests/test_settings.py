"""Settings: what is checked of them, and what is made from them."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.cli.options import add_settings, settings_from
from evreel.dataset.settings import Config, SplitsSettings
from evreel.errors import ParameterError
from evreel.settings import (
    Settings,
    find,
    mistakes,
    optional,
    read,
    required,
    schema,
    section,
    setting,
    settings_of,
)
from support import ROOT
from support.dataset import CONFIG


@dataclasses.dataclass(frozen=True)
class Lens(Settings):
    """A group within a group."""

    focus_mm: float = setting(8, "Focal length.", unit="mm", above=0, maximum=500)
    names: tuple[str, ...] = setting((), "Names.", unique=True, metavar="A,B")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera(Settings):
    """Settings of every kind."""

    one_of = ("rate_hz", "period_us")

    maker: str = required("Who made it.", pattern="[a-z]+")
    mode: Literal["fast", "slow"] = setting("fast", "Speed.")
    gain: int | None = setting(None, "Gain; null measures it.", minimum=0, maximum=9)
    bus: int | str | None = setting(None, "Bus, by number or name.", minimum=0)
    mirrored: bool = setting(False, "Whether columns are mirrored.")
    crop: tuple[int, int] | None = setting(None, "Columns to keep.", metavar="X0,X1", minimum=0)
    lens: Lens = section(Lens, "The lens.")
    labels: Mapping[str, str] = section(dict, "Names of pins.", flag="pin", metavar="PIN=NAME")
    rate_hz: int | None = optional("Pictures per second.", minimum=1)
    period_us: int | None = optional("Time between pictures.", unit="µs", minimum=1)

    def contradictions(self):
        if self.mode == "slow" and self.gain:
            yield ("gain",), "does not go with mode slow"


WHOLE = {"maker": "acme", "rate_hz": 30}


@pytest.mark.parametrize(
    ("change", "place", "problem"),
    [
        ({"gian": 1}, "gian", "unknown key 'gian'; did you mean 'gain'?"),
        ({"maker": "A"}, "maker", "'A' is not of the form [a-z]+ (Who made it.)"),
        ({"maker": 3}, "maker", "3 is not a text (Who made it.)"),
        (
            {"mode": "fats"},
            "mode",
            "'fats' is not one of fast, slow; did you mean 'fast'? (Speed.)",
        ),
        ({"gain": 2.5}, "gain", "2.5 is not a whole number (Gain; null measures it.)"),
        ({"gain": True}, "gain", "true is not a whole number (Gain; null measures it.)"),
        ({"gain": -1}, "gain", "-1 is less than 0 (Gain; null measures it.)"),
        ({"gain": 10}, "gain", "10 is more than 9 (Gain; null measures it.)"),
        ({"bus": 2.5}, "bus", "2.5 is not a whole number or a name (Bus, by number or name.)"),
        ({"bus": True}, "bus", "true is not a whole number or a name (Bus, by number or name.)"),
        ({"bus": -1}, "bus", "-1 is less than 0 (Bus, by number or name.)"),
        ({"bus": ""}, "bus", "the text is empty (Bus, by number or name.)"),
        ({"mirrored": 1}, "mirrored", "1 is not true or false (Whether columns are mirrored.)"),
        ({"crop": [1]}, "crop", "[1] has 1 item; 2 are needed (Columns to keep.)"),
        ({"crop": [1, "a"]}, "crop/1", "'a' is not a whole number"),
        ({"crop": 5}, "crop", "5 is not a list (Columns to keep.)"),
        ({"lens": {"names": 5}}, "lens/names", "5 is not a list (Names.)"),
        ({"lens": {"names": "a"}}, "lens/names", "'a' is not a list; write [a] (Names.)"),
        ({"lens": {"names": "Yes"}}, "lens/names", "'Yes' is not a list; write [\"Yes\"] (Names.)"),
        ({"lens": 5}, "lens", "5 is not a mapping of keys to values"),
        ({"lens": {"focus_mm": 0}}, "lens/focus_mm", "0 is not more than 0 (Focal length.)"),
        (
            {"lens": {"focus_mm": float("nan")}},
            "lens/focus_mm",
            "nan is not finite (Focal length.)",
        ),
        ({"lens": {"names": ["a", "b", "a"]}}, "lens/names/2", "'a' is duplicated"),
        ({"lens": {"names": [""]}}, "lens/names/0", "the text is empty"),
        (
            {"labels": {1: "a"}},
            "labels",
            'key 1 is not a text; put it in quotes: "1" (Names of pins.)',
        ),
        ({"labels": {"a": 1}}, "labels/a", "1 is not a text"),
        (
            {"period_us": 5},
            "",
            "exactly one of rate_hz and period_us (µs) is needed; got rate_hz and period_us",
        ),
    ],
)
def test_mistake__is_placed_and_says_what_is_expected(change, place, problem):
    assert list(mistakes(Camera, WHOLE | change)) == [
        (tuple(filter(None, place.split("/"))), problem)
    ]
    with pytest.raises(ParameterError) as caught:
        Camera(**WHOLE | change) if "gian" not in change else read_strictly(WHOLE | change)
    assert problem.split(" (")[0].split("; got")[0] in str(caught.value)


def read_strictly(values):
    for place, problem in mistakes(Camera, values):
        raise ParameterError(f"{'/'.join(place)}: {problem}")


def test_mistakes__of_nothing_name_what_is_missing():
    assert [problem for _, problem in mistakes(Camera, {})] == [
        "maker is missing (Who made it.)",
        "exactly one of rate_hz and period_us (µs) is needed; got none of them",
    ]


def test_settings__hold_plain_values_and_defaults():
    camera = Camera(maker="acme", rate_hz=np.int64(30), lens={"focus_mm": np.float32(4)})
    assert type(camera.rate_hz) is int
    assert camera.lens == Lens(focus_mm=4.0)
    assert camera.plain() == {
        "maker": "acme",
        "mode": "fast",
        "gain": None,
        "bus": None,
        "mirrored": False,
        "crop": None,
        "lens": {"focus_mm": 4.0, "names": []},
        "labels": {},
        "rate_hz": 30,
    }
    assert read(Camera, camera.plain()) == camera
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera.maker = "other"


def test_settings__may_be_a_number_or_a_name():
    for bus in (0, 3, "usb", "3"):
        camera = Camera(**WHOLE, bus=bus)
        assert camera.bus == bus
        assert read(Camera, camera.plain()) == camera
    assert parsed("--maker", "acme", "--rate-hz", "30", "--bus", "3").bus == 3
    assert parsed("--maker", "acme", "--rate-hz", "30", "--bus", "/usb").bus == "/usb"


def test_settings__that_do_not_go_together_are_refused():
    with pytest.raises(ParameterError, match="gain: does not go with mode slow"):
        Camera(**WHOLE, mode="slow", gain=1)
    with pytest.raises(ParameterError, match="gain: does not go with mode slow"):
        dataclasses.replace(Camera(**WHOLE, gain=1), mode="slow")
    with pytest.raises(ParameterError, match="split: seed is given without shares"):
        SplitsSettings(split={"seed": 1})


def parsed(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_settings(parser, Camera)
    return settings_from(Camera, parser.parse_args(arguments))


def test_options__give_the_settings_that_a_mapping_gives():
    assert parsed("--maker", "acme", "--rate-hz", "30") == Camera(**WHOLE)
    given_all = parsed(
        *("--maker", "acme", "--period-us", "40", "--mode", "slow", "--mirrored", "--crop", "3,9"),
        *("--focus-mm", "4.5", "--names", "a,b", "--pin", "1=left", "--pin", "2=right"),
    )
    assert given_all == Camera(
        maker="acme",
        period_us=40,
        mode="slow",
        mirrored=True,
        crop=(3, 9),
        lens=Lens(4.5, ("a", "b")),
        labels={"1": "left", "2": "right"},
    )


@pytest.mark.parametrize(
    "arguments", [["--crop", "3"], ["--gain", "x"], ["--pin", "1"], ["--names", "a,,b"]]
)
def test_options__that_can_not_be_read_are_refused(arguments):
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parsed("--maker", "acme", "--rate-hz", "30", *arguments)


def test_find__leads_through_groups_and_mappings():
    assert find(Config, ("video", "fps")).default == 30
    assert find(Config, ("features", "any", "count")).facts.unit == "events"
    assert find(Config, ("video", "fsp")) is None
    assert find(Config, ("labels", "0", "x")) is None


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.floats(-3, 600, allow_nan=False),
    st.sampled_from(["fast", "acme", "", "A", "none"]),
    st.lists(st.integers(-1, 9), max_size=3),
    st.lists(st.sampled_from(["a", "b"]), max_size=3),
    st.dictionaries(st.sampled_from(["focus_mm", "names", "a"]), st.integers(-1, 9), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*settings_of(Camera), "other"]), VALUES, max_size=9))
def test_schema__takes_what_is_taken_and_refuses_what_is_refused(values):
    values = WHOLE | values
    # A whole float is an integer to JSON.
    if any(isinstance(value, float) and value.is_integer() for value in values.values()):
        return
    validator = jsonschema.Draft202012Validator(schema(Camera))
    assert validator.is_valid(values) == (not list(mistakes(Camera, values)))


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "config.yaml",
        *sorted(ROOT.glob("configs/*/config.yaml")),
        *sorted(ROOT.glob("configs/*.yaml")),
    ],
)
def test_schema__of_a_config_takes_those_that_are_there(path):
    validator = jsonschema.Draft202012Validator(schema(Config))
    assert list(validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))) == []


def test_config__is_plain_again_with_all_defaults():
    config: Any = read(Config, CONFIG)
    plain = config.plain()
    assert read(Config, plain) == config
    assert plain["video"]["tau_us"] == 30_000
    assert "samples" not in plain and "stride" not in plain["features"]["histogram"]
