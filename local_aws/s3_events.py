"""S3's events as S3 sends them: through EventBridge with the key as it is, directly with the key URL-encoded.

Moto announces a completed multipart upload twice, a delete marker never, gives all events one id and one
sequencer, and names fields otherwise than S3.
"""

import json
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import flask
from moto.core.exceptions import ServiceException
from moto.moto_api._internal import mock_random
from moto.s3 import models, notifications
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.notifications import S3NotificationEvent
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

from local_aws import eventbridge
from local_aws.context import Context

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
_REASONS = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete": "DeleteObject",
    "s3:ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}
_DELETION_TYPES = {
    "s3:ObjectRemoved:Delete": "Permanently Deleted",
    "s3:ObjectRemoved:DeleteMarkerCreated": "Delete Marker Created",
}
_ADDRESS = "127.0.0.1"


def install(context: Context) -> None:
    """Put this engine into moto's place."""

    def send_event(account_id: str, event_name: S3NotificationEvent, bucket: FakeBucket, key: Any) -> None:
        if not context.replaying and bucket.notification_configuration is not None:
            _send(account_id, event_name.value, bucket, key)

    notifications.send_event = send_event
    models.S3Backend._set_delete_marker = _set_delete_marker  # type: ignore[assignment, method-assign]  # no other way


_moto_set_delete_marker = S3Backend._set_delete_marker


def _set_delete_marker(backend: S3Backend, bucket_name: str, key_name: str) -> FakeDeleteMarker:
    marker = _moto_set_delete_marker(backend, bucket_name, key_name)
    event = S3NotificationEvent.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT
    notifications.send_event(backend.account_id, event, backend.get_bucket(bucket_name), marker)
    return marker


def _send(account: str, event: str, bucket: FakeBucket, key: Any) -> None:
    if event == "s3:ObjectCreated:Put" and key.multipart is not None:
        return  # what completes a multipart upload tells it itself
    if event.startswith("s3:ObjectTagging:") and not _tagging_was_asked_for():
        return
    happened = _Happened(account, event, bucket, key)
    configuration = bucket.notification_configuration
    assert configuration is not None  # the caller looked
    for queue in configuration.queue:
        if queue.matches(event, key.name):
            _to_queue(queue.arn, happened.record(queue.id))
    for topic in configuration.topic:
        if topic.matches(event, key.name):
            _to_topic(topic.arn, happened.record(topic.id))
    if configuration.event_bridge is not None:
        eventbridge.publish(account, bucket.region_name, happened.event())


def _tagging_was_asked_for() -> bool:
    """Moto tags an object after every upload; only the call that is about tags makes an event of it."""
    return flask.has_request_context() and "tagging" in flask.request.args


def _to_queue(arn: str, record: dict[str, Any]) -> None:
    queue = parse_arn(arn)
    try:
        sqs_backends[queue.account][queue.region].send_message(queue.resource_id, json.dumps(record))
    except ServiceException:
        return  # the queue is gone; S3 tells nobody


def _to_topic(arn: str, record: dict[str, Any]) -> None:
    topic = parse_arn(arn)
    try:
        sns_backends[topic.account][topic.region].publish(
            json.dumps(record), arn=arn, subject="Amazon S3 Notification"
        )
    except ServiceException:
        return  # the topic is gone; S3 tells nobody


class _Sequence:
    """Hexadecimal numbers that only grow, so that the events of a key can be put in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return f"{self._last:016X}"


_sequence = _Sequence()


class _Happened:
    """What happened to an object, in the two forms that S3 tells it."""

    def __init__(self, account: str, name: str, bucket: FakeBucket, key: Any) -> None:
        self._account = account
        self._name = name
        self._bucket = bucket
        self._key = key
        self._now = datetime.now(UTC)
        self._sequencer = _sequence.next()
        self._request = mock_random.get_random_string(16).upper()
        self._version = key.version_id if bucket.is_versioned and key.version_id != "null" else None
        self._stored = not isinstance(key, FakeDeleteMarker) and not name.startswith("s3:ObjectRemoved")

    def event(self) -> eventbridge.Event:
        """The event of EventBridge, the key as it is.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
        """
        described: dict[str, Any] = {"key": self._key.name}
        if self._stored:
            described |= {"size": self._key.size, "etag": self._key.etag.strip('"')}
        if self._version is not None:
            described["version-id"] = self._version
        detail: dict[str, Any] = {
            "version": "0",
            "bucket": {"name": self._bucket.name},
            "object": {**described, "sequencer": self._sequencer},
            "request-id": self._request,
            "requester": self._account,
            "source-ip-address": _ADDRESS,
        }
        if self._name in _REASONS:
            detail["reason"] = _REASONS[self._name]
        if self._name in _DELETION_TYPES:
            detail["deletion-type"] = _DELETION_TYPES[self._name]
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": notifications._detail_type(self._name),
            "source": "aws.s3",
            "account": self._account,
            "time": self._now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._bucket.region_name,
            "resources": [self._bucket.arn],
            "detail": detail,
        }

    def record(self, configuration: str) -> dict[str, Any]:
        """The message of a direct notification, the key URL-encoded.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
        """
        described: dict[str, Any] = {"key": quote_plus(self._key.name, safe="/")}
        if self._stored:
            described |= {"size": self._key.size, "eTag": self._key.etag.strip('"')}
        if self._version is not None:
            described["versionId"] = self._version
        described["sequencer"] = self._sequencer
        owner = {"principalId": self._account}
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self._bucket.region_name,
            "eventTime": self._now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "eventName": self._name.removeprefix("s3:"),
            "userIdentity": owner,
            "requestParameters": {"sourceIPAddress": _ADDRESS},
            "responseElements": {"x-amz-request-id": self._request, "x-amz-id-2": self._request},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": configuration,
                "bucket": {"name": self._bucket.name, "ownerIdentity": owner, "arn": self._bucket.arn},
                "object": described,
            },
        }
        return {"Records": [record]}
