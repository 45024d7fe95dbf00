"""Where a deleted record is kept: ``<table>/<key1>_<value1>_<key2>_<value2>.json``, and back.

Two different keys never share a path, and a path tells its key. So what would be ambiguous is escaped:
``%XX`` (a byte of UTF-8, capital hexadecimal digits) stands for the separators ``_`` and ``/``, for ``%``
itself, and for what S3 advises against or XML can't carry. Letters and digits of any script stay as they
are. ``%N`` is before a number and ``%B`` before binary in hexadecimal: no text has such an escape.

An S3 key has at most 1,024 bytes of UTF-8, a DynamoDB key up to 2,048 and 1,024. Of one that is too long the
path has the beginning, ``%H`` and the SHA-256 of the whole; its key is in the object alone (``LongKey``).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NewType
from urllib.parse import unquote_to_bytes

Path = NewType("Path", str)
"""The S3 key of a deleted record, in the archive bucket."""

Key = Mapping[str, Mapping[str, str]]
"""A DynamoDB key in DynamoDB JSON, partition key first: ``{"PK": {"S": "USER#123"}}``."""

LONGEST = 1024
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!*'()#:@+=,;&$ ")
_HASH = re.compile(r"%H[0-9a-f]{64}\.json\Z")
_SUFFIX = ".json"


class LongKey(ValueError):  # noqa: N818  # what it is
    """The path was shortened: the key that it belongs to is in its object."""


def path_of(table: str, key: Key) -> Path:
    """The path of a key; ``table`` is the table's noun.

    Raises ValueError for what is no key of DynamoDB.

    >>> path_of("orders", {"PK": {"S": "USER#123"}, "SK": {"S": "PROFILE"}})
    'orders/PK_USER#123_SK_PROFILE.json'
    >>> path_of("logs", {"log_id": {"N": "1.50"}})
    'logs/log%5Fid_%N1.5.json'
    """
    parts = [part for name, value in key.items() for part in (_escape(name), _value(value))]
    if len(parts) not in (2, 4):
        raise ValueError("a key of one or two attributes was expected")
    whole = f"{table}/{'_'.join(parts)}"
    if len(whole.encode()) + len(_SUFFIX) <= LONGEST:
        return Path(whole + _SUFFIX)
    mark = f"%H{hashlib.sha256(whole.encode()).hexdigest()}{_SUFFIX}"
    return Path(_shortened(whole, LONGEST - len(mark)) + mark)


def key_of(path: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The table's noun and the key of a path; numbers in their shortest form.

    Raises LongKey, and ValueError for what ``path_of`` never made.

    >>> key_of("orders/PK_USER#123_SK_PROFILE.json")
    ('orders', {'PK': {'S': 'USER#123'}, 'SK': {'S': 'PROFILE'}})
    """
    table, slash, rest = path.partition("/")
    if not slash or not rest.endswith(_SUFFIX):
        raise ValueError("a path such as <table>/<key>_<value>.json was expected")
    if _HASH.search(rest):
        raise LongKey("a shortened path: its key is in the object")
    parts = rest.removesuffix(_SUFFIX).split("_")
    if len(parts) not in (2, 4):
        raise ValueError("one or two keys with their values were expected")
    key = {_unescape(name): _read(value) for name, value in zip(parts[::2], parts[1::2], strict=True)}
    if path_of(table, key) != path:
        raise ValueError("a path that path_of makes was expected")
    return table, key


def number(text: str) -> str:
    """A number of DynamoDB in the one form that equal numbers share, without exponent.

    Raises ValueError for what is no number.
    """
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number was expected") from None
    if not found.is_finite() or len(text) > 256:
        raise ValueError("a finite number was expected")
    digits = found.as_tuple().digits
    if len("".join(map(str, digits)).strip("0")) > 38 or (found and not -130 <= found.adjusted() <= 126):
        raise ValueError("a number of at most 38 digits was expected")
    if not found:
        return "0"
    shown = f"{found:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _value(value: Mapping[str, Any]) -> str:
    ((kind, content),) = value.items()
    if kind not in ("S", "N", "B") or type(content) is not str:
        raise ValueError("a key's value of type S, N or B was expected")
    if kind == "S":
        return _escape(content)
    if kind == "N":
        return f"%N{number(content)}"
    try:
        return f"%B{base64.b64decode(content, validate=True).hex()}"
    except binascii.Error:
        raise ValueError("binary in base64 was expected") from None


def _read(part: str) -> dict[str, str]:
    if part.startswith("%N"):
        return {"N": part[2:]}
    if part.startswith("%B"):
        return {"B": base64.b64encode(bytes.fromhex(part[2:])).decode()}
    return {"S": _unescape(part)}


def _escape(text: str) -> str:
    return "".join(
        character
        if character in _PLAIN or (character > "\x7f" and character.isalnum())
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in text
    )


def _unescape(part: str) -> str:
    return unquote_to_bytes(part).decode()


def _shortened(text: str, length: int) -> str:
    """The beginning of ``text`` of at most ``length`` bytes, without half a character or half an escape."""
    cut = text.encode()[:length].decode(errors="ignore")
    escape = cut.rfind("%", len(cut) - 2)
    return cut if escape < 0 else cut[:escape]
