"""JSON Web Token: three parts of base64url, the first of which is an object that names its algorithm (RFC
7515 §3.1).
"""

import binascii
import json
from base64 import urlsafe_b64decode

from privacy_assets.scan.detectors.masks import KeepPrefix
from privacy_assets.scan.detectors.shape import (
    NOT_INSIDE,
    Confidence,
    Detector,
    Form,
    Literals,
    Severity,
    pattern,
)


def valid(value: str) -> bool:
    """Whether the header is a JSON object with ``alg``."""
    header = value.partition(".")[0]
    try:
        read = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(read, dict) and "alg" in read


JWT = Detector(
    name="jwt",
    version=1,
    title="JSON Web Token",
    severity=Severity.HIGH,
    forms=(
        Form(
            Literals((b"eyJ",)),
            pattern(
                NOT_INSIDE
                + r"eyJ[A-Za-z0-9_-]{10,1000} [.] eyJ[A-Za-z0-9_-]{6,2400} [.] [A-Za-z0-9_-]{0,690}"
                + r"(?![A-Za-z0-9_-])"
            ),
            alone=Confidence.HIGH,
        ),
    ),
    mask=KeepPrefix("eyJ"),
    valid=valid,
    examples=(
        "Authorization: Bearer ⟦eyJ‹h×1›bGciOiJIUzI1NiJ9.eyJ‹z×1›dWIiOiIxMjM0In0.‹A-Za-z0-9_×43›⟧",
        '{"id_token":"⟦eyJ‹h×1›bGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJ‹p×1›c3MiOiJ4In0.‹A-Za-z0-9_×86›⟧"}',
    ),
    decoys=(
        "eyJ2ZXJzaW9uIjozfQ",
        "eyJ2ZXJzaW9uIjozfQ.eyJ2ZXJzaW9uIjozfQ.‹A-Za-z0-9_×43›",
        "eyJ‹h×1›bGciOiJIUzI1NiJ9.‹a-z×20›.‹A-Za-z0-9_×43›",
    ),
)
