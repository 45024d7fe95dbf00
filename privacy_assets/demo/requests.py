"""The demo's requests: a subject asks for her data and then for its erasure, and what is left is searched."""

import io
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from privacy_assets.dsar import composition
from privacy_assets.dsar.requests import JobId, parse_submission
from privacy_assets.dsar.states import FINAL, State
from privacy_assets.errors import UserError
from privacy_assets.governed import governed_estate

_POLL_SECONDS = 0.3
_KIND = "user_id"


@dataclass(frozen=True)
class Requested:
    """What became of the two requests. ``left`` is what a search finds afterwards, by store; ``proved`` how
    many of their events the ledger's proofs were verified for.
    """

    export: Mapping[str, Any]
    erasure: Mapping[str, Any]
    left: Mapping[str, int]
    events: int
    proved: int
    page: Path

    @property
    def surprises(self) -> list[str]:
        """A line for each thing that did not come out as it should."""
        lines = [
            f"request {job['job_id']}: {job['state']}, expected COMPLETED"
            for job in (self.export, self.erasure)
            if job["state"] != State.COMPLETED
        ]
        lines += [f"erasure: {left} records are left in {store}" for store, left in self.left.items() if left]
        if self.proved != self.events:
            lines.append(f"ledger: {self.proved} of {self.events} events of the requests are proved")
        return lines

    def document(self) -> dict[str, Any]:
        """What ``--json`` tells of it."""
        stores = self.erasure["stores"]
        return {
            "export": {
                "jobId": self.export["job_id"],
                "state": self.export["state"],
                "records": self.export["bundle"]["records"],
            },
            "erasure": {
                "jobId": self.erasure["job_id"],
                "state": self.erasure["state"],
                "stores": [
                    {
                        "store": name,
                        "before": entry["before"],
                        "erased": entry["erased"] + entry["changed"],
                        "left": self.left[name],
                    }
                    for name, entry in stores.items()
                ],
            },
            "events": self.events,
            "proved": self.proved,
            "page": str(self.page),
        }


def subject_of(table: str) -> str:
    """A subject of the table ``table``: that of its first item."""
    from privacy_assets.definitions import default_resources

    governed = next(each for each in governed_estate().tables if each.table == table)
    assert governed.subject_key is not None
    (item,) = default_resources()["tables"].table(table).first(1)
    return str(next(iter(item[governed.subject_key].values())))


def ask(subject: str, action: str) -> str:
    """Submit a request of ``subject``; its id."""
    document = {
        "user_id": subject,
        "action": action,
        "channel": "web",
        "identity": {"verified": True, "method": "login"},
    }
    job_id = JobId(f"dsar-{uuid.uuid4().hex}")
    composition.register(_resources()).submit(parse_submission(document), "demo", job_id)
    return str(job_id)


def follow(
    job_id: str, say: Callable[[str], None], alive: Callable[[], None], patience: float
) -> Mapping[str, Any]:
    """Wait until the request has ended, approving it when it waits for that; its job. Raises UserError when
    it fails or nothing happens.
    """
    register = composition.register(_resources())
    said, until = "", monotonic() + patience
    while True:
        alive()
        job = register.get(job_id)
        if State(job["state"]) in FINAL and "tell" not in job:
            return job
        if job["state"] in (State.FAILED, State.PARTIALLY_FAILED):
            raise UserError(f"request {job_id}: {job['state']}, {job.get('reason', 'see its run')}")
        if job["state"] == State.BLOCKED and job.get("reason") == "approval":
            register.approve(job_id, "demo")
        done = sum(entry.get("state") == "DONE" for entry in job["stores"].values())
        now = f"{job['action']}: {job['state'].lower()}, {done} stores done"
        if now != said:
            said, until = now, monotonic() + patience
            say(f"request of a subject, {now}")
        if monotonic() > until:
            raise UserError(f"request {job_id}: nothing happened for {patience:g} s; it is {job['state']}")
        sleep(_POLL_SECONDS)


def read(subject: str, export: Mapping[str, Any], erasure: Mapping[str, Any], reports: Path) -> Requested:
    """Search the stores again, verify the ledger's proofs, copy the answer's page below ``reports``."""
    from privacy_assets.ledger import open_log
    from privacy_assets.ledger.proof import verify

    resources = _resources()
    identifiers = {_KIND: frozenset({subject})}
    left = {
        place.store.name: place.store.verify(identifiers).records
        for place in composition.places(governed_estate(), resources)
    }
    log = open_log(resources.ledger)
    entries = [entry for job in (export, erasure) for entry in log.entries(job["job_id"])]
    proved = 0
    for proof in log.proofs([entry.index for entry in entries]):
        verify(proof, [log.key])
        proved += 1
    reports.mkdir(parents=True, exist_ok=True)
    page = reports / "request.html"
    with zipfile.ZipFile(io.BytesIO(resources.bundles.read(export["bundle"]["key"]))) as answer:
        page.write_bytes(answer.read("index.html"))
    return Requested(export, erasure, left, len(entries), proved, page)


def print_requests(requested: Requested, console: Console, short: Callable[[Path], str]) -> None:
    """Each store with what it gave, lost and has left, and where the answer's page is."""
    console.print(
        "A subject's requests: her data, then its erasure",
        style="bold italic",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("store", no_wrap=True)
    for name in ("exported", "before", "erased", "kept by law", "found again"):
        table.add_column(name, justify="right")
    for store, entry in requested.erasure["stores"].items():
        exported = requested.export["stores"][store]["records"]
        erased = entry["erased"] + entry["changed"]
        kept = sum(each["records"] for each in entry["retained"])
        cells: Sequence[int] = (exported, entry["before"], erased, kept, requested.left[store])
        table.add_row(store, *(f"{cell:,}" for cell in cells))
    console.print(table)
    console.print(
        f"ledger:  {requested.proved} events of both requests, each proved", soft_wrap=True, highlight=False
    )
    console.print(f"page:    {short(requested.page)}", soft_wrap=True, highlight=False)


def _resources() -> Any:
    from privacy_assets.definitions import ready

    return ready(composition.RESOURCES)
