"""Rules `publish_…`: a file as others get it, and what a release has to know of it."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.publish(
        snakemake.input[0],
        snakemake.output.file,
        snakemake.output.record,
        steps.given(steps.PublishSettings, snakemake.params),
        store=snakemake.params.get("store"),
        published=snakemake.params.get("published"),
        threads=snakemake.threads,
    )
