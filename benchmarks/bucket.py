"""A bucket's scan: formats, processes, local S3, memory for a large object, a million unchanged objects.

Each speed is of the bytes of text, whatever they are packed into. The log is made here, with a value to find
in every thousandth line.
"""

import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

MIB = 1 << 20
# The peak that /proc tells begins with the program; getrusage's may be that of the process that forked.
_PEAK = """
import re, sys
from privacy_assets.cli import run
code = run(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
print(int(peak[1]) // 1024, file=sys.stderr)
"""


def main(quick: bool = False) -> dict[str, Any]:
    """The figures."""
    size = 4 if quick else 64
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = log(size)
        return {
            "MB/s, all detectors": formats(folder, text),
            "a large object": large(folder, text, 64 if quick else 2048),
            "unchanged objects": unchanged(20_000 if quick else 1_000_000),
        }


def log(mebibytes: int) -> bytes:
    """Lines as a service writes them."""
    source = random.Random(7)
    lines, size, number = [], 0, 0
    while size < mebibytes * MIB:
        number += 1
        line = (
            f"2026-01-31T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z INFO checkout "
            f"request {source.getrandbits(64):016x} handled in {source.randrange(900)} ms, "
            f"{source.randrange(10**6)} bytes"
        )
        if number % 1000 == 0:
            line += (
                f" ssn={source.randrange(100, 600)}-{source.randrange(10, 99)}-{source.randrange(1000, 9999)}"
            )
        lines.append(line)
        size += len(line) + 1
    return ("\n".join(lines) + "\n").encode()


def formats(folder: Path, text: bytes) -> dict[str, Any]:
    """The same text, packed and stored in several ways."""
    import pyarrow.parquet as pq

    plain, packed, columns = folder / "a.log", folder / "a.log.gz", folder / "a.parquet"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text, 6))
    pq.write_table(pa.table({"line": text.decode().splitlines()}), columns)
    pieces = folder / "pieces"
    pieces.mkdir()
    for number in range(8):
        (pieces / f"{number}.log").write_bytes(text)
    found = {
        "plain": speed(len(text), plain),
        "gzip": speed(len(text), packed),
        "parquet": speed(len(text), columns),
        "eight files, one process": speed(8 * len(text), pieces, "--processes", "1"),
        "eight files, two processes": speed(8 * len(text), pieces, "--processes", "2"),
    }
    with _bucket(pieces) as (uri, environment):
        found["eight objects of local S3, two processes"] = speed(
            8 * len(text), uri, "--processes", "2", environment=environment
        )
    return found


@contextmanager
def _bucket(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The files of a folder in a bucket of local AWS; its URI and the environment that leads there."""
    import boto3

    from local_aws.process import running

    with running() as server:
        s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        s3.create_bucket(Bucket="bench")
        for path in folder.iterdir():
            s3.upload_file(str(path), "bench", path.name)
        yield "s3://bench/", server.environment


def speed(size: int, target: object, *options: str, environment: dict[str, str] | None = None) -> float:
    """Megabytes of text a second of the whole command, start and end included."""
    started = time.perf_counter()
    _run(target, *options, environment=environment)
    return round(size / (time.perf_counter() - started) / 1e6, 1)


def _run(target: object, *options: str, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-c", _PEAK, "scan", str(target), *options]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if ended.returncode not in (0, 1):
        raise RuntimeError(ended.stderr)
    return ended.stderr


def large(folder: Path, text: bytes, mebibytes: int) -> dict[str, Any]:
    """A file of so many MiB: seconds, and the peak memory of the process."""
    path = folder / "large.log"
    with path.open("wb") as file:
        for _ in range(-(-mebibytes * MIB // len(text))):
            file.write(text)
    size = path.stat().st_size
    started = time.perf_counter()
    peak = int(_run(path).split()[-1])
    seconds = time.perf_counter() - started
    path.unlink()
    return {"MiB": size // MIB, "MB/s": round(size / seconds / 1e6, 1), "peak MiB": peak}


def unchanged(objects: int) -> dict[str, Any]:
    """Seconds to take a simulated listing and to find that nothing of it must be read."""
    from privacy_assets.scan.plan import KNOWN, LISTING, Rules, listing, plan
    from resources.buckets import BucketObject

    now = datetime.now(UTC)
    rules = Rules({"ssn": 1, "email": 1})

    def pages() -> Iterator[list[BucketObject]]:
        for start in range(0, objects, 1000):
            yield [
                BucketObject(f"logs/{start:07}/object-{number:07}.json", 1000, f"{number:032x}", now)
                for number in range(start, min(start + 1000, objects))
            ]

    found, listed = _timed(lambda: listing(pages()))
    known = pa.table(
        [
            found["key"],
            found["etag"],
            pa.repeat("clean", objects),
            pa.repeat(pa.scalar(0, pa.int64()), objects),
            pa.repeat(rules.text, objects),
        ],
        schema=KNOWN,
    )
    made, planned = _timed(lambda: plan(found, known, rules))
    assert (made.unchanged, made.work.num_rows) == (objects, 0)
    assert found.schema == LISTING
    return {"objects": objects, "listing, s": listed, "plan, s": planned}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, round(time.perf_counter() - started, 2)
