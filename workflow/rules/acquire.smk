rule acquire:
    """A recording from its source, its MD5 verified; a local file becomes a relative link."""
    input:
        local=local_source,
    output:
        "<results>/recordings/{id}.{suffix}",
    log:
        "<logs>/acquire/{id}.{suffix}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        source=column("source"),
        md5=column("md5"),
        page=manual_page,
        revision=revision("acquire"),
    script:
        "../../scripts/acquire.py"
