"""Masks reveal a few characters at most, of any value, in any script."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_assets.masking import DOTS, mask, scrub

PLANTED = [
    "123-45-6789",
    "4111 1111 1111 1111",
    "+1 (415) 555-2671",
    "jane.doe@example.com",
    "4111111111111111",
]


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("", ""),
        (None, ""),
        ("a", DOTS),
        ("1234567", DOTS),
        ("12345678", f"1{DOTS}8"),
        ("12345678901", f"1{DOTS}1"),
        ("123456789012", f"12{DOTS}12"),
        ("subject-000042", f"su{DOTS}42"),
        ("e\u0301" * 8, f"é{DOTS}é"),
        ("👩‍👩‍👧" * 7, DOTS),
        ("👍🏽1234567", f"👍🏽{DOTS}7"),
        ("🇩🇪1234567", f"🇩🇪{DOTS}7"),
        ("\u202esecret\u200bname\x00", f"s{DOTS}e"),
    ],
)
def test_the_masked_form(value: str | None, masked: str) -> None:
    assert mask(value) == masked


@given(st.text(min_size=1))
def test_a_mask_shows_at_most_a_third_and_hides_the_length(value: str) -> None:
    head, dots, tail = mask(value).partition(DOTS)
    assert dots == DOTS
    shown = len(re.sub(r"[\u0300-\u036f]", "", head + tail))
    assert shown == 0 or len(value) >= 8
    assert mask(value) == mask(value)


@given(st.text(alphabet="abcdefgh0123456789-@.", min_size=8))
def test_of_plain_text_no_more_than_four_characters_are_shown(value: str) -> None:
    assert len(mask(value).replace(DOTS, "")) <= min(4, len(value) // 3)


@pytest.mark.parametrize("planted", PLANTED)
def test_scrubbing_removes_planted_values(planted: str) -> None:
    scrubbed = scrub(f"found {planted} in message of 2026-01-02 03:04:05 UTC")
    assert planted not in scrubbed
    assert not re.search(r"\d{3}", scrubbed.replace("2026-01-02 03:04:05", ""))
    assert scrubbed.endswith("in message of 2026-01-02 03:04:05 UTC")


@pytest.mark.parametrize(
    "sentence",
    [
        "overdue since 2026-01-31, answered 2026-03-01T00:00:00Z",
        "11 opt-outs, 15 business days, Art. 6(1)(a)",
        "volume 1,234 against 98,765 (4.2 times)",
        "withdrawn 2026-01-02 03:04:05.123, processed 2026-01-03 00:00:00.000 UTC",
    ],
)
def test_scrubbing_leaves_sentences_without_persons_alone(sentence: str) -> None:
    assert scrub(sentence) == sentence


def test_known_values_are_masked_once_and_as_whole_words() -> None:
    known = ["subject-000042", "subject-000042-row-1", "7", "••••", None, ""]
    assert scrub("subject-000042-row-1 of subject-000042, rule 7 of 2027", known) == (
        f"su{DOTS}-1 of su{DOTS}42, rule {DOTS} of 2027"
    )


@pytest.mark.parametrize("piece", ["x", "a@", "7 ", "(", "1", "+(", "'", "a@b ", "2026-01-01 ", "\u0301"])
def test_scrubbing_takes_time_in_proportion_to_the_text(piece: str) -> None:
    """A cell of DynamoDB holds 400 KB."""
    text = piece * (400_000 // len(piece))
    started = time.perf_counter()
    scrub(text, [text, "y"])
    scrub(text, ["-" * 400_000])
    mask(text)
    assert time.perf_counter() - started < 10


def test_a_long_known_value_hides_what_follows_it() -> None:
    long = "Jane Doe of Berlin " * 100
    assert scrub(f"wrote {long}today", [long]) == f"wrote Ja{DOTS}ay"


def test_a_character_of_many_marks_is_shown_with_a_few() -> None:
    assert len(mask("a" + "\u0301" * 5000 + "bcdefghijklm")) < 40


def test_known_values_are_not_patterns() -> None:
    assert scrub("a.b and axb", ["a.b"]) == f"{DOTS} and axb"
