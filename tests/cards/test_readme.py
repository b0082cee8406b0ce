"""The data card of a release: what is in it, counted; how it is read, made and cited."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from evreel.cards.huggingface import front_matter
from evreel.cards.readme import MOST_FINDINGS, page
from evreel.cards.told import Told
from evreel.checks.finding import Finding
from evreel.release.facts import EventFacts, RecordingFacts
from evreel.release.manifest import ListedFile
from support.cards import SHOWN_EVENTS, SHOWN_SAMPLES, listed, told
from support.releases import labelled_release, release
from support.told import told_of


def card(**changes) -> str:
    return page(told(**changes))


def of_files(*files: ListedFile, **changes) -> str:
    """Return the page of files of which nothing else is known."""
    return page(Told(*("street", "1.0", "CC0-1.0", "portable", files, ()), **changes))


def section(text: str, title: str) -> str:
    """Return what is below a heading."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def tables(text: str) -> list[dict[str, dict[str, str]]]:
    """Return each table of a text: first cell of a row → head → cell."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        head, _, *rows = [[c.strip() for c in r[1:-1].split(" | ")] for r in block.splitlines()]
        found.append({row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows})
    return found


def test_card__begins_with_what_the_hub_reads_then_with_its_name_and_what_it_is():
    text = card()
    assert text.startswith(front_matter(told()) + "\n# parks 2.0.0\n\nStreets and parks, seen by")
    assert "Data set: Parks at Night <https://parks.example/data>." in text
    assert "Made by Ada Lovelace <https://orcid.org/0000>, Bo Ek, University of Parks" in text


def test_numbers__are_those_of_each_split_and_of_all():
    numbers, boxes, samples, features = tables(section(card(), "In numbers"))
    assert numbers["recordings"] == {"train": "1", "test": "0", "mixed": "1", "all": "2"}
    assert numbers["events"] == {"train": "3,000", "test": "0", "mixed": "2,000", "all": "5,000"}
    assert numbers["duration"]["all"] == "185 ms"
    assert numbers["annotated"]["train"] == "70 ms"
    assert numbers["tracks"]["all"] == "3"
    assert boxes["car"] == {"train": "30", "test": "0", "mixed": "0", "all": "30"}
    assert boxes["path"]["all"] == "5"
    assert set(boxes) == {"car", "path"}
    assert samples["bicycle"] == {"train": "0", "test": "1", "mixed": "0", "all": "1"}
    assert features["`counts`"]["frame"] == "2 × 24 × 32"
    assert "Boxes of other classes: none (bicycle)." in card()


def test_numbers__of_one_split_have_no_second_column_of_the_same():
    facts = [RecordingFacts("a", "train", EventFacts(4, 6, 7, 3, 9_000_000, ()))]
    (numbers,) = tables(section(card(facts=facts), "In numbers"))
    assert numbers == {
        "recordings": {"train": "1"},
        "events": {"train": "7"},
        "duration": {"train": "9 s"},
    }


def test_numbers__of_a_data_set_without_splits_are_of_all():
    facts = [RecordingFacts(name, "", EventFacts(4, 6, 7, 3, 9_000, ())) for name in "ab"]
    (numbers,) = tables(section(card(facts=facts), "In numbers"))
    assert numbers["events"] == {"all": "14"}


def test_sensors__of_several_sizes_are_told_with_their_recordings():
    sizes = [(24, 32), (24, 32), (720, 1280)]
    facts = [
        RecordingFacts(str(k), "train", EventFacts(*size, 7, 3, 9_000, ()))
        for k, size in enumerate(sizes)
    ]
    assert (
        "Sensor, width × height: 32 × 24 px (2 recordings), 1280 × 720 px (1 recording)."
    ) in card(facts=facts)


def test_picture__is_that_of_the_recording_with_the_most_boxes():
    pictures = [
        listed(f"previews/{name}.jpg", "previews", name) for name in ("alley", "park", "town")
    ]
    text = card(files=[*told().files, *pictures])
    assert re.findall(r"!\[.*\]\((.*)\)", text) == ["previews/park.jpg"]
    assert "![" not in card()


def test_names__are_shown_as_they_are():
    labels = {0: "a|b", 1: "*c*", 2: "<img src=x>"}
    facts = [RecordingFacts("a", "", samples={"train": {"a|b": 1, "*c*": 2, "<img src=x>": 3}})]
    text = card(labels=labels, facts=facts)
    assert r"| a\|b | 1 |" in text
    assert r"| \*c\* | 2 |" in text
    assert r"| \<img src=x> | 3 |" in text


def test_sizes__have_the_unit_that_fits():
    files = [ListedFile(f"train/h/{k}.h5", 406_000, "", "", "features", "a", "train") for k in "ab"]
    (content,) = tables(section(of_files(*files), "What is in it"))
    assert content["`train/h/`"] == {"what": "features", "files": "2", "size": "812 kB"}


@pytest.mark.parametrize("kind", ["features", "boxes", "samples", "slices"])
def test_card__explains_only_what_the_release_has(kind):
    words = {
        "features": "(windows, channels, height, width)",
        "boxes": "`start_us < t <= stop_us`",
        "samples": "`samples/window_start`",
        "slices": "`labelled/start_us`",
    }
    text = section(of_files(listed("train/x/a.h5", kind, "a", "train")), "How to read it")
    assert {name for name, each in words.items() if each in text} == {kind}


def test_making__tells_the_settings_that_say_something():
    config = {
        "events": {"crop": None, "max_pixel_hz": 500.0},
        "slices": {"window_us": 50_000, "tail": "keep", "origin_us": 0},
        "features": {"counts": {"representation": "voxel_grid", "parameters": {"bins": 5}}},
        "samples": None,
    }
    text = section(card(config=config), "How it was made")
    assert "- events: `max_pixel_hz: 500.0`\n" in text
    assert "- slices: `window_us: 50000`, `tail: keep`, `origin_us: 0`\n" in text
    assert "- features/counts: `representation: voxel_grid`, `parameters/bins: 5`" in text


def test_findings__are_told_up_to_a_limit():
    assert "None. `evreel check .`" in section(card(), "Known findings")
    findings = [
        Finding("warning", "frozen_box", f"train/slices/{k}.h5", "track 3", "is *still*")
        for k in range(MOST_FINDINGS + 2)
    ]
    text = section(card(findings=findings), "Known findings")
    assert r"- warning: frozen\_box: train/slices/0.h5: track 3: is \*still\*" in text
    assert "- 2 more: `evreel check .` lists them all" in text


def test_before_use__has_what_is_stated_alone():
    text = section(card(), "Before you use it")
    assert "- **Known limits**: No rain. One city.\n" in text
    assert "- **Biases**: Few bicycles.\n" in text
    assert "Before you use it" not in card(dataset={"title": "A"})


def test_citation__is_word_for_word_or_made_of_the_name():
    stated = card(dataset={"citation": "@misc{a_b,\n  title={`A`}\n}"})
    assert "To cite:\n\n```\n@misc{a_b,\n  title={`A`}\n}\n```\n" in stated
    text = section(card(dataset={"page": "https://x.org"}), "Licence and citation")
    assert "To cite: parks, version 2.0.0, <https://x.org>." in text
    assert "Licence of the data: CC-BY-4.0, see `LICENSE.txt`." in text


def code_of(text: str) -> list[str]:
    """Return the blocks of Python."""
    return re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Releases with frames and boxes, portable and fast, and one with samples."""
    root = tmp_path_factory.mktemp("releases")
    return {
        "portable": release(root / "portable"),
        "fast": release(root / "fast", "fast"),
        "samples": labelled_release(root / "samples"),
    }


@pytest.mark.parametrize("name", ["portable", "fast", "samples"])
def test_lines__load_the_release_as_they_stand(folders, name, monkeypatch, capsys):
    folder = folders[name]
    plain, ours = code_of((folder / "README.md").read_text(encoding="utf-8"))
    assert len(plain.splitlines()) <= (7 if name == "samples" else 5)
    assert ("hdf5plugin" in plain) == (name == "fast")
    monkeypatch.chdir(folder)
    exec(plain, {})
    said = capsys.readouterr().out
    assert said == SHOWN_SAMPLES if name == "samples" else said.startswith("(7, 2, 24, 32)")
    exec(ours, {})
    loaded = capsys.readouterr().out
    assert "park" in loaded
    assert loaded.endswith(SHOWN_SAMPLES) == (name == "samples")


@pytest.mark.parametrize("compression", ["portable", "fast"])
def test_lines__of_samples_alone_load_frames_or_events_with_their_class(
    tmp_path, compression, monkeypatch, capsys
):
    folder = labelled_release(tmp_path, compression)
    whole = told_of(folder)
    town = [one for one in whole.facts if one.samples]
    monkeypatch.chdir(folder)
    without = [file for file in whole.files if file.kind != "features"]
    for files, shown in ((whole.files, SHOWN_SAMPLES), (without, SHOWN_EVENTS)):
        for code in code_of(page(replace(whole, facts=town, files=files, compression=compression))):
            exec(code, {})
            assert capsys.readouterr().out == shown


@pytest.mark.parametrize("kind", ["events", "recording"])
def test_lines__without_frames_load_what_there_is(folders, kind, monkeypatch, capsys):
    monkeypatch.chdir(folders["portable"])
    (plain, _) = code_of(of_files(listed("train/events/park.h5", kind, "park", "train")))
    assert len(plain.splitlines()) <= 5
    exec(plain, {})
    said = capsys.readouterr().out
    assert ("train/events/park.h5" in said) == (kind == "recording")


def test_readme__of_a_release_is_made_from_what_its_files_hold(folders):
    text = (folders["samples"] / "README.md").read_text(encoding="utf-8")
    counted = page(told_of(folders["samples"]))
    assert tables(section(text, "In numbers")) == tables(section(counted, "In numbers"))
    numbers = tables(section(text, "In numbers"))[0]
    assert numbers["recordings"]["all"] == "2"
    assert numbers["events"]["all"] == "6,000"
    assert numbers["boxes"]["all"] == "40"


def test_making__tells_of_no_step_that_no_recording_needed():
    config = {"annotate": {"at": "frame"}, "boxes": {"clock": "source"}, "events": {"tail": "keep"}}
    drawn = {"park": {"rois": "park.xml"}, "town": {}}
    text = section(card(config=config, recordings=drawn), "How it was made")
    assert "- annotate: `at: frame`" in text
    assert "- events:" in text
    assert "- boxes:" not in text
    supplied = {"park": {"boxes": "park_bbox.npy"}}
    text = section(card(config=config, recordings=supplied), "How it was made")
    assert "- annotate:" not in text
    assert "- boxes: `clock: source`" in text
