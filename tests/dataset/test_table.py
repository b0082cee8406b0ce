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
        ("", "line 1: has no tab in it, it is empty; name the columns there: id, …"),
        ("\nid\tmeta.a\n", "line 1: has no tab in it, it is empty; name the columns there: id, …"),
        ("id source md5\n", "line 1: has no tab in it; separate columns by tabs, not by spaces"),
        (
            "id,source,md5\na,b,c\n",
            "line 1: has no tab in it; separate columns by tabs, not by commas",
        ),
        ('"id","source"\n', "line 1: has no tab in it; separate columns by tabs, not by commas"),
        ("id;source\n", "line 1: has no tab in it; separate columns by tabs, not by semicolons"),
        (
            "id source\tmd5\n",
            "line 1: has columns in 'id source'; separate columns by tabs, not by",
        ),
        ("id\tsource \n", "line 1: column 'source ' begins or ends with a space"),
        ("id\tmeta.a\na\tx\nid\tmeta.a\n", "line 3: is the header again; remove it"),
        ("iid\tsourc\n", "line 1: column 'id' is missing; did you mean 'iid'?"),
    ],
)
def test_table__of_another_form_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "recordings.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_known(tmp_path / "recordings.tsv")
    assert f"recordings.tsv: {message}" in str(caught.value)


@pytest.mark.parametrize(
    "first",
    [
        f"park\traw/park.aedat4\t{'0' * 32}\ttrain",
        f"park\tpark.aedat4\t{'A' * 64}\tval\tpark.xml",
        "park\thttps://example.org/park\ttrain",
        "park\tmanual:park.raw\ttrain",
    ],
)
@pytest.mark.parametrize("more", ["", "\ttoo\tmany"])
def test_table__without_a_header_is_said_to_be_that(tmp_path, first, more):
    (tmp_path / "recordings.tsv").write_text(f"{first}\n{first}{more}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"line 1: names no column, .*the header is missing"):
        read_rows(tmp_path / "recordings.tsv", ("id", "source", "split"), strict=True)


def test_table__may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(tmp_path):
    (tmp_path / "recordings.tsv").write_bytes(b"\xef\xbb\xbfid\tsource\r\na\tb\r\n")
    assert read_rows(tmp_path / "recordings.tsv") == [(2, {"id": "a", "source": "b"})]


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
