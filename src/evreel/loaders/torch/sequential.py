"""Sequences as tensors, from worker processes: `SequentialLoader`."""

from __future__ import annotations

from evreel.loaders import sequential
from evreel.loaders.torch.lanes import InProcesses


class SequentialLoader(InProcesses, sequential.SequentialLoader):
    """Yield batches of tensors that go on from batch to batch.

    Takes what `evreel.loaders.sequential.SequentialLoader` takes, and what `InProcesses` does; and
    delivers the same, whatever the number of workers: tensors in place of arrays, and labels as
    NumPy's records in lists.

    Examples
    --------
    >>> loader = SequentialLoader("release", feature="counts", array_dim=(10,))  # doctest: +SKIP
    >>> for batch in loader:  # doctest: +SKIP
    ...     state = state * batch["mask_keep_memory"]
    ...     output, state = network(batch["inputs"], state)
    """
