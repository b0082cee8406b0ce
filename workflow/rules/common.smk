"""The only helpers: how the values of config and table reach a rule."""

import atexit
import functools
import itertools
import logging
import os
import sys
from pathlib import Path

from snakemake.logging import DefaultFormatter
from snakemake.path_modifier import PathModifier
from snakemake.pathvars import Pathvars
from snakemake.settings.enums import Quietness

import evreel

from evreel.acquire import read_source
from evreel.acquire.s3 import take_settings
from evreel.dataset.batches import (
    Batches,
    failed_in_batches,
    forget_changed_batches,
    forget_unlike,
    is_seen,
    made_of_batches,
    params_in_batches,
    told_of_failed,
)
from evreel.dataset.dataset import DataSet
from evreel.dataset.divided import keep_made_of_parts
from evreel.dataset.failures import reasons, what_failed, what_was_warned
from evreel.dataset.hosted import Modules, check_storage, place_of, with_results
from evreel.dataset.inputs import check_inputs, md5_of_member
from evreel.dataset.job_records import mark_failed, recorded_params
from evreel.dataset.ledger import hand_over, ledger_of
from evreel.dataset.members import Deferred
from evreel.dataset.memory import Memory
from evreel.dataset.missing import (
    Ran,
    keep_failures,
    left_out,
    tried_again,
    what_is_left_out,
    what_is_missing,
)
from evreel.dataset.needs import check_arrays, mem_mb, runtime_min
from evreel.dataset.notes import ACQUIRED, Notes, is_archive_of
from evreel.dataset.outdated import forget_outdated, forget_release
from evreel.dataset.plan import (
    files_of_release,
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
from evreel.dataset.sizes import Sizes, source_sizes, threads_for
from evreel.dataset.stated import (
    keep_acquired,
    restore_links,
    settled_count,
    settled_member,
)
from evreel.dataset.stated import verified as verified_or_stated
from evreel.dataset.watching import (
    AtStart,
    Estimate,
    Watch,
    errors_only,
    note_signals,
    planned,
    say,
)
from evreel.errors import EvreelError
from evreel.folders import is_folder
from evreel.outputs import (
    RUN,
    check_folder,
    check_wanted,
    check_writable,
    end_run,
    hold_run,
    is_running,
    start_run,
)
from evreel.provenance import STEP_REVISIONS, digest_of
from evreel.publish.standing import forget_changed
from evreel.release.content import role_of
from evreel.release.recipe import WRITTEN
from evreel.settings import plain, settings_of, unset
from evreel.windows import RegularWindows

# Scripts find the package of this checkout also in a conda environment, which has only what
# the package needs. Read from elsewhere than a folder, the workflow has none: the one that is
# installed serves.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
PACKAGE = HERE.parents[1] / "src"
KNOWN_PATHS = os.environ.get("PYTHONPATH", "")
if PACKAGE.is_dir() and str(PACKAGE) not in KNOWN_PATHS.split(os.pathsep):
    os.environ.update(
        PYTHONPATH=os.pathsep.join(filter(None, [str(PACKAGE), KNOWN_PATHS]))
    )

# Names of the module that another workflow has this one as, the outermost first; none if it runs
# by itself.
OUTER = workflow.modifier
LEVELS = []
while not OUTER.is_main_snakefile():
    LEVELS.insert(0, OUTER.namespace)
    OUTER = OUTER.parent_modifier
MODULE = ".".join(LEVELS)
MODULES = vars(workflow).setdefault("evreel_modules", Modules())

# Where nothing says which target is the default, Snakemake takes the first.
IS_DEFAULT = not MODULE or workflow.default_target is None

# What is known of local files is beside what Snakemake knows of its jobs.
KNOWN = Path(".snakemake", "evreel")
OWN = KNOWN / "modules" / MODULE if MODULE else KNOWN
MEMORY = Memory(OWN / "inputs.json")
RELEASED = OWN / "recordings.json"
FAILED = OWN / "failed.json"

# What Snakemake's plugin for S3 is told holds for recordings in such stores, too.
if "s3" in (workflow.storage_provider_settings or {}):
    for plugin_settings in workflow.storage_provider_settings["s3"]:
        take_settings(vars(plugin_settings))

# As variables of paths name them. In a function, `workflow` is in the state of a later module.
LOGS = "logs", "benchmarks"
PATHVARS = workflow.pathvars

# What a run says at its end is from a log of its own: Snakemake's is as quiet as its output.
RUN_LOG = KNOWN / "run.log"
SIGNALS = []
HELD = []
QUIET = set(workflow.output_settings.quiet or ())

# Unlike `workflow.dryrun`, this is known while the rules are read.
IS_DRY = workflow.output_settings.dryrun

# Jobs share what they compile: beside the package, or else here, where each of them can write.
COMPILED = PACKAGE / "evreel" if PACKAGE.is_dir() else Path(evreel.__file__).parent
if not os.access(COMPILED / "kernels", os.W_OK):
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
if not MODULES.results:
    logger.addHandler(ALOUD)


def pathvars_of(level):
    """Return variables of paths by who says them: 1 a module, 2 the config of the whole workflow."""
    said = workflow.pathvars
    return {
        name: said.apply(said.items[name])
        for name in said.items
        if said.level[name] == level
    }


# When it is read again, for a rule that is changed, what follows from them is among them.
SAID = MODULES.said.setdefault(MODULE, (pathvars_of(1), pathvars_of(2)))


def moved(path):
    """Return where the prefix of a module puts a path."""
    return str(workflow.modifier.path_modifier.replace_prefix(path))


def read_data_set():
    """Return the data set that the config describes."""
    values, known = config, {"files": workflow.configfiles}
    known["given"] = workflow.config_settings.config
    if MODULE:
        values = with_results(config, MODULE, *SAID, moved)
        place = place_of(config, OUTER.globals["config"])
        known |= {"within": place} if place else {"files": (), "given": {}}
        known["name"] = f"config of module {MODULE}"
    return DataSet.read(
        values, is_verified=functools.partial(is_archive_of, memory=MEMORY), **known
    )


def judged_results():
    """Let what is not as it should be be made again, and yield what to say of it."""
    if not IS_DRY:
        hand_over(DATASET.results, BATCHES.concerned, BATCHES.of)
        yield from restore_links(DATASET, MEMORY)
    yield from forget_outdated(DATASET, MEMORY, is_seen(*OF_BATCHES))
    yield from forget_changed(zip(published_files(DATASET), working_files(DATASET)))
    yield from forget_release(DATASET, MEMORY)
    yield from forget_changed_batches(*OF_BATCHES)


try:
    check_storage(workflow.storage_settings.default_storage_provider)
    DATASET = read_data_set()
    IS_NEW_MODULE = bool(MODULE) and MODULES.enter(MODULE, DATASET.results)
    check_folder(Path(DATASET.results))
    # In another workflow, whose rules take single files, each recording has jobs of its own.
    BATCHES = Batches(DATASET, shared=not MODULE)
    OF_BATCHES = DATASET.results, [*BATCHES.concerned], [*BATCHES.ids]
    LEFT_OUT = left_out(DATASET, FAILED, MEMORY)
    if workflow.is_main_process:
        check_writable(KNOWN.parent)
        # What a run at work has made of its files is not judged by another, which will not start.
        is_other = is_running(Path(DATASET.results))
        if not ACQUIRED.exists() and not is_other:
            keep_acquired(DATASET)
        for notice in itertools.chain(
            check_inputs(DATASET, MEMORY, LEFT_OUT),
            () if is_other else judged_results(),
        ):
            logger.warning(notice)
        if not is_other:
            keep_made_of_parts(DATASET, MEMORY)
        if LEFT_OUT:
            logger.warning(what_is_left_out(DATASET, LEFT_OUT))
        MEMORY.save()
        atexit.register(MEMORY.save)  # with what is found out when jobs are planned
except EvreelError as error:
    stop(error)

# What is released. Recordings of which a job failed may be left out; they are tried again all the same.
COMPLETE = DATASET.without(LEFT_OUT)

# A cluster may start a job when its run is long dead: it ends here, before Snakemake removes the
# job's output to make it again.
if not workflow.is_main_process:
    check_wanted(Path(DATASET.results) / "recordings")

# A prefix moves what is built, and not the files that config and table name: these are where they
# are. So it is in the folders here, and no more in the paths of rules.
if MODULE:
    folders = {
        "logs": f"{DATASET.results}/logs",
        "benchmarks": f"{DATASET.results}/benchmarks",
        **{name: moved(path) for name, path in SAID[0].items() if name in LOGS},
    }
    workflow.pathvars.update(
        Pathvars.from_module(
            {
                **folders,
                "results": DATASET.results,
                "release": DATASET.release_name,
                "pictures": DATASET.video_suffix,
            }
        )
    )
    workflow.modifier.path_modifier = PathModifier(None, None, workflow)


wildcard_constraints:
    id=NAME,
    feature="|".join(DATASET.config.features) or "(?!)",
    suffix=r"[A-Za-z0-9]+",
    archive=r"[A-Za-z0-9._-]+",
    part=r"[1-9][0-9]*",
    parts=r"[1-9][0-9]*",


def take_over(run=None):
    """Take over the results for this run, and name it to its jobs."""
    try:
        if is_in_arrays():
            limits = workflow.resource_settings.nodes, rate_limit()
            at_a_time = min(filter(None, limits), default=sys.maxsize)
            check_arrays(len(planned_jobs()), at_a_time)
        HELD.append(hold_run(Path(DATASET.results)))  # until this process ends
        logs = [Path(PATHVARS.apply(f"<{name}>")) for name in LOGS]
        os.environ[RUN] = start_run(Path(DATASET.results), *logs, name=run)
        MEMORY.save()
    except EvreelError as error:
        stop(error)


def keep_log():
    """Keep what Snakemake tells of this run, and what ends it."""
    note_signals(SIGNALS)
    KNOWN.mkdir(parents=True, exist_ok=True)
    full = logging.FileHandler(RUN_LOG, mode="w", encoding="utf-8")
    full.setFormatter(DefaultFormatter(set(), False))
    logger.addHandler(full)
    # It may be called by a handler, and a list that one of them is removed from skips the next.
    ALOUD.setLevel(logging.CRITICAL + 1)


# These three are for a run of this workflow. As a module, it is begun and ended by the functions
# below them, also where the other workflow calls these (`street.onstart()`).
def start():
    """Begin a run: take over the results, keep a log, tell how far it is."""
    if MODULE:
        return
    take_over()
    keep_log()
    if Quietness.ALL not in QUIET and QUIET != {Quietness.PROGRESS}:
        # With -q, Snakemake does not even tell its handlers.
        workflow.scheduler.print_progress = True
        logger.addHandler(Watch(Estimate(planned_jobs(), sizes_of_run())))


def end(succeeded):
    """End a run: let jobs that failed run again, keep what failed, and say how it went."""
    if MODULE:
        return
    logs = [RUN_LOG]
    if succeeded:
        said = [what_was_warned(logs)]
    else:
        mark_failed(logs, kept=kept_records(DATASET.results))
        said = [what_failed(logs, SIGNALS)]
    shared = failed_in_batches(*OF_BATCHES)
    if shared:
        said.append(told_of_failed(shared, f"{DATASET.results}/logs"))
    if FAILED.exists() or shared or not succeeded:
        failed = {} if succeeded else reasons(logs, SIGNALS)
        said.append(told_of_release(jobs_of_run(), failed, shared))
    if RUN in os.environ:
        end_run(Path(DATASET.results))
    if any(said):
        say("\n\n".join(filter(None, said)))
    # The jobs of their batches did not fail. A release alone does not try what it leaves out: they
    # were tried because they share jobs with others.
    targets = {job.rule.name for job in workflow.dag.targetjobs}
    if shared.keys() - (LEFT_OUT.keys() if targets == {"release"} else ()):
        raise SystemExit(1)


def told_of_release(jobs, failed, shared):
    """Keep what a run could not make, for the release of the next; return what to say of its own."""
    of_batches = made_of_batches(*OF_BATCHES)
    failed = keep_failures(*(DATASET, FAILED, MEMORY, jobs, failed), shared, of_batches)
    stamp = f"{DATASET.results}/release/{DATASET.release_name}.sha256"
    built = [job.is_done for job in jobs if stamp in job.outputs]
    return "".join(
        what_is_missing(DATASET, LEFT_OUT, failed, is_done) for is_done in built
    )


def jobs_of_run():
    """Return the jobs of this run, also those that have nothing to do."""
    dag = workflow.dag
    jobs = list(dag.jobs)
    places = {job: k for k, job in enumerate(jobs)}
    return [
        Ran(
            tuple(map(str, job.output)),
            bool(job.wildcards_dict),
            dag.noneedrun_finished(job),
            tuple(places[after] for after in dag.depending[job] if after in places),
        )
        for job in jobs
    ]


def kept_records(*results):
    """Return the folders of which it is for `verified` to decide whether their files are made again."""
    return [
        Path(folder, name) for folder in results for name in ("recordings", "archives")
    ]


def start_module():
    """Begin a run of another workflow, which tells by itself how far it is."""
    take_over(MODULES.run)
    MODULES.releases.append(functools.partial(told_of_release, shared={}))
    if MODULE == next(iter(MODULES.results)):
        keep_log()
        atexit.register(end_of_modules)


def end_of_modules():
    """Let jobs of modules that failed run again, and tell of them."""
    results = list(MODULES.results.values())
    mark_failed([RUN_LOG], kept=kept_records(*results), within=results)
    told = what_failed([RUN_LOG], SIGNALS, within=results) or what_was_warned([RUN_LOG])
    jobs, failed = jobs_of_run(), reasons([RUN_LOG], SIGNALS)
    said = [told, *(each(jobs, failed) for each in MODULES.releases)]
    if any(said):
        say("\n\n".join(filter(None, said)))


if IS_NEW_MODULE and workflow.is_main_process and not IS_DRY:
    logger.addHandler(AtStart(start_module))


def sizes_of_run():
    """Return the size of each recording and archive; a batch has the name of its first one."""
    sizes = dict(source_sizes(DATASET))
    batches = {
        name: sum(sizes.get(i, 0) for i in ids) for name, ids in BATCHES.ids.items()
    }
    return sizes | batches


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

    known = {}  # most recordings have no settings of their own, and share these
    last = None, {}  # for whom, and what: all parameters of a job are asked for in turn

    def group_of(wildcards):
        nonlocal last
        id_, feature = wildcards.get("id"), wildcards.get("feature", "")
        if last[0] == (id_, feature):
            return last[1]
        key = id(DATASET.settings(id_)), feature, only is None or only(id_)
        if key not in known:
            path = place.format(feature=feature).split("/")
            group = DATASET.group(id_, path) if key[-1] else None
            group = unset(kind) if group is None else group
            known[key] = {name: {name: plain(getattr(group, name))} for name in names}
        last = (id_, feature), known[key]
        return known[key]

    def value_of(name):
        return lambda wildcards: group_of(wildcards)[name]

    names = settings_of(kind)
    return {f"{kind.__name__}_{name}": value_of(name) for name in names}


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


def of_released(fact, *more):
    """Return a fact of what is released of the data set, as `of_dataset` does."""
    return lambda wildcards: fact(COMPLETE, *more)


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


def needs(rule, times=1):
    """Return the resources that a rule's job asks a cluster for; they limit nothing on one machine.

    `times` is how often the job does what others do once.
    """

    def memory(wildcards, attempt):
        return mem_mb(rule, source_bytes(wildcards), attempt)

    def minutes(wildcards, attempt):
        of_each = source_bytes(wildcards) / parts_of(wildcards)
        return runtime_min(rule, of_each, attempt, times)

    return {"mem_mb": memory, "runtime": minutes}


def jobs_per_recording(step):
    """Return how often a batch does a step's work for each recording: once for each feature."""
    is_of_features = step in ("features", "feature_boxes", "publish_features")
    return len(DATASET.config.features) if is_of_features else 1


SIZES = Sizes(DATASET, fixed=IS_DRY)


def source_bytes(wildcards):
    """Return the size of what a job works on: recordings, an archive, or all; 0 if unknown."""
    if "archive" in wildcards.keys():
        return SIZES.of_archive(wildcards.archive)
    if "batch" in wildcards.keys():
        return sum(map(SIZES.of_recording, BATCHES.ids[wildcards.batch]))
    if "id" in wildcards.keys() and not is_in_arrays():
        return SIZES.of_recording(wildcards.id)
    if "id" in wildcards.keys():
        return SIZES.largest
    return SIZES.of_all()


def parts_of(wildcards):
    """Return how many jobs share the work of a job; 1 where one of them asks for all."""
    return 1 if is_in_arrays() else int(wildcards.get("parts", 1))


def is_in_arrays():
    """Tell whether jobs are submitted as arrays, of which each asks for what the first one needs."""
    return bool(getattr(workflow.executor_settings, "array_jobs", None))


def rate_limit():
    """Return how many jobs Snakemake submits at once, None for any number."""
    rate = workflow.scheduling_settings.max_jobs_per_timespan
    return rate and rate.max_jobs


def threads_of(wildcards):
    """Return how many threads a job may use, by its recording's size; Snakemake caps it to --cores."""
    return threads_for(SIZES.of_recording(wildcards.id))


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
    return {name: what.get(name) for name in ("md5", "sha256", "crc32")}


@functools.cache
def found_in_releases():
    """Return what releases found out about the recordings."""
    return Memory(RELEASED)


@functools.cache
def params_in_ledgers(step):
    """Return the parameters with which batches made files of a step, by recording."""
    return params_in_batches(DATASET.results, step, BATCHES.ids)


def params_of(step, path, wildcards):
    """Return the parameters of the job that made a file, alone or in a batch; None if unknown."""
    id_, alone = wildcards.get("id"), recorded_params(path)
    shared = params_in_ledgers(step).get(id_)
    return (shared or alone) if id_ in BATCHES.of else (alone or shared)


def verified(wildcards):
    """Return what a source was verified to have, as long as it has what is stated now, too.

    The output's path is computed here: Snakemake ignores changes of what depends on `output`.
    """
    path = acquired_file(wildcards)
    return verified_or_stated(
        path,
        acquired(wildcards),
        params=params_of("acquire", path, wildcards),
        found=Notes(ACQUIRED).read(path),
        memory=MEMORY,
        known=lambda path: found_in_releases().known(path),
    )


def counted(wildcards):
    """Return the number of events that a store was verified to have, as `verified` does."""
    path = f"{DATASET.results}/events/{wildcards.id}.h5"
    stated = column("n_events", int)(wildcards)
    params = params_of("events", path, wildcards)
    return settled_count(path, stated, params, revision("events"))


def verified_member(wildcards):
    """Return the MD5 that a table in an archive was verified to have, as `verified` does."""
    source = DATASET.intervals(wildcards.id)
    if source is None or DATASET.local_intervals(wildcards.id) is not None:
        return None
    stated = column("samples_md5")(wildcards)
    params = params_of("cut", DATASET.cut_table(wildcards.id), wildcards)
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
    return lambda wildcards: BATCHES.targets(
        expand(PATHVARS.apply(pattern), id=ids(), feature=list(features()))
    )


every_cut = functools.partial(every, ids=lambda: COMPLETE.cut)
every_annotated = functools.partial(every, ids=lambda: DATASET.annotated)
every_boxed = functools.partial(
    every, ids=lambda: DATASET.boxed, features=lambda: DATASET.features_with_boxes
)
every_made = functools.partial(
    every,
    ids=lambda: DATASET.recordings if DATASET.config.features else [],
    features=lambda: [""],
)
every_released = functools.partial(
    every_made, ids=lambda: COMPLETE.recordings if DATASET.config.features else []
)


def as_targets(files):
    """Return a function of wildcards that gives files as rules name them."""
    return lambda wildcards: BATCHES.targets(files(wildcards))


def made_alone(files):
    """Return a function of wildcards that gives those of some files that no batch makes."""
    return lambda wildcards: BATCHES.alone(files(wildcards))


def made_in_batches(files):
    """Return a function of wildcards that gives the manifests of batches that make some files."""
    return lambda wildcards: BATCHES.manifests(files(wildcards))


def before_batch(step):
    """Return the manifests of the steps that a step takes from, for a batch."""
    return lambda wildcards: BATCHES.before(step, wildcards.batch)


def beside_batch(step):
    """Return what else the jobs of a batch read."""
    return lambda wildcards: BATCHES.beside(step, wildcards.batch)


def members_of_batch(step):
    """Return the jobs of a batch as a parameter, of which Snakemake compares the digest."""
    return {
        "members": without_rerun(
            lambda wildcards: Deferred(
                lambda: list(step.members(BATCHES.ids[wildcards.batch]))
            )
        ),
        "members_sha256": lambda wildcards: step.digest(BATCHES.ids[wildcards.batch]),
    }


def ledger_of_batch(step):
    """Return the file that says what a batch made, and of what."""
    return without_rerun(
        lambda wildcards: str(ledger_of(DATASET.results, step.name, wildcards.batch))
    )


def script_of(step):
    """Return the script of a step's own rule."""
    own = workflow.get_rule(step.name)
    return without_rerun(lambda wildcards: str(Path(own.basedir, own.script)))


def say_what_is_unlike():
    """Let files be made again that batches made in another way, of recordings that are in none now."""
    if workflow.is_main_process and not is_running(Path(DATASET.results)):
        try:
            for notice in forget_unlike(
                DATASET.results, BATCHES.steps, DATASET.recordings.keys() - BATCHES.of
            ):
                logger.warning(notice)
        except EvreelError as error:
            stop(error)


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
