"""Rule `features`: every representation of one recording, precomputed."""

from pathlib import Path

from evreel import steps

with steps.logged(snakemake.log[0]):
    of_feature = steps.given_each(steps.FeatureSettings, snakemake.params)
    steps.all_features(
        snakemake.input.store,
        {path: of_feature[Path(path).parent.name] for path in map(Path, snakemake.output.features)},
        parts=snakemake.input.parts,
        cut=snakemake.input.get("cut") or None,
        slices=snakemake.input.get("slices") or None,
        labels=snakemake.params.labels,
        ends={
            "labels": snakemake.input.get("boxes") or None,
            "frames": snakemake.input.get("clock") or None,
            "times": snakemake.input.get("times") or None,
        },
        times_sha256=snakemake.params.times_sha256["times"],
        threads=snakemake.threads,
    )
