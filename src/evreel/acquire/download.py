"""Downloads that continue where they were cut: within a run, and from one run to the next.

The bytes received so far are in a part, ``<key>.part`` in ``.evreel-downloads``, with a note of
their origin beside it. That folder is beside the scratch folder that serves the output
(`evreel.outputs`), so in a workflow at the root of its results; it is removed when no part is left.
The process that works on a part holds a lock on it, which the system releases when the process
ends, however it ends. Another process that needs the same part waits as long as the part grows. If
it does not grow, or the file system has no locks, the other downloads a part of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from evreel.acquire.room import check_reserve, check_room
from evreel.acquire.sums import Received, Sums, Tally, check, pieces_of
from evreel.acquire.web import TRY_LATER, Answer, BeyondEndError, Pace, RequestError, request
from evreel.errors import SourceError
from evreel.outputs import Progress, check_wanted, scratch_folder
from evreel.system import lock

LOG = logging.getLogger("evreel")

DOWNLOADS = ".evreel-downloads"

_LOOK_S = 0.5
_EXCESS_BYTES = 1 << 24
"""How much more than the expected size is received, to say how much there is."""


@dataclass(frozen=True)
class Patience:
    """How long to try.

    A server is asked again after temporary failures: silence, a connection that is refused or
    breaks off, a transfer that is cut, and the answers 408, 425, 429, 500, 502, 503 and 504. After
    any other failure the next mirror is asked.

    Parameters
    ----------
    timeout_s, least_bytes_per_s
        As in `evreel.acquire.web.Pace`, seconds and bytes per second.
    attempts
        How many requests in a row to one mirror may bring nothing, or less than that rate.
    most_attempts
        How many requests to one mirror are made in all, successful ones included.
    first_wait_s, longest_wait_s
        Wait before the second request, and longest wait, seconds. Each wait after a fruitless
        request is twice the wait before it, times a random factor between 0.5 and 1.
    longest_asked_s
        How long a server may ask us to wait, seconds; if it asks for more, the next mirror is
        asked instead.
    lock_s
        How long another run's part may stop growing, seconds.
    sleep, draw
        Functions that wait and that draw the random factor from [0, 1).

    Examples
    --------
    >>> [Patience(draw=lambda: 1.0).wait_s(k) for k in (1, 2, 3, 10)]
    [1.0, 2.0, 4.0, 60.0]
    """

    timeout_s: float = 60.0
    least_bytes_per_s: float = 10_000.0
    attempts: int = 5
    most_attempts: int = 100
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_asked_s: float = 300.0
    lock_s: float = 600.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    draw: Callable[[], float] = field(default=random.random, repr=False)

    @classmethod
    def of(cls, timeout_s: float | None, least_bytes_per_s: float | None) -> Patience:
        """Return the default patience but for these, where they are given."""
        return cls(
            cls.timeout_s if timeout_s is None else timeout_s,
            cls.least_bytes_per_s if least_bytes_per_s is None else least_bytes_per_s,
        )

    def wait_s(self, fruitless: int) -> float:
        """Return how long to wait after so many fruitless requests in a row, seconds."""
        longest = self.first_wait_s * 2.0 ** min(max(fruitless - 1, 0), 30)
        return min(longest, self.longest_wait_s) * (0.5 + 0.5 * self.draw())


@contextlib.contextmanager
def downloaded(
    urls: Sequence[str],
    destination: Path,
    final: Path,
    *,
    shared: bool,
    sums: Sums,
    size: int | None,
    progress: Progress,
    patience: Patience,
) -> Iterator[tuple[Path, Received]]:
    """Give a file with the bytes of `urls`, complete and verified, to be moved or read.

    Parameters
    ----------
    urls
        Mirrors of one file, tried in order.
    destination
        A path to write, which must not exist yet; the file is on its file system.
    final
        Where the output will be; the part is near it.
    shared
        Whether outputs of other names are made from the same file too.
    sums, size
        Expected checksums and size.

    Yields
    ------
    Path, and what was received. If the block ends without an error and leaves the file, it is
    removed; after an error it stays, so that the next run need not download it.

    Raises
    ------
    SourceError
        If no mirror has it, or there is no room for it. What was received is kept if the next run
        can use it.
    """
    folder = scratch_folder(final).parent / DOWNLOADS
    named = [] if shared else [final.name]
    known = [sums.md5 or "", sums.sha256 or ""]
    if sums.are_weak or not sums:  # other files may have the same
        known = [*sums.known.values(), *urls]
    key = hashlib.sha256("\n".join([*known, *named]).encode()).hexdigest()[:32]
    path = folder / f"{key}.part"
    try:
        file = _claimed(path, final, patience)
        if file is None:
            path = destination.with_name(f"{destination.name}.part")
            file = path.open("ab+", buffering=0)
        with file:
            part = _Part(path, file, sums, lasting=path.parent == folder)
            try:
                received = _from_mirrors(urls, part, final, size, progress, patience)
                yield path, received
            except BaseException:
                if not part.serves_later:
                    part.remove()
                raise
            part.remove()
    finally:
        with contextlib.suppress(OSError):  # not there, or other downloads use it
            folder.rmdir()


def _claimed(path: Path, final: Path, patience: Patience) -> BinaryIO | None:
    """Open a part for this process alone; None if that is not possible."""
    waited_s, grown = 0.0, -1
    while True:
        try:
            file = _opened(path)
        except PermissionError:  # another user's
            return None
        try:
            locked = lock(file)
            # The process that held it may have moved it to its destination meanwhile.
            if locked and _lies_at(file, path):
                return file
            file.close()
            if locked:
                continue
            path.unlink(missing_ok=True)
            return None
        except BlockingIOError:
            size = os.fstat(file.fileno()).st_size
            file.close()
        except OSError:
            file.close()
            raise
        if grown < 0:
            LOG.info("%s: another run is downloading it; waiting", final.name)
        if size != grown:
            waited_s, grown = 0.0, size
        if waited_s >= patience.lock_s:
            LOG.info("%s: the other run makes no progress; downloading separately", final.name)
            return None
        patience.sleep(_LOOK_S)
        waited_s += _LOOK_S
        check_wanted(final)


def _opened(path: Path) -> BinaryIO:
    """Open a part and make its folder, which another download may remove when it ends."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return path.open("ab+", buffering=0)


def _lies_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class _Origin:
    """Where the bytes of a part came from.

    Parameters
    ----------
    url
        A digest of the address, which may contain a private key.
    validator, total
        As in `Answer`.
    """

    url: str
    validator: str | None
    total: int | None


class _Part:
    """A growing file, the checksums of its content, and where the content came from."""

    def __init__(self, path: Path, file: BinaryIO, sums: Sums, *, lasting: bool) -> None:
        self.path = path
        self.sums = sums
        self.lasting = lasting
        self.glued = False
        self._file = file
        self._beside = path.with_suffix(".json")
        self._tally = Tally(sums)
        self._origin = self._read_origin()
        if self._origin is None:
            self.clear()
            return
        self._file.seek(0)
        for piece in pieces_of(self._file):
            self._tally.update(piece)
            self.glued = True

    def _read_origin(self) -> _Origin | None:
        """Return the origin noted beside an earlier run's part; None if it is not usable."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            origin = _Origin(**json.loads(self._beside.read_text(encoding="utf-8")))
            if (
                isinstance(origin.url, str)
                and isinstance(origin.validator, str | None)
                and isinstance(origin.total, int | None)
            ):
                return origin
        return None

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self._tally.size

    @property
    def whole(self) -> bool:
        """Whether all bytes are there, as far as is known without asking."""
        return bool(self.sums and self._origin and self._origin.total == self.size > 0)

    @property
    def serves_later(self) -> bool:
        """Whether a later run can continue from what is there."""
        told = self._origin is not None and (self.sums or self._origin.validator is not None)
        return bool(self.lasting and self.size and told)

    def received(self) -> Received:
        """Return what is there."""
        return self._tally.received()

    def clear(self) -> None:
        """Start again from nothing."""
        self._file.truncate(0)
        self._tally = Tally(self.sums)
        self._origin = None
        self.glued = False

    def headers(self, url: str) -> dict[str, str]:
        """Return headers that ask for the rest only; none if the rest might not fit.

        If a checksum decides in the end, the rest may also come from another mirror, or from a
        server that does not distinguish versions.
        """
        if self._origin is None or not self.size:
            return {}
        rest = {"Range": f"bytes={self.size}-"}
        if self._origin.validator is not None and self._origin.url == _digest(url):
            return {**rest, "If-Range": self._origin.validator}
        return rest if self.sums else {}

    def begin(self, url: str, answer: Answer) -> int | None:
        """Note the origin of the bytes that are added next; return the size of the whole.

        Raises
        ------
        RequestError
            If they do not continue what is there.
        """
        total = answer.total
        if answer.start != 0 and total is None and self._origin is not None:
            total = self._origin.total
        if not self._fits(url, answer, total):
            self.clear()
            raise RequestError(
                "the server sends other bytes than requested", TRY_LATER, passing=True
            )
        if answer.start == 0:
            self.clear()
        else:
            self.glued = True
        self._origin = _Origin(_digest(url), answer.validator, total)
        self._beside.write_text(json.dumps(vars(self._origin)), encoding="utf-8", newline="\n")
        return total

    def _fits(self, url: str, answer: Answer, total: int | None) -> bool:
        """Return whether the bytes of an answer are the whole, or the rest of what is there."""
        if (
            answer.stop is not None
            and answer.stop != total
            and (total is not None or not self.sums)
        ):
            return False
        if answer.start == 0:
            return True
        if answer.start != self.size or self._origin is None:
            return False
        if self._origin.total is not None and self._origin.total != total:
            return False
        return self.is_of_version(url, answer.validator)

    def is_of_version(self, url: str, validator: str | None) -> bool:
        """Return whether what is there is of a version of the file, as far as has to be known.

        Without a sum that decides in the end, the version has to be known, and be the same.
        """
        origin = self._origin
        if origin is None or origin.url != _digest(url) or None in (validator, origin.validator):
            return bool(self.sums)
        return validator == origin.validator

    def add(self, piece: bytes) -> None:
        """Add received bytes, unbuffered, so that they survive if the process is killed."""
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._tally.update(piece)

    def remove(self) -> None:
        """Remove the note beside the part, and the part, unless it was moved to its destination."""
        self._beside.unlink(missing_ok=True)
        if _lies_at(self._file, self.path):
            self.path.unlink()


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _from_mirrors(
    urls: Sequence[str],
    part: _Part,
    final: Path,
    size: int | None,
    progress: Progress,
    patience: Patience,
) -> Received:
    """Fill a part from the first mirror that has the expected file."""
    failures: list[RequestError] = []
    for url in urls:
        try:
            return _from_mirror(url, part, final, size, progress, patience)
        except RequestError as failure:
            failures.append(failure)
            if len(urls) > 1:
                LOG.info("%s: %s", url, failure.problem)
    kept = f"; the {part.size:,} bytes received are kept" if part.serves_later else ""
    hint = "Run the same command again to continue from there." if kept else failures[-1].hint
    if len(urls) == 1:
        raise SourceError(failures[0].problem + kept, place=urls[0], hint=hint) from failures[0]
    told = "; ".join(f"{url}: {f.problem}" for url, f in zip(urls, failures, strict=True))
    raise SourceError(
        f"none of its {len(urls)} mirrors has it: {told}{kept}", place=final.name, hint=hint
    ) from failures[-1]


def _from_mirror(
    url: str,
    part: _Part,
    final: Path,
    size: int | None,
    progress: Progress,
    patience: Patience,
) -> Received:
    """Fill a part from one mirror; if two halves do not fit together, once more from nothing."""
    again = False
    while True:
        encoding = ""
        if not part.whole:
            encoding = _ask_until_whole(url, part, final, size, progress, patience)
        progress(part.size, part.size)
        received = part.received()
        try:
            check(received, url, part.sums, encoding)
            if size is not None and received.size != size:
                raise SourceError(
                    f"received {received.size:,} bytes, expected {size:,}: it is another version",
                    hint="Compare with the data set's page.",
                )
        except SourceError as error:
            glued = part.glued
            part.clear()
            if again or not glued:
                raise RequestError(error.problem, error.hint or TRY_LATER) from error
            LOG.info("%s: %s; downloading it again from the first byte", url, error.problem)
            again = True
            continue
        return received


def _ask_until_whole(
    url: str,
    part: _Part,
    final: Path,
    size: int | None,
    progress: Progress,
    patience: Patience,
) -> str:
    """Ask one mirror for the rest until it is there; return the encoding that the server states."""
    fruitless, best = 0, part.size
    asked = 0
    while True:
        asked += 1
        began = time.monotonic()
        check_wanted(final)
        try:
            return _ask(url, part, size, progress, patience)
        except RequestError as failure:
            least = (time.monotonic() - began) * patience.least_bytes_per_s
            fruitless = 0 if part.size - best > least else fruitless + 1
            best = max(best, part.size)
            wait_s = max(patience.wait_s(fruitless), failure.wait_s or 0.0)
            asks = failure.wait_s is not None and failure.wait_s > patience.longest_asked_s
            over = fruitless == patience.attempts or asked == patience.most_attempts
            if not failure.passing or over or asks:
                times = f" ({asked} requests)" if asked > 1 else ""
                asking = f" and asks us to wait {failure.wait_s:.0f} s" if asks else ""
                raise RequestError(f"{failure.problem}{asking}{times}", failure.hint) from failure
            LOG.info("%s: %s; asking again in %.1f s", url, failure.problem, wait_s)
            patience.sleep(wait_s)


def _ask(url: str, part: _Part, size: int | None, progress: Progress, patience: Patience) -> str:
    """Ask once for what is missing and add what is received; return its encoding."""
    pace, begun = Pace(patience.timeout_s, patience.least_bytes_per_s), False
    try:
        checked, strongly = bool(part.sums), bool(part.sums) and not part.sums.are_weak
        with request(url, part.headers(url), pace, checked=checked, strongly=strongly) as (
            answer,
            pieces,
        ):
            if None not in (answer.total, size) and answer.total != size:
                raise RequestError(
                    f"the server has {answer.total:,} bytes, expected {size:,}: it is another "
                    "version",
                    "Compare with the data set's page; if you want this version, correct the size.",
                )
            if answer.encoding and not part.sums:
                raise RequestError(
                    f"the server sends it {answer.encoding}-encoded; without a checksum nothing "
                    "says whether that is the file itself",
                    "Give its md5 or sha256; or download it by hand and give the local path.",
                )
            total, begun = part.begin(url, answer), True
            left = (total or size or 0) - part.size
            check_room(left, part.path.parent, f"{left:,} bytes are to come", url)
            progress(part.size, total)
            for piece in pieces:
                if size is not None and part.size + len(piece) > size + _EXCESS_BYTES:
                    raise RequestError(
                        f"the server sends more than {part.size:,} bytes, expected {size:,}",
                        "Compare with the data set's page.",
                    )
                if total is None:
                    said = f"{part.size:,} bytes came, and nothing says how many more"
                    check_reserve(part.path.parent, said, url)
                _add(part, piece, url)
                progress(part.size, total)
    except RequestError as failure:
        if failure.malformed and begun:
            part.clear()
        raise
    except BeyondEndError as end:
        if end.total != part.size or not part.is_of_version(url, end.validator):
            part.clear()
            raise RequestError(
                "the server has fewer bytes than were already received, or another file",
                TRY_LATER,
                passing=True,
            ) from end
        return ""
    if total is not None and part.size != total:
        came = part.size
        if came > total:
            part.clear()
        raise RequestError(
            f"the transfer was cut after {came:,} of {total:,} bytes", "Try again.", passing=True
        )
    if not answer.ends and not part.sums and size is None:
        LOG.info("%s: the server does not say where the file ends; it may have been cut", url)
    return answer.encoding


def _add(part: _Part, piece: bytes, url: str) -> None:
    try:
        part.add(piece)
    except OSError as error:
        raise SourceError(
            f"cannot be written: {error.strerror}",
            place=url,
            hint=f"Make room on the disk of {part.path.parent.absolute()} and run the same command "
            "again.",
        ) from error
