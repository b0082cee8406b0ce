"""Rule `plain_archive`: a compressed tar, decompressed."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.acquire(
        snakemake.input.archive,
        snakemake.output[0],
        plain=True,
        **steps.given(steps.AcquireSettings, snakemake.params).plain(),
    )
