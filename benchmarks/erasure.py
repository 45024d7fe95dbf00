"""One subject erased from Parquet in a bucket: MB/s looked through, and how many objects are touched.

A hundred objects of which ten hold the subject. The files have statistics that leave room for her in all of
them, so that each must be read to be sure: the honest case, not the easy one.
"""

import io
import os
import uuid
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from local_aws.process import running
from privacy_assets.dsar.files.forms import Parquet
from privacy_assets.dsar.stores.file_table import FileTable, Place
from privacy_assets.dsar.stores.models import Records
from privacy_assets.dsar.stores.rules import Rules
from resources.files import Files

OBJECTS, HOLD, GROUPS = 100, 10, 4
JANE = "jane.doe@example.com"
COLUMNS_OF_NOISE = 6


def main(megabytes: int) -> dict[str, Any]:
    """The figures for ``megabytes`` of Parquet."""
    with running() as server:
        os.environ.update(server.environment)
        import boto3

        s3, bucket = boto3.client("s3"), f"erasure-{uuid.uuid4().hex[:8]}"
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        size = _write(s3, bucket, megabytes * 1_000_000 // OBJECTS)
        rules = Rules(Records(match={"email": ("email",)}), "benchmark", lambda _kind, _value: "")
        table = FileTable(Files(), rules, Parquet(), [Place(bucket, "data/", {})])
        who = {"email": frozenset({JANE})}
        seconds: dict[str, float] = {}
        started = perf_counter()
        found = table.find(who)
        seconds["find"] = perf_counter() - started
        started = perf_counter()
        done = table.erase(who)
        seconds["erase"] = perf_counter() - started
        started = perf_counter()
        left = table.verify(who, done.touched)
        seconds["verify"] = perf_counter() - started
    assert found.records == done.erased == HOLD * GROUPS
    assert left.clean
    answer = {
        "megabytes": round(size / 1e6),
        "objects": OBJECTS,
        "objects touched": len(done.touched),
        "records erased": done.erased,
        "old versions deleted": done.versions,
        "seconds": {what: round(value, 2) for what, value in seconds.items()},
        "MB/s": {what: round(size / 1e6 / value) for what, value in seconds.items()},
    }
    Console().print(answer)
    return answer


def _write(s3: Any, bucket: str, each: int) -> int:
    """Objects of about ``each`` bytes; answers the bytes of all."""
    random = np.random.default_rng(1)
    rows = max(GROUPS, each // (8 * COLUMNS_OF_NOISE + 14))
    total = 0
    for number in range(OBJECTS):
        mails = np.char.add(random.integers(0, 10**9, rows).astype("U10"), "@example.org").astype(object)
        if number % (OBJECTS // HOLD) == 3:
            mails[:: rows // GROUPS + 1] = JANE
        noise = {f"n{place}": random.random(rows) for place in range(COLUMNS_OF_NOISE)}
        file = io.BytesIO()
        data = pa.table({"email": pa.array(mails, pa.string()), **noise})
        # The first and the last letter of the alphabet are in each group, so no statistics rule her out.
        ends = pa.table({"email": ["a", "zz"] * GROUPS, **{name: [0.0] * 2 * GROUPS for name in noise}})
        data = pa.concat_tables([data, ends]).take(_spread(rows, len(ends)))
        pq.write_table(data, file, compression="snappy", row_group_size=-(-data.num_rows // GROUPS))
        total += file.tell()
        s3.put_object(Bucket=bucket, Key=f"data/{number:03}.parquet", Body=file.getvalue())
    return total


def _spread(rows: int, ends: int) -> pa.Array:
    """An order of rows that has two of the last ``ends`` in each group."""
    order, step = list(range(rows)), rows // GROUPS
    for group in range(GROUPS):
        order[group * step : group * step] = [rows + 2 * group, rows + 2 * group + 1]
    assert len(order) == rows + ends
    return pa.array(order)
