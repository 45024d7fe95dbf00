"""What each part of the deployment does, done for real on local AWS under the part's own name.

Local AWS tells callers apart by their access key id, so each part has its own (its name) while it is at work.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import dagster as dg
import httpx
import requests
import time_machine
from dagster._core.definitions.partitions.context import partition_loading_context

from infra.parts import SERVICES, run_part
from privacy_assets.api.rotation import Rotation, create_client, ensure_keys
from privacy_assets.api.rotation_job import ROTATE_SECRETS
from privacy_assets.api.server import services
from privacy_assets.archive.names import ARCHIVE_DELETIONS, ARCHIVE_RESTORE
from privacy_assets.archive.paths import path_of
from privacy_assets.audit.definition import load_audits
from privacy_assets.definitions import build, ready
from privacy_assets.dsar import composition
from privacy_assets.dsar.names import DSAR_APPROVAL, DSAR_REQUEST
from privacy_assets.dsar.names import PARTITIONS as REQUEST_PARTITIONS
from privacy_assets.dsar.policy import RequestPolicy
from privacy_assets.dsar.states import FINAL, Action, State
from privacy_assets.estate import Estate
from privacy_assets.governed import governed_estate
from privacy_assets.governed import path_of as file_of
from privacy_assets.ingest.names import INGEST_EVENTS
from privacy_assets.jobs import DAILY_AUDIT, EXPORTS_TAG, NIGHTLY_EXPORTS
from privacy_assets.ledger.assets import JOB as LEDGER_CHECKPOINT
from privacy_assets.partitions import BUCKETS
from privacy_assets.scan.assets import SCAN_JOB
from privacy_assets.sizes import SIZES
from resources import busy_queue, erasures, iceberg, settings
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
from resources.erasures import ErasuresResource
from resources.provision import Names
from tests.api.house import Api, served
from tests.house import client, days_ago, yesterday
from tests.infra.tasks import Tasks

NOBODY = "nobody"
"""The key of the test itself: what a person or another system does."""
SUBJECT = "subject-1"
"""A person who is in the table."""
ENGINES = "local"
"""The key of local AWS itself, whose crawler and exports call its front door."""


EVENT = {"subject_id": "s", "event_type": "consent_given", "event_time": f"{yesterday()}T12:00:00Z"}


@contextmanager
def at_work(part: str) -> Iterator[None]:
    """AWS is called in the name of ``part``, whose process has looked nothing up yet."""
    for found in (erasures._keys, busy_queue._urls):
        found.clear()
    for name, module in [*sys.modules.items()]:
        if name.startswith("resources."):
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()
    before = os.environ["AWS_ACCESS_KEY_ID"]
    os.environ["AWS_ACCESS_KEY_ID"] = part
    try:
        yield
    finally:
        os.environ["AWS_ACCESS_KEY_ID"] = before


@contextmanager
def later(by: timedelta) -> Iterator[None]:
    """It is later than it is; local AWS's own clock goes on as it does."""
    with time_machine.travel(datetime.now(UTC) + by):
        yield


class Flows:
    """The parts at work on one local AWS that holds the default resources."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        # An erasure waits for somebody's approval.
        policy = RequestPolicy(approval=(Action.DELETE,))
        self.estate: Estate = governed_estate().model_copy(update={"requests": policy})
        self.names = Names.from_settings()
        self.definitions = build(self.estate, load_audits(file_of(settings.AUDITS)))
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursors: dict[str, str | None] = {}
        self.asked: list[str] = []

    # --- the parts

    def tick(self, name: str) -> list[dg.RunRequest]:
        """One tick of a sensor, in the code location."""
        sensor = self.definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            definitions=self.definitions,
            resources=self.definitions.resources,
        )
        # As the daemon does, which resolves the requests' partitions.
        with at_work("code"), partition_loading_context(dynamic_partitions_store=self.instance):
            result = sensor.evaluate_tick(context)
        self.cursors[name] = result.cursor
        for request in result.dynamic_partitions_requests or []:
            if not isinstance(request, dg.AddDynamicPartitionsRequest):
                continue  # retired requests
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        return list(result.run_requests or [])

    def run(self, job: str, partition: str | None = None, **arguments: Any) -> dg.ExecuteInProcessResult:
        """A run of a job, as its task."""
        tags = {**arguments.pop("tags", {}), **({"dagster/partition": partition} if partition else {})}
        with at_work(f"run-{job.replace('_', '-')}"):
            return self.definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance, tags=tags, **arguments
            )

    # --- their work

    def night(self) -> None:
        """Exports, the event, the audits; somebody was erased before."""
        table = self.estate.tables[0]
        erased = ErasuresResource(table=settings.ERASURE_TABLE.value(), key_id=settings.ARCHIVE_KEY.value())
        erased.complete(table.name, "gone", "request-1")
        lines = [
            json.dumps(
                {
                    "Item": {"log_id": {"S": f"log-{number}"}, "subject_id": {"S": f"subject-{number % 7}"}},
                    "WriteTime": f"{yesterday()}T12:00:00+00:00",
                }
            )
            for number in range(50)
        ]
        self.local("dynamodb/settings", json.dumps({"export_seconds": 0}))
        self.local("dynamodb/load", "\n".join(lines), table=table.table)
        day = yesterday().isoformat()
        self.run(NIGHTLY_EXPORTS, day)
        requests_ = self.tick("export_complete")
        assert [request.job_name for request in requests_] == [DAILY_AUDIT]
        (request,) = requests_
        self.run(DAILY_AUDIT, day, tags={EXPORTS_TAG: request.tags[EXPORTS_TAG]})
        self.tick("export_complete")
        hurry = {"database": self.names.database, "workgroup": self.names.workgroup, "deadline_seconds": 0.0}
        config = {"resources": {"athena": {"config": hurry}}}
        assert not self.run(DAILY_AUDIT, day, run_config=config, raise_on_error=False).success

    def lost_event(self) -> None:
        """An export whose event is lost, found by asking; the day has orphans of a run that died."""
        day = days_ago(2).isoformat()
        self.run(NIGHTLY_EXPORTS, day)
        url = client("sqs").get_queue_url(QueueName=self.names.queue)["QueueUrl"]
        client("sqs").purge_queue(QueueUrl=url)
        folder, lake, s3 = f"snapshots/{self.estate.tables[0].name}", self.names.bucket, client("s3")
        part = s3.list_objects_v2(Bucket=lake, Prefix=folder)["Contents"][0]["Key"]
        orphan = f"{folder}/snapshot_date={day}/died/part"
        s3.copy_object(Bucket=lake, Key=orphan, CopySource={"Bucket": lake, "Key": part})
        with later(timedelta(days=2)):
            (request,) = [each for each in self.tick("export_complete") if each.partition_key == day]
            self.run(DAILY_AUDIT, day, tags={EXPORTS_TAG: request.tags[EXPORTS_TAG]})
        assert "Contents" not in s3.list_objects_v2(Bucket=lake, Prefix=orphan)

    def deletions(self) -> None:
        """Items go, the pipe tells, a run archives, a person has them put back."""
        small = [{"log_id": {"S": f"gone-{number}"}, "subject_id": {"S": SUBJECT}} for number in range(3)]
        # One is too large for the pipe, and is read from the stream again.
        self._delete(*small, {**small[0], "log_id": {"S": "large"}, "many": {"L": [{"N": "1"}] * 190_000}})
        (request,) = self.tick("deletions")
        self.run(ARCHIVE_DELETIONS, request.partition_key)
        # One is deleted again, and its first deletion comes once more, late.
        assert self.names.archive is not None
        path = path_of(self.estate.nouns[0], {"log_id": small[0]["log_id"]})
        kept = client("s3").get_object(Bucket=self.names.archive.bucket, Key=path)["Body"].read()
        self._delete(small[0])
        self.run(ARCHIVE_DELETIONS, request.partition_key)
        self._send(self.names.archive.queue, kept.decode())
        self.run(ARCHIVE_DELETIONS, request.partition_key)
        dynamodb, table = client("dynamodb"), self.estate.tables[0]
        dynamodb.put_item(TableName=table.table, Item={**small[0], "message": {"S": "another one by now"}})
        for wish in ({"dry_run": True}, {"dry_run": False}, {"dry_run": False, "overwrite": True}):
            self._restore(**wish)
        restored = dynamodb.get_item(TableName=table.table, Key={"log_id": small[0]["log_id"]})["Item"]
        assert restored == small[0]

    def _delete(self, *items: dict[str, Any]) -> None:
        """Items come and go; beside what the pipe tells of them something else gets into the queue."""
        dynamodb, table = client("dynamodb"), self.estate.tables[0]
        for item in items:
            dynamodb.put_item(TableName=table.table, Item=item)
            dynamodb.delete_item(TableName=table.table, Key={"log_id": item["log_id"]})
        self.local("pipes/flush", "")
        assert self.names.archive is not None
        self._send(self.names.archive.queue, "no record")

    def _send(self, queue: str, body: str) -> None:
        url = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
        client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def _restore(self, **wish: Any) -> None:
        wanted = {
            "table": self.estate.tables[0].name,
            "deleted_from": f"{yesterday()}T00:00:00Z",
            "approved_by": "alex@example.com",
            **wish,
        }
        self.run(ARCHIVE_RESTORE, run_config={"ops": {"archive__restored": {"config": wanted}}})

    def years(self) -> None:
        """Tables that grow old: what is beyond its retention goes, and files that only old snapshots name."""
        with self.calling() as http:
            assert http.post("/events", json=EVENT).status_code == 202
        self.run(INGEST_EVENTS)
        self._delete({"log_id": {"S": "old"}, "subject_id": {"S": "somebody else"}})
        self.run(ARCHIVE_DELETIONS, days_ago(0).isoformat())
        with later(timedelta(days=4000)):
            self.run(ARCHIVE_DELETIONS, days_ago(0).isoformat())
            self.run(INGEST_EVENTS)

    def scan(self) -> None:
        """A bucket is scanned, and a scan is asked for."""
        bucket = self.estate.buckets[0].name
        s3 = client("s3")
        if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a.txt", Body=b"nothing to see")
        s3.put_object(Bucket=bucket, Key="b.csv", Body=b"name,mail\nMaria,maria.garcia@corp-mail.io\n")
        self.instance.add_dynamic_partitions(BUCKETS.name or "", [bucket])
        for body in (json.dumps({"bucket": bucket, "job_id": uuid.uuid4().hex}), "{"):
            self._send(self.names.scan_requests, body)
        requests_ = self.tick("scan_requests")
        assert requests_
        self.run(SCAN_JOB, bucket)
        self.run(SCAN_JOB, bucket)
        self.tick("scan_failures")  # which looks at what comes after its first tick
        with patch("privacy_assets.scan.assets._ensure", side_effect=RuntimeError):
            assert not self.run(SCAN_JOB, bucket, raise_on_error=False).success
        self.tick("scan_failures")

    def events(self) -> None:
        """An event that was accepted, and a message that is none."""
        self._send(settings.EVENT_QUEUE.value(), "no event")
        assert self.tick("events")
        self.run(INGEST_EVENTS)

    def rotation(self) -> None:
        """A client's secret and a signing key that are a month old are replaced."""
        secrets, then = ApiSecrets.from_settings(), datetime.now(UTC) - timedelta(days=31)
        ensure_keys(secrets, lambda: then)
        create_client(secrets, "old", ["events:write"], None, clock=lambda: then)
        with patch.object(Rotation, "spread"):  # no process serves, so there is none to wait for
            self.run(ROTATE_SECRETS)

    def checkpoint(self) -> None:
        """The ledger is verified, on the second day with the first one's checkpoint."""
        for days in (2, 1):
            self.run(LEDGER_CHECKPOINT, days_ago(days).isoformat())

    def api(self) -> None:
        """The API is started for the first time, and a program uses all that it has."""
        secrets = ApiSecrets.from_settings()
        with at_work("api"):
            ensure_keys(secrets)
        self.program = Api("", secrets, ApiState.from_settings(), services(self.estate))
        self.credentials = self.program.client()
        with self.calling() as http:
            self._use(http)

    @contextmanager
    def calling(self) -> Iterator[httpx.Client]:
        """A program that has a token."""
        with at_work("api"), served(self.program):
            yield self.program.http(**self.program.bearer(self.credentials))

    def _use(self, http: httpx.Client) -> None:
        assert http.post("/events", json=EVENT, headers={"Idempotency-Key": "one"}).status_code == 202
        # Refused, it is no longer claimed.
        assert http.post("/events", json={}, headers={"Idempotency-Key": "two"}).status_code == 422
        scan = http.post("/scan", json={"bucket": self.estate.buckets[0].name})
        assert http.get(f"/jobs/{scan.json()['job_id']}").status_code == 200, scan.text
        assert http.get("/results").json()["findings"]
        assert http.get("/results.csv").status_code == 200
        wish = {"user_id": "nobody", "action": "export", "identifiers": {"email": "nobody@example.com"}}
        request = http.post("/dsar", json=wish)
        assert request.status_code == 200, request.text
        where = f"/dsar/{request.json()['jobId']}"
        for path in ("", "/events"):
            assert http.get(where + path).status_code == 200
        self._reject(http, request.json()["jobId"])
        for action in ("export", "delete", "delete", "delete"):
            wish = {
                "user_id": SUBJECT,
                "action": action,
                "channel": "web",
                "identity": {"verified": True, "method": "login"},
            }
            request = http.post("/dsar", json=wish)
            assert request.status_code == 200, request.text
            self.asked.append(request.json()["jobId"])
        assert http.get("/readyz").status_code == 200

    def _reject(self, http: httpx.Client, job_id: str) -> None:
        decision = {"decision": "reject", "decided_by": "officer", "reason": "not our customer"}
        assert http.post(f"/dsar/{job_id}/approval", json=decision).status_code == 200

    def subjects(self) -> None:
        """What a person asked for by the API is done, and somebody decides about what needs it: one erasure
        is approved in the asset graph, one rejected there, and one by the API.
        """
        register = composition.register(ready(composition.RESOURCES))
        self.instance.add_dynamic_partitions(REQUEST_PARTITIONS, self.asked)  # as the daemon does
        export, approved, rejected, refused = self.asked
        self.approve(export)  # which waits for no approval, and stays as it is
        queue = settings.DSAR_QUEUE.value()
        url = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
        client("sqs").purge_queue(QueueUrl=url)  # messages are lost
        self._send(queue, "no request")
        register.begin(export, 1, "a run that died")
        with later(timedelta(hours=1)):
            self.tick("dsar_jobs")
        for _ in range(8):
            for request in self.tick("dsar_requests"):
                self.run(DSAR_REQUEST, request.partition_key, tags=dict(request.tags))
            self.tick("dsar_jobs")
            jobs = {job_id: register.get(job_id) for job_id in self.asked}
            if all(State(job["state"]) in FINAL and not job.get("tell") for job in jobs.values()):
                break
            for job_id, job in jobs.items():
                if job["state"] == State.BLOCKED and job_id == refused:
                    with self.calling() as http:
                        self._reject(http, refused)
                elif job["state"] == State.BLOCKED:
                    self.approve(
                        job_id, approve=job_id == approved, reason="" if job_id == approved else "no"
                    )
        assert {job_id: job["state"] for job_id, job in jobs.items()} == {
            export: State.COMPLETED,
            approved: State.COMPLETED,
            rejected: State.REJECTED,
            refused: State.REJECTED,
        }
        with self.calling() as http:
            assert http.get(f"/dsar/{export}/download", follow_redirects=False).status_code == 302

    def approve(self, job_id: str, **decision: Any) -> None:
        """In the asset graph, by a person. The run fails for a request that waits for none."""
        config = {"ops": {"dsar__approval": {"config": {"decided_by": "officer", **decision}}}}
        self.run(DSAR_APPROVAL, job_id, run_config=config, raise_on_error=False)

    def launches(self) -> None:
        """Runs are started as tasks, looked after, cancelled; a scan starts a shard; logs are kept, read."""
        tasks = Tasks()
        runs = [run_part(job) for job in SIZES]
        for part in (*SERVICES, *runs):
            if part != "api":  # which has no instance
                with at_work(part):
                    tasks.look()
        for part in ("code", "daemon", *runs):
            with at_work(part):
                tasks.write_log()
        for part in ("webserver", "auditors"):
            with at_work(part):
                tasks.read_logs()
        with at_work("daemon"):
            tasks.launch(LEDGER_CHECKPOINT)
        with at_work("webserver"):
            tasks.cancel(LEDGER_CHECKPOINT)
        with at_work(run_part(SCAN_JOB)):
            tasks.shard(SCAN_JOB)

    def every_sensor(self) -> None:
        """All sensors tick, whether they have anything to do or not."""
        for sensor in self.definitions.sensors or []:
            self.tick(sensor.name)

    def all(self) -> None:
        """Everything, once. A table keeps two files of metadata and not twenty, so that some are deleted."""
        with patch.dict(iceberg._PROPERTIES, {"write.metadata.previous-versions-max": "1"}):
            self._all()

    def _all(self) -> None:
        self.night()
        self.lost_event()
        self.deletions()
        self.scan()
        self.api()
        self.events()
        self.rotation()
        self.subjects()
        self.checkpoint()
        self.years()
        self.launches()
        self.every_sensor()

    # --- local AWS itself

    def local(self, path: str, body: str, **arguments: str) -> None:
        answer = requests.post(
            f"{self.endpoint}/_local/{path}", params=arguments, data=body.encode(), timeout=90
        )
        assert answer.ok, answer.text

    def record(self) -> None:
        """From now on calls are recorded."""
        self.local("calls", "")

    def calls(self) -> list[dict[str, Any]]:
        """The calls of all parts."""
        text = requests.get(f"{self.endpoint}/_local/calls", timeout=60).text
        calls = [json.loads(line) for line in text.splitlines()]
        return [call for call in calls if call["key"] not in (NOBODY, ENGINES)]
