"""What is done for a request: find out who it is about, work in each store, gather, answer, close.

Each step may be killed anywhere and done again, by the same run or another: what is done is in the register,
and a step looks there first. Who the request is about stands in the bucket of answers while it is worked on,
encrypted, and is deleted when it is closed; no step hands it to another.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from privacy_assets.dsar import bundle, identity
from privacy_assets.dsar.register import Job, Register, Untellable
from privacy_assets.dsar.states import FINAL, NEEDS_APPROVAL, Action, State, StoreState
from privacy_assets.dsar.stores.protocol import (
    Blocked,
    Erased,
    Found,
    Identifiers,
    Record,
    Remaining,
    RequestId,
    Retained,
    Store,
    StoreError,
)

ANSWERS, WORK = "dsar", "work"
_ZIP, _JSON = "application/zip", "application/json"
Subject = tuple[str, str]
"""A governed table's noun and a subject as that table knows it."""


class Objects(Protocol):
    """The bucket of answers."""

    def uri(self, key: str) -> str: ...
    def upload(self, key: str, content_type: str) -> AbstractContextManager[bundle.Sink]: ...
    def write(self, key: str, body: bytes, content_type: str = ...) -> None: ...
    def read(self, key: str) -> bytes: ...
    def chunks(self, key: str) -> Iterator[bytes]: ...
    def exists(self, key: str) -> bool: ...
    def delete(self, prefix: str) -> int: ...


class Erasures(Protocol):
    """Who was erased, so that nothing brings them back."""

    def begin(self, noun: str, subject: str, request_id: str) -> None: ...
    def complete(self, noun: str, subject: str, request_id: str) -> None: ...
    def withdraw(self, request_id: str) -> int: ...


class Topic(Protocol):
    """Where people are told of ends and deadlines."""

    def publish(self, subject: str, message: str) -> str: ...


@dataclass(frozen=True)
class Place:
    """A store and what a person is told of it."""

    store: Store
    kind: str
    description: str = ""
    has_links: bool = True
    """Whether its records may name more that the subject is known by; if not it is not asked for any."""


@dataclass(frozen=True)
class Known:
    """Who a request is about. ``version`` grows when more is found; ``missed`` are stores that could not be
    asked.
    """

    identifiers: Identifiers
    version: int
    graph: Mapping[str, Any]
    missed: tuple[str, ...] = ()


def answer_key(job_id: str) -> str:
    """Where the bundle is."""
    return f"{ANSWERS}/{job_id}.zip"


def store_key(job_id: str, store: str) -> str:
    """Where a store's part of an export is."""
    return f"{ANSWERS}/{job_id}/{store}.json"


class Worker:
    """Does the steps of a request. ``needs_approval`` are actions that somebody must approve; ``governed``
    gives the subjects of governed tables that identifiers stand for.
    """

    def __init__(
        self,
        register: Register,
        objects: Objects,
        erasures: Erasures,
        places: Iterable[Place],
        *,
        needs_approval: Iterable[Action] = (),
        governed: Callable[[Identifiers], Iterable[Subject]] = lambda _: (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.register, self._objects, self._erasures, self._now = register, objects, erasures, now
        self._places = {place.store.name: place for place in places}
        self._needs_approval, self._governed = frozenset(needs_approval), governed

    # --- who

    def identify(self, job_id: str) -> Known:
        """Walk the links between stores. What was found before is kept, also what an erasure has since taken;
        a store that can't be asked is walked around, and asked by the next attempt.
        """
        job = self.register.get(job_id)
        before = self._known(job_id)
        if before is not None and not before.missed:
            if job.get("identified", {}).get("version") != before.version:
                self._tell_identified(job_id, before)
            return before
        seed = before.identifiers if before else self.register.subject(job)
        missed: list[str] = []
        asked = [_Patient(place.store, missed) for place in self._places.values() if place.has_links]
        found = identity.resolve(seed, asked)
        version = 1 if before is None else before.version + (before.identifiers != found.identifiers)
        known = Known(found.identifiers, version, found.graph.as_json(), tuple(missed))
        document = {
            **asdict(known),
            "identifiers": {kind: sorted(values) for kind, values in known.identifiers.items()},
        }
        self._objects.write(_work(job_id, "identity"), json.dumps(document).encode(), _JSON)
        self._tell_identified(job_id, known)
        return known

    def _tell_identified(self, job_id: str, known: Known) -> None:
        counts = {
            "identifiers": sum(len(values) for values in known.identifiers.values()),
            "links": len(known.graph["edges"]),
        }
        words = {"counts": counts, "kinds": sorted(known.identifiers), "missed": sorted(known.missed)}
        self.register.note(
            job_id, {"identified": {**counts, "version": known.version}}, "dsar.identified", words
        )

    def _known(self, job_id: str) -> Known | None:
        try:
            found = json.loads(self._objects.read(_work(job_id, "identity")))
        except FileNotFoundError:
            return None
        identifiers = {kind: frozenset(values) for kind, values in found["identifiers"].items()}
        return Known(identifiers, found["version"], found["graph"], tuple(found["missed"]))

    # --- each store

    def work(self, job_id: str, store: str) -> Mapping[str, Any]:
        """Do what the request asks in one store, unless it is done; the store's entry in the register.

        An error is noted there before it is raised. Raises StoreError, and what the store raises.
        """
        job = self.register.get(job_id)
        known = self._known(job_id)
        assert known is not None
        entry = job["stores"].get(store, {})
        if entry.get("state") == StoreState.DONE and entry.get("identity") == known.version:
            return dict(entry)
        place = self._places[store]
        try:
            _require_whole(job, place.store, known)
            if job["action"] == Action.EXPORT:
                self._export(job, place, known)
            else:
                self._erase(job, place, known)
        except Exception as error:
            self._failed(job_id, store, error)
            raise
        done: Mapping[str, Any] = self.register.get(job_id)["stores"][store]
        return done

    def _failed(self, job_id: str, store: str, error: Exception) -> None:
        def note(why: str) -> None:
            words = {"error": why}
            self.register.store(
                job_id, store, {"state": StoreState.FAILED, **words}, "dsar.store_failed", words
            )

        try:
            note(said(error))
        except Untellable:
            note(type(error).__name__)

    def _export(self, job: Job, place: Place, known: Known) -> None:
        job_id, store = job["job_id"], place.store
        key = store_key(job_id, store.name)
        with self._objects.upload(key, _JSON) as sink:
            written = bundle.write_records(store.name, store.export(known.identifiers), sink)
        entry = {"records": written.records, "size": written.size, "sha256": written.sha256, "key": key}
        words = {
            "counts": {"records": written.records, "bytes": written.size},
            "artefacts": {f"{store.name}.json": written.sha256},
        }
        self._done(job_id, store.name, entry, known, "dsar.store_exported", words)

    def _erase(self, job: Job, place: Place, known: Known) -> None:
        job_id, store = job["job_id"], place.store
        entry = job["stores"].get(store.name, {})
        waits = self._waits(job, known)
        if waits and "before" in entry and entry.get("identity") == known.version:
            return
        found = store.find(known.identifiers)
        if not waits:
            self._touch(job_id, store.name, found.touched)
        entry = {**_resumed(entry, found), "state": StoreState.FOUND, "identity": known.version}
        if not waits:  # from here on a run may die with something erased and nothing said
            entry["erasing"] = {"records": found.records, "changing": found.changing}
        counts = {name: entry[name] for name in ("before", "erased", "changed")}
        words = {"counts": counts, "interrupted": entry["interrupted"]}
        self.register.store(job_id, store.name, entry, "dsar.store_found", words)
        if waits:
            return
        for noun, subject in self._governed(known.identifiers):
            self._erasures.begin(noun, subject, job_id)
        erased = store.erase(known.identifiers, RequestId(job_id))
        touched = self._touch(job_id, store.name, erased.touched)
        counts = {name: entry[name] + getattr(erased, name) for name in ("erased", "changed", "versions")}
        counts["before"] = max(entry["before"], erased.before + entry["erased"] + entry["changed"])
        # Counted before it is verified: a run that dies in between finds nothing left to count.
        self.register.store(
            job_id, store.name, {**counts, "erasing": None}, "dsar.store_erased", {"counts": counts}
        )
        self._verify(job_id, store, known, counts, erased, touched)

    def _verify(
        self,
        job_id: str,
        store: Store,
        known: Known,
        entry: Mapping[str, Any],
        erased: Erased,
        touched: Sequence[str],
    ) -> None:
        remaining = store.verify(known.identifiers, touched)
        blocked = remaining.blocked or erased.blocked
        retained = remaining.retained or erased.retained
        counts = {
            "before": entry["before"],
            "after": remaining.records,
            "retained": sum(each.records for each in retained),
            "blocked": sum(each.count for each in blocked),
            "mentions": remaining.mentions,
            "objects_read": remaining.objects,
            "bytes_read": remaining.bytes,
        }
        if not remaining.clean:
            raise StoreError(
                f"{store.name}: {remaining.records} records and {remaining.mentions} mentions found again "
                "after the erasure, expected none"
            )
        found = {
            "after": remaining.records,
            "objects_read": remaining.objects,
            "bytes_read": remaining.bytes,
            "retained": [_retained(each) for each in retained],
            "blocked": [_blocked(each) for each in blocked],
        }
        words = {"counts": counts, "retained": found["retained"], "blocked": found["blocked"]}
        if blocked:
            whole = {**found, "state": StoreState.BLOCKED, "identity": known.version}
            self.register.store(job_id, store.name, whole, "dsar.store_blocked", words)
        else:
            self._done(job_id, store.name, found, known, "dsar.store_verified", words)

    def _done(
        self,
        job_id: str,
        store: str,
        entry: Mapping[str, Any],
        known: Known,
        event: str,
        words: Mapping[str, Any],
    ) -> None:
        whole = {**entry, "state": StoreState.DONE, "identity": known.version, "error": ""}
        self.register.store(job_id, store, whole, event, words)

    def _touch(self, job_id: str, store: str, touched: Sequence[str]) -> tuple[str, ...]:
        """Note objects that are rewritten; all that were noted so far."""
        key = _work(job_id, f"{store}.touched")
        try:
            before = tuple(json.loads(self._objects.read(key)))
        except FileNotFoundError:
            before = ()
        every = tuple(dict.fromkeys((*before, *touched)))
        if every != before:
            self._objects.write(key, json.dumps(every).encode())
        return every

    def _waits(self, job: Mapping[str, Any], known: Known) -> bool:
        """Whether it must be approved and is not: an approval covers who was known when it was given."""
        approved = job.get("approval", {}).get("identity") == known.version
        return Action(job["action"]) in self._needs_approval and not approved

    # --- the whole

    def gather(self, job_id: str) -> Job:
        """All stores were worked in: the request goes on RUNNING, or is BLOCKED.

        Raises StoreError where one was not, or not for all that the subject is known by.
        """
        job = self.register.get(job_id)
        if job["state"] != State.RUNNING:
            return job
        self.register.flush(job_id)
        known = self._known(job_id)
        assert known is not None
        if known.missed:
            raise _not_whole(known)
        waits = self._waits(job, known)
        settled = {StoreState.DONE, StoreState.BLOCKED} | ({StoreState.FOUND} if waits else set())
        entries = {name: job["stores"].get(name, {}) for name in self._places}
        left = [
            name
            for name, entry in entries.items()
            if entry.get("identity") != known.version or entry.get("state") not in settled
        ]
        if left:
            raise StoreError(f"{', '.join(left)}: not worked in for all that the subject is known by")
        if waits:
            return self.register.block(job_id, NEEDS_APPROVAL, None)
        blocked = {
            name: entry["blocked"]
            for name, entry in job["stores"].items()
            if entry["state"] == StoreState.BLOCKED
        }
        if not blocked:
            return job
        reasons = sorted({f"{name}: {each['what']}" for name, several in blocked.items() for each in several})
        dates = [each["until"] for several in blocked.values() for each in several if each["until"]]
        until = datetime.fromisoformat(min(dates)) if dates else None
        return self.register.block(job_id, "; ".join(reasons), until)

    def answer(self, job_id: str) -> Mapping[str, Any]:
        """Write the bundle, unless it is there; what the register knows of it."""
        job = self.register.get(job_id)
        known = self._known(job_id)
        made = job.get("bundle")
        if made and known and made["identity"] == known.version and self._objects.exists(made["key"]):
            found: Mapping[str, Any] = made
            return found
        assert known is not None
        key = answer_key(job_id)
        with self._objects.upload(key, _ZIP) as sink:
            written = bundle.write_bundle(self._answer(job, known), sink)
        entry = {
            "key": key,
            "sha256": written.sha256,
            "size": written.size,
            "records": written.records,
            "identity": known.version,
        }
        words = {"counts": {"bytes": written.size}, "artefacts": {f"{job_id}.zip": written.sha256}}
        self.register.note(job_id, {"bundle": entry}, "dsar.bundled", words)
        return entry

    def _answer(self, job: Mapping[str, Any], known: Known) -> bundle.Answer:
        export = job["action"] == Action.EXPORT
        parts = []
        for name, place in self._places.items():
            entry = job["stores"][name]
            if export:
                chunks = partial(self._objects.chunks, entry["key"])
                part = bundle.Part(
                    name, place.kind, place.description, entry["records"], entry["sha256"], chunks
                )
            else:
                facts = {
                    "found": entry["before"],
                    "erased": entry["erased"],
                    "made_anonymous": entry["changed"],
                    "old_versions_erased": entry["versions"],
                    "found_when_searched_again": entry["after"],
                }
                if entry.get("interrupted"):
                    facts["interrupted"] = "yes, and completed"
                part = bundle.Part(
                    name, place.kind, place.description, entry["erased"] + entry["changed"],
                    facts=facts, kept=entry["retained"],
                )  # fmt: skip
            parts.append(part)
        return bundle.Answer(
            job_id=job["job_id"],
            action=job["action"],
            jurisdiction=job["jurisdiction"],
            received=datetime.fromisoformat(job["received_at"]),
            due=job["due"],
            made=self._now(),
            parts=parts,
            walked=_walked(known.graph),
        )

    def complete(self, job_id: str) -> Job:
        """The request is answered. Who was erased is registered, so that nothing brings them back."""
        job = self.register.get(job_id)
        if job["state"] == State.COMPLETED:
            return job
        # One that can't end now is refused below, with nothing said of its subject.
        if job["action"] == Action.DELETE and job["state"] == State.RUNNING:
            known = self._known(job_id)
            assert known is not None
            for noun, subject in self._governed(known.identifiers):
                self._erasures.complete(noun, subject, job_id)
        return self.register.complete(job_id)


def close(register: Register, objects: Objects, erasures: Erasures, topic: Topic, job_id: str) -> Job:
    """What must follow a request's end or standstill: once it has ended, all that was kept for the work
    deleted; its events in the ledger, and people told. At least once. After a rejection nobody is being
    erased, so that what an attempt has deleted may be restored.
    """
    job = register.get(job_id)
    if State(job["state"]) in FINAL:  # first, as nothing that goes wrong below may keep it
        objects.delete(f"{WORK}/{job_id}/")
        if job["state"] == State.REJECTED:
            objects.delete(f"{ANSWERS}/{job_id}")
            erasures.withdraw(job_id)
    register.flush(job_id)
    if job.get("tell"):
        topic.publish(*notice(job))
    return register.closed(job_id)


def notice(job: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and message of what people are told; ids, states and counts alone."""
    lines = [
        f"Request {job['job_id']} ({job['action']}, {job['jurisdiction']}) is {job['state']}.",
        f"Due {job['due']}, attempt {job['attempt']}.",
    ]
    if job.get("reason"):
        lines.append(f"Reason: {job['reason']}" + (f", until {job['until']}" if job.get("until") else ""))
    if job["state"] == State.COMPLETED:
        records = sum(
            int(entry.get("records", entry.get("erased", 0) + entry.get("changed", 0)))
            for entry in job["stores"].values()
        )
        what = "exported" if job["action"] == Action.EXPORT else "erased"
        lines.append(f"{records:,} records {what} in {len(job['stores'])} stores.")
    return f"Request {job['state']}: {job['job_id']}", "\n".join(lines)


def said(error: Exception) -> str:
    """What may be told of an error: its class, and the words only of a store, which quote no value."""
    if isinstance(error, StoreError):
        return str(error)
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return f"{type(error).__name__}{f' ({code})' if code else ''}"


class _Patient:
    """A store that answers nothing when it can't be asked, which is noted."""

    def __init__(self, store: Store, missed: list[str]) -> None:
        self._store, self._missed = store, missed
        self.name, self.kinds = store.name, store.kinds

    def find(self, identifiers: Identifiers) -> Found:
        if self.name in self._missed:
            return Found(0)
        try:
            return self._store.find(identifiers)
        except Exception:  # noqa: BLE001  # its own step will say what is wrong
            self._missed.append(self.name)
            return Found(0)

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        raise NotImplementedError

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:
        raise NotImplementedError

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:
        raise NotImplementedError


def _not_whole(known: Known) -> StoreError:
    """Who the request is about is not known wholly: what is done for it would leave something behind."""
    return StoreError(f"{', '.join(known.missed)} could not be asked for links; a retry asks again")


def _require_whole(job: Mapping[str, Any], store: Store, known: Known) -> None:
    """Raises StoreError, or what the store raises, where too little is known to work in it: nothing is erased
    for a subject who is half known.
    """
    if store.name in known.missed:
        store.find(known.identifiers)  # says what is wrong, if it still is
    if store.name in known.missed or (known.missed and job["action"] == Action.DELETE):
        raise _not_whole(known)


def _work(job_id: str, name: str) -> str:
    return f"{WORK}/{job_id}/{name}.json"


def _resumed(entry: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """A store's entry as it is when a search has ``found`` what it has. ``erasing`` is what was there when an
    erasure began that never said how it ended: what is there no longer is what it did.
    """
    begun = entry.get("erasing") or {"records": found.records, "changing": found.changing}
    changed = max(0, begun["changing"] - found.changing)
    erased = max(0, begun["records"] - begun["changing"] - (found.records - found.changing))
    counts = {
        "erased": entry.get("erased", 0) + erased,
        "changed": entry.get("changed", 0) + changed,
        "versions": entry.get("versions", 0),
    }
    before = found.records + counts["erased"] + counts["changed"]
    return {
        **entry,
        **counts,
        "before": max(entry.get("before", 0), before),
        "interrupted": bool(entry.get("interrupted") or entry.get("erasing")),
    }


def _retained(each: Retained) -> dict[str, Any]:
    until = each.until.date().isoformat() if each.until else None
    return {"article": each.article, "reason": each.reason, "records": each.records, "until": until}


def _blocked(each: Blocked) -> dict[str, Any]:
    return {"what": each.what, "count": each.count, "until": each.until.isoformat() if each.until else None}


def _walked(graph: Mapping[str, Any]) -> list[dict[str, str]]:
    """The graph's links for a person."""
    shown = [f"{node['kind']} {node['name']}" for node in graph["nodes"]]
    return [
        {
            "known_by": shown[edge["from"]],
            "led_to": shown[edge["to"]],
            "by": f"{edge['store']}.{edge['field']}",
        }
        for edge in graph["edges"]
    ]
