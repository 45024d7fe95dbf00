"""``POST /_local/dynamodb/expire?table=NAME``: DynamoDB's time-to-live process, when it is asked for.

Items whose time to live is over are deleted as AWS deletes them: within days, in no order, and told by the
stream with a ``userIdentity`` of the service. Here it happens at once and to all. ``&at=`` (ISO 8601) takes
another time for now. A call that exists on local AWS alone.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import json
from datetime import UTC, datetime

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item
from werkzeug.wrappers import Request, Response

from local_aws.dynamodb.tables import HistoryTable
from local_aws.objects import ACCOUNT

_BATCH = 1_000
_FIVE_YEARS = 5 * 365 * 86_400  # a time that long ago is taken for a mistake


def expire(request: Request) -> Response:
    """Answers ``{"Deleted": number}``."""
    name, region = request.args.get("table", ""), request.args.get("region", "us-east-1")
    table = dynamodb_backends[ACCOUNT][region].tables.get(name)
    if request.method != "POST" or not isinstance(table, HistoryTable):
        return Response("expected POST with ?table=NAME of a table that is there\n", status=400)
    if table.ttl.get("TimeToLiveStatus") != "ENABLED":
        return Response(f"table {name}: time to live is not enabled\n", status=400)
    try:
        now = datetime.fromisoformat(request.args["at"]) if "at" in request.args else datetime.now(UTC)
    except ValueError:
        return Response("at: expected ISO 8601 such as 2026-01-31T23:59:59Z\n", status=400)
    seconds = (now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp()
    due = [
        (item.hash_key, item.range_key)
        for item in table.all_items()
        if _is_due(item, table.ttl["AttributeName"], seconds)
    ]
    for start in range(0, len(due), _BATCH):
        with table.history.writing():
            for keys in due[start : start + _BATCH]:
                table.expire(*keys)
    return Response(json.dumps({"Deleted": len(due)}), content_type="application/json")


def _is_due(item: Item, attribute: str, now: float) -> bool:
    """Whether the item's time to live, a number of seconds since 1970, is over."""
    value = item.attrs.get(attribute)
    if value is None or value.type != "N":
        return False
    return now - _FIVE_YEARS <= float(value.value) <= now
