r"""Characters that a text spells out: ``\u0040``, ``\/`` in JSON, ``&#64;`` in HTML and XML, ``%40`` in URLs.

A key whose slashes are escaped or an address without its ``@`` is found by nobody, and ``\n078-05-1120``
seems to begin with a letter. What stands for a printable character becomes it; what stands for a line end, a
tab or another control becomes spaces, so that lines stay what they were. Where lengths change, ``Moves``
knows the way back.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

_JSON = re.compile(rb"(?P<run>\\+)(?:u00(?P<code>[0-9a-fA-F]{2})|(?P<space>[ntrbf])|/)|%40")
_MARKUP = re.compile(rb"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});|%40")
_URL = re.compile(rb"%40")
_TORN = re.compile(rb"(?:\\+(?:u[0-9a-fA-F]{0,3})?|&[#A-Za-z0-9]{0,32}|%4?)\Z")
_LONGEST = 64
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz")


@dataclass
class Moves:
    """Where pieces of a changed text stood before."""

    now: list[int] = field(default_factory=lambda: [0])
    before: list[int] = field(default_factory=lambda: [0])

    def origin(self, position: int) -> int:
        """Where what is at ``position`` now has been."""
        index = bisect_right(self.now, position) - 1
        return self.before[index] + position - self.now[index]


Escapes = Callable[[bytes], tuple[bytes, Moves | None]]
"""Gives a text in plain characters, and how its pieces moved if they did."""


def escapes_of(head: bytes) -> Escapes:
    """What spells characters out in a text that begins with ``head``."""
    begin = head.lstrip()[:1]
    if begin == b"<":
        return markup
    return json if begin in {b"{", b"[", b'"'} or b'{"' in head else url


def untorn(data: bytes) -> int:
    """How many bytes of ``data``, from the first on, tear no escape."""
    if not data.endswith((b"%", b"%4")) and b"\\" not in data[-_LONGEST:] and b"&" not in data[-_LONGEST:]:
        return len(data)
    torn = _TORN.search(data, max(0, len(data) - _LONGEST))
    return torn.start() if torn and torn.start() else len(data)


def url(data: bytes) -> tuple[bytes, Moves | None]:
    """A text of no kind: addresses in URLs."""
    return _replace(_URL, lambda _: b"@", data) if b"%40" in data else (data, None)


def json(data: bytes) -> tuple[bytes, Moves | None]:
    """JSON, JSON lines, and lines that JSON is a part of (RFC 8259 §7)."""
    if b"\\" not in data:
        return url(data)
    if not any(rare in data for rare in (b"\\\\", b"\\/", b"\\u00", b"%40")):
        for letter in (b"\\n", b"\\t", b"\\r", b"\\b", b"\\f"):
            data = data.replace(letter, b"  ")
        return data, None
    return _replace(_JSON, _json_character, data)


def markup(data: bytes) -> tuple[bytes, Moves | None]:
    """HTML and XML."""
    return _replace(_MARKUP, _markup_character, data) if b"&" in data else url(data)


def _json_character(match: re.Match[bytes]) -> bytes | None:
    whole = match[0]
    if match["run"] is None:
        return b"@"
    escaped = len(match["run"]) % 2 == 1
    if match["code"]:
        code = int(match["code"], 16)
        return bytes([code]) if 32 <= code < 127 else b" " * len(whole) if code < 32 or code == 0xA0 else None
    if match["space"]:
        # `\\n` is a line end in JSON that is a string in JSON, but `\\new` is a directory.
        following = match.string[match.end() : match.end() + 1]
        return b" " * len(whole) if escaped or not _LETTERS.intersection(following) else None
    return b"/" if escaped else None


def _markup_character(match: re.Match[bytes]) -> bytes | None:
    whole = match[0]
    if whole == b"%40":
        return b"@"
    text = html.unescape(whole.decode())
    if text == whole.decode():
        return None
    if text == "\xa0" or not text.isprintable():
        return b" "
    return text.encode()


def _replace(
    pattern: re.Pattern[bytes], character: Callable[[re.Match[bytes]], bytes | None], data: bytes
) -> tuple[bytes, Moves | None]:
    parts: list[bytes] = []
    moves, copied, size = Moves(), 0, 0
    for match in pattern.finditer(data):
        replacement = character(match)
        if replacement is None:
            continue
        parts += data[copied : match.start()], replacement
        size += match.start() - copied
        copied = match.end()
        if len(replacement) != copied - match.start():
            moves.now += size, size + len(replacement)
            moves.before += match.start(), copied
        size += len(replacement)
    if not parts:
        return data, None
    return b"".join([*parts, data[copied:]]), moves
