"""The query of an audit file: known to be one statement that only reads, before Athena ever sees it.

Athena has the last word on whether the SQL is right; what is checked here is what must never reach it, and
what would otherwise show only at night.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from privacy_assets.audit.errors import AuditError
from privacy_assets.audit.lexer import Kind, LexError, Token, tokens

PARAMETERS = ("snapshot_date", "as_of")

_ENDS_FROM = frozenset(
    {"WHERE", "GROUP", "HAVING", "ORDER", "WINDOW", "UNION", "EXCEPT", "INTERSECT", "LIMIT"}
)
_NO_ALIAS = frozenset({"WHERE", "HAVING", "ON", "USING", "UNION", "EXCEPT", "INTERSECT"})

_PAIRS = {")": "(", "]": "["}
_WRITES = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "UNLOAD", "CREATE", "DROP", "ALTER", "MSCK", "VACUUM"}
    | {"OPTIMIZE", "GRANT", "REVOKE", "DENY", "CALL", "PREPARE", "EXECUTE", "DEALLOCATE", "REFRESH"}
)
_UNFINISHED = frozenset(
    {"SELECT", "WITH", "FROM", "JOIN", "ON", "USING", "WHERE", "AND", "OR", "NOT", "IN", "BY", "HAVING", "AS"}
    | {"UNION", "EXCEPT", "INTERSECT"}
)


def read(path: Path, body: str, first_line: int, tables: tuple[str, ...]) -> str:
    """The query in ``body`` without a closing semicolon; ``first_line`` numbers the body's first line.

    Raises AuditError unless it is one SELECT (or WITH … SELECT) with balanced brackets, no parameters but
    ``:snapshot_date`` and ``:as_of``, that names each of ``tables``.
    """
    try:
        found = list(tokens(body, first_line))
    except LexError as error:
        raise AuditError(path, error.line, f"{error}; expected its end") from None
    end = len(body)
    for n, token in enumerate(found):
        if token.text == ";":
            if found[n + 1 :]:
                line = found[n + 1].line
                raise AuditError(path, line, "a second statement begins here; expected a single SELECT")
            end, found = token.start, found[:n]
            break
    if not found:
        raise AuditError(path, first_line, "no query after the front matter; expected a SELECT")
    _refuse_other_than_select(path, found)
    _refuse_unbalanced(path, found)
    _refuse_parameters(path, found)
    _refuse_unread(path, found, tables)
    return body[:end].strip()


def columns_read(sql: str, table: str, columns: Collection[str]) -> frozenset[str]:
    """Which of ``columns`` of ``table`` a query may read: all that it names anywhere, or all of them where it
    reads the table without naming its columns (``*``, ``TABLE t``, ``t AS a (b, c)``, a natural join).

    A column that is named but belongs to another table counts too: better one too many than one too few.
    """
    found = list(tokens(sql))
    named = {_name(token) for token in found}
    if any(_unnamed(found, place, table) for place in range(len(found))):
        return frozenset(columns)
    return frozenset(column for column in columns if column in named)


def _name(token: Token) -> str:
    """The identifier that a token is, as the catalog has it; empty for what is none."""
    if token.kind is Kind.QUOTED:
        return token.text[1:-1].replace('""', '"').lower()
    return token.text.lower() if token.kind is Kind.WORD else ""


def _unnamed(found: Sequence[Token], place: int, table: str) -> bool:
    """Whether the token at ``place`` begins to read ``table`` without naming its columns."""
    token = found[place]
    before = found[place - 1] if place else None
    if token.word == "NATURAL":
        return True
    if token.text == "*" and before is not None:
        selects = before.word in ("SELECT", "DISTINCT", "ALL") or before.text in (",", ".")
        return selects and table in _sources(found, place)
    if _name(token) != table:
        return False
    if before is not None and before.word == "TABLE":
        return True
    after = [each for each in found[place + 1 : place + 4] if each.word != "AS"]
    alias, bracket = after[0] if after else token, after[1] if len(after) > 1 else token
    return bracket.text == "(" and bool(_name(alias)) and alias.word not in _NO_ALIAS


def _sources(found: Sequence[Token], star: int) -> set[str]:
    """The names in the FROM that the ``*`` at ``star`` belongs to, those of its subqueries too."""
    depth, inside, names = 0, False, set()
    for token in found[star + 1 :]:
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0 or (depth == 0 and inside and token.word in _ENDS_FROM):
            break
        inside = inside or (depth == 0 and token.word == "FROM")
        if inside:
            names.add(_name(token))
    return names


def _refuse_other_than_select(path: Path, found: list[Token]) -> None:
    first, last = found[0], found[-1]
    if first.word not in ("SELECT", "WITH"):
        raise AuditError(path, first.line, f"the query begins with {first.text!r}; expected SELECT or WITH")
    for n, token in enumerate(found):
        if token.word not in _WRITES:
            continue
        if token.word == "MERGE" and found[n + 1 : n + 2] and found[n + 1].text == "(":
            continue  # the function that folds sketches
        what = f"{token.text!r} begins a statement that doesn't only read"
        hint = f'expected a SELECT (a column of that name is written "{token.text}")'
        raise AuditError(path, token.line, f"{what}; {hint}")
    if not any(token.word == "SELECT" for token in found):
        raise AuditError(path, first.line, "WITH without a SELECT; expected a query")
    if last.word in _UNFINISHED:
        raise AuditError(path, last.line, f"the query ends after {last.text!r}; expected what follows it")


def _refuse_unbalanced(path: Path, found: list[Token]) -> None:
    opened: list[Token] = []
    for token in found:
        if token.kind is not Kind.SYMBOL:
            continue
        if token.text in _PAIRS.values():
            opened.append(token)
        elif wanted := _PAIRS.get(token.text):
            if not opened or opened[-1].text != wanted:
                raise AuditError(path, token.line, f"{token.text!r} closes nothing; expected a {wanted!r}")
            opened.pop()
    if opened:
        raise AuditError(path, opened[-1].line, f"{opened[-1].text!r} is never closed; expected its end")


def _refuse_parameters(path: Path, found: list[Token]) -> None:
    known = " or ".join(f":{name}" for name in PARAMETERS)
    symbols = {
        "?": f"a '?' has no name; expected {known}",
        "::": "'::' is no Athena SQL; expected CAST(… AS …)",
        "`": "'`' quotes nothing in a query; expected double quotes",
    }
    for token in found:
        if token.kind is Kind.PARAMETER and token.text[1:] not in PARAMETERS:
            raise AuditError(path, token.line, f"unknown parameter {token.text}; expected {known}")
        if token.kind is Kind.SYMBOL and token.text in symbols:
            raise AuditError(path, token.line, symbols[token.text])


def _refuse_unread(path: Path, found: list[Token], tables: tuple[str, ...]) -> None:
    names = {_name(token) for token in found}
    for table in tables:
        if table not in names:
            what = f"the query doesn't name the table {table}"
            hint = "expected the tables it reads as 'tables' in the front matter"
            raise AuditError(path, found[0].line, f"{what}; {hint}")
