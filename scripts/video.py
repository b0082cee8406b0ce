"""Rule `video`: pictures to annotate, one a row of the clock."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.video(
        snakemake.input.store,
        snakemake.input.clock,
        snakemake.output[0],
        style=snakemake.params.style,
        accumulate_us=snakemake.params.accumulate_us,
        contrast=snakemake.params.contrast,
        tau_us=snakemake.params.tau_us,
        fps=snakemake.params.fps,
        preset=snakemake.params.preset,
        crf=snakemake.params.crf,
    )
