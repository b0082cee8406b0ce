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
        rois=snakemake.input.rois,
        tags=snakemake.input.tags,
        rois_md5=snakemake.params.rois_md5,
        tags_md5=snakemake.params.tags_md5,
        rois_sha256=snakemake.params.rois_sha256,
        tags_sha256=snakemake.params.tags_sha256,
        labelled=snakemake.input.labelled or None,
        labelled_md5=snakemake.params.labelled_md5,
        labelled_sha256=snakemake.params.labelled_sha256["labelled"],
        labels=snakemake.params.labels,
        names=snakemake.params.names,
        threads=snakemake.threads,
    )
