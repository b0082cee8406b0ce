"""Rule `annotate_part`: the regions of a part of a recording's events."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.annotate_part(
        snakemake.input.store,
        snakemake.input.clock,
        snakemake.output.part,
        steps.Share(int(snakemake.wildcards.part), int(snakemake.wildcards.parts)),
        steps.given(steps.RegularWindows, snakemake.params),
        steps.given(steps.AnnotateSettings, snakemake.params),
        threads=snakemake.threads,
        **steps.annotation_of(snakemake.input, snakemake.params),
    )
