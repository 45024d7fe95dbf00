"""The HTTP API on two cores: events, tokens and pages of a million findings, beside a bare FastAPI endpoint.

AWS, the API and the bare endpoint are processes of their own; this one sends. Latencies are the sender's, of
one connection; requests a second are those of eight. ``without_queue`` is the API with a queue that takes
everything at once: what it costs above the bare endpoint is our share.
"""

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import uvicorn
from fastapi import FastAPI

from local_aws.process import running
from privacy_assets.machine.stack import HOST, free_port
from privacy_assets.scan.tables import FINDING_COLUMNS, FINDING_PROPERTIES, FINDINGS, PARTITION_BY

CONNECTIONS = 8
SECONDS = 4.0
BUCKET = "privacy-sample-data"
CLIENT = "bench"
_OFTEN = "1000000000"
_NO_QUEUE = "BENCH_WITHOUT_QUEUE"


def main(*, quick: bool) -> dict[str, Any]:
    """Latency and rate of each call; prints a table and answers the figures."""
    findings, seconds, pages = (20_000, 0.5, 20) if quick else (1_000_000, SECONDS, 200)
    with running() as aws, _environment({**aws.environment, **_limits()}):
        credentials = _provision()
        figures: dict[str, Any] = {"connections": CONNECTIONS}
        with _serving("bare") as bare:
            figures["bare"] = _measure(bare, lambda: ("GET", "/", None, {}), seconds)
        for name, extra in (("without_queue", {_NO_QUEUE: "1"}), ("with_queue", {})):
            with _environment(extra), _serving("api") as api:
                figures[name] = _calls(api, credentials, seconds)
        figures["above_bare_p50_ms"] = {
            name: round(found["p50_ms"] - figures["bare"]["p50_ms"], 2)
            for name, found in figures["without_queue"].items()
        }
        with _serving("api") as api:
            figures["results"] = _results(api, _bearer(api, credentials), findings, pages)
    _print(figures)
    return figures


def _calls(api: str, credentials: Mapping[str, str], seconds: float) -> dict[str, Any]:
    bearer = _bearer(api, credentials)
    token = json.dumps({**credentials, "audience": "privacy-assets"}).encode()
    one, hundred = json.dumps(_event()).encode(), json.dumps([_event() for _ in range(100)]).encode()
    return {
        "token": _measure(api, lambda: ("POST", "/token", token, {}), seconds),
        "events_1": _measure(api, lambda: ("POST", "/events", one, bearer), seconds),
        "events_100": _measure(api, lambda: ("POST", "/events", hundred, bearer), seconds),
    }


Call = tuple[str, str, bytes | None, Mapping[str, str]]


def _measure(address: str, call: Callable[[], Call], seconds: float) -> dict[str, float]:
    """p50 and p99 of one connection, in milliseconds, and the rate of several."""
    _send(address, call, 0.3)
    alone = _send(address, call, seconds)
    taken: list[list[float]] = [[] for _ in range(CONNECTIONS)]
    threads = [
        threading.Thread(target=lambda number=number: taken[number].extend(_send(address, call, seconds)))
        for number in range(CONNECTIONS)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(map(len, taken)) / (time.perf_counter() - started)
    return {
        "p50_ms": round(_percentile(alone, 50), 2),
        "p99_ms": round(_percentile(alone, 99), 2),
        "requests_per_second": round(rate),
        "p99_ms_of_all": round(_percentile([each for part in taken for each in part], 99), 2),
    }


def _send(address: str, call: Callable[[], Call], seconds: float) -> list[float]:
    """Milliseconds of each request of one connection."""
    connection = http.client.HTTPConnection(address)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        taken.append(_one(connection, call())[0])
    connection.close()
    return taken


def _one(connection: http.client.HTTPConnection, call: Call) -> tuple[float, bytes]:
    method, path, body, headers = call
    started = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    content = answer.read()
    taken = (time.perf_counter() - started) * 1000
    assert answer.status in (200, 202), (answer.status, content[:500])
    return taken, content


def _results(api: str, bearer: Mapping[str, str], findings: int, pages: int) -> dict[str, Any]:
    """Pages of 100 at any depth: by offset at random places, by cursor one after another, and filtered."""
    _put(findings)
    connection = http.client.HTTPConnection(api)

    def page(query: str) -> tuple[float, dict[str, Any]]:
        taken, content = _one(connection, ("GET", f"/results?limit=100&{query}", None, bearer))
        return taken, json.loads(content)

    first, said = page("")
    assert said["total"] == findings, said["total"]
    chance = random.Random(4711)
    figures: dict[str, Any] = {"findings": findings, "first_page_ms": round(first, 1)}
    by_offset = [page(f"offset={chance.randrange(findings - 100)}")[0] for _ in range(pages)]
    cursors, taken = said["next_cursor"], []
    for _ in range(pages):
        each, said = page(f"cursor={cursors}")
        cursors = said["next_cursor"]
        taken.append(each)
    first_filtered, said = page("severity=critical&detector=ssn")
    filtered = [
        page(f"severity=critical&detector=ssn&offset={chance.randrange(said['total'] - 100)}")[0]
        for _ in range(pages)
    ]
    for name, found in (("offset", by_offset), ("cursor", taken), ("filtered", filtered)):
        figures[name] = {f"p{level}_ms": round(_percentile(found, level), 1) for level in (50, 95, 100)}
    figures["first_filtered_page_ms"] = round(first_filtered, 1)
    return figures


def _put(number: int) -> None:
    """Findings as a scan of one bucket leaves them."""
    from resources import settings
    from resources.iceberg import IcebergResource

    iceberg = IcebergResource(database=settings.GLUE_DATABASE.value(), bucket=settings.LAKE_BUCKET.value())
    iceberg.ensure(FINDINGS, FINDING_COLUMNS, PARTITION_BY, FINDING_PROPERTIES)
    iceberg.replace(FINDINGS, {"bucket": [BUCKET]}, lambda: _findings(number))


def _findings(number: int, chunk: int = 50_000) -> Iterator[pa.RecordBatch]:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    detectors, severities = np.array(["email", "ssn", "iban"]), np.array(["medium", "critical", "high"])
    for start in range(0, number, chunk):
        numbers = np.arange(start, min(start + chunk, number))
        size, kinds = len(numbers), numbers % 3
        same: dict[str, Any] = {
            "bucket": BUCKET, "member": "", "detector_version": 1, "length": 11, "column_name": None,
            "row_number": None, "masked_match": "***-**-6789", "confidence": "high", "first_seen": now,
            "last_seen": now, "closed_at": None, "status": "open", "allowed_because": None, "job_id": "bench",
        }  # fmt: skip
        columns: dict[str, Any] = {
            **{name: [value] * size for name, value in same.items()},
            "key": [f"logs/2026/01/31/{each // 20:08d}.log" for each in numbers],
            "etag": [f"{each // 20:032x}" for each in numbers],
            "detector": detectors[kinds],
            "severity": severities[kinds],
            "byte_offset": numbers * 80,
            "line": numbers % 20,
            "context": [f"request {each} of ***-**-6789 was answered" for each in numbers],
        }
        arrays = [pa.array(columns[field.name], field.type) for field in FINDING_COLUMNS]
        yield pa.RecordBatch.from_arrays(arrays, schema=FINDING_COLUMNS)


def _provision() -> dict[str, str]:
    from privacy_assets.api.clients import SCOPES
    from privacy_assets.api.rotation import create_client, ensure_keys
    from privacy_assets.governed import governed_estate, table_shapes
    from resources.api_secrets import ApiSecrets
    from resources.provision import provision

    provision(table_shapes(governed_estate()))
    secrets = ApiSecrets.from_settings()
    ensure_keys(secrets)
    create_client(secrets, CLIENT, list(SCOPES), None)
    found: dict[str, str] = json.loads(secrets.client_secret(CLIENT))
    return found


def _limits() -> dict[str, str]:
    return {
        "PRIVACY_ASSETS_API_REQUESTS_PER_CLIENT": _OFTEN,
        "PRIVACY_ASSETS_API_REQUESTS_PER_ADDRESS": _OFTEN,
    }


def _bearer(api: str, credentials: Mapping[str, str]) -> dict[str, str]:
    body = json.dumps({**credentials, "audience": "privacy-assets"}).encode()
    _, content = _one(http.client.HTTPConnection(api), ("POST", "/token", body, {}))
    return {"Authorization": f"Bearer {json.loads(content)['access_token']}"}


def _event() -> dict[str, Any]:
    return {
        "subject_id": "subject-4711",
        "event_time": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
        "event_type": "consent_given",
        "purpose": "newsletter",
        "legal_basis": "consent",
        "jurisdiction": "DE",
        "data_categories": ["contact"],
        "message": "consent given in the preference centre",
    }


@contextmanager
def _serving(what: str) -> Iterator[str]:
    """``host:port`` of a process that serves ``what``: api or bare."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.api", what, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"{HOST}:{port}"
    try:
        _await(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _await(address: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            _one(http.client.HTTPConnection(address), ("GET", "/healthz", None, {}))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{address} does not answer")


def _serve(what: str, port: int) -> None:
    app = _bare() if what == "bare" else _api()
    uvicorn.run(app, host=HOST, port=port, log_config=None, access_log=False, server_header=False)


def _bare() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    @app.get("/healthz")
    async def nothing() -> dict[str, str]:
        return {"status": "ok"}

    return app


class _Takes:
    """A queue that takes everything at once."""

    def send(self, bodies: Sequence[str]) -> None:
        pass


def _api() -> FastAPI:
    from privacy_assets.api import logs
    from privacy_assets.api.app import create_app
    from privacy_assets.api.server import services
    from privacy_assets.governed import governed_estate

    logs.configure()
    made = services(governed_estate())
    if os.environ.get(_NO_QUEUE):
        made.events = _Takes()
    return create_app(made)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _percentile(values: Sequence[float], level: int) -> float:
    if level == 100:
        return max(values)
    return statistics.quantiles(values, n=100, method="inclusive")[level - 1]


def _print(figures: Mapping[str, Any]) -> None:
    rows = {"bare endpoint": figures["bare"]}
    for part in ("without_queue", "with_queue"):
        rows |= {f"{name} {part}": found for name, found in figures[part].items()}
    print(f"{'call':28}{'p50 ms':>9}{'p99 ms':>9}{'a second':>10}")
    for name, found in rows.items():
        print(f"{name:28}{found['p50_ms']:9.2f}{found['p99_ms']:9.2f}{found['requests_per_second']:10,}")
    for name in ("offset", "cursor", "filtered"):
        found = figures["results"][name]
        print(f"results by {name:17}{found['p50_ms']:9.1f} p95 {found['p95_ms']:.1f} ms")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
