#!/usr/bin/env bash
# Say where the demo's release is and how to look at it.
set -euo pipefail
cd "$(dirname "$0")/.."
release=results/release/demo-1.0

evreel verify "$release"
cat <<END

The release's page, to open in a browser: $PWD/$release/index.html

The release is $release (README.md in it says what is what).
Look at it:
  source .venv/bin/activate
  evreel verify $release                               # every file against its checksums
  evreel info $release                                 # what it holds; also of any file in it:
  evreel info $release/train/slices/street.h5
  evreel play $release/train/histogram_10ms/street.h5 -o street.mp4    # features, with boxes if any
  python -c "import h5py; h5py.File('$release/train/slices/street.h5').visit(print)"
The videos to annotate are results/video/*.mp4. Videos that show the labels:
  snakemake --cores 2 all_qa                           # results/slices/*.qa.mp4
  snakemake --report report.html all all_qa            # these, tables and plots, to open in a browser
Your own recordings: README.md, "Your own recordings".
END
