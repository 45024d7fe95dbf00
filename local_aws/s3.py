"""What moto's S3 leaves out and infrastructure code asks for."""

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from local_aws.context import Context


def install(_: Context) -> None:
    """Put this engine into moto's place."""
    S3Response.get_bucket_notification = _get_bucket_notification  # type: ignore[method-assign]  # no other way in
    FakeKey.etag = property(_etag)  # type: ignore[assignment, method-assign]  # no other way in


_moto_etag = FakeKey.etag


def _etag(key: FakeKey) -> str:
    """Moto computes it when it is first asked for, from the file that another thread may be reading."""
    with key.lock:
        etag: str = _moto_etag.fget(key)  # type: ignore[attr-defined]  # it is a property
    return etag


_moto_get_bucket_notification = S3Response.get_bucket_notification


def _get_bucket_notification(self: S3Response) -> TYPE_RESPONSE:
    """GetBucketNotificationConfiguration, which in moto keeps quiet about EventBridge."""
    found = self.backend.get_bucket_notification_configuration(self.bucket_name)
    serialized = self.serialized

    def with_event_bridge(answer: ActionResult) -> TYPE_RESPONSE:
        if found is not None and found.event_bridge is not None and isinstance(answer.result, dict):
            answer = ActionResult({**answer.result, "EventBridgeConfiguration": {}})
        return serialized(answer)

    vars(self)["serialized"] = with_event_bridge  # for this one request
    return _moto_get_bucket_notification(self)
