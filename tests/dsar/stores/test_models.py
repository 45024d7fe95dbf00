"""Stores in estate.yaml: a mistake is told with its line, its path, and what was expected."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from privacy_assets.dsar.stores.models import (
    MODELS,
    LakeTable,
    Records,
    Retention,
    SqlStore,
    SqlTable,
    Until,
    filled,
)
from privacy_assets.estate import EstateError, load_estate
from privacy_assets.governed import PROJECT

DOCUMENTED = (PROJECT / "docs/stores.md").read_text()

TABLES = """\
tables:
  - {name: logs, table: LogsTable, keys: [id], subject_key: who, owner: team:a,
     columns: {id: {type: string}, who: {type: string}}}
  - {name: other, table: OtherTable, keys: [id], owner: team:a, columns: {id: {type: string}}}
stores:
"""
TABLE = "{table: t, match: {email: mail}}"


def problem(tmp_path: Path, stores: str) -> str:
    path = tmp_path / "estate.yaml"
    path.write_text(TABLES + stores)
    with pytest.raises(EstateError) as raised:
        load_estate(path)
    (line,) = raised.value.problems
    return line.removeprefix(f"{path}:")


def test_a_store_is_read_as_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(
        TABLES
        + """\
  - name: crm
    kind: sql
    owner: team:crm
    url: CRM_URL
    tables:
      - {table: customers, schema: public, match: {email: [email, other_email]}, links: {customer_id: id}}
"""
    )
    (store,) = load_estate(path).stores
    assert isinstance(store, SqlStore)
    (table,) = store.tables
    assert (table.schema_name, table.match, table.links) == (
        "public",
        {"email": ("email", "other_email")},
        {"customer_id": ("id",)},
    )


@pytest.mark.parametrize(
    ("stores", "expected"),
    [
        ("{name: a, owner: team:a}", "6: stores.0: dict, expected 'kind:' with one of dynamodb, sql, lake"),
        ("{name: a, owner: team:a, kind: mongo}", "6: stores.0: dict, expected 'kind:' with one of dynamodb"),
        (
            "{name: a, owner: team:a, kind: sql,\n url: 'postgresql://root:hunter2@db', tables: ["
            + TABLE
            + "]}",
            "7: stores.0.url: expected the name of an environment variable",
        ),
        (
            "{name: a, owner: team:a, kind: dynamodb, match: {email: mail}}",
            "6: stores.0.table: missing, expected a value",
        ),
        (
            "{name: a, owner: team:a, kind: dynamodb, table: abc, match: {email: mail},\n a: 1}",
            "7: stores.0.a: unknown, expected one of match, links, export, change, retain, name, owner, ",
        ),
        (
            "{name: a, owner: team:a, kind: events, match: {email: mail}, change: {name: 'null'}}",
            "6: stores.0: change: 'mail' names the subject, expected it among the changed",
        ),
        (
            "{name: a, owner: team:a, kind: events, match: {email: x}, retain: [{article: x, reason: y}]}",
            "6: stores.0.retain.0: keeps every record for ever, expected 'where' or 'until'",
        ),
        (
            (
                "{name: a, owner: team:a, kind: lake, tables: [{table: t, match: {email: mail},\n"
                "  retain: [{article: x, reason: y,\n until: {field: at, period: 10 years}}]}]}"
            ),
            "8: stores.0.tables.0.retain.0.until.period: '10 years', expected an ISO 8601 period",
        ),
        (
            "{name: a, owner: team:a, kind: s3_prefix, bucket: abc, keys: users/}",
            "6: stores.0: keys: 'users/', expected one placeholder",
        ),
        (
            "{name: a, owner: team:a, kind: archive, subject: customer_id, tables: [other]}",
            "1: stores: a: tables: 'other', expected a table with a subject_key: logs",
        ),
        (
            (
                "{name: a, owner: team:a, kind: archive, subject: x}\n"
                "  - {name: a, owner: team:a, kind: snapshots, subject: x}"
            ),
            "stores: name 'a' is there twice, expected once",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, stores: str, expected: str) -> None:
    said = problem(tmp_path, f"  - {stores}")
    assert expected in said
    assert "hunter2" not in said


@pytest.mark.parametrize("model", [*MODELS.values(), Records, SqlTable, LakeTable, Retention, Until])
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    assert [name for name in names if f"\n| `{name}` |" not in DOCUMENTED] == []


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_is_documented(kind: str) -> None:
    assert f"\n### `{kind}`" in DOCUMENTED


def test_a_value_is_never_a_template() -> None:
    assert filled("users/{id}/", "{id}/../{id}") == "users/{id}/../{id}/"
