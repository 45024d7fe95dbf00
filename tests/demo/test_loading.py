"""A user's lines reach the table, or are refused by file and line."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from privacy_assets.demo import loading
from privacy_assets.demo.loading import LineError, Loaded, load, look_at, open_items
from privacy_assets.errors import UserError

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def table(aws: str, unique: str) -> str:
    boto3.client("dynamodb").create_table(
        TableName=unique,
        KeySchema=[{"AttributeName": "log_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "log_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return unique


def line(number: int) -> bytes:
    return b'{"Item":{"log_id":{"S":"row-%d"},"age":{"N":"%d"}}}\n' % (number, number)


def rows(table: str) -> int:
    return int(boto3.client("dynamodb").scan(TableName=table, Select="COUNT")["Count"])


def test_all_lines_are_loaded_over_several_chunks(
    aws: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_LINES", 7)
    seen: list[int] = []
    loaded = load(
        aws, table, map(line, range(100)), write_time=NOON, progress=lambda done: seen.append(done.items)
    )
    assert loaded == Loaded(items=100)
    assert seen == sorted(seen)
    assert len(seen) == 15
    assert rows(table) == 100


def test_no_more_than_a_few_chunks_are_made_ahead(
    aws: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_LINES", 1)
    made = taken = worst = 0

    def lines() -> Iterator[bytes]:
        nonlocal made, worst
        for number in range(40):
            made += 1
            worst = max(worst, made - taken)
            yield line(number)

    def progress(done: Loaded) -> None:
        nonlocal taken
        taken = done.items

    load(aws, table, lines(), progress=progress)
    assert worst <= loading.CHUNKS_AHEAD + 2


def test_a_line_is_named_by_its_number_in_the_whole_input(
    aws: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_LINES", 4)
    lines = [line(number) for number in range(9)] + [b'{"Item":{"age":{"N":"1"}}}\n']
    with pytest.raises(LineError, match="log_id") as caught:
        load(aws, table, lines)
    assert caught.value.number == 10


def test_a_table_that_is_not_there_is_told(aws: str, unique: str) -> None:
    with pytest.raises(UserError, match=f"{unique}: there is no such table"):
        load(aws, unique, [line(1)])


@pytest.mark.parametrize("name", ["items.json", "items.json.gz", "gzip.without-its-suffix"])
def test_a_file_is_read_plain_or_gzip_by_its_content(aws: str, table: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = b"".join(map(line, range(5))).rstrip(b"\n")  # the last line has no end
    path.write_bytes(gzip.compress(text) if "gz" in name else text)
    with open_items(path) as lines:
        assert load(aws, table, lines).items == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (line(1) + b"not json\n", r"items:2: not JSON.* \(a line is \{\"Item\""),
        (line(1) + b'{"log_id": {"S": "x"}}\n', r"items:2: expected .*Item"),
        (b'{"Item":{"log_id":{"N":"1"}}}\n', r"items:1: key log_id: expected"),
        (b"", r"items: empty, expected lines of DynamoDB JSON"),
        (gzip.compress(b"".join(map(line, range(99))))[:-20], r"items:\d+: .*expected gzip that goes on"),
    ],
)
def test_a_bad_file_is_told_by_line_and_expectation(
    aws: str, table: str, tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "items"
    path.write_bytes(content)
    with pytest.raises(UserError, match=expected), open_items(path) as lines:
        load(aws, table, lines)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (line(1) + b"not json\n", r"items:2: not JSON.* \(a line is \{\"Item\""),
        (line(1) + b"\n[]\n", r"items:3: expected .*Item"),
        (line(1) + b'{"log_id": {"S": "x"}}\n', r"items:2: expected .*Item"),
        (b'{"Item":{"log_id":{"N":"1"}}}\n', r"items:1: key log_id: expected"),
        (b'{"Delete":{"id":{"S":"1"}}}\n', r"items:1: key log_id: expected"),
        (b'{"Item":{"log_id":{"S":"1"},"n":1}}\n', r"items:1: attribute n: expected one type"),
        (b"", r"items: empty, expected lines of DynamoDB JSON"),
    ],
)
def test_the_first_lines_are_looked_at_without_aws(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "items"
    path.write_bytes(content)
    with pytest.raises(UserError, match=expected), open_items(path) as lines:
        look_at(lines, [("log_id", "S")])


def test_no_more_than_the_first_lines_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CHUNK_LINES", 3)
    look_at([line(1), b"\n", b'{"Delete":{"log_id":{"S":"1"}}}\n', b"not json\n"], [("log_id", "S")])


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(
            UserError, match=r"nowhere: No such file or directory, expected a file of DynamoDB JSON"
        ),
        open_items(tmp_path / "nowhere"),
    ):
        pass
