"""A night, from the start of the export to the daily report, with all audits: seconds, memory, processes.

Two sizes, so that the work can be seen to grow no faster than the data. Beside each, what nothing could be
faster than: unpacking the export with gzip, and reading every value of the typed snapshot with DuckDB.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.processes import Watch
from privacy_assets.demo.command import SETTINGS, last_nights, mornings, provision_estate
from privacy_assets.demo.days import Plan
from privacy_assets.demo.loading import load
from privacy_assets.machine.stack import Machine, machine

STATE = Path(__file__).resolve().parent.parent / ".local" / "bench"
PATIENCE = 900.0
MEBIBYTE = 1 << 20


def main(sizes: tuple[int, ...]) -> dict[str, Any]:
    """The figures of a night for each of ``sizes`` items, and how they grow from the first to the last."""
    nights = {str(size): measure(size) for size in sizes}
    small, large = nights[str(sizes[0])], nights[str(sizes[-1])]
    found = {
        "nights": nights,
        "growth": {
            "items": sizes[-1] / sizes[0],
            "seconds": round(large["seconds"] / small["seconds"], 2),
            "run_memory": round(large["peak_mib"]["run"] / small["peak_mib"]["run"], 2),
        },
    }
    _print(nights)
    return found


def measure(items: int) -> dict[str, Any]:
    """One night over ``items`` items in a fresh local AWS."""
    from privacy_assets.demo.watching import follow

    shutil.rmtree(STATE, ignore_errors=True)
    nights = last_nights(1)
    plan = Plan(items, nights)
    try:
        with machine(STATE, settings=SETTINGS, eager=True, forgets=True) as whole:
            table, _ = provision_estate(generated=True)
            started = perf_counter()
            load(whole.endpoint, table, plan.lines())
            loaded = perf_counter() - started
            leaders = {child.name: child.process.pid for child in (whole.aws, whole.code, whole.daemon)}
            with Watch(leaders) as watch:
                whole.begin(mornings(nights))
                ((run, _),) = follow(nights, _silent, whole.children.check, PATIENCE)
            return {
                "load_seconds": round(loaded, 2),
                **_timing(run),
                **_processes(whole, watch, run),
                **_floors(),
            }
    finally:
        shutil.rmtree(STATE, ignore_errors=True)


def _silent(*_: object, **__: object) -> None:
    """Progress is not shown."""


def _timing(audit_run: str) -> dict[str, Any]:
    """From the first step of the export run to the end of the audit run; each step's own seconds."""
    from dagster import DagsterEventType, DagsterInstance

    with DagsterInstance.get() as instance:
        runs = instance.get_run_records()
        steps: dict[str, float] = {}
        starts: dict[str, float] = {}
        first: list[float] = []
        for record in runs:
            for entry in instance.all_logs(
                record.dagster_run.run_id,
                of_type={DagsterEventType.STEP_START, DagsterEventType.STEP_SUCCESS},
            ):
                step = str(entry.step_key)
                if entry.dagster_event and entry.dagster_event.event_type == DagsterEventType.STEP_START:
                    starts[step] = entry.timestamp
                    first.append(entry.timestamp)
                else:
                    steps[step] = round(entry.timestamp - starts[step], 2)
        (audit,) = (record for record in runs if record.dagster_run.run_id == audit_run)
        assert audit.end_time is not None
        assert audit.start_time is not None
        return {
            "seconds": round(audit.end_time - min(first), 2),
            "audit_run_seconds": round(audit.end_time - audit.start_time, 2),
            "step_seconds": steps,
        }


def _processes(whole: Machine, watch: Watch, audit_run: str) -> dict[str, Any]:
    """Peak memory and processor time; runs are what the code server started, the day's audit one of them."""
    code, server = watch.peaks["code"], whole.code.process.pid
    runs = watch.started_by(server) - {server}
    audit = watch.started_by(_process_of(audit_run))
    return {
        "peak_mib": {
            "aws": max(watch.peaks["aws"].values()) // MEBIBYTE,
            "code_server": code[server] // MEBIBYTE,
            "daemon": max(watch.peaks["daemon"].values()) // MEBIBYTE,
            "run": max(code[pid] for pid in runs) // MEBIBYTE,
        },
        "cpu_seconds": {
            "aws": round(sum(watch.seconds["aws"].values()), 1),
            "code_server": round(watch.seconds["code"][server], 1),
            "daemon": round(sum(watch.seconds["daemon"].values()), 1),
            "runs": round(sum(watch.seconds["code"][pid] for pid in runs), 1),
            "audit_run": round(sum(watch.seconds["code"][pid] for pid in audit), 1),
        },
        "run_processes": {"daily_audit": len(audit)},
    }


def _process_of(run: str) -> int:
    """The process that a run was started in, as it says itself."""
    from dagster import DagsterEventType, DagsterInstance

    with DagsterInstance.get() as instance:
        said = instance.all_logs(run, of_type=DagsterEventType.ENGINE_EVENT)
        events = [entry.dagster_event for entry in said if entry.dagster_event]
        return int(
            next(
                found["pid"].value for event in events if "pid" in (found := event.engine_event_data.metadata)
            )
        )


def _floors() -> dict[str, float]:
    """Seconds to unpack the export, and to read all of the snapshot's Parquet, each the best of three."""
    import duckdb

    from resources import settings
    from resources.s3 import LakeResource

    lake = LakeResource(bucket=settings.LAKE_BUCKET.value())
    with tempfile.TemporaryDirectory() as directory:
        exported = _copies(lake, "exports/", "/data/", Path(directory) / "export")
        typed = _copies(lake, "snapshots/", "", Path(directory) / "snapshot")
        unpack = ["gzip", "-dc", *exported]
        read = "SELECT count(COLUMNS(*)), max(COLUMNS(*)::VARCHAR) FROM read_parquet(?)"
        with duckdb.connect() as connection:
            return {
                "gzip_floor_seconds": _best(
                    lambda: subprocess.run(unpack, stdout=subprocess.DEVNULL, check=True)
                ),
                "parquet_floor_seconds": _best(lambda: connection.execute(read, [typed]).fetchall()),
            }


def _copies(lake: Any, prefix: str, within: str, folder: Path) -> list[str]:
    folder.mkdir()
    paths = []
    for number, item in enumerate(lake.list(prefix)):
        if within in item.key and item.size:
            path = folder / f"{number}-{item.key.rsplit('/', 1)[-1]}"
            path.write_bytes(lake.read(item.key))
            paths.append(str(path))
    return paths


def _best(work: Any) -> float:
    seconds = []
    for _ in range(3):
        started = perf_counter()
        work()
        seconds.append(perf_counter() - started)
    return round(min(seconds), 3)


def _print(nights: dict[str, dict[str, Any]]) -> None:
    table = Table("", *(f"{int(size):,} items" for size in nights))
    rows = {
        "export to report, s": lambda night: night["seconds"],
        "the audit run, s": lambda night: night["audit_run_seconds"],
        **{
            f"  {step}, s": lambda night, step=step: night["step_seconds"].get(step, "")
            for step in next(iter(nights.values()))["step_seconds"]
        },
        "loading before it, s": lambda night: night["load_seconds"],
        "gzip -d of the export, s": lambda night: night["gzip_floor_seconds"],
        "DuckDB reads the snapshot, s": lambda night: night["parquet_floor_seconds"],
        "processor time of AWS, s": lambda night: night["cpu_seconds"]["aws"],
        "processor time of the runs, s": lambda night: night["cpu_seconds"]["runs"],
        "peak of AWS, MiB": lambda night: night["peak_mib"]["aws"],
        "peak of a run, MiB": lambda night: night["peak_mib"]["run"],
        "processes of the audit run": lambda night: night["run_processes"]["daily_audit"],
    }
    for name, value in rows.items():
        table.add_row(name, *(str(value(night)) for night in nights.values()))
    Console().print(table)
