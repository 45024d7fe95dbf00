"""Findings for programs: JSON lines, CSV, and SARIF 2.1.0 (OASIS standard, 2020).

A record is a mapping with the names of ``FIELDS``; what is not known is None.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote

FIELDS = (
    "source", "member", "detector", "byte_offset", "length", "line", "column", "row", "masked_match",
    "context", "severity", "confidence",
)  # fmt: skip
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}

Record = Mapping[str, Any]


def record(source: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``scan_findings`` as a record; further names of the row that tell its history are kept."""
    found = {
        "source": source,
        "member": row["member"],
        "detector": row["detector"],
        "byte_offset": row["byte_offset"],
        "length": row["length"],
        "line": row["line"],
        "column": row["column_name"],
        "row": row["row_number"],
        "masked_match": row["masked_match"],
        "context": row["context"],
        "severity": row["severity"],
        "confidence": row["confidence"],
    }
    for name in ("status", "first_seen", "last_seen"):
        if name in row:
            value = row[name]
            found[name] = value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value
    return found


def json_lines(records: Iterable[Record], out: TextIO) -> None:
    """One JSON object a line, as they come."""
    out.writelines(json_text(records))


def json_text(records: Iterable[Record]) -> Iterator[str]:
    """The same, a line at a time."""
    return (json.dumps(found, ensure_ascii=False) + "\n" for found in records)


def csv_rows(records: Iterable[Record], out: TextIO) -> None:
    """A header and a row each (RFC 4180). What a spreadsheet would run as a formula gets a ``'``."""
    out.writelines(csv_text(records))


def csv_text(records: Iterable[Record]) -> Iterator[str]:
    """The same, a row at a time."""
    line = io.StringIO(newline="")
    writer: Any = None
    for found in _or_fields(records):
        if writer is None:
            writer = csv.DictWriter(line, list(found), lineterminator="\r\n")
            writer.writeheader()
        if found is not _EMPTY:
            writer.writerow({name: _cell(value) for name, value in found.items()})
        yield line.getvalue()
        line.seek(0)
        line.truncate()


_EMPTY: Record = dict.fromkeys(FIELDS)


def _or_fields(records: Iterable[Record]) -> Iterator[Record]:
    some = False
    for found in records:
        some = True
        yield found
    if not some:
        yield _EMPTY


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def sarif(records: Iterable[Record], titles: Mapping[str, str], version: str, out: TextIO) -> None:
    """One SARIF log with one run; ``titles`` are the detectors'. Results are written as they come."""
    out.writelines(sarif_text(records, titles, version))


def sarif_text(records: Iterable[Record], titles: Mapping[str, str], version: str) -> Iterator[str]:
    """The same, a result at a time."""
    rules: list[dict[str, Any]] = [
        {"id": name, "name": name, "shortDescription": {"text": title}}
        for name, title in sorted(titles.items())
    ]
    driver = {
        "name": "privacy-assets",
        "version": version,
        "rules": rules,
    }
    head = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0"}
    yield json.dumps(head)[:-1] + ', "runs": [{"tool": ' + json.dumps({"driver": driver}) + ', "results": ['
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    for number, found in enumerate(records):
        yield (",\n" if number else "\n") + json.dumps(_result(found, index), ensure_ascii=False)
    yield '\n], "columnKind": "utf16CodeUnits"}]}\n'


def _result(found: Record, index: Mapping[str, int]) -> dict[str, Any]:
    region: dict[str, Any] = {"byteOffset": found["byte_offset"], "byteLength": found["length"]}
    if found["line"]:
        region["startLine"] = found["line"]
    source = str(found["source"])
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": source if "://" in source else quote(source)},
            "region": region,
        }
    }
    logical = [
        {"fullyQualifiedName": str(found[name]), "kind": kind}
        for name, kind in (("member", "member"), ("column", "member"))
        if found[name]
    ]
    if logical:
        place["logicalLocations"] = logical
    where = f" in column {found['column']}, row {found['row']}" if found["column"] else ""
    result = {
        "ruleId": found["detector"],
        "level": _LEVELS[found["severity"]],
        "message": {"text": f"{found['masked_match']}{where} ({found['confidence']} confidence)"},
        "locations": [place],
        "properties": {"severity": found["severity"], "confidence": found["confidence"]},
    }
    if found["detector"] in index:
        result["ruleIndex"] = index[found["detector"]]
    return result
