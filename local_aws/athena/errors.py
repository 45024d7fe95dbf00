"""Why a query failed, in the words that Athena uses."""

from dataclasses import dataclass


@dataclass
class QueryError(Exception):
    """A query that can't be run: Trino's error name, a message and, where known, the place in the query's
    text.

    ``category`` is Athena's: 1 the service, 2 the user, 3 other
    (https://docs.aws.amazon.com/athena/latest/APIReference/API_AthenaError.html).
    """

    name: str
    message: str
    line: int | None = None
    column: int | None = None
    category: int = 2

    @property
    def reason(self) -> str:
        """The StateChangeReason, such as ``COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved``."""
        place = "" if self.line is None else f"line {self.line}:{self.column}: "
        return f"{self.name}: {place}{self.message}"

    def __str__(self) -> str:
        return self.reason


class QueryCancelled(Exception):  # noqa: N818  # a cancelled query is no error
    """The query was stopped: by a person, or by its workgroup's limit (then with a reason)."""


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character offset."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def at(text: str, offset: int | None, name: str, message: str) -> QueryError:
    """An error at a character offset of the query's text."""
    if offset is None:
        return QueryError(name, message)
    line, column = place(text, offset)
    return QueryError(name, message, line, column)


def not_supported(what: str) -> QueryError:
    """A statement or a clause that local Athena does not run."""
    return QueryError("NOT_SUPPORTED", f"{what} is not supported")
