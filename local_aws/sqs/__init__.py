"""Queues whose calls take the same time however many messages wait."""

import threading

from moto.sqs import models

from local_aws.context import Context
from local_aws.sqs.actions import actions
from local_aws.sqs.backend import Backend, Queue
from local_aws.sqs.messages import Messages
from local_aws.sqs.redrive import Redrive

# What is kept in the store as it happens, and not in the journal.
_OWN = (
    "SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch",
    "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "PurgeQueue",
    "StartMessageMoveTask", "CancelMessageMoveTask",
)  # fmt: skip


def install(context: Context) -> None:
    """Put this engine into moto's place."""
    messages = Messages(context)
    Backend.store = messages
    models.Queue = Queue  # type: ignore[misc]  # what moto's backend makes its queues of
    models.sqs_backends.backend = Backend
    redrive = Redrive(context, messages)
    context.actions |= actions() | redrive.actions()
    context.own_actions |= {f"sqs:{name}" for name in _OWN}
    context.counts["sqs_messages"] = messages.total
    context.on_reset.append(messages.forget)
    context.on_start.append(threading.Thread(target=messages.sweep, name="sqs-sweep", daemon=True).start)
    context.on_start.append(redrive.resume)
    context.on_stop += [messages.wake, redrive.stop]
