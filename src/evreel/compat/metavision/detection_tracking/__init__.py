"""Looking at boxes, by the names of ``metavision_ml.detection_tracking``."""
