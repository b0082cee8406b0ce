"""Rule `release_plan`: which file goes where in the release."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.release_plan(snakemake.params.rows, snakemake.output[0])
