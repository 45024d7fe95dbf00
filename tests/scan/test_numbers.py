"""Runs of digits in groups: what the vectors find is what reading byte by byte finds."""

import random
import re
from itertools import pairwise

import pytest

from privacy_assets.scan.detectors import ALL
from privacy_assets.scan.detectors.credit_card import obeys_luhn
from privacy_assets.scan.detectors.shape import Numbers
from privacy_assets.scan.engine.numbers import Runs

ANCHORS = list(
    {
        (anchor.groups, anchor.separators, anchor.gap, anchor.preceded): anchor
        for anchor in (form.anchor for detector in ALL.values() for form in detector.forms)
        if isinstance(anchor, Numbers)
    }.values()
)
OTHERS = [
    Numbers(((1, 2), (3, 3)), b" -.", gap=4),
    Numbers(((2, 2), (1, 6)), b" -", gap=3),
    Numbers(((1, 6),)),
]


def _read(text: bytes, numbers: Numbers) -> list[int]:
    """Byte by byte, without what is only there to be faster."""
    runs = [match.span() for match in re.finditer(rb"[0-9]+", text)]
    found = []
    for number, (start, _) in enumerate(runs):
        taken = runs[number : number + len(numbers.groups)]
        before = [text[start - back : start - back + 1] for back in range(1, len(numbers.preceded) + 1)]
        if (
            len(taken) == len(numbers.groups)
            and all(
                least <= end - begin <= most
                for (begin, end), (least, most) in zip(taken, numbers.groups, strict=True)
            )
            and all(
                after[0] - run[1] <= numbers.gap and text[run[1]] in numbers.separators
                for run, after in pairwise(taken)
            )
            and all(
                expected.fullmatch(character if back <= start else b"\n")
                for back, (expected, character) in enumerate(zip(numbers.preceded, before, strict=True), 1)
            )
        ):
            found.append(start)
    return found


def _text(chance: random.Random, size: int) -> bytes:
    if chance.random() < 0.5:
        alphabet = chance.choice([b"0123456789", b"0123456789- .", b"0123456789 a-/.)(XYZ", b"01- ", b"5 "])
        return bytes(chance.choices(alphabet, k=size))
    lengths = [1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 9, 10, 11, 13, 15, 16, 19, 25]
    return b"".join(
        chance.choice([b"-", b" ", b". ", b")  ", b"", b"a"])
        + bytes(chance.choices(b"0123456789", k=chance.choice(lengths)))
        for _ in range(size // 4 + 1)
    )


@pytest.mark.parametrize("size", [1, 3, 20, 64, 65, 127, 128, 700, 3000])
def test_vectors_find_what_reading_finds(size: int) -> None:
    chance = random.Random(size)
    for _ in range(12):
        text = _text(chance, size)
        runs = Runs(text)
        for numbers in (*ANCHORS, *OTHERS):
            plain = Numbers(numbers.groups, numbers.separators, gap=numbers.gap, preceded=numbers.preceded)
            assert runs.matching(plain) == _read(text, plain), (plain, text)


def test_what_is_implausible_is_left_out_and_nothing_else() -> None:
    chance = random.Random(3)
    numbers = [str(chance.randint(10**12, 10**19 - 1)) for _ in range(3000)]
    text = b"numbers, and more: " + ",".join(numbers).encode()
    found = Runs(text).matching(Numbers(((13, 19),), leading=frozenset(range(40, 60)), plausible=obeys_luhn))
    doubled = str.maketrans("0123456789", "0246813579")
    at, expected = len(b"numbers, and more: "), []
    for number in numbers:
        total = sum(map(int, number[-1::-2])) + sum(map(int, number[-2::-2].translate(doubled)))
        if 40 <= int(number[:2]) < 60 and total % 10 == 0:
            expected.append(at)
        at += len(number) + 1
    assert len(expected) > 10
    assert found == expected
