"""Exports of a table at a point in time: what DynamoDB writes to S3, and the record of each export.

Format: "DynamoDB table export output format" of the developer guide. An export's record is kept in the
history's file; one that a stop cut off is taken up again at the next start and writes the same objects.
"""

import base64
import gzip
import hashlib
import json
import secrets
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.dynamodb.history import SECOND, History, Microseconds, TableNumber
from local_aws.settings import seconds

PARTITIONS = 4  # of a new on-demand table
PARTITION_BYTES = 128 * 1024 * 1024
_BUFFER_BYTES = 1024 * 1024
_ROWS = 2_000
_WRAPPING = len(b'{"Item":}\n')
_SCHEMA = """
CREATE TABLE IF NOT EXISTS exports (
    arn TEXT PRIMARY KEY, token TEXT NOT NULL, asked_at INTEGER NOT NULL,
    status TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS exports_by_token ON exports (token);
"""


@dataclass(frozen=True)
class Export:
    """One export: what was asked for and what came of it. Times are microseconds since the epoch."""

    arn: str
    table_arn: str
    table_id: str
    table_number: TableNumber
    asked: dict[str, Any]
    token: str
    time: Microseconds
    started: Microseconds
    status: str = "IN_PROGRESS"
    ended: Microseconds | None = None
    items: int = 0
    billed_bytes: int = 0
    failure_code: str | None = None
    failure_message: str | None = None

    @property
    def id(self) -> str:
        """The last part of the ARN; it names the export's folder."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """Where in the bucket the export's objects are, with a slash at the end."""
        prefix = self.asked.get("S3Prefix", "").rstrip("/")
        return f"{prefix}/AWSDynamoDB/{self.id}/" if prefix else f"AWSDynamoDB/{self.id}/"


@dataclass(frozen=True)
class DataFile:
    """One data file as its line of ``manifest-files.json`` tells it."""

    key: str
    items: int
    json_bytes: int
    md5: bytes
    etag: str


class StoppedError(Exception):
    """The server stops or was reset: the export is left as it is."""


class Exports:
    """Starts exports, does them in the background and knows all of them."""

    def __init__(self, history: History, client: Callable[[], Any], scratch: Path) -> None:
        self._history = history
        self._client = client
        self._scratch = scratch
        self.seconds = seconds("LOCAL_AWS_EXPORT_SECONDS")
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        # Two cores are two exports' worth of work; others wait their turn.
        self._turn = threading.Semaphore(2)
        history.store.connection().executescript(_SCHEMA)

    # Records.

    def find(self, arn: str) -> Export | None:
        """The export of an ARN."""
        rows = self._history.store.read("SELECT record FROM exports WHERE arn = ?", (arn,))
        return _export(rows[0][0]) if rows else None

    def with_token(self, token: str, since: Microseconds) -> Export | None:
        """The export that was asked for with a client token at or after ``since``."""
        rows = self._history.store.read(
            "SELECT record FROM exports WHERE token = ? AND asked_at >= ? ORDER BY asked_at DESC",
            (token, since),
        )
        return _export(rows[0][0]) if rows else None

    def all(self, table_arn: str | None, below: str | None, limit: int) -> list[Export]:
        """Exports with the greatest ARN first, those below ``below`` when given."""
        prefix = f"{table_arn}/export/" if table_arn else ""
        rows = self._history.store.read(
            "SELECT record FROM exports WHERE substr(arn, 1, ?) = ? AND (? IS NULL OR arn < ?)"
            " ORDER BY arn DESC LIMIT ?",
            (len(prefix), prefix, below, below, limit),
        )
        return [_export(record) for (record,) in rows]

    def start(
        self,
        table_arn: str,
        table_id: str,
        number: TableNumber,
        asked: dict[str, Any],
        token: str,
        time: Microseconds,
    ) -> Export:
        """Record a new export and begin it in the background."""
        now = self._history.clock.now()
        arn = f"{table_arn}/export/{now // 1000:014d}-{secrets.token_hex(4)}"
        export = Export(arn, table_arn, table_id, number, asked, token, time, now)
        self._save(export)
        self._run(export)
        return export

    def _save(self, export: Export) -> None:
        with self._history.store.write() as connection:
            connection.execute(
                "INSERT INTO exports VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (arn) DO UPDATE SET status = excluded.status, record = excluded.record",
                (export.arn, export.token, export.started, export.status, json.dumps(asdict(export))),
            )

    # Life.

    def resume(self) -> None:
        """Take up the exports that a stop cut off."""
        for (record,) in self._history.store.read("SELECT record FROM exports WHERE status = 'IN_PROGRESS'"):
            self._run(_export(record))

    def stop(self) -> None:
        """Leave exports under way as they are and wait for their threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def clear(self) -> None:
        """Forget all exports."""
        self.stop()
        self._threads, self._stop = [], threading.Event()
        with self._history.store.write() as connection:
            connection.execute("DELETE FROM exports")

    def _run(self, export: Export) -> None:
        thread = threading.Thread(target=self._do, args=(export, self._stop), name=export.id, daemon=True)
        self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def _do(self, export: Export, stop: threading.Event) -> None:
        try:
            writer = _Writer(self._history, self._client(), self._scratch, export, self.seconds, stop)
            done = writer.write(self._turn)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, an export has to end
            done = self._failed(export, error)
        if not stop.is_set():
            self._save(done)

    def _failed(self, export: Export, error: Exception) -> Export:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else "Unknown"
        codes = {"NoSuchBucket": "S3NoSuchBucket", "AccessDenied": "S3AccessDenied"}
        message = error.response["Error"]["Message"] if isinstance(error, ClientError) else str(error)
        ended = self._history.clock.now()
        return replace(
            export, status="FAILED", ended=ended, failure_code=codes.get(code, code), failure_message=message
        )


def _export(record: str) -> Export:
    return Export(**json.loads(record))


class _Partition:
    """One data file while it is written: lines are collected, then compressed in order by one worker."""

    def __init__(self, key: str, scratch: Path) -> None:
        self.key = key
        self.items = self.json_bytes = 0
        self.lines: list[bytes] = []
        self.size = 0
        self.pending: Future[None] | None = None
        self.file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115  # closed by the writer
        self._gzip = gzip.GzipFile(filename="", fileobj=self.file, mode="wb", compresslevel=1, mtime=0)

    def compress(self, lines: list[bytes]) -> None:
        """Write lines in an order without meaning, as DynamoDB's is, and the same each time."""
        lines.sort(key=zlib.crc32)
        self._gzip.write(b"".join(lines))

    def finish(self, put: Callable[[str, Any], str]) -> DataFile:
        """Close the file and upload it."""
        self._gzip.close()
        self.file.seek(0)
        md5 = hashlib.file_digest(self.file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        self.file.seek(0)
        return DataFile(self.key, self.items, self.json_bytes, md5, put(self.key, self.file))


class _Writer:
    """Writes the objects of one export: data files first, the summary manifest last of all."""

    def __init__(
        self, history: History, s3: Any, scratch: Path, export: Export, seconds: float, stop: threading.Event
    ) -> None:
        self._history, self._s3, self._scratch = history, s3, scratch
        self._export, self._seconds, self._stop = export, seconds, stop
        self._account = export.arn.split(":")[4]  # the only one there is, so every bucket's owner too

    def write(self, turn: threading.Semaphore) -> Export:
        """Do the export; returns it as completed. Raises ClientError when S3 refuses, StoppedError.

        ``turn`` is held while data is written and not while the export only takes its time.
        """
        if self._export.asked.get("S3BucketOwner", self._account) != self._account:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject")
        summary_key = f"{self._export.folder}manifest-summary.json"
        if (summary := self._existing(summary_key)) is None:
            self._put(f"{self._export.folder}_started", b"")
            with turn:
                files = self._data_files()
            self._wait()
            summary = self._manifests(files, summary_key)
        return replace(
            self._export, status="COMPLETED", ended=_microseconds(summary["endTime"]),
            items=summary["itemCount"], billed_bytes=summary["billedSizeBytes"],
        )  # fmt: skip

    def _existing(self, key: str) -> dict[str, Any] | None:
        """The summary that this export wrote before a stop: there is never a second one."""
        try:
            document: dict[str, Any] = json.loads(
                self._s3.get_object(Bucket=self._export.asked["S3Bucket"], Key=key)["Body"].read()
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return document

    def _put(self, key: str, body: Any) -> str:
        """Upload an object; returns its ETag without quotes."""
        if self._stop.is_set():
            raise StoppedError
        asked = self._export.asked
        options = {"ServerSideEncryption": "aws:kms" if asked.get("S3SseAlgorithm") == "KMS" else "AES256"}
        if "S3SseKmsKeyId" in asked:
            options["SSEKMSKeyId"] = asked["S3SseKmsKeyId"]
        answer = self._s3.put_object(Bucket=asked["S3Bucket"], Key=key, Body=body, **options)
        return str(answer["ETag"]).strip('"')

    def _wait(self) -> None:
        left = self._seconds - (self._history.clock.now() - self._export.started) / SECOND
        if left > 0 and self._stop.wait(left):
            raise StoppedError

    def _data_files(self) -> list[DataFile]:
        with (
            self._history.snapshot(self._export.table_number, self._export.time) as snapshot,
            ExitStack() as stack,
        ):
            count = max(PARTITIONS, -(-snapshot.json_bytes // PARTITION_BYTES))
            partitions = [_Partition(self._data_key(number), self._scratch) for number in range(count)]
            for partition in partitions:
                stack.enter_context(partition.file)
            workers = stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="export"))
            self._distribute(snapshot.rows(_ROWS), partitions, workers)
            return list(workers.map(lambda partition: partition.finish(self._put), partitions))

    def _distribute(
        self,
        batches: Iterator[list[tuple[bytes, bytes]]],
        partitions: list[_Partition],
        workers: ThreadPoolExecutor,
    ) -> None:
        """Give each item to the partition of its partition key."""
        count = len(partitions)
        for batch in batches:
            if self._stop.is_set():
                raise StoppedError
            for hash_, line in batch:
                partition = partitions[zlib.crc32(hash_) % count]
                partition.lines.append(line)
                partition.size += len(line)
            for partition in partitions:
                if partition.size > _BUFFER_BYTES:
                    self._flush(partition, workers)
        for partition in partitions:
            self._flush(partition, workers)
            if partition.pending:
                partition.pending.result()

    @staticmethod
    def _flush(partition: _Partition, workers: ThreadPoolExecutor) -> None:
        """At most one buffer of a partition is being compressed, so memory stays flat and lines in order."""
        if partition.pending:
            partition.pending.result()
        partition.items += len(partition.lines)
        partition.json_bytes += partition.size
        partition.pending = workers.submit(partition.compress, partition.lines)
        partition.lines, partition.size = [], 0

    def _data_key(self, number: int) -> str:
        """A name that tells nothing, and that is the same when the export is taken up again."""
        digest = hashlib.sha256(f"{self._export.arn}/{number}".encode()).digest()
        return (
            f"{self._export.folder}data/{base64.b32encode(digest[:16]).decode().rstrip('=').lower()}.json.gz"
        )

    def _manifests(self, files: list[DataFile], summary_key: str) -> dict[str, Any]:
        export, folder = self._export, self._export.folder
        lines = [
            {
                "itemCount": file.items,
                "md5Checksum": base64.b64encode(file.md5).decode(),
                "etag": file.etag,
                "dataFileS3Key": file.key,
            }
            for file in files
        ]
        self._put_with_checksum(f"{folder}manifest-files.json", "".join(_json(line) + "\n" for line in lines))
        asked = export.asked
        summary = {
            "version": "2020-06-30",
            "exportArn": export.arn,
            "startTime": _iso(export.started),
            "endTime": _iso(self._history.clock.now()),
            "tableArn": export.table_arn,
            "tableId": export.table_id,
            "exportTime": _iso(export.time),
            "s3Bucket": asked["S3Bucket"],
            "s3Prefix": asked.get("S3Prefix"),
            "s3SseAlgorithm": asked.get("S3SseAlgorithm", "AES256"),
            "s3SseKmsKeyId": asked.get("S3SseKmsKeyId"),
            "manifestFilesS3Key": f"{folder}manifest-files.json",
            "billedSizeBytes": sum(file.json_bytes - file.items * _WRAPPING for file in files),
            "itemCount": sum(file.items for file in files),
            "outputFormat": "DYNAMODB_JSON",
            "exportType": "FULL_EXPORT",
        }
        self._put_with_checksum(summary_key, _json(summary))
        return summary

    def _put_with_checksum(self, key: str, text: str) -> None:
        """The checksum goes first: whoever sees the manifest can check it."""
        body = text.encode()
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest())
        self._put(key.removesuffix(".json") + ".checksum", digest)
        self._put(key, body)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _iso(time: Microseconds) -> str:
    moment = datetime.fromtimestamp(time // SECOND, UTC).replace(microsecond=time % SECOND)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _microseconds(text: str) -> Microseconds:
    return Microseconds(round(datetime.fromisoformat(text).timestamp() * SECOND))
