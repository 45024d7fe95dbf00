"""UK national insurance number and NHS number.

HMRC National Insurance Manual NIM39110: two letters without D, F, I, Q, U, V (nor O second), not BG, GB, KN,
NK, NT, TN, ZZ, six digits, A to D. NHS Data Dictionary, "NHS number": ten digits, the last by modulus 11
(``stdnum.gb.nhs``); one in eleven numbers obeys, so it needs a word.
"""

from stdnum.gb import nhs

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import Detector, Form, Numbers, Severity, groups, pattern

_LETTERS = "(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"

UK_NINO = Detector(
    name="uk_nino",
    version=1,
    title="UK national insurance number",
    severity=Severity.HIGH,
    forms=(
        Form(
            Numbers(
                groups(6), preceded=(pattern("[A-Z]"), pattern("[A-Z]"), pattern("[^A-Za-z0-9]")), before=2
            ),
            pattern(rf"(?<![A-Za-z0-9_-]){_LETTERS}\d{{6}}[A-D](?![A-Za-z0-9_-])"),
        ),
        Form(
            Numbers(groups(2, 2, 2), separators=b" ", preceded=(pattern("[A-Z ]"),), before=3),
            pattern(rf"(?<![A-Za-z0-9_-]){_LETTERS}[ ]?\d\d[ ]\d\d[ ]\d\d[ ]?[A-D](?![A-Za-z0-9_-])"),
        ),
    ),
    mask=KeepLast(3),
    words=("nino", "national insurance", "ni no", "ni number", "insurance number"),
    examples=("NINO ⟦AB123456C⟧", "national insurance: ⟦AB 12 34 56 C⟧"),
    decoys=("GB123456C", "AB123456E", "DB123456C", "XAB123456C", "AB1234567C"),
)

UK_NHS_NUMBER = Detector(
    name="uk_nhs_number",
    version=1,
    title="UK NHS number",
    severity=Severity.HIGH,
    forms=(
        Form(
            Numbers(groups(3, 3, 4), separators=b" -"),
            pattern(r"(?<![A-Za-z0-9_-])(?P<value>\d{3}([ -])\d{3}\2\d{4})(?![A-Za-z0-9_-]|[.]\d)"),
            alone=None,
        ),
        Form(Numbers(groups(10)), pattern(r"(?<![A-Za-z0-9_-])\d{10}(?![A-Za-z0-9_-]|[.]\d)"), alone=None),
    ),
    mask=KeepLast(4),
    valid=nhs.is_valid,
    words=("nhs", "nhs no", "nhs number", "nhsnumber", "national health"),
    examples=("NHS number: ⟦943 476 5870⟧", '{"nhsNumber":"⟦9434765870⟧"}', "nhs_no=⟦943-476-5870⟧"),
    decoys=("943 476 5870", "NHS number: 943 476 5871", "order 9434765870"),
)
