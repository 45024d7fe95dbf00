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
_PLAIN = re.compile("[1-9][0-9]{0,37}")
_DIGITS = 38
_BIAS = 0x4000  # makes every exponent a positive 16-bit number


class RangeError(ValueError):
    """A number that DynamoDB can't keep; ``words`` are its own."""

    def __init__(self, expected: str, words: str) -> None:
        super().__init__(expected)
        self.words = words


_PRECISION = "Attempting to store more than 38 significant digits in a Number"
_OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
_UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"


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
        raise RangeError(f"a number of at most {_DIGITS} digits", _PRECISION)
    if found and not -130 <= found.adjusted() <= 125:
        words = _OVERFLOW if found.adjusted() > 0 else _UNDERFLOW
        raise RangeError("a number between 1E-130 and 1E+126", words)
    return found


def plain_number(value: Any) -> str:
    """A number as DynamoDB keeps it: no exponent and no zeros that say nothing. Raises ValueError."""
    if type(value) is str and _PLAIN.fullmatch(value):
        return value  # as most are, of millions
    found = number(value)
    text = format(found, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    sign = "-" if found < 0 else ""
    whole, point, fraction = text.lstrip("+-").partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point}{fraction}"


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
