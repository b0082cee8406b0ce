"""The index, read by pandas, polars and datasets."""

import datasets
import pandas
import polars
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from evreel.cards.index import INDEX, SAMPLES_INDEX


@pytest.mark.parametrize("name", [INDEX, SAMPLES_INDEX])
def test_pandas__reads_each_value(published, name):
    read = pandas.read_parquet(published / name, dtype_backend="pyarrow")
    assert read.to_dict("list").keys() == pq.read_table(published / name).to_pydict().keys()
    rows = read.astype(object).where(read.notna(), None).to_dict("records")
    assert rows == pq.read_table(published / name).to_pylist()


@pytest.mark.parametrize("name", [INDEX, SAMPLES_INDEX])
def test_polars__reads_each_value(published, name):
    read = polars.read_parquet(published / name)
    assert read.to_dicts() == pq.read_table(published / name).to_pylist()
    assert set(read.dtypes) == {polars.String, polars.Int64}


def test_columns__are_found_by_their_names(published):
    wanted = ["id", "boxes", "boxes.pedestrian", "file.events.path"]
    assert list(pandas.read_parquet(published / INDEX, columns=wanted).columns) == wanted
    assert polars.read_parquet(published / INDEX, columns=wanted).columns == wanted
    cars = polars.scan_parquet(published / INDEX).filter(polars.col("boxes.pedestrian") > 0)
    assert cars.select("id").collect().to_series().to_list() == ["park"]


def test_datasets__reads_the_whole_table(published, tmp_path):
    read = datasets.load_dataset(
        "parquet", data_files=str(published / INDEX), split="train", cache_dir=str(tmp_path)
    )
    assert read.to_list() == pq.read_table(published / INDEX).to_pylist()


def test_datasets__reads_the_release_as_its_card_says(published, tmp_path):
    samples = datasets.load_dataset(str(published), cache_dir=str(tmp_path))
    assert {name: len(rows) for name, rows in samples.items()} == {"train": 2, "test": 1}
    assert samples["test"][0]["label"] == "Straßenbahn"
    recordings = datasets.load_dataset(str(published), "recordings", cache_dir=str(tmp_path))
    assert {name: rows["id"][:] for name, rows in recordings.items()} == {
        "train": ["park"],
        "mixed": ["town"],
    }


def test_card__is_valid_to_the_hub(published):
    card = DatasetCard.load(published / "README.md")
    assert card.data.license == "cc0-1.0"
    assert card.data.pretty_name == "Parks at Night"
    assert card.data.size_categories == ["n<1K"]
    assert "event-camera" in card.data.tags
    assert card.text.strip() == "# Parks"
    assert [config["config_name"] for config in card.data.configs] == ["samples", "recordings"]
