"""Attribute values between DynamoDB JSON, where binary is base64, and the SDK, where it is bytes."""

import base64
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
