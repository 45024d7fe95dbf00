"""A bucket of sample objects in many formats, with values that a scan must find and decoys that it must not.

The values are made up, valid by their checksums, and assembled here, so that this file holds none.
"""

import bz2
import gzip
import io
import json
import lzma
import random
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from string import ascii_letters, ascii_uppercase, digits

from stdnum import luhn

BUCKET = "privacy-sample-data"
_SEED = 20260131
_SERVICES = ("checkout", "billing", "search", "mailer", "gateway")
_FIRST = ("maria", "john", "wei", "aisha", "liam", "olga", "kenji", "fatima")
# Neither a service code such as 911 nor 555, which is for films.
_EXCHANGES = [number for number in range(220, 900) if number % 100 != 11 and number != 555]
_LAST = ("smith", "garcia", "chen", "khan", "mueller", "ivanova", "sato", "lopez")


@dataclass
class Samples:
    """The objects by key, and how many findings of each detector each must give."""

    objects: dict[str, bytes] = field(default_factory=dict)
    planted: dict[str, Counter[str]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    """The state of objects that can't be read to their end."""

    @property
    def expected(self) -> Mapping[tuple[str, str], int]:
        """Findings by key and detector."""
        return {
            (key, detector): number
            for key, counts in self.planted.items()
            for detector, number in counts.items()
        }


class _Writer:
    """Makes values, and counts those that it puts into the object being written."""

    def __init__(self) -> None:
        self._random = random.Random(_SEED)  # noqa: S311  # sample data
        self.counts: Counter[str] = Counter()

    def ssn(self) -> str:
        self.counts["ssn"] += 1
        area = self._random.choice([number for number in range(100, 730) if number != 666])
        return f"{area}-{self._random.randint(10, 99)}-{self._random.randint(1000, 9999)}"

    def card(self) -> str:
        self.counts["credit_card"] += 1
        issued = "4539" + "".join(self._random.choices(digits, k=11))
        return issued + str(luhn.calc_check_digit(issued))

    def email(self) -> str:
        self.counts["email"] += 1
        name = f"{self._random.choice(_FIRST)}.{self._random.choice(_LAST)}{self._random.randint(10, 99)}"
        return "@".join((name, "corp-mail.io"))

    def phone(self) -> str:
        self.counts["us_phone"] += 1
        area = self._random.choice(["212", "415", "646", "303", "312"])
        exchange = self._random.choice(_EXCHANGES)
        return f"({area}) {exchange}-{self._random.randint(1000, 9999)}"

    def key_pair(self) -> tuple[str, str]:
        self.counts["aws_access_key_id"] += 1
        self.counts["aws_secret_access_key"] += 1
        base32 = ascii_uppercase + "234567"
        identifier = "AK" + "IA" + "".join(self._random.choices(base32, k=16))
        secret = "".join(self._random.choices(ascii_letters + digits, k=40))
        return identifier, secret

    def decoy(self) -> str:
        kind = self._random.randrange(4)
        if kind == 0:
            return f"trace={self._random.getrandbits(128):032x}"
        if kind == 1:
            return f"took={self._random.randint(1, 900)}ms"
        if kind == 2:
            return f"epoch_ms={self._random.randint(1_600_000_000_000, 1_790_000_000_000)}"
        return f"part=000-{self._random.randint(10, 99)}-{self._random.randint(1000, 9999)}"

    def line(self, number: int, more: str = "") -> str:
        service = self._random.choice(_SERVICES)
        stamp = f"2026-01-31T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        return f"{stamp} INFO {service} request handled {self.decoy()}{more}\n"


def samples() -> Samples:
    """The same objects each time."""
    made = Samples()
    writer = _Writer()
    for key, body, state in _objects(writer):
        made.objects[key] = body
        if writer.counts:
            made.planted[key] = writer.counts
            writer.counts = Counter()
        if state:
            made.unread[key] = state
    return made


def _objects(writer: _Writer) -> Iterator[tuple[str, bytes, str]]:
    """Key, bytes and, where it can't be read to its end, the state."""
    yield "logs/2026/01/30/app.log", "".join(writer.line(number) for number in range(4000)).encode(), ""
    yield "logs/2026/01/31/app.log.gz", gzip.compress(_log(writer).encode(), mtime=0), ""
    yield "logs/2026/01/31/mailer.log.bz2", bz2.compress(_log(writer).encode()), ""
    yield "logs/2026/01/31/gateway.log.xz", lzma.compress(_log(writer).encode()), ""
    yield "exports/customers.csv", _csv(writer).encode(), ""
    yield "exports/events.jsonl", _json_lines(writer).encode(), ""
    yield "exports/orders.parquet", _parquet(writer), ""
    yield "backups/2025.zip", _zip(writer), ""
    yield "mail/complaint.eml", _mail(writer), ""
    yield "config/deploy.env", _env(writer).encode(), ""
    yield "notes/utf16.txt", f"call her at {writer.phone()}\n".encode("utf-16"), ""
    noise = random.Random(_SEED)  # noqa: S311  # sample data
    yield "images/logo.bin", b"\x00\x01\x02" + noise.randbytes(40_000), "partly read"
    torn = gzip.compress(noise.randbytes(50_000).hex().encode(), mtime=0)[:-4000]
    yield "backups/torn.csv.gz", torn, "partly read"


def _log(writer: _Writer) -> str:
    lines = []
    for number in range(2000):
        more = ""
        if number % 200 == 7:
            more = f" user={writer.email()}"
        elif number % 400 == 11:
            more = f" ssn={writer.ssn()}"
        elif number % 500 == 13:
            more = f" pan={writer.card()}"
        lines.append(writer.line(number, more))
    return "".join(lines)


def _csv(writer: _Writer) -> str:
    rows = [
        f"{number},{writer.email()},{writer.ssn()},{writer.phone()},Berlin\r\n" for number in range(1, 121)
    ]
    return "id,email,ssn,phone,city\r\n" + "".join(rows)


def _json_lines(writer: _Writer) -> str:
    events = (
        {"id": number, "kind": "signup", "contact": {"email": writer.email()}, "score": number * 7 % 100}
        for number in range(80)
    )
    return "".join(json.dumps(event) + "\n" for event in events)


def _parquet(writer: _Writer) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "order": pa.array(range(300), pa.int64()),
            "card": [writer.card() if number % 10 == 0 else None for number in range(300)],
            "note": [f"order {number} shipped" for number in range(300)],
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body, row_group_size=100)
    return body.getvalue()


def _zip(writer: _Writer) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("people/a.csv", _csv(writer)), ("readme.txt", "nothing to see\n")):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 31, 0, 0, 0)), text)
    return body.getvalue()


def _mail(writer: _Writer) -> bytes:
    mail = EmailMessage()
    mail["Subject"] = "Please delete my data"
    mail["From"] = writer.email()
    mail["To"] = writer.email()
    mail.set_content(f"My number is {writer.phone()}, my SSN {writer.ssn()}.\n")
    return mail.as_bytes()


def _env(writer: _Writer) -> str:
    identifier, secret = writer.key_pair()
    return f"REGION=eu-central-1\nAWS_ACCESS_KEY_ID={identifier}\nAWS_SECRET_ACCESS_KEY={secret}\n"
