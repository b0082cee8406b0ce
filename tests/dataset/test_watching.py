"""A run, watched: how far it is, how long the rest takes, and what ends it."""

from __future__ import annotations

import logging
import signal
import threading

import pytest

from evreel.dataset.watching import (
    Estimate,
    Planned,
    Watch,
    errors_only,
    note_signals,
    planned,
)

SIZES = {"a": 1e9, "b": 2e9, "c": 1e9}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def record(event, **facts):
    """Return what Snakemake tells its log handlers."""
    return logging.makeLogRecord({"event": event, **facts})


def begun(number, rule, about):
    return record("job_info", jobid=number, rule_name=rule, wildcards={"id": about})


def done(number, n, total):
    return [record("job_finished", job_id=number), record("progress", done=n, total=total)]


def test_time_left__follows_from_the_sizes_of_recordings_and_the_rules_of_jobs(clock):
    jobs = [Planned(rule, about) for about in SIZES for rule in ("acquire", "events")]
    run = Estimate(jobs, SIZES, clock)
    assert run.line(0, 7) == "0 of 7 jobs, 0.0 of 4.0 GB"
    run.begin(1, jobs[0])
    clock.now = 10
    run.finish(1)
    run.begin(2, jobs[1])
    clock.now = 110
    run.finish(2)
    # 3 GB are left, at 10 s and at 100 s a GB
    assert run.line(2, 7) == "2 of 7 jobs, 1.0 of 4.0 GB, about 6 min left"
    for number, job in enumerate(jobs[2:], 3):
        run.begin(number, job)
        clock.now += 10 if job.rule == "acquire" else 100
        run.finish(number)
    assert run.line(7, 7) == "7 of 7 jobs, 4.0 of 4.0 GB, in 6 min"


def test_time_left__is_less_where_jobs_run_beside_each_other(clock):
    jobs = [Planned("events", about) for about in "abcdefgh"]
    run = Estimate(jobs, dict.fromkeys("abcdefgh", 1e6), clock)
    for number, job in enumerate(jobs[:4]):
        run.begin(number, job)
    clock.now = 100
    for number in range(4):
        run.finish(number)
    assert run.line(4, 8) == "4 of 8 jobs, 4.0 of 8.0 MB, about 2 min left"


def test_progress__is_told_without_sizes_and_of_jobs_that_were_not_planned(clock):
    run = Estimate([], {}, clock)
    run.begin(1, Planned("events", "a"))
    clock.now = 30
    run.finish(1)
    run.finish(99)
    assert run.line(1, 3) == "1 of 3 jobs, about 60 s left"


def test_watch__tells_of_finished_jobs_now_and_then_and_of_the_last(clock):
    lines = []
    watch = Watch(Estimate([Planned("events", "a")], {}, clock), lines.append)
    for number, now in enumerate([0.0, 0.1, 0.2, 1.5, 1.6, 1.7], 1):
        clock.now = now
        watch.handle(begun(number, "events", "a"))
        for each in done(number, number, 6):
            watch.handle(each)
    assert [line.split(",")[0] for line in lines] == ["1 of 6 jobs", "4 of 6 jobs", "6 of 6 jobs"]
    watch.handle(record("run_info", stats={}))
    watch.handle(logging.makeLogRecord({"msg": "anything"}))
    assert len(lines) == 3


def test_watch__that_cannot_tell_does_not_end_the_run(clock, monkeypatch, capsys):
    def full(line):
        raise OSError("no space")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    Watch(Estimate([], {}, clock), full).handle(record("progress", done=1, total=1))
    assert capsys.readouterr().err == ""


def test_snakemakes_handler__does_not_wait_for_what_its_main_thread_holds():
    held, ended = threading.Lock(), threading.Event()

    def exit_gracefully(number, frame):
        with held:
            ended.set()

    exit_gracefully.__module__ = "snakemake.scheduling.job_scheduler"
    before = signal.signal(signal.SIGTERM, exit_gracefully)
    try:
        noted = []
        note_signals(noted)
        with held:
            signal.raise_signal(signal.SIGTERM)
            assert not ended.wait(0.05)
        assert ended.wait(20)
        assert [end.signal for end in noted] == ["SIGTERM"]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal__is_noted_and_does_what_it_did_before(number):
    noted, seen = [], []
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    old = {each: signal.getsignal(each) for each in numbers}
    try:
        for each in old:
            signal.signal(each, lambda *_: seen.append("handled"))
        note_signals(noted)
        signal.raise_signal(number)
        signal.signal(number, signal.SIG_IGN)
        note_signals(noted)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        for each, before in old.items():
            signal.signal(each, before)
    assert [one.signal for one in noted] == [number.name]
    assert seen == ["handled"]


def test_closed_terminal__ends_a_run_as_it_ends_when_it_is_asked_to():
    noted, seen = [], []
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    old = {each: signal.getsignal(each) for each in numbers}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: seen.append("asked"))
        note_signals(noted)
        signal.raise_signal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
        note_signals(noted)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for each, before in old.items():
            signal.signal(each, before)
    assert ([one.signal for one in noted], seen) == (["SIGHUP"], ["asked"])


def test_errors_only__prints_errors_of_snakemake_and_nothing_else(capsys):
    logger = logging.Logger("test")
    logger.addHandler(errors_only())
    logger.error("a rule is wrong", extra={"event": "error"})
    logger.warning("a doubt", extra={"event": "error"})
    logger.error("shown by others")
    assert capsys.readouterr().err == "a rule is wrong\n"


def test_planned__is_about_a_recording_an_archive_or_a_batch():
    wildcards = [{"id": "a", "suffix": "raw"}, {"archive": "b.zip"}, {"batch": "c"}, {}]
    assert [planned("rule", names).about for names in wildcards] == ["a", "b.zip", "c", ""]
