"""``POST /_local/dynamodb/load``: items with write times in the past. A call that exists on local AWS alone.

The body is lines of JSON, gzipped or not, each ``{"Item": {…}, "WriteTime": "…"}`` or ``{"Delete": {key},
"WriteTime": "…"}`` with items and keys in DynamoDB JSON. All of it is loaded or, if a line is wrong, nothing.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import dynamodb_backends
from pydantic_core import from_json, to_json
from werkzeug.wrappers import Request, Response

from local_aws.dynamodb import items
from local_aws.dynamodb.history import SECOND, LoadedChange, Microseconds
from local_aws.dynamodb.keys import sort_key
from local_aws.dynamodb.tables import HistoryTable
from local_aws.objects import ACCOUNT

_BATCH = 20_000
_ITEM_BYTES = 400 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LoadError(Exception):
    """A request that loads nothing: says where it is wrong and what was expected."""


def load(request: Request) -> Response:
    """``?table=NAME``, optional ``&region=``, and ``&write_time=`` for lines without one (default: now)."""
    try:
        table = _table(request)
        now = table.history.clock.now()
        default = now
        if given := request.args.get("write_time"):
            default = _default_time(given, now)
        loaded = _load(table, _lines(request.get_data(cache=False)), default, now)
    except LoadError as error:
        return _answer(400, {"__type": "ValidationException", "message": str(error)})
    return _answer(200, loaded)


def _answer(status: int, document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), status=status, content_type="application/json")


def _table(request: Request) -> HistoryTable:
    name = request.args.get("table", "")
    if request.method != "POST" or not name:
        raise LoadError("expected POST with ?table=NAME")
    try:
        table = dynamodb_backends[ACCOUNT][request.args.get("region", "us-east-1")].get_table(name)
    except (JsonRESTError, KeyError):
        raise LoadError(f"table {name}: there is no such table") from None
    assert isinstance(table, HistoryTable)
    return table


def _lines(body: bytes) -> Iterable[bytes]:
    lines = io.BytesIO(body)
    return gzip.GzipFile(fileobj=lines) if body.startswith(b"\x1f\x8b") else lines


def _load(
    table: HistoryTable, lines: Iterable[bytes], default: Microseconds, now: Microseconds
) -> dict[str, int]:
    reader = _Reader(table, default, now)
    changes = reader.changes(lines)

    with table.history.writing() as (connection, _):
        # Sorted, so that neighbours in the index are written together; stably, so that the later of two wins.
        while batch := sorted(islice(changes, _BATCH), key=itemgetter(1)):
            table.history.load(connection, batch)
    return {"Items": reader.items, "Deletes": reader.deletes}


class _Reader:
    """Turns lines into changes and counts them."""

    def __init__(self, table: HistoryTable, default: Microseconds, now: Microseconds) -> None:
        self.items = self.deletes = 0
        self._default, self._now = default, now
        self._table = table.identity.number
        self._hash_name, self._hash_type = table.hash_key_attr, table.hash_key_type
        self._range_name, self._range_type = table.range_key_attr, table.range_key_type
        self._times: dict[str, int] = {}

    def changes(self, lines: Iterable[bytes]) -> Iterator[LoadedChange]:
        number = 0
        try:
            for number, line in enumerate(lines, 1):  # noqa: B007  # told in the error below
                if line.isspace():
                    continue
                yield self._change(line)
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise LoadError(f"line {number or 1}: {error}") from None

    def _change(self, line: bytes) -> LoadedChange:
        try:
            change = from_json(line)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from None
        if type(change) is not dict:
            raise ValueError('expected {"Item": {…}} or {"Delete": {…}}')
        time = self._default
        if "WriteTime" in change:
            time = self._write_time(change.pop("WriteTime"))
        if len(change) != 1:
            raise ValueError('expected one of "Item" and "Delete", and "WriteTime"')
        for kind, attributes in change.items():
            if kind not in ("Item", "Delete") or type(attributes) is not dict:
                break
            hash_ = self._key(attributes, self._hash_name, self._hash_type)
            range_ = self._key(attributes, self._range_name, self._range_type) if self._range_name else b""
            if kind == "Delete":
                if len(attributes) != (2 if self._range_name else 1):
                    raise ValueError("Delete: expected the key's attributes and no others")
                self.deletes += 1
                return self._table, hash_, range_, time, None
            self.items += 1
            return self._table, hash_, range_, time, _checked(attributes)
        raise ValueError('expected {"Item": {…}} or {"Delete": {…}}')

    def _key(self, attributes: dict[str, Any], name: str, kind: str | None) -> bytes:
        try:
            key = sort_key(str(kind), attributes[name][kind])
        except (KeyError, TypeError):
            raise ValueError(f'key {name}: expected {{"{kind}": …}}') from None
        except ValueError as error:
            raise ValueError(f"key {name}: expected {error}") from None
        if not key:
            raise ValueError(f"key {name}: expected a value that is not empty")
        return key

    def _write_time(self, text: Any) -> Microseconds:
        known = self._times.get(text) if type(text) is str else None
        if known is None:
            try:
                known = _time(text, self._now)
            except ValueError as error:
                raise ValueError(f"WriteTime: {error}") from None
            if len(self._times) < 100_000:
                self._times[text] = known
        return Microseconds(known)


def _checked(attributes: dict[str, Any]) -> bytes:
    """The item as stored, after a look at every value."""
    for name, value in attributes.items():
        # The common case first: a check of each value is a good part of the time that loading takes.
        if value.__class__ is dict and len(value) == 1 and value.get("S").__class__ is str:
            continue
        try:
            items.check(value)
        except ValueError as error:
            raise ValueError(f"attribute {name}: expected {error}") from None
    text = to_json(attributes)
    if len(text) > _ITEM_BYTES and items.size(attributes) > _ITEM_BYTES:
        raise ValueError("expected an item of at most 400 KB")
    return text


def _default_time(given: str, now: Microseconds) -> Microseconds:
    try:
        return _time(given, now)
    except ValueError as error:
        raise LoadError(f"write_time: {error}") from None


def _time(text: Any, now: Microseconds) -> Microseconds:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("expected ISO 8601 such as 2026-01-31T23:59:59.999Z") from None
    difference = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    time = (difference.days * 86_400 + difference.seconds) * SECOND + difference.microseconds
    if time > now:
        raise ValueError("expected a time that is not in the future")
    return Microseconds(time)
