"""The scanner: MB/s over 64 MiB of log with planted values, on one core, findings validated, masked and with
context.

In the same run and on the same bytes: ``rg`` with six patterns (where it is installed), Hyperscan's own scan
of them, and the standard library's ``re``. Precision and recall of each detector against what was planted.
The log is written by ``PRIVACY_ASSETS_GEN_LOG``, a script that takes OUT MIB SEED RATE and leaves
OUT.truth.jsonl beside.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privacy_assets.scan.detectors import ALL, REQUIRED, Detector
from privacy_assets.scan.engine import Finding, Scanner
from privacy_assets.scan.text import Place

GENERATOR = Path(__file__).resolve().parents[2] / "shared" / "tools" / "gen_log.py"
SEGMENT = 4 << 20
RATES = (4, 200)
ROUNDS = 3
PLANTED = {
    "US_SSN": "ssn",
    "CREDIT_CARD": "credit_card",
    "AWS_ACCESS_KEY": "aws_access_key_id",
    "AWS_SECRET": "aws_secret_access_key",
    "EMAIL": "email",
    "US_PHONE": "us_phone",
}
PATTERNS = (
    r"\b\d{3}[- ]\d{2}[- ]\d{4}\b",
    r"\b(?:4\d{3}|5[1-5]\d{2}|6011|3[47]\d{2})[- ]?\d{4}[- ]?\d{4}[- ]?\d{3,4}\b",
    r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    r"[sS][eE][cC][rR][eE][tT][a-zA-Z_ -]{0,20}[=: ]{1,3}[A-Za-z0-9/+]{40}",
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,100}\.[A-Za-z]{2,10}",
    r"(?:\+1 )?\(?\b[2-9]\d{2}\)?[-. ][2-9]\d{2}[-. ]\d{4}\b",
)
"""What people write: no issuers, no checksums, no words around."""


@dataclass(frozen=True)
class Piece:
    """A part of the log."""

    data: bytes
    offset: int
    member: str = ""

    @property
    def continues(self) -> bool:
        return self.offset > 0

    def place(self, start: int, end: int) -> Place:  # noqa: ARG002  # the protocol's shape
        return Place(self.offset + start)


def main(mebibytes: int = 64) -> dict[str, Any]:
    """The figures at each rate of planted values to the MiB."""
    if not GENERATOR.exists():
        return {"skipped": f"{GENERATOR} is missing, expected the generator of logs"}
    return {f"{rate} per MiB": _measured(mebibytes, rate) for rate in RATES}


def _measured(mebibytes: int, rate: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [sys.executable, str(GENERATOR), str(log), str(mebibytes), "7", str(rate)]
        subprocess.run(command, check=True, capture_output=True)
        data = log.read_bytes()
        planted = [json.loads(line) for line in Path(f"{log}.truth.jsonl").read_text().splitlines()]
        six = [ALL[name] for name in REQUIRED]
        found: list[Finding] = []
        speeds = {
            "six detectors": _speed(len(data), lambda: found.extend(_scan(six, data)), before=found.clear),
            "all detectors": _speed(len(data), lambda: list(_scan(ALL.values(), data)), rounds=1),
            "hyperscan, raw": _speed(len(data), _hyperscan(data)),
            "re": _speed(len(data[: 8 << 20]), lambda: _re(data[: 8 << 20]), rounds=1),
        }
        if rg := shutil.which("rg"):
            patterns = [word for pattern in PATTERNS for word in ("-e", pattern)]
            command = [rg, "-j1", "-bo", "--no-unicode", *patterns, str(log)]
            speeds["rg"] = _speed(len(data), lambda: _piped(command))
    own = speeds["six detectors"]
    return {
        "MB/s": speeds,
        "six detectors to": {
            name: round(own / speed, 2) for name, speed in speeds.items() if name != "six detectors"
        },
        "findings": len(found),
        "precision and recall": _accuracy(found, planted),
    }


def _speed(
    size: int, work: Callable[[], object], *, rounds: int = ROUNDS, before: Callable[[], None] | None = None
) -> float:
    """Megabytes a second of processor time, of the fastest of some rounds: what others do on the machine
    only slows it down.
    """
    fastest = float("inf")
    for _ in range(rounds):
        if before:
            before()
        started = _processor_time()
        work()
        fastest = min(fastest, _processor_time() - started)
    return round(size / fastest / 1e6, 1)


def _processor_time() -> float:
    """Seconds of this process and of those it waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _scan(detectors: Iterable[Detector], data: bytes) -> Iterator[Finding]:
    pieces = (Piece(data[at : at + SEGMENT], at) for at in range(0, len(data), SEGMENT))
    return (item for item in Scanner(detectors).scan(pieces) if isinstance(item, Finding))


def _hyperscan(data: bytes) -> Callable[[], object]:
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    numbers = list(range(len(PATTERNS)))
    database.compile(
        expressions=[pattern.encode() for pattern in PATTERNS],
        ids=numbers,
        elements=len(numbers),
        flags=[0] * len(numbers),
    )
    return lambda: database.scan(data, lambda *_: None)


def _re(data: bytes) -> None:
    together = re.compile("|".join(f"(?:{pattern})" for pattern in PATTERNS).encode())
    for _ in together.finditer(data):
        pass


def _piped(command: list[str]) -> None:
    """To a pipe that is read, as a scanner built on it would."""
    subprocess.run(command, check=True, stdout=subprocess.PIPE)


def _accuracy(found: Iterable[Finding], planted: Iterable[dict[str, Any]]) -> dict[str, Any]:
    truth, ours = defaultdict(set), defaultdict(set)
    for value in planted:
        truth[PLANTED[value["type"]]].add((value["start"], value["end"]))
    for finding in found:
        start = finding.place.byte_offset
        ours[finding.detector].add((start, start + finding.length))
    return {
        name: {
            "planted": len(truth[name]),
            "precision": round(len(truth[name] & ours[name]) / max(1, len(ours[name])), 4),
            "recall": round(len(truth[name] & ours[name]) / max(1, len(truth[name])), 4),
        }
        for name in REQUIRED
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
