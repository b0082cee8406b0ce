"""Rule `splits`: all samples of the data set, each with its split."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.splits(
        snakemake.params.tables,
        snakemake.output.table,
        steps.given(steps.SplitsSettings, snakemake.params),
        fixed=snakemake.params.fixed,
        file_names=snakemake.params.file_names,
        lists=snakemake.params.lists,
        lists_sha256=snakemake.params.lists_sha256,
        incomplete=snakemake.params.incomplete,
        batches=snakemake.input.batches,
    )
