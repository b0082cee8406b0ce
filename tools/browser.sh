#!/usr/bin/env bash
# Find the system's Chromium, or have Debian's installed if we are root, and run tests in it. No browser is
# downloaded from elsewhere. CHROMIUM names another one. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(chromium fonts-dejavu-core)

if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
    by_hand="apt-get install --no-install-recommends ${packages[*]}"
    if [ -n "${CHROMIUM:-}" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "evreel browser tests: no ${CHROMIUM:-chromium}. On Debian, as root: $by_hand" >&2
        exit 1
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        echo "evreel browser tests: Chromium could not be installed. Try: $by_hand" >&2
        exit 1
    fi
fi
python -m pytest "${@:-tests/in_browser}"
