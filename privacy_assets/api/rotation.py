"""Clients are made and revoked, and secrets and keys rotated, without a valid client being refused.

Rotation takes Secrets Manager's four steps for all that is due together: *create* the new secrets beside the
old, *set* their hashes in the registry, *test* that they hold, *finish* by making them what programs read.
Between set and test it waits until every process of the API has read the registry again. The old secret
stays valid until the next rotation is due, so a program may fetch the new one at any time in between. A run
that was broken off goes on with the secrets that it had made.

A signing key is known to every process for five minutes before the first token is signed with it.

Who may call is in the ledger. The event that says what was done is put into the registry by the same write
that does it, and waits there until the ledger has it (``tell``): so neither a process that dies in between
nor a ledger that can't be reached leaves anything that is done and never told.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from privacy_assets.api import clients
from privacy_assets.api.clients import Client, Hashed, Registry, RegistryError, parse_registry
from privacy_assets.api.tokens import (
    LIFETIME,
    SigningKeys,
    TokenRefused,
    issue,
    named_issuer,
    parse_keys,
    utc_now,
    verify,
)
from privacy_assets.ledger.events import Event, decode

DUE = timedelta(days=30)
VALID = timedelta(days=90)
"""How long a secret or key lasts when rotation stops: two rotations may fail."""
OVERLAP = timedelta(days=29)
"""How long the one before is valid beside the new one: until the next rotation is due."""
KEY_SPREAD = timedelta(minutes=5)
KEY_OVERLAP = timedelta(hours=1)
"""Tokens live for 20 minutes; the rest is for a process that can't read the new key."""
REGISTRY_SPREAD = timedelta(seconds=10)
STREAM = "api-secrets"
"""What the ledger has the events of clients, secrets and keys under."""

Says = Callable[..., Event]
"""Makes an event of a kind and fields; it knows who does it."""


class Store(Protocol):
    """Secrets Manager, as ``resources.api_secrets`` has it."""

    def registry(self) -> str: ...

    def signing_keys(self) -> str: ...

    def change_registry(self, change: Callable[[str], str]) -> str: ...

    def change_signing_keys(self, change: Callable[[str], str]) -> str: ...

    def client_secret(self, client_id: str, *, pending: bool = False) -> str: ...

    def create_client_secret(self, client_id: str, text: str) -> bool: ...

    def put_pending_secret(self, client_id: str, text: str) -> None: ...

    def finish_client_secret(self, client_id: str) -> None: ...

    def delete_client_secret(self, client_id: str) -> None: ...


class Log(Protocol):
    """The ledger, as far as it is needed here."""

    def append(self, batch: Sequence[Event], once: str = "") -> list[int]: ...


def by_product(kind: str, **fields: Any) -> Event:
    """An event of what the product does by itself."""
    return Event(kind, "privacy-assets", **fields)


class RotationFailed(RuntimeError):  # noqa: N818  # what it is
    """A new secret or key does not hold. What was valid before still is; nothing was finished."""


@dataclass(frozen=True)
class Rotation:
    """The steps, on ``store``. ``clock`` and ``sleep`` can be replaced."""

    store: Store
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    registry_spread: timedelta = REGISTRY_SPREAD
    key_spread: timedelta = KEY_SPREAD
    says: Says = by_product

    def due(self) -> list[str]:
        """The clients whose newest secret is 30 days old, or whose last rotation was not finished."""
        since = self.clock() - DUE
        return sorted(
            client.id
            for client in parse_registry(self.store.registry()).clients.values()
            if client.secrets and (client.secrets[0].created_at <= since or self._is_unfinished(client.id))
        )

    def _is_unfinished(self, client_id: str) -> bool:
        return bool(self.store.client_secret(client_id, pending=True))

    def rotate(self, client_ids: Sequence[str]) -> list[str]:
        """All four steps for these clients; answers those that have a new secret.

        Two secrets of a client may be valid, not three: one whose older secret still is, is left for later.
        """
        able = self.able(client_ids)
        if not able:
            return []
        self.create_secret(able)
        self.set_secret(able)
        self.spread()
        self.test_secret(able)
        self.finish_secret(able)
        return able

    def able(self, client_ids: Sequence[str]) -> list[str]:
        """Those of them that have one valid secret, or a rotation to finish. Raises RegistryError."""
        return [client_id for client_id in client_ids if self._has_room(client_id)]

    def spread(self) -> None:
        """Wait until every process of the API has read the registry again."""
        self.sleep(self.registry_spread.total_seconds())

    def _has_room(self, client_id: str) -> bool:
        client, now = parse_registry(self.store.registry()).find(client_id), self.clock()
        if client.is_oidc:
            raise RegistryError(f"{client_id}: its secret is the OIDC issuer's, expected one of our own")
        live = [one for one in client.secrets if one.not_after > now]
        return len(live) < clients.LIVE or self._is_unfinished(client_id)

    def create_secret(self, client_ids: Sequence[str]) -> None:
        """A new secret for each, which nobody reads yet."""
        for client_id in client_ids:
            if not self._is_unfinished(client_id):
                self.store.put_pending_secret(client_id, _own(client_id, clients.new_secret()))

    def set_secret(self, client_ids: Sequence[str]) -> None:
        """Their hashes in the registry, so that both secrets are valid."""
        made = {client_id: self._pending(client_id) for client_id in client_ids}  # "": finished elsewhere

        def change(text: str) -> str:
            registry, now, new = parse_registry(text), self.clock(), []
            for client_id, secret in made.items():
                if secret and client_id in registry.clients:  # it may be revoked meanwhile
                    before = registry.find(client_id)
                    registry = registry.put(client := before.with_secret(secret, now, VALID, OVERLAP))
                    new += [client_id] if client != before else []
            if not new:
                return text
            counts, details = {"clients": len(new)}, {"clients": new}
            return _telling(registry, self.says, "secrets.rotated", counts=counts, details=details).text()

        self.store.change_registry(change)

    def test_secret(self, client_ids: Sequence[str]) -> None:
        """Both are valid by the registry as it is read now. Raises RotationFailed."""
        registry, now = parse_registry(self.store.registry()), self.clock()
        for client_id in client_ids:
            secret = self._pending(client_id)
            if not secret or client_id not in registry.clients:
                continue
            found, is_newest = clients.check(registry, client_id, secret, now)
            if found is None or not is_newest:
                raise RotationFailed(f"{client_id}: its new secret is not valid, the one before still is")

    def finish_secret(self, client_ids: Sequence[str]) -> None:
        """Programs read the new secret from now on."""
        registry = parse_registry(self.store.registry())
        for client_id in client_ids:
            if client_id in registry.clients:
                self.store.finish_client_secret(client_id)

    def _pending(self, client_id: str) -> str:
        """Empty when there is none: another run may have finished it."""
        text = self.store.client_secret(client_id, pending=True)
        return str(json.loads(text)["client_secret"]) if text else ""

    def rotate_keys(self, *, at_once: bool = False) -> bool:
        """Make a new signing key if the newest is 30 days old, or ``at_once``; whether there is a new one.

        The document holds both keys, so creating and setting are one step. It is tested by a token of each
        key before the document is put in its place. Raises RegistryError when two are valid already.
        """
        now = self.clock()
        made = False

        def change(text: str) -> str:
            nonlocal made
            keys = parse_keys(text)
            is_due = not keys.keys or now - keys.keys[0].signs_from >= DUE
            if not is_due and not at_once:
                return text
            made = True
            first = timedelta(0) if not keys.keys else self.key_spread
            changed = keys.with_key(now, first, VALID, KEY_OVERLAP)
            _test_keys(changed)
            return changed.text()

        self.store.change_signing_keys(change)
        return made


def _test_keys(keys: SigningKeys) -> None:
    """Each key signs a token that it verifies. Raises RotationFailed."""
    now = utc_now()
    for key in keys.keys:
        alone = SigningKeys((replace(key, signs_from=now, not_after=now + 2 * LIFETIME),), keys.salt)
        token = issue(alone, "test", ["test"], issuer="test", audience="test", now=now)
        _, header = named_issuer(token)
        try:
            verify(token, header, alone, issuer="test", audience="test", now=now)
        except TokenRefused as error:
            raise RotationFailed(f"signing key {key.kid}: its tokens are not valid") from error


def create_client(
    store: Store,
    client_id: str,
    scopes: Sequence[str],
    buckets: Sequence[str] | None,
    *,
    is_oidc: bool = False,
    clock: Callable[[], datetime] = utc_now,
    says: Says = by_product,
) -> Client:
    """A new client; its secret is in Secrets Manager before anybody can use it, and is not answered.

    Of two who make the same client at once one does. Raises RegistryError for a client that is there, also by
    half, and for an id or a scope that is none.
    """
    clients.require_client(client_id, scopes, buckets)
    now = clock()
    secret = "" if is_oidc else clients.new_secret()
    digest = clients.hashed(client_id, secret)
    hashes = () if is_oidc else (Hashed(digest, now, now + VALID),)
    client = Client(client_id, tuple(scopes), None if buckets is None else tuple(buckets), hashes, is_oidc)

    def change(text: str) -> str:
        registry = parse_registry(text)
        if (there := registry.clients.get(client_id)) is not None:
            if any(one.hash == digest for one in there.secrets):
                return text  # it is ours: the call that put it there was answered by an error
            raise RegistryError(f"{client_id}: there is such a client, expected a new name, or `rotate`")
        registry = registry.put(client)
        registry.require_room()
        details = {"client": client_id, "scopes": client.scopes, "buckets": client.buckets, "oidc": is_oidc}
        return _telling(registry, says, "client.created", details=details).text()

    change(store.registry())
    if secret and not store.create_client_secret(client_id, _own(client_id, secret)):
        raise RegistryError(
            f"{client_id}: its secret is there and the client is not, another `create` is at work or was "
            f"broken off; expected a new name, or `client revoke {client_id}` first"
        )
    try:
        store.change_registry(change)
    except ValueError:  # another was faster with a client that has no secret of ours, or there is no room
        if secret:
            store.delete_client_secret(client_id)
        raise
    return client


def revoke_client(store: Store, client_id: str, *, says: Says = by_product) -> None:
    """No secret and no token of the client is valid in half a minute's time.

    It is taken from the registry first: from then on it is no client, wherever this ends. What a revocation
    or a creation that was broken off has left of it is deleted, too. Raises RegistryError.
    """

    def change(text: str) -> str:
        registry = parse_registry(text)
        if not store.client_secret(client_id):
            registry.find(client_id)
        if client_id not in registry.clients:
            return text
        details = {"client": client_id}
        return _telling(registry.without(client_id), says, "client.revoked", details=details).text()

    store.change_registry(change)
    store.delete_client_secret(client_id)


def revoke_old_secret(
    store: Store, client_id: str, clock: Callable[[], datetime] = utc_now, *, says: Says = by_product
) -> bool:
    """Only the newest secret stays valid; whether there was another. Raises RegistryError."""
    had = False

    def change(text: str) -> str:
        nonlocal had
        registry, now = parse_registry(text), clock()
        client = registry.find(client_id)
        had = any(one.not_after > now for one in client.secrets[1:])
        if not had:
            return text
        registry = registry.put(replace(client, secrets=client.secrets[:1]))
        counts, details = {"clients": 1}, {"clients": [client_id]}
        return _telling(registry, says, "secrets.dropped", counts=counts, details=details).text()

    store.change_registry(change)
    return had


def tell(store: Store, log: Log) -> None:
    """Bring what was done to clients, and waits in the registry, into the ledger, each event once."""
    waiting = parse_registry(store.registry()).untold
    for each in waiting:
        log.append([decode(each.leaf.encode())], f"{STREAM}/{each.id}")
    if waiting:
        done = {each.id for each in waiting}
        store.change_registry(lambda text: parse_registry(text).told(done).text())


def tell_key(store: Store, log: Log, says: Says = by_product, *, made: bool) -> None:
    """Have the id of the newest signing key in the ledger, once for each key."""
    newest = parse_keys(store.signing_keys()).keys[0]
    details = {"kid": newest.kid, "signs_from": newest.signs_from.isoformat(), "made_now": made}
    log.append([says("signing_key.newest", stream=STREAM, details=details)], f"signing-key/{newest.kid}")


def _telling(registry: Registry, says: Says, kind: str, **fields: Any) -> Registry:
    return registry.telling(says(kind, stream=STREAM, **fields))


def ensure_keys(store: Store, clock: Callable[[], datetime] = utc_now) -> bool:
    """Make the first signing key if there is none; whether it was made."""
    if parse_keys(store.signing_keys()).keys:
        return False
    return Rotation(store, clock).rotate_keys()


def _own(client_id: str, secret: str) -> str:
    return json.dumps({"client_id": client_id, "client_secret": secret})
