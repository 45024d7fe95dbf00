"""What stands around a value: the words that support it, and the context that is shown with it.

A value has a *label* where it is written as one: ``ssn=…``, ``"ssn": "…"``, ``<ssn>…``, a column's name.
Then the label alone counts, so that ``{"ssn": null, "order": 536904399}`` has no social security number.
Elsewhere the words of its line count, and those of the line before where its own line has none.
"""

import re
from collections.abc import Sequence
from functools import cache

HEADER = 4096
"""The most bytes of a header, and of the row after it."""
_ROW = 2048
"""How far back the start of a row is looked for."""

_REMEMBERED = 4096
"""How many labels are remembered."""
_WORD = 24
"""Bytes of a longer word are no word that anything is called by."""

_AROUND = b" \t\"'`:=-"
_OPENING = b" \t\"'`([{<\\"
_ASSIGNS = b":=>"
_ENDS_OF_LABELS = bytes.maketrans(b"\r\t,;{}[]()<\"'`&?|\\", b"\n" * 18)
_LETTER = re.compile(rb"[A-Za-z\x80-\xff]")
_TELLS_NOTHING = (
    b"value val v number num no nr text data content field body message msg string payload result key name"
    b" column col"
)
_VAGUE = frozenset([b"", *_TELLS_NOTHING.split()])
_LAYOUT = frozenset(b"td th tr li p div span b i em strong code label dd dt a font u small input".split())
"""Tags that say how something looks, not what it is."""
_COUNTED = b"0123456789 _"
"""What the names of columns end with that have none: ``column 3``."""
_QUOTED = re.compile(rb'"(?:[^"]|"")*"')
_NAME = re.compile(r"[^\W\d][\w .()/#%:*-]{0,60}")


class Words:
    """Words as people write them in prose, in ``snake_case``, ``camelCase`` and ``kebab-case``."""

    def __init__(self, words: Sequence[str]) -> None:
        self._pattern = _compiled(tuple(words))
        self._known: dict[bytes, bool] = {}

    @staticmethod
    def literals(words: Sequence[str]) -> set[bytes]:
        """Where none of these stands, in upper or lower case, none of ``words`` does."""
        return {max(word.split(" "), key=len).encode() for word in words}

    def __bool__(self) -> bool:
        return self._pattern is not None

    def among(self, text: bytes) -> bool:
        """Whether one of them stands in ``text``."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def named(self, label: bytes) -> bool:
        """Whether one of them stands in ``label``, of which a text has few different ones."""
        known = self._known.get(label)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[label] = self.among(label)
        return known

    def removed(self, text: bytes) -> bytes:
        """``text`` without them."""
        return self._pattern.sub(b" ", text) if self._pattern else text

    def before(self, line: bytes) -> bool:
        """Whether one of them stands in ``line``, mostly as its last word."""
        words = line.rsplit(b" ", 2)
        last = words[-1] or words[-2] if len(words) > 1 else b""
        return (len(last) <= _WORD and self.named(last)) or self.among(line)


@cache
def _compiled(words: tuple[str, ...]) -> re.Pattern[bytes] | None:
    if not words:
        return None
    alternatives = "|".join(
        r"[ _.-]{0,2}".join(re.escape(part) for part in word.split(" "))
        for word in sorted(words, key=len, reverse=True)
    )
    starts = r"(?:(?<![A-Za-z0-9])|(?<=[a-z])(?=[A-Z]))"
    ends = r"(?![a-z])(?!(?<=[A-Z])[A-Z])"
    return re.compile(f"{starts}(?i:{alternatives}){ends}".encode())


def label(before: bytes) -> bytes | None:
    """The label in the bytes ``before`` a value; None where there is none, or one that tells nothing.

    >>> label(b'{"order": null, "socialSecurity": "')
    b'socialSecurity'
    >>> label(b"he wrote: my social security number is ")
    """
    stripped = before.rstrip(_OPENING)
    assigns = stripped[-1:]
    if not assigns or assigns not in _ASSIGNS or (assigns == b">" and stripped[-2:-1].isspace()):
        return None
    if assigns == b">" and stripped[-2:-1] not in b"=-":
        tag = stripped[stripped.rfind(b"<") + 1 : -1].split()
        return tag[0] if tag and tag[0].lower() not in _LAYOUT and tag[0][:1] != b"/" else None
    words = stripped.rstrip(b":=>-~ \t\"'`\\").translate(_ENDS_OF_LABELS)
    found = b" ".join(words[words.rfind(b"\n") + 1 :].split()[-5 if assigns == b":" else -1 :])
    return tells(found)


_CALLED = re.compile(
    rb"([A-Za-z]{2,20})(?:[ _-](?:no|num|number|nr|id|code)[.]?)?[ ]?#?[ ]?\Z", re.IGNORECASE
)


def called_before(before: bytes) -> bytes | None:
    """What prose calls the number that ``before`` stands before.

    >>> called_before(b"he paid for order no. "), called_before(b"invoice #"), called_before(b"1234 ")
    (b'order', b'invoice', None)
    """
    found = _CALLED.search(before, max(0, len(before) - 40))
    return found[1] if found else None


def tells(name: bytes | None) -> bytes | None:
    """``name``, or None where it could be any value's.

    >>> tells(b"ssn"), tells(b"value"), tells(b"column 3"), tells(b"30")
    (b'ssn', None, None, None)
    """
    return name if name and name.lower().rstrip(_COUNTED) not in _VAGUE else None


def line_before(before: bytes) -> bytes:
    """What stands on the value's line, or the line before it where nothing there tells; of a list's objects,
    in the last.
    """
    newline = before.rfind(b"\n")
    line = before[newline + 1 :]
    if newline >= 0 and (not _LETTER.search(line) or line.strip(_AROUND).lower() in _VAGUE):
        line = before[before.rfind(b"\n", 0, newline) + 1 :]
    return line[max(line.rfind(b",{"), line.rfind(b", {")) + 1 :] if b"{" in line else line


class Header:
    """The names of the columns of a text that is a table, delimited or columnar."""

    def __init__(self, names: Sequence[bytes], delimiter: bytes) -> None:
        self._names = names
        self._delimiter = delimiter

    @classmethod
    def of(cls, start: bytes, column: str | None) -> "Header | None":
        """The header of a text that has ``start``; ``column`` is what its reader calls the first byte's
        column."""
        first, _, rest = start.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
        while first.startswith((b"#", b"sep=")) and rest:
            first, _, rest = rest.partition(b"\n")
        second = rest[:_ROW].partition(b"\n")[0].rstrip(b"\r")
        first = first.rstrip(b"\r")
        if column is not None and tells(column.encode()) and column.encode() not in first:
            return cls([column.encode()], b"")
        if len(first) > HEADER or not second:
            return None
        delimiter = max((b",", b"\t", b";", b"|"), key=first.count)
        names = [name.strip(b" \"'") for name in first.split(delimiter)]
        if not all(_NAME.fullmatch(name.decode("utf-8", "replace")) for name in names):
            return None
        if len(names) == 1:  # a word and under it a value, or a sentence and under it another
            return cls(names, b"") if not _LETTER.search(second) and b" " not in first else None
        quoted = _QUOTED.sub(b"", rest[:_ROW]).partition(b"\n")[0]  # a field may have several lines
        cells = {_QUOTED.sub(b"", second).count(delimiter) + 1, quoted.count(delimiter) + 1}
        return cls(names, delimiter) if len(names) in cells else None

    def mentions(self, words: Words) -> bool:
        """Whether a column has one of ``words`` in its name."""
        return any(words.among(name) for name in self._names)

    def at(self, text: bytes, start: int) -> bytes | None:
        """The name of the column in which ``text[start]`` stands."""
        if not self._delimiter:
            return self._names[0]
        newline, low = start, max(0, start - _ROW)
        while True:
            newline = text.rfind(b"\n", low, newline)
            if newline < 0:
                return None
            row = text[newline + 1 : start]
            if b'"' not in row:
                break
            row = _QUOTED.sub(b"", row)
            opening = row.find(b'"')
            if opening < 0:
                break
            if opening == 0 or row[opening - 1 : opening] == self._delimiter:
                row = row[:opening]
                break  # else it closes a field that began on a line before
        index = row.count(self._delimiter)
        return self._names[index] if index < len(self._names) else None


def sixty_before(text: bytes, start: int) -> int:
    """Where the sixty characters before ``start`` begin."""
    low = start - 60 if start > 60 else 0
    if text[low:start].isascii():
        return low
    return start - len(text[max(0, start - 240) : start].decode("utf-8", "ignore")[-60:].encode())


def sixty_after(text: bytes, end: int) -> int:
    """Where the sixty characters after ``end`` end."""
    if text[end : end + 60].isascii():
        return min(len(text), end + 60)
    return end + len(text[end : end + 240].decode("utf-8", "ignore")[:60].encode())


_CONTROLS = bytes(number if number >= 32 and number != 127 else 32 for number in range(256))
_UNSEEN = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xef\xbb\xbf")
_ZEROS = bytes(48 if 48 <= number < 58 else number for number in range(256))
_LONG_NUMBER = b"0" * 7


def shown(text: bytes, hidden: bytes) -> str:
    """``text`` as one line. Numbers of seven digits or more are hidden even though no detector knows them."""
    text = text.translate(_CONTROLS)
    zeros = text.translate(_ZEROS)
    while (start := zeros.find(_LONG_NUMBER)) >= 0:
        rest = zeros[start:].lstrip(b"0")
        text = text[:start] + hidden + text[len(text) - len(rest) :]
        zeros = zeros[:start] + hidden + rest
    if not text.isascii():
        text = _UNSEEN.sub(b" ", text)
    return text.decode("utf-8", "replace")
