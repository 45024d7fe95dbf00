"""Key values as bytes that sort as DynamoDB sorts them: SQLite then keeps items in key order by itself.

Strings sort by their UTF-8 bytes, binary values as unsigned bytes, numbers by value; ``1`` and ``1.0`` are
one key. Source: "Naming rules and data types" of the DynamoDB developer guide.
"""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_DIGITS = 38
_BIAS = 0x4000  # makes every exponent a positive 16-bit number


def sort_key(kind: str, value: Any) -> bytes:
    """``value`` of type ``kind`` (S, N or B) as bytes in sort order. Raises ValueError: what was expected."""
    if kind == "S":
        if type(value) is not str:
            raise ValueError("a string")
        return value.encode()
    if kind == "N":
        return _number(value)
    return binary(value)


def binary(value: Any) -> bytes:
    """A binary value, which moto carries as bytes or as base64, as bytes. Raises ValueError: neither."""
    if isinstance(value, bytes):
        return value
    if type(value) is not str:
        raise ValueError("base64")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError("base64") from None


def number(value: Any) -> Decimal:
    """A number as DynamoDB takes it. Raises ValueError: what was expected."""
    if type(value) is not str:
        raise ValueError("a number as a string")
    if not _NUMBER.fullmatch(value):
        raise ValueError("a number")
    found = Decimal(value)
    if len(value) > _DIGITS and len(_digits(found)) > _DIGITS:
        raise ValueError(f"a number of at most {_DIGITS} digits")
    if found and not -130 <= found.adjusted() <= 125:
        raise ValueError("a number between 1E-130 and 1E+126")
    return found


def _digits(value: Decimal) -> str:
    return "".join(map(str, value.as_tuple().digits)).strip("0")


def _number(value: Any) -> bytes:
    """Sign, exponent, digits; a negative number's are inverted, so that larger magnitudes sort first."""
    found = number(value)
    if not found:
        return b"\x01"
    magnitude = (found.adjusted() + _BIAS).to_bytes(2, "big") + _digits(found).encode()
    if found > 0:
        return b"\x02" + magnitude
    return b"\x00" + bytes(255 - byte for byte in magnitude) + b"\xff"


def after_prefix(prefix: bytes) -> bytes | None:
    """The least bytes greater than all that start with ``prefix``; None when there are none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
