"""``sql``: rows of PostgreSQL and of SQLite, found, given out, erased, and searched for again."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from privacy_assets.dsar.stores.protocol import Erased, Identifier, Link, Retained, Store, StoreError
from resources.sql import DatabaseMissing, SqlFailed
from tests import postgres
from tests.dsar.stores.conftest import JANE, NOBODY, REQUEST, Stores, is_erased

VARIABLE = "TEST_DATABASE_URL"
KEPT = {
    "article": "GDPR Art. 17(3)(b)",
    "reason": "invoices are kept for ten years",
    "until": {"field": "issued_on", "period": "P10Y"},
}
CUSTOMERS = {
    "table": "the customers",
    "match": {"email": "e-mail", "customer_id": "id"},
    "links": {"customer_id": "id", "device_id": "device"},
    "export": {"password": "omit", "referred_by": "mask"},
}
NOTHING = dict.fromkeys(("e-mail", "device", "password", "referred_by", "born"))
ORDERS = {"table": "order", "match": {"customer_id": "customer"}, "retain": [KEPT]}


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path}/customers.db"
    else:
        found = str(request.getfixturevalue("postgres_url"))
    monkeypatch.setenv(VARIABLE, found)
    return found


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """Names that must be quoted, a foreign key, and Jane among others."""
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    customers = sa.Table(
        "the customers",
        metadata,
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("e-mail", sa.String, nullable=True),
        sa.Column("device", sa.String),
        sa.Column("password", sa.String),
        sa.Column("referred_by", sa.String),
        sa.Column("born", sa.Date),
    )
    orders = sa.Table(
        "order",
        metadata,
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("customer", sa.String, sa.ForeignKey(customers.c.id)),
        sa.Column("issued_on", sa.Date),
        sa.Column("total", sa.Numeric(10, 2)),
    )
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            customers.insert(),
            [
                {
                    "id": "customer-4711",
                    "e-mail": "jane.doe@example.com",
                    "device": "device-1",
                    "password": "hash-of-jane",
                    "referred_by": "friend@example.org",
                    "born": date(1990, 5, 1),
                },
                {**NOTHING, "id": "customer-0815", "e-mail": "max@example.com", "device": "device-2"},
                {**NOTHING, "id": "customer-0816"},
            ],
        )
        connection.execute(
            orders.insert(),
            [
                {"number": 1, "customer": "customer-0815", "issued_on": date(2000, 1, 1), "total": 10},
                {"number": 2, "customer": "customer-0815", "issued_on": None, "total": 12},
            ],
        )
    yield engine
    engine.dispose()


def rows(engine: sa.Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def store(kit: Stores, *tables: Any) -> Store:
    return kit.store("sql", url=VARIABLE, tables=list(tables) or [ORDERS, CUSTOMERS])


def held(engine: sa.Engine, url: str, value: str) -> bool:
    """Whether a byte search over the database finds a value."""
    if engine.dialect.name == "postgresql":
        return value.encode() in postgres.dump(url)
    engine.dispose()
    return value.encode() in Path(url.removeprefix("sqlite:///")).read_bytes()


def test_a_subject_is_found_with_what_it_links_to(kit: Stores, engine: sa.Engine) -> None:
    found = store(kit).find({"email": frozenset({"jane.doe@example.com"})})
    source = Identifier("email", "jane.doe@example.com")
    assert found.records == 1
    assert found.links == {
        Link(source, Identifier("customer_id", "customer-4711"), "store.the customers.id"),
        Link(source, Identifier("device_id", "device-1"), "store.the customers.device"),
    }
    assert store(kit).find(JANE).records == 1  # by address and by number, and once
    assert store(kit).find(NOBODY).records == 0


def test_an_export_leaves_out_secrets_and_masks_others(kit: Stores, engine: sa.Engine) -> None:
    assert list(store(kit).export(JANE)) == [
        {
            "table": "the customers",
            "id": "customer-4711",
            "e-mail": "jane.doe@example.com",
            "device": "device-1",
            "referred_by": "fr••••rg",
            "born": "1990-05-01",
        }
    ]


def test_an_erasure_leaves_nothing(kit: Stores, engine: sa.Engine, url: str) -> None:
    assert held(engine, url, "jane.doe@example.com")
    is_erased(store(kit), Erased(before=1, erased=1))
    assert not held(engine, url, "jane.doe@example.com")
    assert held(engine, url, "max@example.com")
    assert rows(engine, 'SELECT count(*) FROM "order"') == [(2,)]


def test_what_the_law_keeps_stays_and_is_listed(kit: Stores, engine: sa.Engine) -> None:
    today = datetime.now(UTC).date()
    run(
        engine,
        "INSERT INTO \"order\" VALUES (7, 'customer-4711', '1999-01-31', 5), "
        f"(8, 'customer-4711', '{today}', 6), (9, 'customer-4711', NULL, 7)",
    )
    orders = store(kit, ORDERS)
    until = datetime(
        today.year + 10, today.month, min(today.day, 28) if today.month == 2 else today.day, tzinfo=UTC
    )
    is_erased(
        orders,
        Erased(before=3, erased=1, retained=(Retained(KEPT["article"], KEPT["reason"], 2, until),)),  # type: ignore[arg-type]
    )
    assert rows(engine, 'SELECT number FROM "order" ORDER BY 1') == [(1,), (2,), (8,), (9,)]


def test_fields_are_changed_where_records_stay(kit: Stores, engine: sa.Engine, url: str) -> None:
    customers = {
        "table": "the customers",
        "match": {"email": "e-mail"},
        "change": {"e-mail": "hmac", "password": "redact", "referred_by": "null"},
    }
    is_erased(store(kit, customers), Erased(before=1, changed=1))
    ((mail, password, by),) = rows(
        engine, 'SELECT "e-mail", password, referred_by FROM "the customers" WHERE id = \'customer-4711\''
    )
    assert (password, by) == ("erased", None)
    assert mail == kit.subjects.erasures.pseudonym("email", "jane.doe@example.com")
    assert not held(engine, url, "jane.doe@example.com")


def test_a_table_that_others_point_at_says_so_and_nothing_is_half_done(
    kit: Stores, engine: sa.Engine
) -> None:
    run(engine, "INSERT INTO \"order\" VALUES (7, 'customer-4711', '1999-01-31', 5)")
    other = {"table": "order", "match": {"email": "customer"}}
    wrong = store(kit, other, CUSTOMERS)
    with pytest.raises(SqlFailed, match="earlier in 'tables'") as raised:
        wrong.erase({**JANE, "email": frozenset({"customer-0815"})}, REQUEST)
    assert "4711" not in str(raised.value)
    assert rows(engine, 'SELECT count(*) FROM "order"') == [(3,)]


def test_mistakes_are_told_without_the_url(
    kit: Stores, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatabaseMissing, match="no column 'mail', expected one of id, e-mail"):
        store(kit, {**CUSTOMERS, "match": {"email": "mail"}, "links": {}}).find(JANE)
    with pytest.raises(DatabaseMissing, match="nowhere: no such table"):
        store(kit, {**ORDERS, "table": "nowhere"}).find(JANE)
    run(
        engine,
        "CREATE TABLE keyless (who varchar(80))",
        "INSERT INTO keyless VALUES ('jane.doe@example.com')",
    )
    with pytest.raises(StoreError, match="no primary key"):
        store(kit, {"table": "keyless", "match": {"email": "who"}, "change": {"who": "null"}}).erase(
            JANE, REQUEST
        )
    assert store(kit, {"table": "keyless", "match": {"email": "who"}}).erase(JANE, REQUEST).erased == 1
    secret = "hunter" + "2"
    monkeypatch.setenv(VARIABLE, f"postgresql+psycopg2://root:{secret}@127.0.0.1:1/none")
    with pytest.raises(SqlFailed) as raised:
        store(kit).find(JANE)
    assert secret not in str(raised.value)
    monkeypatch.setenv(VARIABLE, f"nonsense:{secret}")
    with pytest.raises(DatabaseMissing, match="expected a URL such as") as bad:
        store(kit).find(JANE)
    assert secret not in str(bad.value)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(DatabaseMissing, match="not set"):
        store(kit).find(JANE)


def test_an_identifier_is_no_sql(kit: Stores, engine: sa.Engine) -> None:
    odd = frozenset({"' OR 1=1 --", '"; DROP TABLE "order"; --', "%", "_", ""})
    assert store(kit).erase({"email": odd, "customer_id": odd}, REQUEST).nothing_left
    assert rows(engine, 'SELECT count(*) FROM "order"') == [(2,)]


def test_a_thousand_identifiers_and_numbers(kit: Stores, engine: sa.Engine) -> None:
    numbers = {"table": "order", "match": {"order": "number"}}
    many = frozenset(str(number) for number in range(2, 3000)) | {"customer-1", "02", "9" * 40}
    assert store(kit, numbers).find({"order": many}).records == 1
    assert store(kit, numbers).find({"order": frozenset({"02", "2.0"})}).records == 0


def test_a_row_is_locked_while_it_is_judged(
    kit: Stores, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who makes a row one to be kept either comes first, and it is kept, or finds it gone."""
    monkeypatch.setenv(VARIABLE, postgres_url)
    engine = sa.create_engine(postgres_url)
    run(
        engine,
        "CREATE TABLE claims (id int PRIMARY KEY, who text, hold boolean)",
        "INSERT INTO claims VALUES (1, 'jane.doe@example.com', false)",
    )
    hold = {"article": "GDPR Art. 17(3)(e)", "reason": "legal claims", "where": {"hold": True}}
    claims = store(kit, {"table": "claims", "match": {"email": "who"}, "retain": [hold]})
    done: list[Erased] = []
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE claims SET hold = true")
        erasing = threading.Thread(target=lambda: done.append(claims.erase(JANE, REQUEST)))
        erasing.start()
        with engine.connect() as watching:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not watching.exec_driver_sql(waits).scalar():
                watching.rollback()
    erasing.join()
    assert (done[0].erased, done[0].retained[0].records) == (0, 1)
    assert rows(engine, "SELECT count(*) FROM claims") == [(1,)]
    engine.dispose()
