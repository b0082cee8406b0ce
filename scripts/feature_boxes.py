"""Rule `feature_boxes`: a recording's boxes in the order of a feature's windows."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.feature_boxes(
        snakemake.input.features,
        snakemake.input.boxes,
        snakemake.output.boxes,
        steps.given(steps.FeatureBoxesSettings, snakemake.params),
    )
