"""What the files of a bag have in common: connections, messages in their order, and damage."""

from __future__ import annotations

import bz2
import contextlib
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

from evreel.errors import RecordingError
from evreel.recordings.aedat4.flatbuffer import DamageError
from evreel.recordings.aedat4.packets import COMPRESSIONS, PACKET_LIMIT, BudgetError, Unpacker
from evreel.recordings.prefetch import Prefetch
from evreel.system import fill_at, keep_memory, read_at

MESSAGE_LIMIT = PACKET_LIMIT
"""Size limit of a message, and of a chunk that is compressed, bytes: 20 million events."""
CONNECTION_LIMIT = 1 << 16
"""Most connections of a file."""
AHEAD_LIMIT = 1 << 24
"""Size limit of a chunk that is unpacked ahead, packed and unpacked, bytes. There are two such per
thread; a larger one is unpacked when it is its turn."""
ZSTD_START = b"\x28\xb5\x2f\xfd"
"""First bytes of what Zstandard has compressed."""


class Connection(NamedTuple):
    """Where messages come from.

    Parameters
    ----------
    topic, type : their topic, and their type's name as in ROS 2.
    coding, definition : how the type's definition is written (``msg`` or ``idl``), and its text.
    is_cdr : whether messages are in CDR, as in ROS 2; else they are packed, as in ROS 1.
    """

    topic: str
    type: str
    coding: str
    definition: str
    is_cdr: bool


class Message(NamedTuple):
    """A message as it is in a bag.

    Parameters
    ----------
    connection : number of the connection that it came from.
    place : where it is: a byte of the file, of its chunk if that is compressed; or its number.
    data : its bytes; they may be those of a larger buffer.
    """

    connection: int
    place: int
    data: memoryview


class Chunk(NamedTuple):
    """A compressed chunk of a file: where its record and its content begin, and their facts.

    Parameters
    ----------
    at, begin, size : byte of the record, byte of its content, and bytes of that.
    fields : what its header says, if it has one.
    """

    at: int
    begin: int
    size: int
    fields: dict[bytes, bytes]


class BagDamage(Exception):  # noqa: N818 (it is turned into one of evreel's errors)
    """A file of a bag is damaged at a place; or, if `is_whole`, it cannot be read here."""

    def __init__(
        self, problem: str, place: int, hint: str | None = None, *, is_whole: bool = False
    ) -> None:
        super().__init__(problem)
        self.problem, self.place, self.hint, self.is_whole = problem, place, hint, is_whole


class BagFile(ABC):
    """A file of a bag, read from its start to its end in memory bounded by a chunk and a message.

    Parameters
    ----------
    path
        The file.
    source
        Where its bytes are, if that is elsewhere.
    salvages
        Whether what is whole is read of a file that is cut off, or whose index is damaged. Then
        connections are found by reading all of it.
    threads
        How many unpack what is in chunks, the caller's included.

    Attributes
    ----------
    path
        The file.
    connections
        Number of a connection → what is known of it; complete once the file is opened.
    places
        A place after all messages.
    n_messages
        How many messages the file says that it has, once it is opened; None if it does not.
    ended
        The damage up to which connections were looked for; None if there was none.
    """

    is_ros1 = False
    has_bytes = True  # whether places are bytes
    cut_hint: ClassVar[str]  # what to do with a file that was cut off

    def __init__(
        self, path: Path, *, source: Path | None = None, salvages: bool = False, threads: int = 1
    ) -> None:
        self.path = path
        self._threads = threads
        self._passes: weakref.WeakSet[Prefetch[Any, Any]] = weakref.WeakSet()
        self.salvages = salvages
        self.connections: dict[int, Connection] = {}
        self._source = source or path
        self._size = self.places = 0
        self.n_messages: int | None = None
        self.ended: BagDamage | None = None

    def open(self) -> None:
        """Find the connections.

        Raises
        ------
        BagDamage
            If the file, or what is read of it for that, is damaged.
        """
        with self._opened():
            self.places = self._size
            self._open()

    def close(self) -> None:
        """End the threads that read it, if there are any."""
        for ahead in tuple(self._passes):
            ahead.close()

    def said(self, place: int) -> str:
        """Return a place as messages name it."""
        return f"byte {place}"

    def bytes_from(self, place: int) -> int:
        """Return how many bytes of the file come from a place on."""
        return self._size - place

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        try:
            with self._source.open("rb", buffering=0) as file:
                self._file = file
                self._size = os.fstat(file.fileno()).st_size
                yield
        except OSError as error:
            raise RecordingError(f"cannot be read: {error.strerror}", path=self.path) from error

    @abstractmethod
    def _open(self) -> None:
        """Find the connections, in the open file."""

    @abstractmethod
    def _messages(self, wanted: Collection[int] | None) -> Iterator[Message]:
        """Yield messages as `messages` does; with None, find connections and yield nothing."""

    def messages(self, wanted: Collection[int]) -> Generator[Message, None, None]:
        """Yield the messages of some connections, in the order of the file.

        Raises
        ------
        BagDamage
            Where the file is damaged; what came before it is whole.
        """
        with self._opened():
            yield from self._messages(wanted)

    def _scan(self) -> None:
        """Find connections by reading the whole file; when salvaging, up to damage."""
        try:
            for _ in self._messages(None):
                pass
        except BagDamage as damage:
            if damage.is_whole or not self.salvages:
                raise
            self.ended = damage

    def _read(self, size: int, at: int, what: str) -> bytes:
        """Return bytes of the file; raise `BagDamage` if it ends before."""
        if size > self._size - at:
            raise BagDamage(
                f"{what} that begins here has {size} bytes, but the file ends at byte "
                f"{self._size}, in the middle of it",
                at,
                self.cut_hint,
            )
        data = read_at(self._file.fileno(), size, at)
        if len(data) < size:  # a system may return less than it was asked for
            buffer = memoryview(bytearray(size))
            done = 0
            while done < size:
                got = fill_at(self._file.fileno(), buffer[done:], at + done)
                if not got:
                    raise BagDamage("the file became shorter while it was read", at + done)
                done += got
            data = bytes(buffer)
        return data


class ChunkedFile(BagFile):
    """A file of a bag whose messages are in chunks, which threads unpack ahead."""

    @abstractmethod
    def _content_of(self, chunk: Chunk, most: int | None = None) -> memoryview:
        """Return what a chunk holds.

        Raises
        ------
        BagDamage
            If it is damaged.
        BudgetError
            If it unpacks to more than this many bytes.
        """

    @abstractmethod
    def _chunks_from(self, at: int) -> Iterator[Chunk]:
        """Yield the compressed chunks from a record on, up to damage, which whoever reads finds."""

    @contextlib.contextmanager
    def _unpacking(self) -> Iterator[Callable[[Chunk], memoryview]]:
        """Yield a function that returns what a compressed chunk holds, for one after the other.

        From the second one on, threads unpack the next ones ahead: whoever only looks at the start
        of a file waits for one chunk.
        """
        ahead: Prefetch[Chunk, tuple[int, memoryview | None]] | None = None
        n = 0

        def work(chunk: Chunk) -> tuple[int, memoryview | None]:
            try:
                is_small = chunk.size <= AHEAD_LIMIT
                return chunk.at, self._content_of(chunk, AHEAD_LIMIT) if is_small else None
            except BudgetError:
                return chunk.at, None

        def content(chunk: Chunk) -> memoryview:
            nonlocal ahead, n
            n += 1
            if n == 2 and self._threads > 1:
                keep_memory()
                chunks = self._chunks_from(chunk.at)
                ahead = stack.enter_context(Prefetch(work, chunks, self._threads))
                self._passes.add(ahead)
            if ahead is not None:
                at, data = next(ahead, (-1, None))
                if at == chunk.at and data is not None:
                    return data
            return self._content_of(chunk)

        with contextlib.ExitStack() as stack:
            yield content


def check_size(size: int, at: int, limit: int = MESSAGE_LIMIT, what: str = "") -> None:
    """Raise `BagDamage` if a record has more bytes than can be read, `MESSAGE_LIMIT` by default.

    Parameters
    ----------
    size : bytes of the record, or of `what` in it.
    at : where the record begins.
    """
    if size > limit:
        raise BagDamage(
            f"the record that begins here has {what}{size:,} bytes; at most {limit:,} can be read",
            at,
        )


def undone(
    compression: str, packed: memoryview, place: int, what: str, most: int | None = None
) -> memoryview:
    """Return what a chunk or a message holds, undoing its compression.

    Parameters
    ----------
    compression : ``none`` or an empty text, ``bz2``, ``lz4`` or ``zstd``.
    place : where it is, for errors.
    what : what it is called there.
    most : raise `BudgetError` rather than unpack more bytes; None for no such limit.
    """
    if compression in ("", "none"):
        return packed
    if compression == "bz2":
        return memoryview(_unbz2(packed, place, what, most))
    if compression.upper() not in COMPRESSIONS:
        raise BagDamage(
            f"{what} is compressed by {compression[:20]!r}",
            place,
            "bz2, lz4 and zstd can be read. Write the bag again with one of them.",
            is_whole=True,
        )
    try:
        return memoryview(Unpacker(COMPRESSIONS.index(compression.upper()), most)(packed))
    except DamageError as damage:
        raise BagDamage(f"{what} {damage}", place) from damage


def _unbz2(packed: memoryview, place: int, what: str, most: int | None) -> bytes:
    undo = bz2.BZ2Decompressor()
    try:
        plain = undo.decompress(packed, (MESSAGE_LIMIT if most is None else most) + 1)
    except (OSError, ValueError) as error:
        raise BagDamage(f"{what} cannot be unpacked: {error}", place) from error
    if most is not None and len(plain) > most:
        raise BudgetError
    if len(plain) > MESSAGE_LIMIT:
        raise BagDamage(f"{what} unpacks to more than {MESSAGE_LIMIT} bytes", place)
    if not undo.eof or undo.unused_data:
        raise BagDamage(f"{what} does not end where its bz2 data do", place)
    return plain


def read_text(data: bytes, what: str, place: int) -> str:
    """Return a text of a bag; raise `BagDamage` if it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        _fail_text(data, what, place)


def _fail_text(data: bytes, what: str, place: int) -> NoReturn:
    raise BagDamage(f"{what} {data[:20]!r} is not a text", place)
