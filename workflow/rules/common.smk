"""The only helpers: the checked config and table, and how their values reach a rule."""

import copy
import csv
import difflib
import os
import re
from pathlib import Path, PurePosixPath

import jsonschema
import yaml

from evreel.acquire import local_path
from evreel.errors import EvreelError
from evreel.outputs import empty_scratch
from evreel.provenance import STEP_REVISIONS
from evreel.steps import check_settings

SCHEMAS = Path(workflow.basedir) / "workflow" / "schemas"

# Scripts find the package of this checkout also in a conda environment, which has only what
# the package needs.
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        filter(
            None, [str(Path(workflow.basedir) / "src"), os.environ.get("PYTHONPATH")]
        )
    )
)


def read_schema(name):
    """Return a validator that also fills in the defaults of a schema."""
    schema = yaml.safe_load((SCHEMAS / name).read_text(encoding="utf-8"))
    base = jsonschema.Draft202012Validator
    check_properties = base.VALIDATORS["properties"]

    def fill_then_check(validator, properties, instance, schema):
        if isinstance(instance, dict):
            for key, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(key, copy.deepcopy(subschema["default"]))
        yield from check_properties(validator, properties, instance, schema)

    validator = jsonschema.validators.extend(base, {"properties": fill_then_check})
    return validator(schema)


def check(value, validator, where):
    """Stop with one message for each thing in `value` that its schema refuses."""
    problems = [f"{where}: {explain(error)}" for error in validator.iter_errors(value)]
    if problems:
        raise WorkflowError("\n".join(sorted(problems)))


def explain(error):
    """Say where a value is, what it is, what was expected and what was probably meant."""
    place = str(PurePosixPath(*map(str, error.absolute_path)))
    place = "top level" if place == "." else place
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        patterns = error.schema.get("patternProperties", ())
        hints = []
        for key in error.instance:
            if key in known or any(re.search(pattern, key) for pattern in patterns):
                continue
            near = difflib.get_close_matches(key, known, n=1)
            hints.append(
                f"unknown key {key!r}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
        return f"{place}: " + "; ".join(hints)
    meant = error.schema.get("description", "")
    if error.validator == "oneOf":
        return f"{place}: {meant} is needed; got {', '.join(error.instance) or 'none'}"
    return f"{place}: {error.message}" + (f" ({meant})" if meant else "")


def read_recordings(path):
    """Return the recordings table, id → row, with overrides checked against the config's schema."""
    try:
        # Spreadsheets begin a file with a byte order mark; quotes mean nothing in this table.
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(
                file, delimiter="\t", quoting=csv.QUOTE_NONE, restkey=""
            )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WorkflowError(f"recordings: {path} can't be read: {error}")
    validator = read_schema("recordings.schema.yaml")
    recordings = {}
    for line, row in rows:
        where = f"{path}: line {line}"
        if "" in row or None in row.values():
            raise WorkflowError(
                f"{where}: the number of columns is not that of the header"
            )
        row = {key: cell for key, cell in row.items() if cell}
        check(row, validator, where)
        if row["id"] in recordings:
            raise WorkflowError(f"{where}: id {row['id']!r} stands in the table twice")
        if any("/" in key for key in row):
            RESOLVED[row["id"]] = with_overrides(row, where)
        recordings[row["id"]] = row
    if not recordings:
        raise WorkflowError(f"{path}: lists no recording")
    return recordings


def check_together(settings, where):
    """Stop where values that each are of their kind do not go together."""
    try:
        check_settings(settings)
    except EvreelError as error:
        raise WorkflowError(f"{where}: {error}")


def with_overrides(row, where):
    """Return the config with what a row's columns such as ``slices/window_us`` say instead."""
    merged = copy.deepcopy(dict(config))
    for key, cell in row.items():
        if "/" in key:
            *parents, last = key.split("/")
            node = look_up(merged, "/".join(parents))
            if not isinstance(node, dict) or key == "video/container":
                raise WorkflowError(
                    f"{where}: {key!r} is nothing that a recording can change"
                )
            try:
                value = yaml.safe_load(cell)
            except yaml.YAMLError:
                raise WorkflowError(f"{where}: {key}: {cell!r} is no YAML value")
            if value is None:
                node.pop(last, None)
            else:
                node[last] = value
    check(merged, CONFIG_SCHEMA, where)
    check_together(merged, where)
    return merged


def look_up(tree, key):
    """Return the value at a path such as ``slices/window_us``, None where there is none."""
    for part in key.split("/"):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


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
    path = local_path(RECORDINGS[wildcards.id]["source"])
    return [] if path is None else str(path)


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
    """Return a path for every recording and, where the pattern names it, every feature."""
    return expand(pattern, id=RECORDINGS, feature=config["features"])


def release_rows():
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
        for name in ("rois", "tags"):
            if name in row:
                candidates.append(
                    ("annotations", f"annotations/{id_}.{name}.xml", row[name])
                )
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


def licence_file():
    """Return the file with the text of the data's licence, no file where none is named."""
    return config["release"]["licence_file"] or []


def release_metadata():
    """Return what the release says of itself: its name, and the config with all recordings.

    Local files go by their name alone: where they lay is not part of the data set.
    """
    metadata = {key: config["release"][key] for key in ("name", "version", "licence")}
    resolved = {key: value for key, value in config.items() if key != "results"}
    resolved["recordings"] = {
        id_: {
            key: (
                Path(cell).name
                if key in ("source", "rois", "tags") and local_path(cell)
                else cell
            )
            for key, cell in row.items()
        }
        for id_, row in RECORDINGS.items()
    }
    return metadata | {"config": resolved}


CONFIG_SCHEMA = read_schema("config.schema.yaml")
check(config, CONFIG_SCHEMA, "config")
check_together(config, "config")

RESULTS = config["results"]
RELEASE = f"{config['release']['name']}-{config['release']['version']}"
PICTURES = {"mp4": "mp4", "png-zip": "zip"}[config["video"]["container"]]
RESOLVED = {}  # id → settings, for recordings with overrides
RECORDINGS = read_recordings(config["recordings"])


wildcard_constraints:
    id=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    feature=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    suffix=r"[A-Za-z0-9]+",
