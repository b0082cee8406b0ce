"""How large recordings are before they are decoded."""

from __future__ import annotations

from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.sizes import source_sizes
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
