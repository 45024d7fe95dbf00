"""The statement's text: one quoting, no value that gets out of it, every declared attribute in it."""

import re
from datetime import date

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from privacy_assets.estate import Column, ColumnType, Table
from privacy_assets.snapshot import typing_sql

WORDS = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs",)), min_size=1, max_size=20)


def table(*attributes: str, kind: ColumnType = ColumnType.STRING) -> Table:
    columns = {name: Column(type=kind, column=f"c{number}") for number, name in enumerate(attributes)}
    return Table.model_validate(
        {"name": "logs", "table": "Logs", "keys": attributes[:1], "owner": "team:a", "columns": columns}
    )


def select(statement: str) -> exp.Expression:
    """The query in an UNLOAD, parsed."""
    match = re.fullmatch(r"UNLOAD \((.*)\) TO '[^']*' WITH \(.*\)", statement, re.DOTALL)
    assert match
    return sqlglot.parse_one(match[1], read="athena")


@settings(deadline=None, max_examples=40)  # a busy machine is no defect
@given(WORDS)
def test_a_literal_holds_any_text(text: str) -> None:
    parsed = sqlglot.parse_one(f"SELECT {typing_sql.quote_literal(text)}", read="trino")
    assert parsed.expressions[0].this == text


@settings(deadline=None, max_examples=40)  # a busy machine is no defect
@given(WORDS)
def test_an_identifier_holds_any_name(name: str) -> None:
    parsed = sqlglot.parse_one(f"SELECT {typing_sql.quote_identifier(name)}", read="trino")
    assert parsed.expressions[0].this.this == name


@pytest.mark.parametrize("text", ["a\nb", "a\0b", "\x1f"])
def test_control_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected text without control characters"):
        typing_sql.quote_literal(text)


@settings(deadline=None, max_examples=40)  # a busy machine is no defect
@given(st.lists(WORDS, min_size=1, max_size=4, unique=True))
def test_a_table_of_any_attributes_is_one_query_and_no_more(names: list[str]) -> None:
    governed = table(*names)
    statement = typing_sql.unload(governed, "db", "logs_lines", date(2026, 1, 1), "s3://lake/x/")
    parsed = select(statement)
    columns = [column for column, _ in typing_sql.snapshot_columns(governed)]
    assert parsed.named_selects == columns
    assert columns[-2:] == ["misfits", "undeclared"]


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("log_id", "'$.Item.log_id.S'"),
        ("logId", "'$.Item.logId.S'"),
        ("a b", """'$.Item["a b"].S'"""),
        ("1st", """'$.Item["1st"].S'"""),
        ('say "hi"', r"""'$.Item["say \"hi\""].S'"""),
        ("back\\slash", r"""'$.Item["back\\slash"].S'"""),
        ("it's", """'$.Item["it''s"].S'"""),
        ("größe", """'$.Item["größe"].S'"""),
    ],
)
def test_paths_are_case_sensitive_and_quoted(attribute: str, expected: str) -> None:
    assert typing_sql.attribute_path(attribute, "S") == expected


@pytest.mark.parametrize("kind", list(ColumnType))
def test_every_type_is_parsed_by_athenas_dialect(kind: ColumnType) -> None:
    statement = typing_sql.unload(table("a", kind=kind), "db", "lines", date(2026, 1, 1), "s3://lake/x/")
    assert select(statement).named_selects == ["c0", "misfits", "undeclared"]


def test_the_survey_has_one_parameter() -> None:
    parsed = sqlglot.parse_one(typing_sql.survey(table("a", "b"), "db", "logs"), read="athena")
    assert len(list(parsed.find_all(exp.Placeholder))) == 1
    assert parsed.named_selects == ["what", "name", "number"]
