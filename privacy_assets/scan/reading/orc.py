"""ORC files (https://orc.apache.org/specification/ORCv1/), stripe by stripe, column by column.

The library ends the process on some damaged files, so it runs in another one (``orc_process``), which has no
environment, bounded memory, and is killed when the time is over. A column of a stripe is held whole there.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from privacy_assets.scan.reading.columns import Columns
from privacy_assets.scan.reading.encodings import encoding_of
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Unread, Why

NAME = "an ORC file"
_MAGIC = b"ORC"
_SCRIPT = Path(__file__).with_name("orc_process.py")
_ENVIRONMENT = ("LD_LIBRARY_PATH", "TZ", "TZDIR")
_LEAST_MEMORY = 2 << 30


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the magic number, unless a text happens to begin with it."""
    return head.startswith(_MAGIC) and encoding_of(head) is None


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The columns. A damaged one is told, and the others are read."""
    columns, lost, stripe_row, stripe, rows = Columns(member.path, walk), set[str](), 0, 0, 0
    with walk.on_disk(stream) as file, _process(file, walk) as output:
        while (head := _head(output, walk)) is not None:
            column = head["column"]
            if head["stripe"] != stripe:
                stripe, stripe_row, rows = head["stripe"], stripe_row + rows, 0
            if "error" in head:
                if column not in lost:
                    detail = f"column {column} from stripe {stripe} on can't be read: {head['error']}"
                    yield Unread(member.path, Why.BROKEN, detail, columns.begun)
                lost.add(column)
                continue
            rows = head["rows"]
            for batch in pa.ipc.open_stream(output.read(head["size"])):
                first = stripe_row + head["row"]
                numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
                yield from columns.array(column, batch.column(0), numbers)


@contextmanager
def _process(file: IO[bytes], walk: Walk) -> Iterator[IO[bytes]]:
    """What the process that reads ``file`` writes. It does not outlive its reader, or the time."""
    memory = _LEAST_MEMORY + 4 * walk.limits.memory
    command = [sys.executable, "-I", str(_SCRIPT), str(file.fileno()), str(memory)]
    process = subprocess.Popen(  # noqa: S603  # our own script, and two numbers
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        pass_fds=(file.fileno(),),
    )
    alarm = threading.Timer(walk.clock.left(), process.kill)
    alarm.daemon = True
    alarm.start()
    try:
        assert process.stdout is not None
        with process.stdout:
            yield process.stdout
    finally:
        alarm.cancel()
        process.kill()
        process.wait()


def _head(output: IO[bytes], walk: Walk) -> dict[str, Any] | None:
    """What is said about the next piece; None if all was read. Raises Stop if the process has ended."""
    line = output.readline()
    if not line.endswith(b"\n"):
        walk.clock.check()
        raise Stop(Why.BROKEN, "the ORC file ends the library that reads it")
    head: dict[str, Any] = json.loads(line)
    return head or None
