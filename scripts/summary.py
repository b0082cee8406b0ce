"""Rule `summary`: what is labelled in a recording, as a table, a plot and a page."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.summary(
        snakemake.input.slices,
        snakemake.output.table,
        snakemake.output.plot,
        snakemake.output.page,
        font=snakemake.params.font,
        clock=snakemake.input.clock,
    )
