"""The audits as assets: run by Athena on a snapshot, kept in Iceberg, told to Dagster, reported."""

import hashlib
import io
import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privacy_assets.audit import assets
from privacy_assets.audit.assets import CHECK, DAILY_REPORT, audit_assets, tag_value
from privacy_assets.audit.definition import load_audits
from privacy_assets.audit.results import RESULTS, RUNS
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate
from privacy_assets.ledger import Entry, open_log
from privacy_assets.masking import mask
from resources.athena import AthenaResource
from resources.glue import GlueResource
from resources.iceberg import IcebergResource
from resources.s3 import LakeResource
from tests.house import new_ledger

DAY = "2026-01-31"
KEYS = [("snapshot_date", "date")]
COLUMNS = [("log_id", "string"), ("subject_id", "string"), ("message", "string")]
PLANTED = ["subject-jane-doe-1977", "log-0000000001-doe", "jane.doe@example.com"]
ESTATE = Estate.model_validate(
    {
        "start": date(2026, 1, 1),
        "tables": [
            {
                "name": "privacy_logs",
                "table": "PrivacyLogsTable",
                "keys": ["log_id"],
                "subject_key": "subject_id",
                "owner": "team:privacy",
                "columns": {name: {"type": kind} for name, kind in COLUMNS},
            }
        ],
    }
)


def sql(audit_id: str, query: str, severity: str = "high", threshold: int = 0) -> str:
    lines = [
        "---",
        f"id: {audit_id}",
        f"title: Title of {audit_id}",
        f"severity: {severity}",
        "regulation: GDPR Art. 6(1)(a), 7(1)",
        f"threshold: {threshold}",
        "owner: team:privacy",
        "description: What it is about.",
        "---",
    ]
    return "\n".join([*(f"-- {line}" for line in lines), query])


ALL_ROWS = (
    "SELECT subject_id AS subject, log_id AS row_key, concat('seen in ', log_id) AS reason "
    "FROM privacy_logs WHERE snapshot_date = :snapshot_date"
)
AUDITS = {
    "a.all": sql("a.all", ALL_ROWS),
    "a.some": sql("a.some", f"{ALL_ROWS} AND log_id < 'log-0000000003'", "low", threshold=2),
    "a.none": sql("a.none", f"{ALL_ROWS} AND TIMESTAMP '2026-01-01 00:00:00' > :as_of", "critical"),
}
ASSETS = {audit_id: dg.AssetKey(["audit", audit_id.replace(".", "_")]) for audit_id in AUDITS}


@dataclass
class House:
    """A lake, a catalog and a workgroup of one test, and the audits in a folder."""

    name: str
    folder: Path
    instance: dg.DagsterInstance
    estate: Estate = ESTATE

    def __post_init__(self) -> None:
        self.lake = LakeResource(bucket=f"lake-{self.name}")
        self.glue = GlueResource(database=f"db_{self.name}")
        self.athena = AthenaResource(workgroup=f"wg-{self.name}", database=f"db_{self.name}")
        self.iceberg = IcebergResource(database=f"db_{self.name}", bucket=self.lake.bucket)
        self.ledger = new_ledger(self.name)
        boto3.client("s3").create_bucket(Bucket=self.lake.bucket)
        boto3.client("glue").create_database(DatabaseInput={"Name": self.glue.database})
        output = {
            "ResultConfiguration": {"OutputLocation": self.lake.uri("athena/")},
            "EnforceWorkGroupConfiguration": False,  # each audit says where its raw result goes
        }
        boto3.client("athena").create_work_group(Name=self.athena.workgroup, Configuration=output)

    def write(self, **audits: str) -> None:
        for name, text in audits.items():
            (self.folder / f"{name}.sql").write_text(text)

    def snapshot(
        self,
        rows: int,
        export_id: str = "e1",
        day: str = DAY,
        misfits: Mapping[str, int] | None = None,
        undeclared: Mapping[str, int] | None = None,
    ) -> None:
        """A typed snapshot of ``rows`` rows, the first of them Jane Doe's."""
        table = pa.table(
            {
                "log_id": [PLANTED[1], *(f"log-{n:010d}" for n in range(2, rows + 1))][:rows],
                "subject_id": [PLANTED[0], *(f"subject-{n:06d}" for n in range(2, rows + 1))][:rows],
                "message": [PLANTED[2]] * rows,
            }
        )
        file = io.BytesIO()
        pq.write_table(table, file)
        folder = f"snapshots/privacy_logs/snapshot_date={day}/{export_id}/"
        self.lake.write(f"{folder}part.parquet", file.getvalue(), "application/octet-stream")
        location = self.lake.uri("snapshots/privacy_logs/")
        self.glue.ensure_table("privacy_logs", COLUMNS, KEYS, location, "parquet")
        end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
        parameters = {"export_id": export_id, "export_time": end.isoformat(), "item_count": str(rows)}
        parameters |= {"misfits": json.dumps(misfits or {}), "undeclared": json.dumps(undeclared or {})}
        self.glue.point("privacy_logs", [day], self.lake.uri(folder), COLUMNS, "parquet", parameters)

    def materialize(self, *keys: dg.AssetKey, day: str = DAY) -> dg.ExecuteInProcessResult:
        """Materialize the audits and the report, or those of ``keys``."""
        return dg.materialize(
            audit_assets(self.estate, load_audits(self.folder)),
            selection=list(keys) or None,
            partition_key=day,
            instance=self.instance,
            resources={
                "lake": self.lake,
                "glue": self.glue,
                "athena": self.athena,
                "iceberg": self.iceberg,
                "ledger": self.ledger,
            },
            raise_on_error=False,
        )

    def kept(self) -> list[tuple[str, str, str]]:
        rows = self.iceberg.read(RESULTS).to_pylist()
        return sorted((row["audit_id"], row["export_id"], row["row_key"]) for row in rows)

    def logged(self) -> list[Entry]:
        return open_log(self.ledger).entries(f"audit-{DAY}")

    def keys(self, prefix: str) -> list[str]:
        return [item.key for item in self.lake.list(prefix)]


@pytest.fixture
def house(aws: str, unique: str, tmp_path: Path) -> Iterator[House]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = House(unique, tmp_path, instance)
        made.write(**AUDITS)
        yield made


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    [found] = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == key and event.is_step_materialization
    ]
    return {name: value.value for name, value in found.metadata.items()}


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    [event] = [event for event in result.get_step_failure_events() if event.step_key == step]
    data = event.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


def report(house: House, day: str = DAY) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(house.lake.read(f"reports/snapshot_date={day}/report.json"))
    return document


def test_a_day_is_audited_and_reported(house: House) -> None:
    house.snapshot(30)
    result = house.materialize()
    assert result.success

    rows = house.kept()
    assert [audit_id for audit_id, *_ in rows] == ["a.all"] * 30 + ["a.some"] * 2
    assert {export_id for _, export_id, _ in rows} == {"e1"}

    checks = {check.asset_key: check for check in result.get_asset_check_evaluations()}
    assert {key: (check.passed, check.severity.value) for key, check in checks.items()} == {
        ASSETS["a.all"]: (False, "ERROR"),
        ASSETS["a.some"]: (True, "WARN"),
        ASSETS["a.none"]: (True, "ERROR"),
    }
    assert {check.check_name for check in checks.values()} == {CHECK}

    said = metadata(result, ASSETS["a.all"])
    assert (said["violations"], said["threshold"], said["status"], said["export_id"]) == (
        30,
        0,
        "violated",
        "e1",
    )
    assert said["item_count"] == 30
    assert said["sql_sha256"] == load_audits(house.folder)[0].sha256
    assert ALL_ROWS in said["sql"]
    assert said["estimated_cost_usd"] == pytest.approx(10 / 1024**2 * 5, abs=1e-6)
    assert said["bytes_scanned"] > 0
    preview = said["preview"].splitlines()
    assert [line.split("|")[1].strip() for line in preview[2:22]] == [str(n) for n in range(1, 21)]
    assert preview[23] == "The first 20 of 30; all are in `audit_results`:"
    assert "ORDER BY row_key, subject, reason" in preview[26]
    assert metadata(result, ASSETS["a.none"])["preview"] == "No violations."
    assert house.keys(f"audits/a.all/snapshot_date={DAY}/")[0].endswith(f"{said['athena_query_id']}.csv")


def test_a_night_is_logged(house: House) -> None:
    house.snapshot(30)
    result = house.materialize()
    first = house.logged()
    assert [entry.event.kind for entry in first] == [
        "export.audited",
        *["audit.recorded"] * 3,
        "report.written",
    ]
    assert {entry.event.run_id for entry in first} == {result.run_id}
    exported, audited, *_, reported = (entry.event for entry in first)
    assert (exported.counts, exported.details["export_id"]) == ({"items": 30}, "e1")
    assert audited.counts == {"violations": 30, "threshold": 0, "values_not_read": 0}
    assert audited.artefacts == {"sql": load_audits(house.folder)[0].sha256}
    assert audited.details["status"] == "violated"
    page = house.lake.read(f"reports/snapshot_date={DAY}/report.html")
    assert reported.artefacts["html"] == hashlib.sha256(page).hexdigest()
    house.materialize(ASSETS["a.all"])
    assert len(house.logged()) == 7


def test_an_audit_that_can_not_be_logged_is_not_told_as_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "_RETRY", None)  # it would wait before it is tried again
    house.snapshot(1)
    boto3.client("dynamodb").delete_table(TableName=house.ledger.table)
    result = house.materialize()
    assert not result.success
    assert not result.get_asset_materialization_events()


def test_no_value_of_a_subject_is_told(house: House) -> None:
    house.snapshot(3)
    house.write(
        broken=sql(
            "a.broken",
            "SELECT CAST(message AS bigint) AS subject, log_id AS row_key, '' AS reason "
            "FROM privacy_logs WHERE snapshot_date = :snapshot_date",
        )
    )
    result = house.materialize(*ASSETS.values(), dg.AssetKey(["audit", "a_broken"]))
    assert not result.success
    house.materialize(DAILY_REPORT)
    told = "".join(
        str(entry) for run in house.instance.get_runs() for entry in house.instance.all_logs(run.run_id)
    ) + "".join(house.lake.read(key).decode() for key in house.keys("reports/"))
    assert len(house.keys("reports/")) == 2
    told += "".join(entry.leaf.decode() for entry in house.logged())
    assert "audit.failed" in told
    assert "a.broken" in told
    assert [value for value in PLANTED if value in told] == []


def test_an_audit_alone_replaces_its_own_findings(house: House) -> None:
    house.snapshot(5)
    assert house.materialize().success
    house.snapshot(1, export_id="e2")
    result = house.materialize(ASSETS["a.all"])
    assert result.success
    assert house.kept() == [
        ("a.all", "e2", PLANTED[1]),
        ("a.some", "e1", PLANTED[1]),
        ("a.some", "e1", "log-0000000002"),
    ]
    assert [check.asset_key for check in result.get_asset_check_evaluations()] == [ASSETS["a.all"]]
    assert [line["stale"] for line in report(house)["audits"]] == [False] * 3
    assert house.materialize(DAILY_REPORT).success
    assert {line["id"]: line["stale"] for line in report(house)["audits"]} == {
        "a.all": False,
        "a.some": True,
        "a.none": True,
    }


def test_the_same_day_twice_gives_the_same(house: House) -> None:
    house.snapshot(5)
    first = house.materialize()
    kept, preview = house.kept(), metadata(first, ASSETS["a.all"])["preview"]
    second = house.materialize()
    assert second.success
    assert house.kept() == kept
    assert metadata(second, ASSETS["a.all"])["preview"] == preview
    assert house.iceberg.read(RUNS, ["violations"]).num_rows == 3


def test_one_audit_that_fails_takes_no_other_with_it(house: House) -> None:
    house.snapshot(2)
    house.write(
        broken=sql(
            "a.broken", "SELECT subject_id AS subject, nowhere AS row_key, '' AS reason FROM privacy_logs"
        ),
        narrow=sql("a.narrow", "SELECT subject_id AS subject, log_id AS row_key FROM privacy_logs"),
    )
    result = house.materialize()
    assert not result.success
    told = failure(result, "audits")
    assert "audit a.broken (broken.sql): " in told
    assert "nowhere" in told
    assert "audit a.narrow (narrow.sql): returns no column reason; expected subject, row_key, reason" in told
    assert "a.all" not in told
    done = {event.asset_key for event in result.get_asset_materialization_events()}
    assert done == {*ASSETS.values(), DAILY_REPORT}
    assert len(house.kept()) == 4
    assert [event for event in result.all_events if event.is_step_up_for_retry] == []

    made = {line["id"]: line for line in report(house)["audits"]}
    assert {audit_id: line["status"] for audit_id, line in made.items()} == {
        "a.all": "violated",
        "a.broken": "not_audited",
        "a.narrow": "not_audited",
        "a.none": "passed",
        "a.some": "passed",
    }
    assert "nowhere" in made["a.broken"]["reason"]
    assert made["a.narrow"]["reason"] == "returns no column reason; expected subject, row_key, reason"
    assert "returns no column reason" in house.lake.read(f"reports/snapshot_date={DAY}/report.html").decode()
    failed = {
        check.asset_key.to_user_string(): check
        for check in result.get_asset_check_evaluations()
        if check.asset_key not in ASSETS.values()
    }
    assert set(failed) == {"audit/a_broken", "audit/a_narrow"}
    assert not failed["audit/a_narrow"].passed
    assert failed["audit/a_narrow"].severity is dg.AssetCheckSeverity.ERROR
    assert failed["audit/a_narrow"].partition == DAY
    assert str(failed["audit/a_narrow"].description).startswith("not audited: returns no column reason")


def test_what_an_audit_found_before_it_failed_does_not_count(house: House) -> None:
    house.snapshot(2)
    assert house.materialize().success
    house.write(**{"a.all": sql("a.all", "SELECT nowhere AS subject FROM privacy_logs")})
    assert not house.materialize().success
    assert {line["id"]: line["status"] for line in report(house)["audits"]}["a.all"] == "not_audited"
    house.snapshot(2, day="2026-02-01")
    house.write(**{"a.all": AUDITS["a.all"]})
    assert house.materialize(day="2026-02-01").success
    [line] = [line for line in report(house, "2026-02-01")["audits"] if line["id"] == "a.all"]
    assert [point["violations"] for point in line["trend"][-2:]] == [None, 2]
    assert house.materialize(ASSETS["a.all"]).success
    assert house.materialize(DAILY_REPORT).success
    assert {line["id"]: line["status"] for line in report(house)["audits"]}["a.all"] == "violated"


def test_without_a_snapshot_there_is_nothing_to_audit(house: House) -> None:
    house.snapshot(1, day="2026-01-30")
    result = house.materialize(*ASSETS.values())
    assert failure(result, "audits") == (
        "2026-01-31: no snapshot of privacy_logs; materialize snapshot/privacy_logs"
    )


def test_a_snapshot_replaced_in_the_middle_is_not_believed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.snapshot(2)
    assert house.materialize(*ASSETS.values()).success
    before, execute = house.kept(), AthenaResource.execute

    def replaced(self: AthenaResource, *arguments: Any, **named: Any) -> Any:
        house.snapshot(1, export_id="e2")
        return execute(self, *arguments, **named)

    monkeypatch.setattr("privacy_assets.audit.assets._RETRY", None)
    monkeypatch.setattr(AthenaResource, "execute", replaced)
    result = house.materialize(*ASSETS.values())
    assert failure(result, "audits") == "2026-01-31: a snapshot was replaced while it was audited; run again"
    assert house.kept() == before


MESSAGES = (
    "SELECT subject_id AS subject, log_id AS row_key, 'a message' AS reason "
    "FROM privacy_logs WHERE snapshot_date = :snapshot_date AND message < ''"
)


def test_what_could_not_be_read_is_not_taken_for_innocent(house: House) -> None:
    house.write(messages=sql("a.messages", MESSAGES, "critical"))
    house.snapshot(4, misfits={"message": 3}, undeclared={"nickname": 2})
    result = house.materialize()
    assert result.success
    made = report(house)
    assert {line["id"]: line["status"] for line in made["audits"]} == {
        "a.all": "violated",
        "a.messages": "not_judged",
        "a.none": "passed",
        "a.some": "passed",
    }
    assert made["verdict"]["not_judged"] == 1
    assert made["verdict"]["text"] == (
        "1 of 4 rules is broken (1 high); 1 of 4 could not be judged on all rows; "
        "3 values could not be read; 1 attribute is not in estate.yaml"
    )
    assert made["snapshots"] == [
        {
            "table": "privacy_logs",
            "export_id": "e1",
            "rows": 4,
            "misfits": {"message": 3},
            "misfit_threshold": 0,
            "undeclared": {"nickname": 2},
        }
    ]
    [check] = [
        check
        for check in result.get_asset_check_evaluations()
        if check.asset_key == dg.AssetKey(["audit", "a_messages"])
    ]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description == (
        "0 violations, 0 allowed; 3 values that this audit reads could not be read (message 3)"
    )
    html = house.lake.read(f"reports/snapshot_date={DAY}/report.html").decode()
    assert "could not be read as their column&#39;s type (message 3); 0 allowed" in html
    assert metadata(result, DAILY_REPORT)["not_judged"] == ["a.messages"]


def test_misfits_within_the_threshold_are_allowed(house: House) -> None:
    [table] = ESTATE.tables
    house.estate = Estate(start=ESTATE.start, tables=(table.model_copy(update={"misfit_threshold": 3}),))
    house.write(messages=sql("a.messages", MESSAGES))
    house.snapshot(4, misfits={"message": 3})
    assert house.materialize().success
    assert {line["id"]: line["status"] for line in report(house)["audits"]}["a.messages"] == "passed"
    assert report(house)["snapshots"][0]["misfits"] == {"message": 3}
    house.snapshot(4, misfits={"message": 3, "log_id": 1})
    assert house.materialize().success
    assert {line["status"] for line in report(house)["audits"]} == {"violated", "not_judged"}


def test_a_snapshot_that_was_not_surveyed_is_not_believed(house: House) -> None:
    house.snapshot(1)
    partition = house.glue.partition("privacy_logs", [DAY])
    assert partition is not None
    said = {name: value for name, value in partition.parameters.items() if name != "misfits"}
    house.glue.point("privacy_logs", [DAY], partition.location, COLUMNS, "parquet", said)
    assert failure(house.materialize(*ASSETS.values()), "audits") == (
        "2026-01-31: nobody knows what the snapshot of privacy_logs lost in typing; "
        "materialize snapshot/privacy_logs"
    )


def test_the_report_is_linked_and_opens(house: House) -> None:
    house.snapshot(4)
    result = house.materialize()
    said = metadata(result, DAILY_REPORT)
    assert said["dagster/uri"] == house.lake.uri(f"reports/snapshot_date={DAY}/report.html")
    with urllib.request.urlopen(said["report"]) as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        html = answer.read().decode()
    assert "31 January 2026" in html
    assert "1 of 3 rules is broken (1 high)" in html
    with urllib.request.urlopen(said["json"]) as answer:
        document = json.load(answer)
    assert document["exports"] == [
        {
            "table": "privacy_logs",
            "export_id": "e1",
            "export_time": "2026-02-01T00:00:00Z",
            "item_count": 4,
        }
    ]
    assert [(line["id"], line["status"], line["violations"]) for line in document["audits"]] == [
        ("a.all", "violated", 4),
        ("a.none", "passed", 0),
        ("a.some", "passed", 2),
    ]
    assert said["violated_audits"] == [{"id": "a.all", "severity": "high", "violations": 4, "threshold": 0}]


def test_the_trend_is_of_the_days_that_were_audited(house: House) -> None:
    for day, rows in (("2026-01-28", 3), ("2026-01-30", 5), (DAY, 2)):
        house.snapshot(rows, day=day, export_id=f"e-{day}")
        assert house.materialize(day=day).success
    document = json.loads(house.lake.read(f"reports/snapshot_date={DAY}/report.json"))
    [line] = [line for line in document["audits"] if line["id"] == "a.all"]
    assert [point["violations"] for point in line["trend"][-4:]] == [3, None, 5, 2]
    assert line["changes"] == ["violations went from 5 to 2"]


def test_findings_that_were_torn_are_not_reported(house: House) -> None:
    house.snapshot(2)
    assert house.materialize().success
    house.iceberg.replace(RESULTS, {"audit_id": ["a.some"]}, list)
    result = house.materialize(DAILY_REPORT)
    assert failure(result, "audits") == (
        "2026-01-31: audit_results and audit_runs disagree on a.some, since a run died between them; "
        "materialize these audits again"
    )


def test_athena_reads_the_findings(house: House) -> None:
    house.snapshot(3)
    assert house.materialize(*ASSETS.values()).success
    counts = house.athena.fetch(
        house.athena.execute(
            "SELECT audit_id, count(*) AS rows FROM audit_results WHERE snapshot_date = ? "
            "GROUP BY audit_id ORDER BY audit_id",
            [f"DATE '{DAY}'"],
        )
    )
    assert counts.to_pylist() == [{"audit_id": "a.all", "rows": 3}, {"audit_id": "a.some", "rows": 2}]
    assert house.materialize(DAILY_REPORT).success
    [line] = [line for line in report(house)["audits"] if line["id"] == "a.all"]
    rows = house.athena.fetch(house.athena.execute(line["evidence"]["rows"])).to_pylist()
    assert [mask(row["row_key"]) for row in rows] == [row["row_key"] for row in line["sample"]]


def test_an_asset_says_what_it_is(house: House) -> None:
    [audits] = audit_assets(ESTATE, load_audits(house.folder))
    spec = audits.specs_by_key[ASSETS["a.all"]]
    assert [dep.asset_key.to_user_string() for dep in spec.deps] == ["snapshot/privacy_logs"]
    assert spec.group_name == "audit"
    assert list(spec.owners) == ["team:privacy"]
    assert spec.kinds == {"athena", "iceberg", "sql"}
    assert (spec.tags["severity"], spec.tags["regulation"]) == ("high", "GDPR_Art._6_1_a_7_1")
    assert {dep.asset_key for dep in audits.specs_by_key[DAILY_REPORT].deps} == set(ASSETS.values())


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("CCPA § 1798.120(a), (d)", "CCPA_1798.120_a_d"),
        ("x" * 70, "x" * 63),
        ("§", ""),
        ("a" * 62 + "(1)", "a" * 62),
    ],
)
def test_a_regulation_as_a_tag(text: str, tag: str) -> None:
    assert tag_value(text) == tag


def test_an_audit_of_a_table_that_is_not_governed_is_refused(tmp_path: Path) -> None:
    query = "SELECT id AS subject, id AS row_key, '' AS reason FROM elsewhere"
    front = sql("a.one", query).replace("-- description", "-- tables: [elsewhere]\n-- description")
    (tmp_path / "one.sql").write_text(front)
    with pytest.raises(
        UserError, match=r"one\.sql: table 'elsewhere' is not governed; expected one of privacy_logs"
    ):
        audit_assets(ESTATE, load_audits(tmp_path))
