"""Trino's grammar, read by sqlglot, with every function call left as it was written."""

import re
from typing import Any

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from local_aws.athena.errors import QueryError, at

_KEPT = ("CAST", "TRY_CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM", "LISTAGG")


class TrinoCalls(Trino):
    """Trino whose functions are all calls by name: what they mean is decided by ``functions``, not by
    sqlglot. (sqlglot registers a dialect by its class's name: it mustn't be one of sqlglot's own.)
    """

    INDEX_OFFSET = 0

    class Parser(Trino.Parser):  # type: ignore[valid-type,misc]  # sqlglot makes it an attribute
        FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012  # sqlglot's way to configure a dialect
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: parser for name, parser in Trino.Parser.FUNCTION_PARSERS.items() if name in _KEPT
        }
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
            name: parser
            for name, parser in Trino.Parser.NO_PAREN_FUNCTION_PARSERS.items()
            if name in ("CASE", "IF", "ANY")
        }
        PLACEHOLDER_PARSERS = {  # noqa: RUF012
            # the place tells the question marks apart: the tree's order is not the text's; Trino knows no
            # ``:name`` and no ``@name``
            TokenType.PLACEHOLDER: lambda self: exp.Placeholder(this=str(self._prev.start)),
        }


def parse_query(text: str) -> exp.Expr:
    """The one statement in ``text``. Raises QueryError SYNTAX_ERROR with its place."""
    dialect = TrinoCalls()
    try:
        tokens = _whole_numbers(text, dialect.tokenize(text))
        found = [tree for tree in dialect.parser().parse(tokens, text) if tree is not None]
    except ParseError as error:
        raise _syntax_error(text, error) from None
    except TokenError as error:
        raise QueryError("SYNTAX_ERROR", str(error).split("\n", maxsplit=1)[0]) from None
    if len(found) != 1:
        raise QueryError("SYNTAX_ERROR", "Only one sql statement is allowed. Got: " + str(len(found)))
    tree = found[0]
    assert isinstance(tree, exp.Expr)
    return tree


_DIGITS = r"[0-9](?:_?[0-9])*"
_NUMBER = re.compile(
    rf"0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|{_DIGITS}(?:\.(?:{_DIGITS})?)?(?:[eE][+-]?[0-9]+)?"
)
_NAME = re.compile(r"\w+")


def _whole_numbers(text: str, tokens: list[Token]) -> list[Token]:
    """The tokens with numbers as Trino writes them: ``1_000``, ``0x1F``, ``0o17``, ``0b11``.

    sqlglot takes the first for 1 with the name _000. A name that begins with a digit is refused.
    """
    found: list[Token] = []
    end = -1
    for token in tokens:
        if token.start < end:
            continue  # a part of the number before
        number = None
        if token.token_type in (TokenType.NUMBER, TokenType.HEX_STRING):
            number = _NUMBER.match(text, token.start)
        if number is None:
            found.append(token)
            continue
        end = number.end()
        if _NAME.match(text, end):
            message = "identifiers must not start with a digit; surround the identifier with double quotes"
            raise at(text, token.start, "SYNTAX_ERROR", message)
        plain = number.group().replace("_", "")
        if plain[1:2].isalpha() and plain[1] in "xXoObB":
            plain = str(int(plain, 0))
        column = token.col + end - 1 - token.end
        found.append(Token(TokenType.NUMBER, plain, token.line, column, token.start, end - 1, token.comments))
    return found


def _syntax_error(text: str, error: ParseError) -> QueryError:
    first = error.errors[0]
    highlight = first.get("highlight") or ""
    line, end = first.get("line") or 1, first.get("col") or 1
    column = max(1, end - len(highlight) + 1)
    what = "mismatched input" if highlight else "incomplete statement"
    if not highlight:
        return at(text, len(text), "SYNTAX_ERROR", what)
    wanted = (first.get("description") or "").split("<Token")[0].strip()
    note = f". {wanted.removesuffix(' but got')}" if wanted.startswith("Expect") else ""
    return QueryError("SYNTAX_ERROR", f"{what} '{highlight}'{note}", line, column)


def bind_parameters(tree: exp.Expr, parameters: list[str]) -> exp.Expr:
    """Put the execution parameters, each a literal of SQL, in the place of the question marks, in order.

    Raises QueryError when their numbers differ.
    """
    marks = sorted(tree.find_all(exp.Placeholder), key=lambda mark: int(mark.this))
    if len(marks) != len(parameters):
        raise QueryError(
            "INVALID_PARAMETER_USAGE",
            f"Incorrect number of parameters: expected {len(marks)} but found {len(parameters)}",
            1,
            1,
        )
    for mark, text in zip(marks, parameters, strict=True):
        value = parse_expression(text)
        if mark is tree:
            return value
        mark.replace(value)
    return tree


def parse_expression(text: str) -> exp.Expr:
    """An expression by itself, such as an execution parameter. Raises QueryError."""
    tree = parse_query("SELECT " + text)
    if (
        not isinstance(tree, exp.Select)
        or len(tree.expressions) != 1
        or set(_clauses(tree)) != {"expressions"}
    ):
        raise QueryError("SYNTAX_ERROR", f"not an expression: '{text}'")
    value = tree.expressions[0]
    assert isinstance(value, exp.Expr)
    for node in value.walk():
        node.meta.clear()  # places in another text than the query's would mislead
    return value.pop() if value.parent else value


def _clauses(tree: exp.Expr) -> list[str]:
    return [name for name, value in tree.args.items() if value]
