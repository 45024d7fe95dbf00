"""Requests: a hundred at once over six stores, and an export of a million rows in seconds and in memory.

The hundred run in two processes, without the seconds that Dagster takes to start a run: what is measured is
what requests take. The million rows stand in SQLite and end in S3, in a process of its own, whose peak memory
is set against that of a tenth of the rows.
"""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from local_aws.process import running

SUBJECTS_TABLES = 6
PROCESSES = 2


def main(rows: tuple[int, int], requests: int = 100) -> dict[str, Any]:
    """The figures; ``rows`` are the sizes of the export."""
    found = {
        "at_once": at_once(requests),
        "export": {str(number): export(number) for number in rows},
    }
    _print(found)
    return found


def at_once(requests: int) -> dict[str, Any]:
    """Exports of as many subjects, six records each, by two processes."""
    with running() as server, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **server.environment, **_estate(Path(folder), SUBJECTS_TABLES)}
        for number in range(SUBJECTS_TABLES):
            _fill(
                Path(folder) / f"store{number}.sqlite", ((f"subject-{each}", "x") for each in range(requests))
            )
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.dsar", "at_once", str(requests)],
            env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def export(rows: int) -> dict[str, Any]:
    """One subject with as many rows in one store: from its database to the bundle."""
    with running() as server, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **server.environment, **_estate(Path(folder), 1)}
        _fill(Path(folder) / "store0.sqlite", (("subject-0", f"{each:032x}" * 3) for each in range(rows)))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.dsar", "export"],
            env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def _estate(folder: Path, stores: int) -> dict[str, str]:
    """An estate with SQLite stores in ``folder``; what the environment must say of it."""
    table = {
        "name": "privacy_logs",
        "table": "PrivacyLogsTable",
        "keys": ["log_id"],
        "owner": "team:privacy",
        "columns": {"log_id": {"type": "string"}},
    }
    names = [f"store{number}" for number in range(stores)]
    document = {
        "tables": [table],
        "stores": [
            {
                "name": name,
                "kind": "sql",
                "url": f"{name.upper()}_URL",
                "owner": "team:privacy",
                "tables": [{"table": "records", "match": {"user_id": "subject"}}],
            }
            for name in names
        ],
    }
    path = folder / "estate.yaml"
    path.write_text(yaml.safe_dump(document))
    urls = {f"{name.upper()}_URL": f"sqlite:///{folder / name}.sqlite" for name in names}
    return {"PRIVACY_ASSETS_ESTATE": str(path), **urls}


def _fill(path: Path, rows: Iterator[tuple[str, str]]) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, subject TEXT, text TEXT)")
        database.executemany("INSERT INTO records (subject, text) VALUES (?, ?)", rows)
        database.execute("CREATE INDEX subjects ON records (subject)")
    database.close()


# --- in the measured process


def worker(what: str, number: int) -> dict[str, Any]:
    """One measurement, in the AWS of the environment."""
    from privacy_assets.governed import governed_estate, table_shapes
    from resources.provision import provision

    provision(table_shapes(governed_estate()))
    if what == "at_once":
        return _at_once(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    started = perf_counter()
    job = _whole(0)
    seconds = perf_counter() - started
    return {
        "rows": job["bundle"]["records"],
        "seconds": round(seconds, 1),
        "rows_a_second": round(job["bundle"]["records"] / seconds),
        "zip_mib": round(job["bundle"]["size"] / (1 << 20), 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "mib_before": before,
    }


def _at_once(requests: int) -> dict[str, Any]:
    started = perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        jobs = list(pool.map(_whole, range(requests)))
    seconds = perf_counter() - started
    assert all(job["state"] == "COMPLETED" for job in jobs)
    return {
        "requests": requests,
        "stores": SUBJECTS_TABLES,
        "events": sum(int(job["seq"]) for job in jobs),
        "seconds": round(seconds, 1),
        "seconds_a_request": round(seconds / requests, 2),
    }


def _whole(number: int) -> dict[str, Any]:
    """A request from its submission to its end."""
    from privacy_assets.definitions import ready
    from privacy_assets.dsar import composition
    from privacy_assets.dsar.requests import JobId, parse_submission
    from privacy_assets.governed import governed_estate

    estate, resources = governed_estate(), ready(composition.RESOURCES)
    work = composition.worker(estate, resources)
    job_id = f"dsar-{uuid.uuid4().hex}"
    submission = parse_submission({"user_id": f"subject-{number}", "action": "export"})
    work.register.submit(submission, "benchmark", JobId(job_id))
    work.register.begin(job_id, 1, "benchmark")
    work.identify(job_id)
    for store in estate.stores:
        work.work(job_id, store.name)
    work.gather(job_id)
    work.answer(job_id)
    work.complete(job_id)
    return composition.close(resources, job_id)


def _print(found: dict[str, Any]) -> None:
    table = Table(header_style="bold", title="An export of many rows")
    for name in ("rows", "seconds", "rows a second", "zip MiB", "peak MiB"):
        table.add_column(name, justify="right")
    for one in found["export"].values():
        cells = (one["rows"], one["seconds"], one["rows_a_second"], one["zip_mib"], one["peak_mib"])
        table.add_row(*(f"{cell:,}" for cell in cells))
    console = Console()
    console.print(table)
    one = found["at_once"]
    console.print(
        f"{one['requests']} requests over {one['stores']} stores: {one['seconds']} s, "
        f"{one['seconds_a_request']} s each"
    )


if __name__ == "__main__":
    what, *number = sys.argv[1:]
    print(json.dumps(worker(what, int(number[0]) if number else 0)))
