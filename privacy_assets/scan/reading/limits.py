"""What one object may cost: an object is what somebody uploaded, and may be made to hurt."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The bounds of one object. Reaching one ends a member or the object, never without an ``Unread``."""

    depth: int = 8
    """How many containers or compressions may stand in one another; ``.tar.gz`` is two."""
    members: int = 100_000
    """How many members an object may have, those of inner containers included."""
    ratio: int = 250
    """How many bytes may come of one compressed byte, in a member and over the whole object. Logs
    compress to a fiftieth; deflate's bombs, and nobody else, to a thousandth."""
    free: int = 256 * MIB
    """Bytes of a member below which ``ratio`` is not asked; four times as many over the whole object."""
    seconds: float = 3600.0
    """From the first byte to the last, what the caller does between two segments included."""
    memory: int = 256 * MIB
    """Bytes of one thing that must be held whole: a table of strings, a message, a dictionary."""
    spool: int = 8192 * MIB
    """Bytes of inner containers that need seeking, copied to anonymous temporary files, at one time."""
    binary: int = 64 * MIB
    """Bytes of a binary member that are searched for text; 0 leaves binary members unread."""
