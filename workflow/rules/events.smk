rule events:
    """A recording decoded once, into its events store."""
    input:
        recording=recording,
    output:
        store="<results>/events/{id}.h5",
    log:
        "<logs>/events/{id}.log",
    benchmark:
        "<benchmarks>/events/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    params:
        crop=setting("events/crop"),
        start_us=setting("events/start_us"),
        stop_us=setting("events/stop_us"),
        max_pixel_hz=setting("events/max_pixel_hz"),
        stream=setting("events/stream"),
        sensor=column("sensor"),
        swap_xy=setting("events/swap_xy"),
        flip_x=setting("events/flip_x"),
        flip_y=setting("events/flip_y"),
        invert_polarity=setting("events/invert_polarity"),
        on_disorder=setting("events/on_disorder"),
        on_out_of_bounds=setting("events/on_out_of_bounds"),
        on_damage=setting("events/on_damage"),
        n_events=number("n_events"),
        members=of_members("members"),
        leave_out=of_members("leave_out"),
        member_gib=member_gib,
        revision=revision("events"),
    script:
        "../../scripts/events.py"


rule all_events:
    """Every recording's events store."""
    input:
        every("<results>/events/{id}.h5"),
