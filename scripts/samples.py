"""Rule `samples`: rows, class and split of each sample of a recording."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.samples(
        snakemake.input.store,
        snakemake.input.cut,
        snakemake.input.splits,
        snakemake.output.samples,
        recording=snakemake.wildcards.id,
        labels=snakemake.params.labels,
    )
