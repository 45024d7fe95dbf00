"""All audits side by side: each finds its own violation and nobody else's."""

from datetime import timedelta

import pytest
import sqlglot
from sqlglot import exp

from privacy_assets.audit.definition import Audit
from tests.audit.conftest import Judge, Lake
from tests.audit.stories import AS_OF, AUDITS, DAY, Row, days_before, event, story, told


def lawful() -> list[Row]:
    """What many subjects did, and nothing wrong in it."""
    return told(
        story(
            "ok: a customer",
            event("consent_given", days_before(90)),
            event("processing", days_before(60), legal_basis="consent"),
            event("consent_withdrawn", days_before(50)),
            event("access_request", days_before(40)),
            event("disclosure", days_before(30)),
            event("processing", days_before(1), subject_age=34, message="mail to j***@example.com"),
        ),
        story(
            "ok: a Californian",
            event("sale_or_share", days_before(90), jurisdiction="US-CA", recipient_country="US"),
            event("gpc_signal", days_before(80), jurisdiction="US-CA"),
            event("opt_out_sale", days_before(80), jurisdiction="US-CA"),
            event("opt_in_sale", days_before(20), jurisdiction="US-CA"),
            event("sale_or_share", days_before(1), jurisdiction="US-CA", recipient_country="US"),
        ),
        story(
            "ok: forgotten",
            event("erasure_request", days_before(20)),
            event("erasure_completed", days_before(2)),
            event("processing", days_before(1), special_category=True, legal_basis="health_care"),
        ),
    )


RECIPES: dict[str, list[Row]] = {
    "consent.missing": [event("processing", days_before(2), legal_basis="consent")],
    "consent.withdrawn": [
        event("consent_given", days_before(5)),
        event("consent_withdrawn", days_before(4)),
        event("processing", days_before(3), legal_basis="consent"),
    ],
    "optout.sale_after_opt_out": [
        event("opt_out_sale", days_before(40), jurisdiction="US-CA"),
        event("sale_or_share", days_before(3), jurisdiction="US-CA", recipient_country="US"),
    ],
    "optout.gpc_ignored": [
        event("gpc_signal", days_before(3), jurisdiction="US-CA"),
        event("sale_or_share", days_before(2), jurisdiction="US-CA", recipient_country="US"),
    ],
    "retention.expired": [event("processing", days_before(9), retention_until=days_before(1))],
    "erasure.overdue": [event("erasure_request", days_before(45))],
    "access.overdue": [event("access_request", days_before(45), jurisdiction="FR")],
    "erasure.incomplete": [
        event("erasure_request", days_before(10)),
        event("erasure_completed", days_before(5)),
        event("processing", days_before(20)),
    ],
    "transfer.unsafeguarded": [event("sale_or_share", days_before(2), recipient_country="IN")],
    "minors.consent": [
        event("consent_given", days_before(4), subject_age=14),
        event("processing", days_before(3), subject_age=14, legal_basis="consent"),
    ],
    "special_category.basis": [event("processing", special_category=True, data_categories=["health"])],
    "completeness.mandatory_fields": [event("processing", purpose=None)],
    "message.unmasked_personal_data": [event("processing", message="contact jane.doe@example.com")],
    "volume.anomaly": [event("opt_in_sale", days_before(0), log_id=f"bulk {n}") for n in range(40)],
}


@pytest.mark.parametrize("audit_id", sorted(AUDITS))
def test_each_audit_finds_its_own_violation_and_nobody_elses(judge: Judge, audit_id: str) -> None:
    assert RECIPES.keys() == AUDITS.keys()
    rows = told(*(story(f"bad: {name}", *events) for name, events in RECIPES.items()), lawful())
    found = judge(audit_id, rows + rows[:1])  # a row that stands twice is found once
    assert [one.row_key for one in found] == [
        "opt_in_sale" if audit_id == "volume.anomaly" else f"bad: {audit_id}"
    ]
    assert [one.subject for one in found] == [None if audit_id == "volume.anomaly" else f"S bad: {audit_id}"]


@pytest.mark.parametrize("audit_id", sorted(AUDITS))
def test_other_days_are_not_read(judge: Judge, audit_id: str) -> None:
    rows = told(*(story(f"bad: {name}", *events) for name, events in RECIPES.items()))
    assert judge(audit_id, rows, stored_on=DAY - timedelta(days=1)) == []


@pytest.mark.parametrize("audit", AUDITS.values(), ids=AUDITS.keys())
@pytest.mark.parametrize("dialect", ["athena", "trino"])
def test_the_sql_is_athenas_and_returns_the_three_columns(audit: Audit, dialect: str) -> None:
    sql, parameters = audit.statement(DAY, AS_OF)
    query = sqlglot.parse_one(sql, dialect=dialect)
    assert isinstance(query, exp.Select)
    assert query.named_selects == ["subject", "row_key", "reason"]
    assert len(list(query.find_all(exp.Placeholder))) == len(parameters)
    unknown = {function.name.lower() for function in query.find_all(exp.Anonymous)}
    assert unknown <= {"concat"}, "functions that sqlglot doesn't know may be none of Trino's"


@pytest.mark.parametrize("audit", AUDITS.values(), ids=AUDITS.keys())
def test_a_file_runs_by_hand_with_values_in_place_of_its_parameters(lake: Lake, audit: Audit) -> None:
    """As docs/audits.md says; the file whole, front matter and comments too."""
    text = audit.path.read_text(encoding="utf-8")
    text = text.replace(":snapshot_date", f"DATE '{DAY}'").replace(
        ":as_of", "TIMESTAMP '2026-03-05 00:00:00'"
    )
    with pytest.raises(Exception, match=r"TABLE_NOT_FOUND.*privacy_logs"):
        lake.athena.cursor(schema_name="default").execute(text)


def test_our_audits_are_alike() -> None:
    assert {audit.path.stem for audit in AUDITS.values()} == set(AUDITS)
    for audit in AUDITS.values():
        assert audit.owner == "team:privacy"
        assert audit.threshold == 0
        assert "-- Decided:" in audit.sql
