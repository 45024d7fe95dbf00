"""``s3_prefix``: objects that are the subject's because their keys say so; all versions, all delete markers.

An identifier becomes part of a key only if it can't lead anywhere else: none that is empty or has a slash.
What S3 Object Lock holds stays behind a delete marker, so that nobody reads what was there before the rest.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from privacy_assets.dsar.stores.models import S3PrefixStore, filled, placeholder
from privacy_assets.dsar.stores.protocol import (
    Blocked,
    Erased,
    Found,
    Identifiers,
    Record,
    Remaining,
    RequestId,
    StoreError,
    Tally,
)
from privacy_assets.dsar.stores.rules import plain
from privacy_assets.dsar.stores.tools import Files, Tools

LOCKED = "versions of objects under S3 Object Lock"
_TEXT = 1 << 20
"""Objects up to this size that are text are in the export themselves; of others their place is."""


class S3Prefix:
    """A subject's objects in one bucket."""

    def __init__(self, spec: S3PrefixStore, tools: Tools) -> None:
        self.name, self._bucket, self._templates = spec.name, spec.bucket, spec.keys
        self._files: Files = tools.files
        self.kinds = frozenset(map(placeholder, spec.keys))

    def find(self, identifiers: Identifiers) -> Found:
        return Found(
            sum(version.is_latest and not version.is_marker for version in self._versions(identifiers))
        )

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        for version in self._versions(identifiers):
            if version.is_marker or not version.is_latest:
                continue
            yield {
                "key": version.key,
                "size": version.size,
                "modified": plain(version.modified),
                **self._content(version),
            }

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:  # noqa: ARG002
        done = Erased()
        for _, several in groupby(list(self._versions(identifiers)), key=lambda version: version.key):
            done += self._object(list(several))
        return done

    def _object(self, versions: Sequence[Any]) -> Erased:
        tally = Tally()
        for version in (each for each in versions if not each.is_marker):
            tally.before += version.is_latest
            lock = self._files.remove(version)
            if lock is not None:
                tally.blocked.append(Blocked(LOCKED, 1, lock.until))
            elif version.is_latest:
                tally.erased += 1
            else:
                tally.versions += 1
        if tally.blocked:
            if not (versions[0].is_latest and versions[0].is_marker):
                self._files.hide(versions[0])
            return tally.done()
        for marker in (each for each in versions if each.is_marker):
            self._files.remove(marker)
            tally.versions += 1
        return tally.done()

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:  # noqa: ARG002
        left = Remaining()
        for _, several in groupby(self._versions(identifiers), key=lambda version: version.key):
            left += self._left(list(several))
        return left

    def _left(self, versions: Sequence[Any]) -> Remaining:
        """What is left of one object: a delete marker may be, as long as it hides what is locked."""
        left = Remaining()
        held = [each for each in versions if not each.is_marker]
        for version in held or versions:
            lock = None if version.is_marker else self._files.lock(version)
            left += Remaining(blocked=(Blocked(LOCKED, 1, lock.until),)) if lock else Remaining(1)
        return left

    def _versions(self, identifiers: Identifiers) -> Iterator[Any]:
        for template in self._templates:
            kind = placeholder(template)
            for value in sorted(identifiers.get(kind, ())):
                key = filled(template, self._checked(kind, value))
                for version in self._files.versions(self._bucket, key):
                    if key.endswith("/") or version.key == key:
                        yield version

    def _checked(self, kind: str, value: str) -> str:
        odd = not value or value in (".", "..") or "/" in value or any(ord(each) < 0x20 for each in value)
        if odd or len(value.encode()) > 900:
            raise StoreError(
                f"{self.name}: an identifier of kind {kind} can't be part of a key: it is empty, too long, a "
                "path, or has a slash or a control character; find and erase its objects by hand"
            )
        return value

    def _content(self, version: Any) -> dict[str, Any]:
        if version.size > _TEXT:
            return {}
        with self._files.open(version) as stream:
            data = stream.read()
        try:
            return {"text": data.decode()}
        except UnicodeDecodeError:
            return {"base64": plain(data)}
