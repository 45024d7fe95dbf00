"""Which kind of statement a text is, by its first words, and what runs it."""

from collections.abc import Callable
from dataclasses import dataclass

from local_aws.athena.errors import QueryError, not_supported
from local_aws.athena.statements import prepared, show, tables, unload
from local_aws.athena.statements.lexer import Tokens
from local_aws.athena.statements.outcome import Job, Outcome
from local_aws.athena.statements.query import run_query

Runner = Callable[[Job], Outcome]


@dataclass(frozen=True)
class Kind:
    """A kind of statement: Athena's StatementType and SubstatementType, and the suffix of its result file."""

    type: str
    substatement: str
    suffix: str
    run: Runner


def _refuse(words: str) -> Runner:
    def run(_: Job) -> Outcome:
        raise not_supported(words)

    return run


_QUERY = Kind("DML", "SELECT", ".csv", run_query)
_KINDS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("SELECT",), _QUERY),
    (("WITH",), _QUERY),
    (("VALUES",), _QUERY),
    (("TABLE",), _QUERY),
    (("(",), _QUERY),
    (("UNLOAD",), Kind("DML", "UNLOAD", "", unload.run_unload)),
    (("CREATE", "DATABASE"), Kind("DDL", "CREATE_DATABASE", ".txt", tables.create_database)),
    (("CREATE", "SCHEMA"), Kind("DDL", "CREATE_DATABASE", ".txt", tables.create_database)),
    (("CREATE", "EXTERNAL", "TABLE"), Kind("DDL", "CREATE_TABLE", ".txt", tables.create_table)),
    (("CREATE", "VIEW"), Kind("DDL", "CREATE_VIEW", ".txt", tables.create_view)),
    (("CREATE", "OR", "REPLACE", "VIEW"), Kind("DDL", "CREATE_VIEW", ".txt", tables.create_view)),
    (("DROP", "DATABASE"), Kind("DDL", "DROP_DATABASE", ".txt", tables.drop_database)),
    (("DROP", "SCHEMA"), Kind("DDL", "DROP_DATABASE", ".txt", tables.drop_database)),
    (("DROP", "TABLE"), Kind("DDL", "DROP_TABLE", ".txt", tables.drop_table)),
    (("DROP", "VIEW"), Kind("DDL", "DROP_VIEW", ".txt", tables.drop_table)),
    (("ALTER", "TABLE"), Kind("DDL", "ALTER_TABLE", ".txt", tables.alter_table)),
    (("MSCK", "REPAIR"), Kind("DDL", "MSCK_REPAIR", ".txt", tables.repair_table)),
    (("SHOW",), Kind("UTILITY", "SHOW", ".txt", show.show)),
    (("DESCRIBE",), Kind("UTILITY", "DESCRIBE", ".txt", show.describe)),
    (("DESC",), Kind("UTILITY", "DESCRIBE", ".txt", show.describe)),
    (("PREPARE",), Kind("UTILITY", "PREPARE", ".txt", prepared.run_prepare)),
    (("DEALLOCATE",), Kind("UTILITY", "DEALLOCATE", ".txt", prepared.run_deallocate)),
    (("EXPLAIN",), Kind("UTILITY", "EXPLAIN", ".txt", show.run_explain)),
)
_CTAS = Kind("DDL", "CREATE_TABLE_AS_SELECT", "", unload.run_create_table_as)


def kind_of(text: str) -> Kind:
    """The kind of a statement; one that is not supported has a runner that fails and names it."""
    words = Tokens(text).words(5)
    for opening, kind in _KINDS:
        if tuple(words[: len(opening)]) == opening:
            return kind
    if words[:2] == ["CREATE", "TABLE"]:
        return (
            _CTAS
            if " AS" in " ".join(Tokens(text).words(1000))
            else Kind("DDL", "CREATE_TABLE", ".txt", tables.create_table)
        )
    if not words:
        return Kind("DML", "", ".csv", _empty)
    shown = " ".join(words[: 2 if words[0] in ("CREATE", "DROP", "ALTER", "INSERT") else 1])
    return Kind("DDL" if words[0] in ("CREATE", "DROP", "ALTER") else "DML", words[0], ".txt", _refuse(shown))


def _empty(_: Job) -> Outcome:
    raise QueryError("SYNTAX_ERROR", "mismatched input '<EOF>'. Expecting: a statement", 1, 1)
