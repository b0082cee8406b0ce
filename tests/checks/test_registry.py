"""The list of checks is complete, ordered, and the one place of thresholds."""

from __future__ import annotations

import dataclasses
from typing import get_args

from evreel.checks import CHECKS, Finding, registry


def test_registry__has_a_sentence_and_a_reason_for_every_threshold():
    for name, entry in CHECKS.items():
        assert entry.name == name
        assert entry.finds.endswith("."), name
        for threshold in entry.thresholds:
            assert threshold.value, (name, threshold)
            assert len(threshold.reason) > 20, (name, threshold)


def test_registry__is_ordered_by_what_checks_look_at_not_by_imports():
    order = get_args(registry.LookedAt)
    ranks = [order.index(entry.of) for entry in CHECKS.values()]
    assert ranks == sorted(ranks)
    assert set(ranks) == set(range(len(order))), "nothing is named that no check looks at"
    for of in order:
        homes = {check.__module__ for check, entry in registry._CHECKS.items() if entry.of == of}
        assert len(homes) == 1, f"checks of {of} are in several files, ordered by their imports"


def test_finding__is_one_line_and_errors_sort_first():
    error = Finding("error", "order", "b.h5", "event 3, t=1 µs", "goes back")
    warning = dataclasses.replace(error, severity="warning", path="a.h5", place="")
    assert sorted([warning, error]) == [error, warning]
    assert str(error) == "error: order: b.h5: event 3, t=1 µs: goes back"
    assert str(warning) == "warning: order: a.h5: goes back"
