"""DynamoDB streams read again: the records that a pipe could not pass on, as the pipe would have.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from resources import clients

_GONE = ("TrimmedDataAccessException", "ResourceNotFoundException")
_LARGE = 10  # records may have megabytes


class RecordsGone(Exception):  # noqa: N818  # what happened to them
    """The stream has the records no more: it keeps them for 24 hours."""


class StreamsResource(dg.ConfigurableResource[Any]):
    """The streams of all tables."""

    def records(self, stream_arn: str, shard: str, first: str, last: str) -> Iterator[dict[str, Any]]:
        """The records from sequence number ``first`` to ``last``, in a pipe's form. Raises RecordsGone."""
        client = clients.client("dynamodbstreams")
        try:
            iterator = client.get_shard_iterator(
                StreamArn=stream_arn,
                ShardId=shard,
                ShardIteratorType="AT_SEQUENCE_NUMBER",
                SequenceNumber=first,
            )["ShardIterator"]
            reached = False
            while iterator and not reached:
                page = client.get_records(ShardIterator=iterator, Limit=_LARGE)
                for record in page["Records"]:
                    number = int(record["dynamodb"]["SequenceNumber"])
                    if number > int(last):
                        reached = True
                        break
                    yield _as_piped(record, stream_arn)
                    reached = number == int(last)
                # Where nothing follows, nothing will: what is asked for was written before.
                iterator = page.get("NextShardIterator") if page["Records"] else None
        except client.exceptions.ClientError as error:
            if clients.error_code(error) in _GONE:
                raise RecordsGone(f"{stream_arn.rsplit('/', 3)[-3]}: no longer in the stream") from None
            raise
        if not reached:
            raise RecordsGone(f"{stream_arn.rsplit('/', 3)[-3]}: no longer in the stream")


def _as_piped(record: Any, stream_arn: str) -> dict[str, Any]:
    told = dict(record["dynamodb"])
    created = told.get("ApproximateCreationDateTime")
    if isinstance(created, datetime):
        seconds = created.timestamp()
        told["ApproximateCreationDateTime"] = int(seconds) if seconds == int(seconds) else seconds
    for image in ("Keys", "OldImage", "NewImage"):
        if image in told:
            told[image] = {name: to_json(value) for name, value in told[image].items()}
    piped: dict[str, Any] = {**record, "dynamodb": told, "eventSourceARN": stream_arn}
    if "userIdentity" in piped:
        identity = piped["userIdentity"]
        piped["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return piped


def to_json(value: Any) -> Any:
    """An attribute value as boto3 has it, in JSON: bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: to_json(part) for name, part in value.items()}
    if isinstance(value, list | set | tuple):
        return [to_json(part) for part in value]
    return value
