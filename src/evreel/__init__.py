"""evreel: event-camera data set releases.

A reel of events, cut into slices. Start with `evreel.recordings.open_recording` to read events,
`evreel.steps` for one function a pipeline step, and `evreel.representations` for features.
"""

__version__ = "0.1.0"
