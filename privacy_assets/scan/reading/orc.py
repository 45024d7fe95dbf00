"""ORC files (https://orc.apache.org/specification/ORCv1/), stripe by stripe, column by column.

The library reads a column of a stripe at once, so that is what is held.
"""

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import orc

from privacy_assets.scan.reading.columns import Columns
from privacy_assets.scan.reading.encodings import encoding_of
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Unread, Why

NAME = "an ORC file"
_MAGIC = b"ORC"
_BUFFER = 1024 * 1024
_BATCH_ROWS = 65_536


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the magic number, unless a text happens to begin with it."""
    return head.startswith(_MAGIC) and encoding_of(head) is None


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The columns. A damaged one is told, and the others are read."""
    with walk.seekable(stream) as file:
        reader = orc.ORCFile(pa.PythonFile(io.BufferedReader(file, _BUFFER), mode="r"))
        columns, lost, first_row = Columns(member.path, walk), set[str](), 0
        for stripe in range(reader.nstripes):
            rows = 0
            for name in reader.schema.names:
                if name in lost:
                    continue
                walk.clock.check()
                try:
                    batch = reader.read_stripe(stripe, columns=[name])
                    rows = batch.num_rows
                    for start in range(0, rows, _BATCH_ROWS):
                        piece = batch.column(0).slice(start, _BATCH_ROWS)
                        numbers = np.arange(first_row + start, first_row + start + len(piece), dtype=np.int64)
                        yield from columns.array(name, piece, numbers)
                except Stop:
                    raise
                except Exception as error:  # noqa: BLE001  # the reader's errors are of many kinds
                    file.raise_failure()
                    lost.add(name)
                    detail = f"column {name} from stripe {stripe} on can't be read: {type(error).__name__}"
                    yield Unread(member.path, Why.BROKEN, detail, columns.begun)
            first_row += rows
