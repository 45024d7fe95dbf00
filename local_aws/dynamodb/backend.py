"""moto's DynamoDB backend over the history: each write is one transaction, and items outlive a restart."""

import copy
from functools import partial
from typing import Any, ClassVar

from moto.dynamodb import urls
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Backup, RestoredPITTable, RestoredTable, Table
from moto.dynamodb.parsing import partiql

from local_aws.context import Context
from local_aws.dynamodb.history import NOW, SECOND, History, Microseconds, TableIdentity
from local_aws.dynamodb.tables import HistoryTable


class HistoryBackend(DynamoDBBackend):
    """``context`` and ``history`` are set once, before the first backend is made.

    While the journal is replayed, tables and backups find the items that they had.
    """

    context: ClassVar[Context]
    history: ClassVar[History]

    @property
    def _url_module(self) -> Any:
        """moto looks for it next to the backend's class."""
        return urls

    def create_table(self, name: str, *args: Any, **kwargs: Any) -> Table:
        table = super().create_table(name, *args, **kwargs)
        self._adopt(table, table.table_arn)
        return table

    def _adopt(
        self, table: Table, arn: str, source: TableIdentity | None = None, time: Microseconds = NOW
    ) -> None:
        """Give a new table its place in the history, with the items that ``source`` held at ``time``."""
        assert isinstance(table, HistoryTable)
        with self.history.writing():
            table.identity = self.history.table(arn, fresh=not self.context.replaying)
            if source is not None and not self.context.replaying:
                self.history.copy(source.number, table.identity.number, time)

    def delete_table(self, name: str) -> Table:
        table = super().delete_table(name)
        # Only once the journal has the deletion: a stop between the two must not empty a table that stays.
        self.context.commit(lambda _: None, then=partial(self.history.drop, table.table_arn))
        return table

    def put_item(self, *args: Any, **kwargs: Any) -> Item:
        with self.history.writing():
            return super().put_item(*args, **kwargs)

    def delete_item(self, *args: Any, **kwargs: Any) -> Item | None:
        with self.history.writing():
            return super().delete_item(*args, **kwargs)

    def update_item(self, table_name: str, *args: Any, **kwargs: Any) -> Item:
        with self.history.writing():
            # moto changes the item that it was given; here that is a copy, which has to be put back.
            item = super().update_item(table_name, *args, **kwargs)
            table = self.get_table(table_name)
            assert isinstance(table, HistoryTable)
            table.save(item)
            return item

    def transact_write_items(self, transact_items: list[dict[str, Any]]) -> None:
        with self.history.writing():
            super().transact_write_items(transact_items)

    def execute_statement(self, statement: str, parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """moto hands the items of all tables to PartiQL; only those of the tables named are of use."""
        named = set(partiql.get_query_metadata(statement).get_table_names())
        narrow = copy.copy(self)
        narrow.tables = {name: table for name, table in self.tables.items() if name in named}
        with self.history.writing():
            return DynamoDBBackend.execute_statement(narrow, statement, parameters)

    def execute_transaction(self, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with self.history.writing():
            return super().execute_transaction(statements)

    def update_table_streams(self, table: Table, stream_specification: dict[str, Any]) -> None:
        """To moto a stream that was ever on is on; in AWS one that is off is switched on again, anew."""
        if table.stream_shard is None:
            table.set_stream_specification(stream_specification)
        else:
            super().update_table_streams(table, stream_specification)

    def create_backup(self, table_name: str, backup_name: str) -> Backup:
        backup = super().create_backup(table_name, backup_name)
        source = backup.table
        assert isinstance(source, HistoryTable)
        backup.table = copy.copy(source)
        self._adopt(backup.table, backup.arn, source.identity)
        return backup

    def delete_backup(self, backup_arn: str) -> Backup:
        backup = super().delete_backup(backup_arn)
        self.context.commit(lambda _: None, then=partial(self.history.drop, backup_arn))
        return backup

    def restore_table_from_backup(self, target_table_name: str, backup_arn: str) -> RestoredTable:
        table = super().restore_table_from_backup(target_table_name, backup_arn)
        source = self.get_backup(backup_arn).table
        assert isinstance(source, HistoryTable)
        self._adopt(table, table.table_arn, source.identity)
        return table

    def restore_table_to_point_in_time(
        self, target_table_name: str, source_table_name: str, time: Microseconds = NOW
    ) -> RestoredPITTable:
        table = super().restore_table_to_point_in_time(target_table_name, source_table_name)
        source = self.get_table(source_table_name)
        assert isinstance(source, HistoryTable)
        self._adopt(table, table.table_arn, source.identity, time)
        return table

    def describe_continuous_backups(self, table_name: str) -> dict[str, Any]:
        """The window ends now and begins its length before: items can be loaded with times in the past."""
        described = super().describe_continuous_backups(table_name)
        recovery = described["PointInTimeRecoveryDescription"]
        if recovery["PointInTimeRecoveryStatus"] != "ENABLED":
            return described
        now = self.history.clock.now() // SECOND
        window = {
            "EarliestRestorableDateTime": now - recovery["RecoveryPeriodInDays"] * 86_400,
            "LatestRestorableDateTime": now,
        }
        return {**described, "PointInTimeRecoveryDescription": {**recovery, **window}}

    def update_continuous_backups(
        self, table_name: str, point_in_time_spec: dict[str, Any]
    ) -> dict[str, Any]:
        super().update_continuous_backups(table_name, point_in_time_spec)
        return self.describe_continuous_backups(table_name)
