"""The page of a release: what it says, without a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from evreel.cards import CARDS
from evreel.cards.page import page
from evreel.cards.page.data import DETAILED, LISTED
from evreel.cards.page.markup import clean, tag
from evreel.checks.finding import Finding
from evreel.layout import BOX_DTYPE
from evreel.release.facts import BINS, EventFacts, RecordingFacts, box_facts
from evreel.samples.tables import Assigned
from support.cards import SHOWN_EVENTS, SHOWN_SAMPLES, listed, told
from support.pages import HOSTILE, hostile, many, with_previews
from support.releases import labelled_release
from support.told import told_of


class Seen(HTMLParser):
    """What a browser without scripts makes of a page: texts, tables, elements."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.tables, self.texts = [], {}, []
        self._open, self._rows, self._skipped = [], [], 0
        self.feed(html)

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name in ("script", "style", "noscript"):
            self._skipped += 1
        if name == "table":
            self._rows = []
        if name == "tr":
            self._rows.append([])
        if name in ("th", "td", "caption"):
            self._open.append([])

    def handle_endtag(self, name):
        if name in ("script", "style", "noscript"):
            self._skipped -= 1
        if name in ("th", "td"):
            self._rows[-1].append("".join(self._open.pop()))
        if name == "caption":
            self._caption = "".join(self._open.pop())
        if name == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, text):
        if not self._skipped:
            self.texts.append(text)
            if self._open:
                self._open[-1].append(text)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def seen(of):
    return Seen(page(of)["index.html"].decode())


def data_of(files, name):
    """Return what the pieces of a list of the page hold, one after the other."""
    found = []
    for path in sorted(files):
        if path.startswith(f"page/{name}-"):
            text = files[path].decode("ascii")
            called = "list" if name == "recordings" else "details"
            match = re.fullmatch(rf"evreel\.{called}\((\d+),(.*)\);\n", text, re.DOTALL)
            assert int(match[1]) == int(path[-7:-3]) - 1
            found.append(json.loads(match[2]))
    return found


def test_page__is_a_card_of_a_release():
    assert CARDS["page"] is page


def test_page__has_the_counts_of_the_release(tmp_path):
    of = told_of(labelled_release(tmp_path))
    found = seen(of)
    splits = {row[0]: row[1:] for row in found.tables["Numbers by split"]}
    head = splits.pop("Split")
    total = of.totals
    for name, sums in {**of.splits, "All": total}.items():
        row = dict(zip(head, splits.pop(name), strict=True))
        assert row["Recordings"] == str(sums.recordings)
        assert row["Events"] == f"{sums.events:,}"
        assert row["Boxes"] == str(sum(sums.boxes.values()))
        assert row["Objects"] == str(sum(sums.tracks.values()))
        assert row["Samples"] == str(sum(sums.samples.values()))
    assert splits == {}
    head, *rows = found.tables["Numbers by class"]
    assert [row[0] for row in rows] == of.classes
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        assert cells["Boxes"] == str(total.boxes.get(row[0], 0))
        assert cells["Samples"] == str(total.samples.get(row[0], 0))
    assert f"{total.events:,} events" in found.text
    assert f"{len(of.files)} files" in found.text


def test_page__says_for_how_long_samples_of_a_split_and_class_are():
    found = seen(told())
    head, *rows = found.tables["Numbers by split"]
    times = {row[0]: row[head.index("Time in samples")] for row in rows}
    assert times == {"train": "20 ms", "test": "20 ms", "mixed": "0 s", "All": "40 ms"}
    head, *rows = found.tables["Numbers by class"]
    times = {row[0]: row[head.index("Time in samples")] for row in rows}
    assert times == {"car": "20 ms", "bicycle": "20 ms", "path": "0 s"}


def test_page__without_scripts_says_what_it_is():
    found = seen(told())
    for text in (
        *("Parks at Night", "2.0.0", "Streets and parks, seen by an event camera.", "Ada Lovelace"),
        *("Creative Commons Attribution 4.0", "@misc{parks}", "Outlines in CVAT.", "No rain."),
        *('evreel.open_release("parks-2.0.0")', "evreel verify parks-2.0.0", "SHA256SUMS"),
        *("2 recordings, 185 ms, 5,000 events, 35 boxes, 2 samples, 3 classes", "Few bicycles."),
    ):
        assert text in found.text, text
    links = {given["href"] for name, given in found.elements if name == "a"}
    assert {"README.md", "manifest.json", "LICENSE.txt", "load_example.py"} <= links
    assert "https://parks.example/data" in links


def test_page__has_plots_with_titles_and_tables():
    found = seen(many(40))
    plots = [given for name, given in found.elements if name == "svg"]
    assert len(plots) == 4
    assert all(given["role"] == "img" for given in plots)
    titles = sum(name == "title" for name, _ in found.elements)
    assert titles == len(plots) + 1
    rates = {row[0]: row[1] for row in found.tables["Share of time at each event rate"]}
    shares = [float(share.removesuffix(" %")) for share in list(rates.values())[1:]]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    sizes = found.tables["Boxes by size and class (Side, px)"]
    every = {row[0]: int(row[-1].replace(",", "")) for row in sizes[1:]}
    assert every == many(40).totals.boxes


def test_load__is_a_few_lines_that_run(tmp_path, monkeypatch, capsys):
    folder = labelled_release(tmp_path)
    html = page(told_of(folder))["index.html"].decode()
    (code,) = re.findall(r"<code>(import evreel.*?)</code>", html, re.DOTALL)
    monkeypatch.chdir(folder.parent)
    code = unescape(code)
    assert len(code.splitlines()) == 8
    assert "pip install evreel" not in html
    exec(code, {})
    lines = capsys.readouterr().out
    assert "park ('boxes', 'events', 'features', 'slices') [" in lines
    assert "town ('events', 'features', 'samples') [" in lines
    assert lines.endswith(SHOWN_SAMPLES)


def test_load__of_samples_alone_shows_their_classes(tmp_path, monkeypatch, capsys):
    folder = labelled_release(tmp_path)
    whole = told_of(folder)
    town = [one for one in whole.facts if one.samples]
    monkeypatch.chdir(folder.parent)
    without = [file for file in whole.files if file.kind != "features"]
    for files, shown in ((whole.files, SHOWN_SAMPLES), (without, SHOWN_EVENTS)):
        html = page(replace(whole, facts=town, files=files))["index.html"].decode()
        (code,) = re.findall(r"<code>(import evreel.*?)</code>", html, re.DOTALL)
        assert len(code.splitlines()) <= 6
        exec(unescape(code), {})
        assert capsys.readouterr().out == shown


def test_contents__are_all_files_by_kind():
    of = told()
    head, *rows = seen(of).tables["Files by kind"]
    assert head == ["Kind", "What is in them", "Files", "Size"]
    assert sum(int(row[2]) for row in rows) == len(of.files)
    counts = {row[0]: (row[1].split(",")[0], row[2]) for row in rows}
    assert counts["features: counts"] == ("frames of histogram", "2")
    assert counts["video"] == ("the videos that people annotated", "2")
    assert counts["events"][1] == "2"
    assert counts["boxes"][1] == "1"


def test_page__loads_nothing_from_elsewhere():
    of = many(3)
    files = page(of)
    loaded = [
        given.get("src") or given.get("href")
        for name, given in Seen(files["index.html"].decode()).elements
        if name in ("script", "link", "img", "video", "source", "iframe")
    ]
    assert [path for path in loaded if path and path not in files and path != "data:,"] == [
        of.picture.path
    ]
    for path, data in files.items():
        for word in (b"@import", b"fetch(", b"XMLHttpRequest", b'type="module"', b"url("):
            assert word not in data, path
    assert b"http" not in files["page/page.css"]


def test_page__shows_hostile_names_as_text():
    files = page(hostile())
    found = Seen(files["index.html"].decode())
    plain = seen(told(samples=()))
    kinds = {name for name, _ in found.elements}
    assert kinds <= {name for name, _ in plain.elements} | {"svg", "rect", "text", "g", "line"}
    assert sum(name == "script" for name, _ in found.elements) == 2
    assert not [key for _, given in found.elements for key in given if key.startswith("on")]
    assert not [
        given
        for name, given in found.elements
        if name == "a" and given["href"].startswith("javascript:")
    ]
    for text in HOSTILE:
        assert " ".join(clean(text).split()) in found.text
    (listed_,), (details,) = data_of(files, "recordings"), data_of(files, "details")
    assert [row["id"] for row in listed_] == [clean(text) for text in HOSTILE]
    assert details[0]["findings"][0][-1] == HOSTILE[0]
    for path, data in files.items():
        if path.startswith("page/recordings") or path.startswith("page/details"):
            assert b"<" not in data


def test_tag__escapes_texts_and_attributes():
    assert tag("a", "<b>", href="'\"<") == '<a href="&#x27;&quot;&lt;">&lt;b&gt;</a>'


def test_links__of_files_with_odd_names_stay_in_the_release():
    file = listed("javascript:alert(1)//?#%.jpg", "previews", "park")
    of = told(files=[*told().files, file])
    (hero,) = (given for name, given in seen(of).elements if name == "img")
    assert hero["src"] == "javascript%3Aalert%281%29//%3F%23%25.jpg"


def test_findings__are_with_their_recording_and_all_together():
    findings = [
        Finding("error", "order", "train/events/park.h5", "event 7", "goes back"),
        Finding("warning", "splits", "manifest.json", "", "one scene in two splits"),
    ]
    of = told(findings=findings)
    found = seen(of)
    assert "found 1 error, 1 warning" in found.text
    assert [row[0] for row in found.tables["Findings"]] == [
        *("Check", "warning: splits", "error: order")
    ]
    (rows,), (details,) = (data_of(page(of), name) for name in ("recordings", "details"))
    assert [row.get("findings") for row in rows] == [1, None]
    assert details[0]["findings"] == [
        ["error", "order", "train/events/park.h5", "event 7", "goes back"]
    ]


def test_recordings__have_all_that_is_known_of_them():
    files = page(with_previews(told(), ["park"]))
    ((park, town),), ((of_park, of_town),) = (
        data_of(files, name) for name in ("recordings", "details")
    )
    assert (park["video"], park["poster"]) == ("previews/park.mp4", "previews/park.jpg")
    assert "video" not in town
    assert (park["group"], park["meta"], park["sensor"]) == ("night", ["low"], "32 × 24")
    assert (park["boxes"], park["classes"], park["labelled"]) == (35, [0, 2], 70_000)
    assert (town["samples"], town["classes"], town["splits"]) == (2, [0, 1], ["test", "train"])
    assert [of["name"] for of in of_park["boxes"]] == ["car", "path"]
    assert of_park["columns"] == [["meta.light", "low"]]
    assert ["train/events/park.h5", 20] in of_park["files"]
    assert of_park["features"] == [["counts", "histogram", 10, "2 × 24 × 32", "uint8"]]
    assert of_town["samples"] == [["test", "bicycle", 1], ["train", "car", 1]]


def test_page__is_the_same_for_equal_facts():
    assert page(many(60)) == page(many(60))
    first, second = hostile(), hostile()
    assert page(first) == page(second)


def test_page__of_thousands_of_recordings_is_small_and_in_pieces():
    n = 10_000
    files = page(many(n))
    assert len(files["index.html"]) < 100_000
    lists = [len(data) for path, data in files.items() if path.startswith("page/recordings-")]
    assert len(lists) == n // LISTED
    assert max(lists) < 400_000
    details = [len(data) for path, data in files.items() if path.startswith("page/details-")]
    assert len(details) == n // DETAILED
    assert max(details) < 200_000
    told_ = json.loads(
        re.search(r'id="told">(.*?)</script>', files["index.html"].decode(), re.DOTALL)[1]
    )
    assert told_["recordings"] == n
    assert [path for path in told_["lists"] if path not in files] == []


@pytest.mark.parametrize("n", [0, 1])
def test_page__of_few_recordings_is_whole(n):
    of = many(n)
    found = seen(of)
    assert f"{n} recording" in found.text
    assert len(data_of(page(of), "recordings")) == n


def test_page__of_recordings_alone_says_so():
    facts = [one for one in told().facts if one.id == "town"]
    facts = [type(one)(one.id, "train", one.events) for one in facts]
    found = seen(told(facts=facts, labels={}, samples=(), dataset={}))
    assert "No labels" in found.text
    assert "Boxes" not in found.text
    assert "parks 2.0.0" in found.text


def test_classes__beyond_a_screenful_are_closed_at_first():
    labels = {k: f"class {k:03d}" for k in range(101)}
    found = seen(told(labels=labels, facts=[]))
    assert "All 101 classes" in found.text
    assert len(found.tables["Numbers by class"]) == 102


def test_description__keeps_its_paragraphs():
    text = page(told(dataset={"description": "One\nline.\n\nTwo `<b>`.\n \n\n"}))[
        "index.html"
    ].decode()
    assert "<p>One\nline.</p><p>Two <code>&lt;b&gt;</code>.</p>" in text


def test_bars__tell_classes_apart_that_begin_alike():
    labels = {k: f"a class of vehicle, number {k}" for k in range(12)} | {12: ""}
    facts = [RecordingFacts("a", "", samples={"train": dict.fromkeys(labels.values(), 1)})]
    text = page(told(facts=facts, labels=labels, samples=()))["index.html"].decode()
    for k in range(12):
        assert text.count(f" {k}<title>a class of vehicle, number {k}</title>") == 1
    assert ">none</text>" in text


def test_boxes_and_samples_of_short_recordings__fill_their_time_in_plots(tmp_path):
    boxes = np.zeros(13, dtype=BOX_DTYPE)
    boxes["t"] = np.arange(10_000, 140_000, 10_000)
    event = EventFacts(24, 32, 600, 300, 130_000, (10,) * BINS)
    counted = box_facts(boxes, {0: "car"}, 130_000)
    facts = [
        RecordingFacts("park", "train", event, boxes=counted),
        RecordingFacts("town", "train", event, samples={"train": {"path": 1}}),
        RecordingFacts("wood", "train", event, samples={"train": {"path": 1}}),
    ]
    samples = [Assigned(id_, "a", "path", "", "train", 0, 130_000) for id_ in ("town", "wood")]
    of = told(facts=facts, samples=samples)
    found = seen(of).tables
    head, car, *_ = found["Numbers by class"]
    assert dict(zip(head, car, strict=True)) | {"Boxes": "13", "Frames with boxes": "13"} == dict(
        zip(head, car, strict=True)
    )
    for what, row in (
        ("Boxes", ["car", *["1.3"] * 10, "13"]),
        ("Samples", ["path", *["0.2"] * 10, "2"]),
    ):
        assert found[f"{what} by part of a recording and class (Part)"][1] == row
    plots = page(of)["index.html"].decode().split("<h3>")
    (plot,) = (part for part in plots if part.startswith("Samples over time"))
    heights = set(re.findall(r'<rect [^>]*height="([^"]*)"', plot))
    assert plot.count("<rect") == BINS and len(heights) == 1
