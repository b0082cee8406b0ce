"""Rule `annotate`: events, clock and CVAT XML joined into annotated slices and boxes."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.annotate(
        snakemake.input.store,
        snakemake.input.clock,
        snakemake.output.slices,
        snakemake.output.boxes,
        steps.given(steps.RegularWindows, snakemake.params),
        steps.given(steps.AnnotateSettings, snakemake.params),
        parts=snakemake.input.parts,
        threads=snakemake.threads,
        **steps.annotation_of(snakemake.input, snakemake.params),
    )
