"""Rule `archive`: an archive that recordings are in, its sums verified."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.acquire(
        snakemake.params.source,
        snakemake.output[0],
        md5=snakemake.params.md5,
        sha256=snakemake.params.sha256,
        crc32=snakemake.params.crc32,
        size_bytes=snakemake.params.size_bytes,
        page=snakemake.params.page,
        notes=snakemake.params.notes,
        **steps.given(steps.AcquireSettings, snakemake.params).plain(),
    )
