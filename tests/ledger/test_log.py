"""The log on local AWS: batches, writers at once, a death at every call."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from privacy_assets.ledger import Event, Log, checkpoint, events, merkle, note, open_log, proof, record, tiles
from privacy_assets.ledger.log import MOST_STREAMS, LedgerBusy, LedgerDamaged
from resources import clients
from resources.ledger import LedgerResource


def event(number: int, stream: str = "") -> Event:
    return Event("test.done", actor="test", stream=stream, counts={"number": number})


def numbers(log: Log) -> list[int]:
    """What the published log holds, read leaf by leaf; its tiles and checkpoint agree."""
    head = log.checkpoint()
    if head is None:
        return []
    found = log.read(range(head.size))
    assert merkle.root(merkle.leaf_hashes(each.leaf for each in found)) == head.root
    return [each.event.counts["number"] for each in found]


def fresh(ledger: LedgerResource) -> Log:
    return Log(ledger, ledger.signer)


def test_events_are_found_by_their_stream_with_proofs(ledger: LedgerResource) -> None:
    assert fresh(ledger).checkpoint() is None
    assert fresh(ledger).open() is None
    assert record(ledger, *(event(n, f"job-{n % 3}") for n in range(300))) == list(range(300))
    assert record(ledger, event(300, "job-1")) == [300]
    log = open_log(ledger)
    found = log.entries("job-1")
    assert [each.index for each in found] == [*range(1, 300, 3), 300]
    assert log.entries("job-9") == []
    keys = [note.parse_key(log.key.vkey)]
    for entry, receipt in zip(found, log.proofs([each.index for each in found]), strict=True):
        read = proof.parse(receipt.encode())
        assert proof.verify(read, keys).size == 301
        assert read.entry == entry.leaf
        assert events.decode(read.entry) == entry.event
    with pytest.raises(IndexError):
        log.proof(301)


def test_a_named_batch_is_logged_once(ledger: LedgerResource) -> None:
    assert record(ledger, event(0), event(1), once="run-1") == [0, 1]
    assert record(ledger, event(2), once="run-2") == [2]
    assert record(ledger, event(7), event(8), once="run-1") == [0, 1]
    assert fresh(ledger).append([event(9)], once="run-2") == [2]
    assert numbers(open_log(ledger)) == [0, 1, 2]


def test_a_batch_that_is_too_large_is_refused_whole(ledger: LedgerResource) -> None:
    with pytest.raises(events.EventError, match="98"):
        record(ledger, *(event(n, f"s{n}") for n in range(MOST_STREAMS + 1)))
    long = Event("test.done", actor="test", details={"a": "x" * 60_000})
    with pytest.raises(events.EventError, match="300,000"):
        record(ledger, *[long] * 5)
    assert fresh(ledger).checkpoint() is None
    assert record(ledger, *(event(n, f"s{n}") for n in range(MOST_STREAMS)), once="x") == list(range(98))
    assert record(ledger) == []


def test_large_batches_follow_one_another(ledger: LedgerResource) -> None:
    long = Event("test.done", actor="test", details={"a": "x" * 60_000})
    logs = [fresh(ledger), fresh(ledger)]
    for turn in range(6):
        assert len(logs[turn % 2].append([long] * 4)) == 4
    assert len(fresh(ledger).read(range(24))) == 24


def test_entries_and_checkpoints_are_locked(ledger: LedgerResource) -> None:
    record(ledger, event(0))
    s3 = boto3.client("s3")
    for path, locked in (("checkpoint", True), ("tile/entries/000.p/1", True), ("tile/0/000.p/1", False)):
        found = s3.head_object(Bucket=ledger.bucket, Key=f"ledger/{path}")
        assert ("ObjectLockRetainUntilDate" in found) == locked, path
        if locked:
            assert found["ObjectLockMode"] == "GOVERNANCE"
            with pytest.raises(ClientError, match="AccessDenied"):
                s3.delete_object(Bucket=ledger.bucket, Key=f"ledger/{path}", VersionId=found["VersionId"])


def test_objects_are_written_once_and_replaced_by_their_tag(ledger: LedgerResource) -> None:
    assert ledger.create("tile/0/000", b"first")
    assert not ledger.create("tile/0/000", b"second")
    assert ledger.read("tile/0/000") == b"first"
    assert ledger.replace("checkpoint", b"one", "other") is None
    tag = ledger.replace("checkpoint", b"one", "")
    assert tag
    assert ledger.replace("checkpoint", b"two", "") is None
    assert ledger.replace("checkpoint", b"two", tag) not in (None, tag)
    assert ledger.replace("checkpoint", b"three", tag) is None
    assert ledger.read("checkpoint") == b"two"


def test_a_conflict_of_two_writes_is_written_again(
    ledger: LedgerResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers 409 to one of two who write an object, and the other may yet fail: then it is not there."""
    s3 = clients.client("s3")
    put, conflicts = s3.put_object, Counter[str]()

    def conflicting(**request: Any) -> Any:
        conflicts[request["Key"]] += 1
        if conflicts[request["Key"]] == 1:
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
        return put(**request)

    monkeypatch.setattr(s3, "put_object", conflicting)
    log = Log(ledger, ledger.signer)
    assert log.append([Event("test.done", actor="test", stream="job")]) == [0]
    assert [entry.event.kind for entry in log.entries("job")] == ["test.done"]
    assert len(conflicts) == 3  # bundle, tile and checkpoint


def test_fifty_writers_at_once_never_fork_and_lose_nothing(ledger: LedgerResource) -> None:
    def write(writer: int) -> list[int]:
        log = fresh(ledger)
        first = log.append([event(writer * 10 + n, f"writer-{writer}") for n in range(1 + writer % 3)])
        return first + log.append([event(writer * 10 + 9, f"writer-{writer}")], once=f"last-{writer}")

    with ThreadPoolExecutor(50) as pool:
        leaves = list(pool.map(write, range(50)))
    log = fresh(ledger)
    log.open()
    there = numbers(log)
    assert sorted(leaf for each in leaves for leaf in each) == list(range(len(there)))
    for writer, own in enumerate(leaves):
        expected = [*(writer * 10 + n for n in range(1 + writer % 3)), writer * 10 + 9]
        assert [there[leaf] for leaf in own] == expected
        assert [each.index for each in log.entries(f"writer-{writer}")] == own
    keys = [log.key]
    for version in boto3.client("s3").list_object_versions(Bucket=ledger.bucket, Prefix="ledger/checkpoint")[
        "Versions"
    ]:
        signed = (
            boto3.client("s3")
            .get_object(Bucket=ledger.bucket, Key="ledger/checkpoint", VersionId=version["VersionId"])["Body"]
            .read()
        )
        old = checkpoint.verify(signed, keys)
        path = merkle.consistency_proof(old.size, len(there), tiles.Reader(len(there), ledger.read).subtree)
        latest = log.checkpoint()
        assert latest is not None
        merkle.verify_consistency(old.size, latest.size, old.root, latest.root, path)


class Killed(BaseException):
    """What a killed process does from here on: nothing."""


class Dying:
    """A store whose process is killed at its ``last``th call that changes something, before or after it."""

    def __init__(self, store: Any, last: int, *, after: bool) -> None:
        self._store, self._last, self._after, self.calls = store, last, after, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(found) if name in ("create", "replace", "advance") else found

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls > self._last or (self.calls == self._last and not self._after):
                raise Killed
            answer = call(*arguments)
            if self.calls == self._last:
                raise Killed
            return answer

        return counted


# Filling up the first 256 writes the most: bundle, tile, the next of each, and the tile above them.
BEFORE, BATCH = 250, 10
WRITES = 1 + 5 + 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("last", range(1, WRITES + 1))
def test_a_writer_killed_at_any_write_leaves_a_log_that_goes_on(
    ledger: LedgerResource, last: int, *, after: bool
) -> None:
    record(ledger, *(event(n) for n in range(BEFORE)))
    dying = Dying(ledger, last, after=after)
    batch = [event(BEFORE + n, "killed") for n in range(BATCH)]
    with pytest.raises(Killed):
        Log(dying, ledger.signer).append(batch, once="batch")
    committed = last > 1 or after
    assert numbers(fresh(ledger))[:BEFORE] == list(range(BEFORE))  # as it is, it can be read
    if last % 2:  # the next one opens it, or writes at once
        opened = fresh(ledger).open()
        assert opened is not None
        assert opened.size == (BEFORE + BATCH if committed else BEFORE)
        assert len(fresh(ledger).entries("killed")) == (BATCH if committed else 0)
    assert fresh(ledger).append([event(-1)]) == [BEFORE + BATCH if committed else BEFORE]
    again = fresh(ledger).append(batch, once="batch")
    expected = list(range(BEFORE)) + (
        [*range(BEFORE, BEFORE + BATCH), -1] if committed else [-1, *range(BEFORE, BEFORE + BATCH)]
    )
    there = numbers(fresh(ledger))
    assert there == expected
    assert [there[leaf] for leaf in again] == list(range(BEFORE, BEFORE + BATCH))
    assert [each.index for each in fresh(ledger).entries("killed")] == again


def test_an_append_makes_as_many_writes_as_the_kills_cover(ledger: LedgerResource) -> None:
    record(ledger, *(event(n) for n in range(BEFORE)))
    counting = Dying(ledger, 1000, after=False)
    Log(counting, ledger.signer).append([event(n) for n in range(BATCH)])
    assert counting.calls == WRITES


def test_a_writer_killed_before_it_has_published_is_overtaken(ledger: LedgerResource) -> None:
    """The dead writer's full tile is published by one whose cache was older than its batch."""
    idle = fresh(ledger)
    idle.append([event(n) for n in range(BEFORE)])
    with pytest.raises(Killed):
        Log(Dying(ledger, 1, after=True), ledger.signer).append([event(BEFORE + n) for n in range(BATCH)])
    assert idle.append([event(BEFORE + BATCH)]) == [BEFORE + BATCH]
    assert numbers(fresh(ledger)) == list(range(BEFORE + BATCH + 1))


class Overtaken:
    """A store in which others append after each of the first ``times`` looks at head or checkpoint."""

    def __init__(self, ledger: LedgerResource, times: int) -> None:
        self._ledger, self._times, self._others = ledger, times, fresh(ledger)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        return self._followed(found) if name in ("head", "read_tagged") else found

    def _followed(self, look: Callable[..., Any]) -> Callable[..., Any]:
        def followed(*arguments: Any) -> Any:
            try:
                return look(*arguments)
            finally:
                if self._times:
                    self._times -= 1
                    for _ in range(2):  # publishes and commits: the head begins beyond the checkpoint seen
                        self._others.append([event(0)])

        return followed


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("times", range(1, 8))
def test_who_opens_a_log_while_others_append_finds_it_whole(
    ledger: LedgerResource, before: int, times: int
) -> None:
    if before:
        record(ledger, *(event(0) for _ in range(before)))
    log = Log(Overtaken(ledger, times), ledger.signer)
    assert log.append([event(1)]) == [before + 2 * times]
    assert numbers(fresh(ledger)) == [0] * (before + 2 * times) + [1]


def test_who_is_overtaken_all_the_time_says_so(ledger: LedgerResource) -> None:
    record(ledger, event(0))
    with pytest.raises(LedgerBusy):
        Log(Overtaken(ledger, 1000), ledger.signer).open()


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/000.p/3", "tile/0/000.p/3"])
def test_nothing_is_appended_to_a_damaged_log(ledger: LedgerResource, path: str) -> None:
    record(ledger, *(event(n) for n in range(3)))
    body = bytearray(ledger.read(path))
    body[len(body) // 2] ^= 1
    boto3.client("s3").put_object(Bucket=ledger.bucket, Key=f"ledger/{path}", Body=bytes(body))
    with pytest.raises(LedgerDamaged):
        fresh(ledger).append([event(3)])


def test_a_table_from_an_earlier_time_is_refused(ledger: LedgerResource) -> None:
    record(ledger, event(0))
    dynamodb, key = boto3.client("dynamodb"), {"id": {"S": "head"}, "leaf": {"N": "0"}}
    old = dynamodb.get_item(TableName=ledger.table, Key=key)["Item"]
    record(ledger, event(1))
    dynamodb.put_item(TableName=ledger.table, Item=old)
    for log in (fresh(ledger), open_log(ledger)):
        with pytest.raises(LedgerDamaged, match="earlier time"):
            log.append([event(2)])
    dynamodb.delete_item(TableName=ledger.table, Key=key)
    for log in (fresh(ledger), open_log(ledger)):
        with pytest.raises(LedgerDamaged, match="no head"):
            log.append([event(2)])
    assert numbers(fresh(ledger)) == [0, 1]
