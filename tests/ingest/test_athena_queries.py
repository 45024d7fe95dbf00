"""Every query of docs/athena.md finds what it says that it finds, and leaves the rest out."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from privacy_assets.archive import rows as deletions
from privacy_assets.audit.results import RESULTS_SCHEMA
from privacy_assets.ingest.draining import Drainer
from privacy_assets.ingest.messages import accept, pack
from privacy_assets.scan.tables import FINDING_COLUMNS
from resources.busy_queue import BusyQueueResource
from resources.iceberg import IcebergResource
from resources.queue_sender import QueueSender
from tests.house import House

PAGE = Path(__file__).parents[2] / "docs" / "athena.md"
QUERIES = dict(
    re.findall(r"^### ([^\n]+)\n.*?^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
)

NOW = datetime.now(UTC)
NOON = datetime(NOW.year, NOW.month, NOW.day, 12, tzinfo=UTC) - timedelta(days=2)
TWO_DAYS, FOUR_DAYS = NOON.date(), NOON.date() - timedelta(days=2)
ANNA, BERT, CLEO = "anna-0000-4711", "bert-0000-4712", "cleo-0000-4713"


def event(number: int, subject: str, kind: str, hours: float = 0, **fields: Any) -> dict[str, Any]:
    """Of noon two days ago and so many hours."""
    return {
        "event_id": f"e{number}",
        "subject_id": subject,
        "event_type": kind,
        "event_time": (NOON + timedelta(hours=hours)).isoformat(),
        **fields,
    }


SHOP = [
    event(1, ANNA, "consent_given", -48, purpose="news", extra={"app_version": "1"}),
    event(2, ANNA, "consent_withdrawn", 0, purpose="news", extra={"app_version": "2"}),
    event(3, ANNA, "consent_given", 0.5, purpose="ads", extra={"app_version": "2"}),
    event(4, BERT, "consent_given", 0, purpose="news"),
    event(5, ANNA, "opt_out_sale", -48, jurisdiction="US-CA"),
    event(6, ANNA, "sale_or_share", 0, recipient="broker"),
    event(7, BERT, "gpc_signal", -48, jurisdiction="US-CA"),
    event(8, BERT, "opt_in_sale", -24, jurisdiction="US-CA"),
    event(9, BERT, "sale_or_share", 0, recipient="broker"),
    event(10, CLEO, "erasure_request", 0),
    event(10, CLEO, "processing", 3),
]
LATE = [event(11, BERT, "erasure_request", -48)]


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.000000 UTC")


EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "Events by hour and type": [
        (TWO_DAYS, 15, "processing", 1, 1),
        (TWO_DAYS, 12, "consent_given", 2, 2),
        (TWO_DAYS, 12, "sale_or_share", 2, 2),
        (TWO_DAYS, 12, "consent_withdrawn", 1, 1),
        (TWO_DAYS, 12, "erasure_request", 1, 1),
        (TWO_DAYS - timedelta(days=1), 12, "opt_in_sale", 1, 1),
        (FOUR_DAYS, 12, "consent_given", 1, 1),
        (FOUR_DAYS, 12, "erasure_request", 1, 1),
        (FOUR_DAYS, 12, "gpc_signal", 1, 1),
        (FOUR_DAYS, 12, "opt_out_sale", 1, 1),
    ],
    "Consents in force, by purpose": [("ads", 1, 0), ("news", 1, 1)],
    "Consents of each subject, masked": [("an••••11", "ads", TWO_DAYS), ("be••••12", "news", TWO_DAYS)],
    "Opt-outs of sale in force": [("US-CA", "opt_out_sale", 1)],
    "Sales and sharing after an opt-out": [("e6", instant(NOON), "broker", 2)],
    "Late events": [(FOUR_DAYS, "batch", 1, 49)],
    "How soon events can be asked for": [(instant(NOON + timedelta(hours=4)), 12, 14399.0, 187199.0)],
    "Who sends what": [
        ("shop", 1, "consent_given", 3),
        ("shop", 1, "sale_or_share", 2),
        ("batch", 1, "erasure_request", 1),
        ("shop", 1, "consent_withdrawn", 1),
        ("shop", 1, "erasure_request", 1),
        ("shop", 1, "gpc_signal", 1),
        ("shop", 1, "opt_in_sale", 1),
        ("shop", 1, "opt_out_sale", 1),
        ("shop", 1, "processing", 1),
    ],
    "Identities that were used for two events": [
        ("e10", 2, instant(NOON), instant(NOON + timedelta(hours=3)))
    ],
    "What senders put beside the fields": [("2", 2), ("1", 1)],
    "Violations, and what their subjects have sent since": [
        ("consent.withdrawn", "consent_withdrawn", 1, instant(NOON))
    ],
    "Erasure requests, and what was deleted since": [("e10", TWO_DAYS, 2, 0), ("e11", FOUR_DAYS, 4, 1)],
    "Deletions that no event speaks of": [("privacy_logs", TWO_DAYS, "user", 1)],
    "Days of new findings, and what was disclosed on them": [(TWO_DAYS, 2, 1, 2)],
}
SHOWN = {"Who sends what": 4}
"""Of how many columns the values are known beforehand, where not of all."""


@pytest.fixture(scope="module")
def house(aws: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    import uuid

    unique = uuid.uuid4().hex[:10]
    house = House.build(aws, unique, tmp_path_factory.mktemp("athena"), nouns=("privacy_logs",), ingest=True)
    iceberg = IcebergResource(database=house.names.database, bucket=house.names.bucket)
    names = house.names.ingest
    assert names is not None
    sender = QueueSender(names.queue)
    for events, client, accepted in (
        (SHOP, "shop", None),
        (LATE, "batch", NOON + timedelta(hours=1)),
    ):
        for each in events:
            moment = accepted or datetime.fromisoformat(each["event_time"]) + timedelta(seconds=1)
            sender.send(pack([accept(each, moment, client)]))
    queue = BusyQueueResource(queue=names.queue, dead_letters=names.dead_letters)
    Drainer(queue=queue, store=iceberg, wait=0, clock=lambda: NOON + timedelta(hours=4)).drain()
    _audit_results(iceberg)
    _deletions(iceberg)
    _findings(iceberg)
    return house


def _table(schema: pa.Schema, *rows: dict[str, Any]) -> pa.Table:
    """Rows whose other columns hold what their type may hold."""
    moment = NOON + timedelta(hours=1)
    blank = {pa.string(): "", pa.int64(): 0, pa.int32(): 0, pa.date32(): moment.date()}
    defaults = {field.name: blank.get(field.type, moment) for field in schema if not field.nullable}
    return pa.Table.from_pylist([{**defaults, **row} for row in rows], schema=schema)


def _audit_results(iceberg: IcebergResource) -> None:
    days = ((FOUR_DAYS, "consent.withdrawn"), (FOUR_DAYS - timedelta(days=1), "consent.missing"))
    rows = _table(
        RESULTS_SCHEMA, *({"audit_id": audit, "snapshot_date": day, "subject": ANNA} for day, audit in days)
    )
    iceberg.ensure("audit_results", RESULTS_SCHEMA, ["snapshot_date"])
    iceberg.replace("audit_results", {}, lambda: rows.to_batches())


def _deletions(iceberg: IcebergResource) -> None:
    deletions.ensure(iceberg)  # type: ignore[arg-type]

    def row(subject: str, cause: str, moment: datetime) -> dict[str, Any]:
        return {
            "table_name": "privacy_logs",
            "deleted_on": moment.date(),
            "deleted_at": moment,
            "cause": cause,
            "subject": subject,
            "record_id": f"{subject}{moment}",
        }

    rows = _table(
        deletions.SCHEMA,
        row(BERT, "dsar", NOON),  # after his request
        row(BERT, "user", NOON - timedelta(days=9)),  # before it
        row(ANNA, "user", NOON),
        row(ANNA, "ttl", NOON),
    )
    iceberg.replace("archived_deletions", {}, lambda: rows.to_batches())


def _findings(iceberg: IcebergResource) -> None:
    iceberg.ensure("findings", FINDING_COLUMNS, ["bucket"])
    rows = _table(
        FINDING_COLUMNS,
        *(
            {"bucket": "b", "key": f"{status}-{severity}", "status": status, "severity": severity}
            for status, severity in (
                ("open", "high"),
                ("open", "critical"),
                ("open", "low"),
                ("gone", "high"),
            )
        ),
    )
    iceberg.replace("findings", {}, lambda: rows.to_batches())


def test_every_query_is_known_here() -> None:
    assert list(QUERIES) == list(EXPECTED)
    assert PAGE.read_text().count("```sql") == len(QUERIES)


@pytest.mark.parametrize("title", EXPECTED)
def test_a_query_finds_what_it_says(house: House, title: str) -> None:
    found = house.rows(QUERIES[title])
    columns = SHOWN.get(title)
    assert [tuple(row.values())[:columns] for row in found] == EXPECTED[title]
