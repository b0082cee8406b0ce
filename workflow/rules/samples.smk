rule cut:
    """Where the samples of a recording lie, and of which class they are."""
    input:
        store=rules.events.output.store,
        intervals=intervals_file,
    output:
        cut="<results>/cuts/{id}.tsv",
    log:
        "<logs>/cut/{id}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        intervals=intervals_source,
        intervals_md5=column("samples_md5"),
        columns=interval_columns,
        unit=setting("samples/unit"),
        clock=setting("samples/clock"),
        repeats=setting("samples/repeats"),
        members=setting("samples/members"),
        classes=setting("samples/classes"),
        labels=setting("labels"),
        group=column("group"),
        revision=revision("cut"),
    script:
        "../../scripts/cut.py"


rule splits:
    """All samples of the data set, each with its split: written out, to be read and kept."""
    input:
        cuts=every_cut("<results>/cuts/{id}.tsv"),
        lists=list_files,
    output:
        table="<results>/samples.tsv",
    log:
        "<logs>/splits.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        ids=every_cut("{id}"),
        fixed=fixed_splits,
        file_names=source_names,
        lists=split_lists(),
        seed=look_up(config, "samples/split/seed"),
        shares=look_up(config, "samples/split/shares"),
        counts=look_up(config, "samples/counts"),
        revision=revision("splits"),
    script:
        "../../scripts/splits.py"


rule samples:
    """The samples of a recording: rows of its events store, class and split of each."""
    input:
        store=rules.events.output.store,
        cut=rules.cut.output.cut,
        splits=rules.splits.output.table,
    output:
        samples="<results>/samples/{id}.h5",
    log:
        "<logs>/samples/{id}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        labels=setting("labels"),
        revision=revision("samples"),
    script:
        "../../scripts/samples.py"


rule all_samples:
    """Every recording's samples, and the table of all."""
    input:
        every_cut("<results>/samples/{id}.h5"),
