"""A setting is said in one place: added there, it is in schema, command line, page and job."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import pytest

from support import ROOT
from support.dataset import CONFIG, make_data_set, snakemake, write_config

MADE_UP = """
    made_up_px: int = setting(
        4, "Something that nobody needs.", unit="px", minimum=1, maximum=9
    )
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout in which one line is added to the settings of step events."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "workflow", "scripts", "envs", "profiles", "examples"):
        (copy / name).symlink_to(ROOT / name)
    for name in ("src", "docs"):  # with the compiled kernels
        shutil.copytree(ROOT / name, copy / name)
    path = copy / "src" / "evreel" / "dataset" / "settings.py"
    head, below = path.read_text(encoding="utf-8").split("class EventsSettings")
    docstring, rest = below.split('"""\n', 1)
    text = f'{head}class EventsSettings{docstring}"""\n{MADE_UP}{rest}'
    path.write_text(text, encoding="utf-8")
    return copy


def python(checkout, code, *arguments):
    """Run Python with the package of a checkout."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(checkout / "src"), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=checkout,
    )


def test_made_up_setting__is_in_the_schema_and_on_the_page(checkout):
    code = (
        "import json, sys; sys.path.insert(0, 'docs'); import make_pages as pages\n"
        "print(json.dumps([list(pages.schema_page()), list(pages.config_page())]))"
    )
    schema, page = json.loads(python(checkout, code).stdout)
    found = json.loads("".join(schema))["properties"]["events"]["properties"]["made_up_px"]
    assert found == {
        "description": "Something that nobody needs. Unit: px.",
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 4,
    }
    row = "| `events/made_up_px` | `4` | px | Something that nobody needs. At least 1. At most 9. |"
    assert row in page


def test_made_up_setting__is_an_option_of_the_command(checkout):
    code = "import sys; from evreel.cli import main; sys.exit(main(sys.argv[1:]))"
    told = python(checkout, code, "events", "--help").stdout
    assert re.search(r"--made-up-px N +Something that nobody needs. Unit: px. Default: 4.", told)
    refused = python(checkout, code, "events", "x.raw", "-o", "x.h5", "--made-up-px", "10")
    assert refused.returncode == 2
    assert "made_up_px: 10 is more than 9" in refused.stderr


def test_made_up_setting__reaches_its_job_and_alone_makes_it_run_again(checkout, tmp_path):
    folder = make_data_set(tmp_path / "dataset", ["one"])

    def run(*arguments, **events):
        write_config(folder, CONFIG | {"events": events})
        return snakemake(folder, *arguments, "all_events", house=checkout)

    wrong = run("-n", made_up_px=0)
    mistake = "events/made_up_px: 0 is less than 1 (Something that nobody needs.)"
    assert [line for line in wrong.stdout.splitlines() if "profile" not in line] == [
        f"config.yaml: line 2: {mistake}"
    ]
    assert wrong.returncode == 1
    built = run("--cores", "1", made_up_px=7, flip_x=True)
    assert built.returncode == 0, built.stdout
    with h5py.File(folder / "results/events/one.h5") as file:
        parameters = json.loads(file.attrs["parameters"])
    assert parameters["made_up_px"] == 7
    assert "Nothing to be done" in run("-n", made_up_px=7, flip_x=True).stdout
    # The values are the same, and belong to other settings.
    told = run("-n", made_up_px=7, flip_y=True).stdout
    reason = next(line for line in told.splitlines() if "reason: Params have changed" in line)
    for setting in (
        "{'flip_x': True}",
        "{'flip_x': False}",
        "{'flip_y': True}",
        "{'flip_y': False}",
    ):
        assert setting in reason
    assert "made_up_px" not in reason


def test_group_that_the_config_leaves_out__is_at_its_defaults_for_whoever_asks(tmp_path):
    folder = make_data_set(tmp_path / "dataset", ["one"])
    header, row = (folder / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    intervals = folder / "one.csv"
    intervals.write_text("label,start_us,stop_us\ncar,0,1000\n", encoding="utf-8")
    table = f"{header}\tsamples\tsamples/by\n{row}\tone.csv\tintervals\n"
    (folder / "recordings.tsv").write_text(table, encoding="utf-8")
    assert "rule splits" in snakemake(folder, "-n", "--", "all_samples").stdout
    without = {key: value for key, value in CONFIG.items() if key != "slices"}
    write_config(folder, without)
    lines = [
        line.replace("raw/one.rois.xml", "").replace("raw/one.tags.xml", "") for line in (row,)
    ]
    cells = f"{header}\tsamples\tsamples/by\n{lines[0]}\tone.csv\tintervals\n"
    (folder / "recordings.tsv").write_text(cells, encoding="utf-8")
    run = snakemake(folder, "-n", "--", "all_slices")
    assert run.returncode == 0 and "rule annotate" not in run.stdout
    for target, told in (
        ("results/events/oen.h5", "recordings.tsv has no recording 'oen'; did you mean 'one'?"),
        ("results/features/histo/one.h5", "MissingRuleException"),
    ):
        assert told in snakemake(folder, "-n", target).stdout
