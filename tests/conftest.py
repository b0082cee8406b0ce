"""Fixtures of all tests, and their order; what tests import is in `support`."""

from __future__ import annotations

LONGEST = (
    "workflow/test_crash",
    "test_docs",
    "workflow/test_workflow",
    "steps/test_memory",
    "recordings/test_fuzz",
    "recordings/test_aedat4",
    "workflow/test_configs",
    "workflow/test_same_bytes",
    "release/test_open",
    "checks/test_columns",
    "workflow/test_samples",
    "recordings/test_hdf5",
    "cli/test_cli",
    "acquire/test_archives",
    "simulate/test_truth",
)
"""Modules that take long, from the longest on.

Each is run by one of several processes (``--dist loadscope``); they end together where the long
ones begin first. Pytest's own order is kept otherwise.
"""


def pytest_collection_modifyitems(items):
    def turn(item) -> int:
        path = item.path.with_suffix("").as_posix()
        return next((k for k, name in enumerate(LONGEST) if path.endswith(name)), len(LONGEST))

    items.sort(key=turn)
