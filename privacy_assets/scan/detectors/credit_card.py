"""Payment card number: an issuer's range (ISO/IEC 7812-1, as the networks publish theirs) and Luhn's check
digit.

Visa 4; Mastercard 51-55 and 2221-2720; American Express 34 and 37; Discover 6011, 644-649 and 65; JCB
3528-3589; UnionPay 62; Diners Club 300-305, 3095, 36, 38 and 39; Maestro 50, 56-58, 6390 and 67 only next to
a word. One number in ten obeys Luhn's rule by chance, so lengths that identifiers like as well (13, 14, 17
to 19 digits) must stand alone in a field or next to a word.
"""

import numpy as np
from stdnum import luhn

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import (
    Confidence,
    Detector,
    Digits,
    Form,
    Mask,
    Numbers,
    Severity,
    groups,
    listed,
    pattern,
)

_DOUBLED = np.array([0, 2, 4, 6, 8, 1, 3, 5, 7, 9], np.uint8)


def obeys_luhn(digits: Digits) -> Mask:
    """ISO/IEC 7812-1 Annex B, row by row."""
    total = digits[:, -1::-2].sum(axis=1, dtype=np.uint16) + _DOUBLED[digits[:, -2::-2]].sum(
        axis=1, dtype=np.uint16
    )
    good: Mask = total % 10 == 0
    return good


def _plausible(digits: Digits) -> Mask:
    # Digits 3 to 6 alone, and 2 for Mastercard, start cards: cheaper than the check digit, and first.
    good: Mask = (digits[:, 0] >= 2) & (digits[:, 0] <= 6)
    good[good] = obeys_luhn(digits[good])
    return good


def network(digits: str) -> str | None:
    """The network whose range and length ``digits`` has.

    >>> network("4111111111111111"), network("2221000000000009"), network("1234567812345670")
    ('visa', 'mastercard', None)
    """
    length, head = len(digits), int(digits[:4])
    for name, lengths, ranges in _NETWORKS:
        if length in lengths and any(low <= head <= high for low, high in ranges):
            return name
    return None


_NETWORKS: tuple[tuple[str, tuple[int, ...], tuple[tuple[int, int], ...]], ...] = (
    ("visa", (13, 16, 19), ((4000, 4999),)),
    ("mastercard", (16,), ((5100, 5599), (2221, 2720))),
    ("american express", (15,), ((3400, 3499), (3700, 3799))),
    ("discover", (16, 17, 18, 19), ((6011, 6011), (6440, 6599))),
    ("jcb", (16, 17, 18, 19), ((3528, 3589),)),
    ("unionpay", (16, 17, 18, 19), ((6200, 6299),)),
    ("diners club", (14, 16), ((3000, 3059), (3095, 3095), (3600, 3699), (3800, 3999))),
    ("maestro", (13, 14, 15, 16, 17, 18, 19), ((5000, 5099), (5600, 5899), (6390, 6390), (6700, 6799))),
)


def valid(value: str) -> bool:
    """Whether a network issues such numbers and the check digit is right."""
    digits = "".join(character for character in value if character.isdigit())
    return network(digits) is not None and luhn.is_valid(digits) and len(set(digits)) > 1


def sample(value: str) -> bool:
    """Whether a payment provider publishes it for tests, as 4111 1111 1111 1111."""
    return "".join(character for character in value if character.isdigit()) in _SAMPLES


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

_START = r"(?<![A-Za-z0-9_+])(?<!\d[-.])(?<!\d{4}[ ])"
_END = r"(?![A-Za-z0-9_]|-[A-Za-z0-9]|[.]\d|[ ]\d{4}(?!\d))"
_FIELD = (r"(?<![^,;\t|\"'\n\r>])", r"(?![^,;\t|\"'\n\r<])")

CREDIT_CARD = Detector(
    name="credit_card",
    version=1,
    title="Payment card number",
    severity=Severity.HIGH,
    forms=(
        Form(
            Numbers(groups((15, 16)), plausible=_plausible),
            pattern(_START + r"(?:[24]\d{15}|5[1-5]\d{14}|6[0245]\d{14}|3[47]\d{13}|3[568]\d{14})" + _END),
        ),
        Form(
            Numbers(groups(4, 4, 4, 4), separators=b"- ", plausible=_plausible),
            pattern(_START + r"(?P<value>[2-6]\d{3}([- ])\d{4}\2\d{4}\2\d{4})" + _END),
        ),
        Form(
            Numbers(groups(4, 6, 5), separators=b"- ", plausible=_plausible),
            pattern(_START + r"(?P<value>3[47]\d\d([- ])\d{6}\2\d{5})" + _END),
        ),
        Form(
            Numbers(groups(4, 6, 4), separators=b"- ", plausible=_plausible),
            pattern(_START + r"(?P<value>3[0689]\d\d([- ])\d{6}\2\d{4})" + _END),
        ),
        Form(
            Numbers(groups(4, 4, 4, 4, 3), separators=b"- ", plausible=_plausible),
            pattern(_START + r"(?P<value>[3-6]\d{3}([- ])\d{4}\2\d{4}\2\d{4}\2\d{3})" + _END),
        ),
        Form(
            Numbers(groups(14), plausible=_plausible),
            pattern(_FIELD[0] + r"3[0689]\d{12}" + _FIELD[1]),
            alone=Confidence.LOW,
        ),
        Form(
            Numbers(groups((13, 19)), plausible=_plausible),
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
    ),
    examples=(
        "card ⟦4539578763621486⟧",
        "pan=⟦4539-5787-6362-1486⟧",
        "ada,⟦4539578763621486⟧,12/27",
        "⟦4539 5787 6362 1486⟧ 12/27 123",
        '{"number":"⟦2223000048400011⟧"}',
        "amex ⟦3714 496353 98431⟧",
        "⟦371449635398431⟧",
        "⟦6011000990139424⟧",
        "⟦3530111333300000⟧",
        "⟦30569309025904⟧",
        "card number: ⟦4222222222222⟧",
        "card=⟦6212345678900000003⟧",
        "1,⟦4111111111111111⟧,12.50",
        "card_id: ⟦4539578763621486⟧",
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
        "1234567812345670",
        "card 0000000000000000",
        "epoch_ms=1760000000000",
        '"id": 4539578763621486',
    ),
)
