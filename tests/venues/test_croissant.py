"""croissant.json, read by mlcroissant as venues do."""

import json
import socket
from dataclasses import replace

import mlcroissant
import pytest
from mlcroissant._src.operation_graph.operations.filter import match_path

from evreel.cards.croissant import CROISSANT, croissant
from evreel.cards.index import index
from support.cards import STATED, told


@pytest.fixture
def no_network(monkeypatch):
    """Let nobody be asked for anything."""

    def refuse(*_args, **_options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def data_set(published, no_network):
    return mlcroissant.Dataset(published / CROISSANT)


def records(data_set, name):
    """Return records as the table has them: columns by their names, texts as texts."""
    names = {
        field.id: field.name
        for record_set in data_set.metadata.record_sets
        for field in record_set.fields
    }
    return [
        {
            names[id_]: value.decode() if isinstance(value, bytes) else value
            for id_, value in record.items()
        }
        for record in data_set.records(name)
    ]


def test_metadata__is_valid_and_complete(data_set):
    metadata = data_set.metadata
    assert not metadata.ctx.issues.errors
    assert not metadata.ctx.issues.warnings
    assert metadata.ctx.is_v1_1()
    assert metadata.description == STATED["description"]
    assert metadata.license == ["https://spdx.org/licenses/CC0-1.0"]
    assert [one.name for one in metadata.creators] == [
        *("Ada Lovelace", "Bo Ek"),
        "University of Parks",
    ]
    assert (metadata.url, metadata.cite_as) == (STATED["page"], STATED["citation"])
    assert str(metadata.date_published) == "2026-01-31 00:00:00"


def test_terms_of_rai__are_read_as_they_were_stated(data_set):
    stated, metadata = STATED["rai"], data_set.metadata
    for key, value in stated.items():
        if key == "has_synthetic_data":  # newer than mlcroissant
            continue
        if key == "data_collection_timeframe":
            value = [f"{day} 00:00:00" for day in value]
            assert [str(day) for day in metadata.data_collection_timeframe] == value
            continue
        read = getattr(metadata, key)
        assert read in (value, [value]), key


def test_records_of_recordings__are_those_of_the_manifest(data_set, published, manifest):
    known = json.loads((published / "manifest.json").read_bytes())["recordings"]
    found = records(data_set, "recordings")
    assert [one["id"] for one in found] == sorted(known) == ["park", "town"]
    assert [one["split"] for one in found] == ["train", "mixed"]
    assert found[0]["meta.light"] == known["park"]["meta.light"]
    for one in found:
        named = [name for name in one if name.endswith(".path") and one[name] is not None]
        assert len(named) >= 4
        for name in named:
            file = manifest[one[name]]
            kind = name.removesuffix(".path")
            assert file["id"] == one["id"]
            assert one[f"{kind}.sha256"] == file["sha256"]
            assert one[f"{kind}.md5"] == file["md5"]
            assert one[f"{kind}.size_bytes"] == file["size"]


def test_records_of_samples__are_those_of_the_table(data_set, published):
    header, *rows = (
        line.split("\t") for line in (published / "samples.tsv").read_text("utf-8").splitlines()
    )
    found = records(data_set, "samples")
    assert len(found) == len(rows) == 3
    for one, row in zip(found, rows, strict=True):
        for name, cell in zip(header, row, strict=True):
            assert str(one[name] if one[name] is not None else "") == cell


def test_records_of_labels__are_the_label_map(data_set, published):
    labels = json.loads((published / "label_map_dictionary.json").read_bytes())
    found = records(data_set, "labels")
    assert {str(one["number"]): one["name"] for one in found} == labels


def test_sets__find_the_files_of_the_release(data_set, published, manifest):
    matched = set()
    for one in data_set.metadata.file_sets:
        mine = {path for path in manifest if match_path(one.includes, path)}
        assert mine, one.includes
        matched |= mine
    assert matched == {path for path, file in manifest.items() if file["id"]}


def written(folder, told):
    """Write the cards of what is made up, and read them."""
    for card in (index, croissant):
        for path, data in card(told).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    (folder / "samples.tsv").write_text("")
    return mlcroissant.Dataset(folder / CROISSANT)


def test_data_set_that_states_nothing__is_valid_all_the_same(tmp_path, no_network):
    data_set = written(tmp_path, told(dataset={}, licence="NOASSERTION", labels={}))
    assert not data_set.metadata.ctx.issues.errors
    assert [one["id"] for one in records(data_set, "recordings")] == ["park", "town"]


def test_data_set_of_nothing__is_valid(tmp_path, no_network):
    data_set = written(tmp_path, told(files=(), facts=(), samples=(), recordings={}, labels={}))
    assert records(data_set, "recordings") == []


@pytest.mark.parametrize("name", ["at rest", 'a "b"', "é/x#y?", "\U0001f6b2", "a%20b", "<b>", "\\"])
def test_class_of_any_name__has_its_count_in_the_records(tmp_path, no_network, name):
    known = told()
    park, town = known.facts
    park = replace(park, boxes={name: park.boxes["car"]})
    labels = {0: name}
    data_set = written(tmp_path, told(facts=[park, town], labels=labels, samples=()))
    assert records(data_set, "recordings")[0][f"boxes.{name}"] == 30
    assert records(data_set, "labels") == [{"number": 0, "name": name}]
