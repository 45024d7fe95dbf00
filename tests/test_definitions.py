"""The code location loads without a network, quickly, and as Dagster's own commands load it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from privacy_assets.archive.names import RESTORED_KEY
from privacy_assets.definitions import defs
from privacy_assets.estate import EstateError
from privacy_assets.governed import PROJECT, governed_estate
from privacy_assets.ingest.names import EVENTS_KEY
from privacy_assets.partitions import daily
from privacy_assets.snapshot import names
from resources.provision import Names
from tests.house import yesterday

LOAD = """
import socket, sys, time
import dagster
def refuse(*arguments, **named):
    raise AssertionError(f"a network call while definitions load: {arguments}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
before = time.process_time()
from privacy_assets.definitions import defs
loaded = defs()
from dagster import Definitions
Definitions.validate_loadable(loaded)
seconds = time.process_time() - before
names = ("boto3", "pandas", "pyathena", "pyiceberg", "duckdb", "sqlglot", "moto")
heavy = [name for name in names if name in sys.modules]
import json
print(json.dumps({"seconds": seconds, "heavy": heavy}))
"""


def test_loading_calls_nobody_and_takes_little() -> None:
    """In processor seconds beyond Dagster's own import, since the tests share their machine."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert found["seconds"] < 3


def test_dg_checks_the_definitions() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "list", "defs", "--json"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = json.loads(done.stdout[done.stdout.index("{") :])
    assert {job["name"] for job in listed["jobs"]} == {
        "archive_deletions",
        "archive_restore",
        "daily_audit",
        "dsar_approval",
        "dsar_request",
        "ingest_events",
        "ledger_checkpoint",
        "nightly_exports",
        "rotate_secrets",
        "scan_bucket",
    }


def test_workspace_and_cloud_files_name_the_module() -> None:
    (entry,) = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    (location,) = yaml.safe_load((PROJECT / "dagster_cloud.yaml").read_text())["locations"]
    assert entry["python_module"]["module_name"] == "privacy_assets.definitions"
    assert location["code_source"]["module_name"] == "privacy_assets.definitions"
    assert entry["python_module"]["location_name"] == location["location_name"] == "privacy_assets"


def test_a_wrong_estate_is_refused_with_file_and_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text("tables:\n  - name: logs\n    colour: blue\n")
    monkeypatch.setenv("PRIVACY_ASSETS_ESTATE", str(path))
    with pytest.raises(EstateError, match=rf"{path}:3: tables.0.colour: unknown, expected"):
        defs()


def test_every_asset_can_be_acted_on() -> None:
    """A description, an owner, kinds and a group; those with days run one run a day."""
    graph = dg.Definitions.resolve_asset_graph(defs())
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name == ("snapshot" if key.path[0] == "source" else key.path[0]), key
        if node.is_materializable:
            # A restore is whatever was asked for; events are a stream whose days are in its table.
            of_no_day = key in (dg.AssetKey(RESTORED_KEY), dg.AssetKey(EVENTS_KEY))
            assert (node.partitions_def is None) == of_no_day, key
            # Without a policy a backfill is a run a day that carries the day's own tag, by which the sensor
            # knows it and a check's result belongs to its day; a policy makes them runs of ranges.
            assert node.backfill_policy is None, key
            assert "dagster/code_references" in node.metadata, key


def test_the_days_end_yesterday() -> None:
    assert daily(governed_estate()).get_last_partition_key() == yesterday().isoformat()


def test_a_run_is_one_process() -> None:
    repository = defs().get_repository_def()
    for name in ("nightly_exports", "daily_audit"):
        assert repository.get_job(name).executor_def.name == "in_process"


def test_the_schedule_asks_for_the_day_that_has_just_ended() -> None:
    schedule = defs().get_repository_def().get_schedule_def("nightly_exports")
    now = datetime(2026, 3, 10, 1, tzinfo=UTC)
    (request,) = (
        schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=now)).run_requests or []
    )
    assert request.partition_key == "2026-03-09"
    assert schedule.execution_timezone == "UTC"


def test_the_crawler_is_called_as_it_is_provisioned() -> None:
    provisioned = Names("b", "db", "w", "r", "q", "d", "t")
    assert names.crawler("db", "logs") == provisioned.crawler("logs")
