"""Items as compact DynamoDB JSON, and back as the objects moto computes with."""

import base64
from typing import Any, cast

from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from pydantic_core import from_json, to_json

from local_aws.dynamodb.keys import RangeError, binary, plain_number

Json = dict[str, Any]

_SCALARS: dict[str, type[str] | type[bool]] = {"S": str, "N": str, "B": str, "BOOL": bool, "NULL": bool}


def dump(item: Item) -> bytes:
    """The item's attributes as compact JSON in UTF-8; binary values as base64.

    Raises ValueError with DynamoDB's words for a number, such as a sum, that it can't keep.
    """
    return to_json({name: _plain(value) for name, value in item.attrs.items()})


def load(text: str, hash_name: str, range_name: str | None) -> Item:
    """The item that ``dump`` wrote, without moto's check of its size: what is stored has passed it."""
    attributes = LimitedSizeDict()
    for name, value in from_json(text).items():
        dict.__setitem__(attributes, name, DynamoType(value))
    item = cast(Item, Item.__new__(Item))
    item.hash_key = attributes[hash_name]
    item.range_key = attributes[range_name] if range_name else None
    item.attrs = attributes
    return item


def _plain(value: DynamoType) -> Json:
    if value.type == "N":
        return {"N": _settled_number(str(value.value))}
    if value.type == "M":
        return {"M": {name: _plain(part) for name, part in value.value.items()}}
    if value.type == "L":
        return {"L": [_plain(part) for part in value.value]}
    if value.type in ("SS", "NS", "BS"):
        return {value.type: [_text(part) for part in value.value]}
    return {value.type: _text(value.value)}


def _text(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def check(value: Any) -> None:
    """Raises ValueError, which says what was expected, unless ``value`` is an attribute value.

    Its numbers become as DynamoDB keeps them.
    """
    if type(value) is not dict or len(value) != 1:
        raise ValueError('one type and its value, such as {"S": "text"}')
    for kind, content in value.items():
        if kind in _SCALARS:
            value[kind] = _checked_scalar(kind, content)
        elif kind == "L":
            if type(content) is not list:
                raise ValueError("L to hold a list")
            for part in content:
                check(part)
        elif kind == "M":
            if type(content) is not dict:
                raise ValueError("M to hold an object")
            for part in content.values():
                check(part)
        elif kind in ("SS", "NS", "BS"):
            value[kind] = _checked_set(kind, content)
        else:
            raise ValueError("a type of S, N, B, BOOL, NULL, M, L, SS, NS, BS")


def _checked_scalar(kind: str, content: Any) -> Any:
    expected = _SCALARS[kind]
    if type(content) is not expected:
        raise ValueError(f"{kind} to hold {'true or false' if expected is bool else 'a string'}")
    if kind == "N":
        try:
            return plain_number(content)
        except ValueError as error:
            raise ValueError(f"N to hold {error}") from None
    elif kind == "B":
        try:
            binary(content)
        except ValueError:
            raise ValueError("B to hold base64") from None
    elif kind == "NULL" and content is not True:
        raise ValueError("NULL to hold true")
    return content


def _checked_set(kind: str, content: Any) -> list[Any]:
    if type(content) is not list or not content:
        raise ValueError(f"{kind} to hold a list that is not empty")
    parts = [_checked_scalar(kind[0], part) for part in content]
    if len(set(parts)) != len(parts):
        raise ValueError(f"{kind} to hold no value twice")
    return parts


def settle(request: Any) -> None:
    """Make all numbers of a request as DynamoDB keeps them, at any depth.

    Raises ValueError with DynamoDB's words for a number that it can't keep and for a set that holds a value
    twice. What is an attribute value is seen by its shape: a type's name alone, and what that type holds.
    """
    if type(request) is list:
        for part in request:
            settle(part)
    elif type(request) is dict:
        if len(request) == 1:
            for kind, content in request.items():
                if kind == "N" and type(content) is str:
                    request[kind] = _settled_number(content)
                elif kind == "NS" and type(content) is list:
                    request[kind] = [_settled_number(part) for part in content]
                if kind in ("SS", "NS", "BS") and type(content) is list:
                    _refuse_duplicates(kind, request[kind])
        for part in request.values():
            settle(part)


def _settled_number(text: Any) -> str:
    try:
        return plain_number(text)
    except RangeError as error:
        raise ValueError(error.words) from None
    except ValueError:
        raise ValueError(f"The parameter cannot be converted to a numeric value: {text}") from None


def _refuse_duplicates(kind: str, parts: list[Any]) -> None:
    if len(set(map(str, parts))) == len(parts):
        return
    shown = f" [{', '.join(map(str, parts))}]" if kind == "SS" else ""
    raise ValueError(
        f"One or more parameter values were invalid: Input collection{shown} contains duplicates."
    )


def size(attributes: Json) -> int:
    """Bytes that DynamoDB counts for an item: names and values, each in UTF-8."""
    return sum(len(name.encode()) + DynamoType(value).size() for name, value in attributes.items())
