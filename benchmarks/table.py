"""Time checking the config and the recordings table: 10,000 rows and 10.

Both sides list the workflow's rules, so that Snakemake reads and checks everything and plans
nothing. They run in turn, in their own processes; the fastest of several rounds counts. The
difference is what the rows cost: reading, schema, files that must exist, groups, overrides.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
COLUMNS = ("id", "source", "md5", "split", "group", "rois", "meta.place", "events/stop_us")
CONFIG = {
    "labels": ["car"],
    "slices": {"window_us": 50_000},
    "features": {"histogram": {"representation": "histogram", "window_us": 10_000}},
    "release": {"name": "many", "version": "1.0", "licence": "CC0-1.0"},
}


def write_data_set(folder: Path, rows: int, overrides: int) -> Path:
    """Write a config, a table and the files that it names; return the config's path.

    Each row names a file of its own; `overrides` of the rows have one, each of another value.
    """
    (folder / "raw").mkdir(parents=True)
    (folder / "park.xml").touch()
    lines = ["\t".join(COLUMNS)]
    for k in range(rows):
        (folder / "raw" / f"{k}.aedat4").touch()
        split = ("train", "val", "test")[k // 10 % 3]
        override = str(1_000_000 + k) if k < overrides else ""
        source, group = f"{folder}/raw/{k}.aedat4", f"scene{k // 10}"
        lines.append(
            "\t".join(
                (f"r{k}", source, f"{k:032x}", split, group, f"{folder}/park.xml", "park", override)
            )
        )
    (folder / "recordings.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = folder / "config.yaml"
    settings = CONFIG | {"recordings": str(folder / "recordings.tsv")}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return config


def seconds(config: Path) -> float:
    """Return how long Snakemake takes to list the rules of a data set's workflow."""
    begin = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(config.parent), "--configfile", str(config), "--list-rules"),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the fastest counts")
    options = parser.parse_args()
    print("| rows | with overrides | s | s more than for 10 rows |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"few": (10, 0), "many": (options.rows, 0), "own": (options.rows, options.rows)}
        configs = {k: write_data_set(Path(folder) / k, *size) for k, size in sizes.items()}
        rounds = [{k: seconds(c) for k, c in configs.items()} for _ in range(options.rounds)]
        least = {k: min(r[k] for r in rounds) for k in configs}
        for k, (rows, overrides) in sizes.items():
            print(f"| {rows} | {overrides} | {least[k]:.2f} | {least[k] - least['few']:.2f} |")


if __name__ == "__main__":
    main()
