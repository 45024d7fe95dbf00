"""The estate that the environment names, and what it needs of an AWS account."""

from pathlib import Path

from privacy_assets.estate import ColumnType, Estate, Table, load_estate
from resources import settings
from resources.provision import KeyType, TableShape

PROJECT = Path(__file__).resolve().parent.parent
_KEY_TYPES: dict[ColumnType, KeyType] = {
    ColumnType.NUMBER: "N",
    ColumnType.INTEGER: "N",
    ColumnType.DOUBLE: "N",
    ColumnType.BINARY: "B",
}


def path_of(setting: settings.Setting) -> Path:
    """A setting that names a file: the default is in the project, anything else relative to where we are."""
    value = setting.value()
    return PROJECT / value if value == setting.default else Path(value)


def governed_estate() -> Estate:
    """The estate of ``PRIVACY_ASSETS_ESTATE``. Raises EstateError."""
    return load_estate(path_of(settings.ESTATE))


def estate_folder() -> Path:
    """Where the estate's file is, which stores of one's own stand beside."""
    return path_of(settings.ESTATE).parent


def table_shapes(estate: Estate) -> list[TableShape]:
    """The DynamoDB tables that the estate governs."""
    return [
        TableShape(table.name, table.table, _keys(table), table.retention_days) for table in estate.tables
    ]


def _keys(table: Table) -> tuple[tuple[str, KeyType], ...]:
    return tuple(key_types(table).items())


def key_types(table: Table) -> dict[str, KeyType]:
    """The table's keys, the partition key first, and what DynamoDB holds them as."""
    return {key: _KEY_TYPES.get(table.columns[key].type, "S") for key in table.keys}
