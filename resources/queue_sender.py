"""Sending to a queue while somebody waits: signed by hand, three attempts, and done means durable."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from resources import clients
from resources.signed import Caller

_ATTEMPTS = 3
_SECONDS = 10.0


@dataclass
class QueueSender:
    """The queue called ``queue``, from any number of threads."""

    queue: str
    caller: Caller = field(
        default_factory=lambda: Caller("sqs", attempts=_ATTEMPTS, timeout=_SECONDS), repr=False
    )
    _url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def send(self, bodies: str | Sequence[str]) -> None:
        """Put a message for each body into the queue; all are durable when it returns.

        Raises CallFailed; then some may have been sent.
        """
        for body in [bodies] if isinstance(bodies, str) else bodies:
            self.caller.json("SendMessage", {"QueueUrl": self._found(), "MessageBody": body})

    def find(self) -> None:
        """Look the queue up, which the first message would wait for."""
        self._found()

    def _found(self) -> str:
        if not self._url:
            with self._lock:
                self._url = self._url or clients.client("sqs").get_queue_url(QueueName=self.queue)["QueueUrl"]
        return self._url
