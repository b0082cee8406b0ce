"""A real Slurm on this machine for a session of tests: controller, three nodes, munge, on loopback.

Nothing of it is outside its folder: key, configuration, state and logs are there, and commands find
it by ``SLURM_CONF``. A cluster that the machine may have is not touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support import ROOT

NODES = ("n1", "n2", "n3")
CPUS = 2
"""Of each node, whatever the machine has."""
MEMORY_MB = 16_000

_CONFIGURATION = """
ClusterName=evreel
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoAddrCache
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=100000
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
ReturnToService=2
MinJobAge=300
KillWait=1
SlurmdTimeout=10
InactiveLimit=0
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurmError(Exception):
    """A daemon did not come up."""


@dataclass
class Slurm:
    """A cluster that runs.

    Parameters
    ----------
    folder
        Where all of its files are.
    """

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which commands find it.

        The executor's job steps drop what begins with ``SLURM_``, so their `srun` is one that names
        the configuration anew.
        """
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def run(self, *command: str) -> str:
        """Run one of Slurm's commands, which must not fail; return what it says."""
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return all jobs that Slurm remembers: id, state, node, comment and limits."""
        names = ("id", "state", "node", "comment", "memory", "limit", "cpus", "name")
        told = self.run("squeue", "-h", "-t", "all", "-r", "-o", "%i|%T|%N|%k|%m|%l|%C|%j")
        return [dict(zip(names, line.split("|"), strict=True)) for line in told.splitlines()]

    def start(self) -> None:
        """Bring up all daemons."""
        folder = self.folder
        folder.chmod(0o755)
        for name in ("state", "bin", *(f"spool.{node}" for node in NODES)):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(stat.S_IRUSR)
        host, ports = socket.gethostname(), free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} "
            f"RealMemory={MEMORY_MB} State=UNKNOWN"
            for node, port in zip(NODES, ports[1:], strict=True)
        )
        text = _CONFIGURATION.format(host=host, folder=folder, ports=ports, nodes=nodes)
        (folder / "slurm.conf").write_text(text, encoding="utf-8")
        srun = folder / "bin" / "srun"
        conf = folder / "slurm.conf"
        real = shutil.which("srun")
        srun.write_text(f'#!/bin/sh\nSLURM_CONF="{conf}" exec {real} "$@"\n', encoding="utf-8")
        srun.chmod(0o755)
        self._daemon(
            "munged",
            *("munged", "--foreground", "--force", f"--socket={folder}/munge.socket"),
            *(f"--key-file={key}", f"--log-file={folder}/munged.log"),
            *(f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munged.seed"),
        )
        self._wait("munged", (folder / "munge.socket").exists)
        self._daemon("slurmctld", "slurmctld", "-D", "-f", str(conf))
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes("idle")

    def start_node(self, node: str) -> None:
        """Bring up the daemon of a node."""
        self._daemon(node, "slurmd", "-D", "-N", node, "-f", str(self.folder / "slurm.conf"))

    def crash_node(self, node: str) -> None:
        """End a node as by a cut of its power: its daemon and all of its jobs, without a word."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        # As the controller would find out by itself, some minutes later. It comes first: what is
        # left of the node could still tell the controller that its jobs were killed.
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=crashed")
        self._kill(node)

    def revive_node(self, node: str) -> None:
        """Bring a node up that had crashed."""
        self.start_node(node)
        self.run("scontrol", "update", f"nodename={node}", "state=resume")
        self.wait_for_nodes("idle")

    def wait_for_nodes(self, state: str) -> None:
        """Wait until all nodes are in a state."""

        def are() -> bool:
            told = subprocess.run(
                ["sinfo", "-h", "-N", "-o", "%T"],
                env=self.env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return told.stdout.split() == [state] * len(NODES)

        self._wait("sinfo", are)

    def stop(self) -> None:
        """End all daemons, the nodes' jobs first, and whatever a test that failed left behind."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("scancel", "--user=root")
        for name in reversed(list(self.daemons)):
            daemon = self.daemons.pop(name)
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._kill()

    def _kill(self, node: str | None = None) -> None:
        for pid in processes(self.folder, node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _daemon(self, name: str, *command: str) -> None:
        program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if program is None:
            raise NoSlurmError(
                f"no {command[0]}: apt-get install slurmctld slurmd slurm-client munge"
            )
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                # It ends with these tests, also where they are killed.
                ["setpriv", "--pdeathsig", "TERM", program, *command[1:]],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _wait(self, what: str, until: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    said = (self.folder / f"{name}.out").read_text(errors="replace")[-500:]
                    raise NoSlurmError(f"{name} ended with status {daemon.returncode}: {said}")
            if time.monotonic() > deadline:
                raise NoSlurmError(f"{what} was not ready after {seconds:.0f} s; see {self.folder}")
            time.sleep(0.05)


def processes(folder: Path, node: str | None = None) -> list[int]:
    """Return the processes of a cluster, or of one of its nodes, by their environment."""
    wanted = {f"SLURM_CONF={folder / 'slurm.conf'}".encode()}
    if node is not None:
        wanted.add(f"SLURMD_NODENAME={node}".encode())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
    return found


def free_ports(n: int) -> list[int]:
    """Return ports that are free now."""
    with contextlib.ExitStack() as stack:
        doors = [stack.enter_context(socket.socket()) for _ in range(n)]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        return [door.getsockname()[1] for door in doors]


# Python imports this in each of its processes, because it is called sitecustomize.
CUSTOMS = """
import asyncio
import os
import sys
from pathlib import Path

if "snakemake" in sys.orig_argv:
    # Jobs of these tests take seconds: look at them each second, not each 40.
    def sleep(seconds, *more, sleep=asyncio.sleep):
        return sleep(min(seconds, 1), *more)

    asyncio.sleep = sleep
elif "EVREEL_TEST_FAULTS" in os.environ:
    import time

    from evreel import outputs

    folder = Path(os.environ["EVREEL_TEST_FAULTS"])

    def fault_before(final):
        # A file named after the output says which fault; the job that takes it away has it.
        place = folder / str(final).replace("/", ":")
        try:
            place.rename(f"{place}.taken")
        except FileNotFoundError:
            return
        fault, *size = Path(f"{place}.taken").read_text().split()
        if fault == "error":
            raise OSError("a fault that comes once")
        if fault == "memory":  # as much at each attempt
            place.write_text(f"memory {size[0]}")
            taken = bytearray(int(size[0]) * 10**6)
            taken[::4096] = b"1" * len(taken[::4096])
            time.sleep(5)  # until Slurm has looked
            return
        Path(f"{place}.held").write_text(os.environ.get("EVREEL_RUN", ""))
        time.sleep(600)

    def faulty_replace(path, final, replace=outputs._replace):
        fault_before(final)
        replace(path, final)

    outputs._replace = faulty_replace
"""

PROFILE = ROOT / "profiles" / "slurm"
SITE = (
    "--slurm-status-command=squeue",
    "--slurm-no-requeue",
    "--slurm-init-seconds-before-status-checks=1",
)
"""What the site of these tests chooses in the profile."""


class Runs:
    """Snakemake on the cluster.

    Parameters
    ----------
    slurm
        The cluster.
    customs
        A folder with a module that Python imports at its start.
    """

    def __init__(self, slurm: Slurm, customs: Path) -> None:
        self.slurm = slurm
        self._customs = customs

    def start(
        self, folder: Path, *arguments: str, faults: Path | None = None, profile: Path = PROFILE
    ) -> subprocess.Popen:
        """Start Snakemake by a profile on the data set in a folder."""
        path = os.pathsep.join(
            filter(None, [str(self._customs), str(ROOT / "src"), os.environ.get("PYTHONPATH")])
        )
        at_faults = {} if faults is None else {"EVREEL_TEST_FAULTS": str(faults)}
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--workflow-profile", str(profile), *SITE, *arguments),
        ]
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**self.slurm.env, "PYTHONPATH": path, **at_faults},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, folder: Path, *arguments: str, **options: Path) -> tuple[int, str]:
        """Run it to its end, as `start` does; return its status and what it says."""
        return ended(self.start(folder, *arguments, **options))


def ended(process: subprocess.Popen, seconds: float = 900) -> tuple[int, str]:
    """Return a run's status and what it says, once it has ended."""
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        raise AssertionError(f"the run did not end in {seconds:.0f} s:\n{said}") from None
    return process.returncode, said
