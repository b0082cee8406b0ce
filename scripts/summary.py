"""Rule `summary`: what is labelled in a recording, as a table and a plot."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.summary(
        snakemake.input.slices,
        snakemake.output.table,
        snakemake.output.plot,
        font=snakemake.params.font,
        clock=snakemake.input.clock,
    )
