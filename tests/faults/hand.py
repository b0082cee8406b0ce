"""Commands of evreel, one by one, in the middle of which a process ends."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from evreel.acquire.download import DOWNLOADS
from evreel.cli import main
from evreel.outputs import SCRATCH
from faults.dying import Death, arm
from faults.world import PATTERN, BrokenError, hold
from support import webserver

LONGEST_S = 60.0
SLICES = "--clock d/results/video/one.clock.tsv"
STORE = "d/results/events/one.h5"
COMMANDS = {
    "acquire": "acquire d/raw/many.zip -o o/many.zip",
    "acquire member": "acquire d/raw/many.zip!Train/1/00000.bin -o o/member.bin",
    "acquire url": "acquire {url}/whole -o o/got.bin --md5 {md5}",
    "events": "events d/raw/one.aedat4 -o o/one.h5",
    "events members": f"events d/raw/many.zip -o o/many.h5 --members {PATTERN} --sensor 34x34",
    "video": f"video {STORE} -o o/one.mp4 --window-us 10000",
    "pictures": f"video {STORE} -o o/one.zip --window-us 10000",
    "annotate": f"annotate {STORE} {SLICES} --rois d/raw/one.rois.xml --tags d/raw/one.tags.xml"
    " --labels car,sign,busy --window-us 20000 -o o/slices.h5 --boxes o/slices_bbox.npy",
    "cut": f"cut d/results/events/many.h5 --members {PATTERN} -o o/many.tsv",
    "splits": "splits d/results/cuts/many.tsv --fix many=test -o o/samples.tsv",
    "samples": "samples d/results/events/many.h5 --cut d/results/cuts/many.tsv --splits"
    " d/results/samples.tsv --labels car,sign,busy,1,2 -o o/many.h5",
    "features": "features d/raw/one.aedat4 d/results/events/many.h5 -o o"
    " --representation histogram"
    " --window-us 10000 -n 2",
    "feature-boxes": "feature-boxes d/results/features/histogram/one.h5 --boxes"
    " d/results/slices/one_bbox.npy -o o/one_bbox.npy --keep last",
    "qa": f"qa d/results/slices/one.h5 {SLICES} -o o/qa.mp4",
    "preview": f"preview {STORE} -o o/preview.mp4 --poster o/preview.jpg",
    "summary": "summary d/results/slices/one.h5 -o o/summary.tsv --plot o/summary.png"
    " --page o/summary.html",
    "draw": "draw d/results/slices/one.h5 --slice 1 -o o/drawn.png",
    "play": "play d/results/features/histogram/one.h5 -o o/played.gif",
    "export": f"export d/results/slices/one.h5 {SLICES} --layout coco -o o/coco",
    "release": "release --manifest release.tsv -o o/release --name hand --version 1"
    " --licence CC0-1.0 --labels car,sign,busy,1,2",
    "shards": "shards d/results/release/tiny-1.0 -o o/shards",
    "unpack": "unpack shards -o o/unpacked",
    "simulate": "simulate d/one.toml -o o",
    "table": "table d/raw -o o/table.tsv --split train",
}


class Hand:
    """A person's folder, in which commands are run; their outputs are in its folder ``o``.

    Parameters
    ----------
    folder
        Where it is made.
    built
        The data set, built: the commands read it.
    has_disks
        Whether disks can be mounted.
    """

    def __init__(self, folder: Path, built: Path, *, has_disks: bool = False) -> None:
        self.folder = folder
        self.has_disks = has_disks
        self.deaths = 0
        self.folder.mkdir(parents=True)
        (folder / "d").symlink_to(os.path.relpath(built, folder))
        lines = (built / "results" / "release" / "tiny-1.0.tsv").read_text("utf-8").splitlines()
        here = [line.replace("\tresults/", "\td/results/", 1) for line in lines]
        kinds = ("kind", "events", "slices", "boxes")
        rows = [line for line in here if line.split("\t")[2] in kinds and "/many" not in line]
        (folder / "release.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        self.server, url = serve()
        self.commands = {
            name: text.format(url=url, md5=webserver.MD5, label="{label}").split()
            for name, text in COMMANDS.items()
        }
        self.wanted: dict[str, dict[str, str]] = {}
        self.out = folder / "o"
        self.log = folder / "log"

    def prepare(self, name: str) -> None:
        """Run a command undisturbed, once, to know what it makes.

        It runs in this process: its forks then have the kernels that it compiled or loaded.
        """
        if name in self.wanted:
            return
        if name == "unpack" and not (self.folder / "shards").exists():
            self.run_well("shards")
            (self.out / "shards").rename(self.folder / "shards")
        self.run_well(name)
        self.wanted[name] = files(self.out)
        hold(self.wanted[name], f"{name} makes nothing")
        shutil.copytree(self.out, self.folder / "made" / name, symlinks=True)

    def out_of(self, name: str) -> list[Path]:
        """Return what a command makes, elsewhere than it makes it."""
        return [*(self.folder / "made" / name).rglob("*")]

    def run_well(self, name: str) -> None:
        """Run a command from nothing, in this process; it must succeed."""
        self.clear()
        said = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stderr(said):
            status = main(self.commands[name])
        hold(status == 0, f"evreel {' '.join(self.commands[name])}: {status}: {said.getvalue()}")

    def clear(self, name: str | None = None) -> None:
        """Empty the folder of outputs, or put there what a command made before."""
        shutil.rmtree(self.out, ignore_errors=True)
        if name is None:
            self.out.mkdir()
        else:
            shutil.copytree(self.folder / "made" / name, self.out, symlinks=True)

    def said(self) -> str:
        """Return what the last command said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def run(self, name: str, death: Death | None = None, most_bytes: int | None = None) -> int:
        """Run a command as a fork; return its exit status, below 0 if a signal ended it."""
        arguments = self.commands[name]

        def fork() -> int:
            os.chdir(self.folder)
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
            if death is not None:
                arm(death)
            return main(arguments)

        pid = forked(fork)
        deadline = time.monotonic() + LONGEST_S
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise BrokenError(f"{name} does not end: {self.said()}")
            time.sleep(0.002)

    def check_whole(self, name: str, *, all_of_it: bool = False) -> None:
        """Raise if a file is there under its name, and is not whole; or if not all are there."""
        found = {
            path: digest
            for path, digest in files(self.out).items()
            if path.split("/")[0] not in (SCRATCH, DOWNLOADS)
        }
        for path, digest in found.items():
            wanted = self.wanted[name].get(path)
            hold(wanted is not None, f"{name} left {path}")
            hold(digest == wanted, f"{name} left {path}, which is not whole")
        hold(not all_of_it or found == self.wanted[name], f"{name} left only {[*found]}")

    def remove_outputs(self) -> None:
        """Remove what is there under a name, as a person does."""
        for path in self.out.iterdir():
            if path.name not in (SCRATCH, DOWNLOADS):
                shutil.rmtree(path)

    def check_done(self, name: str) -> None:
        """Raise unless everything is there, and nothing else."""
        found, wanted = files(self.out), self.wanted[name]
        hold(found == wanted, f"{name}: {sorted(set(found.items()) ^ set(wanted.items()))}")

    def close(self) -> None:
        """End the web server."""
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)


def files(folder: Path) -> dict[str, str]:
    """Return path → digest of each file, where a link leads to, or nothing of an empty folder."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not any(path.iterdir()):
            found[name] = "empty"
    return found


def forked(run: Callable[[], int]) -> int:
    """Start a function in a process of its own, which ends with what it returns."""
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads; those of a test's process do nothing meanwhile.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        status = run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def serve() -> tuple[int, str]:
    """Start a web server in a process of its own; return its id and address."""
    reading, writing = os.pipe()
    parent = os.getpid()

    def run() -> int:
        server = webserver.Server()
        # Also where the campaign is killed.
        server.service_actions = lambda: os.getppid() == parent or os._exit(0)
        os.write(writing, server.url.encode())
        os.close(writing)
        server.serve_forever()
        return 0

    pid = forked(run)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pid, pipe.read()
