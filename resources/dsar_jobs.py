"""The DynamoDB table of data subject requests: one item a request, changed only from the version it
was seen in.

What a subject is known by is kept in the item encrypted by a data key of KMS, bound to the request's id, and
is taken away when the request no longer needs it. Nothing else in the item names a person.
"""

import json
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import dagster as dg

from resources import clients

Job = dict[str, Any]
OPEN_INDEX = "open"
"""The index of requests whose partition is not retired: by ``open``, which is the state, then by ``due``."""
_NONCE_BYTES = 12  # NIST SP 800-38D


class DsarJobsResource(dg.ConfigurableResource[Any]):
    """The requests; ``key_id`` is the KMS key or alias that what identifies a subject is encrypted under."""

    table: str
    key_id: str

    @property
    def _client(self) -> Any:
        return clients.client("dynamodb")

    def put(self, job: Mapping[str, Any]) -> bool:
        """Write a new request; whether there was none of its ``job_id``."""
        try:
            self._client.put_item(
                TableName=self.table,
                Item=_typed({**job, "version": 1}),
                ConditionExpression="attribute_not_exists(job_id)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def get(self, job_id: str) -> Job | None:
        """The request as it is now."""
        found = self._client.get_item(
            TableName=self.table, Key=_typed({"job_id": job_id}), ConsistentRead=True
        )
        return _plain(found["Item"]) if "Item" in found else None

    def replace(self, job: Mapping[str, Any]) -> bool:
        """Write a request that was changed since it was read; whether nobody was faster."""
        version = int(job["version"])
        try:
            self._client.put_item(
                TableName=self.table,
                Item=_typed({**job, "version": version + 1}),
                ConditionExpression="#version = :version",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues=_typed({":version": version}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def in_state(self, state: str) -> Iterator[Job]:
        """The requests in a state whose partitions are not retired, the earliest due first.

        As the index has them, which lags behind the table: look at the request itself before changing it.
        """
        for page in self._client.get_paginator("query").paginate(
            TableName=self.table,
            IndexName=OPEN_INDEX,
            KeyConditionExpression="#open = :state",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues=_typed({":state": state}),
        ):
            for item in page["Items"]:
                yield _plain(item)

    def all(self) -> Iterator[Job]:
        """Every request there ever was, in no order."""
        for page in self._client.get_paginator("scan").paginate(TableName=self.table):
            for item in page["Items"]:
                yield _plain(item)

    def seal(self, job_id: str, value: Any) -> bytes:
        """``value`` as JSON, encrypted under a key of its own for this request."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        made = clients.client("kms").generate_data_key(
            KeyId=self.key_id, KeySpec="AES_256", EncryptionContext={"job_id": job_id}
        )
        key, nonce = made["CiphertextBlob"], os.urandom(_NONCE_BYTES)
        text = json.dumps(value, ensure_ascii=False).encode()
        return bytes(
            len(key).to_bytes(2, "big")
            + key
            + nonce
            + AESGCM(made["Plaintext"]).encrypt(nonce, text, job_id.encode())
        )

    def unseal(self, job_id: str, sealed: bytes) -> Any:
        """What was sealed for this request. Raises InvalidTag, or KMS's error, for another's."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        end = 2 + int.from_bytes(sealed[:2], "big")
        key = clients.client("kms").decrypt(
            KeyId=self.key_id, CiphertextBlob=sealed[2:end], EncryptionContext={"job_id": job_id}
        )["Plaintext"]
        nonce, text = sealed[end : end + _NONCE_BYTES], sealed[end + _NONCE_BYTES :]
        return json.loads(AESGCM(key).decrypt(nonce, text, job_id.encode()))


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    from boto3.dynamodb.types import TypeSerializer

    serialize = TypeSerializer().serialize
    return {name: serialize(_number(value)) for name, value in values.items()}


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {name: _number(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_number(each) for each in value]
    return value


def _plain(item: Mapping[str, Any]) -> Job:
    from boto3.dynamodb.types import TypeDeserializer

    return {name: _read(TypeDeserializer().deserialize(value)) for name, value in item.items()}


def _read(value: Any) -> Any:
    from boto3.dynamodb.types import Binary

    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Binary):
        return bytes(memoryview(value.value))  # type: ignore[attr-defined]  # the stubs have no value
    if isinstance(value, dict):
        return {name: _read(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_read(each) for each in value]
    return value
