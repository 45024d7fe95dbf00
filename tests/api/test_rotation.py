"""Rotation: nobody is refused, whatever dies in between, and what is old ends when it should."""

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from privacy_assets.api.clients import (
    OLD_SECRET,
    SCOPES,
    Hashed,
    Registry,
    RegistryError,
    check,
    hashed,
    new_secret,
    parse_registry,
)
from privacy_assets.api.rotation import (
    KEY_OVERLAP,
    KEY_SPREAD,
    OVERLAP,
    VALID,
    Rotation,
    by_product,
    create_client,
    ensure_keys,
    revoke_client,
    revoke_old_secret,
    tell,
)  # fmt: skip
from privacy_assets.api.rotation_job import rotation_job
from privacy_assets.api.tokens import LIFETIME, OLD_KEY, TokenRefused, issue, named_issuer, parse_keys, verify
from privacy_assets.cli import run
from privacy_assets.governed import governed_estate
from privacy_assets.ledger import open_log
from resources.api_secrets import ApiSecrets, SecretsFull
from resources.ledger import LedgerResource
from tests.api.house import Api
from tests.api.test_events import event
from tests.house import new_ledger

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time


@dataclass
class House:
    """A registry on Secrets Manager, with a clock of its own."""

    secrets: ApiSecrets
    clock: Clock = field(default_factory=Clock)

    @property
    def rotation(self) -> Rotation:
        def sleep(seconds: float) -> None:
            self.clock.pass_(timedelta(seconds=seconds))

        return Rotation(self.secrets, self.clock, sleep)

    def secret(self, client_id: str = "shop", *, pending: bool = False) -> str:
        text = self.secrets.client_secret(client_id, pending=pending)
        return str(json.loads(text)["client_secret"]) if text else ""

    def is_valid(self, secret: str, client_id: str = "shop") -> bool:
        registry = parse_registry(self.secrets.registry())
        return check(registry, client_id, secret, self.clock())[0] is not None


@pytest.fixture
def house(aws: str, unique: str) -> House:
    made = House(ApiSecrets(f"api-{unique}"))
    create_client(made.secrets, "shop", ["events:write"], None, clock=made.clock)
    ensure_keys(made.secrets, made.clock)
    return made


def test_what_is_thirty_days_old_is_due_and_both_secrets_are_valid(house: House) -> None:
    old = house.secret()
    house.clock.pass_(timedelta(days=29, hours=23))
    assert house.rotation.due() == []
    house.clock.pass_(timedelta(hours=1))
    assert house.rotation.due() == ["shop"]
    assert house.rotation.rotate(house.rotation.due()) == ["shop"]
    new = house.secret()
    assert new != old
    assert house.is_valid(old)
    assert house.is_valid(new)
    assert house.rotation.due() == []
    house.clock.pass_(OVERLAP + timedelta(seconds=1))
    assert not house.is_valid(old)
    assert house.is_valid(new)
    # By then the next rotation finds room.
    house.clock.pass_(timedelta(days=1))
    assert house.rotation.rotate(house.rotation.due()) == ["shop"]


def test_when_rotation_stops_secrets_last_for_two_more(house: House) -> None:
    house.clock.pass_(VALID - timedelta(seconds=1))
    assert house.is_valid(house.secret())
    house.clock.pass_(timedelta(seconds=1))
    assert not house.is_valid(house.secret())


def test_two_secrets_are_valid_and_never_three(house: House) -> None:
    first = house.secret()
    assert house.rotation.rotate(["shop"]) == ["shop"]
    assert house.rotation.rotate(["shop"]) == []
    assert house.is_valid(first)
    assert revoke_old_secret(house.secrets, "shop", house.clock)
    assert not house.is_valid(first)
    assert house.rotation.rotate(["shop"]) == ["shop"]


STEPS: tuple[Callable[[Rotation], None], ...] = (
    lambda rotation: rotation.create_secret(["shop"]),
    lambda rotation: rotation.set_secret(["shop"]),
    lambda rotation: rotation.test_secret(["shop"]),
    lambda rotation: rotation.finish_secret(["shop"]),
)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_killed_after_any_step_the_next_run_goes_on_with_its_secret(house: House, done: int) -> None:
    old = house.secret()
    for step in STEPS[:done]:
        step(house.rotation)
        step(house.rotation)  # and each may happen twice
    made = house.secret(pending=True)
    assert house.secret() == old
    assert house.is_valid(old)
    assert house.rotation.due() == ["shop"]
    assert house.rotation.rotate(["shop"]) == ["shop"]
    assert house.secret() == made
    assert house.is_valid(made)
    assert house.is_valid(old)
    assert house.rotation.due() == []
    STEPS[3](house.rotation)  # finishing what is finished
    assert house.secret() == made


def test_a_client_revoked_in_between_stays_revoked(house: House) -> None:
    house.rotation.create_secret(["shop"])
    house.rotation.set_secret(["shop"])
    made = house.secret(pending=True)
    revoke_client(house.secrets, "shop")
    house.rotation.set_secret(["shop"])
    house.rotation.test_secret(["shop"])
    house.rotation.finish_secret(["shop"])
    assert not house.is_valid(made)
    assert parse_registry(house.secrets.registry()).clients == {}


def test_finished_elsewhere_no_empty_secret_is_made_valid(house: House) -> None:
    """`client rotate --drop-old` finishes between two steps of the job: nothing is pending any more."""
    house.rotation.create_secret(["shop"])
    assert house.rotation.rotate(["shop"]) == ["shop"]
    assert revoke_old_secret(house.secrets, "shop", house.clock)
    new, registry = house.secret(), house.secrets.registry()
    house.rotation.set_secret(["shop"])
    house.rotation.test_secret(["shop"])
    house.rotation.finish_secret(["shop"])
    assert not house.is_valid("")
    assert house.is_valid(new)
    assert house.secret() == new
    assert house.secrets.registry() == registry


def test_an_empty_secret_is_none_even_where_its_hash_is_kept(house: House) -> None:
    client = parse_registry(house.secrets.registry()).find("shop")
    with pytest.raises(RegistryError, match="empty"):
        client.with_secret("", NOW, VALID, OVERLAP)
    kept = Hashed(hashed("shop", ""), NOW, NOW + VALID)
    assert check(Registry({"shop": replace(client, secrets=(kept,))}), "shop", "", NOW) == (None, False)


def test_changes_at_once_are_all_there(house: House) -> None:
    """Two who change the registry at the same time: one looks again."""
    errors: list[Exception] = []

    def make(number: int) -> None:
        try:
            create_client(house.secrets, f"client-{number}", ["events:write"], None)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(parse_registry(house.secrets.registry()).clients) == {
        "shop",
        *(f"client-{n}" for n in range(5)),
    }


def test_a_registry_that_is_full_says_so(house: House) -> None:
    with pytest.raises(SecretsFull, match="expected at most 65,536"):
        house.secrets.change_registry(lambda _: "x" * 65_537)
    assert "shop" in parse_registry(house.secrets.registry()).clients


@pytest.mark.parametrize(
    ("client_id", "scopes", "words"),
    [
        ("shop", ["events:write"], "there is such a client"),
        ("no spaces", ["events:write"], "expected 1 to 64 letters"),
        ("other", ["everything"], "expected some of events:write"),
        ("other", [], "at least one scope"),
    ],
)
def test_a_client_that_can_not_be_is_one_line(
    house: House, client_id: str, scopes: list[str], words: str
) -> None:
    with pytest.raises(RegistryError, match=words):
        create_client(house.secrets, client_id, scopes, None)
    assert house.is_valid(house.secret())  # and the one that was there is as it was


def test_a_key_is_known_before_it_signs_and_after_it_signed(house: House) -> None:
    def keys() -> Any:
        return parse_keys(house.secrets.signing_keys())

    def token() -> str:
        return issue(keys(), "shop", ["events:write"], issuer="i", audience="a", now=datetime.now(UTC))

    house.clock.now = datetime.now(UTC) - timedelta(days=31)
    before = parse_keys("").with_key(house.clock(), timedelta(0), VALID, KEY_OVERLAP)
    house.secrets.change_signing_keys(lambda _: before.text())
    (first,) = keys().keys
    house.clock.now = datetime.now(UTC)
    assert house.rotation.rotate_keys()
    assert not house.rotation.rotate_keys()
    new, old = keys().keys
    assert old.kid == first.kid
    now = house.clock()
    assert keys().signing(now).kid == old.kid
    assert keys().signing(now + KEY_SPREAD).kid == new.kid
    # Signed at the last moment, a token is valid for all of its life.
    last = now + KEY_SPREAD + LIFETIME
    assert keys().verifying(old.kid, last) is not None
    assert keys().verifying(old.kid, now + KEY_SPREAD + KEY_OVERLAP) is None
    _, header = named_issuer(token())
    assert header["kid"] == old.kid
    claims = verify(token(), header, keys(), issuer="i", audience="a", now=now + KEY_SPREAD)
    assert claims.key_is_old
    with pytest.raises(TokenRefused):
        verify(token(), header, keys(), issuer="i", audience="a", now=now + timedelta(hours=2))
    with pytest.raises(RegistryError, match="two signing keys are valid"):
        house.rotation.rotate_keys(at_once=True)


class Interrupted(Exception):  # noqa: N818  # what it is
    """What ends a command in the middle."""


@dataclass
class Desk:
    """The commands, on an API and a ledger of the test's own."""

    secrets: ApiSecrets
    ledger: LedgerResource

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and details of what is in the ledger."""
        entries = open_log(self.ledger).entries("api-secrets")
        return [(each.event.kind, dict(each.event.details)) for each in entries]


@pytest.fixture
def desk(aws: str, unique: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(ApiSecrets(f"api-{unique}"), new_ledger(unique))
    monkeypatch.setattr("privacy_assets.api_command._secrets", lambda: nullcontext(made.secrets))
    monkeypatch.setattr("privacy_assets.ledger_command.own_ledger", lambda: made.ledger)
    monkeypatch.setattr(Rotation, "spread", lambda _: None)
    return made


def made(
    client_id: str, buckets: list[str] | None = None, *, oidc: bool = False
) -> tuple[str, dict[str, Any]]:
    details = {"client": client_id, "scopes": ["events:write"], "buckets": buckets, "oidc": oidc}
    return "client.created", details


def test_whoever_is_let_in_or_shut_out_is_in_the_ledger(desk: Desk) -> None:
    create = ["client", "create", "--scope", "events:write"]
    assert run([*create, "shop"]) == 0
    kid = parse_keys(desk.secrets.signing_keys()).keys[0].kid
    assert run([*create, "partner", "--oidc", "--bucket", "a", "--bucket", "b"]) == 0
    assert run([*create, "shop"]) == 2
    assert run(["client", "rotate", "shop", "--drop-old"]) == 0
    secret = json.loads(desk.secrets.client_secret("shop"))["client_secret"]
    assert run(["client", "revoke", "shop"]) == 0
    assert run(["client", "revoke", "partner"]) == 0
    assert run(["client", "revoke", "partner"]) == 2
    (key,) = [details for kind, details in desk.events() if kind == "signing_key.newest"]
    assert key["kid"] == kid
    assert [each for each in desk.events() if each[0] != "signing_key.newest"] == [
        made("shop"),
        made("partner", ["a", "b"], oidc=True),
        ("secrets.rotated", {"clients": ["shop"]}),
        ("secrets.dropped", {"clients": ["shop"]}),
        ("client.revoked", {"client": "shop"}),
        ("client.revoked", {"client": "partner"}),
    ]
    entries = open_log(desk.ledger).entries("api-secrets")
    assert all(each.event.actor.startswith("command:") for each in entries)
    told = b"".join(each.leaf for each in entries).decode()
    assert secret not in told
    assert hashed("shop", secret) not in told
    assert parse_registry(desk.secrets.registry()) == Registry()


def test_whoever_has_no_login_is_told_apart_from_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have no name."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert run(["client", "create", "shop", "--scope", "events:write"]) == 0
    assert desk.events()[0] == made("shop")


def unreachable(desk: Desk) -> None:
    desk.ledger = desk.ledger.model_copy(update={"table": "nowhere"})


def test_without_the_ledger_nobody_is_let_in(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = desk.ledger
    unreachable(desk)
    assert run(["client", "create", "shop", "--scope", "events:write"]) == 2
    assert "nothing can be logged in the ledger now" in capsys.readouterr().err
    assert desk.secrets.registry() == ""
    assert desk.secrets.client_secret("shop") == ""
    desk.ledger = ledger
    assert desk.events() == []


def test_without_the_ledger_somebody_is_shut_out_and_it_is_told_later(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shop", "desk", "other"):
        assert run(["client", "create", name, "--scope", "events:write"]) == 0
    before, ledger = desk.events(), desk.ledger
    unreachable(desk)
    assert run(["client", "revoke", "shop"]) == 1
    assert "shop: revoked" in (said := capsys.readouterr().err)
    assert "it is done, and logged by the next of these commands" in said
    assert run(["client", "rotate", "desk", "--drop-old"]) == 1
    assert "shop" not in parse_registry(desk.secrets.registry()).clients
    desk.ledger = ledger
    assert desk.events() == before
    assert run(["client", "revoke", "other"]) == 0
    assert desk.events() == [
        *before,
        ("client.revoked", {"client": "shop"}),
        ("secrets.rotated", {"clients": ["desk"]}),
        ("secrets.dropped", {"clients": ["desk"]}),
        ("client.revoked", {"client": "other"}),
    ]


@pytest.mark.parametrize("dies_in", ["before", "after"])
def test_killed_around_the_ledger_it_is_told_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    """What was done is told by whoever comes next, and what was told already not again."""
    create_client(desk.secrets, "shop", ["events:write"], None)
    log = open_log(desk.ledger)
    if dies_in == "after":
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "told", dies)
            with pytest.raises(Interrupted):
                tell(desk.secrets, log)
        assert desk.events() == [made("shop")]
    for _ in range(2):
        tell(desk.secrets, log)
    assert desk.events() == [made("shop")]


def dies(*_: Any) -> None:
    raise Interrupted


def test_a_write_that_is_answered_by_an_error_has_made_its_client(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the call was lost, and the call that was sent again finds its work done."""
    move, lost = ApiSecrets._move, [True]

    def moves(secrets: ApiSecrets, what: str, *arguments: Any) -> None:
        move(secrets, what, *arguments)
        if what == "clients" and lost:
            lost.pop()
            move(secrets, what, *arguments)

    monkeypatch.setattr(ApiSecrets, "_move", moves)
    create_client(house.secrets, "lucky", ["events:write"], None, clock=house.clock)
    assert not lost
    assert house.is_valid(house.secret("lucky"), "lucky")


def has_room(registry: Registry) -> bool:
    try:
        registry.require_room()
    except RegistryError:
        return False
    return True


def test_there_is_always_room_for_second_secrets_and_for_what_is_told(house: House) -> None:
    """A registry that could be filled by `create` would stop rotation for everybody."""
    registry = parse_registry(house.secrets.registry())
    client = registry.find("shop")
    while has_room(fuller := registry.put(replace(client, id=f"client-{len(registry.clients)}"))):
        registry = fuller
    house.secrets.change_registry(lambda _: registry.text())
    everybody = sorted(registry.clients)
    assert len(everybody) > 150

    def change(text: str) -> str:
        found = parse_registry(text)
        for each in everybody:
            found = found.put(found.find(each).with_secret(new_secret(), NOW, VALID, OVERLAP))
        return found.telling(by_product("secrets.rotated", details={"clients": everybody})).text()

    house.secrets.change_registry(change)
    with pytest.raises(RegistryError, match="no room for so many"):
        create_client(house.secrets, "one-more", ["events:write"], None)
    assert house.secret("one-more") == ""
    for each in everybody:  # while the ledger can't be reached all the time
        revoke_client(house.secrets, each)
    assert parse_registry(house.secrets.registry()).clients == {}


def test_the_job_rotates_what_is_due(aws: str, api: Api, unique: str) -> None:
    clock = Clock(datetime.now(UTC) - timedelta(days=31))
    create_client(api.secrets, "old", ["events:write"], None, clock=clock)
    credentials = api.credentials("old")
    api.client("young")
    young = api.credentials("young")
    ledger = new_ledger(unique)
    resources = {
        "api_secrets": dg.ResourceDefinition.hardcoded_resource(api.secrets),
        "api_state": api.state,
        "ledger": ledger,
    }
    for _ in range(2):  # the second time nothing is due
        assert rotation_job(governed_estate()).execute_in_process(resources=resources).success
    entries = open_log(ledger).entries("api-secrets")
    told = {entry.event.kind: entry.event for entry in entries}
    assert sorted(entry.event.kind for entry in entries) == [
        *["client.created"] * 2,  # which nobody had told yet
        "secrets.rotated",
        "signing_key.newest",
    ]
    assert told["secrets.rotated"].details == {"clients": ["old"]}
    assert told["secrets.rotated"].run_id
    assert told["signing_key.newest"].details["kid"]
    assert not any(each in repr(told) for each in api.credentials("old").values() if each != "old")
    assert api.credentials("young") == young
    fresh = api.credentials("old")
    assert fresh != credentials
    for each in (credentials, fresh, young):
        assert api.token(each).status_code == 200


def test_uses_of_an_old_secret_and_key_are_counted(api: Api) -> None:
    old = api.client()
    Rotation(api.secrets, sleep=lambda _: None).rotate(["shop"])
    tally = api.services.tally
    tally._told = float("inf")  # nothing is written before it is asked for
    for _ in range(3):
        assert api.token(old).status_code == 200
    assert api.token(api.credentials()).status_code == 200
    assert tally._counts == {f"{OLD_SECRET}shop": 3}
    assert OLD_KEY not in tally._counts


def test_rotation_under_load_refuses_nobody(api: Api) -> None:
    """Programs get tokens and send events all the time, each with the secret that it read last, while secrets
    and keys are rotated again and again.
    """
    api.client()
    stop, refused, done = threading.Event(), [], []
    lock = threading.Lock()
    held = {"credentials": api.credentials()}
    turns = [0] * 4

    def program(number: int) -> None:
        with api.http() as http:
            while not stop.is_set():
                turns[number] += 1
                answer = api.token(held["credentials"], http)
                answers = [answer]
                if answer.status_code == 200:
                    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
                    answers.append(http.post("/events", json=event(), headers=bearer))
                with lock:
                    done.extend(answers)
                    refused.extend(one.text for one in answers if one.status_code not in (200, 202))

    def everybody_begins_anew() -> None:
        begun = list(turns)
        while any(now - before < 2 for now, before in zip(turns, begun, strict=True)):
            stop.wait(0.02)

    def signs_with() -> str:
        _, header = named_issuer(api.token(held["credentials"]).json()["access_token"])
        return str(header["kid"])

    threads = [threading.Thread(target=program, args=(number,)) for number in range(len(turns))]
    for thread in threads:
        thread.start()
    try:
        rotation = Rotation(
            api.secrets, registry_spread=timedelta(seconds=0.2), key_spread=timedelta(seconds=1)
        )
        for _ in range(3):
            assert rotation.rotate(["shop"]) == ["shop"]
            old_key = signs_with()
            key_made = rotation.rotate_keys(at_once=True)
            assert key_made
            before = len(done)
            while len(done) < before + 20:  # both are used side by side
                stop.wait(0.05)
            held["credentials"] = api.credentials()
            before = len(done)
            while len(done) < before + 20:
                stop.wait(0.05)
            while signs_with() == old_key:
                stop.wait(0.05)
            everybody_begins_anew()  # no token of the old key, and nobody with the old secret, is under way
            revoke_old_secret(api.secrets, "shop")
            forget_old_key(api)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert refused == []
    assert len(done) > 120


def forget_old_key(api: Api) -> None:
    """What an hour does: the tokens of the older key are gone, so that a third may be made."""

    def change(text: str) -> str:
        keys = parse_keys(text)
        newest = next(key for key in keys.keys if key.signs_from <= datetime.now(UTC) + timedelta(seconds=5))
        return type(keys)((newest,), keys.salt).text()

    api.secrets.change_signing_keys(change)


def test_of_two_who_make_a_client_at_once_one_does(house: House) -> None:
    """And the program reads the secret that is valid, whoever was first."""
    started = threading.Barrier(4)

    def make(_: int) -> str:
        started.wait(60)
        try:
            create_client(house.secrets, "twin", ["events:write"], None, clock=house.clock)
        except RegistryError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        told = sorted(pool.map(make, range(4)))
    assert told[0] == ""
    for line in told[1:]:
        assert re.match("twin: (there is such a client|its secret is there and the client is not), ", line)
    assert house.is_valid(house.secret("twin"), "twin")


def test_a_creation_that_was_broken_off_is_told_and_revoked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(ApiSecrets, "change_registry", dies)
        with pytest.raises(Interrupted):
            create_client(house.secrets, "half", ["events:write"], None, clock=house.clock)
    left = house.secret("half")
    with pytest.raises(RegistryError, match="expected a new name, or `client revoke half` first"):
        create_client(house.secrets, "half", ["events:write"], None, clock=house.clock)
    assert house.secret("half") == left  # it may be another's, who is at work
    revoke_client(house.secrets, "half")
    create_client(house.secrets, "half", ["events:write"], None, clock=house.clock)
    assert house.is_valid(house.secret("half"), "half")
    assert not house.is_valid(left, "half")


def test_who_loses_to_a_client_without_a_secret_leaves_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = ApiSecrets.create_client_secret

    def overtaken(secrets: ApiSecrets, client_id: str, text: str) -> bool:
        made = create(secrets, client_id, text)
        create_client(secrets, client_id, ["events:write"], None, is_oidc=True)
        return made

    monkeypatch.setattr(ApiSecrets, "create_client_secret", overtaken)
    with pytest.raises(RegistryError, match="there is such a client"):
        create_client(house.secrets, "both", ["events:write"], None)
    assert house.secret("both") == ""
    assert parse_registry(house.secrets.registry()).find("both").is_oidc


def test_a_revocation_that_was_broken_off_leaves_no_valid_client_and_is_completed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = house.secret()

    def dies(*_: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(ApiSecrets, "delete_client_secret", dies)
        with pytest.raises(Interrupted):
            revoke_client(house.secrets, "shop")
    assert not house.is_valid(secret)
    revoke_client(house.secrets, "shop")
    assert house.secret() == ""
    with pytest.raises(RegistryError, match="no such client"):
        revoke_client(house.secrets, "shop")


def test_the_help_names_every_scope(capsys: pytest.CaptureFixture[str]) -> None:
    from privacy_assets.cli import run

    assert run(["client", "create", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(scope in told for scope in SCOPES)
