# Another workflow may rename rules, and leave out some.
BATCHED = [
    Step(
        name, workflow.get_rule(workflow.modifier.modify_rulename(name)), jobs_of(name)
    )
    for name in BATCHED_STEPS
    if workflow.modifier.avail_rulename(name)
]
if not MODULE or IS_NEW_MODULE:
    say_what_is_unlike()


# A job of a step for each batch of short recordings, instead of one for each recording. Its
# manifest is its file target: which files it made, with their digests, and which recordings failed.
for step in BATCHED if BATCHES else []:

    rule:
        name:
            f"{step.name}_of_batch"
        input:
            before=before_batch(step),
            others=beside_batch(step),
        output:
            manifest=f"<results>/batches/{step.name}/{{batch}}.json",
        log:
            f"<logs>/batches/{step.name}/{{batch}}.log",
        benchmark:
            f"<benchmarks>/batches/{step.name}/{{batch}}.tsv"
        conda:
            "../../envs/evreel.yaml"
        params:
            **members_of_batch(step),
            step=step.name,
            script=script_of(step),
            ledger=ledger_of_batch(step),
        script:
            "../../scripts/batch.py"
