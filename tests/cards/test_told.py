"""What a finished release tells of itself."""

import re
from dataclasses import replace

import pytest

from evreel.cards.index import INDEX
from evreel.cards.page import page
from evreel.cards.readme import readme
from evreel.cards.told import told_of
from evreel.release.manifest import PlanEntry
from evreel.release.recipe import is_data
from support import random_events
from support.cards import listed, told
from support.releases import DATA_SET, build, labelled_release, store


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return told_of(labelled_release(tmp_path_factory.mktemp("labelled")))


def test_told__has_the_samples_of_the_releases_table(labelled):
    assert [(one.recording, one.sample, one.split) for one in labelled.samples] == [
        *(("town", "a", "train"), ("town", "b", "test")),
        ("town", "c", "train"),
    ]


def test_tables__are_made_once(labelled):
    assert labelled.tables is labelled.tables
    assert [table.path for table in labelled.tables] == [INDEX, "index_samples.parquet"]


def test_recordings_without_a_split__are_told_of(tmp_path):
    source = store(tmp_path / "park.h5", random_events(100))
    build([PlanEntry("park.h5", source, "events", "park")], tmp_path / "street-1.0", **DATA_SET)
    (park,) = told_of(tmp_path / "street-1.0").facts
    assert (park.id, park.split, park.events.events) == ("park", "", 100)


def test_recipe__links_to_no_file_that_it_leaves_out():
    whole = told()
    previews = [listed(f"previews/park.{suffix}", "previews", "park") for suffix in ("mp4", "jpg")]
    files = [replace(file, withheld=is_data(file)) for file in (*whole.files, *previews)]
    recipe = replace(whole, files=files)
    texts = {path: data.decode() for of in (page, readme) for path, data in of(recipe).items()}
    linked = re.findall(r'(?:href|src)="([^"]*)"|\]\(([^)]*)\)', "".join(texts.values()))
    withheld = {file.path for file in files if file.withheld}
    assert {"previews/park.jpg", "train/events/park.h5", "video/park.mp4"} <= withheld
    assert not withheld.intersection(path for pair in linked for path in pair)
    assert "previews/park" not in texts["page/recordings-0001.js"]
    assert '["train/events/park.h5",20,1]' in texts["page/details-0001.js"]
    assert '["annotations/park.rois.xml",25]' in texts["page/details-0001.js"]
    for path in ("index.html", "README.md"):
        assert "recipe/README.md" in texts[path]
        assert "not in the recipe" in texts[path]
        assert "not in the recipe" not in (page(whole) | readme(whole))[path].decode()
