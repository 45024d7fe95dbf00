"""Lines of DynamoDB JSON into a table of local AWS, as if they had been written on the days they tell of.

A stream: a few chunks are in memory at a time, and the next one is made while the server takes the last.
"""

import gzip
import json
import re
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from privacy_assets.errors import UserError

CHUNK_LINES = 20_000
CHUNK_BYTES = 32 * 1024 * 1024
CHUNKS_AHEAD = 2
GZIP_MAGIC = b"\x1f\x8b"
_NUMBERED = re.compile(r"line (\d+): (.*)", re.DOTALL)


class LineError(UserError):
    """A line was refused, ``number`` counted from 1 over the whole input."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"line {number}: {message}")
        self.number = number
        self.reason = message


@dataclass
class Loaded:
    """How many changes were taken."""

    items: int = 0
    deletes: int = 0


def load(
    endpoint: str,
    table: str,
    lines: Iterable[bytes],
    *,
    write_time: datetime | None = None,
    progress: Callable[[Loaded], None] = lambda _: None,
) -> Loaded:
    """Send ``lines`` (each with its line end) to ``table``; ``write_time`` is for lines that have none.

    Raises LineError for a line that is no item of the table, UserError when the server refuses all of it.
    """
    query = {"table": table, **({"write_time": write_time.isoformat()} if write_time else {})}
    url = f"{endpoint}/_local/dynamodb/load?{urllib.parse.urlencode(query)}"
    done = Loaded()
    waiting: deque[Future[Loaded]] = deque()
    with ThreadPoolExecutor(1) as sender:
        try:
            for first, chunk in _chunks(lines):
                waiting.append(sender.submit(_send, url, first, chunk))
                if len(waiting) > CHUNKS_AHEAD:
                    _count(done, waiting.popleft().result(), progress)
            while waiting:
                _count(done, waiting.popleft().result(), progress)
        finally:
            for future in waiting:
                future.cancel()
    return done


def look_at(lines: Iterable[bytes], keys: Sequence[tuple[str, str]]) -> None:
    """Look at the first lines as far as that can be done without AWS; ``keys`` are names and types.

    Raises LineError for a line that is no item with these keys, in the words of the load.
    """
    for number, line in enumerate(islice(lines, CHUNK_LINES), 1):
        wrong = None if line.isspace() else _wrong(line, keys)
        if wrong:
            raise LineError(number, wrong)


def _wrong(line: bytes, keys: Sequence[tuple[str, str]]) -> str | None:
    try:
        change = json.loads(line)
    except ValueError as error:
        return f"not JSON: {error}"
    found = change.get("Item", change.get("Delete")) if isinstance(change, dict) else None
    if not isinstance(found, dict):
        return 'expected {"Item": {…}} or {"Delete": {…}}'
    for name, kind in keys:
        value = found.get(name)
        if not isinstance(value, dict) or not isinstance(value.get(kind), str):
            return f'key {name}: expected {{"{kind}": …}}'
    for name, value in found.items():
        if not isinstance(value, dict) or len(value) != 1:
            return f'attribute {name}: expected one type and its value, such as {{"S": "text"}}'
    return None


def _count(done: Loaded, more: Loaded, progress: Callable[[Loaded], None]) -> None:
    done.items += more.items
    done.deletes += more.deletes
    progress(done)


def _chunks(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Chunks of whole lines, each with the number of its first line."""
    chunk: list[bytes] = []
    size = first = 0
    for number, line in enumerate(lines, 1):
        if not chunk:
            first = number
        chunk.append(line)
        size += len(line)
        if len(chunk) >= CHUNK_LINES or size >= CHUNK_BYTES:
            yield first, b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield first, b"".join(chunk)


def _send(url: str, first: int, chunk: bytes) -> Loaded:
    request = urllib.request.Request(url, data=chunk, headers={"Content-Type": "application/x-ndjson"})  # noqa: S310  # the endpoint of the AWS that we started
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310  # as above
            counts = json.load(answer)
    except urllib.error.HTTPError as error:
        raise _refusal(error, first) from None
    return Loaded(counts["Items"], counts["Deletes"])


def _refusal(error: urllib.error.HTTPError, first: int) -> UserError:
    try:
        message = str(json.load(error)["message"])
    except (ValueError, KeyError):
        message = f"{error.code} {error.reason}"
    numbered = _NUMBERED.fullmatch(message)
    if numbered is None:
        return UserError(f"loading: {message}")
    return LineError(first + int(numbered.group(1)) - 1, numbered.group(2))


@contextmanager
def open_items(path: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a user's file, plain or gzip by its content. Raises UserError with file, line and
    expectation.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}, expected a file of DynamoDB JSON lines (plain or gzip)"
        ) from None
    with file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        try:
            yield _lines(path, gzip.GzipFile(fileobj=file) if compressed else file)
        except LineError as error:
            raise UserError(
                f'{path}:{error.number}: {error.reason} (a line is {{"Item": {{"log_id": {{"S": "…"}}, …}}}})'
            ) from None


def _lines(path: Path, file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    """Each line with a line end, the last one too."""
    number = 0
    try:
        for line in file:
            number += 1
            yield line if line.endswith(b"\n") else line + b"\n"
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}:{number + 1}: {error}, expected gzip that goes on") from None
    if number == 0:
        raise UserError(f"{path}: empty, expected lines of DynamoDB JSON")
