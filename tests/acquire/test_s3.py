"""Sources in S3 stores, without a store: `tests/venues/test_s3.py` has one."""

from __future__ import annotations

import os
import sys

import pytest

from evreel.acquire import Patience, fetch, read_source, s3
from evreel.errors import SourceError, UsageError
from support.webserver import CONTENT, MD5, running

OBJECT = "s3://lab/monday/park 1+%20#1?.aedat4"


def got(source, tmp_path, **options):
    patience = Patience(timeout_s=10, sleep=lambda seconds: None)
    fetch(source, tmp_path / "got", patience=patience, **options)
    return (tmp_path / "got").read_bytes()


@pytest.fixture
def store(monkeypatch):
    """A server that takes the place of a store, whatever is asked for."""
    with running() as server:

        def signed(url):
            return f"{server.url}/{s3.object_at(url).key}?X-Amz-Signature=secret"

        monkeypatch.setattr(s3, "signed", signed)
        monkeypatch.setattr(s3, "has_credentials", lambda: True)
        yield server


def test_source__in_a_store_has_the_name_of_its_key():
    source = read_source(OBJECT)
    assert source.urls == (OBJECT,)
    assert source.name == source.file_name == "park 1+%20#1?.aedat4"
    assert source.public == OBJECT
    member = read_source("s3://lab/wow!!.zip!a/b.raw")
    assert (member.urls, member.members) == (("s3://lab/wow!.zip",), ("a/b.raw",))
    assert read_source(member.file).urls == member.urls
    mirrors = read_source("https://a.org/x.raw | S3://lab/x.raw")
    assert mirrors.urls == ("https://a.org/x.raw", "S3://lab/x.raw")


@pytest.mark.parametrize(
    "source", ["s3://lab", "s3://lab/", "s3:///x", "s3:x", "s3://la b/x", "s3://lab/x\n"]
)
def test_address__that_names_no_object_is_refused(source):
    with pytest.raises(UsageError, match=r"does not name an object.*s3://bucket/folder/name"):
        s3.object_at(source)


def test_download__goes_on_where_it_was_cut_and_is_verified(store, tmp_path):
    store.script["a.raw"] = ["503", "cut", "whole"]
    assert got("s3://lab/a.raw", tmp_path, md5=MD5) == CONTENT
    assert [part is not None for part in store.ranges()] == [False, False, True]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("404", "the server answers 404 Not Found"),
        ("403", "access is denied to these credentials"),
        ("to:http://127.0.0.1:1/x?X-Amz-Signature=secret", "the server answers 302 Found"),
        ("503", "(5 requests)"),
    ],
)
def test_refusal__is_told_without_the_address_that_was_asked(store, tmp_path, answer, said):
    store.script["a.raw"] = [answer] * 9
    with pytest.raises(SourceError) as caught:
        got("s3://lab/a.raw", tmp_path, md5=MD5)
    assert said in str(caught.value)
    assert str(caught.value).startswith("s3://lab/a.raw: ")
    assert "secret" not in str(caught.value)


def test_store__without_boto3_is_one_line_that_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    s3._session.cache_clear()
    s3.client.cache_clear()
    with pytest.raises(SourceError) as caught:
        got("s3://lab/a.raw", tmp_path)
    assert str(caught.value) == (
        "s3://lab/a.raw: s3 addresses need boto3, which is not installed. Run pip install "
        "'evreel[s3]'."
    )
    with running() as server:
        assert got(f"s3://lab/a.raw | {server.url}/a.raw", tmp_path, md5=MD5) == CONTENT


def test_settings_of_snakemake__reach_jobs_but_for_what_nobody_said(monkeypatch):
    for name in ("ENDPOINT_URL", "REGION", "ACCESS_KEY"):
        monkeypatch.delenv(s3.SETTINGS + name, raising=False)
    s3.take_settings({"endpoint_url": "http://here", "region": "us-east-1", "access_key": None})
    taken = {name for name in os.environ if name.startswith(s3.SETTINGS)}
    monkeypatch.delenv(s3.SETTINGS + "ENDPOINT_URL")
    assert s3.SETTINGS + "ENDPOINT_URL" in taken
    assert not taken & {s3.SETTINGS + "REGION", s3.SETTINGS + "ACCESS_KEY"}
