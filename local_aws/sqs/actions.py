"""The busy actions of SQS, answered from their JSON at once.

Moto's way through a request costs more than all else that is done for a message. A request that fails is
handed on to moto, whose answer to it is right and need not be fast; nothing was done for it yet.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import get_account_id_from
from moto.sqs import models

from local_aws.context import Action, Answer
from local_aws.sqs.backend import Backend, attributes_md5, chosen_attributes, handle
from local_aws.sqs.messages import Stored

_SCOPE = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/sqs/")
_ISSUED_KEY = re.compile(r"[A-Z0-9]{20}\Z")  # moto tells accounts apart by the keys it issued itself
_HEADERS = {"Content-Type": "application/x-amz-json-1.0"}
_LONGEST_WAIT_SECONDS = 20

Document = dict[str, Any]


def actions() -> dict[str, Action]:
    """What answers which X-Amz-Target."""
    return {
        f"AmazonSQS.{name}": _action(run)
        for name, run in {
            "SendMessage": _send,
            "SendMessageBatch": _send_batch,
            "ReceiveMessage": _receive,
            "DeleteMessage": _delete,
            "DeleteMessageBatch": _delete_batch,
            "ChangeMessageVisibility": _change_visibility,
            "ChangeMessageVisibilityBatch": _change_visibility_batch,
        }.items()
    }


def _action(run: Callable[[Backend, str, Document], Document]) -> Action:
    def answer(environ: Mapping[str, Any], body: bytes) -> Answer | None:
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None or "HTTP_X_MOTO_ACCOUNT_ID" in environ:
            return None
        key, region = scope.groups()
        account = get_account_id_from(key) if _ISSUED_KEY.match(key) else DEFAULT_ACCOUNT_ID
        try:
            request = json.loads(body)
            backend = models.sqs_backends[account][region]
            result = run(backend, request["QueueUrl"].rpartition("/")[2], request)  # type: ignore[arg-type]  # ours
        except (ServiceException, KeyError, TypeError, ValueError, AttributeError):
            return None
        return 200, _HEADERS, json.dumps(result).encode()

    return answer


def _sent(message: models.Message) -> Document:
    result: Document = {
        "MessageId": message.id,
        "MD5OfMessageBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
    }
    if message.message_attributes:
        result["MD5OfMessageAttributes"] = message.attribute_md5
    if message.system_attributes:
        result["MD5OfMessageSystemAttributes"] = attributes_md5(message.system_attributes)
    if message.sequence_number:
        result["SequenceNumber"] = message.sequence_number
    return result


def _send(backend: Backend, queue: str, request: Document) -> Document:
    message = backend.send_message(
        queue,
        request["MessageBody"],
        message_attributes=request.get("MessageAttributes"),
        delay_seconds=request.get("DelaySeconds"),
        deduplication_id=request.get("MessageDeduplicationId"),
        group_id=request.get("MessageGroupId"),
        system_attributes=request.get("MessageSystemAttributes"),
    )
    return _sent(message)


def _send_batch(backend: Backend, queue: str, request: Document) -> Document:
    entries = {str(number): entry for number, entry in enumerate(request["Entries"])}
    sent, failed = backend.send_message_batch(queue, entries)
    successful = [{"Id": message.user_id, **_sent(message)} for message in sent]  # type: ignore[attr-defined]  # set there
    return _batch(successful, failed)


def _receive(backend: Backend, queue: str, request: Document) -> Document:
    settings = backend.get_queue(queue)
    count = request.get("MaxNumberOfMessages", 1)
    wait = request.get("WaitTimeSeconds", settings.receive_message_wait_time_seconds)
    visibility = request.get("VisibilityTimeout", settings.visibility_timeout)
    if not (1 <= count <= 10 and 0 <= wait <= _LONGEST_WAIT_SECONDS and 0 <= visibility <= 43_200):
        raise ValueError
    names = {*request.get("AttributeNames", ()), *request.get("MessageSystemAttributeNames", ())}
    wanted = request.get("MessageAttributeNames", [])
    found = backend.take(queue, count, wait, visibility)
    messages = [_received(item, names, wanted, fifo=settings.fifo_queue) for item in found]
    return {"Messages": messages} if messages else {}


def _received(item: Stored, names: set[str], wanted: list[str], *, fifo: bool) -> Document:
    message: Document = {
        "MessageId": item.message_id,
        "ReceiptHandle": handle(item),
        "MD5OfBody": hashlib.md5(item.body.encode(), usedforsecurity=False).hexdigest(),
        "Body": item.body,
    }
    if item.attributes and wanted:
        chosen = chosen_attributes(json.loads(item.attributes), wanted)
        if chosen:
            message["MessageAttributes"] = chosen
            message["MD5OfMessageAttributes"] = attributes_md5(chosen)
    if names:
        trace = json.loads(item.system).get("AWSTraceHeader", {}) if item.system else {}
        attributes = {
            "SenderId": models.DEFAULT_SENDER_ID,
            "SentTimestamp": str(item.sent_at),
            "ApproximateReceiveCount": str(item.receives),
            "ApproximateFirstReceiveTimestamp": str(item.first_received_at),
            "MessageGroupId": item.group_id,
            "MessageDeduplicationId": item.deduplication_id,
            "SequenceNumber": item.sequence if fifo else None,
            "DeadLetterQueueSourceArn": item.source,
            "AWSTraceHeader": trace.get("StringValue"),
        }
        message["Attributes"] = {
            name: value
            for name, value in attributes.items()
            if value is not None and ("All" in names or name in names)
        }
    return message


def _delete(backend: Backend, queue: str, request: Document) -> Document:
    backend.delete_message(queue, request["ReceiptHandle"])
    return {}


def _delete_batch(backend: Backend, queue: str, request: Document) -> Document:
    done, failed = backend.delete_message_batch(queue, request["Entries"])
    return _batch([{"Id": entry} for entry in done], failed)


def _change_visibility(backend: Backend, queue: str, request: Document) -> Document:
    backend.change_message_visibility(queue, request["ReceiptHandle"], request["VisibilityTimeout"])
    return {}


def _change_visibility_batch(backend: Backend, queue: str, request: Document) -> Document:
    done, failed = backend.change_message_visibility_batch(queue, request["Entries"])
    return _batch([{"Id": entry} for entry in done], failed)


def _batch(successful: list[Document], failed: list[Document]) -> Document:
    return {"Successful": successful, **({"Failed": failed} if failed else {})}
