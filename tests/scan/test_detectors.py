"""Each detector finds its examples, exactly where they stand, and none of its decoys: with either engine."""

import doctest
import pkgutil
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.us import ssn

from privacy_assets.scan import detectors
from privacy_assets.scan.detectors import ALL, REQUIRED, Detector
from privacy_assets.scan.engine import Scanner
from tests.scan.planted import filled, found, parted

EXAMPLES = [
    pytest.param(detector, example, id=f"{detector.name}: {example[:50]!r}")
    for detector in ALL.values()
    for example in detector.examples
]
DECOYS = [
    pytest.param(detector, decoy, id=f"{detector.name}: {decoy[:50]!r}")
    for detector in ALL.values()
    for decoy in detector.decoys
]
EVERYTHING = {native: Scanner(native=native) for native in (None, False)}


def test_the_required_ones_are_there() -> None:
    assert set(REQUIRED) <= set(ALL)


@pytest.mark.parametrize("detector", ALL.values(), ids=ALL)
def test_each_says_what_it_finds_and_what_it_does_not(detector: Detector) -> None:
    assert detector.title
    assert detector.version >= 1
    assert detector.examples
    assert detector.decoys


@pytest.mark.parametrize("native", [None, False])
@pytest.mark.parametrize(("detector", "example"), EXAMPLES)
def test_an_example_is_found(detector: Detector, example: str, native: bool | None) -> None:
    text, values = parted(example)
    assert len(values) == 1, "expected one value between ⟦ and ⟧"
    here = [finding for finding in found(EVERYTHING[native], text) if finding.detector == detector.name]
    assert [(f.place.byte_offset, f.place.byte_offset + f.length, f.value) for f in here] == values
    (finding,) = here
    assert finding.value not in repr(finding)
    assert finding.value not in finding.masked
    assert finding.value not in finding.context
    assert finding.masked in finding.context


@pytest.mark.parametrize("native", [None, False])
@pytest.mark.parametrize(("detector", "decoy"), DECOYS)
def test_a_decoy_is_not(detector: Detector, decoy: str, native: bool | None) -> None:
    assert not [f for f in found(EVERYTHING[native], filled(decoy)) if f.detector == detector.name]


@pytest.mark.parametrize("detector", ALL.values(), ids=ALL)
def test_a_mask_hides_two_thirds(detector: Detector) -> None:
    for example in detector.examples:
        ((_, _, value),) = parted(example)[1]
        shown = detector.mask(value)
        common = sum(a == b and a.isalnum() for a, b in zip(value, shown, strict=False))
        # of e-mail addresses and networks the part that many share is shown
        assert detector.name in {"email", "ipv4", "ipv6"} or common <= max(4, len(value) // 3), (
            detector.name,
            shown,
        )


def test_the_examples_in_docstrings_are_true() -> None:
    for module in pkgutil.iter_modules(detectors.__path__):
        loaded = import_module(f"{detectors.__name__}.{module.name}")
        assert doctest.testmod(loaded).failed == 0, module.name


@given(st.from_regex("[0-9]{9}", fullmatch=True))
def test_the_rule_of_social_security_numbers_is_stdnums(digits: str) -> None:
    expected = ssn.is_valid(digits) and len(set(digits)) > 1
    assert ALL["ssn"].valid(digits) == expected


@given(st.sampled_from(["4", "51", "2221", "2720", "37", "6011", "3528", "62", "36"]), st.integers(0, 10**14))
def test_the_check_digit_of_cards_is_stdnums(head: str, rest: int) -> None:
    size = {"37": 15, "36": 14}.get(head, 16) - 1
    digits = (head + str(rest).zfill(15))[:size]
    digits += luhn.calc_check_digit(digits)
    assert ALL["credit_card"].valid(digits) == (len(set(digits)) > 1)
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    assert not ALL["credit_card"].valid(wrong)
