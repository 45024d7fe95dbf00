"""A house's own detectors and allow lists; a mistake is told with its file, line and path, and what was
expected.
"""

import pickle
from datetime import date
from pathlib import Path

import pytest

from privacy_assets.scan.custom import Custom, CustomError, load_custom
from privacy_assets.scan.detectors import ALL, Severity
from privacy_assets.scan.engine import Finding, Scanner
from tests.scan.planted import Bytes, found

GOOD = """\
detectors:
  - name: employee_id
    title: Employee number
    pattern: 'EMP-[0-9]{6}'
    severity: high
    examples: ['x EMP-104417']
  - name: locker
    title: Locker
    pattern: '(?<![0-9])[0-9]{4}(?![0-9])'
    keywords: [locker, Schließfach]
    distance: 20
    validator: luhn
allow:
  - pattern: '.*@example\\.com'
    detectors: [email]
    reason: nobody's mailbox
  - value: EMP-000001
    reason: the sample of the manual
    expires: 2026-06-30
  - path: '*/fixtures/*'
    reason: test data
"""


def load(tmp_path: Path, text: str, today: date = date(2026, 6, 30)) -> Custom:
    path = tmp_path / "scan.yaml"
    path.write_text(text, encoding="utf-8")
    return load_custom(path, today)


def names(scanner: Scanner, text: str, path: str = "s3://b/k") -> list[str]:
    """Detector and value of what is found and not allowed."""
    findings = [f for f in scanner.scan([Bytes(text.encode())], path) if isinstance(f, Finding)]
    return [f"{f.detector}:{f.value}" for f in findings if f.allowed is None]


@pytest.mark.parametrize("native", [None, False])
def test_what_a_file_says_is_found(tmp_path: Path, native: bool | None) -> None:
    custom = load(tmp_path, GOOD)
    assert custom.detectors[0].severity is Severity.HIGH
    scanner = Scanner(custom.detectors, native=native)
    assert names(scanner, "EMP-104417, EMP-1044177") == ["employee_id:EMP-104417", "employee_id:EMP-104417"]
    # a keyword near enough, before or after, in any case; and the checksum
    assert names(scanner, "Locker 1230, 1231") == ["locker:1230"]
    assert names(scanner, "1230 is the locker") == ["locker:1230"]
    assert names(scanner, "SCHLIEßFACH 1230") == ["locker:1230"]
    assert names(scanner, "1230") == names(scanner, "locker" + " " * 20 + "1230") == []


def test_it_is_the_same_however_the_text_is_cut(tmp_path: Path) -> None:
    custom = load(tmp_path, GOOD)
    data = b"".join(b"locker %04d and EMP-%06d " % (n % 10_000, n) for n in range(3000))
    whole = found(Scanner(custom.detectors), data)
    assert len(whole) > 3000
    again = pickle.loads(pickle.dumps(Scanner(custom.detectors, window=8192)))
    assert found(again, data, range(0, len(data), 777)) == whole


def test_what_is_allowed_says_why(tmp_path: Path) -> None:
    custom = load(tmp_path, GOOD)
    scanner = Scanner([*ALL.values(), *custom.detectors], allow=custom.allow)
    assert names(scanner, "a@example.com EMP-000001 b@gmail.com") == ["email:b@gmail.com"]
    assert names(scanner, "EMP-000002", "s3://b/x/fixtures/y") == []
    (finding,) = scanner.scan([Bytes(b"a@example.com")])
    assert isinstance(finding, Finding)
    assert finding.allowed == "nobody's mailbox"
    assert custom.allow.expired == ()


def test_an_entry_counts_to_its_last_day(tmp_path: Path) -> None:
    custom = load(tmp_path, GOOD, date(2026, 7, 1))
    assert names(Scanner(custom.detectors, allow=custom.allow), "EMP-000001") == ["employee_id:EMP-000001"]
    assert [entry.value for entry in custom.allow.expired] == ["EMP-000001"]
    assert custom.allow.fingerprint != load(tmp_path, GOOD).allow.fingerprint
    assert load(tmp_path, "detectors: []").allow.fingerprint == ""


def test_a_changed_rule_is_another_version(tmp_path: Path) -> None:
    old, new = (
        load(tmp_path, GOOD),
        load(tmp_path, GOOD.replace("{6}", "{7}").replace("EMP-104417", "EMP-1044170")),
    )
    assert old.detectors[0].version != new.detectors[0].version
    assert old.detectors[1].version == new.detectors[1].version


def test_an_empty_file_of_lists_is_one(tmp_path: Path) -> None:
    assert load(tmp_path, "detectors: []\n").detectors == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("severity: high", "colour: blue", "5: detectors.0.colour: unknown, expected one of the documented"),
        ("EMP-[0-9]{6}", "EMP-[0-9", "4: detectors.0.pattern: 'EMP-[0-9': unterminated character set"),
        ("EMP-[0-9]{6}", "x*", "4: detectors.0.pattern: 'x*' fits nothing at all, expected"),
        ("validator: luhn", "validator: lune", "12: detectors.1.validator: 'lune', expected one of"),
        ("distance: 20", "distance: 5000", "11: detectors.1.distance: 5000, expected: input should be less"),
        ("severity: high", "severity: bad", "5: detectors.0.severity: 'bad', expected: input should be"),
        ("name: locker", "name: email", "7: detectors.1.name: 'email' is there already, expected another"),
        ("name: locker", "name: employee_id", "1: detectors: the name 'employee_id' is there twice"),
        ("EMP-104417", "nothing", "6: detectors.0.examples: nothing found in 'x nothing', expected a value"),
        ("    reason: test data\n", "", "20: allow.2.reason: missing, expected a value"),
        ("path: '*/fixtures/*'", "detectors: [ssn]", "20: allow.2: allows everything, expected value"),
        ("detectors: [email]", "detectors: [emial]", "1: allow.0.detectors: 'emial', expected the name"),
        (
            "2026-06-30",
            "30.6.2026",
            "19: allow.1.expires: '30.6.2026', expected: input should be a valid date",
        ),
        ("distance: 20", "distance: 20\n    distance: 30", "12: 'distance' is there twice, expected YAML"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(CustomError) as raised:
        load(tmp_path, GOOD.replace(old, new))
    (problem,) = raised.value.problems
    assert problem.removeprefix(f"{tmp_path / 'scan.yaml'}:").startswith(expected)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        CustomError, match="No such file or directory, expected a YAML file with 'detectors:'"
    ):
        load_custom(tmp_path / "no.yaml")
