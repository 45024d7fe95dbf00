"""An Iceberg table: what ``lake``, ``events`` and ``snapshots`` are made of.

Rows are deleted, or replaced in one commit where some stay; then older snapshots are forgotten and their
files deleted, in all versions. Files that no snapshot names are searched too: a broken commit leaves them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from privacy_assets.dsar.files.forms import Parquet, size_of
from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.needles import Needles
from privacy_assets.dsar.stores.protocol import (
    Blocked,
    Erased,
    Found,
    Identifiers,
    Link,
    Record,
    Remaining,
    StoreError,
    Tally,
)
from privacy_assets.dsar.stores.rules import Rules, number
from privacy_assets.dsar.stores.tools import Files, FileVersion, Iceberg

ORPHANS_REST = timedelta(hours=24)
"""How old a file that no snapshot names must be before it counts as nobody's: a commit may be under way."""
UNDER_WAY = "files of a commit that may be under way"
HIDDEN = "files of an Iceberg table's deletes that name the subject, until OPTIMIZE and VACUUM rewrite them"
_SINCE = "#since="
"""Between a table's name and the number of its last commit before an erasure: what that is to write has no
name yet.
"""
_LOCKED = "files of an Iceberg table under S3 Object Lock"


class IcebergTable:
    """The subject's rows of one table."""

    def __init__(self, iceberg: Iceberg, files: Files, name: str, rules: Rules) -> None:
        self._iceberg, self._files, self._table, self._rules = iceberg, files, name, rules
        self._form = Parquet()

    def find(self, identifiers: Identifiers) -> Found:
        links, records, doomed = set[Link](), 0, False
        since = self._iceberg.sequence(self._table) if self._there(identifiers) else 0
        for row in self._rows(identifiers):
            records += 1
            doomed = doomed or self._rules.retained(row) is None
            links.update(self._rules.links(row, identifiers))
        touched = (f"{self._table}{_SINCE}{since}",) if doomed else ()
        return Found(records, frozenset(links), self._rules.changing(records), touched)

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        return map(self._rules.exported, self._rows(identifiers))

    def erase(self, identifiers: Identifiers) -> Erased:
        if not self._there(identifiers):
            return Erased()
        before = self._iceberg.named(self._table)
        done = Erased()
        for where in self._conditions(identifiers):
            done += self._erase(where)
        done += self._clear(identifiers)
        if done.erased or done.changed:
            done += Erased(touched=tuple(sorted(self._iceberg.named(self._table) - before)))
        return done

    def verify(self, identifiers: Identifiers, touched: Sequence[str]) -> Remaining:
        left = Remaining()
        if not self._there(identifiers):
            return left
        for row in self._rows(identifiers):
            kept = self._rules.retained(row)
            left += Remaining(retained=(kept,)) if kept else Remaining(1)
        current = self._iceberg.named(self._table, current_only=True)
        needles, wanted = Needles(identifiers), frozenset(touched) | self._since(touched)
        selection = self._selection(identifiers)
        for version in self._versions():
            if self._is_current(version, current):
                if _uri(version) in wanted:
                    left += self._scanned(version, needles, selection if left.retained else None)
            elif version.key.endswith(".parquet") and self._holds(version, selection):
                lock = self._files.lock(version)
                left += Remaining(blocked=(Blocked(_LOCKED, 1, lock.until),)) if lock else Remaining(1)
        return left

    # --- rows

    def _there(self, identifiers: Identifiers) -> bool:
        if not self._rules.wanted(identifiers) or not self._iceberg.exists(self._table):
            return False
        if self._iceberg.has_equality_deletes(self._table):
            raise StoreError(
                f"{self._rules.place}: has deletes by equality, expected by position or none; have the "
                "engine that writes them rewrite the table's files, and retry"
            )
        return True

    def _conditions(self, identifiers: Identifiers) -> Iterator[Mapping[str, Sequence[Any]]]:
        """What to ask for, a field at a time."""
        types = self._iceberg.column_types(self._table)
        for field, values in self._rules.wanted(identifiers).items():
            if field not in types:
                raise StoreError(
                    f"{self._rules.place}: no column {field!r}, expected one of {', '.join(sorted(types))}"
                )
            literals = _literals(types[field], values)
            if literals:
                yield {field: literals}

    def _rows(self, identifiers: Identifiers) -> Iterator[dict[str, Any]]:
        if not self._there(identifiers):
            return
        before: list[str] = []
        wanted = self._rules.wanted(identifiers)
        for where in self._conditions(identifiers):
            (field,) = where
            for batch in self._iceberg.batches(self._table, (), where):
                for row in batch.to_pylist():
                    if not self._rules.matches(row, {name: wanted[name] for name in before}):
                        yield row
            before.append(field)

    def _erase(self, where: Mapping[str, Sequence[Any]]) -> Erased:
        if self._rules.deletes_all:
            (field,) = where
            rows = sum(batch.num_rows for batch in self._iceberg.batches(self._table, (field,), where))
            if rows:
                self._iceberg.remove(self._table, where)
            return Erased(rows, rows)
        tally = Tally()
        for batch in self._iceberg.batches(self._table, (), where):
            for row in batch.to_pylist():
                self._rules.judge(row, tally)
        if not tally.erased and not tally.changed:
            return tally.done()
        tally = Tally()

        def kept() -> Iterable[pa.RecordBatch]:
            nonlocal tally
            tally = Tally()  # it is called again when another writer was faster
            for batch in self._iceberg.batches(self._table, (), where):
                yield self._kept(batch, tally)

        self._iceberg.replace(self._table, where, kept)
        self._iceberg.vacuum(self._table, timedelta(0))
        return tally.done()

    def _kept(self, batch: pa.RecordBatch, tally: Tally) -> pa.RecordBatch:
        """The rows that stay, changed where they are."""
        rows = []
        for row in batch.to_pylist():
            if not self._rules.judge(row, tally):
                rows.append(row)
            elif self._rules.spec.change:
                rows.append({**row, **self._rules.changes(row)})
        return pa.RecordBatch.from_pylist(rows, schema=batch.schema)

    # --- files

    def _clear(self, identifiers: Identifiers) -> Erased:
        """Have the subject gone from files that aren't the current snapshot's: what a killed run left, what
        somebody else's commit left, and what was deleted from here before anybody asked.
        """
        done, selection = Erased(), self._selection(identifiers)
        current = self._iceberg.named(self._table, current_only=True)
        named = self._iceberg.named(self._table)
        hidden: set[str] = set()
        is_old = False
        for version in self._versions():
            if not version.key.endswith(".parquet") or not self._holds(version, selection):
                continue
            if self._is_current(version, current):
                hidden.add(_uri(version))
            elif version.is_latest and _uri(version) in named:
                is_old = True
            elif version.is_latest and (until := version.modified + ORPHANS_REST) > datetime.now(UTC):
                done += Erased(blocked=(Blocked(UNDER_WAY, 1, until),))
            else:
                lock = self._files.remove(version)
                done += Erased(blocked=(Blocked(_LOCKED, 1, lock.until),)) if lock else Erased(versions=1)
        if hidden and not any(self._rules.retained(row) is None for row in self._rows(identifiers)):
            # What may not stay stands in files of the table as it is, and nobody sees it.
            rewritten = self._iceberg.rewrite(self._table, hidden)
            is_old = is_old or bool(rewritten)
            if left := hidden - rewritten:
                done += Erased(blocked=(Blocked(HIDDEN, len(left)),))
        if is_old:
            done += Erased(versions=self._iceberg.vacuum(self._table, timedelta(0)))
        return done

    def _versions(self) -> Iterator[FileVersion]:
        bucket, _, prefix = self._iceberg.location(self._table).partition("://")[2].partition("/")
        for version in self._files.versions(bucket, f"{prefix.rstrip('/')}/"):
            if not version.is_marker:
                yield version

    def _holds(self, version: FileVersion, selection: Selection) -> bool:
        """Whether a data file has a record that may not stay."""
        try:
            with self._files.open(version) as source:
                return any(not self._rules.retained(row) for row in self._form.records(source, selection))
        except OSError as error:
            if getattr(error, "why", "") == "vanished":
                return False
            raise

    def _since(self, touched: Sequence[str]) -> frozenset[str]:
        """The current files that were written since an erasure was about to begin."""
        begun = [
            int(number)
            for name, mark, number in (each.rpartition(_SINCE) for each in touched)
            if mark and name == self._table
        ]
        if not begun:
            return frozenset()
        return self._iceberg.named(self._table, current_only=True, since=min(begun))

    def _is_current(self, version: FileVersion, current: frozenset[str]) -> bool:
        return version.is_latest and _uri(version) in current

    def _selection(self, identifiers: Identifiers) -> Selection:
        return Selection(self._rules.wanted(identifiers), fields=self._rules.spec.fields)

    def _scanned(self, version: FileVersion, needles: Needles, left: Selection | None) -> Remaining:
        with self._files.open(version) as source:
            if version.key.endswith(".parquet"):
                found = self._form.mentions(source, needles, left)
            else:
                found = needles.in_stream(source)[0]
            return Remaining(objects=1, bytes=size_of(source), mentions=int(found))


def _literals(kind: pa.DataType, values: frozenset[str]) -> list[Any]:
    """The identifiers in a column's type: those that can't be in it are left out."""
    if pa.types.is_integer(kind):
        limit = 2 ** (kind.bit_width - 1)
        return sorted(
            found for value in values if (found := number(value)) is not None and abs(found) < limit
        )
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return sorted(values)
    raise StoreError(f"a column of type {kind} is matched by, expected text or whole numbers")


def _uri(version: FileVersion) -> str:
    return f"s3://{version.bucket}/{version.key}"
