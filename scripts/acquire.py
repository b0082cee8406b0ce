"""Rule `acquire`: a recording from its source, its MD5 verified."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.acquire(
        snakemake.params.source,
        snakemake.output[0],
        md5=snakemake.params.md5,
        page=snakemake.params.page,
    )
