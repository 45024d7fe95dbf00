"""Data that leaves the European Economic Area."""

from typing import Any

from tests.audit.conftest import Judge
from tests.audit.stories import Row, T, event, expected, names, story, told

NO_SAFEGUARDS = ["null", "-", "TBD", "no", "n/a", " N/A ", "?", "0", "unknown", "--"]


def test_transfer_unsafeguarded(judge: Judge) -> None:
    def sent(name: str, country: str | None, when: str | None = T, **fields: Any) -> list[Row]:
        return story(name, event("sale_or_share", when, recipient_country=country, **fields))

    rows = told(
        sent("bad: India", "IN"),
        sent("bad: in small letters", " in "),
        sent("bad: the United States without safeguard", "US"),
        sent("bad: safeguard none", "IN", safeguard="None"),
        sent("bad: safeguard blank", "IN", safeguard=" "),
        sent("ok: a name instead of a code, which is incomplete", "Germany"),
        sent("ok: a value instead of a code, which is incomplete", "ZZSENTINEL Jane Doe"),
        sent("ok: three letters, which are incomplete", "DEU"),
        sent("bad: a code that is nobody's", "XQ"),
        sent("bad: a part of a country", "US-CA"),
        sent("ok: a part of a country in the EEA", "es-ct"),
        sent("ok: the Union", "EU"),
        sent("ok: the United Kingdom by its other code", "uk"),
        sent("ok: at home in the United Kingdom", "UK", "2032-01-01", jurisdiction="GB"),
        sent("ok: at home in the United Kingdom by its other code", "GB", "2032-01-01", jurisdiction="UK"),
        sent("ok: a jurisdiction that is no code, which is incomplete", "IN", jurisdiction="Germany"),
        *(sent(f"bad: safeguard {word}", "IN", safeguard=word) for word in NO_SAFEGUARDS),
        sent("ok: a safeguard in other letters", "IN", safeguard="СДК"),
        sent("bad: no time counts as now", "IN", None),
        sent("bad: from California to India", "IN", jurisdiction="US-CA"),
        sent("bad: no jurisdiction", "IN", jurisdiction=None),
        sent("bad: Brazil before it was adequate", "BR", "2026-01-25 23:59:59"),
        sent("ok: Brazil since it is adequate", "BR", "2026-01-26 00:00:00"),
        sent("ok: Brazil, no time counts as now", "BR", None),
        sent("bad: Korea before it was adequate", "KR", "2021-12-16"),
        sent("ok: Korea", "KR"),
        sent("ok: in the EEA", "NO"),
        sent("ok: in an outermost region", "RE"),
        sent("ok: Greece by its other code", "EL"),
        sent("ok: Switzerland", "ch"),
        sent("ok: the United Kingdom", "GB"),
        sent("bad: the United Kingdom after its decision", "GB", "2031-12-28"),
        sent("ok: safeguard scc", "IN", safeguard="scc"),
        sent("ok: safeguard dpf", "US", safeguard="DPF"),
        sent("ok: at home in California", "US", jurisdiction="US-CA"),
        sent("ok: at home in India", "IN", jurisdiction="IN"),
        sent("ok: no country, which is incomplete", None),
        sent("ok: blank country, which is incomplete", " "),
        story("bad: disclosed", event("disclosure", T, recipient="Acme", recipient_country="CN")),
        story(
            "bad: disclosed to nobody in particular",
            event("disclosure", T, recipient=None, recipient_country="CN"),
        ),
        story("bad: processed abroad", event("processing", T, recipient="Acme", recipient_country="CN")),
        story("ok: the subject abroad", event("disclosure", T, recipient="subject", recipient_country="CN")),
        story(
            "ok: the subject abroad by identifier",
            event("disclosure", T, subject_id="s-1", recipient="s-1", recipient_country="CN"),
        ),
        story("ok: no transfer", event("access_request", T, recipient_country="CN")),
    )
    found = judge("transfer.unsafeguarded", rows)
    assert names(found) == expected(rows)
    reasons = {one.row_key: one.reason for one in found}
    assert reasons["bad: India"] == "sent to IN without adequacy decision or safeguard"
    assert reasons["bad: a part of a country"] == "sent to US without adequacy decision or safeguard"
