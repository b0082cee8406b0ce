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


rule all_features:
    """Every feature of every recording."""
    input:
        every("<results>/features/{feature}/{id}.h5"),
