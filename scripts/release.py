"""Rule `release`: the data set as others get it, with a manifest that they can verify."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.release(
        snakemake.input.plan,
        snakemake.params.folder,
        steps.given(steps.ReleaseSettings, snakemake.params),
        labels=snakemake.params.labels,
        acquired=snakemake.params.acquired,
        memory=snakemake.params.memory,
        stamp=snakemake.output.stamp,
        threads=snakemake.threads,
        **snakemake.params.description,
    )
