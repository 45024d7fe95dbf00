"""Attribute values between DynamoDB JSON, where binary is base64, and the SDK, where it is bytes."""

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def from_json(value: Any) -> Any:
    """A value of a stream's record as the SDK takes it.

    >>> from_json({"L": [{"B": "AP8="}, {"S": "B"}]})
    {'L': [{'B': b'\\x00\\xff'}, {'S': 'B'}]}
    """
    ((kind, content),) = value.items()
    if kind == "B":
        return {"B": base64.b64decode(content)}
    if kind == "BS":
        return {"BS": [base64.b64decode(part) for part in content]}
    if kind == "M":
        return {"M": {name: from_json(part) for name, part in content.items()}}
    if kind == "L":
        return {"L": [from_json(part) for part in content]}
    return value


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two items in DynamoDB JSON are equal to DynamoDB: sets have no order, ``1`` is ``1.0``.

    >>> same({"a": {"NS": ["1", "2"]}}, {"a": {"NS": ["2.0", "1"]}})
    True
    """
    return bool(_canonical({"M": one}) == _canonical({"M": other}))


def _canonical(value: Any) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, Decimal(content)
    if kind == "NS":
        return kind, frozenset(Decimal(part) for part in content)
    if kind in ("SS", "BS"):
        return kind, frozenset(content)
    if kind == "M":
        return kind, {name: _canonical(part) for name, part in content.items()}
    if kind == "L":
        return kind, [_canonical(part) for part in content]
    return kind, content
