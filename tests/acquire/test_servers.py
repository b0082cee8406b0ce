"""Answers of broken and hostile servers: no download hangs, and no wrong bytes pass as right."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import pytest

from evreel import steps
from evreel.acquire import Patience, fetch
from evreel.acquire.web import Pace, RequestError, _Http
from evreel.cli import main
from evreel.errors import SourceError
from support import ROOT
from support.webserver import RawServer, dripped, flooded
from support.writers.aer40 import aer40

BODY = bytes(range(256)) * 4
MD5 = hashlib.md5(BODY).hexdigest()
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 1024\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
WHOLE = OK + LENGTH + b"\r\n" + BODY
IN_CHUNKS = b"400\r\n" + BODY + b"\r\n0\r\n\r\n"
TIMEOUT_S = 0.15


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def patience(**options):
    few = {"timeout_s": 10, "attempts": 1, "most_attempts": 3, "sleep": lambda _: None}
    return Patience(**few | options)


def quick(**options):
    return patience(timeout_s=TIMEOUT_S, **options)


def answered(tmp_path, *answers, **options):
    """Fetch from a server with these answers; return the bytes, and the heads of the requests."""
    with RawServer(*answers) as server:
        fetch(server.url, tmp_path / "got", **{"patience": patience()} | options)
    return (tmp_path / "got").read_bytes(), server.seen


def refused(tmp_path, *answers, **options):
    """Fetch what is refused; return the message without the address."""
    began = time.monotonic()
    with RawServer(*answers) as server, pytest.raises(SourceError) as raised:
        fetch(server.url, tmp_path / "got", **{"patience": patience()} | options)
    assert time.monotonic() - began < 10
    assert not (tmp_path / "got").exists()
    message = str(raised.value)
    assert message.startswith(f"{server.url}: ")
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 600
    return message.removeprefix(f"{server.url}: ")


# Nothing that hangs

NO_END = "the head of its answer did not end within 0.15 s"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (dripped(b"H"), NO_END),
        (dripped(b"x", at_once=b"HTTP/1.1 200 "), NO_END),
        (dripped(b"X: y\r\n", at_once=OK), NO_END),
        (dripped(b"a", at_once=OK + b"X: "), NO_END),
        (dripped(b"HTTP/1.1 100 Continue\r\n\r\n", 0), NO_END),
        (dripped(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0), NO_END),
        (dripped(b"0", at_once=OK + CHUNKED + b"\r\n"), "no data for 0.15 s"),
        (dripped(b"x", at_once=OK + CHUNKED + b"\r\n1;"), "no data for 0.15 s"),
        (
            dripped(b"X: y\r\n", at_once=OK + CHUNKED + b"\r\n" + IN_CHUNKS[:-2]),
            "the end of its answer did not come within 0.15 s",
        ),
        (dripped(b"x", at_once=OK + b"\r\n"), "bytes came in 0."),
        (dripped(b"x", at_once=OK + LENGTH + b"\r\n"), "bytes came in 0."),
        (dripped(b"1\r\nx\r\n", 0.002, OK + CHUNKED + b"\r\n"), "bytes came in 0."),
        # The same for answers that are no file.
        (dripped(b"x", at_once=b"HTTP/1.1 404 Not Found\r\n"), NO_END),
        (dripped(b"x", at_once=b"HTTP/1.1 302 Found\r\nLocation: /"), NO_END),
    ],
)
def test_server__that_never_ends_is_given_up_in_time(tmp_path, answer, problem):
    assert problem in refused(tmp_path, answer, patience=quick())


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (flooded(b"HTTP/1.1 100 Continue\r\n\r\n" * 99), "has more than 1,048,576 bytes"),
        (flooded(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 9), "than 1,048,576 bytes"),
        (flooded(b"X: y\r\n" * 99, OK), "does not answer as a web server"),
        (flooded(b"x" * 9999, OK + b"X: "), "does not answer as a web server (LineTooLong)"),
        (flooded(b"x" * 9999), "does not answer as a web server (LineTooLong)"),
        (flooded(b"x" * 9999, OK + CHUNKED + b"\r\n1;"), "a line too long"),
        (flooded(b"1;" + b"x" * 999 + b"\r\ny\r\n", OK + CHUNKED + b"\r\n"), "more between its"),
        (flooded(b"1" * 9999, OK + CHUNKED + b"\r\n"), "malformed"),
        (
            flooded(b"X: y\r\n" * 999, OK + CHUNKED + b"\r\n" + IN_CHUNKS[:-2]),
            "has more than 1,048,576 bytes",
        ),
    ],
)
def test_server__that_never_ends_is_given_up_at_a_size(tmp_path, answer, problem):
    assert problem in refused(tmp_path, answer)


@pytest.mark.parametrize("make", [dripped, flooded])
@pytest.mark.parametrize("status", [b"302 Found", b"404 Not Found", b"503 Busy"])
def test_bodies_of_other_answers__are_not_read(tmp_path, make, status):
    with RawServer(WHOLE) as other:
        head = b"HTTP/1.1 %b\r\nLocation: %b\r\n\r\n" % (status, other.url.encode())
        if status.startswith(b"302"):
            assert answered(tmp_path, make(b"x", at_once=head))[0] == BODY
        else:
            assert "the server answers " in refused(tmp_path, make(b"x", at_once=head))


def test_slow_server__is_given_up_after_few_requests_though_each_brings_something(tmp_path):
    few = quick(attempts=2, most_attempts=100)
    message = refused(tmp_path, dripped(b"x", at_once=OK + b"\r\n"), md5=MD5, patience=few)
    assert re.search(r"only \d+ bytes came in 0\.\d s \(2 requests\)", message)


def test_least_rate__is_a_setting(tmp_path):
    drip = dripped(BODY[:60], 0.005, OK + b"Content-Length: 60\r\n\r\n")
    slow = patience(timeout_s=0.1, least_bytes_per_s=10)
    assert answered(tmp_path, drip, patience=slow)[0] == BODY[:60]


def test_slow_disk__is_not_the_servers_fault(tmp_path):
    def slow(done, total):
        time.sleep(TIMEOUT_S)

    halves = OK + CHUNKED + b"\r\n200\r\n%b\r\n200\r\n%b\r\n0\r\n\r\n" % (BODY[:512], BODY[512:])
    assert answered(tmp_path, halves, progress=slow, patience=quick())[0] == BODY


def test_connection__shares_its_time_between_the_addresses_of_a_host(monkeypatch):
    timeouts = []

    def unreachable(address, timeout, *_):
        timeouts.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [()] * 4)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    connection = _Http("example.org")
    connection.pace = Pace(8, 1)
    with pytest.raises(RequestError, match="no data for 8 s"):
        connection.connect()
    assert timeouts == [pytest.approx(2, abs=0.1)]


def test_server_without_encryption__that_is_silent_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError) as raised:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/park"
        fetch(url, tmp_path / "got", patience=quick())
    assert f"{url}: it did not answer in time" in str(raised.value)


def test_proxy__that_never_ends_its_answer_is_given_up(tmp_path, monkeypatch):
    head = b"HTTP/1.0 200 Connection established\r\n"
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    for answer, problem in (
        (dripped(b"X: y\r\n", at_once=head), NO_END),
        (b"HTTP/1.0 407 No\x1b[31m\x07\r\n\r\n", "Tunnel connection failed: 407 No\\x1b[31m"),
    ):
        with RawServer(answer) as proxy, pytest.raises(SourceError) as raised:
            monkeypatch.setenv("https_proxy", proxy.url)
            fetch("https://example.org/park", tmp_path / "got", patience=quick())
        assert problem in str(raised.value)
        assert str(raised.value).isprintable()


def test_endless_file__stops_at_the_size_that_is_expected(tmp_path):
    message = refused(tmp_path, flooded(bytes(1 << 20), OK + b"\r\n"), size=1024)
    assert re.match(r"the server sends more than 1\d,\d{3},\d{3} bytes, expected 1,024\.", message)


def test_endless_file__leaves_room_on_the_disk(tmp_path, monkeypatch):
    class Disk:
        free, total = 900 << 20, 1 << 40

    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk)
    message = refused(tmp_path, flooded(bytes(1 << 20), OK + b"\r\n"))
    assert "0 bytes came, and nothing says how many more, but the disk has only 943," in message


# Numbers and dates out of any range

DIGITS = b"9" * 5000


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 416 No\r\nContent-Range: bytes */%b\r\n\r\n" % DIGITS, "answers 416"),
        (b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-%b/*\r\n\r\n" % DIGITS, "other bytes"),
        (b"HTTP/1.1 206 Part\r\nContent-Range: bytes %b-9/9\r\n\r\n" % DIGITS, "other bytes"),
        (OK + b"Content-Range: bytes 0-1/%b\r\n\r\n" % DIGITS, "a whole file and a part of it"),
        (OK + b"Content-Length: %b\r\n\r\n" % DIGITS, "not a number of bytes"),
        (OK + CHUNKED + b"\r\n" + b"f" * 5000 + b"\r\n", "a chunk without a size"),
        (b"HTTP/1.1 %b OK\r\n\r\n" % DIGITS, "does not answer as a web server (BadStatusLine)"),
        (b"HTTP/%b 200 OK\r\n\r\n" % DIGITS, "does not answer as a web server"),
        (b"HTTP/1.1 200\r\n" + b"X: y\r\n" * 101, "does not answer as a web server"),
        (OK + b"Content-Length: 999999999999999999\r\n\r\n", "but the disk has only"),
    ],
)
def test_number__out_of_range_is_one_error(tmp_path, answer, problem):
    assert problem in refused(tmp_path, answer)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (b"Sun, 06 Nov 99999 08:49:37 GMT", None),
        (b"Fri, 31 Dec 9999 23:59:59 -2359", None),
        (b"Sat, 01 Jan 0001 00:00:00 +2359", None),
        (b"Mon, 99 Jan 2024 99:99:99 GMT", None),
        (b"Mon, 01 Jan 2024 00:00:00 +99999999999", None),
        (b"-5", None),
        (b"1e9", None),
        (b"\xb2", None),
        (b"0", None),
        (b"Mon, 01 Jan 2024 00:00:00 GMT", None),
        (b"999999999", "asks us to wait 999999999 s"),
        (DIGITS, "asks us to wait 1000000000 s"),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", "asks us to wait "),
    ],
)
def test_retry_after__that_makes_no_sense_is_one_error(tmp_path, asked, waited):
    answer = b"HTTP/1.1 503 Busy\r\nRetry-After: %b\r\n\r\n" % asked
    message = refused(tmp_path, answer)
    assert message.startswith("the server answers 503 Service Unavailable")
    assert (waited or "asks us to wait") in message or waited is None
    assert (waited is None) == ("asks us" not in message)


@pytest.mark.parametrize(
    "location",
    [
        b"http://[::1/park",
        b"http://[fe80::zz]/park",
        b"http://ex\xc3\xa4mple..org/park",
        b"http://" + b"\xe4" * 70 + b".org/park",
        b"http://" + b"a" * 70 + b".org/park",
        b"http://\xff\xfe/park",
        b"http://127.0.0.1:99999/park",
        b"http://127.0.0.1:x/park",
        b"http:///park",
        b"file:///etc/passwd",
        b"ftp://127.0.0.1/park",
        b"javascript:alert(1)",
        b"http://ann:secret@127.0.0.1/park",
        b"http://127.0.0.1:1/\x1b[31m",
        b"http://\xe2\x84\x80.org/park",
    ],
)
def test_redirect__to_no_address_is_one_error(tmp_path, location):
    message = refused(tmp_path, b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % location)
    assert "secret" not in message


def test_redirect__to_an_address_in_other_letters_is_followed(tmp_path):
    head = "HTTP/1.1 302 Found\r\nLocation: /Straße 1\r\n\r\n".encode()
    got, seen = answered(tmp_path, head, WHOLE)
    assert got == BODY
    assert seen[1].startswith(b"GET /Stra%C3%9Fe%201 HTTP/1.1\r\n")


def test_redirect__without_an_end_is_one_error(tmp_path):
    assert "the server answers 302 Found and leads on to ever more addresses" in refused(
        tmp_path, b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"
    )


@pytest.mark.parametrize("status", [201, 203, 204, 205, 300, 304, 305, 101])
def test_status__of_no_file_is_one_error(tmp_path, status):
    answer = b"HTTP/1.1 %d Odd\x1b[2J\r\nContent-Length: 1024\r\n\r\n" % status + BODY
    assert f"the server answers {status} " in refused(tmp_path, answer)


# No wrong bytes

TWICE = b"Content-Length: 512\r\n" + LENGTH


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (TWICE, "it states several lengths"),
        (b"Content-Length: 512, 1024\r\n", "it states several lengths"),
        (b"Content-Length: 512,\r\n", "it states several lengths"),
        (b"Content-Length: -5\r\n", "not a number of bytes"),
        (b"Content-Length: +5\r\n", "not a number of bytes"),
        (b"Content-Length: 0x5\r\n", "not a number of bytes"),
        (b"Content-Length: 5_0\r\n", "not a number of bytes"),
        (b"Content-Length: \xb2\r\n", "not a number of bytes"),
        (b"Content-Length: 51\r\n 2\r\n", "not a number of bytes"),
        (b"Content-Length:\r\n", "not a number of bytes"),
        (b"Content-Length : 512\r\n", "malformed"),
        (b"Content Length\r\nContent-Length: 512\r\n", "malformed"),
        (b"X: y\rContent-Length: 512\r\n", "malformed"),
        (b"X: y\0\r\nContent-Length: 512\r\n", "malformed"),
        (b"Content-Length: 512\r\n", "it has more bytes than it states"),
        (LENGTH + b"Content-Encoding: gzip\r\n", "gzip-encoded; without a checksum"),
        (LENGTH + b"Content-Encoding: \x1b[31m\r\n", "otherwise-encoded; without a checksum"),
        (LENGTH + b"Content-Encoding: identity, br\r\n", "otherwise-encoded"),
        (LENGTH + b"Content-Range: bytes 5-9/1024\r\n", "a whole file and a part of it"),
    ],
)
def test_length__that_can_be_read_in_two_ways_is_refused(tmp_path, head, problem):
    assert problem in refused(tmp_path, OK + head + b"\r\n" + BODY)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (LENGTH + CHUNKED, "it states a length, and comes in chunks"),
        (b"Content-Length: 1034\r\n" + CHUNKED, "it states a length, and comes in chunks"),
        (CHUNKED + CHUNKED, "otherwise than in chunks"),
        (b"Transfer-Encoding: gzip, chunked\r\n", "otherwise than in chunks"),
        (b"Transfer-Encoding: chunked, identity\r\n", "otherwise than in chunks"),
        (b"Transfer-Encoding: identity\r\n", "otherwise than in chunks"),
        (b"Transfer-Encoding: xchunked\r\n", "otherwise than in chunks"),
    ],
)
def test_chunks__that_can_be_read_in_two_ways_are_refused(tmp_path, head, problem):
    assert problem in refused(tmp_path, OK + head + b"\r\n" + IN_CHUNKS)


def test_chunks__of_an_old_protocol_are_refused(tmp_path):
    old = b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS
    assert "otherwise than in chunks" in refused(tmp_path, old)


@pytest.mark.parametrize(
    "body",
    [
        b"-5\r\n" + BODY,
        b"+400\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"0x400\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"4_00\r\n" + BODY + b"\r\n0\r\n\r\n",
        b" 400\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"\r\n400\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"3ff\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"401\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"400\r\n" + BODY + b"0\r\n\r\n",
        b"400\r\n" + BODY + b"\r\n",
        b"400\r\n" + BODY + b"\r\n0\r\n",
        b"400\r\n" + BODY,
        b"400\r\n" + BODY[:-1],
        b"400",
        b"",
    ],
)
def test_chunks__that_are_cut_or_malformed_are_refused(tmp_path, body):
    message = refused(tmp_path, OK + CHUNKED + b"\r\n" + body)
    assert "malformed" in message or "the transfer was cut" in message


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        OK + LENGTH + LENGTH + b"\r\n" + BODY,
        OK + b"content-length:1024 \r\n\r\n" + BODY,
        b"HTTP/1.1 200\nContent-Length: 1024\n\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + WHOLE,
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        OK + CHUNKED + b"\r\n" + IN_CHUNKS,
        OK + b"transfer-encoding: Chunked\r\n\r\n400;x=y\r\n" + BODY + b"\r\n000\r\nX: y\r\n\r\n",
        OK + CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
        OK + LENGTH + b"Content-Encoding: identity\r\n\r\n" + BODY,
        OK + b"\r\n" + BODY,
        OK + b"Content-Type: multipart/mixed; boundary=x\r\n" + LENGTH + b"\r\n" + BODY,
        b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1023/1024\r\n\r\n" + BODY,
    ],
)
def test_answer__that_keeps_to_the_rules_is_the_file(tmp_path, answer):
    assert answered(tmp_path, answer)[0] == BODY


@pytest.mark.parametrize("head", [b"Content-Encoding: gzip\r\n", b""])
def test_sum__decides_where_the_head_leaves_doubt(tmp_path, head):
    # As servers do that take a .gz for their own compression, or end a body with an empty line.
    assert answered(tmp_path, OK + head + LENGTH + b"\r\n" + BODY + b"\r\n", md5=MD5)[0] == BODY


def test_part__of_an_unknown_whole_is_not_taken_for_it(tmp_path):
    part = b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-511/*\r\n\r\n" + BODY[:512]
    assert "other bytes than requested" in refused(tmp_path, part)


@pytest.mark.parametrize("about", [b'ETag: "one"\r\n', b"Last-Modified: yesterday\r\n"])
@pytest.mark.parametrize(
    "rest",
    [
        b'ETag: "two"\r\n',
        b'ETag: W/"one"\r\n',
        b"Last-Modified: today\r\n",
        b'ETag: "one"\r\nETag: "two"\r\n',
        b"",
    ],
)
def test_part__is_joined_to_one_of_the_same_version_only(tmp_path, about, rest):
    first = OK + LENGTH + about + b"\r\n" + BODY[:512]
    part = b"HTTP/1.1 206 Part\r\nContent-Range: bytes 512-1023/1024\r\n%b\r\n" % rest
    wrong = part + bytes(512)
    got, seen = answered(tmp_path, first, wrong, WHOLE, patience=patience(attempts=3))
    assert got == BODY
    assert [b"Range: bytes=512-" in head for head in seen] == [False, True, False]
    assert b"If-Range: " + about.split(b": ")[1] in seen[1]


def test_part__is_joined_to_one_of_the_same_version(tmp_path):
    head = b'HTTP/1.1 206 Part\r\nETag: "one"\r\nContent-Range: bytes 512-1023/1024\r\n\r\n'
    first = OK + LENGTH + b'ETag: "one"\r\n\r\n' + BODY[:512]
    got, seen = answered(tmp_path, first, head + BODY[512:], patience=patience(attempts=3))
    assert (got, len(seen)) == (BODY, 2)


def test_part__of_a_file_that_changed_in_this_second_is_not_continued(tmp_path):
    times = b"Last-Modified: %b GMT\r\nDate: %b GMT\r\n"
    same = times % (b"Tue, 02 Jan 2024 03:04:05", b"Tue, 02 Jan 2024 03:04:05")
    later = times % (b"Tue, 02 Jan 2024 03:04:05", b"Tue, 02 Jan 2024 03:04:06")
    for about, ranged in ((same, False), (later, True)):
        first = OK + LENGTH + about + b"\r\n" + BODY[:512]
        (tmp_path / "got").unlink(missing_ok=True)
        _, seen = answered(tmp_path, first, WHOLE, patience=patience(attempts=3))
        assert (b"Range: bytes=512-" in seen[1]) == ranged


def test_end__that_a_server_claims_of_another_version_is_not_believed(tmp_path):
    first = OK + CHUNKED + b'ETag: "one"\r\n\r\n200\r\n' + BODY[:512] + b"\r\n"
    over = b'HTTP/1.1 416 Over\r\nETag: "two"\r\nContent-Range: bytes */512\r\n\r\n'
    got, seen = answered(tmp_path, first, over, WHOLE, patience=patience(attempts=3))
    assert (got, len(seen)) == (BODY, 3)


def test_mark__that_no_header_can_carry_is_not_sent_back(tmp_path):
    first = OK + LENGTH + b'ETag: "o\r\n ne"\r\n\r\n' + BODY[:512]
    got, seen = answered(tmp_path, first, WHOLE, patience=patience(attempts=3))
    assert got == BODY
    assert b"Range" not in seen[1]


def test_bytes__of_a_malformed_answer_are_not_kept(tmp_path):
    # The chunk's size lost its line's end, so that the chunk begins with bytes of the next line.
    wrong = OK + CHUNKED + b'ETag: "one"\r\n\r\n4;x' + BODY[:1] + b"\r\n0\r\n\r\n"
    with RawServer(wrong, WHOLE) as server:
        with pytest.raises(SourceError, match="malformed"):
            fetch(server.url, tmp_path / "got", patience=patience())
        fetch(server.url, tmp_path / "got", patience=patience())
    assert (tmp_path / "got").read_bytes() == BODY
    assert b"Range" not in server.seen[1]


def test_part__outlives_a_malformed_answer_that_adds_nothing(tmp_path):
    cut = OK + LENGTH + b'ETag: "one"\r\n\r\n' + BODY[:512]
    assert "the 512 bytes received are kept" in refused(
        tmp_path, cut, OK + b"Content-Length: -1\r\n\r\n", patience=patience(attempts=2)
    )


# What came without a sum


def test_without_a_sum__the_log_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO, "evreel")
    with RawServer(WHOLE, OK + b"\r\n" + BODY) as server:
        steps.acquire(server.url, tmp_path / "got", timeout_s=5)
        assert "no md5 or sha256 was given for it" in caplog.text
        assert "does not say where the file ends" not in caplog.text
        steps.acquire(server.url, tmp_path / "got")
        assert "does not say where the file ends; it may have been cut" in caplog.text
        caplog.clear()
        steps.acquire(server.url, tmp_path / "got", md5=MD5)
    assert "no md5" not in caplog.text
    assert "where the file ends" not in caplog.text


def test_settings__reach_the_download_from_the_command(tmp_path, monkeypatch, capsys):
    of = Patience.of
    monkeypatch.setattr(Patience, "of", lambda *given: replace(of(*given), sleep=lambda _: None))
    with RawServer(dripped(b"x", at_once=OK + b"\r\n")) as server:
        command = ["acquire", server.url, "-o", str(tmp_path / "got"), "-q"]
        assert main([*command, "--timeout-s", "0.1", "--least-bytes-per-s", "5000"]) == 1
    assert "bytes came in 0.1 s (5 requests)" in capsys.readouterr().err


def test_without_a_sum__the_store_and_the_manifest_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = aer40([(0, 1, 4, 0), (5, 2, 5, 1), (9, 3, 6, 0)])
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(content) + content
    plan = "path\tsource\tkind\tid\tsplit\ntrain/a.h5\ta.h5\tevents\ta\ttrain\n"
    (tmp_path / "plan.tsv").write_text(plan, encoding="utf-8")
    for md5, says in ((None, "none"), (hashlib.md5(content).hexdigest(), None)):
        with RawServer(answer) as server:
            steps.acquire(server.url, "a.bin", md5=md5)
        steps.events("a.bin", "a.h5", sensor="34x34")
        with h5py.File("a.h5") as store:
            assert json.loads(store.attrs["parameters"]).get("source_checksum") == says
        steps.release(
            "plan.tsv", "release", steps.ReleaseSettings(name="a", version="1", licence="CC0-1.0")
        )
        manifest = json.loads((tmp_path / "release" / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["recordings"].get("a", {}).get("source_checksum") == says
        assert steps.verify("release") == []
        assert (tmp_path / "a.bin.unverified").exists() == (says is not None)


# Any answer


def test_fuzz__of_any_answers_ends_in_the_right_bytes_or_one_kind_of_error():
    done = subprocess.run(  # in a process of its own, so that a hang is a failure
        [sys.executable, "-m", "support.fuzz", "web", "--files", "120", "--seed", "20240301"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT / "tests",
    )
    assert done.returncode == 0, done.stderr
    counts = dict(word.split("=") for word in done.stdout.split("web: ")[1].split())
    assert sum(map(int, counts.values())) == 120
    assert min(int(counts["right"]), int(counts["refused"])) > 15
