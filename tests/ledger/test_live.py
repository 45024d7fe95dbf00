"""A log is verified while others append to it and keep checkpoints: what is whole is never told damaged."""

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from privacy_assets.ledger import Event, Log
from privacy_assets.ledger.verify import Report, verify
from resources.ledger import LedgerResource


class Beside:
    """A log to which others append, and keep its checkpoint, before and after each look at it."""

    def __init__(self, ledger: LedgerResource, looks: str) -> None:
        self._ledger, self._looks, self._log, self.number = ledger, looks, Log(ledger, ledger.signer), 0

    def write(self) -> None:
        for _ in range(2):  # publishes and commits: the head begins where no checkpoint was seen
            self.number += 1
            event = Event("test.done", actor="test", stream=f"job-{self.number % 3}")
            self._log.append([event])
        self.keep()

    def keep(self) -> None:
        signed = self._ledger.read("checkpoint")
        self._ledger.create(f"checkpoints/{self.number}", signed)

    def _look(self, name: str, *arguments: Any) -> Any:
        if self._looks in (name, "all"):
            self.write()
        found = getattr(self._ledger, name)(*arguments)
        found = list(found) if name in ("kept", "many") else found
        if self._looks in (name, "all"):
            self.write()
        return found

    def read(self, path: str) -> bytes:
        return bytes(self._look("read", path))

    def many(self, paths: Any) -> Iterator[bytes | None]:
        return iter(self._look("many", paths))

    def kept(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._look("kept"))

    def head(self) -> Any:
        found = self._look("head")
        return Log(_Fixed(found), self._ledger.signer).head()

    def index(self) -> Iterator[tuple[str, int]]:
        """Rows that come while others are read."""
        rows = sorted(self._ledger.index(), key=lambda row: row[1])
        yield from rows
        if self._looks in ("index", "all"):
            for _ in range(3):
                self.write()
                last = max(leaf for _, leaf in rows)
                rows = sorted(self._ledger.index(), key=lambda row: row[1])
                yield from (row for row in rows if row[1] > last)

    def report(self) -> Report:
        return verify(self, [self._log.key], index=self.index(), head=self.head)


class _Fixed:
    """A store whose head was looked at."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def head(self) -> Any:
        return self._found

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize("looks", ["kept", "head", "read", "many", "index", "all"])
def test_others_append_between_any_two_looks(ledger: LedgerResource, looks: str) -> None:
    beside = Beside(ledger, looks)
    if looks == "kept":
        assert beside.report().damage == []  # there is nothing yet, and then there is
    beside.write()
    report = beside.report()
    assert report.damage == []
    assert report.checkpoint is not None


def test_a_writer_runs_beside(ledger: LedgerResource) -> None:
    beside, stop, wrote = Beside(ledger, "nothing"), threading.Event(), threading.Event()
    beside.write()

    def write() -> None:
        while not stop.is_set():
            beside.write()
            wrote.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert wrote.wait(60)
        reports = [beside.report() for _ in range(4)]
    finally:
        stop.set()
        writer.join()
    assert [report.damage for report in reports] == [[]] * 4


@pytest.mark.parametrize("change", ["older", "gone"])
def test_a_table_of_an_earlier_time_is_damage_still(ledger: LedgerResource, change: str) -> None:
    beside = Beside(ledger, "nothing")
    beside.write()
    dynamodb, key = boto3.client("dynamodb"), {"id": {"S": "head"}, "leaf": {"N": "0"}}
    old = dynamodb.get_item(TableName=ledger.table, Key=key)["Item"]
    beside.write()
    if change == "older":
        dynamodb.put_item(TableName=ledger.table, Item=old)
    else:
        dynamodb.delete_item(TableName=ledger.table, Key=key)
    (line,) = beside.report().damage
    assert line == f"table: its head has {2 if change == 'older' else 0} entries, the checkpoint 4"
