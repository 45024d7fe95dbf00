"""National identification numbers of other countries, each by its own check digits (``stdnum``).

Canada: social insurance number (ESDC; Luhn). Germany: Steuer-IdNr (§ 139b AO; ISO 7064). France: NIR (INSEE;
modulo 97). Spain: DNI and NIE (Real Decreto 1553/2005; modulo 23). India: Aadhaar (UIDAI; Verhoeff) and PAN
(Income-tax Rules, rule 114). Where a tenth of all numbers obeys the rule, a word is needed.
"""

from collections.abc import Callable

from stdnum.ca import sin
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar, pan

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import Confidence, Detector, Form, Numbers, Severity, groups, pattern

_START = r"(?<![A-Za-z0-9_-])(?<!\d[.+ ])"
_END = r"(?![A-Za-z0-9_-]|[. ]\d)"


def _number(
    name: str,
    title: str,
    valid: Callable[[str], bool],
    forms: tuple[tuple[Numbers, str, Confidence | None], ...],
    words: tuple[str, ...],
    examples: tuple[str, ...],
    decoys: tuple[str, ...],
) -> Detector:
    return Detector(
        name=name,
        version=1,
        title=title,
        severity=Severity.HIGH,
        forms=tuple(
            Form(numbers, pattern(_START + text + _END), alone=alone) for numbers, text, alone in forms
        ),
        mask=KeepLast(3),
        valid=valid,
        words=words,
        examples=examples,
        decoys=decoys,
    )


NUMBERS = (
    _number(
        "ca_sin",
        "Canadian social insurance number",
        sin.is_valid,
        (
            (Numbers(groups(3, 3, 3), separators=b"- "), r"(?P<value>[1-79]\d\d([- ])\d{3}\2\d{3})", None),
            (Numbers(groups(9)), r"[1-79]\d{8}", None),
        ),
        ("sin", "social insurance", "nas", "assurance sociale"),
        ("SIN: ⟦123-456-782⟧", "social insurance number ⟦123 456 782⟧", '{"sin":"⟦123456782⟧"}'),
        ("123-456-782", "SIN: 123-456-783", "since 123456782"),
    ),
    _number(
        "de_tax_id",
        "German tax identification number",
        idnr.is_valid,
        (
            (Numbers(groups(11)), r"[1-9]\d{10}", None),
            (Numbers(groups(2, 3, 3, 3), separators=b" "), r"[1-9]\d[ ]\d{3}[ ]\d{3}[ ]\d{3}", None),
        ),
        (
            "steuer id",
            "steuerid",
            "steuer idnr",
            "idnr",
            "steueridentifikationsnummer",
            "steuernummer",
            "steuer",
            "tax id",
            "tin",
        ),
        ("Steuer-ID: ⟦36 574 261 809⟧", "IdNr ⟦36574261809⟧"),
        ("36574261809", "Steuer-ID: 36574261808"),
    ),
    _number(
        "fr_nir",
        "French social security number",
        nir.is_valid,
        (
            (Numbers(groups(15)), r"[1-478]\d{14}", None),
            (
                Numbers(groups(1, 2, 2, (1, 2), 3, 3, 2), separators=b" "),
                r"[1-478][ ]\d\d[ ]\d\d[ ]\d\d[ ]\d{3}[ ]\d{3}[ ]\d\d",
                Confidence.MEDIUM,
            ),
        ),
        ("nir", "securite sociale", "sécurité sociale", "secu", "numero de securite sociale", "insee", "nss"),
        ("NIR ⟦2 95 10 99 126 111 93⟧", "nir=⟦295109912611193⟧", "⟦2 95 10 99 126 111 93⟧"),
        ("295109912611193", "NIR 295109912611199"),
    ),
    _number(
        "es_dni",
        "Spanish identity number",
        dni.is_valid,
        ((Numbers(groups(8)), r"\d{8}[ -]?[A-HJ-NP-TV-Z]", Confidence.LOW),),
        ("dni", "nif", "documento nacional", "identidad"),
        ("DNI ⟦54362315K⟧", "⟦54362315K⟧"),
        ("54362315A", "154362315K", "a54362315K"),
    ),
    _number(
        "es_nie",
        "Spanish foreigner's number",
        nie.is_valid,
        (
            (
                Numbers(groups(7), preceded=(pattern("[XYZ-]"),), before=2),
                r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]",
                Confidence.MEDIUM,
            ),
        ),
        ("nie", "extranjero", "nif"),
        ("NIE ⟦X2482300W⟧", "⟦X-2482300W⟧"),
        ("X2482300A", "W2482300W", "AX2482300W"),
    ),
    _number(
        "in_aadhaar",
        "Indian Aadhaar number",
        aadhaar.is_valid,
        (
            (
                Numbers(groups(4, 4, 4), separators=b" -"),
                r"(?P<value>[2-9]\d{3}([ -])\d{4}\2\d{4})",
                Confidence.LOW,
            ),
            (Numbers(groups(12)), r"[2-9]\d{11}", None),
        ),
        ("aadhaar", "aadhar", "uidai", "uid"),
        ("Aadhaar: ⟦2341 2341 2346⟧", "aadhaar_no=⟦234123412346⟧"),
        ("234123412346", "Aadhaar: 2341 2341 2347", "1341 2341 2346"),
    ),
    _number(
        "in_pan",
        "Indian permanent account number",
        pan.is_valid,
        (
            (
                Numbers(
                    groups(4),
                    preceded=(pattern("[A-Z]"), pattern("[ABCFGHJLPT]"), pattern("[A-Z]")),
                    before=5,
                ),
                r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]",
                Confidence.MEDIUM,
            ),
        ),
        ("pan", "permanent account", "income tax"),
        ("PAN ⟦ACUPA7085R⟧", "⟦ACUPA7085R⟧"),
        ("ACUXA7085R", "ACUPA0000R", "XACUPA7085R"),
    ),
)
