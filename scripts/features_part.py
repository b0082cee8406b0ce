"""Rule `features_part`: a part of the frames of every representation of one recording."""

from pathlib import Path

from evreel import steps

with steps.logged(snakemake.log[0]):
    of_feature = steps.given_each(steps.FeatureSettings, snakemake.params)
    steps.features_part(
        snakemake.input.store,
        snakemake.output.part,
        steps.Share(int(snakemake.wildcards.part), int(snakemake.wildcards.parts)),
        {Path(path): of_feature[name] for name, path in snakemake.params.features.items()},
        threads=snakemake.threads,
        **steps.beside_of(snakemake.input, snakemake.params),
    )
