"""A table of files on S3, with all their versions: what ``lake`` and ``snapshots`` are made of.

A file that holds the subject is written anew; the new version is put only if the object is the one that was
read, and once it is durable the old version goes. Older versions that hold the subject go as they are. One
file that can't be read keeps no other from being erased: it is told at the end.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, BinaryIO, cast

from privacy_assets.dsar.files.forms import Form, size_of
from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.needles import Needles
from privacy_assets.dsar.stores.protocol import (
    Blocked,
    Erased,
    Found,
    Identifiers,
    Link,
    Record,
    Remaining,
    StoreError,
    Tally,
)
from privacy_assets.dsar.stores.rules import Rules
from privacy_assets.dsar.stores.s3_prefix import LOCKED
from privacy_assets.dsar.stores.tools import Files, FileVersion

ARCHIVED = "objects in an archive storage class, to be restored first"
_ATTEMPTS = 10
_THREADS = 8
_WINDOW = 512  # objects under way at a time


@dataclass(frozen=True)
class Place:
    """A folder, ``bucket`` and ``prefix``, and the values of partition columns in it."""

    bucket: str
    prefix: str
    constants: Mapping[str, str]


class FileTable:
    """The files of some places. ``partition_keys`` are read from folders such as ``day=2026-01-31`` where no
    place says them. ``is_data`` tells files of records from others by their key; ``before_replace`` is called
    with a version, the file that takes its place, and is to finish before that is put.
    """

    def __init__(
        self,
        files: Files,
        rules: Rules,
        form: Form,
        places: Sequence[Place],
        partition_keys: Sequence[str] = (),
        is_data: Callable[[str], bool] = lambda key: not key.rsplit("/", 1)[-1].startswith(("_", ".")),
        before_replace: Callable[[FileVersion, BinaryIO], None] = lambda _version, _body: None,
    ) -> None:
        self._files, self._rules, self._form = files, rules, form
        self._places = sorted(places, key=lambda place: -len(place.prefix))
        self._partition_keys, self._is_data = partition_keys, is_data
        self._before_replace = before_replace

    def find(self, identifiers: Identifiers) -> Found:
        def look(versions: Sequence[FileVersion]) -> Found:
            links, records, doomed = set[Link](), 0, False
            for record in self._current_records(versions, identifiers):
                records += 1
                doomed = doomed or self._rules.retained(record) is None
                links.update(self._rules.links(record, identifiers))
            touched = (_uri(versions[0]),) if doomed else ()
            return Found(records, frozenset(links), self._rules.changing(records), touched)

        return sum(self._each(identifiers, look), Found(0))

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        for versions in self._objects(identifiers):
            for record in self._current_records(versions, identifiers):
                yield self._rules.exported(record)

    def erase(self, identifiers: Identifiers) -> Erased:
        def erase(versions: Sequence[FileVersion]) -> Erased:
            done = Erased()
            if versions[0].is_latest and not versions[0].is_marker:
                done = self._rewrite(versions[0], identifiers)
            for version in versions:
                if not version.is_latest and not version.is_marker and self._to_erase(version, identifiers):
                    done += self._removed(version)
            return done

        return sum(self._each(identifiers, erase), Erased())

    def verify(self, identifiers: Identifiers, touched: Sequence[str]) -> Remaining:
        needles, wanted = Needles(identifiers), frozenset(touched)

        def look(versions: Sequence[FileVersion]) -> Remaining:
            left = Remaining()
            for version in versions:
                if version.is_marker:
                    continue
                here = self._left(version, identifiers)
                left += here
                if _uri(version) in wanted and not here.blocked:
                    left += self._scanned(version, identifiers, needles, bool(here.retained))
            return left

        return sum(self._each(identifiers, look), Remaining())

    # --- which files

    def _objects(self, identifiers: Identifiers) -> Iterator[list[FileVersion]]:
        """The versions of one object after another; each object once, however places lie in one another."""
        if not self._rules.wanted(identifiers):
            return
        outer: list[Place] = []
        for place in reversed(self._places):
            if not any(
                place.bucket == known.bucket and place.prefix.startswith(known.prefix) for known in outer
            ):
                outer.append(place)
        for place in outer:
            versions = self._files.versions(place.bucket, place.prefix)
            for key, several in groupby(versions, key=lambda version: version.key):
                found = list(several)
                if self._is_data(key) and any(version.size for version in found):
                    yield found

    def _each(self, identifiers: Identifiers, do: Callable[[Sequence[FileVersion]], Any]) -> Iterator[Any]:
        """What ``do`` answers for each object, several at a time. Raises StoreError for all that failed."""
        failed: list[Exception] = []

        def tried(versions: Sequence[FileVersion]) -> Any | None:
            try:
                return do(versions)
            except (OSError, StoreError) as error:
                failed.append(error)
                return None

        objects = self._objects(identifiers)
        with ThreadPoolExecutor(_THREADS) as pool:
            while some := list(islice(objects, _WINDOW)):
                yield from (answer for answer in pool.map(tried, some) if answer is not None)
        if failed:
            raise StoreError(
                f"{self._rules.place}: {len(failed)} files could not be read: {_words(failed[0])}"
            )

    def _selection(self, version: FileVersion, identifiers: Identifiers) -> Selection:
        constants: dict[str, str] = {}
        for part in version.key.split("/")[:-1]:
            name, equals, value = part.partition("=")
            if equals and name in self._partition_keys:
                constants[name] = value
        for place in self._places:
            if place.bucket == version.bucket and version.key.startswith(place.prefix):
                constants.update(place.constants)
                break
        return Selection(self._rules.wanted(identifiers), constants, self._rules.spec.fields)

    # --- reading

    @contextmanager
    def _opened(self, version: FileVersion) -> Iterator[BinaryIO]:
        """A version to read. What is wrong with it is told with its ETag: keys may hold personal values."""
        with self._files.open(version) as source:
            try:
                yield source
            except StoreError as error:
                raise StoreError(f"{error} (object in {version.bucket}, ETag {version.etag})") from error

    def _current_records(
        self, versions: Sequence[FileVersion], identifiers: Identifiers
    ) -> Iterator[dict[str, Any]]:
        if versions[0].is_latest and not versions[0].is_marker:
            yield from self._records(versions[0], identifiers)

    def _records(self, version: FileVersion, identifiers: Identifiers) -> Iterator[dict[str, Any]]:
        if not version.size:
            return
        try:
            with self._opened(version) as source:
                yield from self._form.records(source, self._selection(version, identifiers))
        except OSError as error:
            if getattr(error, "why", "") != "vanished":
                raise

    def _to_erase(self, version: FileVersion, identifiers: Identifiers) -> bool:
        """Whether a version holds a record that may not stay."""
        return any(not self._rules.retained(record) for record in self._records(version, identifiers))

    # --- erasing

    def _rewrite(self, version: FileVersion, identifiers: Identifiers) -> Erased:
        """Write the current version anew; versions that others put over meanwhile are old ones then."""
        overtaken: list[FileVersion] = []
        done = self._rewritten(version, identifiers, overtaken)
        if overtaken:
            before = {(each.version_id, each.etag) for each in overtaken}
            for each in list(self._files.versions(version.bucket, version.key)):
                is_one = each.key == version.key and (each.version_id, each.etag) in before
                if is_one and not each.is_latest and self._to_erase(each, identifiers):
                    done += self._removed(each)
        return done

    def _rewritten(
        self, version: FileVersion, identifiers: Identifiers, overtaken: list[FileVersion]
    ) -> Erased:
        for _ in range(_ATTEMPTS):
            tally = Tally()
            try:
                if self._replaced(version, identifiers, tally):
                    return tally.done()
            except OSError as error:
                why = getattr(error, "why", "")
                if why == "archived":
                    return Erased(blocked=(Blocked(ARCHIVED, 1),))
                if why not in ("changed", "vanished"):
                    raise
            overtaken.append(version)
            now = self._files.current(version.bucket, version.key)
            if now is None:
                return Erased()
            version = now
        raise StoreError(f"an object was written by others {_ATTEMPTS} times while it was to be rewritten")

    def _replaced(self, version: FileVersion, identifiers: Identifiers, tally: Tally) -> bool:
        """Whether the version is done with; False when somebody else was faster."""
        if not version.size:
            return True
        selection = self._selection(version, identifiers)
        with self._opened(version) as source, tempfile.TemporaryFile() as unnamed:
            target = cast("BinaryIO", unnamed)
            if not self._form.rewrite(source, target, selection, self._rules, tally):
                return True
            self._before_replace(version, target)
            new = self._files.replace(version, target)
        if new is None:
            return False
        tally.touched.append(_uri(version))
        # Without versioning the new one has taken its place; with it also one from before it was switched on
        # stays.
        if new != version.version_id:
            lock = self._files.remove(version)
            if lock is not None:
                tally.blocked.append(Blocked(LOCKED, 1, lock.until))
        return True

    def _removed(self, version: FileVersion) -> Erased:
        lock = self._files.remove(version)
        if lock is not None:
            return Erased(blocked=(Blocked(LOCKED, 1, lock.until),))
        return Erased(versions=1)

    # --- proof

    def _left(self, version: FileVersion, identifiers: Identifiers) -> Remaining:
        left, old = Remaining(), not version.is_latest
        for record in self._records(version, identifiers):
            kept = self._rules.retained(record)
            if kept is not None:
                left += Remaining(retained=() if old else (kept,))
                continue
            lock = self._files.lock(version) if old else None
            if lock is not None:
                return Remaining(blocked=(Blocked(LOCKED, 1, lock.until),))
            left += Remaining(1)
        return left

    def _scanned(
        self, version: FileVersion, identifiers: Identifiers, needles: Needles, has_retained: bool
    ) -> Remaining:
        left = self._selection(version, identifiers) if has_retained else None
        with self._opened(version) as source:
            found = self._form.mentions(source, needles, left)
            return Remaining(objects=1, bytes=size_of(source), mentions=int(found))


def _uri(version: FileVersion) -> str:
    return f"s3://{version.bucket}/{version.key}"


def _words(error: Exception) -> str:
    """A file's error without its key."""
    why = getattr(error, "why", None)
    return str(why) if why else str(error) if isinstance(error, StoreError) else type(error).__name__
