"""Parquet files (https://parquet.apache.org/docs/file-format/), row group by row group, column by column.

A column is read in batches, so the size of a row group costs no memory; a page, which the format bounds to
2 GiB, is held whole.
"""

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from privacy_assets.scan.reading.columns import BATCH_BYTES, Columns
from privacy_assets.scan.reading.encodings import encoding_of
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Unread, Why

NAME = "a Parquet file"
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
_BUFFER = 1024 * 1024
_MOST_ROWS, _FEWEST_ROWS = 65_536, 16


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the magic number, unless a text happens to begin with it."""
    return head.startswith((_MAGIC, _ENCRYPTED)) and encoding_of(head) is None


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The columns. A damaged one is told, and the others are read."""
    if stream.peek(4) == _ENCRYPTED:
        raise Stop(Why.ENCRYPTED, "the footer of the Parquet file is encrypted")
    with walk.seekable(stream) as file:
        source = pa.PythonFile(io.BufferedReader(file, _BUFFER), mode="r")
        parquet = pq.ParquetFile(
            source, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
        )
        columns, lost, first_row = Columns(member.path, walk), set[str](), 0
        parquet = pq.ParquetFile(
            source,
            metadata=parquet.metadata,
            read_dictionary=_dictionaries(parquet),
            pre_buffer=False,
            buffer_size=_BUFFER,
            page_checksum_verification=True,
        )
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            for index in range(metadata.num_columns):
                column = metadata.column(index)
                path = column.path_in_schema
                if path in lost:
                    continue
                rows = max(1, metadata.num_rows)
                size = max(1, column.total_uncompressed_size // rows)
                batch = min(_MOST_ROWS, max(_FEWEST_ROWS, BATCH_BYTES // size))
                try:
                    yield from _column(parquet, group, path, batch, first_row, columns)
                except Stop:
                    raise
                except Exception as error:  # noqa: BLE001  # the reader's errors are of many kinds
                    file.raise_failure()
                    lost.add(path)
                    yield _lost(member, group, path, error, columns.begun)
            first_row += metadata.num_rows


def _column(
    parquet: pq.ParquetFile, group: int, path: str, batch_rows: int, first_row: int, columns: Columns
) -> Iterator[Piece]:
    row = first_row
    for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=[path], use_threads=False):
        rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            yield from columns.array(name, array, rows)
        row += batch.num_rows


def _dictionaries(parquet: pq.ParquetFile) -> list[str]:
    """The columns of bytes with a dictionary somewhere: they are spelled out in pieces later."""
    paths = set()
    for group in range(parquet.num_row_groups):
        metadata = parquet.metadata.row_group(group)
        for index in range(metadata.num_columns):
            column = metadata.column(index)
            if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                paths.add(column.path_in_schema)
    return sorted(paths)


def _lost(member: Member, group: int, path: str, error: Exception, partly: bool) -> Unread:
    if "crypt" in str(error).lower():
        return Unread(member.path, Why.ENCRYPTED, f"column {path} is encrypted", partly)
    where = f"column {path} from row group {group} on"
    return Unread(member.path, Why.BROKEN, f"{where} can't be read: {type(error).__name__}", partly)
