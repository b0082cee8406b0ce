rule publish_events:
    """An events store as others get it, and what a release has to know of it."""
    input:
        store=rules.events.output.store,
    output:
        file="<results>/published/events/{id}.h5",
        record="<results>/published/events/{id}.json",
    log:
        "<logs>/publish_events/{id}.log",
    benchmark:
        "<benchmarks>/publish_events/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("publish_events"),
    params:
        **settings(PublishSettings, "release"),
        revision=revision("publish"),
    script:
        "../../scripts/publish.py"


# Whatever else needs a recording's events takes the record of them as input: Snakemake reads all
# inputs of a job after it, and the record changes with the events.
EVENTS_OF = {
    "store": f"{DATASET.results}/events/{{id}}.h5",
    "published": f"{DATASET.results}/published/events/{{id}}.h5",
}


rule publish_slices:
    """Annotated slices as others get them; what they share with the events is copied."""
    input:
        file=rules.annotate.output.slices,
        events=rules.publish_events.output.record,
    output:
        file="<results>/published/slices/{id}.h5",
        record="<results>/published/slices/{id}.json",
    log:
        "<logs>/publish_slices/{id}.log",
    benchmark:
        "<benchmarks>/publish_slices/{id}.tsv"
    priority: 1  # the release waits for it
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("publish_slices"),
    params:
        **settings(PublishSettings, "release"),
        **EVENTS_OF,
        revision=revision("publish"),
    script:
        "../../scripts/publish.py"


rule publish_samples:
    """The samples of a recording as others get them."""
    input:
        file=rules.samples.output.samples,
        events=rules.publish_events.output.record,
    output:
        file="<results>/published/samples/{id}.h5",
        record="<results>/published/samples/{id}.json",
    log:
        "<logs>/publish_samples/{id}.log",
    benchmark:
        "<benchmarks>/publish_samples/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("publish_samples"),
    params:
        **settings(PublishSettings, "release"),
        **EVENTS_OF,
        revision=revision("publish"),
    script:
        "../../scripts/publish.py"


rule publish_features:
    """One feature of a recording as others get it."""
    input:
        file="<results>/features/{feature}/{id}.h5",
        made=rules.features.output.made,
        events=rules.publish_events.output.record,
    output:
        file="<results>/published/features/{feature}/{id}.h5",
        record="<results>/published/features/{feature}/{id}.json",
    log:
        "<logs>/publish_features/{feature}/{id}.log",
    benchmark:
        "<benchmarks>/publish_features/{feature}/{id}.tsv"
    conda:
        "../../envs/evreel.yaml"
    threads: threads_of
    resources:
        **needs("publish_features"),
    params:
        **settings(PublishSettings, "release"),
        **EVENTS_OF,
        revision=revision("publish"),
    script:
        "../../scripts/publish.py"


rule recipe:
    """What makes the release again, for those who have its recordings."""
    output:
        expand("<results>/recipe/{file}", file=WRITTEN),
    log:
        "<logs>/recipe.log",
    localrule: True
    conda:
        "../../envs/evreel.yaml"
    params:
        **by_digest(recipe=of_released(recipe_texts)),
        revision=revision("recipe"),
    script:
        "../../scripts/recipe.py"


rule release_plan:
    """Which file goes where in the release."""
    output:
        plan="<results>/release/<release>.tsv",
    log:
        "<logs>/release_plan.log",
    localrule: True
    conda:
        "../../envs/evreel.yaml"
    params:
        **by_digest(rows=of_released(release_plan)),
        revision=revision("release"),
    script:
        "../../scripts/release_plan.py"


LICENCE = [file for file in [DATASET.config.release.licence_file] if file]


rule release:
    """The data set as others get it, with a manifest that they can verify."""
    input:
        plan=rules.release_plan.output.plan,
        records=made_alone(of_released(records_of_files)),
        files=made_alone(of_released(released_files)),
        batches=made_in_batches(of_released(files_of_release)),
        made=(
            every_released("<results>/features/.made/{id}")
            if "features" in DATASET.config.release.include
            else []
        ),
        licence_file=LICENCE,
    output:
        # Not the manifest: Snakemake removes outputs before a job, and a job that fails would
        # leave the older release without it.
        stamp="<results>/release/<release>.sha256",
    log:
        "<logs>/release.log",
    benchmark:
        "<benchmarks>/release.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("release"),
    params:
        **settings(ReleaseSettings, "release"),
        **by_digest(
            description=of_released(DataSet.description, sha256),
            acquired=of_released(DataSet.recording_files),
        ),
        memory=str(RELEASED),
        licence_sha256=[sha256(path) for path in LICENCE],
        labels=of_dataset(DataSet.labels),
        revision=revision("release"),
    script:
        "../../scripts/release.py"
