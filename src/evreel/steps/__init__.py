"""One function per pipeline step: plain arguments in, whole files out.

The workflow's scripts and the command line both call these, so a step does the same by hand and
in a workflow. Outputs appear under their names only when they are complete. Steps import what
they need inside, so that a step without a kernel does not pay for numba's import.
"""

from evreel.annotations.aligning import AlignSettings
from evreel.cvat.settings import CvatSettings
from evreel.dataset.settings import (
    AcquireSettings,
    AnnotateSettings,
    BoxesSettings,
    ClockSettings,
    CutSettings,
    EventsSettings,
    FeatureBoxesSettings,
    FeatureSettings,
    MemberSettings,
    PreviewSettings,
    PublishSettings,
    QaSettings,
    ReleaseSection,
    ReleaseSettings,
    SplitsSettings,
    VideoSettings,
)
from evreel.exports.rvt_labels import RvtSettings
from evreel.recordings.open import Reading
from evreel.release.shards import ShardSettings
from evreel.shares import Share
from evreel.steps.acquire import acquire
from evreel.steps.align import align, as_table
from evreel.steps.annotate import annotate, annotate_part
from evreel.steps.batch import batch
from evreel.steps.boxes import boxes
from evreel.steps.check import audit, check, verify
from evreel.steps.clock import clock, clock_by_hand
from evreel.steps.common import (
    LOG,
    annotation_of,
    beside_of,
    given,
    given_each,
    logged,
    memory_error,
    os_error,
)
from evreel.steps.cut import cut
from evreel.steps.cvat import cvat_pull, cvat_push
from evreel.steps.draw import draw
from evreel.steps.enrich import enrich
from evreel.steps.events import Source, as_store, events
from evreel.steps.export import export
from evreel.steps.feature_boxes import feature_boxes
from evreel.steps.features import all_features, features, features_part
from evreel.steps.info import describe, info
from evreel.steps.play import play
from evreel.steps.preview import preview
from evreel.steps.publish import publish
from evreel.steps.qa import qa
from evreel.steps.recipe import rebuild, recipe
from evreel.steps.release import release
from evreel.steps.release_plan import release_plan
from evreel.steps.samples import samples
from evreel.steps.shards import shards, unpack
from evreel.steps.simulate import simulate
from evreel.steps.splits import splits
from evreel.steps.summary import summary
from evreel.steps.table import table
from evreel.steps.tidy import tidy, told
from evreel.steps.upload import upload
from evreel.steps.video import checked_video_name, video
from evreel.viz.playing import Playing
from evreel.windows import RegularWindows

__all__ = [
    "LOG",
    "AcquireSettings",
    "AlignSettings",
    "AnnotateSettings",
    "BoxesSettings",
    "ClockSettings",
    "CutSettings",
    "CvatSettings",
    "EventsSettings",
    "FeatureBoxesSettings",
    "FeatureSettings",
    "MemberSettings",
    "Playing",
    "PreviewSettings",
    "PublishSettings",
    "QaSettings",
    "Reading",
    "RegularWindows",
    "ReleaseSection",
    "ReleaseSettings",
    "RvtSettings",
    "ShardSettings",
    "Share",
    "Source",
    "SplitsSettings",
    "VideoSettings",
    "acquire",
    "align",
    "all_features",
    "annotate",
    "annotate_part",
    "annotation_of",
    "as_store",
    "as_table",
    "audit",
    "batch",
    "beside_of",
    "boxes",
    "check",
    "checked_video_name",
    "clock",
    "clock_by_hand",
    "cut",
    "cvat_pull",
    "cvat_push",
    "describe",
    "draw",
    "enrich",
    "events",
    "export",
    "feature_boxes",
    "features",
    "features_part",
    "given",
    "given_each",
    "info",
    "logged",
    "memory_error",
    "os_error",
    "play",
    "preview",
    "publish",
    "qa",
    "rebuild",
    "recipe",
    "release",
    "release_plan",
    "samples",
    "shards",
    "simulate",
    "splits",
    "summary",
    "table",
    "tidy",
    "told",
    "unpack",
    "upload",
    "verify",
    "video",
]
