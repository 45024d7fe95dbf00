"""The calls of DynamoDB's API that local AWS answers in moto's place: exports, and writes in batches.

Errors and limits: API reference of ExportTableToPointInTime, DescribeExport, ListExports, BatchWriteItem.
"""

import base64
import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.dynamodb import responses
from moto.dynamodb.exceptions import (
    MockValidationException,
    PointInTimeRecoveryUnavailable,
    ResourceNotFoundException,
    TableNotFoundException,
)
from moto.dynamodb.responses import DynamoHandler, DynamoResult
from werkzeug.wrappers import Request, Response

from local_aws.dynamodb import items
from local_aws.dynamodb.backend import HistoryBackend
from local_aws.dynamodb.exports import Export, Exports
from local_aws.dynamodb.history import NOW, SECOND, History, Microseconds
from local_aws.dynamodb.tables import HistoryTable, stream_clock

_PREFIX = "com.amazonaws.dynamodb.v20120810#"
_WINDOW_DAYS = 35
_TOKEN_LIFE = 8 * 3600 * SECOND
_PAGE = 25
_BATCH_WRITES = 25
_TRANSACTION_ITEMS = 100
# Items are DynamoDB's JSON already; moto's serializer, which looks each value up in the API's model, takes a
# thousand times as long for the same text.
_PLAIN = {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems", "ExecuteStatement"}

_WITH_VALUES = (
    "put_item", "update_item", "delete_item", "get_item", "query", "scan", "batch_write_item",
    "batch_get_item", "transact_write_items", "transact_get_items", "execute_statement",
    "execute_transaction", "batch_execute_statement",
)  # fmt: skip


def install(exports: Exports, history: History) -> None:
    """Put these answers into moto's handler."""
    batch_write, serialized = DynamoHandler.batch_write_item, DynamoHandler.serialized

    def batch_write_item(handler: DynamoHandler) -> ActionResult:
        writes = sum(len(requests) for requests in handler.body["RequestItems"].values())
        if writes > _BATCH_WRITES:
            raise MockValidationException("Too many items requested for the BatchWriteItem call")
        with history.writing():
            return batch_write(handler)

    def serialize(handler: DynamoHandler, action_result: ActionResult) -> TYPE_RESPONSE:
        result: Any = action_result.result
        if isinstance(result, dict) and handler._get_action() in _PLAIN:
            body = json.dumps(result, default=_json_value, separators=(",", ":"))
            return 200, {"Content-Type": "application/x-amz-json-1.0", **handler.response_headers}, body
        return serialized(handler, action_result)

    def export_table_to_point_in_time(handler: DynamoHandler) -> ActionResult:
        return ActionResult({"ExportDescription": _description(_export(handler, exports, history))})

    def describe_export(handler: DynamoHandler) -> ActionResult:
        arn = handler.body["ExportArn"]
        export = exports.find(arn)
        if export is None:
            raise _error("ExportNotFoundException", f"Export not found: {arn}")
        return ActionResult({"ExportDescription": _description(export)})

    def list_exports(handler: DynamoHandler) -> ActionResult:
        limit = handler.body.get("MaxResults", _PAGE)
        if not 1 <= limit <= _PAGE:
            raise MockValidationException(f"MaxResults: expected 1 to {_PAGE}")
        found = exports.all(handler.body.get("TableArn"), handler.body.get("NextToken"), limit + 1)
        result: dict[str, Any] = {"ExportSummaries": [_summary(export) for export in found[:limit]]}
        if len(found) > limit:
            result["NextToken"] = found[limit - 1].arn
        return ActionResult(result)

    def restore_table_to_point_in_time(handler: DynamoHandler) -> ActionResult:
        source = handler.body.get("SourceTableName") or handler.body["SourceTableArn"]
        time = _time(handler.body.get("RestoreDateTime")) or NOW
        backend = handler.dynamodb_backend
        assert isinstance(backend, HistoryBackend)
        return DynamoResult(
            backend.restore_table_to_point_in_time(handler.body["TargetTableName"], source, time).describe()
        )

    replacements = {
        "batch_write_item": batch_write_item,
        "serialized": serialize,
        "export_table_to_point_in_time": export_table_to_point_in_time,
        "describe_export": describe_export,
        "list_exports": list_exports,
        "restore_table_to_point_in_time": restore_table_to_point_in_time,
    }
    for name, replacement in replacements.items():
        setattr(DynamoHandler, name, replacement)
    for name in _WITH_VALUES:
        setattr(DynamoHandler, name, _settled(getattr(DynamoHandler, name)))
    responses.TRANSACTION_MAX_ITEMS = _TRANSACTION_ITEMS


def _settled(action: Callable[[DynamoHandler], Any]) -> Callable[[DynamoHandler], Any]:
    """The action, with the numbers and sets of its request as DynamoDB takes them."""

    @functools.wraps(action)
    def settled(handler: DynamoHandler) -> Any:
        try:
            items.settle(handler.body)
        except ValueError as error:
            raise MockValidationException(str(error)) from None
        return action(handler)

    return settled


def settings(exports: Exports, request: Request) -> Response:
    """``/_local/dynamodb/settings``: POST ``{"export_seconds": 2}`` sets how long exports last at least,
    ``{"stream_ahead_seconds": 90000}`` lets streams and their readers believe that so much time has passed.
    """
    names = ("export_seconds", "stream_ahead_seconds")
    if request.method == "POST":
        try:
            given = dict(json.loads(request.get_data()))
        except (ValueError, TypeError):
            given = {}
        wrong = [value for value in given.values() if not isinstance(value, int | float) or value < 0]
        if wrong or not given or set(given) - set(names):
            return Response(
                f'expected {{"{names[0]}": number of seconds, 0 or more}} or "{names[1]}"\n', status=400
            )
        exports.seconds = float(given.get(names[0], exports.seconds))
        stream_clock.ahead_seconds = float(given.get(names[1], stream_clock.ahead_seconds))
    now = dict(zip(names, (exports.seconds, stream_clock.ahead_seconds), strict=True))
    return Response(json.dumps(now), content_type="application/json")


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _error(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(_PREFIX + code, message)


def _export(handler: DynamoHandler, exports: Exports, history: History) -> Export:
    asked: dict[str, Any] = {name: value for name, value in handler.body.items() if value is not None}
    if "ExportTime" in asked:
        asked["ExportTime"] = _time(asked["ExportTime"])
    table = _table(handler, asked["TableArn"])
    _check(asked)
    now = history.clock.now()
    # Held over the look-up and the start: the same token sent twice at once is one export.
    with history.store.write():
        if (token := asked.pop("ClientToken", "")) and (known := exports.with_token(token, _before(now))):
            if known.asked != asked:
                raise _error("ExportConflictException", f"ClientToken {token} was used with other parameters")
            return known
        recovery = table.continuous_backups["PointInTimeRecoveryDescription"]
        if recovery["PointInTimeRecoveryStatus"] != "ENABLED":
            raise PointInTimeRecoveryUnavailable(name=table.name)
        time = _export_time(asked.get("ExportTime"), now, recovery.get("RecoveryPeriodInDays", _WINDOW_DAYS))
        identity = table.identity
        return exports.start(table.table_arn, identity.id, identity.number, asked, token, time)


def _before(now: Microseconds) -> Microseconds:
    return Microseconds(now - _TOKEN_LIFE)


def _table(handler: DynamoHandler, arn: str) -> HistoryTable:
    try:
        table = handler.dynamodb_backend.get_table(arn)
    except ResourceNotFoundException:
        raise TableNotFoundException(name=arn) from None
    assert isinstance(table, HistoryTable)
    return table


def _check(asked: dict[str, Any]) -> None:
    if asked.get("ExportFormat", "DYNAMODB_JSON") != "DYNAMODB_JSON":
        raise MockValidationException(
            f"ExportFormat {asked['ExportFormat']} is not supported by local AWS: expected DYNAMODB_JSON"
        )
    if asked.get("ExportType", "FULL_EXPORT") != "FULL_EXPORT":
        raise MockValidationException(
            f"ExportType {asked['ExportType']} is not supported by local AWS: expected FULL_EXPORT"
        )
    for name in ("IncrementalExportSpecification", "FilterSpecification"):
        if name in asked:
            raise MockValidationException(f"{name} is not supported by local AWS")
    if asked.get("S3SseAlgorithm", "AES256") not in ("AES256", "KMS"):
        raise MockValidationException(f"S3SseAlgorithm {asked['S3SseAlgorithm']}: expected AES256 or KMS")


def _time(moment: Any) -> Microseconds | None:
    """A timestamp of a request, which moto gives as seconds or parsed."""
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    return None if moment is None else Microseconds(round(float(moment) * SECOND))


def _export_time(time: Microseconds | None, now: Microseconds, days: int) -> Microseconds:
    """The instant to export. The window starts ``days`` back: items can be loaded with times in the past."""
    if time is None:
        return now
    if time > now:
        raise _error("InvalidExportTimeException", "ExportTime is in the future")
    if time < now - days * 86_400 * SECOND:
        raise _error(
            "InvalidExportTimeException",
            f"ExportTime is outside the point in time recovery window of {days} days",
        )
    return time


def _description(export: Export) -> dict[str, Any]:
    description: dict[str, Any] = {
        "ExportArn": export.arn,
        "ExportStatus": export.status,
        "StartTime": _moment(export.started),
        "TableArn": export.table_arn,
        "TableId": export.table_id,
        "ExportTime": _moment(export.time),
        "S3Bucket": export.asked["S3Bucket"],
        "S3SseAlgorithm": export.asked.get("S3SseAlgorithm", "AES256"),
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": "FULL_EXPORT",
    }
    description |= {
        name: export.asked[name]
        for name in ("S3BucketOwner", "S3Prefix", "S3SseKmsKeyId")
        if name in export.asked
    }
    if export.token:
        description["ClientToken"] = export.token
    if export.ended is not None:
        description["EndTime"] = _moment(export.ended)
    if export.status == "COMPLETED":
        description["ExportManifest"] = f"{export.folder}manifest-summary.json"
        description["ItemCount"] = export.items
        description["BilledSizeBytes"] = export.billed_bytes
    if export.status == "FAILED":
        description["FailureCode"] = export.failure_code
        description["FailureMessage"] = export.failure_message
    return description


def _summary(export: Export) -> dict[str, Any]:
    return {"ExportArn": export.arn, "ExportStatus": export.status, "ExportType": "FULL_EXPORT"}


def _moment(time: Microseconds) -> datetime:
    return datetime.fromtimestamp(time / SECOND, UTC)
