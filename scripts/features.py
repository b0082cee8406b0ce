"""Rule `features`: every representation of one recording, precomputed."""

from pathlib import Path

from evreel import steps

with steps.logged(snakemake.log[0]):
    of_feature = steps.given_each(steps.FeatureSettings, snakemake.params)
    steps.all_features(
        snakemake.input.store,
        {path: of_feature[Path(path).parent.name] for path in map(Path, snakemake.output.features)},
        parts=snakemake.input.parts,
        threads=snakemake.threads,
        **steps.beside_of(snakemake.input, snakemake.params),
    )
