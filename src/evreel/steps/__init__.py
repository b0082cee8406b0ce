"""One function a pipeline step: plain arguments in, whole files out.

The workflow's scripts and the command line both call these, so that a step does the same by hand
and in a workflow. Outputs appear under their names only when they are whole. What a step needs
is imported inside it, so that a step that runs no kernel does not pay for numba's import.
"""

from evreel.steps.common import LOG, logged, os_error
from evreel.steps.compute import features
from evreel.steps.cutting import cut, samples, splits
from evreel.steps.decode import Source, as_store, events
from evreel.steps.get import acquire, simulate, table
from evreel.steps.label import annotate, boxes
from evreel.steps.look import datasets, describe, describe_datasets, info
from evreel.steps.picture import checked_video_name, clock, video
from evreel.steps.publish import audit, check, check_tolerated, release, release_plan, verify
from evreel.steps.settings import check_settings

__all__ = [
    "LOG",
    "Source",
    "acquire",
    "annotate",
    "as_store",
    "audit",
    "boxes",
    "check",
    "check_settings",
    "check_tolerated",
    "checked_video_name",
    "clock",
    "cut",
    "datasets",
    "describe",
    "describe_datasets",
    "events",
    "features",
    "info",
    "logged",
    "os_error",
    "release",
    "release_plan",
    "samples",
    "simulate",
    "splits",
    "table",
    "verify",
    "video",
]
