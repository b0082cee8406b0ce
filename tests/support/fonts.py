"""A font that is there wherever the tests are run: matplotlib's own."""

from pathlib import Path

import matplotlib

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
"""It has Latin, Greek, Cyrillic and Hebrew letters, and none of Chinese."""
