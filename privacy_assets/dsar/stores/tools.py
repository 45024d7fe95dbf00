"""What stores need of the outside: AWS, databases. ``resources.subjects.SubjectsResource`` fits ``Tools``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from privacy_assets.archive.rows import RowStore

Item = Mapping[str, Any]
"""A record by field: Python's own values, numbers as Decimal, binary as bytes."""


class Lock(Protocol):
    """S3 Object Lock on a version; ``until`` is None for a legal hold."""

    @property
    def until(self) -> datetime | None: ...


class FileVersion(Protocol):
    """One version of an object, or a delete marker; ``etag`` without quotes, ``size`` in bytes."""

    @property
    def bucket(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def version_id(self) -> str: ...
    @property
    def is_latest(self) -> bool: ...
    @property
    def is_marker(self) -> bool: ...
    @property
    def etag(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> datetime: ...


class Files(Protocol):
    """Any bucket's objects, with all their versions."""

    def versions(self, bucket: str, prefix: str) -> Iterator[Any]:
        """Every version and delete marker under a prefix, in key order, the newest of a key first."""
        ...

    def open(self, version: Any) -> BinaryIO:
        """A version as a file that can seek. Raises FileNotFoundError when it is gone."""
        ...

    def replace(self, version: Any, body: BinaryIO) -> str | None:
        """Put ``body`` as the object's new current version, with all that S3 keeps beside the bytes, if
        ``version`` is the current one still; the new version's id, None if it is not.
        """
        ...

    def remove(self, version: Any) -> Any | None:
        """Delete a version for good; fine when it is gone. Answers the Lock that holds it, if one does."""
        ...

    def lock(self, version: Any) -> Any | None:
        """The Lock that a version is under; None when it is under none, or gone."""
        ...

    def hide(self, version: Any) -> None:
        """Put a delete marker before an object, whatever versions it has."""
        ...

    def current(self, bucket: str, key: str) -> Any | None:
        """The object's current version; None when there is none."""
        ...


class Iceberg(RowStore, Protocol):
    """The Iceberg tables of one database."""

    def exists(self, name: str) -> bool: ...
    def column_types(self, name: str) -> Mapping[str, pa.DataType]: ...
    def has_equality_deletes(self, name: str) -> bool:
        """Whether deletes by value, not by position, hide rows of the table: it can't be read then."""
        ...

    def rewrite(self, name: str, uris: Collection[str]) -> frozenset[str]:
        """Write data files of the current snapshot anew without rows that deletes hide; those that were."""
        ...

    def sequence(self, name: str) -> int:
        """The number of the table's last commit."""
        ...

    def named(self, name: str, *, current_only: bool = False, since: int = 0) -> frozenset[str]:
        """The URIs of all files that the table, or its current snapshot, names; of that snapshot's ``since``
        leaves those that later commits than that number wrote.
        """
        ...

    def location(self, name: str) -> str: ...


class CatalogTable(Protocol):
    """A table of the Glue catalog: where its files are and how they are read.

    ``format`` is one of *iceberg, parquet, json, csv*; ``places`` are the folders (``s3://bucket/prefix/``)
    with the values of the partition columns in each; ``columns`` are names and Hive types; ``delimiter``,
    ``quote``, ``escape`` and ``header_lines`` are CSV's.
    """

    @property
    def database(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def columns(self) -> Sequence[tuple[str, str]]: ...
    @property
    def places(self) -> Sequence[tuple[str, Mapping[str, str]]]: ...
    @property
    def partition_keys(self) -> Sequence[str]: ...
    @property
    def delimiter(self) -> str: ...
    @property
    def quote(self) -> str | None: ...
    @property
    def escape(self) -> str | None: ...
    @property
    def header_lines(self) -> int: ...


class Catalog(Protocol):
    """The Glue catalog."""

    def table(self, database: str | None, name: str) -> Any:
        """A CatalogTable. Raises LookupError when there is none, or it is in a form that can't be read."""
        ...

    def count_items(self, table: str, export_id: str, items: int) -> None:
        """Have the partitions of a table that were made of an export say how many items it has now."""
        ...


class ItemTable(Protocol):
    """One DynamoDB table."""

    @property
    def keys(self) -> Sequence[str]: ...
    def find(self, fields: Mapping[str, Collection[str]], indexes: Collection[str]) -> Iterator[Any]:
        """The items in which one of the fields has one of its values, each once, as they are now."""
        ...

    def get(self, item: Any) -> Any | None:
        """The item of the same key as it is now."""
        ...

    def delete(self, item: Any) -> bool:
        """Delete an item if it still is as it was read; else False."""
        ...

    def change(self, item: Any, values: Item) -> bool:
        """Give some attributes of an item new values if it still is as it was read; else False."""
        ...


class ItemTables(Protocol):
    """DynamoDB."""

    def table(self, name: str) -> Any:
        """An ItemTable. Raises LookupError when there is none."""
        ...


class Rows(Protocol):
    """A transaction of a database."""

    def primary_key(self, table: str, schema: str | None) -> tuple[str, ...]: ...
    def find(
        self, table: str, schema: str | None, fields: Mapping[str, Collection[str]], *, lock: bool = False
    ) -> Iterator[Item]: ...
    def delete(self, table: str, schema: str | None, fields: Mapping[str, Collection[str]]) -> int: ...
    def delete_keys(self, table: str, schema: str | None, keys: Sequence[Item]) -> int: ...
    def change(self, table: str, schema: str | None, key: Item, values: Item) -> int: ...


class Databases(Protocol):
    """Databases by the environment variable that holds their URL."""

    def begin(self, variable: str, *, read_only: bool = False) -> AbstractContextManager[Any]:
        """Rows within a transaction. Raises LookupError for no URL; errors carry no value and no URL."""
        ...


class ArchiveObjects(Protocol):
    """The archive bucket."""

    def versions(self, path: str) -> Iterator[str]: ...
    def read(self, path: str, version: str) -> bytes | None: ...
    def remove(self, path: str, version: str) -> None: ...


class Erasures(Protocol):
    """The registry of erased subjects, and the key of pseudonyms."""

    def close(self, noun: str, subject: str, request_id: str) -> None: ...
    def pseudonym(self, kind: str, value: str) -> str:
        """A keyed HMAC, the same for the same value."""
        ...


class Tools(Protocol):
    """All of it."""

    @property
    def lake_bucket(self) -> str: ...
    @property
    def files(self) -> Any: ...
    @property
    def catalog(self) -> Any: ...
    @property
    def items(self) -> Any: ...
    @property
    def databases(self) -> Any: ...
    @property
    def archive(self) -> Any: ...
    @property
    def erasures(self) -> Any: ...
    def iceberg(self, database: str | None = None) -> Any:
        """The Iceberg tables of a database, of the product's own if none is named."""
        ...
