"""What is governed: the models behind ``estate.yaml`` and the reader that says where a mistake is.

No network and no Dagster here: an estate is read while definitions load.  It is also the data map that the
record of processing (GDPR Art. 30) is printed from, so a column says which categories of personal data
it holds.
"""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from privacy_assets import yaml_model
from privacy_assets.dsar.policy import RequestPolicy
from privacy_assets.dsar.stores import models as kinds
from privacy_assets.errors import UserError
from privacy_assets.snapshot import names as snapshots

Noun = NewType("Noun", str)
"""The name of a governed table in asset keys, S3 paths and the Glue catalog, such as ``privacy_logs``."""

RESERVED_COLUMNS = frozenset({"misfits", "undeclared", "snapshot_date"})
PRODUCT_TABLES = frozenset(
    {
        "archived_deletions",
        "audit_failures",
        "audit_results",
        "audit_runs",
        "events",
        "scan_findings",
        "scan_objects",
        "unarchived_deletions",
    }
)
"""Tables of the catalog that are the product's own; a governed table of such a name would be written over."""
_NOUN = r"^[a-z][a-z0-9_]{0,62}$"
_COLUMN = r"^[a-z_][a-z0-9_]{0,254}$"
_TABLE = r"^[a-zA-Z0-9_.-]{3,255}$"
_OWNER = r"^(team:[\w.-]+|[^@\s]+@[^@\s]+)$"
_DEADLINE = r"^([01]\d|2[0-3]):[0-5]\d$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_INVENTORY = r"^s3://[^/]+/.+$"
_EXPECTED = {
    _NOUN: "a lower-case letter, then at most 62 of a-z, 0-9 and _",
    _COLUMN: "a lower-case letter or _, then at most 254 of a-z, 0-9 and _",
    _TABLE: "the name of a DynamoDB table: 3 to 255 of letters, digits, _, - and .",
    _OWNER: "team:<name> or an e-mail address",
    _DEADLINE: 'a time of day in UTC, quoted and with two digits each, such as "06:00"',
    _BUCKET: "the name of an S3 bucket: 3 to 63 of a-z, 0-9, - and .",
    _INVENTORY: "where S3 Inventory puts its lists, such as s3://bucket/prefix",
    **kinds.EXPECTED,
}
"""What a pattern asks for, in words."""
_ISO_PERIOD = re.compile(r"^P(?=\d)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?$")


class EstateError(UserError):
    """``estate.yaml`` can't be used.  Each problem is a line: file, line, path, what, what was expected."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ColumnType(StrEnum):
    """What a column may be declared as."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    STRING_LIST = "string_list"
    JSON = "json"
    BINARY = "binary"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Model):
    """One attribute of a table and what it becomes in the typed snapshot."""

    type: ColumnType
    categories: tuple[str, ...] = ()
    """Categories of personal data held in it, such as ``identifier`` or ``health``; none if it holds none."""
    description: str = ""
    column: Annotated[str | None, Field(pattern=_COLUMN)] = None
    """The name in the catalog, where it must differ from the attribute's lower-case name."""


class Table(_Model):
    """One DynamoDB table and how its nightly snapshot is typed."""

    name: Annotated[Noun, Field(pattern=_NOUN)]
    table: Annotated[str, Field(pattern=_TABLE)]
    keys: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    subject_key: str | None = None
    time_key: str | None = None
    """The attribute that says when an item came to be: what came after a subject's erasure is new."""
    owner: Annotated[str, Field(pattern=_OWNER)]
    description: str = ""
    retention: str | None = None
    misfit_threshold: Annotated[int, Field(ge=0)] = 0
    """How many values may fail to fit their declared type before the check is an error and not a warning."""
    deadline: Annotated[str, Field(pattern=_DEADLINE)] = "06:00"
    """UTC time of day by which yesterday's snapshot is expected."""
    columns: Annotated[dict[str, Column], Field(min_length=1)]

    @field_validator("retention")
    @classmethod
    def _period(cls, value: str | None) -> str | None:
        if value is not None and not _ISO_PERIOD.match(value):
            raise ValueError(f"{value!r}, expected an ISO 8601 period such as P10Y")
        return value

    @model_validator(mode="after")
    def _names(self) -> "Table":
        for key in self.keys:
            if key not in self.columns:
                raise ValueError(f"keys: {key!r} is no column, expected one of {', '.join(self.columns)}")
        for name, named in (("subject_key", self.subject_key), ("time_key", self.time_key)):
            if named is not None and named not in self.columns:
                raise ValueError(f"{name}: {named!r} is no column, expected one of {', '.join(self.columns)}")
        seen: dict[str, str] = {}
        for attribute in self.columns:
            if not attribute or len(attribute.encode()) > 65535 or any(ord(c) < 0x20 for c in attribute):
                raise ValueError(f"columns: {attribute!r}, expected a DynamoDB attribute name")
            column = self.column_name(attribute)
            if column in RESERVED_COLUMNS:
                raise ValueError(
                    f"columns.{attribute}: every snapshot has {column!r}, expected another in 'column'"
                )
            if column in seen:
                raise ValueError(
                    f"columns.{attribute}: {column!r} is {seen[column]!r}'s, expected another in 'column'"
                )
            seen[column] = attribute
        return self

    def column_name(self, attribute: str) -> str:
        """The catalog's name of ``attribute``: lower case, and ``_`` for what the catalog can't hold."""
        return self.columns[attribute].column or re.sub(r"[^a-z0-9_]", "_", attribute.lower())

    @property
    def retention_days(self) -> int | None:
        """The retention as days, of which a year has 365 and a month 30; None when it is for ever."""
        match = _ISO_PERIOD.match(self.retention) if self.retention else None
        if match is None:
            return None
        lengths = (365, 30, 7, 1)
        return sum(int(part[:-1]) * days for part, days in zip(match.groups(), lengths, strict=True) if part)

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The catalog's names of the table's key."""
        return tuple(self.column_name(key) for key in self.keys)


class Bucket(_Model):
    """One S3 bucket that is scanned for sensitive data, or a part of it."""

    name: Annotated[str, Field(pattern=_BUCKET)]
    prefix: str = ""
    """Only keys that start so."""
    include: tuple[str, ...] = ()
    """Globs of keys; none: every key. ``*`` stops at no slash."""
    exclude: tuple[str, ...] = ()
    """Globs of keys that are not asked for: what they name is not part of coverage."""
    owner: Annotated[str, Field(pattern=_OWNER)]
    description: str = ""
    inventory: Annotated[str | None, Field(pattern=_INVENTORY)] = None
    """Where S3 Inventory puts the bucket's lists, such as ``s3://lists/prefix/this-bucket/daily``. The newest
    takes the place of listing."""
    alert_at: Literal["low", "medium", "high", "critical"] = "high"
    """New findings from this severity on are told to the alert topic."""


class Estate(_Model):
    """The whole of ``estate.yaml``."""

    version: Literal[1] = 1
    start: date = date(2025, 1, 1)
    """The first day that can be asked for."""
    tables: Annotated[tuple[Table, ...], Field(min_length=1)]
    buckets: tuple[Bucket, ...] = ()
    stores: tuple[kinds.StoreSpec, ...] = ()
    """Where subjects' data is, for requests of access and erasure."""
    requests: RequestPolicy = RequestPolicy()
    """How those requests are worked on."""

    @model_validator(mode="after")
    def _unique(self) -> "Estate":
        for what in ("name", "table"):
            values = [getattr(table, what) for table in self.tables]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"tables: {what} {value!r} is there twice, expected once")
        names = [bucket.name for bucket in self.buckets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"buckets: name {name!r} is there twice, expected once")
        return self

    @model_validator(mode="after")
    def _catalog_names(self) -> "Estate":
        taken = dict.fromkeys(PRODUCT_TABLES, "the product's own")
        for noun in self.nouns:
            for name in (noun, snapshots.raw_table(noun), snapshots.lines_table(noun)):
                if name in taken:
                    raise ValueError(
                        f"tables: name {noun!r}: the catalog's table {name!r} is {taken[name]}, "
                        "expected another name"
                    )
                taken[name] = f"{noun}'s"
        return self

    @model_validator(mode="after")
    def _stores(self) -> "Estate":
        names = [store.name for store in self.stores]
        for store in self.stores:
            if names.count(store.name) > 1:
                raise ValueError(f"stores: name {store.name!r} is there twice, expected once")
            if isinstance(store, kinds.ArchiveStore | kinds.SnapshotsStore):
                governed = [table.name for table in self.tables if table.subject_key is not None]
                for noun in store.tables:
                    if noun not in governed:
                        raise ValueError(
                            f"stores: {store.name}: tables: {noun!r}, expected a table with a subject_key: "
                            f"{', '.join(governed) or 'there is none'}"
                        )
        return self

    @cached_property
    def by_name(self) -> dict[str, Table]:
        """The tables by their noun."""
        return {table.name: table for table in self.tables}

    @property
    def nouns(self) -> tuple[Noun, ...]:
        """The nouns of all tables, in the file's order."""
        return tuple(table.name for table in self.tables)


def deadline_cron(table: Table) -> tuple[str, timedelta]:
    """When yesterday's snapshot must be there: a UTC cron, and how much earlier it may have been made."""
    hour, minute = (int(part) for part in table.deadline.split(":"))
    return f"{minute} {hour} * * *", timedelta(hours=hour, minutes=minute) or timedelta(hours=24)


def load_estate(path: Path) -> Estate:
    """Read ``path``.  Raises EstateError with every mistake found, one line each."""
    try:
        return yaml_model.read(path, Estate, "a YAML file with 'tables:' that says what is governed", _words)[
            0
        ]
    except yaml_model.ProblemsError as problems:
        raise EstateError(problems.lines) from None


def _words(error: yaml_model.Error) -> str:
    """A mistake that pydantic found, in words that somebody who writes YAML knows."""
    if error["type"] == "extra_forbidden":
        return f"unknown, expected one of {', '.join(_fields(error['loc']))} (docs/estate.md)"
    value = error.get("input")
    if error["loc"][-1] == "url":  # it may be one, with its password
        return f"expected {_expected(error, value)}"
    plain = isinstance(value, str | int | float | bool | type(None))
    return f"{repr(value) if plain else type(value).__name__}, expected {_expected(error, value)}"


def _expected(error: Any, value: object) -> str:
    """What was expected, in words that somebody who writes YAML knows."""
    message, context = str(error["msg"]), error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch":
            return _EXPECTED[context["pattern"]]
        case "string_type" if error["loc"][-1] == "deadline":
            return _EXPECTED[_DEADLINE]  # 6:00 is 360 to YAML
        case "string_type" if isinstance(value, int | float | date):
            return "text (quote it)"
        case "string_type":
            return "text"
        case "union_tag_invalid" | "union_tag_not_found":
            return f"'kind:' with one of {', '.join(kinds.MODELS)}"
        case "enum" | "literal_error":
            return f"one of {context['expected']}".replace("one of 1", "1").replace("'", "")
        case "too_short":
            return f"at least {context['min_length']}, has {context['actual_length']}"
        case "too_long":
            return f"at most {context['max_length']}, has {context['actual_length']}"
        case "date_from_datetime_parsing" | "date_parsing" | "date_type" | "date_from_datetime_inexact":
            return "a day such as 2025-01-01"
        case "int_type" | "int_parsing" | "int_from_float" | "greater_than_equal":
            return "a whole number, 0 or more"
        case "tuple_type" | "list_type":
            return "a list"
        case "dict_type" | "model_type":
            return "a mapping"
        case _:
            return f"{message[0].lower()}{message[1:]}"


def _fields(location: tuple[Any, ...]) -> Iterable[str]:
    """The fields that may stand where the unknown one does."""
    parts = [part for part in location[:-1] if isinstance(part, str)]
    if parts[:1] == ["stores"]:
        return kinds.fields_at(location)
    if parts[:1] == ["requests"]:
        return RequestPolicy.model_fields
    model: type[_Model] = Estate
    if parts:
        model = Bucket if parts[0] == "buckets" else Column if "columns" in parts else Table
    return model.model_fields
