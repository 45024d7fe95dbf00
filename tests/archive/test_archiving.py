"""From the table into the archive: once each, whatever comes twice, late, out of order or half."""

import json
import random
from typing import Any

import pytest
import requests

from privacy_assets.archive.archiving import NotArchived
from privacy_assets.archive.rows import DELETIONS, PARTITION_BY
from resources.archive import ArchiveResource
from tests.archive.conftest import Archive
from tests.house import event


def test_a_deletion_becomes_an_object_and_a_row(archive: Archive) -> None:
    archive.put_and_delete(event("a_1", "subject-7", n={"N": "1.50"}))
    archive.flush()
    (body,) = archive.bodies()
    archive.send([body])
    done = archive.drain()
    assert (done.archived, done.already, done.dead) == (1, 0, {})
    assert archive.waiting() == {"queue": 0, "dead_letters": 0, "pipe_dead_letters": 0}
    ((path, (record,)),) = archive.versions().items()
    assert path == "visits/log%5Fid_a%5F1.json"
    version = record.pop("version")
    assert record == json.loads(body)
    head = archive.s3.head_object(Bucket=archive.names.bucket, Key=path)
    assert head["ContentType"] == "application/json"
    (row,) = archive.rows()
    assert row["table_name"] == "visits"
    assert row["keys"] == '{"log_id":{"S":"a_1"}}'
    assert (row["partition_key"], row["sort_key"], row["subject"]) == ("a_1", None, "subject-7")
    assert row["cause"] == "user"
    assert row["sequence_number"] == record["dynamodb"]["SequenceNumber"]
    assert (row["object_path"], row["object_version"]) == (path, version)
    assert json.loads(row["item"]) == record["dynamodb"]["OldImage"]
    assert row["size"] == record["dynamodb"]["SizeBytes"]
    assert row["deleted_on"] == row["deleted_at"].date()


def test_athena_answers_who_deleted_what(archive: Archive) -> None:
    archive.dynamodb.update_time_to_live(
        TableName=archive.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    archive.put(event("over", expires={"N": "1600000000"}), event("by hand"))
    url = f"{archive.endpoint}/_local/dynamodb/expire"
    requests.post(url, params={"table": archive.table, "at": "2022-01-01T00:00:00Z"}, timeout=60)
    archive.delete("by hand")
    archive.flush()
    archive.drain()
    found = archive.house.rows(
        "SELECT partition_key, subject FROM archived_deletions"
        " WHERE table_name = 'visits' AND deleted_on >= current_date - INTERVAL '1' DAY AND cause = 'ttl'"
    )
    assert found == [{"partition_key": "over", "subject": "subject-1"}]


def test_the_same_message_twice_is_one_record(archive: Archive) -> None:
    archive.put_and_delete(event("a"), event("b"))
    archive.flush()
    bodies = archive.bodies()
    archive.send(bodies * 3)
    assert archive.drain().archived == 2
    archive.is_whole(2)
    archive.send(bodies * 2)
    assert archive.drain().archived == 0
    archive.is_whole(2)


def test_the_same_key_deleted_again_is_another_record(archive: Archive) -> None:
    for number in range(4):
        archive.put_and_delete(event("a", n={"N": str(number)}))
    archive.flush()
    bodies = archive.bodies()
    archive.send(bodies[:2])
    archive.drain()
    archive.send(bodies)
    assert archive.drain().archived == 2
    archive.is_whole(4)
    ((_, records),) = archive.versions().items()
    assert [record["dynamodb"]["OldImage"]["n"]["N"] for record in records] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_delivery_changes_nothing(archive: Archive, seed: int) -> None:
    for number in range(3):
        archive.put_and_delete(event("a", n={"N": str(number)}), event("b", n={"N": str(number)}))
    archive.flush()
    bodies = archive.bodies() * 2
    random.Random(seed).shuffle(bodies)
    for start in range(0, len(bodies), 4):
        archive.send(bodies[start : start + 4])
        archive.drain()
    archive.is_whole(6)


POISON = {
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "an insert": '{"eventName": "INSERT"}',
    "no ARN": '{"eventName": "REMOVE"}',
    "a stranger": json.dumps(
        {
            "eventName": "REMOVE",
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/Others/stream/2026",
        }
    ),
}


def test_what_is_no_deletion_goes_to_the_dead_letters_with_its_reason(archive: Archive) -> None:
    archive.put_and_delete(event("a"))
    archive.flush()
    (good,) = archive.bodies()
    broken = [json.loads(good) for _ in range(4)]
    del broken[0]["dynamodb"]["OldImage"]
    broken[1]["dynamodb"]["Keys"] = {"log_id": {"S": "another"}}
    broken[2]["dynamodb"]["SequenceNumber"] = "1; DROP"
    broken[3]["dynamodb"]["ApproximateCreationDateTime"] = "today"
    archive.send([*POISON.values(), good, *map(json.dumps, broken)])
    done = archive.drain()
    assert done.archived == 1
    assert sum(done.dead.values()) == len(POISON) + len(broken)
    assert archive.waiting() == {"queue": 0, "dead_letters": 10, "pipe_dead_letters": 0}
    assert all("expected" in reason and "another" not in reason.split(",")[1] for reason in done.dead)
    archive.is_whole(1)
    reasons = list(archive.queue.redrive())
    assert sorted(reasons) == sorted(reason for reason, count in done.dead.items() for _ in range(count))
    assert archive.waiting()["dead_letters"] == 0
    assert sum(archive.drain().dead.values()) == 10


def test_a_record_that_no_writer_could_store_is_buried_and_holds_up_no_other(archive: Archive) -> None:
    archive.put_and_delete(event("a"))
    archive.flush()
    (good,) = archive.bodies()
    (stream,) = {json.loads(good)["eventSourceARN"]}

    def changed(**told: Any) -> str:
        record = json.loads(good)
        record["dynamodb"] |= told
        return json.dumps(record)

    def pointing(shard: str, first: str, last: str) -> str:
        info = {"streamArn": stream, "shardId": shard, "startSequenceNumber": first}
        return json.dumps({"DDBStreamBatchInfo": {**info, "endSequenceNumber": last}})

    image, shard = json.loads(good)["dynamodb"]["OldImage"], "shardId-00000001500000000000-abcdef01"
    poison = {
        "half a character": changed(OldImage={**image, "note": {"S": "\ud800"}}),
        "a subject that is half a character": changed(OldImage={**image, "subject_id": {"S": "\udfff"}}),
        "no end of time": changed(ApproximateCreationDateTime=0).replace(
            '"ApproximateCreationDateTime": 0', '"ApproximateCreationDateTime": 1e999'
        ),
        "before DynamoDB": changed(ApproximateCreationDateTime=-6e10),
        "a shard of no stream": pointing("x", "1", "2"),
        "a number of no stream": pointing(shard, "1", "2"),
        "the last before the first": pointing(shard, "9" * 21, "1" * 21),
    }
    deep = [
        good.replace('"OldImage": {', '"OldImage": {"deep": ' + '{"L":[' * depth + "]}" * depth + ",")
        for depth in range(430, 500, 5)
    ]
    archive.send([*poison.values(), *deep, changed(SizeBytes=10**30), changed(SizeBytes=-1)])
    done = archive.drain()
    assert archive.waiting()["queue"] == 0
    assert sum(done.dead.values()) >= len(poison)
    assert all("expected" in reason or "no longer in the stream" in reason for reason in done.dead)
    (row,) = archive.rows()
    assert 0 < row["size"] < 2**40
    archive.is_whole(1)


def test_large_records_are_read_from_streams_some_at_a_time(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Singly:
        """The queues, but for the pipe's dead letters, which come one at a time."""

        def __init__(self) -> None:
            self.held: list[Any] = []

        def __getattr__(self, name: str) -> Any:
            return getattr(archive.queue, name)

        def receive_from_pipe(self) -> list[Any]:
            self.held = self.held or archive.queue.receive_from_pipe()
            return [self.held.pop()] if self.held else []

    monkeypatch.setattr("privacy_assets.archive.archiving.BITE_POINTERS", 2)
    large = [event(f"large {n}", many={"L": [{"N": "1"}] * 190_000}) for n in range(5)]
    archive.put_and_delete(*large)
    archive.flush()
    assert archive.waiting()["pipe_dead_letters"] == 5
    done = archive.drain(queue=Singly())
    assert done.archived == 5
    assert done.bites >= 3
    archive.is_whole(5)


def test_records_too_large_for_a_message_are_read_from_the_stream(archive: Archive) -> None:
    large = event("large", many={"L": [{"N": "1"}] * 190_000})
    archive.put_and_delete(event("small"), large)
    archive.flush()
    assert archive.waiting() == {"queue": 1, "dead_letters": 0, "pipe_dead_letters": 1}
    done = archive.drain()
    assert (done.archived, done.reread) == (2, 1)
    assert archive.waiting() == {"queue": 0, "dead_letters": 0, "pipe_dead_letters": 0}
    archive.is_whole(2)
    items = {json.dumps(row["keys"]): json.loads(row["item"]) for row in archive.rows()}
    assert large in items.values()


def test_what_the_stream_has_forgotten_is_told_and_not_lost_silently(archive: Archive) -> None:
    archive.put_and_delete(event("large", many={"L": [{"N": "1"}] * 190_000}))
    archive.flush()
    settings = f"{archive.endpoint}/_local/dynamodb/settings"
    requests.post(settings, json={"stream_ahead_seconds": 90_000}, timeout=60)
    try:
        done = archive.drain()
    finally:
        requests.post(settings, json={"stream_ahead_seconds": 0}, timeout=60)
    assert [reason.split(": ")[1] for reason in done.dead] == ["no longer in the stream"]
    assert archive.waiting() == {"queue": 0, "dead_letters": 1, "pipe_dead_letters": 0}
    list(archive.queue.redrive())  # as if the stream had been found again
    assert archive.drain().archived == 1
    archive.is_whole(1)


def nested(depth: int) -> dict[str, Any]:
    return (
        {"L": [nested(depth - 1)]} if depth % 2 else {"M": {"in": nested(depth - 1)}} if depth else {"S": "x"}
    )


def test_every_type_comes_back_bit_for_bit(archive: Archive) -> None:
    item = event(
        "all",
        s={"S": "é東🙂\u2028\x7f\\\"'"},
        n={"N": "-12345678901234567890123456789012345678E-50"},
        b={"B": bytes(range(256))},
        yes={"BOOL": True},
        null={"NULL": True},
        m={"M": {"": {"S": "empty name"}, "a.b": {"NULL": True}}},
        l={"L": [{"S": ""}, {"N": "0"}, {"B": b"\xff"}]},
        ss={"SS": ["a", "b"]},
        ns={"NS": ["1", "2.50"]},
        bs={"BS": [b"\x00", b"\x01"]},
        deep=nested(31),
        large={"S": "x" * 390_000},
    )
    archive.put(item)
    before = archive.dynamodb.get_item(TableName=archive.table, Key={"log_id": {"S": "all"}})["Item"]
    archive.delete("all")
    archive.flush()
    assert archive.drain().archived == 1
    ((_, (record,)),) = archive.versions().items()
    from privacy_assets.archive.values import from_json

    back = {name: from_json(value) for name, value in record["dynamodb"]["OldImage"].items()}
    assert back == before


class Dying:
    """A bucket in whose use the process dies: after so many objects nothing goes on."""

    def __init__(self, objects: ArchiveResource, left: int) -> None:
        self._objects, self._left = objects, left

    def put(self, *arguments: Any) -> str | None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._objects.put(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_killed_between_objects_and_rows_it_is_finished_by_the_next(archive: Archive, after: int) -> None:
    archive.put_and_delete(*(event(f"{number}") for number in range(5)))
    archive.flush()
    with pytest.raises(KeyboardInterrupt):
        archive.drain(objects=Dying(archive.objects, after), threads=1)
    assert archive.waiting()["queue"] == 5
    _drain_all(archive)
    archive.is_whole(5)


def _drain_all(archive: Archive) -> None:
    while archive.waiting()["queue"]:
        archive.drain()


def test_killed_between_rows_and_the_queue_nothing_is_there_twice(archive: Archive) -> None:
    class Deaf(type(archive.queue)):  # type: ignore[misc]
        def delete(self, *_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

    archive.put_and_delete(*(event(f"{number}") for number in range(5)))
    archive.flush()
    deaf = Deaf(**archive.queue.model_dump())
    with pytest.raises(KeyboardInterrupt):
        archive.drain(queue=deaf)
    archive.is_whole(5)
    _drain_all(archive)
    archive.is_whole(5)


def test_two_that_archive_the_same_at_once_archive_it_once(archive: Archive) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for number in range(3):
        archive.put_and_delete(*(event(f"{key}", n={"N": str(number)}) for key in range(4)))
    archive.flush()
    bodies = archive.bodies()
    archive.send(bodies * 3)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(archive.drain) for _ in range(3)]
        assert sum(run.result().archived for run in runs) == 12
    archive.is_whole(12)


def test_a_commit_that_lost_the_race_looks_again(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyiceberg.table import Table

    archive.put_and_delete(*(event(f"{number}") for number in range(3)))
    archive.flush()
    append, raced = Table.append, []

    def overtaken(table: Table, rows: Any) -> None:
        if not raced:
            raced.append(True)
            archive.iceberg.add(DELETIONS, rows, identity="record_id", within=PARTITION_BY, span="deleted_at")
        append(table, rows)

    monkeypatch.setattr(Table, "append", overtaken)
    archive.drain()
    assert raced
    archive.is_whole(3)


def test_what_s3_will_not_take_now_stays_in_the_queue_and_is_told(archive: Archive) -> None:
    archive.put_and_delete(event("a"))
    archive.flush()
    with pytest.raises(NotArchived, match="1 keys could not be archived"):
        archive.drain(objects=ArchiveResource(bucket="no-such-bucket-anywhere"))
    assert archive.waiting() == {"queue": 1, "dead_letters": 0, "pipe_dead_letters": 0}
    _drain_all(archive)
    archive.is_whole(1)


def test_a_deletion_while_an_erasure_goes_on_is_the_erasures(archive: Archive) -> None:
    archive.erasures.begin("visits", "subject-9", "request-1")
    archive.put_and_delete(event("a", "subject-9"), event("b", "subject-8"))
    archive.flush()
    archive.drain()
    assert {row["partition_key"]: row["cause"] for row in archive.rows()} == {"a": "dsar", "b": "user"}


def test_a_late_copy_of_an_erased_subjects_record_is_not_archived(archive: Archive) -> None:
    archive.put_and_delete(event("a", "subject-9"), event("b", "subject-8"))
    archive.flush()
    bodies = archive.bodies()
    archive.send(bodies)

    # A run is killed behind the objects; then the subject is erased; then the message comes again.
    class Lost(type(archive.iceberg)):  # type: ignore[misc]
        def add(self, *_: Any, **__: Any) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.drain(store=Lost(**archive.iceberg.model_dump()))
    archive.erasures.complete("visits", "subject-9", "request-1")
    _drain_all(archive)
    archive.is_whole(1)
    assert [row["partition_key"] for row in archive.rows()] == ["b"]


def test_a_bite_is_as_large_as_can_be_written_in_time(archive: Archive) -> None:
    archiver = archive.archiver()
    sizes = []
    for records, seconds in [(5_000, 10.0), (10_000, 20.0), (20_000, 180.0), (5_000, 3_000.0), (75, 0.0)]:
        archiver._bites.took(records, seconds)
        sizes.append(archiver._bites.wanted)
    assert sizes == [10_000, 20_000, 5_000, 75, 150]


def test_many_small_files_become_one(archive: Archive) -> None:
    archive.put_and_delete(*(event(f"{number}") for number in range(5)))
    archive.flush()
    for body in archive.bodies():
        archive.send([body])
        archive.drain()
    where = {"table_name": ["visits"]}
    assert archive.iceberg.compact("archived_deletions", where, files=4) == 5
    archive.is_whole(5)
    assert archive.iceberg.compact("archived_deletions", where, files=4) == 0


def test_a_burst_is_taken_in_bites(archive: Archive) -> None:
    archive.put_and_delete(event("a"))
    archive.flush()
    (body,) = archive.bodies()
    record = json.loads(body)
    for number in range(300):
        record["dynamodb"] |= {
            "Keys": {"log_id": {"S": f"{number}"}},
            "OldImage": {"log_id": {"S": f"{number}"}},
            "SequenceNumber": str(number + 1),
        }
        archive.send([json.dumps(record)])
    done = archive.drain(bite_records=50, receivers=2)
    assert done.archived == 300
    assert 4 <= done.bites <= 6
    archive.is_whole(300)
