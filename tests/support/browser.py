"""A page as a person sees it: in the system's own Chromium, from a file, with no network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

OFFLINE = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-proxy-server",
    "--disable-component-update",
)
"""Options that let no name of a host be looked up, were a request to get past the page."""

LOCAL = ("file:", "data:", "blob:", "about:")
"""What an address begins with that needs no network."""


@contextmanager
def started() -> Iterator[Browser]:
    """Start the browser; end it at the end of the block."""
    from playwright.sync_api import sync_playwright

    wanted = os.environ.get("CHROMIUM", "chromium")
    path = shutil.which(wanted)
    assert path, f"no {wanted}: `make test-browser` says what to install"
    options = [*OFFLINE, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shown(browser: Browser, path: Path, *, ignored: str = "(?!)", **options: Any) -> Iterator[Page]:
    """Show a file in a page without network; at the end of the block, nothing may have gone wrong.

    `options` are those of a context of playwright: ``color_scheme="dark"``,
    ``viewport={"width": 360, "height": 640}``, … What goes wrong is any message on the console, an
    error in a script, a request that failed, and a request that needs a network; but not what
    `ignored` matches, a regular expression for what a page of others always says.
    """
    wrong: list[str] = []
    context = browser.new_context(offline=True, **options)
    try:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: wrong.append(f"console {said.type}: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda asked: wrong.extend(failure(asked)))
        page.on("request", lambda asked: wrong.extend(needs_network(asked.url)))
        page.goto(path.absolute().as_uri())
        yield page
        if options.get("java_script_enabled", True):
            page.evaluate("() => new Promise(requestAnimationFrame)")  # what is on its way arrives
    except Exception as error:
        error.add_note("\n".join(wrong))
        raise
    finally:
        context.close()
    wrong = [complaint for complaint in wrong if not re.search(ignored, complaint)]
    if wrong:
        raise AssertionError("\n".join(wrong))


def failure(asked: Request) -> list[str]:
    """Return a complaint about a failed request; a video may stop loading when it has enough."""
    if asked.resource_type == "media" and asked.failure == "net::ERR_ABORTED":
        return []
    return [f"failed: {asked.url[:200]} {asked.failure}"]


def needs_network(url: str) -> list[str]:
    """Return a complaint about an address that is not of a file or of data."""
    return [] if url.startswith(LOCAL) else [f"asked the network: {url[:200]}"]


def played(video: Locator) -> dict[str, float]:
    """Play a video from where it is until frames have been shown.

    Returns
    -------
    Its ``width`` and ``height`` (px), its ``duration`` (s), and how many ``frames`` were shown.
    """
    return video.evaluate("""
        async video => {
            video.muted = true;
            await video.play();
            await new Promise((resolve, reject) => {
                const late = setTimeout(() => reject("no frame was shown in 10 s"), 10000);
                let seen = 0;
                const next = () => {
                    seen += 1;
                    if (seen < 2 && !video.ended) video.requestVideoFrameCallback(next);
                    else { clearTimeout(late); resolve(); }
                };
                video.requestVideoFrameCallback(next);
            });
            video.pause();
            if (video.error) throw video.error.message;
            return {
                width: video.videoWidth, height: video.videoHeight, duration: video.duration,
                frames: video.getVideoPlaybackQuality().totalVideoFrames,
            };
        }
    """)
