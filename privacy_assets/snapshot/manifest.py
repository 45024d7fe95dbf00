"""What an export says of itself: its two manifests, and whether the files are what they say.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


class ManifestError(ValueError):
    """A manifest can't be read; one line: what, where, what was expected."""


@dataclass(frozen=True)
class DataFile:
    """A data file as the manifest lists it; ``md5`` in hexadecimal, of the compressed bytes."""

    key: str
    items: int
    md5: str


@dataclass(frozen=True)
class Manifest:
    """Both manifests of one export; ``items`` is the summary's count."""

    items: int
    files: tuple[DataFile, ...]

    @property
    def listed_items(self) -> int:
        """The items of all files; the summary's count unless a manifest is wrong."""
        return sum(file.items for file in self.files)


def read_manifest(folder: str, read: Callable[[str], bytes]) -> Manifest:
    """The manifests in the export's ``folder`` (a key prefix that ends with a slash).

    ``read`` answers an object's bytes and raises FileNotFoundError.  Raises ManifestError.
    """
    summary_key = f"{folder}manifest-summary.json"
    summary = _object(summary_key, _read(summary_key, read))
    files_key = str(summary.get("manifestFilesS3Key") or f"{folder}manifest-files.json")
    files = tuple(
        _file(f"{files_key} line {number}", line)
        for number, line in enumerate(_read(files_key, read).splitlines(), 1)
        if line.strip()
    )
    return Manifest(_whole(summary_key, summary, "itemCount"), files)


def wrong_files(
    files: Iterable[DataFile], etags: Mapping[str, str], md5: Callable[[Sequence[str]], Mapping[str, str]]
) -> dict[str, str]:
    """The data files that are not what the manifest says, each with what is wrong.

    ``etags`` are S3's, by key.  The ETag of a small unencrypted object is its MD5, so one that agrees
    settles it; the bytes of the others are read through ``md5``.
    """
    wrong: dict[str, str] = {}
    unsettled: dict[str, str] = {}
    for file in files:
        if file.key not in etags:
            wrong[file.key] = "missing"
        elif etags[file.key] != file.md5:
            unsettled[file.key] = file.md5
    if unsettled:
        found = md5(list(unsettled))
        wrong |= {
            key: f"MD5 {found[key]}, expected {expected}"
            for key, expected in unsettled.items()
            if found[key] != expected
        }
    return wrong


def _read(key: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(key)
    except FileNotFoundError:
        raise ManifestError(f"{key}: missing, expected DynamoDB to have written it") from None


def _object(where: str, text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ManifestError(f"{where}: no JSON object, expected DynamoDB's manifest")
    return found


def _whole(where: str, found: Mapping[str, object], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or value < 0:
        raise ManifestError(f"{where}: {name} is no count, expected a whole number")
    return value


def _file(where: str, line: bytes) -> DataFile:
    found = _object(where, line)
    key, checksum = found.get("dataFileS3Key"), found.get("md5Checksum")
    try:
        md5 = base64.b64decode(str(checksum), validate=True).hex()
    except binascii.Error:
        md5 = ""
    if not isinstance(key, str) or len(md5) != 32:
        raise ManifestError(f"{where}: expected dataFileS3Key and a base64 md5Checksum")
    return DataFile(key, _whole(where, found, "itemCount"), md5)
