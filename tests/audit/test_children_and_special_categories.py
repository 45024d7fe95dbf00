"""Bases that need more than a consent: those of children, and those of special categories."""

from typing import Any

from tests.audit.conftest import Judge
from tests.audit.stories import Row, event, expected, names, story, told


def test_minors_consent(judge: Judge) -> None:
    def child(
        name: str, place: str | None, age: int | None, basis: str | None = "consent", **fields: Any
    ) -> list[Row]:
        kind = fields.pop("kind", "processing")
        return story(name, event(kind, jurisdiction=place, subject_age=age, legal_basis=basis, **fields))

    limits = {
        "AT": 14,
        "BE": 13,
        "CZ": 15,
        "DE": 16,
        "DK": 15,
        "ES": 14,
        "FR": 15,
        "GB": 13,
        "IE": 16,
        "SI": 15,
    }
    rows = told(
        *(child(f"bad: {place}, below {age}", place, age - 1) for place, age in limits.items()),
        *(child(f"ok: {place}, {age}", place, age) for place, age in limits.items()),
        child("bad: a region's code", "de-by", 15),
        child("bad: no law known", "BR", 15),
        child("ok: no law known", "BR", 16),
        child("bad: no jurisdiction", None, 15),
        child("bad: the United Kingdom by its other code", "UK", 12),
        child("ok: the United Kingdom by its other code", "UK", 13),
        child("bad: Greece by its other code", "el", 14),
        child("ok: Greece by its other code", "EL", 15),
        child("bad: a name instead of a code", "Italy", 12),
        child("ok: a name instead of a code, which is incomplete", "Italy", 13),
        child("ok: three letters, which are incomplete", "AUT", 14),
        child("bad: explicit", "DE", 15, "Explicit_Consent"),
        child("bad: a baby", "DE", 0),
        child("ok: a parent's", "DE", 12, "parental_consent"),
        child("ok: a parent's, explicit", "DE", 12, "explicit_parental_consent"),
        child("ok: another basis", "DE", 12, "contract"),
        child("ok: no basis", "DE", 12, None),
        child("ok: age unknown", "DE", None),
        child("bad: COPPA", "US-CA", 12),
        child("ok: COPPA", "US-CA", 13),
        child("bad: COPPA, another basis", "US", 12, "contract"),
        child("bad: COPPA, no basis", "US-NY", 12, None),
        child("ok: COPPA, a parent's", "US-NY", 12, "parental_consent"),
        child("bad: sold", "US-CA", 12, None, kind="sale_or_share"),
        child("bad: disclosed", "FR", 14, kind="disclosure", recipient="Acme"),
        child("ok: disclosed to the child", "US-CA", 12, None, kind="disclosure"),
        child("ok: disclosed to nobody in particular", "US-CA", 12, None, kind="disclosure", recipient=None),
        child("ok: the consent itself", "DE", 12, kind="consent_given"),
        child("ok: a request", "US-CA", 12, None, kind="erasure_request"),
    )
    assert names(judge("minors.consent", rows)) == expected(rows)


def test_special_category_basis(judge: Judge) -> None:
    def special(name: str, basis: str | None, kind: str = "processing", **fields: Any) -> list[Row]:
        return story(name, event(kind, legal_basis=basis, **({"special_category": True} | fields)))

    grounds = [
        *(
            "explicit_consent",
            "explicit_parental_consent",
            "employment_and_social_security",
            "vital_interests",
        ),
        *("nonprofit_members", "manifestly_public", "legal_claims", "substantial_public_interest"),
        *("health_care", "public_health", "research_and_archiving"),
    ]
    rows = told(
        *(special(f"ok: {basis}", basis) for basis in grounds),
        special("ok: in capitals", " Explicit_Consent"),
        *(
            special(f"bad: {basis}", basis)
            for basis in ["consent", "contract", "legitimate_interests", "legal_obligation"]
        ),
        special("bad: no basis", None),
        special("bad: blank basis", " "),
        special("bad: a sale", None, "sale_or_share"),
        special("bad: a disclosure", "contract", "disclosure", recipient="Acme"),
        special("ok: an answer to the subject", None, "disclosure"),
        special("ok: an answer to nobody in particular", None, "disclosure", recipient=None),
        special("ok: not special", "contract", special_category=False),
        special("ok: not said to be special", "contract", special_category=None),
        special("ok: a request", None, "erasure_request"),
        special("bad: anywhere", "consent", jurisdiction="US-CA"),
    )
    assert names(judge("special_category.basis", rows)) == expected(rows)
