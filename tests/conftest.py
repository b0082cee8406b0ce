"""Fixtures of all tests, and their order; what tests import is in `support`."""

from __future__ import annotations

import gc
from pathlib import Path
from unittest import mock

import pytest

from evreel.files import inspection
from support import once, warm

TESTS = Path(__file__).parent

LONGEST = (
    "workflow/test_workflow",
    "workflow/test_pages",
    "workflow/test_configs",
    "workflow/test_batches",
    "workflow/test_crash",
    "workflow/test_samples",
    "workflow/test_same_bytes",
    "workflow/test_release",
    "workflow/test_recipe",
    "release/test_open",
    "recordings/test_aedat4",
    "faults/test_faults",
    "checks/test_looked",
    "cli/test_cli",
    "steps/test_memory",
    "recordings/test_fuzz",
    "files/test_slices",
    "simulate/test_truth",
    "release/test_origins",
    "recordings/test_hdf5",
    "checks/test_columns",
    "acquire/test_archives",
    "release/test_build",
)
"""Modules that take long, about from the longest on.

Each is run by one of several processes (``--dist loadscope``); they end together where the long
ones begin first. The third has few kernels: in a new clone, the first two wait for the same ones to
be compiled. The other modules follow by their paths.
"""


@pytest.fixture(scope="session", autouse=True)
def folder_of_what_is_made_once(tmp_path_factory):
    """The folder that several processes share: each has its own beside it."""
    own = tmp_path_factory.getbasetemp()
    once.FOLDER[:] = [(own.parent if own.name.startswith("popen-") else own) / "once"]


class WarmPython:
    """What `evreel.files.inspection` takes of `sys`, with a Python that has imported h5py."""

    @property
    def executable(self) -> str:
        return str(warm.commands(only="h5py", OPENBLAS_NUM_THREADS="1") / "job")


@pytest.fixture(scope="session", autouse=True)
def inspecting_takes_no_third_of_a_second():
    """Let tests inspect HDF5 files by forks, within the same limits.

    That it works where Python starts for each file is shown in `files/test_seal.py`.
    """
    with mock.patch.object(inspection, "sys", WarmPython()):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Let each of several processes import another part of the tests first.

    Pytest rewrites the asserts of each file, which takes 7 s of a processor in all, and keeps what
    it wrote. Were all to begin with the same file, each would rewrite them all.
    """
    report = yield
    worker = getattr(collector.config, "workerinput", None)
    if worker is not None and collector.path == TESTS:
        number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
        first = len(report.result) * number // count
        report.result = report.result[first:] + report.result[:first]
    return report


def pytest_collection_modifyitems(items):
    def turn(item) -> tuple[int, Path]:
        path = item.path.with_suffix("").as_posix()
        place = (k for k, name in enumerate(LONGEST) if path.endswith(name))
        return next(place, len(LONGEST)), item.path

    items.sort(key=turn)


def pytest_collection_finish():
    """Keep the collector of garbage off 9,000 tests: it took a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
