"""croissant.json: what is in it; `tests/venues` reads it with mlcroissant."""

import hashlib
import json

import pytest
import yaml

from evreel.cards import CARDS
from evreel.cards.croissant import CROISSANT, croissant, term, unstated, unstated_notice
from evreel.dataset.settings import Description, ResponsibleAI
from evreel.settings import mistakes, read, settings_of
from support import ROOT
from support.cards import STATED, told


def made(**changes):
    return json.loads(croissant(told(**changes))[CROISSANT])


def test_croissant__conforms_to_1_1_and_to_rai():
    value = made()
    assert value["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert value["@context"]["rai"] == "http://mlcommons.org/croissant/RAI/"
    assert value["@context"]["cr"] == "http://mlcommons.org/croissant/"


def test_croissant__says_what_the_config_states():
    value = made()
    assert (value["name"], value["version"], value["alternateName"]) == (
        *("parks", "2.0.0"),
        "Parks at Night",
    )
    assert value["license"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert (value["url"], value["citeAs"], value["datePublished"]) == (
        *("https://parks.example/data", "@misc{parks}"),
        "2026-01-31",
    )
    assert value["creator"] == [
        {"@type": "sc:Person", "name": "Ada Lovelace", "url": "https://orcid.org/0000"},
        {"@type": "sc:Person", "name": "Bo Ek"},
        {
            "@type": "sc:Organization",
            "name": "University of Parks",
            "url": "https://parks.example",
        },
    ]
    assert value["keywords"] == ["event camera", "neuromorphic", "driving"]
    assert value["prov:wasDerivedFrom"] == [
        {"@type": "sc:Dataset", "name": "https://roads.example", "url": "https://roads.example"},
        {"@type": "sc:Dataset", "name": "Trees", "url": "https://trees.example"},
    ]


def test_croissant__has_each_key_of_rai_under_its_term():
    every = {name: [name] for name in settings_of(ResponsibleAI)}
    value = made(dataset={"rai": every})
    for name in every:
        assert value[term(name)] == [name]
    assert term("personal_sensitive_information") == "rai:personalSensitiveInformation"
    assert term("annotations_per_item") == "rai:annotationsPerItem"


def test_croissant__says_that_nothing_is_synthetic():
    assert made()["rai:hasSyntheticData"] is False


def test_croissant__says_how_the_data_came_about():
    label, _ = "prov:label", "description"
    assert [one[label] for one in made()["prov:wasGeneratedBy"]] == [
        *("Collection", "Annotation", "Processing"),
    ]
    assert [one[label] for one in made(dataset={})["prov:wasGeneratedBy"]] == ["Processing"]


def test_croissant__states_no_day_of_its_own():
    assert "datePublished" not in made(dataset={})
    assert croissant(told(dataset={})) == croissant(told(dataset={}))


def test_files__have_the_sha256_of_what_is_written():
    known = told()
    written = {path: data for card in CARDS.values() for path, data in card(known).items()}
    planned = {file.path: file.sha256 for file in known.files}
    files = [one for one in made()["distribution"] if one["@type"] == "cr:FileObject"]
    assert {one["contentUrl"] for one in files} == {
        *("index.parquet", "index_samples.parquet"),
        "samples.tsv",
    }
    for one in files:
        path = one["contentUrl"]
        own = hashlib.sha256(written[path]).hexdigest() if path in written else planned[path]
        assert one["sha256"] == own


def test_sets__are_the_files_of_recordings_by_folder_and_form():
    sets = {one["includes"] for one in made()["distribution"] if one["@type"] == "cr:FileSet"}
    assert sets == {
        *("train/events/*.h5", "train/slices/*.h5", "train/slices/*_bbox.npy"),
        *("train/counts/*.h5", "train/counts/*_bbox.npy", "video/*.mp4", "video/*.tsv"),
        *("annotations/*.xml", "mixed/events/*.h5", "mixed/samples/*.h5"),
    }


def test_classes__are_records_with_their_numbers():
    (labels,) = (one for one in made()["recordSet"] if one["@id"] == "labels")
    assert labels["data"][1] == {"labels/number": 1, "labels/name": "bicycle"}
    assert "labels" not in [one["@id"] for one in made(labels={})["recordSet"]]


@pytest.mark.parametrize("name", ['a "b"', "a/b", "an idea", "é", "x#y", "\U0001f6b2"])
def test_class_of_any_name__has_a_field_with_an_id_of_its_own(name):
    known = told()
    park = known.facts[0]
    boxes = {name: park.boxes["car"], name + "2": park.boxes["car"]}
    value = made(facts=[type(park)(park.id, park.split, park.events, 0, boxes)])
    fields = [field for one in value["recordSet"] for field in one["field"]]
    ids = [field["@id"] for field in fields]
    assert len(set(ids)) == len(ids)
    assert f"boxes.{name}" in [field["name"] for field in fields]
    assert not any(set(id_) & set(' "#\n') for id_ in ids)


@pytest.mark.parametrize(
    ("licence", "stated"),
    [
        ("Apache-2.0", "https://spdx.org/licenses/Apache-2.0"),
        ("LicenseRef-parks", "LicenseRef-parks"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("NOASSERTION", None),
    ],
)
def test_licence__is_an_address_where_spdx_has_one(licence, stated):
    assert made(licence=licence).get("license") == stated


def test_warning__names_all_keys_that_say_nothing():
    assert unstated(told()) == []
    assert unstated_notice(told()) is None
    empty = told(dataset={}, licence="NOASSERTION")
    notice = unstated_notice(empty)
    assert len(unstated(empty)) == 12
    assert "\n" not in notice
    for key in ("dataset/description", "dataset/rai/data_biases", "release/licence"):
        assert key in notice
    own = told(dataset=STATED | {"creators": None, "derived_from": []})
    assert unstated(own) == []
    nobody = told(dataset=STATED | {"creators": None, "organizations": None})
    assert unstated(nobody) == ["dataset/creators or dataset/organizations"]


def test_warning__names_keys_that_the_config_has():
    known = settings_of(Description), settings_of(ResponsibleAI)
    for key in " or ".join(unstated(told(dataset={}))).split(" or "):
        *group, name = key.split("/")
        assert name in (known[1] if group[-1] == "rai" else known[0])


def test_example_of_the_page__states_all_that_venues_ask_for():
    page = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0].replace("2026-01-31", "'2026-01-31'")
    example = example.replace("[2025-11-03, 2025-12-19]", "['2025-11-03', '2025-12-19']")
    stated = yaml.safe_load(example)["dataset"]
    assert list(mistakes(Description, stated)) == []
    assert unstated(told(dataset=read(Description, stated).plain())) == []
