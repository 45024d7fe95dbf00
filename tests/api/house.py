"""An API of a test's own: its secrets and tables on local AWS under unique names, uvicorn on a free port."""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx
import uvicorn

from privacy_assets.api.app import create_app
from privacy_assets.api.rotation import create_client, ensure_keys
from privacy_assets.api.services import Options, Services
from privacy_assets.machine.stack import HOST, free_port
from privacy_assets.scan.tables import FINDINGS
from resources import clients
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
from resources.iceberg import IcebergResource, RowsHidden
from resources.iceberg_pages import SnapshotGone, TablePages
from resources.provision import KINDS
from resources.provision_api import ApiNames, shapes
from resources.queue_sender import QueueSender
from resources.scan_jobs import ScanJobsResource

PROMPT = Options(fresh_seconds=0.5, cool_down_seconds=0.0, patience_seconds=60.0, ready_seconds=0.5)
"""What was made a moment ago is known at once, however fast or slow the machine is."""
ALL_SCOPES = ("events:write", "scans:write", "scans:read", "dsar:write", "dsar:read", "dsar:approve")


@dataclass
class Api:
    """A running API and what it stands on."""

    unique: str
    secrets: ApiSecrets
    state: ApiState
    services: Services
    address: str = ""
    ids: list[str] = field(default_factory=list)

    def client(
        self, name: str = "shop", scopes: Sequence[str] = ALL_SCOPES, buckets: Sequence[str] | None = None
    ) -> dict[str, str]:
        """A new client; its id and secret."""
        create_client(self.secrets, name, scopes, buckets)
        return self.credentials(name)

    def credentials(self, name: str = "shop") -> dict[str, str]:
        """What the client's program reads of Secrets Manager."""
        found: dict[str, str] = json.loads(self.secrets.client_secret(name))
        return found

    def token(self, credentials: dict[str, str], http: httpx.Client | None = None) -> httpx.Response:
        document = {"audience": "privacy-assets", **credentials}
        return (http or self.http()).post("/token", json=document)

    def bearer(self, credentials: dict[str, str]) -> dict[str, str]:
        answer = self.token(credentials)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def http(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, verify=False)  # no TLS here

    def messages(self, queue: str = "events") -> list[str]:
        """The bodies in a queue, all of them."""
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{queue}-{self.unique}")["QueueUrl"]
        bodies: list[str] = []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in found]
        return bodies


@contextmanager
def running(unique: str, options: Options | None = None, **services: Any) -> Iterator[Api]:
    """An API on local AWS, served by uvicorn over HTTP."""
    api = build(unique, options, **services)
    with served(api):
        yield api


def build(unique: str, options: Options | None = None, **services: Any) -> Api:
    """The same, not served."""
    secrets = ApiSecrets(f"api-{unique}")
    names = ApiNames(f"api-state-{unique}")
    for resource in shapes(names):
        KINDS[resource.kind].create(resource.name, resource.shape)
    shape = {"keys": [["job_id", "S"]], "billing": "PAY_PER_REQUEST", "point-in-time recovery": "DISABLED"}
    KINDS["table"].create(f"jobs-{unique}", shape)
    for queue in ("events", "scans"):
        boto3.client("sqs").create_queue(QueueName=f"{queue}-{unique}")
    boto3.client("s3").create_bucket(Bucket=f"lake-{unique}")
    boto3.client("glue").create_database(DatabaseInput={"Name": f"db_{unique}"})
    state = ApiState(names.state)
    ensure_keys(secrets)
    given: dict[str, Any] = {
        "secrets": secrets,
        "state": state,
        "events": QueueSender(f"events-{unique}"),
        "scan_jobs": ScanJobsResource(table=f"jobs-{unique}"),
        "scan_queue": QueueSender(f"scans-{unique}"),
        "buckets": lambda: {f"data-{unique}": "", f"other-{unique}": "logs/"},
        "findings": TablePages(IcebergResource(database=f"db_{unique}", bucket=f"lake-{unique}"), FINDINGS),
        "snapshot_gone": SnapshotGone,
        "rows_hidden": (RowsHidden,),
        "options": options or PROMPT,
        "troubles": clients.troubles(),
        **services,
    }
    return Api(unique, secrets, state, Services(**given))


@contextmanager
def served(api: Api) -> Iterator[None]:
    port = free_port()
    config = uvicorn.Config(
        create_app(api.services), host=HOST, port=port, log_config=None, access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def told(*arguments: Any, **named: Any) -> None:
        await startup(*arguments, **named)
        started.set()

    server.startup = told  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    api.address = f"http://{HOST}:{port}"
    logging.getLogger("privacy_assets.api").setLevel(logging.INFO)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(30)
