rule cut:
    """Where the samples of a recording are, and their classes."""
    input:
        store=rules.events.output.store,
        intervals=of_recording(DATASET.intervals_file),
    output:
        cut="<results>/cuts/{id}.tsv",
    log:
        "<logs>/cut/{id}.log",
    benchmark:
        "<benchmarks>/cut/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("cut"),
    params:
        **settings(CutSettings, "samples"),
        intervals=of_recording(DATASET.intervals),
        intervals_md5=to_verify("samples_md5"),
        verified_md5=verified_member,
        intervals_sha256=digest("samples", DATASET.local_intervals),
        of_several=of_recording(DATASET.is_in_shared_table),
        members=of_recording(DATASET.member_pattern),
        labels=of_dataset(DataSet.labels),
        group=column("group"),
        label=column("label"),
        revision=revision("cut"),
    script:
        "../../scripts/cut.py"


rule splits:
    """All samples of the data set, each with its split, in one table to read and keep."""
    input:
        cuts=made_alone(of_released(DataSet.cut_files)),
        batches=made_in_batches(of_released(DataSet.cut_files)),
        lists=of_dataset(DataSet.list_files),
    output:
        table="<results>/samples.tsv",
    log:
        "<logs>/splits.log",
    benchmark:
        "<benchmarks>/splits.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("splits"),
    params:
        **settings(SplitsSettings, "samples"),
        tables=without_rerun(of_released(DataSet.cut_tables)),
        ids=every_cut("{id}"),
        fixed=of_released(DataSet.fixed_splits),
        file_names=of_released(DataSet.source_names),
        incomplete=without_rerun(of_released(DataSet.is_incomplete)),
        lists=DATASET.split_lists,
        lists_sha256={
            split: sha256(path) for split, path in DATASET.local_lists.items()
        },
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
    benchmark:
        "<benchmarks>/samples/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("samples"),
    params:
        labels=of_dataset(DataSet.labels),
        revision=revision("samples"),
    script:
        "../../scripts/samples.py"


rule all_samples:
    """Every recording's samples, and the table of all."""
    input:
        every_cut("<results>/samples/{id}.h5"),
