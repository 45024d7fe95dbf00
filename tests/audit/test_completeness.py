"""Rows that lack what an audit needs."""

from typing import Any

from tests.audit.conftest import Judge
from tests.audit.stories import Found, Row, event, expected, story, told


def test_mandatory_fields(judge: Judge) -> None:
    kinds = ["consent_given", "consent_withdrawn", "opt_out_sale", "opt_in_sale", "gpc_signal", "processing"]
    kinds += ["sale_or_share", "access_request", "disclosure", "erasure_request", "erasure_completed"]
    given: dict[str, Any] = {"recipient": "Acme"}
    lacking: dict[str, tuple[str | None, dict[str, Any], str]] = {
        "bad: no type": (None, {}, "event_type"),
        "bad: blank type": (" ", {}, "event_type"),
        "bad: no jurisdiction": ("gpc_signal", {"jurisdiction": None}, "jurisdiction"),
        "bad: blank jurisdiction": ("gpc_signal", {"jurisdiction": " "}, "jurisdiction"),
        "bad: no purpose": ("processing", {"purpose": None}, "purpose"),
        "bad: blank purpose": ("processing", {"purpose": ""}, "purpose"),
        "bad: no purpose of a consent": ("consent_given", {"purpose": None}, "purpose"),
        "bad: no purpose of a withdrawal": ("consent_withdrawn", {"purpose": None}, "purpose"),
        "bad: no basis": ("processing", {"legal_basis": None}, "legal_basis"),
        "bad: no recipient": ("sale_or_share", {"recipient": None}, "recipient"),
        "bad: no country of a sale": ("sale_or_share", {"recipient_country": None}, "recipient_country"),
        "bad: no country of a disclosure": ("disclosure", given, "recipient_country"),
        "bad: nothing": (
            "PROCESSING",
            {"purpose": "", "legal_basis": "", "jurisdiction": ""},
            "jurisdiction, purpose, legal_basis",
        ),
    }
    rows = told(
        *(story(name, event(kind, **fields)) for name, (kind, fields, _) in lacking.items()),
        *(story(f"ok: {kind}", event(kind)) for kind in kinds),
        story("ok: in capitals", event("GPC_SIGNAL")),
        story("ok: at the snapshot's instant", event("gpc_signal", "2026-03-05 00:00:00")),
        story("bad: after it", event("gpc_signal", "2026-03-05 00:00:00.001")),
        story("bad: unknown type", event("page_view")),
        story("bad: type with a blank", event("gpc_signal ")),
        story("bad: much", event("page_view", "2026-03-06 00:00:00", jurisdiction=None, subject_id="")),
        story("bad: no time", event("gpc_signal", None)),
        story("bad: blank subject", event("gpc_signal", subject_id=" ")),
        story("ok: an answer without recipient", event("disclosure", recipient=None)),
        story(
            "ok: a disclosure with its country", event("disclosure", recipient="Acme", recipient_country="FR")
        ),
    )
    rows.append(event("gpc_signal") | {"log_id": "bad: no subject", "subject_id": None})
    reasons = {one.row_key: one.reason for one in judge("completeness.mandatory_fields", rows)}
    assert sorted(reasons) == expected(rows)
    assert {name: reasons[name] for name in lacking} == {
        name: f"missing: {what}" for name, (_, _, what) in lacking.items()
    }
    assert reasons["bad: no time"] == "missing: event_time"
    assert reasons["bad: after it"] == "event_time is after the snapshot"
    assert reasons["bad: unknown type"] == reasons["bad: type with a blank"] == "event_type is unknown"
    assert reasons["bad: much"] == (
        "missing: subject_id, jurisdiction; event_time is after the snapshot; event_type is unknown"
    )
    assert reasons["bad: no subject"] == "missing: subject_id"


def test_countries_that_no_audit_understands(judge: Judge) -> None:
    def sold(name: str, jurisdiction: str, country: str) -> list[Row]:
        return story(name, event("sale_or_share", jurisdiction=jurisdiction, recipient_country=country))

    where, whither = "jurisdiction is no ISO 3166 code", "recipient_country is no ISO 3166 code"
    odd = {
        "bad: a name": ("DE", "Germany", whither),
        "bad: a value": ("DE", "ZZSENTINEL Jane Doe", whither),
        "bad: three letters": ("DEU", "DE", where),
        "bad: nobody's": ("XQ", "xq-1", f"{where}; {whither}"),
        "bad: a code and more": ("DE", "DE FR", whither),
        "bad: a part without its country": ("-CA", "US", where),
    }
    rows = told(
        *(sold(name, jurisdiction, country) for name, (jurisdiction, country, _) in odd.items()),
        sold("ok: other codes", "UK", "EL"),
        sold("ok: small letters and blanks", " us-ca ", " gb"),
        sold("ok: the Union and Kosovo", "EU", "XK"),
        sold("ok: the last of the list", "ZW", "AD"),
    )
    found = {one.row_key: one.reason for one in judge("completeness.mandatory_fields", rows)}
    assert found == {name: reason for name, (_, _, reason) in odd.items()}


def test_a_row_without_log_id_is_found(judge: Judge) -> None:
    found = judge("completeness.mandatory_fields", [event("gpc_signal") | {"subject_id": "s"}])
    assert found == [Found("s", "(no log_id)", "missing: log_id")]
