"""To look at: frames of features in colours, boxes on them, and the labelled events of slices.

`to_rgb` makes a picture of a frame of any representation, `draw_box_events` draws boxes on one, and
`tiled` puts several side by side.
"""

from evreel.viz.boxes import draw_box_events
from evreel.viz.rgb import to_rgb
from evreel.viz.tiles import tiled

__all__ = ["draw_box_events", "tiled", "to_rgb"]
