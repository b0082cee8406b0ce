"""Downloads that go on where they were cut: within a run, and from one run to the next.

What came of a file lies in a part, ``<key>.part`` in ``.evreel-downloads``, with what is known of
where it came from beside it. That folder stands beside the scratch folder that serves the output
(`evreel.outputs`), so in a workflow at the root of its results, and goes when no part is left.
Whoever works on a part holds a lock on it, which the system takes back when its process ends in
whatever way. Another that needs the same part waits as long as the part grows, and downloads a
part of its own where it does not, or where the file system knows no locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from evreel.acquire.sums import Received, Sums, Tally, check, pieces_of
from evreel.acquire.web import TRY_LATER, Answer, BeyondEndError, RequestError, request
from evreel.errors import SourceError
from evreel.outputs import Progress, check_wanted, scratch_folder

LOG = logging.getLogger("evreel")

DOWNLOADS = ".evreel-downloads"

_LOOK_S = 0.5
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Patience:
    """How long to try.

    A server is asked again after what may pass: silence, a connection that is refused or breaks
    off, a transfer that is cut, and the answers 408, 425, 429, 500, 502, 503 and 504. After
    anything else the next mirror is asked.

    Parameters
    ----------
    timeout_s
        How long a server may stay silent, seconds.
    least_bytes_per_s
        What has to come in as long, bytes a second; less counts as silence.
    attempts
        Requests in a row to one mirror that bring no byte further.
    most_attempts
        Requests to one mirror in all, so also of those that bring something.
    first_wait_s, longest_wait_s
        Before the second request, and at most before any, seconds. Each wait after a fruitless
        request is twice that before it, times a random factor between 0.5 and 1.
    longest_asked_s
        How long a server may ask to wait, seconds; the next mirror is asked instead of one that
        asks for more.
    lock_s
        How long a part of another run may stand still, seconds.
    sleep, draw
        What waits, and what draws the random factor from [0, 1).

    Examples
    --------
    >>> [Patience(draw=lambda: 1.0).wait_s(k) for k in (1, 2, 3, 10)]
    [1.0, 2.0, 4.0, 60.0]
    """

    timeout_s: float = 60.0
    least_bytes_per_s: float = 100.0
    attempts: int = 5
    most_attempts: int = 100
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_asked_s: float = 300.0
    lock_s: float = 600.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    draw: Callable[[], float] = field(default=random.random, repr=False)

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
    """Give a file with the bytes of `urls`, whole and verified, to be moved or read.

    Parameters
    ----------
    urls
        Mirrors of one file, tried in order.
    destination
        A path to write at, where nothing is yet; the file lies on its file system.
    final
        Where the output will lie; the part lies near it.
    shared
        Whether outputs of other names are made from the same file too.
    sums, size
        What it must have.

    Yields
    ------
    Its path, and what came. When the block ends without an error and leaves it, it is removed;
    with an error it stays, so that the next run need not download it.

    Raises
    ------
    SourceError
        Where no mirror gives it, or there is no room for it. What came is kept, where it may
        serve the next run.
    """
    folder = scratch_folder(final).parent / DOWNLOADS
    named = [] if shared else [final.name]
    known = [sums.md5 or "", sums.sha256 or ""] if sums else list(urls)
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
        with contextlib.suppress(OSError):  # not there, or others are under way
            folder.rmdir()


def _claimed(path: Path, final: Path, patience: Patience) -> BinaryIO | None:
    """Open a part for this process alone; None where it can't be had so."""
    waited_s, grown = 0.0, -1
    while True:
        try:
            file = _opened(path)
        except PermissionError:  # another user's
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have moved it to where it belongs meanwhile.
            if _lies_at(file, path):
                return file
            file.close()
            continue
        except BlockingIOError:
            size = os.fstat(file.fileno()).st_size
            file.close()
        except OSError as error:
            file.close()
            if error.errno not in _NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            return None
        if grown < 0:
            LOG.info("%s: another run is downloading it; waiting for that", final.name)
        if size != grown:
            waited_s, grown = 0.0, size
        if waited_s >= patience.lock_s:
            LOG.info("%s: the other run stands still; downloading apart from it", final.name)
            return None
        patience.sleep(_LOOK_S)
        waited_s += _LOOK_S
        check_wanted(final)


def _opened(path: Path) -> BinaryIO:
    """Open a part, and make its folder, which the end of another download may remove."""
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
        A digest of the address, which may hold a key that is nobody else's business.
    validator, total
        As of `Answer`.
    """

    url: str
    validator: str | None
    total: int | None


class _Part:
    """A file that grows, the sums of what is in it, and where that came from."""

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
        """Return what stands beside a part of an earlier run; None where that is nothing sound."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            origin = _Origin(**json.loads(self._beside.read_text(encoding="utf-8")))
            if isinstance(origin.url, str) and isinstance(origin.total, int | None):
                return origin
        return None

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self._tally.size

    @property
    def whole(self) -> bool:
        """Whether all bytes are there, as far as can be told without asking."""
        return bool(self.sums and self._origin and self._origin.total == self.size > 0)

    @property
    def serves_later(self) -> bool:
        """Whether a later run can go on from what is there."""
        told = self._origin is not None and (self.sums or self._origin.validator is not None)
        return bool(self.lasting and self.size and told)

    def received(self) -> Received:
        """Return what is there."""
        return self._tally.received()

    def clear(self) -> None:
        """Begin anew."""
        self._file.truncate(0)
        self._tally = Tally(self.sums)
        self._origin = None
        self.glued = False

    def headers(self, url: str) -> dict[str, str]:
        """Return what asks for the rest alone; nothing where the rest would not fit for sure.

        Where a sum tells in the end, the rest may also come from another mirror, or from a server
        that does not tell versions apart.
        """
        if self._origin is None or not self.size:
            return {}
        rest = {"Range": f"bytes={self.size}-"}
        if self._origin.validator is not None and self._origin.url == _digest(url):
            return {**rest, "If-Range": self._origin.validator}
        return rest if self.sums else {}

    def begin(self, url: str, answer: Answer) -> None:
        """Take note of where the bytes come from that are added next.

        Raises
        ------
        RequestError
            Where they are not those that follow on what is there.
        """
        if answer.start == 0:
            self.clear()
        elif answer.start != self.size or (
            self._origin is not None
            and answer.total is not None
            and self._origin.total not in (None, answer.total)
        ):
            self.clear()
            raise RequestError(
                "the server sends other bytes than asked for", TRY_LATER, passing=True
            )
        else:
            self.glued = True
        self._origin = _Origin(_digest(url), answer.validator, answer.total)
        self._beside.write_text(json.dumps(vars(self._origin)), encoding="utf-8")

    def add(self, piece: bytes) -> None:
        """Add what came; it is the system's at once, so a killed process leaves it."""
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._tally.update(piece)

    def remove(self) -> None:
        """Remove the part, unless it was moved to where it belongs, and what stands beside it."""
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
    """Fill a part from the first mirror that has what is wanted."""
    failures: list[RequestError] = []
    for url in urls:
        try:
            return _from_mirror(url, part, final, size, progress, patience)
        except RequestError as failure:
            failures.append(failure)
            if len(urls) > 1:
                LOG.info("%s: %s", url, failure.problem)
    kept = f"; the {part.size:,} bytes that came are kept" if part.serves_later else ""
    hint = "Run the same command again to go on from there." if kept else failures[-1].hint
    if len(urls) == 1:
        raise SourceError(failures[0].problem + kept, place=urls[0], hint=hint) from failures[0]
    told = "; ".join(f"{url}: {f.problem}" for url, f in zip(urls, failures, strict=True))
    raise SourceError(
        f"none of its {len(urls)} mirrors gives it: {told}{kept}", place=final.name, hint=hint
    ) from failures[-1]


def _from_mirror(
    url: str,
    part: _Part,
    final: Path,
    size: int | None,
    progress: Progress,
    patience: Patience,
) -> Received:
    """Fill a part from one mirror; where two halves do not fit together, once more from nothing."""
    anew = False
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
                    f"{received.size:,} bytes came, expected {size:,}: it is another version",
                    hint="Compare with the data set's page.",
                )
        except SourceError as error:
            glued = part.glued
            part.clear()
            if anew or not glued:
                raise RequestError(error.problem, error.hint or TRY_LATER) from error
            LOG.info("%s: %s; downloading it anew, from the first byte", url, error.problem)
            anew = True
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
    """Ask one mirror for the rest until it is there; return how the server says it is encoded."""
    fruitless, best = 0, part.size
    asked = 0
    while True:
        asked += 1
        check_wanted(final)
        try:
            return _ask(url, part, size, progress, patience)
        except RequestError as failure:
            fruitless = 0 if part.size > best else fruitless + 1
            best = max(best, part.size)
            wait_s = max(patience.wait_s(fruitless), failure.wait_s or 0.0)
            asks = failure.wait_s is not None and failure.wait_s > patience.longest_asked_s
            over = fruitless == patience.attempts or asked == patience.most_attempts
            if not failure.passing or over or asks:
                times = f" ({asked} requests)" if asked > 1 else ""
                asking = f" and asks to wait {failure.wait_s:.0f} s" if asks else ""
                raise RequestError(f"{failure.problem}{asking}{times}", failure.hint) from failure
            LOG.info("%s: %s; asking again in %.1f s", url, failure.problem, wait_s)
            patience.sleep(wait_s)


def _ask(url: str, part: _Part, size: int | None, progress: Progress, patience: Patience) -> str:
    """Ask once for what is missing, and add what comes; return how it is encoded."""
    try:
        with request(url, part.headers(url), patience.timeout_s) as (answer, pieces):
            total = answer.total
            if None not in (total, size) and total != size:
                raise RequestError(
                    f"the server has {total:,} bytes, expected {size:,}: it is another version",
                    "Compare with the data set's page; if this version is meant, correct the size.",
                )
            part.begin(url, answer)
            _check_room(part, total or size or 0, url)
            progress(part.size, total)
            for piece in _flowing(pieces, patience):
                _add(part, piece, url)
                progress(part.size, total)
    except BeyondEndError as end:
        if end.total != part.size:
            part.clear()
            raise RequestError(
                "the server has less than what came before", TRY_LATER, passing=True
            ) from end
        return ""
    if total is not None and part.size != total:
        came = part.size
        if came > total:
            part.clear()
        raise RequestError(
            f"the transfer was cut: {came:,} of {total:,} bytes came", "Try again.", passing=True
        )
    return answer.encoding


def _flowing(pieces: Iterator[bytes], patience: Patience) -> Iterator[bytes]:
    """Yield pieces as long as they are more than a trickle."""
    came, since = 0, time.monotonic()
    for piece in pieces:
        yield piece
        came += len(piece)
        passed_s = time.monotonic() - since
        if passed_s >= patience.timeout_s:
            if came < passed_s * patience.least_bytes_per_s:
                raise RequestError(
                    f"only {came:,} bytes came in {passed_s:.1f} s", TRY_LATER, passing=True
                )
            came, since = 0, time.monotonic()


def _check_room(part: _Part, total: int, url: str) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total - part.size > free:
        raise SourceError(
            f"{total - part.size:,} bytes are to come, but the disk has room for {free:,}",
            place=url,
            hint=f"Make room where {part.path.parent.absolute()} is.",
        )


def _add(part: _Part, piece: bytes, url: str) -> None:
    try:
        part.add(piece)
    except OSError as error:
        raise SourceError(
            f"can't be written: {error.strerror}",
            place=url,
            hint=f"Make room where {part.path.parent.absolute()} is, and run the same command "
            "again.",
        ) from error
