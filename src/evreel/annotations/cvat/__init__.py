"""CVAT XML 1.1, "for video" and "for images" ↔ `evreel.annotations.shapes.Annotations`.

Frame numbers in the file of a task or a job are the video's own: ``start_frame + k·step``. An
export lists every frame in which an object is visible, and closes a track with one shape that is
``outside``. Only the images form has tags. The table in `evreel.annotations.cvat.elements` says
which shapes are read and written.
"""

from __future__ import annotations

from evreel.annotations.cvat.read import is_frame_of_video, read_cvat
from evreel.annotations.cvat.write import write_images_xml, write_video_xml

__all__ = ["is_frame_of_video", "read_cvat", "write_images_xml", "write_video_xml"]
