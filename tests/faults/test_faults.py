"""A short campaign, and that the documentation says of each fault what the campaign does."""

from __future__ import annotations

import random
import re
import signal

import pytest

from faults.dying import Death
from faults.hand import Hand
from faults.kinds import FAULTS, RULES, drawn, end_command, table
from faults.world import Undisturbed, World
from support import ROOT

QUICK = ("acquire member", "acquire url", "events", "features", "annotate", "shards")
OTHERS = {"archive", "plain_archive", "boxes", "annotate_part", "features_part"}
"""Rules that the data set of a campaign does not need."""


def test_table__of_the_documentation_is_of_the_faults_of_a_campaign():
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert table() == text.split("|---|---|---|\n")[1].split("\n\n")[0].rstrip("\n") + "\n"


def test_drawn__has_each_kind_as_often_as_its_share():
    every = drawn(sum(kind.turns for kind in FAULTS.values()), random.Random(1))
    assert {name: sum(one is FAULTS[name] for one in every) for name in FAULTS} == {
        name: kind.turns for name, kind in FAULTS.items()
    }


def test_rules__are_all_that_have_jobs():
    rule = re.compile(r"^rule (\w+):(?:(?!^rule ).)*?^    script:", re.MULTILINE | re.DOTALL)
    texts = [path.read_text("utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk")]
    assert {name for text in texts for name in rule.findall(text)} - OTHERS == {*RULES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The data set of a campaign, built."""
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


def test_killed_commands__leave_nothing_that_the_same_command_does_not_mend(undisturbed, tmp_path):
    hand = Hand(tmp_path / "hand", undisturbed.built)
    try:
        for seed, name in enumerate(QUICK * 2):
            end_command(hand, name, random.Random(seed))
    finally:
        hand.close()
    assert hand.deaths > len(QUICK) / 2


def test_killed_run__leaves_nothing_that_the_same_command_does_not_mend(undisturbed, tmp_path):
    rng = random.Random(1)
    world = World(undisturbed, tmp_path / "world")
    try:
        world.fill("new")
        world.disturbed({rule: [Death.drawn(rng, most=10), None] for rule in RULES})
        jobs = world.deaths
        world.disturbed({"snakemake": [Death(signal.SIGKILL, after=200)]})
        assert (jobs > 1, world.deaths) == (True, jobs + 1)
        world.cure()
        world.check()
    finally:
        world.end()
