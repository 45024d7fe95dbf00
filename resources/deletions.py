"""The queue of deletions that pipes fill, its dead letters, and the dead letters of the pipes."""

from collections.abc import Sequence

from resources import busy_queue
from resources.busy_queue import BusyQueueResource
from resources.sqs import Message


class DeletionQueueResource(BusyQueueResource):
    """The three queues, by name."""

    pipe_dead_letters: str

    @property
    def _queues(self) -> tuple[str, ...]:
        return (self.queue, self.dead_letters, self.pipe_dead_letters)

    def receive_from_pipe(self) -> list[Message]:
        """Up to ten dead letters of the pipes, without waiting for any."""
        return busy_queue.receive(self.pipe_dead_letters, 0)

    def delete(self, messages: Sequence[Message], *, from_pipe: bool = False) -> None:
        """Delete messages that are done. One that could not be deleted comes again, harmlessly."""
        busy_queue.delete(self.pipe_dead_letters if from_pipe else self.queue, messages)

    def dead_letter(self, message: Message, reason: str, *, from_pipe: bool = False) -> None:
        """Move a message to the dead letters, ``reason`` beside it: sent there first, then deleted here."""
        self.bury(message.body, reason)
        self.delete([message], from_pipe=from_pipe)
