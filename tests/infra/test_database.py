"""PostgreSQL as Dagster's storage, as it is deployed: by TLS, with a token, for a user without rights."""

import itertools
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster import DagsterEventType as Event

from infra.names import DATABASE_USER
from privacy_assets.governed import PROJECT
from privacy_assets.machine.code_server import await_code_server
from privacy_assets.machine.database import IAM_ROLE, create_user
from privacy_assets.machine.processes import Children, children
from privacy_assets.machine.stack import free_port
from tests.infra import busy
from tests.infra.instance import ADMINISTRATOR, DATABASE, Database, handed_over, write_home

SECONDS = 400.0
BIN = Path(sys.executable).parent
ONCE = (Event.RUN_ENQUEUED, Event.RUN_STARTING, Event.RUN_START, Event.RUN_SUCCESS)


def test_concurrent_runs_end_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an empty database: a daemon, a code location, and more runs at a time than production allows.

    Left out of ``dagster.yaml`` is what AWS alone has: the launcher of tasks (whose runs can be resumed) and
    the logs in S3. The queue is looked at each second, for the test's sake.
    """
    with handed_over() as given:
        given.create_user()
        home = _home(tmp_path, given)
        for name, value in {
            **given.environment,
            "DAGSTER_HOME": str(home),
            "PYTHONPATH": str(PROJECT),
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # a token is signed, nobody is asked
            monkeypatch.setenv(name, "none")
        with children(tmp_path / "logs") as group:
            _start(group, tmp_path)
            with dg.DagsterInstance.get() as instance:
                # Dagster holds a pool to its default limit from the second look at the queue on only.
                instance.event_log_storage.set_concurrency_slots(busy.POOL, 1)
                runs = _await_runs(instance, group.check)
                assert Counter(run.status for run in runs) == {dg.DagsterRunStatus.SUCCESS: len(runs)}
                _asked_again(instance)
                for run in runs:
                    _is_whole(instance, run)
                _one_at_a_time(instance, runs)
                assert {*instance.all_asset_keys()} == {*busy.ASSETS}
        said = given.server.log.read_text()
        assert "deadlock" not in said
        # Those that begin at once make the same tables: one is first, the others look again.
        errors = [line for line in said.splitlines() if re.search("ERROR|FATAL|PANIC", line)]
        assert [line for line in errors if "already exists" not in line and "duplicate key" not in line] == []


def _home(folder: Path, given: Database) -> Path:
    deployed = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    changes = {
        "run_launcher": {"module": "tests.infra.busy", "class": "Forking"},
        "run_monitoring": {**deployed["run_monitoring"], "max_resume_run_attempts": 0},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "run_queue": {**deployed["run_queue"], "dequeue_interval_seconds": 1},
    }
    return write_home(folder, given.server, changes)


def _start(group: Children, folder: Path) -> None:
    port = free_port()
    where = {"host": "127.0.0.1", "port": port, "location_name": "busy"}
    serve = ["api", "grpc", "--host", "127.0.0.1", "--port", str(port), "--location-name", "busy"]
    workspace = folder / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": where}]}))
    group.start("code", [str(BIN / "dagster"), *serve, "--module-name", "tests.infra.busy"], {})
    await_code_server(port, group.check)
    group.start("daemon", [str(BIN / "dagster-daemon"), "run", "--workspace", str(workspace)], {})


def _await_runs(instance: dg.DagsterInstance, alive: Callable[[], None]) -> list[dg.DagsterRun]:
    """All runs that are asked for, once they have ended."""
    wanted = len(busy.SENSORS) * (busy.RUNS + busy.ALONE)
    until = time.monotonic() + SECONDS
    while True:
        alive()
        runs = list(instance.get_runs())
        if len(runs) >= wanted and all(run.is_finished for run in runs):
            keys = Counter((run.tags["dagster/sensor_name"], run.tags["dagster/run_key"]) for run in runs)
            assert len(keys) == wanted
            assert set(keys.values()) == {1}
            return runs
        told = f"{len(runs)} runs of {wanted}: {Counter(run.status for run in runs)}"
        assert time.monotonic() < until, told
        time.sleep(0.5)


def _asked_again(instance: dg.DagsterInstance) -> None:
    """Each sensor has ticked often meanwhile, and asked for the same runs."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name in busy.SENSORS]
    assert len(states) == len(busy.SENSORS)
    for state in states:
        assert len(instance.get_ticks(state.instigator_origin_id, state.selector_id)) > 1


def _is_whole(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Every event of the run is there, once."""
    entries = instance.all_logs(run.run_id)
    events = Counter(entry.dagster_event.event_type for entry in entries if entry.dagster_event)
    assert {event: events[event] for event in ONCE} == dict.fromkeys(ONCE, 1)
    assert (events[Event.STEP_START], events[Event.STEP_SUCCESS]) == (2, 2)
    assert events[Event.ASSET_MATERIALIZATION] == 2 * len(busy.ASSETS)
    for key in busy.ASSETS:
        found = instance.get_records_for_run(run.run_id, of_type=Event.ASSET_MATERIALIZATION).records
        assert sum(each.asset_key == key for each in found) == 2


def _one_at_a_time(instance: dg.DagsterInstance, runs: list[dg.DagsterRun]) -> None:
    """Runs of the pool follow one another; the others do not wait for them."""
    spans = []
    for run in runs:
        if run.job_name == "one_at_a_time":
            logs = {entry.dagster_event_type: entry.timestamp for entry in instance.all_logs(run.run_id)}
            spans.append((logs[Event.RUN_STARTING], logs[Event.RUN_SUCCESS]))
    spans.sort()
    assert len(spans) == len(busy.SENSORS) * busy.ALONE
    assert all(ended <= started for (_, ended), (started, _) in itertools.pairwise(spans))


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    with handed_over() as given:
        yield given


def run_task(given: Database, **changes: str) -> subprocess.CompletedProcess[str]:
    """The task ``database``; libpq reads the port of this machine's server from PGPORT."""
    environment = {
        **given.environment,
        "DAGSTER_PG_CA": str(given.server.authority),
        "PGPORT": str(given.server.port),
        "ADMIN_USER": ADMINISTRATOR,
        "ADMIN_PASSWORD": "".join(("n", "one")),
        **changes,
    }
    return subprocess.run(
        [sys.executable, "-m", "privacy_assets.machine.database"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_user_is_made_once_without_any_other_right(server: Database) -> None:
    done = run_task(server)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["user dagster: created", "user dagster: signs in with a token"]
    assert run_task(server).stdout == ""
    parameters = {**server.server.parameters, "user": DATABASE_USER, "dbname": DATABASE}
    with closing(psycopg2.connect(**parameters)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert cursor.fetchone() == (True,)
        cursor.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles "
            "WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, False, False, False)
        cursor.execute("SELECT pg_has_role(%s, 'MEMBER')", (IAM_ROLE,))
        assert cursor.fetchone() == (True,)
        cursor.execute("CREATE TABLE made (one int)")
        cursor.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'made'")
        assert cursor.fetchone() == (DATABASE_USER,)


def test_nobody_is_a_member_of_the_user(server: Database) -> None:
    """RDS refuses the password of whoever is, as they were members of ``rds_iam`` by way of the user.

    From PostgreSQL 16 on the one who creates a role is a member of it.
    """
    parameters = {**server.server.parameters, "user": ADMINISTRATOR}
    with closing(psycopg2.connect(**parameters, dbname=DATABASE)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_roles")
            (before,) = cursor.fetchone() or (0,)
            create_user(parameters, DATABASE, "alone")
            cursor.execute("SELECT pg_has_role('alone', 'MEMBER'), (SELECT count(*) FROM pg_roles)")
            assert cursor.fetchone() == (False, before + 1)


def test_a_user_of_whom_others_are_members_is_not_given_the_right_to_a_token(server: Database) -> None:
    parameters = {**server.server.parameters, "user": ADMINISTRATOR}
    with closing(psycopg2.connect(**parameters, dbname=DATABASE)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE ROLE half LOGIN")
        done = run_task(server, DAGSTER_PG_USER="half")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"database localhost: user half: not a member of {IAM_ROLE}, expected")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_has_role('half', %s, 'MEMBER')", (IAM_ROLE,))
            assert cursor.fetchone() == (False,)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ADMIN_USER": "stranger"}, 'database localhost: .*role "stranger" does not exist'),
        ({"PGPORT": "1"}, "database localhost: .*refused"),
        ({"DAGSTER_PG_CA": "/none.pem"}, 'database localhost: .*"/none.pem" does not exist'),
        ({"ADMIN_PASSWORD": ""}, "ADMIN_PASSWORD: not set, expected what the task privacy-database has"),
    ],
)
def test_a_refusal_is_one_line(server: Database, changes: dict[str, str], line: str) -> None:
    done = run_task(server, **changes)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert re.search(line, said), said
