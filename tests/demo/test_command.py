"""The demo from end to end, as a person runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from privacy_assets.demo.command import kept, last_nights, mornings
from privacy_assets.governed import PROJECT
from tests.processes import processes_of

COMMAND = [sys.executable, "-c", "from privacy_assets.cli import main; main()", "demo"]
SECONDS = 400


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_nights_that_a_schedule_has_run() -> None:
    after, before = datetime(2026, 3, 1, 1, 0, tzinfo=UTC), datetime(2026, 3, 1, 0, 59, tzinfo=UTC)
    assert last_nights(2, after) == [date(2026, 2, 27), date(2026, 2, 28)]
    assert last_nights(2, before) == [date(2026, 2, 26), date(2026, 2, 27)]
    assert mornings([date(2026, 2, 28)]) == ["2026-03-01"]


def test_generated_nights_are_found_exactly(tmp_path: Path) -> None:
    ended = run("--records", "1000", "--days", "2", "--json", "--state", str(tmp_path / "demo"))
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["snapshot_date"] == last_nights(1)[0].isoformat()
    assert document["records"] == 1000
    assert {export["snapshot_date"] for export in document["exports"]} == {
        night.isoformat() for night in last_nights(2)
    }
    assert len(document["audits"]) == 14
    assert document["archive"] == {"deleted": 25, "archived": 25, "restored": 25, "equal": 25}
    for audit in document["audits"]:
        assert set(audit) == {"id", "status", "violations", "severity"}
        assert audit["status"] == "violated"
        assert audit["violations"] > 0
    page = Path(document["report"]["html"]).read_text(encoding="utf-8")
    assert "consent.missing" in page
    assert json.loads(Path(document["report"]["json"]).read_text(encoding="utf-8"))["item_count"] == 1000
    assert not processes_of(tmp_path)
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"reports", "lock"}


def item(number: int, **attributes: Any) -> str:
    kinds = {str: "S", bool: "BOOL"}
    fields = {"log_id": f"row-{number}", **attributes}
    return json.dumps({"Item": {name: {kinds[type(value)]: value} for name, value in fields.items()}})


def processing(number: int, **attributes: Any) -> str:
    row = {
        "subject_id": f"person-{number}",
        "event_time": "2026-01-05T10:00:00Z",
        "event_type": "processing",
        "purpose": "delivery",
        "legal_basis": "contract",
        "jurisdiction": "DE",
    }
    return item(number, **{**row, **attributes})


def own_items() -> Sequence[str]:
    """Three lawful rows, and one, two and three that are not, by three rules."""
    return [
        *(processing(number) for number in range(3)),
        processing(10, special_category=True),
        *(processing(number, legal_basis="consent") for number in (20, 21)),
        *(processing(number, message=f"from n{number}@example.com") for number in (30, 31, 32)),
    ]


def test_a_users_own_items_are_counted_as_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text("\n".join(own_items()))
    ended = run("--items", str(path), "--json", "--state", str(tmp_path / "demo"))
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["records"] == 9
    found = {audit["id"]: audit["violations"] for audit in document["audits"] if audit["violations"]}
    assert found == {
        "special_category.basis": 1,
        "consent.missing": 2,
        "message.unmasked_personal_data": 3,
    }


BROKEN = """\
-- ---
-- id: a.broken
-- title: Names a column that is not there
-- severity: low
-- regulation: none
-- threshold: 0
-- owner: team:privacy
-- description: Nothing.
-- ---
SELECT subject_id AS subject, nowhere AS row_key, '' AS reason FROM privacy_logs
"""


def test_what_could_not_be_judged_and_what_could_not_be_run_are_told(tmp_path: Path) -> None:
    """One bad audit takes no other with it; a child whose age is text is not told to be no child."""
    audits = tmp_path / "audits"
    audits.mkdir()
    for name in ("minors.consent", "consent.missing"):
        shutil.copy(PROJECT / "audits" / f"{name}.sql", audits)
    (audits / "broken.sql").write_text(BROKEN)
    path = tmp_path / "own.json"
    path.write_text(processing(1, subject_age="12", nickname="x"))
    ended = run(
        *("--items", str(path), "--json", "--state", str(tmp_path / "demo")),
        PRIVACY_ASSETS_AUDITS=str(audits),
    )
    assert ended.returncode == 1, ended.stderr
    document = json.loads(ended.stdout)
    assert {audit["id"]: audit["status"] for audit in document["audits"]} == {
        "a.broken": "not_audited",
        "consent.missing": "passed",
        "minors.consent": "not_judged",
    }
    assert "nowhere" in document["reasons"]["a.broken"]
    (snapshot,) = document["snapshots"]
    assert (snapshot["misfits"], snapshot["undeclared"]) == ({"subject_age": 1}, {"nickname": 1})
    assert document["verdict"] == (
        "1 of 3 rules hold; 1 of 3 was not audited; 1 of 3 could not be judged on all rows; "
        "1 value could not be read; 1 attribute is not in estate.yaml"
    )
    assert "audit a.broken (broken.sql): " in ended.stderr
    assert Path(document["report"]["html"]).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--records", "10"], "--records: 10, expected at least 1,000 for 3 nights and the week before"),
        (["--records", "2000", "--items", "x"], "--records and --items: expected one of them"),
        (["--items", "/nowhere/x.json"], "/nowhere/x.json: No such file or directory, expected a file"),
        (["--days", "31"], "'--days'"),
        (["--records", "many"], "'--records'"),
    ],
)
def test_wrong_input_is_one_line_and_starts_nothing(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    started = time.monotonic()
    ended = run(*arguments, "--state", str(tmp_path / "demo"))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "demo").exists()
    assert time.monotonic() - started < 60


def test_a_bad_line_is_told_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(f"{processing(1)}\n{{}}\n")
    ended = run("--items", str(path), "--state", str(tmp_path / "demo"))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"privacy-assets: {path}:2: expected")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "demo").exists()


def test_a_bad_value_ends_the_demo_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(f"{processing(1)}\n" + '{"Item": {"log_id": {"S": "x"}, "n": {"N": "many"}}}\n')
    ended = run("--items", str(path), "--state", str(tmp_path / "demo"))
    assert ended.returncode == 2
    assert f"{path}:2: attribute n: expected N to hold" in ended.stderr.splitlines()[-1]
    assert not processes_of(tmp_path)


def test_what_is_kept_says_how_it_is_opened(tmp_path: Path) -> None:
    said = kept(tmp_path / "a b")
    assert f"aws up --detach --state '{tmp_path}/a b/aws'" in said
    assert f"DAGSTER_HOME='{tmp_path}/a b/dagster' dagster-webserver" in said


def test_a_signal_ends_everything(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    process = subprocess.Popen(
        [*COMMAND, "--records", "2000", "--state", str(state)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "records written" in line:
                break
        assert len(processes_of(tmp_path)) >= 3  # AWS, code server, daemon
    finally:
        process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(60) == 128 + signal.SIGINT, said
    assert not processes_of(tmp_path)
    assert "Traceback" not in said
    assert not (state / "aws").exists()
