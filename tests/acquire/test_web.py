"""Downloads from a real server on loopback: whole ones, cut ones, refused ones, lies."""

from __future__ import annotations

import datetime
import email.utils
import errno
import fcntl
import functools
import hashlib
import logging
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from evreel import steps
from evreel.acquire import DOWNLOADS, Patience, fetch
from evreel.acquire.web import RequestError, _redirect
from evreel.errors import EvreelError, SourceError
from evreel.outputs import RUN, atomic, start_run
from support.webserver import CHANGED, CONTENT, HALF, MD5, SHA256, running

OTHER = "0" * 32
REST = f"bytes={HALF}-"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    with running() as started:
        yield started


@pytest.fixture
def waits():
    """The waits between requests, none of which is waited for."""
    return []


@pytest.fixture
def patience(waits):
    return Patience(timeout_s=5, sleep=waits.append, draw=lambda: 1.0)


@pytest.fixture
def refusal(tmp_path, patience):
    """Fetch what is refused; return the message, and see that nothing landed."""

    def refused(source, error=SourceError, **options):
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        with pytest.raises(error) as raised:
            fetch(source, folder / "got", **{"patience": patience} | options)
        assert {path.name for path in folder.iterdir()} <= {DOWNLOADS}
        assert type(raised.value) is error
        return str(raised.value)

    return refused


@pytest.fixture
def download(tmp_path, server, patience):
    """Fetch a file; return its content."""

    def downloaded(name="park", **options):
        fetch(f"{server.url}/{name}", tmp_path / "got", **{"patience": patience} | options)
        return (tmp_path / "got").read_bytes()

    return downloaded


def parts(folder: Path) -> list[Path]:
    """Return the parts that wait for a next run."""
    return sorted((folder / DOWNLOADS).glob("*.part"))


# What a server may do


def test_url__becomes_a_file(tmp_path, server):
    assert fetch(f"{server.url}/park.aedat4", tmp_path / "got", md5=MD5).md5 == MD5
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["got"]
    headers = server.seen[0][1]
    assert headers["User-Agent"].startswith("evreel/")
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("name", ["chunked", "no_length"])
def test_url__need_not_state_its_length(tmp_path, server, name):
    reports = []
    fetch(
        f"{server.url}/{name}", tmp_path / "got", md5=MD5, progress=lambda *at: reports.append(at)
    )
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert {total for _, total in reports[:-1]} == {None}
    assert reports[-1] == (len(CONTENT), len(CONTENT))


def test_progress__counts_up_to_the_whole(tmp_path, server):
    reports = []
    fetch(f"{server.url}/park", tmp_path / "got", progress=lambda *at: reports.append(at))
    done = [done for done, _ in reports]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(CONTENT))
    assert len(done) > 3
    assert {total for _, total in reports} == {len(CONTENT)}


def test_url__is_sent_in_ascii(tmp_path, server):
    fetch(f"{server.url}/Straße 1/a%20b.aedat4?x=1&y=ä#top", tmp_path / "got")
    assert server.seen[0][0] == "/Stra%C3%9Fe%201/a%20b.aedat4?x=1&y=%C3%A4"


def test_url__follows_a_redirect_to_another_web_address(tmp_path, server, patience):
    server.script["park"] = ["cut"]
    got = fetch(f"{server.url}/to:{server.url}/park", tmp_path / "got", patience=patience)
    assert got.md5 == MD5
    assert server.ranges() == [None, None, REST, REST], "each request goes by the redirect"


def test_crc32__alone_does_not_continue_what_came_from_another_address(server, refusal):
    """Another file may have the same; with an MD5, one address continues what another began."""
    few = Patience(attempts=1, sleep=lambda _: None, most_attempts=1)
    for sums, asks in (({"crc32": "0" * 8}, None), ({"md5": OTHER}, REST)):
        server.seen.clear()
        server.script |= {"a": ["cut"], "b": ["whole"]}
        refusal(f"{server.url}/a", patience=few, **sums)
        refusal(f"{server.url}/b", patience=few, **sums)
        assert server.ranges()[:2] == [None, asks]


@pytest.mark.parametrize("strongly", [True, False])
def test_redirect__from_https_to_http_needs_more_than_a_crc32(strongly):
    answer = SimpleNamespace(status=302, headers={"Location": "http://b.org/park"})
    ask = functools.partial(_redirect, answer, "https://a.org/park")
    if strongly:
        assert ask(strongly=True) == "http://b.org/park"
    else:
        with pytest.raises(RequestError, match="where anybody on the way can change the file"):
            ask(strongly=False)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/hostname", "data:,x"])
def test_url__follows_no_redirect_out_of_the_web(server, refusal, target):
    assert refusal(f"{server.url}/to:{target}").startswith(f"{server.url}/to:{target}: ")


def test_url__that_redirects_in_a_circle_is_one_error(server, refusal):
    url = f"{server.url}/to:?"  # which is an address relative to itself
    assert f"{url}: the server answers 302" in refusal(url)
    assert len(server.seen) > 1


@pytest.mark.parametrize(
    ("code", "hint", "requests"),
    [
        (404, "Look up its address", 1),
        (410, "taken down", 1),
        (400, "Try again later", 1),
        (401, "needs a login", 1),
        (403, "needs a login or is closed", 1),
        (416, "Try again later", 1),
        (501, "Try again later", 1),
        (408, "Try again later", 5),
        (425, "Try again later", 5),
        (429, "fewer downloads at once", 5),
        (500, "Try again later", 5),
        (502, "Try again later", 5),
        (503, "Try again later", 5),
        (504, "Try again later", 5),
    ],
)
def test_url__that_the_server_refuses_says_what_to_do(
    tmp_path, server, refusal, waits, code, hint, requests
):
    message = refusal(f"{server.url}/{code}")
    assert message.startswith(f"{server.url}/{code}: the server answers {code} ")
    assert hint in message
    assert len(server.seen) == requests
    assert ("(5 requests)" in message) == (requests == 5)
    assert waits == ([1, 2, 4, 8] if requests == 5 else [])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("code", [202, 204])
def test_url__that_answers_without_a_file_is_one_error(server, refusal, code):
    assert f"the server answers {code} " in refusal(f"{server.url}/{code}")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", "the transfer was cut after 0 of 2,304,000 bytes (5 requests). Try again."),
        ("no_http", "the address does not answer as a web server (BadStatusLine)"),
        ("hang_up", "the server broke off the connection (5 requests)"),
        ("page", "it is an HTML page, probably for a login or an error. Open the address in"),
        ("pointer", "it is a Git LFS pointer"),
        ("empty", "it is empty"),
    ],
)
def test_url__that_breaks_off_or_is_not_a_file_leaves_nothing(
    tmp_path, server, refusal, name, problem
):
    assert refusal(f"{server.url}/{name}").startswith(f"{server.url}/{name}: {problem}")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["silent", "stall"])
def test_url__that_falls_silent_is_given_up(server, refusal, name):
    message = refusal(f"{server.url}/{name}", patience=Patience(timeout_s=0.2, attempts=1))
    assert message.startswith(f"{server.url}/{name}: no data for 0.2 s")


def test_url__that_nobody_serves_is_named(refusal, waits):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        message = refusal(url)
    assert message.startswith(f"{url}: the connection is refused (5 requests). Check the address")
    assert len(waits) == 4


@pytest.mark.parametrize(("problem", "requests"), [("NONAME", 1), ("AGAIN", 5)])
def test_url__of_an_unknown_host_is_named(refusal, waits, monkeypatch, problem, requests):
    def unknown(*_, **__):
        raise socket.gaierror(getattr(socket, f"EAI_{problem}"), "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "http://no.such.host/x: its host is unknown" in refusal("http://no.such.host/x")
    assert len(waits) == requests - 1


def test_url__without_tls_is_one_error(server, refusal, waits):
    url = server.url.replace("http:", "https:")
    assert refusal(f"{url}/x").startswith(f"{url}/x: cannot be reached: ")
    assert waits == []


def test_url__with_a_bad_certificate_is_one_error(refusal, waits, monkeypatch):
    def refuse(*_, **__):
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "certificate has expired"
        raise error

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("no_proxy", "*")
    message = refusal("https://example.org/x")
    assert "its certificate is not trusted: certificate has expired" in message
    assert waits == []


# Going on within a run


def test_cut__continues_where_it_was_cut(tmp_path, server, patience, waits):
    server.script["park"] = ["cut"]
    assert fetch(f"{server.url}/park", tmp_path / "got", patience=patience).md5 == MD5
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert server.ranges() == [None, REST]
    assert server.seen[1][1]["If-Range"] == '"one"'
    assert waits == [1]


WEAK = {"crc32": f"{zlib.crc32(CONTENT):08x}"}
SUM = {"md5": MD5}
END = f"bytes={len(CONTENT)}-"


@pytest.mark.parametrize(
    ("script", "options", "validators", "ranges"),
    [
        (["cut", "rangeless"], SUM, None, [None, REST]),
        # Nothing tells whether it is the same version.
        (["cut"], {}, {"ETag": 'W/"one"'}, [None, None]),
        (["chunked_cut", "rangeless"], {}, None, [None, None]),
        # A sum tells in the end.
        (["cut"], SUM, {}, [None, REST]),
        (["cut", "wrong_rest"], SUM, {}, [None, REST, None]),
        (["cut", "wrong_rest"], WEAK, {}, [None, REST, None]),
        # Part of a whole that is not told is taken; what was not asked for is not glued.
        (["cut", "star_total"], {}, None, [None, REST]),
        (["cut", "other_part"], {}, None, [None, REST, None]),
        (["cut", "other_total"], {}, None, [None, REST, None]),
        (["cut", "half_part"], {}, None, [None, REST, None]),
        (["cut", "unsatisfiable"], {}, None, [None, REST, None]),
        # All came, but not the chunk that ends it: the rest is asked for, and there is none.
        (["chunked_endless"], SUM, None, [None, END]),
    ],
)
def test_cut__ends_with_the_whole_file_whatever_the_server_does_next(
    server, download, script, options, validators, ranges
):
    server.script["park"] = script
    if validators is not None:
        server.validators = validators
    assert download(**options) == CONTENT
    assert server.ranges() == ranges
    assert validators != {} or "If-Range" not in server.seen[1][1]


def test_reset__continues_with_whatever_came_before_it(download, server, waits):
    server.script["park"] = ["reset", "reset"]
    assert download() == CONTENT
    assert len(server.seen) == 3
    assert len(waits) == 2


def test_stall__continues_where_it_stalled(tmp_path, server, waits):
    server.script["park"] = ["stall"]
    quick = Patience(timeout_s=0.3, sleep=waits.append)
    fetch(f"{server.url}/park", tmp_path / "got", sha256=SHA256, patience=quick)
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert server.ranges() == [None, REST]


def test_trickle__counts_as_silence(tmp_path, server, waits, caplog):
    caplog.set_level(logging.INFO, "evreel")
    server.script["park"] = ["trickle"]
    quick = Patience(timeout_s=0.3, least_bytes_per_s=1000, sleep=waits.append)
    fetch(f"{server.url}/park", tmp_path / "got", patience=quick)
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert re.search(r"only \d+ bytes came in 0\.\d s; asking again", caplog.text)
    assert server.ranges()[1].startswith("bytes=")


def test_progress__resets_the_count_of_fruitless_requests(download, server, waits):
    trouble = ["503", "503", "503", "503", "crumb"]
    server.script["park"] = [*trouble, *trouble, *trouble]
    assert download(md5=MD5) == CONTENT
    assert waits == [1, 2, 4, 8, 1] * 3
    tenth = len(CONTENT) // 10
    assert server.ranges()[-1] == f"bytes={3 * tenth}-"


def test_requests__are_bounded_even_if_each_brings_something(server, refusal):
    server.script["park"] = ["crumb"] * 100
    few = Patience(most_attempts=4, sleep=lambda _: None)
    message = refusal(f"{server.url}/park", patience=few)
    assert "the transfer was cut after 921,600 of 2,304,000 bytes (4 requests)" in message
    assert len(server.seen) == 4


def test_server_that_ignores_range_and_always_cuts__is_given_up(server, refusal):
    server.script["park"] = ["rangeless_cut"] * 20
    assert "1,500,000 of 2,304,000 bytes (6 requests)" in refusal(f"{server.url}/park")


@pytest.mark.parametrize("validators", [{"ETag": '"one"'}, {"Last-Modified": "yesterday"}])
def test_file_that_changes_meanwhile__is_never_glued(tmp_path, server, patience, validators):
    server.validators = validators
    server.script["park"] = ["cut"]

    def change(_):
        server.validators = {name: f"{value[:-1]}2" for name, value in validators.items()}
        server.contents["park"] = CHANGED

    changing = Patience(timeout_s=5, sleep=change)
    fetch(f"{server.url}/park", tmp_path / "got", patience=changing)
    assert (tmp_path / "got").read_bytes() == CHANGED
    assert server.ranges() == [None, REST]


def test_halves_that_do_not_fit__are_downloaded_again_once(server, refusal):
    server.validators = {}
    server.script["park"] = ["cut", "wrong_rest"] * 3
    assert f"expected {MD5}" in refusal(f"{server.url}/park", md5=MD5)
    assert len(server.seen) == 4


def test_part_that_was_not_requested__is_refused(server, refusal):
    server.script["park"] = ["other_part"] * 9
    assert "the server sends other bytes than requested (5 requests)" in refusal(
        f"{server.url}/park"
    )


# Lies about length and content


def test_length_that_is_too_long__is_a_cut(server, refusal):
    server.script["park"] = ["long_lie"] * 9
    message = refusal(f"{server.url}/park")
    assert "the transfer was cut after 2,304,000 of 2,304,001 bytes" in message


def test_length_that_is_too_short__fails_the_sum(tmp_path, server, refusal):
    server.script["park"] = ["short_lie"]
    message = refusal(f"{server.url}/park", md5=MD5)
    assert f"(2,303,999 bytes), expected {MD5}" in message
    assert list((tmp_path / "out").iterdir()) == []


def test_size__that_the_server_does_not_have_is_refused_before_a_byte_is_kept(
    tmp_path, server, refusal
):
    message = refusal(f"{server.url}/park", size=7)
    assert "the server has 2,304,000 bytes, expected 7: it is another version" in message
    assert list((tmp_path / "out").iterdir()) == []
    message = refusal(f"{server.url}/no_length", size=7)
    assert "received 2,304,000 bytes, expected 7: it is another version" in message
    fetch(f"{server.url}/park", tmp_path / "got", size=len(CONTENT))


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("wrong", "it is another version, or is damaged"),
        ("page", "it is an HTML page"),
        ("pointer", "it is a Git LFS pointer"),
        ("empty", "it is empty"),
        ("gzipped", "the server sent it gzip-encoded"),
    ],
)
def test_other_bytes__say_expected_got_and_the_likely_cause(tmp_path, server, refusal, name, cause):
    message = refusal(f"{server.url}/{name}", md5=OTHER)
    assert message.startswith(f"{server.url}/{name}: md5 is ")
    assert f"expected {OTHER}: {cause}" in message
    assert len(server.seen) == 1, "wrong bytes are not asked for again"
    assert list((tmp_path / "out").iterdir()) == [], "wrong bytes are not kept"


def test_other_bytes__leave_the_old_file(tmp_path, server):
    final = tmp_path / "park.aedat4"
    final.write_bytes(b"verified before")
    with pytest.raises(SourceError), atomic(final) as (scratch,):
        fetch(f"{server.url}/park", scratch, md5=OTHER, final=final)
    assert final.read_bytes() == b"verified before"
    assert sorted(tmp_path.iterdir()) == [final]


def test_url__is_not_written_over_a_file(tmp_path, server):
    (tmp_path / "got").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        fetch(f"{server.url}/park", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"mine"
    assert server.seen == []


# Waiting


def test_waits__grow_to_a_bound_with_a_random_factor(server, refusal):
    waits = []
    patience = Patience(
        attempts=9,
        longest_wait_s=10,
        sleep=waits.append,
        draw=iter([0.0, 0.5, 1.0] * 3).__next__,
    )
    refusal(f"{server.url}/503", patience=patience)
    assert waits == [0.5, 1.5, 4.0, 4.0, 7.5, 10.0, 5.0, 7.5]


def test_retry_after__is_kept_within_a_bound(tmp_path, server, patience, waits, refusal):
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    date = email.utils.format_datetime(soon, usegmt=True)
    server.script["park"] = ["503:20", f"429:{date}", "503:0", "503:soon"]
    fetch(f"{server.url}/park", tmp_path / "got", patience=patience)
    assert waits[0] == 20
    assert 80 < waits[1] <= 90
    assert waits[2:] == [4, 8]
    server.script["park"] = ["503:301"]
    message = refusal(f"{server.url}/park")
    assert "the server answers 503 Service Unavailable and asks us to wait 301 s. Try" in message
    assert len(waits) == 4


# Mirrors


def test_mirrors__are_asked_in_order_until_one_has_it(tmp_path, server, patience, caplog):
    caplog.set_level(logging.INFO, "evreel")
    mirrors = " | ".join(f"{server.url}/{name}" for name in ("404", "wrong", "page", "a", "b"))
    assert fetch(mirrors, tmp_path / "got", md5=MD5, patience=patience).md5 == MD5
    assert [path for path, _ in server.seen] == ["/404", "/wrong", "/page", "/a"]
    assert (tmp_path / "got").read_bytes() == CONTENT
    told = [record.message for record in caplog.records]
    assert [message.split(": ")[0] for message in told] == mirrors.split(" | ")[:3]
    assert "404 Not Found" in told[0]
    assert hashlib.md5(CHANGED).hexdigest() in told[1]
    assert "HTML page" in told[2]


def test_mirror__continues_where_another_ended_if_a_sum_is_known(tmp_path, server, patience):
    few = Patience(attempts=1, sleep=lambda _: None, most_attempts=1)
    server.script["a"] = ["cut"]
    mirrors = f"{server.url}/a|{server.url}/b"
    fetch(mirrors, tmp_path / "got", md5=MD5, patience=few)
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert server.ranges() == [None, REST]
    assert "If-Range" not in server.seen[1][1], "one server's validator means nothing to another"
    server.script["a"] = ["cut"]
    fetch(mirrors, tmp_path / "again", patience=few)
    assert server.ranges()[2:] == [None, None]


def test_mirrors__that_all_fail_are_each_named(server, refusal):
    message = refusal(f"{server.url}/404 | {server.url}/wrong", md5=MD5)
    assert message.startswith(
        f"got: none of its 2 mirrors has it: {server.url}/404: the server answers 404 Not Found; "
        f"{server.url}/wrong: md5 is "
    )


# Room


def test_disk__that_is_too_small_is_seen_before_anything_is_written(
    tmp_path, server, refusal, monkeypatch
):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    message = refusal(f"{server.url}/park | {server.url}/b", md5=MD5)
    assert "2,304,000 bytes are to come, but the disk has only 1,000 free. Make room" in message
    assert len(server.seen) == 1, "another mirror needs no less room"
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=len(CONTENT)))
    fetch(f"{server.url}/park", tmp_path / "got")


def test_disk__that_fills_up_is_one_error_and_received_bytes_are_kept(tmp_path, server, refusal):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        message = refusal(f"{server.url}/no_length", md5=MD5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"no_length: cannot be written: {os.strerror(errno.EFBIG)}. Make room" in message
    assert [part.stat().st_size for part in parts(tmp_path / "out")] == [1_000_000]


# From one run to the next


def test_next_run__asks_only_for_the_rest(tmp_path, server, refusal):
    server.script["park"] = ["cut", *["503"] * 5]
    message = refusal(f"{server.url}/park", md5=MD5)
    assert message.endswith(
        "the server answers 503 Service Unavailable (6 requests); the 1,500,000 bytes received "
        "are kept. Run the same command again to continue from there."
    )
    assert [part.read_bytes() for part in parts(tmp_path / "out")] == [CONTENT[:HALF]]
    reports = []
    fetch(
        f"{server.url}/park",
        tmp_path / "out" / "got",
        md5=MD5,
        progress=lambda *at: reports.append(at),
    )
    assert server.ranges()[-1] == REST
    assert reports[0] == (HALF, len(CONTENT))
    assert (tmp_path / "out" / "got").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["got"]


def test_next_run__continues_from_another_mirror_or_spelling_of_the_source(
    tmp_path, server, refusal
):
    server.script["park"] = ["cut", "404"]
    refusal(f"{server.url}/park", md5=MD5)
    fetch(f"{server.url}/elsewhere", tmp_path / "out" / "got", md5=MD5)
    assert server.ranges()[-1] == REST


def test_next_run__without_a_sum_continues_only_if_the_validator_is_the_same(
    tmp_path, server, refusal
):
    out = tmp_path / "out"
    for validators, content, parts_kept in (
        ({"ETag": '"one"'}, CONTENT, 1),
        ({"ETag": '"two"'}, CHANGED, 1),
        ({}, CONTENT, 0),
    ):
        server.validators = {"ETag": '"one"'} if parts_kept else {}
        server.contents.clear()
        server.script["park"] = ["cut", "404"]
        refusal(f"{server.url}/park")
        assert len(parts(out)) == parts_kept
        server.validators, server.contents["park"] = validators, content
        fetch(f"{server.url}/park", out / "got")
        assert server.ranges()[-1] == (REST if parts_kept else None)
        assert (out / "got").read_bytes() == content
        (out / "got").unlink()


def test_next_run__with_a_whole_file_asks_nobody(tmp_path, server, refusal):
    with pytest.raises(ZeroDivisionError):
        fetch(f"{server.url}/park", tmp_path / "got", md5=MD5, progress=explode_at_the_end)
    assert len(server.seen) == 1
    fetch(f"{server.url}/park", tmp_path / "got", md5=MD5)
    assert len(server.seen) == 1
    assert (tmp_path / "got").read_bytes() == CONTENT


def explode_at_the_end(done, total):
    if done == total:
        raise ZeroDivisionError


@pytest.mark.parametrize("damage", ["part", "record"])
def test_next_run__starts_again_if_what_was_kept_is_damaged(tmp_path, server, refusal, damage):
    server.script["park"] = ["cut", "404"]
    refusal(f"{server.url}/park", md5=MD5)
    (part,) = parts(tmp_path / "out")
    if damage == "part":
        part.write_bytes(bytes(HALF))
    else:
        part.with_suffix(".json").write_text('{"url": 3}', encoding="utf-8")
    fetch(f"{server.url}/park", tmp_path / "out" / "got", md5=MD5)
    assert (tmp_path / "out" / "got").read_bytes() == CONTENT
    assert server.ranges()[2:] == ([REST, None] if damage == "part" else [None])


def test_kept__address_is_not_readable(tmp_path, server, refusal):
    server.script["park"] = ["cut", "404"]
    refusal(f"{server.url}/park?token=secret", md5=MD5)
    (part,) = parts(tmp_path / "out")
    assert "secret" not in part.with_suffix(".json").read_text(encoding="utf-8")
    assert "secret" not in part.name


def test_stopped_by_the_user__keeps_received_bytes(tmp_path, server):
    def stop(done, total):
        if done > HALF:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/park", tmp_path / "got", md5=MD5, progress=stop)
    (part,) = parts(tmp_path)
    kept = part.stat().st_size
    assert kept > HALF
    fetch(f"{server.url}/park", tmp_path / "got", md5=MD5)
    assert server.ranges() == ([None, f"bytes={kept}-"] if kept < len(CONTENT) else [None])


def test_killed__continues_in_the_next_run(tmp_path, server):
    server.script["park"] = ["stall"]
    command = [sys.executable, "-m", "evreel.cli", "acquire", f"{server.url}/park"]
    command += ["--md5", MD5, "-o", "got"]
    (tmp_path / "got").write_bytes(b"before")
    first = subprocess.Popen(command, cwd=tmp_path)
    until = time.monotonic() + 60
    while not any(part.stat().st_size == HALF for part in parts(tmp_path)):
        assert time.monotonic() < until
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert (tmp_path / "got").read_bytes() == b"before"
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert server.ranges() == [None, REST]
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert not (tmp_path / DOWNLOADS).exists()


def test_part__is_at_the_root_of_a_workflows_results(tmp_path, server, refusal, patience):
    start_run(tmp_path)
    server.script["park"] = ["cut", "404"]
    final = tmp_path / "recordings" / "park.aedat4"
    with pytest.raises(SourceError), atomic(final) as (scratch,):
        fetch(f"{server.url}/park", scratch, md5=MD5, final=final, patience=patience)
    assert len(parts(tmp_path)) == 1
    start_run(tmp_path)
    with atomic(final) as (scratch,):
        fetch(f"{server.url}/park", scratch, md5=MD5, final=final, patience=patience)
    assert final.read_bytes() == CONTENT
    assert server.ranges() == [None, REST, REST]
    assert not (tmp_path / DOWNLOADS).exists()


def test_job_of_a_dead_run__stops_asking(tmp_path, server, monkeypatch):
    monkeypatch.setenv(RUN, start_run(tmp_path))
    final = tmp_path / "recordings" / "park.aedat4"
    server.script["park"] = ["cut"]
    dying = Patience(timeout_s=5, sleep=lambda _: start_run(tmp_path))
    with pytest.raises(EvreelError, match="another run has started"), atomic(final) as (scratch,):
        fetch(f"{server.url}/park", scratch, md5=MD5, final=final, patience=dying)
    assert server.ranges() == [None]
    assert len(parts(tmp_path)) == 1, "what it got serves the run that lives"


# At the same time


def test_two_runs__of_one_output_do_not_spoil_each_other(tmp_path, server):
    final = tmp_path / "park.aedat4"
    server.script["park"] = ["cut", "cut"]
    failures = []

    def run():
        try:
            with atomic(final) as (scratch,):
                fetch(
                    f"{server.url}/park",
                    scratch,
                    md5=MD5,
                    final=final,
                    patience=Patience(timeout_s=5, first_wait_s=0.01),
                )
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert final.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["park.aedat4"]


def test_part_that_stops_growing__is_left_to_its_run(tmp_path, server, waits, patience):
    server.script["park"] = ["cut", "404"]
    with pytest.raises(SourceError):
        fetch(f"{server.url}/park", tmp_path / "got", md5=MD5, patience=patience)
    (part,) = parts(tmp_path)
    with part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fetch(f"{server.url}/park", tmp_path / "got", md5=MD5, patience=patience)
    assert sum(waits[1:]) == patience.lock_s
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert part.read_bytes() == CONTENT[:HALF]
    assert server.ranges() == [None, REST, None]


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks__downloads_separately_and_keeps_nothing(
    tmp_path, download, server, refusal, monkeypatch, error
):
    def refuse(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", refuse)
    server.script["park"] = ["cut"]
    assert download(md5=MD5) == CONTENT
    assert server.ranges() == [None, REST]
    server.script["park"] = ["cut", "404"]
    assert "are kept" not in refusal(f"{server.url}/park", md5=MD5)
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []


def test_part_of_another_user__is_left_alone(download, server, monkeypatch):
    opened = Path.open

    def refuse(self, mode="r", *rest, **more):
        if self.parent.name == DOWNLOADS:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert download(md5=MD5) == CONTENT


# What it costs, and what it says


def test_memory__holds_a_piece_not_the_whole(tmp_path, server):
    source = tmp_path / "long"
    with source.open("wb") as file:
        file.truncate(100 << 20)
    code = """
import http.server, resource, sys, threading
from evreel.acquire import fetch
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fetch(f"http://127.0.0.1:{server.server_port}/long", "got")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 30_000, "kilobytes beyond those before the download of 100 MB"


def test_step__logs_the_sums_the_size_and_the_rate(tmp_path, server, caplog):
    caplog.set_level(logging.INFO, "evreel")
    md5 = steps.acquire(f"{server.url}/park", tmp_path / "got", sha256=SHA256)
    assert md5 == MD5
    (record,) = caplog.records
    assert record.message.startswith(f"got: md5 {MD5}, sha256 {SHA256}, 2.3 MB in ")
    assert re.search(r" in \d+\.\d s, [0-9.]+ [kMG]B/s$", record.message)


def test_requests_that_fail__are_logged_as_they_happen(tmp_path, server, patience, caplog):
    caplog.set_level(logging.INFO, "evreel")
    server.script["park"] = ["503", "cut"]
    fetch(f"{server.url}/park", tmp_path / "got", patience=patience)
    assert [record.message for record in caplog.records] == [
        f"{server.url}/park: the server answers 503 Service Unavailable; asking again in 1.0 s",
        f"{server.url}/park: the transfer was cut after 1,500,000 of 2,304,000 bytes; asking "
        "again in 1.0 s",
    ]
