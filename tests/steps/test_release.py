"""What building a release tells in its log."""

from dataclasses import replace

import pytest

from evreel import steps
from evreel.cli import main
from evreel.errors import ReleaseError
from evreel.release.manifest import PlanEntry, read_manifest, read_plan, write_plan
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


def of_three(folder):
    """A plan of three recordings, of which one lacks its events."""
    there = store(folder / "park.h5", random_events(100))
    other = store(folder / "town.h5", random_events(90, seed=1))
    rows = [("park", "train", there), ("town", "test", other), ("sea", "test", folder / "sea.h5")]
    write_plan(
        folder / "plan.tsv",
        [
            PlanEntry(f"{split}/events/{id_}.h5", path, "events", id_, split)
            for id_, split, path in rows
        ],
    )
    return folder / "plan.tsv"


def test_release_by_hand__without_files_is_refused_with_how_many_and_which(tmp_path, capsys):
    plan, folder = of_three(tmp_path), tmp_path / "out-1.0"
    arguments = ["release", "--manifest", str(plan), "-o", str(folder), "--licence", "CC0-1.0"]
    assert main(arguments) == 1
    assert (
        f"files of 1 of 3 recordings: 'sea' are missing; the first of 'sea': "
        f"'{tmp_path}/sea.h5'. A relative path starts at the working directory. Make them, or "
        "leave out these recordings: incomplete: allow."
    ) in capsys.readouterr().err
    assert not folder.exists()
    assert main([*arguments, "--incomplete", "allow"]) == 0
    assert f"'sea' is left out: {tmp_path}/sea.h5 is not there" in capsys.readouterr().err
    manifest = read_manifest(folder)
    why = "test/events/sea.h5 is not there"
    assert manifest.missing == {"sea": {"split": "test", "reason": why}}
    assert main(["check", str(folder)]) == 0
    (tmp_path / "park.h5").unlink()
    (tmp_path / "town.h5").unlink()
    assert main([*arguments, "--incomplete", "allow"]) == 1
    assert (
        "files of 3 of 3 recordings: 'park', 'sea', 'town' are missing" in capsys.readouterr().err
    )


def test_release__that_lacks_all_of_a_split_or_divides_a_group_is_refused(plan, tmp_path):
    about = {"name": "parks", "version": "1", "licence": "CC0-1.0"}
    known = {"park": {"split": "train", "group": "monday"}}
    write_plan(tmp_path / "plan.tsv", [replace(entry, split="train") for entry in read_plan(plan)])
    missing = {"sea": {"split": "test", "group": "monday", "reason": "events: FormatError: bad"}}

    def build(**options):
        settings = steps.ReleaseSettings(**about, **options)
        target = tmp_path / "a"
        steps.release(tmp_path / "plan.tsv", target, settings, recordings=known, missing=missing)

    with pytest.raises(
        ReleaseError, match="split test: is empty: its only recording, 'sea', is missing"
    ):
        build()
    with pytest.raises(ReleaseError, match="group 'monday': is in test "):
        build(tolerate=("empty_split",))
    build(tolerate=("empty_split", "split_group"))
    assert read_manifest(tmp_path / "a").missing == missing


def test_anonymous_release__says_which_step_failed_and_no_more(plan, tmp_path):
    missing = {"sea": {"split": "", "reason": "acquire: SourceError: ada.raw of a.lovelace: bad"}}
    settings = steps.ReleaseSettings(name="a", version="1", licence="CC0-1.0", anonymous=True)
    steps.release(plan, tmp_path / "a", settings, missing=missing)
    assert read_manifest(tmp_path / "a").missing == {"sea": {"split": "", "reason": "acquire"}}
    page = (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    assert "It lacks 1 of 2 recordings: 'sea'" in page
    assert "lovelace" not in page
