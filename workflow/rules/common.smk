"""The only helpers: how the values of config and table reach a rule."""

import functools
import os
import re
from collections import Counter
from pathlib import Path

from evreel.acquire import in_archive, read_source
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

COMPRESSED_TAR = re.compile(r"\.(tar\.(gz|xz|bz2)|tgz|txz|tbz2?)$", re.IGNORECASE)

# A cluster may start a job when its run is long dead: it ends here, before Snakemake removes the
# job's output to make it anew.
if not workflow.is_main_process:
    check_wanted(Path(RESULTS) / "recordings")


wildcard_constraints:
    id=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    feature=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    suffix=r"[A-Za-z0-9]+",
    archive=r"[A-Za-z0-9._-]+",


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


def number(name):
    """Return a column of a job's row as a whole number, None where the cell is empty."""

    def value(wildcards):
        cell = RECORDINGS[wildcards.id].get(name)
        return None if cell is None else int(cell)

    return value


def revision(step):
    """Return a step's revision: Snakemake does not notice edits of an imported package."""
    return STEP_REVISIONS[step]


def archive_of(row):
    """Return the file of the archive that a row's recording is in; rows with one share it."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", read_source(row["source"]).file_name)
    digest = row.get("md5") or row["sha256"]
    return f"{digest[:16].lower()}-{name}"


@functools.cache
def archives():
    """Return the archives that recordings are in, file → the first row that says where it lies."""
    rows = [row for row in RECORDINGS.values() if read_source(row["source"]).members]
    return {archive_of(row): row for row in reversed(rows)}


@functools.cache
def wanted_members():
    """Return how many files of each archive are wanted: recordings, and tables beside them."""
    wanted = Counter()
    for row in RECORDINGS.values():
        if read_source(row["source"]).members:
            wanted[archive_of(row)] += 1 + row.get("samples", "").startswith("!")
    return wanted


@functools.cache
def members_from(archive):
    """Return the file that members of an archive are read from.

    Of a tar that is compressed as a whole, that is a plain one where several are wanted: else each
    would be looked for from the beginning.
    """
    if wanted_members()[archive] > 1 and COMPRESSED_TAR.search(archive):
        return f"{RESULTS}/archives/plain/{archive}.tar"
    return f"{RESULTS}/archives/{archive}"


def what_to_get(wildcards):
    """Return what `evreel.steps.acquire` takes for a job's recording, or for its archive.

    An archive is got and verified once, by a job of its own; its recordings are read from that.
    """
    of_archive = "archive" in wildcards.keys()
    row = archives()[wildcards.archive] if of_archive else RECORDINGS[wildcards.id]
    source = read_source(row["source"])
    if source.members and not of_archive:
        return {
            "source": in_archive(members_from(archive_of(row)), source.members),
            "member_md5": row.get("member_md5"),
            "member_gib": config["acquire"]["member_gib"],
        }
    return {
        "source": source.file,
        "md5": row.get("md5"),
        "sha256": row.get("sha256"),
        "size_bytes": int(row["size_bytes"]) if "size_bytes" in row else None,
        "page": row.get("page") if source.manual else None,
    }


def to_get(name):
    """Return one thing of what is to be got, None where nothing is said of it."""

    def value(wildcards):
        return what_to_get(wildcards).get(name)

    return value


def local_file(wildcards):
    """Return the file that a recording or archive is got from, so that a change of it is seen."""
    source = read_source(what_to_get(wildcards)["source"])
    if source.path is None or (source.manual and not source.path.exists()):
        return []
    return str(source.path)


def recording(wildcards):
    """Return the acquired file of a job's recording; it keeps its source's suffix."""
    name = read_source(RECORDINGS[wildcards.id]["source"]).name
    suffix = re.sub(r"[^A-Za-z0-9]", "", Path(name).suffix) or "recording"
    return f"<results>/recordings/{wildcards.id}.{suffix}"


def cutting(id_):
    """Return the config's samples for a recording, None where it is not cut."""
    settings = look_up(RESOLVED.get(id_, config), "samples")
    return settings if settings and settings["by"] != "none" else None


def every_cut(pattern):
    """Return a path for every recording that is cut into samples."""

    def files(wildcards):
        return expand(pattern, id=filter(cutting, RECORDINGS))

    return files


def of_members(key):
    """Return a setting of an archive whose members are samples, None for one recording."""

    def value(wildcards):
        settings = cutting(wildcards.id)
        return settings[key] if settings and settings["by"] == "members" else None

    return value


def member_gib(wildcards):
    """Return the most that a member may have, None for one recording."""
    return config["acquire"]["member_gib"] if of_members("by")(wildcards) else None


def labels_of_samples(wildcards):
    """Return the labels where a recording is cut: what is made of others does not need them."""
    return config["labels"] if cutting(wildcards.id) else None


def cut_of(wildcards):
    """Return the table of a recording's samples, no file where it is not cut."""
    return f"<results>/cuts/{wildcards.id}.tsv" if cutting(wildcards.id) else []


def to_annotate(id_):
    """Tell whether people annotate a recording; one with samples or boxes is labelled already."""
    row = RECORDINGS[id_]
    is_labelled = cutting(id_) or "boxes" in row
    return not is_labelled or not row.keys().isdisjoint(("rois", "tags"))


def every_to_annotate(pattern):
    """Return a path for every recording that people annotate."""

    def files(wildcards):
        return expand(pattern, id=filter(to_annotate, RECORDINGS))

    return files


def intervals_file(wildcards):
    """Return the file with a recording's table of intervals, or the archive that has it."""
    source = intervals_source(wildcards)
    return str(read_source(source).path) if source else []


def intervals_source(wildcards):
    """Return a recording's table of intervals, None where its samples are members."""
    settings, row = cutting(wildcards.id), RECORDINGS[wildcards.id]
    if settings["by"] == "members":
        return None
    if settings["table"] is not None:
        return settings["table"]
    member = row["samples"].removeprefix("!")
    if member == row["samples"]:
        return member
    # Beside the recording: in the archive that it is in, or in the innermost of several.
    *outer, _ = read_source(row["source"]).members
    return in_archive(members_from(archive_of(row)), [*outer, member])


def interval_columns(wildcards):
    """Return what the columns of a recording's table of intervals are called."""
    settings = cutting(wildcards.id)
    columns = settings["columns"]
    of_several = settings["table"] is not None and columns["recording"] is None
    return columns | ({"recording": "recording"} if of_several else {})


def split_lists():
    """Return the lists that ship with the data, split → path, or archive and member."""
    lists = look_up(config, "samples/split/files") or {}
    if any(file.startswith("!") for file in lists.values()) and len(archives()) != 1:
        raise WorkflowError(
            "samples/split/files: ! means the archive that all recordings are in; there are "
            f"{len(archives())}"
        )
    return {
        split: (
            in_archive(members_from(next(iter(archives()))), [file[1:]])
            if file.startswith("!")
            else file
        )
        for split, file in lists.items()
    }


def list_files(wildcards):
    """Return the files of those lists, or the archive that has them."""
    return sorted({str(read_source(file).path) for file in split_lists().values()})


def fixed_splits(wildcards):
    """Return the split of each recording that is cut, None where its samples are of several."""
    return {
        id_: None if row["split"] == "mixed" else row["split"]
        for id_, row in RECORDINGS.items()
        if cutting(id_)
    }


def source_names(wildcards):
    """Return the name that each recording that is cut has at its source."""
    return {
        id_: read_source(row["source"]).name
        for id_, row in RECORDINGS.items()
        if cutting(id_)
    }


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
        boxes = f"{RESULTS}/slices/{id_}_bbox.npy" if "rois" in row else None
        if "boxes" in row:
            boxes = f"{RESULTS}/boxes/{id_}_bbox.npy"
        candidates = [
            ("events", f"{split}/events/{id_}.h5", f"{RESULTS}/events/{id_}.h5")
        ]
        if cutting(id_):
            candidates.append(
                (
                    "samples",
                    f"{split}/samples/{id_}.h5",
                    f"{RESULTS}/samples/{id_}.h5",
                )
            )
        if to_annotate(id_):
            video = f"{RESULTS}/video/{id_}"
            candidates += [
                ("slices", f"{split}/slices/{id_}.h5", f"{RESULTS}/slices/{id_}.h5"),
                ("video", f"video/{id_}.{PICTURES}", f"{video}.{PICTURES}"),
                ("video", f"video/{id_}.clock.tsv", f"{video}.clock.tsv"),
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
        candidates.append(("slices", f"{split}/slices/{id_}_bbox.npy", boxes))
        rows += [
            {"path": path, "source": file, "kind": kind, "id": id_, "split": split}
            for kind, path, file in candidates
            if kind in config["release"]["include"] and file is not None
        ]
    if "samples" in config["release"]["include"] and any(map(cutting, RECORDINGS)):
        table = f"{RESULTS}/samples.tsv"
        rows.append({"path": "samples.tsv", "source": table, "kind": "samples"})
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
    metadata["dataset"] = config.get("dataset")
    settings = {key: value for key, value in config.items() if key != "results"}
    settings["recordings"] = Path(config["recordings"]).name
    for place, file in files_of_config():
        *parents, last = place.split("/")
        # The parts on the way are copied: the config itself stays as it is.
        node = settings
        for part in parents:
            node[part] = dict(node[part])
            node = node[part]
        node[last] = Path(file).name
    recordings = {
        id_: {key: without_folders(key, cell) for key, cell in row.items()}
        for id_, row in RECORDINGS.items()
    }
    return metadata | {"config": settings, "recordings": recordings}


def without_folders(column, cell):
    """Return a cell of the recordings table without the folders of this machine."""
    if column == "source":
        return read_source(cell).public
    is_local = column in (*FILES, "samples/table") and not cell.startswith("!")
    return Path(cell).name if is_local else cell
