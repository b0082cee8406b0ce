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
        revision=revision("events"),
    script:
        "../../scripts/events.py"


rule all_events:
    """Every recording's events store."""
    input:
        every("<results>/events/{id}.h5"),
