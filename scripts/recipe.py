"""Rule `recipe`: what makes the release again, for those who have the recordings."""

from pathlib import Path

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.recipe(Path(snakemake.output[0]).parent, **snakemake.params.recipe)
