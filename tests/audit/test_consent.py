"""Consent: what counts as given before, and what as withdrawn."""

from typing import Any

from tests.audit.conftest import Judge
from tests.audit.stories import AFTER, BEFORE, Row, T, event, expected, names, story, told


def given(when: str, **fields: Any) -> Row:
    return event("consent_given", when, **fields)


def withdrawn(when: str, **fields: Any) -> Row:
    return event("consent_withdrawn", when, **fields)


def used(when: str | None = T, **fields: Any) -> Row:
    return event("processing", when, **({"legal_basis": "consent"} | fields))


def test_consent_missing(judge: Judge) -> None:
    rows = told(
        story("bad: no consent at all", used()),
        story(
            "bad: consent a millisecond later",
            given(AFTER),
            used(),
        ),
        story(
            "bad: consent for another purpose",
            given(BEFORE, purpose="profiling"),
            used(),
        ),
        story("bad: only a withdrawal", withdrawn(BEFORE), used()),
        story("bad: explicit", event("processing", T, legal_basis="explicit_consent")),
        story("bad: of a parent", event("processing", T, legal_basis="parental_consent")),
        story("bad: a sale", event("sale_or_share", T, purpose="ads", legal_basis="consent")),
        story(
            "bad: a disclosure",
            event("disclosure", T, purpose="ads", recipient="Acme", legal_basis="consent"),
        ),
        story("bad: in capitals", event("PROCESSING", T, purpose="ads", legal_basis=" Consent ")),
        story(
            "ok: consent a millisecond before",
            given(BEFORE),
            used(),
        ),
        story("ok: consent at the same instant", given(T), used()),
        story(
            "ok: consent at the same instant, written later",
            used(),
            given(T),
            judged=0,
        ),
        story(
            "ok: purpose in other case",
            given(BEFORE, purpose=" NewsLetter"),
            used(),
        ),
        story("ok: consent long ago", given("2019-01-01"), used()),
        story(
            "ok: withdrawn, which is another audit's",
            given("2026-01-01"),
            withdrawn("2026-01-02"),
            used(),
        ),
        story("ok: another basis", event("processing", T, legal_basis="legitimate_interests")),
        story("ok: no basis", event("processing", T, legal_basis=None)),
        story("ok: no purpose, which is incomplete", used(purpose=" ")),
        story("ok: no time, which is incomplete", used(when=None)),
        story("ok: no subject, which is incomplete", used(subject_id="")),
        # One subject's consent is no other's, and letters' case tells subjects apart.
        story("ok: one subject", given(BEFORE, subject_id="s-1", log_id="ok / given")),
        story("bad: another subject", used(subject_id="S-1")),
    )
    assert names(judge("consent.missing", rows)) == expected(rows)


def test_consent_withdrawn(judge: Judge) -> None:
    rows = told(
        story("bad: withdrawn", given("2026-01-01"), withdrawn(BEFORE), used()),
        story("bad: never given, but withdrawn", withdrawn(BEFORE), used()),
        story(
            "bad: given and withdrawn at one instant",
            given(BEFORE),
            withdrawn(BEFORE),
            used(),
        ),
        story(
            "bad: given again for another purpose",
            given("2026-01-01"),
            withdrawn("2026-01-02"),
            given(BEFORE, purpose="profiling"),
            used(),
        ),
        story(
            "bad: given again only later",
            given("2026-01-01"),
            withdrawn(BEFORE),
            given(AFTER),
            used(),
        ),
        story(
            "bad: the second withdrawal",
            given("2026-01-01"),
            withdrawn("2026-01-02"),
            given("2026-01-03"),
            withdrawn("2026-01-04"),
            used(),
        ),
        story(
            "bad: purpose in other case",
            given("2026-01-01"),
            withdrawn(BEFORE, purpose="NEWSLETTER "),
            event("sale_or_share", T, purpose="newsletter", legal_basis="CONSENT"),
        ),
        story("ok: given", given(BEFORE), used()),
        story("ok: nothing given", used()),
        story(
            "ok: given again",
            given("2026-01-01"),
            withdrawn("2026-01-02"),
            given(BEFORE),
            used(),
        ),
        story(
            "ok: given again at the instant of use",
            given("2026-01-01"),
            withdrawn("2026-01-02"),
            given(T),
            used(),
        ),
        story(
            "ok: withdrawn at that instant",
            given(BEFORE),
            withdrawn(T),
            used(),
        ),
        story("ok: withdrawn later", given(BEFORE), withdrawn(AFTER), used()),
        story(
            "ok: another purpose was withdrawn",
            given("2026-01-01"),
            withdrawn(BEFORE, purpose="profiling"),
            used(),
        ),
        story("ok: another basis", withdrawn(BEFORE), event("processing", T)),
    )
    assert names(judge("consent.withdrawn", rows)) == expected(rows)


def test_all_uses_after_a_withdrawal_are_found(judge: Judge) -> None:
    uses = [used(f"2026-02-{day:02}", log_id=f"bad {day}") for day in range(3, 9)]
    rows = story("ok", given("2026-02-01"), withdrawn("2026-02-02"), *uses)
    assert names(judge("consent.withdrawn", rows)) == [f"bad {day}" for day in range(3, 9)]
