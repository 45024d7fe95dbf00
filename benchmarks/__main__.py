"""``python -m benchmarks``: run, print, and write ``benchmarks/results/<name>.json``.

Each result says on which machine, with which versions and at which commit it was made.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("dagster", "duckdb", "hyperscan", "moto", "numpy", "pyarrow", "pyiceberg", "sqlglot")
QUICK, FULL = (2_000, 20_000), (100_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help="which of them, such as scan; a wrong name lists them; all if none is named",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small numbers, to see that it runs; writes nothing"
    )
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*currently in (beta|preview)")
    known = benchmarks(QUICK if arguments.quick else FULL)
    if unknown := sorted(set(arguments.names) - set(known)):
        parser.error(f"{unknown[0]!r}: expected some of {', '.join(known)}")
    for name in arguments.names or known:
        print(f"== {name}", flush=True)
        found = known[name]()
        print(json.dumps(found, indent=2), flush=True)
        if not arguments.quick:
            RESULTS.mkdir(exist_ok=True)
            document = {"name": name, **surroundings(), "found": found}
            (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def benchmarks(sizes: tuple[int, int]) -> dict[str, Callable[[], dict[str, Any]]]:
    """The benchmarks by name; each prints its table and answers its figures."""
    from benchmarks import api, archive, bucket, dsar, erasure, ingest, ledger, nightly, scan, sensor, sqs

    quick = sizes == QUICK
    return {
        "api": lambda: api.main(quick=quick),
        "archive": lambda: archive.main(sizes),
        "bucket": lambda: bucket.main(quick=quick),
        "dsar": lambda: dsar.main(sizes, 6 if quick else 100),
        "erasure": lambda: erasure.main(20 if quick else 1_000),
        "ingest": lambda: ingest.main(sizes),
        "ledger": lambda: ledger.main(quick=quick),
        "nightly": lambda: nightly.main(sizes),
        "scan": lambda: scan.main(8 if quick else 64),
        "sensor": sensor.main,
        "sqs": sqs.main,
    }


def surroundings() -> dict[str, Any]:
    """Machine, versions and commit."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD")
        + ("+changes" if _git("status", "--porcelain", "--", ":/", ":!results") else ""),
        "machine": {
            "cpu": _first("/proc/cpuinfo", "model name") or platform.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory": _first("/proc/meminfo", "MemTotal"),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(RESULTS.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _first(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


if __name__ == "__main__":
    sys.exit(main())
