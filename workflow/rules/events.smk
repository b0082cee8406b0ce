rule events:
    """A recording decoded once, into its events store."""
    input:
        recording=of_recording(DATASET.recording_file),
    output:
        store="<results>/events/{id}.h5",
    log:
        "<logs>/events/{id}.log",
    benchmark:
        "<benchmarks>/events/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    params:
        **settings(EventsSettings, "events"),
        **settings(MemberSettings, "samples", only=DATASET.is_archive),
        **limits(AcquireSettings, "acquire"),
        sensor=column("sensor"),
        format=column("format"),
        n_events=to_verify("n_events", int),
        counted=counted,
        sums=sums,
        revision=revision("events"),
    script:
        "../../scripts/events.py"


rule all_events:
    """Every recording's events store."""
    input:
        every("<results>/events/{id}.h5"),
