"""Rule `events`: a recording decoded once, into its events store."""

from evreel import steps

with steps.logged(snakemake.log[0]):
    steps.events(
        snakemake.input.recording,
        snakemake.output[0],
        crop=snakemake.params.crop,
        start_us=snakemake.params.start_us,
        stop_us=snakemake.params.stop_us,
        max_pixel_hz=snakemake.params.max_pixel_hz,
        stream=snakemake.params.stream,
        sensor=snakemake.params.sensor,
    )
