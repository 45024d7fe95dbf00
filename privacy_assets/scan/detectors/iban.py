"""International bank account number: ISO 13616, the country's length and the check digits modulo 97
(``stdnum.iban``).
"""

from collections import defaultdict

from stdnum import iban

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import Confidence, Detector, Form, Numbers, Severity, listed, pattern

_LENGTHS = listed(
    """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20
    EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30
    KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24
    PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29
    VA22 VG24 XK20
    """
)
"""SWIFT, "IBAN registry": the country and how many characters its numbers have."""


def _written() -> str:
    countries = defaultdict(list)
    for entry in sorted(_LENGTHS):
        countries[int(entry[2:])].append(entry[:2])
    forms = []
    for length, names in countries.items():
        whole, rest = divmod(length - 4, 4)
        last = f"[ ]?[A-Z0-9]{{{rest}}}" if rest else ""
        forms.append(rf"(?:{'|'.join(names)})\d\d(?:[ ]?[A-Z0-9]{{4}}){{{whole}}}{last}")
    return "|".join(forms)


IBAN = Detector(
    name="iban",
    version=1,
    title="International bank account number",
    severity=Severity.HIGH,
    forms=(
        Form(
            Numbers(
                ((2, 32),),
                preceded=(pattern("[A-Z]"), pattern("[A-Z]"), pattern(r"[^A-Za-z0-9]")),
                before=2,
                after=48,
            ),
            pattern(rf"(?<![A-Za-z0-9])(?:{_written()})(?![A-Za-z0-9])"),
            alone=Confidence.HIGH,
        ),
    ),
    mask=KeepLast(4),
    valid=iban.is_valid,
    words=("iban", "account", "bank", "konto", "sepa"),
    examples=(
        "IBAN ⟦DE89 3704 0044 0532 0130 00⟧",
        "iban=⟦GB82WEST12345698765432⟧",
        "⟦NO9386011117947⟧",
        "⟦FR14 2004 1010 0505 0001 3M02 606⟧ BIC PSSTFRPP",
    ),
    decoys=(
        "DE89 3704 0044 0532 0130 01",
        "DE8937040044053201300",
        "XX82WEST12345698765432",
        "aDE89370400440532013000",
    ),
)
