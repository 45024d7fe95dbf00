"""Reads an ORC file in a process of its own, which a damaged file may end: the reader trusts what it reads.

Run as a script, so that it starts with nothing imported but Arrow, by ``orc``: the first argument is the file
descriptor of the file, the second the bytes of memory it may take. Writes one line of JSON per piece —
``stripe``, ``column``, ``row`` in the stripe, ``rows`` of the stripe, ``size`` — and then ``size`` bytes, an
Arrow stream; or ``error`` in place of ``size``. A last line, ``{}``, says that all was read.
"""

import json
import os
import resource
import sys
from typing import BinaryIO

import pyarrow as pa
from pyarrow import orc

_BATCH_ROWS = 65_536


def main(descriptor: int, memory: int) -> None:
    """Writes all columns of all stripes to the standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with os.fdopen(descriptor, "rb") as file:
        reader = orc.ORCFile(pa.PythonFile(file, mode="r"))
        for stripe in range(reader.nstripes):
            for column in reader.schema.names:
                _write_column(reader, stripe, column, sys.stdout.buffer)
    _write({}, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _write_column(reader: orc.ORCFile, stripe: int, column: str, output: BinaryIO) -> None:
    head: dict[str, object] = {"stripe": stripe, "column": column}
    try:
        batch = reader.read_stripe(stripe, columns=[column])
    except Exception as error:  # noqa: BLE001  # the other columns may be whole
        _write({**head, "error": type(error).__name__}, output)
        return
    for row in range(0, batch.num_rows, _BATCH_ROWS):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch.slice(row, _BATCH_ROWS))
        content = sink.getvalue()
        _write({**head, "row": row, "rows": batch.num_rows, "size": content.size}, output)
        output.write(content)


def _write(head: dict[str, object], output: BinaryIO) -> None:
    output.write(json.dumps(head).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
