"""What the engine hands back."""

import hmac
from dataclasses import dataclass, field

from privacy_assets.scan.detectors.shape import Confidence, Severity
from privacy_assets.scan.text import Place


@dataclass(slots=True)
class Finding:
    """One value, where it stands, and how it may be shown. Everything but ``value`` may be stored.

    Not to be changed. It isn't frozen, since that takes ten times as long to make.
    """

    detector: str
    version: int
    """The detector's, so that a scan with a newer one knows what it replaces."""
    severity: Severity
    confidence: Confidence
    member: str
    """The path inside the object; ``""`` for the object itself."""
    place: Place
    length: int
    """Bytes of the value as it is written there: in the member's encoding, with its escapes."""
    masked: str
    context: str
    """The masked value with the sixty characters before and after it, in which every other value is masked
    too."""
    allowed: str | None = field(default=None, kw_only=True)
    """Why it is known and accepted, where it is."""
    value: str = field(repr=False, compare=False)
    """The value itself, for ``digest`` and for people who are allowed to reveal it. Never stored, never
    logged."""

    def digest(self, key: bytes) -> str:
        """HMAC-SHA-256 of the value in hexadecimal: tells equal values without telling the value (RFC
        2104)."""
        return hmac.digest(key, self.value.encode(), "sha256").hex()
