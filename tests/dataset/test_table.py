"""The recordings table, read for what is known of each recording, and written."""

from __future__ import annotations

import pytest

from evreel.dataset.table import read_known, read_rows, write_rows
from evreel.errors import UsageError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tsplit\na\ttrain\n", "line 1: column 'id' is missing"),
        ("id\tid\n", "line 1: column 'id' is duplicated"),
        ("id\tmeta.a\na\tx\na\ty\n", "line 3: id 'a' is duplicated"),
        ("id\tmeta.a\n\tx\n", "line 2: id is missing"),
        ("id\tmeta.a\na\n", "line 2: has 1 cells; the header has 2"),
        ("id\n", "line 1: has no tab in it; separate columns by tabs"),
    ],
)
def test_table__of_another_form_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "recordings.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_known(tmp_path / "recordings.tsv")
    assert f"recordings.tsv: {message}" in str(caught.value)


def test_table__is_read_without_its_empty_cells(tmp_path):
    text = 'id\tmeta.a\tmeta.b\none\t"x\t\n\ntwo\t\ty\n'
    (tmp_path / "recordings.tsv").write_text(text, encoding="utf-8")
    assert read_known(tmp_path / "recordings.tsv") == {
        "one": {"id": "one", "meta.a": '"x'},
        "two": {"id": "two", "meta.b": "y"},
    }


def test_table__is_read_as_it_was_written(tmp_path):
    rows = [{"id": "a", "source": "x y", "empty": ""}, {"id": "b", "source": '"z', "empty": ""}]
    path = tmp_path / "recordings.tsv"
    write_rows(path, rows)
    found = [(2, {"id": "a", "source": "x y"}), (3, {"id": "b", "source": '"z'})]
    assert read_rows(path) == found
    with pytest.raises(UsageError, match="control character"):
        write_rows(path, [{"id": "a", "source": "x\ty"}])
