"""The YAML before a release's README; `tests/venues` reads it with huggingface_hub."""

import pytest
import yaml

from evreel.cards.huggingface import front_matter
from evreel.cards.index import index
from support.cards import STATED, told


def front(**changes):
    text = front_matter(told(**changes))
    assert text.startswith("---\n")
    assert text.endswith("\n---\n")
    assert text.count("\n---\n") == 1
    return yaml.safe_load(text[4:-4])


def test_front_matter__says_what_it_is():
    value = front()
    assert value["pretty_name"] == "Parks at Night"
    assert value["license"] == "cc-by-4.0"
    assert value["tags"] == ["event-camera", "neuromorphic", "driving"]
    assert value["size_categories"] == ["n<1K"]
    assert value["task_categories"] == ["object-detection", "video-classification"]
    assert front(dataset={})["pretty_name"] == "parks 2.0.0"


def test_configs__are_tables_that_are_there_with_a_file_for_each_split():
    known = told()
    samples, recordings = front()["configs"]
    assert (samples["config_name"], samples["default"]) == ("samples", True)
    assert recordings["config_name"] == "recordings"
    assert "default" not in recordings
    paths = [one["path"] for config in (samples, recordings) for one in config["data_files"]]
    assert set(paths) < set(index(known))
    assert [one["split"] for one in samples["data_files"]] == ["train", "test"]


def test_configs__without_samples_are_recordings_alone():
    (recordings,) = front(samples=())["configs"]
    assert recordings["default"] is True


def test_configs__without_splits_are_the_whole_table():
    park, _ = told().facts
    alone = type(park)(park.id, "", park.events)
    (recordings,) = front(samples=(), facts=[alone])["configs"]
    assert recordings["data_files"] == "index.parquet"
    assert "task_categories" not in front(samples=(), facts=[alone])


@pytest.mark.parametrize(
    ("licence", "of_hub"),
    [
        ("CC0-1.0", {"license": "cc0-1.0"}),
        ("ODC-By-1.0", {"license": "odc-by"}),
        ("NOASSERTION", {"license": "unknown"}),
        (
            "LicenseRef-Our own",
            {
                "license": "other",
                "license_name": "licenseref-our-own",
                "license_link": "LICENSE.txt",
            },
        ),
    ],
)
def test_licence__is_what_the_hub_calls_it(licence, of_hub):
    value = front(licence=licence)
    assert {key: value[key] for key in value if key.startswith("license")} == of_hub


@pytest.mark.parametrize("title", ['a "b": c', "a\n---\nb: 1", "\\", "#x", "\U0001f6b2\x7f", "é "])
def test_title_of_any_kind__is_read_as_it_is(title):
    value = front(dataset=STATED | {"title": title, "keywords": [title]})
    assert value["pretty_name"] == title
    assert value["tags"][-1] == title
