"""Payment card number: an issuer's range (ISO/IEC 7812-1, as the networks publish theirs) and Luhn's check
digit.

Visa 4; Mastercard 51-55 and 2221-2720; American Express 34 and 37; Discover 6011, 644-649 and 65; JCB
3528-3589; UnionPay 62; Diners Club 300-305, 3095, 36, 38 and 39; Maestro 50, 56-58, 6390 and 67 only next to
a word. One number in ten obeys Luhn's rule by chance, so lengths that identifiers like as well (13 and 17 to
19 digits) must stand next to a word.
"""

import re

import numpy as np

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import (
    Confidence,
    Detector,
    Digits,
    Form,
    Mask,
    Numbers,
    Severity,
    digits_of,
    groups,
    listed,
    pattern,
)


def obeys_luhn(digits: Digits) -> Mask:
    """ISO/IEC 7812-1 Annex B, row by row."""
    once = np.arange(digits.shape[1], 0, -1) % 2 == 1
    # As products of matrices; a digit that becomes more than 9 by doubling counts 9 less.
    total = digits.astype(np.float32) @ np.where(once, np.float32(1), np.float32(2))
    total -= (digits > 4).astype(np.float32) @ np.where(once, np.float32(0), np.float32(9))
    good: Mask = total % 10 == 0
    return good


_LEADING = frozenset([*range(22, 28), 30, *range(34, 40), *range(40, 59), *range(60, 70)])


_ISSUED = re.compile(
    r"""4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})  # Visa
    |(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}  # Mastercard
    |3[47][0-9]{13}  # American Express
    |(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}  # Discover
    |35(?:2[89]|[3-8][0-9])[0-9]{12,15}  # JCB
    |62[0-9]{14,17}  # UnionPay
    |(?:30[0-5][0-9]|3095|36[0-9]{2}|3[89][0-9]{2})(?:[0-9]{10}|[0-9]{12})  # Diners Club
    |(?:50[0-9]{2}|5[6-8][0-9]{2}|6390|67[0-9]{2})[0-9]{9,15}  # Maestro
    """,
    re.VERBOSE,
)
_DOUBLES = bytes.maketrans(b"0123456789", b"0246813579")


def valid(value: str) -> bool:
    """Whether a network issues such numbers and the check digit is right.

    >>> valid("4111 1111 1111 1111"), valid("4111 1111 1111 1112"), valid("9111 1111 1111 1113")
    (True, False, False)
    """
    digits = digits_of(value)
    if not _ISSUED.fullmatch(digits):
        return False
    figures = digits.encode()
    total = sum(figures[-1::-2]) + sum(figures[-2::-2].translate(_DOUBLES)) - ord("0") * len(figures)
    return total % 10 == 0 and len(set(digits)) > 1


def sample(value: str) -> bool:
    """Whether a payment provider publishes it for tests, as 4111 1111 1111 1111."""
    return digits_of(value) in _SAMPLES


# Stripe, Adyen, PayPal and Braintree, pages "test card numbers".
_SAMPLES = listed(
    """
    4111111111111111 4242424242424242 4000056655665556 4012888888881881 4222222222222 4000000000000002
    4000002500003155 4005519200000004 4009348888881881 5555555555554444 5105105105105100
    5200828282828210 5454545454545454 2223003122003222 2223000048400011 2223000048410010 371449635398431
    378282246310005 378734493671000 6011111111111117 6011000990139424 6011981111111113 30569309025904
    38520000023237 36227206271667 3056930009020004 3566002020360505 3530111333300000 6200000000000005
    6200000000000047
    """
)

# No more digits; %B begins the first track of a magnetic stripe (ISO/IEC 7813).
_START = r"(?:(?<![A-Za-z0-9])(?<![^\n][+])(?<![A-Za-z0-9]_)|(?<=%B))(?<!\d[-.])(?<![^A-Za-z.][.])"
_END = r"(?![A-Za-z0-9]|[-_][A-Za-z0-9]|[.]\d)"
# Nor more groups of four, which tables of code points have.
_FIRST = _START + "(?<![0-9A-Fa-f]{4}[ ])(?<![0-9A-Fa-f]{5}[ ])"
_LAST = _END + "(?![ ][0-9A-Fa-f]{4,5}(?![0-9A-Za-z]))"
_FOURS = r"(?P<value>[2-6]\d{3}([- .])\d{4}\2\d{4}\2\d{4})"
_AMEX = r"(?P<value>3[47]\d\d([- .])\d{6}\2\d{5})"

CREDIT_CARD = Detector(
    name="credit_card",
    version=3,
    title="Payment card number",
    severity=Severity.HIGH,
    forms=(
        Form(
            Numbers(groups((15, 16)), leading=_LEADING, plausible=obeys_luhn),
            pattern(_START + r"(?:[24]\d{15}|5[1-5]\d{14}|6[0245]\d{14}|3[47]\d{13}|3[568]\d{14})" + _END),
        ),
        Form(
            Numbers(groups(4, 4, 4, 4), separators=b"- .", leading=_LEADING, plausible=obeys_luhn),
            pattern(_FIRST + _FOURS + _LAST),
        ),
        Form(
            Numbers(groups(4, 6, 5), separators=b"- .", leading=_LEADING, plausible=obeys_luhn),
            pattern(_FIRST + _AMEX + _LAST),
        ),
        Form(
            Numbers(groups(4, 4, 4, 3), separators=b"- ", leading=frozenset([34, 37]), plausible=obeys_luhn),
            pattern(_FIRST + r"(?P<value>3[47]\d\d([- ])\d{4}\2\d{4}\2\d{3})" + _LAST),
        ),
        Form(  # with what is written after it: 4539 5787 6362 1486 1227
            Numbers(groups(4, 4, 4, 4), separators=b"- .", leading=_LEADING, plausible=obeys_luhn),
            pattern(_FIRST + _FOURS + _END),
            alone=None,
        ),
        Form(
            Numbers(groups(4, 6, 5), separators=b"- .", leading=_LEADING, plausible=obeys_luhn),
            pattern(_FIRST + _AMEX + _END),
            alone=None,
        ),
        Form(
            Numbers(groups(4, 6, 4), separators=b"- .", leading=_LEADING, plausible=obeys_luhn),
            pattern(_FIRST + r"(?P<value>3[0689]\d\d([- .])\d{6}\2\d{4})" + _LAST),
        ),
        Form(
            Numbers(groups(4, 4, 4, 4, 3), separators=b"- .", leading=_LEADING, plausible=obeys_luhn),
            pattern(_FIRST + r"(?P<value>[3-6]\d{3}([- .])\d{4}\2\d{4}\2\d{4}\2\d{3})" + _LAST),
        ),
        Form(
            Numbers(groups(14), leading=_LEADING, plausible=obeys_luhn),
            pattern(_START + r"3[0689]\d{12}" + _END),
            alone=Confidence.LOW,
        ),
        Form(
            Numbers(groups((13, 19)), leading=_LEADING, plausible=obeys_luhn),
            pattern(_START + r"\d{13,19}" + _END),
            alone=None,
        ),
    ),
    mask=KeepLast(4),
    valid=valid,
    sample=sample,
    words=(
        "card",
        "cards",
        "cc",
        "ccn",
        "cc num",
        "cc number",
        "ccnum",
        "creditcard",
        "cardnumber",
        "cardnum",
        "pan",
        "visa",
        "mastercard",
        "amex",
        "american express",
        "discover",
        "jcb",
        "unionpay",
        "diners",
        "maestro",
        "payment",
        "credit",
        "debit",
        "cvv",
        "cvc",
        "cardholder",
    ),
    unless=(
        "order",
        "orders",
        "invoice",
        "tracking",
        "shipment",
        "id",
        "ids",
        "uid",
        "guid",
        "timestamp",
        "time",
        "ts",
        "epoch",
        "nonce",
        "seq",
        "sequence",
        "offset",
        "size",
        "bytes",
        "serial",
        "isbn",
        "ean",
        "upc",
        "sku",
        "imei",
        "hash",
        "checksum",
        "version",
        "build",
        "trace",
        "span",
        "request",
        "transaction",
        "txn",
    ),
    examples=(
        "card ⟦4539578763621486⟧",
        "pan=⟦4539-5787-6362-1486⟧",
        "ada,⟦4539578763621486⟧,12/27",
        "⟦4539 5787 6362 1486⟧ 12/27 123",
        '{"number":"⟦2223000048400011⟧"}',
        "amex ⟦3714 496353 98431⟧",
        "⟦371449635398431⟧",
        "amex ⟦3714-4963-5398-431⟧",
        "⟦6011000990139424⟧",
        "⟦3530111333300000⟧",
        "⟦30569309025904⟧",
        "card number: ⟦4222222222222⟧",
        "card=⟦6212345678900000003⟧",
        "1,⟦4111111111111111⟧,12.50",
        "card_id: ⟦4539578763621486⟧",
        "⟦4539578763621486⟧ 1227 123",
        "500 ⟦4539578763621486⟧",
        "⟦4242424242424242⟧ of 5555",
        "card ⟦4539 5787 6362 1486⟧ 1227",
        "⟦4539.5787.6362.1486⟧",
        "paid with ⟦30569309025904⟧ today",
        "%B⟦4539578763621486⟧^DOE/JANE^2712",
        "_⟦4539578763621486⟧_",
        "+⟦4539-5787-6362-1486⟧\n",
    ),
    decoys=(
        "card 4539578763621487",
        "ref=4539578763621487",
        "order=4539578763621486",
        "order=4222222222222",
        "0.4539578763621486",
        "uuid=45395787-6362-1486-4539-578763621486",
        "sha256=a4539578763621486f",
        "4539 5787 6362 1486 4539",
        "20F3B 20F4C 561F 6218 6241 6242 6243 39D8 62CF",
        "1234567812345670",
        "2591CC 4201 4202 4203 4204 4205",
        "e*(t-=.4539578763621486)*e",
        "[.4300.0020.0011.0002]",
        "00000010: 4539 5787 6362 1486 6f6b",
        "00000010: 30cc 4539 5787 6362 1486 6f6b",
        "card 0000000000000000",
        "epoch_ms=1760000000000",
        '"id": 4539578763621486',
        "cus_4539578763621486",
        "4539578763621486_1",
        "paid for order #4539578763621486",
        "card for invoice no. 4539578763621486",
    ),
)
