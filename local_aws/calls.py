"""A record of the calls that were made, for whoever must know what a program needs to be allowed.

Off until it is asked for. It holds what a policy looks at: who called (the access key id), which service and
action, and on what. Contents of objects and items are not kept.

    POST   /_local/calls     from now on each call is recorded; what was recorded before is forgotten
    GET    /_local/calls     what was recorded, one JSON document a line
    DELETE /_local/calls     no call is recorded any more
"""

import json
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from werkzeug.wrappers import Request, Response

from local_aws.context import Context

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_HEADERS = {
    "HTTP_X_AMZ_COPY_SOURCE": "x-amz-copy-source",
    "HTTP_X_AMZ_TAGGING": "x-amz-tagging",
    "HTTP_X_AMZ_OBJECT_LOCK_MODE": "x-amz-object-lock-mode",
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID": "x-amz-server-side-encryption-aws-kms-key-id",
}
_ITEMS = frozenset({"Item", "Items", "ExpressionAttributeValues", "MessageBody", "Message", "SecretString"})
"""Fields of requests that hold contents."""


class Calls:
    """The record, while there is one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._recorded: list[dict[str, Any]] = []

    def route(self, request: Request) -> Response:
        """Answers ``/_local/calls``."""
        if request.method == "GET":
            with self._lock:
                lines = [json.dumps(call) for call in self._recorded]
            return Response("".join(f"{line}\n" for line in lines), content_type="application/x-ndjson")
        with self._lock:
            self._recorded.clear()
        self._context.observe = self._observe if request.method == "POST" else None
        return Response(json.dumps({"recording": request.method == "POST"}), content_type="application/json")

    def _observe(self, environ: Mapping[str, Any]) -> None:
        query = environ.get("QUERY_STRING", "")
        caller = _caller(environ.get("HTTP_AUTHORIZATION", ""), query)
        if caller is None:
            return
        key, region, service = caller
        call = {
            "key": key,
            "service": service,
            "region": region,
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": query,
            "target": environ.get("HTTP_X_AMZ_TARGET", ""),
            "headers": {name: environ[found] for found, name in _HEADERS.items() if found in environ},
            "parameters": _parameters(service, environ),
        }
        with self._lock:
            self._recorded.append(call)


def _caller(authorization: str, query: str) -> tuple[str, str, str] | None:
    """Access key id, region and service of a signed request or of a signed link (both versions of these)."""
    link = parse_qs(query)
    if "X-Amz-Credential" in link:
        authorization = f"Credential={link['X-Amz-Credential'][0]}"
    elif "AWSAccessKeyId" in link:
        return link["AWSAccessKeyId"][0], "", "s3"
    found = _CREDENTIAL.search(authorization)
    return (found[1], found[2], found[3]) if found else None


def _parameters(service: str, environ: Mapping[str, Any]) -> Any:
    body = environ["wsgi.input"].getvalue()
    if service == "s3":  # of contents nothing; of a request to delete many its keys
        if "delete" not in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True):
            return {}
        objects = re.findall(rb"<Object>(.*?)</Object>", body, re.DOTALL)
        return {"objects": [[_element(each, b"Key"), _element(each, b"VersionId")] for each in objects]}
    if body[:1] == b"{":
        try:
            return _without_contents(json.loads(body))
        except ValueError:
            return {}
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        return {name: value[0] for name, value in parse_qs(body.decode("utf-8", "replace")).items()}
    return {}


def _element(xml: bytes, name: bytes) -> str | None:
    found = re.search(rb"<%b>(.*?)</%b>" % (name, name), xml, re.DOTALL)
    return found[1].decode("utf-8", "replace") if found else None


def _without_contents(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_contents(each) for name, each in value.items() if name not in _ITEMS}
    return [_without_contents(each) for each in value] if isinstance(value, list) else value


def install(context: Context) -> None:
    """Register the route."""
    context.routes["calls"] = Calls(context).route
