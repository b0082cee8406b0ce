"""Rule `video`: pictures to annotate, one per row of the clock."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.video(
        snakemake.input.store,
        snakemake.input.clock,
        snakemake.output[0],
        steps.given(steps.VideoSettings, snakemake.params),
    )
