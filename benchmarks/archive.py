"""Deletions into the archive and back, in records a second and in memory.

With AWS at a distance (``benchmarks.distant``), where a call takes 15 ms: what concurrency makes of it, and
how memory grows from ten thousand records to a million. And end to end on local AWS: items deleted from a
table, through its stream, its pipe and its queue into S3 and Iceberg, and put back.
"""

import base64
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from rich.console import Console
from rich.table import Table

from local_aws.process import running

SIZES_AT_A_DISTANCE = (10_000, 1_000_000)
SIZE_LOCAL = 10_000


def main(sizes: tuple[int, int]) -> dict[str, Any]:
    """The figures; ``sizes`` below ten thousand make it a rehearsal."""
    rehearsal = sizes[0] < SIZES_AT_A_DISTANCE[0]
    distant = (1_000, 5_000) if rehearsal else SIZES_AT_A_DISTANCE
    found = {
        "distant": {str(size): at_a_distance(size) for size in distant},
        "local": local(500 if rehearsal else SIZE_LOCAL),
    }
    _print(found)
    return found


def at_a_distance(deletions: int) -> dict[str, Any]:
    """Archive and restore in a process of its own, every call 15 ms away."""
    with running() as server:
        environment = {**os.environ, **server.environment}
        names = _names(environment)
        with subprocess.Popen(
            [
                sys.executable, "-m", "benchmarks.distant", server.endpoint, str(deletions),
                names["bucket"], names["table"],
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as distant:  # fmt: skip
            assert distant.stdout is not None
            try:
                port = distant.stdout.readline().strip()
                environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
                return {what: _measured(what, environment) for what in ("archive", "restore")}
            finally:
                distant.kill()


def _measured(what: str, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.archive", what],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{what}: {done.stdout.splitlines()[-1]}", flush=True)
    return found


def _names(environment: dict[str, str]) -> dict[str, str]:
    """Create the estate in a fresh AWS; the archive's bucket and the table."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.archive", "provision"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def local(deletions: int) -> dict[str, Any]:
    """Items put, deleted, archived and restored on local AWS."""
    with running() as server:
        environment = {**os.environ, **server.environment}
        _names(environment)
        return _measured(f"local={deletions}", environment)


# --- in the measured process


def worker(what: str) -> dict[str, Any]:
    """One measurement, in the AWS of the environment."""
    from privacy_assets.governed import governed_estate, table_shapes
    from resources import settings
    from resources.provision import provision

    estate = governed_estate()
    table = next(each for each in estate.tables if each.name == "privacy_logs")
    if what == "provision":
        provision(table_shapes(estate))
        return {"bucket": settings.ARCHIVE_BUCKET.value(), "table": table.table}
    if what == "archive":
        return _timed(_archive)
    if what == "restore":
        return _timed(_restore)
    return _local(int(what.partition("=")[2]), table.table)


def _timed(work: Any) -> dict[str, Any]:
    started, used = perf_counter(), process_time()
    records = work()
    seconds, processor = perf_counter() - started, process_time() - used
    return {
        "records": records,
        "seconds": round(seconds, 2),
        "records_a_second": round(records / seconds),
        "processor_seconds": round(processor, 1),
        # What one processor could do that does nothing else.
        "records_a_processor_second": round(records / processor),
        "peak_mib": _peak_mib(),
    }


def _peak_mib() -> int:
    """This process's own; what getrusage tells is its parent's too, from before it was this program."""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) // 1024


def _parts() -> dict[str, Any]:
    from privacy_assets.definitions import default_resources

    return default_resources()


def _archive() -> int:
    from privacy_assets.archive.archiving import Archiver
    from privacy_assets.governed import governed_estate
    from resources.archive import ObjectRefused
    from resources.streams import RecordsGone

    parts = _parts()
    done = Archiver(
        queue=parts["deletion_queue"],
        objects=parts["archive"],
        store=parts["iceberg"],
        streams=parts["streams"],
        erasures=parts["erasures"],
        tables=governed_estate().by_name,
        refused=ObjectRefused,
        gone=RecordsGone,
    ).drain(seconds=3600)
    return done.archived


def _restore() -> int:
    from privacy_assets.archive.restore import Options, Restorer, Selection
    from privacy_assets.archive.restore_assets import LakeAccount
    from privacy_assets.governed import governed_estate

    parts = _parts()
    table = governed_estate().by_name["privacy_logs"]
    report = Restorer(
        table=table,
        store=parts["iceberg"],
        source=parts["archive"],
        target=parts["tables"].table(table.table),
        erasures=parts["erasures"],
    ).run(
        Selection("privacy_logs", first=datetime(2020, 1, 1, tzinfo=UTC)),
        Options(),
        account=LakeAccount(parts["lake"], "restores/benchmark/report/"),
    )
    assert report.complete, report.document()
    return sum(report.counts.values())


def _local(deletions: int, table: str) -> dict[str, Any]:
    """``end_to_end`` is from the first deletion to the last row."""
    import boto3
    import requests

    from resources.signed import caller

    items = caller("dynamodb")
    names = [f"log-{number:09d}" for number in range(deletions)]

    def put(name: str) -> None:
        items.json("PutItem", {"TableName": table, "Item": _of_every_type(name)})

    def delete(name: str) -> None:
        items.json("DeleteItem", {"TableName": table, "Key": {"log_id": {"S": name}}})

    def held() -> dict[str, Any]:
        pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return {item["log_id"]["S"]: item for page in pages for item in page["Items"]}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, names))
        before = held()
        started = perf_counter()
        list(pool.map(delete, names))
    deleted = perf_counter()
    assert not held()
    requests.post(f"{os.environ['AWS_ENDPOINT_URL']}/_local/pipes/flush", timeout=600).raise_for_status()
    piped = perf_counter()
    archived = _timed(_archive)
    ended = perf_counter()
    restored = _timed(_restore)
    after = held()
    equal = sum(after.get(name) == item for name, item in before.items())
    assert len(after) == len(before) == equal == deletions, (len(after), equal)
    return {
        "deletions": deletions,
        "equal_after_restore": equal,
        "end_to_end_seconds": round(ended - started, 2),
        "end_to_end_records_a_second": round(deletions / (ended - started)),
        "deleting_seconds": round(deleted - started, 2),
        "pipe_seconds_after": round(piped - deleted, 2),
        "archive": archived,
        "restore": restored,
    }


def _of_every_type(name: str) -> dict[str, Any]:
    """An item of about a kilobyte with all ten types of attributes."""
    return {
        "log_id": {"S": name},
        "subject_id": {"S": name[-3:]},
        "message": {"S": "x" * 400},
        "number": {"N": f"{int(name[-9:])}.5"},
        "binary": {"B": base64.b64encode(name.encode() + bytes(range(256))).decode()},
        "flag": {"BOOL": name.endswith("1")},
        "nothing": {"NULL": True},
        "texts": {"SS": ["a", "b", name]},
        "numbers": {"NS": ["1", "2.5", "-3"]},
        "binaries": {"BS": ["AA==", "/w=="]},
        "list": {"L": [{"S": name}, {"M": {"in": {"L": [{"N": "7"}]}}}]},
        "map": {"M": {"a": {"S": "ä"}, "b": {"M": {}}}},
    }


def _print(found: dict[str, Any]) -> None:
    table = Table("", "records", "seconds", "records a second", "a processor second", "peak, MiB")
    for both in found["distant"].values():
        for what, one in both.items():
            table.add_row(f"{what}, calls of 15 ms", *_cells(one))
    local = found["local"]
    for what in ("archive", "restore"):
        one = local[what]
        table.add_row(f"{what}, local AWS", *_cells(one))
    table.add_row(
        "from deletion to row, local AWS",
        f"{local['deletions']:,}",
        str(local["end_to_end_seconds"]),
        f"{local['end_to_end_records_a_second']:,}",
        "",
        "",
    )
    Console().print(table)


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    names = ("records", "seconds", "records_a_second", "records_a_processor_second", "peak_mib")
    return tuple(f"{one[name]:,}" for name in names)


if __name__ == "__main__":
    print(json.dumps(worker(sys.argv[1])))
