"""Each event is one row in the hour that it belongs to, whatever comes twice, late, malformed or half."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from privacy_assets.ingest import draining
from privacy_assets.ingest.draining import Kept, keep_house
from privacy_assets.ingest.messages import accept, pack
from privacy_assets.ingest.schema import FIELDS, SCHEMA
from resources.busy_queue import BusyQueueResource
from resources.iceberg import IcebergResource
from tests.house import client
from tests.ingest.conftest import Ingest
from tests.ingest.events import NOW, event

DAY = date(2026, 1, 31)


class Killed(BaseException):
    """A run that ends here."""


def at(time: datetime) -> str:
    return time.isoformat()


def test_an_event_is_a_row_with_all_its_fields(ingest: Ingest) -> None:
    whole = {field.name: field.json.get("examples", [None])[0] for field in FIELDS}
    whole |= {"event_type": "disclosure", "special_category": True, "extra": {"größe": [1, None]}}
    ingest.send(whole, client="shop", now=NOW)
    ingest.send(event(subject_age=34.0, event_time="2026-01-31T10:59:59.999999+01:00"), now=NOW)
    done = ingest.drain()
    small, large = sorted(ingest.rows(), key=lambda row: row["client"] or "")
    assert large["extra"] == '{"größe":[1,null]}'
    assert large["retention_until"] == "2036-01-31 00:00:00.000000 UTC"
    assert large["data_categories"] == "[contact, location]"
    for name in set(whole) - {"extra", "retention_until", "event_time", "data_categories"}:
        assert large[name] == whole[name], name
    assert (large["schema_version"], large["client"]) == (1, "shop")
    assert large["accepted_at"] == "2026-01-31 12:00:00.000000 UTC"
    assert (small["event_date"], small["event_hour"], small["subject_age"]) == (DAY, 9, 34)
    assert small["event_time"] == "2026-01-31 09:59:59.999999 UTC"
    assert all(small[name] is None for name in ("purpose", "data_categories", "special_category", "extra"))
    assert done.total.events == 2
    assert done.by_type["disclosure"].bytes == len(
        json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
    )
    assert ingest.waiting() == 0


def test_files_are_snappy_parquet_by_day_and_hour_and_say_nothing_of_subjects(ingest: Ingest) -> None:
    ingest.send(event(subject_id="planted-4711"), now=NOW)
    ingest.drain()
    table = client("glue").get_table(DatabaseName=ingest.house.names.database, Name="events")["Table"]
    comments = {column["Name"]: column.get("Comment") for column in table["StorageDescriptor"]["Columns"]}
    assert comments["subject_id"] == "Pseudonymous identifier of the person."
    loaded: Any = ingest.iceberg._load("events")
    (task,) = loaded.scan().plan_files()
    assert "/event_date=2026-01-31/event_hour=9/" in task.file.file_path
    assert task.file.column_sizes is None or "planted" not in str(task.file)
    import pyarrow.parquet as pq

    with loaded.io.new_input(task.file.file_path).open() as file:
        metadata = pq.ParquetFile(file).metadata
    assert {metadata.row_group(0).column(n).compression for n in range(metadata.num_columns)} == {"SNAPPY"}


def test_what_comes_twice_is_there_once(ingest: Ingest) -> None:
    one, other = event(event_id="1"), event(event_id="2", event_time="2026-01-31T11:00:00Z")
    ingest.send(one, one, other, now=NOW)
    ingest.send(one, now=NOW)
    first = ingest.drain()
    assert (first.total.events, first.already) == (2, 2)
    ingest.send(other, event(event_id="3"), one, now=NOW + timedelta(days=9))
    again = ingest.drain()
    assert (again.total.events, again.already) == (1, 2)
    assert sorted(ingest.ids()) == ["1", "2", "3"]


def test_an_identity_is_one_of_its_hour(ingest: Ingest) -> None:
    """Another time within the hour is the same event sent again; another hour is another event."""
    ingest.send(event(event_id="1"), event(event_id="1", event_time="2026-01-31T09:59:00Z"), now=NOW)
    ingest.send(event(event_id="1", event_time="2026-01-31T08:59:00Z"), now=NOW)
    ingest.drain()
    ingest.send(event(event_id="1", event_time="2026-01-31T08:01:00Z"), now=NOW)
    assert ingest.drain().already == 1
    assert [row["event_time"][11:16] for row in ingest.rows()] == ["08:59", "09:30"]


def test_late_events_are_in_their_own_hour(ingest: Ingest) -> None:
    times = [NOW - timedelta(days=days, hours=hours) for days in (0, 1, 400) for hours in (0, 5)]
    ingest.send(*(event(event_time=at(time)) for time in times), now=NOW)
    done = ingest.drain()
    hours = [(time.date(), time.hour) for time in times]
    assert sorted(done.by_hour) == sorted(hours)
    assert ingest.files() == dict.fromkeys(sorted(hours), 1)


def test_what_is_malformed_is_buried_with_its_reason_and_holds_nothing_up(ingest: Ingest) -> None:
    good, bad = event(event_id="1"), event(event_id="2", event_type="planted")
    ingest.send(good, bad, event(event_id="3"), now=NOW)
    ingest.sender.send(["planted", '{"Records": []}'])
    done = ingest.drain()
    assert ingest.ids() == ["1", "3"]
    assert ingest.waiting() == 0
    letters = ingest.letters()
    reasons = sorted(reason for _, reason in letters)
    assert reasons == sorted(done.dead.elements())
    assert reasons[0].startswith("/event/event_type: expected one of consent_given")
    assert reasons[1:] == [
        "expected an object of version and events",
        "no JSON, expected a message of events",
    ]
    assert not any("planted" in reason for reason in reasons)
    (body,) = [body for body, _ in letters if '"2"' in body]
    assert json.loads(body)["events"][0]["event"] == bad


def test_a_message_is_deleted_only_when_its_events_are_committed(ingest: Ingest) -> None:
    class Away(IcebergResource):
        def add(self, *_: Any, **__: Any) -> Any:
            raise ConnectionError("away")

    class Lost(BusyQueueResource):
        def delete(self, *_: Any) -> None:
            raise Killed

    ingest.send(event(event_id="1"), now=NOW)
    with pytest.raises(ConnectionError):
        ingest.drain(store=Away(**ingest.iceberg.model_dump()))
    assert ingest.waiting() == 1
    drain_all(ingest, queue=Lost(**ingest.queue.model_dump()))
    assert ingest.waiting() == 1
    assert ingest.ids() == ["1"]
    drain_all(ingest)
    assert ingest.ids() == ["1"]


def drain_all(ingest: Ingest, **overrides: Any) -> None:
    """Until nothing waits, what another run held included, or the run dies."""
    while ingest.waiting():
        try:
            ingest.drain(wait=3, receivers=1, **overrides)
        except Killed:
            return


def test_two_runs_at_once_write_each_event_once(ingest: Ingest) -> None:
    """The other run commits the same events between this one's look and its commit."""
    ingest.send(event(event_id="1"), event(event_id="2"), now=NOW)
    ingest.drain()
    from pyiceberg.table import Table

    append, others = Table.append, [event(event_id="3"), event(event_id="4")]

    def slow(table: Table, rows: Any, *arguments: Any, **more: Any) -> None:
        if others:
            ingest.send(others.pop(), now=NOW)
            ingest.drain()
        append(table, rows, *arguments, **more)

    ingest.send(event(event_id="3"), event(event_id="5"), now=NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "append", slow)
        ingest.drain(bite_messages=1)
    assert ingest.ids() == ["1", "2", "3", "4", "5"]


def test_many_events_are_read_in_bites_of_bounded_size(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "_CHUNK", 7)
    ingest.hide(300)
    events = [event(event_id=str(n), subject_id=f"s{n}") for n in range(300)]
    bodies = [
        body
        for start in range(0, 300, 3)
        for body in pack([accept(e, NOW) for e in events[start : start + 3]])
    ]
    ingest.sender.send(bodies)
    done = ingest.drain(bite_messages=20, receivers=2)
    assert (done.total.events, done.messages) == (300, 100)
    assert 3 <= done.bites <= 6
    assert sorted(ingest.ids(), key=int) == [str(n) for n in range(300)]


def test_the_lag_is_from_acceptance_to_queryable(ingest: Ingest) -> None:
    for seconds, kind in ((1, "processing"), (2, "processing"), (60, "processing"), (-5, "gpc_signal")):
        ingest.send(
            event(event_type=kind, event_time=at(NOW - timedelta(hours=1))),
            now=NOW - timedelta(seconds=seconds),
        )
    done = ingest.drain(clock=lambda: NOW)
    assert (done.by_type["processing"].lag(0.5), done.by_type["processing"].lag(1)) == (2.0, 60.0)
    assert done.by_type["gpc_signal"].lag(1) == 0.0
    assert (done.total.lag(0.5), done.total.events) == (1.0, 4)
    assert draining.Tally().lag(0.5) == 0.0


def test_hours_that_are_over_become_one_file_and_others_when_they_are_many(ingest: Ingest) -> None:
    now = datetime.now(UTC).replace(minute=30)
    for number in range(10):
        ingest.send(event(event_id=f"now-{number}", event_time=at(now)), now=now)
        if number < 3:
            ingest.send(event(event_id=f"old-{number}", event_time=at(now - timedelta(hours=1))), now=now)
            ingest.send(event(event_id=f"late-{number}"), now=now)
        ingest.drain()
        if number == 2:
            held = ingest.files()
            assert keep_house(ingest.iceberg, now) == Kept(6, 0)
            assert sorted(ingest.files().values()) == [1, 1, 3]
            assert list(held) == list(ingest.files())
    assert keep_house(ingest.iceberg, now) == Kept(10, 0)
    assert list(ingest.files().values()) == [1, 1, 1]
    assert len(ingest.ids()) == 16 == len(set(ingest.ids()))


def test_years_of_late_hours_hold_up_no_run_and_are_put_together_by_the_next_ones(ingest: Ingest) -> None:
    hours = [NOW - timedelta(days=400 * number) for number in range(1, 6)]
    for number in range(2):
        ingest.send(*(event(event_id=f"{number}", event_time=at(hour)) for hour in hours), now=NOW)
        ingest.drain()
    assert list(ingest.files().values()) == [2] * 5
    ticks = iter(range(100))
    # A budget of two: begun at 0, the time is 1 after the first hour and 2 after the second.
    kept = keep_house(ingest.iceberg, NOW, seconds=2.0, clock=lambda: float(next(ticks)))
    assert kept == Kept(4, 3)
    assert list(ingest.files().values()) == [2, 2, 2, 1, 1], "the newest first"
    assert keep_house(ingest.iceberg, NOW, seconds=0.0) == Kept(2, 2), "one at least"
    assert keep_house(ingest.iceberg, NOW) == Kept(4, 0)
    assert keep_house(ingest.iceberg, NOW) == Kept(0, 0)
    assert len(ingest.ids()) == 10


def test_old_snapshots_are_forgotten_once_an_hour(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        ingest.send(event(event_id=str(number)), now=NOW)
        ingest.drain()
    loaded: Any = ingest.iceberg._load("events")
    assert ingest.iceberg.vacuum("events", timedelta(0), slack=timedelta(hours=1)) == 0
    assert len(loaded.refresh().snapshots()) == 3
    assert ingest.iceberg.vacuum("events", timedelta(0)) > 0
    assert len(loaded.refresh().snapshots()) == 1
    assert ingest.ids() == ["0", "1", "2"]


def test_the_examples_of_the_schema_are_rows(ingest: Ingest) -> None:
    ingest.send(*SCHEMA["examples"], now=NOW)
    assert ingest.drain().total.events == len(SCHEMA["examples"])
