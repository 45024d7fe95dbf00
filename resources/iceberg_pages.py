"""Pages of a large Iceberg table at any depth, each of one snapshot: what is written meanwhile moves none.

A snapshot's files never change. So what is read of them once, which files there are, their footers, and how
many rows of each row group meet a filter, is kept; a page then costs the one or two row groups that it lies
in. Rows have the order of the files. What a merge-on-read DELETE (Athena's) has taken out of a file by
position is left out of it. A table that hides rows by their values raises RowsHidden.
"""

import hashlib
import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from resources.iceberg import IcebergResource, Where, readable

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

_FRESH_SECONDS = 2.0
_THREADS = 8
_TABLES, _INDEXES, _GROUPS, _FOOTERS = 8, 128, 24, 1024
T = TypeVar("T")


class SnapshotGone(LookupError):  # noqa: N818  # what it is
    """The snapshot was forgotten, and its files may be gone."""


class _Kept(Generic[T]):
    """The values that were used last, each made once however many ask at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._size:
                    self._values.popitem(last=False)
            return value


@dataclass(frozen=True)
class _File:
    """A data file of a snapshot: its path without scheme, its partition's values, and the files that delete
    rows of it, at the positions ``gone``.
    """

    path: str
    partition: tuple[tuple[str, Any], ...]
    deletes: tuple[str, ...] = ()
    gone: "pa.Array[Any] | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class _Group:
    """A row group, and how many of its rows meet the filter; ``is_whole``: all of them."""

    file: _File
    number: int
    rows: int
    is_whole: bool


@dataclass(frozen=True)
class _Index:
    """The row groups with rows that meet a filter, in order; ``ends`` are the running sums of these rows."""

    groups: Sequence[_Group]
    ends: Sequence[int]


@dataclass
class TablePages:
    """The table ``name``, from any thread."""

    iceberg: IcebergResource
    name: str
    _latest: "tuple[float, Table | None]" = (-1e9, None)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _files: _Kept[list[_File]] = field(default_factory=lambda: _Kept(_TABLES), repr=False)
    _indexes: _Kept[_Index] = field(default_factory=lambda: _Kept(_INDEXES), repr=False)
    _footers: _Kept[Any] = field(default_factory=lambda: _Kept(_FOOTERS), repr=False)
    _sources: _Kept[Any] = field(default_factory=lambda: _Kept(_FOOTERS), repr=False)
    _tables: "_Kept[pa.Table]" = field(default_factory=lambda: _Kept(_GROUPS), repr=False)

    def snapshot(self) -> int | None:
        """The current snapshot, at most two seconds old; None when there is no table or nothing in it."""
        table = self._table()
        current = table.current_snapshot() if table is not None else None
        return current.snapshot_id if current is not None else None

    def count(self, snapshot: int, where: Where) -> int:
        """How many rows meet ``where``. Raises SnapshotGone."""
        ends = self._index(snapshot, where).ends
        return ends[-1] if ends else 0

    def rows(self, snapshot: int, where: Where, start: int, limit: int) -> list[dict[str, Any]]:
        """``limit`` rows that meet ``where`` from the ``start``th on, from 0. Raises SnapshotGone."""
        index = self._index(snapshot, where)
        found: list[dict[str, Any]] = []
        number = bisect_right(index.ends, start)
        while len(found) < limit and number < len(index.groups):
            before = index.ends[number - 1] if number else 0
            matching = self._matching(index.groups[number], where)
            found += matching.slice(max(0, start - before), limit - len(found)).to_pylist()
            number += 1
        return found

    def stream(self, snapshot: int, where: Where) -> Iterator[list[dict[str, Any]]]:
        """All rows that meet ``where``, a few thousand at a time. Raises SnapshotGone."""
        for group in self._index(snapshot, where).groups:
            for batch in self._matching(group, where).to_batches(max_chunksize=2000):
                yield batch.to_pylist()

    def _table(self, *, at_least: int | None = None) -> "Table | None":
        """The table as it is now; read again when it is old, or does not know the snapshot ``at_least``."""
        with self._lock:
            read, table = self._latest
            knows = at_least is None or (table is not None and table.snapshot_by_id(at_least) is not None)
            if time.monotonic() - read > _FRESH_SECONDS or not knows:
                table = self.iceberg.table(self.name)
                self._latest = (time.monotonic(), table)
            return table

    def _index(self, snapshot: int, where: Where) -> _Index:
        return self._indexes.get((snapshot, digest(where)), lambda: self._make_index(snapshot, where))

    def _make_index(self, snapshot: int, where: Where) -> _Index:
        def groups(file: _File) -> list[_Group]:
            footer = self._footer(file)
            return [self._count(file, footer, number, where) for number in range(footer.num_row_groups)]

        files = self._files.get(snapshot, lambda: self._plan(snapshot))
        with ThreadPoolExecutor(_THREADS) as pool:
            parts = pool.map(groups, [file for file in files if _may(file, where)])
            found = [group for part in parts for group in part if group.rows]
        return _Index(found, list(accumulate(group.rows for group in found)))

    def _plan(self, snapshot: int) -> list[_File]:
        from pyiceberg.io.pyarrow import _read_deletes

        table = self._table(at_least=snapshot)
        if table is None or table.snapshot_by_id(snapshot) is None:
            raise SnapshotGone(f"{self.name}: snapshot {snapshot}")
        names = [part.name for part in table.spec().fields]
        with readable(self.name):
            tasks = list(table.scan(snapshot_id=snapshot).plan_files())
        deleting = {each.file_path: each for task in tasks for each in task.delete_files}
        try:
            positions = {path: _read_deletes(table.io, each) for path, each in deleting.items()}
        except FileNotFoundError:
            raise SnapshotGone(f"{self.name}: snapshot {snapshot}") from None
        found = []
        for task in tasks:
            values = tuple((name, task.file.partition[place]) for place, name in enumerate(names))
            deletes = tuple(sorted(each.file_path for each in task.delete_files))
            gone = _gone([positions[each].get(task.file.file_path) for each in deletes])
            found.append(_File(task.file.file_path.partition("://")[2], values, deletes, gone))
        return sorted(found, key=lambda file: (str(file.partition), file.path))

    def _count(self, file: _File, footer: Any, number: int, where: Where) -> _Group:
        """How many rows of a row group meet the filter: by statistics where they tell, else by reading."""
        metadata = footer.row_group(number)
        columns = _left(file, where)
        statistics = {
            metadata.column(place).path_in_schema: metadata.column(place).statistics
            for place in range(metadata.num_columns)
        }
        open_columns: dict[str, Any] = {}
        for name, values in columns.items():
            known = statistics.get(name)
            if known is not None and known.has_min_max and known.null_count == 0:
                if not any(known.min <= value <= known.max for value in values):
                    return _Group(file, number, 0, False)
                if known.min == known.max:
                    continue
            open_columns[name] = values
        if not open_columns and file.gone is None:
            return _Group(file, number, metadata.num_rows, True)
        table = self._read(file, number, list(open_columns) or [metadata.column(0).path_in_schema])
        rows = int(_mask(table, open_columns).true_count) if open_columns else table.num_rows
        return _Group(file, number, rows, rows == table.num_rows)

    def _matching(self, group: _Group, where: Where) -> "pa.Table":
        """The rows of a row group that meet the filter."""
        key = (group.file, group.number)
        table = self._tables.get(key, lambda: self._read(group.file, group.number, None))
        return table if group.is_whole else table.filter(_mask(table, _left(group.file, where)))

    def _footer(self, file: _File) -> Any:
        import pyarrow.parquet as pq

        return self._footers.get(file.path, lambda: pq.read_metadata(self._source(file)))

    def _read(self, file: _File, number: int, columns: Sequence[str] | None) -> "pa.Table":
        import pyarrow.parquet as pq

        footer = self._footer(file)
        whole = pq.ParquetFile(self._source(file), metadata=footer, pre_buffer=True)
        table = whole.read_row_group(number, columns=columns, use_threads=columns is None)
        if file.gone is None:
            return table
        first = sum(footer.row_group(before).num_rows for before in range(number))
        return _without(table, first, file.gone)

    def _source(self, file: _File) -> Any:
        """The file, open: opening asks S3 for its size."""

        def opened() -> Any:
            try:
                return self.iceberg.filesystem().open_input_file(file.path)
            except FileNotFoundError:
                raise SnapshotGone(f"{self.name}: {file.path}") from None

        return self._sources.get(file.path, opened)


def _gone(positions: "Sequence[pa.ChunkedArray[Any] | None]") -> "pa.Array[Any] | None":
    """The positions of rows that are deleted from a file, each once; None of none."""
    import pyarrow as pa

    chunks = [chunk for each in positions if each is not None for chunk in each.chunks]
    return pa.chunked_array(chunks, pa.int64()).unique() if chunks else None


def _without(table: "pa.Table", first: int, gone: "pa.Array[Any]") -> "pa.Table":
    """A row group, whose first row is its file's ``first``, without the rows at the positions ``gone``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    positions = pa.array(range(first, first + table.num_rows), pa.int64())
    return table.filter(pc.invert(pc.is_in(positions, value_set=gone)))


def digest(where: Where) -> str:
    """A filter's short name, the same for the same filter."""
    text = repr(sorted((name, sorted(map(str, values))) for name, values in where.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _may(file: _File, where: Where) -> bool:
    return all(value in where[name] for name, value in file.partition if name in where)


def _left(file: _File, where: Where) -> Mapping[str, Any]:
    """The columns of the filter that the file's partition does not answer."""
    settled = {name for name, _ in file.partition}
    return {name: values for name, values in where.items() if name not in settled}


def _mask(table: "pa.Table", where: Mapping[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    mask: Any = None
    for name, values in where.items():
        column = table.column(name)
        found = pc.is_in(column, value_set=pa.array(sorted(values), column.type))
        mask = found if mask is None else pc.and_(mask, found)
    return mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
