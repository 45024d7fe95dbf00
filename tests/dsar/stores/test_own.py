"""``python``: a store of one's own is loaded with the definitions; a mistake is told with file and line."""

from pathlib import Path

import pytest
import yaml

from privacy_assets.dsar.stores.build import check, stores
from privacy_assets.dsar.stores.protocol import Store
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate, load_estate
from resources.subjects import SubjectsResource
from tests.dsar.stores.conftest import JANE, REQUEST

OWN = """\
from privacy_assets.dsar.stores.protocol import Erased, Found, Remaining

ROWS = {"jane.doe@example.com": {"mail": "jane.doe@example.com"}}


class Legacy:
    kinds = frozenset({"email"})

    def __init__(self, name, host):
        self.name, self.host = name, host

    def find(self, identifiers):
        return Found(sum(value in ROWS for value in identifiers.get("email", ())))

    def export(self, identifiers):
        yield from (ROWS[value] for value in identifiers.get("email", ()) if value in ROWS)

    def erase(self, identifiers, request_id):
        gone = [ROWS.pop(value) for value in identifiers.get("email", ()) if value in ROWS]
        return Erased(len(gone), len(gone))

    def verify(self, identifiers, touched=()):
        return Remaining(self.find(identifiers).records)
"""
NO_AWS = SubjectsResource(
    database="db", lake_bucket="lake", archive_bucket="archive", erasure_table="erasures", key_id="key"
)


def estate(tmp_path: Path, text: str = OWN, **fields: object) -> Estate:
    (tmp_path / "legacy.py").write_text(text)
    table = {"name": "t", "table": "TheTable", "keys": ["id"], "owner": "team:a"}
    store = {
        "name": "legacy", "kind": "python", "owner": "team:a", "file": "legacy.py", "class": "Legacy",
        "options": {"host": "h"}, **fields,
    }  # fmt: skip
    path = tmp_path / "estate.yaml"
    path.write_text(
        yaml.safe_dump({"tables": [{**table, "columns": {"id": {"type": "string"}}}], "stores": [store]})
    )
    return load_estate(path)


def test_it_is_a_store_as_any_other(tmp_path: Path) -> None:
    declared = estate(tmp_path)
    check(declared, tmp_path)
    store: Store
    (store,) = stores(declared, NO_AWS, tmp_path)
    assert (store.name, store.kinds, store.find(JANE).records) == ("legacy", {"email"}, 1)
    assert list(store.export(JANE)) == [{"mail": "jane.doe@example.com"}]
    assert store.erase(JANE, REQUEST).erased == 1
    assert store.verify(JANE).clean


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        (OWN, {"file": "nowhere.py"}, "nowhere.py: no such file, expected one relative to estate.yaml"),
        (OWN + "def broken(:\n", {}, "legacy.py:24: invalid syntax, expected Python"),
        ("import json\n\nx = 1 / 0\n", {}, "legacy.py:3: ZeroDivisionError: division by zero"),
        (OWN, {"class": "Nothing"}, "no class 'Nothing'"),
        (OWN.replace("def verify", "def check"), {}, "Legacy: no verify, expected all members of a Store"),
    ],
)
def test_a_mistake_is_told_when_definitions_load(
    tmp_path: Path, text: str, fields: dict[str, object], expected: str
) -> None:
    with pytest.raises(UserError) as raised:
        check(estate(tmp_path, text, **fields), tmp_path)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_options_are_the_classes_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unexpected keyword argument 'port'; expected it to take name, port"):
        stores(estate(tmp_path, options={"port": 1}), NO_AWS, tmp_path)
    broken = OWN.replace("self.name, self.host = name, host", "raise ValueError('no such host')")
    with pytest.raises(UserError, match=r"legacy\.py:10: Legacy: ValueError: no such host"):
        stores(estate(tmp_path, broken), NO_AWS, tmp_path)
    with pytest.raises(UserError, match="no 'kinds', expected all of a Store"):
        stores(estate(tmp_path, OWN.replace("    kinds =", "    sorts =")), NO_AWS, tmp_path)
