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
