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

# Of URLs the address's sign, and beside numbers what separates: all of it would cost a log half its speed.
_PERCENT = (
    rb"%(?:40|2[8Bb](?=\d)|(?:0[9AaDd]|2[0-46-9A-Ea-e]|3[A-Fa-f]|5[BDFbdf]|7[B-Db-d])"
    rb"(?:(?=[+(]?\d{3}|%2[8Bb]\d)|(?<=\d{3}%..)))"
)
# Hyphens that do not break and dashes, minus, and spaces that do not break, as word processors put them.
_WIDE = rb"\xe2(?:\x80[\x90-\x93\xaf]|\x88\x92)(?:(?<=\d{3}...)(?=\d\d)|(?=\d{4}))|\xc2\xa0(?=[(\d]\d\d)"
# Each alternative begins with one character, or re would try all of them at every byte.
_JSON = re.compile(
    rb"\\(?P<more>\\*)(?:u00(?P<code>[0-9a-fA-F]{2})|(?P<space>[ntrbf])|/)|" + _PERCENT + b"|" + _WIDE
)
_MARKUP = re.compile(
    rb"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});|" + _PERCENT + b"|" + _WIDE
)
_URL = re.compile(_PERCENT)
_STRING = re.compile(rb"\\\\*[nrt](?=[+(]?\d{3}|[+]?1[ .(-])|" + _PERCENT + b"|" + _WIDE)
_TORN = re.compile(
    rb"(?:\\+(?:u[0-9a-fA-F]{0,3}|[nrt][+(]?\d{0,2})?|&[#A-Za-z0-9]{0,32}"
    rb"|(?:\d{3})?(?:%[0-9A-Fa-f]{0,2}){1,2}[+(]?\d{0,2}"
    rb"|(?:\d{0,3}\xe2\x80[\x90-\x93\xaf]|\d{0,3}\xe2\x88\x92|\xc2\xa0)[(\d]?\d{0,2})\Z"
)
_LONGEST = 64
_CHARACTERS = {
    written % code: bytes([max(code, 32)]) for code in range(128) for written in (b"%%%02X", b"%%%02x")
} | {
    character.encode(): plain
    for plain, characters in ((b"-", "\u2010\u2011\u2012\u2013\u2212"), (b" ", "\xa0\u202f"))
    for character in characters
}
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
    return json if begin in {b"{", b"[", b'"'} or b'{"' in head else strings


def untorn(data: bytes) -> int:
    """How many bytes of ``data``, from the first on, tear no escape."""
    end = data[-_LONGEST:]
    if end.isascii() and b"%" not in end and b"\\" not in end and b"&" not in end:
        return len(data)
    torn = _TORN.search(data, max(0, len(data) - _LONGEST))
    return torn.start() if torn and torn.start() else len(data)


def strings(data: bytes) -> tuple[bytes, Moves | None]:
    """A text of no kind: URLs (RFC 3986 §2.1), and beside numbers dashes, and line ends in strings of a
    program or a log.
    """
    if b"\\" in data or _is_wide(data):
        return _replace(_STRING, lambda match: _CHARACTERS.get(match[0], b" " * len(match[0])), data)
    return _replace(_URL, lambda match: _CHARACTERS[match[0]], data) if b"%" in data else (data, None)


def _is_wide(data: bytes) -> bool:
    return b"\xe2" in data or b"\xc2\xa0" in data


def json(data: bytes) -> tuple[bytes, Moves | None]:
    """JSON, JSON lines, and lines that JSON is a part of (RFC 8259 §7)."""
    if b"\\" not in data:
        return strings(data)
    rare = any(escape in data for escape in (b"\\\\", b"\\/", b"\\u00"))
    if not rare and not _is_wide(data) and not (b"%" in data and _URL.search(data)):
        for letter in (b"\\n", b"\\t", b"\\r", b"\\b", b"\\f"):
            data = data.replace(letter, b"  ")
        return data, None
    return _replace(_JSON, _json_character, data)


def markup(data: bytes) -> tuple[bytes, Moves | None]:
    """HTML and XML."""
    return _replace(_MARKUP, _markup_character, data) if b"&" in data else strings(data)


def _json_character(match: re.Match[bytes]) -> bytes | None:
    whole = match[0]
    if match["more"] is None:
        return _CHARACTERS[whole]
    escaped = len(match["more"]) % 2 == 0
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
    if whole in _CHARACTERS:
        return _CHARACTERS[whole]
    text = html.unescape(whole.decode())
    if text == whole.decode():
        return None
    written = text.encode()
    return _CHARACTERS.get(written, written if text.isprintable() else b" ")


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
