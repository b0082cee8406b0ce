FONT = [file for file in [DATASET.config.qa.font] if file]


rule qa:
    """A video that shows what is labelled: events by region, outlines, names, tags."""
    input:
        slices=rules.annotate.output.slices,
        clock=rules.clock.output.clock,
        font=FONT,
    output:
        video="<results>/slices/{id}.qa.mp4",
    log:
        "<logs>/qa/{id}.log",
    benchmark:
        "<benchmarks>/qa/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: 2
    params:
        **settings(QaSettings, "qa"),
        font_sha256=[sha256(path) for path in FONT],
        revision=revision("qa"),
    script:
        "../../scripts/qa.py"


rule summary:
    """What is labelled in a recording, as a table and a plot; suspicious tracks."""
    input:
        slices=rules.annotate.output.slices,
        clock=rules.clock.output.clock,
        font=FONT,
    output:
        table="<results>/slices/{id}.summary.tsv",
        plot="<results>/slices/{id}.summary.png",
    log:
        "<logs>/summary/{id}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        font=DATASET.config.qa.font,
        font_sha256=[sha256(path) for path in FONT],
        revision=revision("summary"),
    script:
        "../../scripts/summary.py"


rule preview:
    """A short video of a recording and a picture of it, for the release: what labels it, on its events."""
    input:
        store=rules.events.output.store,
        slices=of_recording(DATASET.preview_file("slices"), []),
        clock=of_recording(DATASET.preview_file("clock"), []),
        boxes=of_recording(DATASET.preview_file("boxes"), []),
        cut=of_recording(DATASET.preview_file("cut"), []),
        font=FONT,
    output:
        video="<results>/previews/{id}.mp4",
        poster="<results>/previews/{id}.jpg",
    log:
        "<logs>/preview/{id}.log",
    benchmark:
        "<benchmarks>/preview/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: 2
    params:
        **settings(PreviewSettings, "preview"),
        labels=of_recording(DATASET.preview_labels),
        font=DATASET.config.qa.font,
        font_sha256=[sha256(path) for path in FONT],
        revision=revision("preview"),
    script:
        "../../scripts/preview.py"


rule all_previews:
    """Every recording's preview."""
    input:
        every("<results>/previews/{id}.mp4"),
        every("<results>/previews/{id}.jpg"),


rule all_qa:
    """Every annotated recording's QA video and summary."""
    input:
        every_annotated("<results>/slices/{id}.qa.mp4"),
        every_annotated("<results>/slices/{id}.summary.tsv"),
        every_annotated("<results>/slices/{id}.summary.png"),
