"""What has to be gone: rows past their retention, rows that an erasure left behind."""

from tests.audit.conftest import Judge
from tests.audit.stories import AFTER, BEFORE, Row, T, event, expected, names, story, told


def test_retention_expired(judge: Judge) -> None:
    rows = told(
        story(
            "bad: by a millisecond",
            event("processing", retention_until="2026-03-04 23:59:59.999"),
        ),
        story("bad: by years", event("processing", retention_until="2020-02-29")),
        story("bad: whatever the type", event("consent_given", retention_until="2026-03-01")),
        story("bad: without time of event", event("processing", None, retention_until="2026-03-01")),
        story("ok: until this very instant", event("processing", retention_until="2026-03-05")),
        story("ok: later", event("processing", retention_until="2026-03-05 00:00:00.001")),
        story("ok: no limit", event("processing")),
    )
    found = judge("retention.expired", rows)
    assert names(found) == expected(rows)
    reasons = {one.row_key: one.reason for one in found}
    assert (
        reasons["bad: whatever the type"] == "retention ended on 2026-03-01, 4 full days before the snapshot"
    )
    assert (
        reasons["bad: by a millisecond"] == "retention ended on 2026-03-04, 0 full days before the snapshot"
    )


def test_erasure_incomplete(judge: Judge) -> None:
    def erased(name: str, *left: Row, at: str = T) -> list[Row]:
        return story(name, event("erasure_request", "2026-02-20"), event("erasure_completed", at), *left)

    kept = (
        "access_request",
        "consent_given",
        "consent_withdrawn",
        "opt_out_sale",
        "opt_in_sale",
        "gpc_signal",
    )
    rows = told(
        erased("bad: a millisecond older", event("processing", BEFORE)),
        erased("bad: years older", event("processing", "2019-01-01")),
        erased("bad: a sale", event("sale_or_share", "2026-02-21")),
        erased(
            "bad: a disclosure to somebody",
            event("disclosure", BEFORE, recipient="Acme", recipient_country="DE"),
        ),
        erased("bad: an unknown type", event("page_view", BEFORE)),
        erased("bad: no type", event(None, BEFORE)),
        erased("bad: on consent", event("processing", BEFORE, legal_basis="consent")),
        erased("bad: no basis", event("processing", BEFORE, legal_basis=None)),
        erased(
            "bad: on legitimate interests", event("Processing", BEFORE, legal_basis="legitimate_interests")
        ),
        story(
            "bad: before the second erasure",
            event("erasure_completed", "2026-01-01"),
            event("erasure_completed", T),
            event("processing", "2026-02-01"),
        ),
        erased("ok: at the same instant", event("processing", T)),
        erased("ok: younger", event("processing", AFTER)),
        erased("ok: an answer to the subject", event("disclosure", BEFORE, recipient="subject")),
        erased("ok: an answer without recipient", event("disclosure", BEFORE, recipient=None)),
        erased("ok: a legal obligation", event("processing", BEFORE, legal_basis="Legal_Obligation")),
        erased("ok: legal claims", event("sale_or_share", BEFORE, legal_basis="legal_claims")),
        *(erased(f"ok: {kind}", event(kind, BEFORE)) for kind in kept),
        erased("ok: no time, which is incomplete", event("processing", None)),
        erased("ok: completed after the snapshot", event("processing", BEFORE), at="2026-03-05 00:00:00.001"),
        erased(
            "bad: completed as the snapshot was taken", event("processing", BEFORE), at="2026-03-05 00:00:00"
        ),
        story("ok: requested, not completed", event("erasure_request", T), event("processing", BEFORE)),
        story("ok: another subject", event("processing", BEFORE)),
    )
    found = judge("erasure.incomplete", rows)
    assert names(found) == expected(rows)
    assert not any("page_view" in one.reason for one in found)  # what a row says of itself may be personal
