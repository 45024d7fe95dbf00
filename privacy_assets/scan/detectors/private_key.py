"""Private key in PEM (RFC 7468) or OpenSSH's and PGP's armour, with enough of a body to be one.

A header alone is no finding: documentation, parsers and certificates' tools are full of headers. A line break
may be an escape (``\\n``), as in JSON and environment files. Of a key of more than four KiB the beginning is
found.
"""

from privacy_assets.scan.detectors.masks import hide
from privacy_assets.scan.detectors.shape import Confidence, Detector, Form, Literals, Severity, pattern

PRIVATE_KEY = Detector(
    name="private_key",
    version=1,
    title="Private key",
    severity=Severity.CRITICAL,
    forms=(
        Form(
            Literals((b"-----BEGIN",)),
            pattern(
                r"""-----BEGIN [ ] (?:[A-Z0-9]{2,12}[ ]){0,3} PRIVATE[ ]KEY (?:[ ]BLOCK)? -----
                (?:\\[nr]|[\s>|"+,']){1,40}
                (?:[A-Z][A-Za-z-]{2,20}:[ ][^\r\n\\]{1,100} (?:\\[nr]|\s){1,9}){0,4}
                [A-Za-z0-9+/=] (?: [A-Za-z0-9+/=\s"',>|] | \\[nr] ){50,3500}
                (?: -----END [ ] (?:[A-Z0-9]{2,12}[ ]){0,3} PRIVATE[ ]KEY (?:[ ]BLOCK)? ----- )?"""
            ),
            alone=Confidence.HIGH,
        ),
    ),
    mask=hide,
    examples=(
        "⟦-----BEGIN RSA PRI‹V×1›ATE KEY-----\n‹A-Za-z0-9+/×99›\n-----END RSA PRI‹V×1›ATE KEY-----⟧\n",
        '"⟦-----BEGIN PRI‹V×1›ATE KEY-----\\n‹A-Za-z0-9+/×70›==\\n-----END PRI‹V×1›ATE KEY-----⟧\\n"',
        "⟦-----BEGIN OPENSSH PRI‹V×1›ATE KEY-----\n‹A-Za-z0-9+/×70›\n-----END OPENSSH PRI‹V×1›ATE KEY-----⟧",
    ),
    decoys=(
        "-----BEGIN RSA PRI‹V×1›ATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\n‹A-Za-z0-9+/×64›\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\n‹A-Za-z0-9+/×64›\n‹A-Za-z0-9+/×64›\n-----END CERTIFICATE-----",
        "-----BEGIN RSA PRI‹V×1›ATE KEY-----\n...\n-----END RSA PRI‹V×1›ATE KEY-----",
    ),
)
