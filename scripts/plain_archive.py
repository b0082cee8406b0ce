"""Rule `plain_archive`: a compressed tar, decompressed."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    limits = steps.given(steps.AcquireSettings, snakemake.params)
    steps.acquire(
        snakemake.input.archive,
        snakemake.output[0],
        plain=True,
        member_gib=limits.member_gib,
    )
