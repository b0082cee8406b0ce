"""Rule `annotate`: events, clock and CVAT XML joined into annotated slices and boxes."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.annotate(
        snakemake.input.store,
        snakemake.input.clock,
        snakemake.output.slices,
        snakemake.output.boxes,
        rois=snakemake.input.rois or None,
        tags=snakemake.input.tags or None,
        rois_md5=snakemake.params.rois_md5,
        tags_md5=snakemake.params.tags_md5,
        labels=snakemake.params.labels,
        window_us=snakemake.params.window_us,
        count=snakemake.params.count_events,
        tail=snakemake.params.tail,
        clip=snakemake.params.clip,
        unsupported=snakemake.params.unsupported,
        part_of_video=snakemake.params.part_of_video,
    )
