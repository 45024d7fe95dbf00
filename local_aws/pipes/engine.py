"""What runs pipes: a thread each while they should run, and where in its stream each one is."""

import json
import threading
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.pipes.models import Pipe, pipes_backends

from local_aws.context import Context
from local_aws.dynamodb.tables import HistoryShard, HistoryTable
from local_aws.pipes.runner import Runner

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pipes (arn TEXT PRIMARY KEY, next TEXT NOT NULL)
"""


class Engine:
    """All pipes of the server.

    ``next`` is the first sequence number that a pipe has not dealt with. It is written behind what was sent:
    a server that dies between the two sends a batch again, as AWS does now and then.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._runners: dict[str, Runner] = {}
        with context.store.write() as connection:
            connection.execute(_SCHEMA)

    def start(self) -> None:
        """Run what should run, once the server answers."""
        for account in pipes_backends.values():
            for backend in account.values():
                for pipe in backend.pipes.values():
                    self._refresh(pipe)

    def stop(self) -> None:
        """Stop all; each is where it was when it runs again."""
        with self._lock:
            runners, self._runners = list(self._runners.values()), {}
        for runner in runners:
            runner.stop()

    def count(self) -> int:
        """How many run."""
        return len(self._runners)

    def created(self, pipe: Pipe) -> None:
        """A pipe was made: it starts where it was told to, seen from now."""
        start = self._starting_position(pipe)
        self._context.commit(
            lambda connection: connection.execute(  # type: ignore[arg-type]  # its answer is of no use
                "INSERT OR REPLACE INTO pipes VALUES (?, ?)", (pipe.arn, str(start))
            ),
            then=lambda: self._refresh(pipe),
        )

    def changed(self, pipe: Pipe) -> None:
        """A pipe has other parameters, or should run or not."""
        self._context.commit(lambda _: None, then=lambda: self._refresh(pipe))

    def deleted(self, pipe: Pipe) -> None:
        """A pipe is gone."""

        def forget() -> None:
            with self._lock:
                runner = self._runners.pop(pipe.arn, None)
            if runner is not None:
                runner.stop()

        self._context.commit(
            lambda connection: connection.execute("DELETE FROM pipes WHERE arn = ?", (pipe.arn,)),  # type: ignore[arg-type]  # as above
            then=forget,
        )

    def runner(self, name: str) -> Runner | None:
        """The runner of a pipe by its name; None when none of that name runs."""
        for arn, runner in list(self._runners.items()):
            if arn.endswith(f":pipe/{name}"):
                return runner
        return None

    def runners(self) -> list[Runner]:
        """All that run."""
        return list(self._runners.values())

    def next(self, arn: str) -> int:
        """The first sequence number that the pipe has not dealt with."""
        rows = self._context.store.read("SELECT next FROM pipes WHERE arn = ?", (arn,))
        return int(rows[0][0]) if rows else 0

    def advance(self, arn: str, following: int) -> None:
        """Everything before ``following`` is dealt with."""
        with self._context.store.write() as connection:
            connection.execute("UPDATE pipes SET next = ? WHERE arn = ?", (str(following), arn))

    def _refresh(self, pipe: Pipe) -> None:
        with self._lock:
            runner = self._runners.pop(pipe.arn, None)
        if runner is not None:
            runner.stop()
        if pipe.desired_state == "STOPPED":
            return
        with self._lock:
            self._runners[pipe.arn] = Runner(self, pipe.arn, pipe.source, pipe.target, _settings(pipe))
            self._runners[pipe.arn].start()

    def _starting_position(self, pipe: Pipe) -> int:
        parameters = (pipe.source_parameters or {})["DynamoDBStreamParameters"]
        shard = shard_of(pipe.source)
        if parameters["StartingPosition"] == "TRIM_HORIZON" or shard is None:
            return 0
        return shard.starting_sequence_number + len(shard.items)


def _settings(pipe: Pipe) -> dict[str, Any]:
    """A copy: what is changed later comes with a runner of its own."""
    copied: dict[str, Any] = json.loads(json.dumps(pipe.source_parameters))
    return copied


def shard_of(stream_arn: str) -> HistoryShard | None:
    """The shard of a stream; None when the table is gone or has another stream by now."""
    _, _, _, region, account, resource = stream_arn.split(":", 5)
    _, name, _, label = resource.split("/", 3)
    table = dynamodb_backends[account][region].tables.get(name)
    if not isinstance(table, HistoryTable) or table.latest_stream_label != label:
        return None
    shard = table.stream_shard
    return shard if isinstance(shard, HistoryShard) else None
