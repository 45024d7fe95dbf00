"""Who was erased here and is in a snapshot all the same: told with the request's id, and with no value."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.dsar import composition
from privacy_assets.dsar.names import STAY_ERASED
from privacy_assets.dsar.stores.dynamodb import DynamoDb
from privacy_assets.dsar.stores.protocol import StoreError
from tests.dsar.desk import DEVICE, Desk
from tests.house import at, days_ago, event

NIGHT, BEFORE = days_ago(2), days_ago(3)
LOGS = {
    "name": "logs",
    "kind": "dynamodb",
    "owner": "team:privacy",
    "match": {"device_id": "subject_id"},
    "retain": [{"article": "GDPR Art. 7(1)", "reason": "proof of consent", "where": {"message": "consent"}}],
}
SNAPSHOTS = {"name": "snapshots", "kind": "snapshots", "owner": "team:privacy", "subject": "device_id"}


def desk_of(aws: str, unique: str, folder: Path, **fields: Any) -> Desk:
    stores = [{**LOGS, "table": f"visits-{unique}"}, SNAPSHOTS]
    desk = Desk.build(aws, unique, folder, stores=stores, **fields)
    old = {"event_time": {"S": at(days_ago(4)).isoformat()}}
    texts = [(DEVICE, "used"), (DEVICE, "used"), (DEVICE, "consent"), ("device-2", "used")]
    items = [event(f"{n}", who, message={"S": text}, **old) for n, (who, text) in enumerate(texts)]
    desk.house.load(items, at(days_ago(4)))
    return desk


def checked(ran: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [each for each in ran.get_asset_check_evaluations() if each.check_name == STAY_ERASED]
    return found


def night(desk: Desk, day: date = NIGHT) -> dg.AssetCheckEvaluation:
    ran = desk.house.materialize("visits_export", "visits_raw", "visits", day=day)
    assert ran.success
    return checked(ran)


def told(found: dg.AssetCheckEvaluation) -> tuple[Any, ...]:
    names = ("rows", "rows_of_erasures_under_way", "subjects")
    return found.passed, found.severity.name, *(found.metadata[name].value for name in names)


def test_a_backfilled_night_brings_her_back(aws: str, unique: str, tmp_path: Path) -> None:
    desk = desk_of(aws, unique, tmp_path)
    assert told(night(desk))[0]
    job_id = desk.submit("delete", identifiers={"device_id": DEVICE})
    desk.settle()
    assert desk.job(job_id)["state"] == "COMPLETED"
    ran = desk.house.materialize("visits", day=NIGHT)  # of the export that was rewritten
    assert told(checked(ran)) == (True, "WARN", 0, 0, 0)

    found = night(desk, BEFORE)
    assert told(found) == (False, "ERROR", 2, 0, 1)  # what is retained may be there
    assert [row.data for row in found.metadata["requests"].records] == [{"request": job_id, "rows": 2}]
    assert DEVICE not in repr(found)

    desk.submit("delete", identifiers={"device_id": DEVICE})  # the way out, as the check describes it
    desk.settle()
    assert told(night(desk, BEFORE))[0]


def test_an_erasure_is_complete_when_every_store_has_lost_her(
    aws: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive has, and another store could not: she may be in a snapshot still."""
    archive = {"name": "deleted", "kind": "archive", "owner": "team:privacy", "subject": "device_id"}
    stores = [archive, {**LOGS, "table": f"visits-{unique}"}, SNAPSHOTS]
    desk = Desk.build(aws, unique, tmp_path, stores=stores)
    desk.house.load([event("1", DEVICE, message={"S": "used"})], at(days_ago(4)))

    def fails(*_: Any) -> Any:
        raise StoreError("logs: not now")

    with monkeypatch.context() as patch:
        patch.setattr(DynamoDb, "erase", fails)
        job_id = desk.submit("delete", identifiers={"device_id": DEVICE})
        desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["stores"]["deleted"]["state"]) == ("PARTIALLY_FAILED", "DONE")
    assert told(night(desk)) == (False, "WARN", 0, 1, 1)
    (erasure,) = desk.resources.erasures.of([("visits", DEVICE)]).values()
    assert (erasure.request_id, erasure.completed) == (job_id, None)
    desk.register.retry(job_id, "tests")
    desk.settle()
    assert desk.job(job_id)["state"] == "COMPLETED"
    assert told(night(desk, BEFORE)) == (False, "ERROR", 1, 0, 1)


@pytest.mark.parametrize("time_key", [None, "event_time"])
def test_who_comes_back_is_new_where_rows_say_when(
    aws: str, unique: str, tmp_path: Path, time_key: str | None
) -> None:
    desk = desk_of(aws, unique, tmp_path, time_key=time_key)
    erasures = desk.resources.erasures
    erasures.begin("visits", DEVICE, "request-1")
    assert told(night(desk)) == (False, "WARN", 0, 2, 1)  # the erasure goes on
    erasures.complete("visits", DEVICE, "request-1")
    later = {"event_time": {"S": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}}
    desk.house.load(
        [event(f"{n}", DEVICE, message={"S": "used"}, **later) for n in range(2)], at(days_ago(1), 1)
    )
    expected = (True, "WARN", 0, 0, 0) if time_key else (False, "ERROR", 2, 0, 1)
    assert told(night(desk, days_ago(1))) == expected


def test_only_tables_whose_subjects_can_be_erased_are_watched(aws: str, unique: str, tmp_path: Path) -> None:
    desk = Desk.build(aws, unique, tmp_path, stores=[{**LOGS, "table": "another"}])
    assert composition.erasable(desk.house.estate) == []
