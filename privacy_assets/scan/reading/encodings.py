"""Encodings of text: which one it is, and where in it a place of its UTF-8 form stands.

UTF-8 and ASCII are handed on as they are: a text that turns out malformed later is matched as it is. UTF-16
and UTF-32 are told by their byte order mark or by decoding to printable text; what is no Unicode is read as
windows-1252 with the five bytes that it leaves open as in Latin-1, so that every byte is one character
(https://encoding.spec.whatwg.org/#windows-1252). EBCDIC is not told.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

_CP1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
# What stands in no text but does in binary data. Escapes, form feeds, DOS's end of file do stand in texts.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1a\x1b")) + b"\x7f"
_CONTROL_CHARACTERS = re.compile(
    "[\0-\x07\x0e-\x19\x1c-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]"
)
_UNICODE_LETTERS = re.compile(r"\w")
_SPACES = re.compile(r"[\s\u3000-\u303f\uff00-\uff0f]")
_TOLERATED = 0.02
"""The share of control bytes up to which malformed text is text: a log that was torn, not an image."""
_SAMPLE = 4096


@dataclass(frozen=True)
class Encoding:
    """One encoding: how it is torn into pieces, decoded, and counted."""

    name: str
    mark: bytes
    """The byte order mark that was met."""
    whole: Callable[[bytes], int]
    """How many of these bytes, from the first on, tear no character."""
    decode: Callable[[bytes], bytes]
    """The UTF-8 form of these bytes; what is malformed is U+FFFD."""
    length: Callable[[bytes], int]
    """How many bytes what ``decode`` gave, from its first byte on, has been."""


def _whole_utf8(data: bytes) -> int:
    # A lead byte among the last three that asks for more than there are.
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            return len(data) - back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else len(data)
        if byte < 0x80:
            break
    return len(data)


def utf8(mark: bytes = b"") -> Encoding:
    """UTF-8, handed on as it is."""
    return Encoding("utf-8", mark, _whole_utf8, lambda data: data, len)


def windows_1252() -> Encoding:
    """windows-1252; Latin-1 is a part of it but for the controls that no text has."""
    return Encoding(
        "windows-1252",
        b"",
        len,
        lambda data: codecs.charmap_decode(data, "strict", _CP1252)[0].encode(),
        lambda data: len(data.decode()),
    )


def utf16(order: str, mark: bytes = b"") -> Encoding:
    """UTF-16; ``order`` is ``"le"`` or ``"be"``."""
    codec = f"utf-16-{order}"
    high = 1 if order == "le" else 0

    def whole(data: bytes) -> int:
        size = len(data) & ~1
        # A high surrogate waits for its low one.
        return size - 2 if size and data[size - 2 + high] & 0xFC == 0xD8 else size

    return Encoding(
        codec,
        mark,
        whole,
        lambda data: data.decode(codec, "replace").encode(),
        # Each U+FFFD stands for two bytes, as many as it has itself.
        lambda data: len(data.decode().encode(codec)),
    )


def utf32(order: str, mark: bytes = b"") -> Encoding:
    """UTF-32; ``order`` is ``"le"`` or ``"be"``."""
    codec = f"utf-32-{order}"
    return Encoding(
        codec,
        mark,
        lambda data: len(data) & ~3,
        lambda data: data.decode(codec, "replace").encode(),
        lambda data: 4 * len(data.decode()),
    )


_MARKS: tuple[tuple[bytes, Callable[[bytes], Encoding]], ...] = (
    # UTF-32's first: its mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, partial(utf32, "le")),
    (codecs.BOM_UTF32_BE, partial(utf32, "be")),
    (codecs.BOM_UTF16_LE, partial(utf16, "le")),
    (codecs.BOM_UTF16_BE, partial(utf16, "be")),
    (codecs.BOM_UTF8, utf8),
)


def declared(charset: str) -> Encoding | None:
    """The encoding that is called ``charset``, as mails do; None if nobody knows it or it encodes no text.

    For encodings of several bytes a character, lengths are exact where the text is well formed.
    """
    try:
        codec = codecs.lookup(charset)
        every = bytes(range(256)).decode(codec.name, "replace")
    except (LookupError, ValueError):
        return None
    if len(every) == 256:

        def length(data: bytes) -> int:
            return len(data.decode())
    else:

        def length(data: bytes) -> int:
            return len(data.decode().encode(codec.name, "replace"))

    def whole(data: bytes) -> int:
        decoder = codecs.getincrementaldecoder(codec.name)("replace")
        decoder.decode(data)
        return len(data) - len(decoder.getstate()[0])

    return Encoding(codec.name, b"", whole, lambda data: data.decode(codec.name, "replace").encode(), length)


def encoding_of(head: bytes, charset: str | None = None) -> Encoding | None:
    """The encoding of a text that begins with ``head``; None if it is no text.

    ``charset`` is what somebody says it is: it is believed where the bytes don't say otherwise.
    """
    for mark, marked in _MARKS:
        if head.startswith(mark):
            return marked(mark)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    is_utf8 = _is_utf8(head)
    if controls == 0 and is_utf8:
        return utf8()
    sample = head[:_SAMPLE]
    if controls:
        wide = (utf32("le"), utf32("be"), utf16("le"), utf16("be"))
        narrow, encoding = max(((_narrow(sample, one), one) for one in wide), key=lambda scored: scored[0])
        if narrow >= 0:
            return encoding
    if controls > len(head) * _TOLERATED:
        return None
    if is_utf8:
        return utf8()
    return (declared(charset) if charset else None) or windows_1252()


def is_text(sample: bytes) -> bool:
    """Whether these bytes, from the midst of a text, still look like one in a byte-wise encoding."""
    return len(sample) - len(sample.translate(None, _CONTROLS)) <= len(sample) * _TOLERATED


def _is_utf8(data: bytes) -> bool:
    try:
        data[: _whole_utf8(data)].decode()
    except UnicodeDecodeError:
        return False
    return True


def _narrow(sample: bytes, encoding: Encoding) -> float:
    """The share of ASCII in ``sample`` if it is text in UTF-16 or UTF-32; -1 if it does not decode, or to
    controls, or to few letters.
    """
    data = sample[: encoding.whole(sample)]
    if len(data) < 4 or len(sample) - len(data) > 3:
        return -1
    try:
        text = data.decode(encoding.name)
    except UnicodeDecodeError:
        return -1
    if _CONTROL_CHARACTERS.search(text):
        return -1
    letters, spaces = len(_UNICODE_LETTERS.findall(text)), len(_SPACES.findall(text))
    narrow = sum(character < "\x80" for character in text) / len(text)
    # With little ASCII, chance decodes too; a text has letters, and spaces or ideographic stops then.
    likely = letters * 2 >= len(text) and (narrow >= 0.25 or spaces * 100 >= len(text))
    return narrow if narrow >= 0.75 or likely else -1
