"""What is known here of a recording's task: the file beside its clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from evreel import __version__
from evreel.cvat.settings import plain_address
from evreel.errors import UsageError, words_of
from evreel.provenance import digest_of
from evreel.timebase import FrameClock

NOTE_SUFFIX = ".cvat.json"


@dataclass(frozen=True)
class Note:
    """A task, and what it was made from. Nothing in it is secret.

    Parameters
    ----------
    task : its number.
    server : address of the server that it is on.
    created : when the server made it, as a text: another task of this number has another.
    organization, project : those it was made in; None for one's own space, and for no project.
    video : name of the file that it shows.
    frames : how many it has.
    times : digest of when they are.
    clock, video_sha256 : digests of the clock's table, and of the video.
    pre_labels : digests of the annotation that it was given, by role.
    pulled : column → path and digest of the file that was written last.
    evreel_version : what wrote it.
    """

    task: int
    server: str
    created: str
    organization: str | None
    project: int | None
    video: str
    frames: int
    times: str
    clock: str
    video_sha256: str
    pre_labels: Mapping[str, str] = field(default_factory=dict)
    pulled: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    evreel_version: str = __version__


def times_of(clock: FrameClock) -> str:
    """Return a digest of the times of a clock's frames, whatever else its table says."""
    return digest_of([clock.start_us.tolist(), clock.stop_us.tolist()])


def write_note(path: Path, note: Note) -> None:
    """Write a note; equal ones give equal bytes."""
    text = json.dumps(asdict(note), indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def read_note(path: Path) -> Note | None:
    """Return a recording's note, None if it has none.

    Raises
    ------
    UsageError
        If the file is not one.
    """
    try:
        said: Any = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(Note)}
        note = Note(**{name: value for name, value in said.items() if name in known})
        whole = type(note.task) is int and note.task > 0 and type(note.frames) is int
        if not whole or plain_address(note.server) != note.server:
            raise ValueError("its task or its server is not one")
        for each in (*note.pre_labels.values(), *(one["sha256"] for one in note.pulled.values())):
            each.removeprefix("sha256:")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, KeyError, UsageError) as error:
        raise UsageError(
            f"does not say which CVAT task is this recording's: {words_of(error)}",
            path=path,
            hint="Move it away; then name the task with --task, or push again.",
        ) from error
    return note
