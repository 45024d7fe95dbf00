#!/usr/bin/env python3
"""Send generated privacy events to the API: a model for a program of your own. Needs Python alone.

It gets a token, sends batches at the rate you ask for, and repeats what was not answered or was told to wait
(429, 503), with the same Idempotency-Key: nothing is lost and nothing is there twice.

Who it is comes from the environment, so that no secret is in a list of processes:

    eval $(privacy-assets aws env)
    eval $(privacy-assets client secret local --env)
    python examples/send_events.py --count 1000 --rate 200

Then ask for them, once a run of `ingest/events` has written them (half a minute):

    privacy-assets athena "SELECT event_type, count(*) FROM events GROUP BY 1"
"""

import argparse
import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

PATIENCE = 15 * 60.0
"""Seconds for which a batch is tried, longer than any service is away for."""
LONGEST_PAUSE = 30.0
TOKEN_SECONDS = 15 * 60  # a token is valid for 20 minutes
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
KINDS = {
    "consent_given": {"purpose": ["newsletter", "analytics"], "jurisdiction": ["DE", "FR", "US-CA"]},
    "consent_withdrawn": {"purpose": ["newsletter", "analytics"], "jurisdiction": ["DE", "FR"]},
    "opt_out_sale": {"jurisdiction": ["US-CA"]},
    "gpc_signal": {"jurisdiction": ["US-CA"]},
    "processing": {
        "purpose": ["newsletter", "analytics", "billing"],
        "legal_basis": ["consent", "contract"],
        "jurisdiction": ["DE", "FR", "US-CA"],
        "data_categories": [["contact"], ["contact", "location"]],
    },
    "sale_or_share": {
        "recipient": ["ad-network", "analytics-vendor"],
        "recipient_country": ["US", "DE"],
        "jurisdiction": ["US-CA", "DE"],
    },
    "access_request": {"jurisdiction": ["DE", "US-CA"]},
}
WEIGHTS = [15, 3, 2, 5, 60, 14, 1]


class RefusedError(Exception):
    """The API will not take it, however often it is asked."""


class Api:
    """The two addresses that are needed, with a token that is renewed before it ends."""

    def __init__(self, address: str, client_id: str, client_secret: str) -> None:
        self._address, self._client = address.rstrip("/"), (client_id, client_secret)
        self._token, self._until = "", 0.0
        self.repeated = 0

    def send(self, events: list[dict]) -> dict:
        """Send a batch until it is answered for good; the answer says for each event what became of it."""
        body = json.dumps(events).encode()
        key = str(uuid.uuid4())  # the same for each attempt: the API knows what it has accepted
        attempt, until = 0, time.monotonic() + PATIENCE
        while True:
            attempt += 1
            try:
                headers = {"Authorization": f"Bearer {self._bearer()}", "Idempotency-Key": key}
                return self._post("/events", body, headers)
            except urllib.error.HTTPError as error:
                status, wait = error.code, error.headers.get("Retry-After", "")
                told = error.read().decode(errors="replace")
                if status == 401 and self._token:
                    self._token = ""  # it ended, or its key was withdrawn
                elif status not in (409, 429, 500, 502, 503, 504):
                    raise RefusedError(f"HTTP {status}: {told}") from None
                pause = float(wait) if wait.isdigit() else None
            except (OSError, http.client.HTTPException):  # the answer, or the API itself, was lost
                pause = None
            if time.monotonic() > until:
                raise RefusedError(f"not accepted in {PATIENCE:.0f} seconds and {attempt} attempts")
            self.repeated += 1
            longest = min(0.1 * 2 ** min(attempt, 10), LONGEST_PAUSE)
            # Told how long, wait that and a little more, so that all clients don't come back at once.
            time.sleep(random.uniform(0, longest) if pause is None else pause + random.uniform(0, 1))

    def _bearer(self) -> str:
        if not self._token or time.monotonic() > self._until:
            client_id, secret = self._client
            asked = {"client_id": client_id, "client_secret": secret, "audience": "privacy-assets"}
            try:
                answer = self._post("/token", json.dumps(asked).encode(), {})
            except urllib.error.HTTPError as error:
                if error.code == 401:
                    raise RefusedError("the client's id or secret is not valid") from None
                raise
            self._token = answer["access_token"]
            self._until = time.monotonic() + min(TOKEN_SECONDS, 0.75 * answer["expires_in"])
        return self._token

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> dict:
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self._address + path, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def events(count: int, late: float, seed: int | None) -> Iterator[dict]:
    """Generated events, as they happen; a share of ``late`` happened in the days before."""
    chance = random.Random(seed)
    kinds = list(KINDS)
    for _ in range(count):
        (kind,) = chance.choices(kinds, WEIGHTS)
        moment = datetime.now(timezone.utc)
        if chance.random() < late:
            moment -= timedelta(seconds=chance.uniform(3600, 3 * 86_400))
        yield {
            # An identity of its own: sent again, even days later, it is the same event.
            "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "subject_id": f"subject-{chance.randrange(1000):04}",
            "event_time": moment.isoformat(timespec="milliseconds"),
            "event_type": kind,
            **{name: chance.choice(values) for name, values in KINDS[kind].items()},
            "extra": {"sent_by": "send_events.py"},
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="where the API is (%(default)s)")
    parser.add_argument("--count", type=int, default=1000, help="how many events (%(default)s)")
    parser.add_argument(
        "--rate", type=float, default=100.0, help="events a second; 0: as fast as it goes (%(default)s)"
    )
    parser.add_argument("--batch", type=int, default=50, help="events in a request, 1 to 500 (%(default)s)")
    parser.add_argument(
        "--late", type=float, default=0.02, help="share of events that come late (%(default)s)"
    )
    parser.add_argument("--seed", type=int, help="the same events each time, but for their times")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON document")
    given = parser.parse_args()
    if given.count < 1 or not 1 <= given.batch <= 500 or given.rate < 0 or not 0 <= given.late <= 1:
        parser.error("expected --count from 1, --batch from 1 to 500, --rate from 0, --late from 0 to 1")
    address = urlsplit(given.api)
    if address.scheme not in ("http", "https") or not address.hostname:
        parser.error(f"--api {given.api}: expected an address such as https://api.example.com")
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        parser.error(f"--api {given.api}: expected https, as a secret is sent")
    client_id = os.environ.get("PRIVACY_ASSETS_CLIENT_ID", "")
    secret = os.environ.get("PRIVACY_ASSETS_CLIENT_SECRET", "")
    if not client_id or not secret:
        parser.error("PRIVACY_ASSETS_CLIENT_ID and PRIVACY_ASSETS_CLIENT_SECRET: not set; see --help")
    try:
        return send(Api(given.api, client_id, secret), given)
    except RefusedError as refused:
        print(f"send_events.py: {refused}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def send(api: Api, given: argparse.Namespace) -> int:
    """Send it all; 0 when all was accepted."""
    accepted = refused = 0
    shown = sys.stderr.isatty()
    started = time.monotonic()
    batch: list[dict] = []
    for number, event in enumerate(events(given.count, given.late, given.seed), 1):
        batch.append(event)
        if len(batch) < given.batch and number < given.count:
            continue
        answer = api.send(batch)
        accepted, refused = accepted + answer["accepted"], refused + answer["refused"]
        for place, one in enumerate(answer["events"]):
            for wrong in one.get("errors", []):
                where = f"event {number - len(batch) + place + 1}{wrong['pointer']}"
                print(f"{where}: {wrong['detail']}", file=sys.stderr)
        batch = []
        if shown:
            print(f"\r{accepted:,} of {given.count:,} accepted", end="", file=sys.stderr, flush=True)
        if given.rate and number < given.count:
            time.sleep(max(0.0, started + number / given.rate - time.monotonic()))
    seconds = time.monotonic() - started
    if shown:
        print(file=sys.stderr)
    summary = {
        "accepted": accepted,
        "refused": refused,
        "requests_repeated": api.repeated,
        "seconds": round(seconds, 1),
    }
    if given.json:
        print(json.dumps(summary))
    else:
        print(
            f"{accepted:,} accepted, {refused:,} refused, {api.repeated:,} requests repeated, {seconds:.1f} s"
        )
    return 0 if accepted == given.count else 1


if __name__ == "__main__":
    sys.exit(main())
