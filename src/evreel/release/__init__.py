"""Releases: building one from a plan, verifying one, opening one.

A release is a folder with a data set and the lists that prove it complete, which
`evreel.release.manifest` describes.
"""

from evreel.release.build import build
from evreel.release.manifest import Manifest, PlanEntry, read_manifest, read_plan
from evreel.release.open import Release, ReleasedRecording, open_release
from evreel.release.verify import Difference, verify

__all__ = [
    "Difference",
    "Manifest",
    "PlanEntry",
    "Release",
    "ReleasedRecording",
    "build",
    "open_release",
    "read_manifest",
    "read_plan",
    "verify",
]
