"""Audit files: what is read from them, and that each mistake is refused with its file and its line."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from privacy_assets.audit.definition import Audit, AuditError, Severity, load_audit, load_audits
from privacy_assets.audit.query import columns_read

FRONT = """\
-- ---
-- id: consent.missing
-- title: No consent
-- severity: high
-- regulation: GDPR Art. 6(1)(a), 7(1)
-- threshold: 2
-- owner: team:privacy
-- description: >
--   Folded over
--   two lines.
-- ---
"""
QUERY = "SELECT subject_id AS subject FROM privacy_logs WHERE snapshot_date = :snapshot_date\n"


def written(directory: Path, text: str, name: str = "audit.sql") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(AuditError) as caught:
        load_audit(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "expected" in message
    return message


def test_every_field_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, FRONT + QUERY)
    assert load_audit(path) == Audit(
        id="consent.missing",
        title="No consent",
        severity=Severity.HIGH,
        regulation="GDPR Art. 6(1)(a), 7(1)",
        threshold=2,
        owner="team:privacy",
        description="Folded over two lines.",
        sql=QUERY.strip(),
        path=path,
        tables=("privacy_logs",),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert load_audit(path).asset_name == "consent_missing"


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + (FRONT + QUERY).replace("\n", "\r\n"))
    assert load_audit(path).sql == QUERY.strip()


def test_the_hash_changes_with_the_threshold(tmp_path: Path) -> None:
    one = load_audit(written(tmp_path, FRONT + QUERY, "one.sql"))
    two = load_audit(written(tmp_path, FRONT.replace("threshold: 2", "threshold: 3") + QUERY, "two.sql"))
    assert one.sha256 != two.sha256


def test_parameters_become_placeholders_in_their_order(tmp_path: Path) -> None:
    body = """SELECT ':as_of', ":snapshot_date" -- :as_of and '
    /* :as_of " */ FROM privacy_logs
    WHERE event_time < :as_of AND snapshot_date = :snapshot_date OR a[1] = :as_of"""
    sql, parameters = load_audit(written(tmp_path, FRONT + body)).statement(
        date(2026, 1, 1), datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=3)))
    )
    assert sql.endswith("event_time < ? AND snapshot_date = ? OR a[1] = ?")
    assert """':as_of', ":snapshot_date" -- :as_of and '""" in sql
    instant = "TIMESTAMP '2026-01-02 00:00:00.000'"
    assert parameters == [instant, "DATE '2026-01-01'", instant]


def test_an_instant_without_time_zone_is_refused(tmp_path: Path) -> None:
    audit = load_audit(written(tmp_path, FRONT + QUERY))
    with pytest.raises(ValueError, match="time zone"):
        audit.statement(date(2026, 1, 1), datetime(2026, 1, 2))  # noqa: DTZ001 - that it is naive is the test
    assert audit.statement(date(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC))[1] == ["DATE '2026-01-01'"]


@pytest.mark.parametrize(
    "body",
    [
        QUERY + ";\n-- done\n",
        "SELECT 'DROP TABLE x; it''s ('  FROM privacy_logs",
        'SELECT "update", "a""(b" FROM privacy_logs',
        "-- INSERT INTO x (\nSELECT 1 /* ) ; DELETE */ FROM privacy_logs",
        "WITH a AS (SELECT 1 FROM privacy_logs) SELECT merge(x), replace(y, 'a', 'b') FROM a",
        "SELECT json_object('a' : 1), ARRAY[1, 2][1] FROM Privacy_Logs",
        'SELECT * FROM lake."privacy_logs"',
    ],
)
def test_words_in_strings_names_and_comments_do_not_count(tmp_path: Path, body: str) -> None:
    assert load_audit(written(tmp_path, FRONT + body)).sql == body.split(";\n--")[0].strip()


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("", 12, "no query"),
        ("-- a comment\n\n;", 12, "no query"),
        ("\nSELECT (1\nFROM privacy_logs", 13, "'(' is never closed"),
        ("SELECT 1)\nFROM privacy_logs", 12, "')' closes nothing"),
        ("SELECT (ARRAY[1)]\nFROM privacy_logs", 12, "')' closes nothing; expected a '('"),
        ("SELECT 1,\n 'it\nFROM privacy_logs", 13, "a string begins here and never ends"),
        ('SELECT 1 AS "x\nFROM privacy_logs', 12, "a quoted identifier begins here"),
        ("SELECT 1\n\n/* FROM privacy_logs", 14, "a comment begins here"),
        ("SELECT 1 FROM privacy_logs;\n\nSELECT 2", 14, "a second statement"),
        ("INSERT INTO x SELECT 1 FROM privacy_logs", 12, "begins with 'INSERT'"),
        ("UNLOAD (SELECT 1 FROM privacy_logs) TO 's3://b/k/'", 12, "begins with 'UNLOAD'"),
        ("(SELECT 1 FROM privacy_logs)", 12, "begins with '('"),
        ("WITH a AS (SELECT 1 FROM privacy_logs)\nDELETE FROM a", 13, "'DELETE' begins a statement"),
        ("WITH a AS (SELECT 1 FROM privacy_logs)\nmerge into a", 13, "'merge' begins a statement"),
        ("SELECT 1 FROM privacy_logs\nWHERE drop = 1", 13, '"drop"'),
        ("SELECT 1 FROM privacy_logs WHERE", 12, "ends after 'WHERE'"),
        ("WITH privacy_logs", 12, "without a SELECT"),
        (
            "SELECT 1 FROM privacy_logs\nWHERE d = :day",
            13,
            "unknown parameter :day; expected :snapshot_date",
        ),
        ("SELECT 1 FROM privacy_logs\nWHERE d = ?", 13, "'?' has no name"),
        ("SELECT a::date FROM privacy_logs", 12, "'::' is no Athena SQL"),
        ("SELECT `a` FROM privacy_logs", 12, "'`' quotes nothing"),
        ("SELECT 1 FROM 'privacy_logs'", 12, "doesn't name the table privacy_logs"),
    ],
)
def test_a_query_is_refused_with_its_line(tmp_path: Path, body: str, line: int, words: str) -> None:
    path = written(tmp_path, FRONT + body)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: ")
    assert words in message


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("-- id: consent.missing\n", "", 1, "field 'id' is missing"),
        ("-- title: No consent\n", "", 1, "field 'title' is missing"),
        ("-- owner: team:privacy\n", "", 1, "field 'owner' is missing"),
        ("-- title: No consent", "-- titel: No consent", 3, "unknown field 'titel'"),
        ("-- title: No consent", "-- id: other", 3, "field 'id' stands twice"),
        ("title: No consent", "title:", 3, "field 'title' is None"),
        ("title: No consent", "title: 12", 3, "field 'title' is 12; expected text"),
        ("title: No consent", "title: a: b", 3, "no YAML"),
        ("title: No consent", "title: [a", 4, "no YAML"),
        ("id: consent.missing", "id: Consent.Missing", 2, "expected lower-case words joined by dots"),
        ("id: consent.missing", "id: consent..missing", 2, "expected lower-case words joined by dots"),
        ("id: consent.missing", "id: 1consent", 2, "expected lower-case words joined by dots"),
        ("id: consent.missing", "id: consent-missing", 2, "expected lower-case words joined by dots"),
        ("severity: high", "severity: bad", 4, "expected one of low, medium, high, critical"),
        ("severity: high", "severity: [high]", 4, "expected one of low, medium, high, critical"),
        ("threshold: 2", "threshold: many", 6, "expected a whole number"),
        ("threshold: 2", "threshold: -1", 6, "expected a whole number"),
        ("threshold: 2", "threshold: 1.5", 6, "expected a whole number"),
        ("threshold: 2", "threshold: true", 6, "expected a whole number"),
        ("owner: team:privacy", "owner: privacy", 7, "expected team:<name> or an e-mail address"),
        (
            "owner: team:privacy",
            "owner: team:privacy\n-- tables: privacy_logs",
            8,
            "expected a list of table names",
        ),
        ("owner: team:privacy", "owner: team:privacy\n-- tables: []", 8, "expected a list"),
        ("owner: team:privacy", "owner: team:privacy\n-- tables: [A.b]", 8, "expected table names"),
        ("-- ---\n-- id", "-- id", 1, "no front matter"),
        ("lines.\n-- ---\n", "lines.\n", 11, "the front matter has no end"),
    ],
)
def test_a_front_matter_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in FRONT
    path = written(tmp_path, FRONT.replace(old, new) + QUERY)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: ")
    assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("-- ---\n-- id: a\n", "the front matter has no end"),
        ("-- ---\n-- ---\n" + QUERY, "has no fields"),
        ("-- ---\n-- - a\n-- ---\n" + QUERY, "has no fields"),
    ],
)
def test_a_file_without_audit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(written(tmp_path, text))


def test_text_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.sql"
    path.write_bytes(FRONT.encode() + "-- Löschung\n".encode("latin-1"))
    assert refusal(path).startswith(f"{path}:12: not UTF-8")


def test_several_tables_may_be_read(tmp_path: Path) -> None:
    front = FRONT.replace("-- owner", "-- tables: [findings, privacy_logs, findings]\n-- owner")
    path = written(tmp_path, front + "SELECT 1 FROM privacy_logs, lake.findings")
    assert load_audit(path).tables == ("findings", "privacy_logs")
    assert "doesn't name the table findings" in refusal(written(tmp_path, front + QUERY))


def test_a_repeated_id_names_both_files(tmp_path: Path) -> None:
    one, two = (written(tmp_path, FRONT + QUERY, name) for name in ("one.sql", "two.sql"))
    with pytest.raises(AuditError) as caught:
        load_audits(tmp_path)
    assert str(caught.value).startswith(f"{two}:2: id consent.missing is that of {one}")


def test_ids_that_make_the_same_asset_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path, FRONT + QUERY, "one.sql")
    two = written(tmp_path, FRONT.replace("consent.missing", "consent_missing") + QUERY, "two.sql")
    with pytest.raises(AuditError) as caught:
        load_audits(tmp_path)
    assert str(caught.value).startswith(f"{two}:2: ")
    assert str(one) in str(caught.value)
    assert "audit/consent_missing" in str(caught.value)


def test_a_directory_is_read_in_the_order_of_ids(tmp_path: Path) -> None:
    written(tmp_path, FRONT.replace("consent.missing", "z") + QUERY, "a.sql")
    written(tmp_path, FRONT.replace("consent.missing", "b") + QUERY, "z.sql")
    written(tmp_path, "not an audit", "readme.md")
    assert [audit.id for audit in load_audits(tmp_path)] == ["b", "z"]


def test_a_directory_without_audits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="holds no audit"):
        load_audits(tmp_path)
    with pytest.raises(AuditError, match="no such directory"):
        load_audits(tmp_path / "missing")


DOCUMENT = (Path(__file__).parents[2] / "docs" / "audits.md").read_text("utf-8")


def test_the_documented_example_is_an_audit(tmp_path: Path) -> None:
    example = DOCUMENT.split("```sql\n")[1].split("```")[0]
    assert load_audit(written(tmp_path, example)).id == "purpose.unknown"


def test_every_audit_is_documented() -> None:
    audits = load_audits(Path(__file__).parents[2] / "audits")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \|", DOCUMENT, re.MULTILINE)
    assert sorted(rows) == [(audit.id, str(audit.severity)) for audit in audits]


COLUMNS_OF_LOGS = ("log_id", "subject_age", "message")


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("SELECT log_id FROM logs", ["log_id"]),
        ('SELECT LOG_ID FROM logs AS l WHERE (l."Subject_Age" < 3)', ["log_id", "subject_age"]),
        ("SELECT log_id, 'message' FROM logs -- subject_age", ["log_id"]),
        ("SELECT log_id, count(*), 2 * 3 FROM logs", ["log_id"]),
        ("SELECT * FROM logs", COLUMNS_OF_LOGS),
        ("SELECT l.* FROM other CROSS JOIN logs AS l", COLUMNS_OF_LOGS),
        ("SELECT 1, * FROM (SELECT DISTINCT * FROM logs)", COLUMNS_OF_LOGS),
        ("WITH e AS (SELECT log_id FROM logs WHERE (1 = 1)) SELECT * FROM e", ["log_id"]),
        ("WITH e AS (SELECT log_id FROM logs) SELECT * FROM e WHERE 1 IN (SELECT 1 FROM logs)", ["log_id"]),
        ("WITH e AS (TABLE logs) SELECT 1 FROM e", COLUMNS_OF_LOGS),
        ("SELECT a FROM logs AS l (a, b, c)", COLUMNS_OF_LOGS),
        ("SELECT a FROM logs l (a, b, c)", COLUMNS_OF_LOGS),
        ("SELECT log_id FROM logs NATURAL JOIN other", COLUMNS_OF_LOGS),
        ("SELECT log_id FROM other JOIN logs USING (log_id)", ["log_id"]),
    ],
)
def test_the_columns_that_a_query_reads(sql: str, read: Sequence[str]) -> None:
    assert columns_read(sql, "logs", COLUMNS_OF_LOGS) == set(read)
