"""Access tokens: our own (HS256, RFC 9068's ``at+jwt``) and those of an OIDC issuer (RS256).

What a token says of itself picks nothing but one of the known issuers; the issuer says which algorithm and
which keys (RFC 8725 §3.1). One that brings keys of its own (``jku``, ``x5u``, ``jwk``, ``x5c``) is refused.
"""

import json
import math
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from privacy_assets.api.cached import PATIENCE_SECONDS, Cached
from privacy_assets.api.clients import LIVE, RegistryError

LIFETIME = timedelta(minutes=20)
LEEWAY = timedelta(seconds=5)
"""How far clocks of our own machines may be apart."""
OLD_KEY = "old-signing-key"
"""What tokens of a key that signs no more are counted under."""
KEY_BYTES = 32  # RFC 7518 §3.2: as long as the hash
_LONGEST = 8192
_OWN_HEADER = {"alg", "typ", "kid"}
_JWT = jwt.PyJWT(options={"enforce_minimum_key_length": True})
_FOREIGN = {"jku", "jwk", "x5u", "x5c", "crit"}


class TokenRefused(Exception):  # noqa: N818  # what it is
    """Why, in words for the log; whoever sent the token is told nothing but that it is not valid."""


@dataclass(frozen=True)
class SigningKey:
    """A key that tokens are signed with from ``signs_from`` on, and valid by until ``not_after``."""

    kid: str
    key: bytes = field(repr=False)
    signs_from: datetime
    not_after: datetime


@dataclass(frozen=True)
class SigningKeys:
    """The keys that are live, newest first, and a salt that never changes."""

    keys: tuple[SigningKey, ...]
    salt: bytes = field(repr=False)

    def signing(self, now: datetime) -> SigningKey:
        """The key to sign with: every process has read a key some time before it is signed with."""
        usable = [key for key in self.keys if key.not_after > now + LIFETIME]
        if not usable:
            raise LookupError("no signing key is valid: rotate the secrets")
        return next((key for key in usable if key.signs_from <= now), usable[-1])

    def verifying(self, kid: str, now: datetime) -> SigningKey | None:
        return next((key for key in self.keys if key.kid == kid and key.not_after > now), None)

    def with_key(
        self, now: datetime, spread: timedelta, valid: timedelta, overlap: timedelta
    ) -> "SigningKeys":
        """A new key, which signs once ``spread`` has passed; the one before is valid for ``overlap`` more.

        Raises RegistryError when two are valid already: tokens of the older one would be refused.
        """
        live = [one for one in self.keys if one.not_after > now]
        if len(live) >= LIVE:
            raise RegistryError(
                f"two signing keys are valid, the older until {live[-1].not_after:%Y-%m-%d %H:%M} UTC; "
                "expected one"
            )
        signs_from = now + spread
        end = signs_from + overlap
        older = [replace(one, not_after=min(one.not_after, end)) for one in live]
        return SigningKeys((new_key(signs_from, now + valid), *older), self.salt)

    def text(self) -> str:
        """The document."""
        keys = [
            {
                "kid": one.kid,
                "key": urlsafe_b64encode(one.key).decode(),
                "signs_from": one.signs_from.isoformat(),
                "not_after": one.not_after.isoformat(),
            }
            for one in self.keys
        ]
        return json.dumps({"version": 1, "salt": urlsafe_b64encode(self.salt).decode(), "keys": keys})


def new_key(signs_from: datetime, not_after: datetime) -> SigningKey:
    """A random key."""
    return SigningKey(secrets.token_hex(8), secrets.token_bytes(KEY_BYTES), signs_from, not_after)


def parse_keys(text: str) -> SigningKeys:
    """The keys in their document. Raises ValueError for a key of fewer than 32 bytes."""
    if not text:
        return SigningKeys((), secrets.token_bytes(KEY_BYTES))
    said = json.loads(text)
    keys = tuple(
        SigningKey(
            one["kid"],
            urlsafe_b64decode(one["key"]),
            datetime.fromisoformat(one["signs_from"]),
            datetime.fromisoformat(one["not_after"]),
        )
        for one in said["keys"]
    )
    if any(len(one.key) < KEY_BYTES for one in keys):
        raise ValueError(f"a signing key is too short, expected {KEY_BYTES} bytes or more")
    return SigningKeys(keys, urlsafe_b64decode(said["salt"]))


@dataclass(frozen=True)
class Claims:
    """What a valid token says. ``is_oidc``: not we issued it; ``key_is_old``: a newer key signs by now."""

    client_id: str
    scopes: frozenset[str]
    token_id: str
    is_oidc: bool = False
    key_is_old: bool = False


def issue(
    keys: SigningKeys, client_id: str, scopes: Sequence[str], *, issuer: str, audience: str, now: datetime
) -> str:
    """A token for a client, valid for 20 minutes."""
    key = keys.signing(now)
    issued = int(now.timestamp())
    claims = {
        "iss": issuer,
        "sub": client_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + int(LIFETIME.total_seconds()),
        "jti": secrets.token_urlsafe(12),
        "client_id": client_id,
        "scope": " ".join(scopes),
    }
    return _JWT.encode(claims, key.key, "HS256", headers={"typ": "at+jwt", "kid": key.kid})


def named_issuer(token: str) -> tuple[str, Mapping[str, Any]]:
    """The issuer that a token names and its header, of which nothing is verified yet. Raises TokenRefused."""
    if len(token) > _LONGEST:
        raise TokenRefused("too long")
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenRefused(type(error).__name__) from None
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not isinstance(header.get("kid"), str):
        raise TokenRefused("names no issuer or no key")
    return issuer, header


def verify(
    token: str, header: Mapping[str, Any], keys: SigningKeys, *, issuer: str, audience: str, now: datetime
) -> Claims:
    """What one of our own tokens says. Raises TokenRefused."""
    if set(header) != _OWN_HEADER or header["typ"] != "at+jwt":
        raise TokenRefused("has another header than ours")
    key = keys.verifying(header["kid"], now)
    if key is None:
        raise UnknownKey("is signed with no live key")
    claims = _decoded(token, key.key, "HS256", issuer, audience, ("exp", "iat", "iss", "aud", "sub", "jti"))
    if claims["exp"] - claims["iat"] > LIFETIME.total_seconds():
        raise TokenRefused("lives too long")
    scopes = claims.get("scope")
    if not isinstance(scopes, str):
        raise TokenRefused("has no scope")
    return Claims(
        claims["sub"],
        frozenset(scopes.split()),
        claims["jti"],
        key_is_old=any(key.signs_from < one.signs_from <= now for one in keys.keys),
    )


class UnknownKey(TokenRefused):
    """The key is none that we know now; a rotation may have just made it."""


class KeysUnavailable(Exception):  # noqa: N818  # what it is
    """An issuer's keys can't be fetched and none are held. What they sign can't be judged for ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"none are held, expected some in {seconds} s")
        self.seconds = seconds


Keys = Mapping[str, jwt.PyJWK]
"""An issuer's public keys by ``kid``."""


def issuer_keys(
    uri: str,
    *,
    fresh: float = 300.0,
    cool_down: float = 30.0,
    patience: float = PATIENCE_SECONDS,
    timeout: float = 5.0,
) -> Cached[Keys]:
    """An issuer's key set (RFC 7517), kept for five minutes, and for as long as no good one can be fetched.

    A set without a key to verify with is no good one. While one is held nobody waits for the next longer than
    ``patience``. An unknown ``kid`` has it fetched again at most every 30 seconds, and so does a failure:
    whoever sends nonsense makes us ask nobody. Raises KeysUnavailable when none was ever fetched.
    """
    client = jwt.PyJWKClient(uri, cache_jwk_set=False, timeout=timeout)

    def load() -> Keys:
        try:
            return {str(key.key_id): key for key in client.get_signing_keys()}
        except (jwt.PyJWTError, OSError, ValueError, RecursionError):
            raise KeysUnavailable(max(1, math.ceil(cool_down))) from None

    return Cached(load, fresh, cool_down, patience=patience, stale=math.inf)


@dataclass(frozen=True)
class Oidc:
    """An issuer whose access tokens are accepted: Amazon Cognito, or one that issues the like.

    Cognito's access tokens have ``token_use`` and ``client_id``, and an ``aud`` only where the client asked
    for a resource. An ``aud`` must be ours; without one a scope must begin with ours, as those of a resource
    server do: ``<audience>/events:write``.
    https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
    """

    issuer: str
    audience: str
    keys: Cached[Keys]

    async def verify(self, token: str, header: Mapping[str, Any]) -> Claims:
        """What a token of this issuer says; may fetch its keys. Raises TokenRefused and KeysUnavailable."""
        if foreign := sorted(_FOREIGN & set(header)):
            raise TokenRefused(f"has {foreign[0]} in its header")
        key = (await self.keys.get()).get(header["kid"]) or (await self.keys.again()).get(header["kid"])
        if key is None:
            raise UnknownKey("is signed with no key of its issuer")
        if key.key_type != "RSA":
            raise TokenRefused("is signed with a key that is not RSA")
        claims = _decoded(token, key.key, "RS256", self.issuer, None, ("exp", "iat", "iss", "sub"))
        if claims.get("token_use") != "access":
            raise TokenRefused("is no access token")
        client_id = claims.get("client_id")
        if not isinstance(client_id, str):
            raise TokenRefused("names no client")
        return Claims(client_id, self._scopes(claims), str(claims.get("jti", "")), is_oidc=True)

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        said = claims.get("scope", "")
        scopes = said.split() if isinstance(said, str) else []
        ours = frozenset(
            scope.removeprefix(f"{self.audience}/")
            for scope in scopes
            if scope.startswith(f"{self.audience}/")
        )
        if "aud" in claims:
            named = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
            if self.audience not in named:
                raise TokenRefused("is for another audience")
            return ours | frozenset(scopes)
        if not ours:
            raise TokenRefused("is for another audience")
        return ours


def _decoded(
    token: str, key: Any, algorithm: str, issuer: str, audience: str | None, required: Sequence[str]
) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = _JWT.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY,
            options={
                "require": list(required),
                "verify_aud": audience is not None,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused(type(error).__name__) from None
    whole = all(type(claims[name]) is int for name in ("exp", "iat"))
    texts = all(isinstance(claims[name], str) for name in ("iss", "sub"))
    if not whole or not texts:
        raise TokenRefused("has a claim of another type")
    return claims


def utc_now() -> datetime:
    return datetime.now(UTC)
