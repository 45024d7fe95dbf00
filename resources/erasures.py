"""Which subjects were erased, by which request: what must not be archived or restored again.

A subject is not kept here, which would keep what was to be forgotten, but its HMAC under a key of the
registry's own. The key is in the registry too, encrypted by KMS: to test a guess one needs both.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from resources import clients
from resources.signed import caller

_PAGE = 100  # BatchGetItem takes no more
_THREADS = 8
_PSEUDONYM = 22  # characters of base64: 132 bits
_KEY_ITEM = "#key"
_keys: dict[tuple[str, str], bytes] = {}

Subject = tuple[str, str]
"""A table's noun and a subject as that table knows it."""


@dataclass(frozen=True)
class Erasure:
    """The erasure of a subject from a table. ``closed`` is when the archive began to take nothing of the
    subject any more, and ``completed`` when the request ended; None while they have not.
    """

    request_id: str
    started: datetime
    closed: datetime | None
    completed: datetime | None


class ErasuresResource(dg.ConfigurableResource[Any]):
    """The DynamoDB table of erasures; ``key_id`` is the KMS key or alias that guards its HMAC key."""

    table: str
    key_id: str

    def of(self, subjects: Collection[Subject]) -> dict[Subject, Erasure]:
        """The erasures of those of ``subjects`` that have one."""
        if not subjects:
            return {}
        key = self._key()
        ids = {_id(key, subject): subject for subject in subjects}
        names = list(ids)
        pages = [names[start : start + _PAGE] for start in range(0, len(names), _PAGE)]
        if len(pages) == 1:
            found = [self._page(pages[0])]
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                found = list(pool.map(self._page, pages))
        return {ids[item["id"]["S"]]: _erasure(item) for page in found for item in page}

    def all(self) -> dict[str, Erasure]:
        """Every erasure by its subject's HMAC (``hmac``)."""
        pages = (
            clients.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.table, ConsistentRead=True)
        )
        return {
            item["id"]["S"]: _erasure(item)
            for page in pages
            for item in page["Items"]
            if item["id"]["S"] != _KEY_ITEM
        }

    def hmac(self, noun: str, subject: str) -> str:
        """What stands for a table's subject here."""
        return _id(self._key(), (noun, subject))

    def begin(self, noun: str, subject: str, request_id: str) -> None:
        """The erasure of a subject has begun; once begun it stays that of the first request."""
        client = clients.client("dynamodb")
        try:
            client.put_item(
                TableName=self.table,
                Item={
                    "id": {"S": _id(self._key(), (noun, subject))},
                    "request_id": {"S": request_id},
                    "started": {"S": datetime.now(UTC).isoformat()},
                },
                ConditionExpression="attribute_not_exists(id)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return

    def close(self, noun: str, subject: str, request_id: str) -> None:
        """From now on nothing of the subject comes into the archive, as it is being taken out of it."""
        self._note(noun, subject, request_id, "closed")

    def complete(self, noun: str, subject: str, request_id: str) -> None:
        """The subject is gone from the table, from all that was made of it and from every other store."""
        self._note(noun, subject, request_id, "completed")

    def withdraw(self, request_id: str) -> int:
        """The request will erase nobody: what it has begun and not completed is begun no more. How many
        subjects that were.
        """
        client, where = clients.client("dynamodb"), {"TableName": self.table}
        own: dict[str, Any] = {"ExpressionAttributeValues": {":request": {"S": request_id}}}
        condition = "request_id = :request AND attribute_not_exists(completed)"
        pages = client.get_paginator("scan").paginate(
            **where, **own, ConsistentRead=True, FilterExpression=condition
        )
        withdrawn = 0
        for item in (item for page in pages for item in page["Items"]):
            with suppress(client.exceptions.ConditionalCheckFailedException):
                client.delete_item(**where, **own, Key={"id": item["id"]}, ConditionExpression=condition)
                withdrawn += 1
        return withdrawn

    def _note(self, noun: str, subject: str, request_id: str, what: str) -> None:
        """The erasure has come so far now, unless it had before."""
        self.begin(noun, subject, request_id)
        clients.client("dynamodb").update_item(
            TableName=self.table,
            Key={"id": {"S": _id(self._key(), (noun, subject))}},
            UpdateExpression=f"SET {what} = if_not_exists({what}, :now)",
            ExpressionAttributeValues={":now": {"S": datetime.now(UTC).isoformat()}},
        )

    def pseudonym(self, kind: str, value: str) -> str:
        """The keyed HMAC that stands for a value where it must be told apart and not be told."""
        return _id(self._key(), (f"pseudonym:{kind}", value))[:_PSEUDONYM]

    def _page(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        request: dict[str, Any] = {
            self.table: {"Keys": [{"id": {"S": each}} for each in ids], "ConsistentRead": True}
        }
        found: list[dict[str, Any]] = []
        while request:
            answer = caller("dynamodb").json("BatchGetItem", {"RequestItems": request})
            found += answer["Responses"].get(self.table, [])
            request = answer.get("UnprocessedKeys") or {}
        return found

    def _key(self) -> bytes:
        """The HMAC key, made by who needs it first."""
        client = clients.client("dynamodb")
        held = (client.meta.endpoint_url, self.table)
        if held not in _keys:
            kms = clients.client("kms")
            where = {"TableName": self.table, "Key": {"id": {"S": _KEY_ITEM}}, "ConsistentRead": True}
            item = client.get_item(**where).get("Item")
            if item is None:
                made = kms.generate_data_key(KeyId=self.key_id, NumberOfBytes=32)["CiphertextBlob"]
                with suppress(client.exceptions.ConditionalCheckFailedException):
                    client.put_item(
                        TableName=self.table,
                        Item={"id": {"S": _KEY_ITEM}, "encrypted": {"B": made}},
                        ConditionExpression="attribute_not_exists(id)",
                    )
                item = client.get_item(**where)["Item"]
            _keys[held] = kms.decrypt(KeyId=self.key_id, CiphertextBlob=item["encrypted"]["B"])["Plaintext"]
        return _keys[held]


def _id(key: bytes, subject: Subject) -> str:
    noun, value = subject
    digest = hmac.new(key, f"{noun}\0{value}".encode(errors="surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _erasure(item: dict[str, Any]) -> Erasure:
    def instant(name: str) -> datetime | None:
        return datetime.fromisoformat(item[name]["S"]) if name in item else None

    return Erasure(
        request_id=item["request_id"]["S"],
        started=datetime.fromisoformat(item["started"]["S"]),
        closed=instant("closed") or instant("completed"),
        completed=instant("completed"),
    )
