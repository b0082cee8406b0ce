"""``evreel …``: every step by hand, without Snakemake."""

from evreel.cli.main import main

__all__ = ["main"]
