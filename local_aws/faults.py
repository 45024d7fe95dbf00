"""S3's bad days, made to order: ``POST /_local/s3/faults`` has the next calls on a path answered by an error.

``[{"path": "/bucket/key", "code": "SlowDown", "status": 503, "times": 2, "method": "GET", "message": "…"}]``
puts such faults in the place of those before; ``[]`` ends all. ``path`` is a prefix of ``/bucket/key`` as it
is sent; ``times`` 0 means always; ``method`` and ``message`` may be missing.
"""

import threading
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from local_aws.context import Context

_EXPECTED = (
    'expected [{"path": "/bucket/key", "code": "SlowDown", "status": 503, "times": 2}], times 0 for always\n'
)


@dataclass
class _Fault:
    path: str
    code: str
    status: int
    times: int = 1
    method: str = ""
    message: str = "made to order"

    def meets(self, environ: dict[str, Any]) -> bool:
        return environ["PATH_INFO"].startswith(self.path) and self.method in ("", environ["REQUEST_METHOD"])


class Faults:
    """Those that are asked for now."""

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()

    def answer(self, environ: dict[str, Any]) -> Response | None:
        """The error that this request is answered by, if it is one's turn."""
        if not self._faults:
            return None
        with self._lock:
            fault = next((fault for fault in self._faults if fault.meets(environ)), None)
            if fault is None:
                return None
            if fault.times == 1:
                self._faults.remove(fault)
            elif fault.times:
                fault.times -= 1
        body = f"<Error><Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message></Error>"
        return Response(body, status=fault.status, content_type="application/xml")

    def order(self, request: Request) -> Response:
        """The call itself."""
        if request.method != "POST":
            return Response(_EXPECTED, status=405)
        try:
            found = [_Fault(**one) for one in request.get_json(force=True)]
        except Exception:  # noqa: BLE001  # whatever is wrong with it, what was expected is the answer
            return Response(_EXPECTED, status=400)
        with self._lock:
            self._faults = found
        return Response("ok\n")

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._faults = []


def install(context: Context) -> None:
    """Take orders."""
    faults = Faults()
    context.intercept = faults.answer
    context.routes["s3/faults"] = faults.order
    context.on_reset.append(faults.clear)
