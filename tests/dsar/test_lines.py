"""Lines that can't be read as one record: told when they name the subject, left as they are when not."""

import io

import pytest

from privacy_assets.dsar.files.lines import Csv, Format, JsonLines, others, records, rewrite
from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.models import Records
from privacy_assets.dsar.stores.protocol import StoreError, Tally
from privacy_assets.dsar.stores.rules import Rules

MAIL = b"jane.doe@example.com"
HERS, OTHERS = MAIL + b";x\n", b"max@example.com;x\n"
STRAY = b'max@example.com;5" pipe\n'
CSV, JSON = Csv(["email", "note"], ";", '"', "\\"), JsonLines()
HER = Selection({"email": frozenset({MAIL.decode()})})
NOBODY = Selection({"email": frozenset({"nobody@example.com"})})
RULES = Rules(Records(match={"email": ("email",)}), "store", lambda _kind, value: value)


@pytest.mark.parametrize(
    ("form", "body", "line"),
    [
        (CSV, STRAY + HERS + OTHERS, "1"),
        (CSV, OTHERS + MAIL + b';5" pipe\n' + OTHERS * 2, "2"),
        (CSV, MAIL + b';5" pipe\n' + OTHERS + STRAY, "1"),
        (CSV, STRAY + OTHERS * 100_000 + HERS, "[0-9]+"),
        (CSV, b'max@example.com;"' + b"long\n" * 300_000 + HERS + b'"\n', "[0-9]+"),
        (JSON, b'{"email":"max"}\n{"email":"%s"}{"email":"max"}\n' % MAIL, "2"),
        (JSON, b'{"email":"max"}{"email":"jane.doe\\u0040example.com"}\n', "1"),
        (JSON, b'\n\n{"email":"%s","no' % MAIL, "3"),
        (JSON, b'[{"email":"%s"}]\n' % MAIL, "1"),
    ],
)
def test_a_line_that_names_her_and_is_no_one_record(form: Format, body: bytes, line: str) -> None:
    told = f"^line {line} names the subject and can't be read as one record"
    with pytest.raises(StoreError, match=told) as raised:
        list(records(io.BytesIO(body), form, HER))
    assert "jane" not in str(raised.value)
    with pytest.raises(StoreError, match=told):
        rewrite(io.BytesIO(body), io.BytesIO(), form, HER, RULES, Tally())
    target = io.BytesIO()
    assert not rewrite(io.BytesIO(body), target, form, NOBODY, RULES, Tally())
    assert target.getvalue() == body == b"".join(others(io.BytesIO(body), form, NOBODY))


def test_a_broken_line_of_a_partition_that_is_hers() -> None:
    hers = Selection({"who": frozenset({"7"})}, {"who": "7"})
    with pytest.raises(StoreError, match=r"^line 3 names"):
        list(records(io.BytesIO(b'{"note":"x"}\n\n{"note":"tr'), JSON, hers))


def test_a_short_identifier_is_a_word_of_its_own() -> None:
    body = b'{"email":"4711","note":"tr'
    assert not list(records(io.BytesIO(body), JSON, Selection({"email": frozenset({"47"})})))
    with pytest.raises(StoreError, match=r"^line 1 names"):
        list(records(io.BytesIO(body), JSON, Selection({"email": frozenset({"4711"})})))


def test_a_value_of_several_lines_is_one_record() -> None:
    body = OTHERS + MAIL + b';"two\nlines"\n' + OTHERS
    target = io.BytesIO()
    assert rewrite(io.BytesIO(body), target, CSV, HER, RULES, Tally())
    assert target.getvalue() == OTHERS * 2
