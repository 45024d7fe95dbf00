"""Conditions on binary values: moto compares bytes with base64, which are never the same.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

import base64
from typing import Any

from moto.dynamodb.comparisons import AttributeValue
from moto.dynamodb.models.dynamo_type import DynamoType

_moto_stored: Any = DynamoType.cast_value
_moto_given: Any = AttributeValue.expr


def _given(self: AttributeValue, item: Any) -> Any:
    """What a value of an expression is compared as."""
    return _text(self.value) if self.type == "B" else _moto_given(self, item)


def _stored(value: DynamoType) -> Any:
    """What a value of an item is compared as."""
    if value.type == "B":
        return _text(value.value)
    if value.type == "BS":
        return {_text(part.value if isinstance(part, DynamoType) else part) for part in value.value}
    return _moto_stored.fget(value)


def _text(value: str | bytes) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def install() -> None:
    """Put these comparisons into moto's place."""
    DynamoType.cast_value = property(_stored)  # type: ignore[method-assign, assignment]
    AttributeValue.expr = _given  # type: ignore[method-assign]
