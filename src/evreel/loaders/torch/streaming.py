"""Streams of recordings as tensors, from worker processes: `StreamLoader`."""

from __future__ import annotations

from evreel.loaders import streaming
from evreel.loaders.torch.lanes import InProcesses


class StreamLoader(InProcesses, streaming.StreamLoader):
    """Yield batches of tensors straight from recordings, while these are decoded.

    Takes what `evreel.loaders.streaming.StreamLoader` takes, and what `InProcesses` does; and
    delivers the same, whatever the number of workers: tensors in place of arrays, and labels as
    NumPy's records in lists.

    Examples
    --------
    >>> loader = StreamLoader(files, delta_t=50_000, representation="diff")  # doctest: +SKIP
    >>> for batch in loader:  # doctest: +SKIP
    ...     output = network(batch["inputs"])
    """
