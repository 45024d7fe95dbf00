"""A listing from S3 Inventory, where a bucket is too large to be listed every night.

The newest list under the folder of a configuration is taken: its ``manifest.json`` names the data files, in
CSV, ORC or Parquet (S3 User Guide, "Amazon S3 Inventory").
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import unquote_plus

import pyarrow as pa

from privacy_assets.errors import UserError
from privacy_assets.scan.plan import LISTING

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z)/manifest\.json$")
_ALIKE = {
    "key": "key",
    "size": "size",
    "etag": "etag",
    "e_tag": "etag",
    "lastmodifieddate": "modified",
    "last_modified_date": "modified",
    "storageclass": "storage_class",
    "storage_class": "storage_class",
    "islatest": "latest",
    "is_latest": "latest",
    "isdeletemarker": "deleted",
    "is_delete_marker": "deleted",
}


class Buckets(Protocol):
    """Where the lists are."""

    def list(self, bucket: str, prefix: str = "") -> Iterator[list[Any]]:
        """Pages of objects."""

    def read(self, bucket: str, key: str) -> bytes:
        """A whole object."""


def listing(buckets: Buckets, folder: str) -> pa.Table:
    """The newest inventory in ``folder`` (``s3://…``), as ``plan.LISTING``: current versions alone.

    Raises UserError when there is none, or one that lacks ETag, size or modification date.
    """
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/") + "/"
    keys = [item.key for page in buckets.list(bucket, prefix) for item in page]
    dated = sorted((found[1], key) for key in keys if (found := _DATED.search(key)))
    if not dated:
        raise UserError(f"{folder}: no manifest.json in a dated folder, expected an S3 Inventory")
    manifest = json.loads(buckets.read(bucket, dated[-1][1]))
    kind = manifest["fileFormat"]
    # The manifest names the destination as an ARN; the files are beside it, in its bucket.
    bodies = (buckets.read(bucket, file["key"]) for file in manifest["files"])
    parts = [_part(body, kind, manifest["fileSchema"], folder) for body in bodies]
    return pa.concat_tables([LISTING.empty_table(), *parts])


def _part(body: bytes, kind: str, schema: str, folder: str) -> pa.Table:
    if kind == "CSV":
        names = [name.strip() for name in schema.split(",")]
        rows = list(csv.reader(io.StringIO(gzip.decompress(body).decode())))
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
        table = pa.table({name: pa.array(columns.get(name, []), pa.string()) for name in names})
    elif kind == "Parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(body))
    elif kind == "ORC":
        from pyarrow import orc

        table = orc.ORCFile(io.BytesIO(body)).read()
    else:
        raise UserError(f"{folder}: file format {kind!r}, expected CSV, ORC or Parquet")
    named = {_ALIKE[name.lower()]: table[name] for name in table.column_names if name.lower() in _ALIKE}
    if missing := [name for name in ("key", "size", "etag", "modified") if name not in named]:
        raise UserError(
            f"{folder}: the inventory has no {', '.join(missing)}; "
            "add the fields Size, ETag and LastModifiedDate"
        )
    return _current(named, encoded=kind == "CSV")


def _current(columns: dict[str, Any], *, encoded: bool) -> pa.Table:
    """The rows of current objects, typed. Keys in CSV are URL-encoded."""
    rows = zip(
        columns["key"].to_pylist(),
        columns["size"].to_pylist(),
        columns["etag"].to_pylist(),
        columns["modified"].to_pylist(),
        (columns["storage_class"].to_pylist() if "storage_class" in columns else _always("STANDARD")),
        (columns["latest"].to_pylist() if "latest" in columns else _always(True)),
        (columns["deleted"].to_pylist() if "deleted" in columns else _always(False)),
        strict=False,
    )
    kept = [
        (
            unquote_plus(key) if encoded else key,
            int(size or 0),
            (etag or "").strip('"'),
            datetime.fromisoformat(modified) if isinstance(modified, str) else modified,
            storage or "STANDARD",
        )
        for key, size, etag, modified, storage, latest, deleted in rows
        if _true(latest) and not _true(deleted)
    ]
    arrays = [pa.array([row[index] for row in kept], kind) for index, kind in enumerate(LISTING.types)]
    return pa.table(arrays, schema=LISTING)


def _always(value: Any) -> Iterator[Any]:
    while True:
        yield value


def _true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"
