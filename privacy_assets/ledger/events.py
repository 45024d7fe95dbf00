"""What the ledger holds: typed events, each as canonical JSON (RFC 8785), so that the same event is the same
bytes wherever it is written down.

No event holds a personal value. A subject is the HMAC of its identifier under a key that is not in the ledger
(``subject_hmac``); where a value must be proved later, its commitment is logged and the salt kept elsewhere:
whoever deletes the salt has deleted the last that told of it (GDPR Art. 17, Recital 26).
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import rfc8785

from privacy_assets.ledger.tiles import LONGEST_ENTRY

VERSION = 1
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EMAIL = re.compile(r"[^\s@]@[^\s@]{1,253}\.[^\s@]")  # linear in the text's length


class EventError(ValueError):
    """What is no event: the message names the field and what was expected, never the value."""


@dataclass(frozen=True)
class Event:
    """One thing that was done.

    ``kind`` is ``domain.verb``, such as ``scan.completed``; ``actor`` who did it: a role, a service or a
    person's id with the operator; ``stream`` groups the events of one request or job, whose id it is;
    ``subject`` is an HMAC in hexadecimal; ``counts`` are numbers before and after; ``artefacts`` the SHA-256
    (hexadecimal) of what was made, by name; ``details`` any JSON. Raises EventError.
    """

    kind: str
    actor: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    stream: str = ""
    run_id: str = ""
    code_version: str = ""
    config_hash: str = ""
    subject: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    artefacts: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise EventError("kind: expected domain.verb in lower case")
        if not self.actor:
            raise EventError("actor: expected who did it")
        if self.at.tzinfo is None:
            raise EventError("at: expected an instant with a zone")
        if self.subject and not _SHA256.fullmatch(self.subject):
            raise EventError("subject: expected an HMAC-SHA256 in hexadecimal")
        if not all(type(value) is int for value in self.counts.values()):
            raise EventError("counts: expected whole numbers")
        if not all(_SHA256.fullmatch(value) for value in self.artefacts.values()):
            raise EventError("artefacts: expected SHA-256 in hexadecimal")
        _refuse_addresses("stream", self.stream)
        _refuse_addresses("details", self.details)

    def encode(self) -> bytes:
        """The event as a leaf of the log. Raises EventError for what JSON has no canonical form of."""
        found: dict[str, Any] = {"v": VERSION, "at": _written(self.at)}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name != "at" and value:
                found[each.name] = dict(value) if isinstance(value, Mapping) else value
        try:
            leaf = rfc8785.dumps(found)
        except (rfc8785.CanonicalizationError, RecursionError) as error:
            raise EventError(f"no canonical JSON: {type(error).__name__}") from None
        if len(leaf) > LONGEST_ENTRY:
            raise EventError(f"{len(leaf)} bytes, expected at most {LONGEST_ENTRY}: log a hash instead")
        return leaf


def decode(leaf: bytes) -> Event:
    """The event in a leaf. Raises EventError, too for JSON that is not in its canonical form."""
    try:
        found = json.loads(leaf)
        if not isinstance(found, dict) or found.pop("v", None) != VERSION:
            raise EventError(f"expected an event of version {VERSION}")
        event = Event(**{**found, "at": datetime.fromisoformat(found["at"])})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EventError(f"no event: {type(error).__name__}") from None
    if event.encode() != leaf:
        raise EventError("not in canonical form")
    return event


def subject_hmac(key: bytes, identifier: str) -> str:
    """A subject as events name it: the same for the same identifier, and of no use without ``key``."""
    return hmac.new(key, b"subject\x00" + identifier.encode(), hashlib.sha256).hexdigest()


def commit(value: bytes, salt: bytes | None = None) -> tuple[str, bytes]:
    """A commitment to ``value`` and its salt: 32 random bytes unless told, to be kept outside of the ledger.

    The same value and salt give the same commitment, HMAC-SHA256 in hexadecimal, which proves the value to
    whoever is shown both.
    """
    salt = secrets.token_bytes(32) if salt is None else salt
    return hmac.new(salt, value, hashlib.sha256).hexdigest(), salt


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse_addresses(where: str, value: Any) -> None:
    """A net below the rule that nothing personal is logged: the commonest identifier is refused."""
    if isinstance(value, str):
        if _EMAIL.search(value):
            raise EventError(f"{where}: holds an e-mail address, expected an HMAC or a commitment")
    elif isinstance(value, Mapping):
        for name, each in value.items():
            _refuse_addresses(where, name)
            _refuse_addresses(where, each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _refuse_addresses(where, each)
