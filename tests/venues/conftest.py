"""A release as it is given to a host, and libraries that are told not to use the network."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evreel.cards import CARDS
from evreel.cards.huggingface import front_matter
from support.cards import STATED
from support.releases import labelled_release
from support.told import told_of

# They read it when they are imported.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Let others' libraries warn each other."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def released(tmp_path_factory) -> Path:
    """A release that no test changes."""
    return labelled_release(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="session")
def published(released, tmp_path_factory) -> Path:
    """It with its cards, of a config that states what venues ask for."""
    folder = Path(shutil.copytree(released, tmp_path_factory.mktemp("published") / "parks"))
    told = replace(told_of(folder), dataset=STATED)
    for card in CARDS.values():
        for path, data in card(told).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    text = front_matter(told) + "\n# Parks\n"
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def manifest(published) -> dict[str, dict[str, str | int]]:
    """Path → what the release's manifest says of that file."""
    files = json.loads((published / "manifest.json").read_bytes())["files"]
    return {file["path"]: file for file in files}
