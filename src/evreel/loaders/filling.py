"""Batches filled by threads, ahead of the one that is asked for."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from evreel.loaders.lane import Lanes, Room

PREFETCHED = 2
"""Batches that workers are ahead."""


def filled(lanes: Lanes, epoch: int, first_batch: int, num_workers: int) -> Generator[Room]:
    """Yield the batches of an epoch, each with the parts of all lanes, and one after its end.

    Parameters
    ----------
    lanes
        What is delivered.
    epoch, first_batch
        Where to begin.
    num_workers
        Threads, each with lanes of its own; 0: batches are filled when they are asked for.
    """
    n = lanes.batch_size
    workers = [range(n)[k::num_workers] for k in range(min(num_workers, n))]
    with contextlib.ExitStack() as stack:
        each = [lanes.lane(number, epoch, first_batch) for number in range(n)]
        for lane in each:
            stack.callback(lane.close)
        pools = [ThreadPoolExecutor(1, "evreel-load") for _ in workers]
        for pool in pools:
            stack.callback(pool.shutdown, cancel_futures=True)

        def fill(room: Room, numbers: Sequence[int]) -> None:
            for number in numbers:
                each[number].fill(room, number)

        pending: deque[tuple[Room, list[Future[None]]]] = deque()
        while True:
            while len(pending) <= (PREFETCHED if pools else 0):
                room = lanes.room(n)
                if not pools:
                    fill(room, range(n))
                parts = zip(pools, workers, strict=True)
                pending.append((room, [pool.submit(fill, room, own) for pool, own in parts]))
            room, futures = pending.popleft()
            for future in futures:
                future.result()
            yield room
            if lanes.are_over(room):
                return
