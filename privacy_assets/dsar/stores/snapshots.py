"""``snapshots``: what nights leave of governed tables: raw exports, typed snapshots, audit results.

An export that is rewritten stays whole: its manifests get the new counts and checksums, so that its checks
pass and a day can be typed from it again. The manifest goes first: a run killed before the data file finds
the subject in it again. Rows of ``audit_results`` stay, as their number is evidence; what they name is
erased.
"""

import base64
import gzip
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from privacy_assets.audit.results import COLUMNS, RESULTS
from privacy_assets.dsar.files.forms import Lines, Parquet
from privacy_assets.dsar.files.lines import Csv, JsonLines
from privacy_assets.dsar.stores.file_table import FileTable
from privacy_assets.dsar.stores.iceberg_table import IcebergTable
from privacy_assets.dsar.stores.lake import place_of
from privacy_assets.dsar.stores.models import Records, SnapshotsStore
from privacy_assets.dsar.stores.protocol import (
    Erased,
    Found,
    Identifiers,
    Record,
    Remaining,
    RequestId,
    StoreError,
)
from privacy_assets.dsar.stores.rules import Rules
from privacy_assets.dsar.stores.tools import Files, FileVersion, Tools
from privacy_assets.estate import Table
from privacy_assets.snapshot import names

_ATTEMPTS = 10


class ExportLines(JsonLines):
    """DynamoDB's export: ``{"Item": {"id": {"S": "a"}}}`` a line, keys as text or number."""

    def parse(self, piece: bytes) -> Mapping[str, Any] | None:
        found = super().parse(piece)
        item = found.get("Item") if found else None
        if not isinstance(item, dict):
            return None
        return {name: value.get("S", value.get("N", value)) for name, value in item.items() if value}


class Snapshots:
    """A subject's rows in what was made of governed tables."""

    def __init__(self, spec: SnapshotsStore, tools: Tools, tables: Sequence[Table]) -> None:
        self.name, self._kind, self._tools, self._tables = spec.name, spec.subject, tools, tables
        self.kinds = frozenset({spec.subject})

    def find(self, identifiers: Identifiers) -> Found:
        return sum((part.find(identifiers) for _, part in self._parts()), Found(0))

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        for what, part in self._parts():
            for record in part.export(identifiers):
                yield {"in": what, **record}

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:  # noqa: ARG002
        return sum((part.erase(identifiers) for _, part in self._parts()), Erased())

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:
        return sum((part.verify(identifiers, touched) for _, part in self._parts()), Remaining())

    def _parts(self) -> Iterator[tuple[str, FileTable | IcebergTable]]:
        for table in self._tables:
            yield f"{table.name} export", self._exports(table)
            yield f"{table.name} snapshot", self._typed(table)
        yield "audit results", self._results()
        yield "audit results, as Athena wrote them", self._outputs()

    def _exports(self, table: Table) -> FileTable:
        assert table.subject_key is not None
        return FileTable(
            self._tools.files,
            self._rules(table.subject_key, f"{table.name} export"),
            Lines(ExportLines()),
            [place_of(f"s3://{self._tools.lake_bucket}/exports/{table.name}/")],
            is_data=lambda key: "/data/" in key and key.endswith(".json.gz"),
            before_replace=_Manifests(self._tools, table.name).follow,
        )

    def _typed(self, table: Table) -> FileTable:
        assert table.subject_key is not None
        column = table.column_name(table.subject_key)
        return FileTable(
            self._tools.files,
            self._rules(column, f"{table.name} snapshot"),
            Parquet(),
            [place_of(f"s3://{self._tools.lake_bucket}/snapshots/{table.name}/")],
        )

    def _results(self) -> IcebergTable:
        spec = Records(match={self._kind: ("subject",)}, change=dict.fromkeys(COLUMNS, "redact"))
        rules = Rules(spec, RESULTS, self._tools.erasures.pseudonym)
        return IcebergTable(self._tools.iceberg(), self._tools.files, RESULTS, rules)

    def _outputs(self) -> FileTable:
        return FileTable(
            self._tools.files,
            self._rules("subject", "audit results"),
            Lines(Csv(COLUMNS, header_lines=1)),
            [place_of(f"s3://{self._tools.lake_bucket}/audits/")],
            is_data=lambda key: key.endswith(".csv"),
        )

    def _rules(self, field: str, place: str) -> Rules:
        return Rules(Records(match={self._kind: (field,)}), place, self._tools.erasures.pseudonym)


class _Manifests:
    """Keeps an export's manifests true to its data files.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
    """

    def __init__(self, tools: Tools, noun: str) -> None:
        self._files: Files = tools.files
        self._catalog, self._noun = tools.catalog, noun
        self._lock = threading.Lock()

    def follow(self, version: FileVersion, body: BinaryIO) -> None:
        """Have the manifests say what ``body``, which is about to take the version's place, is."""
        folder = version.key.partition("/data/")[0] + "/"
        body.seek(0)
        md5 = hashlib.md5(usedforsecurity=False)
        while data := body.read(1 << 20):
            md5.update(data)
        digest = md5.digest()
        body.seek(0)
        with gzip.GzipFile(fileobj=body, mode="rb") as lines:
            items = sum(1 for _ in lines)
        body.seek(0)
        total = 0

        def files(text: bytes) -> bytes:
            nonlocal total
            entries = [json.loads(line) for line in text.splitlines() if line.strip()]
            for entry in entries:
                if entry["dataFileS3Key"] == version.key:
                    entry["itemCount"] = items
                    entry["md5Checksum"] = base64.b64encode(digest).decode()
                    entry["etag"] = digest.hex()
            total = sum(entry["itemCount"] for entry in entries)
            return b"".join(_compact(entry) + b"\n" for entry in entries)

        with self._lock:
            self._change(version.bucket, f"{folder}manifest-files.json", files)
            self._change(
                version.bucket,
                f"{folder}manifest-summary.json",
                lambda text: _compact({**json.loads(text), "itemCount": total}),
            )
            export_id = folder.rstrip("/").rpartition("/")[2]
            for table in (names.lines_table(self._noun), self._noun):
                self._catalog.count_items(table, export_id, total)

    def _change(self, bucket: str, key: str, change: Callable[[bytes], bytes]) -> None:
        """Put a manifest and its checksum anew; what somebody else writes meanwhile is read again."""
        for _ in range(_ATTEMPTS):
            version = self._files.current(bucket, key)
            if version is None:
                raise StoreError(f"{self._noun} export: no manifest beside a data file, expected DynamoDB's")
            with self._files.open(version) as source:
                text = source.read()
            changed = change(text)
            if changed == text or self._files.replace(version, io.BytesIO(changed)):
                self._checksum(bucket, key, changed)
                return
        raise StoreError(f"{self._noun} export: a manifest was written by others {_ATTEMPTS} times")

    def _checksum(self, bucket: str, key: str, text: bytes) -> None:
        digest = base64.b64encode(hashlib.md5(text, usedforsecurity=False).digest())
        version = self._files.current(bucket, key.removesuffix(".json") + ".checksum")
        if version is not None:
            self._files.replace(version, io.BytesIO(digest))


def _compact(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
