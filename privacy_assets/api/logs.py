"""The log: one JSON object a line on stderr, without personal values.

Of a request it has the route and not the address that was called, of an error its class and places in the
code and not its words, of a caller the client's id. Nothing else goes in.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_log = logging.getLogger("privacy_assets.api")
_PLACES = 8


class JsonFormatter(logging.Formatter):
    """``extra={"fields": {…}}`` becomes the line's fields; an exception becomes its class and its places."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            # An argument may be a value; the words of our own lines have none.
            "message": record.msg if isinstance(record.msg, str) else type(record.msg).__name__,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= described(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def described(error: BaseException) -> dict[str, Any]:
    """An error without its words."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "places": places}


def configure() -> None:
    """Everything that is logged in this process goes out as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _log.setLevel(logging.INFO)
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it tells addresses; our own line is told instead


def tell(message: str, level: int = logging.INFO, **fields: Any) -> None:
    """A line with these fields. ``message`` is one of ours, ``fields`` are names, counts and ids."""
    _log.log(level, message, extra={"fields": fields})


def failed(what: str, error: BaseException, **fields: Any) -> None:
    """A line for something that failed."""
    _log.error(what, extra={"fields": {**fields, **described(error)}})
