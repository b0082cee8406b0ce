"""Rules `<step>_of_batch`: a step's own script for each recording of a batch, in one process."""

import runpy

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.batch(
        snakemake.params.step,
        snakemake.params.members,
        lambda member: runpy.run_path(snakemake.params.script, {"snakemake": member}) and None,
        snakemake.output.manifest,
        snakemake.params.ledger,
        before=snakemake.input.before,
    )
