"""What every rule of the workflow has, whatever it makes."""

from __future__ import annotations

import re

from support import ROOT

RULES = {
    name: text
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for name, text in re.findall(
        r"^rule (\w+):\n((?:(?: .*)?\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
}


def place(rule: str, directive: str) -> str | None:
    """Return the path of a rule's log or benchmark, without folder and suffix."""
    found = re.search(rf'^    {directive}:\n        "<\w+>/(.*)\.\w+",?$', RULES[rule], re.MULTILINE)
    return found and found[1]


def test_rules__that_run_a_script_have_a_log():
    scripts = [name for name, text in RULES.items() if "    script:\n" in text]
    assert {"events", "features", "summary", "release"} <= set(scripts)
    assert [name for name in scripts if not place(name, "log")] == []


def test_rules__but_local_ones_have_a_benchmark_where_their_log_is():
    timed = [
        name
        for name, text in RULES.items()
        if "    script:\n" in text and "localrule: True" not in text
    ]
    assert [name for name in timed if place(name, "benchmark") != place(name, "log")] == []
