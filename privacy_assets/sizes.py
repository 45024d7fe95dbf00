"""What a run of each job needs of a machine, where runs are tasks of ECS (Fargate)."""

from collections.abc import Mapping
from typing import NamedTuple


class Size(NamedTuple):
    """CPU units (1,024 are a core) and MiB of memory, in a combination that Fargate has."""

    cpu: int
    memory: int


DEFAULT = Size(512, 2048)
SIZES: Mapping[str, Size] = {
    "nightly_exports": Size(512, 2048),
    "daily_audit": Size(1024, 4096),
    "archive_deletions": Size(1024, 4096),
    "archive_restore": Size(1024, 4096),
    "ingest_events": Size(1024, 4096),
    "scan_bucket": Size(2048, 8192),
    "ledger_checkpoint": Size(512, 2048),
    "dsar_request": Size(1024, 4096),
    "dsar_approval": Size(512, 2048),
    "rotate_secrets": Size(512, 2048),
}
"""By the job's name; each has a role of its own in the deployment."""
SHARD = Size(4096, 16384)
"""One shard of a scan: four processes that read, and what the largest object needs of each."""
