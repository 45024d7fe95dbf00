"""A process that archives what waits, for tests that kill it: ``python -m tests.archive.worker '{…}'``."""

import json
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
    """Drain until the queue is empty; prints how many records were archived."""
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
    sys.stdout.write(f"{done.archived}\n")


if __name__ == "__main__":
    main()
