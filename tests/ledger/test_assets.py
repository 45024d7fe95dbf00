"""The daily checkpoint on local AWS, and what other domains write."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from privacy_assets.ledger import Event, open_log, record
from privacy_assets.ledger.assets import CHECK, CHECKPOINT_KEY
from schedules.daily_checkpoint import daily_checkpoint_schedule
from tests.house import House, yesterday


@pytest.fixture
def house(aws: str, unique: str, tmp_path: Path) -> House:
    return House.build(aws, unique, tmp_path)


def checkpoint(house: House, day: date | None = None, *, fails: bool = False) -> dg.ExecuteInProcessResult:
    job = house.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=house.instance,
        partition_key=(day or yesterday()).isoformat(),
        asset_selection=[CHECKPOINT_KEY],
        raise_on_error=False,
    )
    assert result.success != fails
    (evaluated,) = result.get_asset_check_evaluations()
    assert (evaluated.check_name, evaluated.passed) == (CHECK, not fails)
    return result


def event(number: int, stream: str = "job") -> Event:
    return Event("test.done", actor="test", stream=stream, counts={"number": number})


def test_a_log_that_goes_on_is_verified_each_day(house: House) -> None:
    checkpoint(house)  # nothing has been logged yet
    record(house.ledger, event(0))
    checkpoint(house, yesterday() - timedelta(days=1))
    record(house.ledger, event(1), event(2))
    (made,) = checkpoint(house).asset_materializations_for_node("evidence__ledger_checkpoint")
    assert made.metadata["entries"].value == 3
    log = open_log(house.ledger)
    assert made.metadata["vkey"].value == log.key.vkey
    kept = dict(house.ledger.kept())
    assert sorted(kept) == [
        f"checkpoints/{yesterday() - timedelta(days=1)}",
        f"checkpoints/{yesterday()}",
    ]
    found = boto3.client("s3").head_object(
        Bucket=house.ledger.bucket, Key=f"ledger/checkpoints/{yesterday()}"
    )
    assert "ObjectLockRetainUntilDate" in found


def test_what_was_committed_by_the_dead_is_published_first(house: House) -> None:
    from privacy_assets.ledger.log import Log
    from tests.ledger.test_log import Dying, Killed

    with pytest.raises(Killed):
        Log(Dying(house.ledger, 1, after=True), house.ledger.signer).append([event(0)])
    (made,) = checkpoint(house).asset_materializations_for_node("evidence__ledger_checkpoint")
    assert made.metadata["entries"].value == 1


def overwritten_entries(house: House) -> None:
    put(house, "tile/entries/000.p/2", b"\x00\x02{}\x00\x02{}")


def table_rolled_back(house: House) -> None:
    dynamodb = boto3.client("dynamodb")
    rows = dynamodb.scan(TableName=house.ledger.table)["Items"]
    row = next(row for row in rows if row["id"]["S"] == "stream#job")
    dynamodb.delete_item(TableName=house.ledger.table, Key={"id": row["id"], "leaf": row["leaf"]})


def another_history(house: House) -> None:
    """Whoever has the key signs a log with other entries, and puts the table right too."""
    from privacy_assets.ledger import checkpoint, tiles

    ledger, edge = house.ledger, tiles.Edge()
    entries = [event(7).encode(), event(8).encode()]
    edge.add(entries)
    for path, body in edge.partial().items():
        put(house, path, body)
    put(house, "checkpoint", checkpoint.sign(ledger.origin, 2, edge.root(), ledger.signer).signed)
    boto3.client("dynamodb").update_item(
        TableName=ledger.table,
        Key={"id": {"S": "head"}, "leaf": {"N": "0"}},
        UpdateExpression="SET #root = :root, #start = :start, #entries = :entries",
        ExpressionAttributeNames={"#root": "root", "#start": "start", "#entries": "entries"},
        ExpressionAttributeValues={
            ":root": {"B": edge.root()},
            ":start": {"N": "0"},
            ":entries": {"B": tiles.encode(entries)},
        },
    )


def put(house: House, path: str, body: bytes) -> None:
    boto3.client("s3").put_object(Bucket=house.ledger.bucket, Key=f"ledger/{path}", Body=body)


@pytest.mark.parametrize("damage", [overwritten_entries, table_rolled_back, another_history])
def test_damage_fails_the_check_and_puts_nothing_aside(
    house: House, damage: Callable[[House], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    record(house.ledger, event(0), event(1))
    checkpoint(house, yesterday() - timedelta(days=1))
    damage(house)
    monkeypatch.setattr("privacy_assets.ledger._logs", {})  # as a process that begins
    checkpoint(house, fails=True)
    assert list(dict(house.ledger.kept())) == [f"checkpoints/{yesterday() - timedelta(days=1)}"]


def test_the_schedule_verifies_the_log_as_it_is_now() -> None:
    def asked(now: datetime) -> Any:
        @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
        def one() -> None: ...

        schedule = daily_checkpoint_schedule(dg.define_asset_job("job", [one]), clock=lambda: now)
        context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 28, 5, tzinfo=UTC))
        return schedule(context)

    request = asked(datetime(2026, 1, 28, 5, 1, tzinfo=UTC))
    assert (request.partition_key, request.run_key) == ("2026-01-27", "2026-01-27")
    assert isinstance(asked(datetime(2026, 1, 29, tzinfo=UTC)), dg.SkipReason)
