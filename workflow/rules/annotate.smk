ANNOTATION = {
    **settings(RegularWindows, "slices"),
    **settings(AnnotateSettings, "annotate"),
    "rois_md5": to_verify("rois_md5"),
    "tags_md5": to_verify("tags_md5"),
    "rois_sha256": digests("rois"),
    "tags_sha256": digests("tags"),
    "labelled_md5": to_verify("labelled_md5"),
    "labelled_sha256": digest("labelled"),
    "labels": of_dataset(DataSet.labels),
    "names": of_recording(DATASET.names),
}


rule annotate_part:
    """The regions of a part of the events of a recording that several jobs share."""
    input:
        store=rules.events.output.store,
        clock=rules.clock.output.clock,
        rois=of_recording(DATASET.files("rois")),
        tags=of_recording(DATASET.files("tags")),
        labelled=of_recording(DATASET.file("labelled"), []),
    output:
        part=temp("<results>/parts/annotate/{id}/{part}of{parts}.h5"),
    log:
        "<logs>/annotate_part/{id}/{part}of{parts}.log",
    benchmark:
        "<benchmarks>/annotate_part/{id}/{part}of{parts}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("annotate_part"),
    params:
        **ANNOTATION,
        revision=revision("annotate"),
    script:
        "../../scripts/annotate_part.py"


rule annotate:
    """Events, clock and CVAT XML joined: annotated slices and boxes."""
    input:
        store=rules.events.output.store,
        clock=rules.clock.output.clock,
        rois=of_recording(DATASET.files("rois")),
        tags=of_recording(DATASET.files("tags")),
        labelled=of_recording(DATASET.file("labelled"), []),
        parts=of_recording(DATASET.parts("annotate")),
    output:
        slices="<results>/slices/{id}.h5",
        boxes="<results>/slices/{id}_bbox.npy",
    log:
        "<logs>/annotate/{id}.log",
    benchmark:
        "<benchmarks>/annotate/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("annotate"),
    params:
        **ANNOTATION,
        revision=revision("annotate"),
    script:
        "../../scripts/annotate.py"


rule boxes:
    """Boxes that come with a recording, on the time line of its events store."""
    input:
        store=rules.events.output.store,
        published=of_recording(DATASET.file("boxes")),
    output:
        boxes="<results>/boxes/{id}_bbox.npy",
        origin="<results>/boxes/{id}_bbox.json",
    log:
        "<logs>/boxes/{id}.log",
    benchmark:
        "<benchmarks>/boxes/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("boxes"),
    params:
        **settings(BoxesSettings, "boxes"),
        boxes_md5=to_verify("boxes_md5"),
        boxes_sha256=digest("boxes"),
        labels=of_dataset(DataSet.labels),
        revision=revision("boxes"),
    script:
        "../../scripts/boxes.py"


rule all_slices:
    """Every recording's annotated slices and boxes."""
    input:
        every_annotated("<results>/slices/{id}.h5"),
        every_annotated("<results>/slices/{id}_bbox.npy"),
