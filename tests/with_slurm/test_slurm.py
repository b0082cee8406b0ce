"""On a real Slurm: the bytes of one machine, also after jobs failed, were cancelled or lost."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import ROOT
from support.dataset import build, make_data_set, snakemake, tree
from support.slurm import ended

FAULTS = {
    "once": ("error", "FAILED"),
    "memory": ("memory 2600", "FAILED"),  # MB: more than a job of this rule asks for at first
    "cancelled": ("hold", "CANCELLED"),
    "lost": ("hold", "NODE_FAIL"),
}
"""Recording → what befalls its first job, and what Slurm then says of that."""


def wait_until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def data_of(folder: Path) -> dict[str, str]:
    """Return path → digest of the results without logs, benchmarks and work in progress."""
    found = tree(folder / "results")
    return {name: what for name, what in found.items() if not name.startswith(("logs/", "bench"))}


def jobs_of(slurm, comment: str) -> list[dict[str, str]]:
    """Return the jobs of a rule and a recording, the oldest first."""
    found = [job for job in slurm.jobs() if job["comment"] == comment]
    return sorted(found, key=lambda job: int(job["id"]))


def add_faults(folder: Path, faults: dict[str, str]) -> Path:
    """Write what befalls the next jobs that make these files."""
    place = folder / "faults"
    place.mkdir(exist_ok=True)
    for path, fault in faults.items():
        (place / path.replace("/", ":")).write_text(fault, encoding="utf-8")
    return place


def is_held(folder: Path, path: str) -> bool:
    """Tell whether a job is held up before it publishes a file."""
    return (folder / "faults" / f"{path.replace('/', ':')}.held").exists()


@pytest.fixture(scope="module")
def faulty(runs, tmp_path_factory):
    """Two data sets, the same: of one, the cluster made the events, with a fault for each file.

    One recording is damaged and can never be decoded. All were acquired on this machine, as where
    nodes have no network.
    """
    slurm = runs.slurm
    folder = make_data_set(tmp_path_factory.mktemp("faulty") / "set", [*FAULTS, "damaged"])
    raw, table = folder / "raw" / "damaged.aedat4", folder / "recordings.tsv"
    whole = raw.read_bytes()
    raw.write_bytes(whole[:-400])
    sums = [hashlib.md5(content).hexdigest() for content in (whole, raw.read_bytes())]
    table.write_text(table.read_text(encoding="utf-8").replace(*sums), encoding="utf-8")
    build(folder, "--cores", "2", "--until", "acquire")
    other = Path(shutil.copytree(folder, folder.parent / "undisturbed", symlinks=True))

    def first(name: str) -> str:
        return jobs_of(slurm, f"rule_events_wildcards_{name}")[0]["state"]

    path = "results/events/{}.h5"
    faults = add_faults(folder, {path.format(name): fault for name, (fault, _) in FAULTS.items()})
    run = runs.start(folder, "all_events", faults=faults)
    for name in ("cancelled", "lost"):
        wait_until(lambda name=name: is_held(folder, path.format(name)))
    slurm.run("scancel", jobs_of(slurm, "rule_events_wildcards_cancelled")[0]["id"])
    for name in ("cancelled", "once", "memory", "damaged"):
        wait_until(lambda name=name: first(name) not in ("PENDING", "RUNNING", "COMPLETING"))
    node = jobs_of(slurm, "rule_events_wildcards_lost")[0]["node"]
    slurm.crash_node(node)
    status, said = ended(run)
    slurm.revive_node(node)
    return folder, other, status, said[-3000:]


@pytest.mark.parametrize("recording", FAULTS)
def test_job__that_ended_badly_is_submitted_again_with_more_memory_and_time(
    faulty, slurm, recording
):
    said = faulty[-1]
    before, *_, last = jobs_of(slurm, f"rule_events_wildcards_{recording}")
    assert before["state"] == FAULTS[recording][1], said
    assert last["state"] == "COMPLETED", said
    assert (before["memory"], last["memory"]) in (("2000M", "4000M"), ("2000M", "8000M"))
    assert (before["limit"], last["limit"]) in (("10:00", "20:00"), ("10:00", "40:00"))


def test_run__ends_with_the_error_of_the_one_job_that_cannot_succeed(faulty, slurm):
    _, _, status, said = faulty
    end = said[said.index("1 job failed;") :]
    assert status == 1
    assert "events: results/events/damaged.h5\n    " in end
    assert "damaged.aedat4: " in end
    assert not any(name in end for name in FAULTS)
    first, _, last = jobs_of(slurm, "rule_events_wildcards_damaged")
    assert first["state"] == last["state"] == "FAILED"


def test_results__after_faults_are_those_of_one_machine(faulty):
    folder, other, _, _ = faulty
    assert snakemake(other, "--cores", "2", "all_events").returncode == 1
    made = data_of(other)
    assert len([name for name in made if name.startswith("events/")]) == len(FAULTS)
    assert data_of(folder) == made


def test_run__that_is_interrupted_cancels_its_jobs_and_goes_on_later(faulty, runs):
    folder, other, _, _ = faulty
    targets = [f"results/video/{name}.clock.tsv" for name in ("once", "lost")]
    before = data_of(folder)
    faults = add_faults(folder, dict.fromkeys(targets, "hold"))
    run = runs.start(folder, *targets, faults=faults)
    wait_until(lambda: all(is_held(folder, target) for target in targets))
    held = faults / f"{targets[0].replace('/', ':')}.held"
    assert (folder / "results" / ".evreel-tmp" / held.read_text()).is_dir()
    assert held.read_text(), "jobs are told which run they belong to"
    run.send_signal(signal.SIGINT)
    status, said = ended(run)
    assert status == 1
    assert "The run was interrupted (Ctrl-C)" in said
    ends = {"COMPLETED", "FAILED", "NODE_FAIL", "CANCELLED"}
    wait_until(lambda: {job["state"] for job in runs.slurm.jobs()} <= ends)
    assert data_of(folder) == before
    status, said = runs.run(folder, *targets)
    assert status == 0, said[-3000:]
    build(other, "--cores", "2", *targets)
    assert data_of(folder) == data_of(other)


def test_array__runs_the_jobs_of_a_rule_in_one_submission(faulty, runs):
    folder, _, _, _ = faulty
    targets = [f"results/video/{name}.clock.tsv" for name in ("cancelled", "memory")]
    status, said = runs.run(folder, "--slurm-array-jobs", "all", *targets)
    assert status == 0, said[-3000:]
    arrays = [job for job in runs.slurm.jobs() if "_" in job["id"]]
    assert [(job["state"], job["memory"]) for job in arrays] == [("COMPLETED", "1001M")] * 2


def test_profile__takes_each_choice_that_a_comment_offers(runs, tmp_path):
    profile = (ROOT / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8")
    offered = r"(?m)^( *)# (?= *[a-z_-]+:(?: |$))(?!snakemake )"
    (tmp_path / "config.yaml").write_text(re.sub(offered, r"\1", profile), encoding="utf-8")
    for name in ("config.yaml", "demo"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).symlink_to(ROOT / name)
    status, said = runs.run(tmp_path / "set", "-n", profile=tmp_path)
    assert status == 0, said[-3000:]
    assert "mem_mb=16000" in said
    for choice in ("slurm_account=project", "slurm_partition=big", "qos=normal", "--exclude=node7"):
        assert choice in said


def test_demo__on_the_cluster_is_the_release_of_one_machine_and_then_is_done(
    runs, tmp_path_factory
):
    folders = [tmp_path_factory.mktemp(name) for name in ("cluster", "one")]
    for folder in folders:
        shutil.copy(ROOT / "config.yaml", folder)
        shutil.copytree(ROOT / "demo", folder / "demo")
    status, said = runs.run(folders[0])
    assert status == 0, said[-3000:]
    build(folders[1], "--cores", "2")
    made = [data_of(folder) for folder in folders]
    assert made[0] == made[1]
    assert any(name.startswith("release/demo-1.0/") for name in made[0])
    before = len(runs.slurm.jobs())
    status, said = runs.run(folders[0])
    assert (status, len(runs.slurm.jobs())) == (0, before), said[-3000:]
    assert "Nothing to be done" in said
    assert not list(folders[0].glob("slurm_logs/**/*.log")), (
        "those of jobs that succeed are removed"
    )
