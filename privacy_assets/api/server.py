"""The API with its resources in, and served: the one module of this package that knows AWS's side."""

import ipaddress
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from privacy_assets.api import logs
from privacy_assets.api.app import create_app
from privacy_assets.api.services import Options, Services
from privacy_assets.api.tokens import Oidc, issuer_keys
from privacy_assets.definitions import ready
from privacy_assets.dsar import composition
from privacy_assets.dsar.register import Job, Register
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate
from privacy_assets.governed import governed_estate, path_of
from privacy_assets.ledger import open_log
from privacy_assets.scan.rules import load_rules
from privacy_assets.scan.tables import FINDINGS
from resources import clients, settings
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
from resources.iceberg import IcebergResource, RowsHidden
from resources.iceberg_pages import SnapshotGone, TablePages
from resources.queue_sender import QueueSender
from resources.scan_jobs import ScanJobsResource

KEEP_ALIVE_SECONDS = 75
"""Longer than a load balancer's idle timeout, which else would use a connection that is being closed."""
GRACE_SECONDS = 30
_APPLICATION = "privacy_assets.api.server:application"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def services(estate: Estate) -> Services:
    """What the settings name. Raises UserError for a setting that is none."""
    iceberg = IcebergResource(database=settings.GLUE_DATABASE.value(), bucket=settings.LAKE_BUCKET.value())
    detectors = path_of(settings.DETECTORS) if settings.DETECTORS.value() else None
    audience = settings.API_AUDIENCE.value()
    findings, requests = TablePages(iceberg, FINDINGS), SubjectRequests()
    events, scans = QueueSender(settings.EVENT_QUEUE.value()), QueueSender(settings.SCAN_QUEUE.value())
    return Services(
        secrets=ApiSecrets.from_settings(is_waited_for=True),
        state=ApiState.from_settings(),
        events=events,
        scan_jobs=ScanJobsResource(table=settings.SCAN_JOBS_TABLE.value()),
        scan_queue=scans,
        buckets=lambda: {bucket.name: bucket.prefix for bucket in estate.buckets},
        findings=findings,
        requests=requests,
        first_needs=(events.find, scans.find, requests.prepare, findings.snapshot),
        titles=lambda: load_rules(detectors).titles,
        options=Options(
            issuer=audience,
            audience=audience,
            requests_a_client=int(settings.API_REQUESTS_PER_CLIENT.number()),
            requests_an_address=int(settings.API_REQUESTS_PER_ADDRESS.number()),
        ),
        oidc=_oidc(audience),
        snapshot_gone=SnapshotGone,
        rows_hidden=(RowsHidden,),
        troubles=clients.troubles(),
    )


class SubjectRequests:
    """Requests of data subjects on the resources of the code location; each is made when it is first used."""

    @cached_property
    def _resources(self) -> Any:
        return ready(composition.RESOURCES)

    @cached_property
    def register(self) -> Register:
        return composition.register(self._resources)

    @property
    def answers(self) -> Any:
        return self._resources.bundles

    @cached_property
    def log(self) -> Any:
        return open_log(self._resources.ledger)

    def close(self, job_id: str) -> Job:
        return composition.close(self._resources, job_id)

    def prepare(self) -> None:
        """Make all of it, and read what the first request would: the ledger's edge, the key of pseudonyms."""
        _ = self.register
        self.log.open()
        self._resources.erasures.pseudonym("subject", "")


def application() -> FastAPI:
    """What uvicorn loads, in each of its processes."""
    logs.configure()
    return create_app(services(governed_estate()))


def serve(host: str, port: int, workers: int) -> None:
    """Answer until a signal; then what has begun is finished. Raises UserError before anything is served."""
    services(governed_estate())  # what is wrong with it is told in one line, and not by each process
    uvicorn.run(
        _APPLICATION,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.API_PROXIES.value()),
        forwarded_allow_ips=_proxies(),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _proxies() -> list[str]:
    found = [name.strip() for name in settings.API_PROXIES.value().split(",") if name.strip()]
    for name in found:
        try:
            ipaddress.ip_network(name)
        except ValueError:
            raise UserError(
                f"{settings.API_PROXIES.name}: {name!r}, expected addresses or networks such as 10.0.0.0/16"
            ) from None
    return found


def _oidc(audience: str) -> Oidc | None:
    issuer = settings.API_OIDC_ISSUER.value()
    if not issuer:
        return None
    address = settings.API_OIDC_KEYS.value() or f"{issuer.rstrip('/')}/.well-known/jwks.json"
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UserError(f"{settings.API_OIDC_KEYS.name}: {address!r}, expected an https address")
    return Oidc(issuer, audience, issuer_keys(address))
