"""Threads of a step: results in order, errors where they belong, and no thread at the end."""

from __future__ import annotations

import gc
import hashlib
import threading
import time
import weakref

import pytest

from evreel.errors import UsageError
from evreel.threads import MOST_THREADS, Crew, checked_threads, cores


def ours() -> list[str]:
    """Return the threads of crews."""
    return [t.name for t in threading.enumerate() if t.name == "evreel-crew"]


def squared(k: int) -> int:
    time.sleep(0.001 * (k % 3))
    return k * k


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results__come_in_the_order_in_which_they_are_wanted(threads):
    with Crew(threads) as crew:
        tasks = [crew.begin(squared, k) for k in range(30)]
        assert [task.result() for task in reversed(tasks)] == [k * k for k in range(29, -1, -1)]
        assert list(crew.ahead(squared, range(20))) == [k * k for k in range(20)]
    assert ours() == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_error__comes_in_the_place_of_its_result_and_no_thread_is_left(threads):
    seen = []
    with pytest.raises(ZeroDivisionError), Crew(threads) as crew:
        for result in crew.ahead(lambda k: 12 // (3 - k), range(10)):
            seen.append(result)
    assert seen == [4, 6, 12]
    assert ours() == []


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (3, 7)])
def test_items__are_taken_some_more_than_threads_ahead_and_no_more(threads, most):
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield k

    with Crew(threads) as crew:
        ahead = crew.ahead(lambda k: k, items())
        assert len(taken) == (0 if threads == 1 else most)
        for k in range(3):
            assert next(ahead) == k
            assert len(taken) <= most + k


def test_caller__works_too_while_another_thread_is_busy():
    busy = threading.Event()
    by = []

    def work(k: int) -> None:
        by.append(threading.current_thread().name)
        if by[-1] == "evreel-crew":
            busy.wait(20)

    with Crew(2) as crew:
        tasks = [crew.begin(work, k) for k in range(6)]
        for task in tasks[:0:-1]:
            if len(by) < 6:
                task.run()
        busy.set()
        for task in tasks:
            task.result()
    assert by.count("evreel-crew") < 6


def test_close__begins_nothing_more_and_breaks_off_hashing(tmp_path):
    file = tmp_path / "large"
    with file.open("wb") as out:
        out.truncate(1 << 34)  # takes ten seconds or more to hash
    started, release = threading.Event(), threading.Event()
    done: list[object] = []

    def busy() -> None:
        started.set()
        release.wait(20)

    with Crew(2) as crew:
        hashing = crew.sha256(file)
        crew.begin(busy)
        assert started.wait(20)
        for k in range(99):
            crew.begin(done.append, k)
        last = threading.Event()
        weakref.finalize(last, release.set)  # the busy thread goes on once nothing waits any more
        crew.begin(done.append, last)
        del last
    assert done == []
    assert not hashing._done.is_set()
    assert ours() == []


@pytest.mark.parametrize("threads", [1, 3])
def test_sha256__is_that_of_the_file_or_raises_what_reading_it_raises(tmp_path, threads):
    content = bytes(range(256)) * 40_000
    (tmp_path / "a").write_bytes(content)
    with Crew(threads) as crew:
        hashing = [crew.sha256(tmp_path / "a"), crew.sha256(tmp_path / "none")]
        assert hashing[0].result() == f"sha256:{hashlib.sha256(content).hexdigest()}"
        with pytest.raises(FileNotFoundError):
            hashing[1].result()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_one_ahead__takes_the_next_item_while_one_is_used_and_leaves_nothing_running(threads):
    taken = []

    def items():
        for k in range(5):
            taken.append(k)
            yield k
        raise ValueError("no more")

    with Crew(threads) as crew:
        ahead = crew.one_ahead(items())
        assert next(ahead) == 0
        crew.begin(time.sleep, 0).result()
        ahead.close()
        assert len(taken) <= 2
        assert threads > 1 or taken == [0]
        taken.clear()
        found = []
        with pytest.raises(ValueError, match="no more"):
            found.extend(k for k in crew.one_ahead(items()) if found.append(k))
        assert found == taken == [0, 1, 2, 3, 4]


def test_drop__keeps_a_task_from_beginning_and_waits_for_one_that_has():
    started, release = threading.Event(), threading.Event()
    done = []

    def work() -> None:
        started.set()
        release.wait(20)
        done.append("begun")

    with Crew(2) as crew:
        begun = crew.begin(work)
        assert started.wait(20)
        waiting = crew.begin(done.append, "dropped")
        waiting.drop()
        threading.Timer(0.05, release.set).start()
        begun.drop()
        assert done == ["begun"]


def test_crew_that_nobody_closes__ends_with_its_last_user():
    crew = Crew(3)
    assert crew.begin(squared, 3).result() == 9
    assert len(ours()) == 2
    del crew
    gc.collect()
    deadline = time.monotonic() + 10
    while ours() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ours() == []


def test_threads__are_the_cores_up_to_a_limit_unless_given():
    assert checked_threads(None) == min(MOST_THREADS, cores())
    assert checked_threads(40) == 40
    with pytest.raises(UsageError, match="threads=0 is not 1 or more"):
        checked_threads(0)
