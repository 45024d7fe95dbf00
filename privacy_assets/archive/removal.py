"""Out of the archive again: what a subject asked to be erased, and what its table's retention is over for.

GDPR Art. 17 and 5(1)(e). Objects go first, each version for good, then their rows and the files that held
these. Killed anywhere, the same call again completes it: rows name what is left of the objects.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from privacy_assets.archive.records import subject_of
from privacy_assets.archive.rows import DELETIONS, RowStore
from privacy_assets.estate import Table

_THREADS = 32
_CHUNK = 5_000


class Versions(Protocol):
    """The archive bucket."""

    def versions(self, path: str) -> Iterator[str]: ...
    def read(self, path: str, version: str) -> bytes | None: ...
    def remove(self, path: str, version: str) -> None: ...


@dataclass(frozen=True)
class Removed:
    """How much is gone: versions of objects, and rows."""

    objects: int
    rows: int


def erase(store: RowStore, objects: Versions, table: Table, subject: str) -> Removed:
    """Remove all that the archive has of a subject of ``table``: every version of every object, every row.

    Other subjects' versions under the same keys stay. A version that no row names, which a killed run may
    have left beside others, is looked into. For the DSAR domain: the archive is a store as any other.
    """
    where: dict[str, list[str]] = {"table_name": [table.name], "subject": [subject]}
    paths: dict[str, int] = {}
    for batch in store.batches(DELETIONS, ["object_path"], where):
        for path in batch.column(0).to_pylist():
            paths[path] = paths.get(path, 0) + 1

    def clear(path: str) -> int:
        gone = 0
        for version in list(objects.versions(path)):
            body = objects.read(path, version)
            if body is not None and _subject(body, table) == subject:
                objects.remove(path, version)
                gone += 1
        return gone

    with ThreadPoolExecutor(_THREADS) as pool:
        versions = sum(pool.map(clear, paths))
    store.remove(DELETIONS, where)
    return Removed(versions, sum(paths.values()))


def expire(store: RowStore, objects: Versions, noun: str, before: date) -> Removed:
    """Remove what was deleted from a table before a day."""
    where: dict[str, list[str]] = {"table_name": [noun]}
    between = {"deleted_on": (None, before)}
    rows = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in store.batches(DELETIONS, ["object_path", "object_version"], where, between):
            for chunk in _chunks(list(zip(*(column.to_pylist() for column in batch.columns), strict=True))):
                list(pool.map(lambda pair: objects.remove(*pair), chunk))
                rows += len(chunk)
    if rows:
        store.remove(DELETIONS, where, between)
    return Removed(rows, rows)


def _chunks(pairs: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    for start in range(0, len(pairs), _CHUNK):
        yield pairs[start : start + _CHUNK]


def _subject(body: bytes, table: Table) -> str | None:
    return subject_of(json.loads(body)["dynamodb"]["OldImage"], table)
