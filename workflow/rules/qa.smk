FONT = [file for file in [DATASET.config.qa.font] if file]


rule qa:
    """A video that shows what is labelled: events by region, outlines, names, tags."""
    input:
        slices=rules.annotate.output.slices,
        clock=rules.clock.output.clock,
        font=FONT,
    output:
        video=in_report(
            "<results>/slices/{id}.qa.mp4", "qa", "QA video", "video, frame by frame"
        ),
    log:
        "<logs>/qa/{id}.log",
    benchmark:
        "<benchmarks>/qa/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: 2
    resources:
        **needs("qa"),
    params:
        **settings(QaSettings, "qa"),
        font_sha256=[sha256(path) for path in FONT],
        revision=revision("qa"),
    script:
        "../../scripts/qa.py"


rule summary:
    """What is labelled in a recording, as a table, a plot and a page; suspicious tracks."""
    input:
        slices=rules.annotate.output.slices,
        clock=rules.clock.output.clock,
        font=FONT,
    output:
        table=in_report(
            "<results>/slices/{id}.summary.tsv", "table", "Summary", "table as a file"
        ),
        plot=in_report("<results>/slices/{id}.summary.png", "plot", "Summary", "plot"),
        page=in_report("<results>/slices/{id}.summary.html", "page", "Summary", "table"),
    log:
        "<logs>/summary/{id}.log",
    benchmark:
        "<benchmarks>/summary/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("summary"),
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
        video=in_report(
            "<results>/previews/{id}.mp4", "preview", "Preview", "labelled video"
        ),
        poster="<results>/previews/{id}.jpg",
    log:
        "<logs>/preview/{id}.log",
    benchmark:
        "<benchmarks>/preview/{id}.tsv"
    priority: 1  # the release waits for it
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("preview"),
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
