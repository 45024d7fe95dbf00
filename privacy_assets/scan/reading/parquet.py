"""Parquet files (https://parquet.apache.org/docs/file-format/), row group by row group, column by column.

A column is read in batches, so the size of a row group costs no memory; a page, which the format bounds to
2 GiB, is held whole.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from privacy_assets.scan.reading.columns import BATCH_BYTES, Columns, longest_word
from privacy_assets.scan.reading.encodings import encoding_of
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Unread, Why

NAME = "a Parquet file"
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
_BUFFER = 1024 * 1024
_MOST_ROWS, _FEWEST_ROWS, _PROBED_ROWS = 65_536, 16, 1024
_BATCH_MEMORY = 32 * 1024 * 1024


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the magic number, unless a text happens to begin with it."""
    return head.startswith((_MAGIC, _ENCRYPTED)) and encoding_of(head) is None


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The columns. A damaged one is told, and the others are read."""
    if stream.peek(4) == _ENCRYPTED:
        raise Stop(Why.ENCRYPTED, "the footer of the Parquet file is encrypted")
    with walk.seekable(stream) as file:
        source = pa.PythonFile(io.BufferedReader(file, _BUFFER), mode="r")
        parquet = _open(source)
        columns, lost, first_row = Columns(member.path, walk), set[str](), 0
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            for index in range(metadata.num_columns):
                column = metadata.column(index)
                path = column.path_in_schema
                if path in lost:
                    continue
                try:
                    batch = _batch_rows(source, parquet, group, column, metadata.num_rows)
                    yield from _column(parquet, group, path, batch, first_row, columns)
                except Stop:
                    raise
                except Exception as error:  # noqa: BLE001  # the reader's errors are of many kinds
                    file.raise_failure()
                    lost.add(path)
                    yield _lost(member, group, path, error, columns.begun)
            first_row += metadata.num_rows


def _open(source: pa.PythonFile, **options: Any) -> pq.ParquetFile:
    # Without pre_buffer and with a buffer, pages are read one by one instead of column chunks.
    return pq.ParquetFile(
        source, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True, **options
    )


def _column(
    parquet: pq.ParquetFile, group: int, path: str, batch_rows: int, first_row: int, columns: Columns
) -> Iterator[Piece]:
    row = first_row
    for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=[path], use_threads=False):
        rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            yield from columns.array(name, array, rows)
        row += batch.num_rows


def _batch_rows(
    source: pa.PythonFile, parquet: pq.ParquetFile, group: int, column: pq.ColumnChunkMetaData, rows: int
) -> int:
    """How many rows of a column chunk may be read at once: some MiB of text as it is on average, and not more
    than a batch may take if each row repeats the longest value of the dictionary.
    """
    usual: int = BATCH_BYTES // max(1, column.total_uncompressed_size // max(1, rows))
    worst: int = _MOST_ROWS
    if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
        path = column.path_in_schema
        probe = _open(source, metadata=parquet.metadata, read_dictionary=[path])
        for batch in probe.iter_batches(_PROBED_ROWS, row_groups=[group], columns=[path], use_threads=False):
            if longest := longest_word(batch.column(0)):
                worst = _BATCH_MEMORY // longest
                break
    return max(1, min(_MOST_ROWS, max(_FEWEST_ROWS, usual), worst))


def _lost(member: Member, group: int, path: str, error: Exception, partly: bool) -> Unread:
    if "crypt" in str(error).lower():
        return Unread(member.path, Why.ENCRYPTED, f"column {path} is encrypted", partly)
    where = f"column {path} from row group {group} on"
    return Unread(member.path, Why.BROKEN, f"{where} can't be read: {type(error).__name__}", partly)
