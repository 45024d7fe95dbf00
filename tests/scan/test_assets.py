"""A bucket's scan end to end on local AWS: states, findings, what a night costs, kills, jobs."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from stdnum import luhn

from privacy_assets.cli import run
from privacy_assets.ledger import open_log
from privacy_assets.partitions import BUCKETS
from privacy_assets.scan import assets, work
from privacy_assets.scan.assets import FINDINGS_KEY, JOB_TAG, OBJECTS_KEY, RISK_KEY, SCAN_JOB
from privacy_assets.scan.tables import FINDINGS
from resources.buckets import BucketsResource
from resources.iceberg import IcebergResource
from resources.s3 import LakeResource
from tests.house import House, client
from tests.row_deletes import delete_by_value

SSN = "-".join(("536", "90", "4399"))
_ISSUED = "45320" + "1511283036"
CARD = _ISSUED + luhn.calc_check_digit(_ISSUED)
EMAIL = "@".join(("maria.garcia", "corp-mail.io"))


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of processes takes seconds to start; one test has it."""
    monkeypatch.setenv("PRIVACY_ASSETS_SCAN_PROCESSES", "1")
    monkeypatch.setattr(assets, "_RETRY", None)


class Scans:
    """One bucket and the scans of it."""

    def __init__(self, house: House, bucket: str) -> None:
        self.house, self.bucket = house, bucket
        self.s3 = client("s3")
        self.s3.create_bucket(Bucket=bucket)
        house.instance.add_dynamic_partitions(BUCKETS.name or "", [bucket])

    def put(self, key: str, body: str | bytes, **arguments: Any) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data, **arguments)

    def scan(self, job_id: str | None = None, *, fails: bool = False, **overrides: Any) -> Any:
        definitions = self.house.definitions
        if overrides:
            from privacy_assets.definitions import build

            definitions = build(self.house.estate, [], {**self.house.resources, **overrides})
        result = definitions.resolve_job_def(SCAN_JOB).execute_in_process(
            instance=self.house.instance,
            partition_key=self.bucket,
            tags={JOB_TAG: job_id} if job_id else {},
            raise_on_error=not fails,
        )
        assert result.success is not fails
        return result

    def objects(self) -> dict[str, tuple[str, str]]:
        rows = self.house.rows(
            "SELECT key, state, why FROM scan_objects WHERE bucket = ?", f"'{self.bucket}'"
        )
        return {row["key"]: (row["state"], row["why"]) for row in rows}

    def findings(self, *columns: str) -> list[dict[str, Any]]:
        names = ", ".join(columns or ("key", "detector", "byte_offset", "status", "masked_match"))
        return self.house.rows(
            f"SELECT {names} FROM scan_findings WHERE bucket = ? ORDER BY key, byte_offset",
            f"'{self.bucket}'",
        )

    def job(self, job_id: str) -> dict[str, Any]:
        found = self.house.resources["scan_jobs"].get(job_id)
        assert found is not None
        return found


@pytest.fixture
def scans(aws: str, unique: str, tmp_path: Path) -> Scans:
    return Scans(House.build(aws, unique, tmp_path), f"data-{unique}")


def zipped(**members: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return body.getvalue()


def test_each_object_has_one_state_and_each_finding_its_place(scans: Scans) -> None:
    scans.put("logs/app.log", f"nothing\nssn={SSN} here\n")
    scans.put("clean.txt", "nothing at all\n")
    scans.put("people.csv", f"name,card\nMaria,{CARD}\n")
    scans.put("all.zip", zipped(**{"a.txt": f"mail to {EMAIL}"}))
    scans.put("cold.txt", SSN, StorageClass="GLACIER")
    scans.put("broken.gz", b"\x1f\x8b\x08\x00not a gzip")
    result = scans.scan("job-1")
    assert scans.objects() == {
        "logs/app.log": ("findings", ""),
        "clean.txt": ("clean", ""),
        "people.csv": ("findings", ""),
        "all.zip": ("findings", ""),
        "cold.txt": ("skipped", "archived"),
        "broken.gz": ("failed", "broken"),
    }
    found = scans.findings(
        "key", "member", "detector", "byte_offset", "line", "column_name", "row_number", "masked_match"
    )
    assert [tuple(row.values())[:-1] for row in found] == [
        ("all.zip", "a.txt", "email", 8, 1, None, None),
        ("logs/app.log", "", "ssn", 12, 2, None, None),
        ("people.csv", "", "credit_card", 16, 2, "card", 1),
    ]
    assert found[1]["masked_match"] == "XXX-XX-4399"
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description == "4 of 6 objects read to their end; 1 failed, 1 skipped"
    keys = {event.asset_key for event in result.get_asset_materialization_events()}
    assert keys == {OBJECTS_KEY, FINDINGS_KEY, RISK_KEY}
    job = scans.job("job-1")
    told = ("status", "total_objects", "queued", "processing", "succeeded", "failed", "skipped")
    assert [job[name] for name in told] == ["SUCCEEDED", 6, 0, 0, 4, 1, 1]
    assert (job["total_findings"], job["progress_percent"]) == (3, 100)


def test_no_value_is_anywhere_but_in_its_object(scans: Scans) -> None:
    scans.put("a.txt", f"ssn={SSN} card {CARD} {EMAIL}\n")
    result = scans.scan("job")
    lake = scans.house.lake
    stored = b"".join(lake.read(item.key) for item in lake.list("scan/"))
    (logged,) = open_log(scans.house.ledger).entries("job")
    assert logged.event.kind == "scan.completed"
    assert (logged.event.counts["objects"], logged.event.counts["open_findings"]) == (1, 3)
    stored += logged.leaf
    events = "".join(str(event) for event in result.all_events)
    rows = json.dumps([list(map(str, row.values())) for row in scans.findings("*")])
    for value in (SSN, CARD, EMAIL):
        assert value.encode() not in stored
        assert value not in events
        assert value not in rows
    assert "XXX-XX-4399" in rows


def test_an_unchanged_bucket_is_not_read_again(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    scans.put("a.txt", f"ssn={SSN}\n")
    scans.put("b.txt", "clean\n")
    scans.scan()
    first = scans.findings("first_seen", "last_seen", "job_id")
    read: list[str] = []
    counted(monkeypatch, read)
    scans.scan()
    assert read == []
    assert scans.findings("first_seen", "last_seen", "job_id") == first


def counted(monkeypatch: pytest.MonkeyPatch, read: list[str]) -> None:
    """Note the key of each object that is read."""
    original = work.scan_object

    def noted(store: Any, bucket: str, item: Any, *others: Any) -> Any:
        read.append(item.key)
        return original(store, bucket, item, *others)

    monkeypatch.setattr(work, "scan_object", noted)


def test_what_is_replaced_or_deleted_closes_its_findings(scans: Scans) -> None:
    scans.put("a.txt", f"ssn={SSN}\n")
    scans.put("b.txt", f"mail {EMAIL}\n")
    scans.put("c.txt", f"card {CARD}\n")
    scans.scan()
    first = {row["key"]: row["first_seen"] for row in scans.findings("key", "first_seen")}
    scans.put("a.txt", "gone\n")
    scans.s3.delete_object(Bucket=scans.bucket, Key="b.txt")
    scans.scan()
    status = {
        row["key"]: (row["status"], row["closed_at"]) for row in scans.findings("key", "status", "closed_at")
    }
    assert status["a.txt"][0] == status["b.txt"][0] == "gone"
    assert status["a.txt"][1] is not None
    assert status["c.txt"] == ("open", None)
    assert set(scans.objects()) == {"a.txt", "c.txt"}
    scans.put("a.txt", f"ssn={SSN}\n")  # the same bytes, so the same etag: it is the same finding
    scans.scan()
    (again,) = (
        row for row in scans.findings("key", "status", "first_seen", "closed_at") if row["key"] == "a.txt"
    )
    assert (again["status"], again["closed_at"]) == ("open", None)
    assert again["first_seen"] == first["a.txt"]


def test_a_changed_detector_reads_again_for_itself_alone(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans.put("a.txt", f"ssn={SSN} {EMAIL}\n")
    scans.put("b.txt", "clean\n")
    scans.scan()
    before = scans.findings("detector", "last_seen", "detector_version")
    changed(monkeypatch, "ssn")
    read: list[str] = []
    counted(monkeypatch, read)
    scans.scan()
    assert sorted(read) == ["a.txt", "b.txt"]
    after = scans.findings("detector", "last_seen", "detector_version")
    versions = {row["detector"]: row["detector_version"] for row in before}
    assert {row["detector"]: row["detector_version"] for row in after} == {
        **versions,
        "ssn": versions["ssn"] + 1,
    }
    (email_before,) = (row for row in before if row["detector"] == "email")
    assert email_before in after
    assert scans.house.rows("SELECT findings FROM scan_objects WHERE key = 'a.txt'") == [{"findings": 2}]
    read.clear()
    scans.scan()
    assert read == []


def changed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As if the detector ``name`` had a newer version."""
    from dataclasses import replace

    from privacy_assets.scan import rules

    detectors = {
        key: replace(one, version=one.version + 1) if key == name else one for key, one in rules.ALL.items()
    }
    monkeypatch.setattr(rules, "ALL", detectors)


@pytest.fixture
def faults(scans: Scans) -> Any:
    """Orders S3's errors for a key of the bucket."""

    def order(*wanted: tuple[str, str, int, int, str]) -> None:
        answer = requests.post(
            f"{scans.house.endpoint}/_local/s3/faults",
            json=[
                {"path": f"/{scans.bucket}/{key}", "code": code, "status": status, "times": times,
                 "method": "GET", "message": message}
                for key, code, status, times, message in wanted
            ],
            timeout=60,
        )  # fmt: skip
        assert answer.ok, answer.text

    yield order
    order()


def test_what_s3_refuses_is_a_state_of_its_own(scans: Scans, faults: Any) -> None:
    for key in ("busy.txt", "down.txt", "denied.txt", "key.txt", "gone.txt", "fine.txt"):
        scans.put(key, f"ssn={SSN}\n")
    faults(
        ("busy.txt", "SlowDown", 503, 2, "Please reduce your request rate."),
        ("down.txt", "ServiceUnavailable", 503, 0, "…"),
        ("denied.txt", "AccessDenied", 403, 0, "Access Denied"),
        ("key.txt", "AccessDenied", 403, 0, "not authorized to perform: kms:Decrypt on this resource"),
        ("gone.txt", "NoSuchKey", 404, 0, "The specified key does not exist."),
    )
    scans.scan("job")
    assert scans.objects() == {
        "busy.txt": ("findings", ""),
        "down.txt": ("failed", "throttled"),
        "denied.txt": ("failed", "access denied"),
        "key.txt": ("failed", "key denied"),
        "gone.txt": ("skipped", "vanished"),
        "fine.txt": ("findings", ""),
    }
    job = scans.job("job")
    assert [job[name] for name in ("succeeded", "failed", "skipped", "total_findings")] == [2, 3, 1, 2]
    url = client("sqs").get_queue_url(QueueName=scans.house.names.scan_dead_letters)["QueueUrl"]
    letters = {}
    while (
        found := client("sqs")
        .receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        .get("Messages")
    ):
        for letter in found:
            letters[json.loads(letter["Body"])["key"]] = letter["MessageAttributes"]["reason"]["StringValue"]
    assert letters["down.txt"] == "throttled after 3 tries: ServiceUnavailable"
    assert set(letters) == {"down.txt", "denied.txt", "key.txt"}
    faults()
    scans.scan()  # what failed is tried again, what is gone is no longer listed where it is gone
    assert {state for key, (state, _) in scans.objects().items() if key != "gone.txt"} == {"findings"}


def test_an_object_that_changes_while_it_is_read_is_read_as_it_is_then(scans: Scans) -> None:
    scans.put("a.txt", "first\n")

    class Racing(BucketsResource):
        """Another writer is faster than the first read."""

        def open(self, bucket: str, item: Any) -> Any:
            if item.etag == first:
                scans.put("a.txt", f"ssn={SSN}\n")
            return super().open(bucket, item)

    first = scans.s3.head_object(Bucket=scans.bucket, Key="a.txt")["ETag"].strip('"')
    scans.scan(buckets=Racing())
    now = scans.s3.head_object(Bucket=scans.bucket, Key="a.txt")["ETag"].strip('"')
    assert scans.objects() == {"a.txt": ("findings", "")}
    assert scans.findings("etag", "detector") == [{"etag": now, "detector": "ssn"}]
    assert scans.house.rows("SELECT etag FROM scan_objects") == [{"etag": now}]


def test_a_bucket_that_is_none_fails_the_job(scans: Scans, unique: str) -> None:
    scans.house.instance.add_dynamic_partitions(BUCKETS.name or "", [f"none-{unique}"])
    scans.bucket = f"none-{unique}"
    result = scans.scan("job", fails=True)
    (failure,) = (event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    assert failure.step_key == "scan.scan_plan"
    said = str(failure.step_failure_data.error)
    assert f"s3://none-{unique}: vanished (NoSuchBucket), expected s3:ListBucket on it" in said
    assert scans.job("job")["status"] == "QUEUED"  # closed by the sensor of failed runs


def test_another_scan_that_runs_keeps_its_parts(scans: Scans) -> None:
    """Its findings are there before the objects that they belong to: nobody else may take or remove them."""
    jobs, lake = scans.house.resources["scan_jobs"], scans.house.lake
    jobs.record("other", scans.bucket, "")
    jobs.begin("other", "run", 1, 1, 1)
    part = f"scan/{scans.bucket}/parts/other/run/shard_0000/findings-1.parquet"
    lake.write(part, b"not to be read", "application/octet-stream")
    scans.put("a.txt", f"ssn={SSN}\n")
    scans.scan("job")
    assert len(scans.findings()) == 1
    assert [item.key for item in lake.list(f"scan/{scans.bucket}/parts/")] == [part]


def test_the_estate_says_what_is_asked_for(aws: str, unique: str, tmp_path: Path) -> None:
    name = f"data-{unique}"
    governed = {
        "name": name,
        "prefix": "in/",
        "exclude": ["*.tmp"],
        "owner": "team:data",
        "alert_at": "medium",
    }
    scans = Scans(House.build(aws, unique, tmp_path, buckets=[governed]), name)
    for key in ("in/a.txt", "in/b.tmp", "out/c.txt"):
        scans.put(key, f"ssn={SSN}\n")
    result = scans.scan()
    assert scans.objects() == {"in/a.txt": ("findings", "")}
    (check,) = result.get_asset_check_evaluations()
    assert check.passed


def test_the_pool_finds_what_one_process_finds(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        scans.put(f"{number}.txt", f"ssn={SSN} {EMAIL}\n")
    monkeypatch.setenv("PRIVACY_ASSETS_SCAN_PROCESSES", "2")
    monkeypatch.setattr(work, "_BATCH_OBJECTS", 2)
    scans.scan()
    assert len(scans.findings()) == 12
    assert {state for state, _ in scans.objects().values()} == {"findings"}


class Killed(BaseException):
    """As a process is killed: nothing catches it."""


def test_a_killed_scan_goes_on_where_it_was(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        scans.put(f"{number:02}.txt", f"ssn={SSN} {number}\n")
    monkeypatch.setattr(work, "_BATCH_OBJECTS", 4)
    read: list[str] = []
    counted(monkeypatch, read)
    killing(monkeypatch, after=14)
    with pytest.raises(Killed):
        scans.scan("job")
    assert scans.house.resources["scan_jobs"].get("job")["status"] == "PROCESSING"
    stop_killing(monkeypatch)
    first, _ = list(read), read.clear()
    scans.scan("job")
    finished = set(first[:12])  # three batches of four were in parts
    assert not finished & set(read)
    assert len(read) == 30 - len(finished)
    assert len(scans.findings()) == 30
    assert len({row["key"] for row in scans.findings()}) == 30
    job = scans.job("job")
    assert (job["succeeded"], job["to_read"], job["progress_percent"]) == (30, 30, 100)


def test_a_commit_that_died_at_its_end_is_made_good(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of its writes: the tables, the summary, the traces."""
    scans.put("a.txt", f"ssn={SSN}\n")
    scans.put("b.txt", "clean\n")
    original = {name: getattr(LakeResource, name) for name in ("write", "delete")}
    replace = IcebergResource.replace

    def dies(after: int) -> None:
        steps = Counter[str]()

        def step() -> None:
            steps["done"] += 1
            if steps["done"] > after:
                raise Killed

        def replacing(self: Any, *arguments: Any) -> Any:
            step()
            return replace(self, *arguments)

        def writing(self: Any, key: str, *arguments: Any) -> Any:
            if "/scans/" in key:
                step()
            return original["write"](self, key, *arguments)

        def deleting(self: Any, keys: Any) -> Any:
            step()
            return original["delete"](self, keys)

        monkeypatch.setattr(IcebergResource, "replace", replacing)
        monkeypatch.setattr(LakeResource, "write", writing)
        monkeypatch.setattr(LakeResource, "delete", deleting)

    for after in range(5):
        dies(after)
        with pytest.raises(Killed):
            scans.scan("job")
    monkeypatch.undo()
    scans.scan("job")
    assert scans.findings("key", "detector", "status") == [
        {"key": "a.txt", "detector": "ssn", "status": "open"}
    ]
    assert set(scans.objects()) == {"a.txt", "b.txt"}
    assert list(scans.house.lake.list(f"scan/{scans.bucket}/parts/")) == []
    assert list(scans.house.lake.list(f"scan/{scans.bucket}/jobs/")) == []


def killing(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    current = work.scan_object
    seen: Counter[str] = Counter()

    def dying(*arguments: Any) -> Any:
        seen["objects"] += 1
        if seen["objects"] > after:
            raise Killed
        return current(*arguments)

    monkeypatch.setattr(work, "scan_object", dying)
    monkeypatch.setattr(work, "_living", current, raising=False)


def stop_killing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "scan_object", work._living)  # type: ignore[attr-defined]


def test_own_detectors_and_what_is_allowed(
    scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "detectors.yaml"
    monkeypatch.setenv("PRIVACY_ASSETS_DETECTORS", str(rules))
    rules.write_text(
        "detectors:\n"
        "  - {name: employee_id, title: Employee number, pattern: 'EMP-[0-9]{6}', severity: high}\n"
        "allow:\n"
        "  - {path: 'fixtures/*', reason: 'test data, made up', expires: 2999-12-31}\n"
    )
    scans.put("fixtures/a.txt", f"ssn={SSN}\n")
    scans.put("real/b.txt", f"ssn={SSN} EMP-104417\n")
    scans.put("real/clean.txt", "nothing\n")
    scans.scan()
    columns = ("key", "detector", "status", "allowed_because")
    assert [tuple(row.values()) for row in scans.findings(*columns)] == [
        ("fixtures/a.txt", "ssn", "allowed", "test data, made up"),
        ("real/b.txt", "ssn", "open", None),
        ("real/b.txt", "employee_id", "open", None),
    ]
    read: list[str] = []
    counted(monkeypatch, read)
    rules.write_text(rules.read_text().replace("2999-12-31", "2020-01-31"))
    scans.scan()
    assert sorted(read) == ["fixtures/a.txt", "real/b.txt"]  # the allow list can't concern the others
    assert [row["status"] for row in scans.findings("status", "key", "byte_offset")] == ["open"] * 3


def test_rules_that_cannot_be_read_fail_before_anything_is_listed(
    scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "detectors.yaml"
    rules.write_text("detectors:\n  - {name: Bad}\n")
    monkeypatch.setenv("PRIVACY_ASSETS_DETECTORS", str(rules))
    result = scans.scan(fails=True)
    (failure,) = (event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    assert failure.step_key == "scan.scan_plan"
    assert f"{rules}:2: detectors.0.name: 'Bad'" in str(failure.step_failure_data.error)


def test_keys_that_name_a_person_are_masked_where_people_look(scans: Scans) -> None:
    scans.put(f"users/{EMAIL}/torn.gz", b"\x1f\x8b\x08\x00torn")
    scans.put(f"users/{EMAIL}/a.txt", f"ssn={SSN}\n")
    result = scans.scan()
    told = "".join(str(event) for event in result.all_events)
    lake = scans.house.lake
    shown = b"".join(lake.read(item.key) for item in lake.list("scan/"))
    assert EMAIL not in told
    assert EMAIL.encode() not in shown
    assert f"users/{EMAIL}/a.txt" in scans.objects()


def test_stored_findings_are_exported(
    scans: Scans, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = scans.house.names
    monkeypatch.setenv("PRIVACY_ASSETS_GLUE_DATABASE", names.database)
    monkeypatch.setenv("PRIVACY_ASSETS_LAKE_BUCKET", names.bucket)
    assert run(["findings", scans.bucket]) == 2
    assert f"{scans.bucket}: never scanned" in capsys.readouterr().err
    scans.put("a.txt", f"ssn={SSN} {EMAIL}\n")
    scans.scan()
    capsys.readouterr()
    assert run(["findings", scans.bucket]) == 0
    out = capsys.readouterr().out
    assert [json.loads(line)["detector"] for line in out.splitlines()] == ["ssn", "email"]
    assert json.loads(out.splitlines()[0])["source"] == f"s3://{scans.bucket}/a.txt"
    assert run(["findings", scans.bucket, "--sarif"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    assert [result["ruleId"] for result in told["results"]] == ["ssn", "email"]
    assert run(["findings", scans.bucket, "--csv", "--status", "gone"]) == 0
    assert capsys.readouterr().out.startswith("source,member,detector,byte_offset,length,line")
    table = IcebergResource(database=names.database, bucket=names.bucket).table(FINDINGS)
    assert table is not None
    delete_by_value(table, "detector", "ssn", scans.bucket)
    assert run(["findings", scans.bucket]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("privacy-assets: scan_findings: has deletes by equality, expected by position")
    assert told.err.count("\n") == 1
