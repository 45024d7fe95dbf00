"""What each part of the deployment does, done for real on local AWS under the part's own name.

Local AWS tells callers apart by their access key id, so each part has its own (its name) while it is at work.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import dagster as dg
import requests
from dagster._core.definitions.partitions.context import partition_loading_context

from privacy_assets.api.rotation import Rotation, create_client, ensure_keys
from privacy_assets.api.rotation_job import ROTATE_SECRETS
from privacy_assets.api.server import services
from privacy_assets.archive.names import ARCHIVE_DELETIONS, ARCHIVE_RESTORE
from privacy_assets.audit.definition import load_audits
from privacy_assets.definitions import build, ready
from privacy_assets.dsar import composition
from privacy_assets.dsar.names import DSAR_APPROVAL, DSAR_REQUEST
from privacy_assets.dsar.names import PARTITIONS as REQUEST_PARTITIONS
from privacy_assets.dsar.states import FINAL, State
from privacy_assets.estate import Estate
from privacy_assets.governed import governed_estate, path_of
from privacy_assets.ingest.names import INGEST_EVENTS
from privacy_assets.jobs import DAILY_AUDIT, EXPORTS_TAG, NIGHTLY_EXPORTS
from privacy_assets.ledger.assets import JOB as LEDGER_CHECKPOINT
from privacy_assets.partitions import BUCKETS
from privacy_assets.scan.assets import SCAN_JOB
from resources import erasures, settings
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
from resources.erasures import ErasuresResource
from resources.provision import Names
from tests.api.house import Api, served
from tests.house import client, days_ago, yesterday

NOBODY = "nobody"
"""The key of the test itself: what a person or another system does."""
SUBJECT = "subject-1"
"""A person who is in the table."""
ENGINES = "local"
"""The key of local AWS itself, whose crawler and exports call its front door."""


@contextmanager
def at_work(part: str) -> Iterator[None]:
    """AWS is called in the name of ``part``, whose process has looked nothing up yet."""
    erasures._keys.clear()
    before = os.environ["AWS_ACCESS_KEY_ID"]
    os.environ["AWS_ACCESS_KEY_ID"] = part
    try:
        yield
    finally:
        os.environ["AWS_ACCESS_KEY_ID"] = before


class Flows:
    """The parts at work on one local AWS that holds the default resources."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.estate: Estate = governed_estate()
        self.names = Names.from_settings()
        self.definitions = build(self.estate, load_audits(path_of(settings.AUDITS)))
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

    def deletions(self) -> None:
        """Items go, the pipe tells, a run archives, a person has them put back."""
        table = self.estate.tables[0]
        dynamodb = client("dynamodb")
        for number in range(3):
            dynamodb.put_item(
                TableName=table.table, Item={"log_id": {"S": f"gone-{number}"}, "subject_id": {"S": SUBJECT}}
            )
            dynamodb.delete_item(TableName=table.table, Key={"log_id": {"S": f"gone-{number}"}})
        self.local("pipes/flush", "")
        (request,) = self.tick("deletions")
        self.run(ARCHIVE_DELETIONS, request.partition_key)
        config = {
            "ops": {
                "archive__restored": {
                    "config": {
                        "table": table.name,
                        "deleted_from": f"{yesterday()}T00:00:00Z",
                        "approved_by": "alex@example.com",
                        "dry_run": False,
                    }
                }
            }
        }
        self.run(ARCHIVE_RESTORE, run_config=config)

    def scan(self) -> None:
        """A bucket is scanned, and a scan is asked for."""
        bucket = self.estate.buckets[0].name
        s3 = client("s3")
        if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a.txt", Body=b"nothing to see")
        s3.put_object(Bucket=bucket, Key="b.csv", Body=b"name,mail\nMaria,maria.garcia@corp-mail.io\n")
        self.instance.add_dynamic_partitions(BUCKETS.name or "", [bucket])
        url = client("sqs").get_queue_url(QueueName=self.names.scan_requests)["QueueUrl"]
        for body in (json.dumps({"bucket": bucket, "job_id": uuid.uuid4().hex}), "{"):
            client("sqs").send_message(QueueUrl=url, MessageBody=body)
        requests_ = self.tick("scan_requests")
        assert requests_
        self.run(SCAN_JOB, bucket)
        self.run(SCAN_JOB, bucket)

    def events(self) -> None:
        """An event that was accepted, and a message that is none."""
        name = settings.EVENT_QUEUE.value()
        url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        client("sqs").send_message(QueueUrl=url, MessageBody="no event")
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
        api = Api("", secrets, ApiState.from_settings(), services(self.estate))
        credentials = api.client()
        with at_work("api"), served(api):
            self._use(api, credentials)

    def _use(self, api: Api, credentials: dict[str, str]) -> None:
        http = api.http(**api.bearer(credentials))
        event = {"subject_id": "s", "event_type": "consent_given", "event_time": f"{yesterday()}T12:00:00Z"}
        assert http.post("/events", json=event, headers={"Idempotency-Key": "one"}).status_code == 202
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
        decision = {"decision": "reject", "decided_by": "officer", "reason": "not our customer"}
        assert http.post(f"{where}/approval", json=decision).status_code == 200
        for action in ("export", "delete", "export"):
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

    def subjects(self) -> None:
        """What a person asked for by the API is done but for the last, which somebody refuses; somebody
        approves what needs it.
        """
        register = composition.register(ready(composition.RESOURCES))
        self.instance.add_dynamic_partitions(REQUEST_PARTITIONS, self.asked)  # as the daemon does
        self.decide(self.asked[0])  # which waits for no approval, and stays as it is
        self.decide(self.asked[-1], approve=False, reason="asked for twice")
        url = client("sqs").get_queue_url(QueueName=settings.DSAR_QUEUE.value())["QueueUrl"]
        client("sqs").send_message(QueueUrl=url, MessageBody="no request")
        ended: set[str] = set()
        for _ in range(8):
            for request in self.tick("dsar_requests"):
                self.run(DSAR_REQUEST, request.partition_key, tags=dict(request.tags))
            self.tick("dsar_jobs")
            for job_id in self.asked:
                job = register.get(job_id)
                if job["state"] == State.BLOCKED and job.get("reason") == "approval":
                    self.decide(job_id)
                if State(job["state"]) in FINAL:
                    ended.add(job_id)
            if ended == {*self.asked}:
                return
        raise AssertionError([register.get(job_id) for job_id in self.asked])

    def decide(self, job_id: str, **decision: Any) -> None:
        """In the asset graph, by a person. The run fails for a request that waits for no approval."""
        config = {"ops": {"dsar__approval": {"config": {"decided_by": "officer", **decision}}}}
        self.run(DSAR_APPROVAL, job_id, run_config=config, raise_on_error=False)

    def every_sensor(self) -> None:
        """All sensors tick, whether they have anything to do or not."""
        for sensor in self.definitions.sensors or []:
            self.tick(sensor.name)

    def all(self) -> None:
        """Everything, once."""
        self.night()
        self.deletions()
        self.scan()
        self.api()
        self.events()
        self.rotation()
        self.subjects()
        self.checkpoint()
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
