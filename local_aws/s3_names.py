"""A bucket's keys in order, so that a listing costs what it lists and not what the bucket holds.

Moto keeps keys in a dict, and goes through all of them for each page.
"""

import bisect
import threading
from typing import Any

from moto.s3.utils import _VersionedKeyStore

_RECENT = 1024
_lock = threading.Lock()


class _Names:
    """Keys, sorted but for the latest; one that was deleted may be among them."""

    def __init__(self, names: list[str]) -> None:
        self._sorted = sorted(names)
        self._recent: list[str] = []

    def add(self, name: str) -> None:
        self._recent.append(name)
        if len(self._recent) > _RECENT:
            self._sorted += self._recent
            self._sorted.sort()  # two runs: merged in one pass
            self._recent = []

    def starting_with(self, prefix: str) -> list[str]:
        found = {name for name in self._recent if name.startswith(prefix)}
        position = bisect.bisect_left(self._sorted, prefix)
        while position < len(self._sorted) and self._sorted[position].startswith(prefix):
            found.add(self._sorted[position])
            position += 1
        return sorted(found)


def starting_with(keys: _VersionedKeyStore, prefix: str) -> list[str]:
    """The bucket's keys that start with ``prefix``, in order."""
    with _lock:
        names: _Names | None = vars(keys).get("_names")
        if names is None:
            names = vars(keys)["_names"] = _Names(list(keys))
        found = names.starting_with(prefix)
    return [name for name in found if name in keys]


def install() -> None:
    """Have every bucket tell of its new keys, once it was asked for an order."""
    moto: dict[str, Any] = {name: getattr(_VersionedKeyStore, name) for name in ("__setitem__", "setlist")}

    def told(how: str) -> Any:
        def put(self: _VersionedKeyStore, key: str, value: Any) -> None:
            new = key not in self
            moto[how](self, key, value)
            if new:
                with _lock:
                    names: _Names | None = vars(self).get("_names")
                    if names is not None:
                        names.add(key)

        return put

    for how in moto:
        setattr(_VersionedKeyStore, how, told(how))
