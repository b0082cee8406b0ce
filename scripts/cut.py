"""Rule `cut`: where the samples of a recording lie, and of which class they are."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.cut(
        snakemake.input.store,
        snakemake.output.cut,
        steps.given(steps.CutSettings, snakemake.params),
        intervals=snakemake.params.intervals,
        intervals_md5=snakemake.params.intervals_md5,
        intervals_sha256=snakemake.params.intervals_sha256["samples"],
        of_several=snakemake.params.of_several,
        recording=snakemake.wildcards.id,
        members=snakemake.params.members,
        labels=snakemake.params.labels,
        group=snakemake.params.group,
        label=snakemake.params.label,
    )
