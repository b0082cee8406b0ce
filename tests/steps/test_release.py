"""What building a release tells in its log."""

import pytest

from evreel import steps
from evreel.release.manifest import PlanEntry, write_plan
from support import random_events
from support.cards import STATED
from support.releases import store


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    source = store(folder / "park.h5", random_events(100))
    write_plan(folder / "plan.tsv", [PlanEntry("train/events/park.h5", source, "events", "park")])
    return folder / "plan.tsv"


def lines_about_venues(plan, folder, caplog, **options):
    settings = steps.ReleaseSettings(name="parks", version="1.0.0", licence="CC0-1.0")
    steps.release(plan, folder, settings, **options)
    return [line for line in caplog.messages if "what venues ask for" in line]


def test_release__warns_once_of_what_venues_ask_for(plan, tmp_path, caplog):
    dataset = {"description": "Parks.", "rai": {"data_biases": ["Few cars."]}}
    (line,) = lines_about_venues(plan, tmp_path / "a", caplog, config={"a": 1}, dataset=dataset)
    assert "dataset/page, " in line
    assert "dataset/rai/data_limitations, " in line
    assert "dataset/description" not in line
    assert "data_biases" not in line


def test_release_that_states_all__warns_of_nothing(plan, tmp_path, caplog):
    assert lines_about_venues(plan, tmp_path / "a", caplog, config={}, dataset=STATED) == []


def test_release_by_hand__is_not_asked_for_a_config(plan, tmp_path, caplog):
    assert lines_about_venues(plan, tmp_path / "a", caplog) == []


def test_release__names_recordings_that_are_gone_and_the_command_that_brings_them(
    plan, tmp_path, caplog
):
    settings = steps.ReleaseSettings(name="parks", version="1.0.0", licence="CC0-1.0")
    acquired = {f"r{k}": f"no folder/r{k}.raw" for k in range(5)}
    steps.release(plan, tmp_path / "a", settings, acquired=acquired)
    [line] = [line for line in caplog.messages if "gone" in line]
    assert line.startswith(
        "recordings that are gone, and so not compared: 5: r0, r1, r2 and 2 more. "
    )
    assert "with the same --configfile: snakemake --cores 2 'no folder/r0.raw' " in line
    assert "r3" not in line
