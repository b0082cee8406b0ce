"""Rule `features`: one representation of one recording, precomputed."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.features(
        snakemake.input.store,
        snakemake.output[0],
        steps.given(steps.FeatureSettings, snakemake.params),
        cut=snakemake.input.get("cut") or None,
        labels=snakemake.params.labels,
    )
