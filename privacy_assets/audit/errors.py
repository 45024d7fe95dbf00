"""The one error that a person who writes an audit gets to see."""

from pathlib import Path

from privacy_assets.errors import UserError


class AuditError(UserError):
    """An audit file that is refused: one line, ``file:line: what is wrong; what was expected``."""

    def __init__(self, path: Path, line: int | None, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
