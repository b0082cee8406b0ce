"""Rule `qa`: a video that shows what is labelled, one picture per row of the clock."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.qa(
        snakemake.input.slices,
        snakemake.input.clock,
        snakemake.output.video,
        steps.given(steps.QaSettings, snakemake.params),
    )
