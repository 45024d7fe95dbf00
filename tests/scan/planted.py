"""Texts with values in them, made when a test runs: the repository holds nothing that looks like a
credential.
"""

import json
import random
import re
import string
from collections.abc import Iterable, Iterator
from itertools import pairwise

from privacy_assets.scan.detectors.shape import Detector
from privacy_assets.scan.engine import Finding, Scanner
from privacy_assets.scan.text import Place

_RANDOM = re.compile(r"‹([^›×]+)×(\d+)›")
_SIGNED = re.compile(r"⟦|⟧")


def filled(text: str, seed: int = 0) -> str:
    """``text`` with each ``‹A-Z2-7×16›`` replaced by so many random characters of the class; the kinds of
    characters (upper, lower, digits) come in turn, so that what is random also looks it.
    """
    source = random.Random(f"{seed} {text}")

    def characters(match: re.Match[str]) -> str:
        allowed = [c for c in map(chr, range(33, 127)) if re.fullmatch(f"[{match[1]}]", c)]
        kinds = [
            [c for c in allowed if c in kind]
            for kind in (string.ascii_uppercase, string.digits, string.ascii_lowercase)
        ]
        kinds = [kind for kind in kinds if kind]
        return "".join(
            source.choice(kinds[index]) if index < len(kinds) else source.choice(allowed)
            for index in range(int(match[2]))
        )

    return _RANDOM.sub(characters, text)


def parted(example: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The text of an example without its signs, and the values that they mark: start, end (in bytes) and
    value.
    """
    plain, values = "", []
    for at, piece in enumerate(_SIGNED.split(filled(example))):
        start = len(plain.encode())
        plain += piece
        if at % 2:
            values.append((start, len(plain.encode()), piece))
    return plain, values


class Bytes:
    """A segment whose places are byte offsets of the text."""

    def __init__(self, data: bytes, offset: int = 0, member: str = "", column: str | None = None) -> None:
        self.data = data
        self.member = member
        self.continues = offset > 0
        self._offset = offset
        self._column = column

    def place(self, start: int, end: int) -> Place:
        assert 0 <= start < end <= len(self.data) or start == end == 0
        return Place(self._offset + start, column=self._column)


def cut(data: bytes, at: Iterable[int] = ()) -> Iterator[Bytes]:
    """``data`` in segments that end at the bytes ``at``."""
    edges = [0, *sorted(at), len(data)]
    for start, end in pairwise(edges):
        yield Bytes(data[start:end], start)


def found(scanner: Scanner, text: str | bytes, at: Iterable[int] = ()) -> list[Finding]:
    """What ``scanner`` finds in ``text``, cut at the bytes ``at``."""
    data = text.encode() if isinstance(text, str) else text
    return [item for item in scanner.scan(cut(data, at)) if isinstance(item, Finding)]


def corpus(detectors: Iterable[Detector], seed: int, lines: int) -> bytes:
    """Lines of everything that detectors know and refuse, in random order, between words and numbers."""
    source = random.Random(seed)
    texts = [
        text
        for detector in detectors
        for text in (*map(_plain, detector.examples), *map(filled, detector.decoys))
    ]
    made = []
    for _ in range(lines):
        noise = source.choice(
            ["ok", "retry 3", "2026-01-02T03:04:05Z", f"took={source.randint(1, 10**9)}ms", "é 例 ×"]
        )
        made.append(f"{noise} {source.choice(texts)} {json.dumps(noise)}\n")
    return "".join(made).encode()


def _plain(example: str) -> str:
    return parted(example)[0]
