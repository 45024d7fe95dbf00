"""What a privacy event is: one list of fields, from which its JSON Schema and the Glue table are made.

Fields are named as in the governed table of privacy logs, so that the words of an audit hold for both. A
new field raises ``VERSION``; none is ever removed or retyped, so what was sent before stays readable.

What an event must have to be *lawful* is for the audits to say: a withdrawal of consent that names no
jurisdiction is a violation to be listed, and refusing it would lose the withdrawal.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any, NamedTuple

import jsonschema_rs
import pyarrow as pa

VERSION = 1
EVENT_TYPES = (
    "consent_given",
    "consent_withdrawn",
    "opt_out_sale",
    "opt_in_sale",
    "gpc_signal",
    "processing",
    "sale_or_share",
    "access_request",
    "disclosure",
    "erasure_request",
    "erasure_completed",
)
AHEAD = timedelta(minutes=5)
"""How far a sender's clock may be ahead of ours."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 20
"""How many problems of an event are told."""
_EXTRA_BYTES = 65_536
_SHOWN_NAME = 64  # a longer name of an unknown field is no typing error, and isn't repeated
_JSON = "JSON: valid Unicode, no NaN or Infinity, not nested by the hundreds"
_INSTANT = pa.timestamp("us", tz="UTC")
_TEXT = pa.string()
_COUNTRY = "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"


class Problem(NamedTuple):
    """What is wrong with an event: where (RFC 6901) and what was expected; never a value of the event."""

    pointer: str
    detail: str


@dataclass(frozen=True)
class Field:
    """One field: its JSON Schema, its column's type, and what is said of it when it is not as expected."""

    name: str
    json: Mapping[str, Any]
    column: pa.DataType
    expected: str
    description: str
    required: bool = False


def _text(longest: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest, **more}


def _short(name: str, description: str, example: str) -> Field:
    return Field(name, _text(256, examples=[example]), _TEXT, "a text of 1 to 256 characters", description)


_CATEGORIES = 64
_CATEGORY = _text(128)
FIELDS: tuple[Field, ...] = (
    Field(
        "event_id",
        {
            "type": "string",
            "pattern": "^[A-Za-z0-9._:-]{1,128}$",
            "examples": ["0198c5a0-7b1e-7c3a-9f00-1f2e3d4c5b6a"],
        },
        _TEXT,
        "1 to 128 of letters, digits, '.', '_', ':' and '-'",
        "The event's identity; one is given to an event without. Sent again, it is the same event.",
    ),
    Field(
        "subject_id",
        _text(256, pattern="\\S", examples=["subject-4711"]),
        _TEXT,
        "a text of 1 to 256 characters, not blank",
        "Pseudonymous identifier of the person.",
        required=True,
    ),
    Field(
        "event_time",
        {"type": "string", "format": "date-time", "examples": ["2026-01-31T09:30:00Z"]},
        _INSTANT,
        "a time with its offset from UTC as in RFC 3339, from 1970 on and at most 5 minutes ahead",
        "When it happened.",
        required=True,
    ),
    Field(
        "event_type",
        {"enum": list(EVENT_TYPES)},
        _TEXT,
        f"one of {', '.join(EVENT_TYPES)}",
        "What happened.",
        required=True,
    ),
    _short("purpose", "What the data was used for (GDPR Art. 5(1)(b)).", "newsletter"),
    _short("legal_basis", "The basis that processing relied on (GDPR Art. 6(1)).", "consent"),
    Field(
        "jurisdiction",
        {"type": "string", "pattern": _COUNTRY, "examples": ["DE", "US-CA"]},
        _TEXT,
        "an ISO 3166 code such as DE or US-CA",
        "Country or state whose law applies.",
    ),
    _short("recipient", "Who received the data.", "analytics-vendor"),
    Field(
        "recipient_country",
        {"type": "string", "pattern": _COUNTRY, "examples": ["US"]},
        _TEXT,
        "an ISO 3166 code such as DE or US-CA",
        "Country of the recipient (GDPR Chapter V).",
    ),
    _short("safeguard", "Safeguard of a transfer (GDPR Art. 46).", "standard_contractual_clauses"),
    Field(
        "data_categories",
        {
            "type": "array",
            "items": _CATEGORY,
            "maxItems": _CATEGORIES,
            "uniqueItems": True,
            "examples": [["contact", "location"]],
        },
        pa.list_(_TEXT),
        f"a list of at most {_CATEGORIES} different texts of 1 to 128 characters",
        "Categories of personal data concerned.",
    ),
    Field(
        "special_category",
        {"type": "boolean"},
        pa.bool_(),
        "true or false",
        "Whether data of GDPR Art. 9 is involved.",
    ),
    Field(
        "subject_age",
        {"type": "integer", "minimum": 0, "maximum": 150, "examples": [34]},
        pa.int32(),
        "a whole number from 0 to 150",
        "Age of the subject in years at the event.",
    ),
    Field(
        "retention_until",
        {"type": "string", "format": "date-time", "examples": ["2036-01-31T00:00:00Z"]},
        _INSTANT,
        "a time with its offset from UTC as in RFC 3339, from 1970 on",
        "When the event's data must be gone.",
    ),
    Field(
        "message",
        {"type": "string", "maxLength": 8192, "examples": ["consent given in the preference centre"]},
        _TEXT,
        "a text of at most 8192 characters",
        "Free text of the emitting service.",
    ),
    Field(
        "extra",
        {"type": "object", "maxProperties": 64, "examples": [{"app_version": "4.2.0"}]},
        _TEXT,
        f"an object of at most 64 properties and {_EXTRA_BYTES} bytes",
        "What else the sender wants kept, as JSON.",
    ),
)
_BY_NAME = {field.name: field for field in FIELDS}

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Privacy event",
    "description": f"One privacy event, version {VERSION}. What is not known is left out; null is no value.",
    "type": "object",
    "properties": {
        field.name: {
            **field.json,
            "description": field.description + (" In UTC if Z." if field.column == _INSTANT else ""),
        }
        for field in FIELDS
    },
    "required": [field.name for field in FIELDS if field.required],
    "additionalProperties": False,
    "examples": [
        {
            "event_id": "0198c5a0-7b1e-7c3a-9f00-1f2e3d4c5b6a",
            "subject_id": "subject-4711",
            "event_time": "2026-01-31T09:30:00Z",
            "event_type": "consent_given",
            "purpose": "newsletter",
            "jurisdiction": "DE",
            "data_categories": ["contact"],
            "extra": {"app_version": "4.2.0"},
        },
        {
            "subject_id": "subject-4711",
            "event_time": "2026-01-31T10:00:00+01:00",
            "event_type": "opt_out_sale",
            "jurisdiction": "US-CA",
        },
    ],
}
"""JSON Schema 2020-12 of one event."""

_OWN_COLUMNS = (
    ("schema_version", pa.int32(), "Version of the schema that the event was accepted by."),
    ("client", _TEXT, "The client that sent it."),
    ("size", pa.int32(), "Bytes of the event as JSON."),
    ("accepted_at", _INSTANT, "When it was accepted."),
    ("stored_at", _INSTANT, "When it was written to this table."),
    ("event_date", pa.date32(), "Day of event_time, UTC; partition."),
    ("event_hour", pa.int32(), "Hour of event_time, UTC; partition."),
)
COLUMNS: pa.Schema = pa.schema(
    [
        pa.field(name, kind, metadata={"doc": doc})
        for name, kind, doc in [
            *((field.name, field.column, field.description) for field in FIELDS),
            *_OWN_COLUMNS,
        ]
    ]
)
"""The table of events: the fields, ``extra`` as JSON text, and what is added on the way."""
PARTITION_BY = ("event_date", "event_hour")
_ATHENA: Mapping[pa.DataType, str] = {
    _TEXT: "string",
    _INSTANT: "timestamp(6) with time zone",
    pa.int32(): "int",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_VALIDATOR = jsonschema_rs.Draft202012Validator(dict(SCHEMA), validate_formats=True)
_VALIDATORS = {
    field.name: jsonschema_rs.Draft202012Validator(dict(field.json), validate_formats=True)
    for field in FIELDS
}
_is_item = jsonschema_rs.Draft202012Validator(_CATEGORY).is_valid


def athena_type(kind: pa.DataType) -> str:
    """What Athena calls a column's type (https://docs.aws.amazon.com/athena/latest/ug/data-types.html)."""
    if pa.types.is_list(kind):
        return f"array<{athena_type(kind.value_type)}>"
    return _ATHENA[kind]


def problems(event: object, now: datetime | None = None) -> Sequence[Problem]:
    """What is wrong with an event, at most ``MOST``, none if it is one; ``now`` (default: the clock) limits
    its time.
    """
    try:
        wrong = [] if _VALIDATOR.is_valid(event) else _wrong(event)
    except (ValueError, RecursionError):  # half a surrogate pair, or nested beyond all measure
        return [Problem("", f"expected {_JSON}")]
    if wrong or not isinstance(event, dict):
        return wrong
    found = [
        Problem(f"/{name}", f"expected {_BY_NAME[name].expected}")
        for name, latest in (("event_time", (now or datetime.now(UTC)) + AHEAD), ("retention_until", None))
        if name in event and not _is_time(event[name], latest)
    ]
    return [*found, *(_extra(event["extra"]) if "extra" in event else ())]


def text_of(value: object) -> str:
    """Compact JSON. Raises ValueError for NaN, Infinity, half a surrogate and what is too deep."""
    try:
        text = _ENCODER.encode(value)
    except RecursionError:
        raise ValueError("nested too deep") from None
    text.encode()
    return text


def instant(text: str) -> datetime:
    """An RFC 3339 time in UTC, to the microsecond. Raises ValueError."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _is_time(text: str, latest: datetime | None) -> bool:
    try:
        moment = instant(text)
    except (ValueError, OverflowError):  # a leap second, or the year 0
        return False
    return moment >= EARLIEST and (latest is None or moment <= latest)


def _wrong(event: object) -> list[Problem]:
    """Of what is not as the schema has it, the first ``MOST``.

    The validator's own list has a copy of the event in each error, and is whole before the first is read: a
    small event could have it use gigabytes. So each field is judged alone, with a yes or a no.
    """
    if not isinstance(event, dict):
        return [Problem("", "expected an object")]
    missing = (
        Problem(f"/{field.name}", f"missing; expected {field.expected}")
        for field in FIELDS
        if field.required and field.name not in event
    )
    return list(islice(chain(missing, (one for name in event for one in _wrong_field(event, name))), MOST))


def _wrong_field(event: Mapping[str, Any], name: str) -> Iterator[Problem]:
    if name not in _BY_NAME:
        yield _unknown(name)
    elif not _VALIDATORS[name].is_valid(event[name]):
        expected = f"expected {_BY_NAME[name].expected}"
        places = [number for number, one in enumerate(_short_list(name, event[name])) if not _is_item(one)]
        for place in places:
            yield Problem(f"/{name}/{place}", expected)
        if not places:
            yield Problem(f"/{name}", expected)


def _short_list(name: str, value: object) -> Sequence[object]:
    is_short = name == "data_categories" and isinstance(value, list) and len(value) <= _CATEGORIES
    return value if is_short else ()  # type: ignore[return-value]  # it is a list


def _unknown(name: str) -> Problem:
    name.encode()  # raises ValueError for half a surrogate pair
    detail = "unknown field; what an event has besides its fields belongs in `extra`"
    return Problem(_pointer([name]) if len(name) <= _SHOWN_NAME else "", detail)


def _pointer(path: Sequence[str | int]) -> str:
    """https://www.rfc-editor.org/rfc/rfc6901#section-3"""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _extra(extra: object) -> list[Problem]:
    try:
        size = len(text_of(extra).encode())
    except ValueError:
        return [Problem("/extra", f"expected {_JSON}")]
    return [] if size <= _EXTRA_BYTES else [Problem("/extra", f"expected {_BY_NAME['extra'].expected}")]
