"""Boxes on pictures, by the names of ``metavision_ml.detection_tracking.display_frame``."""

from evreel.viz import draw_box_events

__all__ = ["draw_box_events"]
