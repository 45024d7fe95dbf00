"""Who calls a command, as far as the machine knows."""

import getpass


def login() -> str:
    """The login; ``unknown`` where there is none, as for a container's user that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
