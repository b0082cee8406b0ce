"""The workflow's own reading of config and table, run with what Snakemake would give it."""

from __future__ import annotations

from support import ROOT

SOURCE = ROOT / "workflow" / "rules" / "config.smk"
CODE = compile(SOURCE.read_text(encoding="utf-8"), str(SOURCE), "exec")


class WorkflowError(Exception):
    """What Snakemake raises to stop with a message."""
