"""Rule `clock`: when each frame of a recording's video stands for."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.clock(
        snakemake.input.store,
        snakemake.output[0],
        steps.given(steps.ClockSettings, snakemake.params),
        table=snakemake.input.table or None,
        table_md5=snakemake.params.clock_md5,
        table_sha256=snakemake.params.clock_sha256["clock"],
    )
