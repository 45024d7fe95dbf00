"""Rows in order without holding them all."""

import random
from collections.abc import Iterator

import pyarrow as pa

from privacy_assets.scan.ordered import ordered

ROWS, BATCH, RUN = 20_000, 100, 1_000


def test_all_rows_are_in_order_and_a_run_of_them_is_held() -> None:
    numbers = list(range(ROWS))
    random.Random(7).shuffle(numbers)
    before, most, size = pa.total_allocated_bytes(), 0, 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal most, size
        for start in range(0, ROWS, BATCH):
            part = numbers[start : start + BATCH]
            batch = pa.RecordBatch.from_pydict(
                {"key": [f"ä{number // 10:05}" for number in part], "at": [number % 10 for number in part]}
            )
            size += batch.nbytes
            most = max(most, pa.total_allocated_bytes() - before)
            yield batch

    found = [(row["key"], row["at"]) for row in ordered(batches(), ("key", "at"), RUN)]
    assert found == [(f"ä{number // 10:05}", number % 10) for number in range(ROWS)]
    assert most < size / 3


def test_of_no_rows_there_are_none() -> None:
    assert list(ordered([], ("key",))) == []
