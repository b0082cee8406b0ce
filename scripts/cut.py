"""Rule `cut`: where the samples of a recording lie, and of which class they are."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.cut(
        snakemake.input.store,
        snakemake.output.cut,
        intervals=snakemake.params.intervals,
        intervals_md5=snakemake.params.intervals_md5,
        columns=snakemake.params.columns,
        recording=snakemake.wildcards.id,
        unit=snakemake.params.unit,
        clock=snakemake.params.clock,
        repeats=snakemake.params.repeats,
        members=snakemake.params.members,
        classes=snakemake.params.classes,
        labels=snakemake.params.labels,
        group=snakemake.params.group,
    )
