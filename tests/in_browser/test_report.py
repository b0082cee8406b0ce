"""``snakemake --report``: what is labelled in each recording, looked at in a browser."""

from __future__ import annotations

import zipfile

import pytest

from support.browser import played, shown
from support.dataset import CONFIG, build, make_data_set, write_config

SNAKEMAKES_OWN = (
    r"^console (log: |warning: (cdn\.tailwindcss\.com|The input spec uses Vega-Lite v3))"
)
"""What the page says on the console whatever it shows; no error."""

SPLITS = {"one": "train", "two_": "test", "x-3": "train"}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report of a data set as one file, and as a folder that was in a zip."""
    folder = make_data_set(tmp_path_factory.mktemp("dataset"), list(SPLITS))
    write_config(folder, CONFIG | {"results": "res'ults & more"})
    targets = ("all", "all_qa")
    build(folder, "--cores", "2", *targets)
    for name in ("report.html", "report.zip"):
        build(folder, "--report", name, *targets)
    zipfile.ZipFile(folder / "report.zip").extractall(folder)
    return {"file": folder / "report.html", "folder": folder / "report" / "report.html"}


@pytest.fixture(params=["file", "folder"])
def report(request, browser, reports):
    """The report, which may say nothing on the console but what Snakemake's always does."""
    with shown(browser, reports[request.param], ignored=SNAKEMAKES_OWN) as page:
        yield page


def results(page):
    """Return what the report holds: path → category, labels, caption, …"""
    return page.evaluate("() => results")


def open_split(page, category, split):
    """Open the results of a category and a split."""
    page.get_by_text(category, exact=True).last.click()
    page.get_by_text(split, exact=True).last.click()


def row_of(page, *texts):
    """Return the row of a result in the table that is open."""
    found = page.locator("nav tbody tr")
    for text in texts:
        found = found.filter(has=page.get_by_text(text, exact=True))
    return found


def test_report__begins_with_the_release_and_what_each_rule_took(report):
    assert report.get_by_role("heading", name="tiny 1.0").is_visible()
    rules = report.locator("table", has_text="most memory").locator("tbody tr td:first-child")
    wanted = "acquire annotate clock events features qa release summary video"
    assert sorted(rules.all_inner_texts()) == wanted.split()
    assert "System Message" not in report.content()


def test_report__has_each_recording_with_caption_category_and_labels(report):
    found = {
        (what["labels"]["recording"], what["labels"]["content"]): what
        for what in results(report).values()
    }
    contents = ("video, frame by frame", "plot", "table", "table as a file")
    assert set(found) == {(name, content) for name in SPLITS for content in contents}
    for (name, _), what in found.items():
        assert name in what["caption"]
        assert "problematic" not in what["caption"], "docutils has marked a mistake"
    places = report.evaluate("() => categories")
    assert set(places) == {"QA video", "Summary"}
    for category in places.values():
        assert set(category) == {"train", "test"}
        for split, paths in category.items():
            names = {results(report)[path]["labels"]["recording"] for path in paths}
            assert names == {name for name in SPLITS if SPLITS[name] == split}


@pytest.mark.parametrize("name", SPLITS)
def test_report__plays_the_video_of_a_recording(report, name):
    open_split(report, "QA video", SPLITS[name])
    row_of(report, name).locator("a").last.click()
    found = played(report.locator("nav video"))
    assert found["width"] >= 640
    assert found["frames"] >= 2
    assert report.get_by_text("one picture for each frame").is_visible()


def test_report__shows_table_and_plot(report):
    open_split(report, "Summary", "train")
    row_of(report, "one", "plot").locator("a").first.click()
    plot = report.locator("img[src*='summary.png']")
    assert plot.evaluate("image => image.decode().then(() => image.naturalWidth)") > 640
    row_of(report, "x-3", "table").locator("a").first.click()
    table = report.frame_locator("iframe")
    assert table.get_by_role("heading", name="x-3").is_visible()
    assert table.locator("thead th").first.inner_text() == "what"
    assert table.locator("tbody tr.label td:nth-child(2)").all_inner_texts() == ["car", "sign"]


def test_report__shows_how_long_jobs_took(report):
    report.get_by_role("link", name="Statistics").click()
    for place in ("#runtimes", "#timeline"):
        chart = report.locator(f"{place} canvas, {place} svg").first
        assert chart.bounding_box()["height"] > 50
