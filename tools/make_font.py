"""Make src/evreel/video/unifont.xz from GNU Unifont's glyphs.

    python tools/make_font.py unifont-15.0.01.hex

Unifont is copyright of its authors and comes under the SIL Open Font License 1.1
(src/evreel/video/unifont.txt). Its private use area is left out. `evreel.video.text` reads what
this writes.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parents[1] / "src" / "evreel" / "video" / "unifont.xz"


def main(source: Path) -> None:
    """Pack code points, then the rows of all narrow glyphs, then those of all wide ones."""
    lines = [line.split(":") for line in source.read_text(encoding="ascii").split()]
    glyphs = [(int(code, 16), bytes.fromhex(rows)) for code, rows in lines]
    glyphs = [glyph for glyph in glyphs if not 0xE000 <= glyph[0] < 0xF900]
    parts = []
    for size in (16, 32):
        of_size = [glyph for glyph in glyphs if len(glyph[1]) == size]
        parts += [np.array([len(of_size)], "<u4").tobytes()]
        parts += [np.array([code for code, _ in of_size], "<u2").tobytes()]
        parts += [rows for _, rows in of_size]
    packed = lzma.compress(b"".join(parts), preset=9 | lzma.PRESET_EXTREME)
    OUTPUT.write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
