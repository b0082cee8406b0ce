"""What the Snakemake workflow catalog reads of this repository."""

from __future__ import annotations

import re
import shlex

import yaml

from support import ROOT

USAGE = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text("utf-8"))["usage"]
WORKFLOW = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "workflow").rglob("*.smk")))


def test_flags__are_options_of_snakemake():
    from snakemake.cli import get_argument_parser  # takes a second, in each process that collects

    flags = USAGE["mandatory-flags"]
    assert flags["desc"].strip()
    known = get_argument_parser()._option_string_actions
    named = [word for word in shlex.split(flags["flags"]) if word.startswith("-")]
    assert named
    assert [word for word in named if word not in known] == []


def test_deployment__is_what_the_rules_have():
    deployment = USAGE["software-stack-deployment"]
    assert {*deployment} == {"conda", "apptainer", "apptainer+conda", "report"}
    assert deployment["conda"] == ("conda:" in WORKFLOW)
    has_images = bool(re.search(r"^ *container(ized)?:", WORKFLOW, re.MULTILINE))
    assert deployment["apptainer"] == deployment["apptainer+conda"] == has_images
    assert deployment["report"] == ("report(" in WORKFLOW)


def test_listing__finds_what_it_looks_for():
    assert (ROOT / "Snakefile").is_file()
    assert (ROOT / "README.md").is_file()
    assert (ROOT / "LICENSE").is_file()
