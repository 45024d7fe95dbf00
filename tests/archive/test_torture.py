"""Deletions with duplicates, out of order, with poison among them, and a worker that is killed ten times.

``PRIVACY_ASSETS_TORTURE=1000000`` makes it a million, which takes about half an hour.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from privacy_assets.archive.rows import DELETIONS
from resources.signed import caller
from tests.archive.conftest import Archive
from tests.archive.worker import peak_mib

SIZE = int(os.environ.get("PRIVACY_ASSETS_TORTURE", "4000"))
LARGE = SIZE > 50_000
KILLS = 10
BITE = 20_000 if LARGE else 300
HIDDEN_SECONDS = 300 if LARGE else 3
DUPLICATES, POISON, AGAIN = 0.1, 0.001, 0.9
STEP = 7_368_787  # a prime: every index once, far from its neighbours


def message(index: int, stream: str) -> str:
    """The deletion of this number; a tenth of them are second deletions of a key."""
    key = f"{index % int(SIZE * AGAIN):08d}"
    subject = f"subject-{index % 997}"
    item = f'{{"log_id":{{"S":"{key[::-1]}"}},"subject_id":{{"S":"{subject}"}},"n":{{"N":"{index}"}}}}'
    return (
        f'{{"eventID":"{index:032x}","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb",'
        f'"awsRegion":"us-east-1","dynamodb":{{"ApproximateCreationDateTime":{1_790_000_000 + index // 20},'
        f'"Keys":{{"log_id":{{"S":"{key[::-1]}"}}}},"OldImage":{item},"SequenceNumber":"{index + 1:021d}",'
        f'"SizeBytes":64,"StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventSourceARN":"{stream}"}}'
    )


@pytest.mark.timeout(7200 if LARGE else 300)
def test_whatever_happens_each_deletion_is_archived_once(archive: Archive, tmp_path: Path) -> None:
    names = archive.names
    stream = archive.dynamodb.describe_table(TableName=archive.table)["Table"]["LatestStreamArn"]
    url = archive.url(names.queue)
    archive.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(HIDDEN_SECONDS)})
    poison = max(5, int(SIZE * POISON))
    total = SIZE + int(SIZE * DUPLICATES)
    order = (index * STEP % total for index in range(total))
    bodies = [f'{{"poison": {number}}}' for number in range(poison)]
    sqs = caller("sqs")

    def send(ten: list[str]) -> None:
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(ten)]
        answer = sqs.json("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
        assert not answer.get("Failed")

    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        ten: list[str] = []
        for index in order:
            ten.append(message(index % SIZE, stream))
            if bodies and index % (total // poison) == 0:
                ten[-1:] = [ten[-1], bodies.pop()]
            if len(ten) >= 9:
                pool.submit(send, ten)
                ten = []
        for start in range(0, len(ten + bodies), 9):
            pool.submit(send, (ten + bodies)[start : start + 9])
    said(f"{archive.waiting()['queue']:,} messages sent in {time.monotonic() - started:.0f} s")
    assert archive.waiting()["queue"] == total + poison

    arguments = json.dumps(
        {
            "queue": archive.queue.model_dump(),
            "bucket": names.bucket,
            "iceberg": archive.iceberg.model_dump(),
            "erasures": archive.erasures.model_dump(),
            "estate": str(tmp_path / "estate.yaml"),
            "bite": BITE,
        }
    )
    command = [sys.executable, "-m", "tests.archive.worker", arguments]
    chance, killed, started = random.Random(4), 0, time.monotonic()
    while archive.waiting()["queue"]:
        with subprocess.Popen(command) as worker:
            try:
                worker.wait(chance.uniform(5, 180 if LARGE else 6) if killed < KILLS else None)
            except subprocess.TimeoutExpired:
                peak = peak_mib(worker.pid)
                worker.send_signal(signal.SIGKILL)
                killed += 1
                said(f"killed after {time.monotonic() - started:.0f} s, {peak} MiB, {archive.waiting()} left")
            else:
                assert worker.returncode == 0
        if not LARGE and killed < KILLS // 3 and not archive.waiting()["queue"]:
            break
    said(f"done after {time.monotonic() - started:.0f} s, killed {killed} times")

    held = set()
    for batch in archive.iceberg.batches(DELETIONS, ["object_path", "object_version", "sequence_number"]):
        rows = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        before = len(held)
        held |= {(path, version) for path, version, _ in rows}
        assert len(held) == before + len(rows)
    assert len(held) == SIZE
    assert objects(archive) == held
    letters = set()
    while found := archive.sqs.receive_message(
        QueueUrl=archive.url(names.dead_letters), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        for each in found:
            assert "expected" in each["MessageAttributes"]["reason"]["StringValue"]
            letters.add(json.loads(each["Body"])["poison"])
            archive.sqs.delete_message(
                QueueUrl=archive.url(names.dead_letters), ReceiptHandle=each["ReceiptHandle"]
            )
    assert letters == set(range(poison))
    if LARGE:
        assert killed == KILLS


def objects(archive: Archive) -> set[tuple[str, str]]:
    """Every version of every object, a thousandth of the paths at a time."""
    found: set[tuple[str, str]] = set()
    digits = 3 if LARGE else 1
    pages = archive.s3.get_paginator("list_object_versions")
    for number in range(10**digits):
        prefix = f"visits/log%5Fid_{number:0{digits}d}"
        for page in pages.paginate(Bucket=archive.names.bucket, Prefix=prefix):
            found |= {(version["Key"], version["VersionId"]) for version in page.get("Versions", ())}
            assert not page.get("DeleteMarkers")
    return found


def said(line: str) -> None:
    """Progress, for who runs the million by hand with ``-s``."""
    sys.stderr.write(f"{line}\n")
