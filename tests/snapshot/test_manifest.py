"""The manifests are read as DynamoDB writes them; files that are not what they say are named."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence

import pytest

from privacy_assets.snapshot.crawl import CrawlerBusy, crawl, disagreements
from privacy_assets.snapshot.manifest import DataFile, Manifest, ManifestError, read_manifest, wrong_files

FOLDER = "exports/logs/snapshot_date=2026-01-01/AWSDynamoDB/01-a/"


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def stored(*files: tuple[bytes, int], count: int | None = None) -> dict[str, bytes]:
    lines = [
        {
            "itemCount": items,
            "md5Checksum": base64.b64encode(md5(data)).decode(),
            "etag": md5(data).hex(),
            "dataFileS3Key": f"{FOLDER}data/{number}.json.gz",
        }
        for number, (data, items) in enumerate(files)
    ]
    total = sum(items for _, items in files) if count is None else count
    summary = {"manifestFilesS3Key": f"{FOLDER}manifest-files.json", "itemCount": total}
    return {
        f"{FOLDER}manifest-summary.json": json.dumps(summary).encode(),
        f"{FOLDER}manifest-files.json": "\n".join(json.dumps(line) for line in lines).encode() + b"\n",
    }


def reader(objects: Mapping[str, bytes]):  # type: ignore[no-untyped-def]
    def read(key: str) -> bytes:
        if key not in objects:
            raise FileNotFoundError(key)
        return objects[key]

    return read


def test_both_manifests_are_read() -> None:
    manifest = read_manifest(FOLDER, reader(stored((b"one", 3), (b"", 0))))
    assert manifest.items == manifest.listed_items == 3
    assert manifest.files[0] == DataFile(f"{FOLDER}data/0.json.gz", 3, md5(b"one").hex())


@pytest.mark.parametrize(
    ("key", "content", "expected"),
    [
        ("manifest-summary.json", None, "missing, expected DynamoDB to have written it"),
        ("manifest-files.json", None, "missing, expected DynamoDB to have written it"),
        ("manifest-summary.json", b"{", "no JSON object, expected DynamoDB's manifest"),
        ("manifest-summary.json", b"[]", "no JSON object, expected DynamoDB's manifest"),
        ("manifest-summary.json", b'{"itemCount": -1}', "itemCount is no count, expected a whole number"),
        ("manifest-files.json", b"{}", " line 1: expected dataFileS3Key and a base64 md5Checksum"),
        (
            "manifest-files.json",
            b'{"dataFileS3Key": "a", "md5Checksum": "!"}',
            " line 1: expected dataFileS3Key",
        ),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(key: str, content: bytes | None, expected: str) -> None:
    objects = stored((b"one", 1))
    objects.pop(FOLDER + key)
    if content is not None:
        objects[FOLDER + key] = content
    with pytest.raises(ManifestError) as raised:
        read_manifest(FOLDER, reader(objects))
    assert str(raised.value).startswith(FOLDER + key)
    assert expected in str(raised.value)


def test_files_are_settled_by_their_etag_or_read() -> None:
    files = [DataFile(name, 1, md5(name.encode()).hex()) for name in ("same", "encrypted", "broken", "gone")]
    etags = {"same": md5(b"same").hex(), "encrypted": "x-2", "broken": md5(b"other").hex()}
    asked: list[str] = []

    def read(keys: Sequence[str]) -> dict[str, str]:
        asked.extend(keys)
        return {"encrypted": md5(b"encrypted").hex(), "broken": md5(b"other").hex()}

    assert wrong_files(files, etags, read) == {
        "broken": f"MD5 {md5(b'other').hex()}, expected {md5(b'broken').hex()}",
        "gone": "missing",
    }
    assert asked == ["encrypted", "broken"]


MANIFEST = Manifest(3, (DataFile("a", 3, ""), DataFile("b", 0, "")))
SIZES = {"a": 100, "b": 20}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([{"objectCount": "2", "sizeKey": "120"}], []),
        ([{"objectCount": "1", "sizeKey": "100"}], []),
        ([{"objectCount": "1", "sizeKey": "80"}, {"objectCount": "1", "sizeKey": "40"}], []),
        ([{"objectCount": "3", "sizeKey": "120"}], ["objectCount 3, expected 2"]),
        ([{"objectCount": "2", "sizeKey": "119"}], ["sizeKey 119, expected 120"]),
        ([{}], ["objectCount 0, expected 2", "sizeKey 0, expected 120"]),
        ([], ["no partition for the export, expected one"]),
    ],
)
def test_what_the_crawler_found_is_compared(found: list[dict[str, str]], expected: list[str]) -> None:
    assert disagreements(MANIFEST, SIZES, found) == expected


def test_an_empty_export_needs_no_partition() -> None:
    assert disagreements(Manifest(0, (DataFile("b", 0, ""),)), SIZES, []) == []


class Crawler:
    """A crawler that is busy for the first ``busy`` asks."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.started = 0

    def start_crawler(self, name: str) -> bool:
        self.busy -= 1
        self.started += self.busy < 0
        return self.busy < 0

    def crawl_ended(self, name: str) -> bool:
        return True


class Now:
    """Waits for what is there."""

    def until(self, probe, what):  # type: ignore[no-untyped-def]
        assert probe() is True, what
        return True


def test_a_free_crawler_is_started_once() -> None:
    crawler = Crawler(busy=0)
    assert crawl(crawler, "c", Now(), lambda: False) == 1
    assert crawler.started == 1


def test_a_crawl_of_somebody_else_that_found_our_data_is_enough() -> None:
    crawler = Crawler(busy=1)
    assert crawl(crawler, "c", Now(), lambda: True) == 0
    assert crawler.started == 0


def test_a_crawl_of_somebody_else_that_was_too_early_is_followed_by_ours() -> None:
    crawler = Crawler(busy=2)
    assert crawl(crawler, "c", Now(), lambda: False) == 1
    assert crawler.started == 1


def test_a_crawler_that_is_never_free_is_given_up() -> None:
    with pytest.raises(CrawlerBusy, match="crawler c: always started by somebody else"):
        crawl(Crawler(busy=100), "c", Now(), lambda: False)
