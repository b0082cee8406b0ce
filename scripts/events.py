"""Rule `events`: a recording decoded once, into its events store."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.events(
        snakemake.input.recording,
        snakemake.output[0],
        steps.given(steps.EventsSettings, snakemake.params),
        sensor=snakemake.params.sensor,
        format=snakemake.params.format,
        n_events=snakemake.params.n_events,
        sums=snakemake.params.sums,
        archive=steps.given(steps.MemberSettings, snakemake.params),
        limits=steps.given(steps.AcquireSettings, snakemake.params),
        threads=snakemake.threads,
    )
