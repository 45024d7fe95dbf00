"""Rows in order, however many there are: sorted a run at a time, in files of this machine, and merged.

Memory is that of a run, and of a batch of each run while they are merged.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

RUN = 100_000
_BATCH = 200


def ordered(
    batches: Iterable[pa.RecordBatch], by: Sequence[str], rows: int = RUN
) -> Iterator[dict[str, Any]]:
    """The rows of ``batches`` in the order of the columns ``by``, which have a value in each row."""
    with TemporaryDirectory(prefix="privacy-assets-") as folder:
        runs = []
        for number, run in enumerate(_runs(batches, rows)):
            path = Path(folder) / str(number)
            with pa.ipc.new_file(path, run.schema) as file:
                file.write_table(run.sort_by([(name, "ascending") for name in by]), max_chunksize=_BATCH)
            runs.append(_read(path))
        yield from heapq.merge(*runs, key=lambda row: tuple(row[name] for name in by))


def _runs(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        if size >= rows:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if size:
        yield pa.Table.from_batches(held)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with pa.OSFile(str(path)) as file:
        run = pa.ipc.open_file(file)
        for number in range(run.num_record_batches):
            yield from run.get_batch(number).to_pylist()
