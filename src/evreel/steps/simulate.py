"""A recording and its ground truth, from a scene."""

from __future__ import annotations

from pathlib import Path

from evreel.outputs import atomic_into
from evreel.steps.common import LOG


def simulate(scene: str | Path, folder: str | Path, *, objects: bool = False) -> list[Path]:
    """Make a recording and its ground truth from a scene file.

    Parameters
    ----------
    scene
        TOML, described in `evreel.simulate.scene`.
    folder
        Gets ``<name>.aedat4``, ``<name>.rois.xml``, ``<name>.truth.json``, and, if the scene has
        tags, ``<name>.tags.xml``.
    objects
        Also write ``<name>.objects.npy``: which object each event is of, −1 none.

    Returns
    -------
    The files that were written.
    """
    from evreel.simulate.camera import write_recording
    from evreel.simulate.scene import load_scene

    described = load_scene(scene)
    with atomic_into(folder) as scratch:
        names = [path.name for path in write_recording(described, scratch, objects=objects)]
    LOG.info("%s: %d files", described.name, len(names))
    return [Path(folder) / name for name in names]
