"""The comparison with what was planted notices each way to be wrong."""

import io
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from privacy_assets.demo.deletions import Accident
from privacy_assets.demo.findings import Findings, Night, print_table
from privacy_assets.demo.watching import _plain
from privacy_assets.machine.daemon import instants

NIGHT = date(2026, 3, 4)
PLANTED = {"consent.missing": {"a", "b"}, "optout.gpc_ignored": set[str]()}


def audit(name: str, violations: int | None, status: str = "violated") -> dict[str, Any]:
    regulation = "GDPR Art. 6(1)(a), 7(1); " + "a source of many words, " * 9
    return {
        "id": name,
        "violations": violations,
        "status": status,
        "severity": "high",
        "regulation": regulation,
        "reason": f"why {name}" if status == "not_audited" else None,
    }


def findings(
    row_keys: Mapping[str, Sequence[str]],
    told: Sequence[dict[str, Any]] | None = None,
    expected: Mapping[str, set[str]] | None = PLANTED,
) -> Findings:
    if told is None:
        told = [audit(name, len(row_keys.get(name, ()))) for name in PLANTED]
    report = {
        "item_count": 7,
        "audits": told,
        "exports": [{"export_id": "x"}],
        "verdict": {"text": "The verdict"},
        "snapshots": [{"table": "logs", "misfits": {"age": 20}, "undeclared": {"nick": 3}}],
    }
    night = Night(NIGHT, report, row_keys, Path("report.html"), Path("report.json"))
    planted = None if expected is None else {NIGHT: dict(expected)}
    return Findings([night], planted, Accident(25, 25, 25, 25))


def test_what_was_planted_is_no_surprise() -> None:
    assert findings({"consent.missing": ["b", "a"]}).surprises == []


@pytest.mark.parametrize(
    ("row_keys", "told", "line"),
    [
        ({"consent.missing": ["a"]}, None, "consent.missing: reported 1, planted 2; did not find b"),
        (
            {"consent.missing": ["a", "b"], "optout.gpc_ignored": ["c"]},
            None,
            "optout.gpc_ignored: reported 1, planted 0; found what was not planted: c",
        ),
        ({"consent.missing": ["a", "c"]}, None, "did not find b; found what was not planted: c"),
        ({"consent.missing": ["a", "b", "b"]}, None, "reported 3, planted 2; wrote the same row twice"),
        (
            {"consent.missing": ["a", "b"]},
            [audit("consent.missing", 2)],
            "optout.gpc_ignored: was not audited",
        ),
        (
            {},
            [audit("consent.missing", None, "not_audited"), audit("optout.gpc_ignored", 0)],
            "consent.missing: was not audited",
        ),
    ],
)
def test_each_way_to_be_wrong_is_told(
    row_keys: Mapping[str, Sequence[str]], told: Sequence[dict[str, Any]] | None, line: str
) -> None:
    (surprise,) = findings(row_keys, told).surprises
    assert surprise.startswith(NIGHT.isoformat())
    assert line in surprise


def test_a_users_own_audits_are_compared_only_where_rows_were_planted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRIVACY_ASSETS_AUDITS", "/own")
    told = [audit("consent.missing", 2), audit("my.rule", 5)]
    found = findings({"consent.missing": ["a", "b"], "my.rule": ["z"]}, told)
    assert found.surprises == []
    assert found.planted("my.rule") is None
    assert findings({"consent.missing": ["a"]}, told).surprises != []


def test_nobody_knows_what_a_users_items_hold() -> None:
    found = findings({"consent.missing": ["z"]}, expected=None)
    assert found.surprises == []
    assert found.document()["audits"][0] == {
        "id": "consent.missing",
        "status": "violated",
        "violations": 1,
        "severity": "high",
    }


def test_what_could_not_be_judged_is_told() -> None:
    told = [audit("consent.missing", 0, "not_judged"), audit("a.broken", None, "not_audited")]
    found = findings({}, told, expected=None)
    document = found.document()
    assert document["verdict"] == "The verdict"
    assert document["snapshots"] == [{"table": "logs", "misfits": {"age": 20}, "undeclared": {"nick": 3}}]
    assert document["reasons"] == {"a.broken": "why a.broken"}
    console = Console(file=io.StringIO(), width=120)
    print_table(found, console)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert "The verdict." in lines
    assert "logs: could not be read: age 20" in lines
    assert "logs: not in estate.yaml: nick 3" in lines
    assert "a.broken: why a.broken" in lines
    (surprise, *_) = [
        line for line in findings({}, told, {"consent.missing": set()}).surprises if "consent" in line
    ]
    assert "could not be judged on all rows" in surprise


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_shows_every_count_in_any_window(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_table(findings({"consent.missing": ["a", "b"]}), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "…" not in shown.split("optout")[0].splitlines()[2]
    assert [word for word in shown.split() if word in ("consent.missing", "2")] == [
        "consent.missing",
        "2",
        "2",
    ]


def test_a_reason_is_told_without_the_module_of_its_class() -> None:
    assert _plain("dagster._core.definitions.events.Failure: day: no\n export") == "day: no export"
    assert _plain("resources.athena.AthenaQueryFailed: q: a.b: c") == "AthenaQueryFailed: q: a.b: c"
    assert _plain("plain words: yes") == "plain words: yes"


def test_a_schedule_is_evaluated_once_for_each_missed_morning() -> None:
    moments = [moment.isoformat() for moment in instants(["2026-03-05", "2026-03-04"])]
    assert moments == [
        "2026-03-04T00:00:00+00:00",
        "2026-03-04T23:59:59+00:00",
        "2026-03-05T23:59:59+00:00",
    ]
    assert instants([]) == []


def test_records_that_did_not_come_back_are_told() -> None:
    assert Accident(25, 25, 25, 25).surprises == []
    assert Accident(25, 25, 24, 24).surprises == [
        "archive: of 25 deleted records 25 were archived, 24 restored, and 24 were as before"
    ]
