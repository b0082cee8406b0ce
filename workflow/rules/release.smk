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
        rows=release_rows,
        revision=revision("release"),
    script:
        "../../scripts/release_plan.py"


rule release:
    """The data set as others get it, with a manifest that they can verify."""
    input:
        plan=rules.release_plan.output.plan,
        files=released_files,
        licence_file=licence_file(),
    output:
        manifest="<results>/release/<release>/manifest.json",
    log:
        "<logs>/release.log",
    benchmark:
        "<benchmarks>/release.tsv"
    conda:
        "../../envs/evreel.yaml"
    params:
        metadata=release_metadata,
        compression=config["release"]["compression"],
        labels=config["labels"],
        tolerate=config["release"]["tolerate"],
        revision=revision("release"),
    script:
        "../../scripts/release.py"
