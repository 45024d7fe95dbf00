"""The answer as people's tools open it: unzip, sha256sum, a JSON reader, a browser's text."""

import hashlib
import json
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from privacy_assets.dsar.bundle import (
    PREVIEW_RECORDS,
    Answer,
    DamagedFileError,
    Part,
    write_bundle,
    write_records,
)

WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NASTY = [
    {"id": 1, "name": "<script>alert(1)</script>", "note": "]}\n,\u2028 & \"quotes\" 'and' \\"},
    {
        "id": 2,
        "name": "Zoë 🎈",
        "tags": ["a", {"b": None}],
        "price": Decimal("1.10"),
        "day": date(2026, 1, 2),
    },
    {"id": 3, "name": "\ud800 lone", "bytes": b"\x00\xff", "set": {"x"}, "long": "y" * 5_000},
]


def file_of(tmp_path: Path, store: str, records: Any) -> tuple[Path, Any]:
    path = tmp_path / f"{store}.json"
    with path.open("wb") as file:
        return path, write_records(store, records, file)


def chunks(path: Path, size: int = 1000) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk


def answer(parts: list[Part], action: str = "export", **fields: Any) -> Answer:
    return Answer("dsar-" + "0" * 32, action, "DE", WHEN, "2026-04-02", WHEN, parts, **fields)


def test_records_are_json_one_a_line(tmp_path: Path) -> None:
    path, written = file_of(tmp_path, "crm", NASTY)
    text = path.read_text(encoding="utf-8")  # strictly: half a surrogate pair is JSON's escape of it
    found = json.loads(text)
    assert found["records"][2]["name"] == NASTY[2]["name"]
    assert (found["store"], found["count"], written.records) == ("crm", 3, 3)
    assert [record["id"] for record in found["records"]] == [1, 2, 3]
    assert found["records"][0] == NASTY[0]
    assert found["records"][1] == {**NASTY[1], "price": "1.10", "day": "2026-01-02"}
    assert found["records"][2]["bytes"] == "00ff"
    assert [json.loads(line.rstrip(",")) for line in text.split("\n")[1:4]] == found["records"]
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert written.size == path.stat().st_size


def test_no_records_are_an_answer(tmp_path: Path) -> None:
    path, written = file_of(tmp_path, "crm", [])
    assert json.loads(path.read_text()) == {"store": "crm", "records": [], "count": 0}
    assert written.records == 0


@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip is not installed")
def test_a_person_opens_it(tmp_path: Path) -> None:
    many = [{"id": number, "name": f"person {number}"} for number in range(PREVIEW_RECORDS + 40)]
    parts = []
    for store, records in (("crm", NASTY[:2]), ("events", many), ("mail", [])):
        path, written = file_of(tmp_path, store, records)
        parts.append(
            Part(
                store, "sql", f"About {store} & more", written.records, written.sha256, partial(chunks, path)
            )
        )
    walked = [{"known_by": "email ja••••om", "led_to": "customer_id ••••", "by": "crm.id"}]
    archive = tmp_path / "answer.zip"
    with archive.open("wb") as file:
        written = write_bundle(answer(parts, walked=walked), file)
    assert written.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    opened = tmp_path / "opened"
    subprocess.run(["unzip", "-q", archive, "-d", opened], check=True)
    manifest = json.loads((opened / "manifest.json").read_text())
    sums = "".join(f"{each['sha256']}  {each['path']}\n" for each in manifest["files"])
    subprocess.run(["sha256sum", "--check", "--quiet"], input=sums, text=True, cwd=opened, check=True)
    assert {each["path"] for each in manifest["files"]} == {
        "data/crm.json",
        "data/events.json",
        "data/mail.json",
        "index.html",
    }
    assert [(each["store"], each["records"]) for each in manifest["stores"]] == [
        ("crm", 2),
        ("events", 140),
        ("mail", 0),
    ]
    assert json.loads((opened / "data" / "events.json").read_text())["records"] == many
    page = (opened / "index.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "person 99<" in page
    assert "person 100<" not in page
    assert "The first 100 of 140 records are shown" in page
    assert "Nothing about you is in this store" in page
    assert "email ja••••om" in page


def test_an_erasure_is_told_without_data(tmp_path: Path) -> None:
    kept = [{"article": "GDPR Art. 17(3)(b)", "reason": "invoices", "records": 2, "until": "2031-01-01"}]
    parts = [Part("crm", "sql", "", 5, facts={"found": 7, "erased": 5}, kept=kept)]
    archive = tmp_path / "answer.zip"
    with archive.open("wb") as file:
        write_bundle(answer(parts, "delete"), file)
    import zipfile

    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ["index.html", "manifest.json"]
        page = opened.read("index.html").decode()
        (store,) = json.loads(opened.read("manifest.json"))["stores"]
    assert store == {"store": "crm", "kind": "sql", "records": 5, "found": 7, "erased": 5, "kept": kept}
    assert "What was erased" in page
    assert "invoices (GDPR Art. 17(3)(b))" in page


def test_a_damaged_file_is_not_given_out(tmp_path: Path) -> None:
    path, written = file_of(tmp_path, "crm", NASTY[:1])
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    part = Part("crm", "sql", "", 1, written.sha256, partial(chunks, path))
    with (tmp_path / "answer.zip").open("wb") as file, pytest.raises(DamagedFileError, match="crm"):
        write_bundle(answer([part]), file)


class Nowhere:
    """Takes what is written and keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)


@pytest.mark.parametrize("what", ["records", "bundle"])
def test_memory_is_flat(what: str) -> None:
    """Ten times the records take no more memory."""

    def records(number: int) -> Iterator[dict[str, str]]:
        return ({"id": f"{each:09d}", "text": "x" * 200} for each in range(number))

    class Digest(Nowhere):
        pass

    def pieces(number: int) -> Iterator[bytes]:
        yield b'{"store": "crm", "records": [\n'
        for each in records(number):
            yield json.dumps(each).encode() + b",\n"
        yield b"]}\n"

    def whole(number: int) -> None:
        if what == "records":
            write_records("crm", records(number), Nowhere())
        else:
            digest = hashlib.sha256(b"".join(pieces(number))).hexdigest()
            tracemalloc.reset_peak()
            write_bundle(answer([Part("crm", "sql", "", number, digest, partial(pieces, number))]), Nowhere())

    def peak(work: Callable[[int], None], number: int) -> int:
        tracemalloc.start()
        work(number)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    whole(1_000)
    small, large = peak(whole, 2_000), peak(whole, 20_000)
    assert large < small + 300_000
