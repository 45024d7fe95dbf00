"""Who may call: clients, what they may do, and how their secrets are known without being kept.

A secret has 256 random bits, so it can't be guessed from its SHA-256, however fast that is; a slow hash is
for passwords that people choose, and here would only make ``POST /token`` easy to overload.
"""

import hashlib
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from privacy_assets.ledger.events import Event

SCOPES: Mapping[str, str] = {
    "events:write": "send events",
    "scans:write": "start scans",
    "scans:read": "read scans and what they found",
    "dsar:write": "submit requests of subjects",
    "dsar:read": "read requests of subjects and their bundles",
    "dsar:approve": "approve and reject requests of subjects, whoever submitted them",
}
CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LIVE = 2
"""How many secrets of a client are valid at once: the newest, and the one before it."""
OLD_SECRET = "old-secret#"  # noqa: S105  # what it says
"""What uses of a client's older secret are counted under, before its id."""
MOST_BYTES = 65_536
"""What a secret of Secrets Manager holds."""
_SECRET_BYTES = 116
_SPARE_BYTES = 2_048
"""For what is done while the ledger can't be reached; a revocation makes more room than it takes."""
_DUMMY = "0" * 64


class RegistryError(ValueError):
    """What can't be done with a client; one line that says what was expected."""


@dataclass(frozen=True)
class Hashed:
    """A client secret as it is kept."""

    hash: str
    created_at: datetime
    not_after: datetime


@dataclass(frozen=True)
class Client:
    """A program. ``buckets`` None: all of the estate; ``secrets`` newest first, none for an OIDC issuer's."""

    id: str
    scopes: tuple[str, ...]
    buckets: tuple[str, ...] | None = None
    secrets: tuple[Hashed, ...] = ()
    is_oidc: bool = False

    def with_secret(self, secret: str, now: datetime, valid: timedelta, overlap: timedelta) -> "Client":
        """Another secret beside the newest, which is valid for ``overlap`` more at most.

        Raises RegistryError when two are valid already, and for an empty one.
        """
        if not secret:
            raise RegistryError(f"{self.id}: its new secret is empty, expected one of 256 random bits")
        digest = hashed(self.id, secret)
        if any(one.hash == digest for one in self.secrets):
            return self
        live = [one for one in self.secrets if one.not_after > now]
        if len(live) >= LIVE:
            raise RegistryError(
                f"{self.id}: two secrets are valid, the older until {live[-1].not_after:%Y-%m-%d %H:%M} UTC; "
                "expected one of them to be revoked first"
            )
        older = [replace(one, not_after=min(one.not_after, now + overlap)) for one in live]
        return replace(self, secrets=(Hashed(digest, now, now + valid), *older))


class Untold(NamedTuple):
    """An event of the ledger that says what was done to clients, and may not be there yet."""

    id: str
    leaf: str


@dataclass(frozen=True)
class Registry:
    """All clients, as one secret of Secrets Manager holds them: so one that is unknown is known to be."""

    clients: Mapping[str, Client] = field(default_factory=dict)
    untold: tuple[Untold, ...] = ()

    def find(self, client_id: str) -> Client:
        """Raises RegistryError."""
        if client_id not in self.clients:
            raise RegistryError(f"{client_id}: no such client, expected one of those that `list` names")
        return self.clients[client_id]

    def put(self, client: Client) -> "Registry":
        return replace(self, clients={**self.clients, client.id: client})

    def without(self, client_id: str) -> "Registry":
        return replace(self, clients={name: one for name, one in self.clients.items() if name != client_id})

    def telling(self, event: Event) -> "Registry":
        """With an event that says what was changed."""
        return replace(self, untold=(*self.untold, Untold(uuid.uuid4().hex, event.encode().decode())))

    def told(self, ids: Collection[str]) -> "Registry":
        """Without the events that the ledger has."""
        return replace(self, untold=tuple(one for one in self.untold if one.id not in ids))

    def require_room(self) -> None:
        """Raises RegistryError where not every client could get its second secret, and the ledger be told."""
        own = [one for one in self.clients.values() if not one.is_oidc]
        rotated = sum(_SECRET_BYTES * (LIVE - len(one.secrets)) + len(one.id) + 3 for one in own)
        if len(self.text().encode()) + rotated + _SPARE_BYTES > MOST_BYTES:
            raise RegistryError(
                f"{len(self.clients):,} clients: no room for so many, expected one to be revoked first"
            )

    def text(self) -> str:
        """The document; 64 KiB hold some 190 clients with two secrets each."""
        return json.dumps(
            {
                "version": 1,
                "clients": {
                    one.id: {
                        "scopes": one.scopes,
                        "buckets": one.buckets,
                        "oidc": one.is_oidc,
                        "secrets": [
                            [each.hash, _text(each.created_at), _text(each.not_after)] for each in one.secrets
                        ],
                    }
                    for one in self.clients.values()
                },
                "untold": self.untold,
            },
            separators=(",", ":"),
        )


def parse_registry(text: str) -> Registry:
    """The registry in its document; an empty text holds no client."""
    if not text:
        return Registry()
    document = json.loads(text)
    found: dict[str, Any] = document["clients"]
    return Registry(
        {
            name: Client(
                name,
                tuple(one["scopes"]),
                None if one["buckets"] is None else tuple(one["buckets"]),
                tuple(Hashed(digest, _time(made), _time(end)) for digest, made, end in one["secrets"]),
                one["oidc"],
            )
            for name, one in found.items()
        },
        tuple(Untold(*one) for one in document.get("untold", ())),
    )


def new_secret() -> str:
    """256 random bits; the prefix lets a scanner of secrets know what it has found."""
    return f"pas_{secrets.token_urlsafe(32)}"


def hashed(client_id: str, secret: str) -> str:
    """How a secret is kept: SHA-256 in hexadecimal; the client's id makes equal secrets differ."""
    return hashlib.sha256(f"{client_id}\0{secret}".encode()).hexdigest()


def check(registry: Registry, client_id: str, secret: str, now: datetime) -> tuple[Client | None, bool]:
    """The client whose secret this is, and whether it is the newest one.

    It does the same work for a client that is unknown, a secret that is wrong and one that is too old. An
    empty one is nobody's, whatever the registry says.
    """
    client = registry.clients.get(client_id)
    known = client.secrets[:LIVE] if client is not None else ()
    digest = hashed(client_id, secret)
    found = -1
    for number in range(LIVE):
        kept = known[number].hash if number < len(known) else _DUMMY
        equal = hmac.compare_digest(kept, digest)
        if equal and number < len(known) and known[number].not_after > now:
            found = number
    return (client, found == 0) if secret and found >= 0 else (None, False)


def require_client(client_id: str, scopes: Sequence[str], buckets: Sequence[str] | None) -> None:
    """Raises RegistryError for an id or a scope that is none."""
    if not CLIENT_ID.fullmatch(client_id):
        raise RegistryError(f"{client_id!r}: expected 1 to 64 letters, digits, '.', '_' and '-'")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise RegistryError(f"scope {unknown[0]!r}: expected some of {', '.join(SCOPES)}")
    if not scopes:
        raise RegistryError(f"{client_id}: expected at least one scope of {', '.join(SCOPES)}")
    if buckets is not None and not all(buckets):
        raise RegistryError(f"{client_id}: expected names of buckets")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
