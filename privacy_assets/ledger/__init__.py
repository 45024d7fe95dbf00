"""The audit trail: what was done, to whom, by whom, in a log that nobody can rewrite unseen.

It is a transparency log (RFC 6962 hashing, C2SP tiles, checkpoints and receipts) whose leaves are events.
``docs/ledger.md`` has the format and how an auditor verifies it. An asset takes the resource ``ledger`` and
records what it did, before it tells anybody that it is done, in one line::

    record(ledger, Event("scan.completed", actor="scan", stream=job_id, counts={"findings": 7}), once=job_id)

Several events of one act go into one call: they are logged all or none. ``once`` names the act, so that a run
that is tried again logs it once; the leaves' numbers are answered. There is nothing to catch: what can't be
recorded fails the run. ``open_log(ledger)`` is the ``Log`` itself: ``.entries(stream)`` are the events of a
request, ``.proofs([entry.index, …])`` their receipts, ``.append(events, once)``.
"""

from typing import Any

from privacy_assets.ledger.events import Event
from privacy_assets.ledger.log import Entry, Log
from privacy_assets.ledger.proof import Proof

__all__ = ["Entry", "Event", "Log", "Proof", "open_log", "record"]

_logs: dict[tuple[str, ...], Log] = {}


def open_log(ledger: Any) -> Log:
    """The log kept in ``ledger`` (a ``LedgerResource``); one for the process, which remembers its edge."""
    if ledger.where not in _logs:
        _logs.setdefault(ledger.where, Log(ledger, ledger.signer))
    return _logs[ledger.where]


def record(ledger: Any, *events: Event, once: str = "") -> list[int]:
    """Log ``events``, all or none, and answer their leaves. See ``Log.append`` for what is raised."""
    return open_log(ledger).append(events, once)
