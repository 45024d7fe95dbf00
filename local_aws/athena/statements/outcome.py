"""What a statement needs and what it leaves."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from local_aws.athena.catalog import Catalog
from local_aws.athena.engine import Run
from local_aws.athena.output.csv import ResultColumn
from local_aws.athena.types import VARCHAR


@dataclass
class Job:
    """One execution as its statement sees it.

    ``output`` is the S3 folder of its results (with a slash at the end, or empty), ``scan_limit`` the
    workgroup's BytesScannedCutoffPerQuery. Results that Athena manages itself go to ``managed``.
    """

    query_id: str
    text: str
    parameters: list[str]
    catalog: Catalog
    run: Run
    client: Any
    output: str
    scratch: Path
    managed: Path
    started: datetime
    workgroup: str = "primary"
    scan_limit: int | None = None
    bytes_scanned: int = 0
    written_bytes: int = 0

    def s3(self) -> Any:
        return self.client("s3")

    def glue(self) -> Any:
        return self.client("glue")


@dataclass
class Outcome:
    """What a statement left: result columns and, for utilities, its rows; a SELECT's rows are in its file."""

    columns: list[ResultColumn] = field(default_factory=list)
    rows: list[list[str | None]] | None = None
    update_count: int | None = None
    manifest: str | None = None
    output_rows: int = 0
    output_bytes: int = 0
    update_type: str | None = None


def text_rows(name: str, rows: list[str]) -> Outcome:
    """A utility's answer of one column of text."""
    return Outcome([ResultColumn(name, VARCHAR)], [[row] for row in rows])
