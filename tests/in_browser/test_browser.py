"""What the other tests of pages trust: faults are heard, nothing is fetched, our videos play."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.video.mp4 import write_mp4
from support.browser import played, shown


def page_with(folder, body):
    path = folder / "page.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{body}", encoding="utf-8")
    return path


def test_page__is_shown_from_a_file(browser, tmp_path):
    with shown(browser, page_with(tmp_path, "<h1>Straße</h1>")) as page:
        assert page.get_by_role("heading").inner_text() == "Straße"


@pytest.mark.parametrize(
    ("body", "heard"),
    [
        ("<script>console.log('hello')</script>", "console log: hello"),
        ("<script>nowhere()</script>", "error: nowhere is not defined"),
        ("<img src='gone.png'>", "gone.png"),
        ("<video src='gone.mp4'></video>", "gone.mp4"),
        ("<img src='http://127.0.0.1:9/x.png'>", "asked the network: http://127.0.0.1:9/x.png"),
        ("<script src='https://example.org/x.js'></script>", "failed: https://example.org/x.js"),
    ],
    ids=["message", "error", "file-gone", "video-gone", "network", "name"],
)
def test_page__whatever_goes_wrong_is_heard(browser, tmp_path, body, heard):
    with (
        pytest.raises(AssertionError, match=heard),
        shown(browser, page_with(tmp_path, body)) as page,
    ):
        page.wait_for_timeout(50)


def test_video__of_ours_plays(browser, tmp_path):
    frames = [np.full((48, 64), 20 * k, np.uint8) for k in range(10)]
    write_mp4(tmp_path / "grey.mp4", frames, (48, 64), fps=10)
    with shown(browser, page_with(tmp_path, "<video src='grey.mp4'></video>")) as page:
        found = played(page.locator("video"))
    assert (found["width"], found["height"]) == (64, 48)
    assert found["duration"] == pytest.approx(1.0)
    assert found["frames"] >= 2
