"""Point-in-time exports of DynamoDB tables: find, start, describe.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.HowItWorks.html
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from resources import clients

_STARTED = re.compile(r"/export/(\d{13,17})-[0-9a-f]+$")
_CLOCKS = timedelta(hours=1)  # what our clock and AWS's may differ by, generously


class ExportRefused(Exception):  # noqa: N818  # a refusal, told as AWS tells it
    """DynamoDB would not start the export; ``code`` is AWS's, the message says what can be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Export:
    """An export as DynamoDB describes it.  ``status`` is IN_PROGRESS, COMPLETED or FAILED."""

    arn: str
    status: str
    table_arn: str
    export_time: datetime
    bucket: str
    prefix: str
    items: int
    billed_bytes: int
    failure: str | None

    @property
    def id(self) -> str:
        """The last part of the ARN, which names the export's folder."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The key prefix of everything the export writes, with a slash at its end."""
        return f"{self.prefix.rstrip('/')}/AWSDynamoDB/{self.id}/".lstrip("/")


class ExportsResource(dg.ConfigurableResource[Any]):
    """DynamoDB's exports into one bucket."""

    bucket: str

    @property
    def _client(self) -> Any:
        return clients.client("dynamodb")

    def table_arn(self, table: str) -> str:
        """The ARN of ``table``.  Raises ExportRefused when there is none."""
        try:
            return str(self._client.describe_table(TableName=table)["Table"]["TableArn"])
        except self._client.exceptions.ResourceNotFoundException:
            raise ExportRefused("TableNotFoundException", f"{table}: no such table in DynamoDB") from None

    def find(self, table_arn: str, export_time: datetime, prefix: str) -> list[Export]:
        """All exports of the table as of ``export_time`` into this bucket and ``prefix``, oldest first.

        An ARN tells when its export was started, and none can be started before the time it exports, so the
        others are not asked for.  DynamoDB lists the exports of the last 90 days.
        """
        found = []
        for arn in self._arns(table_arn):
            started = _STARTED.search(arn)
            if started and _started_before(started.group(1), export_time - _CLOCKS):
                continue
            export = self.describe(arn)
            if (
                export.table_arn == table_arn
                and export.export_time == export_time
                and export.bucket == self.bucket
                and export.prefix.strip("/") == prefix.strip("/")
            ):
                found.append(export)
        return sorted(found, key=lambda export: export.arn)

    def _arns(self, table_arn: str) -> list[str]:
        arns: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._client.list_exports(TableArn=table_arn, MaxResults=25, **token)
            arns += [summary["ExportArn"] for summary in page.get("ExportSummaries", ())]
            if not page.get("NextToken"):
                return arns
            token = {"NextToken": page["NextToken"]}

    def describe(self, arn: str) -> Export:
        """The export as it is now."""
        said = self._client.describe_export(ExportArn=arn)["ExportDescription"]
        failure = said.get("FailureCode") and f"{said['FailureCode']}: {said.get('FailureMessage', '')}"
        return Export(
            arn=said["ExportArn"],
            status=said["ExportStatus"],
            table_arn=said["TableArn"],
            export_time=said["ExportTime"].astimezone(UTC),
            bucket=said["S3Bucket"],
            prefix=said.get("S3Prefix", ""),
            items=said.get("ItemCount", 0),
            billed_bytes=said.get("BilledSizeBytes", 0),
            failure=failure,
        )

    def describe_or_none(self, arn: str) -> Export | None:
        """The export as it is now, or None when DynamoDB no longer knows it (it forgets after 90 days)."""
        try:
            return self.describe(arn)
        except self._client.exceptions.ExportNotFoundException:
            return None

    def start(self, table_arn: str, export_time: datetime, prefix: str, token: str) -> Export:
        """Start an export.  ``token`` makes a repeated call answer the first one's export for eight hours.

        Raises ExportRefused when point-in-time recovery is off or the time can't be exported.
        """
        try:
            answer = self._client.export_table_to_point_in_time(
                TableArn=table_arn,
                ExportTime=export_time,
                ClientToken=token,
                S3Bucket=self.bucket,
                S3Prefix=prefix,
                ExportFormat="DYNAMODB_JSON",
                ExportType="FULL_EXPORT",
            )
        except self._client.exceptions.ClientError as error:
            code = clients.error_code(error)
            raise ExportRefused(
                code, _advice(code, table_arn, export_time, clients.error_message(error))
            ) from None
        return self.describe(answer["ExportDescription"]["ExportArn"])


def _started_before(digits: str, moment: datetime) -> bool:
    return int(digits[-13:]) / 1000 < moment.timestamp()


def _advice(code: str, table_arn: str, export_time: datetime, said: str) -> str:
    table = table_arn.rsplit("/", 1)[-1]
    when = export_time.isoformat()
    if code == "PointInTimeRecoveryUnavailableException":
        return (
            f"{table}: point-in-time recovery is off, so there is nothing to export from. Turn it on with: "
            f"aws dynamodb update-continuous-backups --table-name {table} "
            "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        )
    if code == "InvalidExportTimeException":
        return (
            f"{table}: {when} can't be exported. DynamoDB keeps the table's history for 35 days at most, "
            f"from when point-in-time recovery was turned on, until about now ({said})"
        )
    return f"{table}: DynamoDB refused the export as of {when}: {code}: {said}"
