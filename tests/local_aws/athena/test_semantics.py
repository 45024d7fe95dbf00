"""Athena's answers are Trino's. With TRINO_URL naming a real Trino, the same cases are also put to it."""

import os
from typing import Any

import pytest

from tests.local_aws.athena.client import Athena
from tests.local_aws.athena.semantics import QUERIES, TOPICS, Fails, Rows
from tests.local_aws.athena.trino import Trino

VALUES = [
    pytest.param(sql, expected, id=f"{topic}: {sql}")
    for topic, cases in TOPICS.items()
    for sql, expected in cases
]
WHOLE = [pytest.param(sql, expected, id=sql) for sql, expected in QUERIES]


def _check(found: "Rows | Fails", expected: "Rows | Fails", reason: str) -> None:
    if isinstance(expected, Fails):
        assert isinstance(found, Fails), f"expected {expected}, found {found}"
        assert found.name == expected.name, reason
        assert expected.saying in reason
    else:
        assert found == expected, reason


def _local(athena: Athena, sql: str) -> tuple["Rows | Fails", str]:
    answer = athena.run(sql)
    if answer.state == "FAILED":
        return Fails(answer.reason.partition(":")[0]), answer.reason
    return answer.rows, ""


@pytest.mark.parametrize(("sql", "expected"), VALUES)
def test_value(shared: Athena, sql: str, expected: Any) -> None:
    found, reason = _local(shared, f"SELECT {sql}")
    _check(found, expected if isinstance(expected, Fails) else [(expected,)], reason)


@pytest.mark.parametrize(("sql", "expected"), WHOLE)
def test_query(shared: Athena, sql: str, expected: Any) -> None:
    found, reason = _local(shared, sql)
    if isinstance(found, list) and "ORDER BY" not in sql:
        found, expected = sorted(found, key=repr), sorted(expected, key=repr)
    _check(found, expected, reason)


@pytest.fixture(scope="session")
def trino() -> Trino:
    url = os.environ.get("TRINO_URL")
    if not url:
        pytest.skip("TRINO_URL names no Trino to compare with")
    return Trino(url)


def test_a_real_trino_answers_the_same(trino: Trino) -> None:
    """All cases at once; names and wording of errors are Athena's own and are not compared."""
    different = []
    cases = [
        (f"SELECT {sql}", e if isinstance(e, Fails) else [(e,)])
        for cases in TOPICS.values()
        for sql, e in cases
    ]
    for sql, expected in [*cases, *QUERIES]:
        found = trino.rows(sql)
        if isinstance(found, list) and isinstance(expected, list) and "ORDER BY" not in sql:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        same = isinstance(found, Fails) if isinstance(expected, Fails) else found == expected
        if not same:
            different.append(f"{sql}\n  expected {expected}\n  Trino    {found}")
    assert not different, "\n".join(different)
