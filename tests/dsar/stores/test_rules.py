"""The rules that all kinds share: who is meant, what stays and how long, and what a person gets to see."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO, cast
from uuid import UUID

import pytest

from privacy_assets.dsar import periods
from privacy_assets.dsar.stores.models import Records
from privacy_assets.dsar.stores.needles import Needles
from privacy_assets.dsar.stores.protocol import Blocked, Erased, Retained, StoreError
from privacy_assets.dsar.stores.rules import Rules, instant, number, plain, text

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rules(**fields: Any) -> Rules:
    spec = Records.model_validate({"match": {"email": "mail"}, **fields})
    return Rules(spec, "store.table", lambda kind, value: f"{kind}:{len(value)}", lambda: NOW)


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2024-01-31", "P1M", "2024-02-29"),
        ("2024-12-31", "P2M1W1D", "2025-03-08"),
        ("2020-01-01", "P99999Y", "9999-12-31"),
    ],
)
def test_periods_are_counted_by_the_calendar(start: str, period: str, end: str) -> None:
    assert periods.after(datetime.fromisoformat(start), period).date().isoformat() == end


@pytest.mark.parametrize("wrong", ["P", "10Y", "P1H", "PT1H", "P-1Y", "", "P1Y "])
def test_other_periods_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected an ISO 8601 period"):
        periods.checked(wrong)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"), (7, "7"), (Decimal("7.10"), "7.1"), (7.0, "7"), (1e20, "100000000000000000000"),
        (True, "true"), (None, None), (b"a", None), (["a"], None), (float("nan"), None),
        (date(2026, 1, 2), "2026-01-02"), (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)  # fmt: skip
def test_values_are_compared_as_text(value: object, expected: str | None) -> None:
    assert text(value) == expected


def test_numbers_have_one_form() -> None:
    assert [number(each) for each in ("7", "-7", "07", "7.0", "x", "", " 7")] == [
        7,
        -7,
        None,
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "value",
    [
        "2016-03-02", "2016-03-02T00:00:00Z", date(2016, 3, 2), datetime(2016, 3, 2, tzinfo=UTC),
        1456876800, 1456876800000, Decimal(1456876800),
    ],
)  # fmt: skip
def test_a_period_begins_at_an_instant_of_many_forms(value: object) -> None:
    until = {"article": "a", "reason": "r", "until": {"field": "at", "period": "P10Y"}}
    assert instant(value) == datetime(2016, 3, 2, tzinfo=UTC)
    assert rules(retain=[until]).retained({"at": value}) == Retained(
        "a", "r", 1, datetime(2026, 3, 2, tzinfo=UTC)
    )
    shorter = {**until, "until": {"field": "at", "period": "P9Y11M"}}
    assert rules(retain=[shorter]).retained({"at": value}) is None


@pytest.mark.parametrize("value", [None, "yesterday", "", True, [], 10**30])
def test_what_has_no_beginning_is_kept(value: object) -> None:
    until = {"article": "a", "reason": "r", "until": {"field": "at", "period": "P1Y"}}
    assert rules(retain=[until]).retained({"at": value}) == Retained("a", "r", 1)


def test_of_several_exceptions_the_longest_counts() -> None:
    entries = [
        {"article": "short", "reason": "r", "until": {"field": "at", "period": "P11Y"}},
        {"article": "hold", "reason": "r", "where": {"hold": True}},
        {"article": "long", "reason": "r", "until": {"field": "at", "period": "P20Y"}},
    ]
    found = [rules(retain=entries).retained({"at": "2016-01-01", "hold": hold}) for hold in (False, True)]
    assert [each.article for each in found if each] == ["long", "hold"]


def test_changes_are_of_what_is_there() -> None:
    some = rules(change={"mail": "hmac", "name": "redact", "age": "null"})
    assert some.changes({"mail": "a@b.c", "name": None, "age": 7, "other": "x"}) == {
        "mail": "email:5",
        "age": None,
    }
    with pytest.raises(StoreError, match=r"store\.table: name: holds no text to redact"):
        some.changes({"name": 7})


def test_an_export_is_json() -> None:
    record = {
        "a": Decimal("0.1"), "b": Decimal(10**30), "c": Decimal("0.12345678901234567890123"), "d": {b"x"},
        "e": float("inf"), "f": {1: (date(2026, 1, 1),)}, "secret": "s", "friend": ["friend@example.org", 1],
    }  # fmt: skip
    shown = rules(export={"secret": "omit", "friend": "mask"}).exported(record)
    assert shown == {
        "a": 0.1, "b": 10**30, "c": "0.12345678901234567890123", "d": ["eA=="], "e": "inf",
        "f": {"1": ["2026-01-01"]}, "friend": ["fr••••rg", "••••"],
    }  # fmt: skip
    assert plain(UUID(int=1)) == str(UUID(int=1))


def test_needles_are_found_across_pieces_and_in_other_writings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privacy_assets.dsar.stores.needles._CHUNK", 8)
    needles = Needles({"email": frozenset({"jörg@example.com", "short"})})
    assert needles.values == ["jörg@example.com"]
    for written in (
        "jörg@example.com".encode(),
        "jörg@example.com".encode("utf-16-le"),
        b"j\\u00f6rg@example.com",
        b"j%C3%B6rg%40example.com",
    ):
        for before in range(12):
            stream = cast("BinaryIO", io.BytesIO(b"." * before + written + b"..."))
            assert needles.in_stream(stream) == (True, before + len(written) + 3)
    assert needles.in_stream(cast("BinaryIO", io.BytesIO(b"jorg@example.com short"))) == (False, 22)
    assert Needles({}).in_stream(cast("BinaryIO", io.BytesIO(b"x" * 20))) == (False, 20)


def test_what_is_told_together() -> None:
    soon, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    one = Erased(
        2, 1, retained=(Retained("a", "r", 1, late),), blocked=(Blocked("x", 1, soon),), touched=("k",)
    )
    other = Erased(
        2, retained=(Retained("a", "r", 2, soon),), blocked=(Blocked("x", 1, late),), touched=("k",)
    )
    both = one + other
    assert (both.before, both.erased, both.touched) == (4, 1, ("k",))
    assert both.retained == (Retained("a", "r", 3, soon),)
    assert both.blocked == (Blocked("x", 2, late),)
    assert not both.nothing_left
    assert Erased(retained=(Retained("a", "r", 1),)).nothing_left
