"""Databases that SQLAlchemy speaks to: rows of a subject found, locked, changed and deleted.

A URL, which has a password in it, is read from the environment when it is needed and appears nowhere. Names
are quoted by SQLAlchemy, tables are reflected, values are parameters.
"""

import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import sqlalchemy as sa

_BATCH = 1_000  # parameters of one IN
_STREAM = 2_000
_engines: dict[str, Any] = {}
_lock = threading.Lock()


class SqlFailed(Exception):  # noqa: N818  # what happened
    """The database refused; one line with its code and what it is about, never a value."""


class DatabaseMissing(LookupError):  # noqa: N818  # what is wrong
    """There is no such database, table or column; one line that says what was expected."""


class Databases:
    """Databases by the environment variable that holds their URL."""

    @contextmanager
    def begin(self, variable: str, *, read_only: bool = False) -> Iterator["Rows"]:
        """A transaction; what is done in it holds when the block ends well.

        Raises DatabaseMissing and SqlFailed.
        """
        import sqlalchemy as sa

        engine = _engine(variable)
        try:
            with engine.connect() as connection:
                if read_only and engine.dialect.name == "postgresql":
                    connection = connection.execution_options(postgresql_readonly=True)
                with connection.begin():
                    yield Rows(connection)
        except sa.exc.SQLAlchemyError as error:
            raise SqlFailed(f"{variable}: {_said(error)}") from None


class Rows:
    """The rows of one transaction."""

    def __init__(self, connection: "sa.Connection") -> None:
        self._connection = connection
        self._tables: dict[tuple[str, str | None], Any] = {}

    def primary_key(self, table: str, schema: str | None) -> tuple[str, ...]:
        """The names of its columns; none when there is no primary key."""
        return tuple(column.name for column in self._table(table, schema).primary_key.columns)

    def columns(self, table: str, schema: str | None) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self._table(table, schema).columns)

    def find(
        self, table: str, schema: str | None, fields: Mapping[str, Collection[str]], *, lock: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The rows in which one of ``fields`` has one of its values, a few thousand in memory at a time.

        ``lock`` keeps others from changing them until the transaction ends.
        """
        import sqlalchemy as sa

        found = self._table(table, schema)
        for condition in self._conditions(found, fields):
            query = sa.select(found).where(condition)
            if lock:
                query = query.with_for_update()
            with self._connection.execute(query, execution_options={"yield_per": _STREAM}) as rows:
                for row in rows.mappings():
                    yield dict(row)

    def delete(self, table: str, schema: str | None, fields: Mapping[str, Collection[str]]) -> int:
        """Delete the rows in which one of ``fields`` has one of its values; how many they were."""
        import sqlalchemy as sa

        found = self._table(table, schema)
        return sum(
            self._connection.execute(sa.delete(found).where(condition)).rowcount
            for condition in self._conditions(found, fields)
        )

    def delete_keys(self, table: str, schema: str | None, keys: Sequence[Mapping[str, Any]]) -> int:
        """Delete rows by their primary key."""
        import sqlalchemy as sa

        found = self._table(table, schema)
        deleted = 0
        for key in keys:
            where = [found.c[name] == value for name, value in key.items()]
            deleted += self._connection.execute(sa.delete(found).where(*where)).rowcount
        return deleted

    def change(
        self, table: str, schema: str | None, key: Mapping[str, Any], values: Mapping[str, Any]
    ) -> int:
        """Give the row of a primary key new values."""
        import sqlalchemy as sa

        found = self._table(table, schema)
        where = [found.c[name] == value for name, value in key.items()]
        return self._connection.execute(sa.update(found).where(*where).values(dict(values))).rowcount

    def _table(self, name: str, schema: str | None) -> Any:
        import sqlalchemy as sa

        if (name, schema) not in self._tables:
            try:
                self._tables[name, schema] = sa.Table(
                    name, sa.MetaData(), schema=schema, autoload_with=self._connection, resolve_fks=False
                )
            except sa.exc.NoSuchTableError:
                raise DatabaseMissing(
                    f"{'.'.join(part for part in (schema, name) if part)}: no such table in the database"
                ) from None
        return self._tables[name, schema]

    def _conditions(self, table: Any, fields: Mapping[str, Collection[str]]) -> Iterator[Any]:
        """Conditions that no row meets two of, each with no more parameters than databases take."""
        import sqlalchemy as sa

        before: list[Any] = []
        for field, values in fields.items():
            if field not in table.c:
                raise DatabaseMissing(
                    f"{table.fullname}: no column {field!r}, expected one of {', '.join(table.c.keys())}"
                )
            column = table.c[field]
            literals = [found for value in sorted(values) if (found := _literal(column, value)) is not None]
            for start in range(0, len(literals), _BATCH):
                mine = column.in_(literals[start : start + _BATCH])
                yield sa.and_(mine, *before)
                # NULL is no match, and its negation must not be unknown.
                before.append(sa.or_(column.is_(None), sa.not_(mine)))


def _literal(column: Any, value: str) -> Any:
    """An identifier in the column's type; None when it can't be in it."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return value
    try:
        if kind is bool:
            return {"true": True, "false": False}.get(value)
        if kind is int:
            found = int(value)
            return found if str(found) == value and abs(found) < 2**63 else None
        if kind in (Decimal, float):
            number = Decimal(value)
            return number if kind is Decimal else float(number)
        if kind is UUID:
            return UUID(value)
        if kind is datetime or kind is date:
            return kind.fromisoformat(value)
    except (ValueError, InvalidOperation):
        return None
    return value


def _engine(variable: str) -> Any:
    import sqlalchemy as sa

    url = os.environ.get(variable)
    if not url:
        raise DatabaseMissing(f"{variable}: not set, expected SQLAlchemy's URL of the database")
    key = f"{os.getpid()}:{url}"
    with _lock:
        if key not in _engines:
            try:
                # Errors would quote the parameters, which are what must not be told.
                engine = sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
                if engine.dialect.name == "sqlite":
                    sa.event.listen(engine, "connect", _sqlite)
                _engines[key] = engine
            except (sa.exc.ArgumentError, ImportError, ValueError) as error:
                raise DatabaseMissing(
                    f"{variable}: {type(error).__name__}, expected a URL such as postgresql+psycopg2://…"
                ) from None
        return _engines[key]


def _sqlite(connection: Any, _: Any) -> None:
    """What is deleted is overwritten, not left in free pages; keys of other tables are looked at."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")


def _said(error: Any) -> str:
    """What a database refused, by its code and the names in it: its words quote values."""
    original = getattr(error, "orig", None)
    code = getattr(original, "pgcode", None) or getattr(original, "sqlite_errorname", None) or ""
    diagnosis = getattr(original, "diag", None)
    place = [
        str(part)
        for name in ("table_name", "column_name", "constraint_name")
        if (part := getattr(diagnosis, name, None))
    ]
    words = " ".join((type(original or error).__name__, str(code), *place)).strip()
    if "ForeignKey" in words or "FOREIGNKEY" in words or code == "23503":
        words += "; rows of other tables point at these, expected them earlier in 'tables'"
    return words
