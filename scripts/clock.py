"""Rule `clock`: when each frame of a recording's video stands for."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.clock(
        snakemake.input.store,
        snakemake.output[0],
        steps.given(steps.ClockSettings, snakemake.params),
    )
