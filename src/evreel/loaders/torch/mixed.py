"""Streams and random sequences as tensors, from worker processes: `MixedLoader`."""

from __future__ import annotations

from evreel.loaders import mixed
from evreel.loaders.torch.lanes import InProcesses


class MixedLoader(InProcesses, mixed.MixedLoader):
    """Yield batches of tensors with streams in some lanes and random sequences in the others.

    Takes what `evreel.loaders.mixed.MixedLoader` takes, and what `InProcesses` does; and delivers
    the same, whatever the number of workers: tensors in place of arrays, and labels as NumPy's
    records in lists.
    """
