"""The answer to a request: one file a store, and a zip of them with a manifest and a page for a person.

All is streamed, from a store's records to its file and from files to the zip: nothing here holds more than a
record or a piece of a file, whatever an export's size. The zip is written front to back (sizes follow each
member, APPNOTE.TXT 4.3.9; ZIP64 where they need it), so that it can be uploaded as it grows.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Template

from privacy_assets.page import template

PREVIEW_RECORDS = 100
"""Records of a store that the page shows; the file beside it has them all."""
_PREVIEW_CHARACTERS = 2_000
MANIFEST, PAGE = "manifest.json", "index.html"
_FLUSH = 1 << 16
_HALF = "backslashreplace"
"""Half a surrogate pair, which UTF-8 has no bytes for, is written as JSON's escape of it."""


class Sink(Protocol):
    """Where bytes go as they are made."""

    def write(self, data: bytes, /) -> object: ...


class Hashing:
    """A sink that counts and hashes (SHA-256) what it passes on."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._digest, self.size = sink, hashlib.sha256(), 0

    def write(self, data: bytes, /) -> int:
        self._sink.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()


@dataclass(frozen=True)
class Written:
    """A store's file: its records, its bytes and their SHA-256."""

    records: int
    size: int
    sha256: str


def write_records(store: str, records: Iterable[Mapping[str, Any]], sink: Sink) -> Written:
    """Write ``{"store": …, "records": […], "count": …}``, a record a line between first and last."""
    out, count, waiting, size = Hashing(sink), 0, [], 0
    head = json.dumps({"store": store}, ensure_ascii=False)[:-1]
    waiting.append(f'{head}, "records": [')
    for record in records:
        line = json.dumps(record, ensure_ascii=False, default=_plain)
        waiting.append(f"{',' if count else ''}\n{line}")
        count += 1
        size += len(line)
        if size > _FLUSH:
            out.write("".join(waiting).encode(errors=_HALF))
            waiting, size = [], 0
    waiting.append(f'\n], "count": {count}}}\n')
    out.write("".join(waiting).encode(errors=_HALF))
    return Written(count, out.size, out.sha256)


def _plain(value: Any) -> Any:
    """What JSON has no form for: instants and days in ISO 8601, numbers exactly, bytes in hexadecimal."""
    isoformat = getattr(value, "isoformat", None)
    if callable(isoformat):
        return isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


@dataclass(frozen=True)
class Part:
    """One store's part of an answer. ``chunks`` opens its file; an erasure has none.

    ``facts`` are what a person is told of the store beside its records: words and numbers.
    """

    store: str
    kind: str
    description: str
    records: int
    sha256: str = ""
    chunks: Callable[[], Iterator[bytes]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    kept: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Answer:
    """What a bundle is about: the request in words, and its parts."""

    job_id: str
    action: str
    jurisdiction: str
    received: datetime
    due: str
    made: datetime
    parts: Sequence[Part]
    walked: Sequence[Mapping[str, Any]] = ()
    """How the subject was found: each step a mapping of words."""


class DamagedFileError(Exception):
    """A store's file is not the one that was written; names the store."""


def write_bundle(answer: Answer, sink: Sink) -> Written:
    """Write the zip: ``data/<store>.json`` for each part with a file, ``manifest.json``, ``index.html``.

    Raises DamagedFileError where a file's SHA-256 is not its part's.
    """
    out = Hashing(sink)
    stamp = answer.made.astimezone(UTC).timetuple()[:6]
    files: list[dict[str, Any]] = []
    previews: dict[str, list[Any]] = {}
    with zipfile.ZipFile(_Unseekable(out), "w", zipfile.ZIP_DEFLATED) as archive:
        for part in answer.parts:
            if part.chunks is None:
                continue
            path = f"data/{part.store}.json"
            digest, size, preview = hashlib.sha256(), 0, _Preview()
            with archive.open(_member(path, stamp), "w", force_zip64=True) as member:
                for chunk in part.chunks():
                    member.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    preview.feed(chunk)
            if digest.hexdigest() != part.sha256:
                raise DamagedFileError(f"{part.store}: its file is not the one that was written")
            previews[part.store] = preview.records
            files.append({"path": path, "sha256": part.sha256, "bytes": size, "records": part.records})
        page = (
            _page().render(answer=answer, previews=previews, shown=PREVIEW_RECORDS).encode(errors="replace")
        )
        files.append({"path": PAGE, "sha256": hashlib.sha256(page).hexdigest(), "bytes": len(page)})
        archive.writestr(_member(PAGE, stamp), page)
        archive.writestr(_member(MANIFEST, stamp), _json(manifest(answer, files)))
    return Written(sum(part.records for part in answer.parts), out.size, out.sha256)


def manifest(answer: Answer, files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a program reads first: the request, each store's outcome, each file with its SHA-256."""
    return {
        "request": answer.job_id,
        "action": answer.action,
        "jurisdiction": answer.jurisdiction,
        "received_at": answer.received.isoformat(),
        "answer_due": answer.due,
        "made_at": answer.made.isoformat(),
        "stores": [
            {
                "store": part.store,
                "kind": part.kind,
                "records": part.records,
                **part.facts,
                **({"kept": list(part.kept)} if part.kept else {}),
            }
            for part in answer.parts
        ],
        "found_by": list(answer.walked),
        "files": list(files),
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False, default=_plain).encode(errors=_HALF) + b"\n"


def _member(path: str, stamp: Any) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(path, stamp)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


class _Unseekable:
    """A sink as a file that zipfile writes front to back."""

    def __init__(self, sink: Hashing) -> None:
        self._sink = sink

    def write(self, data: Any) -> int:
        return self._sink.write(bytes(data))

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Who made the sink closes it."""


class _Preview:
    """The first records of a store's file, taken as it passes by: each stands on a line of its own."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self._rest, self._lines = b"", 0

    def feed(self, chunk: bytes) -> None:
        if len(self.records) >= PREVIEW_RECORDS:
            self._rest = b""
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._lines += 1
            if self._lines == 1 or line.startswith(b"]"):
                continue
            if len(self.records) < PREVIEW_RECORDS:
                self.records.append(_shown(json.loads(line.rstrip(b",").lstrip(b","))))


def _shown(record: Mapping[str, Any]) -> dict[str, str]:
    """A record as a person reads it: names and texts, long ones cut."""
    found = {}
    for name, value in record.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        found[name] = text if len(text) <= _PREVIEW_CHARACTERS else f"{text[:_PREVIEW_CHARACTERS]}…"
    return found


@cache
def _page() -> Template:
    return template(Path(__file__).parent / "bundle.html")
