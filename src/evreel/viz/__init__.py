"""To look at: frames of features in colours, and the labelled events of slices.

`to_rgb` makes a picture of a frame of any representation.
"""

from evreel.viz.rgb import to_rgb

__all__ = ["to_rgb"]
