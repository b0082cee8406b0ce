"""Every check has a planted fault, and finds it."""

from __future__ import annotations

import pytest

from evreel.checks import CHECKS


def test_plants__and_checks_belong_to_each_other_one_to_one(planted):
    assert set(planted.plants) == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_check__finds_its_planted_fault_in_its_file(planted, name):
    places = {(finding.check, finding.path) for finding in planted.report.findings}
    assert (name, planted.paths[name]) in places


def test_planted_faults__are_errors_first_and_each_of_its_checks_severity(planted):
    report = planted.report
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities)
    assert all(finding.severity == CHECKS[finding.check].severity for finding in report.findings)
    assert all(len(line) <= 100 for line in report.lines())
    assert list(report.lines())[-1] == report.summary
