rule features:
    """One representation of one recording, precomputed."""
    input:
        store=rules.events.output.store,
        cut=of_recording(DATASET.cut_table, []),
    output:
        "<results>/features/{feature}/{id}.h5",
    log:
        "<logs>/features/{feature}/{id}.log",
    benchmark:
        "<benchmarks>/features/{feature}/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    params:
        **settings(FeatureSettings, "features/{feature}"),
        labels=of_recording(DATASET.sample_labels),
        revision=revision("features"),
    script:
        "../../scripts/features.py"


rule feature_boxes:
    """A recording's boxes in the order of a feature's windows."""
    input:
        features=rules.features.output[0],
        boxes=of_recording(DATASET.boxes_file),
    output:
        boxes="<results>/features/{feature}/{id}_bbox.npy",
        first="<results>/features/{feature}/{id}_bbox_first.npy",
        origin="<results>/features/{feature}/{id}_bbox.json",
    log:
        "<logs>/feature_boxes/{feature}/{id}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        **settings(FeatureBoxesSettings, "features/{feature}"),
        revision=revision("feature_boxes"),
    script:
        "../../scripts/feature_boxes.py"


rule all_features:
    """Every feature of every recording, and the boxes of their windows."""
    input:
        every("<results>/features/{feature}/{id}.h5"),
        every_boxed("<results>/features/{feature}/{id}_bbox.npy"),
        every_boxed("<results>/features/{feature}/{id}_bbox_first.npy"),
        every_boxed("<results>/features/{feature}/{id}_bbox.json"),
