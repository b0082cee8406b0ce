"""Work ahead: results in order, errors where they belong, and threads that are gone at the end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from evreel.errors import UsageError
from evreel.recordings.prefetch import Prefetch, default_threads


def ours() -> list[str]:
    """Return the threads that work ahead."""
    return [t.name for t in threading.enumerate() if t.name.startswith("evreel-prefetch")]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results__come_in_the_order_of_the_items(threads):
    def work(k: int) -> int:
        time.sleep(0.002 * (k % 3))
        return k * k

    with Prefetch(work, range(40), threads) as ahead:
        assert list(ahead) == [k * k for k in range(40)]
    assert ours() == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_error__comes_in_the_place_of_its_result(threads):
    def work(k: int) -> int:
        return 12 // (3 - k)

    seen = []
    with Prefetch(work, range(10), threads) as ahead, pytest.raises(ZeroDivisionError):
        for k in ahead:
            seen.append(k)
    assert seen == [4, 6, 12]
    assert ours() == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_error_of_the_items__comes_after_the_results_before_it(threads):
    def items():
        yield from (1, 2, 3)
        raise UsageError("no more")

    seen = []
    with (
        Prefetch(lambda k: k, items(), threads) as ahead,
        pytest.raises(UsageError, match="no more"),
    ):
        for k in ahead:
            seen.append(k)
    assert seen == [1, 2, 3]


def test_items__are_taken_two_per_thread_ahead_and_no_more():
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield k

    with Prefetch(lambda k: k, items(), 3) as ahead:
        assert next(ahead) == 0
        assert len(taken) == 6
        assert next(ahead) == 1
        assert len(taken) == 7


def test_caller__works_too_while_another_thread_is_busy():
    busy = threading.Event()
    by: dict[int, str] = {}

    def work(k: int) -> None:
        by[k] = threading.current_thread().name
        if by[k].startswith("evreel-prefetch"):
            busy.wait(20)  # until the caller has done the rest
        elif k == 3:
            busy.set()

    with Prefetch(work, range(4), 2) as ahead:
        list(ahead)
    names = [by[k].startswith("evreel-prefetch") for k in range(4)]
    assert names.count(False) >= 3


def test_one_item_or_one_thread__starts_no_thread():
    for items, threads in ((range(1), 8), (range(9), 1)):
        with Prefetch(lambda _: ours(), items, threads) as ahead:
            assert [name for names in ahead for name in names] == []


def test_close__waits_for_work_in_progress_and_begins_nothing_more():
    begun, done = [], []

    def work(k: int) -> None:
        begun.append(k)
        time.sleep(0.02)
        done.append(k)

    ahead = Prefetch(work, range(100), 3)
    next(ahead)
    ahead.close()
    assert ours() == []
    assert sorted(begun) == sorted(done)
    assert len(begun) < 8
    ahead.close()
    with pytest.raises(ValueError, match="closed"):
        next(ahead)


def test_default_threads__are_the_cores_that_the_process_may_use_up_to_4():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from evreel.recordings.prefetch import default_threads; print(default_threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "1", done.stderr
    assert 1 <= default_threads() <= 4


def test_interpreter__exits_during_a_pass():
    code = (
        "import time\n"
        "from evreel.recordings.prefetch import Prefetch\n"
        "ahead = Prefetch(lambda k: time.sleep(0.01) or k, iter(range(10**9)), 3)\n"
        "print(next(ahead), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
