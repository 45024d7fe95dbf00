"""What an audit is: one SQL file with a front matter, read and checked before anything runs.

An audit file is Athena's SQL but for its named parameters. Its front matter is YAML in the leading comment::

    -- ---
    -- id: consent.missing
    -- title: Processing on consent that was never given
    -- severity: high
    -- regulation: GDPR Art. 6(1)(a), 7(1)
    -- threshold: 0
    -- owner: team:privacy
    -- description: What counts as a violation, in a sentence or two.
    -- ---
    SELECT subject_id AS subject, log_id AS row_key, 'no consent' AS reason
    FROM privacy_logs
    WHERE snapshot_date = :snapshot_date AND …

The query returns the violating rows as ``subject``, ``row_key`` and ``reason``. Running it stays out of here.
"""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from privacy_assets.audit import front_matter, query
from privacy_assets.audit.errors import AuditError
from privacy_assets.audit.front_matter import Severity
from privacy_assets.audit.lexer import Kind, tokens

__all__ = ["Audit", "AuditError", "Severity", "load_audit", "load_audits"]


@dataclass(frozen=True)
class Audit:
    """One rule that must hold, and the query for the rows that break it.

    ``threshold`` is the number of violating rows that is still accepted. ``sql`` is the query without front
    matter and closing semicolon, its parameters still named. ``tables`` are the tables it reads.
    ``sha256`` is that of the file's bytes, so that ``sha256sum`` on the file proves which rule ran.
    """

    id: str
    title: str
    severity: Severity
    regulation: str
    threshold: int
    owner: str
    description: str
    sql: str
    path: Path
    tables: tuple[str, ...]
    sha256: str

    @property
    def asset_name(self) -> str:
        """The last part of the asset key: ``consent.missing`` is the asset ``audit/consent_missing``."""
        return self.id.replace(".", "_")

    def reads(self, table: str, columns: Collection[str]) -> frozenset[str]:
        """Which of ``columns`` of ``table`` the query may read; rather one too many than one too few."""
        return query.columns_read(self.sql, table, columns) if table in self.tables else frozenset()

    def statement(self, snapshot_date: date, as_of: datetime) -> tuple[str, list[str]]:
        """The query as Athena takes it, with its ``ExecutionParameters``: SQL literals, one for each ``?``.

        ``as_of``, the instant of the export, carries a time zone and is written in UTC, to the millisecond.
        """
        if as_of.tzinfo is None:
            raise ValueError(f"as_of {as_of} has no time zone; expected an aware datetime")
        instant = as_of.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
        literals = {":snapshot_date": f"DATE '{snapshot_date:%Y-%m-%d}'", ":as_of": f"TIMESTAMP '{instant}'"}
        named = [token for token in tokens(self.sql) if token.kind is Kind.PARAMETER]
        pieces, position = [], 0
        for token in named:
            pieces += [self.sql[position : token.start], "?"]
            position = token.end
        return "".join([*pieces, self.sql[position:]]), [literals[token.text] for token in named]


def load_audits(directory: Path) -> list[Audit]:
    """All audits of ``directory`` (its ``*.sql``), ordered by id.

    Raises AuditError for the first file that is refused, for an id or asset name that two files share, and
    for a directory that is missing or holds no audit.
    """
    if not directory.is_dir():
        raise AuditError(directory, None, "no such directory; expected a directory of audits (*.sql)")
    audits = [load_audit(path) for path in sorted(directory.glob("*.sql"))]
    if not audits:
        raise AuditError(directory, None, "holds no audit; expected at least one file *.sql")
    _refuse_repeated(audits)
    return sorted(audits, key=lambda audit: audit.id)


def load_audit(path: Path) -> Audit:
    """The audit in one file. Raises AuditError with file and line when it is refused."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise AuditError(path, line, "not UTF-8 text; expected SQL in UTF-8") from None
    fields, last_line = front_matter.read(path, text)
    body = "\n".join(text.split("\n")[last_line:])
    tables = fields.tables()
    return Audit(
        id=fields.id(),
        title=fields.text("title"),
        severity=fields.severity(),
        regulation=fields.text("regulation"),
        threshold=fields.threshold(),
        owner=fields.owner(),
        description=fields.text("description"),
        sql=query.read(path, body, last_line + 1, tables),
        path=path,
        tables=tables,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _refuse_repeated(audits: Iterable[Audit]) -> None:
    seen: dict[str, Audit] = {}
    for audit in audits:
        other = seen.setdefault(audit.asset_name, audit)
        if other is audit:
            continue
        line = _line_of_id(audit.path)
        if other.id == audit.id:
            raise AuditError(audit.path, line, f"id {audit.id} is that of {other.path}; expected it once")
        what = f"id {audit.id} and id {other.id} in {other.path} make the same asset audit/{audit.asset_name}"
        raise AuditError(audit.path, line, f"{what}; expected ids that differ in more than dots")


def _line_of_id(path: Path) -> int | None:
    lines = path.read_text("utf-8-sig").split("\n")
    return next((n for n, line in enumerate(lines, 1) if re.match(r"--\s*id\s*:", line)), None)
