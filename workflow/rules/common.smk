"""The only helpers: how the values of config and table reach a rule."""

import atexit
import functools
import itertools
import logging
import os
import sys
from pathlib import Path

from snakemake.logging import DefaultFormatter
from snakemake.settings.enums import Quietness

from evreel.acquire import read_source
from evreel.dataset.dataset import DataSet
from evreel.dataset.divided import keep_made_of_parts
from evreel.dataset.failures import what_failed, what_was_warned
from evreel.dataset.inputs import check_inputs, md5_of_member
from evreel.dataset.job_records import mark_failed, recorded_params
from evreel.dataset.memory import Memory
from evreel.dataset.notes import ACQUIRED, Notes, is_archive_of
from evreel.dataset.outdated import forget_outdated, forget_release
from evreel.dataset.plan import (
    published_files,
    records_of_files,
    release_plan,
    released_files,
    working_files,
)
from evreel.dataset.recipe import recipe_texts
from evreel.dataset.settings import (
    AcquireSettings,
    AnnotateSettings,
    BoxesSettings,
    ClockSettings,
    CutSettings,
    NAME,
    EventsSettings,
    FeatureBoxesSettings,
    FeatureSettings,
    MemberSettings,
    PreviewSettings,
    PublishSettings,
    QaSettings,
    ReleaseSettings,
    SplitsSettings,
    VideoSettings,
)
from evreel.dataset.sizes import source_sizes
from evreel.dataset.stated import (
    keep_acquired,
    restore_links,
    settled_count,
    settled_member,
)
from evreel.dataset.stated import verified as verified_or_stated
from evreel.dataset.watching import (
    Estimate,
    Watch,
    errors_only,
    note_signals,
    planned,
)
from evreel.errors import EvreelError
from evreel.folders import is_folder
from evreel.outputs import (
    RUN,
    check_folder,
    check_wanted,
    check_writable,
    start_run,
)
from evreel.provenance import STEP_REVISIONS, digest_of
from evreel.publish.standing import forget_changed
from evreel.release.content import role_of
from evreel.release.recipe import WRITTEN
from evreel.settings import plain, settings_of, unset
from evreel.windows import RegularWindows

# Scripts find the package of this checkout also in a conda environment, which has only what
# the package needs.
PACKAGE = str(Path(workflow.basedir) / "src")
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [PACKAGE, os.environ.get("PYTHONPATH")]))
)

# What is known of local files is beside what Snakemake knows of its jobs.
KNOWN = Path(".snakemake", "evreel")
MEMORY = Memory(KNOWN / "inputs.json")
RELEASED = KNOWN / "recordings.json"

# What a run says at its end is from a log of its own: Snakemake's is as quiet as its output.
RUN_LOG = KNOWN / "run.log"
SIGNALS = []
QUIET = set(workflow.output_settings.quiet or ())

# Unlike `workflow.dryrun`, this is known while the rules are read.
IS_DRY = workflow.output_settings.dryrun

# Jobs share what they compile: beside the package, or else here, where each of them can write.
if not os.access(Path(PACKAGE, "evreel", "kernels"), os.W_OK):
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(KNOWN, "kernels").absolute()))


def stop(error):
    """End with what is wrong, a line for each mistake; Snakemake would add this file's name, twice."""
    print(error, file=sys.stderr)
    raise SystemExit(1)


# With `-q all`, Snakemake would not even say what ends it before a job runs.
ALOUD = (
    errors_only()
    if Quietness.ALL in QUIET and not workflow.dryrun
    else logging.NullHandler()
)
logger.addHandler(ALOUD)

try:
    DATASET = DataSet.read(
        config,
        workflow.configfiles,
        workflow.config_settings.config,
        is_verified=functools.partial(is_archive_of, memory=MEMORY),
    )
    check_folder(Path(DATASET.results))
    if workflow.is_main_process:
        check_writable(KNOWN.parent)
        if not ACQUIRED.exists():
            keep_acquired(DATASET)
        for notice in itertools.chain(
            check_inputs(DATASET, MEMORY),
            () if IS_DRY else restore_links(DATASET, MEMORY),
            forget_outdated(DATASET, MEMORY),
            forget_changed(zip(published_files(DATASET), working_files(DATASET))),
            forget_release(DATASET, MEMORY),
        ):
            logger.warning(notice)
        keep_made_of_parts(DATASET, MEMORY)
        MEMORY.save()
        atexit.register(MEMORY.save)  # with what is found out when jobs are planned
except EvreelError as error:
    stop(error)

# A cluster may start a job when its run is long dead: it ends here, before Snakemake removes the
# job's output to make it again.
if not workflow.is_main_process:
    check_wanted(Path(DATASET.results) / "recordings")

# Whether these are made again is decided by `verified`.
ACQUIRED_FOLDERS = [Path(DATASET.results, name) for name in ("recordings", "archives")]


wildcard_constraints:
    id=NAME,
    feature="|".join(DATASET.config.features) or "(?!)",
    suffix=r"[A-Za-z0-9]+",
    archive=r"[A-Za-z0-9._-]+",
    part=r"[1-9][0-9]*",
    parts=r"[1-9][0-9]*",


def start():
    """Take over the results for this run, name it to its jobs, and watch it."""
    try:
        results = Path(DATASET.results)
        logs = results / "logs", results / "benchmarks"
        os.environ[RUN] = start_run(results, *logs)
        MEMORY.save()
    except EvreelError as error:
        stop(error)
    note_signals(SIGNALS)
    KNOWN.mkdir(parents=True, exist_ok=True)
    full = logging.FileHandler(RUN_LOG, mode="w", encoding="utf-8")
    full.setFormatter(DefaultFormatter(set(), False))
    logger.addHandler(full)
    logger.removeHandler(ALOUD)
    if Quietness.ALL not in QUIET and QUIET != {Quietness.PROGRESS}:
        # With -q, Snakemake does not even tell its handlers.
        workflow.scheduler.print_progress = True
        logger.addHandler(Watch(Estimate(planned_jobs(), dict(source_sizes(DATASET)))))


def planned_jobs():
    """Return the jobs of this run."""
    return [
        planned(job.rule.name, job.wildcards_dict)
        for job in workflow.dag.needrun_jobs()
    ]


def settings(kind, place, only=None):
    """Return a parameter for each setting of a class, with the value for a job's recording.

    `place` is a group of the config, and may name wildcards: ``features/{feature}``. Settings are
    at their defaults where `only` is false of a recording, or it has no such group. Each parameter
    is a pair of name and value, so that Snakemake's reason for running a job again says which
    setting has changed.
    """

    def value_of(name):
        def value(wildcards):
            names = dict(wildcards.items())
            id_ = names.get("id")
            group = DATASET.group(id_, place.format(**names).split("/"))
            if group is None or (only is not None and not only(id_)):
                group = unset(kind)
            return {name: plain(getattr(group, name))}

        return value

    return {f"{kind.__name__}_{name}": value_of(name) for name in settings_of(kind)}


def settings_of_features(kind):
    """Return parameters as `settings` does, for each feature, whose name is in what they say."""

    def named(value, feature):
        return lambda wildcards: {
            f"{feature}/{name}": what for name, what in value(wildcards).items()
        }

    return {
        f"{name} of {feature}": named(value, feature)
        for feature in DATASET.config.features
        for name, value in settings(kind, f"features/{feature}").items()
    }


def sources_of_features():
    """Return a parameter for each feature: the digests of what defines it, if that is a user's own."""

    def value_of(feature):
        return lambda wildcards: {
            f"{feature}: {role}": digest
            for role, digest in DATASET.feature_sources(wildcards.id, feature).items()
        }

    return {
        f"sources of {feature}": value_of(feature)
        for feature in DATASET.config.features
    }


def column(name, kind=str):
    """Return a column of a job's row as text or as a number, None where the cell is empty."""

    def value(wildcards):
        cell = DATASET.row(wildcards.id).get(name)
        return None if cell is None else kind(cell)

    return value


def revision(step):
    """Return a step's revision: Snakemake does not notice edits of an imported package."""
    return STEP_REVISIONS[step]


def of_recording(fact, empty=None):
    """Return a fact of a job's recording, `empty` where there is none."""

    def value(wildcards):
        found = fact(wildcards.id)
        return empty if found is None else found

    return value


def of_dataset(fact, *more):
    """Return a fact of the data set: found when a job needs it, not at each start."""
    return lambda wildcards: fact(DATASET, *more)


def without_rerun(value):
    """Return a parameter of which no change runs a job again.

    It decides whether a job succeeds, and nothing in what the job makes. Snakemake does not compare
    parameters that depend on a job's threads.
    """
    return lambda wildcards, threads: value(wildcards)


def by_digest(**values):
    """Return parameters of which a job takes the value, and Snakemake compares the digest.

    It says why a job runs with the old and the new value, which may be those of 10,000 recordings.
    """

    def compared(value):
        return lambda wildcards: digest_of(value(wildcards))

    return {name: without_rerun(value) for name, value in values.items()} | {
        f"{name}_sha256": compared(value) for name, value in values.items()
    }


def limits(kind, place):
    """Return parameters as `settings` does, of which no change runs a job again."""
    values = settings(kind, place)
    return {name: without_rerun(value) for name, value in values.items()}


def to_verify(name, kind=str):
    """Return a column that only verifies: local files are compared with it before anything runs."""
    return without_rerun(column(name, kind))


def digest(column, path_of=None):
    """Return the SHA-256 of a file of a recording's row, beside its column; None where it has none.

    Snakemake looks at the content of a file only where it is newer than what was made from it. A
    file that was unpacked, copied or checked out may have an older time.
    """
    path_of = path_of or DATASET.file(column)

    def value(wildcards):
        path = path_of(wildcards.id)
        return {column: None if path is None else sha256(path)}

    return value


def digests(column):
    """Return `digest` of each file of a column of annotations: what the file is called → SHA-256."""

    def value(wildcards):
        paths = DATASET.files(column)(wildcards.id)
        found = {role_of(column, k): sha256(path) for k, path in enumerate(paths)}
        return found or {column: None}

    return value


def sha256(path):
    """Return the SHA-256 of a local file of the data set."""
    return MEMORY.digests(path).sha256


def acquired(wildcards):
    """Return what `evreel.steps.acquire` takes for a job's recording, or for its archive."""
    if "archive" in wildcards.keys():
        return DATASET.acquired_archive(wildcards.archive)
    return DATASET.acquired(wildcards.id)


def acquired_file(wildcards):
    """Return what a job acquires, a recording or an archive."""
    if "archive" in wildcards.keys():
        return f"{DATASET.results}/archives/{wildcards.archive}"
    return DATASET.recording_file(wildcards.id)


def to_acquire(name):
    """Return one thing that is stated of a job's source, None where it is not."""
    return lambda wildcards: acquired(wildcards).get(name)


def to_acquire_and_verify(name):
    """Return one thing that a source must have; no change of it runs a job again."""
    return without_rerun(to_acquire(name))


@without_rerun
def sums(wildcards):
    """Return the checksums that a job's recording has."""
    what = acquired(wildcards)
    return {name: what.get(name) for name in ("md5", "sha256")}


@functools.cache
def found_in_releases():
    """Return what releases found out about the recordings."""
    return Memory(RELEASED)


def verified(wildcards):
    """Return what a source was verified to have, as long as it has what is stated now, too.

    The output's path is computed here: Snakemake ignores changes of what depends on `output`.
    """
    path = acquired_file(wildcards)
    return verified_or_stated(
        path,
        acquired(wildcards),
        params=recorded_params(path),
        found=Notes(ACQUIRED).read(path),
        memory=MEMORY,
        known=lambda path: found_in_releases().known(path),
    )


def counted(wildcards):
    """Return the number of events that a store was verified to have, as `verified` does."""
    path = f"{DATASET.results}/events/{wildcards.id}.h5"
    stated = column("n_events", int)(wildcards)
    return settled_count(path, stated, recorded_params(path), revision("events"))


def verified_member(wildcards):
    """Return the MD5 that a table in an archive was verified to have, as `verified` does."""
    source = DATASET.intervals(wildcards.id)
    if source is None or DATASET.local_intervals(wildcards.id) is not None:
        return None
    stated = column("samples_md5")(wildcards)
    params = recorded_params(DATASET.cut_table(wildcards.id))
    return settled_member(
        stated, params, functools.partial(md5_of_member, source, MEMORY)
    )


def local_file(wildcards):
    """Return the file that a recording or archive is taken from, so that its changes are seen."""
    source = read_source(acquired(wildcards)["source"])
    if source.path is None or (source.manual and not source.path.exists()):
        return []
    # A folder is judged by the content of its files alone (`changed`): its time is also that of
    # hidden files.
    if is_folder(source.path):
        return []
    return str(source.path)


def every(
    pattern,
    ids=lambda: DATASET.recordings,
    features=lambda: DATASET.config.features,
):
    """Return a path for every recording and, where the pattern names it, every feature.

    As a function, so that a table of thousands costs only the runs that need it: on a cluster
    each job reads the workflow again.
    """
    return lambda wildcards: expand(pattern, id=ids(), feature=list(features()))


every_cut = functools.partial(every, ids=lambda: DATASET.cut)
every_annotated = functools.partial(every, ids=lambda: DATASET.annotated)
every_boxed = functools.partial(
    every, ids=lambda: DATASET.boxed, features=lambda: DATASET.features_with_boxes
)
every_made = functools.partial(
    every,
    ids=lambda: DATASET.recordings if DATASET.config.features else [],
    features=lambda: [""],
)


def in_report(path, caption, category, content):
    """Return an output that `snakemake --report` shows, in the split of its recording.

    Labels beside the first must not differ in two equal halves: the report makes a switch of them,
    and fails where a recording has one of the two.
    """
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=category,
        subcategory=column("split"),
        labels={"recording": "{id}", "content": content},
    )
