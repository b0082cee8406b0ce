rule clock:
    """The time that each frame of a video stands for; encoding the video again changes nothing here."""
    input:
        store=rules.events.output.store,
        table=of_recording(DATASET.file("clock"), []),
    output:
        clock="<results>/video/{id}.clock.tsv",
    log:
        "<logs>/clock/{id}.log",
    benchmark:
        "<benchmarks>/clock/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("clock"),
    params:
        **settings(ClockSettings, "video"),
        clock_md5=to_verify("clock_md5"),
        clock_sha256=digest("clock"),
        revision=revision("clock"),
    script:
        "../../scripts/clock.py"


rule video:
    """Pictures to annotate, one per row of the clock."""
    input:
        store=rules.events.output.store,
        clock=rules.clock.output.clock,
    output:
        "<results>/video/{id}.<pictures>",
    log:
        "<logs>/video/{id}.log",
    benchmark:
        "<benchmarks>/video/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: 2
    resources:
        **needs("video"),
    params:
        **settings(VideoSettings, "video"),
        revision=revision("video"),
    script:
        "../../scripts/video.py"


rule all_videos:
    """Every recording's video and clock."""
    input:
        every_annotated("<results>/video/{id}.<pictures>"),
        every_annotated("<results>/video/{id}.clock.tsv"),
