"""Tokens: who gets one, and every token that is refused."""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated, Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import APIRouter

from privacy_assets.api import app as app_module
from privacy_assets.api.auth import Caller, require
from privacy_assets.api.rotation import VALID, create_client, revoke_client
from privacy_assets.api.server import services
from privacy_assets.api.services import Services
from privacy_assets.api.tokens import (
    LIFETIME,
    KeysUnavailable,
    Oidc,
    SigningKey,
    SigningKeys,
    TokenRefused,
    UnknownKey,
    issue,
    issuer_keys,
    parse_keys,
    verify,
)
from privacy_assets.governed import governed_estate
from resources.api_secrets import ApiSecrets
from tests.api.house import PROMPT, Api, build, running, served


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def door(_: Services) -> APIRouter:
    """A route of a test's own that answers who came in."""
    made = APIRouter()

    @made.get("/door")
    async def enter(caller: Annotated[Caller, require("events:write")]) -> dict[str, Any]:
        return {"client": caller.client_id, "scopes": sorted(caller.scopes), "buckets": caller.buckets}

    return made


@pytest.fixture
def guarded(aws: str, unique: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
    with running(unique) as made:
        yield made


@pytest.fixture(scope="module")
def attacked(aws: str) -> Iterator[Api]:
    """One for all attacks, none of which leaves anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
        with running(uuid.uuid4().hex[:10]) as made:
            made.client()
            yield made


def enter(api: Api, token: str) -> httpx.Response:
    return api.http(Authorization=f"Bearer {token}").get("/door")


def signing(api: Api) -> SigningKeys:
    return parse_keys(api.secrets.signing_keys())


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {
        "iss": "privacy-assets",
        "sub": "shop",
        "aud": "privacy-assets",
        "iat": now,
        "exp": now + 1200,
        "jti": "x",
        "scope": "events:write",
        **changed,
    }
    return {name: value for name, value in said.items() if value is not None}


def signed(api: Api, said: dict[str, Any], **header: Any) -> str:
    key = signing(api).keys[0]
    headers = {"typ": "at+jwt", "kid": key.kid, **header}
    return jwt.encode(said, key.key, "HS256", headers=headers)


def forged(header: dict[str, Any], said: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand: no library would."""
    parts = [json.dumps(header).encode(), json.dumps(said).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_client_gets_a_token_that_lasts_twenty_minutes(guarded: Api) -> None:
    answer = guarded.token(guarded.client("shop", ["events:write", "scans:read"], ["a-bucket"]))
    said = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (said["token_type"], said["expires_in"], said["scope"]) == (
        "Bearer",
        1200,
        "events:write scans:read",
    )
    header = jwt.get_unverified_header(said["access_token"])
    inside = jwt.decode(said["access_token"], options={"verify_signature": False})
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": signing(guarded).keys[0].kid}
    assert set(inside) == {"iss", "sub", "aud", "iat", "exp", "jti", "scope", "client_id"}
    assert inside["exp"] - inside["iat"] == 1200
    assert enter(guarded, said["access_token"]).json() == {
        "client": "shop",
        "scopes": ["events:write", "scans:read"],
        "buckets": ["a-bucket"],
    }


def test_secrets_are_kept_as_hashes_and_nothing_prints_them(guarded: Api) -> None:
    secret = guarded.client()["client_secret"]
    assert secret not in guarded.secrets.registry()
    keys = signing(guarded)
    assert len(keys.keys[0].key) >= 32
    assert repr(keys.keys[0].key) not in repr(keys)


WRONG: dict[str, Callable[[dict[str, str]], Any]] = {
    "secret": lambda said: {**said, "client_secret": said["client_secret"] + "x"},
    "secret of another type": lambda said: {**said, "client_secret": 1},
    "no secret": lambda said: {"client_id": said["client_id"], "audience": "privacy-assets"},
    "client": lambda said: {**said, "client_id": "nobody"},
    "audience": lambda said: {**said, "audience": "another"},
    "list": lambda said: [said],
    "nothing": lambda said: {},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_whatever_is_wrong_the_answer_is_the_same(
    attacked: Api, wrong: Callable[[dict[str, str]], Any]
) -> None:
    said = {"audience": "privacy-assets", **attacked.credentials()}
    answer = attacked.http().post("/token", json=wrong(said))
    document = answer.json()
    assert len(document.pop("request_id")) == 24
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert document == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "client id, secret or audience is not valid",
    }


def test_a_secret_is_compared_alike_for_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work: as many comparisons for an unknown client as for a known one with any secret."""
    from privacy_assets.api import clients

    compared: list[int] = []
    equal = clients.hmac.compare_digest

    def counted(one: str, other: str) -> bool:
        compared[-1] += 1
        return equal(one, other)

    monkeypatch.setattr(clients.hmac, "compare_digest", counted)
    now = datetime.now(UTC)
    known = clients.Client("shop", ("events:write",)).with_secret("one", now, timedelta(1), timedelta(1))
    registry = clients.Registry({"shop": known})
    found = []
    for client_id, secret in (("shop", "one"), ("shop", "other"), ("nobody", "one"), ("", "")):
        compared.append(0)
        found.append(clients.check(registry, client_id, secret, now)[0] is not None)
    assert compared == [2, 2, 2, 2]
    assert found == [True, False, False, False]
    assert clients.check(registry, "shop", "one", now + timedelta(1)) == (None, False)


def future(_: Api) -> dict[str, Any]:
    now = int(time.time())
    return claims(iat=now + 60, exp=now + 600)


def own_kid(api: Api) -> str:
    return signing(api).keys[0].kid


def rs256(api: Api) -> str:
    key = rsa.generate_private_key(65537, 2048)
    return jwt.encode(claims(), key, "RS256", headers={"typ": "at+jwt", "kid": own_kid(api)})


def another_key(api: Api) -> str:
    return jwt.encode(claims(), b"k" * 32, "HS256", headers={"typ": "at+jwt", "kid": own_kid(api)})


ATTACKS: dict[str, Callable[[Api], str]] = {
    "none": lambda api: forged({"alg": "none", "typ": "at+jwt", "kid": own_kid(api)}, claims()),
    "None": lambda api: forged({"alg": "None", "typ": "at+jwt", "kid": own_kid(api)}, claims()),
    "no signature": lambda api: signed(api, claims()).rpartition(".")[0] + ".",
    "changed claims": lambda api: (
        signed(api, claims()).split(".")[0]
        + forged({}, claims(scope="dsar:write"))[forged({}, {}).index(".") :].rpartition(".")[0]
        + "."
        + signed(api, claims()).split(".")[2]
    ),
    "RS256 for HS256": rs256,
    "HS512 for HS256": lambda api: jwt.encode(
        claims(),
        signing(api).keys[0].key * 2,
        "HS512",
        headers={"typ": "at+jwt", "kid": own_kid(api)},
    ),
    "another key": another_key,
    "an unknown key": lambda api: signed(api, claims(), kid="another"),
    "no kid": lambda api: jwt.encode(claims(), signing(api).keys[0].key, "HS256", headers={"typ": "at+jwt"}),
    "a kid that is a path": lambda api: signed(api, claims(), kid="../../dev/null"),
    "jku": lambda api: signed(api, claims(), jku="http://127.0.0.1:1/keys"),
    "x5u": lambda api: signed(api, claims(), x5u="http://127.0.0.1:1/certificate"),
    "jwk": lambda api: signed(api, claims(), jwk={"kty": "oct", "k": "AAAA"}),
    "unknown crit": lambda api: signed(api, claims(), crit=["exp"], exp=1),
    "crit b64": lambda api: signed(api, claims(), crit=["b64"], b64=True),
    "another type": lambda api: signed(api, claims(), typ="JWT"),
    "future iat": lambda api: signed(api, future(api)),
    "expired": lambda api: signed(api, claims(iat=int(time.time()) - 1210, exp=int(time.time()) - 10)),
    "lives too long": lambda api: signed(api, claims(exp=int(time.time()) + 1300)),
    "another audience": lambda api: signed(api, claims(aud="another")),
    "another issuer": lambda api: signed(api, claims(iss="https://issuer.example")),
    "an issuer that is a list": lambda api: forged(
        {"alg": "HS256", "typ": "at+jwt", "kid": own_kid(api)}, claims(iss=["privacy-assets"])
    ),
    "an unknown client": lambda api: signed(api, claims(sub="nobody")),
    "exp that is text": lambda api: signed(api, claims(exp=str(int(time.time()) + 60))),
    "exp without end": lambda api: signed(api, claims(exp=10**400)),
    "nothing": lambda api: "-",
    "three dots": lambda api: "...",
    "no JSON": lambda api: "a.b.c",
    "nested": lambda api: forged({"alg": "HS256", "kid": "x"}, {"iss": [[]] * 5}),
    "long": lambda api: "a" * 9000,
    **{
        f"no {name}": lambda api, name=name: signed(api, claims(**{name: None}))
        for name in ("exp", "iat", "iss", "aud", "sub", "jti", "scope")
    },
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_token_that_is_not_ours_is_refused(attacked: Api, attack: Callable[[Api], str]) -> None:
    assert enter(attacked, signed(attacked, claims())).status_code == 200  # what is not attacked passes
    answer = enter(attacked, attack(attacked))
    assert answer.status_code == 401, answer.text
    assert answer.json()["detail"] == "no valid token: get one at POST /token"
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_scope_is_needed_and_ends_with_the_record(guarded: Api) -> None:
    headers = guarded.bearer(guarded.client("reader", ["scans:read"]))
    answer = guarded.http(**headers).get("/door")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "the token lacks events:write"
    assert 'scope="events:write"' in answer.headers["www-authenticate"]
    # A token may say what it likes: what the record does not have is not given.
    assert enter(guarded, signed(guarded, claims(sub="reader", scope="events:write"))).status_code == 403


def test_a_revoked_client_is_out_before_its_tokens_expire(guarded: Api) -> None:
    credentials = guarded.client()
    headers = guarded.bearer(credentials)
    assert guarded.http(**headers).get("/door").status_code == 200
    revoke_client(guarded.secrets, "shop")
    until = time.monotonic() + 30
    while guarded.http(**headers).get("/door").status_code == 200:
        assert time.monotonic() < until
    assert guarded.token(credentials).status_code == 401
    assert guarded.secrets.client_secret("shop") == ""


class Issuer(HTTPServer):
    """An OIDC issuer's key set over HTTP, and its tokens."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keys)
        self.keys = {"first": rsa.generate_private_key(65537, 2048)}
        self.asked = 0
        self.is_down = False
        self.answers = threading.Event()
        self.answers.set()
        self.body: bytes | None = None
        """What is answered in place of the key set."""
        self.name = f"http://127.0.0.1:{self.server_port}/pool"

    def key_set(self) -> dict[str, Any]:
        found = []
        for kid, key in self.keys.items():
            jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            found.append({**jwk, "kid": kid, "use": "sig", "alg": "RS256"})
        return {"keys": found}

    def token(self, kid: str = "first", key: Any = None, algorithm: str = "RS256", **changed: Any) -> str:
        header = changed.pop("header", {})
        now = int(time.time())
        said = {
            "iss": self.name,
            "sub": "partner",
            "client_id": "partner",
            "token_use": "access",
            "scope": "privacy-assets/events:write",
            "iat": now,
            "exp": now + 3600,
            "jti": "x",
            **changed,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key or self.keys["first"], algorithm, headers={"kid": kid, **header})


class Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Issuer)
        server.asked += 1
        assert server.answers.wait(60)
        body = json.dumps(server.key_set()).encode() if server.body is None else server.body
        self.send_response(503 if server.is_down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def issuing() -> Iterator[Issuer]:
    server = Issuer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as server:
        yield server


@pytest.fixture
def fresh_issuer() -> Iterator[Issuer]:
    with issuing() as server:
        yield server


def oidc_of(issuer: Issuer, **options: float) -> Oidc:
    """Who waits for the issuer waits as long as it takes, unless told."""
    how = {"cool_down": 3600, "patience": 60, **options}
    keys = issuer_keys(f"{issuer.name}/.well-known/jwks.json", **how)
    return Oidc(issuer.name, "privacy-assets", keys)


@pytest.fixture(scope="module")
def with_oidc(aws: str, issuer: Issuer) -> Iterator[Api]:
    api = build(uuid.uuid4().hex[:10], oidc=oidc_of(issuer))
    create_client(api.secrets, "partner", ["events:write"], ["a-bucket"], is_oidc=True)
    create_client(api.secrets, "shop", ["events:write"], None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
        with served(api):
            yield api


def test_an_issuers_access_token_is_accepted(with_oidc: Api, issuer: Issuer) -> None:
    answer = enter(with_oidc, issuer.token())
    assert answer.json() == {"client": "partner", "scopes": ["events:write"], "buckets": ["a-bucket"]}
    assert enter(with_oidc, issuer.token(aud="privacy-assets", scope="events:write")).status_code == 200
    assert issuer.asked == 1


def hs_with_public_key(issuer: Issuer) -> str:
    """HMAC with the public key as its secret, which PyJWT refuses to make."""
    pem = (
        issuer.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    said = jwt.decode(issuer.token(), options={"verify_signature": False})
    unsigned = forged({"alg": "HS256", "kid": "first"}, said).rpartition(".")[0]
    signature = hmac.new(pem, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


OIDC_ATTACKS: dict[str, Callable[[Issuer], str]] = {
    "HS256 with the public key": hs_with_public_key,
    "none": lambda issuer: forged({"alg": "none", "kid": "first"}, {"iss": issuer.name}),
    "another key": lambda issuer: issuer.token(key=rsa.generate_private_key(65537, 2048)),
    "RS512": lambda issuer: issuer.token(algorithm="RS512"),
    "unknown kid": lambda issuer: issuer.token(kid="second"),
    "an id token": lambda issuer: issuer.token(token_use="id"),
    "no token_use": lambda issuer: issuer.token(token_use=None),
    "another audience": lambda issuer: issuer.token(aud="another"),
    "another API's scopes": lambda issuer: issuer.token(scope="another/events:write"),
    "no prefix": lambda issuer: issuer.token(scope="events:write"),
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 60),
    "future iat": lambda issuer: issuer.token(iat=int(time.time()) + 600),
    "no exp": lambda issuer: issuer.token(exp=None),
    "no iat": lambda issuer: issuer.token(iat=None),
    "no sub": lambda issuer: issuer.token(sub=None),
    "unknown client": lambda issuer: issuer.token(client_id="somebody"),
    "a client of ours": lambda issuer: issuer.token(client_id="shop"),
    "jku": lambda issuer: issuer.token(header={"jku": issuer.name}),
    "x5u": lambda issuer: issuer.token(header={"x5u": issuer.name}),
    "crit": lambda issuer: issuer.token(header={"crit": ["b64"], "b64": True}),
}


@pytest.mark.parametrize("attack", OIDC_ATTACKS.values(), ids=OIDC_ATTACKS)
def test_an_issuers_other_tokens_are_refused(
    with_oidc: Api, issuer: Issuer, attack: Callable[[Issuer], str]
) -> None:
    assert enter(with_oidc, issuer.token()).status_code == 200
    answer = enter(with_oidc, attack(issuer))
    assert answer.status_code == 401, answer.text


def test_our_own_issuer_takes_no_oidc_client(with_oidc: Api) -> None:
    assert enter(with_oidc, signed(with_oidc, claims(sub="partner"))).status_code == 401


def grown_old(oidc: Oidc) -> None:
    """The key set was fetched long ago."""
    assert oidc.keys._held is not None
    oidc.keys._held = (oidc.keys._held[0] - 100_000, oidc.keys._held[1])


@pytest.mark.anyio
async def test_nonsense_has_nobody_asked_and_an_outage_refuses_nobody(fresh_issuer: Issuer) -> None:
    issuer = fresh_issuer
    oidc = oidc_of(issuer)
    assert (await oidc.verify(issuer.token(), {"kid": "first"})).client_id == "partner"
    for number in range(20):
        with pytest.raises(UnknownKey):
            await oidc.verify(issuer.token(), {"kid": f"nonsense-{number}"})
    assert issuer.asked == 1
    # Kept keys have become old and the issuer is down: what was known still holds.
    issuer.is_down = True
    for _ in range(3):
        grown_old(oidc)
        assert (await oidc.verify(issuer.token(), {"kid": "first"})).client_id == "partner"
    with pytest.raises(UnknownKey):
        await oidc.verify(issuer.token(), {"kid": "nonsense"})
    assert issuer.asked == 2  # a failure cools down too


def test_a_short_key_signs_nothing_and_verifies_nothing() -> None:
    now = datetime.now(UTC)
    named = {"issuer": "a", "audience": "a", "now": now}
    short = SigningKeys((SigningKey("x", b"short", now, now + timedelta(1)),), b"salt")
    with pytest.raises(ValueError, match="too short, expected 32 bytes or more"):
        parse_keys(short.text())
    with pytest.raises(jwt.InvalidKeyError):
        issue(short, "a", [], **named)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(claims(iss="a", aud="a"), b"short", "HS256", {"typ": "at+jwt", "kid": "x"})
    with pytest.raises(TokenRefused, match="InvalidKeyError"):
        verify(token, jwt.get_unverified_header(token), short, **named)


@pytest.mark.anyio
async def test_a_new_key_of_the_issuer_is_found_after_the_cool_down(fresh_issuer: Issuer) -> None:
    issuer = fresh_issuer
    oidc = oidc_of(issuer, cool_down=0)
    assert (await oidc.verify(issuer.token(), {"kid": "first"})).client_id == "partner"
    issuer.keys["second"] = rsa.generate_private_key(65537, 2048)
    token = issuer.token(kid="second", key=issuer.keys["second"])
    assert (await oidc.verify(token, {"kid": "second"})).client_id == "partner"
    assert issuer.asked == 2


def test_an_issuer_that_hangs_holds_nobody_whose_key_is_known(
    aws: str, unique: str, fresh_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are answered while it is still being asked, which it is once."""
    issuer = fresh_issuer
    monkeypatch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
    oidc = oidc_of(issuer, fresh=0, cool_down=0, patience=0.01, timeout=600)
    with running(unique, oidc=oidc) as api:
        create_client(api.secrets, "partner", ["events:write"], None, is_oidc=True)
        assert enter(api, issuer.token()).status_code == 200
        before = issuer.asked
        issuer.answers.clear()
        try:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: enter(api, issuer.token()), range(40)))
            unknown = enter(api, issuer.token(kid="second"))
            assert oidc.keys._loading is not None
        finally:
            issuer.answers.set()
        assert {answer.status_code for answer in answers} == {200}
        assert unknown.status_code == 401
        assert issuer.asked == before + 1


BAD_SETS = {
    "no JSON": b"<html>",
    "no text": b"\xff\xfe",
    "no object": b"[]",
    "no keys": b'{"keys": []}',
    "keys that are none": b'{"keys": [{"kty": "RSA", "kid": "first"}]}',
    "keys for something else": b"encryption",
}


def bad_set(issuer: Issuer, body: bytes) -> bytes:
    if body != b"encryption":
        return body
    return json.dumps({"keys": [{**key, "use": "enc"} for key in issuer.key_set()["keys"]]}).encode()


@pytest.mark.anyio
@pytest.mark.parametrize("body", BAD_SETS.values(), ids=BAD_SETS)
async def test_a_bad_set_takes_no_good_ones_place_and_cools_down(fresh_issuer: Issuer, body: bytes) -> None:
    issuer = fresh_issuer
    oidc = oidc_of(issuer)
    assert (await oidc.verify(issuer.token(), {"kid": "first"})).client_id == "partner"
    issuer.body = bad_set(issuer, body)
    for _ in range(3):
        grown_old(oidc)
        assert (await oidc.verify(issuer.token(), {"kid": "first"})).client_id == "partner"
    assert issuer.asked == 2


@pytest.mark.anyio
@pytest.mark.parametrize("body", [None, *BAD_SETS.values()], ids=["down", *BAD_SETS])
async def test_while_no_keys_can_be_fetched_nobody_is_told_that_a_token_is_wrong(
    fresh_issuer: Issuer, body: bytes | None
) -> None:
    issuer = fresh_issuer
    issuer.is_down, issuer.body = body is None, body and bad_set(issuer, body)
    oidc = oidc_of(issuer, cool_down=30)
    for _ in range(3):
        with pytest.raises(KeysUnavailable) as raised:
            await oidc.verify(issuer.token(), {"kid": "first"})
        assert 1 <= raised.value.seconds <= 30
    assert issuer.asked == 1


def test_without_an_issuers_keys_the_answer_is_503(
    aws: str, unique: str, fresh_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = fresh_issuer
    issuer.is_down = True
    monkeypatch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
    oidc = oidc_of(issuer, cool_down=20)
    with running(unique, oidc=oidc) as api:
        create_client(api.secrets, "partner", ["events:write"], None, is_oidc=True)
        answer = enter(api, issuer.token())
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert 1 <= int(answer.headers["retry-after"]) <= 20
        api.client()
        assert api.token(api.credentials()).status_code == 200  # our own are none of the issuer's
        issuer.is_down, oidc.keys._failed = False, None
        assert enter(api, issuer.token()).status_code == 200


UNUSABLE = {
    "nothing in it": "{}",
    "no key": json.dumps({"version": 1, "salt": "c2FsdA==", "keys": []}),
    "no JSON": "keys",
    "no object": "[]",
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_signing_key_nothing_is_signed_and_nothing_valid(
    aws: str, unique: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
    api = build(unique)
    credentials = api.client()
    token = signed(api, claims())
    good = api.secrets.signing_keys()
    api.secrets.change_signing_keys(lambda _: text)
    with served(api):
        for answer in (api.token(credentials), enter(api, token), api.http().get("/readyz")):
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
            assert answer.headers["content-type"] == "application/problem+json"
        api.secrets.change_signing_keys(lambda _: good)
        until = time.monotonic() + 30
        while enter(api, token).status_code == 503:
            assert time.monotonic() < until
        assert enter(api, token).status_code == 200
        # What was read stays in use while there is nothing good to read.
        api.secrets.change_signing_keys(lambda _: text)
        keys = api.services.keys
        read = keys._failed
        while keys._failed is read:
            assert enter(api, token).status_code == 200
            assert time.monotonic() < until
        assert enter(api, token).status_code == 200


def test_with_expired_signing_keys_nothing_is_signed(api: Api) -> None:
    credentials = api.client()
    api.services.now = lambda: datetime.now(UTC) + VALID - LIFETIME
    answer = api.token(credentials)
    assert answer.status_code == 503, answer.text


class Slow:
    """Secrets Manager, which answers no more until it is let."""

    def __init__(self, secrets: ApiSecrets) -> None:
        self.secrets, self.answers = secrets, threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def registry(self) -> str:
        self._wait()
        return self.secrets.registry()

    def signing_keys(self) -> str:
        self._wait()
        return self.secrets.signing_keys()

    def _wait(self) -> None:
        if not self.answers.is_set():
            self.asked.set()
            assert self.answers.wait(120)


def test_a_slow_secrets_manager_holds_nobody_up(
    aws: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "_ROUTERS", (*app_module._ROUTERS, door))
    slow = Slow(ApiSecrets(f"api-{unique}"))
    with running(unique, replace(PROMPT, patience_seconds=0.5), secrets=slow) as api:
        credentials = api.client()
        headers = api.bearer(credentials)
        slow.answers.clear()
        until = time.monotonic() + 60
        try:
            while not slow.asked.is_set():
                assert api.http(**headers).get("/door").status_code == 200
                assert time.monotonic() < until
            for _ in range(3):
                assert api.http(**headers).get("/door").status_code == 200
                assert api.token(credentials).status_code == 200
                assert api.http().get("/readyz").status_code == 200
        finally:
            slow.answers.set()


def test_who_waits_for_a_secret_is_told_soon_that_it_can_not_be_read(aws: str) -> None:
    """By what the API is served with; a rotation, for which nobody waits, is patient."""
    served_with: Any = services(governed_estate()).secrets
    config = served_with._client.meta.config
    assert (config.retries["total_max_attempts"], config.connect_timeout, config.read_timeout) == (2, 2, 3)
    patient = ApiSecrets.from_settings()._client.meta.config
    assert patient.retries["total_max_attempts"] == 10
