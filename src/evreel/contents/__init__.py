"""What a file or a folder holds, in a few lines: one describer per kind of file."""

from evreel.contents.kinds import KINDS, Kind, described, known_kinds
from evreel.contents.shown import lines

__all__ = ["KINDS", "Kind", "described", "known_kinds", "lines"]
