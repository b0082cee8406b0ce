"""What jobs ask a cluster for."""

from __future__ import annotations

import re

import pytest
import yaml

from evreel.dataset.needs import NEEDS, UNKNOWN_BYTES, check_arrays, mem_mb, runtime_min
from evreel.errors import UsageError
from support import ROOT

RULES = re.findall(
    r"(?ms)^rule (\w+):\n(.*?)(?=^\S)",
    "".join(
        path.read_text(encoding="utf-8") + "\n#\n"
        for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    ),
)


def test_needs__are_stated_once_for_each_rule_whose_jobs_go_to_a_cluster():
    asked = {name: re.findall(r'needs\("(\w+)"', text) for name, text in RULES}
    to_cluster = [name for name, text in RULES if "script:" in text and "localrule" not in text]
    assert sorted(NEEDS) == sorted(to_cluster)
    assert {name: names for name, names in asked.items() if names} == {
        name: [name] for name in to_cluster
    }


@pytest.mark.parametrize("rule", NEEDS)
def test_needs__grow_with_the_size_and_double_with_each_attempt(rule):
    for of in (mem_mb, runtime_min):
        small, large = of(rule, 1e6), of(rule, 300e9)
        assert small <= large
        assert of(rule, 300e9, attempt=3) == pytest.approx(4 * large, abs=4)
    assert runtime_min(rule, 300e9) > runtime_min(rule, 1e6)
    # An hour at 20 M events/s: still within what clusters have.
    assert mem_mb(rule, 300e9) <= 20_000
    assert runtime_min(rule, 300e9) <= 48 * 60


def test_needs__of_an_unknown_size_are_those_of_a_large_recording():
    assert runtime_min("acquire", 0) == runtime_min("acquire", UNKNOWN_BYTES)


def test_runtime__of_features_counts_each_of_them():
    one, ten = (runtime_min("features", 100e9, times=n) for n in (1, 10))
    assert ten - 10 == 10 * (one - 10)


def test_check_arrays__refuses_what_the_executor_would_wait_for_for_ever():
    check_arrays(n_jobs=200, at_a_time=200)
    with pytest.raises(UsageError, match=r"201 jobs .* 200 at a time.* --jobs 201 "):
        check_arrays(n_jobs=201, at_a_time=200)


def test_slurm_profile__sets_what_the_default_profile_sets():
    default, slurm = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
        for name in ("default", "slurm")
    )
    assert default.items() <= slurm.items(), "profiles/default is not read where slurm is"
