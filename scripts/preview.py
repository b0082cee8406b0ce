"""Rule `preview`: a short video of a recording, and a picture that stands for it."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.preview(
        snakemake.input.store,
        snakemake.output.video,
        snakemake.output.poster,
        steps.given(steps.PreviewSettings, snakemake.params),
        slices=snakemake.input.slices or None,
        clock=snakemake.input.clock or None,
        boxes=snakemake.input.boxes or None,
        cut=snakemake.input.cut or None,
        labels=snakemake.params.labels,
        font=snakemake.params.font,
    )
