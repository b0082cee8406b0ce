"""A server, and a data set of three recordings with videos of ten frames."""

from __future__ import annotations

import threading

import pytest

from evreel.cvat import sdk
from support.cvat_data import CvatData
from support.cvat_server import TOKEN, CvatServer


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(sdk, "PAUSE_S", 0)
    monkeypatch.setattr(sdk, "_FIRST_LOOK_S", 0.01)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    monkeypatch.delenv("PASS", raising=False)
    with CvatServer() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.done.set()
        made.shutdown()
        thread.join()
    assert not made.errors, made.errors[0]


@pytest.fixture
def data(tmp_path, monkeypatch, server):
    monkeypatch.chdir(tmp_path)
    return CvatData(tmp_path, server.url)
