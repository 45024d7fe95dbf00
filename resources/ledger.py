"""The evidence bucket and the ledger's table: objects written once, and a head that moves by a condition.

What the log is and in which order it is written is ``privacy_assets.ledger``'s; this is where it is kept.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from resources import clients
from resources.ledger_signing import signer

PREFIX = "ledger/"
_HEAD = {"id": {"S": "head"}, "leaf": {"N": "0"}}
_CHECKPOINT_TYPE = "text/plain; charset=utf-8"
_THREADS = 16
_ATTEMPTS = 8


class LedgerResource(dg.ConfigurableResource[Any]):
    """The audit trail. ``key`` is the KMS key (id, ARN or alias) or PEM file that signs it.

    Entries and checkpoints are under Object Lock for ``retention_days``, in the mode ``lock_mode``:
    ``COMPLIANCE`` (nobody can shorten it, the account's root neither) or ``GOVERNANCE``.
    """

    bucket: str
    table: str
    key: str
    retention_days: float
    lock_mode: str

    @property
    def origin(self) -> str:
        """The log's name: where its tiles are, without a scheme (https://c2sp.org/tlog-tiles, Parameters)."""
        return f"{self.bucket}.s3.amazonaws.com/{PREFIX.rstrip('/')}"

    @property
    def signer(self) -> Any:
        """Who signs checkpoints."""
        return signer(self.key)

    @property
    def where(self) -> tuple[str, ...]:
        """Tells this log from others of the same process."""
        return (clients.client("s3").meta.endpoint_url, self.bucket, self.table, self.key)

    def uri(self, path: str = "") -> str:
        """``s3://bucket/ledger/path``."""
        return f"s3://{self.bucket}/{PREFIX}{path}"

    def console_url(self) -> str:
        """Where a person looks at it in a browser."""
        region = clients.client("s3").meta.region_name
        return f"https://{region}.console.aws.amazon.com/s3/buckets/{self.bucket}?prefix={PREFIX}"

    # --- objects

    def read(self, path: str) -> bytes:
        """An object. Raises FileNotFoundError."""
        return self.read_tagged(path)[0]

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """An object and its etag. Raises FileNotFoundError."""
        return _read(self.bucket, f"{PREFIX}{path}")

    def many(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Objects in the order of ``paths``, None for one that is missing."""
        return _many(self.bucket, PREFIX, paths)

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """Every version of every checkpoint that was put aside, the oldest of each name first."""
        return _kept(self.bucket, PREFIX)

    def create(self, path: str, body: bytes) -> bool:
        """Write an object that is never changed; False if there is one."""
        return self._put(path, body, {"IfNoneMatch": "*"}) is not None

    def replace(self, path: str, body: bytes, tag: str) -> str | None:
        """Replace the object that has ``tag`` for its etag (empty: where none is); the new one's, None if it
        has another.
        """
        return self._put(path, body, {"IfMatch": tag} if tag else {"IfNoneMatch": "*"})

    def _put(self, path: str, body: bytes, condition: Mapping[str, str]) -> str | None:
        s3 = clients.client("s3")
        is_tile = path.startswith("tile/")
        lock = {}
        if not is_tile or path.startswith("tile/entries/"):  # hashes can be computed again from the entries
            until = datetime.now(UTC) + timedelta(days=self.retention_days)
            lock = {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": until}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = s3.put_object(
                    Bucket=self.bucket,
                    Key=f"{PREFIX}{path}",
                    Body=body,
                    ContentType="application/octet-stream" if is_tile else _CHECKPOINT_TYPE,
                    **condition,
                    **lock,
                )
            except s3.exceptions.ClientError as error:
                code = clients.error_code(error)
                if code in ("PreconditionFailed", "412"):
                    return None
                if code in ("NoSuchKey", "404") and "IfMatch" in condition:
                    return None
                # Another write is under way, and may fail: it says nothing of the condition.
                if code not in ("ConditionalRequestConflict", "409") or attempt == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311  # no secret
            else:
                return str(answer["ETag"])
        raise AssertionError("unreachable")

    # --- head and index

    def head(self) -> dict[str, Any] | None:
        """``size``, ``root``, ``start`` and ``entries`` of the head; None before the first append."""
        item = self._item(_HEAD)
        if item is None:
            return None
        return {
            "size": int(item["size"]["N"]),
            "root": bytes(item["root"]["B"]),
            "start": int(item["start"]["N"]),
            "entries": bytes(item["entries"]["B"]),
        }

    def advance(
        self, size: int, head: Mapping[str, Any], streams: Mapping[str, Sequence[int]], once: str
    ) -> bool:
        """Put the head in the place of one of ``size``, with its index rows; False where that is not so."""
        dynamodb = clients.client("dynamodb")
        item = {
            **_HEAD,
            "size": {"N": str(head["size"])},
            "root": {"B": head["root"]},
            "start": {"N": str(head["start"])},
            "entries": {"B": head["entries"]},
        }
        put: dict[str, Any] = {"TableName": self.table, "Item": item}
        if size:
            put |= {
                "ConditionExpression": "#size = :size",
                "ExpressionAttributeNames": {"#size": "size"},
                "ExpressionAttributeValues": {":size": {"N": str(size)}},
            }
        else:
            put["ConditionExpression"] = "attribute_not_exists(id)"
        rows = [self._row(f"stream#{name}", leaves[0], leaves) for name, leaves in streams.items()]
        if once:
            rows.append(self._row(f"once#{once}", 0, range(size, head["size"])))
        try:
            dynamodb.transact_write_items(TransactItems=[{"Put": put}, *({"Put": row} for row in rows)])
        except dynamodb.exceptions.TransactionCanceledException as error:
            reasons = {each.get("Code", "None") for each in error.response.get("CancellationReasons", ())}
            if reasons <= {"None", "ConditionalCheckFailed", "TransactionConflict"}:
                return False
            raise
        except dynamodb.exceptions.TransactionInProgressException:
            return False
        return True

    def stream(self, name: str) -> list[int]:
        """The leaves of a stream, in order."""
        pages = (
            clients.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=self.table,
                KeyConditionExpression="id = :id",
                ExpressionAttributeValues={":id": {"S": f"stream#{name}"}},
                ConsistentRead=True,
            )
        )
        return [leaf for page in pages for item in page["Items"] for leaf in _leaves(item)]

    def once(self, key: str) -> list[int] | None:
        """The leaves of the batch that was appended as ``key``."""
        item = self._item({"id": {"S": f"once#{key}"}, "leaf": {"N": "0"}})
        return None if item is None else _leaves(item)

    def index(self) -> Iterator[tuple[str, int]]:
        """All rows of the index: streams and their leaves."""
        pages = (
            clients.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.table, ConsistentRead=True)
        )
        for page in pages:
            for item in page["Items"]:
                kind, _, name = item["id"]["S"].partition("#")
                if kind == "stream":
                    yield from ((name, leaf) for leaf in _leaves(item))

    def _item(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        answer = clients.client("dynamodb").get_item(TableName=self.table, Key=key, ConsistentRead=True)
        found: dict[str, Any] | None = answer.get("Item")
        return found

    def _row(self, name: str, first: int, leaves: Sequence[int]) -> dict[str, Any]:
        return {
            "TableName": self.table,
            "Item": {
                "id": {"S": name},
                "leaf": {"N": str(first)},
                "leaves": {"L": [{"N": str(leaf)} for leaf in leaves]},
            },
            "ConditionExpression": "attribute_not_exists(id)",
        }


class PublishedLog:
    """A log that is read from S3 alone, as an auditor does who may read a bucket and no more."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def read(self, path: str) -> bytes:
        """An object. Raises FileNotFoundError."""
        return _read(self._bucket, f"{self._prefix}{path}")[0]

    def many(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Objects in the order of ``paths``, None for one that is missing."""
        return _many(self._bucket, self._prefix, paths)

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """Every version of every checkpoint that was put aside, the oldest of each name first."""
        return _kept(self._bucket, self._prefix)


def _read(bucket: str, key: str, version: str = "") -> tuple[bytes, str]:
    s3 = clients.client("s3")
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
        return bytes(answer["Body"].read()), str(answer["ETag"])
    except s3.exceptions.ClientError as error:
        if clients.error_code(error) in ("NoSuchKey", "404"):
            raise FileNotFoundError(f"s3://{bucket}/{key}") from None
        raise


def _many(bucket: str, prefix: str, paths: Sequence[str]) -> Iterator[bytes | None]:
    def read(path: str) -> bytes | None:
        try:
            return _read(bucket, f"{prefix}{path}")[0]
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        step = _THREADS * 8  # so many are held at most
        for start in range(0, len(paths), step):
            yield from pool.map(read, paths[start : start + step])


def _kept(bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    s3 = clients.client("s3")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{prefix}checkpoints/")
    found = [version for page in pages for version in page.get("Versions", ())]
    for version in sorted(found, key=lambda each: (each["Key"], each["LastModified"])):
        yield version["Key"].removeprefix(prefix), _read(bucket, version["Key"], version["VersionId"])[0]


def _leaves(item: Mapping[str, Any]) -> list[int]:
    return [int(leaf["N"]) for leaf in item["leaves"]["L"]]
