"""The entries of ``stores:`` in ``estate.yaml``, one model a kind."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from privacy_assets.dsar import periods

_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_OWNER = r"^(team:[\w.-]+|[^@\s]+@[^@\s]+)$"
_VARIABLE = r"^[A-Z][A-Z0-9_]{0,127}$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,62})\}")
EXPECTED = {
    _VARIABLE: "the name of an environment variable that holds the URL, such as CUSTOMERS_DATABASE_URL",
}
"""What a pattern asks for, in words; those of names, owners and buckets are the estate's."""


def _several(value: Any) -> Any:
    """One may stand without brackets."""
    return (value,) if isinstance(value, str | int | bool | float) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Kind = Annotated[str, Field(pattern=_NAME)]
_Text = Annotated[str, Field(min_length=1)]
Fields = Annotated[tuple[_Text, ...], BeforeValidator(_several), Field(min_length=1)]
Values = Annotated[tuple[bool | int | str, ...], BeforeValidator(_several), Field(min_length=1)]


class Until(_Model):
    """How long a record is kept: a period from the instant or day in a field of it."""

    field: str
    period: Annotated[str, AfterValidator(periods.checked)]


class Retention(_Model):
    """Records that an erasure leaves in place, and why (GDPR Art. 17(3), CCPA §1798.105(d))."""

    article: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    where: dict[str, Values] = {}
    """Only records whose fields have one of these values; none: all."""
    until: Until | None = None
    """None: for as long as ``where`` holds, as with a legal hold."""

    @model_validator(mode="after")
    def _something(self) -> "Retention":
        if not self.where and self.until is None:
            raise ValueError("keeps every record for ever, expected 'where' or 'until'")
        return self


class Records(_Model):
    """How a subject's records are found, given out and erased; the same for every kind that has records."""

    match: Annotated[dict[Kind, Fields], Field(min_length=1)]
    """For each kind of identifier the fields that hold it; one that agrees makes a record the subject's."""
    links: dict[Kind, Fields] = {}
    """Fields of a record of the subject that hold further identifiers of the same person."""
    export: dict[str, Literal["omit", "mask"]] = {}
    """Fields that are left out of an export (secrets) or masked in it (third parties, GDPR Art. 15(4))."""
    change: dict[str, Literal["null", "redact", "hmac"]] = {}
    """Records stay, and these fields are changed; none: the records are deleted."""
    retain: tuple[Retention, ...] = ()

    @model_validator(mode="after")
    def _forgets(self) -> "Records":
        if self.change:
            for field in (field for fields in self.match.values() for field in fields):
                if field not in self.change:
                    raise ValueError(f"change: {field!r} names the subject, expected it among the changed")
        return self

    @property
    def fields(self) -> frozenset[str]:
        """All fields that rules are about, but for the export's."""
        found = {field for fields in (*self.match.values(), *self.links.values()) for field in fields}
        found |= set(self.change)
        for each in self.retain:
            found |= set(each.where) | ({each.until.field} if each.until else set())
        return frozenset(found)


class _Store(_Model):
    name: Annotated[str, Field(pattern=_NAME)]
    owner: Annotated[str, Field(pattern=_OWNER)]
    description: str = ""


class DynamoDbStore(_Store, Records):
    """A DynamoDB table."""

    kind: Literal["dynamodb"]
    table: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{3,255}$")]
    indexes: tuple[str, ...] = ()
    """Global indexes with a sort key that all items are in. Those without a sort key are used anyway."""


class SqlTable(Records):
    """A table of a database."""

    table: Annotated[str, Field(min_length=1)]
    schema_name: Annotated[str | None, Field(alias="schema")] = None


class SqlStore(_Store):
    """A database that SQLAlchemy speaks to. Its tables are erased in the file's order, in one transaction."""

    kind: Literal["sql"]
    url: Annotated[str, Field(pattern=_VARIABLE)]
    tables: Annotated[tuple[SqlTable, ...], Field(min_length=1)]


class LakeTable(Records):
    """A table of the Glue catalog: Iceberg, Parquet, JSON lines or CSV."""

    table: Annotated[str, Field(min_length=1)]
    database: str | None = None
    """The product's own database if missing."""


class LakeStore(_Store):
    """Tables of the Glue catalog."""

    kind: Literal["lake"]
    tables: Annotated[tuple[LakeTable, ...], Field(min_length=1)]


class EventsStore(_Store, Records):
    """The Iceberg table of ingested events."""

    kind: Literal["events"]
    table: Annotated[str, Field(min_length=1)] = "events"


class S3PrefixStore(_Store):
    """Objects that are the subject's because of their keys."""

    kind: Literal["s3_prefix"]
    bucket: Annotated[str, Field(pattern=_BUCKET)]
    keys: Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
    """Templates such as ``users/{customer_id}/``; one that ends with no slash names one object."""

    @model_validator(mode="after")
    def _templates(self) -> "S3PrefixStore":
        for template in self.keys:
            kinds = _PLACEHOLDER.findall(template)
            rest = _PLACEHOLDER.sub("", template)
            if len(kinds) != 1 or "{" in rest or "}" in rest:
                raise ValueError(
                    f"keys: {template!r}, expected one placeholder, as in users/{{customer_id}}/"
                )
        return self


class ArchiveStore(_Store):
    """The archive of deleted records."""

    kind: Literal["archive"]
    subject: Kind
    """The kind of identifier that the tables' ``subject_key`` holds."""
    tables: tuple[str, ...] = ()
    """Nouns of governed tables; none: all that have a ``subject_key``."""


class SnapshotsStore(_Store):
    """Typed snapshots, raw exports and audit results of governed tables."""

    kind: Literal["snapshots"]
    subject: Kind
    """The kind of identifier that the tables' ``subject_key`` holds."""
    tables: tuple[str, ...] = ()
    """Nouns of governed tables; none: all that have a ``subject_key``."""


class PythonStore(_Store):
    """A store of one's own."""

    kind: Literal["python"]
    file: Annotated[str, Field(min_length=1)]
    """Relative to ``estate.yaml``."""
    class_name: Annotated[str, Field(alias="class", min_length=1)]
    options: dict[str, Any] = {}
    """Given to the class by name, beside ``name``."""


StoreSpec = Annotated[
    DynamoDbStore
    | SqlStore
    | LakeStore
    | EventsStore
    | S3PrefixStore
    | ArchiveStore
    | SnapshotsStore
    | PythonStore,
    Field(discriminator="kind"),
]
MODELS: dict[str, type[BaseModel]] = {
    "dynamodb": DynamoDbStore,
    "sql": SqlStore,
    "lake": LakeStore,
    "events": EventsStore,
    "s3_prefix": S3PrefixStore,
    "archive": ArchiveStore,
    "snapshots": SnapshotsStore,
    "python": PythonStore,
}


def placeholder(template: str) -> str:
    """The kind of identifier that a template of keys names."""
    return str(_PLACEHOLDER.findall(template)[0])


def filled(template: str, value: str) -> str:
    """A template with its placeholder's value: never looked into again, whatever braces the value has."""
    before, _, rest = template.partition("{")
    return before + value + rest.partition("}")[2]


def fields_at(location: tuple[Any, ...]) -> Iterable[str]:
    """The fields that may stand at a place of ``stores``, as pydantic names places, for an error's words."""
    parts = [part for part in location if isinstance(part, str)]
    model: type[BaseModel] = MODELS.get(parts[1], PythonStore) if len(parts) > 1 else PythonStore
    if "tables" in parts and model in (SqlStore, LakeStore):
        model = SqlTable if model is SqlStore else LakeTable
    if "retain" in parts:
        model = Until if "until" in parts[parts.index("retain") : -1] else Retention
    return [field.alias or name for name, field in model.model_fields.items()]
