"""evreel as a module of another workflow, which has rules, a config and folders of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
import yaml

from evreel.release.manifest import read_manifest
from evreel.release.verify import verify
from support import ROOT, warm
from support.dataset import CONFIG, make_data_set

PAGE = ROOT / "docs" / "modules.md"
SMALL = CONFIG | {"features": {}, "release": CONFIG["release"] | {"include": ["events"]}}
YARD = """
module yard:
    snakefile: "path/to/evreel/Snakefile"
    config: config["yard"]
    prefix: "work"

use rule * from yard as yard_*

use rule events from yard as yard_events with:
    priority: 5

rule both:
    input:
        rules.street_release.output.stamp,
        "work/results/events/two.h5",
    output: "plots/both.txt"
    shell: "cat {input[0]} > {output}"
"""


def lines_of_the_page() -> str:
    """Return the workflow that the page shows."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]


def write_host(folder, text, **configs):
    """Write a workflow with its config."""
    (folder / "Snakefile").write_text(text.replace("path/to/evreel", str(ROOT)), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump({"dpi": 90, **configs}), encoding="utf-8")


def run(folder, *arguments, env=None):
    """Run Snakemake on the other workflow as its user would, without a profile of evreel's."""
    path = os.pathsep.join([str(warm.commands()), os.environ["PATH"]])
    return subprocess.run(
        [warm.commands() / "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )


def only(folder, name):
    """Write a table with one of the recordings; return a config of it."""
    rows = (folder / "recordings.tsv").read_text("utf-8").splitlines()
    kept = [rows[0], *(row for row in rows[1:] if row.startswith(f"{name}\t"))]
    (folder / f"{name}.tsv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return SMALL | {"recordings": f"{name}.tsv"}


@pytest.fixture
def folder(tmp_path):
    """Two recordings, and no workflow yet."""
    made = make_data_set(tmp_path / "host")
    (made / "config.yaml").unlink()
    return made


def test_workflow_of_the_page__and_a_second_data_set__are_built_in_one_run(folder):
    text = lines_of_the_page() + YARD
    write_host(folder, text, street=only(folder, "one"), yard=only(folder, "two"))
    done = run(folder, "all", "both")
    assert done.returncode == 0, done.stdout
    assert "events" in (folder / "plots" / "one.txt").read_text("utf-8")
    assert not list(verify(folder / "built" / "street" / "release" / "tiny-1.0"))
    assert (folder / "work" / "results" / "recordings" / "two.aedat4").samefile(
        folder / "raw" / "two.aedat4"
    )
    assert not (folder / "results").exists()
    # Each folder was taken over for the same run, so that late jobs of an older one write nothing.
    runs = [
        {path.name for path in (folder / results / ".evreel-tmp").iterdir()}
        for results in ("built/street", "work/results")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2
    again = run(folder, "all", "both")
    assert "Nothing to be done" in again.stdout
    assert again.returncode == 0


FAILING = """
configfile: "config.yaml"

module street:
    snakefile: "path/to/evreel/Snakefile"
    config: config["street"]

use rule * from street as *_of_street

rule own:
    output: "own.txt"
    shell: "exit 3"

onstart:
    street.onstart()

onerror:
    street.onerror()
"""


def test_failed_job_of_a_module__is_named_once_and_runs_again(folder):
    write_host(folder, FAILING, street=only(folder, "one"))
    table = folder / "one.tsv"
    good = table.read_text("utf-8")
    table.write_text(re.sub(r"\t[0-9a-f]{32}\t", f"\t{'0' * 32}\t", good), encoding="utf-8")
    failed = run(folder, "--keep-going", "results/events/one.h5", "own.txt")
    assert failed.returncode == 1
    told = failed.stdout.split("1 job failed; jobs that need it did not run:")
    assert len(told) == 2, failed.stdout
    assert "acquire_of_street: results/recordings/one.aedat4\n    SourceError: raw/one" in told[1]
    table.write_text(good, encoding="utf-8")
    assert run(folder, "results/events/one.h5").returncode == 0


def test_first_in_a_workflow__is_its_default_target(folder):
    alone = FAILING.replace("rule own", "rule plots")
    write_host(folder, alone, street=SMALL | {"batches": {"recordings": 2}})
    planned = run(folder, "-n").stdout
    assert re.search(r"^(local)?rule all_of_street:", planned, re.MULTILINE)
    assert "of_batch" not in planned  # rules of another workflow take single files
    first = 'rule mine:\n    shell: "true"\n'
    write_host(folder, first + FAILING, street=only(folder, "one"))
    assert re.search(r"^(local)?rule mine:", run(folder, "-n").stdout, re.MULTILINE)


def test_release_of_a_module__leaves_out_what_failed_where_that_is_allowed(folder):
    release = SMALL["release"] | {"incomplete": "allow"}
    write_host(folder, FAILING, street=SMALL | {"release": release})
    raw = folder / "raw" / "two.aedat4"
    raw.write_bytes(raw.read_bytes()[:-9])
    table = folder / "recordings.tsv"
    table.write_text(table.read_text("utf-8").replace("\ttest\t", "\ttrain\t"), encoding="utf-8")
    failed = run(folder, "--keep-going", "release_of_street")
    assert failed.returncode == 1
    assert "lack 1 of 2 recordings: 'two'. Run the same command again to release" in failed.stdout
    done = run(folder, "--keep-going", "release_of_street")
    assert done.returncode == 0, done.stdout
    assert "The release lacks 1 of 2 recordings: 'two'." in done.stdout
    assert [*read_manifest(folder / "results" / "release" / "tiny-1.0").missing] == ["two"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({'    config: config["street"]\n': ""}, "module street is given no config"),
        (
            {'"street"]': '"street"]\n    pathvars: results="built"'},
            "results is 'made' in its config, 'built' in pathvars",
        ),
        (
            {'"street"]': '"street"]\n    pathvars: pictures="zip"'},
            "pathvars: pictures: cannot be set",
        ),
    ],
)
def test_module_that_contradicts_itself__is_told(folder, changes, said):
    text = FAILING
    for old, new in changes.items():
        text = text.replace(old, new)
    write_host(folder, text, street=only(folder, "one") | {"results": "made"})
    refused = run(folder, "-n")
    assert refused.returncode == 1
    assert said in refused.stdout
    assert "Traceback" not in refused.stdout


def test_mistake_in_the_config_of_a_module__is_told_with_its_line(folder):
    config = only(folder, "one") | {"video": {"widow_us": 1}}
    write_host(folder, FAILING, street=config, recordings="of another workflow")
    lines = (folder / "config.yaml").read_text("utf-8").splitlines()
    line = next(k for k, text in enumerate(lines, 1) if "widow_us" in text)
    told = run(folder, "-n").stdout
    assert f"config.yaml: line {line}: video: unknown key 'widow_us'; did you mean" in told
    two = FAILING.replace("street", "yard").replace("own", "other")
    write_host(folder, FAILING + two, street=only(folder, "one"), yard=only(folder, "two"))
    assert "modules street and yard both build in 'results'" in run(folder, "-n").stdout


def test_repository_on_a_host__is_a_module_without_a_checkout(folder, tmp_path):
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    repository = tmp_path / "lab" / "evreel"
    for name in ("workflow", "scripts", "envs"):
        shutil.copytree(ROOT / name, repository / name)
    shutil.copy(ROOT / "Snakefile", repository)
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=lab", "-c", "user.email=lab@example.org", "commit", "--quiet", "-m1"],
        ["tag", "v1"],
    ):
        subprocess.run([git, *command], cwd=repository, check=True)
    hosted = 'github("lab/evreel", path="Snakefile", tag="v1")'
    write_host(
        folder,
        FAILING.replace('"path/to/evreel/Snakefile"', hosted),
        street=only(folder, "one"),
    )
    env = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = run(folder, "results/events/one.h5", env=env)
    assert done.returncode == 0, done.stdout
