"""Events from several clients, while the API, ingestion and AWS itself are each killed once.

``PRIVACY_ASSETS_TORTURE=200000`` makes it two hundred thousand events, which takes some minutes.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from local_aws.process import running
from privacy_assets.governed import governed_estate, table_shapes
from privacy_assets.machine.stack import free_port
from resources import settings
from resources.athena import AthenaResource
from resources.busy_queue import BusyQueueResource
from resources.iceberg import IcebergResource
from resources.provision import provision

SIZE = int(os.environ.get("PRIVACY_ASSETS_TORTURE", "4000"))
LARGE = SIZE > 20_000
CLIENTS = 4
RATE = 0 if LARGE else SIZE / CLIENTS / 60
"""Of each client: as fast as it goes, or a minute of it."""
BATCH = 100 if LARGE else 20
EXAMPLE = Path(__file__).parents[2] / "examples" / "send_events.py"
COMMAND = [sys.executable, "-c", "from privacy_assets.cli import main; main()"]
HIDDEN_SECONDS = 60 if LARGE else 10


def said(line: str) -> None:
    """Progress, for who runs it by hand with ``-s``."""
    sys.stderr.write(f"{line}\n")


class Victim:
    """A process that can be killed and is started again as it was."""

    def __init__(self, stack: ExitStack, command: list[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self._process = self._start()
        stack.callback(self.stop)

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, env=dict(self._environment), stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(120)


class Aws:
    """AWS on one port, with its state kept; killed and started again as it was."""

    def __init__(self, stack: ExitStack, state: Path) -> None:
        self._stack, self._state, self.port = stack, state, free_port()
        self._server = stack.enter_context(running(self.port, state))
        self.environment = self._server.environment

    def kill(self) -> None:
        os.kill(self._server.pid, signal.SIGKILL)
        os.waitpid(self._server.pid, os.WNOHANG)
        until = time.monotonic() + 60
        while True:
            try:
                self._server = self._stack.enter_context(running(self.port, self._state))
            except RuntimeError:  # the one that was killed still has the port
                assert time.monotonic() < until
                time.sleep(0.5)
            else:
                return


@pytest.mark.timeout(3600 if LARGE else 600)
def test_whoever_dies_each_event_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        aws = Aws(stack, tmp_path / "aws")
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        provision(table_shapes(governed_estate()))
        parts = _parts()
        queue, athena = parts["queue"], parts["athena"]
        _hide(queue.queue)
        environment = {**os.environ, **_credentials()}
        port = free_port()
        api = Victim(stack, [*COMMAND, "api", "--port", str(port)], environment)
        _ready(port)
        arguments = {
            "queue": queue.model_dump(),
            "iceberg": parts["iceberg"].model_dump(),
            "bite": 300 if LARGE else 20,
        }
        drain = Victim(
            stack, [sys.executable, "-m", "tests.ingest.worker", json.dumps(arguments)], environment
        )
        started = time.monotonic()
        clients = [stack.enter_context(_client(port, number, environment)) for number in range(CLIENTS)]
        for share, what, kill in (
            (0.2, "API", api.kill),
            (0.4, "ingestion", drain.kill),
            (0.6, "AWS", aws.kill),
        ):
            _await(lambda share=share: _accepted(parts) >= share * SIZE)  # type: ignore[misc]
            said(f"{time.monotonic() - started:.0f} s: {_rows(parts['iceberg']):,} rows; {what} is killed")
            assert any(client.poll() is None for client in clients), "all was sent before"
            kill()
        told = [json.loads(client.communicate()[0]) for client in clients]
        said(f"{time.monotonic() - started:.0f} s: all is sent, {told}")
        assert [client.returncode for client in clients] == [0] * CLIENTS
        assert sum(each["accepted"] for each in told) == SIZE
        _await(lambda: not queue.depths()[queue.queue])
        said(f"{time.monotonic() - started:.0f} s: all is written")
        (counted,) = athena.fetch(
            athena.execute("SELECT count(*) AS events, count(DISTINCT event_id) AS distinct_ids FROM events")
        ).to_pylist()
        assert counted == {"events": SIZE, "distinct_ids": SIZE}
        assert queue.depths()[queue.dead_letters] == 0


def _parts() -> dict[str, Any]:
    database = settings.GLUE_DATABASE.value()
    return {
        "queue": BusyQueueResource(
            queue=settings.EVENT_QUEUE.value(), dead_letters=settings.EVENT_DEAD_LETTER_QUEUE.value()
        ),
        "iceberg": IcebergResource(database=database, bucket=settings.LAKE_BUCKET.value()),
        "athena": AthenaResource(workgroup=settings.ATHENA_WORKGROUP.value(), database=database),
    }


def _hide(queue: str) -> None:
    """What a killed run held comes again soon enough for a test."""
    import boto3

    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(HIDDEN_SECONDS)})


def _credentials() -> dict[str, str]:
    """A client of the API, as its program's environment has it."""
    subprocess.run([*COMMAND, "client", "create", "shop", "--scope", "events:write"], check=True)
    answer = subprocess.run(
        [*COMMAND, "client", "secret", "shop"], check=True, capture_output=True, text=True
    )
    secret = json.loads(answer.stdout)
    return {f"PRIVACY_ASSETS_{name.upper()}": secret[name] for name in ("client_id", "client_secret")}


@contextmanager
def _client(port: int, number: int, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    command = [
        sys.executable, str(EXAMPLE), "--api", f"http://127.0.0.1:{port}", "--json", "--rate", str(RATE),
        "--count", str(SIZE // CLIENTS), "--batch", str(BATCH), "--seed", str(number),
    ]  # fmt: skip
    with subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, text=True) as client:
        try:
            yield client
        finally:
            client.kill()


def _ready(port: int) -> None:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10):
                return True
        except OSError:
            return False

    _await(answers)


def _rows(iceberg: IcebergResource) -> int:
    try:
        return sum(iceberg.count("events", ["event_date"]).values())
    except Exception:  # noqa: BLE001  # there is no table yet, or no AWS
        return 0


def _accepted(parts: Mapping[str, Any]) -> int:
    """About how many events were accepted by now."""
    queue = parts["queue"]
    return _rows(parts["iceberg"]) + BATCH * int(queue.depths()[queue.queue])


def _await(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 1800
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.2)
