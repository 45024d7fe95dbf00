"""What the environment sets about the server."""

import math
import os


class StartError(Exception):
    """The server can't start; the message is one line that says why and what to do."""


def seconds(name: str) -> float:
    """The variable ``name`` in seconds, 0 when it isn't set. Raises StartError."""
    text = os.environ.get(name, "0")
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise StartError(f"{name}={text}: expected a number of seconds, 0 or more")
    return found
