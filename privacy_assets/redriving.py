"""Dead letters sent again, for the commands of all domains whose queues have some."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Protocol


class Queue(Protocol):
    """A queue with dead letters."""

    def redrive(self) -> Iterable[str]: ...


def redrive(queue: Queue, *, as_json: bool) -> None:
    """Send all dead letters back to the queue; print how many, by the reason that they had."""
    reasons = Counter(queue.redrive())
    if as_json:
        document = {"redriven": reasons.total(), "reasons": dict(reasons)}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    for reason, count in reasons.most_common():
        sys.stdout.write(f"{count:,}: {reason}\n")
    sys.stdout.write(f"{reasons.total():,} dead letters sent again\n")
