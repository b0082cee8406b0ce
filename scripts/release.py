"""Rule `release`: the data set as others get it, with a manifest that they can verify."""

from pathlib import Path

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.release(
        snakemake.input.plan,
        Path(snakemake.output.stamp).with_suffix(""),  # named <name>-<version>.sha256
        steps.given(steps.ReleaseSettings, snakemake.params),
        labels=snakemake.params.labels,
        acquired=snakemake.params.acquired,
        memory=snakemake.params.memory,
        batches=snakemake.input.batches,
        stamp=snakemake.output.stamp,
        threads=snakemake.threads,
        **snakemake.params.description,
    )
