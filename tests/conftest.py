"""Fixtures of all tests, and their order; what tests import is in `support`."""

from __future__ import annotations

LONGEST = (
    "workflow/test_workflow",
    "test_docs",
    "workflow/test_crash",
    "workflow/test_configs",
    "workflow/test_samples",
    "recordings/test_fuzz",
    "cli/test_cli",
    "workflow/test_real_recordings",
    "workflow/test_same_bytes",
    "acquire/test_web",
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
