"""The log of a step: one line for each thing it says, whatever that quotes."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.dataset.failures import last_error
from evreel.errors import SourceError
from evreel.steps import LOG, acquire, logged
from support.webserver import running


def test_log__has_a_line_for_each_thing_that_is_said(tmp_path):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit), logged(log):
        LOG.info("%s: asked", "a\nSourceError: no\x1b[31m")
        raise SourceError("loops.\nThe last answer was:\n\nFound", place="https://x.org/1")
    assert log.read_text(encoding="utf-8").splitlines() == [
        "a SourceError: no: asked",
        "SourceError: https://x.org/1: loops. The last answer was: Found",
    ]


def test_error_of_the_system__is_one_line(tmp_path):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit), logged(log):
        (tmp_path / "not\nthere").read_bytes()
    text = log.read_text(encoding="utf-8")
    assert text.count("\n") == 1
    assert text.endswith("/not there: No such file or directory\n")


def test_lack_of_memory__is_no_bug_of_evreel(tmp_path):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit) as raised, logged(log):
        np.empty(2**58)
    assert raised.value.code == 1
    assert last_error(log.read_text(encoding="utf-8")).startswith(
        "MemoryError: out of memory: Unable to allocate 2.00 EiB"
    )


def test_bug__keeps_its_traceback(tmp_path):
    log = tmp_path / "job.log"
    with pytest.raises(KeyError), logged(log):
        raise KeyError("x")
    text = log.read_text(encoding="utf-8")
    assert text.startswith("This is a bug in evreel")
    assert "\nTraceback (most recent call last):\n  File " in text
    assert last_error(text) == "KeyError: 'x'"


def test_redirects_in_a_circle__are_one_line_that_the_summary_tells(tmp_path):
    log = tmp_path / "job.log"
    with running() as server, pytest.raises(SystemExit), logged(log):
        acquire(f"{server.url}/to:?", tmp_path / "one.aedat4")
    last = log.read_text(encoding="utf-8").splitlines()[-1]
    assert "the server answers 302 Found and leads on to ever more addresses" in last
    assert last.startswith("SourceError: ")
    assert last_error(log.read_text(encoding="utf-8")) == last
