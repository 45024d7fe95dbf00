"""Moto's SQS with its messages in the store: moto keeps the queues and their attributes, nothing else."""

import base64
import hashlib
import json
import re
import struct
import uuid
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from moto.cloudwatch.models import MetricDatum
from moto.core.common_models import CloudWatchMetricProvider
from moto.core.exceptions import ServiceException
from moto.core.utils import utcnow
from moto.sqs import models, urls
from moto.sqs.constants import MAXIMUM_MESSAGE_LENGTH
from moto.sqs.exceptions import (
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InvalidAttributeName,
    InvalidBatchEntryId,
    InvalidParameterValue,
    MessageAttributesInvalid,
    MissingParameter,
    PurgeQueueInProgress,
    ReceiptHandleIsInvalid,
    SQSException,
    TooManyEntriesInBatchRequest,
)

from local_aws.sqs.messages import Messages, New, Receiving, Stored, TooManyInFlight, now_ms

LONGEST_DELAY_SECONDS = 900
LONGEST_VISIBILITY_SECONDS = 43_200
_BATCH_ID = re.compile(r"[\w-]{1,80}\Z", re.ASCII)
_GROUP_OR_DEDUPLICATION_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_FORBIDDEN_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTS = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}


class Queue(models.Queue):
    """A queue of moto's that keeps no messages."""

    BASE_ATTRIBUTES = [  # noqa: RUF012 - moto's declaration
        *(name for name in models.Queue.BASE_ATTRIBUTES if name not in _COUNTS),
        "RedriveAllowPolicy",
    ]
    redrive_allow_policy: str | None = None
    # Set by moto from the attributes' names.
    content_based_deduplication: bool
    deduplication_scope: str
    delay_seconds: int
    maximum_message_size: int
    message_retention_period: int
    receive_message_wait_time_seconds: int
    visibility_timeout: int

    @property
    def messages(self) -> list[models.Message]:
        return []

    def _set_attributes(self, attributes: dict[str, Any], now: float | None = None) -> None:
        """As moto's, but a policy that is not named stays."""
        made = hasattr(self, "_policy_json")
        super()._set_attributes({"Policy": self.policy, **attributes} if made else attributes, now)

    @property
    def receiving(self) -> Receiving:
        """How its messages are given."""
        policy = self.redrive_policy or {}
        return Receiving(
            fifo=self.fifo_queue,
            retention=self.message_retention_period * 1000,
            max_receives=policy.get("maxReceiveCount"),
            dead_letters=policy.get("deadLetterTargetArn"),
        )


class Backend(models.SQSBackend, CloudWatchMetricProvider):
    """SQS of one account and region."""

    store: ClassVar[Messages]

    @property
    def _url_module(self) -> Any:
        return urls  # moto looks for them beside the backend's own module

    @classmethod
    def get_cloudwatch_metrics(cls, account_id: str, region: str) -> Any:
        """The age of each queue's oldest message now; a queue that is empty has none, as with AWS once it is
        idle.
        """
        now = now_ms()
        oldest = {
            name: cls.store.oldest(queue.queue_arn)
            for name, queue in models.sqs_backends[account_id][region].queues.items()
        }
        return [
            MetricDatum(
                namespace="AWS/SQS",
                name="ApproximateAgeOfOldestMessage",
                value=(now - sent) / 1000,
                dimensions=[{"Name": "QueueName", "Value": name}],
                timestamp=utcnow(),
                unit="Seconds",
            )
            for name, sent in oldest.items()
            if sent is not None
        ]

    # --- queues

    def get_queue(self, queue_name: str) -> Queue:
        queue = super().get_queue(queue_name)
        assert isinstance(queue, Queue)  # ``install`` has moto make no others
        return queue

    def delete_queue(self, queue_name: str) -> None:
        arn = self.get_queue(queue_name).queue_arn
        super().delete_queue(queue_name)
        self.store.drop(arn)

    def get_queue_attributes(self, queue_name: str, attribute_names: list[str]) -> dict[str, Any]:
        """As moto's, with the messages counted once and only when they are asked for."""
        queue = self.get_queue(queue_name)
        known = {"All", *_COUNTS, *queue.BASE_ATTRIBUTES, *queue.FIFO_ATTRIBUTES, *queue.KMS_ATTRIBUTES}
        for name in attribute_names:
            if name not in known:
                raise InvalidAttributeName(name)
        everything = "All" in attribute_names
        attributes = {name: value for name, value in queue.attributes.items() if value is not None}
        if everything or any(name in _COUNTS for name in attribute_names):
            counts = self.store.counts(queue.queue_arn, queue.receiving.retention)
            attributes |= {name: getattr(counts, field) for name, field in _COUNTS.items()}
        return {name: value for name, value in attributes.items() if everything or name in attribute_names}

    def purge_queue(self, queue_name: str) -> None:
        queue = self.get_queue(queue_name)
        now = now_ms() / 1000
        if queue.last_purged_at is not None and now - queue.last_purged_at < 60:
            raise PurgeQueueInProgress(queue_name)
        queue.last_purged_at = now
        self.store.purge(queue.queue_arn)

    # --- sending

    def send_message(
        self,
        queue_name: str,
        message_body: str,
        message_attributes: dict[str, Any] | None = None,
        delay_seconds: int | None = None,
        deduplication_id: str | None = None,
        group_id: str | None = None,
        system_attributes: dict[str, Any] | None = None,
        validate_group_id: bool = True,  # noqa: ARG002 - moto's signature
    ) -> models.Message:
        """Put one message into the queue. Moto's SNS, EventBridge and S3 call it as clients' requests do."""
        queue = self.get_queue(queue_name)
        message = self._new(
            queue,
            {
                "MessageBody": message_body,
                "MessageAttributes": message_attributes,
                "DelaySeconds": delay_seconds,
                "MessageDeduplicationId": deduplication_id,
                "MessageGroupId": group_id,
                "MessageSystemAttributes": system_attributes,
            },
        )
        return self._send(queue, [message])[0]

    def send_message_batch(
        self, queue_name: str, entries: dict[str, dict[str, Any]]
    ) -> tuple[list[models.Message], list[dict[str, Any]]]:
        """Put up to ten messages into the queue; those that are refused are told with their reason."""
        queue = self.get_queue(queue_name)
        listed = list(entries.values())
        check_batch(listed, "Send")
        length = sum(_length(entry) for entry in listed)
        if length > MAXIMUM_MESSAGE_LENGTH:
            raise BatchRequestTooLong(length)
        good: list[tuple[str, New]] = []
        failed: list[dict[str, Any]] = []
        for entry in listed:
            try:
                good.append((entry["Id"], self._new(queue, entry)))
            except ServiceException as error:
                failed.append(_failure(entry["Id"], error))
        sent = self._send(queue, [message for _, message in good]) if good else []
        for (entry_id, _), message in zip(good, sent, strict=True):
            message.user_id = entry_id  # type: ignore[attr-defined]  # where moto's response looks for it
        return sent, failed

    def _send(self, queue: Queue, messages: Sequence[New]) -> list[models.Message]:
        results = self.store.send(queue.queue_arn, messages)
        sent: list[models.Message] = []
        for message, result in zip(messages, results, strict=True):
            shown = _Message(message.message_id, message.body, _json(message.system))
            shown.message_attributes = _with_bytes(_json(message.attributes))
            if result is not None:
                shown.id, shown.sequence_number = result.message_id, result.sequence
            sent.append(shown)
        return sent

    def _new(self, queue: Queue, entry: Mapping[str, Any]) -> New:
        """The message of a SendMessage request or batch entry. Raises SQSException when it isn't allowed."""
        body = entry.get("MessageBody")
        if not body:
            raise MissingParameter("MessageBody")
        attributes = _checked_attributes(entry.get("MessageAttributes"))
        system = _checked_attributes(entry.get("MessageSystemAttributes"))
        if _FORBIDDEN_CHARACTERS.search(body):
            raise SQSException("InvalidMessageContents", "Message contains characters that are not allowed.")
        if _length(entry) > queue.maximum_message_size:
            raise InvalidParameterValue(
                "One or more parameters are invalid. Reason: Message must be shorter than "
                f"{queue.maximum_message_size} bytes."
            )
        group, deduplication = _fifo_ids(queue, entry, body)
        deduplicate = None
        if queue.fifo_queue:
            scoped = queue.deduplication_scope == "messageGroup"
            deduplicate = f"{group}\n{deduplication}" if scoped else deduplication
        return New(
            message_id=str(uuid.uuid4()),
            body=body,
            sent_at=now_ms(),
            delay=_delay(queue, entry.get("DelaySeconds")) * 1000,
            attributes=json.dumps(attributes) if attributes else None,
            system=json.dumps(system) if system else None,
            group_id=group,
            deduplication_id=deduplication,
            deduplicate=deduplicate,
        )

    # --- receiving

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[models.Message]:
        """Up to ``count`` messages, as moto's response layer shows them."""
        stored = self.take(queue_name, count, wait_seconds_timeout, visibility_timeout)
        fifo = self.get_queue(queue_name).fifo_queue
        messages: list[models.Message] = []
        for item in stored:
            message = _Message(item.message_id, item.body, _json(item.system))
            message.message_attributes = _with_bytes(
                chosen_attributes(_json(item.attributes), message_attribute_names or [])
            )
            message.receipt_handle = handle(item)
            message.sent_timestamp = item.sent_at  # type: ignore[assignment]  # moto declares it None
            message.approximate_first_receive_timestamp = item.first_received_at
            message.approximate_receive_count = item.receives
            message.group_id = item.group_id
            message.deduplication_id = item.deduplication_id
            message.sequence_number = item.sequence if fifo else None
            messages.append(message)
        return messages

    def take(self, queue_name: str, count: int, wait: int, visibility: int) -> list[Stored]:
        """Up to ``count`` messages as the store has them, hidden for ``visibility`` seconds."""
        queue = self.get_queue(queue_name)
        try:
            return self.store.receive(queue.queue_arn, queue.receiving, count, visibility * 1000, wait)
        except TooManyInFlight:
            if wait or queue.fifo_queue:
                return []
            raise SQSException(
                "OverLimit", "The maximum number of in flight messages (120000) is reached."
            ) from None

    def delete_message(self, queue_name: str, receipt_handle: str) -> None:
        queue = self.get_queue(queue_name)
        self.store.delete(queue.queue_arn, [self._opened(queue.queue_arn, receipt_handle)])

    def delete_message_batch(
        self, queue_name: str, receipts: list[dict[str, Any]]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        check_batch(receipts, "Delete")
        arn = self.get_queue(queue_name).queue_arn
        good: dict[str, tuple[int, str]] = {}
        failed: list[dict[str, Any]] = []
        for entry in receipts:
            try:
                good[entry["Id"]] = self._opened(arn, entry["ReceiptHandle"])
            except ReceiptHandleIsInvalid as error:
                failed.append(_failure(entry["Id"], error))
        self.store.delete(arn, list(good.values()))
        return list(good), failed

    def change_message_visibility(
        self, queue_name: str, receipt_handle: str, visibility_timeout: int
    ) -> None:
        queue = self.get_queue(queue_name)
        seconds = int(visibility_timeout)
        if not 0 <= seconds <= LONGEST_VISIBILITY_SECONDS:
            reason = f"Must be between 0 and {LONGEST_VISIBILITY_SECONDS}"
            raise _out_of_range("VisibilityTimeout", seconds, reason)
        message, message_id = self._opened(queue.queue_arn, receipt_handle)
        result = self.store.hide(queue.queue_arn, message, message_id, seconds * 1000)
        if result == "too long":
            raise _out_of_range(
                "VisibilityTimeout",
                seconds,
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            )
        if result == "gone":
            raise _out_of_range(
                "ReceiptHandle",
                receipt_handle,
                "Message does not exist or is not available for visibility timeout change",
            )
        if result == "not in flight":
            raise SQSException("AWS.SimpleQueueService.MessageNotInflight", "The message is not in flight.")

    def change_message_visibility_batch(
        self, queue_name: str, entries: list[dict[str, Any]]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        check_batch(entries, "ChangeMessageVisibility")
        done: list[str] = []
        failed: list[dict[str, Any]] = []
        for entry in entries:
            try:
                self.change_message_visibility(
                    queue_name, entry["ReceiptHandle"], entry.get("VisibilityTimeout", 0)
                )
                done.append(entry["Id"])
            except ServiceException as error:
                failed.append(_failure(entry["Id"], error))
        return done, failed

    def _opened(self, arn: str, receipt_handle: str) -> tuple[int, str]:
        try:
            number, message, message_id = base64.urlsafe_b64decode(receipt_handle).decode().split(".")[:3]
            owner = self.store.owner(int(number), arn)
        except (Base64Error, ValueError):
            raise ReceiptHandleIsInvalid from None
        if owner not in (None, arn):
            raise ReceiptHandleIsInvalid
        return int(message), message_id


class _Message(models.Message):
    """Moto's message with the MD5 of its attributes computed from all of them."""

    @property
    def attribute_md5(self) -> str:
        return attributes_md5(self.message_attributes)


def handle(message: Stored) -> str:
    """The receipt handle of a message that was just received."""
    text = f"{message.queue}.{message.id}.{message.message_id}.{message.receives}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def attributes_md5(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """The MD5 of message attributes, as AWS documents it for clients.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    digest = hashlib.md5(usedforsecurity=False)

    def add(value: bytes) -> None:
        digest.update(struct.pack("!I", len(value)) + value)

    for name in sorted(attributes):
        attribute = attributes[name]
        add(name.encode())
        add(attribute["DataType"].encode())
        binary = attribute.get("BinaryValue")
        if binary is None:
            digest.update(b"\x01")
            add(attribute["StringValue"].encode())
        else:
            digest.update(b"\x02")
            add(binary if isinstance(binary, bytes) else base64.b64decode(binary))
    return digest.hexdigest()


def chosen_attributes(attributes: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those attributes a receiver asked for: by name, ``All``, ``.*`` or ``prefix.*``."""
    if not attributes or not names:
        return {}
    if "All" in names:
        return attributes
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {
        name: value
        for name, value in attributes.items()
        if name in names or (prefixes and name.startswith(prefixes))
    }


def check_batch(entries: Sequence[Mapping[str, Any]], action: str) -> None:
    """Refuse a batch that is empty or too long, or whose ids aren't ids or not distinct."""
    if not entries:
        raise EmptyBatchRequest(action=action)
    if len(entries) > 10:
        raise TooManyEntriesInBatchRequest(len(entries))
    seen: set[str] = set()
    for entry in entries:
        if not _BATCH_ID.match(entry["Id"]):
            raise InvalidBatchEntryId
        if entry["Id"] in seen:
            raise BatchEntryIdsNotDistinct(entry["Id"])
        seen.add(entry["Id"])


def _json(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}


def _with_bytes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes as moto has them: binary values are bytes."""
    return {
        name: {**value, "BinaryValue": base64.b64decode(value["BinaryValue"])}
        if "BinaryValue" in value
        else value
        for name, value in attributes.items()
    }


def _length(entry: Mapping[str, Any]) -> int:
    """The bytes of a message that count: body, and names, types and values of its attributes."""
    length = len(entry["MessageBody"].encode("utf-8", "surrogatepass"))
    for name, value in (entry.get("MessageAttributes") or {}).items():
        length += len(name.encode()) + len((value.get("DataType") or "").encode())
        length += len((value.get("StringValue") or "").encode())
        binary = value.get("BinaryValue") or b""
        length += len(binary) if isinstance(binary, bytes) else len(binary) * 3 // 4
    return length


def _checked_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Message attributes as the store keeps them, binary values in base 64."""
    if not attributes:
        return {}
    if len(attributes) > 10:
        raise InvalidParameterValue(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10]."
        )
    checked = {}
    for name, value in attributes.items():
        models.Message.validate_attribute_name(name)
        data_type = value.get("DataType") or ""
        base = data_type.split(".")[0]
        if base not in ("String", "Number", "Binary"):
            raise MessageAttributesInvalid(
                f"The message attribute '{name}' has an invalid message attribute type, the set of supported "
                "type prefixes is Binary, Number, and String."
            )
        kept = value.get("BinaryValue" if base == "Binary" else "StringValue")
        if not kept:
            raise MessageAttributesInvalid(
                f"The message attribute '{name}' must contain non-empty message attribute value for message "
                f"attribute type '{data_type}'."
            )
        if base == "Binary":
            text = base64.b64encode(kept).decode() if isinstance(kept, bytes) else kept
            checked[name] = {"DataType": data_type, "BinaryValue": text}
        else:
            checked[name] = {"DataType": data_type, "StringValue": str(kept)}
    return checked


def _fifo_ids(queue: Queue, entry: Mapping[str, Any], body: str) -> tuple[str | None, str | None]:
    """Message group and deduplication id; standard queues may have a group, for fairness."""
    group, deduplication = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication)):
        if value is not None and not _GROUP_OR_DEDUPLICATION_ID.match(value):
            raise _out_of_range(
                name,
                value,
                f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length",
            )
    if not queue.fifo_queue:
        return group, None
    if group is None:
        raise MissingParameter("MessageGroupId")
    if deduplication is None and queue.content_based_deduplication:
        deduplication = hashlib.sha256(body.encode()).hexdigest()
    if deduplication is None:
        raise InvalidParameterValue(
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )
    if entry.get("DelaySeconds"):
        raise _out_of_range(
            "DelaySeconds",
            entry["DelaySeconds"],
            "The request include parameter that is not valid for this queue type",
        )
    return group, deduplication


def _delay(queue: Queue, seconds: Any) -> int:
    if seconds is None:
        return int(queue.delay_seconds)
    if not 0 <= int(seconds) <= LONGEST_DELAY_SECONDS:
        raise _out_of_range("DelaySeconds", seconds, "DelaySeconds must be >= 0 and <= 900")
    return int(seconds)


def _out_of_range(parameter: str, value: Any, reason: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}.")


def _failure(entry_id: str, error: ServiceException) -> dict[str, Any]:
    return {"Id": entry_id, "SenderFault": True, "Code": error.code, "Message": error.message}
