"""What a finished release tells of itself."""

import pytest

from evreel.cards.index import INDEX
from evreel.cards.told import told_of
from evreel.release.manifest import PlanEntry
from support import random_events
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
