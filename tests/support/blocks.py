"""The pages for people, and their fenced blocks.

A block says what kind it is:

- no kind, or ``sh``: commands; ``console``: commands after ``$ ``, and what they print;
- ``python``: an example; ``toml``, ``yaml``: a file; ``text``: no example.

Comments before it say more: ``<!-- not run: reason -->``, and ``<!-- before: commands -->``, which
make the state that its reader is in.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from support import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
COMMANDS = ("", "sh", "console")
KINDS = (*COMMANDS, "python", "toml", "yaml", "text")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, what kind it says it is, and the comments before it."""

    page: str
    line: int
    section: str
    kind: str
    text: str
    comments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def said(self, what: str) -> str | None:
        """Return what the comment ``what: …`` before the block says, None where there is none."""
        told = (text.partition(":") for text in self.comments)
        return next((text.strip() for key, _, text in told if key == what), None)


def blocks_of(name: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found, comments, section = [], [], ""
    lines = iter(enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if line.lstrip().startswith("<!--"):
            comment = [line]
            while "-->" not in comment[-1]:
                comment.append(next(lines)[1])
            comments.append("\n".join(comment).strip()[4:].removesuffix("-->").strip())
        elif line.lstrip().startswith("```"):
            kind, inside = line.strip().strip("`"), []
            while (following := next(lines)[1]).strip() != "```":
                inside.append(following)
            text = textwrap.dedent("\n".join(inside) + "\n")
            found.append(Block(name, number, section, kind, text, tuple(comments)))
            comments = []
        elif line.strip():
            comments = []
            section = line[3:] if line.startswith("## ") else section
    return found


BLOCKS = [block for name in NAMES for block in blocks_of(name)]
NOT_RUN = [block for block in BLOCKS if block.said("not run") is not None]
RUN = [block for block in BLOCKS if block not in NOT_RUN]
