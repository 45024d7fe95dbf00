"""US numbers beside the social security number: taxpayers' (ITIN), employers' (EIN) and passports'.

IRS Publication 1915 (ITIN: 9, then the group in 50-65, 70-88, 90-92, 94-99) and the IRS's list of EIN
prefixes, both by ``stdnum``; the State Department's passport numbers, nine digits or a letter and eight. All
but the hyphenated ITIN look like other numbers and need a word.
"""

from stdnum.us import ein, itin

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import Detector, Form, Numbers, Severity, groups, pattern

_START = r"(?<![A-Za-z0-9_-])(?<!\d[.+])"
_END = r"(?![A-Za-z0-9_-]|[.]\d)"

US_ITIN = Detector(
    name="us_itin",
    version=1,
    title="US individual taxpayer identification number",
    severity=Severity.HIGH,
    forms=(
        Form(Numbers(groups(3, 2, 4), separators=b"-"), pattern(_START + r"9\d\d-\d\d-\d{4}" + _END)),
        Form(
            Numbers(groups(3, 2, 4), separators=b" "),
            pattern(_START + r"9\d\d[ ]\d\d[ ]\d{4}" + _END),
            alone=None,
        ),
        Form(Numbers(groups(9)), pattern(_START + r"9\d{8}" + _END), alone=None),
    ),
    mask=KeepLast(4),
    valid=itin.is_valid,
    words=("itin", "individual taxpayer", "taxpayer id", "taxpayer identification", "tax id", "tin", "ssn"),
    examples=("ITIN ⟦912-90-3456⟧", "⟦912-90-3456⟧", "taxpayer id: ⟦912903456⟧"),
    decoys=("ITIN 912-66-3456", "912903456", "812-90-3456"),
)

US_EIN = Detector(
    name="us_ein",
    version=1,
    title="US employer identification number",
    severity=Severity.LOW,
    forms=(
        Form(Numbers(groups(2, 7), separators=b"-"), pattern(_START + r"\d\d-\d{7}" + _END), alone=None),
        Form(Numbers(groups(9)), pattern(_START + r"\d{9}" + _END), alone=None),
    ),
    mask=KeepLast(4),
    valid=ein.is_valid,
    words=("ein", "fein", "employer id", "employer identification", "federal tax id", "tax id", "irs no"),
    examples=("EIN: ⟦91-1144442⟧", "employer identification number ⟦91-1144442⟧"),
    decoys=("91-1144442", "EIN: 07-1144442", "order 911144442"),
)

US_PASSPORT = Detector(
    name="us_passport",
    version=1,
    title="US passport number",
    severity=Severity.HIGH,
    forms=(
        Form(Numbers(groups(9)), pattern(_START + r"\d{9}" + _END), alone=None),
        Form(
            Numbers(groups(8), preceded=(pattern("[A-Z]"), pattern("[^A-Za-z0-9]")), before=1),
            pattern(_START + r"[A-Z]\d{8}" + _END),
            alone=None,
        ),
    ),
    mask=KeepLast(3),
    words=("passport", "passport no", "passport number", "passportno", "passportnumber", "us passport"),
    examples=(
        "passport number: ⟦488839667⟧",
        '{"passportNumber": "⟦A12345678⟧"}',
        "Passport No. ⟦488839667⟧",
    ),
    decoys=("488839667", "A12345678", "passport 48883966", "order=488839667"),
)
