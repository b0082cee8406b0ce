"""SpikingJelly's data sets on small stand-ins for what their publishers offer."""

from __future__ import annotations

import hashlib
from pathlib import Path

from evreel.compat.spikingjelly import (
    ASLDVS,
    CIFAR10DVS,
    NMNIST,
    DVS128Gesture,
    NCaltech101,
)
from support.miniatures import MINIATURES, Miniature

CONFIGS = {
    DVS128Gesture: "dvs128_gesture",
    CIFAR10DVS: "cifar10_dvs",
    NMNIST: "n_mnist",
    NCaltech101: "n_caltech101",
    ASLDVS: "asl_dvs",
}


def archives_of(of: type, made: Miniature) -> dict[str, bytes]:
    """Return the archives of a stand-in by their names in the folder ``download``."""
    found = {}
    for name, url, _ in of.resource_url_md5():
        for place, content in made.files.items():
            if place == url or Path(place).name == name:
                found[name] = content
    return found


def of_archives(of: type, archives: dict[str, bytes], url: str = "http://127.0.0.1:9/") -> type:
    """Return a data set's class for other archives, as a user writes it."""
    resources = [
        (name, url + name, hashlib.md5(content).hexdigest()) for name, content in archives.items()
    ]

    class Small(of):
        @classmethod
        def resource_url_md5(cls):
            return resources

    return Small


def put(archives: dict[str, bytes], root: Path) -> None:
    """Put archives where a person puts them."""
    (root / "download").mkdir(parents=True, exist_ok=True)
    for name, content in archives.items():
        (root / "download" / name).write_bytes(content)


def small(of: type, root: Path) -> tuple[type, Miniature]:
    """Put a stand-in below `root`; return the class that reads it, and what was written."""
    made = MINIATURES[CONFIGS[of]]()
    archives = archives_of(of, made)
    put(archives, root)
    return of_archives(of, archives), made
