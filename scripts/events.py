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
        swap_xy=snakemake.params.swap_xy,
        flip_x=snakemake.params.flip_x,
        flip_y=snakemake.params.flip_y,
        invert_polarity=snakemake.params.invert_polarity,
        on_disorder=snakemake.params.on_disorder,
        on_out_of_bounds=snakemake.params.on_out_of_bounds,
        on_damage=snakemake.params.on_damage,
        n_events=snakemake.params.n_events,
        members=snakemake.params.members,
        leave_out=snakemake.params.leave_out or (),
        member_gib=snakemake.params.member_gib,
    )
