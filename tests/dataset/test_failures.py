"""What a run that failed says at its end, from logs as Snakemake and the jobs write them."""

from __future__ import annotations

import pytest

from evreel.dataset.failures import Ended, what_failed, what_was_warned

RULE = """[Sat Nov 21 14:02:13 2026]
Error in rule acquire:
    message: {message}
    jobid: 4
    input: raw/one.aedat4
    output: results/recordings/one.aedat4
    log: {log} (check log file(s) for error details)
Logfile {log}:
"""
GROUP = """Error in group shard:
    jobs:
        rule events:
            jobid: 3
            output: results/events/one.h5
            log: {log} (check log file(s) for error details)
        rule clock:
            jobid: 5
            output: results/video/one.clock.tsv
    external_jobid: 77
Trying to restart job 3.
"""


GROUP_OF_A_CLUSTER = """[Mon Nov 30 14:44:23 2026]
    message: Error in group look
    log: {slurm} (check log file(s) for error details)
    jobs:
        rule annotate:
            jobid: 1
            output: results/slices/one.h5, results/slices/one_bbox.npy
            log: {{log}} (check log file(s) for error details)
        rule clock:
            jobid: 4
            output: results/video/one.clock.tsv
            log: {{log}} (check log file(s) for error details)
Logfile {{log}} not found.
    [Mon Nov 30 14:44:23 2026]
    Error in rule annotate:
        message: None
        jobid: 1
        output: results/slices/one.h5, results/slices/one_bbox.npy
        log: {{log}} (check log file(s) for error details)
    Logfile {{log}} not found.
"""


@pytest.fixture
def said(tmp_path):
    """Return a function of Snakemake's log and a job's log that returns what is said."""

    def say(snakemake, job=None, message="None"):
        log = tmp_path / "job.log"
        if job is not None:
            log.write_text(job, encoding="utf-8")
        main = tmp_path / "snakemake.log"
        main.write_text(snakemake.format(log=log, message=message), encoding="utf-8")
        return what_failed([main])

    return say


def test_failed_job__is_named_with_the_error_that_ends_its_log(said):
    text = said(RULE, "one.aedat4: 12 events\nSourceError: raw/one: md5 is 1. Look.\n")
    assert text.splitlines()[:4] == [
        "1 job failed; jobs that need it did not run:",
        "",
        "acquire: results/recordings/one.aedat4",
        "    SourceError: raw/one: md5 is 1. Look.",
    ]
    assert text.endswith("run the same command again; finished jobs are kept.")


@pytest.mark.parametrize("last", ["AssertionError", "KeyError: 'x'", "numpy.exceptions.AxisError"])
def test_traceback__is_told_by_its_last_line(said, last):
    assert f"    {last}\n" in said(RULE, f"Traceback (most recent call last):\n  x\n{last}\n")


@pytest.mark.parametrize("log", [None, "", "one.aedat4: 5000 events\n", "warning: gap: one.h5\n"])
def test_job__that_was_killed_is_not_explained_by_what_it_said_before(said, log):
    assert "It ended without a message in its log" in said(RULE, log)


def test_executor__that_knows_why_is_heard(said):
    text = said(RULE, "", message="SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'.")
    assert "ran out of memory or time. The executor says: SLURM-job '7' failed" in text


def test_job__that_failed_twice_is_told_once(said):
    assert said(RULE + RULE, "SourceError: x\n").count("acquire: results") == 1


def test_job__that_a_new_try_finished_did_not_fail(said):
    again = (
        "Trying to restart job 4.\n[Sat Nov 21 14:03:13 2026]\nFinished jobid: 4 (Rule: acquire)\n"
    )
    other = RULE.replace("jobid: 4", "jobid: 44").replace("one.aedat4", "two.aedat4")
    text = said(f"{RULE}{other}{again}", "SourceError: x\n")
    assert text.startswith("1 job failed")
    assert "results/recordings/two.aedat4" in text
    assert "one.aedat4" not in text


@pytest.mark.parametrize(
    "last",
    [
        "slurmstepd-n2: error: Exceeded job memory limit",
        "slurmstepd-n2: error: StepId=5.0 exceeded memory limit (22 > 20), being killed",
        "slurmstepd-n1: error: *** STEP 4.0 ON n1 CANCELLED AT 2026-11-30T14:09:36 ***",
        "slurmstepd: error: *** JOB 4 ON n1 CANCELLED AT 2026-11-30T14:09:36 DUE TO TIME LIMIT ***",
    ],
)
def test_job__that_slurm_ended_is_told_by_what_slurm_says(said, last):
    after = "WorkflowError:\nAt least one job did not complete successfully.\n"
    log = f"5 events\n{last}\nsrun: forcing job termination\n{after}"
    assert f"    {last}\n" in said(RULE, log)


def test_group__names_each_of_its_jobs(said):
    text = said(GROUP, "RecordingError: one.aedat4: is cut\n")
    assert "2 jobs failed" in text
    assert "events: results/events/one.h5\n    RecordingError: one.aedat4: is cut" in text
    assert "clock: results/video/one.clock.tsv\n    It ended without a message: it was" in text


@pytest.mark.parametrize("text", ["", "Terminating processes on user request.\n"])
def test_run__that_no_job_failed_in_was_stopped(said, text):
    assert said(text) == (
        "The run was stopped early. To go on, run the same command again; finished jobs are kept."
    )


REDIRECTS = (
    "one.aedat4: asking mirror 1\n"
    "SourceError: https://x.org/1: the HTTP server returned a redirect error that would lead to an "
    "infinite loop.\nThe last 30x error message was:\n\nFound. Look for another address.\n"
)
AFTER = {
    "nothing": "",
    "a warning": "/usr/lib/python3.11/multiprocessing/resource_tracker.py:224: UserWarning: "
    "resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown\n"
    "  warnings.warn('resource_tracker: There appear to be %d '\n",
    "the resource tracker": "Traceback (most recent call last):\n"
    '  File "/usr/lib/python3.11/multiprocessing/resource_tracker.py", line 239, in main\n'
    "    cache[rtype].remove(name)\nKeyError: '/psm_1'\n",
    "a failure at exit": "Error in atexit._run_exitfuncs:\nTraceback (most recent call last):\n"
    '  File "x.py", line 1, in f\n    1 / 0\nZeroDivisionError: division by zero\n',
    "one that is ignored": "Exception ignored in: <function Pool.__del__ at 0x7f>\n"
    'Traceback (most recent call last):\n  File "pool.py", line 268, in __del__\n'
    "ValueError: I/O operation on closed file\n",
    "one of a thread": "Exception in thread Thread-3 (run):\nTraceback (most recent call last):\n"
    '  File "t.py", line 1, in run\nConnectionError: gone\n',
    "one of the log": "--- Logging error ---\nTraceback (most recent call last):\n"
    '  File "logging/__init__.py", line 1, in emit\nOSError: [Errno 28] No space left\n'
    "Call stack:\n  File \"x.py\", line 1\nMessage: 'x'\nArguments: ()\n",
    "numba": "/x/numba/core/typed_passes.py:336: NumbaPerformanceWarning: \nThe keyword argument "
    "'parallel=True' was specified but no transformation was possible.\n\nFile \"k.py\", line 3:\n",
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_error_of_several_lines__is_told_whole_whatever_follows(said, after):
    line = said(RULE, REDIRECTS + after).splitlines()[3]
    assert line == (
        "    SourceError: https://x.org/1: the HTTP server returned a redirect error that would "
        "lead to an infinite loop. The last 30x error message was: Found. Look for another address."
    )


def test_error__of_a_chain_is_the_last_of_it(said):
    first = "Traceback (most recent call last):\n  File x\nKeyError: 'a'\n\n"
    between = "During handling of the above exception, another exception occurred:\n\n"
    last = "Traceback (most recent call last):\n  File x\nValueError: b\nc\n"
    assert "\n    ValueError: b c\n" in said(RULE, first + between + last)


@pytest.mark.parametrize(
    "log, message",
    [
        (
            "Exception in thread T:\nTraceback (most recent call last):\n  x\nOSError: x",
            "OSError: x",
        ),
        ("SourceError: \x1b[31mred\x1b[0m\x07", r"SourceError: red\x07"),
        ("  File x\nMemoryError\n", "MemoryError. It ran out of memory."),
        (
            "Traceback (most recent call last):\n  x\nnumpy._core._exceptions._ArrayMemoryError: "
            "Unable to allocate 3 GiB\n",
            "_ArrayMemoryError: Unable to allocate 3 GiB. It ran out of memory.",
        ),
        ("5 events\nslurmstepd: error: Detected 1 oom_kill event in Step=7.\n", "oom_kill event"),
        ("*** JOB 7 ON n1 CANCELLED AT 2026-11-21 DUE TO TIME LIMIT ***\n", "DUE TO TIME LIMIT"),
        ("Fatal Python error: Segmentation fault\n\nThread 0x1:\n  File x\n", "Segmentation fault"),
        (
            "This is a bug in evreel; please …\nTraceback (most recent call last):\n  x\nE: y\n",
            ", {}",
        ),
    ],
)
def test_error__is_told_as_what_it_is(said, tmp_path, log, message):
    told = said(RULE, log).splitlines()[3]
    assert message.format(tmp_path / "job.log") in told
    assert told.isprintable()


def test_log__of_any_bytes_and_size_is_read_in_part(said, tmp_path):
    log = tmp_path / "job.log"
    with log.open("wb") as file:
        file.truncate(10**12)
        file.seek(0, 2)
        file.write(b"\xff\xfe event\n" * 10**5 + b"SourceError: \xff is cut\n")
    assert "\n    SourceError: \ufffd is cut\n" in said(RULE)
    log.write_bytes(b"SourceError: " + b"x" * 10**6)
    assert "\n    SourceError: xxx" in said(RULE)
    log.write_bytes(b"\0" * 10**6)
    assert "It ended without a message in its log" in said(RULE)


COMMAND = """RuleException:
CalledProcessError in file "/x/workflow/rules/acquire.smk", line 44:
Command 'set -euo pipefail;  python /x/.snakemake/scripts/tmp1.{rule}.py' {end}.
"""


@pytest.mark.parametrize(
    "end, message",
    [
        ("died with <Signals.SIGKILL: 9>", "it was killed (SIGKILL), or ran out of memory"),
        ("died with <Signals.SIGTERM: 15>", "ended from outside (SIGTERM)"),
        ("died with <Signals.SIGSEGV: 11>", "crashed (SIGSEGV)"),
        ("returned non-zero exit status 137", "it was killed (SIGKILL), or ran out of memory"),
        ("returned non-zero exit status 3", "exit status 3 and without a message in its log"),
    ],
)
def test_job_without_a_message__is_told_by_how_it_ended(said, end, message):
    other = COMMAND.format(rule="events", end="died with <Signals.SIGBUS: 7>")
    mine = COMMAND.format(rule="acquire", end=end)
    for before in (mine, other + mine, mine + other):
        text = said(f"{before}{RULE}", "12 events\n")
        assert message in text
        assert "SIGBUS" not in text
    assert "SourceError: x\n" in said(f"{mine}{RULE}", "SourceError: x\n")


def test_job_whose_input_was_cut__says_so(said):
    text = said(f"{COMMAND.format(rule='acquire', end='died with <Signals.SIGBUS: 7>')}{RULE}", "")
    assert "(SIGBUS): a file was cut short while it was read, or a disk failed." in text


def test_job_of_a_cluster__is_told_by_the_clusters_log(said, tmp_path):
    (tmp_path / "7.log").write_text(
        f"{COMMAND.format(rule='acquire', end='died with <Signals.SIGSEGV: 11>')}"
        f"[Sat Nov 21 14:02:13 2026]\n{RULE.format(log='x', message='None')}"
        "WorkflowError:\nAt least one job did not complete successfully.\n"
    )
    rule = RULE.replace("{log} (", f"{{log}}, {tmp_path}/7.log (")
    assert "It crashed (SIGSEGV) without a message in its log, " in said(rule, "5 events\n")
    assert "    SourceError: x\n" in said(rule, "SourceError: x\n")
    with (tmp_path / "7.log").open("a") as file:
        file.write("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.\n")
    assert "    slurmstepd: error: Detected 1 oom_kill event" in said(rule, "5 events\n")


def test_group_on_a_cluster__names_each_of_its_jobs_and_what_the_cluster_says(said, tmp_path):
    slurm = tmp_path / "9.log"
    group = GROUP_OF_A_CLUSTER.format(slurm=slurm)
    text = said(group, "SourceError: x\n")
    assert text.startswith("2 jobs failed")
    assert (
        "annotate: results/slices/one.h5, results/slices/one_bbox.npy\n    SourceError: x" in text
    )
    assert "clock: results/video/one.clock.tsv\n    SourceError: x" in text
    slurm.write_text("slurmstepd: error: Exceeded job memory limit\n", encoding="utf-8")
    assert "    slurmstepd: error: Exceeded job memory limit\n" in said(group, "5 events\n")
    again = "Finished jobid: 1 (Rule: annotate)\nFinished jobid: 4 (Rule: clock)\n"
    assert "failed" not in said(f"{group}Trying to restart job 1.\n{again}")


def test_job_of_an_array__is_told_by_its_log_where_slurm_put_it(said, tmp_path):
    (tmp_path / "rule_events").mkdir()
    (tmp_path / "rule_events" / "7_2.log").write_text(
        "slurmstepd: error: Exceeded job memory limit"
    )
    rule = RULE.replace("{log} (", f"{{log}}, {tmp_path}/rule_events/one/7_2.log (")
    assert "    slurmstepd: error: Exceeded job memory limit\n" in said(rule, "5 events\n")


def test_job_that_snakemake_refuses__is_told_with_what_it_says(said):
    text = said(
        """localrule acquire:
    output: results/recordings/one.aedat4
    log: {log}
    jobid: 6
MissingOutputException in rule acquire in file "/x/acquire.smk", line 3:
Job 6  completed successfully, but some output files are missing. Missing files after 5 seconds:
results/recordings/one.aedat4 (missing locally, parent dir contents: )
[Sat Nov 21 14:02:13 2026]
ProtectedOutputException in rule clock in file "/x/Snakefile", line 4:
Write-protected output files for rule clock:
    output: results/video/one.clock.tsv
    wildcards: id=one
    affected files:
        results/video/one.clock.tsv
Select jobs to execute...
"""
    )
    assert text.startswith("2 jobs failed")
    assert "acquire: results/recordings/one.aedat4\n    It wrote no error in its log" in text
    assert "Snakemake says: MissingOutputException: Job 6 " in text
    assert "clock: results/video/one.clock.tsv\n    It wrote no error. Snakemake says: Prot" in text
    assert "Select jobs" not in text


def test_run__that_snakemake_itself_ended_is_not_said_to_be_stopped(said):
    text = "Traceback (most recent call last):\n\n  File x\n\nOSError: [Errno 28] No space left\n"
    assert "\n    OSError: [Errno 28] No space left\n" in said(text)
    assert "stopped early" in said(f"{text}Terminating processes on user request.\n")


def test_full_disk__is_told_where_a_log_may_have_got_no_message(said, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("", (), {"free": 4096}))
    assert "The disk is full: make room on it." in said(RULE, "")
    assert "The disk is full" not in said(RULE, "SourceError: x\n")


def test_log_of_a_job__that_snakemake_repeats_is_not_taken_for_its_own(said):
    inside = "Error in rule events:\n    jobid: 1\n    output: x.h5\nSourceError: y"
    fence = "=" * 21
    text = said(RULE + f"{fence}\n{inside}\n{fence}\n", inside)
    assert text.startswith("1 job failed")


def test_log_with_a_comma_in_its_name__is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a, b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.log").write_text(f"SourceError: {folder}\n")
        text = RULE.format(log=f"{folder}/one.log", message="None")
        (tmp_path / "main.log").write_text(text)
        assert f"    SourceError: {folder}\n" in what_failed(["main.log"])


def test_warnings__of_the_jobs_of_a_run_are_counted_and_their_logs_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = tmp_path / "main.log"
    started = []

    def ran(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        started.append(f"[Sat Nov 21 14:02:13 2026]\nrule annotate:\n    log: {name}\n")
        main.write_text("".join(started), encoding="utf-8")
        return what_was_warned([main])

    (tmp_path / "earlier.log").write_text("warning: of another run\n", encoding="utf-8")
    assert ran("0.log", "0.h5: 12 events\nno warning: here\n") == ""
    assert ran("a b.log", "warning: one\na.h5: 3 events\n") == "1 warning: see a b.log"
    assert ran("c.log", "warning: one\nwarning: two\n") == "3 warnings: see a b.log and c.log"
    ran("d.log", "warning: one\n")
    assert ran("e.log", "warning: one\n") == (
        "5 warnings: see a b.log, c.log, d.log and 1 other log"
    )


def test_outputs__are_named_without_what_only_marks_them_as_made(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text(
        "Error in rule features:\n    output: results/features/a/one.h5 (update), "
        "results/features/b/one.h5 (update), results/features/.made/one\n"
    )
    files = "results/features/a/one.h5, results/features/b/one.h5"
    assert f"\nfeatures: {files}\n" in what_failed([log])


ENDED = """RuleException:
CalledProcessError in file "x.smk", line 1:
Command 'python /x/tmp1.acquire.py' {how}.
"""


@pytest.mark.parametrize(
    "how", ["died with <Signals.SIGINT: 2>", "returned non-zero exit status 130"]
)
@pytest.mark.parametrize("job", [None, "one.aedat4: 12 events\n", "KeyboardInterrupt\n"])
def test_interrupted_run__names_no_job_as_failed(tmp_path, how, job):
    log, main = tmp_path / "job.log", tmp_path / "main.log"
    if job is not None:
        log.write_text(job, encoding="utf-8")
    block = RULE.format(log=log, message="None")
    main.write_text(ENDED.format(how=how) + block, encoding="utf-8")
    assert what_failed([main], [Ended("SIGINT", 0.0)]) == (
        "The run was interrupted (Ctrl-C); 1 job was cut off. To go on, run the same command "
        "again; finished jobs are kept."
    )
    stopped = what_failed([main], [Ended("SIGTERM", 0.0), Ended("SIGINT", 1.0)])
    assert stopped.startswith("The run was interrupted (SIGTERM); 1 job was cut off.")
    main.write_text(f"Terminating processes on user request\n{main.read_text()}", encoding="utf-8")
    assert what_failed([main]).startswith("The run was interrupted; 1 job was cut off.")


def test_interrupted_run__tells_what_failed_before(tmp_path):
    log, main = tmp_path / "job.log", tmp_path / "main.log"
    log.write_text("SourceError: raw/one: md5 is 1. Look.\n", encoding="utf-8")
    main.write_text(RULE.format(log=log, message="None"), encoding="utf-8")
    later = what_failed([main], [Ended("SIGINT", log.stat().st_mtime + 1)])
    assert "1 job failed" in later
    assert "    SourceError: raw/one: md5 is 1. Look.\n\nThe run was interrupted (Ctrl-C)." in later
    assert later.endswith("Fix these, then run the same command again; finished jobs are kept.")
    earlier = what_failed([main], [Ended("SIGINT", log.stat().st_mtime - 1)])
    assert "failed" not in earlier, "what a job says after the signal follows from it"
    assert what_failed([], [Ended("SIGTERM", 0.0)]).startswith("The run was interrupted (SIGTERM).")


@pytest.mark.parametrize(
    "how", ["died with <Signals.SIGSEGV: 11>", "died with <Signals.SIGKILL: 9>"]
)
def test_interrupted_run__tells_a_crash_as_one(tmp_path, how):
    main = tmp_path / "main.log"
    block = RULE.format(log=tmp_path / "job.log", message="None")
    main.write_text(ENDED.format(how=how) + block, encoding="utf-8")
    assert "1 job failed" in what_failed([main], [Ended("SIGINT", 0.0)])
