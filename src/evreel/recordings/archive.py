"""An archive or a folder of many short recordings, read as one: its members end to end.

So a data set of ten thousand recordings becomes one events store, which `members` divides again,
without unpacking the archive as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from evreel.acquire import Archive, FolderOfMembers, Limits
from evreel.closing import Closing
from evreel.errors import (
    CodingError,
    EvreelError,
    JumpError,
    RecordingError,
    SourceError,
    UsageError,
)
from evreel.events import Batch, Events, Sensor
from evreel.folders import folder_of
from evreel.recordings.open import STRICT, Reading, Recording, event_chunks, open_recording
from evreel.samples.pattern import Pattern
from evreel.samples.samples import Member
from evreel.samples.tables import fits_a_cell
from evreel.timebase import next_whole_ms

_TO_GO_WITHOUT = "To skip it, name it in samples.leave_out."


class ArchiveRecording(Closing):
    """Members of an archive as one recording; also a `Recording`.

    The first begins at 0 µs, each other at the next whole millisecond after the last timestamp of
    the one before, in the order of their names' code points. Their side streams are left out.

    All members' names, types and sizes are checked before anything is unpacked, in the order of the
    archive. The first member is unpacked and opened twice: once here, for the format and sensor
    size that all must have.

    Parameters
    ----------
    path
        The archive; or a folder, or the listing of one that was acquired: its files are read where
        they are, in the same order, so that the events are the same bits.
    pattern
        Which of its files are members. Other files may have any name, type and size.
    leave_out
        Patterns of members to leave out, whatever they are.
    folder
        An empty folder to unpack in.
    sensor
        Sensor size of all members, if they do not state it.
    format
        Format of all members, if their content does not show it.
    reading
        How events and files that break a rule are handled.
    limits
        The most that may be unpacked.
    threads
        How many decode a member, as `evreel.recordings.open_recording` takes it.

    Attributes
    ----------
    path, sensor, t_offset, header
        As in `evreel.recordings.open.Recording`; `t_offset` is 0, the header is empty.
    format
        ``archive of …``, with the format that all members have.
    repairs
        Those of the members, summed; and ``skipped_files`` that the pattern does not match,
        including links, ``left_out_members``, and ``side_rows`` of side streams.
    members
        The interval of each, in order; complete when a pass is.

    Raises
    ------
    UsageError
        If the parts between resets of a clock are to be kept apart.
    SourceError
        If the archive cannot be read, or a member is not a plain file, is duplicated, or exceeds
        `limits`.
    RecordingError
        If the pattern matches no file, a member cannot be read, has no event, or a name that a
        table of samples cannot hold, or members differ in sensor size or format. The message
        names archive and member.
    """

    t_offset = 0
    header = ""
    n_expected = 0

    def __init__(
        self,
        path: str | Path,
        pattern: str,
        folder: Path,
        *,
        leave_out: Sequence[str] = (),
        sensor: Sensor | None = None,
        format: str | None = None,  # noqa: A002
        reading: Reading = STRICT,
        limits: Limits | None = None,
        threads: int | None = None,
    ) -> None:
        inside = folder_of(path)
        self.path = inside or Path(path)
        if reading.on_reset == "split":
            raise UsageError(
                "on_reset=split is for one recording, not for an archive of many",
                path=path,
                hint="Choose first or last.",
            )
        self._folder = folder
        self._sensor = sensor
        self._stated = format
        self._reading = reading
        self._threads = threads
        self.members: list[Member] = []
        self._repairs: dict[str, int] = {}
        self.repairs: Mapping[str, int] = self._repairs
        self._fits, self._out = Pattern(pattern), [Pattern(text) for text in leave_out]
        self._names: list[str] = []
        self._skipped = {"skipped_files": 0, "left_out_members": 0}
        self._format = ""
        self.sensor = Sensor(0, 0)
        with ExitStack() as stack:
            folder.mkdir(parents=True, exist_ok=True)
            self._archive: Archive | FolderOfMembers
            if inside is None:
                self._archive = Archive(path, folder, limits, judge=self._judge)
            else:
                self._archive = FolderOfMembers(inside, self._judge)
            stack.enter_context(self._archive)
            self._names.sort()
            if not self._names:
                known = ", ".join(map(repr, self._archive.names[:3])) or "none"
                raise RecordingError(
                    f"no file in it matches {pattern!r}",
                    path=path,
                    hint=f"It has {len(self._archive.names)} files, such as {known}.",
                )
            with self._opened(self._names[0]) as first:
                self.sensor, self._format = first.sensor, first.format
            self.format = f"archive of {self._format}"
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Release the archive."""
        self._stack.close()

    def batches(
        self, start_us: int | None = None, stop_us: int | None = None, *, side: bool = True
    ) -> Iterator[Batch]:
        """Yield the members' events one after the other.

        Raises
        ------
        UsageError
            If a range of time is given: members have times of their own.
        RecordingError
            If a member is damaged, empty, or of another size or format; it is named.
        """
        if start_us is not None or stop_us is not None:
            raise UsageError(
                "start_us and stop_us are for one recording, not for an archive of many"
            )
        self.members.clear()
        self._repairs.clear()
        self._repairs |= self._skipped | {"side_rows": 0} | self._reading.counts()
        begin = 0
        for name in self._names:
            with self._opened(name) as recording:
                end = begin
                for batch in recording.batches():
                    if isinstance(batch, Events):
                        t = batch.t + begin
                        events = Events.trusted(t, batch.x, batch.y, batch.p, batch.sensor)
                        end = max(end, events.t_stop_us) if len(events) else end
                        yield events
                    else:
                        self._repairs["side_rows"] += len(batch)
                if end == begin:
                    raise RecordingError("has no events")
                for what, n in recording.repairs.items():
                    self._repairs[what] = self._repairs.get(what, 0) + n
                self.members.append(Member(name, begin, end, recording.t_offset))
            begin = next_whole_ms(end)

    def __iter__(self) -> Iterator[Events]:
        """Yield the members' events, chunk by chunk, one member after the other."""
        return event_chunks(self)

    def _judge(self, archive: Archive | FolderOfMembers, name: str, size: int) -> None:
        """Enter a file as a member, if it is one; raise if it cannot become a sample."""
        said = self._fits.of(name)
        if said is None:
            self._skipped["skipped_files"] += 1
            return
        if any(text.of(name) for text in self._out):
            self._skipped["left_out_members"] += 1
            return
        path = PurePosixPath(name)
        # What a table of samples will say of it; the class may have another name there.
        cells = [name, str(path.with_suffix("")) if path.name else "", said.group]
        if not path.name or not all(map(fits_a_cell, cells)):
            raise RecordingError(
                f"a table of samples cannot hold the name of member {name!r}: it is empty, not "
                "UTF-8, has control characters or odd blanks, or begins or ends with a blank",
                path=self.path,
                hint="Rename it in the archive or folder. To skip it, name it in "
                "samples.leave_out, with a ? for each such character.",
            )
        try:
            archive.check(name)
        except SourceError as error:
            hint = f"{error.hint or ''} {_TO_GO_WITHOUT}".lstrip()
            raise SourceError(error.problem, place=error.place, hint=hint) from error
        if not size:
            raise RecordingError(
                "is empty",
                path=self.path,
                place=name,
                hint=f"Copy or download it again. {_TO_GO_WITHOUT}",
            )
        self._names.append(name)

    @contextmanager
    def _opened(self, name: str) -> Iterator[Recording]:
        """Open a member; any error names archive and member."""
        unpacked = self._folder / f"member{Path(name).suffix}"
        try:
            unpacked = self._archive.unpack(name, unpacked)
            with open_recording(
                unpacked,
                sensor=self._sensor,
                format=self._stated,
                reading=self._reading,
                threads=self._threads,
            ) as recording:
                kind = recording.format, recording.sensor
                if kind != (self._format or kind[0], self.sensor if self._format else kind[1]):
                    raise RecordingError(
                        f"is {kind[0]} of {kind[1].width}x{kind[1].height} px, but others are "
                        f"{self._format} of {self.sensor.width}x{self.sensor.height} px",
                    )
                yield recording
        except SourceError:
            raise
        except EvreelError as error:
            place = name if error.place is None else f"{name}: {error.place}"
            hint = f"{error.hint or ''} {_TO_GO_WITHOUT}".lstrip()
            raised = type(error) if isinstance(error, (CodingError, JumpError)) else RecordingError
            raise raised(error.problem, path=self.path, place=place, hint=hint) from error
