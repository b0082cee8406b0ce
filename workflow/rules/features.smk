FEATURES = {
    **settings_of_features(FeatureSettings),
    **sources_of_features(),
    "labels": of_recording(DATASET.sample_labels),
    "times_sha256": digest("times", DATASET.ends_of_windows("times")),
}


rule features_part:
    """A part of the frames of every representation of a recording that several jobs share."""
    input:
        store=rules.events.output.store,
        cut=of_recording(DATASET.cut_table, []),
        slices=of_recording(DATASET.slices_of_regions, []),
        boxes=of_recording(DATASET.ends_of_windows("labels"), []),
        clock=of_recording(DATASET.ends_of_windows("frames"), []),
        times=of_recording(DATASET.ends_of_windows("times"), []),
    output:
        part=temp("<results>/parts/features/{id}/{part}of{parts}.h5"),
    log:
        "<logs>/features_part/{id}/{part}of{parts}.log",
    benchmark:
        "<benchmarks>/features_part/{id}/{part}of{parts}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("features_part", times=len(DATASET.config.features)),
    params:
        **FEATURES,
        features=of_recording(DATASET.feature_files),
        revision=revision("features"),
    script:
        "../../scripts/features_part.py"


rule features:
    """Every representation of one recording, in one pass; those that are as they should be stay."""
    input:
        store=rules.events.output.store,
        cut=of_recording(DATASET.cut_table, []),
        slices=of_recording(DATASET.slices_of_regions, []),
        boxes=of_recording(DATASET.ends_of_windows("labels"), []),
        clock=of_recording(DATASET.ends_of_windows("frames"), []),
        times=of_recording(DATASET.ends_of_windows("times"), []),
        parts=of_recording(DATASET.parts("features")),
    output:
        features=update(
            expand(
                "<results>/features/{feature}/{{id}}.h5",
                feature=DATASET.config.features,
            )
        ),
        # Not there once a job began, until one succeeds: only that tells, since a job that fails
        # leaves the older files of features, and Snakemake then takes them for new ones.
        made=touch("<results>/features/.made/{id}"),
    log:
        "<logs>/features/{id}.log",
    benchmark:
        "<benchmarks>/features/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("features", times=len(DATASET.config.features)),
    params:
        **FEATURES,
        revision=revision("features"),
    script:
        "../../scripts/features.py"


rule feature_boxes:
    """A recording's boxes in the order of a feature's windows."""
    input:
        features="<results>/features/{feature}/{id}.h5",
        made=rules.features.output.made,
        boxes=of_recording(DATASET.boxes_file),
    output:
        boxes="<results>/features/{feature}/{id}_bbox.npy",
        first="<results>/features/{feature}/{id}_bbox_first.npy",
        origin="<results>/features/{feature}/{id}_bbox.json",
    log:
        "<logs>/feature_boxes/{feature}/{id}.log",
    benchmark:
        "<benchmarks>/feature_boxes/{feature}/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("feature_boxes"),
    params:
        **settings(FeatureBoxesSettings, "features/{feature}"),
        revision=revision("feature_boxes"),
    script:
        "../../scripts/feature_boxes.py"


rule all_features:
    """Every feature of every recording, and the boxes of their windows."""
    input:
        every("<results>/features/{feature}/{id}.h5"),
        every_made("<results>/features/.made/{id}"),
        every_boxed("<results>/features/{feature}/{id}_bbox.npy"),
        every_boxed("<results>/features/{feature}/{id}_bbox_first.npy"),
        every_boxed("<results>/features/{feature}/{id}_bbox.json"),
