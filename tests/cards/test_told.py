"""What a finished release tells of itself."""

import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from evreel.cards.index import INDEX
from evreel.cards.page import page
from evreel.cards.readme import readme
from evreel.layout import BOX_DTYPE
from evreel.release.manifest import PlanEntry
from evreel.release.recipe import is_data
from support import random_events
from support.cards import listed, told
from support.releases import DATA_SET, build, labelled_release, store
from support.told import told_of


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


def test_boxes__are_counted_without_events_too(tmp_path):
    np.save(tmp_path / "park_bbox.npy", np.zeros(3, dtype=BOX_DTYPE))
    of_park = ("slices", "park", "train")
    plan = [PlanEntry("train/slices/park_bbox.npy", tmp_path / "park_bbox.npy", *of_park)]
    folder = tmp_path / "street"
    build(plan, folder, labels={0: "pedestrian"}, **DATA_SET)
    (row,) = pq.read_table(folder / INDEX).to_pylist()
    assert (row["events"], row["boxes"], row["boxes.pedestrian"]) == (None, 3, 3)
    (one,) = told_of(folder).facts
    assert one.boxes["pedestrian"].boxes == 3


def test_time_and_events__are_not_told_as_zero_if_there_are_none():
    whole = told()
    facts = [replace(one, events=None) for one in whole.facts]
    texts = {
        path: data.decode()
        for of in (page, readme)
        for path, data in of(replace(whole, facts=facts)).items()
    }
    assert "| boxes | 35 | 0 | 0 | 35 |" in texts["README.md"]
    assert not re.findall("^[|] (events|duration) [|]", texts["README.md"], re.MULTILINE)
    splits = texts["index.html"].partition("<h3>Splits</h3>")[2].partition("</table>")[0]
    assert re.findall('scope="col">([^<]*)', splits) == [
        *("Split", "Recordings", "Annotated", "Boxes", "Objects", "Samples"),
        "Time in samples",
    ]
    classes = texts["index.html"].partition("<h3>Classes</h3>")[2].partition("</table>")[0]
    assert "Frames with boxes" in classes
