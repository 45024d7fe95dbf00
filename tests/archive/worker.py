"""A process that archives what waits, for tests that kill it: ``python -m tests.archive.worker '{…}'``."""

import json
import resource
import sys
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
    peak = resource.getrusage(resource.RUSAGE_SELF)
    sys.stderr.write(
        f"archived {done.archived:,} in {done.bites} bites, {peak.ru_maxrss // 1024} MiB, "
        f"{peak.ru_utime + peak.ru_stime:.0f} s of processor time\n"
    )


if __name__ == "__main__":
    main()
