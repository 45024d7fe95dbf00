"""Every format, bombs, broken files, a large object: a scan killed again and again finds the same.

``PRIVACY_ASSETS_TORTURE_MIB=2048`` makes the large object one of 2 GB, with more bombs and kills, for some
minutes.
"""

import bz2
import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from backports import zstd
from botocore.config import Config

from tests.house import House
from tests.scan.reading.objects import VALUE
from tests.scan.reading.test_damage import damaged, objects
from tests.scan.reading.test_office import slides
from tests.scan.reading.test_zipped import zipped
from tests.scan.test_assets import EMAIL, SSN, Scans

MIB = 1 << 20
LARGE = int(os.environ.get("PRIVACY_ASSETS_TORTURE_MIB", "16"))
KILLS = 2 if LARGE < 100 else 12
LINE = f"a line of the log, as long as they are, and nothing in it; ssn={SSN}\n".encode()
RULES = f"detectors:\n  - {{name: planted, title: Planted, pattern: '{VALUE}', severity: high}}\n"


def bucket_of_everything(scans: Scans) -> set[str]:
    """Objects of each format; broken ones; bombs; a large one; small ones. Returns their keys."""
    chance = random.Random(11)
    whole = {
        **objects(),
        "a.pptx": slides(),
        "a.tsv": f"name\tssn\nMaria\t{SSN}\n".encode(),
        "a.json": json.dumps({"people": [{"mail": EMAIL, "note": VALUE}]}).encode(),
        "a.jsonl": b"".join(b'{"n": %d, "ssn": "%s"}\n' % (n, SSN.encode()) for n in range(500)),
        "a.xml": f"<people><person ssn='{SSN}'>{VALUE}</person></people>".encode(),
        "a.html": f"<html><body><p>call {VALUE}</p><a href='mailto:{EMAIL}'>x</a></body></html>".encode(),
        "a.yaml": f"person:\n  ssn: {SSN}\n  note: {VALUE}\n".encode(),
        "a.log": f"2026-01-31T10:00:00Z INFO ssn={SSN}\n".encode() * 50,
        "utf32.txt": f"Grüße, ssn {SSN}\n".encode("utf-32"),
        "latin1.txt": f"Grüße, ssn {SSN}\n".encode("latin-1"),
        "nested.tgz.zst": zstd.compress(objects()["a.tgz"]),
        "nested.zip": zipped(
            {"inner.zip": zipped({"inner.gz": gzip.compress(LINE)}), "a.bz2": bz2.compress(LINE)}
        ),
        "binary.bin": random.Random(3).randbytes(200_000),
        "empty.txt": b"",
    }
    content = {f"whole/{name}": body for name, body in whole.items()}
    for name, body in objects().items():
        content |= {f"broken/{seed}-{name}": damaged(body, chance) for seed in range(2)}
        content[f"broken/cut-{name}"] = body[: len(body) * 2 // 3]
    content["bombs/a.gz"] = gzip.compress(b" " * (320 * MIB))
    if LARGE > 100:
        content["bombs/nested.gz"] = gzip.compress(content["bombs/a.gz"])
        content["bombs/a.zip"] = zipped({"bomb": b" " * (320 * MIB), "after.txt": LINE})
    for number in range(200):
        content[f"small/{number:03}.txt"] = LINE * (1 + number % 7)
    for key, body in content.items():
        scans.put(key, body)
    large(scans, "large.log")
    return {*content, "large.log"}


def large(scans: Scans, key: str) -> None:
    """An object of LARGE MiB, a value in each of them, sent in parts."""
    filler = (b"%s\n" % (b"x" * 99)) * (MIB // 100)
    piece = b"".join(filler[: MIB - len(LINE) - 1] + b"\n" + LINE for _ in range(16))
    where: dict[str, Any] = {"Bucket": scans.bucket, "Key": key}
    # Putting the parts together takes long; asked again meanwhile it would be refused.
    s3 = boto3.client("s3", config=Config(read_timeout=600))
    upload = s3.create_multipart_upload(**where)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece)["ETag"],
        }
        for number in range(1, LARGE // 16 + 1)
    ]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "detectors.yaml"
    path.write_text(RULES)
    monkeypatch.setenv("PRIVACY_ASSETS_DETECTORS", str(path))
    monkeypatch.setenv("PRIVACY_ASSETS_SCAN_PROCESSES", "2")


@pytest.mark.timeout(3600 if LARGE > 100 else 400)
@pytest.mark.usefixtures("rules")
def test_a_scan_that_is_killed_again_and_again_finds_the_same(aws: str, unique: str, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("undisturbed", "killed")}
    for folder in folders.values():
        folder.mkdir()
    bucket = f"data-{unique}"
    undisturbed = Scans(House.build(aws, f"u{unique}", folders["undisturbed"]), bucket)
    killed = Scans(House.build(aws, f"k{unique}", folders["killed"]), bucket)
    keys = bucket_of_everything(undisturbed)
    command = [
        sys.executable,
        "-m",
        "tests.scan.worker",
        json.dumps(
            {"endpoint": aws, "unique": f"k{unique}", "folder": str(folders["killed"]), "bucket": bucket}
        ),
    ]

    def parts() -> int:
        return sum(1 for _ in killed.house.lake.list(f"scan/{bucket}/parts/"))

    chance, kills = random.Random(5), 0
    while kills < KILLS:
        before, started = parts(), time.monotonic()
        with subprocess.Popen(command, start_new_session=True) as worker:
            # A large object alone leaves nothing until it is read to its end.
            while (
                parts() == before
                and worker.poll() is None
                and time.monotonic() < started + max(30, LARGE / 100)
            ):
                time.sleep(0.02)
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(chance.uniform(0, LARGE / 400))
            if worker.poll() is not None:
                break
            os.killpg(worker.pid, signal.SIGKILL)
            kills += 1
    assert kills  # a quick machine may be done before the next
    subprocess.run(command, check=True)
    undisturbed.scan("job")

    columns = ("key", "member", "detector", "byte_offset", "line", "column_name", "row_number", "status")
    columns = (*columns, "masked_match", "context", "etag", "confidence")
    assert killed.objects() == undisturbed.objects()
    assert set(killed.objects()) == keys
    found = sorted(map(repr, killed.findings(*columns)))
    assert found == sorted(map(repr, undisturbed.findings(*columns)))
    assert len(found) == len(set(found))
    assert sum("'large.log'" in row for row in found) == LARGE
    states = killed.objects()
    assert {state for key, state in states.items() if key.startswith("bombs/")} == {
        ("partly read", "expands too much")
    }
    # These two have a thumbnail, a picture.
    partly = {"whole/a.docx", "whole/a.pptx", "whole/binary.bin"}
    assert {key: states[key] for key in partly} == dict.fromkeys(partly, ("partly read", "binary"))
    others = {key for key in states if key.startswith("whole/")} - partly - {"whole/empty.txt"}
    assert {key: states[key] for key in others} == dict.fromkeys(others, ("findings", ""))
    assert states["whole/empty.txt"] == ("clean", "")
    assert {"whole/a.docx", "whole/a.pptx"} <= {row["key"] for row in killed.findings("key")}
    job, same = killed.job("job"), undisturbed.job("job")
    counts = (
        "status",
        "total_objects",
        "succeeded",
        "failed",
        "skipped",
        "total_findings",
        "progress_percent",
    )
    assert {name: job[name] for name in counts} == {name: same[name] for name in counts}
