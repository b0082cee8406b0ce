"""config.yaml and the recordings table: read, completed, checked. A mistake ends here.

Every message names the file, the line, the value, and what was probably meant.
"""

import copy
import csv
import difflib
import functools
import math
import os
import re
from pathlib import Path, PurePosixPath

import jsonschema
import yaml

from evreel.acquire import read_source
from evreel.checks.dataset import same_source
from evreel.errors import EvreelError, did_you_mean
from evreel.steps import check_settings

SCHEMAS = Path(workflow.basedir) / "workflow" / "schemas"
SIDECARS = ("biases", "calibration", "hot_pixels")
FILES = ("source", "rois", "tags", "samples", "boxes", *SIDECARS)
"""Columns with files; those that are local have to be there."""
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FOR_ALL = re.compile("video/container|samples/(split|counts)(/.*)?")
"""Keys that a recording can't have of its own."""
SHOWN = 20
"""Mistakes that are spelled out; the others are counted."""


def stop_at(problems):
    """Stop with one message that has a line for each mistake."""
    problems = list(problems)
    if problems:
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise WorkflowError("\n".join(problems[:SHOWN] + more))


def guess(value, known):
    """Return what a misspelt value was probably to be, as the end of a message."""
    meant = did_you_mean(value, known)
    return f"; {meant}" if meant else ""


def read_schema(name, whole=True):
    """Return a validator that also fills in the defaults of a schema.

    One that is not for the whole fills in and requires nothing at the top level.
    """
    schema = yaml.safe_load((SCHEMAS / name).read_text(encoding="utf-8"))
    if not whole:
        del schema["required"]
        for part in schema["properties"].values():
            part.pop("default", None)
    base = jsonschema.Draft202012Validator
    check_properties = base.VALIDATORS["properties"]

    def fill_then_check(validator, properties, instance, schema):
        if isinstance(instance, dict):
            for key, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(key, copy.deepcopy(subschema["default"]))
        yield from check_properties(validator, properties, instance, schema)

    kinds = base.TYPE_CHECKER.redefine(
        "integer",
        lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    ).redefine(
        "number",
        lambda _, value: isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value),
    )
    validator = jsonschema.validators.extend(
        base, {"properties": fill_then_check}, type_checker=kinds
    )
    return validator(schema)


def mistakes(value, validator):
    """Yield (place, problem) for each thing in `value` that its schema refuses.

    A place is a tuple of keys. The problem says what is there and what is expected.
    """
    for error in validator.iter_errors(value):
        place = tuple(error.absolute_path)
        meant = error.schema.get("description", "")
        if error.validator == "additionalProperties":
            known = list(error.schema.get("properties", ()))
            patterns = error.schema.get("patternProperties", ())
            for key in error.instance:
                if key not in known and not any(
                    re.search(p, str(key)) for p in patterns
                ):
                    yield (
                        (*place, key),
                        f"unknown key {key!r}{guess(key, known)}",
                    )
            continue
        if error.validator == "dependentRequired":
            pairs = error.validator_value.items()
            for key, needed in pairs:
                if key in error.instance and not set(needed) <= set(error.instance):
                    yield place, f"{key} is given without {', '.join(needed)}"
            continue
        if error.validator == "required":
            fields = error.schema.get("properties", {})
            for key in error.validator_value:
                if key not in error.instance:
                    about = fields.get(key, {}).get("description", "")
                    yield place, f"{key} is missing" + (f" ({about})" if about else "")
            continue
        if error.validator in ("oneOf", "anyOf"):
            if not isinstance(error.instance, dict):
                continue  # its type is a problem of its own
            given = ", ".join(error.instance) or "none"
            problem = f"{meant} is needed; got {given}"
        else:
            problem = error.message
            if error.validator == "enum":
                problem += guess(error.instance, error.validator_value)
            if meant:
                problem += f" ({meant})"
        yield place, problem


def named(place, problem):
    """Return a problem behind the keys that lead to it; an unknown key is named by itself."""
    if problem.startswith("unknown key"):
        place = place[:-1]
    keys = str(PurePosixPath(*map(str, place))) if place else "top level"
    return f"{keys}: {problem}"


def keys_with_lines(node, place=(), above=()):
    """Yield (place, line) of every key and item of a YAML document, top down."""
    if node in above:  # an alias of what it stands in: told when the config is checked
        return
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(str(k), value, value) for k, value in enumerate(node.value)]
    else:
        return
    for key, marked, value in pairs:
        yield (*place, key), marked.start_mark.line + 1
        if key != "<<":  # what is merged in has places of its own
            yield from keys_with_lines(value, (*place, key), (*above, node))


def config_lines():
    """Return where each key of the config stands, place → file and line; stop at doubled keys.

    The config may come from several files, of which a later one wins, and from ``--config``.
    """
    lines, doubled = {}, []
    for path in workflow.configfiles:
        path = Path(os.path.relpath(path))
        in_file = {}
        for place, line in keys_with_lines(yaml.compose(path.read_bytes())):
            if place in in_file and place[-1] != "<<":
                doubled.append(
                    f"{path}: line {line}: {'/'.join(place)} is there twice, first at line "
                    f"{in_file[place]}"
                )
            in_file.setdefault(place, line)
        lines |= {place: f"{path}: line {line}" for place, line in in_file.items()}
        lines[()] = f"{path}"
    stop_at(doubled)
    waiting = [
        ((str(key),), value) for key, value in workflow.config_settings.config.items()
    ]
    while waiting:
        place, value = waiting.pop()
        lines[place] = "--config"
        if isinstance(value, dict):
            waiting += [((*place, str(key)), below) for key, below in value.items()]
    return lines


def in_config(place):
    """Return file and line of a place in the config, or of the nearest key above it."""
    place = tuple(map(str, place))
    while place not in CONFIG_LINES:
        place = place[:-1]
    return CONFIG_LINES[place]


def without_aliases(value, above=()):
    """Return a YAML value in which no two places are one object, so that each can be changed."""
    if id(value) in above:
        stop_at([f"{CONFIG_LINES[()]}: an alias stands within what it is an alias of"])
    if isinstance(value, dict):
        return {k: without_aliases(v, (*above, id(value))) for k, v in value.items()}
    if isinstance(value, list):
        return [without_aliases(v, (*above, id(value))) for v in value]
    return value


def alike(names):
    """Return pairs of names that differ in case alone, which some file systems take for one."""
    first = {}
    return [
        (name, first[name.casefold()])
        for name in names
        if first.setdefault(name.casefold(), name) != name
    ]


def checked_config():
    """Complete the config with its defaults, in place; stop where it is not sound."""
    for key, value in config.items():
        config[key] = without_aliases(value)
    stop_at(
        f"{in_config(place)}: {named(place, problem)}"
        for place, problem in mistakes(config, CONFIG_SCHEMA)
    )
    stop_at(
        f"{in_config(together.split(':')[0].split('/'))}: {together}"
        for together in contradictions(config)
    )
    stop_at(
        f"{in_config(('features', name))}: features/{name}: differs from {other} in case alone"
        for name, other in alike(config["features"])
    )
    stop_at(
        f"{in_config(place.split('/'))}: {place}: {no_such_file(file)}"
        for place, file in files_of_config()
        if not exists(Path(file))
    )


def files_of_config():
    """Yield place and path of the local files that the config names, but for the table."""
    if config["release"]["licence_file"] is not None:
        yield "release/licence_file", config["release"]["licence_file"]
    cutting = config.get("samples", {})
    if cutting.get("table") is not None:
        yield "samples/table", cutting["table"]
    for split, file in cutting.get("split", {}).get("files", {}).items():
        if not file.startswith("!"):
            yield f"samples/split/files/{split}", file


def contradictions(settings):
    """Return what of settings that each are of their kind does not go together."""
    try:
        check_settings(settings)
    except EvreelError as error:
        return [str(error)]
    return []


def exists(path):
    """Tell whether a path is that of a file; one that no file can have is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@functools.cache
def names_in(folder):
    return tuple(sorted(os.listdir(folder))) if folder.is_dir() else ()


def no_such_file(path):
    """Say that a file is not there, and which one was probably meant."""
    path = Path(path)
    try:
        path.exists()
    except (OSError, ValueError) as error:
        return f"{str(path)[:80]!r} is no name of a file: {error.args[-1]}"
    if not path.parent.is_dir():
        return f"{str(path)!r} does not exist: there is no folder {str(path.parent)!r}"
    kind = "is a folder" if path.is_dir() else "does not exist"
    near = difflib.get_close_matches(path.name, names_in(path.parent), n=1)
    return f"{str(path)!r} {kind}" + (
        f"; did you mean {str(path.parent / near[0])!r}?"
        if near and near[0] != path.name
        else ""
    )


def table_rows(path, required):
    """Return (line, row) of each row of the recordings table, without its empty cells."""
    try:
        # Spreadsheets begin a file with a byte order mark; quotes mean nothing in this table.
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(
                file, delimiter="\t", quoting=csv.QUOTE_NONE, restkey=""
            )
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            stop_at([f"{path}: is not UTF-8: save it as UTF-8"])
        where = in_config(("recordings",))
        stop_at([f"{where}: recordings: {path!r} can't be read: {error}"])
    except csv.Error as error:
        stop_at([f"{path}: line {reader.line_num + 1}: {error}"])
    if len(columns) < 2:
        stop_at([f"{path}: line 1: has no tab in it; columns are set apart by tabs"])
    stop_at(
        f"{path}: line 1: column {column!r} is there twice"
        for k, column in enumerate(columns)
        if column in columns[:k]
    )
    stop_at(
        f"{path}: line {line}: has {'more' if '' in row else 'fewer'} cells than the header, "
        f"which has {len(columns)}; cells are set apart by tabs"
        for line, row in rows
        if "" in row or None in row.values()
    )
    stop_at(
        f"{path}: line 1: column {column!r} is missing{guess(column, columns)}"
        for column in required
        if column not in columns
    )
    filled = [
        (line, {key: cell for key, cell in row.items() if cell}) for line, row in rows
    ]
    return [(line, row) for line, row in filled if row]


def read_recordings(path):
    """Return the recordings table, id → row, and settings of those with overrides, id → config."""
    validator = read_schema("recordings.schema.yaml")
    recordings, resolved, problems = {}, {}, []
    lines, groups = {}, {}
    for line, row in table_rows(path, validator.schema["required"]):
        found = [named(place, problem) for place, problem in mistakes(row, validator)]
        found += [
            f"{column}: {cell!r} begins or ends with a space"
            for column, cell in row.items()
            if cell != cell.strip()
        ]
        if not found:
            id_ = row["id"]
            first = lines.setdefault(id_.casefold(), line)
            if first != line:
                twice = (
                    "is there twice, first"
                    if id_ in recordings
                    else "differs in case alone from that"
                )
                found.append(f"id: {id_!r} {twice} at line {first}")
            split, first = groups.setdefault(row.get("group"), (row["split"], line))
            if "group" in row and split != row["split"]:
                found.append(
                    f"group: {row['group']!r} is in split {row['split']!r} here, in {split!r} at "
                    f"line {first}; what was recorded together belongs to one split"
                )
            found += missing_files(row)
            overrides = tuple((key, cell) for key, cell in row.items() if "/" in key)
            if overrides:
                resolved[id_], wrong = with_overrides(overrides)
                found += wrong
            found += uncut(row, resolved.get(id_, config))
            recordings[id_] = row
        problems += [f"{path}: line {line}: {problem}" for problem in found]
    stop_at(problems)
    if not recordings:
        stop_at([f"{path}: lists no recording"])
    stop_at(
        f"{path}: line {lines[id_.casefold()]}: {column}: is that of line "
        f"{lines[other.casefold()]}, which is in split {recordings[other]['split']!r}: one "
        "recording in two splits, unless each row takes a time of its own (events/start_us, "
        "events/stop_us)"
        for id_, other, column in same_source(recordings)
    )
    return recordings, resolved


def uncut(row, settings):
    """Yield a problem where it can't be told how a row's recording is cut, or what it is for."""
    cutting = settings.get("samples", {"by": "none", "split": {}})
    by, table = cutting["by"], cutting.get("table")
    if by == "intervals" and table is None and "samples" not in row:
        yield "samples: is missing; it names the table of intervals (samples/by: intervals)"
    if "samples" in row and (by != "intervals" or table is not None):
        yield "samples: is not looked at: samples/by is not intervals, or there is a samples/table"
    if row["split"] == "mixed" and by == "none":
        yield "split: mixed is for recordings that are cut into samples (samples/by)"
    elif row["split"] == "mixed" and not cutting["split"]:
        yield "split: mixed needs samples/split in the config: files, or a seed and shares"
    labelled = by != "none" or "boxes" in row
    if "slices" not in settings and (not labelled or "rois" in row or "tags" in row):
        yield "slices is missing in the config; it is needed for what is annotated in CVAT"
    ranges = ("start_us", "stop_us", "stream")
    if by == "members" and any(
        settings["events"].get(key) is not None for key in ranges
    ):
        yield f"samples/by: members has no events/{', events/'.join(ranges)}: those are of one"
    if table is not None and not exists(Path(table)):
        yield f"samples/table: {no_such_file(table)}"
    axes = ("crop", "swap_xy", "flip_x", "flip_y")
    if "boxes" in row and "rois" in row:
        yield "boxes: rois are boxes too; give one of them"
    elif "boxes" in row and any(settings["events"].get(axis) for axis in axes):
        yield f"boxes: they are of the recording as it is; leave out events/{', '.join(axes)}"
    if row.get("samples", "").startswith("!") and "!" not in row["source"]:
        yield f"samples: source {row['source']!r} is in no archive of which it could be a member"


def missing_files(row):
    """Yield a problem for each local file of a row that is not there.

    A source that is to be downloaded by hand may be missing: its job says how to get it.
    """
    for column in FILES:
        cell = row.get(column)
        if cell is None or (column == "samples" and cell.startswith("!")):
            continue
        try:
            source = read_source(cell if column == "source" else Path(cell))
        except EvreelError as error:
            yield f"{column}: {error}"
            continue
        if column != "source" and re.match("[a-z]+:", cell, re.IGNORECASE):
            yield f"{column}: {cell!r} is no plain path; only a source may be another"
        elif source.path is not None and not source.manual and not exists(source.path):
            yield f"{column}: {no_such_file(source.path)}"
    if "member_md5" in row and "!" not in row["source"]:
        yield f"member_md5: source {row['source']!r} names no member of an archive"


@functools.cache
def with_overrides(cells):
    """Return the config with what columns such as ``slices/window_us`` say instead, and what is
    wrong with that.

    Rows that say the same share one config, and only the parts that they change are checked:
    thousands of rows may have overrides.
    """
    merged, problems = dict(config), []
    changed, other_keys = set(), set()
    for key, cell in cells:
        section, *parents, last = key.split("/")
        if section not in changed:
            merged[section] = copy.deepcopy(merged.get(section, {}))
            changed.add(section)
        node = look_up(merged, "/".join([section, *parents]))
        # A feature is there, or is not, for all recordings.
        whole = section == "features" and not parents
        if not isinstance(node, dict) or FOR_ALL.fullmatch(key) or whole:
            problems.append(f"{key!r} is nothing that a recording can change")
            continue
        try:
            # A text is taken as it stands: a pattern such as */{label}/* means something in YAML.
            is_text = last in node and "string" in validator_of(key).schema.get(
                "type", ()
            )
            value = cell if is_text and cell != "null" else yaml.load(cell, SAFE_LOADER)
        except (yaml.YAMLError, ValueError):  # ValueError: the 45th of a month
            problems.append(f"{key}: {cell!r} is no YAML value")
            continue
        if (
            value is not None and last in node
        ):  # no key comes or goes: the value alone counts
            place = key.split("/")
            problems += [
                named((*place, *below), problem)
                for below, problem in mistakes(value, validator_of(key))
            ]
        else:
            other_keys.add(section)
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    keyed = {section: merged[section] for section in other_keys}
    problems += [
        named(place, problem) for place, problem in mistakes(keyed, PARTS_SCHEMA)
    ]
    parts = {section: merged[section] for section in changed}
    return merged, tuple(problems or contradictions(parts))


@functools.cache
def validator_of(key):
    """Return the validator of one value of the config, such as that of ``slices/window_us``."""
    schema = PARTS_SCHEMA.schema
    for part in key.split("/"):
        schema = (
            schema.get("properties", {}).get(part) or schema["additionalProperties"]
        )
    return PARTS_SCHEMA.evolve(schema=schema)


def look_up(tree, key):
    """Return the value at a path such as ``slices/window_us``, None where there is none."""
    for part in key.split("/"):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


CONFIG_SCHEMA = read_schema("config.schema.yaml")
PARTS_SCHEMA = read_schema("config.schema.yaml", whole=False)
CONFIG_LINES = config_lines()
checked_config()
RECORDINGS, RESOLVED = read_recordings(config["recordings"])
