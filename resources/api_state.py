"""What the processes of the API share, in one DynamoDB table whose items expire: counts of requests, and
answers by Idempotency-Key.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resources import settings
from resources.signed import Caller, CallFailed

KEY, EXPIRES = "id", "expires_at"
_ATTEMPTS = 3
_REFUSED = "ConditionalCheckFailedException"


@dataclass(frozen=True)
class ApiState:
    """The table."""

    table: str
    caller: Caller = field(
        default_factory=lambda: Caller("dynamodb", attempts=_ATTEMPTS, timeout=5.0), repr=False, compare=False
    )

    @classmethod
    def from_settings(cls) -> "ApiState":
        return cls(settings.API_STATE_TABLE.value())

    def take(self, name: str, number: int, limit: int, expires_at: int) -> bool:
        """Add ``number`` to the counter ``name`` unless that is more than ``limit``; whether it was added.

        Raises CallFailed.
        """
        return self._update(
            name,
            "ADD used :n SET expires_at = :e",
            "attribute_not_exists(used) OR used <= :most",
            {":n": {"N": str(number)}, ":e": {"N": str(expires_at)}, ":most": {"N": str(limit - number)}},
        )

    def add(self, name: str, number: int) -> None:
        """Add to a counter that never expires. Raises CallFailed."""
        self._update(name, "ADD used :n", "", {":n": {"N": str(number)}})

    def used(self, name: str) -> int:
        """The counter's value."""
        found = self.caller.json(
            "GetItem", {"TableName": self.table, "Key": {KEY: {"S": name}}, "ConsistentRead": True}
        )
        return int(found.get("Item", {}).get("used", {}).get("N", 0))

    def begin(
        self, name: str, owner: str, body_hash: str, now: int, lease: int, keep: int
    ) -> Mapping[str, Any] | None:
        """Claim ``name`` for ``lease`` seconds: None when it is ``owner``'s now, else what stands there.

        A claim that ran out is taken over by a request of the same body; what has expired counts as gone, as
        DynamoDB deletes late. Raises CallFailed.
        """
        item = {
            KEY: {"S": name},
            "claimed_by": {"S": owner},
            "body_hash": {"S": body_hash},
            "done": {"BOOL": False},
            "lease_until": {"N": str(now + lease)},
            EXPIRES: {"N": str(now + keep)},
        }
        condition = (
            f"attribute_not_exists({KEY}) OR {EXPIRES} < :now "
            "OR (done = :no AND lease_until < :now AND body_hash = :hash)"
        )
        try:
            self.caller.json(
                "PutItem",
                {
                    "TableName": self.table,
                    "Item": item,
                    "ConditionExpression": condition,
                    "ExpressionAttributeValues": {
                        ":now": {"N": str(now)},
                        ":no": {"BOOL": False},
                        ":hash": {"S": body_hash},
                    },
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except CallFailed as failed:
            if failed.code != _REFUSED:
                raise
            # One that was given up in this moment is as one that is worked on: come again.
            return self._there(failed, name) or {"body_hash": body_hash, "done": False, "lease_until": now}
        return None

    def _there(self, failed: CallFailed, name: str) -> Mapping[str, Any] | None:
        item = json.loads(failed.body).get("Item")
        if item is None:
            found = self.caller.json(
                "GetItem", {"TableName": self.table, "Key": {KEY: {"S": name}}, "ConsistentRead": True}
            )
            item = found.get("Item")
        if item is None:
            return None
        return {
            "body_hash": item["body_hash"]["S"],
            "done": item["done"]["BOOL"],
            "lease_until": int(item["lease_until"]["N"]),
            "status": int(item.get("status", {}).get("N", 0)),
            "headers": json.loads(item.get("headers", {}).get("S", "{}")),
            "body": base64.b64decode(item.get("body", {}).get("B", "")),
        }

    def finish(self, name: str, owner: str, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Store the answer that every further request of this name gets, if the claim still is ``owner``'s;
        whether it was. Raises CallFailed.
        """
        return self._update(
            name,
            "SET done = :yes, #status = :status, headers = :headers, body = :body",
            "claimed_by = :owner",
            {
                ":owner": {"S": owner},
                ":yes": {"BOOL": True},
                ":status": {"N": str(status)},
                ":headers": {"S": json.dumps(dict(headers))},
                ":body": {"B": base64.b64encode(body).decode()},
            },
            {"#status": "status"},
        )

    def abandon(self, name: str, owner: str) -> None:
        """Give a claim up, unless it is another's by now. Raises CallFailed."""
        try:
            self.caller.json(
                "DeleteItem",
                {
                    "TableName": self.table,
                    "Key": {KEY: {"S": name}},
                    "ConditionExpression": "claimed_by = :owner AND done = :no",
                    "ExpressionAttributeValues": {":owner": {"S": owner}, ":no": {"BOOL": False}},
                },
            )
        except CallFailed as failed:
            if failed.code != _REFUSED:
                raise

    def ready(self) -> None:
        """Raises CallFailed when the table can't be read."""
        self.used("ready")

    def _update(
        self,
        name: str,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        try:
            self.caller.json(
                "UpdateItem",
                {
                    "TableName": self.table,
                    "Key": {KEY: {"S": name}},
                    "UpdateExpression": update,
                    "ExpressionAttributeValues": values,
                    **({"ConditionExpression": condition} if condition else {}),
                    **({"ExpressionAttributeNames": names} if names else {}),
                },
            )
        except CallFailed as failed:
            if failed.code == _REFUSED:
                return False
            raise
        return True
