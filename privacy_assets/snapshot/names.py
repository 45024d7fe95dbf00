"""What everything of a governed table is called: asset keys, catalog tables, crawler, folders in the lake."""

from datetime import date

RAW_PREFIX = "raw_"
"""The crawler puts it before the folder's name."""


def source_key(noun: str) -> list[str]:
    """The asset key of the DynamoDB table itself."""
    return ["source", noun]


def export_key(noun: str) -> list[str]:
    """The asset key of a table's export."""
    return ["snapshot", f"{noun}_export"]


def raw_key(noun: str) -> list[str]:
    """The asset key of the export in the catalog."""
    return ["snapshot", f"{noun}_raw"]


def typed_key(noun: str) -> list[str]:
    """The asset key of the typed snapshot."""
    return ["snapshot", noun]


def raw_table(noun: str) -> str:
    """The table that the crawler makes."""
    return f"{RAW_PREFIX}{noun}"


def lines_table(noun: str) -> str:
    """The table with one column, a line of the export."""
    return f"{noun}_lines"


def crawler(database: str, noun: str) -> str:
    """The crawler of a table's exports; crawlers are an account's, so it carries the database's name."""
    return f"{database}-{noun}-exports"


def day_folder(noun: str, day: date) -> str:
    """The key prefix of all attempts at a day's typed snapshot."""
    return f"snapshots/{noun}/snapshot_date={day.isoformat()}/"


def snapshot_folder(noun: str, day: date, export_id: str) -> str:
    """The key prefix of the attempts at typing one export."""
    return f"{day_folder(noun, day)}{export_id}/"
