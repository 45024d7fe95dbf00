"""Identifiers as bytes, and the search for them in what is left.

A value of fewer than six characters stands in too much that isn't the subject's, so it is found by its fields
alone.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote

from privacy_assets.dsar.stores.protocol import Identifiers

SHORTEST = 6
_CHUNK = 4 << 20


class Needles:
    """What is searched for: each value in UTF-8 and UTF-16, as JSON escapes it, as a URL does."""

    def __init__(self, identifiers: Identifiers) -> None:
        self.values = sorted(
            {value for values in identifiers.values() for value in values if len(value) >= SHORTEST}
        )
        found: set[bytes] = set()
        for value in self.values:
            found |= {
                value.encode(),
                value.encode("utf-16-le"),
                value.encode("utf-16-be"),
                json.dumps(value)[1:-1].encode(),
                json.dumps(value, ensure_ascii=False)[1:-1].encode(),
                quote(value, safe="").encode(),
                quote(value).encode(),
            }
        self.patterns = sorted(found)
        self._overlap = max(map(len, self.patterns), default=1) - 1

    def within(self, data: bytes | memoryview) -> bool:
        """Whether any of them stands in ``data``."""
        data = bytes(data)
        return any(pattern in data for pattern in self.patterns)

    def in_stream(self, stream: BinaryIO) -> tuple[bool, int]:
        """Whether any of them stands in a stream, which is read to its end, and how many bytes that was."""
        found, size = False, 0
        for window, fresh in windows(stream, self._overlap):
            size += fresh
            found = found or self.within(window)
        return found, size


def windows(stream: BinaryIO, overlap: int) -> Iterator[tuple[bytes, int]]:
    """A stream in pieces that overlap, each with how many of its bytes are new."""
    tail = b""
    while data := stream.read(_CHUNK):
        yield tail + data, len(data)
        tail = (tail + data)[-overlap:] if overlap else b""
