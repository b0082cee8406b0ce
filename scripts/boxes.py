"""Rule `boxes`: boxes that come with a recording, on the time line of its events store."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.boxes(
        snakemake.input.store,
        snakemake.input.published,
        snakemake.output.boxes,
        steps.given(steps.BoxesSettings, snakemake.params),
        md5=snakemake.params.boxes_md5,
        published_sha256=snakemake.params.boxes_sha256["boxes"],
        labels=snakemake.params.labels,
    )
