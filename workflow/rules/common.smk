"""The only helpers: how the values of config and table reach a rule, and what failed."""

import functools
import os
import re
from pathlib import Path

from evreel.acquire import is_manual, local_path
from evreel.outputs import RUN, check_wanted, start_run
from evreel.provenance import STEP_REVISIONS

# Scripts find the package of this checkout also in a conda environment, which has only what
# the package needs.
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        filter(
            None, [str(Path(workflow.basedir) / "src"), os.environ.get("PYTHONPATH")]
        )
    )
)

RESULTS = config["results"]
RELEASE = f"{config['release']['name']}-{config['release']['version']}"
PICTURES = {"mp4": "mp4", "png-zip": "zip"}[config["video"]["container"]]

# A cluster may start a job when its run is long dead: it ends here, before Snakemake removes the
# job's output to make it anew.
if not workflow.is_main_process:
    check_wanted(Path(RESULTS) / "recordings")


wildcard_constraints:
    id=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    feature=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    suffix=r"[A-Za-z0-9]+",


def setting(key):
    """Return the config's value at `key` for a job's recording, with the row's override if any.

    `key` may name wildcards: ``features/{feature}/window_us``.
    """

    def value(wildcards):
        settings = RESOLVED.get(wildcards.id, config)
        return look_up(settings, key.format(**dict(wildcards.items())))

    return value


def column(name):
    """Return a column of a job's row, None where the cell is empty."""

    def value(wildcards):
        return RECORDINGS[wildcards.id].get(name)

    return value


def revision(step):
    """Return a step's revision: Snakemake does not notice edits of an imported package."""
    return STEP_REVISIONS[step]


def local_source(wildcards):
    """Return a recording's source where it is a file here, so that a change of it is seen."""
    source = RECORDINGS[wildcards.id]["source"]
    path = local_path(source)
    if path is None or (is_manual(source) and not path.exists()):
        return []
    return str(path)


def manual_page(wildcards):
    """Return where a manual source is to be had; of others, which need no page, none."""
    row = RECORDINGS[wildcards.id]
    return row.get("page") if is_manual(row["source"]) else None


def recording(wildcards):
    """Return the acquired file of a job's recording; it keeps its source's suffix."""
    source = RECORDINGS[wildcards.id]["source"].split("?")[0]
    suffix = re.sub(r"[^A-Za-z0-9]", "", Path(source).suffix) or "recording"
    return f"<results>/recordings/{wildcards.id}.{suffix}"


def annotation(name):
    """Return the annotation file in a column, no file where the cell is empty."""

    def file(wildcards):
        return RECORDINGS[wildcards.id].get(name, [])

    return file


def every(pattern):
    """Return a path for every recording and, where the pattern names it, every feature.

    As a function, so that a table of thousands costs only the runs that need it: on a cluster
    each job reads the workflow anew.
    """

    def files(wildcards):
        return expand(pattern, id=RECORDINGS, feature=config["features"])

    return files


@functools.cache
def release_rows(wildcards=None):
    """Return the release's plan, a row a file: path in the release, file, kind, id, split."""
    rows = []
    for id_, row in RECORDINGS.items():
        split = row["split"]
        boxes = f"{RESULTS}/slices/{id_}_bbox.npy"
        candidates = [
            ("events", f"{split}/events/{id_}.h5", f"{RESULTS}/events/{id_}.h5"),
            ("slices", f"{split}/slices/{id_}.h5", f"{RESULTS}/slices/{id_}.h5"),
            ("slices", f"{split}/slices/{id_}_bbox.npy", boxes),
            ("video", f"video/{id_}.{PICTURES}", f"{RESULTS}/video/{id_}.{PICTURES}"),
            ("video", f"video/{id_}.clock.tsv", f"{RESULTS}/video/{id_}.clock.tsv"),
        ]
        candidates += [
            ("annotations", f"annotations/{id_}.{name}.xml", row[name])
            for name in ("rois", "tags")
            if name in row
        ]
        candidates += [
            ("sidecars", f"sidecars/{id_}.{name}{Path(row[name]).suffix}", row[name])
            for name in SIDECARS
            if name in row
        ]
        for feature in config["features"]:
            file = f"{RESULTS}/features/{feature}/{id_}.h5"
            candidates.append(("features", f"{split}/{feature}/{id_}.h5", file))
            candidates.append(("features", f"{split}/{feature}/{id_}_bbox.npy", boxes))
        rows += [
            {"path": path, "source": file, "kind": kind, "id": id_, "split": split}
            for kind, path, file in candidates
            if kind in config["release"]["include"]
        ]
    return rows


def released_files(wildcards):
    """Return the files of the release's plan."""
    return [row["source"] for row in release_rows()]


def licence_file():
    """Return the file with the text of the data's licence, no file where none is named."""
    return config["release"]["licence_file"] or []


def release_metadata(wildcards):
    """Return what the release says of itself: its name, its config, what is known of recordings.

    Local files go by their name alone: where they lay is not part of the data set.
    """
    metadata = {key: config["release"][key] for key in ("name", "version", "licence")}
    settings = {key: value for key, value in config.items() if key != "results"}
    settings["recordings"] = Path(config["recordings"]).name
    if config["release"]["licence_file"]:
        settings["release"] = config["release"] | {
            "licence_file": Path(config["release"]["licence_file"]).name
        }
    recordings = {
        id_: {
            key: Path(cell).name if key in FILES and local_path(cell) else cell
            for key, cell in row.items()
        }
        for id_, row in RECORDINGS.items()
    }
    return metadata | {"config": settings, "recordings": recordings}


def what_failed(snakemake_logs):
    """Return what went wrong in a run, job by job, from Snakemake's logs and those of the jobs."""
    text = "".join(map(text_of, snakemake_logs))
    failed = {}
    for rule, block in re.findall(
        r"^Error in rule (\w+):\n((?: {4}.*\n)*)", text, re.M
    ):
        files = dict(
            re.findall(r"^ {4}(output|log): (.*?)(?: \(check .*\))?$", block, re.M)
        )
        failed[f"{rule}: {files.get('output', '')}"] = files.get("log", "")
    lines = [
        f"{len(failed)} job{'s' * (len(failed) != 1)} failed, and what needs them did not run:"
    ]
    for job, log in failed.items():
        lines += ["", job, f"    {last_word(log)}"]
    lines += [
        "",
        "Mend what they say and run the same command again: what is done stays done.",
    ]
    return "\n".join(lines)


def last_word(log):
    """Return the last line of a job's log: the step's error, unless the job was killed."""
    lines = text_of(log).splitlines()
    if lines and re.match(r"\w+Error: |.+: ", lines[-1]):
        return lines[-1]
    return f"It ended without a word in its log, {log}: it was killed, or ran out of memory or time."


def text_of(path):
    """Return a text file's content, nothing where there is no such file."""
    path = Path(path)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
