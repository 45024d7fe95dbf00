"""A process that archives what waits, for tests that kill it: ``python -m tests.archive.worker '{…}'``."""

import json
import os
import sys
import time
from pathlib import Path

from privacy_assets.archive.archiving import Archiver
from privacy_assets.estate import load_estate
from resources.archive import ArchiveResource, ObjectRefused
from resources.deletions import DeletionQueueResource
from resources.erasures import ErasuresResource
from resources.iceberg import IcebergResource
from resources.streams import RecordsGone, StreamsResource


def main() -> None:
    """Drain until the queue is empty; says what it took."""
    said = json.loads(sys.argv[1])
    done = Archiver(
        queue=DeletionQueueResource(**said["queue"]),
        objects=ArchiveResource(bucket=said["bucket"]),
        store=IcebergResource(**said["iceberg"]),
        streams=StreamsResource(),
        erasures=ErasuresResource(**said["erasures"]),
        tables=load_estate(Path(said["estate"])).by_name,
        refused=ObjectRefused,
        gone=RecordsGone,
        bite_records=said["bite"],
    ).drain()
    sys.stderr.write(
        f"archived {done.archived:,} in {done.bites} bites, {peak_mib(os.getpid())} MiB, "
        f"{time.process_time():.0f} s of processor time\n"
    )


def peak_mib(pid: int) -> int:
    """The most memory that a process has had; 0 where there is no /proc."""
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(told.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()
