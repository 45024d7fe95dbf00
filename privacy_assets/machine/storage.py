"""Dagster's SQLite without waiting for the disk: for an instance that is thrown away when its command ends.

Dagster opens, commits and closes for each event, and SQLite syncs at each; a run has hundreds of events. What
is lost is safety from a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous), not from a killed
process.
"""

from typing import Any

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Engine, event


class UnsyncedStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage. That this module was imported is what makes it different."""


@event.listens_for(Engine, "connect")
def _do_not_sync(connection: Any, _record: object) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA synchronous=OFF")
