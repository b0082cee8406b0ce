"""The tables of recordings and samples, as Parquet."""

import io
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from evreel.cards.index import INDEX, SAMPLES_INDEX, index
from evreel.samples.tables import Assigned
from support.cards import listed, told


def rows(data):
    return pq.read_table(io.BytesIO(data)).to_pylist()


def test_index__has_a_typed_row_per_recording():
    data = index(told())[INDEX]
    park, town = rows(data)
    assert (park["id"], park["split"], park["group"]) == ("park", "train", "night")
    assert (park["height_px"], park["width_px"], park["events"], park["on_events"]) == (
        *(24, 32),
        *(3_000, 1_500),
    )
    assert (park["boxes"], park["boxes.car"], park["boxes.path"], park["tracks"]) == (35, 30, 5, 3)
    assert (park["meta.light"], park["labelled_us"], park["samples"]) == ("low", 70_000, None)
    assert (town["boxes"], town["boxes.car"], town["samples"], town["group"]) == (
        *(None, None),
        *(2, None),
    )
    types = {str(field.type) for field in pq.read_schema(io.BytesIO(data))}
    assert types == {"string", "int64"}


def test_index__names_each_main_file_with_its_digests():
    known = told()
    by_path = {file.path: file for file in known.files}
    for row in rows(index(known)[INDEX]):
        kinds = [name.removesuffix(".path") for name in row if name.endswith(".path")]
        found = [kind for kind in kinds if kind.startswith("file.") and row[f"{kind}.path"]]
        assert "file.events" in found
        for kind in found:
            file = by_path[row[f"{kind}.path"]]
            assert file.id == row["id"]
            told_of_it = [row[f"{kind}.{name}"] for name in ("size_bytes", "md5", "sha256")]
            assert told_of_it == [file.size, file.md5, file.sha256]
    assert rows(index(known)[INDEX])[0]["file.features.counts.path"] == "train/counts/park.h5"
    assert rows(index(known)[INDEX])[0]["file.video.path"] == "video/park.mp4"


def test_index__of_boxes_without_any_says_0_and_not_null():
    park, _ = told().facts
    park = replace(park, boxes={})
    (row,) = rows(index(told(facts=[park]))[INDEX])
    assert (row["boxes"], row["tracks"]) == (0, 0)


def test_index__has_a_row_per_sample_where_there_are_samples():
    made = index(told())
    assert rows(made[SAMPLES_INDEX])[1] == {
        **{"recording": "town", "sample": "b", "label": "bicycle", "group": "late"},
        **{"split": "test", "start_us": 30_000, "stop_us": 50_000},
        "file.events.path": "mixed/events/town.h5",
        "file.samples.path": "mixed/samples/town.h5",
    }
    assert SAMPLES_INDEX not in index(told(samples=()))


def test_index__has_each_split_alone_with_the_same_columns():
    made = index(told())
    assert sorted(set(made) - {INDEX, SAMPLES_INDEX}) == [
        *("index/recordings/mixed.parquet", "index/recordings/train.parquet"),
        *("index/samples/test.parquet", "index/samples/train.parquet"),
    ]
    whole = pq.read_schema(io.BytesIO(made[INDEX]))
    for name in ("mixed", "train"):
        part = made[f"index/recordings/{name}.parquet"]
        assert pq.read_schema(io.BytesIO(part)).equals(whole)
        assert [row["split"] for row in rows(part)] == [name]


@pytest.mark.parametrize(
    ("splits", "names"),
    [
        (("../../x", "..-..-x"), {"______x", "______x_2"}),
        (("Train", "train"), {"train", "Train_2"}),
        (("all", "é" * 200), {"all_2", "_" * 100}),
    ],
)
def test_split_of_any_name__becomes_a_file_of_its_own_in_the_folder(splits, names):
    samples = [Assigned("town", "a", "car", "", split, 0, 1) for split in splits]
    made = index(told(samples=samples))
    of_samples = [path for path in made if path.startswith("index/samples/")]
    assert {
        path.removeprefix("index/samples/").removesuffix(".parquet") for path in of_samples
    } == (names)
    assert sorted(row["split"] for path in of_samples for row in rows(made[path])) == sorted(splits)


def test_index__of_nothing_is_a_table_without_rows():
    made = index(told(files=(), facts=(), samples=(), recordings={}))
    assert list(made) == [INDEX]
    assert rows(made[INDEX]) == []


def test_index__of_equal_facts_has_equal_bytes():
    assert index(told()) == index(told(files=list(reversed(told().files))))
    changed = told(recordings={"park": {"meta.light": "high"}})
    assert index(changed)[INDEX] != index(told())[INDEX]


def test_index__of_ten_thousand_recordings_is_small():
    park, _ = told().facts
    ids = [f"r{k:05}" for k in range(10_000)]
    facts = [replace(park, id=id_) for id_ in ids]
    files = [listed(f"train/events/{id_}.h5", "events", id_, "train") for id_ in ids]
    data = index(told(facts=facts, files=files, samples=(), recordings={}))[INDEX]
    assert len(rows(data)) == 10_000
    assert len(data) < 2_000_000
