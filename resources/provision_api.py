"""What the HTTP API stands on: its part of ``resources.provision``, declared alike.

The secrets themselves are made by the command and by rotation, not here: a declaration holds no secret.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources import settings
from resources.api_state import EXPIRES, KEY

if TYPE_CHECKING:
    from resources.provision import Resource


@dataclass(frozen=True)
class ApiNames:
    """What the API's resources are called."""

    state: str

    @classmethod
    def from_settings(cls) -> "ApiNames":
        """The names that the environment's settings give."""
        return cls(settings.API_STATE_TABLE.value())


def shapes(names: ApiNames) -> "list[Resource]":
    """Everything that must exist."""
    from resources.provision import Resource

    shape = {
        "keys": [[KEY, "S"]],
        "billing": "PAY_PER_REQUEST",
        "point-in-time recovery": "DISABLED",  # what it holds is gone in a day
        "expires by": EXPIRES,
    }
    return [Resource("table", names.state, shape)]
