"""evreel: recordings of event cameras in, a verified data set release out.

    recordings.tsv → recording → events → clock, video        (annotate in CVAT)
                                   ├────→ slices + boxes       (events + clock + CVAT XML)
                                   │       └→ QA video, summary, preview
                                   ├────→ samples              (events + table of intervals, or archive)
                                   ├────→ features
                                   │       └→ boxes by windows (features + boxes)
                                   └────→ release

Every arrow is a file: an edit rebuilds what depends on it, for that recording alone.
Targets: all (the default), all_events, all_videos, all_slices, all_qa, all_previews,
all_samples, all_features, release.
"""

from snakemake.utils import min_version

from evreel.dataset.documents import config_problem

min_version("9.20")


report: "workflow/report/workflow.rst"


# A config file named on the command line stands instead of this one, not on top of it; and as a
# module of another workflow, this one gets its config from that.
if workflow.modifier.is_main_snakefile() and not workflow.overwrite_configfiles:
    if problem := config_problem("config.yaml"):
        sys.exit(problem)

    configfile: "config.yaml"


include: "workflow/rules/common.smk"


pathvars:
    results=DATASET.results,
    logs=f"{DATASET.results}/logs",
    benchmarks=f"{DATASET.results}/benchmarks",
    release=DATASET.release_name,
    pictures=DATASET.video_suffix,


include: "workflow/rules/acquire.smk"
include: "workflow/rules/events.smk"
include: "workflow/rules/video.smk"
include: "workflow/rules/annotate.smk"
include: "workflow/rules/qa.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/release.smk"
include: "workflow/rules/batches.smk"


rule all:
    default_target: IS_DEFAULT
    input:
        rules.release.output.stamp,
        as_targets(of_released(working_files)),
        as_targets(of_dataset(tried_again, LEFT_OUT)),
        every_annotated("<results>/video/{id}.<pictures>"),
        every_annotated("<results>/video/{id}.clock.tsv"),
        every_annotated("<results>/slices/{id}.summary.tsv"),


onstart:
    start()


onsuccess:
    end(succeeded=True)


onerror:
    end(succeeded=False)
