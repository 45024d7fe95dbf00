"""Events from the queue into Iceberg, in events a second and in memory.

With AWS at a distance (``benchmarks.distant``), where every call takes 15 ms, those of the queue and those of
S3 and Glue alike: a hundred events in a message, as a client that sends batches makes them, and one.
"""

import json
import os
import resource
import subprocess
import sys
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from local_aws.process import running

SIZES = {100: (100_000, 1_000_000), 1: (10_000, 100_000)}
"""Events, by how many of them are in a message."""


def main(sizes: tuple[int, int]) -> dict[str, Any]:
    """The figures; ``sizes`` below ten thousand make it a rehearsal."""
    rehearsal = sizes[0] < 10_000
    found = {}
    for each, several in SIZES.items():
        for events in (several[0] // 50,) if rehearsal else several:
            found[f"{events} events, {each} a message"] = at_a_distance(events, each)
    _print(found)
    return found


def at_a_distance(events: int, each: int) -> dict[str, Any]:
    """Drain in a process of its own, every call 15 ms away."""
    with running() as server:
        environment = {**os.environ, **server.environment}
        _worker("provision", environment)
        with subprocess.Popen(
            [
                sys.executable, "-m", "benchmarks.distant", server.endpoint, str(events // each),
                "", "", str(each),
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as distant:  # fmt: skip
            assert distant.stdout is not None
            try:
                port = distant.stdout.readline().strip()
                environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
                return _worker("drain", environment)
            finally:
                distant.kill()


def _worker(what: str, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", what],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- in the measured process


def worker(what: str) -> dict[str, Any]:
    """One step, in the AWS of the environment."""
    from privacy_assets.governed import governed_estate, table_shapes
    from resources.provision import provision

    if what == "provision":
        provision(table_shapes(governed_estate()))
        return {}
    from privacy_assets.definitions import default_resources
    from privacy_assets.ingest.draining import Drainer

    parts = default_resources()
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = perf_counter()
    done = Drainer(queue=parts["event_queue"], store=parts["iceberg"]).drain()
    seconds = perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    events = done.total.events
    return {
        "events": events,
        "seconds": round(seconds, 2),
        "events_a_second": round(events / seconds),
        "bites": done.bites,
        "processor_seconds": round(processor, 1),
        "peak_mib": after.ru_maxrss // 1024,
    }


def _print(found: dict[str, Any]) -> None:
    table = Table("calls of 15 ms", "seconds", "events a second", "bites", "peak, MiB")
    for what, one in found.items():
        cells = (one["seconds"], f"{one['events_a_second']:,}", one["bites"], one["peak_mib"])
        table.add_row(what, *(str(cell) for cell in cells))
    Console().print(table)


if __name__ == "__main__":
    print(json.dumps(worker(sys.argv[1])))
