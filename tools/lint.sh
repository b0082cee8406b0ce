#!/usr/bin/env bash
# Format, style, workflow, types: all are run, and any complaint fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
check() {
    echo "· $*"
    "$@" || failed=1
}
check ruff format --check --quiet .
check ruff check --quiet .
check snakefmt --check Snakefile workflow
check mypy --no-error-summary
# It prints what it found, and only that, where it finds anything.
echo "· snakemake --lint"
report=$(snakemake --lint 2>&1) || { echo "$report" && failed=1; }
exit $failed
