"""A fork of the server is to a test what a command's own process would be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import warm

REPORT = """
import json, os, sys

told = {
    "arguments": sys.argv[1:],
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "input": sys.stdin.read(),
    "path": sys.path,
    "name": __name__,
}
print(json.dumps(told))
print("by the way", file=sys.stderr)
sys.exit(7)
"""


def run(folder: Path, code: str, *arguments: str, cold: bool = False, **options):
    """Run a script as a job, or with an interpreter of its own."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    python = sys.executable if cold else warm.commands() / "job"
    return subprocess.run(
        [python, script, *arguments], capture_output=True, text=True, timeout=60, **options
    )


def test_script__has_arguments_streams_folder_environment_and_status_of_its_own(tmp_path):
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": "one:two", "ODD": "ä \n\udcff"}
    given = {"cwd": tmp_path, "env": env, "input": "a line\n"}
    ran, own = (run(tmp_path, REPORT, "x y", cold=cold, **given) for cold in (False, True))
    told, expected = (json.loads(done.stdout) for done in (ran, own))
    for kept in (told, expected):
        kept["environment"] = {key: kept["environment"][key] for key in env}
    assert told == expected
    assert (ran.returncode, ran.stderr) == (7, own.stderr)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("", 0, ""),
        ("raise ValueError('wrong')", 1, "ValueError: wrong"),
        ("import sys; sys.exit('no')", 1, "no"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("import os; os.kill(os.getpid(), 11)", -signal.SIGSEGV, ""),
        ("import atexit; atexit.register(print, 'late')", 0, "late"),
    ],
)
def test_script__ends_as_it_does_by_itself(tmp_path, code, status, said):
    for cold in (False, True):
        done = run(tmp_path, code, cold=cold)
        assert done.returncode == status
        assert (done.stdout + done.stderr).strip().endswith(said)


def test_script__ends_where_whoever_asked_for_it_is_killed(tmp_path):
    script = tmp_path / "script.py"
    pid = tmp_path / "pid"
    script.write_text(
        f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(300)\n"
    )
    asked = subprocess.Popen([warm.commands() / "job", script])
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    asked.kill()
    asked.wait()
    while Path("/proc", pid.read_text()).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_module__is_run_from_the_folder_that_is_the_current_one(tmp_path):
    (tmp_path / "mine.py").write_text("import sys\nprint(__name__, sys.argv, sys.path[0])\n")
    ran, own = (
        subprocess.run(
            [python, "-m", "mine", "x"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        for python in (warm.commands() / "job", sys.executable)
    )
    assert (ran.stdout, ran.returncode) == (own.stdout, 0)


def test_script__of_which_the_folder_is_left_out_imports_nothing_from_there(tmp_path):
    (tmp_path / "mine.py").touch()
    code = "import sys\nprint('h5py' in sys.modules, sys.path, sys.argv)\nimport mine\n"
    (tmp_path / "script.py").write_text(code)
    ran, own = (
        subprocess.run(
            [python, "-P", "script.py", "x"], cwd=tmp_path, capture_output=True, text=True
        )
        for python in (warm.commands(only="h5py") / "job", sys.executable)
    )
    assert ran.stdout == own.stdout.replace("False", "True", 1) != ""
    assert (ran.returncode, own.returncode) == (1, 1)
    assert all("No module named 'mine'" in done.stderr for done in (ran, own))


def test_job__that_is_neither_script_nor_module_is_a_python_of_its_own():
    code = "import sys; print('numba' in sys.modules)"
    done = subprocess.run([warm.commands() / "job", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("False\n", 0)


def test_job__of_a_fresh_server_has_nothing_of_the_package_but_what_it_imports(tmp_path):
    code = "import sys, evreel.text\n"
    code += (
        "print('numba' in sys.modules, *sorted(set(sys.modules) & {'evreel.text', 'evreel.cli'}))"
    )
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    said = {
        fresh: subprocess.check_output(
            [warm.commands(fresh=fresh) / "job", tmp_path / "script.py"], text=True
        )
        for fresh in (True, False)
    }
    assert said == {True: "True evreel.text\n", False: "True evreel.cli evreel.text\n"}
