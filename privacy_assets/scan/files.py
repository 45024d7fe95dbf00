"""Files of this machine as objects: what the command scans when it is not told a bucket."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from privacy_assets.errors import UserError
from privacy_assets.scan.objects import Listed
from privacy_assets.scan.work import Planned

_PAGE = 1000


@dataclass(frozen=True)
class Trouble:
    """Why a file was not read."""

    why: str
    detail: str
    passes: bool = False


class Files:
    """A store of files: a key is a path."""

    def open(self, bucket: str, item: Listed) -> BinaryIO:  # noqa: ARG002  # as a store's
        """The file. Raises OSError."""
        if not os.path.isfile(item.key):  # noqa: PTH113  # keys are text  # a pipe would be waited for
            raise FileNotFoundError(item.key)
        return open(item.key, "rb")  # noqa: PTH123  # the caller closes it

    def head(self, bucket: str, key: str) -> Listed:  # noqa: ARG002  # as a store's
        """The file as it is now. Raises OSError."""
        return _listed(key, os.stat(key))  # noqa: PTH116

    def unreadable(self, error: OSError) -> Trouble:
        """What ``error`` says."""
        why = {FileNotFoundError: "vanished", PermissionError: "access denied"}.get(
            type(error), "unavailable"
        )
        return Trouble(why, error.strerror or type(error).__name__)


def files(path: Path) -> Iterator[list[Planned]]:
    """The file, or all files under the folder, in pages; links to folders are not followed.

    Raises UserError.
    """
    if path.is_file():
        yield [_listed(str(path), path.stat())]
        return
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    page: list[Planned] = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)  # noqa: PTH118
            try:
                status = os.stat(full)  # noqa: PTH116
            except OSError:
                status = os.lstat(full)  # a link that leads nowhere: told as vanished
            page.append(_listed(full, status))
            if len(page) >= _PAGE:
                yield page
                page = []
    if page:
        yield page


def _listed(key: str, status: os.stat_result) -> Planned:
    changed = datetime.fromtimestamp(status.st_mtime, UTC)
    return Planned(key, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}", changed, "STANDARD")
