"""The demo's accident: records are deleted, found in the archive with who deleted them, and put back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from privacy_assets.archive.restore import Options, Restorer, Selection, find
from privacy_assets.archive.rows import DELETIONS
from privacy_assets.archive.values import same
from privacy_assets.errors import UserError
from privacy_assets.governed import governed_estate

RECORDS = 25
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Accident:
    """How many records were deleted, archived and restored, and how many came back as they had been."""

    deleted: int
    archived: int
    restored: int
    equal: int

    @property
    def surprises(self) -> list[str]:
        """What did not come out even, if anything did not."""
        if self.deleted == self.archived == self.restored == self.equal:
            return []
        line = (
            f"archive: of {self.deleted} deleted records {self.archived} were archived, {self.restored} "
            f"restored, and {self.equal} were as before"
        )
        return [line]


def accident(
    name: str, tell: Callable[[str], None], done: Callable[[str], None], alive: Callable[[], None]
) -> Accident:
    """Delete some records of the table ``name`` and get them back by way of stream, pipe, queue and archive.

    ``alive`` raises when a process that is needed has ended. Raises UserError when the archive doesn't get
    them in time.
    """
    from privacy_assets.definitions import ready

    resources = ready(("tables", "iceberg", "archive", "erasures"))
    table = next(each for each in governed_estate().tables if each.table == name)
    items = resources.tables.table(name)
    tell("deleting records by mistake")
    before = items.first(RECORDS)
    keys = tuple({key: item[key] for key in table.keys} for item in before)
    for key in keys:
        items.delete(key)
    selection = Selection(table.name, keys=keys)
    tell("waiting for the archive: stream, pipe, queue, run")
    archived = _await(resources.iceberg, selection, len(keys), alive)
    done(f"{len(keys)} records deleted by mistake, {archived} in the archive")
    tell("restoring them")
    restorer = Restorer(
        table=table,
        store=resources.iceberg,
        source=resources.archive,
        target=items,
        erasures=resources.erasures,
    )
    report = restorer.run(selection, Options())
    restored = report.counts["restored"]
    equal = sum(same(items.get(key) or {}, item) for key, item in zip(keys, before, strict=True))
    done(f"{restored} restored, {equal} of them as they had been")
    return Accident(len(keys), archived, restored, equal)


def _await(iceberg: Any, selection: Selection, wanted: int, alive: Callable[[], None]) -> int:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        alive()
        found = sum(1 for _ in find(iceberg, selection)) if iceberg.exists(DELETIONS) else 0
        if found >= wanted:
            return found
        if time.monotonic() > until:
            raise UserError(
                f"archive: {found} of {wanted} deletions are there after {PATIENCE_SECONDS:.0f} s; "
                "the logs say why"
            )
        time.sleep(POLL_SECONDS)
