rule archive:
    """An archive that recordings are in, verified; a local one becomes a relative link."""
    input:
        local=local_file,
    output:
        "<results>/archives/{archive}",
    log:
        "<logs>/archive/{archive}.log",
    benchmark:
        "<benchmarks>/archive/{archive}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("archive"),
    params:
        **limits(AcquireSettings, "acquire"),
        source=to_acquire("source"),
        md5=to_acquire_and_verify("md5"),
        sha256=to_acquire_and_verify("sha256"),
        crc32=to_acquire_and_verify("crc32"),
        size_bytes=to_acquire_and_verify("size_bytes"),
        page=to_acquire_and_verify("page"),
        verified=verified,
        notes=str(ACQUIRED),
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
    benchmark:
        "<benchmarks>/plain_archive/{archive}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("plain_archive"),
    params:
        **limits(AcquireSettings, "acquire"),
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
    benchmark:
        "<benchmarks>/acquire/{id}.{suffix}.tsv"
    conda:
        "../../envs/evreel.yaml"
    resources:
        **needs("acquire"),
    params:
        **limits(AcquireSettings, "acquire"),
        source=to_acquire("source"),
        md5=to_acquire_and_verify("md5"),
        sha256=to_acquire_and_verify("sha256"),
        crc32=to_acquire_and_verify("crc32"),
        size_bytes=to_acquire_and_verify("size_bytes"),
        member_md5=to_acquire_and_verify("member_md5"),
        page=to_acquire_and_verify("page"),
        verified=verified,
        notes=str(ACQUIRED),
        revision=revision("acquire"),
    script:
        "../../scripts/acquire.py"
