"""Scans over HTTP: asked for, followed, their findings read in pages and as files."""

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from privacy_assets.scan.requests import parse_request
from privacy_assets.scan.tables import FINDING_COLUMNS, FINDINGS, PARTITION_BY
from resources.iceberg import IcebergResource
from tests.api.house import Api, running
from tests.row_deletes import delete_by_value, delete_in_place

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def finding(bucket: str, number: int, **changed: Any) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": f"logs/{number % 7}.txt",
        "member": "",
        "etag": "e",
        "detector": ("email", "ssn")[number % 2],
        "detector_version": 1,
        "byte_offset": number,
        "length": 9,
        "line": number,
        "column_name": None,
        "row_number": None,
        "masked_match": "j***@e***",
        "context": "mail j***@e*** said",
        "severity": ("medium", "critical")[number % 2],
        "confidence": "high",
        "first_seen": NOW + timedelta(seconds=number),
        "last_seen": NOW,
        "closed_at": None,
        "status": "gone" if number % 10 == 9 else "open",
        "allowed_because": None,
        "job_id": f"job-{number % 3}",
        **changed,
    }


def put(api: Api, bucket: str, rows: list[dict[str, Any]], group: int = 16) -> None:
    """As a scan's commit does, in row groups small enough to be several."""
    iceberg = IcebergResource(database=f"db_{api.unique}", bucket=f"lake-{api.unique}")
    iceberg.ensure(FINDINGS, FINDING_COLUMNS, PARTITION_BY, {"write.parquet.row-group-limit": str(group)})
    table = pa.Table.from_pylist(rows, FINDING_COLUMNS)
    iceberg.replace(FINDINGS, {"bucket": [bucket]}, lambda: iter(table.to_batches()))


@pytest.fixture
def found(aws: str, unique: str) -> Iterator[Api]:
    """An API over 100 findings in one bucket and 20 in another; its newest snapshot is read at once."""
    with running(unique) as api:
        put(api, f"data-{unique}", [finding(f"data-{unique}", number) for number in range(100)])
        put(api, f"other-{unique}", [finding(f"other-{unique}", number) for number in range(20)])
        yield api


def test_a_scan_is_asked_for_and_followed(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    answer = http.post("/scan", json={"bucket": f"data-{api.unique}", "prefix": "logs/"})
    said = answer.json()
    assert answer.status_code == 202
    job_id = said.pop("job_id")
    assert answer.headers["location"] == f"/jobs/{job_id}"
    assert said == {
        "bucket": f"data-{api.unique}",
        "prefix": "logs/",
        "total_objects": 0,
        "messages_enqueued": 1,
        "status": "QUEUED",
    }
    (message,) = api.messages("scans")
    assert parse_request(message).job_id == job_id
    job = http.get(f"/jobs/{job_id}").json()
    assert (job["job_id"], job["status"], job["progress_percent"]) == (job_id, "QUEUED", 0)
    assert "shards" not in job


def test_without_a_prefix_it_is_the_estates(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    assert http.post("/scan", json={"bucket": f"other-{api.unique}"}).json()["prefix"] == "logs/"
    answer = http.post("/scan", json={"bucket": f"other-{api.unique}", "prefix": "mail/"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/prefix"


def test_a_bucket_outside_the_estate_is_refused(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    answer = http.post("/scan", json={"bucket": "somebody-elses"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/bucket", "detail": "expected a bucket of the estate"}]
    assert api.messages("scans") == []


def test_asked_for_again_with_its_key_it_is_one_scan(api: Api) -> None:
    http = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "k"})
    answers = [http.post("/scan", json={"bucket": f"data-{api.unique}"}) for _ in range(3)]
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert answers[2].headers["location"] == answers[0].headers["location"]
    assert len(api.messages("scans")) == 1


def test_a_confined_client_is_told_nothing_of_others(found: Api) -> None:
    everyone = found.http(**found.bearer(found.client("everyone")))
    job_id = everyone.post("/scan", json={"bucket": f"data-{found.unique}"}).json()["job_id"]
    confined = found.http(**found.bearer(found.client("confined", buckets=[f"other-{found.unique}"])))
    assert confined.get(f"/jobs/{job_id}").status_code == 404
    assert confined.get(f"/jobs/{job_id}").json()["detail"] == confined.get("/jobs/none").json()["detail"]
    for bucket in (f"data-{found.unique}", "there-is-none"):
        assert confined.post("/scan", json={"bucket": bucket}).status_code == 403
        assert confined.get("/results", params={"bucket": bucket}).status_code == 403
        assert confined.get("/results.csv", params={"bucket": bucket}).status_code == 403
    said = confined.get("/results").json()
    assert (said["total"], {one["bucket"] for one in said["findings"]}) == (18, {f"other-{found.unique}"})
    assert len(confined.get("/results.jsonl").text.splitlines()) == 18
    # Another's cursor is of another filter.
    cursor = everyone.get("/results", params={"limit": 5}).json()["next_cursor"]
    assert confined.get("/results", params={"cursor": cursor}).status_code == 422


def test_before_the_first_scan_there_is_nothing(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    assert http.get("/results").json() == {
        "findings": [],
        "total": 0,
        "limit": 100,
        "cursor": None,
        "offset": None,
        "next_cursor": None,
        "has_more": False,
    }
    assert http.get("/results.jsonl").text == ""
    assert json.loads(http.get("/results.sarif").text)["runs"][0]["results"] == []


def cursor_of(cursor: str | None) -> dict[str, str]:
    return {"cursor": cursor} if cursor else {}


def test_pages_by_cursor_are_all_findings_once(found: Api) -> None:
    http = found.http(**found.bearer(found.client()))
    seen, cursor, pages = [], None, 0
    while True:
        page = http.get(
            "/results", params={"limit": 7, "status": "all"} | ({"cursor": cursor} if cursor else {})
        )
        said = page.json()
        assert said["total"] == 120
        assert said["cursor"] == cursor
        assert said["has_more"] is (said["next_cursor"] is not None)
        seen += [one["id"] for one in said["findings"]]
        cursor, pages = said["next_cursor"], pages + 1
        if cursor is None:
            break
    assert (len(seen), len(set(seen)), pages) == (120, 120, 18)


def test_pages_do_not_move_while_findings_come_and_go(found: Api) -> None:
    http = found.http(**found.bearer(found.client()))
    bucket = f"data-{found.unique}"
    whole = [
        one["id"]
        for one in http.get("/results", params={"limit": 1000, "status": "all", "bucket": bucket}).json()[
            "findings"
        ]
    ]
    asked = {"limit": 30, "status": "all", "bucket": bucket}
    said = http.get("/results", params=asked).json()
    seen = [one["id"] for one in said["findings"]]
    for change in range(3):
        new = [finding(bucket, number) for number in range(change * 40, 400 + change)]
        put(found, bucket, new)
        said = http.get("/results", params={**asked, "cursor": said["next_cursor"]}).json()
        seen += [one["id"] for one in said["findings"]]
    assert seen == whole
    assert said["next_cursor"] is None


def test_what_athena_deletes_in_place_is_in_no_page_and_no_file(found: Api) -> None:
    """Athena's DELETE leaves the files and adds positions; older cursors stay as they were."""
    http = found.http(**found.bearer(found.client()))
    every = {"status": "all", "limit": 1000}
    before = http.get("/results", params=every).json()["findings"]
    cursor = http.get("/results", params={"status": "all", "limit": 50}).json()["next_cursor"]
    iceberg = IcebergResource(database=f"db_{found.unique}", bucket=f"lake-{found.unique}")
    data = f"data-{found.unique}"

    def stands(one: dict[str, Any]) -> bool:
        return bool(one["bucket"] != data or (one["byte_offset"] % 3 and not 16 <= one["byte_offset"] < 48))

    for part in (lambda row: row["byte_offset"] % 3 == 0, lambda row: 16 <= row["byte_offset"] < 48):
        table = iceberg.table(FINDINGS)
        assert table is not None
        assert delete_in_place(table, lambda row, part=part: row["bucket"] == data and part(row)) > 30  # type: ignore[misc]
    left = [one for one in before if stands(one)]
    assert 50 < len(left) < len(before)
    until = time.monotonic() + 60
    while (page := http.get("/results", params=every).json())["total"] == len(before):
        assert time.monotonic() < until
    assert (page["total"], page["findings"]) == (len(left), left)
    for name, value in (("detector", "ssn"), ("severity", "medium"), ("key", "logs/3.txt"), ("bucket", data)):
        page = http.get("/results", params={**every, name: value}).json()
        assert page["findings"] == [one for one in left if one[name] == value]
        assert page["total"] == len(page["findings"])
    paged = [
        http.get("/results", params={"status": "all", "limit": 7, "offset": offset}).json()["findings"]
        for offset in range(0, len(left), 7)
    ]
    assert [one for page in paged for one in page] == left
    lines = http.get("/results.jsonl", params={"status": "all"}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [one["id"] for one in left]
    rest = http.get("/results", params={**every, "cursor": cursor}).json()
    assert (rest["total"], rest["findings"]) == (len(before), before[50:])


@pytest.mark.parametrize("address", ["/results", "/results.jsonl", "/results.csv", "/results.sarif"])
def test_what_was_deleted_by_value_is_told_in_words(found: Api, address: str) -> None:
    """As Flink deletes, and nobody in AWS: which findings are left can't be read, and that is no crash."""
    iceberg = IcebergResource(database=f"db_{found.unique}", bucket=f"lake-{found.unique}")
    table = iceberg.table(FINDINGS)
    assert table is not None
    delete_by_value(table, "severity", "medium", f"data-{found.unique}")
    answer = found.http(**found.bearer(found.client())).get(address)
    assert answer.status_code == 501, answer.text
    said = answer.json()
    assert said["type"].endswith(":deletes-by-equality")
    assert "deleted by equality, which can't be read here" in said["detail"]


def test_filters_hold_at_every_offset(found: Api) -> None:
    http = found.http(**found.bearer(found.client()))
    bucket = f"data-{found.unique}"
    rows = [finding(bucket, number) for number in range(100)]

    def expected(**wanted: Any) -> int:
        return sum(all(row[name] == value for name, value in wanted.items()) for row in rows)

    for wanted in (
        {"detector": "ssn"},
        {"severity": "medium"},
        {"key": "logs/3.txt"},
        {"job_id": "job-1"},
        {"job_id": "job-1", "severity": "critical", "key": "logs/3.txt"},
        {"detector": "iban"},
    ):
        said = http.get("/results", params={"bucket": bucket, **wanted, "limit": 1000}).json()
        assert said["total"] == len(said["findings"]) == expected(status="open", **wanted)
        assert all(one[name] == value for one in said["findings"] for name, value in wanted.items())
        ids = [one["id"] for one in said["findings"]]
        for offset in (0, 1, 15, 16, 17, len(ids), 1000):
            page = http.get("/results", params={"bucket": bucket, **wanted, "limit": 5, "offset": offset})
            assert [one["id"] for one in page.json()["findings"]] == ids[offset : offset + 5]
    gone = http.get("/results", params={"bucket": bucket, "status": "gone"}).json()
    assert gone["total"] == expected(status="gone")


def test_a_finding_says_where_and_masked(found: Api) -> None:
    http = found.http(**found.bearer(found.client()))
    one = http.get("/results", params={"bucket": f"data-{found.unique}", "limit": 1}).json()["findings"][0]
    assert len(one.pop("id")) == 32
    assert one == {
        "job_id": "job-0",
        "bucket": f"data-{found.unique}",
        "key": "logs/0.txt",
        "member": "",
        "detector": "email",
        "severity": "medium",
        "confidence": "high",
        "status": "open",
        "masked_match": "j***@e***",
        "context": "mail j***@e*** said",
        "byte_offset": 0,
        "length": 9,
        "line": 0,
        "column": None,
        "row": None,
        "created_at": "2026-01-31T09:30:00Z",
        "last_seen": "2026-01-31T09:30:00Z",
    }


@pytest.mark.parametrize(
    "cursor", ["x", "", "AAAA", "W10", "WzEsMSwwLCJ4Il0", "WzEsLTEsMCwiIl0", "é", "bnVsbA", "W1tbW1tb" * 60]
)
def test_a_cursor_that_is_none_is_422(found: Api, cursor: str) -> None:
    http = found.http(**found.bearer(found.client()))
    answer = http.get("/results", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "cursor"


def test_a_cursor_whose_snapshot_was_forgotten_is_410(found: Api) -> None:
    http = found.http(**found.bearer(found.client()))
    cursor = http.get("/results", params={"limit": 5}).json()["next_cursor"]
    iceberg = IcebergResource(database=f"db_{found.unique}", bucket=f"lake-{found.unique}")
    put(found, f"data-{found.unique}", [finding(f"data-{found.unique}", 1)])
    iceberg.vacuum(FINDINGS, timedelta(0))
    with running_again(found) as again:
        answer = again.http(**found.bearer(found.credentials())).get("/results", params={"cursor": cursor})
    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:privacy-assets:problem:cursor-gone"


def running_again(api: Api) -> Any:
    """Another process of the same API: it has read nothing yet."""
    from contextlib import contextmanager
    from dataclasses import replace

    from resources.iceberg_pages import TablePages
    from tests.api.house import served

    @contextmanager
    def made() -> Iterator[Api]:
        iceberg = IcebergResource(database=f"db_{api.unique}", bucket=f"lake-{api.unique}")
        services = replace(api.services, findings=TablePages(iceberg, FINDINGS))
        other = Api(api.unique, api.secrets, api.state, services)
        with served(other):
            yield other

    return made()


def test_files_are_whole_and_in_their_forms(found: Api) -> None:
    http = found.http(**found.bearer(found.client()))
    lines = http.get("/results.jsonl")
    assert lines.headers["content-type"] == "application/jsonl"
    records = [json.loads(line) for line in lines.text.splitlines()]
    assert len(records) == 108
    assert {record["source"].split("/")[2] for record in records} == {
        f"data-{found.unique}",
        f"other-{found.unique}",
    }
    rows = list(csv.DictReader(io.StringIO(http.get("/results.csv", params={"detector": "ssn"}).text)))
    assert len(rows) == 48
    assert {row["detector"] for row in rows} == {"ssn"}
    log = json.loads(http.get("/results.sarif").text)
    assert log["version"] == "2.1.0"
    assert len(log["runs"][0]["results"]) == 108


def test_scopes_are_apart(found: Api) -> None:
    reader = found.http(**found.bearer(found.client("reader", ["scans:read"])))
    writer = found.http(**found.bearer(found.client("writer", ["scans:write"])))
    assert reader.get("/results").status_code == 200
    assert reader.post("/scan", json={"bucket": f"data-{found.unique}"}).status_code == 403
    assert writer.get("/results").status_code == 403
    assert writer.get("/jobs/none").status_code == 403
    assert found.http().get("/results.csv").status_code == 401
