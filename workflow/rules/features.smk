rule features:
    """One representation of one recording, precomputed."""
    input:
        store=rules.events.output.store,
        cut=cut_of,
    output:
        "<results>/features/{feature}/{id}.h5",
    log:
        "<logs>/features/{feature}/{id}.log",
    benchmark:
        "<benchmarks>/features/{feature}/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    params:
        representation=setting("features/{feature}/representation"),
        parameters=setting("features/{feature}/parameters"),
        window_us=setting("features/{feature}/window_us"),
        count_events=setting("features/{feature}/count"),
        stride_us=setting("features/{feature}/stride_us"),
        stride=setting("features/{feature}/stride"),
        tail=setting("features/{feature}/tail"),
        number=setting("features/{feature}/number"),
        by=setting("features/{feature}/by"),
        labels=labels_of_samples,
        revision=revision("features"),
    script:
        "../../scripts/features.py"


rule all_features:
    """Every feature of every recording."""
    input:
        every("<results>/features/{feature}/{id}.h5"),
