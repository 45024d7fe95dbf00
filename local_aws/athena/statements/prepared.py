"""PREPARE, EXECUTE … USING and DEALLOCATE PREPARE: statements kept in the workgroup by name."""

from typing import Any

from local_aws.athena.errors import QueryError
from local_aws.athena.statements.lexer import Tokens
from local_aws.athena.statements.outcome import Job, Outcome


def resolve_execute(text: str, lookup: Any) -> tuple[str, list[str]] | None:
    """The statement that EXECUTE means and its parameters; None for any other text.

    ``lookup`` gives a prepared statement's text by name, or None. Raises QueryError when there is none.
    """
    tokens = Tokens(text)
    if not tokens.accept("EXECUTE"):
        return None
    name = tokens.name()
    statement = lookup(name)
    if statement is None:
        raise QueryError("NOT_FOUND", f"Prepared statement not found: {name}", 1, 1)
    parameters: list[str] = []
    if tokens.accept("USING"):
        parameters = _listed(tokens)
    tokens.end()
    return statement, parameters


def _listed(tokens: Tokens) -> list[str]:
    """The texts between commas outside of brackets."""
    found = []
    while True:
        start, end, depth = tokens.rest_start(), tokens.rest_start(), 0
        while (token := tokens.peek) is not None and (depth or token.text != ","):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
            end = token.end
            tokens.next()
        found.append(tokens.text[start:end])
        if not tokens.accept(","):
            return found


def run_prepare(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("PREPARE")
    name = tokens.name()
    tokens.expect("FROM")
    athena = job.client("athena")
    request = {"StatementName": name, "WorkGroup": job.workgroup, "QueryStatement": tokens.rest()}
    try:
        athena.get_prepared_statement(StatementName=name, WorkGroup=job.workgroup)
    except athena.exceptions.ClientError:
        athena.create_prepared_statement(**request)
    else:
        athena.update_prepared_statement(**request)
    return Outcome()


def run_deallocate(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("DEALLOCATE", "PREPARE")
    name = tokens.name()
    tokens.end()
    athena = job.client("athena")
    try:
        athena.delete_prepared_statement(StatementName=name, WorkGroup=job.workgroup)
    except athena.exceptions.ClientError:
        raise QueryError("NOT_FOUND", f"Prepared statement not found: {name}", 1, 1) from None
    return Outcome()
