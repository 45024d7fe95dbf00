"""A process that takes events in until it is told to end: ``python -m tests.ingest.worker '{…}'``."""

import json
import signal
import sys
import threading
from datetime import UTC, datetime

from privacy_assets.ingest.draining import Drainer, keep_house
from resources.busy_queue import BusyQueueResource
from resources.iceberg import IcebergResource


def main() -> None:
    """Drain again and again; what AWS does not do is tried again, as the next run would."""
    said = json.loads(sys.argv[1])
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    queue, store = BusyQueueResource(**said["queue"]), IcebergResource(**said["iceberg"])
    while not ended.is_set():
        try:
            done = Drainer(queue=queue, store=store, bite_messages=said["bite"]).drain(seconds=20)
            keep_house(store, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001  # the run failed; the messages are in the queue still
            sys.stderr.write(f"a run failed: {type(error).__name__}\n")
            ended.wait(1)
        else:
            sys.stderr.write(f"{done.total.events:,} written, {done.already:,} there already\n")
            ended.wait(0.2)


if __name__ == "__main__":
    main()
