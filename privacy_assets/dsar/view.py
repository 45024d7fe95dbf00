"""A request as people and programs see it: nothing in it names the subject."""

from collections.abc import Mapping
from typing import Any

from privacy_assets.dsar.deadlines import RULE_SETS
from privacy_assets.dsar.register import clock

_ALWAYS = ("action", "state", "attempt", "jurisdiction", "channel", "received_at", "due")
_SOMETIMES = ("reason", "until", "ended_at")
_STORE = (
    "state", "records", "size", "sha256", "before", "erased", "changed", "versions", "after", "retained",
    "blocked", "interrupted",
)  # fmt: skip


def summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """A line of a list."""
    return {
        "jobId": job["job_id"],
        **{name: job[name] for name in _ALWAYS},
        **{name: job[name] for name in _SOMETIMES if name in job},
    }


def detail(job: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of a request, but for who submitted it and whom it is about."""
    time = clock(job)
    acknowledge_by = time.acknowledge_by
    return {
        **summary(job),
        "rules": job["rules"],
        "rules_source": RULE_SETS[job["rules"]].source,
        "identity_verified": bool(job["identity"]["verified"]),
        "acknowledge_by": acknowledge_by.isoformat() if acknowledge_by else None,
        "extended": time.extended,
        "paused": time.paused,
        "approved": bool(job.get("approval")),
        "answer": _answer(job),
        "stores": [
            {
                "store": name,
                **{each: entry[each] for each in _STORE if each in entry},
                **({"error": entry["error"]} if entry.get("error") else {}),
            }
            for name, entry in job["stores"].items()
        ],
    }


def _answer(job: Mapping[str, Any]) -> dict[str, Any] | None:
    made = job.get("bundle")
    return {name: made[name] for name in ("sha256", "size", "records")} if made else None


def events(log: Any, job_id: str, *, proofs: bool = False) -> list[dict[str, Any]]:
    """A request's events as the ledger has them, each with the leaf that it is and, if wanted, its proof: a
    ``.tlog-proof`` (C2SP tlog-proof) that ``privacy-assets ledger`` and others verify without us.
    """
    entries = log.entries(job_id)
    receipts = log.proofs([entry.index for entry in entries]) if proofs else [None] * len(entries)
    return [
        {
            "leaf": entry.index,
            "type": entry.event.kind,
            "at": entry.event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "actor": entry.event.actor,
            **({"run_id": entry.event.run_id} if entry.event.run_id else {}),
            **({"counts": dict(entry.event.counts)} if entry.event.counts else {}),
            **({"artefacts": dict(entry.event.artefacts)} if entry.event.artefacts else {}),
            **({"details": dict(entry.event.details)} if entry.event.details else {}),
            **({"proof": receipt.encode().decode()} if receipt is not None else {}),
        }
        for entry, receipt in zip(entries, receipts, strict=True)
    ]
