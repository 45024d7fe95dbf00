"""The same findings however a text is cut and whichever engine looks; no value twice, and no value in a
context.
"""

import io
import json
import pickle
import runpy
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_assets.scan.detectors import ALL, REQUIRED
from privacy_assets.scan.engine import Finding, Scanner
from privacy_assets.scan.reading import read
from privacy_assets.scan.reading.segments import SEGMENT
from privacy_assets.scan.text import Unread, Why
from tests.scan.planted import Bytes, corpus, filled, found

GENERATOR = Path(__file__).resolve().parents[3] / "shared" / "tools" / "gen_log.py"
CORPUS = corpus(ALL.values(), seed=1, lines=1500)
SCANNER = Scanner()
SSN = "-".join(("536", "90", "4399"))
SMALL = Scanner(window=8 << 10)
WHOLE = found(SCANNER, CORPUS)


def test_the_corpus_has_some_of_everything() -> None:
    assert {finding.detector for finding in WHOLE} == set(ALL)
    assert len(CORPUS) > 60_000, "expected several windows"


def test_both_engines_find_the_same() -> None:
    assert found(Scanner(native=False), CORPUS) == WHOLE


def test_small_windows_find_the_same() -> None:
    assert found(SMALL, CORPUS) == WHOLE


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(CORPUS)), max_size=60))
def test_a_text_cut_anywhere_has_the_same_findings(at: list[int]) -> None:
    assert found(SMALL, CORPUS, at) == WHOLE


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 200))
def test_a_long_line_cut_into_bits_has_the_same_findings(seed: int, size: int) -> None:
    line = CORPUS[seed % len(CORPUS) :][:40_000].replace(b"\n", b" ")
    assert found(SMALL, line, range(0, len(line), size)) == found(SCANNER, line)


def test_a_value_over_two_segments_is_found_once_in_the_first() -> None:
    text = b"x" * 50 + b" ssn=536-90-4399 "
    for at in range(56, 66):
        (finding,) = found(SCANNER, text, [at])
        assert (finding.place.byte_offset, finding.length, finding.value) == (55, 11, "536-90-4399")


@pytest.mark.parametrize("edge", [1 << 16, 1 << 17, 1 << 20])
def test_a_number_stands_over_the_edge_of_a_block(edge: int) -> None:
    for start in range(edge - 17, edge + 2):
        (finding,) = found(SCANNER, b"x" * (start - 1) + b" 4539578763621486 " + b"x" * 100_000)
        assert finding.place.byte_offset == start


def test_what_a_taken_value_covers_is_not_found_in_the_next_window() -> None:
    url = "://x:c0rrect!415-555-2671!b@db "
    text = "".join(f"{url}{'.' * (n % 50)} " for n in range(6000))
    findings = found(SMALL, text)
    assert len(findings) == 6000
    assert findings == found(SCANNER, text)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_secret_is_known_by_its_column(kind: str, tmp_path: Path) -> None:
    secrets = [filled("‹A-Za-z0-9/+×40›", seed) for seed in range(3)]
    table = pa.table({"user": ["a", "b", "c"], "aws_secret_access_key": secrets, "commit": secrets})
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        pc.write_csv(table, path)
    else:
        pq.write_table(table, path)
    with path.open("rb") as file:
        findings = [one for one in Scanner().scan(read(file, path.name)) if isinstance(one, Finding)]
    assert [(one.place.column, one.value) for one in findings] == [
        ("aws_secret_access_key", secret) for secret in secrets
    ]


def test_a_table_without_names_is_judged_by_its_words() -> None:
    content = b"7,ssn 536904399,2\n8,txn 4539578763621486,2\n" * 3
    findings = [one for one in Scanner().scan(read(io.BytesIO(content), "")) if isinstance(one, Finding)]
    assert [(one.detector, one.place.column, one.place.row) for one in findings] == [
        ("ssn", "column 2", row) for row in (1, 3, 5)
    ]


def test_a_length_is_told_over_two_segments() -> None:
    content = ("é" * (SEGMENT // 2 - 3) + " ssn " + SSN).encode("utf-16")
    (finding,) = (one for one in Scanner().scan(read(io.BytesIO(content), "")) if isinstance(one, Finding))
    start = finding.place.byte_offset
    assert content[start : start + finding.length].decode("utf-16-le") == SSN


def test_texts_do_not_run_into_one_another() -> None:
    segments = [Bytes(b"536-90-"), Bytes(b"4399", member="b"), Bytes(b"x", member="c")]
    assert list(SCANNER.scan(segments)) == []


def test_what_was_not_read_is_passed_on() -> None:
    unread = Unread("a.zip/b", Why.ENCRYPTED, "encrypted")
    ours, theirs = SCANNER.scan([Bytes(b"ssn 536-90-4399"), unread, Bytes(b"", member="c")])
    assert theirs is ours or {type(ours), type(theirs)} == {Finding, Unread}


def test_only_some_are_reported_and_all_compete() -> None:
    for name in ("ssn", "us_phone", "email"):
        assert found(Scanner(only={name}), CORPUS) == [f for f in WHOLE if f.detector == name]


def test_a_pickled_scanner_finds_the_same() -> None:
    again = pickle.loads(pickle.dumps(Scanner([ALL["ssn"], ALL["email"]], only={"ssn"})))
    assert [f.detector for f in found(again, "ssn 536-90-4399 jane@example.org")] == ["ssn"]


def test_a_context_shows_no_other_value() -> None:
    text = "ssn 536-90-4399, card 4539578763621486, jane.roe@gmail.com, call 415-555-2671; " * 3
    findings = found(SCANNER, text)
    assert len(findings) == 12
    for finding in findings:
        for value in ("536-90-4399", "4539578763621486", "jane.roe", "415-555-2671"):
            assert value not in finding.context
            # nor the part of one that the context's edge cuts off
            assert value[-6:] not in finding.context
            assert value[:6] not in finding.context


def test_a_context_has_sixty_characters_on_either_side() -> None:
    text = "é" * 100 + " ssn=536-90-4399 " + "例" * 100
    (finding,) = found(SCANNER, text)
    assert finding.context == "é" * 55 + " ssn=XXX-XX-4399 " + "例" * 59


def test_a_context_is_one_line() -> None:
    (finding,) = found(SCANNER, "a\tb\r\n ssn=536-90-4399\x1b[0m\u2028")
    assert finding.context == "a b   ssn=XXX-XX-4399 [0m "


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="only: nonsense, expected some of ssn"):
        Scanner([ALL["ssn"]], only={"nonsense"})
    with pytest.raises(ValueError, match="expected each name once"):
        Scanner([ALL["ssn"], ALL["ssn"]])


def test_equal_values_have_equal_digests() -> None:
    one, two, three = found(SCANNER, "ssn 536-90-4399 ssn 536-90-4399 ssn 536-90-4398")
    assert one.digest(b"k") == two.digest(b"k") != three.digest(b"k")
    assert one.digest(b"k") != one.digest(b"l")


def test_a_line_without_end_needs_no_memory() -> None:
    piece = b"x" * (1 << 20)
    scanner = Scanner([ALL[name] for name in REQUIRED])
    tracemalloc.start()
    try:
        assert list(scanner.scan(Bytes(piece, index) for index in range(32))) == []
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


KINDS = {
    "US_SSN": ("ssn", 1.0, 0.99),
    "CREDIT_CARD": ("credit_card", 1.0, 0.99),
    "AWS_ACCESS_KEY": ("aws_access_key_id", 1.0, 0.99),
    "AWS_SECRET": ("aws_secret_access_key", 0.98, 0.99),
    "EMAIL": ("email", 1.0, 0.99),
    "US_PHONE": ("us_phone", 0.98, 0.95),
}


@pytest.mark.skipif(not GENERATOR.exists(), reason=f"{GENERATOR} is not on this machine")
@pytest.mark.parametrize("rate", [4, 200])
def test_a_log_with_planted_values(rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(sys, "argv", [str(GENERATOR), str(log), "4", "11", str(rate)])
    runpy.run_path(str(GENERATOR))
    planted = [json.loads(line) for line in (tmp_path / "log.truth.jsonl").read_text().splitlines()]
    findings = found(Scanner([ALL[name] for name in REQUIRED]), log.read_bytes())
    for kind, (name, recall, precision) in KINDS.items():
        truth = {(value["start"], value["end"]) for value in planted if value["type"] == kind}
        ours = {(f.place.byte_offset, f.place.byte_offset + f.length) for f in findings if f.detector == name}
        assert len(truth & ours) >= recall * len(truth), (name, len(truth - ours))
        assert len(truth & ours) >= precision * len(ours), (name, len(ours - truth))
