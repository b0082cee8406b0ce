"""Wait with everything imported; fork for each client, and run its command in the fork."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import evreel

Request = tuple[list[str], str, dict[str, str]]
"""A command, its folder and its environment."""

PATH = list(sys.path)
"""Where a Python finds modules, without what its environment, its script and Snakemake add."""

OF_OTHERS = (
    *("snakemake.cli", "snakemake.notebook", "snakemake.script", "smart_open"),
    # What a workflow with jobs imports while it runs takes 0.35 s, these of a release and of
    # pictures 0.15 s and 0.1 s.
    *("nbformat", "pyarrow.compute", "pyarrow.parquet", "PIL.ImageDraw", "PIL.ImageFont"),
)
"""What commands and jobs import of others, also where they do so only when they need it."""


def load(fresh: bool, job: str) -> None:
    """Import Snakemake and the package, and set numba up, as commands would by themselves.

    They inspect HDF5 files by `job`, too. If they are to be `fresh`, forget the package: what stays
    is what it imports of others.
    """
    modules = [found.name for found in pkgutil.walk_packages(evreel.__path__, "evreel.")]
    for name in (*OF_OTHERS, *modules):
        if not name.endswith("__main__") and not name.startswith("evreel.loaders.torch."):
            importlib.import_module(name)
    sys.modules["snakemake.cli"].get_argument_parser()  # which imports the plugins
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    sys.modules["evreel.files.inspection"].sys = SimpleNamespace(executable=job)
    if fresh:
        for name in [name for name in sys.modules if name.partition(".")[0] == "evreel"]:
            del sys.modules[name]
    gc.collect()
    gc.freeze()  # else the first collection of each fork would copy most pages


def run(request: Request, streams: list[int], job: str) -> NoReturn:
    """Become the process of a command."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    (name, *arguments), folder, environment = request
    isolated = name == "-P"  # nothing is imported from the script's folder
    if isolated:
        name, *arguments = arguments
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    added = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    first = {"-m": [Path.cwd()], "evreel": [], "snakemake": []}.get(name, [Path(name).parent])
    first = [] if isolated else first
    sys.path[:] = [*(str(Path(entry).absolute()) for entry in [*first, *added]), *PATH]
    sys.argv = [name, *arguments]
    status = 1
    try:
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ImportError):
            importlib.import_module("sitecustomize")  # as an interpreter does
        if name == "snakemake":
            sys.executable = job  # by which it starts the jobs
            sys.modules["snakemake.cli"].main()
        elif name == "evreel":
            sys.exit(importlib.import_module("evreel.cli").main())
        elif name == "-m":
            sys.argv = arguments
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
        status = 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status = end.code or 0
        else:
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    # As an interpreter ends, but without taking apart what it shares with the server.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def receive(client: socket.socket) -> tuple[Request, list[int]]:
    """Return what a client asks for, and its three streams."""
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as file:
        return marshal.loads(file.read(int.from_bytes(size, "big"))), streams


def serve(door: socket.socket, job: str) -> None:
    """Answer clients until whoever started this closes its end of the standard input."""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(door, selectors.EVENT_READ)
        clients: dict[int, socket.socket] = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    for pid in clients:
                        os.kill(pid, signal.SIGKILL)
                    return
                if key.fileobj is door:
                    client, _ = door.accept()
                    try:
                        request, streams = receive(client)
                    except (OSError, ValueError):  # it was killed meanwhile
                        client.close()
                        continue
                    pid = os.fork()
                    if pid == 0:
                        run(request, streams, job)
                    for stream in streams:
                        os.close(stream)
                    clients[pid] = client
                    selector.register(client, selectors.EVENT_READ, pid)
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                elif key.fileobj is clients.get(key.data):  # it says no more: it was killed
                    selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)
                elif key.data in clients:
                    status = os.waitstatus_to_exitcode(os.waitpid(key.data, 0)[1])
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with clients.pop(key.data) as client:
                        if client in selector.get_map():
                            selector.unregister(client)
                            with contextlib.suppress(OSError):
                                client.sendall(str(status).encode())


if __name__ == "__main__":
    what = sys.argv[3]
    if what in ("", "fresh"):
        load(what == "fresh", sys.argv[2])
    else:
        importlib.import_module(what)
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
