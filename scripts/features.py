"""Rule `features`: one representation of one recording, precomputed."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.features(
        snakemake.input.store,
        snakemake.output[0],
        representation=snakemake.params.representation,
        parameters=snakemake.params.parameters,
        window_us=snakemake.params.window_us,
        count=snakemake.params.count_events,
        stride_us=snakemake.params.stride_us,
        stride=snakemake.params.stride,
        tail=snakemake.params.tail,
        number=snakemake.params.number,
        by=snakemake.params.by,
        cut=snakemake.input.get("cut") or None,
        labels=snakemake.params.labels,
    )
