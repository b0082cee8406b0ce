"""How large recordings are before they are decoded."""

from __future__ import annotations

from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.sizes import Sizes, source_sizes
from support.dataset import CONFIG, write_table


def test_source_sizes__are_of_the_files_that_are_there_else_as_stated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.raw").write_bytes(b"12345")
    far = "https://example.org/far.raw"
    rows = [
        ("id", "source", "md5", "split", "size_bytes"),
        ("here", "here.raw", "0" * 32, "train", ""),
        ("far", far, "0" * 32, "train", "77"),
        ("unknown", far.replace("far", "un"), "0" * 32, "train", ""),
    ]
    write_table(tmp_path, rows)
    sizes = dict(source_sizes(DataSet(*read_config(CONFIG))))
    assert sizes == {"here": 5, "far": 77, "unknown": 0}


def test_largest__is_not_known_where_one_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    far = "https://example.org/far.raw"
    rows = [("id", "source", "md5", "split", "size_bytes")]
    rows += [
        (name, f"{far}/{name}", "0" * 32, "train", size) for name, size in (("a", "5"), ("b", "7"))
    ]
    write_table(tmp_path, rows)
    assert Sizes(DataSet(*read_config(CONFIG))).largest == 7
    write_table(tmp_path, [*rows, ("c", f"{far}/c", "0" * 32, "train", "")])
    assert Sizes(DataSet(*read_config(CONFIG))).largest == 0


def test_source_sizes__of_a_folder_count_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, size in (("a.bin", 3), ("inner/b.bin", 4)):
        path = tmp_path / "samples" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    write_table(
        tmp_path, [("id", "source", "sha256", "split"), ("all", "samples", "0" * 64, "train")]
    )
    config = {**CONFIG, "samples": {"by": "members", "members": "*.bin"}}
    assert dict(source_sizes(DataSet(*read_config(config)))) == {"all": 7}


def test_sizes__of_a_member_are_those_of_its_archive_until_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        ("id", "source", "md5", "split", "size_bytes"),
        ("one", "https://example.org/all.zip!one.raw", "0" * 32, "train", "99"),
    ]
    write_table(tmp_path, rows)
    dataset = DataSet(*read_config(CONFIG))
    sizes, fixed = Sizes(dataset), Sizes(dataset, fixed=True)
    assert fixed.of_recording("one") == fixed.of_all() == 99
    assert sizes.of_recording("one") == sizes.of_all() == 99
    member = tmp_path / dataset.recording_file("one")
    member.parent.mkdir(parents=True)
    member.write_bytes(b"12345")
    assert sizes.of_recording("one") == 5
    assert sizes.of_all() == 99 + 5
    assert fixed.of_recording("one") == fixed.of_all() == 99, "nothing is acquired in a dry run"
