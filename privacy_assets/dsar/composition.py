"""Requests put together from resources: for steps, sensors, the API and the command alike.

``resources`` is anything with these names as attributes; a resource fits its Protocol by shape.
"""

from collections.abc import Iterable
from typing import Any

from privacy_assets.dsar import work
from privacy_assets.dsar.register import Job, Register
from privacy_assets.dsar.stores import build, models
from privacy_assets.dsar.stores.protocol import Identifiers
from privacy_assets.dsar.trail import LedgerTrail
from privacy_assets.dsar.work import Place, Worker
from privacy_assets.estate import Estate, Table
from privacy_assets.governed import estate_folder
from privacy_assets.ledger import open_log

RESOURCES = ("dsar_jobs", "dsar_queue", "bundles", "erasures", "ledger", "request_topic", "subjects")


def register(resources: Any) -> Register:
    """The register of requests."""
    trail = LedgerTrail(open_log(resources.ledger), resources.erasures)
    return Register(resources.dsar_jobs, trail, resources.dsar_queue)


def worker(estate: Estate, resources: Any) -> Worker:
    """Who does the steps of requests over the estate's stores."""
    return Worker(
        register(resources),
        resources.bundles,
        resources.erasures,
        places(estate, resources),
        needs_approval=estate.requests.approval,
        governed=lambda identifiers: governed(estate, identifiers),
    )


def close(resources: Any, job_id: str) -> Job:
    """What follows a request's end or standstill."""
    return work.close(
        register(resources), resources.bundles, resources.erasures, resources.request_topic, job_id
    )


def places(estate: Estate, resources: Any) -> list[Place]:
    """The estate's stores."""
    made = build.stores(estate, resources.subjects, estate_folder())
    return [
        Place(store, spec.kind, spec.description, _has_links(spec))
        for store, spec in zip(made, estate.stores, strict=True)
    ]


def _has_links(spec: models.StoreSpec) -> bool:
    """Whether the store's records name further identifiers; of a store of one's own nobody knows."""
    tables = spec.tables if isinstance(spec, models.SqlStore | models.LakeStore) else (spec,)
    return isinstance(spec, models.PythonStore) or any(
        isinstance(each, models.Records) and each.links for each in tables
    )


def governed(estate: Estate, identifiers: Identifiers) -> list[work.Subject]:
    """The subjects of governed tables that identifiers stand for: nouns, and values of the kinds that stores
    say their ``subject_key`` holds.
    """
    found = {
        (table.name, value)
        for table in estate.tables
        if table.subject_key is not None
        for kind in _kinds(estate, table.name, table.table, table.subject_key)
        for value in identifiers.get(kind, ())
    }
    return sorted(found)


def erasable(estate: Estate) -> list[Table]:
    """The governed tables whose subjects an erasure here can name."""
    return [
        table
        for table in estate.tables
        if table.subject_key and any(_kinds(estate, table.name, table.table, table.subject_key))
    ]


def _kinds(estate: Estate, noun: str, table: str, subject_key: str) -> Iterable[str]:
    """The kinds of identifiers that a governed table knows its subjects by."""
    for store in estate.stores:
        if isinstance(store, models.ArchiveStore | models.SnapshotsStore):
            if not store.tables or noun in store.tables:
                yield store.subject
        elif isinstance(store, models.DynamoDbStore) and store.table == table:
            yield from (kind for kind, fields in store.match.items() if subject_key in fields)


class Served:
    """Requests as the HTTP API needs them (``api.routes.dsar.Requests``)."""

    def __init__(self, resources: Any) -> None:
        self._resources = resources
        self.register, self.answers = register(resources), resources.bundles
        self.log: Any = open_log(resources.ledger)

    def close(self, job_id: str) -> Job:
        """What follows a request's end or standstill."""
        return close(self._resources, job_id)
