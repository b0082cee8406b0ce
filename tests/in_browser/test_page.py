"""The page of a release as a person sees it, in a browser without network."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from evreel import steps
from evreel.cards.page.markup import clean
from support.browser import played, shown
from support.cards import told
from support.pages import HOSTILE, hostile, many, with_previews, written
from support.releases import labelled_release
from support.told import told_of

NARROW = {"width": 360, "height": 740}
MANY = 10_000


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release with a page and previews."""
    folder = labelled_release(tmp_path_factory.mktemp("release"))
    of = told_of(folder)
    (folder / "previews").mkdir()
    for one in of.facts:
        video = folder / "previews" / f"{one.id}.mp4"
        store = folder / one.split / "events" / f"{one.id}.h5"
        steps.preview(store, video, video.with_suffix(".jpg"), steps.PreviewSettings(max_frames=9))
    written(folder, with_previews(of, [one.id for one in of.facts]))
    return folder


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """The page of a release of thousands of recordings; they share two preview files."""
    folder = tmp_path_factory.mktemp("many")
    return written(folder, many(MANY))


@pytest.fixture
def pictures(release, crowd):
    """Previews of the recordings of the crowd that a test may get to see."""
    (crowd.parent / "previews").mkdir(exist_ok=True)
    for k in range(200):
        for suffix in ("mp4", "jpg"):
            for number in (k, MANY - 1 - k):
                shutil.copy(
                    release / "previews" / f"park.{suffix}",
                    crowd.parent / "previews" / f"drive-{number:05d}.{suffix}",
                )


def cards(page):
    return page.locator("article")


def wait_for_all(page):
    page.wait_for_function("!document.getElementById('status').textContent.includes('loading')")


def numbers(page, caption):
    """Return a table as it is shown: name of the row → column → text."""
    head, *rows = page.locator("table", has=page.locator(f"caption:text-is('{caption}')")).evaluate(
        "of => [...of.rows].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_page__has_the_counts_of_the_manifest(browser, release):
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    of = told_of(release)
    with shown(browser, release / "index.html") as page:
        assert page.title() == f"{manifest['name']} {manifest['version']}"
        splits = numbers(page, "Numbers by split")
        assert splits["All"]["Recordings"] == str(len(manifest["recordings"]))
        assert splits["All"]["Events"] == f"{of.totals.events:,}"
        for name in of.splits:
            ids = {file["id"] for file in manifest["files"] if file["split"] == name}
            assert splits[name]["Recordings"] == str(len(ids))
        assert cards(page).count() == len(manifest["recordings"])
        assert page.locator("article h3 bdi").all_inner_texts() == sorted(manifest["recordings"])
        for one in of.facts:
            card = cards(page).filter(has=page.get_by_role("heading", name=one.id))
            assert f"{one.events.events:,} events" in card.inner_text()
            card.get_by_text("Details").click()
            card.get_by_role("link").first.wait_for()
            for file in manifest["files"]:
                if file["id"] == one.id:
                    assert card.get_by_role("link", name=file["path"]).count() == 1
        classes = numbers(page, "Numbers by class")
        assert {name: row["Boxes"] for name, row in classes.items()} == {
            name: str(of.totals.boxes.get(name, 0)) for name in of.classes
        }


def test_every_video__plays(browser, release):
    with shown(browser, release / "index.html") as page:
        videos = page.locator("video")
        assert videos.count() == 2
        for k in range(2):
            videos.nth(k).scroll_into_view_if_needed()
            page.wait_for_function(f"document.querySelectorAll('video')[{k}].poster")
            found = played(videos.nth(k))
            assert found["frames"] >= 2
            assert found["width"] > 200


def test_recording_without_a_video__opens_over_the_whole_width(browser, tmp_path):
    with shown(browser, written(tmp_path, told())) as page:
        card = cards(page).first
        card.get_by_text("Details").click()
        card.get_by_role("heading", name="About this recording").wait_for()
        whole = card.bounding_box()["width"]
        assert card.locator(".inside").bounding_box()["width"] > 0.95 * whole


def test_videos__load_nothing_before_they_are_wanted(browser, release):
    with shown(browser, release / "index.html") as page:
        asked = page.evaluate("performance.getEntriesByType('resource').map(of => of.name)")
        states = page.locator("video").evaluate_all("all => all.map(of => of.networkState)")
    assert not [name for name in asked if name.endswith(".mp4")]
    assert states == [1, 1], "idle"


CONTRASTS = """
() => {
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b]
        .map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
    const behind = (of) => {
        for (let at = of; at; at = at.parentElement) {
            const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
            if (a === 1) return [r, g, b];
        }
        return [255, 0, 255];
    };
    const found = [];
    for (const of of document.querySelectorAll("body *")) {
        const own = [...of.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        const field = of.matches("input, select, button");
        if (!own && !field || of.closest("script, style, noscript, .unseen, svg title")) continue;
        if (!of.checkVisibility()) continue;
        const style = getComputedStyle(of);
        const ink = luminance(parts(of.closest("svg") ? style.fill : style.color));
        const paper = luminance(behind(of));
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        found.push([ratio, of.tagName, of.textContent.slice(0, 30)]);
    }
    return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page__is_readable(browser, release, scheme):
    with shown(browser, release / "index.html", color_scheme=scheme) as page:
        for details in page.locator("details").all():
            details.evaluate("of => { of.open = true; }")
        page.get_by_role("heading", name="About this recording").first.wait_for()
        found = page.evaluate(CONTRASTS)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert len(found) > 150
    assert [one for one in found if one[0] < 4.5] == []
    assert (sum(map(int, paper[4:-1].split(","))) < 200) == (scheme == "dark")


@pytest.mark.parametrize("width", [320, 360, 768, 1600])
def test_page__fits_the_screen(browser, release, width):
    size = {"width": width, "height": 740}
    with shown(browser, release / "index.html", viewport=size) as page:
        for details in page.locator("details").all():
            details.evaluate("of => { of.open = true; }")
        page.get_by_role("heading", name="About this recording").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        beyond = page.evaluate("""
            () => [...document.querySelectorAll("body *")].filter((of) => {
                const box = of.getBoundingClientRect();
                const scrolls = of.closest(".scrolls, pre, nav, .unseen");
                return box.width && !scrolls && box.right > innerWidth + 1;
            }).map((of) => of.outerHTML.slice(0, 100))
        """)
        assert beyond == []


FOCUSED = """
() => {
    const of = document.activeElement, style = getComputedStyle(of);
    return [of.tagName, (of.textContent || of.id).trim().slice(0, 40), style.outlineStyle,
            parseFloat(style.outlineWidth), of.id];
}
"""


def test_keyboard__reaches_everything_and_leaves_again(browser, release):
    with shown(browser, release / "index.html") as page:
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED)[1] == "Skip to the content"
        assert page.locator(".skip").bounding_box()["y"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = []
        for _ in range(120):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(FOCUSED))
            if reached[-1][0] == "BODY":
                break
        names = [name for name, *_ in reached]
        assert names[-1] == "BODY", "the end of the page, not a trap"
        assert {"INPUT", "SELECT", "VIDEO", "SUMMARY", "A"} <= set(names)
        unseen = [one for one in reached[:-1] if one[2] == "none" or one[3] < 1]
        assert unseen == []
        fields = [one[4] for one in reached if one[0] in ("INPUT", "SELECT")]
        assert fields == ["text", "split", "class", "found", "order"]


def test_keyboard__opens_details_and_goes_through_results(browser, crowd, pictures):
    with shown(browser, crowd) as page:
        wait_for_all(page)
        page.locator("article summary").first.focus()
        page.keyboard.press("Space")
        page.get_by_role("heading", name="Events per second").wait_for()
        page.keyboard.press("Enter")
        assert page.get_by_role("heading", name="Events per second").count() == 0
        page.get_by_role("button", name="Show more").focus()
        page.keyboard.press("Enter")
        assert cards(page).count() == 72
        assert page.evaluate("document.activeElement.innerText").startswith("drive-00024")


def test_page__of_thousands_of_recordings_opens_is_searched_and_sorted(browser, crowd, pictures):
    started = time.monotonic()
    with shown(browser, crowd) as page:
        cards(page).first.wait_for()
        assert time.monotonic() - started < 10
        wait_for_all(page)
        assert time.monotonic() - started < 20
        status = page.locator("#status")
        assert status.inner_text() == "10,000 recordings; the first 24 are shown"
        assert cards(page).count() == 24
        page.locator("#text").fill("dusk DAY 7 tram")
        page.wait_for_function(
            "document.getElementById('status').textContent.includes(' of 10,000')"
        )
        assert cards(page).first.inner_text().startswith("drive-")
        page.locator("#text").fill("drive-09999")
        page.wait_for_function("document.querySelectorAll('article').length === 1")
        assert status.inner_text() == "1 of 10,000 recordings"
        page.locator("#text").fill("")
        page.locator("#split").select_option("val")
        page.wait_for_function(
            "document.getElementById('status').textContent.startsWith('2,500 of')"
        )
        page.locator("#class").select_option("tram")
        page.wait_for_function("document.getElementById('status').textContent.startsWith('833 of')")
        page.locator("#split").select_option("")
        page.locator("#class").select_option("")
        page.locator("#order").select_option("us")
        page.wait_for_function(
            "document.querySelector('article bdi').textContent === 'drive-09999'"
        )
        page.locator("article summary").first.click()
        page.get_by_role("link", name="train/events/drive-09999.h5").or_(
            page.get_by_role("link", name="test/events/drive-09999.h5")
        ).wait_for()


def test_posters__are_loaded_as_somebody_gets_to_them(browser, crowd, pictures):
    with shown(browser, crowd, viewport=NARROW) as page:
        wait_for_all(page)
        assert page.locator("video[poster]").count() == 0
        cards(page).nth(20).scroll_into_view_if_needed()
        page.wait_for_function(
            "document.querySelectorAll('article')[20].querySelector('video').poster"
        )
        assert page.locator("video[poster]").count() < 20


def test_hostile_names__are_text(browser, tmp_path):
    with shown(browser, written(tmp_path, hostile()), viewport=NARROW) as page:
        wait_for_all(page)
        for summary in page.locator("summary").all():
            summary.click()
        page.get_by_role("heading", name="Findings").first.wait_for()
        assert page.title() == f"{HOSTILE[0]} 2.0.0"
        assert page.locator("article h3 bdi").all_text_contents() == list(map(clean, HOSTILE))
        assert page.locator("main script, main img, article b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        page.locator("#text").fill("<script>")
        page.wait_for_function("document.getElementById('status').textContent.startsWith('8 of')")


def test_page__without_scripts_says_the_main_facts(browser, release):
    with shown(browser, release / "index.html", java_script_enabled=False) as page:
        text = page.locator("main").inner_text()
        assert page.locator("svg").count() >= 3
        assert page.locator("form").is_hidden()
    assert "There are 2 recordings" in text
    assert "pedestrian" in text
    assert "SHA256SUMS" in text


def test_page__of_an_incomplete_copy_says_what_is_missing(browser, release, tmp_path):
    shutil.copytree(release, tmp_path / "copy")
    (tmp_path / "copy" / "page" / "recordings-0001.js").unlink()
    with (
        pytest.raises(AssertionError, match=r"failed: .*recordings-0001\.js"),
        shown(browser, tmp_path / "copy" / "index.html") as page,
    ):
        page.get_by_text("page/recordings-0001.js is missing").wait_for()


def test_motion__is_reduced_where_it_is_asked_for(browser, release):
    for asked, behaviour in (("reduce", "auto"), ("no-preference", "smooth")):
        with shown(browser, release / "index.html", reduced_motion=asked) as page:
            found = page.evaluate("getComputedStyle(document.documentElement).scrollBehavior")
            assert found == behaviour
