"""``snakemake``, ``evreel`` and Snakemake's jobs as forks of one process that has all imported.

Most of a short command's time, 0.3 to 0.8 s, goes into importing Snakemake, numba and h5py. Here a
server (`server.py`) imports them once and waits; the commands in `commands()` ask it by a small
client (`client.py`) to fork, and to run there what a process of their own would: with their
arguments, streams, folder and environment, ending with the same status or signal.

A test whose claim depends on how Python starts (its flags, what is imported) starts the real
command instead. Hash seed, locale and processor are those that the server was started with:
another environment has a server of its own.
"""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
OURS = ("EVREEL_", "PYTHON")

# A script or module is run by the server; whatever else a Python is asked to do, by a Python.
SHIMS = {
    "evreel": 'exec {client} evreel "$@"\n',
    "snakemake": 'exec {client} snakemake "$@"\n',
    "job": """case $1 in
*.py | -m) exec {client} "$@" ;;
-P) case $2 in *.py) exec {client} "$@" ;; esac ;;
esac
exec {python} "$@"
""",
}


def commands(*before: str, fresh: bool = False, only: str = "", **environment: str) -> Path:
    """Return a folder with the commands, for PATH.

    Parameters
    ----------
    before
        How the server's command begins.
    fresh
        Each command imports of evreel by itself what it needs, as a user's does.
    only
        The one module that the server imports instead, for small programs.
    environment
        In which the server's Python starts, beside what concerns neither evreel nor Python.
    """
    return _commands(before, "fresh" if fresh else only, tuple(sorted(environment.items())))


@functools.cache  # of arguments that are alike however they were given
def _commands(before: tuple[str, ...], what: str, environment: tuple[tuple[str, str], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    python, place = sys.executable, folder / "door"
    client = shlex.join([python, "-I", "-S", str(HERE / "client.py"), str(place)])
    for name, text in SHIMS.items():
        shim = folder / name
        text = text.format(client=client, python=shlex.quote(python))
        shim.write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
        shim.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(place))
        door.listen()
        server = subprocess.Popen(
            [
                *(*before, python, "-P", "-s", HERE / "server.py", str(door.fileno())),
                *(folder / "job", what),
            ],
            stdin=subprocess.PIPE,
            pass_fds=[door.fileno()],
            env={key: os.environ[key] for key in os.environ if not key.startswith(OURS)}
            | dict(environment),
        )

    def end(starter: int) -> None:
        if os.getpid() == starter:  # and no fork of it
            server.stdin.close()  # the server watches it, and ends also where this one is killed
            server.wait()
            shutil.rmtree(folder)

    atexit.register(end, os.getpid())
    return folder
