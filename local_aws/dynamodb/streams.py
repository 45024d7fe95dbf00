"""The streams' own API where moto's differs: records are trimmed after 24 hours, and images cost little.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
"""

import json
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.dynamodbstreams.models import DynamoDBStreamsBackend, ShardIterator
from moto.dynamodbstreams.responses import DynamoDBStreamsHandler

from local_aws.dynamodb.tables import HistoryShard, HistoryTable, stream_clock

_PREFIX = "com.amazonaws.dynamodb.v20120810#"
_PAGE_BYTES = 1024 * 1024

__all__ = ["install", "stream_clock"]


def install() -> None:
    """Put these answers into moto's place."""
    DynamoDBStreamsBackend.get_shard_iterator = _get_shard_iterator  # type: ignore[assignment, method-assign]  # no other way in
    DynamoDBStreamsBackend.get_records = _get_records  # type: ignore[assignment, method-assign]  # as above
    DynamoDBStreamsHandler.serialized = _serialized  # type: ignore[assignment, method-assign]  # as above


_moto_serialized = DynamoDBStreamsHandler.serialized


def _serialized(handler: DynamoDBStreamsHandler, action_result: ActionResult) -> TYPE_RESPONSE:
    """Records are JSON already; moto's serializer would look each value up in the API's model."""
    result: Any = action_result.result
    if isinstance(result, dict) and "Records" in result:
        body = json.dumps(result, separators=(",", ":"))
        return 200, {"Content-Type": "application/x-amz-json-1.0", **handler.response_headers}, body
    return _moto_serialized(handler, action_result)


def _shard(backend: DynamoDBStreamsBackend, arn: str, shard_id: str) -> HistoryShard:
    try:
        table = backend._get_table_from_arn(arn)
    except (JsonRESTError, KeyError, IndexError):
        raise _error("ResourceNotFoundException", f"Requested resource not found: Stream: {arn}") from None
    assert isinstance(table, HistoryTable)
    shard = table.stream_shard
    if shard is None or arn.rpartition("/")[2] != table.latest_stream_label or shard.id != shard_id:
        raise _error("ResourceNotFoundException", f"Requested resource not found: Stream: {arn}")
    assert isinstance(shard, HistoryShard)
    return shard


def _get_shard_iterator(
    backend: DynamoDBStreamsBackend,
    arn: str,
    shard_id: str,
    shard_iterator_type: str,
    sequence_number: int | None = None,  # moto's response layer makes it a number
) -> ShardIterator:
    shard = _shard(backend, arn, shard_id)
    if sequence_number is not None and shard.is_trimmed(sequence_number):
        raise _error(
            "TrimmedDataAccessException",
            "The operation attempted to read past the oldest stream record in a shard.",
        )
    iterator = ShardIterator(backend, shard, shard_iterator_type, sequence_number)
    backend.shard_iterators[iterator.arn] = iterator
    return iterator


def _get_records(backend: DynamoDBStreamsBackend, iterator_arn: str, limit: int) -> dict[str, Any]:
    """At most ``limit`` records and, as AWS, about a megabyte."""
    iterator = backend.shard_iterators.get(iterator_arn)
    if iterator is None:
        raise _error("ExpiredIteratorException", "The shard iterator has expired")
    shard = iterator.stream_shard
    assert isinstance(shard, HistoryShard)
    records: list[dict[str, Any]] = []
    size, last = 0, int(iterator.sequence_number) - 1
    for change in shard.changes(last + 1, limit):
        size += len(change.old or "") + len(change.new or "")
        if records and size > _PAGE_BYTES:
            break
        records.append(shard.record(change))
        last = shard.starting_sequence_number + change.sequence
    following = ShardIterator(backend, shard, "AT_SEQUENCE_NUMBER", last + 1)
    backend.shard_iterators[following.arn] = following
    return {"NextShardIterator": following.arn, "Records": records}


def _error(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(_PREFIX + code, message)
