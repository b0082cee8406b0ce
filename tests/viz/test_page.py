"""The page of a summary has what its table has, for people."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import html

from evreel.files.slices import SlicesFile
from evreel.viz import page as module
from evreel.viz.moments import clock_of
from evreel.viz.page import page
from evreel.viz.summary import Summary, summarize
from support.labelled import labelled


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> Summary:
    made = labelled(tmp_path_factory.mktemp("labelled"))
    with SlicesFile(made.slices) as file:
        return summarize(file, "some", clock_of(file, made.clock))


def cells(text: str) -> list[dict[str, str]]:
    """Return the rows of a page's table, head → text."""
    heads, *rows = [[c.text_content() for c in r] for r in html.fromstring(text).iter("tr")]
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_page__has_each_row_of_the_table_in_units_of_people(summary):
    found = cells(page(summary.lines()))
    assert [(row["what"], row["label"], row["track"]) for row in found] == [
        ("unlabelled", "", ""),
        ("label", "van", ""),
        ("label", "車両", ""),
        ("track", "van", "3"),
        ("track", "車両", "7"),
    ]
    van = found[3]
    assert (van["from, s"], van["to, s"], van["frames"]) == ("0.000", "0.090", "10")
    assert (van["events"], van["share, %"], van["events/s"]) == ("10", "33.3", "110.7")
    headline = html.fromstring(page(summary.lines())).find(".//p").text_content()
    assert headline == (
        "0.090 s, of which 100.0 % are annotated; 30 events, of which 36.7 % are in a region; "
        "2 regions, 0 of them suspicious; 10 annotated frames, 0 of them without a region."
    )


def test_page__draws_counts_in_time_to_the_highest_of_their_row(summary):
    root = html.fromstring(page(summary.lines()))
    drawn = root.findall(".//svg")
    assert len(drawn) == 5
    path = drawn[4].find("path").get("d")  # the sign's one event is in bin 40 of 91
    assert path == "M0,20" + "V20h1" * 40 + "V0h1" + "V20h1" * 50 + "V20Z"


def test_page__is_of_text_that_a_name_cannot_end(summary):
    labels = ('<script>alert(1)</script>&"', *summary.labels[1:])
    text = page(replace(summary, name="<b>a</b>", labels=labels).lines())
    assert "<script" not in text
    assert "<b>" not in text
    assert cells(text)[1]["label"] == labels[0]
    assert html.fromstring(text).find(".//h1").text_content() == "<b>a</b>"


def test_page__needs_no_script_and_no_other_file(summary):
    root = html.fromstring(page(summary.lines()))
    assert root.xpath("//script | //link | //@src | //@href | //@onload") == []


def test_page__without_room_for_all_rows_says_how_many_are_left_out(summary, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1500)
    text = page(summary.lines())
    shown = len(cells(text))
    assert 0 < shown < 5
    assert f"{5 - shown} more rows are in the table itself" in text
