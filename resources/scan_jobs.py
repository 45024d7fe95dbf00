"""The DynamoDB table of scans: one item a job, changed only from the state it was seen in.

Counters are kept per shard and in total by one conditional write, so that a shard that is run again counts
once, however often it tells.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dagster as dg

from resources import clients

QUEUED, PROCESSING, SUCCEEDED, FAILED = "QUEUED", "PROCESSING", "SUCCEEDED", "FAILED"
COUNTERS = ("succeeded", "failed", "skipped", "total_findings")
"""What a shard counts: objects read (clean, with findings or partly), failed, skipped; findings."""


class ScanJobsResource(dg.ConfigurableResource[Any]):
    """The jobs: ``job_id, bucket, prefix, status, attempt, total_objects, queued, processing, succeeded,
    failed, skipped, total_findings, progress_percent`` and when each state began.
    """

    table: str

    @property
    def _client(self) -> Any:
        return clients.client("dynamodb")

    def record(self, job_id: str, bucket: str, prefix: str) -> dict[str, Any]:
        """The job of ``job_id``, made as QUEUED if there is none; a second request finds the first one's."""
        item = {
            "job_id": job_id,
            "bucket": bucket,
            "prefix": prefix,
            "status": QUEUED,
            "attempt": 1,
            "requested_at": _now(),
            "total_objects": 0,
            "queued": 0,
            "processing": 0,
            "progress_percent": 0,
            **dict.fromkeys(COUNTERS, 0),
            "shards": {},
        }
        try:
            self._client.put_item(
                TableName=self.table, Item=_typed(item), ConditionExpression="attribute_not_exists(job_id)"
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            found = self.get(job_id)
            assert found is not None
            return found
        return item

    def get(self, job_id: str) -> dict[str, Any] | None:
        """The job as it is now."""
        found = self._client.get_item(
            TableName=self.table, Key=_typed({"job_id": job_id}), ConsistentRead=True
        )
        return _plain(found["Item"]) if "Item" in found else None

    def again(self, job_id: str, attempt: int) -> bool:
        """Queue a FAILED job again after its ``attempt``; whether that was still so."""
        return self._change(
            job_id,
            "SET #status = :queued, #attempt = :next, #requested_at = :now REMOVE #ended_at, #reason",
            "#status = :failed AND #attempt = :attempt",
            {":queued": QUEUED, ":failed": FAILED, ":attempt": attempt, ":next": attempt + 1, ":now": _now()},
        )

    def begin(self, job_id: str, run_id: str, total: int, queued: int, shards: int) -> None:
        """The plan is made: ``total`` objects were listed, ``queued`` of them must be read, in ``shards``."""
        counters = {f":{name}": 0 for name in (*COUNTERS, "processing")}
        self._change(
            job_id,
            "SET #status = :processing_state, #run_id = :run, #started_at = :now, #total_objects = :total, "
            "#queued = :queued, #to_read = :queued, #shard_count = :count, #shards = :shards, "
            "#progress_percent = :percent, #processing = :processing, "
            + ", ".join(f"#{name} = :{name}" for name in COUNTERS),
            "attribute_exists(#job_id)",
            {
                ":processing_state": PROCESSING,
                ":run": run_id,
                ":now": _now(),
                ":total": total,
                ":queued": queued,
                ":count": shards,
                ":shards": {},
                ":percent": 0 if queued else 100,
                **counters,
            },
        )

    def advance(self, job_id: str, shard: str, size: int, counts: Mapping[str, int]) -> None:
        """Tell what ``shard``, of ``size`` objects, has done so far: ``counts`` of ``COUNTERS``.

        Each call replaces what the shard told before.
        """
        for _ in range(20):
            job = self.get(job_id)
            if job is None:
                return
            before = job["shards"].get(shard)
            now = {**{name: counts[name] for name in COUNTERS}, "size": size}
            others = [value for key, value in job["shards"].items() if key != shard] + [now]
            totals = {name: sum(other[name] for other in others) for name in COUNTERS}
            finished = sum(totals[name] for name in COUNTERS[:3])
            taken = sum(other["size"] for other in others)
            to_read = job.get("to_read", 0)
            values = {
                ":now": now,
                ":queued": max(0, to_read - taken),
                ":processing": max(0, taken - finished),
                ":percent": round(100 * finished / to_read, 1) if to_read else 100,
                ":version": job.get("version", 0),
                ":next": job.get("version", 0) + 1,
                **{f":{name}": value for name, value in totals.items()},
            }
            if now == before:
                return
            if self._change(
                job_id,
                f"SET #shards.#{shard} = :now, #queued = :queued, #processing = :processing, "
                "#progress_percent = :percent, #version = :next, "
                + ", ".join(f"#{name} = :{name}" for name in COUNTERS),
                "attribute_not_exists(#version) OR #version = :version",
                values,
            ):
                return
        raise RuntimeError(f"{self.table}: job {job_id} was changed by others twenty times, try again")

    def end(self, job_id: str, status: str, reason: str = "") -> bool:
        """Close a job that is not closed; whether it was open."""
        return self._change(
            job_id,
            "SET #status = :status, #ended_at = :now, #reason = :reason, #queued = :none, #processing = :none"
            + (", #progress_percent = :all" if status == SUCCEEDED else ""),
            "#status IN (:queued, :processing)",
            {
                ":status": status,
                ":now": _now(),
                ":reason": reason,
                ":none": 0,
                ":queued": QUEUED,
                ":processing": PROCESSING,
                **({":all": 100} if status == SUCCEEDED else {}),
            },
        )

    def _change(self, job_id: str, update: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Whether ``condition`` held and ``update`` was done. Attributes have a ``#``: many are reserved."""
        named = re.findall(r"#(\w+)", update + condition)
        try:
            self._client.update_item(
                TableName=self.table,
                Key=_typed({"job_id": job_id}),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=_typed(values),
                ExpressionAttributeNames={f"#{name}": name for name in named},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    from boto3.dynamodb.types import TypeSerializer

    serialize = TypeSerializer().serialize
    return {
        name: serialize(Decimal(str(value)) if isinstance(value, float) else value)
        for name, value in values.items()
    }


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    from boto3.dynamodb.types import TypeDeserializer

    return {name: _number(TypeDeserializer().deserialize(value)) for name, value in item.items()}


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _number(one) for name, one in value.items()}
    return value
