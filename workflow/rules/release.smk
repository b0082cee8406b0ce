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
        recipe=of_dataset(recipe_texts),
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
        rows=of_dataset(release_plan),
        revision=revision("release"),
    script:
        "../../scripts/release_plan.py"


LICENCE = [file for file in [DATASET.config.release.licence_file] if file]


rule release:
    """The data set as others get it, with a manifest that they can verify."""
    input:
        plan=rules.release_plan.output.plan,
        files=of_dataset(released_files),
        made=(
            every_made("<results>/features/.made/{id}")
            if "features" in DATASET.config.release.include
            else []
        ),
        licence_file=LICENCE,
    output:
        manifest="<results>/release/<release>/manifest.json",
    log:
        "<logs>/release.log",
    benchmark:
        "<benchmarks>/release.tsv"
    conda:
        "../../envs/evreel.yaml"
    params:
        **settings(ReleaseSettings, "release"),
        description=of_dataset(DataSet.description, sha256),
        acquired=of_dataset(DataSet.recording_files),
        memory=str(KNOWN / "recordings.json"),
        licence_sha256=[sha256(path) for path in LICENCE],
        labels=of_dataset(DataSet.labels),
        revision=revision("release"),
    script:
        "../../scripts/release.py"
