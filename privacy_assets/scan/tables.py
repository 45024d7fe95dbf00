"""The scanner's two Iceberg tables: what each object's state is, and where each finding stands.

``scan_objects`` has one row an object of a bucket; ``scan_findings`` one a finding, unique by bucket, key,
member, column, etag, detector and byte offset. Both are partitioned by bucket and replaced in one commit.
"""

import pyarrow as pa

OBJECTS = "scan_objects"
FINDINGS = "scan_findings"
PARTITION_BY = ("bucket",)

UTC = pa.timestamp("us", tz="UTC")

OBJECT_COLUMNS = pa.schema(
    [
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", UTC),
        pa.field("storage_class", pa.string()),
        pa.field("state", pa.string(), nullable=False),
        pa.field("why", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("findings", pa.int64(), nullable=False),
        pa.field("text_bytes", pa.int64(), nullable=False),
        pa.field("members", pa.int64(), nullable=False),
        pa.field("rules", pa.string(), nullable=False),  # the versions it was scanned with: Rules.text
        pa.field("scanned_at", UTC, nullable=False),
        pa.field("job_id", pa.string(), nullable=False),
    ]
)

FINDING_COLUMNS = pa.schema(
    [
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("member", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("detector", pa.string(), nullable=False),
        pa.field("detector_version", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("column_name", pa.string()),
        pa.field("row_number", pa.int64()),
        pa.field("masked_match", pa.string(), nullable=False),
        pa.field("context", pa.string(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("confidence", pa.string(), nullable=False),
        pa.field("first_seen", UTC, nullable=False),
        pa.field("last_seen", UTC, nullable=False),  # the last scan that read its object
        pa.field("closed_at", UTC),  # when it was seen to be gone
        pa.field("status", pa.string(), nullable=False),  # open, gone, allowed
        pa.field("allowed_because", pa.string()),
        pa.field("job_id", pa.string(), nullable=False),
    ]
)

FINDING_PROPERTIES = {"write.parquet.row-group-limit": "16384"}
"""A page of findings costs the row group that it lies in."""

IDENTITY = ("key", "member", "column_name", "etag", "detector", "byte_offset")
"""What makes a finding one, within its bucket."""
