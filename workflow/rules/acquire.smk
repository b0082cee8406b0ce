rule archive:
    """An archive that recordings are in, verified; a local one becomes a relative link."""
    input:
        local=local_file,
    output:
        "<results>/archives/{archive}",
    log:
        "<logs>/archive/{archive}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        source=to_get("source"),
        md5=to_get("md5"),
        sha256=to_get("sha256"),
        size_bytes=to_get("size_bytes"),
        page=to_get("page"),
        revision=revision("acquire"),
    script:
        "../../scripts/archive.py"


rule plain_archive:
    """A tar that is compressed as a whole, decompressed: its members are found at once."""
    input:
        archive=rules.archive.output[0],
    output:
        "<results>/archives/plain/{archive}.tar",
    log:
        "<logs>/plain_archive/{archive}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        member_gib=config["acquire"]["member_gib"],
        revision=revision("acquire"),
    script:
        "../../scripts/plain_archive.py"


rule acquire:
    """A recording from its source, verified; a local file becomes a relative link."""
    input:
        local=local_file,
    output:
        "<results>/recordings/{id}.{suffix}",
    log:
        "<logs>/acquire/{id}.{suffix}.log",
    conda:
        "../../envs/evreel.yaml"
    params:
        source=to_get("source"),
        md5=to_get("md5"),
        sha256=to_get("sha256"),
        size_bytes=to_get("size_bytes"),
        member_md5=to_get("member_md5"),
        member_gib=to_get("member_gib"),
        page=to_get("page"),
        revision=revision("acquire"),
    script:
        "../../scripts/acquire.py"
